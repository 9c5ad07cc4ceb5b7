/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What KVM hands back: ports, memory outside slots, MSRs, halts, and instructions that its
 * emulator gives up on.  Those run in the software core, one at a time.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <string.h>

static u64 exit_get(const void *p, u32 size)
{
    u64 v = 0;

    memcpy(&v, p, size);
    return v;
}

/* ---- ports that take and give whole registers ---- */

/* The I/O instruction that KVM stopped in, found in memory: KVM does not tell. */
struct exit_insn {
    bool string, repeats;
    u64 at; /* RIP of it */
};

static bool exit_is_prefix(const struct vcpu *v, int b)
{
    return b == 0xf2 || b == 0xf3 || b == 0x66 || b == 0x67 || b == 0x2e || b == 0x36 ||
           b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 ||
           (x86_code64(&v->c.s) && (b & 0xf0) == 0x40);
}

static const u8 *exit_byte(struct vcpu *v, u8 seg, u64 off)
{
    u64 gpa, lin = v->c.s.seg[seg].base + off;

    if (!x86_long(&v->c.s))
        lin = (u32)lin;
    return x86_peek(&v->c, lin, &gpa) ? x86_ram(&v->kvm->mem, gpa, 1, false) : NULL;
}

static int exit_code(struct vcpu *v, u64 rip)
{
    const u8 *p = exit_byte(v, SEG_CS, rip);

    return p ? *p : -1;
}

static bool exit_is_string(int opcode)
{
    return opcode >= 0x6c && opcode <= 0x6f;
}

/*
 * RIP stands at IN, INS and REP OUTS, the last element too; behind OUTS; and at or behind OUT:
 * KVM's emulator has done all but the port.
 */
static struct exit_insn exit_insn(struct vcpu *v, bool out)
{
    u64 rip = v->c.s.rip, at = rip;
    bool repeats = false;
    int opcode;

    for (u32 i = 0; i < 14 && exit_is_prefix(v, exit_code(v, at)); i++, at++)
        repeats |= (exit_code(v, at) & ~1) == 0xf2;
    opcode = exit_code(v, at);
    if (!out)
        return (struct exit_insn){ exit_is_string(opcode), repeats, rip };
    if (exit_is_string(opcode) && (opcode & 2) && repeats)
        return (struct exit_insn){ true, true, rip };
    if ((opcode & ~9) == 0xe6) /* OUT: E6 E7 EE EF */
        return (struct exit_insn){ false, false, rip };
    opcode = exit_code(v, rip - 1);
    return (struct exit_insn){ exit_is_string(opcode) && (opcode & 2), false, rip - 1 };
}

/* KVM has moved RSI, and RCX, for the element of OUTS that it hands over: back. */
static void exit_undo_outs(struct vcpu *v, u32 size, bool repeats)
{
    struct x86_state *s = &v->c.s;
    u64 by = s->rflags & FLAG_DF ? size : -(u64)size;
    u64 mask = x86_code64(s) ? ~0ull : s->seg[SEG_CS].attr & ATTR_DB ? 0xffffffff : 0xffff;

    s->gpr[RSI] = (s->gpr[RSI] & ~mask) | ((s->gpr[RSI] + by) & mask);
    if (repeats)
        s->gpr[RCX] = (s->gpr[RCX] & ~mask) | ((s->gpr[RCX] + 1) & mask);
}

/*
 * INS and OUTS run in the software core, which knows what such a port does with a whole
 * stream.  KVM still wants to store the elements of INS that it asked for: it is given what is
 * in memory by then, and then the state as the core left it.
 */
static int exit_string(struct vcpu *v, const struct exit_insn *in, u8 *data, bool out)
{
    u32 bytes = v->run->io.size * v->run->io.count;
    u64 rdi = v->c.s.gpr[RDI];

    if (out)
        exit_undo_outs(v, v->run->io.size, in->repeats);
    v->c.s.rip = in->at;
    v->shutdown = x86_step(&v->c) == STEP_SHUTDOWN;
    if (!out) {
        x86_flush(&v->c, FLUSH_ALL, 0);
        for (u32 i = 0; i < bytes; i++) {
            const u8 *p = exit_byte(v, SEG_ES, rdi + i);

            data[i] = p ? *p : 0;
        }
        if (!kvm_finish(v, NULL))
            return -EIO;
    }
    return kvm_store(v);
}

/* 1: the port was one, and all is done.  0: it was not.  Or a negative errno. */
static int exit_port_whole(struct vcpu *v, u8 *data)
{
    const struct cpu_io *io = &v->io;
    u16 port = v->run->io.port;
    u32 size = v->run->io.size;
    bool out = v->run->io.direction == KVM_EXIT_IO_OUT;
    struct exit_insn in;
    int r;

    if (!io->port || (io->has_port && !io->has_port(io->arg, port)))
        return 0;
    r = kvm_fetch(v);
    if (r)
        return r;
    x86_flush(&v->c, FLUSH_ALL, 0);
    in = exit_insn(v, out);
    if (in.string) {
        r = exit_string(v, &in, data, out);
        return r ? r : 1;
    }
    if (!io->port(io->arg, &v->c.s, port, size, out))
        return 0;
    if (!out)
        memcpy(data, &v->c.s.gpr[RAX], size);
    r = kvm_store_regs(v);
    return r ? r : 1;
}

static bool exit_port(struct vcpu *v, struct err *e)
{
    const struct cpu_io *io = &v->io;
    const struct kvm_run *run = v->run;
    u8 *data = (u8 *)v->run + run->io.data_offset;
    u32 size = run->io.size, count = run->io.count;
    u16 port = run->io.port;
    bool out = run->io.direction == KVM_EXIT_IO_OUT;
    int r = exit_port_whole(v, data);

    if (r < 0)
        err_set(e, r, "the registers of a port access: %s", strerror(-r));
    if (r)
        return r > 0;
    for (u32 i = 0; i < count; i++, data += size) {
        u64 val;

        if (out) {
            io->out(io->arg, port, size, exit_get(data, size));
        } else {
            val = io->in(io->arg, port, size);
            memcpy(data, &val, size);
        }
    }
    return true;
}

/* ---- memory outside slots ---- */

static u32 exit_piece(u64 gpa, u32 left)
{
    return left >= 8 && !(gpa & 7)   ? 8
           : left >= 4 && !(gpa & 3) ? 4
           : left >= 2 && !(gpa & 1) ? 2
                                     : 1;
}

/* What crosses a page comes in two: odd lengths, in naturally aligned pieces. */
static void exit_memory(struct vcpu *v)
{
    const struct cpu_io *io = &v->io;
    u8 *data = v->run->mmio.data;
    u32 left = v->run->mmio.len <= 8 ? v->run->mmio.len : 8;
    u64 gpa = v->run->mmio.phys_addr;
    bool write = v->run->mmio.is_write, whole = !(left & (left - 1));

    while (left) {
        u32 n = whole ? left : exit_piece(gpa, left);
        u64 val;

        if (write) {
            io->store(io->arg, gpa, n, exit_get(data, n));
        } else {
            val = io->load(io->arg, gpa, n);
            memcpy(data, &val, n);
        }
        gpa += n, data += n, left -= n;
    }
}

/* ---- MSRs ---- */

struct exit_msr {
    u32 msr;
    bool write;
    u64 val;
};

static void exit_msr_go(struct x86_cpu *c, void *arg)
{
    struct exit_msr *m = arg;

    if (m->write)
        x86_wrmsr(c, m->msr, m->val);
    else
        m->val = x86_rdmsr(c, m->msr);
}

/* One that KVM keeps comes here only when it refuses it: that is the guest's #GP. */
static void exit_msr(struct vcpu *v, bool write)
{
    struct kvm_run *run = v->run;
    struct exit_msr m = { run->msr.index, write, run->msr.data };

    run->msr.error = kvm_model_owns(v->kvm, m.msr) || !x86_guard(&v->c, exit_msr_go, &m);
    run->msr.data = m.val;
}

/* ---- what KVM cannot do ---- */

/* One instruction in the software core. */
static bool exit_step(struct vcpu *v, struct err *e)
{
    int r = kvm_load(v);

    if (!r) {
        x86_flush(&v->c, FLUSH_ALL, 0);
        if (x86_step(&v->c) == STEP_SHUTDOWN) {
            v->shutdown = true;
            return true;
        }
        r = kvm_store(v);
        if (!r && v->c.s.halted)
            r = kvm_store_halted(v);
    }
    if (r)
        err_set(e, r, "an instruction that KVM cannot run: %s", strerror(-r));
    return !r;
}

static bool exit_internal(struct vcpu *v, struct err *e)
{
    const struct kvm_run *run = v->run;

    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        return exit_step(v, e);
    err_set(e, -EIO, "KVM's internal error %u", run->internal.suberror);
    return false;
}

bool kvm_exit(struct vcpu *v, struct err *e)
{
    struct kvm_run *run = v->run;
    int r;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        v->stat[STAT_PORT]++;
        v->unfinished = true;
        return exit_port(v, e);
    case KVM_EXIT_MMIO:
        v->stat[STAT_MMIO]++;
        v->unfinished = true;
        exit_memory(v);
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        v->stat[STAT_MSR]++;
        v->unfinished = true;
        exit_msr(v, run->exit_reason == KVM_EXIT_X86_WRMSR);
        return true;
    case KVM_EXIT_HLT:
        v->stat[STAT_HALT]++;
        v->c.s.halted = true;
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        v->stat[STAT_WINDOW]++;
        return true;
    case KVM_EXIT_IOAPIC_EOI:
        v->stat[STAT_EOI]++;
        if (v->io.eoi)
            v->io.eoi(v->io.arg, run->eoi.vector);
        return true;
    case KVM_EXIT_SET_TPR:
        v->stat[STAT_TPR]++;
        return true;
    case KVM_EXIT_SHUTDOWN:
        v->shutdown = true;
        return true;
    case KVM_EXIT_DIRTY_RING_FULL:
        r = kvm_slots_ring_full(v->kvm);
        if (r)
            err_set(e, r, "KVM's ring of dirty pages: %s", strerror(-r));
        return !r;
    case KVM_EXIT_INTERNAL_ERROR:
        v->stat[STAT_STEP]++;
        return exit_internal(v, e);
    case KVM_EXIT_INTR:
    case KVM_EXIT_UNKNOWN:
        return true;
    case KVM_EXIT_FAIL_ENTRY:
        err_set(e, -EIO, "the processor refuses to enter the guest, reason 0x%llx",
                (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        return false;
    default:
        err_set(e, -EIO, "KVM came back for a reason that is not known, %u", run->exit_reason);
        return false;
    }
}
