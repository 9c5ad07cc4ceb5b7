/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions and REP.  Each element is committed before the next one, so a fault or
 * an interrupt finds an instruction that starts again where it stopped.  MOVS and STOS do
 * as much at once as lies in one page, when that is the same to the program.
 */
#include "engine/interpret/operand.h"

enum string_kind { STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS, STRING_IO };
enum { STRING_PAGE = 4096 };

struct string {
    struct x86_cpu *c;
    const struct x86_insn *in;
    u32 size; /* of an element */
    i64 step; /* what an index moves */
    u64 mask; /* of addresses and the count */
    bool rep;
};

static struct string string_begin(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opcode & 1 ? in->osize : 1;

    if ((in->opcode & 0xfc) == 0x6c && size == 8) /* INS and OUTS: four bytes at most */
        size = 4;
    return (struct string){
        .c = c,
        .in = in,
        .size = size,
        .step = c->s.rflags & FLAG_DF ? -(i64)size : (i64)size,
        .mask = op_mask(in->asize),
        .rep = in->flags & (INSN_REP | INSN_REPNE),
    };
}

static u64 string_count(const struct string *s)
{
    return s->rep ? s->c->s.gpr[RCX] & s->mask : 1;
}

/* n elements are done: indexes and count move, and a fault no longer takes them back. */
static void string_advance(const struct string *s, bool source, bool target, u64 n)
{
    struct x86_cpu *c = s->c;
    u32 a = s->in->asize;

    if (source)
        gpr_put(c, RSI, a, c->s.gpr[RSI] + (u64)s->step * n);
    if (target)
        gpr_put(c, RDI, a, c->s.gpr[RDI] + (u64)s->step * n);
    if (s->rep) {
        gpr_put(c, RCX, a, c->s.gpr[RCX] - n);
        x86_keep(c);
    }
}

static u64 string_source(const struct string *s)
{
    u64 at = s->c->s.gpr[RSI] & s->mask;

    return x86_linear(s->c, s->in->seg, at, s->size, false);
}

static u64 string_target(const struct string *s, bool write)
{
    u64 at = s->c->s.gpr[RDI] & s->mask;

    return x86_linear(s->c, SEG_ES, at, s->size, write);
}

/* May more elements follow in this call? */
static bool string_goes_on(const struct string *s)
{
    return !(s->c->s.rflags & FLAG_TF) && !s->c->debug &&
           !atomic_load_explicit(&s->c->pending, memory_order_relaxed);
}

/* Bytes from off that are certain to pass the segment's checks, up to most. */
static u64 string_segment_room(const struct x86_cpu *c, u8 seg, u64 off, u64 most)
{
    const struct x86_segment *g = &c->s.seg[seg];

    if (x86_code64(&c->s))
        return most;
    if ((c->s.cr0 & CR0_PE) && !x86_v86(&c->s) &&
        ((g->attr & (ATTR_TYPE & ~3)) || (g->attr & ATTR_UNUSABLE)))
        return 0; /* code or expand-down: one by one */
    return off > g->limit ? 0 : min_u64(most, (u64)g->limit - off + 1);
}

/* Elements from off that lie in one page, in the segment and below the wrap of addresses. */
static u64 string_room(const struct string *s, u8 seg, u8 reg, u64 count)
{
    u64 off = s->c->s.gpr[reg] & s->mask;
    u64 base = x86_code64(&s->c->s) && seg != SEG_FS && seg != SEG_GS ? 0 : s->c->s.seg[seg].base;
    u64 room = STRING_PAGE - ((base + off) & (STRING_PAGE - 1));

    room = min_u64(room, s->mask - off);
    return min_u64(count, string_segment_room(s->c, seg, off, room) / s->size);
}

/* Moves or fills many at once; the number of elements, 0: it must go one by one. */
static u64 string_fast_move(const struct string *s, u64 count)
{
    struct x86_cpu *c = s->c;
    u64 n = string_room(s, SEG_ES, RDI, count), bytes;
    u8 *from, *to;

    n = string_room(s, s->in->seg, RSI, n);
    bytes = n * s->size;
    if (n < 2 || s->step < 0 || x86_watching(c))
        return 0;
    from = x86_host(c, string_source(s), (u32)bytes, false, ACCESS_CPL);
    to = from ? x86_host(c, string_target(s, true), (u32)bytes, true, ACCESS_CPL) : NULL;
    if (!to || (to > from && to < from + bytes)) /* each copied byte may be a source later */
        return 0;
    /* the host's own: the C library's would use vector registers */
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return n;
}

static u64 string_fast_fill(const struct string *s, u64 count)
{
    struct x86_cpu *c = s->c;
    u64 n = string_room(s, SEG_ES, RDI, count), v = c->s.gpr[RAX], left;
    u8 *to;

    if (n < 2 || s->step < 0 || x86_watching(c))
        return 0;
    to = x86_host(c, string_target(s, true), (u32)(n * s->size), true, ACCESS_CPL);
    if (!to)
        return 0;
    left = n;
    switch (s->size) {
    case 1:
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(left) : "a"(v) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosw" : "+D"(to), "+c"(left) : "a"(v) : "memory");
        break;
    case 4:
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(left) : "a"(v) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(left) : "a"(v) : "memory");
    }
    return n;
}

/* RIP moves on when nothing is left to do. */
static void string_end(const struct string *s, bool done)
{
    if (done)
        s->c->s.rip = x86_next(s->c, s->in);
}

void op_movs(struct x86_cpu *c, const struct x86_insn *in)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s);

    while (n) {
        u64 done = s.rep && string_goes_on(&s) ? string_fast_move(&s, n) : 0;

        if (!done) {
            u64 v = x86_read(c, string_source(&s), s.size, ACCESS_CPL);

            x86_write(c, string_target(&s, true), s.size, v, ACCESS_CPL);
            done = 1;
        }
        string_advance(&s, true, true, done);
        n -= done;
        if (!string_goes_on(&s))
            break;
    }
    string_end(&s, !n);
}

void op_stos(struct x86_cpu *c, const struct x86_insn *in)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s);

    while (n) {
        u64 done = s.rep && string_goes_on(&s) ? string_fast_fill(&s, n) : 0;

        if (!done) {
            x86_write(c, string_target(&s, true), s.size, gpr_get(c, RAX, s.size), ACCESS_CPL);
            done = 1;
        }
        string_advance(&s, false, true, done);
        n -= done;
        if (!string_goes_on(&s))
            break;
    }
    string_end(&s, !n);
}

void op_lods(struct x86_cpu *c, const struct x86_insn *in)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s);

    while (n) {
        gpr_put(c, RAX, s.size, x86_read(c, string_source(&s), s.size, ACCESS_CPL));
        string_advance(&s, true, false, 1);
        n--;
        if (!string_goes_on(&s))
            break;
    }
    string_end(&s, !n);
}

static u64 string_compare_flags(u64 a, u64 b, u32 size)
{
    u64 r = (a - b) & op_mask(size), over = (a ^ b) & (a ^ r) & op_sign(size);

    return op_szp(r, size) | (a < b ? FLAG_CF : 0) | (over ? FLAG_OF : 0) | ((a ^ b ^ r) & FLAG_AF);
}

/*
 * CMPS compares [source] with [target], SCAS the accumulator.  The flags change at the end
 * only: whoever looks in between, after a fault or a single step, finds them as they were.
 */
static void string_compare(struct x86_cpu *c, const struct x86_insn *in, bool source)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s), flags = c->s.rflags;
    bool stop = false;

    while (n && !stop) {
        u64 a =
            source ? x86_read(c, string_source(&s), s.size, ACCESS_CPL) : gpr_get(c, RAX, s.size);
        u64 b = x86_read(c, string_target(&s, false), s.size, ACCESS_CPL);

        flags = string_compare_flags(a, b, s.size);
        string_advance(&s, source, true, 1);
        n--;
        stop = s.rep && (a == b) == !!(in->flags & INSN_REPNE);
        if (!string_goes_on(&s))
            break;
    }
    if (!n || stop)
        op_flags(c, FLAGS_ARITH, flags);
    string_end(&s, !n || stop);
}

void op_cmps(struct x86_cpu *c, const struct x86_insn *in)
{
    string_compare(c, in, true);
}

void op_scas(struct x86_cpu *c, const struct x86_insn *in)
{
    string_compare(c, in, false);
}

/* MOVSD and CMPSD are strings, or SSE2 on scalars. */
void op_movsd(struct x86_cpu *c, const struct x86_insn *in)
{
    if (in->flags & INSN_STRING)
        op_movs(c, in);
    else
        op_vector(c, in);
}

void op_cmpsd(struct x86_cpu *c, const struct x86_insn *in)
{
    if (in->flags & INSN_STRING)
        op_cmps(c, in);
    else
        op_vector(c, in);
}

/* ---- INS, OUTS: one element a call ---- */

/* A port that takes and gives whole registers does all of a REP itself. */
static bool string_port(struct x86_cpu *c, const struct string *s, bool out)
{
    if (!c->io->port || !c->io->port(c->io->arg, &c->s, (u16)c->s.gpr[RDX], s->size, out))
        return false;
    string_end(s, true);
    return true;
}

/*
 * A persona's port that takes a stream: what lies in one page at a time.  The page is checked
 * before the port is asked, so nothing is lost when it faults.
 */
static bool string_bulk(struct x86_cpu *c, const struct string *s, u64 n, bool out)
{
    const struct cpu_io *io = c->io;
    u16 port = (u16)c->s.gpr[RDX];
    u8 seg = out ? s->in->seg : SEG_ES, bytes[STRING_PAGE];

    if (s->size != 1 || s->step < 0 || !io->bulk ||
        !io->bulk(io->arg, &c->s, port, out, NULL, (u32)min_u64(n, ~0u)))
        return false;
    while (n) {
        u64 off = c->s.gpr[out ? RSI : RDI] & s->mask;
        u64 lin = x86_linear(c, seg, off, 1, !out);
        u32 len = (u32)min_u64(min_u64(n, STRING_PAGE - (lin & (STRING_PAGE - 1))), s->mask - off);

        len = len ? len : 1;
        x86_linear(c, seg, off + len - 1, 1, !out);
        if (out)
            x86_read_bytes(c, lin, bytes, len, ACCESS_CPL);
        else
            x86_probe_write(c, lin, len, ACCESS_CPL);
        io->bulk(io->arg, &c->s, port, out, bytes, len);
        if (!out)
            x86_write_bytes(c, lin, bytes, len, ACCESS_CPL);
        string_advance(s, out, !out, len);
        n -= len;
        if (!string_goes_on(s))
            break;
    }
    string_end(s, !n);
    return true;
}

void op_ins(struct x86_cpu *c, const struct x86_insn *in)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s), lin, v;
    u16 port = (u16)c->s.gpr[RDX];

    if (n && (string_bulk(c, &s, n, false) || string_port(c, &s, false)))
        return;
    x86_check_io(c, port, s.size);
    while (n) {
        lin = string_target(&s, true);
        x86_probe_write(c, lin, s.size, ACCESS_CPL); /* a port must not be read in vain */
        v = c->io->in(c->io->arg, port, s.size);
        x86_write(c, lin, s.size, v, ACCESS_CPL);
        string_advance(&s, false, true, 1);
        n--;
        if (!string_goes_on(&s))
            break;
    }
    string_end(&s, !n);
}

void op_outs(struct x86_cpu *c, const struct x86_insn *in)
{
    struct string s = string_begin(c, in);
    u64 n = string_count(&s), v;
    u16 port = (u16)c->s.gpr[RDX];

    if (n && (string_bulk(c, &s, n, true) || string_port(c, &s, true)))
        return;
    x86_check_io(c, port, s.size);
    while (n) {
        v = x86_read(c, string_source(&s), s.size, ACCESS_CPL);
        c->io->out(c->io->arg, port, s.size, v);
        string_advance(&s, true, false, 1);
        n--;
        if (!string_goes_on(&s))
            break;
    }
    string_end(&s, !n);
}
