/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a standing machine holds, as bytes and back: a unit for the machine itself, then one
 * for each device in the order of their making.
 *
 * A unit is a head, then parts, each a kind of four letters, a length and its bytes.  State
 * goes by field tables; timers, wires, bells are lists in the order in which the device made
 * them.  Wires are put back silently: a sink's own state knows their levels.
 */
#include "base/bytes.h"
#include "machine/machine_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAVE_LIST_MAX = 1024 };

struct save_head {
    char name[32], class[32];
    u32 bytes; /* of the parts */
    u32 pad;
};
static const struct field save_head_fields[] = {
    FIELD_TEXT(1, struct save_head, name, F_MUST, "which one"),
    FIELD_TEXT(2, struct save_head, class, F_MUST, "of what class"),
    FIELD(3, struct save_head, bytes, F_MUST, "length of what follows"),
    FIELD(0, struct save_head, pad, F_LOCAL, "none"),
    FIELD_END,
};

struct save_machine {
    u64 ram, tsc_hz, tsc;
    i64 now;
    u32 cpus, pad;
    bool shadow[SHADOW_PARTS];
    u32 asked, pad2;
};
static const struct field save_machine_fields[] = {
    FIELD(1, struct save_machine, ram, F_MUST, "bytes of memory"),
    FIELD(2, struct save_machine, tsc_hz, F_MUST, "rate of the time stamp counter"),
    FIELD(3, struct save_machine, tsc, F_MUST, "the counter"),
    FIELD_TIME(4, struct save_machine, now, F_MUST, "guest time"),
    FIELD(5, struct save_machine, cpus, F_MUST, "processors"),
    FIELDS(6, struct save_machine, shadow, F_MUST, "which parts of the BIOS area are writable"),
    FIELD(7, struct save_machine, asked, 0, "what the guest asked of the host: reset, power off"),
    FIELD(0, struct save_machine, pad, F_LOCAL, "none"),
    FIELD(0, struct save_machine, pad2, F_LOCAL, "none"),
    FIELD_END,
};

/* ---- units and parts ---- */

struct save_part {
    char kind[5];
    struct span in;
};

static int save_part_begin(struct buf *to, const char *kind, size_t *at)
{
    u8 *h = buf_room(to, 8);

    if (!h)
        return -ENOMEM;
    memcpy(h, kind, strnlen(kind, 4));
    *at = to->len;
    return 0;
}

static void save_part_end(struct buf *to, size_t at)
{
    put_le32(to->p + at - 4, (u32)(to->len - at));
}

static bool save_part_next(struct cursor *c, struct save_part *p)
{
    const u8 *kind = cursor_take(c, 4);

    p->in.len = get_le32(c);
    p->in.p = cursor_take(c, p->in.len);
    if (c->bad)
        return false;
    memcpy(p->kind, kind, 4);
    p->kind[4] = 0;
    return true;
}

/* The head goes in front of parts that are written already. */
static int save_unit(struct buf *to, const char *name, const char *class, const struct buf *parts)
{
    struct save_head h = { .bytes = (u32)parts->len };
    size_t at = to->len;
    int r;

    snprintf(h.name, sizeof(h.name), "%s", name);
    snprintf(h.class, sizeof(h.class), "%s", class);
    if (!buf_room(to, 4))
        return -ENOMEM;
    r = field_save(save_head_fields, &h, to);
    put_le32(to->p + at, (u32)(to->len - at - 4));
    return r ? r : buf_add(to, parts->p, parts->len);
}

static int load_unit(struct cursor *c, struct save_head *h, struct span *parts, struct err *e)
{
    u32 n = get_le32(c);
    const u8 *p = cursor_take(c, n);
    int r;

    memset(h, 0, sizeof(*h));
    if (c->bad)
        return err_set(e, -EBADMSG, "the machine's state is cut short");
    r = field_load(save_head_fields, h, (struct span){ p, n }, e);
    if (r)
        return r;
    parts->len = h->bytes;
    parts->p = cursor_take(c, h->bytes);
    return c->bad ? err_set(e, -EBADMSG, "%s is cut short", h->name) : 0;
}

/* ---- the machine itself ---- */

static int save_machine(struct machine *m, struct buf *parts)
{
    struct save_machine s = { .ram = m->ram.size,
                              .tsc_hz = m->how.tsc_hz,
                              .tsc = machine_tsc(m),
                              .now = machine_now(m),
                              .cpus = m->how.cpus,
                              .asked = atomic_load(&m->asked) };
    size_t at;
    int r = save_part_begin(parts, "stat", &at);

    slots_shadow(m, s.shadow);
    r = r ? r : field_save(save_machine_fields, &s, parts);
    if (!r)
        save_part_end(parts, at);
    return r;
}

static int load_machine(struct machine *m, struct span parts, struct err *e)
{
    struct save_machine s = { 0 };
    struct cursor c = cursor_of(parts.p, parts.len);
    struct save_part p;
    int r;

    if (!save_part_next(&c, &p) || strcmp(p.kind, "stat") || c.at != c.len)
        return err_set(e, -EBADMSG, "the machine's own state is not there");
    r = field_load(save_machine_fields, &s, p.in, e);
    if (r)
        return r;
    if (s.ram != m->ram.size || s.cpus != m->how.cpus || s.tsc_hz != m->how.tsc_hz)
        return err_set(e, -EINVAL,
                       "it was saved with %llu MiB, %u processors and a counter of %llu Hz, not "
                       "%llu MiB, %u, %llu Hz",
                       (unsigned long long)s.ram >> 20, s.cpus, (unsigned long long)s.tsc_hz,
                       (unsigned long long)m->ram.size >> 20, m->how.cpus,
                       (unsigned long long)m->how.tsc_hz);
    if (s.now < 0 || s.now > INT64_MAX / 4)
        return err_set(e, -EBADMSG, "no clock can stand at %lld", (long long)s.now);
    clock_put(m, s.now, s.tsc);
    slots_shadow_put(m, s.shadow);
    machine_ask_again(m, s.asked);
    return 0;
}

/* ---- devices ---- */

static u32 save_timers(const struct node *n, struct timer **t, u32 room)
{
    u32 count = 0, i;

    for (struct timer *x = n->timers; x; x = timer_next(x))
        count++;
    i = count;
    for (struct timer *x = n->timers; x; x = timer_next(x))
        if (--i < room)
            t[i] = x;
    return count;
}

static u32 save_bells(const struct node *n, struct bell **b, u32 room)
{
    u32 count = 0, i;

    for (struct bell *x = n->bells; x; x = bell_next(x))
        count++;
    i = count;
    for (struct bell *x = n->bells; x; x = bell_next(x))
        if (--i < room)
            b[i] = x;
    return count;
}

static int save_lists(struct machine *m, const struct node *n, struct buf *to)
{
    struct timer *timer[SAVE_LIST_MAX];
    struct bell *bell[SAVE_LIST_MAX];
    bool level[SAVE_LIST_MAX];
    u32 timers = save_timers(n, timer, SAVE_LIST_MAX), bells = save_bells(n, bell, SAVE_LIST_MAX),
        wires = irq_levels(m, n->dev, level, SAVE_LIST_MAX);
    size_t at;
    u8 *p;

    if (timers > SAVE_LIST_MAX || bells > SAVE_LIST_MAX || wires > SAVE_LIST_MAX)
        return -E2BIG;
    if (save_part_begin(to, "time", &at) || !(p = buf_room(to, 8 * (size_t)timers)))
        return -ENOMEM;
    for (u32 i = 0; i < timers; i++)
        put_le64(p + 8 * i, (u64)timer_at(timer[i]));
    save_part_end(to, at);
    if (save_part_begin(to, "bell", &at) || !(p = buf_room(to, bells)))
        return -ENOMEM;
    for (u32 i = 0; i < bells; i++)
        p[i] = bell_is_rung(bell[i]);
    save_part_end(to, at);
    if (save_part_begin(to, "wire", &at) || !(p = buf_room(to, wires)))
        return -ENOMEM;
    for (u32 i = 0; i < wires; i++)
        p[i] = level[i];
    save_part_end(to, at);
    return 0;
}

static int save_device(struct machine *m, const struct node *n, struct buf *to)
{
    const struct device *d = n->dev;
    size_t at;
    int r;

    if (d->class->state) {
        r = save_part_begin(to, "stat", &at);
        r = r ? r : field_save(d->class->state, (const u8 *)d + d->class->state_at, to);
        if (r)
            return r;
        save_part_end(to, at);
    }
    for (u32 i = 0; i < m->nbuses; i++) {
        if (!m->buses[i].save)
            continue;
        r = save_part_begin(to, m->buses[i].name, &at);
        r = r ? r : m->buses[i].save(d, to);
        if (r)
            return r;
        save_part_end(to, at);
        if (to->len == at)
            to->len = at - 8; /* it is not on this bus */
    }
    return save_lists(m, n, to);
}

static int load_count(const char *what, u32 have, u64 saved, struct err *e)
{
    if (have == saved)
        return 0;
    return err_set(e, -EINVAL, "it was saved with %llu %s and has %u", (unsigned long long)saved,
                   what, have);
}

static int load_timers(const struct node *n, struct span in, struct err *e)
{
    struct timer *timer[SAVE_LIST_MAX];
    u32 count = save_timers(n, timer, SAVE_LIST_MAX);
    int r = load_count("timers", count, in.len / 8, e);

    for (u32 i = 0; i < count && !r; i++) {
        i64 at = (i64)le64(in.p + 8 * i);

        if (at == INT64_MAX)
            timer_stop(timer[i]);
        else if (at < 0)
            r = err_set(e, -EBADMSG, "a timer for %lld", (long long)at);
        else
            timer_set(timer[i], at);
    }
    return r;
}

static int load_bells(const struct node *n, struct span in, struct err *e)
{
    struct bell *bell[SAVE_LIST_MAX];
    u32 count = save_bells(n, bell, SAVE_LIST_MAX);
    int r = load_count("bells", count, in.len, e);

    for (u32 i = 0; i < count && !r; i++)
        if (in.p[i])
            bell_ring(bell[i]);
    return r;
}

static int load_wires(struct machine *m, const struct node *n, struct span in, struct err *e)
{
    bool level[SAVE_LIST_MAX];
    u32 count = irq_levels(m, n->dev, level, SAVE_LIST_MAX);
    int r = load_count("wires", count, in.len, e);

    for (u32 i = 0; i < count && !r; i++)
        level[i] = in.p[i];
    if (!r)
        irq_levels_put(m, n->dev, level, count);
    return r;
}

static int load_bus(struct machine *m, struct device *d, const struct save_part *p, struct err *e)
{
    for (u32 i = 0; i < m->nbuses; i++)
        if (m->buses[i].load && !strncmp(m->buses[i].name, p->kind, 4))
            return m->buses[i].load(d, p->in, e);
    return err_set(e, -EOPNOTSUPP, "a part \"%.4s\" that is unknown here", p->kind);
}

static int load_device(struct machine *m, const struct node *n, struct span parts, struct err *e)
{
    struct device *d = n->dev;
    struct cursor c = cursor_of(parts.p, parts.len);
    struct save_part p;
    int r = 0;

    while (c.at < c.len && !r) {
        if (!save_part_next(&c, &p))
            return err_set(e, -EBADMSG, "its state is cut short");
        if (!strcmp(p.kind, "stat") && d->class->state)
            r = field_load(d->class->state, (u8 *)d + d->class->state_at, p.in, e);
        else if (!strcmp(p.kind, "time"))
            r = load_timers(n, p.in, e);
        else if (!strcmp(p.kind, "bell"))
            r = load_bells(n, p.in, e);
        else if (!strcmp(p.kind, "wire"))
            r = load_wires(m, n, p.in, e);
        else
            r = load_bus(m, d, &p, e);
    }
    return r;
}

static int load_one(struct machine *m, const struct node *n, const struct save_head *h,
                    struct span parts, struct err *e)
{
    int r;

    if (strcmp(h->name, n->dev->name) || strcmp(h->class, n->dev->class->name))
        return err_set(e, -EINVAL, "the saved VM has %s (%s) where this one has %s (%s)", h->name,
                       h->class, n->dev->name, n->dev->class->name);
    r = load_device(m, n, parts, e);
    return r ? err_in(e, "%s: ", n->dev->name), r : 0;
}

static int load_check(struct device *d, struct err *e)
{
    int r = 0;

    if (d->class->check) {
        domain_lock(d->domain);
        r = d->class->check(d, e);
        domain_unlock(d->domain);
    }
    return r ? err_in(e, "%s: ", d->name), r : 0;
}

/* ---- contract ---- */

int machine_save(struct machine *m, struct buf *to, struct err *e)
{
    struct buf parts = { 0 };
    int r = save_machine(m, &parts);

    r = r ? r : save_unit(to, "machine", "machine", &parts);
    for (u32 i = 0; i < m->nnodes && !r; i++) {
        parts.len = 0;
        r = save_device(m, m->nodes[i], &parts);
        r = r ? r : save_unit(to, m->nodes[i]->dev->name, m->nodes[i]->dev->class->name, &parts);
    }
    buf_fini(&parts);
    return r ? err_set(e, r, "the machine's state: %s", strerror(-r)) : 0;
}

int machine_load(struct machine *m, struct span from, struct err *e)
{
    struct cursor c = cursor_of(from.p, from.len);
    struct save_head h;
    struct span parts;
    int r = load_unit(&c, &h, &parts, e);

    if (!r && strcmp(h.name, "machine"))
        r = err_set(e, -EBADMSG, "the machine's own state is not there");
    r = r ? r : load_machine(m, parts, e);
    for (u32 i = 0; i < m->nnodes && !r; i++) {
        if (c.at == c.len)
            return err_set(e, -EINVAL, "the saved VM has no %s", m->nodes[i]->dev->name);
        r = load_unit(&c, &h, &parts, e);
        r = r ? r : load_one(m, m->nodes[i], &h, parts, e);
    }
    if (!r && c.at != c.len)
        r = load_unit(&c, &h, &parts, e)
                ? -EBADMSG
                : err_set(e, -EINVAL, "the saved VM has %s (%s), this one has not", h.name,
                          h.class);
    for (u32 i = 0; i < m->nnodes && !r; i++)
        r = load_check(m->nodes[i]->dev, e);
    for (u32 i = 0; i < m->nnodes && !r; i++) {
        struct device *d = m->nodes[i]->dev;

        if (!d->class->restored)
            continue;
        domain_lock(d->domain);
        d->class->restored(d);
        domain_unlock(d->domain);
    }
    return r;
}

u32 machine_blocks(struct machine *m, struct machine_block *b, u32 room)
{
    u32 n = 0;

    if (n < room)
        b[n] = (struct machine_block){ .name = "ram", .p = m->ram.host, .len = m->ram.size };
    n++;
    for (u32 i = 0; i < m->nnodes; i++)
        for (u32 k = 0; k < m->nodes[i]->nmemories; k++, n++)
            if (n < room)
                b[n] = m->nodes[i]->memory[k];
    return n;
}
