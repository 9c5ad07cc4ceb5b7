/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HPET: counter, comparators, legacy replacement. */
#include "tests/check.h"
#include "tests/rig.h"

#define HPET 0xfed00000ull
static struct rig r;

static u64 rd(u32 off)
{
    return rig_load(&r, HPET + off, 8);
}
static void wr(u32 off, u64 val)
{
    rig_store(&r, HPET + off, 8, val);
}
static void wr4(u32 off, u32 val)
{
    rig_store(&r, HPET + off, 4, val);
}
static void start(void)
{
    rig_start(&r, 1, 1);
    rig_device(&r, "pit", NULL, NULL);
    rig_device(&r, "hpet", NULL, NULL);
}

static void counter(void)
{
    start();
    CHECK_EQ(rig_load(&r, HPET + 4, 4), 10000000); /* fs */
    CHECK_EQ(rig_load(&r, HPET, 4), 0x8086a201);
    rig_clock(&r, 1000);
    CHECK_EQ(rd(0xf0), 0);
    wr(0x10, 1);
    rig_clock(&r, 1000);
    CHECK_EQ(rd(0xf0), 100);
    wr(0x10, 0);
    rig_clock(&r, 1000);
    CHECK_EQ(rd(0xf0), 100);
    wr(0xf0, 0x123456789a);
    CHECK_EQ(rig_load(&r, HPET + 0xf0, 4), 0x3456789a);
    CHECK_EQ(rig_load(&r, HPET + 0xf4, 4), 0x12);
    rig_stop(&r);
}

static void once_by_route(void)
{
    struct rig_wire *pin;

    start();
    pin = rig_wire(&r, "gsi.20");
    CHECK_EQ(rd(0x120) >> 32, 0x00f00104);
    wr4(0x120, 20 << 9 | 2 << 1); /* edge, not enabled */
    wr4(0x120, 20 << 9 | 1 << 2);
    wr(0x128, 500);
    wr(0x10, 1);
    rig_clock(&r, 4990);
    CHECK_EQ(pin->rises, 0);
    rig_clock(&r, 10);
    CHECK_EQ(pin->rises, 1);
    wr4(0x120, 20 << 9 | 1 << 2 | 1 << 1); /* level */
    wr(0x128, rd(0xf0) + 100);
    rig_clock(&r, 2000);
    CHECK(pin->level);
    CHECK_EQ(rd(0x20), 2);
    wr(0x20, 2);
    CHECK(!pin->level);
    rig_stop(&r);
}

/* As Linux sets it up: periodic with "value set", legacy routes. */
static void periodic_stands_in_for_the_pit(void)
{
    struct rig_wire *irq0;

    start();
    irq0 = rig_wire(&r, "isa.0");
    wr4(0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8);
    wr4(0x108, 100000);
    wr4(0x108, 100000); /* the period */
    wr(0x10, 3);
    irq0->rises = 0;
    rig_clock(&r, 999990);
    CHECK_EQ(irq0->rises, 0);
    rig_clock(&r, 10);
    CHECK_EQ(irq0->rises, 1);
    rig_clock(&r, 5000000);
    CHECK_EQ(irq0->rises, 6);
    wr4(0x100, 0);
    rig_clock(&r, 100000000);
    CHECK_EQ(irq0->rises, 6); /* and the PIT is silent */
    wr(0x10, 1);
    irq0->rises = 0;
    rig_out(&r, 0x43, 1, 0x34);
    rig_out(&r, 0x40, 1, 0);
    rig_out(&r, 0x40, 1, 4);
    rig_clock(&r, 10000000);
    CHECK(irq0->rises > 5);
    rig_stop(&r);
}

/* A periodic timer that may not interrupt wakes nobody, and is where it would be. */
static void silent(void)
{
    struct rig_wire *irq0;

    start();
    irq0 = rig_wire(&r, "isa.0");
    wr4(0x100, 1 << 3 | 1 << 6);
    wr(0x108, 10000);
    wr(0x108, 10000);
    wr(0x10, 3);
    irq0->rises = 0;
    CHECK_EQ(rd(0x108), 10000);
    rig_clock(&r, 345670);
    CHECK_EQ(irq0->rises, 0);
    CHECK_EQ(rd(0x108), 40000);
    rig_clock(&r, 100000);
    wr4(0x100, 1 << 2 | 1 << 3);
    CHECK_EQ(rd(0x108), 50000);
    rig_clock(&r, 54320);
    CHECK_EQ(irq0->rises, 0);
    rig_clock(&r, 10);
    CHECK_EQ(irq0->rises, 1);
    rig_clock(&r, 200000);
    CHECK_EQ(irq0->rises, 3);
    rig_stop(&r);
}

int main(void)
{
    CASE(counter);
    CASE(once_by_route);
    CASE(periodic_stands_in_for_the_pit);
    CASE(silent);
    return check_end();
}
