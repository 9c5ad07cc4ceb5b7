/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel entry and exit in 64-bit code: the interpreter's own operations, called without its
 * fetch, decode and dispatch, where nothing but the common case is met.
 */
#include "engine/interpret/op.h"
#include "engine/translate/translate_int.h"

/* The mode of 64-bit code, computed once for each privilege level and AC. */
static void fast_mode(struct vcpu *v)
{
    u32 i = (x86_cpl(&v->c.s) == 3 ? 2 : 0) | (v->c.s.rflags & FLAG_AC ? 1 : 0);

    if (!(v->memo_known >> i & 1)) {
        v->mode_known = false;
        v->memo[i] = vcpu_mode(v);
        v->memo_known |= (u8)(1 << i);
    }
    v->mode = v->memo[i];
    v->mode_known = true;
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
    u8 known = v->memo_known;
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
    v->memo_known = known;
    if (x86_code64(&v->c.s) && !(v->c.s.rflags & FLAG_TF))
        fast_mode(v);
    return true;
}
