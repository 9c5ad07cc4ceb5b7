/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts: raising, classes of double faults, and delivery through the
 * real-mode table, 16- and 32-bit gates, task gates and the 64-bit table.  Intel SDM volume
 * 3A chapter 6, for virtual 8086 mode 20.3.
 */
#include "engine/x86/x86_int.h"
#include <string.h>

struct event {
    u8 vector;
    bool soft;            /* INT n, INT3, INTO: the gate's DPL counts, no EXT bit */
    bool has_code, fault; /* fault: RF is set in the saved flags */
    u32 code;
    u64 next; /* RIP to save */
};

/* ---- raising ---- */

static _Noreturn void event_escape(struct x86_cpu *c)
{
    longjmp(*c->escape, 1);
}

void x86_raise(struct x86_cpu *c, u8 vector)
{
    c->fault = (struct x86_fault){ .vector = vector };
    event_escape(c);
}

void x86_raise_code(struct x86_cpu *c, u8 vector, u32 code)
{
    c->fault = (struct x86_fault){ .vector = vector, .has_code = true, .code = code };
    event_escape(c);
}

void x86_raise_page(struct x86_cpu *c, u64 lin, u32 code)
{
    c->fault =
        (struct x86_fault){ .vector = VEC_PF, .has_code = true, .code = code, .address = lin };
    event_escape(c);
}

bool x86_guard(struct x86_cpu *c, void (*fn)(struct x86_cpu *c, void *arg), void *arg)
{
    jmp_buf here, *outer = c->escape;
    struct x86_restart restart = c->restart;
    volatile bool ok = true;

    x86_keep(c);
    c->escape = &here;
    if (!setjmp(here)) {
        fn(c, arg);
    } else {
        x86_put_back(c);
        ok = false;
    }
    c->escape = outer;
    c->restart = restart;
    return ok;
}

/* ---- debug registers: SDM 3B 17.2 ---- */

static bool event_enabled(const struct x86_cpu *c, u32 i)
{
    return c->s.dr[7] >> 2 * i & 3;
}

void x86_check_breakpoint(struct x86_cpu *c)
{
    u64 lin = c->s.rip, hit = 0;

    if ((c->s.rflags & FLAG_RF) || c->s.shadow_ss)
        return;
    if (!x86_code64(&c->s))
        lin = (u32)(lin + c->s.seg[SEG_CS].base);
    for (u32 i = 0; i < 4; i++)
        if (event_enabled(c, i) && !(c->s.dr[7] >> (16 + 4 * i) & 0xf) && c->s.dr[i] == lin)
            hit |= 1u << i;
    if (!hit)
        return;
    /* as a trap: RF in the saved flags stays 0, SDM 17.3.1.1 */
    c->fault = (struct x86_fault){ .vector = VEC_DB, .trap = true, .dr6 = hit };
    event_escape(c);
}

void x86_watch(struct x86_cpu *c, u64 at, u32 size, bool write, bool port)
{
    static const u8 length[4] = { 1, 2, 8, 4 };

    for (u32 i = 0; i < 4; i++) {
        u32 kind = c->s.dr[7] >> (16 + 4 * i) & 3, n = length[c->s.dr[7] >> (18 + 4 * i) & 3];
        u64 first = c->s.dr[i] & ~(u64)(n - 1);

        if (!event_enabled(c, i) || kind == 0)
            continue;
        if (port ? kind != 2 || !(c->s.cr4 & CR4_DE) : kind != 3 && !(kind == 1 && write))
            continue;
        if (at < first ? first - at < size : at - first < n)
            c->debug |= 1u << i;
    }
}

/* ---- real mode ---- */

static void event_real(struct x86_cpu *c, const struct event *e)
{
    struct x86_stack k = x86_stack_here(c);
    struct x86_state *s = &c->s;
    u64 v;

    if (e->vector * 4u + 3 > s->idtr.limit)
        x86_raise_code(c, VEC_GP, 0);
    v = x86_read(c, s->idtr.base + e->vector * 4u, 4, ACCESS_SYSTEM);
    x86_stack_push(c, &k, 2, s->rflags);
    x86_stack_push(c, &k, 2, s->seg[SEG_CS].sel);
    x86_stack_push(c, &k, 2, e->next);
    x86_stack_commit(c, &k);
    x86_set_real_segment(c, SEG_CS, (u16)(v >> 16));
    s->rip = (u16)v;
    s->rflags &= ~(u64)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
}

bool x86_v86_interrupt(struct x86_cpu *c, u8 vector, u64 next)
{
    struct x86_stack k = x86_stack_here(c);
    struct x86_state *s = &c->s;
    bool low = (s->rflags & FLAG_IOPL) != FLAG_IOPL;
    const struct x86_segment *tr = &s->seg[SEG_TR];
    u64 v, flags = s->rflags;
    bool redirect = false;
    u32 map;

    if ((s->cr4 & CR4_VME) && (tr->attr & 8) && tr->limit >= 0x67) {
        map = (u32)x86_read(c, tr->base + 0x66, 2, ACCESS_SYSTEM);
        if (map >= 32 && map - 32 + vector / 8 <= tr->limit)
            redirect =
                !(x86_read(c, tr->base + map - 32 + vector / 8, 1, ACCESS_SYSTEM) >> (vector & 7) &
                  1);
    }
    if (!redirect) {
        if (low)
            x86_raise_code(c, VEC_GP, 0);
        return false;
    }
    if (low)
        flags = (flags & ~(u64)FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
    v = x86_read(c, vector * 4u, 4, ACCESS_USER);
    x86_stack_push(c, &k, 2, flags);
    x86_stack_push(c, &k, 2, s->seg[SEG_CS].sel);
    x86_stack_push(c, &k, 2, next);
    x86_stack_commit(c, &k);
    x86_set_real_segment(c, SEG_CS, (u16)(v >> 16));
    s->rip = (u16)v;
    s->rflags &= ~(u64)(FLAG_TF | FLAG_RF | FLAG_NT | (low ? FLAG_VIF : FLAG_IF));
    c->single = false;
    x86_mode_changed(c);
    return true;
}

/* ---- gates ---- */

static u32 event_gate_code(const struct x86_cpu *c, const struct event *e)
{
    return e->vector * 8u + 2 + c->external;
}

/* Checks that a gate for the vector may be used: all modes. */
static void event_gate(struct x86_cpu *c, const struct event *e, struct x86_descriptor *d)
{
    u32 size = x86_long(&c->s) ? 16 : 8;
    u64 at = c->s.idtr.base + e->vector * size;
    u32 type;

    if (e->vector * size + size - 1 > c->s.idtr.limit)
        x86_raise_code(c, VEC_GP, event_gate_code(c, e));
    *d = (struct x86_descriptor){ .at = at };
    d->low = x86_read(c, at, 8, ACCESS_SYSTEM);
    if (size == 16)
        d->high = (u32)x86_read(c, at + 8, 8, ACCESS_SYSTEM);
    type = desc_type(d);
    if (!desc_system(d) ||
        (type != DESC_INT && type != DESC_TRAP &&
         (size == 16 || (type != DESC_INT16 && type != DESC_TRAP16 && type != DESC_TASK))))
        x86_raise_code(c, VEC_GP, event_gate_code(c, e));
    if (e->soft && desc_dpl(d) < x86_cpl(&c->s))
        x86_raise_code(c, VEC_GP, event_gate_code(c, e));
    if (!desc_present(d))
        x86_raise_code(c, VEC_NP, event_gate_code(c, e));
}

/* The code segment behind a gate; answers the level that the handler runs at. */
static u32 event_code(struct x86_cpu *c, u16 sel, struct x86_descriptor *cs)
{
    u32 cpl = x86_cpl(&c->s);

    if (!(sel & ~3))
        x86_raise_zero(c, VEC_GP);
    x86_descriptor_get(c, sel, VEC_GP, cs);
    if (!desc_is_code(cs) || desc_dpl(cs) > cpl)
        x86_raise_sel(c, VEC_GP, sel);
    if (x86_long(&c->s) && (!desc_long(cs) || desc_db(cs)))
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_present(cs))
        x86_raise_sel(c, VEC_NP, sel);
    if (!desc_conforming(cs))
        cpl = desc_dpl(cs);
    if (x86_v86(&c->s) && cpl)
        x86_raise_sel(c, VEC_GP, sel);
    return cpl;
}

static u64 event_flags(const struct x86_cpu *c, const struct event *e)
{
    return e->fault ? c->s.rflags | FLAG_RF : c->s.rflags;
}

static void event_enter(struct x86_cpu *c, struct x86_descriptor *cs, u32 cpl, u64 rip,
                        bool interrupt)
{
    x86_load_cs(c, cs, cpl);
    c->s.rip = rip;
    c->s.rflags &= ~(u64)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (interrupt ? FLAG_IF : 0));
}

static void event_task(struct x86_cpu *c, const struct event *e, const struct x86_descriptor *gate)
{
    struct x86_descriptor tss;
    struct x86_stack k;
    u16 sel = (u16)(gate->low >> 16);

    if ((sel & 4) || !x86_descriptor_read(c, sel, &tss))
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_system(&tss) || (desc_type(&tss) & 7) != DESC_TSS16)
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_present(&tss))
        x86_raise_sel(c, VEC_NP, sel);
    c->s.rflags = event_flags(c, e);
    x86_task_switch(c, &tss, TASK_EVENT, e->next);
    if (!e->has_code)
        return;
    k = x86_stack_here(c);
    x86_stack_push(c, &k, desc_type(&tss) & 8 ? 4 : 2, e->code);
    x86_stack_commit(c, &k);
}

static void event_push_v86(struct x86_cpu *c, struct x86_stack *k, u32 size)
{
    static const u8 order[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

    for (u32 i = 0; i < LEN(order); i++)
        x86_stack_push(c, k, size, c->s.seg[order[i]].sel);
}

static void event_protected(struct x86_cpu *c, const struct event *e)
{
    struct x86_descriptor gate, cs, ss;
    struct x86_state *s = &c->s;
    bool v86 = x86_v86(s), inner;
    u32 cpl, size;
    struct x86_stack k = x86_stack_here(c);
    u64 rip, sp = 0;
    u16 sel;

    event_gate(c, e, &gate);
    if (desc_type(&gate) == DESC_TASK) {
        event_task(c, e, &gate);
        return;
    }
    size = desc_type(&gate) & 8 ? 4 : 2;
    rip = size == 4 ? (gate.low & 0xffff) | (gate.low >> 32 & 0xffff0000) : gate.low & 0xffff;
    cpl = event_code(c, (u16)(gate.low >> 16), &cs);
    inner = cpl < x86_cpl(s);
    if (inner) {
        x86_stack_inner(c, cpl, &sel, &sp);
        k = (struct x86_stack){ .ss = x86_stack_segment(c, sel, cpl, VEC_TS, &ss),
                                .sp = sp,
                                .access = ACCESS_SYSTEM,
                                .code = sel & ~3u };
    }
    x86_check_rip(c, &cs, rip);
    x86_descriptor_accessed(c, &cs);
    if (v86)
        event_push_v86(c, &k, size);
    if (inner) {
        x86_stack_push(c, &k, size, s->seg[SEG_SS].sel);
        x86_stack_push(c, &k, size, s->gpr[RSP]);
    }
    x86_stack_push(c, &k, size, event_flags(c, e));
    x86_stack_push(c, &k, size, s->seg[SEG_CS].sel);
    x86_stack_push(c, &k, size, e->next);
    if (e->has_code)
        x86_stack_push(c, &k, size, e->code);
    if (v86)
        s->seg[SEG_ES] = s->seg[SEG_DS] = s->seg[SEG_FS] = s->seg[SEG_GS] = x86_null_segment(0, 0);
    s->seg[SEG_SS] = k.ss;
    event_enter(c, &cs, cpl, rip, !(desc_type(&gate) & 1));
    x86_stack_commit(c, &k);
}

static void event_long(struct x86_cpu *c, const struct event *e)
{
    struct x86_descriptor gate, cs;
    struct x86_state *s = &c->s;
    struct x86_stack k = { .sp = s->gpr[RSP], .flat = true };
    u32 cpl, ist;
    u64 rip;

    event_gate(c, e, &gate);
    cpl = event_code(c, (u16)(gate.low >> 16), &cs);
    ist = gate.low >> 32 & 7;
    rip = (gate.low & 0xffff) | (gate.low >> 32 & 0xffff0000) | (u64)gate.high << 32;
    if (!x86_canonical(c, rip))
        x86_raise_zero(c, VEC_GP);
    if (ist || cpl < x86_cpl(s))
        k.sp = x86_stack_rsp(c, ist ? ist + 3 : cpl);
    k.access = cpl == 3 ? ACCESS_USER : ACCESS_SYSTEM;
    k.sp &= ~15ull;
    x86_descriptor_accessed(c, &cs);
    x86_stack_push(c, &k, 8, s->seg[SEG_SS].sel);
    x86_stack_push(c, &k, 8, s->gpr[RSP]);
    x86_stack_push(c, &k, 8, event_flags(c, e));
    x86_stack_push(c, &k, 8, s->seg[SEG_CS].sel);
    x86_stack_push(c, &k, 8, e->next);
    if (e->has_code)
        x86_stack_push(c, &k, 8, e->code);
    if (cpl < x86_cpl(s))
        s->seg[SEG_SS] = x86_null_segment((u16)cpl, cpl);
    event_enter(c, &cs, cpl, rip, !(desc_type(&gate) & 1));
    s->gpr[RSP] = k.sp;
}

static void event_deliver(struct x86_cpu *c, void *arg)
{
    const struct event *e = arg;

    c->external = !e->soft;
    if (x86_real(&c->s))
        event_real(c, e);
    else if (x86_long(&c->s))
        event_long(c, e);
    else
        event_protected(c, e);
    c->external = false;
    c->s.halted = c->s.shadow = c->s.shadow_ss = false;
    x86_mode_changed(c);
}

void x86_software_interrupt(struct x86_cpu *c, u8 vector, u64 next, bool icebp)
{
    struct event e = { .vector = vector, .soft = !icebp, .next = next };

    event_deliver(c, &e);
    c->single = false;
    if (icebp) { /* one #DB for it and what was put off before it */
        c->s.dr[6] |= c->debug;
        c->debug = 0;
    }
}

/* ---- faults on the way: SDM 6.15, double faults ---- */

enum event_class { EVENT_BENIGN, EVENT_CONTRIBUTORY, EVENT_PAGE, EVENT_DOUBLE };

static enum event_class event_class(u8 vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
        return EVENT_CONTRIBUTORY;
    case VEC_PF:
        return EVENT_PAGE;
    case VEC_DF:
        return EVENT_DOUBLE;
    default:
        return EVENT_BENIGN;
    }
}

/* What the fault does to the state before it is delivered, and the event that it becomes. */
static struct event event_of_fault(struct x86_cpu *c)
{
    const struct x86_fault *f = &c->fault;

    if (f->vector == VEC_PF)
        c->s.cr2 = f->address;
    if (f->vector == VEC_DB) {
        c->s.dr[6] = (c->s.dr[6] & ~0xfull) | f->dr6;
        c->s.dr[7] &= ~(1ull << 13);
    }
    return (struct event){ .vector = f->vector,
                           .has_code = f->has_code,
                           .code = f->code,
                           .fault = !f->trap,
                           .next = c->s.rip };
}

static enum x86_stepped event_run(struct x86_cpu *c, struct event e, enum event_class class)
{
    while (!x86_guard(c, event_deliver, &e)) {
        enum event_class second = event_class(c->fault.vector);

        c->external = false;
        if (class == EVENT_DOUBLE)
            return STEP_SHUTDOWN;
        e = event_of_fault(c);
        if ((class == EVENT_CONTRIBUTORY && second == EVENT_CONTRIBUTORY) ||
            (class == EVENT_PAGE && second != EVENT_BENIGN)) {
            e = (struct event){
                .vector = VEC_DF, .has_code = true, .fault = true, .next = c->s.rip
            };
            class = EVENT_DOUBLE;
        } else {
            class = second;
        }
    }
    return STEPPED;
}

enum x86_stepped x86_deliver_fault(struct x86_cpu *c)
{
    struct event e = event_of_fault(c);

    return event_run(c, e, event_class(e.vector));
}

enum x86_stepped x86_interrupt(struct x86_cpu *c, int vector)
{
    struct event e = { .vector = vector == VECTOR_NMI ? VEC_NMI : (u8)vector, .next = c->s.rip };

    c->s.nmi_blocked |= vector == VECTOR_NMI;
    return event_run(c, e, EVENT_BENIGN);
}

enum x86_stepped x86_events(struct x86_cpu *c, bool *stop)
{
    u32 open = x86_open(c);
    int v;

    *stop = false;
    c->window = false;
    atomic_store(&c->pending, 0);
    v = c->io->vector(c->io->arg, open);
    if (v == VECTOR_STOP) {
        *stop = true;
    } else if (v == VECTOR_LATER) {
        c->window = true;
        c->asked = (u8)open;
    } else if (v >= 0 && v <= VECTOR_NMI) {
        atomic_store(&c->pending, 1); /* there may be more */
        return x86_interrupt(c, v);
    }
    return c->s.halted ? STEP_HALT : STEPPED;
}
