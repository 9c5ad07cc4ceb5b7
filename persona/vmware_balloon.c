/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's balloon: port 0x5670.  The guest's driver asks once a second how many pages it should
 * give, and names those that it gives ("lock") or wants back ("unlock"), one by one or by a page
 * of entries.  What is given goes back to the host at once and reads as zeroes afterwards.
 * After Linux' drivers/misc/vmw_balloon.c.  Left out: the doorbell that saves the asking.
 */
#include "base/bytes.h"
#include "persona/vmware_int.h"

enum {
    BALLOON_START,
    BALLOON_TARGET,
    BALLOON_LOCK,
    BALLOON_UNLOCK,
    BALLOON_GUEST_ID,
    BALLOON_LOCK_BATCH = 6,
    BALLOON_UNLOCK_BATCH,
    BALLOON_LOCK_BATCH_2M,
    BALLOON_UNLOCK_BATCH_2M,
};
enum {
    BALLOON_OK,
    BALLOON_INVALID,
    BALLOON_PPN_INVALID,
    BALLOON_RESET = 7,
    BALLOON_FEATURES_FOLLOW = 0x03000000,
};
enum { FEATURE_BASIC = 2, FEATURE_BATCH = 4, FEATURE_2M = 8, FEATURE_WIDE = 32 };
enum { PAGE = 4096, PAGE_2M = 512, BATCH = PAGE / 8 };

static void balloon_start(struct vmware *v, struct x86_state *s)
{
    struct vmware_state *st = &v->state;
    u32 offered = FEATURE_BASIC | FEATURE_BATCH | FEATURE_2M | FEATURE_WIDE;

    st->balloon_features = (u32)s->gpr[RBX] & offered;
    st->balloon_on = true;
    st->balloon_pages = 0;
    s->gpr[RAX] = BALLOON_FEATURES_FOLLOW;
    s->gpr[RCX] = st->balloon_features;
}

static u32 balloon_move(struct vmware *v, u64 pfn, u64 pages, bool lock)
{
    struct vmware_state *st = &v->state;
    struct gmem *ram = machine_ram(v->persona.machine);

    if (pfn >= 1ull << 40)
        return BALLOON_PPN_INVALID;
    if (lock ? gmem_give(ram, pfn * PAGE, pages * PAGE) : !gmem_has(ram, pfn * PAGE, pages * PAGE))
        return BALLOON_PPN_INVALID;
    if (lock)
        st->balloon_pages += pages;
    else
        st->balloon_pages -= min_u64(pages, st->balloon_pages);
    return BALLOON_OK;
}

/* A page of entries: the frame in bits 12 and up; its status comes back in the low ones. */
static u32 balloon_batch(struct vmware *v, u64 pfn, u64 n, u64 pages, bool lock)
{
    struct gmem *ram = machine_ram(v->persona.machine);
    u8 entries[PAGE];

    if (pfn >= 1ull << 40 || n > BATCH || gmem_read(ram, pfn * PAGE, entries, n * 8))
        return BALLOON_INVALID;
    for (u32 i = 0; i < n; i++) {
        u64 entry = le64(entries + 8 * i) & ~(u64)(PAGE - 1);

        put_le64(entries + 8 * i, entry | balloon_move(v, entry / PAGE, pages, lock));
    }
    gmem_write(ram, pfn * PAGE, entries, n * 8);
    return BALLOON_OK;
}

static u32 balloon_call(struct vmware *v, u32 command, u64 a, u64 b)
{
    switch (command) {
    case BALLOON_TARGET:
    case BALLOON_GUEST_ID:
        return BALLOON_OK;
    case BALLOON_LOCK:
    case BALLOON_UNLOCK:
        return balloon_move(v, a, 1, command == BALLOON_LOCK);
    case BALLOON_LOCK_BATCH:
    case BALLOON_UNLOCK_BATCH:
        return balloon_batch(v, a, b, 1, command == BALLOON_LOCK_BATCH);
    case BALLOON_LOCK_BATCH_2M:
    case BALLOON_UNLOCK_BATCH_2M:
        return balloon_batch(v, a, b, PAGE_2M, command == BALLOON_LOCK_BATCH_2M);
    default:
        return BALLOON_INVALID;
    }
}

void vmware_balloon(struct vmware *v, struct x86_state *s)
{
    struct vmware_state *st = &v->state;
    u64 a = s->gpr[RBX], b = s->gpr[RSI];
    u32 command = (u32)s->gpr[RCX];

    if (command == BALLOON_START) {
        balloon_start(v, s);
        return;
    }
    if (!(st->balloon_features & FEATURE_WIDE))
        a = (u32)a, b = (u32)b;
    s->gpr[RAX] = st->balloon_on ? balloon_call(v, command, a, b) : BALLOON_RESET;
    s->gpr[RBX] = v->tools ? vmtools_balloon_target(v->tools) : 0;
    if (!(st->balloon_features & FEATURE_WIDE))
        s->gpr[RBX] = (u32)min_u64(s->gpr[RBX], ~0u);
    if (v->tools)
        vmtools_balloon_told(v->tools, st->balloon_pages);
}
