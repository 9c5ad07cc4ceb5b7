/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock and CMOS memory. */
#include "tests/check.h"
#include "tests/rig.h"

#define SECOND 1000000000ll
static struct rig r;
static struct rig_wire *irq;
static const char *const at_base[] = { "base", "951782399", NULL }; /* 2000-02-28 23:59:59 */

static u8 rd(u8 i)
{
    rig_out(&r, 0x70, 1, i);
    return (u8)rig_in(&r, 0x71, 1);
}
static void wr(u8 i, u8 v)
{
    rig_out(&r, 0x70, 1, i);
    rig_out(&r, 0x71, 1, v);
}
static void start(void)
{
    rig_start(&r, 32, 4);
    rig_device(&r, "rtc", at_base, NULL);
    irq = rig_wire(&r, "isa.8");
}

static void calendar(void)
{
    start();
    CHECK_EQ(rd(0), 0x59);
    CHECK_EQ(rd(4), 0x23);
    CHECK_EQ(rd(7), 0x28);
    CHECK_EQ(rd(8), 2);
    CHECK_EQ(rd(9), 0);
    CHECK_EQ(rd(0x32), 0x20);
    rig_clock(&r, SECOND);
    CHECK_EQ(rd(0), 0);
    CHECK_EQ(rd(7), 0x29); /* a leap year */
    CHECK_EQ(rd(6), 3);    /* Tuesday */
    wr(0x0b, 0x04);        /* binary, 12 hours */
    rig_clock(&r, 13 * 3600 * SECOND);
    CHECK_EQ(rd(4), 0x81);
    CHECK_EQ(rd(0x0d), 0x80);
    rig_stop(&r);
}

static void setting_the_time(void)
{
    static const u8 when[][2] = { { 0, 0x58 }, { 2, 0x59 }, { 4, 0x23 },   { 7, 0x31 },
                                  { 8, 0x12 }, { 9, 0x99 }, { 0x32, 0x20 } };

    start();
    wr(0x0b, 0x82);
    for (u32 i = 0; i < LEN(when); i++)
        wr(when[i][0], when[i][1]);
    rig_clock(&r, 10 * SECOND);
    CHECK_EQ(rd(0), 0x58); /* it stands */
    wr(0x0b, 0x02);
    rig_clock(&r, 2 * SECOND);
    CHECK_EQ(rd(9), 0x00);
    CHECK_EQ(rd(0x32), 0x21);
    CHECK_EQ(rd(8), 1);
    wr(2, 0x30); /* one register while it runs */
    CHECK_EQ(rd(2), 0x30);
    rig_stop(&r);
}

static void periodic_interrupt(void)
{
    start();
    wr(0x0a, 0x26); /* 1024 Hz */
    wr(0x0b, 0x42);
    rig_clock(&r, SECOND / 1024 + 1);
    CHECK(irq->level);
    CHECK_EQ(rd(0x0c) & 0xd0, 0xc0);
    CHECK(!irq->level);
    for (int i = 0; i < 10; i++) {
        rig_clock(&r, SECOND / 1024);
        CHECK(irq->level);
        rd(0x0c);
    }
    CHECK_EQ(irq->rises, 11);
    rig_stop(&r);
}

static void update_and_alarm(void)
{
    start();
    rig_clock(&r, SECOND - 100000);
    CHECK_EQ(rd(0x0a) & 0x80, 0x80); /* about to change */
    rd(0x0c);
    rig_clock(&r, 200000);
    CHECK_EQ(rd(0x0a) & 0x80, 0);
    CHECK_EQ(rd(0x0c) & 0x10, 0x10); /* without an interrupt */
    wr(0x0b, 0x12);
    rig_clock(&r, SECOND);
    CHECK(irq->level);
    CHECK_EQ(rd(0x0c) & 0x90, 0x90);
    wr(1, 0x05);
    wr(3, 0xff); /* any minute */
    wr(5, 0xff);
    wr(0x0b, 0x22);
    rig_clock(&r, 3 * SECOND);
    CHECK(!irq->level);
    rig_clock(&r, SECOND);
    CHECK(irq->level);
    CHECK_EQ(rd(0x0c) & 0xa0, 0xa0);
    rig_stop(&r);
}

static void what_a_bios_finds(void)
{
    start();
    CHECK_EQ(rd(0x5f), 3);
    CHECK_EQ(rd(0x35) << 8 | rd(0x34), 256); /* 16 MiB above 16 MiB */
    CHECK_EQ(rd(0x31) << 8 | rd(0x30), 31 << 10);
    wr(0x0f, 0x0a);
    machine_reset(r.m, RESET_SYSTEM);
    CHECK_EQ(rd(0x0f), 0x0a);
    rig_stop(&r);
}

int main(void)
{
    CASE(calendar);
    CASE(setting_the_time);
    CASE(periodic_interrupt);
    CASE(update_and_alarm);
    CASE(what_a_bios_finds);
    return check_end();
}
