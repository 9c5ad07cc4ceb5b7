/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interval timer and the system control port 0x61 of a PC/AT.  Intel 8254 data sheet.
 *
 * Channel 0 drives ISA interrupt 0, channel 2 the speaker, which only port 0x61 hears.  The
 * output is computed from guest time when it is asked for; a timer runs for channel 0 only.
 * In modes 2 and 3 the interrupt line pulses once a period; pulses that the guest could not take
 * in time, up to a second of them, come when it has taken those before.  Left out: the exact
 * width of pulses.
 */
#include "device/chipset/irqchip.h"
#include <errno.h>

enum { PIT_HZ = 1193182, PIT_CHANNELS = 3, PIT_CONTROL = 3, PIT_PERIOD_MIN_NS = 20000 };
enum { PIT_PIN = 2 };
enum { RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };
enum { P61_GATE = 1, P61_SPEAKER = 2, P61_REFRESH = 0x10, P61_OUT = 0x20 };

struct pit {
    struct device dev;
    struct pit_state {
        struct pit_channel {
            i64 start;  /* when the count was loaded or triggered */
            u32 count;  /* 1 to 65536 */
            u16 latch;  /* as latched */
            u8 control; /* mode and access, as written: bits 0-5 */
            u8 status;  /* as latched */
            u8 low;     /* the first byte of two */
            u8 latched; /* bytes of the latch still to read: 0 1 2 */
            bool status_latched, write_high, read_high;
            bool gate, loaded, pending; /* pending: waits for the second byte */
            u8 pad[8];
        } channel[PIT_CHANNELS];
        u64 given; /* periods of channel 0 since it began, as far as they were told or forgotten */
        u8 port61;
        bool off; /* the HPET stands in for channel 0 */
        u8 pad[6];
    } state;
    struct irq irq;
    struct timer *timer;
};

static u8 pit_mode(const struct pit_channel *c)
{
    u8 mode = c->control >> 1 & 7;

    return mode > 5 ? mode - 4 : mode;
}

static u64 pit_scale(u64 v, u64 mul, u64 div)
{
    return (u64)((unsigned __int128)v * mul / div);
}

/* Ticks since the count began. */
static u64 pit_ticks(const struct pit *p, const struct pit_channel *c)
{
    i64 ns = machine_now(p->dev.machine) - c->start;

    return ns > 0 ? pit_scale((u64)ns, PIT_HZ, 1000000000) : 0;
}

static bool pit_out(const struct pit *p, const struct pit_channel *c)
{
    u64 t = pit_ticks(p, c);

    if (!c->loaded)
        return pit_mode(c) != 0;
    switch (pit_mode(c)) {
    case 0:
    case 1:
        return t >= c->count;
    case 2:
        return !c->gate || t % c->count != c->count - 1;
    case 3:
        return !c->gate || t % c->count < (c->count + 1) / 2;
    default:
        return t != c->count;
    }
}

static u16 pit_bcd(u32 v)
{
    return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static u16 pit_count(const struct pit *p, const struct pit_channel *c)
{
    u64 t = pit_ticks(p, c);
    u32 n;

    if (!c->loaded)
        return 0;
    switch (pit_mode(c)) {
    case 2:
        n = c->count - (u32)(t % c->count);
        break;
    case 3:
        n = c->count - (u32)(2 * t % c->count);
        break;
    default:
        n = (u32)(c->count - t) & (c->control & 1 ? 0xffffffff : 0xffff);
        if (c->control & 1)
            n = (u32)(((i64)c->count - (i64)(t % 10000) + 10000) % 10000);
    }
    return c->control & 1 ? pit_bcd(n) : (u16)n;
}

static bool pit_is_periodic(const struct pit_channel *c)
{
    return pit_mode(c) == 2 || pit_mode(c) == 3;
}

static i64 pit_period_ns(const struct pit_channel *c)
{
    return (i64)pit_scale(c->count, 1000000000, PIT_HZ);
}

static bool pit_is_fast(const struct pit_channel *c)
{
    return pit_period_ns(c) < PIT_PERIOD_MIN_NS;
}

/* When channel 0 is due next, which may be past; INT64_MAX: never. */
static i64 pit_due(const struct pit *p)
{
    const struct pit_channel *c = &p->state.channel[0];
    i64 now = machine_now(p->dev.machine), at;
    u64 n = c->count;

    if (!c->loaded || p->state.off)
        return INT64_MAX;
    if (pit_is_periodic(c))
        n *= p->state.given + 1;
    else if (pit_ticks(p, c) >= n)
        return INT64_MAX;
    at = c->start + (i64)pit_scale(n, 1000000000, PIT_HZ) + 1;
    if (pit_is_periodic(c) && pit_is_fast(c) && at < now + PIT_PERIOD_MIN_NS)
        return now + PIT_PERIOD_MIN_NS;
    return at;
}

/* What is too long ago is forgotten; so is all of what comes faster than anybody could take it. */
static void pit_forget(struct pit *p)
{
    const struct pit_channel *c = &p->state.channel[0];
    u64 gone = pit_ticks(p, c) / c->count;
    u64 most = pit_is_fast(c) ? 0 : (u64)(IRQCHIP_OWED_NS / pit_period_ns(c));

    p->state.given = min_u64(p->state.given, gone);
    if (gone - p->state.given > most)
        p->state.given = gone - most;
}

/* The line and the timer of channel 0, after any change. */
static void pit_update(struct pit *p)
{
    const struct pit_channel *c = &p->state.channel[0];
    i64 at;

    if (c->loaded && pit_is_periodic(c))
        pit_forget(p);
    at = pit_due(p);
    irq_set(&p->irq, pit_out(p, &p->state.channel[0]) && !p->state.off);
    if (at == INT64_MAX)
        timer_stop(p->timer);
    else
        timer_set(p->timer, at);
}

static void pit_fire(struct device *d)
{
    struct pit *p = (struct pit *)d;
    const struct pit_channel *c = &p->state.channel[0];
    i64 now = machine_now(d->machine), again = now + IRQCHIP_AGAIN_NS;

    if (p->state.off || !c->loaded || !pit_is_periodic(c)) {
        pit_update(p);
        return;
    }
    pit_forget(p);
    if (irqchip_waits(d->machine, PIT_PIN)) {
        timer_owe(p->timer, again);
        return;
    }
    p->state.given += !pit_is_fast(c);
    irq_set(&p->irq, false);
    irq_set(&p->irq, true);
    if (pit_due(p) <= now)
        timer_owe(p->timer, again);
    else
        timer_set(p->timer, pit_due(p));
}

static void pit_start(struct pit *p, struct pit_channel *c)
{
    c->start = machine_now(p->dev.machine);
    if (c != &p->state.channel[0])
        return;
    p->state.given = 0;
    pit_update(p);
}

/* A count of 0 is the largest. */
static void pit_reload(struct pit *p, struct pit_channel *c, u16 val)
{
    u32 n = val;

    if (c->control & 1)
        n = (val & 15u) + (val >> 4 & 15u) * 10 + (val >> 8 & 15u) * 100 + (val >> 12) * 1000u;
    if (!n)
        n = c->control & 1 ? 10000 : 65536;
    if ((pit_mode(c) == 2 || pit_mode(c) == 3) && n == 1)
        n = 2; /* not a legal count there */
    c->count = n;
    c->pending = false;
    c->loaded = true;
    pit_start(p, c);
}

static void pit_latch_count(const struct pit *p, struct pit_channel *c)
{
    if (c->latched)
        return;
    c->latch = pit_count(p, c);
    c->latched = (c->control >> 4 & 3) == RW_BOTH ? 2 : 1;
}

static void pit_latch_status(const struct pit *p, struct pit_channel *c)
{
    if (c->status_latched)
        return;
    c->status =
        (u8)(c->control | (c->loaded && !c->pending ? 0 : 0x40) | (pit_out(p, c) ? 0x80 : 0));
    c->status_latched = true;
}

static void pit_control(struct pit *p, u8 val)
{
    struct pit_channel *c;

    if (val >> 6 == PIT_CONTROL) { /* read back */
        for (u32 i = 0; i < PIT_CHANNELS; i++) {
            c = &p->state.channel[i];
            if (!(val >> (i + 1) & 1))
                continue;
            if (!(val & 0x20))
                pit_latch_count(p, c);
            if (!(val & 0x10))
                pit_latch_status(p, c);
        }
        return;
    }
    c = &p->state.channel[val >> 6];
    if ((val >> 4 & 3) == RW_LATCH) {
        pit_latch_count(p, c);
        return;
    }
    c->control = val & 0x3f;
    c->loaded = c->pending = c->write_high = c->read_high = c->status_latched = false;
    c->latched = 0;
    if (c == &p->state.channel[0])
        pit_update(p);
}

static void pit_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct pit *p = (struct pit *)d;
    struct pit_channel *c = &p->state.channel[off % PIT_CHANNELS];

    (void)size;
    if (off == PIT_CONTROL) {
        pit_control(p, (u8)val);
        return;
    }
    switch (c->control >> 4 & 3) {
    case RW_LOW:
        pit_reload(p, c, (u8)val);
        break;
    case RW_HIGH:
        pit_reload(p, c, (u16)((u8)val << 8));
        break;
    default:
        if (c->write_high) {
            pit_reload(p, c, (u16)(c->low | (u8)val << 8));
        } else {
            c->low = (u8)val;
            c->pending = true;
        }
        c->write_high = !c->write_high;
    }
}

static u64 pit_load(struct device *d, u32 off, u32 size)
{
    struct pit *p = (struct pit *)d;
    struct pit_channel *c = &p->state.channel[off % PIT_CHANNELS];
    u8 access = c->control >> 4 & 3;
    bool high;
    u16 val;

    (void)size;
    if (off == PIT_CONTROL)
        return 0xff;
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    val = c->latched ? c->latch : pit_count(p, c);
    high = access == RW_HIGH || (access == RW_BOTH && c->read_high);
    if (access == RW_BOTH)
        c->read_high = !c->read_high;
    if (c->latched)
        c->latched--;
    return high ? val >> 8 : (u8)val;
}

/* ---- port 0x61 ---- */

static void pit_gate(struct pit *p, struct pit_channel *c, bool on)
{
    u8 mode = pit_mode(c);

    if (on && !c->gate && mode != 0 && mode != 4)
        c->start = machine_now(p->dev.machine); /* a trigger */
    c->gate = on;
}

static u64 pit_port61_load(struct device *d, u32 off, u32 size)
{
    struct pit *p = (struct pit *)d;
    /* the refresh bit turns every 15 us: old programs wait by it */
    bool refresh = (u64)machine_now(d->machine) / 15085 & 1;

    (void)off, (void)size;
    return (u64)((p->state.port61 & 0xf) | (refresh ? P61_REFRESH : 0) |
                 (pit_out(p, &p->state.channel[2]) ? P61_OUT : 0));
}

static void pit_port61_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct pit *p = (struct pit *)d;

    (void)off, (void)size;
    p->state.port61 = val & 0xf;
    pit_gate(p, &p->state.channel[2], val & P61_GATE);
}

/* "legacy.off": the HPET drives ISA 0 itself.  Its writer holds our domain. */
static void pit_off(void *sink, u32 pin, bool level)
{
    struct pit *p = sink;
    const struct machine_chips *k;

    (void)pin;
    p->state.off = level;
    machine_irq_lock(p->dev.machine);
    k = machine_chips(p->dev.machine);
    if (k && k->line)
        k->pit_off(k->arg, level);
    machine_irq_unlock(p->dev.machine);
    if (!k || !k->line)
        pit_update(p);
}

/* ---- kept elsewhere ---- */

void pit_chip_get(const struct device *d, struct chip_pc *to)
{
    const struct pit *p = (const struct pit *)d;

    for (u32 i = 0; i < PIT_CHANNELS; i++) {
        const struct pit_channel *c = &p->state.channel[i];

        to->counter[i] = (struct chip_counter){ .count = c->count,
                                                .latch = c->latch,
                                                .mode = pit_mode(c),
                                                .access = c->control >> 4 & 3,
                                                .status = c->status,
                                                .low = c->low,
                                                .latched = c->latched,
                                                .bcd = c->control & 1,
                                                .status_latched = c->status_latched,
                                                .write_high = c->write_high,
                                                .read_high = c->read_high,
                                                .gate = c->gate,
                                                .loaded = c->loaded,
                                                .pending = c->pending,
                                                .age = machine_now(d->machine) - c->start };
    }
    to->pit_off = p->state.off;
    to->port61 = p->state.port61;
}

void pit_chip_put(struct device *d, const struct chip_pc *from)
{
    struct pit *p = (struct pit *)d;

    for (u32 i = 0; i < PIT_CHANNELS; i++) {
        const struct chip_counter *c = &from->counter[i];

        p->state.channel[i] =
            (struct pit_channel){ .start = machine_now(d->machine) - c->age,
                                  .count = c->count && c->count <= 65536 ? c->count : 65536,
                                  .latch = c->latch,
                                  .control =
                                      (u8)(c->bcd | (c->mode & 7) << 1 | (c->access & 3) << 4),
                                  .status = c->status,
                                  .low = c->low,
                                  .latched = c->latched <= 2 ? c->latched : 0,
                                  .status_latched = c->status_latched,
                                  .write_high = c->write_high,
                                  .read_high = c->read_high,
                                  .gate = c->gate,
                                  .loaded = c->loaded,
                                  .pending = c->pending };
    }
    p->state.port61 = from->port61 & 0xf;
    p->state.given = pit_ticks(p, &p->state.channel[0]) / p->state.channel[0].count;
    pit_update(p);
}

void pit_chip_gone(struct device *d)
{
    const struct machine_chips *k = machine_chips(d->machine);

    if (k && k->line)
        timer_stop(((struct pit *)d)->timer);
}

static int pit_create(struct device *d, struct err *e)
{
    struct region pit = { .name = "pit",
                          .base = 0x40,
                          .len = 4,
                          .min = 1,
                          .max = 1,
                          .load = pit_load,
                          .store = pit_store,
                          .dev = d };
    struct region port61 = { .name = "port 0x61",
                             .base = 0x61,
                             .len = 1,
                             .min = 1,
                             .max = 1,
                             .load = pit_port61_load,
                             .store = pit_port61_store,
                             .dev = d };
    struct pit *p = (struct pit *)d;

    if (timer_new(d, pit_fire, &p->timer))
        return err_set(e, -ENOMEM, "no memory for a timer");
    p->irq = machine_wire(d->machine, d, "isa.0");
    machine_input(d->machine, "legacy.off", (struct irq){ pit_off, p, 0 });
    if (space_add(machine_ports(d->machine), &pit, NULL, e))
        return -EEXIST;
    return space_add(machine_ports(d->machine), &port61, NULL, e);
}

static void pit_reset(struct device *d, enum reset kind)
{
    struct pit *p = (struct pit *)d;
    bool off = p->state.off;

    (void)kind;
    p->state = (struct pit_state){ .off = off };
    for (u32 i = 0; i < PIT_CHANNELS; i++)
        p->state.channel[i] = (struct pit_channel){ .control = 3 << 1 | RW_BOTH << 4,
                                                    .count = 65536,
                                                    .gate = i != 2 };
    pit_update(p);
}

static int pit_check(const struct device *d, struct err *e)
{
    const struct pit_state *s = &((const struct pit *)d)->state;

    for (u32 i = 0; i < PIT_CHANNELS; i++) {
        const struct pit_channel *c = &s->channel[i];

        if (!c->count || c->count > 65536 || c->control & ~0x3f || c->latched > 2)
            return err_set(e, -EBADMSG, "channel %u: no timer can be in this state", i);
    }
    return 0;
}

#define CHANNEL struct pit_channel
static const struct field channel_fields[] = {
    FIELD_TIME(1, CHANNEL, start, 0, "when the count began"),
    FIELD(2, CHANNEL, count, 0, "what it counts from"),
    FIELD(3, CHANNEL, latch, 0, "latched count"),
    FIELD(4, CHANNEL, control, 0, "mode and access"),
    FIELD(5, CHANNEL, status, 0, "latched status"),
    FIELD(6, CHANNEL, low, 0, "first byte of a count"),
    FIELD(7, CHANNEL, latched, 0, "bytes of the latch to read"),
    FIELD(8, CHANNEL, status_latched, 0, "status is latched"),
    FIELD(9, CHANNEL, write_high, 0, "the next write is the high byte"),
    FIELD(10, CHANNEL, read_high, 0, "the next read is the high byte"),
    FIELD(11, CHANNEL, gate, 0, "gate input"),
    FIELD(12, CHANNEL, loaded, 0, "a count was loaded"),
    FIELD(13, CHANNEL, pending, 0, "half a count was written"),
    FIELDS(0, CHANNEL, pad, F_LOCAL, "none"),
    FIELD_END
};
static const struct field state[] = {
    FIELD_SUB(1, struct pit_state, channel, 0, "channels", channel_fields),
    FIELD(2, struct pit_state, port61, 0, "port 0x61"),
    FIELD(3, struct pit_state, off, 0, "the HPET stands in"),
    FIELD(4, struct pit_state, given, 0, "periods that were told"),
    FIELDS(0, struct pit_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_pit = {
    .name = "pit",
    .about = "8254 interval timer and port 0x61",
    .domain = "chipset",
    .size = sizeof(struct pit),
    .state_at = offsetof(struct pit, state),
    .state_size = sizeof(struct pit_state),
    .state = state,
    .create = pit_create,
    .reset = pit_reset,
    .check = pit_check,
};
