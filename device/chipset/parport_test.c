/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The printer port as Linux's parport_pc and lp use it. */
#include "tests/check.h"
#include "tests/rig.h"
#include <string.h>

enum { DATA = 0x378, STATUS, CONTROL, EPP_ADDRESS, EPP_DATA };

static struct rig r;
static struct chr *chr;
static struct rig_wire *irq;

static void begin(void)
{
    struct device_end ends[2] = { { 0 } };

    rig_start(&r, 1, 1);
    CHECK_EQ(chr_open_buf(&chr, 100, NULL), 0);
    ends[0] = (struct device_end){ "chr", chr };
    irq = rig_wire(&r, "isa.7");
    rig_device(&r, "parport", NULL, ends);
}

static void end(void)
{
    machine_clear(r.m);
    chr_close(chr);
    rig_stop(&r);
}

static void print(u8 byte)
{
    u8 control = (u8)rig_in(&r, CONTROL, 1);

    CHECK_EQ(rig_in(&r, STATUS, 1) & 0xf8, 0xd8);
    rig_out(&r, DATA, 1, byte);
    rig_out(&r, CONTROL, 1, control | 1);
    rig_out(&r, CONTROL, 1, control);
}

static bool printed(const char *text)
{
    u32 n;
    const u8 *p = chr_kept(chr, &n);

    return n == strlen(text) && !memcmp(p, text, n);
}

/* What tells a port with a direction, and EPP. */
static void probes(void)
{
    begin();
    rig_out(&r, CONTROL, 1, 0xc);
    CHECK_EQ(rig_in(&r, CONTROL, 1) & 0xf, 0xc);
    rig_out(&r, DATA, 1, 0xaa);
    CHECK_EQ(rig_in(&r, DATA, 1), 0xaa);
    rig_out(&r, CONTROL, 1, 0x2c);
    CHECK_EQ(rig_in(&r, DATA, 1), 0xff);
    CHECK_EQ(rig_in(&r, STATUS, 1) & 1, 0); /* no EPP timeout */
    CHECK_EQ(rig_in(&r, EPP_DATA, 1), 0xff);
    CHECK(printed(""));
    end();
}

static void prints(void)
{
    begin();
    rig_out(&r, CONTROL, 1, 0xc);
    print('a');
    print('b');
    rig_out(&r, CONTROL, 1, 0xd); /* held: one byte */
    rig_out(&r, CONTROL, 1, 0xd);
    CHECK(printed("abb"));
    CHECK_EQ(irq->rises, 0);
    rig_out(&r, CONTROL, 1, 0x1c);
    print('c');
    CHECK_EQ(irq->rises, 1);
    CHECK(!irq->level);
    rig_out(&r, CONTROL, 1, 8); /* held in reset */
    rig_out(&r, CONTROL, 1, 9);
    CHECK(printed("abbc"));
    rig_out(&r, CONTROL, 1, 0xc);
    rig_out(&r, EPP_ADDRESS, 1, 9);
    rig_out(&r, EPP_DATA, 4, 0x67666564);
    CHECK(printed("abbcdefg"));
    end();
}

int main(void)
{
    CASE(probes);
    CASE(prints);
    return check_end();
}
