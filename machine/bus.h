/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_BUS_H
#define MACHINE_BUS_H
#include "base/err.h"
#include "base/types.h"

/*
 * An address space: port I/O or memory-mapped I/O.  Regions are added where nobody is; one
 * that a guest moves onto others shows only where they leave room: the first made wins.  The
 * table that vCPUs look in never changes: a new one takes its place, so a lookup needs no
 * lock.  Changes asked for inside a handler are allowed and take effect for the next access.
 *
 * Handlers see naturally aligned accesses of a width between min and max.  A wider access is
 * split, from low to high; a narrower load is cut out of a wider one, a narrower store has
 * zeroes around it.
 */
struct device;

struct region {
    const char *name;
    u64 base, len;
    u8 min, max; /* widths the handlers take; other widths are split or widened for them */
    u64 (*load)(struct device *d, u32 off, u32 size);
    void (*store)(struct device *d, u32 off, u32 size, u64 val);
    struct device *dev;
    u32 index;     /* for the bus that made the region; handlers find theirs by offset */
    bool unlocked; /* handlers do their own locking (interrupt controllers) */
    bool unaligned; /* accesses between min and max come whole, wherever they are */
};

struct space;
int space_new(struct space **s, const char *name, struct err *e);
void space_free(struct space *s);
/* Copies *r.  id names it afterwards.  -EEXIST says with whom it collides. */
int space_add(struct space *s, const struct region *r, u32 *id, struct err *e);
void space_move(struct space *s, u32 id, u64 to); /* ~0: out of sight */
void space_drop(struct space *s, u32 id);
u64 space_at(struct space *s, u32 id); /* where it is now; ~0: out of sight */

u64 space_load(struct space *s, u64 addr, u32 size); /* nobody there: all ones, counted */
void space_store(struct space *s, u64 addr, u32 size, u64 val);
/* Those in sight, base as it is now; answers how many there are. */
u32 space_regions(struct space *s, struct region *r, u32 room);
bool space_has(struct space *s, u64 addr); /* does a region cover it? */
#endif
