/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory slots: what the CPU reaches without a device, RAM included. */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_HIGH 0x100000000u
enum { SLOT_SHADOW = 0xc0000, SLOT_SHADOW_END = 0x100000, SLOT_VGA = 0xa0000 };
static const u64 SLOT_HIDDEN = ~(u64)0;

static void slot_changed(struct machine *m)
{
    if (!domain_slots_later(m) && m->cpus.slots)
        m->cpus.slots(m->cpus.arg);
}

int machine_slot_add(struct machine *m, const struct machine_slot *s, u32 *id, struct err *e)
{
    u32 i;

    if (!s->len || s->len % 4096 || (s->gpa != SLOT_HIDDEN && s->gpa % 4096))
        return err_set(e, -EINVAL, "a memory slot of %llu bytes is not whole pages",
                       (unsigned long long)s->len);
    pthread_mutex_lock(&m->slots.lock);
    for (i = 0; i < SLOTS_MAX && m->slots.used[i]; i++)
        continue;
    if (i < SLOTS_MAX) {
        m->slots.slot[i] = *s;
        m->slots.used[i] = true;
    }
    pthread_mutex_unlock(&m->slots.lock);
    if (i == SLOTS_MAX)
        return err_set(e, -ENOSPC, "more than %d memory slots", SLOTS_MAX);
    if (id)
        *id = i;
    slot_changed(m);
    return 0;
}

void machine_slot_move(struct machine *m, u32 id, u64 gpa)
{
    bool changed;

    pthread_mutex_lock(&m->slots.lock);
    changed = m->slots.slot[id].gpa != gpa;
    m->slots.slot[id].gpa = gpa;
    pthread_mutex_unlock(&m->slots.lock);
    if (changed)
        slot_changed(m);
}

void machine_slot_drop(struct machine *m, u32 id)
{
    pthread_mutex_lock(&m->slots.lock);
    m->slots.used[id] = false;
    pthread_mutex_unlock(&m->slots.lock);
    slot_changed(m);
}

void machine_shadow(struct machine *m, u64 gpa, u64 len, bool writable)
{
    bool changed = false;

    if (gpa < SLOT_SHADOW || !range_ok(gpa - SLOT_SHADOW, len, SLOT_SHADOW_END - SLOT_SHADOW))
        return;
    pthread_mutex_lock(&m->slots.lock);
    for (u64 at = gpa - SLOT_SHADOW; at < gpa - SLOT_SHADOW + len; at += SHADOW_GRAIN) {
        changed |= m->slots.writable[at / SHADOW_GRAIN] != writable;
        m->slots.writable[at / SHADOW_GRAIN] = writable;
    }
    pthread_mutex_unlock(&m->slots.lock);
    if (changed)
        slot_changed(m);
}

void slots_shadow(struct machine *m, bool writable[SHADOW_PARTS])
{
    pthread_mutex_lock(&m->slots.lock);
    memcpy(writable, m->slots.writable, sizeof(m->slots.writable));
    pthread_mutex_unlock(&m->slots.lock);
}

void slots_shadow_put(struct machine *m, const bool writable[SHADOW_PARTS])
{
    pthread_mutex_lock(&m->slots.lock);
    memcpy(m->slots.writable, writable, sizeof(m->slots.writable));
    pthread_mutex_unlock(&m->slots.lock);
    slot_changed(m);
}

int machine_ram_clear(struct machine *m, struct err *e)
{
    return gmem_clear(&m->ram, e);
}

int machine_ram_over(struct machine *m, u64 at, u64 len, int fd, u64 off, struct err *e)
{
    return gmem_over(&m->ram, at, len, fd, off, e);
}

void machine_ram_ready(struct machine *m)
{
    gmem_alone(&m->ram);
    slot_changed(m);
}

bool machine_ram_want(struct machine *m, u64 gpa)
{
    return gmem_want(&m->ram, gpa);
}

void machine_ram_share(struct machine *m)
{
    gmem_share(&m->ram);
}

u64 machine_low_ram(const struct machine *m)
{
    return m->ram.low;
}

static struct machine_slot slot_ram(const struct gmem *g, u64 gpa, u64 at, u64 len)
{
    return (struct machine_slot){ .gpa = gpa,
                                  .len = len,
                                  .host = g->host + at,
                                  .shared = true,
                                  .fd = g->fd,
                                  .at = at,
                                  .apart = g->apart };
}

/* All slots that there would be if none overlapped; RAM first, so that it wins. */
static u32 slot_list(const struct machine *m, struct machine_slot *all)
{
    const struct gmem *g = &m->ram;
    u32 n = 0;

    all[n++] = slot_ram(g, 0, 0, SLOT_VGA);
    for (u32 i = 0, end; i < SHADOW_PARTS; i = end) {
        u64 at = (u64)i * SHADOW_GRAIN;

        for (end = i + 1; end < SHADOW_PARTS; end++)
            if (m->slots.writable[end] != m->slots.writable[i])
                break;
        all[n] = slot_ram(g, SLOT_SHADOW + at, SLOT_SHADOW + at, (u64)(end - i) * SHADOW_GRAIN);
        all[n++].readonly = !m->slots.writable[i];
    }
    if (g->low > SLOT_SHADOW_END)
        all[n++] = slot_ram(g, SLOT_SHADOW_END, SLOT_SHADOW_END, g->low - SLOT_SHADOW_END);
    if (g->size > g->low)
        all[n++] = slot_ram(g, SLOT_HIGH, g->low, g->size - g->low);
    for (u32 i = 0; i < SLOTS_MAX; i++)
        if (m->slots.used[i] && m->slots.slot[i].gpa != SLOT_HIDDEN)
            all[n++] = m->slots.slot[i];
    return n;
}

u32 machine_slots(struct machine *m, struct machine_slot *s, u32 room)
{
    struct machine_slot all[SLOTS_MAX + SHADOW_PARTS + 3];
    struct cover c = { 0 };
    u32 n;

    pthread_mutex_lock(&m->slots.lock);
    n = slot_list(m, all);
    pthread_mutex_unlock(&m->slots.lock);
    for (u32 i = 0; i < n; i++)
        if (cover_add(&c, all[i].gpa, all[i].len, i))
            break; /* no memory: the later ones are not seen */
    for (u32 i = 0; i < c.n && i < room; i++) {
        const struct cover_part *p = &c.part[i];
        const struct machine_slot *from = &all[p->id];

        s[i] = *from;
        s[i].gpa = p->base;
        s[i].len = p->last - p->base + 1;
        s[i].host = (u8 *)from->host + (p->base - from->gpa);
        s[i].at += p->base - from->gpa;
    }
    n = c.n;
    free(c.part);
    return n;
}
