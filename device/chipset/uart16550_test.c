/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/check.h"
#include "tests/rig.h"

enum { PORT = 0x3f8 };

static struct rig r;
static struct chr *chr;
static struct rig_wire *wire;

static void start(void)
{
    struct device_end ends[] = { { "chr", NULL }, { NULL, NULL } };

    rig_start(&r, 1, 1);
    chr_open_buf(&chr, 4096, NULL);
    ends[0].end = chr;
    wire = rig_wire(&r, "isa.4");
    rig_device(&r, "uart16550", NULL, ends);
}

static void stop(void)
{
    chr_close(chr);
    rig_stop(&r);
}

static void sends_bytes(void)
{
    const u8 *out;
    u32 n;

    start();
    rig_out(&r, PORT, 1, 'h');
    rig_out(&r, PORT, 1, 'i');
    out = chr_kept(chr, &n);
    CHECK_EQ(n, 2);
    CHECK(n == 2 && !memcmp(out, "hi", 2));
    CHECK_EQ(rig_in(&r, PORT + 5, 1), 0x60);
    stop();
}

static void divisor_latch_hides_data(void)
{
    u32 n;

    start();
    rig_out(&r, PORT + 3, 1, 0x83);
    rig_out(&r, PORT, 1, 0x34);
    rig_out(&r, PORT + 1, 1, 0x12);
    CHECK_EQ(rig_in(&r, PORT, 1), 0x34);
    CHECK_EQ(rig_in(&r, PORT + 1, 1), 0x12);
    rig_out(&r, PORT + 3, 1, 3);
    CHECK_EQ(rig_in(&r, PORT + 1, 1), 0);
    chr_kept(chr, &n);
    CHECK_EQ(n, 0);
    stop();
}

static void receive_interrupts(void)
{
    start();
    rig_out(&r, PORT + 2, 1, 0x81); /* FIFO on, trigger at 8 */
    rig_out(&r, PORT + 1, 1, 1);
    CHECK_EQ(chr_feed(chr, (const u8 *)"abcdefgh", 8), 8);
    rig_loop(&r);
    CHECK(!wire->level); /* OUT2 is off */
    rig_out(&r, PORT + 4, 1, 8);
    CHECK(wire->level);
    CHECK_EQ(rig_in(&r, PORT + 2, 1), 0xc4);
    CHECK_EQ(rig_in(&r, PORT, 1), 'a');
    CHECK_EQ(rig_in(&r, PORT + 2, 1), 0xcc); /* below the trigger: timeout */
    for (int i = 0; i < 7; i++)
        CHECK_EQ(rig_in(&r, PORT, 1), (u64) "bcdefgh"[i]);
    CHECK(!wire->level);
    CHECK_EQ(rig_in(&r, PORT + 2, 1), 0xc1);
    stop();
}

static void empty_interrupt_once(void)
{
    start();
    rig_out(&r, PORT + 4, 1, 8);
    rig_out(&r, PORT + 1, 1, 2);
    CHECK(wire->level);
    CHECK_EQ(rig_in(&r, PORT + 2, 1), 2);
    CHECK(!wire->level);
    rig_out(&r, PORT, 1, 'x');
    CHECK(wire->level);
    stop();
}

static void loopback(void)
{
    u32 n;

    start();
    rig_out(&r, PORT + 4, 1, 0x1b);
    rig_out(&r, PORT, 1, 'L');
    CHECK_EQ(rig_in(&r, PORT + 5, 1) & 1, 1);
    CHECK_EQ(rig_in(&r, PORT, 1), 'L');
    CHECK_EQ(rig_in(&r, PORT + 6, 1) & 0xf0, 0xb0);
    rig_out(&r, PORT + 4, 1, 0x10);
    CHECK_EQ(rig_in(&r, PORT + 6, 1), 0x0b); /* all gone, three lines changed */
    chr_kept(chr, &n);
    CHECK_EQ(n, 0);
    stop();
}

static void overrun_is_told(void)
{
    start();
    rig_out(&r, PORT + 4, 1, 0x10);
    rig_out(&r, PORT, 1, 1);
    rig_out(&r, PORT, 1, 2);
    CHECK_EQ(rig_in(&r, PORT + 5, 1), 0x63);
    CHECK_EQ(rig_in(&r, PORT + 5, 1), 0x61);
    CHECK_EQ(rig_in(&r, PORT, 1), 1);
    stop();
}

int main(void)
{
    CASE(sends_bytes);
    CASE(divisor_latch_hides_data);
    CASE(receive_interrupts);
    CASE(empty_interrupt_once);
    CASE(loopback);
    CASE(overrun_is_told);
    return check_end();
}
