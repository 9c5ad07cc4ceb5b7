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

bool fast_step(struct vcpu *v, const struct block *b, u32 i)
{
    u64 next = block_rip(v, b, b->pc + b->at[i + 1]);
    bool done = false;

    if ((b->mode & MODE_SIZE) != X86_MODE64)
        return false;
    switch (b->op[i]) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSCALL | OP_WIDE:
        done = fast_syscall(v, next);
        break;
    case ZYDIS_MNEMONIC_SYSRET | OP_WIDE:
        done = fast_sysret(v);
        break;
    case ZYDIS_MNEMONIC_IRETQ | OP_WIDE:
        done = fast_iret(v, next);
        break;
    default:
        return false;
    }
    if (!done)
        return false;
    flags_unpack(v);
    return true;
}
