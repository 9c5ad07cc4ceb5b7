/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * High precision event timer: a 100 MHz counter and three timers.  IA-PC HPET
 * Specification 1.0a, 2.3.
 *
 * The first timer can be periodic; the first two stand in for PIT and RTC ("legacy
 * replacement").  Edges of the periodic one that the guest could not take in time, up to a
 * second of them, come when it has taken those before.  Left out: FSB (MSI) delivery, periods
 * below 20 us.
 */
#include "device/chipset/irqchip.h"
#include <errno.h>
#include <stdio.h>

enum { HPET_TIMERS = 3, HPET_NS = 10, HPET_SIZE = 0x400, PERIOD_MIN_NS = 20000 };
enum {
    REG_ID = 0,
    REG_CONFIG = 0x10,
    REG_STATUS = 0x20,
    REG_COUNTER = 0xf0,
    REG_TIMER = 0x100,
    TIMER_SPAN = 0x20
};
enum { CONFIG_ON = 1, CONFIG_LEGACY = 2 };
enum {
    T_LEVEL = 1 << 1,
    T_ENABLE = 1 << 2,
    T_PERIODIC = 1 << 3,
    T_CAN_PERIODIC = 1 << 4,
    T_CAN_64 = 1 << 5,
    T_SET = 1 << 6,
    T_32 = 1 << 8,
    T_ROUTE_SHIFT = 9,
    T_ROUTE = 31 << 9,
    T_WRITABLE = T_LEVEL | T_ENABLE | T_PERIODIC | T_SET | T_32 | T_ROUTE
};
/* 10 ns in femtoseconds; Intel; legacy replacement; 64 bits; 3 timers; revision 1 */
static const u64 HPET_ID = 0x009896808086a201ull;
static const u32 HPET_ROUTES = 0x00f00104; /* IOAPIC pins a timer can be wired to */

struct hpet {
    struct device dev;
    struct hpet_config {
        u64 base;
    } config;
    struct hpet_state {
        i64 start;   /* guest time when the counter was 0, if it runs */
        u64 stopped; /* what it stands at, if not */
        u64 config;
        u32 status, pad;
        struct hpet_timer {
            u64 config, compare, period;
            u64 owed; /* edges that are still to come */
        } timer[HPET_TIMERS];
    } state;
    struct irq pin[32], off;
    struct timer *timer[HPET_TIMERS];
};

static u64 hpet_counter(const struct hpet *h)
{
    if (!(h->state.config & CONFIG_ON))
        return h->state.stopped;
    return (u64)(machine_now(h->dev.machine) - h->state.start) / HPET_NS;
}

static u64 hpet_mask(const struct hpet_timer *t)
{
    return t->config & T_32 ? 0xffffffff : ~(u64)0;
}

static u32 hpet_pin(const struct hpet *h, u32 i)
{
    if (h->state.config & CONFIG_LEGACY && i < 2)
        return i ? 8 : 2;
    return (u32)(h->state.timer[i].config & T_ROUTE) >> T_ROUTE_SHIFT;
}

/* Level-triggered pins show the status bit, each pin the "or" of its timers. */
static void hpet_lines(struct hpet *h)
{
    u32 high = 0;

    for (u32 i = 0; i < HPET_TIMERS; i++) {
        const struct hpet_timer *t = &h->state.timer[i];

        if (h->state.status >> i & 1 && t->config & T_LEVEL && t->config & T_ENABLE)
            high |= 1u << hpet_pin(h, i);
    }
    for (u32 i = 0; i < LEN(h->pin); i++)
        irq_set(&h->pin[i], high >> i & 1);
}

static void hpet_raise(struct hpet *h, u32 i)
{
    const struct hpet_timer *t = &h->state.timer[i];

    if (t->config & T_LEVEL) {
        h->state.status |= 1u << i;
        hpet_lines(h);
    } else if (t->config & T_ENABLE) {
        irq_set(&h->pin[hpet_pin(h, i)], true);
        irq_set(&h->pin[hpet_pin(h, i)], false);
    }
}

/* Nobody is told when it matches: Linux leaves one like that running once it has a better clock. */
static bool hpet_is_silent(const struct hpet_timer *t)
{
    return !(t->config & (T_ENABLE | T_LEVEL));
}

/*
 * When the counter, which is at now, meets the comparator next.  It is read once by whoever
 * moves the comparator: read again, it may be past the new one, and that is a whole turn.
 */
static void hpet_arm_at(struct hpet *h, u32 i, u64 now)
{
    const struct hpet_timer *t = &h->state.timer[i];
    u64 left = (t->compare - now) & hpet_mask(t);
    i64 at;

    if (!(h->state.config & CONFIG_ON) || hpet_is_silent(t) ||
        left > (u64)INT64_MAX / HPET_NS / 4) {
        timer_stop(h->timer[i]);
        return;
    }
    if (!left)
        left = min_u64(hpet_mask(t), (u64)INT64_MAX / HPET_NS / 4);
    at = h->state.start + (i64)((now + left) * HPET_NS);
    if (t->config & T_PERIODIC && t->period * HPET_NS < PERIOD_MIN_NS)
        at += PERIOD_MIN_NS;
    timer_set(h->timer[i], at);
}

static void hpet_arm(struct hpet *h, u32 i)
{
    hpet_arm_at(h, i, hpet_counter(h));
}

/* A periodic timer's comparator moves on when it was met: how often? */
static u64 hpet_move(struct hpet_timer *t, u64 now)
{
    u64 late = (now - t->compare) & hpet_mask(t), n = 1;

    if (late > hpet_mask(t) / 2)
        return 0; /* it was not met yet */
    if (t->config & T_PERIODIC && t->period) {
        n = late / t->period + 1;
        t->compare = (t->compare + n * t->period) & hpet_mask(t);
    }
    return n;
}

/* Are its edges counted, so that none is lost? */
static bool hpet_owes(const struct hpet_timer *t)
{
    return (t->config & (T_PERIODIC | T_ENABLE | T_LEVEL)) == (T_PERIODIC | T_ENABLE) &&
           t->period * HPET_NS >= PERIOD_MIN_NS;
}

static void hpet_fire(struct device *d, u32 i)
{
    struct hpet *h = (struct hpet *)d;
    struct hpet_timer *t = &h->state.timer[i];
    u64 now = hpet_counter(h), n = hpet_move(t, now);

    t->owed = hpet_owes(t) ? min_u64(t->owed + n, IRQCHIP_OWED_NS / HPET_NS / t->period + 1) : 0;
    if (!t->owed) {
        if (n)
            hpet_raise(h, i);
    } else if (!irqchip_waits(d->machine, hpet_pin(h, i))) {
        t->owed--;
        hpet_raise(h, i);
    }
    if (t->owed)
        timer_owe(h->timer[i], machine_now(d->machine) + IRQCHIP_AGAIN_NS);
    else
        hpet_arm_at(h, i, now);
}

/* The host may be late: what is due happens before the guest changes anything. */
static void hpet_catch_up(struct hpet *h)
{
    i64 now = machine_now(h->dev.machine);

    for (u32 i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->state.timer[i];

        if (timer_at(h->timer[i]) <= now)
            hpet_fire(&h->dev, i);
        else if (hpet_is_silent(t) && h->state.config & CONFIG_ON &&
                 ((t->compare - hpet_counter(h)) & hpet_mask(t)) > t->period)
            hpet_move(t, hpet_counter(h));
    }
}

static void hpet_arm_all(struct hpet *h)
{
    for (u32 i = 0; i < HPET_TIMERS; i++)
        hpet_arm(h, i);
}

static void hpet_config_store(struct hpet *h, u64 val)
{
    u64 was = h->state.config, now = hpet_counter(h);

    h->state.config = val & (CONFIG_ON | CONFIG_LEGACY);
    if (!(was & CONFIG_ON) && val & CONFIG_ON)
        h->state.start = machine_now(h->dev.machine) - (i64)(h->state.stopped * HPET_NS);
    else if (was & CONFIG_ON && !(val & CONFIG_ON))
        h->state.stopped = now;
    irq_set(&h->off, val & CONFIG_LEGACY);
    hpet_lines(h);
    hpet_arm_all(h);
}

static void hpet_counter_store(struct hpet *h, u64 val)
{
    /* far enough from where guest time would overflow */
    h->state.stopped = min_u64(val, (u64)INT64_MAX / HPET_NS / 4);
    if (h->state.config & CONFIG_ON)
        h->state.start = machine_now(h->dev.machine) - (i64)(h->state.stopped * HPET_NS);
    hpet_arm_all(h);
}

static void hpet_timer_config(struct hpet *h, u32 i, u64 val)
{
    struct hpet_timer *t = &h->state.timer[i];

    t->config = val & T_WRITABLE;
    t->owed = 0;
    if (i)
        t->config &= ~(u64)T_PERIODIC;
    if (!(HPET_ROUTES >> ((t->config & T_ROUTE) >> T_ROUTE_SHIFT) & 1))
        t->config &= ~(u64)T_ROUTE;
    t->compare &= hpet_mask(t);
    t->period &= hpet_mask(t);
    if (!(t->config & T_LEVEL))
        h->state.status &= ~(1u << i);
    hpet_lines(h);
    hpet_arm(h, i);
}

/* A periodic timer's comparator: with "value set" it is the place, and always the period. */
static void hpet_compare_store(struct hpet *h, u32 i, u64 val)
{
    struct hpet_timer *t = &h->state.timer[i];

    val &= hpet_mask(t);
    t->owed = 0;
    if (!(t->config & T_PERIODIC) || t->config & T_SET)
        t->compare = val;
    if (t->config & T_PERIODIC)
        t->period = val;
    t->config &= ~(u64)T_SET;
    hpet_arm(h, i);
}

static u64 hpet_reg(const struct hpet *h, u32 reg)
{
    const struct hpet_timer *t;
    u32 i = (reg - REG_TIMER) / TIMER_SPAN;

    switch (reg) {
    case REG_ID:
        return HPET_ID;
    case REG_CONFIG:
        return h->state.config;
    case REG_STATUS:
        return h->state.status;
    case REG_COUNTER:
        return hpet_counter(h);
    }
    if (reg < REG_TIMER || i >= HPET_TIMERS)
        return 0;
    t = &h->state.timer[i];
    switch (reg % TIMER_SPAN) {
    case 0:
        return t->config | T_CAN_64 | (i ? 0 : T_CAN_PERIODIC) | (u64)HPET_ROUTES << 32;
    case 8:
        return t->compare;
    }
    return 0;
}

static u64 hpet_load(struct device *d, u32 off, u32 size)
{
    u64 val;

    hpet_catch_up((struct hpet *)d);
    val = hpet_reg((struct hpet *)d, off & ~7u);
    return size == 4 ? (u32)(val >> (off & 4 ? 32 : 0)) : val;
}

/* Half a register leaves the other half as it is; the comparator's is taken by itself. */
static void hpet_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct hpet *h = (struct hpet *)d;
    u32 reg = off & ~7u, i = (reg - REG_TIMER) / TIMER_SPAN;
    bool compare = reg >= REG_TIMER && reg % TIMER_SPAN == 8;

    hpet_catch_up(h);
    if (size == 4 && compare && off & 4) {
        if (i < HPET_TIMERS && !(h->state.timer[i].config & T_32)) {
            h->state.timer[i].config |= T_SET; /* the second half of what was begun */
            hpet_compare_store(h, i, (h->state.timer[i].compare & 0xffffffff) | val << 32);
        }
        return;
    }
    if (size == 4 && reg != REG_STATUS) {
        u64 old = compare ? 0 : hpet_reg(h, reg);

        val = off & 4 ? (u32)old | val << 32 : (old & ~(u64)0xffffffff) | val;
    }
    if (reg == REG_CONFIG) {
        hpet_config_store(h, val);
    } else if (reg == REG_STATUS && !(off & 4)) {
        h->state.status &= ~(u32)val;
        hpet_lines(h);
    } else if (reg == REG_COUNTER) {
        hpet_counter_store(h, val);
    } else if (reg >= REG_TIMER && i < HPET_TIMERS) {
        if (compare)
            hpet_compare_store(h, i, val);
        else if (reg % TIMER_SPAN == 0)
            hpet_timer_config(h, i, val);
    }
}

static int hpet_create(struct device *d, struct err *e)
{
    struct hpet *h = (struct hpet *)d;
    struct region r = { .name = "hpet",
                        .base = h->config.base,
                        .len = HPET_SIZE,
                        .min = 4,
                        .max = 8,
                        .load = hpet_load,
                        .store = hpet_store,
                        .dev = d };

    for (u32 i = 0; i < HPET_TIMERS; i++)
        if (timer_new_index(d, hpet_fire, i, &h->timer[i]))
            return err_set(e, -ENOMEM, "no memory for timers");
    for (u32 i = 0; i < LEN(h->pin); i++) {
        char name[16];

        /* pin 2 of the IOAPIC is where ISA 0 stands */
        snprintf(name, sizeof(name), i < 16 ? "isa.%u" : "gsi.%u", i == 2 ? 0 : i);
        if (HPET_ROUTES >> i & 1)
            h->pin[i] = machine_wire(d->machine, d, name);
    }
    h->off = machine_wire(d->machine, d, "legacy.off");
    return space_add(machine_memory(d->machine), &r, NULL, e);
}

static void hpet_reset(struct device *d, enum reset kind)
{
    struct hpet *h = (struct hpet *)d;

    (void)kind;
    h->state = (struct hpet_state){ .config = 0 };
    for (u32 i = 0; i < HPET_TIMERS; i++)
        h->state.timer[i].compare = ~(u64)0;
    irq_set(&h->off, false);
    hpet_lines(h);
    hpet_arm_all(h);
}

static int hpet_check(const struct device *d, struct err *e)
{
    const struct hpet_state *s = &((const struct hpet *)d)->state;

    if (s->config & ~(u64)(CONFIG_ON | CONFIG_LEGACY) || s->status >> HPET_TIMERS)
        return err_set(e, -EBADMSG, "bits are set that do not exist");
    for (u32 i = 0; i < HPET_TIMERS; i++)
        if (s->timer[i].config & ~(u64)T_WRITABLE)
            return err_set(e, -EBADMSG, "timer %u: bits are set that do not exist", i);
    return 0;
}

static const struct field config[] = { FIELD(1, struct hpet_config, base, 0, "address"),
                                       FIELD_END };
static const struct field timer_fields[] = {
    FIELD(1, struct hpet_timer, config, 0, "configuration"),
    FIELD(2, struct hpet_timer, compare, 0, "comparator"),
    FIELD(3, struct hpet_timer, period, 0, "period"),
    FIELD(4, struct hpet_timer, owed, 0, "edges still to come"), FIELD_END
};
static const struct field state[] = {
    FIELD_TIME(1, struct hpet_state, start, 0, "when the counter was 0"),
    FIELD(2, struct hpet_state, stopped, 0, "where it stands"),
    FIELD(3, struct hpet_state, config, 0, "general configuration"),
    FIELD(4, struct hpet_state, status, 0, "interrupt status"),
    FIELD(0, struct hpet_state, pad, F_LOCAL, "none"),
    FIELD_SUB(5, struct hpet_state, timer, 0, "timers", timer_fields),
    FIELD_END
};

const struct device_class device_hpet = {
    .name = "hpet",
    .about = "high precision event timer with three comparators",
    .domain = "chipset",
    .size = sizeof(struct hpet),
    .config_at = offsetof(struct hpet, config),
    .config = config,
    .config_default = &(const struct hpet_config){ .base = 0xfed00000 },
    .config_size = sizeof(struct hpet_config),
    .state_at = offsetof(struct hpet, state),
    .state_size = sizeof(struct hpet_state),
    .state = state,
    .create = hpet_create,
    .reset = hpet_reset,
    .check = hpet_check,
};
