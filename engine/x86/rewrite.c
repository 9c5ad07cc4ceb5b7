/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encodes a decoded guest instruction again, for 64-bit host code: Intel SDM volume 2,
 * chapter 2.  Immediates are copied as they are, since the operand size does not change.
 */
#include "engine/x86/rewrite.h"
#include "engine/x86/state.h"
#include <Zydis/Mnemonic.h>
#include <errno.h>
#include <string.h>

/* The fields of the new instruction, before it is bytes. */
struct rewrite {
    const struct x86_insn *in;
    const u8 *map;
    bool w, rex; /* REX.W or VEX.W; a REX byte is needed for SPL ... DIL */
    bool high;   /* names AH ... BH: there must be no REX */
    bool p66, lock;
    u8 rep; /* F2, F3 or 0 */
    u8 seg; /* segment prefix or 0 */
    bool a32;
    u8 opcode;
    bool has_modrm;
    u8 reg, rm, vvvv; /* four bits each */
    u8 mod, base, index, scale;
    bool sib;
    u8 disp_size;
    i32 disp;
};

/* A register of the guest as the four bits of its field. */
static int rewrite_reg(struct rewrite *w, const struct x86_operand *o)
{
    if (o->kind == OPD_GPR_HIGH) {
        w->high = true;
        return w->map[o->reg] < 4 ? w->map[o->reg] + 4 : -EINVAL;
    }
    if (o->kind != OPD_GPR)
        return o->reg;
    if (o->size == 1 && w->map[o->reg] >= 4)
        w->rex = true;
    return w->map[o->reg];
}

static int rewrite_operands(struct rewrite *w)
{
    const struct x86_insn *in = w->in;

    for (u32 i = 0; i < in->nopd; i++) {
        const struct x86_operand *o = &in->opd[i];
        int r = 0;

        if (o->kind == OPD_MEM && (o->access & OPD_HIDDEN))
            return -EINVAL;
        if (o->kind == OPD_MEM || o->kind == OPD_AGEN || o->kind > OPD_ST || o->kind == OPD_IMM)
            continue;
        if (o->at == AT_NONE) {
            if ((o->kind == OPD_GPR || o->kind == OPD_GPR_HIGH) && w->map[o->reg] != o->reg)
                return -EINVAL;
            continue;
        }
        r = rewrite_reg(w, o);
        if (r < 0)
            return r;
        switch (o->at) {
        case AT_MODRM_REG:
            w->reg = (u8)r;
            break;
        case AT_VVVV:
            w->vvvv = (u8)r;
            break;
        case AT_MODRM_RM:
        case AT_OPCODE:
            w->rm = (u8)r;
            break;
        default: /* AT_IS4: in the immediate */
            break;
        }
    }
    return 0;
}

/* A memory operand at [base + index * scale + disp]. */
static int rewrite_address(struct rewrite *w, u8 base, u8 index, u8 scale, i64 disp)
{
    static const u8 log2[9] = { 0, 0, 1, 0, 2, 0, 0, 0, 3 };

    if (disp != (i32)disp || base == X86_RIP)
        return -EINVAL;
    w->disp = (i32)disp;
    w->base = base == X86_NOREG ? 5 : base;
    w->index = index == X86_NOREG ? 4 : index;
    w->scale = log2[scale];
    w->sib = base == X86_NOREG || index != X86_NOREG || (base & 7) == 4;
    w->rm = w->sib ? 4 : base;
    if (base == X86_NOREG) {
        w->mod = 0;
        w->disp_size = 4;
    } else if (!disp && (base & 7) != 5) {
        w->mod = 0;
    } else {
        w->mod = disp == (i8)disp ? 1 : 2;
        w->disp_size = w->mod == 1 ? 1 : 4;
    }
    return 0;
}

static int rewrite_memory(struct rewrite *w, const struct x86_host_address *at)
{
    const struct x86_insn *in = w->in;
    u8 index = at->index, scale = (u8)(1 << at->scale);

    if (in->opd[in->mem].kind == OPD_AGEN || at->own) {
        u8 base = in->base < 16 ? w->map[in->base] : in->base;

        if (in->asize == 2 || (in->flags & INSN_VSIB))
            return -EINVAL;
        index = in->index < 16 ? w->map[in->index] : in->index;
        if (index == RSP) /* renamed onto the one that cannot be an index */
            return -EINVAL;
        w->a32 = in->asize == 4;
        if (at->own && at->seg != X86_NOREG)
            w->seg = at->seg == SEG_FS ? 0x64 : 0x65;
        return rewrite_address(w, base, index, in->scale, in->disp);
    }
    if (in->flags & INSN_VSIB) {
        if (at->index != X86_NOREG)
            return -EINVAL;
        index = in->index;
        scale = in->scale;
    } else if (index == RSP) {
        return -EINVAL;
    }
    if (at->seg != X86_NOREG)
        w->seg = at->seg == SEG_FS ? 0x64 : 0x65;
    return rewrite_address(w, at->base, index, scale, at->disp);
}

/* F2 and F3 of plain instructions mean nothing but in these. */
static bool rewrite_keeps_rep(u16 op)
{
    switch (op) {
    case ZYDIS_MNEMONIC_PAUSE:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_ADOX:
        return true;
    default:
        return false;
    }
}

/* 66 tells these apart from others, or is not expected: no operand size. */
static bool rewrite_fixed_size(u16 op)
{
    switch (op) {
    case ZYDIS_MNEMONIC_ADCX:
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_MOVNTI:
        return true;
    default:
        return false;
    }
}

static void rewrite_prefixes(struct rewrite *w)
{
    const struct x86_insn *in = w->in;
    bool vector = in->flags & INSN_VECTOR;

    w->lock = in->flags & INSN_LOCK;
    for (u32 i = 0; i < in->nprefix; i++)
        if ((in->bytes[i] == 0xf2 || in->bytes[i] == 0xf3) && (vector || rewrite_keeps_rep(in->op)))
            w->rep = in->bytes[i];
    if (vector || rewrite_fixed_size(in->op))
        w->p66 = memchr(in->bytes, 0x66, in->nprefix);
    else
        w->p66 = in->osize == 2;
    w->w = in->mode == X86_MODE64 && (in->rex & 8);
}

/* Encodings that 64-bit mode has not, in the ones that it has. */
static int rewrite_legacy(struct rewrite *w)
{
    const struct x86_insn *in = w->in;

    if (in->map || in->vex)
        return 0;
    if (in->mode != X86_MODE64 && (in->opcode & 0xf0) == 0x40) { /* INC, DEC */
        w->opcode = 0xff;
        w->reg = in->opcode >> 3 & 1;
        w->has_modrm = true;
        w->mod = 3;
        return 0;
    }
    if ((in->opcode & 0xfc) == 0xa0) { /* MOV with an offset: RAX is the register */
        if (w->map[RAX] >= 4 && !(in->opcode & 1))
            w->rex = true;
        w->opcode = 0x88 | (in->opcode & 1) | (in->opcode & 2 ? 0 : 2);
        w->reg = w->map[RAX];
        w->has_modrm = true;
        return 0;
    }
    switch (in->opcode) {
    case 0x82:
        w->opcode = 0x80;
        return 0;
    case 0x27: /* BCD and others that are gone */
    case 0x2f:
    case 0x37:
    case 0x3f:
    case 0x62:
    case 0xd4:
    case 0xd5:
    case 0xd6:
        return -EINVAL;
    case 0x63:
        return in->mode == X86_MODE64 ? 0 : -EINVAL;
    default:
        return 0;
    }
}

static bool rewrite_possible(const struct x86_insn *in)
{
    if (in->flags & (INSN_BRANCH | INSN_STACK | INSN_STRING | INSN_SYSTEM | INSN_PRIVILEGED))
        return false;
    if (in->op == ZYDIS_MNEMONIC_VZEROALL || in->op == ZYDIS_MNEMONIC_VZEROUPPER)
        return in->mode == X86_MODE64; /* else eight registers, not sixteen */
    if (in->mem != X86_NOREG && in->opd[in->mem].kind == OPD_MEM && !in->opd[in->mem].size)
        return false; /* the layout in memory depends on the mode */
    return in->op != ZYDIS_MNEMONIC_XLAT;
}

static u8 rewrite_modrm(const struct rewrite *w)
{
    return (u8)(w->mod << 6 | (w->reg & 7) << 3 | (w->rm & 7));
}

/* REX's or VEX's B and X come from the rm field, or from base and index. */
static u8 rewrite_rxb(const struct rewrite *w)
{
    bool memory = w->has_modrm && w->mod != 3;
    u8 b = memory ? w->base : w->rm, x = memory ? w->index : 0;

    return (w->reg & 8 ? 4 : 0) | (x & 8 ? 2 : 0) | (b & 8 ? 1 : 0);
}

static u32 rewrite_vex(const struct rewrite *w, u8 *out)
{
    const struct x86_insn *in = w->in;
    const u8 *vex = in->bytes + in->at_opcode - in->vex;
    u8 last = vex[in->vex - 1], wbit = in->vex == 3 ? last & 0x80 : 0;
    /* moves between general and vector registers, whose other operand may be in memory */
    bool gpr = in->map == 1 ? in->opcode == 0x2a || in->opcode == 0x6e || in->opcode == 0x7e
                            : in->map == 3 && (in->opcode == 0x16 || in->opcode == 0x22);

    for (u32 i = 0; i < in->nopd; i++)
        gpr |= in->opd[i].kind == OPD_GPR;
    if (in->mode != X86_MODE64 && gpr)
        wbit = 0; /* there it does not count: here it would mean 64 bits */
    out[0] = 0xc4;
    out[1] = (u8)((~rewrite_rxb(w) & 7) << 5 | in->map);
    out[2] = (u8)(wbit | (~w->vvvv & 15) << 3 | (last & 7));
    return 3;
}

static u32 rewrite_head(const struct rewrite *w, u8 *out)
{
    const struct x86_insn *in = w->in;
    u8 rex = rewrite_rxb(w) | (w->w ? 8 : 0);
    u32 n = 0;

    if (w->seg)
        out[n++] = w->seg;
    if (w->a32)
        out[n++] = 0x67;
    if (in->vex) {
        n += rewrite_vex(w, out + n);
    } else {
        if (w->lock)
            out[n++] = 0xf0;
        if (w->p66)
            out[n++] = 0x66;
        if (w->rep)
            out[n++] = w->rep;
        if (rex || w->rex)
            out[n++] = 0x40 | rex;
        if (in->map)
            out[n++] = 0x0f;
        if (in->map >= 2)
            out[n++] = in->map == 2 ? 0x38 : 0x3a;
    }
    out[n++] = w->has_modrm || in->at_modrm != 0xff ? w->opcode : (w->opcode & 0xf8) | (w->rm & 7);
    return n;
}

static int rewrite_emit(const struct rewrite *w, u8 *out)
{
    const struct x86_insn *in = w->in;
    u8 text[32];
    u32 n = rewrite_head(w, text);

    if (w->has_modrm) {
        text[n++] = rewrite_modrm(w);
        if (w->mod != 3) {
            if (w->sib)
                text[n++] = (u8)(w->scale << 6 | (w->index & 7) << 3 | (w->base & 7));
            memcpy(text + n, &w->disp, w->disp_size);
            n += w->disp_size;
        }
    }
    if (in->at_imm != 0xff) {
        memcpy(text + n, in->bytes + in->at_imm, in->imm_size);
        n += in->imm_size;
        for (u32 i = 0; i < in->nopd; i++)
            if (in->opd[i].at == AT_IS4) /* bit 7 counts in 64-bit mode only */
                text[n - 1] = (u8)(in->opd[i].reg << 4 | (text[n - 1] & 15));
    }
    if (n > 15)
        return -EINVAL;
    memcpy(out, text, n);
    return (int)n;
}

int x86_rewrite(const struct x86_insn *in, const struct x86_host_address *at, const u8 map[16],
                u8 out[15])
{
    struct rewrite w = { .in = in, .map = map, .opcode = in->opcode };
    int r;

    if (!rewrite_possible(in))
        return -EINVAL;
    if (in->at_modrm != 0xff) {
        w.has_modrm = true;
        w.mod = 3;
        w.reg = in->modrm >> 3 & 7;
        w.rm = in->modrm & 7;
    } else {
        w.rm = in->opcode & 7;
    }
    rewrite_prefixes(&w);
    r = rewrite_operands(&w);
    if (!r)
        r = rewrite_legacy(&w);
    if (!r && in->mem != X86_NOREG)
        r = rewrite_memory(&w, at);
    if (r)
        return r;
    if (w.high && (w.rex || w.w || (!in->vex && rewrite_rxb(&w))))
        return -EINVAL;
    return rewrite_emit(&w, out);
}
