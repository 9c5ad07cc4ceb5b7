/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of the vector unit in memory: FXSAVE, XSAVE and kin (Intel SDM volume 1, 10.5
 * and 13), FNSAVE and FNSTENV (8.1.10), MXCSR.  All components count as in use.
 */
#include "engine/interpret/vector_int.h"
#include <Zydis/Mnemonic.h>

static void mxcsr_check(struct x86_cpu *c, u32 v)
{
    if (v & ~(u32)MXCSR_KNOWN)
        x86_raise_code(c, VEC_GP, 0);
}

void op_ldmxcsr(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 v;

    x86_check_vector(c, in);
    v = (u32)op_get(c, in, 0);
    mxcsr_check(c, v);
    put_le32(c->s.xsave + AREA_MXCSR, v);
}

void op_stmxcsr(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_check_vector(c, in);
    op_put(c, in, 0, le32(c->s.xsave + AREA_MXCSR));
}

/* The x87 part as it was in memory: ES says what flags and masks make of it. */
static void x87_loaded(struct x86_cpu *c)
{
    u8 *x = c->s.xsave;
    u16 fcw = le16(x + AREA_FCW) | 0x40, fsw = le16(x + AREA_FSW);

    fsw &= ~(FSW_ES | FSW_BUSY);
    if (fsw & ~fcw & FSW_EXCEPTIONS)
        fsw |= FSW_ES | FSW_BUSY;
    put_le16(x + AREA_FCW, fcw & 0x1f7f);
    put_le16(x + AREA_FSW, fsw);
    memset(x + AREA_FTW + 1, 0, AREA_MXCSR - AREA_FTW - 1);
    for (u32 i = 0; i < 8; i++)
        memset(x + AREA_ST + 16 * i + 10, 0, 6);
}

static void x87_init(struct x86_cpu *c)
{
    u8 *x = c->s.xsave;

    memset(x, 0, AREA_MXCSR);
    put_le16(x + AREA_FCW, 0x37f);
}

/* ---- FNSAVE, FRSTOR, FNSTENV, FLDENV ---- */

/* The tag of one physical register: 0 valid, 1 zero, 2 special, 3 empty. */
static u32 x87_tag(const u8 *x, u32 physical)
{
    u32 top = le16(x + AREA_FSW) >> 11 & 7;
    const u8 *st = x + AREA_ST + 16 * ((physical - top) & 7);
    u16 exponent = le16(st + 8) & 0x7fff;
    u64 significand = le64(st);

    if (!(x[AREA_FTW] >> physical & 1))
        return 3;
    if (!exponent && !significand)
        return 1;
    return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

/* An environment, and what may follow it, is made of words of the operand size. */
static u64 x87_area(struct x86_cpu *c, const struct x86_insn *in, u32 n, bool write)
{
    u64 lin = op_linear(c, in, n, write);

    x86_check_aligned(c, lin, in->osize == 2 ? 2 : 4);
    return lin;
}

static u32 x87_environment_size(const struct x86_insn *in)
{
    return in->osize == 2 ? 14 : 28;
}

/* The pointers are zero in all four layouts, so they differ in the size of a field only. */
static void x87_environment(const u8 *x, const struct x86_insn *in, u8 env[28])
{
    u32 field = in->osize == 2 ? 2 : 4, tags = 0;

    for (u32 i = 0; i < 8; i++)
        tags |= x87_tag(x, i) << 2 * i;
    memset(env, 0, 28);
    if (field == 4)
        for (u32 i = 0; i < 3; i++)
            put_le32(env + 4 * i, 0xffff0000);
    put_le16(env, le16(x + AREA_FCW));
    put_le16(env + field, le16(x + AREA_FSW));
    put_le16(env + 2 * field, (u16)tags);
    if (field == 4)
        put_le32(env + 24, 0xffff0000);
}

static void x87_load_environment(struct x86_cpu *c, const struct x86_insn *in, const u8 env[28])
{
    u32 field = in->osize == 2 ? 2 : 4, tags = le16(env + 2 * field), full = 0;
    u8 *x = c->s.xsave;

    for (u32 i = 0; i < 8; i++)
        full |= (tags >> 2 * i & 3) != 3 ? 1u << i : 0;
    put_le16(x + AREA_FCW, le16(env));
    put_le16(x + AREA_FSW, le16(env + field));
    x[AREA_FTW] = (u8)full;
    x87_loaded(c);
}

void op_fnstenv(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 n = x87_environment_size(in);
    u8 env[28], *x = c->s.xsave;

    x86_check_vector(c, in);
    x87_environment(x, in, env);
    x86_write_bytes(c, x87_area(c, in, n, true), env, n, ACCESS_CPL);
    put_le16(x + AREA_FCW, le16(x + AREA_FCW) | FSW_EXCEPTIONS);
    x87_loaded(c);
}

/* TOP changed, the physical registers did not: ST(i) is another one now. */
static void x87_rotate(u8 *x, u32 old_top, u32 top)
{
    u8 st[8][16];

    memcpy(st, x + AREA_ST, sizeof(st));
    for (u32 i = 0; i < 8; i++)
        memcpy(x + AREA_ST + 16 * i, st[(i + top - old_top) & 7], 16);
}

void op_fldenv(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 n = x87_environment_size(in), top = vector_fsw(c) >> 11 & 7;
    u8 env[28];

    x86_check_vector(c, in);
    vector_pending(c);
    x86_read_bytes(c, x87_area(c, in, n, false), env, n, ACCESS_CPL);
    x87_load_environment(c, in, env);
    x87_rotate(c->s.xsave, top, vector_fsw(c) >> 11 & 7);
}

void op_fnsave(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 n = x87_environment_size(in);
    u8 image[28 + 80];

    x86_check_vector(c, in);
    x87_environment(c->s.xsave, in, image);
    for (u32 i = 0; i < 8; i++)
        memcpy(image + n + 10 * i, c->s.xsave + AREA_ST + 16 * i, 10);
    x86_write_bytes(c, x87_area(c, in, n + 80, true), image, n + 80, ACCESS_CPL);
    x87_init(c);
}

void op_frstor(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 n = x87_environment_size(in);
    u8 image[28 + 80];

    x86_check_vector(c, in);
    vector_pending(c);
    x86_read_bytes(c, x87_area(c, in, n + 80, false), image, n + 80, ACCESS_CPL);
    for (u32 i = 0; i < 8; i++)
        memcpy(c->s.xsave + AREA_ST + 16 * i, image + n + 10 * i, 10);
    x87_load_environment(c, in, image);
}

/* ---- FXSAVE, FXRSTOR ---- */

static u64 area_linear(struct x86_cpu *c, const struct x86_insn *in, u32 n, u32 align, bool write)
{
    u64 lin = op_linear(c, in, n, write);

    if (lin & (align - 1))
        x86_raise_code(c, VEC_GP, 0);
    return lin;
}

static u32 xmm_end(const struct x86_cpu *c)
{
    return AREA_XMM + 16 * (x86_code64(&c->s) ? 16 : 8);
}

void op_fxsave(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 lin;

    x86_check_vector(c, in);
    lin = area_linear(c, in, AREA_HEADER, 16, true);
    put_le32(c->s.xsave + AREA_MXCSR_MASK, MXCSR_KNOWN);
    x86_write_bytes(c, lin, c->s.xsave, xmm_end(c), ACCESS_CPL);
}

void op_fxrstor(struct x86_cpu *c, const struct x86_insn *in)
{
    u8 image[AREA_LEGACY_END];
    u64 lin;

    x86_check_vector(c, in);
    lin = area_linear(c, in, AREA_HEADER, 16, false);
    x86_read_bytes(c, lin, image, xmm_end(c), ACCESS_CPL);
    mxcsr_check(c, le32(image + AREA_MXCSR));
    memcpy(c->s.xsave, image, xmm_end(c));
    x87_loaded(c);
}

/* VZEROALL and VZEROUPPER, of the registers that the mode can name. */
void op_vzero(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 n = xmm_end(c) - AREA_XMM;

    x86_check_vector(c, in);
    if (in->op == ZYDIS_MNEMONIC_VZEROALL)
        memset(c->s.xsave + AREA_XMM, 0, n);
    memset(c->s.xsave + AREA_YMM, 0, n);
}

/* ---- XSAVE and kin ---- */

enum { HEADER_SIZE = 64, COMPACT = 63 };

/* Where PKRU is in the standard form: what CPUID says of component 9. */
static u32 pkru_at(void)
{
    u32 r[4];

    x86_cpuid_model(0x0d, 9, r);
    return r[1];
}

static u64 xsave_mask(const struct x86_cpu *c)
{
    return (((u64)c->s.gpr[RDX] << 32) | (u32)c->s.gpr[RAX]) & c->s.xcr0;
}

/* The parts of the mask to lin; pkru: offset of that component. */
static void xsave_parts(struct x86_cpu *c, u64 lin, u64 mask, u32 pkru)
{
    u8 *x = c->s.xsave;
    u8 key[8] = { 0 };

    put_le32(x + AREA_MXCSR_MASK, MXCSR_KNOWN);
    if (mask & XCR0_X87) {
        x86_write_bytes(c, lin, x, AREA_MXCSR, ACCESS_CPL);
        x86_write_bytes(c, lin + AREA_ST, x + AREA_ST, AREA_XMM - AREA_ST, ACCESS_CPL);
    }
    if (mask & (XCR0_SSE | XCR0_AVX))
        x86_write_bytes(c, lin + AREA_MXCSR, x + AREA_MXCSR, 8, ACCESS_CPL);
    if (mask & XCR0_SSE)
        x86_write_bytes(c, lin + AREA_XMM, x + AREA_XMM, xmm_end(c) - AREA_XMM, ACCESS_CPL);
    if (mask & XCR0_AVX)
        x86_write_bytes(c, lin + AREA_YMM, x + AREA_YMM, (xmm_end(c) - AREA_XMM), ACCESS_CPL);
    if (mask & XCR0_PKRU) {
        put_le32(key, c->s.pkru);
        x86_write_bytes(c, lin + pkru, key, sizeof(key), ACCESS_CPL);
    }
}

void op_xsave(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 lin, mask, have;
    u32 pkru, end;

    x86_check_vector(c, in);
    mask = xsave_mask(c);
    pkru = mask & XCR0_PKRU ? pkru_at() : 0;
    end = mask & XCR0_PKRU ? pkru + 8 : mask & XCR0_AVX ? AREA_YMM_END : AREA_YMM;
    lin = area_linear(c, in, end, 64, true);
    x86_probe_write(c, lin, end, ACCESS_CPL);
    have = x86_read(c, lin + AREA_HEADER, 8, ACCESS_CPL);
    xsave_parts(c, lin, mask, pkru);
    x86_write(c, lin + AREA_HEADER, 8, (have & ~mask) | mask, ACCESS_CPL);
}

static u32 compact_pkru_at(u64 components)
{
    return components & XCR0_AVX ? AREA_YMM_END : AREA_YMM;
}

void op_xsavec(struct x86_cpu *c, const struct x86_insn *in)
{
    u8 header[16];
    u64 lin, mask;
    u32 pkru, end;

    x86_check_vector(c, in);
    mask = xsave_mask(c);
    pkru = compact_pkru_at(mask);
    end = mask & XCR0_PKRU ? pkru + 8 : pkru;
    lin = area_linear(c, in, end, 64, true);
    x86_probe_write(c, lin, end, ACCESS_CPL);
    xsave_parts(c, lin, mask, pkru);
    put_le64(header, mask);
    put_le64(header + 8, mask | 1ull << COMPACT);
    x86_write_bytes(c, lin + AREA_HEADER, header, sizeof(header), ACCESS_CPL);
}

/* What an XRSTOR was told to load. */
struct xrstor {
    u64 lin, mask, have;
    bool compact;
    u32 pkru;
    u8 image[AREA_YMM_END];
    u8 key[8];
};

static void xrstor_header(struct x86_cpu *c, struct xrstor *r)
{
    u64 form;
    u8 rest = 0;

    x86_read_bytes(c, r->lin + AREA_HEADER, r->image + AREA_HEADER, HEADER_SIZE, ACCESS_CPL);
    r->have = le64(r->image + AREA_HEADER);
    form = le64(r->image + AREA_HEADER + 8);
    r->compact = form >> COMPACT;
    form &= ~(1ull << COMPACT);
    for (u32 i = 16; i < (r->compact ? (u32)HEADER_SIZE : 24); i++)
        rest |= r->image[AREA_HEADER + i];
    if (rest || (r->have & ~c->s.xcr0) || (form & ~c->s.xcr0) ||
        (r->compact ? r->have & ~form : form))
        x86_raise_code(c, VEC_GP, 0);
    r->pkru = r->compact ? compact_pkru_at(form) : r->mask & XCR0_PKRU ? pkru_at() : 0;
}

static void xrstor_read(struct x86_cpu *c, struct xrstor *r)
{
    u64 load = r->mask & r->have;

    if ((load & (XCR0_X87 | XCR0_SSE)) || (r->mask & (XCR0_SSE | XCR0_AVX)))
        x86_read_bytes(c, r->lin, r->image, AREA_LEGACY_END, ACCESS_CPL);
    if (load & XCR0_AVX)
        x86_read_bytes(c, r->lin + AREA_YMM, r->image + AREA_YMM, 256, ACCESS_CPL);
    if (load & XCR0_PKRU)
        x86_read_bytes(c, r->lin + r->pkru, r->key, sizeof(r->key), ACCESS_CPL);
}

static void xrstor_part(struct x86_cpu *c, const struct xrstor *r, u64 part, u32 at, u32 n)
{
    if (!(r->mask & part))
        return;
    if (r->have & part)
        memcpy(c->s.xsave + at, r->image + at, n);
    else
        memset(c->s.xsave + at, 0, n);
}

void op_xrstor(struct x86_cpu *c, const struct x86_insn *in)
{
    struct xrstor r = { 0 };
    u32 xmm = xmm_end(c) - AREA_XMM, mxcsr;

    x86_check_vector(c, in);
    r.mask = xsave_mask(c);
    r.lin = area_linear(c, in, AREA_YMM, 64, false);
    xrstor_header(c, &r);
    xrstor_read(c, &r);
    mxcsr = r.compact && !(r.have & XCR0_SSE) ? 0x1f80 : le32(r.image + AREA_MXCSR);
    if (r.mask & (XCR0_SSE | XCR0_AVX)) {
        mxcsr_check(c, mxcsr);
        put_le32(c->s.xsave + AREA_MXCSR, mxcsr);
    }
    xrstor_part(c, &r, XCR0_X87, 0, AREA_MXCSR);
    xrstor_part(c, &r, XCR0_X87, AREA_ST, AREA_XMM - AREA_ST);
    if ((r.mask & XCR0_X87) && !(r.have & XCR0_X87))
        x87_init(c);
    if (r.mask & XCR0_X87)
        x87_loaded(c);
    xrstor_part(c, &r, XCR0_SSE, AREA_XMM, xmm);
    xrstor_part(c, &r, XCR0_AVX, AREA_YMM, xmm);
    if (r.mask & XCR0_PKRU)
        x86_set_pkru(c, r.have & XCR0_PKRU ? le32(r.key) : 0);
}
