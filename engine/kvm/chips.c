/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers in the kernel: the local APICs alone ("split irqchip"), or PIC, IOAPIC
 * and PIT as well.  Their registers come and go as machine/chips.h says.
 *
 * MSIs go by KVM_SIGNAL_MSI: whoever raises one is a thread of this process, so a write to an irqfd
 * would cost it a system call as well, and one that takes longer (247 ns for 211, measured), and
 * a route for each vector.  Left out of what moves: the phase of a
 * PIT period, which begins anew; ExtINT messages, which KVM does not deliver.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, X2APIC_BROADCAST_EOI = 1 << 3 };

/* ---- making them ---- */

struct chips_routes {
    u32 nr, flags; /* as struct kvm_irq_routing, with room */
    struct kvm_irq_routing_entry e[16 + CHIP_PINS];
};

/* Pins of the IOAPIC as a PC wires them: ISA interrupt 0 is at pin 2. */
static int chips_route(struct kvm *k)
{
    struct chips_routes r = { .nr = 0 };

    for (u32 gsi = 0; gsi < CHIP_PINS; gsi++) {
        struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

        if (gsi == 2)
            continue;
        e.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
        e.u.irqchip.pin = gsi ? gsi : 2;
        r.e[r.nr++] = e;
        e.u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
        e.u.irqchip.pin = gsi % 8;
        if (gsi < 16)
            r.e[r.nr++] = e;
    }
    return kvm_ask(k->vm, KVM_SET_GSI_ROUTING, &r);
}

static int chips_open_all(struct kvm *k, struct err *e)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    int r = kvm_ask(k->vm, KVM_CREATE_IRQCHIP, NULL);

    if (r < 0)
        return err_set(e, r, "KVM makes no interrupt controllers: %s", strerror(-r));
    r = kvm_ask(k->vm, KVM_CREATE_PIT2, &pit);
    if (r < 0)
        return err_set(e, r, "KVM makes no timer: %s", strerror(-r));
    r = chips_route(k);
    return r < 0 ? err_set(e, r, "KVM does not wire its interrupt controllers: %s", strerror(-r))
                 : 0;
}

int kvm_chips_open(struct kvm *k, struct err *e)
{
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { CHIP_PINS } };
    struct kvm_enable_cap x2apic = { .cap = KVM_CAP_X2APIC_API, .args = { X2APIC_BROADCAST_EOI } };
    int r;

    if (k->chips == CHIPS_NONE)
        return 0;
    if (k->chips == CHIPS_ALL)
        return chips_open_all(k, e);
    r = kvm_ask(k->vm, KVM_ENABLE_CAP, &split);
    if (r < 0)
        return err_set(e, r, "KVM makes no local APICs: %s", strerror(-r));
    /* our IOAPIC has no EOI register, so the APICs should not tell that one can be used; a KVM
     * that does not know this tells it, and broadcasts all the same */
    if (ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API) & X2APIC_BROADCAST_EOI)
        kvm_ask(k->vm, KVM_ENABLE_CAP, &x2apic);
    return 0;
}

/* ---- local APICs ---- */

static int chips_msr(struct vcpu *v, unsigned long what, u32 msr, u64 *val)
{
    struct {
        u32 nmsrs, pad; /* as struct kvm_msrs, with room */
        struct kvm_msr_entry e;
    } m = { .nmsrs = 1, .e = { .index = msr, .data = *val } };
    int r = kvm_ask(v->fd, what, &m);

    *val = m.e.data;
    return r < 0 ? r : r == 1 ? 0 : -EINVAL;
}

/* First what the processor is doing: KVM then takes INIT and start-up messages that wait. */
static int chips_apic_get(struct vcpu *v, struct chip_apic *a)
{
    struct kvm_vcpu_events events;
    struct kvm_lapic_state l;
    struct kvm_mp_state mp;
    int r = kvm_ask(v->fd, KVM_GET_MP_STATE, &mp);

    memset(a, 0, sizeof(*a));
    r = r < 0 ? r : kvm_ask(v->fd, KVM_GET_LAPIC, &l);
    r = r < 0 ? r : kvm_ask(v->fd, KVM_GET_VCPU_EVENTS, &events);
    r = r < 0 ? r : chips_msr(v, KVM_GET_MSRS, MSR_APIC_BASE, &a->base);
    r = r < 0 ? r : chips_msr(v, KVM_GET_MSRS, MSR_TSC_DEADLINE, &a->deadline);
    if (r < 0)
        return r;
    memcpy(a->regs, l.regs, sizeof(a->regs));
    a->started = mp.mp_state == KVM_MP_STATE_SIPI_RECEIVED;
    a->page = (u8)events.sipi_vector;
    a->waits = a->started || mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
               mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    return 0;
}

static int chips_apic_set(struct vcpu *v, const struct chip_apic *a)
{
    struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
    u64 base = a->base, deadline = a->deadline;
    struct kvm_lapic_state l;
    int r = chips_msr(v, KVM_SET_MSRS, MSR_APIC_BASE, &base);

    memcpy(l.regs, a->regs, sizeof(l.regs));
    r = r < 0 ? r : kvm_ask(v->fd, KVM_SET_LAPIC, &l);
    if (r >= 0 && deadline) /* its mode is the timer's by now */
        r = chips_msr(v, KVM_SET_MSRS, MSR_TSC_DEADLINE, &deadline);
    if (r >= 0 && a->waits)
        r = kvm_ask(v->fd, KVM_SET_MP_STATE, &mp);
    v->stale = true;
    return r < 0 ? r : 0;
}

static int chips_msi(void *engine, u64 addr, u32 data)
{
    struct kvm *k = engine;
    struct kvm_msi m = { .address_lo = (u32)addr, .address_hi = (u32)(addr >> 32), .data = data };
    int r = kvm_ask(k->vm, KVM_SIGNAL_MSI, &m);

    return r < 0 ? r : 0;
}

/* KVM tells of the end of a vector when a route of a reserved pin has it, level triggered. */
static int chips_pins(void *engine, const struct chip_pin *p, u32 n)
{
    struct kvm *k = engine;
    struct chips_routes r = { .nr = n };
    int result;

    if (n > CHIP_PINS)
        return -EINVAL;
    for (u32 i = 0; i < n; i++) {
        r.e[i].gsi = p[i].pin;
        r.e[i].type = KVM_IRQ_ROUTING_MSI;
        r.e[i].u.msi.address_lo = (u32)p[i].addr;
        r.e[i].u.msi.data = p[i].data;
    }
    result = kvm_ask(k->vm, KVM_SET_GSI_ROUTING, &r);
    return result < 0 ? result : 0;
}

/* ---- PIC, IOAPIC, PIT ---- */

static struct chip_pic chips_pic_from(const struct kvm_pic_state *s)
{
    return (struct chip_pic){ .irr = s->irr,
                              .isr = s->isr,
                              .imr = s->imr,
                              .lines = s->last_irr,
                              .base = s->irq_base,
                              .elcr = s->elcr,
                              .highest = s->priority_add & 7,
                              /* theirs: 1 2 3 for ICW2 3 4 */
                              .step = s->init_state ? (u8)(s->init_state + 1) : 0,
                              .want4 = s->init4,
                              .auto_eoi = s->auto_eoi,
                              .rotate_auto = s->rotate_on_auto_eoi,
                              .nested = s->special_fully_nested_mode,
                              .special_mask = s->special_mask,
                              .poll = s->poll,
                              .read_isr = s->read_reg_select };
}

static struct kvm_pic_state chips_pic_to(const struct chip_pic *c, u8 elcr_mask)
{
    return (struct kvm_pic_state){ .irr = c->irr,
                                   .isr = c->isr,
                                   .imr = c->imr,
                                   .last_irr = c->lines,
                                   .irq_base = c->base,
                                   .elcr = c->elcr,
                                   .elcr_mask = elcr_mask,
                                   .priority_add = c->highest,
                                   .init_state = c->step ? (u8)(c->step - 1) : 0,
                                   .init4 = c->want4,
                                   .auto_eoi = c->auto_eoi,
                                   .rotate_on_auto_eoi = c->rotate_auto,
                                   .special_fully_nested_mode = c->nested,
                                   .special_mask = c->special_mask,
                                   .poll = c->poll,
                                   .read_reg_select = c->read_isr };
}

static i64 chips_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* KVM's bytes of a count still to read or write: 1 low, 2 high, 3 both, low first, 4 high next. */
enum { RW_LOW = 1, RW_HIGH = 2, RW_WORD0 = 3, RW_WORD1 = 4 };

static struct chip_counter chips_counter_from(const struct kvm_pit_channel_state *s)
{
    return (struct chip_counter){ .count = s->count ? s->count : 65536,
                                  .latch = s->latched_count,
                                  .mode = s->mode,
                                  .access = s->rw_mode & 3,
                                  .status = s->status,
                                  .low = s->write_latch,
                                  .latched = s->count_latched == RW_WORD0 ? 2
                                             : s->count_latched           ? 1
                                                                          : 0,
                                  .bcd = s->bcd,
                                  .status_latched = s->status_latched,
                                  .write_high = s->write_state == RW_WORD1,
                                  .read_high = s->read_state == RW_WORD1,
                                  .gate = s->gate,
                                  .loaded = s->count_load_time != 0,
                                  .pending = s->write_state == RW_WORD1,
                                  .age = chips_now() - s->count_load_time };
}

static struct kvm_pit_channel_state chips_counter_to(const struct chip_counter *c)
{
    u8 latched = c->latched == 2  ? RW_WORD0
                 : !c->latched    ? 0
                 : c->access == 3 ? RW_WORD1
                                  : c->access;

    return (struct kvm_pit_channel_state){ .count = c->count,
                                           .latched_count = c->latch,
                                           .count_latched = latched,
                                           .status_latched = c->status_latched,
                                           .status = c->status,
                                           .read_state = c->read_high ? RW_WORD1 : c->access,
                                           .write_state = c->write_high ? RW_WORD1 : c->access,
                                           .write_latch = c->low,
                                           .rw_mode = c->access,
                                           .mode = c->mode,
                                           .bcd = c->bcd,
                                           .gate = c->gate,
                                           .count_load_time =
                                               c->loaded ? chips_now() - c->age : 0 };
}

static int chips_pc_get(void *engine, struct chip_pc *p)
{
    struct kvm *k = engine;
    struct kvm_irqchip chip[3] = { { .chip_id = KVM_IRQCHIP_PIC_MASTER },
                                   { .chip_id = KVM_IRQCHIP_PIC_SLAVE },
                                   { .chip_id = KVM_IRQCHIP_IOAPIC } };
    struct kvm_pit_state2 pit;
    int r = kvm_ask(k->vm, KVM_GET_PIT2, &pit);

    for (u32 i = 0; i < LEN(chip) && r >= 0; i++)
        r = kvm_ask(k->vm, KVM_GET_IRQCHIP, &chip[i]);
    if (r < 0)
        return r;
    memset(p, 0, sizeof(*p));
    for (u32 i = 0; i < LEN(p->pic); i++)
        p->pic[i] = chips_pic_from(&chip[i].chip.pic);
    for (u32 i = 0; i < CHIP_PINS; i++)
        p->ioapic.table[i] = chip[2].chip.ioapic.redirtbl[i].bits;
    p->ioapic.lines = chip[2].chip.ioapic.irr;
    p->ioapic.select = (u8)chip[2].chip.ioapic.ioregsel;
    p->ioapic.id = (u8)chip[2].chip.ioapic.id;
    for (u32 i = 0; i < CHIP_COUNTERS; i++)
        p->counter[i] = chips_counter_from(&pit.channels[i]);
    p->pit_off = pit.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    p->port61 =
        (u8)((pit.channels[2].gate ? 1 : 0) | (pit.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON ? 2 : 0));
    return 0;
}

/* The levels of pins are told by chip_ops.line, afterwards: only level-triggered ones matter. */
static int chips_pc_set(void *engine, const struct chip_pc *p)
{
    static const u8 elcr_mask[2] = { 0xf8, 0xde };
    struct kvm *k = engine;
    struct kvm_irqchip chip[3] = { { .chip_id = KVM_IRQCHIP_PIC_MASTER },
                                   { .chip_id = KVM_IRQCHIP_PIC_SLAVE },
                                   { .chip_id = KVM_IRQCHIP_IOAPIC } };
    struct kvm_pit_state2 pit = { .flags = (p->pit_off ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
                                           (p->port61 & 2 ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0) };
    struct kvm_ioapic_state *io = &chip[2].chip.ioapic;
    int r = 0;

    for (u32 i = 0; i < LEN(p->pic); i++)
        chip[i].chip.pic = chips_pic_to(&p->pic[i], elcr_mask[i]);
    io->base_address = 0xfec00000;
    io->ioregsel = p->ioapic.select;
    io->id = p->ioapic.id;
    for (u32 i = 0; i < CHIP_PINS; i++)
        io->redirtbl[i].bits = p->ioapic.table[i];
    for (u32 i = 0; i < CHIP_COUNTERS; i++)
        pit.channels[i] = chips_counter_to(&p->counter[i]);
    for (u32 i = 0; i < LEN(chip) && r >= 0; i++)
        r = kvm_ask(k->vm, KVM_SET_IRQCHIP, &chip[i]);
    r = r < 0 ? r : kvm_ask(k->vm, KVM_SET_PIT2, &pit);
    return r < 0 ? r : 0;
}

static int chips_line(void *engine, u32 pin, bool level)
{
    struct kvm *k = engine;
    struct kvm_irq_level l = { .irq = pin, .level = level };
    int r = kvm_ask(k->vm, KVM_IRQ_LINE, &l);

    return r < 0 ? r : 0;
}

static int chips_pit_off(void *engine, bool off)
{
    struct kvm *k = engine;
    struct kvm_pit_state2 pit;
    int r = kvm_ask(k->vm, KVM_GET_PIT2, &pit);

    if (r < 0)
        return r;
    pit.flags &= ~(u32)KVM_PIT_FLAGS_HPET_LEGACY;
    pit.flags |= off ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
    r = kvm_ask(k->vm, KVM_SET_PIT2, &pit);
    return r < 0 ? r : 0;
}

const struct chip_ops kvm_chips = {
    .apic_get = chips_apic_get,
    .apic_set = chips_apic_set,
    .msi = chips_msi,
    .pins = chips_pins,
    .pc_get = chips_pc_get,
    .pc_set = chips_pc_set,
    .line = chips_line,
    .pit_off = chips_pit_off,
};
