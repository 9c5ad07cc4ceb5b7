/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * REP MOVS and REP STOS upwards in flat address spaces: page by page with the host's own
 * instruction on the host's memory.  What has no entry in the TLB and gets none, and an element
 * that crosses pages, is left to the interpreter, with RIP still at the instruction.
 */
#include "engine/translate/translate_int.h"

/* Elements from lin on that lie in its page. */
static u64 string_room(u64 lin, u32 size)
{
    return (PAGE - (lin & (PAGE - 1))) / size;
}

/* The TLB's entry for lin, filled if need be; NULL: only the interpreter can do it. */
static const struct tlb_entry *string_entry(struct vcpu *v, u64 lin, bool write)
{
    const struct tlb_entry *t = &v->tlb[mode_set(v->mode)][lin >> 12 & (TLB_SIZE - 1)];
    u64 page = lin & -(u64)PAGE;

    if ((write ? t->write : t->read) != page && !tlb_fill(v, lin, write))
        return NULL;
    return t;
}

static void string_fill(u8 *to, u64 n, u64 val, u32 size)
{
    switch (size) {
    case 1:
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(val) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(val) : "memory");
        break;
    case 4:
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(val) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(val) : "memory");
    }
}

/* By elements, for the two may overlap. */
static void string_move(u8 *to, const u8 *from, u64 n, u32 size)
{
    switch (size) {
    case 1:
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 2:
        __asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    case 4:
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        break;
    default:
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    }
}

/* At most `count` elements, in one page; 0: not here. */
static u64 string_piece(struct vcpu *v, u32 size, bool move, u64 count)
{
    struct x86_state *s = &v->c.s;
    u64 mask = x86_code64(s) ? ~0ull : 0xffffffff;
    u64 to = s->gpr[RDI] & mask, from = s->gpr[RSI] & mask;
    const struct tlb_entry *source = NULL, *target;
    u64 n = min_u64(count, string_room(to, size)), gpa, addend;

    if (move) {
        n = min_u64(n, string_room(from, size));
        source = n ? string_entry(v, from, false) : NULL;
        if (!source)
            return 0;
    }
    target = n ? string_entry(v, to, true) : NULL;
    if (!target || (source && source->read != (from & -(u64)PAGE)))
        return 0;
    gpa = (target->gpa & -(u64)PAGE) | (to & (PAGE - 1));
    addend = target->addend;
    if (move)
        string_move((u8 *)(uintptr_t)(to + addend), (u8 *)(uintptr_t)(from + source->addend), n,
                    size);
    else
        string_fill((u8 *)(uintptr_t)(to + addend), n, s->gpr[RAX], size);
    atomic_thread_fence(memory_order_seq_cst);
    cache_wrote(v->engine, gpa, n * size); /* if it became code meanwhile */
    s->gpr[RDI] = (to + n * size) & mask;
    if (move)
        s->gpr[RSI] = (from + n * size) & mask;
    s->gpr[RCX] = ((s->gpr[RCX] & mask) - n) & mask;
    return n;
}

bool string_step(struct vcpu *v, u32 size, bool move, u64 next)
{
    struct x86_state *s = &v->c.s;
    u64 mask = x86_code64(s) ? ~0ull : 0xffffffff, count = s->gpr[RCX] & mask;

    if (s->rflags & FLAG_DF)
        return false;
    while (count) {
        u64 n = string_piece(v, size, move, count);

        if (!n)
            return false;
        count -= n;
        if (count && atomic_load_explicit(&v->c.pending, memory_order_relaxed))
            return true; /* goes on behind what waits */
    }
    s->rip = next;
    return true;
}
