/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a VM: built, started, told to stop, reset, taken down.  Everything here runs
 * on the VM thread; other threads reach it through the loop, signals through an eventfd.
 */
#include "vm/vm.h"
#include "backend/agent.h"
#include "base/log.h"
#include "base/loop.h"
#include "device/input/ps2.h"
#include "engine/x86/cpu.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How long a guest may take from the power button to the end, before it is stopped. */
#define VM_BUTTON_NS ((i64)90 * 1000000000)
/* And from the press that wakes it to the one that it is to hear. */
#define VM_AWAKE_NS ((i64)10 * 1000000000)

void vm_finish(struct vm *vm, enum vm_end end, u32 code)
{
    if (vm->ended)
        return;
    vm->ended = true;
    vm->result.end = end;
    vm->result.code = code;
    loop_stop(machine_loop(vm->machine));
}

/* ---- stopping ---- */

void vm_signal(struct vm *vm)
{
    u64 one = 1;

    if (write(vm->wish_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full of wishes already */
}

static void vm_patience_ends(void *arg)
{
    struct vm *vm = arg;

    if (!vm->pressed) { /* tools may have said yes and got stuck */
        vm->pressed = true;
        machine_power_button(vm->machine);
        loop_timer_set(vm->wish_timer, loop_now() + VM_BUTTON_NS / 2);
        return;
    }
    fprintf(stderr, "\r\nmimic: the guest did not power off; stopping it\r\n");
    vm_finish(vm, VM_STOPPED, 0);
}

bool vm_stir(struct vm *vm)
{
    bool asleep = atomic_load(&vm->asleep);

    if (asleep)
        machine_power_button(vm->machine);
    return asleep;
}

void vm_key(struct vm *vm, struct device *i8042, u16 key, bool down)
{
    if (down && vm_stir(vm))
        return;
    if (!vm_usb_key(vm, key, down) && i8042)
        ps2_key(i8042, key, down);
}

/* The press that wakes a guest does no more. */
void vm_press(struct vm *vm)
{
    vm_resume(vm);
    if (vm_stir(vm)) {
        vm->pressed = false;
        loop_timer_set(vm->wish_timer, loop_now() + VM_AWAKE_NS);
        return;
    }
    vm->pressed = !vm_agent_poweroff(vm);
    if (vm->pressed)
        machine_power_button(vm->machine);
    loop_timer_set(vm->wish_timer, loop_now() + (vm->pressed ? VM_BUTTON_NS : VM_BUTTON_NS / 2));
}

static void vm_wish(void *arg, u32 events)
{
    struct vm *vm = arg;
    u64 n;

    (void)events;
    if (read(vm->wish_fd, &n, sizeof(n)) < 0)
        return;
    if (vm->wishes++ || n > 1) {
        vm_finish(vm, VM_STOPPED, 0);
        return;
    }
    fprintf(stderr, "\r\nmimic: %s; once more stops the guest at once\r\n",
            agent_can(vm->agent) & 1 << AGENT_POWEROFF ? "the guest's tools are asked to power off"
                                                       : "power button pressed");
    vm_press(vm);
}

static int vm_wishes_new(struct vm *vm, struct err *e)
{
    struct loop *l = machine_loop(vm->machine);

    vm->wish_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vm->wish_fd < 0 ||
        loop_watch_add(l, vm->wish_fd, LOOP_READ, vm_wish, vm, &vm->wish_watch) ||
        loop_timer_add(l, vm_patience_ends, vm, &vm->wish_timer))
        return err_set(e, -ENOMEM, "no descriptor for stopping");
    return 0;
}

/* ---- standing still ---- */

void vm_pause(struct vm *vm)
{
    if (vm->paused)
        return;
    vm->paused = true;
    vm_cpus_park(vm);
    machine_pause(vm->machine);
    vm_chips_take(vm);
}

void vm_resume(struct vm *vm)
{
    if (!vm->paused)
        return;
    vm->paused = false;
    machine_resume(vm->machine);
    vm_cpus_tsc(vm);
    vm_chips_give(vm);
    vm_cpus_release(vm);
}

/* ---- reset ---- */

static int vm_prepare(struct vm *vm, bool restored, struct err *e)
{
    const struct vm_how *h = &vm->how;
    struct firmware_how how = { .bios = vm->efi ? vm->efi : h->bios,
                                .kernel = h->kernel,
                                .initrd = h->initrd,
                                .append = h->append,
                                .restored = restored,
                                .persona = vm_persona(vm),
                                .hardware_version = h->desc->hardware_version };
    char order[4096];
    int r;

    vm_boot_order(vm, order, sizeof(order));
    how.boot_order = *order ? order : NULL;
    memcpy(how.uuid, h->desc->uuid, sizeof(how.uuid));
    r = firmware_prepare(vm->machine, &how, vm->start, e);
    if (r)
        return r;
    vm_cpus_reset(vm);
    return 0;
}

static void vm_go(struct vm *vm)
{
    if (vm->paused)
        return;
    vm_chips_give(vm);
    vm_cpus_release(vm);
}

static void vm_reset(struct vm *vm)
{
    struct err e = { 0 };

    atomic_store(&vm->asleep, false);
    vm_cpus_park(vm);
    vm_chips_take(vm);
    machine_reset(vm->machine, RESET_SYSTEM);
    if (vm->persona && vm->persona->class->reset)
        vm->persona->class->reset(vm->persona);
    if (vm_prepare(vm, false, &e)) {
        vm_finish(vm, VM_CRASHED, 0);
        err_in(&e, "cannot start again: ");
        memcpy(vm->result.text, e.text, sizeof(vm->result.text));
        return;
    }
    vm_go(vm);
}

static void vm_asked_reset(struct vm *vm)
{
    if (vm->how.no_reboot)
        vm_finish(vm, VM_POWERED_OFF, 0);
    else
        vm_reset(vm);
}

/* ---- sleep to RAM ---- */

/* A guest asleep is one whose boot processor waits too: so it is saved and restored. */
static void vm_sleep(struct vm *vm)
{
    vm_cpus_park(vm);
    vm_chips_take(vm);
    atomic_store(&vm->asleep, true); /* the reset may ask at once to wake it */
    machine_reset(vm->machine, RESET_SLEEP);
    x86_state_reset(&vm->start->state, 0);
    vm_cpus_reset(vm);
    vm->cpus[0].waiting = true;
    vm_go(vm);
}

static void vm_wake(struct vm *vm)
{
    struct err e = { 0 };

    if (!atomic_load(&vm->asleep))
        return;
    vm_cpus_park(vm);
    vm_chips_take(vm);
    atomic_store(&vm->asleep, false);
    if (firmware_wake(vm->machine, vm->how.kernel, vm->start, &e)) {
        guest_error(machine_device(vm->machine, "piix4pm"), "%s: it starts again", e.text);
        vm_asked_reset(vm);
        return;
    }
    vm_cpus_reset(vm);
    vm_go(vm);
}

static void vm_asked(void *arg, enum machine_event what, u32 code)
{
    struct vm *vm = arg;

    if (vm->ended)
        return;
    switch (what) {
    case MACHINE_POWEROFF:
        vm_finish(vm, VM_POWERED_OFF, 0);
        break;
    case MACHINE_EXIT:
        vm_finish(vm, VM_EXITED, code);
        break;
    case MACHINE_RESET:
        vm_asked_reset(vm);
        break;
    case MACHINE_SLEEP:
        vm_sleep(vm);
        break;
    case MACHINE_WAKE:
        vm_wake(vm);
        break;
    }
}

/* ---- making ---- */

/*
 * In what order "auto" tries: the host's hardware, then the translator, then what always runs.
 * An engine that runs on hardware where there is some is not taken where there is none.
 */
static const struct {
    const char *name;
    bool hardware; /* only so */
} vm_engines[] = { { "kvm", true }, { "translate", false }, { "interpret", false } };

static const struct engine_ops *vm_engine_named(const char *name)
{
    for (u32 i = 0; engine_catalog[i]; i++)
        if (!strcmp(engine_catalog[i]->name, name))
            return engine_catalog[i];
    return NULL;
}

static void vm_why(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void vm_why(struct vm *vm, const char *fmt, ...)
{
    size_t n = strlen(vm->why);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(vm->why + n, sizeof(vm->why) - n, fmt, ap);
    va_end(ap);
}

/* Is the guest to be shown a processor of AMD's? */
static bool vm_is_amd(const struct vm *vm)
{
    return vm->how.cpu && !strcmp(vm->how.cpu, "amd");
}

static int vm_choose_auto(struct vm *vm, struct notes *notes, struct err *e)
{
    for (u32 i = 0; i < LEN(vm_engines); i++) {
        const struct engine_ops *o = vm_engine_named(vm_engines[i].name);
        struct err no = { 0 };
        u64 features = 0;

        if (!o)
            continue;
        if (vm_engines[i].hardware && vm_is_amd(vm)) {
            vm_why(vm, "%s%s shows the host's processor only", vm->why[0] ? "; " : "", o->name);
        } else if (o->probe(&features, &no)) {
            vm_why(vm, "%s%s: %s", vm->why[0] ? "; " : "", o->name, no.text);
        } else if (vm_engines[i].hardware && !(features & ENGINE_HARDWARE)) {
            vm_why(vm, "%s%s %s", vm->why[0] ? "; " : "", o->name,
                   o->found ? o->found() : "has no hardware here");
        } else {
            vm->ops = o;
            if (!vm->why[0] && o->found)
                vm_why(vm, "%s", o->found());
            if (!strcmp(o->name, "interpret"))
                note(notes, NOTE_CHANGED, "engine", "the interpreter, which is slow: %s", vm->why);
            return 0;
        }
    }
    return err_set(e, -ENOENT, "no engine runs here: %s", vm->why);
}

static int vm_choose_engine(struct vm *vm, struct notes *notes, struct err *e)
{
    const char *want = vm->how.engine;
    u64 features = 0;
    int r;

    if (!strcmp(want, "auto"))
        return vm_choose_auto(vm, notes, e);
    vm->ops = vm_engine_named(want);
    if (!vm->ops)
        return err_set(e, -ENOENT, "there is no engine \"%s\"", want);
    r = vm->ops->probe(&features, e);
    if (r)
        return err_in(e, "engine %s: ", want);
    if (vm->ops->found)
        vm_why(vm, "%s", vm->ops->found());
    return 0;
}

/* What this engine and this guest cannot have together. */
static void vm_tell_engine(const struct vm *vm, struct notes *notes)
{
    u64 features = 0;

    if (vm->persona && vm->persona->class->port && !vm->ops->probe(&features, NULL) &&
        !(features & ENGINE_USER_PORTS))
        note(notes, NOTE_LOST, "engine",
             "programs of the guest do not reach the ports of %s under %s (the kernel does): "
             "load the host's kvm module with enable_vmware_backdoor=1, or use --engine translate",
             vm->persona->class->name, vm->ops->name);
}

/* Lock-step takes about so much longer: at the host's pace a guest would do nothing but ticks. */
enum { CHECK_SLOW = 6 };

static u32 vm_slow(const struct vm *vm)
{
    return vm->how.check ? CHECK_SLOW : 0;
}

static int vm_open_engine(struct vm *vm, struct err *e)
{
    struct engine_options o = { .tsc_hz = machine_tsc_hz(vm->machine),
                                .tsc_slow = vm_slow(vm),
                                .check = vm->how.check,
                                .no_traces = vm->how.no_traces,
                                .apic_ids = vm->ncpus,
                                .chips = vm->chips,
                                .amd = vm_is_amd(vm),
                                .eyes = vm->how.eyes,
                                .no_direct = vm->how.no_direct,
                                .keep_dir = -1 };
    int r;

    if (vm->how.keep_code && !vm_make_state(vm, &(struct err){ 0 }))
        o.keep_dir = open(vm->how.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    o.keep = o.keep_dir >= 0;
    r = vm->ops->open(&vm->engine, &o, e);
    if (o.keep)
        close(o.keep_dir);
    return r ? err_in(e, "engine %s: ", vm->ops->name) : 0;
}

/* The host would promise more memory than it has, and kill us when the guest uses it. */
static int vm_check_memory(u64 want, struct err *e)
{
    u64 have = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
    u32 model[4];

    if (want > have)
        return err_set(
            e, -ENOMEM,
            "memory: the guest wants %llu MiB and this host has %llu MiB; --memory gives "
            "it less",
            (unsigned long long)want >> 20, (unsigned long long)have >> 20);
    x86_cpuid_model(0x80000008, 0, model);
    if (want > (1ull << (model[0] & 0xff)) - (1ull << 32))
        return err_set(e, -EOPNOTSUPP,
                       "memory: %llu MiB are more than the %u address bits of the processor model "
                       "reach",
                       (unsigned long long)want >> 20, model[0] & 0xff);
    return 0;
}

static int vm_make(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    struct saved *saved = vm->how.saved;
    u64 tsc_hz = saved ? vm_saved_tsc_hz(saved) : 0;
    struct machine_make make = { .ram = d->memory,
                                 .cpus = d->cpus,
                                 .tsc_hz = tsc_hz ? tsc_hz : vm_host_tsc_hz(),
                                 .slow = vm_slow(vm) };
    int r;

    r = vm_check_memory(d->memory, e);
    if (!r)
        r = vm_board_check(vm, notes, e);
    if (!r)
        r = vm_efi_open(vm, notes, e);
    if (!r)
        r = vm_choose_engine(vm, notes, e);
    if (!r)
        r = vm_chips_choose(vm, e);
    if (!r)
        r = machine_new(&vm->machine, &make, e);
    if (r)
        return r;
    machine_on_ask(vm->machine, vm_asked, vm);
    r = vm_wishes_new(vm, e);
    if (!r)
        r = vm_open_engine(vm, e);
    if (!r)
        r = vm_build(vm, notes, e);
    if (!r)
        vm_tell_engine(vm, notes);
    if (!r)
        r = vm_cpus_new(vm, e);
    if (!r)
        r = vm_prepare(vm, saved, e);
    if (!r && saved)
        r = vm_load(vm, saved, e);
    if (!r && saved)
        atomic_store(&vm->asleep, vm->cpus[0].waiting);
    if (!r && saved)
        r = vm_share_open(vm, e);
    if (!r)
        r = vm_view_open(vm, e);
    return r;
}

int vm_new(struct vm **out, const struct vm_how *how, struct notes *notes, struct err *e)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int r;

    if (!vm)
        return err_set(e, -ENOMEM, "out of memory");
    vm->how = *how;
    vm->ncpus = how->desc->cpus;
    vm->wish_fd = -1;
    vm->start = aligned_alloc(64, sizeof(*vm->start));
    if (!vm->start) {
        free(vm);
        return err_set(e, -ENOMEM, "out of memory");
    }
    r = vm_make(vm, notes, e);
    if (r) {
        vm_free(vm);
        return r;
    }
    *out = vm;
    return 0;
}

void vm_free(struct vm *vm)
{
    vm_view_close(vm);
    vm_cpus_free(vm);
    if (vm->machine) { /* devices that go away change slots and wires: nobody is there */
        machine_cpus_set(vm->machine, &(struct machine_cpus){ 0 });
        machine_clear(vm->machine); /* before the host ends that devices use */
    }
    vm_unbuild(vm);
    vm_share_close(vm);
    if (vm->engine)
        vm->ops->close(vm->engine);
    loop_watch_drop(vm->wish_watch);
    loop_timer_drop(vm->wish_timer);
    if (vm->wish_fd >= 0)
        close(vm->wish_fd);
    if (vm->machine)
        machine_free(vm->machine);
    free(vm->start);
    free(vm);
}

int vm_run(struct vm *vm, struct vm_result *result, struct err *e)
{
    int r = vm_cpus_start(vm, e);
    struct err why = { 0 };

    r = r ? r : vm_screen_open(vm, e);
    if (r)
        return r;
    if (vm->how.control && control_open(&vm->control, vm, vm->how.control, vm->how.desc->name,
                                        machine_loop(vm->machine), &why))
        log_warn("no commands for the running VM: %s", why.text);
    if (vm->paused) {
        vm_resume(vm); /* a saved one goes on */
    } else {
        vm_chips_give(vm);
        vm_cpus_release(vm);
    }
    loop_run(machine_loop(vm->machine));
    vm_cpus_park(vm);
    control_close(vm->control);
    vm->control = NULL;
    vm_screen_close(vm);
    vm_view_close(vm);
    *result = vm->result;
    return 0;
}

const char *vm_engine(const struct vm *vm)
{
    return vm->ops->name;
}

const char *vm_engine_why(const struct vm *vm)
{
    return vm->why;
}

const char *vm_persona(const struct vm *vm)
{
    return vm->persona ? vm->persona->class->name : "none";
}

const char *vm_firmware(const struct vm *vm)
{
    if (vm->how.kernel)
        return "none (direct boot)";
    return vm->efi ? "EFI (OVMF)" : vm->how.bios ? vm->how.bios : "SeaBIOS";
}

void vm_stats(struct vm *vm, void (*one)(void *arg, const struct engine_stat *s), void *arg)
{
    if (vm->ops->stats)
        vm->ops->stats(vm->engine, one, arg);
}
