/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers that the engine keeps while vCPUs run.  Whenever the VM stands their
 * state is in the devices, so a saved VM says nothing of it and goes on under any engine; it is
 * taken from the engine as the VM is paused, and given as it goes on.
 */
#include "device/chipset/irqchip.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- which ---- */

static const struct {
    const char *name;
    enum engine_chips chips;
    const char *about;
} chips_names[] = {
    { "user", CHIPS_NONE, "all in this program" },
    { "split", CHIPS_APICS, "local APICs in the kernel" },
    { "kernel", CHIPS_ALL, "PIC, IOAPIC, PIT and local APICs in the kernel" },
};

/*
 * An emulating KVM runs on behind an EOI that it should tell us of, into a HLT: ours do not.
 * Systems that know no APIC, by a word of what packages call them: each tick of theirs is
 * several accesses to PIC and PIT, each of which would leave the kernel.
 */
static const char *const chips_old[] = { "dos",   "win31", "win95", "win98",
                                         "winme", "winMe", "os2",   "netware" };

static bool chips_guest_is_old(const struct desc *d)
{
    for (u32 i = 0; i < LEN(chips_old) && d->guest_os; i++)
        if (strcasestr(d->guest_os, chips_old[i]))
            return true;
    return false;
}

int vm_chips_choose(struct vm *vm, struct err *e)
{
    const char *want = vm->how.irqchip ? vm->how.irqchip : "auto";
    u64 features = 0;

    vm->chips = CHIPS_NONE;
    if (vm->ops->probe(&features, NULL))
        features = 0;
    if (!strcmp(want, "auto")) {
        if (features & ENGINE_CHIPS && features & ENGINE_HARDWARE)
            vm->chips = chips_guest_is_old(vm->how.desc) ? CHIPS_ALL : CHIPS_APICS;
        return 0;
    }
    for (u32 i = 0; i < LEN(chips_names); i++) {
        if (strcmp(want, chips_names[i].name) != 0)
            continue;
        vm->chips = chips_names[i].chips;
        if (vm->chips == CHIPS_NONE || features & ENGINE_CHIPS)
            return 0;
        return err_set(e, -EOPNOTSUPP,
                       "--irqchip %s: the engine %s keeps no interrupt controllers here", want,
                       vm->ops->name);
    }
    return err_set(e, -EINVAL, "--irqchip %s: auto, user, split or kernel", want);
}

const char *vm_chips_about(const struct vm *vm)
{
    return vm->ops->chips ? chips_names[vm->chips].about : "";
}

/* ---- what the devices ask of the engine; under the irq lock ---- */

/* A message that nobody can take is the guest's affair; the engine gone wrong is told once. */
static void chips_msi(void *arg, u64 addr, u32 data)
{
    struct vm *vm = arg;

    vm->ops->chips->msi(vm->engine, addr, data);
}

static void chips_failed(struct vm *vm, const char *what, int r)
{
    char text[120];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(-r));
    vm_crash(vm, text);
}

static void chips_pins(void *arg, const struct chip_pin *p, u32 n)
{
    struct vm *vm = arg;
    int r = vm->ops->chips->pins(vm->engine, p, n);

    if (r)
        chips_failed(vm, "the engine does not take the IOAPIC's pins", r);
}

static void chips_line(void *arg, u32 pin, bool level)
{
    struct vm *vm = arg;
    int r = vm->ops->chips->line(vm->engine, pin, level);

    if (r)
        chips_failed(vm, "the engine does not take an interrupt", r);
}

static void chips_pit_off(void *arg, bool off)
{
    struct vm *vm = arg;
    int r = vm->ops->chips->pit_off(vm->engine, off);

    if (r)
        chips_failed(vm, "the engine does not switch its timer", r);
}

/* ---- to the engine and back ---- */

struct chips_devices {
    struct device *lapic, *pic, *ioapic, *pit;
};

static bool chips_devices(struct vm *vm, struct chips_devices *d)
{
    d->lapic = machine_device(vm->machine, "lapic");
    d->pic = machine_device(vm->machine, "pic");
    d->ioapic = machine_device(vm->machine, "ioapic");
    d->pit = machine_device(vm->machine, "pit");
    return vm->chips != CHIPS_NONE && d->lapic && d->pic && d->ioapic && d->pit;
}

static int chips_give_apics(struct vm *vm, struct device *lapic)
{
    struct chip_apic a;
    int r = 0;

    for (u32 i = 0; i < vm->ncpus && !r; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        lapic_chip_get(lapic, i, &a);
        a.waits = c->waiting;
        r = vm->ops->chips->apic_set(c->v, &a);
    }
    return r;
}

static int chips_give(struct vm *vm, const struct chips_devices *d)
{
    struct machine_chips k = { .arg = vm, .msi = chips_msi, .pins = chips_pins };
    struct chip_pc pc = { .pit_off = false };
    int r;

    pic_chip_get(d->pic, pc.pic);
    ioapic_chip_get(d->ioapic, &pc.ioapic);
    pit_chip_get(d->pit, &pc);
    if (vm->chips == CHIPS_ALL) {
        k.line = chips_line;
        k.pit_off = chips_pit_off;
    }
    r = vm->chips == CHIPS_ALL ? vm->ops->chips->pc_set(vm->engine, &pc) : 0;
    r = r ? r : chips_give_apics(vm, d->lapic);
    if (r)
        return r;
    machine_chips_set(vm->machine, &k);
    ioapic_chip_gone(d->ioapic);
    pit_chip_gone(d->pit);
    lapic_chip_gone(d->lapic);
    return 0;
}

/* A start-up message that is under way in the software's own way is taken first. */
static void chips_take_startup(struct vm *vm)
{
    for (u32 i = 0; i < vm->ncpus; i++)
        vm_cpu_settle(&vm->cpus[i]);
}

void vm_chips_give(struct vm *vm)
{
    struct chips_devices d;
    int r;

    if (!chips_devices(vm, &d) || machine_chips(vm->machine))
        return;
    chips_take_startup(vm);
    domain_lock(d.pit->domain);
    machine_irq_lock(vm->machine);
    r = chips_give(vm, &d);
    machine_irq_unlock(vm->machine);
    domain_unlock(d.pit->domain);
    if (r)
        chips_failed(vm, "the engine does not take the interrupt controllers", r);
}

static int chips_take(struct vm *vm, const struct chips_devices *d)
{
    struct chip_pc pc;
    struct chip_apic a;
    int r = vm->chips == CHIPS_ALL ? vm->ops->chips->pc_get(vm->engine, &pc) : 0;

    machine_chips_set(vm->machine, NULL);
    if (r)
        return r;
    if (vm->chips == CHIPS_ALL) { /* what the timer's wire tells now is overwritten at once */
        pit_chip_put(d->pit, &pc);
        ioapic_chip_put(d->ioapic, &pc.ioapic);
        pic_chip_put(d->pic, pc.pic);
    }
    for (u32 i = 0; i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        r = vm->ops->chips->apic_get(c->v, &a);
        if (r)
            return r;
        lapic_chip_put(d->lapic, i, &a);
        c->waiting = a.waits;
        if (a.started) {
            atomic_store(&c->sipi_page, a.page);
            atomic_fetch_or(&c->ask, ASK_SIPI);
        }
    }
    lapic_chip_back(d->lapic);
    return 0;
}

void vm_chips_take(struct vm *vm)
{
    struct chips_devices d;
    int r;

    if (!chips_devices(vm, &d) || !machine_chips(vm->machine))
        return;
    domain_lock(d.pit->domain);
    machine_irq_lock(vm->machine);
    r = chips_take(vm, &d);
    machine_irq_unlock(vm->machine);
    domain_unlock(d.pit->domain);
    if (r)
        chips_failed(vm, "the engine does not tell of its interrupt controllers", r);
}

void vm_chips_eoi(struct vm *vm, u8 vector)
{
    struct device *io = machine_device(vm->machine, "ioapic");

    machine_irq_lock(vm->machine);
    if (io)
        ioapic_eoi(io, vector);
    machine_irq_unlock(vm->machine);
}
