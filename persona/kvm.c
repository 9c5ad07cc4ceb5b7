/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM: CPUID leaves 0x40000000 and 0x40000001, the clock that guests read from memory
 * (pvclock) and a few hypercalls, after Linux' Documentation/virt/kvm/x86: cpuid.rst,
 * msr.rst, hypercalls.rst.
 *
 * The record of the clock is written once: guest time and TSC stand and go together.  Left
 * out: stolen time, asynchronous page faults, EOI by memory, halted vCPUs that are kicked.
 */
#include "base/bytes.h"
#include "engine/x86/state.h"
#include "machine/device.h"
#include "machine/machine.h"
#include "persona/persona.h"
#include <string.h>
#include <time.h>

enum { KVM_CPUS = 64, LEAF_SIGNATURE = 0x40000000, LEAF_FEATURES = 0x40000001 };
enum {
    FEATURE_CLOCK_OLD = 1 << 0,
    FEATURE_NO_IO_DELAY = 1 << 1,
    FEATURE_CLOCK = 1 << 3,
    FEATURE_SEND_IPI = 1 << 11,
    FEATURE_CLOCK_STABLE = 1 << 24
};
enum { MSR_WALL_OLD = 0x11, MSR_CLOCK_OLD = 0x12, MSR_WALL = 0x4b564d00, MSR_CLOCK = 0x4b564d01 };
enum { CALL_POLL_IRQ = 1, CALL_KICK = 5, CALL_SEND_IPI = 10, CALL_YIELD = 11 };
enum { CALL_NO_SUCH = -1000, CALL_NOT_ALLOWED = -1 };
enum { CLOCK_ON = 1, CLOCK_RECORD = 32, WALL_RECORD = 12, CLOCK_IS_STABLE = 1 };
#define NS 1000000000ull

struct kvm {
    struct persona persona;
    struct kvm_state {
        u64 clock[KVM_CPUS]; /* MSR: where a vCPU's record is, and whether */
        u64 wall;
        u64 tsc, ns; /* where all records count from, so that no two differ */
    } state;
};

static int kvm_cpuid(struct persona *p, u32 cpu, u32 leaf, u32 sub, u32 regs[4])
{
    (void)p, (void)cpu, (void)sub;
    if (leaf != LEAF_SIGNATURE && leaf != LEAF_FEATURES)
        return PERSONA_PASS;
    memset(regs, 0, 4 * sizeof(*regs));
    if (leaf == LEAF_SIGNATURE) {
        regs[0] = LEAF_FEATURES;
        memcpy(&regs[1], "KVMKVMKVM\0\0", 12);
    } else {
        regs[0] = FEATURE_CLOCK_OLD | FEATURE_NO_IO_DELAY | FEATURE_CLOCK | FEATURE_SEND_IPI |
                  FEATURE_CLOCK_STABLE;
    }
    return PERSONA_DONE;
}

/* ---- the clock ---- */

/* ns = (ticks << shift) * mul >> 32, with a mul as large as fits. */
static void kvm_scale(u64 hz, u32 *mul, i8 *shift)
{
    i8 s = 0;
    unsigned __int128 m = ((unsigned __int128)NS << 32) / hz;

    while (m >> 32)
        m = ((unsigned __int128)NS << (32 - ++s)) / hz;
    while (!(m >> 31))
        m = ((unsigned __int128)NS << (32 - --s)) / hz;
    *mul = (u32)m;
    *shift = s;
}

static void kvm_clock_write(struct kvm *k, u64 at)
{
    struct machine *m = k->persona.machine;
    struct kvm_state *s = &k->state;
    u8 record[CLOCK_RECORD] = { 0 };
    u32 mul;
    i8 shift;

    machine_irq_lock(m); /* vCPUs ask at once */
    if (!s->tsc) {
        s->tsc = machine_tsc(m);
        s->ns = (u64)machine_tsc_to_ns(m, s->tsc);
    }
    machine_irq_unlock(m);
    kvm_scale(machine_tsc_hz(m), &mul, &shift);
    put_le32(record, 2); /* version: even is whole */
    put_le64(record + 8, s->tsc);
    put_le64(record + 16, s->ns);
    put_le32(record + 24, mul);
    record[28] = (u8)shift;
    record[29] = CLOCK_IS_STABLE;
    gmem_write(machine_ram(m), at, record, sizeof(record)); /* nowhere: the guest's affair */
}

/* What the wall clock was when guest time was 0. */
static void kvm_wall_write(struct kvm *k, u64 at)
{
    struct timespec now;
    u8 record[WALL_RECORD];
    i64 start;

    clock_gettime(CLOCK_REALTIME, &now);
    start = (i64)((u64)now.tv_sec * NS + (u64)now.tv_nsec) - machine_now(k->persona.machine);
    put_le32(record, 2);
    put_le32(record + 4, (u32)(start / (i64)NS));
    put_le32(record + 8, (u32)(start % (i64)NS));
    gmem_write(machine_ram(k->persona.machine), at, record, sizeof(record));
}

static int kvm_rdmsr(struct persona *p, u32 cpu, u32 msr, u64 *val)
{
    const struct kvm *k = (const struct kvm *)p;

    switch (msr) {
    case MSR_CLOCK_OLD:
    case MSR_CLOCK:
        *val = k->state.clock[cpu % KVM_CPUS];
        return PERSONA_DONE;
    case MSR_WALL_OLD:
    case MSR_WALL:
        *val = k->state.wall;
        return PERSONA_DONE;
    default:
        return PERSONA_PASS;
    }
}

static int kvm_wrmsr(struct persona *p, u32 cpu, u32 msr, u64 val)
{
    struct kvm *k = (struct kvm *)p;

    switch (msr) {
    case MSR_CLOCK_OLD:
    case MSR_CLOCK:
        k->state.clock[cpu % KVM_CPUS] = val;
        if (val & CLOCK_ON)
            kvm_clock_write(k, val & ~(u64)CLOCK_ON);
        return PERSONA_DONE;
    case MSR_WALL_OLD:
    case MSR_WALL:
        k->state.wall = val;
        kvm_wall_write(k, val);
        return PERSONA_DONE;
    default:
        return PERSONA_PASS;
    }
}

/* ---- hypercalls ---- */

enum { MSI_BASE = 0xfee00000, ICR_VECTOR_AND_MODE = 0x7ff, ICR_NMI = 4 << 8, ICR_MODE = 7 << 8 };

/* To the vCPUs of a bitmap that begins with APIC id `first`; the answer is their number. */
static u64 kvm_send_ipi(struct kvm *k, u64 low, u64 high, u64 first, u64 icr)
{
    u32 mode = (u32)icr & ICR_MODE;
    u64 sent = 0;

    if (mode && mode != ICR_NMI)
        return (u64)(i64)CALL_NO_SUCH;
    for (u32 i = 0; i < 128; i++) {
        u64 id = first + i;

        if (!((i < 64 ? low >> i : high >> (i - 64)) & 1) || first > 0xff || id > 0xfe)
            continue;
        if (!msi_send(k->persona.machine, MSI_BASE | id << 12, (u32)icr & ICR_VECTOR_AND_MODE))
            sent++;
    }
    return sent;
}

static int kvm_hypercall(struct persona *p, u32 cpu, u8 kind, struct x86_state *s)
{
    u64 mask = x86_code64(s) ? ~0ull : 0xffffffff, r;

    (void)cpu, (void)kind;
    switch (s->gpr[RAX] & mask) {
    case CALL_POLL_IRQ:
    case CALL_KICK:
    case CALL_YIELD:
        r = 0;
        break;
    case CALL_SEND_IPI:
        r = kvm_send_ipi((struct kvm *)p, s->gpr[RBX] & mask, s->gpr[RCX] & mask,
                         s->gpr[RDX] & mask, s->gpr[RSI] & mask);
        break;
    default:
        r = (u64)(i64)CALL_NO_SUCH;
    }
    if (x86_cpl(s))
        r = (u64)(i64)CALL_NOT_ALLOWED;
    s->gpr[RAX] = r & mask;
    return PERSONA_DONE;
}

static void kvm_reset(struct persona *p)
{
    memset(&((struct kvm *)p)->state, 0, sizeof(struct kvm_state));
}

static const struct field state[] = {
    FIELDS(1, struct kvm_state, clock, 0, "MSR of the clock, each vCPU's"),
    FIELD(2, struct kvm_state, wall, 0, "MSR of the wall clock"),
    FIELD(3, struct kvm_state, tsc, 0, "the TSC that the clock counts from"),
    FIELD(4, struct kvm_state, ns, 0, "guest time then"),
    FIELD_END,
};

const struct persona_class persona_kvm = {
    .name = "kvm",
    .about = "Linux KVM: QEMU, libvirt, Proxmox",
    .size = sizeof(struct kvm),
    .state_at = offsetof(struct kvm, state),
    .state_size = sizeof(struct kvm_state),
    .state = state,
    .cpuid = kvm_cpuid,
    .rdmsr = kvm_rdmsr,
    .wrmsr = kvm_wrmsr,
    .hypercall = kvm_hypercall,
    .reset = kvm_reset,
};
