/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interval timer: counts, modes, the interrupt, port 0x61. */
#include "tests/check.h"
#include "tests/rig.h"

enum { TICK_NS = 838 };
static struct rig r;
static struct rig_wire *irq;

static void start(void)
{
    rig_start(&r, 1, 1);
    rig_device(&r, "pit", NULL, NULL);
    irq = rig_wire(&r, "isa.0");
}
static void load(u32 channel, u8 control, u16 count)
{
    rig_out(&r, 0x43, 1, channel << 6 | control);
    rig_out(&r, (u16)(0x40 + channel), 1, count & 0xff);
    rig_out(&r, (u16)(0x40 + channel), 1, count >> 8);
}
static u32 latched(u32 channel)
{
    u32 v;

    rig_out(&r, 0x43, 1, channel << 6);
    v = (u32)rig_in(&r, (u16)(0x40 + channel), 1);
    return v | (u32)rig_in(&r, (u16)(0x40 + channel), 1) << 8;
}

static void periodic(void)
{
    start();
    irq->rises = 0;
    load(0, 0x34, 1193); /* about a millisecond */
    rig_clock(&r, 999000);
    CHECK_EQ(irq->rises, 0);
    rig_clock(&r, 2000);
    CHECK_EQ(irq->rises, 1);
    rig_clock(&r, 100000000);
    CHECK(irq->rises >= 100 && irq->rises <= 102);
    load(0, 0x34, 0); /* 65536: 18.2 Hz */
    irq->rises = 0;
    rig_clock(&r, 1000000000);
    CHECK_EQ(irq->rises, 18);
    rig_stop(&r);
}

static void once(void)
{
    start();
    load(0, 0x30, 1000);
    CHECK(!irq->level);
    irq->rises = 0;
    rig_clock(&r, 500 * TICK_NS);
    CHECK(latched(0) >= 499 && latched(0) <= 501);
    CHECK(!irq->level);
    rig_clock(&r, 501 * TICK_NS);
    CHECK(irq->level);
    rig_clock(&r, 100000000);
    CHECK_EQ(irq->rises, 1);
    rig_stop(&r);
}

static void latches(void)
{
    u32 a;

    start();
    load(0, 0x34, 10000);
    rig_clock(&r, 100 * TICK_NS);
    rig_out(&r, 0x43, 1, 0xc2); /* read back count and status of channel 0 */
    rig_clock(&r, 1000 * TICK_NS);
    CHECK_EQ(rig_in(&r, 0x40, 1) & 0x7f, 0x34);
    a = (u32)rig_in(&r, 0x40, 1);
    a |= (u32)rig_in(&r, 0x40, 1) << 8;
    CHECK(a >= 9899 && a <= 9901);
    CHECK(latched(0) < 8902);
    rig_out(&r, 0x43, 1, 0x14); /* low byte only */
    rig_out(&r, 0x40, 1, 200);
    CHECK_EQ(rig_in(&r, 0x40, 1), 200);
    rig_out(&r, 0x43, 1, 0x35); /* BCD */
    rig_out(&r, 0x40, 1, 0x00);
    rig_out(&r, 0x40, 1, 0x10);
    CHECK_EQ(latched(0), 0x1000);
    rig_clock(&r, TICK_NS + 10);
    CHECK_EQ(latched(0), 0x0999);
    rig_stop(&r);
}

static void speaker_channel(void)
{
    start();
    rig_out(&r, 0x61, 1, 1);
    load(2, 0x30, 1193);
    CHECK_EQ(rig_in(&r, 0x61, 1) & 0x2f, 1);
    rig_clock(&r, 990000);
    CHECK_EQ(rig_in(&r, 0x61, 1) & 0x20, 0);
    rig_clock(&r, 20000);
    CHECK_EQ(rig_in(&r, 0x61, 1) & 0x20, 0x20);
    load(2, 0x36, 1000);
    CHECK_EQ(rig_in(&r, 0x61, 1) & 0x20, 0x20);
    rig_clock(&r, 600 * TICK_NS);
    CHECK_EQ(rig_in(&r, 0x61, 1) & 0x20, 0);
    rig_stop(&r);
}

int main(void)
{
    CASE(periodic);
    CASE(once);
    CASE(latches);
    CASE(speaker_channel);
    return check_end();
}
