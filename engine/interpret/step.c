/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction: fetch, decode or find it decoded, run its operation, deliver what it
 * raised.  Decoded instructions are kept by linear address and checked against the bytes
 * that are there now, so code that changes needs no message.
 */
#include "engine/interpret/op.h"
#include <Zydis/Mnemonic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OP(mnemonic, function) [ZYDIS_MNEMONIC_##mnemonic] = function,
x86_op *const op_table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#include "engine/interpret/ops_sys.def"
#include "engine/interpret/ops_user.def"
};
#undef OP

x86_op *op_find(const struct x86_insn *in)
{
    x86_op *fn = op_table[in->op];

    return !fn && (in->flags & INSN_VECTOR) && !(in->flags & INSN_SYSTEM) ? op_vector : fn;
}

enum { STEP_ENTRIES = 8192, DR6_BS = 1 << 14 };

struct step_entry {
    u64 lin;
    u64 bytes[2], mask[2]; /* what must be there; mask: the bytes of the instruction */
    x86_op *fn;            /* NULL: nothing here */
    struct x86_insn in;
};
struct x86_insn_cache {
    struct step_entry e[STEP_ENTRIES];
};

int x86_insn_cache_new(struct x86_cpu *c)
{
    c->insns = calloc(1, sizeof(*c->insns));
    return c->insns ? 0 : -ENOMEM;
}

void x86_insn_cache_free(struct x86_cpu *c)
{
    free(c->insns);
    c->insns = NULL;
}

static void step_vectors(struct x86_cpu *c)
{
    if (c->hooks && c->hooks->vectors)
        c->hooks->vectors(c);
}

static enum x86_mode step_mode(const struct x86_cpu *c)
{
    if (x86_code64(&c->s))
        return X86_MODE64;
    return c->s.seg[SEG_CS].attr & ATTR_DB ? X86_MODE32 : X86_MODE16;
}

/* Decodes what is at lin into e; raises what the decoder says. */
static void step_decode(struct x86_cpu *c, struct step_entry *e, u64 lin, const u64 code[2], u32 n,
                        enum x86_mode mode)
{
    u8 beyond[16];
    int r;

    e->fn = NULL;
    step_vectors(c); /* Zydis is compiled as it likes */
    r = x86_decode(&e->in, (const u8 *)code, n, mode);
    if (r == -ENODATA) { /* the rest is on a page that may not be fetched from */
        x86_fetch(c, lin + n, beyond);
        x86_raise_code(c, VEC_GP, 0);
    }
    if (r == -E2BIG)
        x86_raise_code(c, VEC_GP, 0);
    if (r || !op_find(&e->in))
        x86_raise(c, VEC_UD);
    e->lin = lin;
    memset(e->mask, 0, sizeof(e->mask));
    memset(e->mask, 0xff, e->in.len);
    e->bytes[0] = code[0] & e->mask[0];
    e->bytes[1] = code[1] & e->mask[1];
    e->fn = op_find(&e->in);
}

static bool step_is(const struct step_entry *e, u64 lin, enum x86_mode mode, const u64 code[2],
                    u32 n)
{
    return e->lin == lin && e->fn && e->in.mode == mode && n >= e->in.len &&
           !(((code[0] & e->mask[0]) ^ e->bytes[0]) | ((code[1] & e->mask[1]) ^ e->bytes[1]));
}

static const struct step_entry *step_find(struct x86_cpu *c)
{
    const struct x86_segment *cs = &c->s.seg[SEG_CS];
    enum x86_mode mode = step_mode(c);
    u64 lin = mode == X86_MODE64 ? c->s.rip : (u32)(cs->base + c->s.rip), code[2] = { 0 };
    struct step_entry *e = &c->insns->e[(lin ^ lin >> 13) % STEP_ENTRIES];
    const u8 *host;
    u32 n = 15;

    if (mode == X86_MODE64 ? !x86_canonical(c, lin) : c->s.rip > cs->limit)
        x86_raise_code(c, VEC_GP, 0);
    host = x86_fetch_host(c, lin);
    if (host)
        memcpy(code, host, 16);
    else
        n = x86_fetch(c, lin, (u8 *)code);
    if (!step_is(e, lin, mode, code, n))
        step_decode(c, e, lin, code, n, mode);
    if (e->in.vex && (x86_real(&c->s) || x86_v86(&c->s)))
        x86_raise(c, VEC_UD);
    if (mode != X86_MODE64 && c->s.rip + e->in.len - 1 > cs->limit)
        x86_raise_code(c, VEC_GP, 0);
    return e;
}

static void step_run(struct x86_cpu *c)
{
    const struct step_entry *e;

    if (x86_watching(c))
        x86_check_breakpoint(c);
    e = step_find(c);
    c->s.rflags &= ~(u64)FLAG_RF;
    c->s.shadow = c->s.shadow_ss = false;
    if (e->in.flags & INSN_VECTOR)
        step_vectors(c);
    e->fn(c, &e->in);
    if (!(e->in.flags & (INSN_BRANCH | INSN_STRING)))
        c->s.rip = x86_next(c, &e->in);
}

enum x86_stepped x86_step(struct x86_cpu *c)
{
    jmp_buf here, *outer = c->escape;
    enum x86_stepped r = STEPPED;

    if (!c->s.shadow_ss)
        c->debug = 0;
    c->single = c->s.rflags & FLAG_TF;
    x86_keep(c);
    if (_setjmp(here)) {
        x86_put_back(c);
        c->escape = outer;
        return x86_deliver_fault(c);
    }
    c->escape = &here;
    step_run(c);
    c->escape = outer;
    c->retired++;
    if ((c->single || c->debug) && !c->s.shadow_ss) {
        c->fault = (struct x86_fault){ .vector = VEC_DB,
                                       .trap = true,
                                       .dr6 = c->debug | (c->single ? DR6_BS : 0) };
        r = x86_deliver_fault(c);
    }
    return c->s.halted && r == STEPPED ? STEP_HALT : r;
}
