/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real-time clock and CMOS memory.  Motorola MC146818A data sheet; the bytes that a PC's BIOS
 * keeps there are set at power-on, as SeaBIOS reads them.
 *
 * The wall clock is a base plus guest time: here is the one place where they meet.  While
 * the guest sets the time the registers stand in the memory.  A timer runs only for
 * interrupts that are enabled.  Left out: daylight saving, the square wave.
 */
#include "device/chipset/rtc.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>
#include <time.h>

enum {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,
    SHUTDOWN_STATUS = 0xf, /* what a BIOS is to do after a reset */
    CENTURY = 0x32
};
enum {
    A_UPDATING = 0x80,
    A_DIVIDER = 0x70,
    A_STOPPED = 0x60,
    B_SET = 0x80,
    B_PERIODIC = 0x40,
    B_ALARM = 0x20,
    B_UPDATE = 0x10,
    B_BINARY = 4,
    B_24 = 2,
    C_IRQ = 0x80,
    D_VALID = 0x80,
    ALARM_ANY = 0xc0
};
#define SECOND 1000000000ll
enum { SHUTDOWN_WAKES = 0xfe };
enum { UPDATE_NS = 244000, YEAR_FIRST = 1900, YEAR_LAST = 2100 };

struct rtc {
    struct device dev;
    struct rtc_config {
        u64 base; /* seconds since 1970 at the start; 0: the host's time */
        u32 boot; /* devices by four bits, first lowest: 1 floppy, 2 disk, 3 CD, 4 network */
        u8 pad[4];
    } config;
    struct rtc_state {
        i64 base;     /* wall clock, ns since 1970, when guest time was 0 */
        i64 c_read;   /* guest time when register C was read last */
        i64 periodic; /* next periodic interrupt, guest time */
        u8 cmos[128];
        u8 index;
        bool off; /* the HPET drives ISA 8 */
        u8 pad[6];
    } state;
    struct irq irq;
    struct timer *tick, *second;
    u8 floppies; /* kinds of the drives, as in CMOS; what they are follows from the devices */
};

/* ---- calendar ---- */

static i64 rtc_days(i64 y, u32 m, u32 d)
{
    i64 era;
    u32 yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = (u32)(y - era * 400);
    doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    return era * 146097 + (i64)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static u8 rtc_put(const struct rtc_state *s, u32 v)
{
    return (u8)(s->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static u32 rtc_get(const struct rtc_state *s, u8 v)
{
    return s->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static u8 rtc_put_hour(const struct rtc_state *s, u32 h)
{
    if (s->cmos[REG_B] & B_24)
        return rtc_put(s, h);
    return rtc_put(s, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

static u32 rtc_get_hour(const struct rtc_state *s, u8 v)
{
    if (s->cmos[REG_B] & B_24)
        return rtc_get(s, v);
    return rtc_get(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static i64 rtc_wall(const struct rtc *r)
{
    return r->state.base + machine_now(r->dev.machine);
}

/* The clock's registers from the time as it is. */
static void rtc_show(struct rtc *r)
{
    struct rtc_state *s = &r->state;
    time_t t = (time_t)(rtc_wall(r) / SECOND);
    struct tm tm = { 0 };

    gmtime_r(&t, &tm);
    s->cmos[SECONDS] = rtc_put(s, (u32)tm.tm_sec);
    s->cmos[MINUTES] = rtc_put(s, (u32)tm.tm_min);
    s->cmos[HOURS] = rtc_put_hour(s, (u32)tm.tm_hour);
    s->cmos[WEEKDAY] = rtc_put(s, (u32)tm.tm_wday + 1);
    s->cmos[DAY] = rtc_put(s, (u32)tm.tm_mday);
    s->cmos[MONTH] = rtc_put(s, (u32)tm.tm_mon + 1);
    s->cmos[YEAR] = rtc_put(s, (u32)tm.tm_year % 100);
    s->cmos[CENTURY] = rtc_put(s, (u32)tm.tm_year / 100 + 19);
}

/* The time from the registers, whatever nonsense is in them. */
static void rtc_take(struct rtc *r)
{
    struct rtc_state *s = &r->state;
    u32 month = rtc_get(s, s->cmos[MONTH]), year = rtc_get(s, s->cmos[YEAR]) % 100;
    i64 days;

    year += rtc_get(s, s->cmos[CENTURY]) % 100 * 100;
    year = (u32)min_u64(max_u64(year, YEAR_FIRST), YEAR_LAST); /* nanoseconds reach no further */
    days = rtc_days(year, month < 1 || month > 12 ? 1 : month, rtc_get(s, s->cmos[DAY]));
    s->base = (days * 86400 + rtc_get_hour(s, s->cmos[HOURS]) * 3600ll +
               rtc_get(s, s->cmos[MINUTES]) * 60ll + rtc_get(s, s->cmos[SECONDS])) *
                  SECOND -
              machine_now(r->dev.machine);
}

static bool rtc_runs(const struct rtc_state *s)
{
    return !(s->cmos[REG_B] & B_SET) && (s->cmos[REG_A] & A_DIVIDER) < A_STOPPED;
}

/* ---- interrupts ---- */

static i64 rtc_period(const struct rtc_state *s)
{
    u32 rate = s->cmos[REG_A] & 15;

    if (!rate)
        return 0;
    return SECOND * (i64)(1u << ((rate < 3 ? rate + 7 : rate) - 1)) / 32768;
}

static void rtc_flag(struct rtc *r, u8 flags)
{
    struct rtc_state *s = &r->state;

    s->cmos[REG_C] |= flags;
    if (s->cmos[REG_C] & s->cmos[REG_B] & (B_PERIODIC | B_ALARM | B_UPDATE))
        s->cmos[REG_C] |= C_IRQ;
    irq_set(&r->irq, s->cmos[REG_C] & C_IRQ && !s->off);
}

/* Timers for what is enabled. */
static void rtc_arm(struct rtc *r)
{
    struct rtc_state *s = &r->state;
    i64 now = machine_now(r->dev.machine), period = rtc_period(s);

    if (s->cmos[REG_B] & B_PERIODIC && period) {
        if (s->periodic <= now || s->periodic > now + period)
            s->periodic = now - (now % period) + period;
        timer_set(r->tick, s->periodic);
    } else {
        timer_stop(r->tick);
    }
    if (s->cmos[REG_B] & (B_ALARM | B_UPDATE) && rtc_runs(s))
        timer_set(r->second, now + SECOND - rtc_wall(r) % SECOND);
    else
        timer_stop(r->second);
}

static void rtc_tick(struct device *d)
{
    struct rtc *r = (struct rtc *)d;

    rtc_flag(r, B_PERIODIC);
    rtc_arm(r);
}

static bool rtc_alarm_fits(const struct rtc_state *s, u32 alarm, u32 now)
{
    return s->cmos[alarm] >= ALARM_ANY || s->cmos[alarm] == s->cmos[now];
}

static void rtc_second(struct device *d)
{
    struct rtc *r = (struct rtc *)d;
    struct rtc_state *s = &r->state;
    u8 flags = B_UPDATE;

    rtc_show(r);
    if (rtc_alarm_fits(s, SECONDS_ALARM, SECONDS) && rtc_alarm_fits(s, MINUTES_ALARM, MINUTES) &&
        rtc_alarm_fits(s, HOURS_ALARM, HOURS))
        flags |= B_ALARM;
    rtc_flag(r, flags);
    if (flags & s->cmos[REG_B] & B_ALARM)
        machine_alarm(d->machine);
    rtc_arm(r);
}

/* Flags that nobody asked to be interrupted for are found out when they are read. */
static u8 rtc_read_c(struct rtc *r)
{
    struct rtc_state *s = &r->state;
    i64 now = machine_now(r->dev.machine), period = rtc_period(s);
    u8 c = s->cmos[REG_C];

    if (rtc_runs(s) && (s->base + now) / SECOND != (s->base + s->c_read) / SECOND)
        c |= B_UPDATE;
    if (period && now / period != s->c_read / period)
        c |= B_PERIODIC;
    s->c_read = now;
    s->cmos[REG_C] = 0;
    irq_set(&r->irq, false);
    return c;
}

/* ---- ports ---- */

static u8 rtc_read(struct rtc *r)
{
    struct rtc_state *s = &r->state;

    switch (s->index) {
    case REG_A:
        return s->cmos[REG_A] |
               (rtc_runs(s) && rtc_wall(r) % SECOND >= SECOND - UPDATE_NS ? A_UPDATING : 0);
    case REG_C:
        return rtc_read_c(r);
    case REG_D:
        return D_VALID;
    }
    if (rtc_runs(s))
        rtc_show(r);
    return s->cmos[s->index];
}

static void rtc_write_mode(struct rtc *r, u8 a, u8 b)
{
    struct rtc_state *s = &r->state;
    bool ran = rtc_runs(s);

    if (ran)
        rtc_show(r);
    s->cmos[REG_A] = a & (u8)~A_UPDATING;
    s->cmos[REG_B] = b;
    if (!ran && rtc_runs(s))
        rtc_take(r);
    rtc_arm(r);
    rtc_flag(r, 0);
}

static void rtc_write(struct rtc *r, u8 val)
{
    struct rtc_state *s = &r->state;
    bool clock = s->index <= YEAR || s->index == CENTURY;

    switch (s->index) {
    case REG_A:
        rtc_write_mode(r, val, s->cmos[REG_B]);
        return;
    case REG_B:
        rtc_write_mode(r, s->cmos[REG_A], val);
        return;
    case REG_C:
    case REG_D:
        return;
    }
    if (clock && rtc_runs(s))
        rtc_show(r);
    s->cmos[s->index] = val;
    if (clock && rtc_runs(s) && !(s->index & 1 && s->index <= HOURS_ALARM)) {
        i64 part = rtc_wall(r) % SECOND;

        rtc_take(r);
        s->base += part;
    }
}

static u64 rtc_load(struct device *d, u32 off, u32 size)
{
    (void)size;
    return off ? rtc_read((struct rtc *)d) : 0xff;
}

static void rtc_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct rtc *r = (struct rtc *)d;

    (void)size;
    if (off)
        rtc_write(r, (u8)val);
    else
        r->state.index = val & 0x7f; /* bit 7 masks NMI: nobody sends any by this way */
}

/* "legacy.off": its writer holds our domain. */
static void rtc_off(void *sink, u32 pin, bool level)
{
    struct rtc *r = sink;

    (void)pin;
    r->state.off = level;
    rtc_flag(r, 0);
}

/* ---- the device ---- */

static void rtc_put16(u8 *p, u64 v)
{
    v = min_u64(v, 0xffff);
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
}

static void rtc_fill_floppies(struct rtc *r)
{
    u8 *c = r->state.cmos;

    c[0x10] = r->floppies;
    c[0x14] &= 0x3e; /* equipment: how many drives less one, are there any */
    if (r->floppies)
        c[0x14] |= r->floppies & 0xf ? 0x41 : 1;
}

void rtc_floppies(struct device *d, u8 kinds)
{
    struct rtc *r = (struct rtc *)d;

    r->floppies = kinds;
    rtc_fill_floppies(r);
}

/* What a BIOS finds: memory sizes, equipment, processors, boot order. */
static void rtc_fill(struct rtc *r)
{
    struct machine *m = r->dev.machine;
    u64 low = machine_low_ram(m), high = machine_ram_size(m) - low;
    u8 *c = r->state.cmos;

    rtc_put16(c + 0x15, 640);
    rtc_put16(c + 0x17, low > 1 << 20 ? (low - (1 << 20)) >> 10 : 0);
    memcpy(c + 0x30, c + 0x17, 2);
    rtc_put16(c + 0x34, low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0);
    c[0x5b] = (u8)(high >> 16);
    c[0x5c] = (u8)(high >> 24);
    c[0x5d] = (u8)(high >> 32);
    c[0x5f] = (u8)(machine_cpu_count(m) - 1);
    c[0x14] = 0x06; /* FPU, PS/2 mouse */
    rtc_fill_floppies(r);
    c[0x3d] = (u8)r->config.boot;
    c[0x38] = (u8)((r->config.boot >> 4 & 0xf0) | 1); /* no look at a floppy's signature */
}

static int rtc_create(struct device *d, struct err *e)
{
    struct region ports = { .name = "rtc",
                            .base = 0x70,
                            .len = 2,
                            .min = 1,
                            .max = 1,
                            .load = rtc_load,
                            .store = rtc_store,
                            .dev = d };
    struct rtc *r = (struct rtc *)d;

    if (timer_new(d, rtc_tick, &r->tick) || timer_new(d, rtc_second, &r->second))
        return err_set(e, -ENOMEM, "no memory for timers");
    r->irq = machine_wire(d->machine, d, "isa.8");
    machine_input(d->machine, "legacy.off", (struct irq){ rtc_off, r, 0 });
    return space_add(machine_ports(d->machine), &ports, NULL, e);
}

/*
 * CMOS memory and the clock live on through a reset; only power-on fills them.  While the guest
 * sleeps its alarm goes on, and the BIOS is told how to start.
 */
static void rtc_reset(struct device *d, enum reset kind)
{
    struct rtc *r = (struct rtc *)d;
    struct rtc_state *s = &r->state;
    struct timespec t = { .tv_sec = (time_t)r->config.base };
    bool off = s->off;

    if (kind == RESET_SLEEP) {
        s->cmos[SHUTDOWN_STATUS] = SHUTDOWN_WAKES;
        return;
    }
    if (kind == RESET_POWER) {
        if (!r->config.base)
            clock_gettime(CLOCK_REALTIME, &t);
        *s = (struct rtc_state){ .off = off };
        s->base = t.tv_sec * SECOND + t.tv_nsec - machine_now(d->machine);
        s->cmos[REG_A] = 0x26;
        s->cmos[REG_B] = B_24;
        rtc_fill(r);
        rtc_show(r);
    }
    s->cmos[REG_B] &= (u8) ~(B_PERIODIC | B_ALARM | B_UPDATE);
    s->cmos[REG_C] = 0;
    s->index = 0;
    rtc_arm(r);
    rtc_flag(r, 0);
}

static int rtc_check(const struct device *d, struct err *e)
{
    const struct rtc_state *s = &((const struct rtc *)d)->state;

    if (s->index > 0x7f || s->base < INT64_MIN / 2 || s->base > INT64_MAX / 2)
        return err_set(e, -EBADMSG, "no clock can be in this state");
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct rtc_config, base, 0, "seconds since 1970 at the start; 0: the host's time"),
    FIELD(2, struct rtc_config, boot, 0, "boot order by four bits: 1 floppy 2 disk 3 CD 4 network"),
    FIELDS(0, struct rtc_config, pad, F_LOCAL, "none"), FIELD_END
};
static const struct field state[] = {
    /* wall clock and guest time: the sum is what counts, so base is not rebased */
    FIELD_ANY(1, struct rtc_state, base, F_U64, sizeof(i64), 1, 0, "wall clock at guest time 0",
              NULL),
    FIELD_TIME(2, struct rtc_state, c_read, 0, "when register C was read"),
    FIELD_TIME(3, struct rtc_state, periodic, 0, "next periodic interrupt"),
    FIELDS(4, struct rtc_state, cmos, 0, "registers and memory"),
    FIELD(5, struct rtc_state, index, 0, "port 0x70"),
    FIELD(6, struct rtc_state, off, 0, "the HPET drives ISA 8"),
    FIELDS(0, struct rtc_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_rtc = {
    .name = "rtc",
    .about = "MC146818 clock and CMOS memory",
    .domain = "chipset",
    .size = sizeof(struct rtc),
    .config_at = offsetof(struct rtc, config),
    .config = config,
    .config_default = &(const struct rtc_config){ .boot = 0x32 },
    .config_size = sizeof(struct rtc_config),
    .state_at = offsetof(struct rtc, state),
    .state_size = sizeof(struct rtc_state),
    .state = state,
    .create = rtc_create,
    .reset = rtc_reset,
    .check = rtc_check,
};
