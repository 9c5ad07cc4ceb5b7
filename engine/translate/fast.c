/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel entry and exit in 64-bit code: the interpreter's own operations, called without its
 * fetch, decode and dispatch, where nothing but the common case is met.
 */
#include "engine/interpret/op.h"
#include "engine/translate/translate_int.h"

static void fast_crossing(struct vcpu *v, struct crossing *to, u8 known)
{
    to->cs = v->c.s.seg[SEG_CS];
    to->ss = v->c.s.seg[SEG_SS];
    to->mode = vcpu_mode(v);
    if (!(to->mode & MODE_NEVER))
        v->memo_known |= known;
}

static bool fast_syscall(struct vcpu *v, u64 next)
{
    static const struct x86_insn in = { .op = ZYDIS_MNEMONIC_SYSCALL,
                                        .mode = X86_MODE64,
                                        .len = 2 };
    struct x86_cpu *c = &v->c;

    if (!(c->s.efer & EFER_SCE))
        return false;
    flags_pack(v);
    v->calls++;
    c->s.rip = next - in.len;
    op_syscall(c, &in);
    if (!(~c->s.fmask & (FLAGS_ARITH | FLAG_TF | FLAG_AC)))
        fast_crossing(v, &v->enter, MEMO_ENTER);
    return true;
}

static bool fast_sysret(struct vcpu *v)
{
    static const struct x86_insn in = { .op = ZYDIS_MNEMONIC_SYSRET,
                                        .mode = X86_MODE64,
                                        .osize = 8 };
    struct x86_cpu *c = &v->c;

    if (!(c->s.efer & EFER_SCE) || x86_cpl(&c->s) || !x86_canonical(c, c->s.gpr[RCX]) ||
        c->s.gpr[R11] & FLAG_TF)
        return false;
    flags_pack(v);
    op_sysret(c, &in);
    if (!(c->s.rflags & (FLAG_TF | FLAG_AC)))
        fast_crossing(v, &v->leave, MEMO_LEAVE);
    return true;
}

void cpuid_forget(struct vcpu *v)
{
    if (!v->cpuid_used)
        return;
    for (u32 i = 0; i < CPUID_SLOTS; i++)
        v->cpuid[i] = (struct cpuid_answer){ .leaf = cpuid_slot(1, 0) == i ? 0 : 1 };
    v->cpuid_used = false;
}

/* Answered, and remembered. */
static bool fast_cpuid(struct vcpu *v, u64 next)
{
    u64 *gpr = v->c.s.gpr;
    u32 leaf = (u32)gpr[RAX], sub = (u32)gpr[RCX];
    struct cpuid_answer *a = &v->cpuid[cpuid_slot(leaf, sub)];
    u32 r[4];

    x86_cpuid(&v->c, leaf, sub, r);
    *a = (struct cpuid_answer){ leaf, sub, { r[0], r[1], r[2], r[3] }, { 0 } };
    v->cpuid_used = true;
    gpr[RAX] = r[0];
    gpr[RBX] = r[1];
    gpr[RCX] = r[2];
    gpr[RDX] = r[3];
    v->c.s.rip = next;
    return true;
}

static void fast_iret_guarded(struct x86_cpu *c, void *arg)
{
    x86_iret(c, 8, *(const u64 *)arg);
}

/* false: it faults, and the interpreter says so. */
static bool fast_iret(struct vcpu *v, u64 next)
{
    struct x86_cpu *c = &v->c;

    flags_pack(v);
    return x86_guard(c, fast_iret_guarded, &next);
}

static bool fast_string(struct vcpu *v, u32 op, u64 next)
{
    switch (op & OP_NAME) {
    case ZYDIS_MNEMONIC_MOVSB:
        return string_step(v, 1, true, next);
    case ZYDIS_MNEMONIC_MOVSW:
        return string_step(v, 2, true, next);
    case ZYDIS_MNEMONIC_MOVSD:
        return string_step(v, 4, true, next);
    case ZYDIS_MNEMONIC_MOVSQ:
        return string_step(v, 8, true, next);
    case ZYDIS_MNEMONIC_STOSB:
        return string_step(v, 1, false, next);
    case ZYDIS_MNEMONIC_STOSW:
        return string_step(v, 2, false, next);
    case ZYDIS_MNEMONIC_STOSD:
        return string_step(v, 4, false, next);
    default:
        return string_step(v, 8, false, next);
    }
}

static bool fast_crosses(struct vcpu *v, u32 op, u64 next)
{
    switch (op) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSCALL | OP_WIDE:
        return fast_syscall(v, next);
    case ZYDIS_MNEMONIC_SYSRET | OP_WIDE:
        return fast_sysret(v);
    case ZYDIS_MNEMONIC_IRETQ | OP_WIDE:
        return fast_iret(v, next);
    default:
        return false;
    }
}

bool fast_step(struct vcpu *v, const struct block *b, u32 i)
{
    u64 next = block_rip(v, b, block_pc(b, i + 1));

    if (b->op[i] & OP_PIECE)
        return fast_string(v, b->op[i], next);
    if ((b->op[i] & OP_NAME) == ZYDIS_MNEMONIC_CPUID)
        return fast_cpuid(v, next);
    if ((b->mode & MODE_SIZE) != X86_MODE64 || !fast_crosses(v, b->op[i], next))
        return false;
    flags_unpack(v);
    return true;
}
