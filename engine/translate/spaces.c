/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces that CR3 leaves and comes back to (PCID, Intel SDM volume 3A, 4.10.1): what
 * the tables knew of one is kept beside them and put back, as long as nothing was flushed
 * that it might be of.  Ring 3's jumps, and what is not global of the TLB's sets with user pages.
 */
#include "engine/translate/translate_int.h"

static struct left_space *space_of(struct vcpu *v, u64 cr3)
{
    return &v->space[cr3 & (LEFT_SPACES - 1)];
}

static void space_save_set(struct vcpu *v, struct left_space *s, u32 set)
{
    for (u32 w = 0; w < USED_TLB; w++) {
        for (u64 used = v->tlb_used[set][w]; used; used &= used - 1) {
            u32 first = (w * 64 + (u32)__builtin_ctzll(used)) * USED_GROUP;

            for (u32 at = first; at < first + USED_GROUP; at++) {
                const struct tlb_entry *e = &v->tlb[set][at];

                if (e->read == TLB_NONE || e->gpa & 1 || s->ntlb == LEFT_TLB)
                    continue;
                s->tlb[s->ntlb].set = set;
                s->tlb[s->ntlb].at = at;
                s->tlb[s->ntlb++].e = *e;
            }
        }
    }
}

static void space_save_jumps(struct vcpu *v, struct left_space *s)
{
    const struct fill_log *l = &v->jump_log[0];
    const u8 *none = engine_rx(v->engine, v->engine->no_jump);
    u32 n = (u32)min_u64(l->n, LOG_SIZE);

    for (u32 i = n; i-- && s->njump < LEFT_JUMPS;) {
        const struct jump *j = &v->jumps[jump_first(0) + l->at[i]];
        struct jump now = { .pc = __atomic_load_n(&j->pc, __ATOMIC_ACQUIRE), .host = j->host };

        if (now.host != none && !(now.pc >> 63))
            s->jump[s->njump++] = now;
    }
}

void spaces_save(struct vcpu *v, u64 cr3)
{
    struct left_space *s = space_of(v, cr3);

    s->cr3 = cr3;
    s->kills = atomic_load(&v->engine->kills);
    s->mode = v->slot_mode[0];
    s->ntlb = s->njump = 0;
    space_save_set(v, s, 0);
    space_save_set(v, s, 2);
    space_save_jumps(v, s);
}

void spaces_restore(struct vcpu *v)
{
    struct left_space *s = space_of(v, v->c.s.cr3);
    struct engine *g = v->engine;

    if (s->cr3 != v->c.s.cr3)
        return;
    s->cr3 = 0;
    for (u32 i = 0; i < s->ntlb; i++)
        tlb_put(v, s->tlb[i].set, s->tlb[i].at, &s->tlb[i].e);
    if (s->kills != atomic_load(&g->kills) || s->mode != v->slot_mode[0])
        return;
    for (u32 i = s->njump; i--;)
        jump_put(v, 0, &s->jump[i]);
    atomic_thread_fence(memory_order_seq_cst);
    if (s->kills != atomic_load(&g->kills)) /* one of them may have died meanwhile */
        for (u32 i = 0; i < s->njump; i++)
            jump_drop(v, s->jump[i].pc, s->jump[i].host);
}

void spaces_drop(struct vcpu *v, bool all)
{
    for (u32 i = 0; i < LEFT_SPACES; i++)
        if (all || !((v->space[i].cr3 ^ v->c.s.cr3) & 0xfff))
            v->space[i].cr3 = 0;
}
