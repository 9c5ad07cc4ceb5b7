/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPUs: their threads, what an engine asks of the machine (struct cpu_io), and parking.
 *
 * A vCPU thread is in one of three places: inside engine run(), waiting for an interrupt
 * (HLT) or a start-up IPI, or parked.  Whoever wants it out sets a bit of `ask` and kicks;
 * the engine then asks for a vector and is told to stop.
 */
#include "engine/x86/cpu.h"
#include "base/loop.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { CPUID_HYPERVISOR = 0x40000000, CPUID_TSC = 0x15 };
enum { CLOCK_WAITS = 1000, CLOCK_WAIT_NS = 1000000 }; /* a second in all: something is wrong */

/* ---- what the engine asks ---- */

static bool cpu_port(void *arg, struct x86_state *regs, u16 port, u32 size, bool out)
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;

    return p && p->class->port &&
           p->class->port(p, c->index, port, size, out, regs) == PERSONA_DONE;
}

static bool cpu_bulk(void *arg, struct x86_state *regs, u16 port, bool out, u8 *p, u32 n)
{
    struct vm_cpu *c = arg;
    struct persona *v = c->vm->persona;

    return v && v->class->bulk &&
           v->class->bulk(v, c->index, port, out, regs, p, n) == PERSONA_DONE;
}

static bool cpu_has_port(void *arg, u16 port)
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;

    for (const u16 *at = p && p->class->port ? p->class->ports : NULL; at && *at; at++)
        if (*at == port)
            return true;
    return false;
}

static u64 cpu_in(void *arg, u16 port, u32 size)
{
    struct vm_cpu *c = arg;

    return space_load(machine_ports(c->vm->machine), port, size);
}

static void cpu_out(void *arg, u16 port, u32 size, u64 val)
{
    struct vm_cpu *c = arg;

    space_store(machine_ports(c->vm->machine), port, size, val);
}

static u64 cpu_load(void *arg, u64 gpa, u32 size)
{
    struct vm_cpu *c = arg;

    return space_load(machine_memory(c->vm->machine), gpa, size);
}

static void cpu_store(void *arg, u64 gpa, u32 size, u64 val)
{
    struct vm_cpu *c = arg;

    space_store(machine_memory(c->vm->machine), gpa, size, val);
}

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_END = 0x8ff };

static bool cpu_msr_is_apic(u32 msr)
{
    return msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC && msr <= MSR_X2APIC_END);
}

static int cpu_rdmsr(void *arg, u32 msr, u64 *val)
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;
    const struct machine_intc *i = machine_intc(c->vm->machine);

    if (i && msr == MSR_APIC_BASE) {
        *val = i->base(i->arg, c->index);
        return 0;
    }
    if (i && cpu_msr_is_apic(msr))
        return i->msr(i->arg, c->index, msr, val);
    if (p && p->class->rdmsr && p->class->rdmsr(p, c->index, msr, val) == PERSONA_DONE)
        return 0;
    return -EINVAL;
}

static u32 cpu_phys_bits(void)
{
    u32 regs[4];

    x86_cpuid_model(0x80000008, 0, regs);
    return regs[0] & 0xff;
}

static int cpu_wrmsr(void *arg, u32 msr, u64 val)
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;
    const struct machine_intc *i = machine_intc(c->vm->machine);

    if (i && msr == MSR_APIC_BASE)
        return val >> cpu_phys_bits() ? -EINVAL : i->base_set(i->arg, c->index, val);
    if (i && cpu_msr_is_apic(msr))
        return i->msr_set(i->arg, c->index, msr, val);
    if (p && p->class->wrmsr && p->class->wrmsr(p, c->index, msr, val) == PERSONA_DONE)
        return 0;
    return -EINVAL;
}

/*
 * The fraction nearest to a / b whose numerator is at most `most`: by continued fractions,
 * so the error is below 1 / most^2.
 */
static void cpu_fraction(u64 a, u64 b, u64 most, u32 *num, u32 *den)
{
    u64 p0 = 0, q0 = 1, p1 = 1, q1 = 0;

    while (b) {
        u64 whole = a / b, rest = a % b;

        if (p1 && whole > (most - p0) / p1)
            break;
        u64 p2 = whole * p1 + p0, q2 = whole * q1 + q0;

        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
        a = b, b = rest;
    }
    *num = (u32)p1;
    *den = (u32)q1;
}

/*
 * Leaf 0x15 tells the TSC's rate as a ratio to the crystal, and Linux takes the crystal for
 * the local APIC timer's clock: so the crystal shown is that clock.  It saves the guest its
 * calibration loops.  Linux multiplies crystal kHz by the numerator in 32 bits, which bounds
 * the numerator; the ratio is then exact to 0.1 ppm, better than any calibration.
 * (SDM 2A, CPUID; 3A 11.5.4)
 */
static void cpu_cpuid_tsc(const struct vm_cpu *c, u32 regs[4])
{
    cpu_fraction(machine_tsc_hz(c->vm->machine), MACHINE_BUS_HZ,
                 0xffffffff / (MACHINE_BUS_HZ / 1000), &regs[1], &regs[0]);
    regs[2] = MACHINE_BUS_HZ;
    regs[3] = 0;
}

static void cpu_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;

    if (p && p->class->cpuid && p->class->cpuid(p, c->index, leaf, sub, regs) == PERSONA_DONE)
        return;
    if (leaf == 0 && regs[0] < CPUID_TSC)
        regs[0] = CPUID_TSC;
    else if (leaf == CPUID_TSC)
        cpu_cpuid_tsc(c, regs);
    else if (leaf >= CPUID_HYPERVISOR && leaf < CPUID_HYPERVISOR + 0x10000)
        regs[0] = regs[1] = regs[2] = regs[3] = 0;
}

static bool cpu_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    struct vm_cpu *c = arg;
    struct persona *p = c->vm->persona;

    return p && p->class->hypercall && p->class->hypercall(p, c->index, kind, regs) == PERSONA_DONE;
}

static void cpu_want(void *arg, u64 gpa)
{
    struct vm_cpu *c = arg;

    vm_share_want(c->vm, gpa);
}

/*
 * A thread that runs late must not look to the guest like a timer that stands: Linux gives up
 * when it counts too few ticks of a timer for the time that the TSC says.
 */
static void cpu_clock(void *arg, bool open)
{
    struct vm_cpu *c = arg;
    struct machine *m = c->vm->machine;
    const struct machine_intc *i = machine_intc(m);

    for (u32 n = 0; n < CLOCK_WAITS && machine_clock_late(m, open); n++) {
        if (atomic_load(&c->ask) & (ASK_PARK | ASK_INIT | ASK_END))
            return;
        machine_clock_wait(m, CLOCK_WAIT_NS);
        if (open && i && i->waiting(i->arg, c->index))
            return;
    }
}

static int cpu_vector(void *arg, u32 open)
{
    struct vm_cpu *c = arg;
    const struct machine_intc *i = machine_intc(c->vm->machine);
    u32 ask = atomic_load(&c->ask);
    bool later = false;

    if (ask & (ASK_PARK | ASK_INIT | ASK_END))
        return VECTOR_STOP;
    if (ask & ASK_NMI) {
        atomic_fetch_and(&c->ask, ~(u32)ASK_NMI);
        c->nmi_pending += atomic_exchange(&c->nmis, 0);
    }
    if (c->nmi_pending) {
        c->nmi_pending = (u32)min_u64(c->nmi_pending, open & OPEN_NMI ? 2 : 1);
        if (open & OPEN_NMI) {
            if (--c->nmi_pending)
                c->vm->ops->kick(c->v);
            return VECTOR_NMI;
        }
        later = true;
    }
    if (i && i->waiting(i->arg, c->index)) {
        int v = open & OPEN_INTR ? i->vector(i->arg, c->index) : -1;

        if (v >= 0) {
            /* one at a time: let the engine ask again when the next one may come in */
            if (i->waiting(i->arg, c->index))
                c->vm->ops->kick(c->v);
            return v;
        }
        later = later || !(open & OPEN_INTR);
    }
    return later ? VECTOR_LATER : VECTOR_NONE;
}

static void cpu_eoi(void *arg, u8 vector)
{
    struct vm_cpu *c = arg;

    vm_chips_eoi(c->vm, vector);
}

/* Its thread, or the vCPU is parked. */
static void cpu_nmi_back(void *arg)
{
    struct vm_cpu *c = arg;

    c->nmi_pending = (u32)min_u64(c->nmi_pending + 1, 2);
}

static u8 cpu_tpr(void *arg)
{
    struct vm_cpu *c = arg;
    const struct machine_intc *i = machine_intc(c->vm->machine);

    return i ? i->tpr(i->arg, c->index) : 0;
}

static void cpu_tpr_set(void *arg, u8 val)
{
    struct vm_cpu *c = arg;
    const struct machine_intc *i = machine_intc(c->vm->machine);

    if (i)
        i->tpr_set(i->arg, c->index, val);
}

/* ---- what the machine asks ---- */

static void cpu_wake(struct vm_cpu *c)
{
    c->vm->ops->kick(c->v); /* first: who is woken must find it */
    pthread_mutex_lock(&c->lock);
    c->kicked = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void cpu_ask(struct vm_cpu *c, u32 what)
{
    atomic_fetch_or(&c->ask, what);
    cpu_wake(c);
}

static void cpus_kick(void *arg, u32 cpu)
{
    struct vm *vm = arg;

    cpu_wake(&vm->cpus[cpu]);
}

static void cpus_nmi(void *arg, u32 cpu)
{
    struct vm *vm = arg;

    atomic_fetch_add(&vm->cpus[cpu].nmis, 1);
    cpu_ask(&vm->cpus[cpu], ASK_NMI);
}

static void cpus_hold(void *arg, u32 cpu)
{
    struct vm *vm = arg;

    atomic_fetch_or(&vm->cpus[cpu].ask, ASK_PARK);
    vm->ops->kick(vm->cpus[cpu].v);
}

static void cpus_init(void *arg, u32 cpu)
{
    struct vm *vm = arg;

    /* an earlier start-up IPI is forgotten, one that follows at once is not */
    atomic_fetch_and(&vm->cpus[cpu].ask, ~(u32)ASK_SIPI);
    cpu_ask(&vm->cpus[cpu], ASK_INIT);
}

static void cpus_startup(void *arg, u32 cpu, u8 page)
{
    struct vm *vm = arg;

    atomic_store(&vm->cpus[cpu].sipi_page, page);
    cpu_ask(&vm->cpus[cpu], ASK_SIPI);
}

static void cpus_forget(void *arg, u64 gpa, u64 len)
{
    struct vm *vm = arg;

    vm->ops->forget(vm->engine, gpa, len);
}

static int cpus_bell(void *arg, const struct bell_place *p, int fd, bool on)
{
    struct vm *vm = arg;

    return vm->ops->bell(vm->engine, p, fd, on);
}

static int cpus_slots(void *arg)
{
    struct machine_slot from[64];
    struct mem_slot to[LEN(from)];
    struct vm *vm = arg;
    u32 n = machine_slots(vm->machine, from, LEN(from));

    if (n > LEN(from))
        return -ENOSPC;
    for (u32 i = 0; i < n; i++)
        to[i] = (struct mem_slot){ .gpa = from[i].gpa,
                                   .len = from[i].len,
                                   .host = from[i].host,
                                   .readonly = from[i].readonly,
                                   .shared = from[i].shared,
                                   .apart = from[i].apart,
                                   .fd = from[i].fd,
                                   .at = from[i].at };
    return vm->ops->slots(vm->engine, to, n, NULL);
}

/* ---- the thread ---- */

static void cpu_take_init(struct vm_cpu *c)
{
    const struct machine_intc *i = machine_intc(c->vm->machine);
    struct x86_state *s = aligned_alloc(64, sizeof(*s));

    atomic_fetch_and(&c->ask, ~(u32)ASK_INIT);
    if (!s)
        return;
    c->vm->ops->get(c->v, s);
    x86_state_init(s, c->index);
    c->vm->ops->set(c->v, s);
    free(s);
    if (i)
        i->cpu_reset(i->arg, c->index);
    c->waiting = c->index != 0;
}

static void cpu_take_startup(struct vm_cpu *c)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));
    u8 page = atomic_load(&c->sipi_page);

    atomic_fetch_and(&c->ask, ~(u32)ASK_SIPI);
    if (!s || !c->waiting) {
        free(s);
        return;
    }
    c->vm->ops->get(c->v, s);
    s->seg[SEG_CS].sel = (u16)(page << 8);
    s->seg[SEG_CS].base = (u64)page << 12;
    s->rip = 0;
    c->vm->ops->set(c->v, s);
    free(s);
    c->waiting = false;
}

void vm_cpu_settle(struct vm_cpu *c)
{
    if (atomic_load(&c->ask) & ASK_INIT)
        cpu_take_init(c);
    if (atomic_load(&c->ask) & ASK_SIPI)
        cpu_take_startup(c);
}

/* Sleeps until somebody kicks; at once when that has happened since it last looked. */
static void cpu_sleep(struct vm_cpu *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->kicked)
        pthread_cond_wait(&c->wake, &c->lock);
    c->kicked = false;
    pthread_mutex_unlock(&c->lock);
}

static void cpu_park(struct vm_cpu *c)
{
    pthread_mutex_lock(&c->lock);
    c->parked = true;
    pthread_cond_broadcast(&c->wake);
    while ((atomic_load(&c->ask) & (ASK_PARK | ASK_END)) == ASK_PARK)
        pthread_cond_wait(&c->wake, &c->lock);
    c->parked = false;
    pthread_mutex_unlock(&c->lock);
}

struct cpu_crash {
    struct vm *vm;
    char text[240];
};

static void cpu_crash_told(void *arg)
{
    struct cpu_crash *crash = arg;
    struct vm *vm = crash->vm;

    if (!vm->ended) {
        vm->ended = true;
        vm->result.end = VM_CRASHED;
        snprintf(vm->result.text, sizeof(vm->result.text), "%s", crash->text);
        loop_stop(machine_loop(vm->machine));
    }
    free(crash);
}

void vm_crash(struct vm *vm, const char *text)
{
    struct cpu_crash *crash = malloc(sizeof(*crash));

    if (!crash)
        return;
    crash->vm = vm;
    snprintf(crash->text, sizeof(crash->text), "%s", text);
    if (loop_post(machine_loop(vm->machine), cpu_crash_told, crash))
        free(crash);
}

/* The vCPU cannot go on: the VM thread ends the run with a sentence. */
static void cpu_crash(struct vm_cpu *c, const char *text)
{
    char where[260];

    snprintf(where, sizeof(where), "vCPU %u: %s", c->index, text);
    vm_crash(c->vm, where);
    atomic_fetch_or(&c->ask, ASK_PARK); /* nothing more to run here until it is taken down */
}

/* Shutdown state, SDM 3A 6.15 (double fault): a PC's chipset answers with a reset. */
static void cpu_shutdown(struct vm_cpu *c)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));
    char text[200] = "";

    if (s && !c->vm->ops->get(c->v, s))
        snprintf(
            text, sizeof(text),
            "triple fault at cs 0x%04x rip 0x%llx (cr0 0x%llx cr2 0x%llx cr3 0x%llx): the guest "
            "has no working exception handlers there",
            s->seg[SEG_CS].sel, (unsigned long long)s->rip, (unsigned long long)s->cr0,
            (unsigned long long)s->cr2, (unsigned long long)s->cr3);
    free(s);
    if (c->vm->how.kernel || c->vm->how.no_reboot || ++c->vm->shutdowns >= 3) {
        cpu_crash(c, text);
        return;
    }
    atomic_fetch_or(&c->ask, ASK_PARK);
    machine_ask(c->vm->machine, MACHINE_RESET, 0);
}

static void cpu_run_once(struct vm_cpu *c)
{
    struct err e = { 0 };

    switch (c->vm->ops->run(c->v, &e)) {
    case STOP_HALTED:
        cpu_sleep(c);
        break;
    case STOP_SHUTDOWN:
        cpu_shutdown(c);
        break;
    case STOP_BROKEN:
        cpu_crash(c, e.text);
        break;
    case STOP_KICKED:
    case STOP_DEBUG:
        break;
    }
}

static void *cpu_main(void *arg)
{
    struct vm_cpu *c = arg;
    char name[16];
    u32 ask;

    snprintf(name, sizeof(name), "cpu%u", c->index);
    pthread_setname_np(pthread_self(), name);
    machine_cpu_here_set(c->index);
    while (!((ask = atomic_load(&c->ask)) & ASK_END)) {
        if (ask & ASK_PARK)
            cpu_park(c);
        else if (ask & ASK_INIT)
            cpu_take_init(c);
        else if (ask & ASK_SIPI)
            cpu_take_startup(c);
        else if (c->waiting && !machine_chips(c->vm->machine))
            cpu_sleep(c);
        else
            cpu_run_once(c);
    }
    return NULL;
}

/* ---- making, parking, ending ---- */

int vm_cpus_new(struct vm *vm, struct err *e)
{
    struct machine_cpus cpus = { .arg = vm,
                                 .kick = cpus_kick,
                                 .nmi = cpus_nmi,
                                 .hold = cpus_hold,
                                 .init = cpus_init,
                                 .startup = cpus_startup,
                                 .forget = cpus_forget,
                                 .slots = cpus_slots,
                                 .bell = vm->ops->bell ? cpus_bell : NULL };

    vm->cpus = calloc(vm->ncpus, sizeof(*vm->cpus));
    if (!vm->cpus)
        return err_set(e, -ENOMEM, "no memory for %u vCPUs", vm->ncpus);
    for (u32 i = 0; i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];
        struct cpu_io io = { .arg = c,
                             .in = cpu_in,
                             .out = cpu_out,
                             .port = cpu_port,
                             .load = cpu_load,
                             .store = cpu_store,
                             .rdmsr = cpu_rdmsr,
                             .wrmsr = cpu_wrmsr,
                             .cpuid = cpu_cpuid,
                             .hypercall = cpu_hypercall,
                             .vector = cpu_vector,
                             .tpr = cpu_tpr,
                             .tpr_set = cpu_tpr_set,
                             .bulk = cpu_bulk,
                             .has_port = cpu_has_port,
                             .eoi = cpu_eoi,
                             .nmi_back = cpu_nmi_back,
                             .want = cpu_want,
                             .clock = cpu_clock };

        c->vm = vm;
        c->index = i;
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->wake, NULL);
        atomic_store(&c->ask, ASK_PARK);
        if (vm->ops->cpu_open(vm->engine, i, &io, &c->v, e))
            return err_in(e, "vCPU %u: ", i);
    }
    machine_cpus_set(vm->machine, &cpus);
    return cpus_slots(vm) ? err_set(e, -EINVAL, "the engine refused the memory map") : 0;
}

int vm_cpus_start(struct vm *vm, struct err *e)
{
    sigset_t all, old;
    int r = 0;

    /* signals are the VM thread's; those that faults raise come to the thread itself */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGTRAP);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (u32 i = 0; i < vm->ncpus && !r; i++) {
        r = pthread_create(&vm->cpus[i].thread, NULL, cpu_main, &vm->cpus[i]);
        vm->cpus[i].has_thread = !r;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r ? err_set(e, -r, "no thread for a vCPU") : 0;
}

void vm_cpus_park(struct vm *vm)
{
    for (u32 i = 0; i < vm->ncpus; i++)
        cpu_ask(&vm->cpus[i], ASK_PARK);
    for (u32 i = 0; i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        pthread_mutex_lock(&c->lock);
        while (c->has_thread && !c->parked)
            pthread_cond_wait(&c->wake, &c->lock);
        pthread_mutex_unlock(&c->lock);
    }
}

void vm_cpus_release(struct vm *vm)
{
    for (u32 i = 0; i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        pthread_mutex_lock(&c->lock);
        atomic_fetch_and(&c->ask, ~(u32)ASK_PARK);
        c->vm->ops->kick(c->v); /* what waited as it parked waits still */
        c->kicked = true;
        pthread_cond_broadcast(&c->wake);
        pthread_mutex_unlock(&c->lock);
    }
}

void vm_cpus_reset(struct vm *vm)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));

    if (!s)
        return;
    for (u32 i = 0; i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        atomic_fetch_and(&c->ask, ~(u32)(ASK_NMI | ASK_INIT | ASK_SIPI));
        atomic_store(&c->nmis, 0);
        c->nmi_pending = 0;
        if (i == 0)
            *s = vm->start->state;
        else
            x86_state_reset(s, i);
        s->tsc_offset = vm->tsc_offset;
        vm->ops->set(c->v, s);
        c->waiting = i != 0;
    }
    free(s);
}

const struct field vm_cpu_fields[] = {
    FIELD_ANY(1, struct vm_cpu_saved, state, F_STRUCT, sizeof(struct x86_state), 1, F_MUST,
              "registers", x86_state_fields),
    FIELD(2, struct vm_cpu_saved, ask, F_MUST, "INIT, start-up IPI, NMI on their way"),
    FIELD(3, struct vm_cpu_saved, nmis, F_MUST, "NMIs that came"),
    FIELD(4, struct vm_cpu_saved, nmi_pending, F_MUST, "NMIs to be delivered"),
    FIELD(5, struct vm_cpu_saved, sipi_page, F_MUST, "where a start-up IPI points"),
    FIELD(6, struct vm_cpu_saved, waiting, F_MUST, "waits for a start-up IPI"),
    FIELDS(0, struct vm_cpu_saved, pad, F_LOCAL, "none"),
    FIELD_END,
};
enum { ASK_SAVED = ASK_NMI | ASK_INIT | ASK_SIPI };

void vm_cpu_get(const struct vm_cpu *c, struct vm_cpu_saved *s)
{
    c->vm->ops->get(c->v, &s->state);
    s->state.tsc_offset -= c->vm->tsc_offset;
    s->ask = atomic_load(&c->ask) & ASK_SAVED;
    s->nmis = atomic_load(&c->nmis);
    s->nmi_pending = c->nmi_pending;
    s->sipi_page = atomic_load(&c->sipi_page);
    s->waiting = c->waiting;
}

/* What of cr4 the engine refuses, each bit tried alone, by the names that /proc/cpuinfo has. */
static void cpu_lacks(struct vm_cpu *c, struct x86_state *s, char *text, size_t room)
{
    static const struct {
        u64 bit;
        const char *name;
    } all[] = { { CR4_UMIP, "umip" },  { CR4_LA57, "la57" }, { CR4_FSGSBASE, "fsgsbase" },
                { CR4_PCIDE, "pcid" }, { CR4_SMEP, "smep" }, { CR4_SMAP, "smap" },
                { CR4_PKE, "pku" },    { CR4_PKS, "pks" } };
    u64 was = s->cr4, rest = was;
    size_t n = 0;

    for (u32 i = 0; i < LEN(all); i++)
        rest &= ~all[i].bit;
    snprintf(text, room, "what the guest has switched on");
    s->cr4 = rest;
    if (c->vm->ops->set(c->v, s))
        was = 0; /* something else is wrong */
    for (u32 i = 0; i < LEN(all) && n < room; i++) {
        s->cr4 = rest | all[i].bit;
        if (was & all[i].bit && c->vm->ops->set(c->v, s))
            n += (size_t)snprintf(text + n, room - n, "%s%s", n ? " " : "", all[i].name);
    }
}

static int cpu_refused(struct vm_cpu *c, const struct vm_cpu_saved *saved, struct x86_state *s,
                       int r, struct err *e)
{
    char lacks[120];

    cpu_lacks(c, s, lacks, sizeof(lacks));
    return err_set(
        e, r,
        "engine %s does not take its registers: it may lack %s (cr4 0x%llx, efer 0x%llx, "
        "xcr0 0x%llx); another --engine may have it",
        c->vm->ops->name, lacks, (unsigned long long)saved->state.cr4,
        (unsigned long long)saved->state.efer, (unsigned long long)saved->state.xcr0);
}

int vm_cpu_set(struct vm_cpu *c, const struct vm_cpu_saved *s, struct err *e)
{
    struct x86_state *state = aligned_alloc(64, sizeof(*state));
    int r;

    if (!state)
        return err_set(e, -ENOMEM, "out of memory");
    *state = s->state;
    state->tsc_offset += c->vm->tsc_offset;
    r = x86_state_check(state, e);
    if (!r && s->nmi_pending > 2)
        r = err_set(e, -EBADMSG, "%u NMIs wait", s->nmi_pending);
    if (!r && (r = c->vm->ops->set(c->v, state)))
        cpu_refused(c, s, state, r, e);
    free(state);
    if (r)
        return r;
    atomic_fetch_or(&c->ask, s->ask & ASK_SAVED);
    atomic_store(&c->nmis, s->nmis);
    c->nmi_pending = s->nmi_pending;
    atomic_store(&c->sipi_page, s->sipi_page);
    c->waiting = s->waiting;
    c->vm->ops->kick(c->v); /* it asks what waits */
    return 0;
}

/* What the guest itself added to a counter stays. */
void vm_cpus_tsc(struct vm *vm)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));
    u64 by = machine_tsc_offset(vm->machine) - vm->tsc_offset;

    for (u32 i = 0; s && i < vm->ncpus; i++) {
        vm->ops->get(vm->cpus[i].v, s);
        s->tsc_offset += by;
        vm->ops->set(vm->cpus[i].v, s);
    }
    vm->tsc_offset += by;
    free(s);
}

void vm_cpus_free(struct vm *vm)
{
    for (u32 i = 0; vm->cpus && i < vm->ncpus; i++) {
        struct vm_cpu *c = &vm->cpus[i];

        if (c->has_thread) {
            pthread_mutex_lock(&c->lock);
            atomic_fetch_or(&c->ask, ASK_END);
            pthread_cond_broadcast(&c->wake);
            pthread_mutex_unlock(&c->lock);
            cpu_wake(c);
            pthread_join(c->thread, NULL);
        }
        if (c->v)
            vm->ops->cpu_close(c->v);
        if (c->vm) {
            pthread_mutex_destroy(&c->lock);
            pthread_cond_destroy(&c->wake);
        }
    }
    free(vm->cpus);
    vm->cpus = NULL;
}
