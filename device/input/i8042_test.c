/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard controller, keyboard and mouse, as a driver meets them. */
#include "device/input/ps2.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static struct device *d;
static struct rig_wire *irq1, *irq12;

static void start(void)
{
    rig_start(&r, 1, 1);
    d = rig_device(&r, "i8042", NULL, NULL);
    irq1 = rig_wire(&r, "isa.1");
    irq12 = rig_wire(&r, "isa.12");
}
static u8 status(void)
{
    return (u8)rig_in(&r, 0x64, 1);
}
static int get(void)
{
    return status() & 1 ? (int)rig_in(&r, 0x60, 1) : -1;
}
static void mode(u8 val)
{
    rig_out(&r, 0x64, 1, 0x60);
    rig_out(&r, 0x60, 1, val);
}
static void to_mouse(u8 val)
{
    rig_out(&r, 0x64, 1, 0xd4);
    rig_out(&r, 0x60, 1, val);
}

static void controller(void)
{
    start();
    CHECK_EQ(get(), -1);
    rig_out(&r, 0x64, 1, 0xaa);
    CHECK_EQ(get(), 0x55);
    CHECK_EQ(status() & 4, 4);
    rig_out(&r, 0x64, 1, 0xab);
    CHECK_EQ(get(), 0);
    mode(0x47);
    rig_out(&r, 0x64, 1, 0x20);
    CHECK_EQ(get(), 0x47);
    rig_out(&r, 0x64, 1, 0xd3);
    rig_out(&r, 0x60, 1, 0x5a);
    CHECK_EQ(status() & 0x21, 0x21);
    CHECK(irq12->level);
    CHECK_EQ(get(), 0x5a);
    rig_out(&r, 0x64, 1, 0xfe);
    rig_loop(&r);
    CHECK_EQ(r.ask, MACHINE_RESET);
    CHECK_EQ(r.asks, 1);
    rig_stop(&r);
}

static void keyboard(void)
{
    start();
    mode(0x41);
    rig_out(&r, 0x60, 1, 0xff);
    CHECK_EQ(get(), 0xfa);
    CHECK_EQ(get(), 0xaa);
    rig_out(&r, 0x60, 1, 0xf2);
    CHECK_EQ(get(), 0xfa);
    CHECK_EQ(get(), 0xab);
    CHECK_EQ(get(), 0x41);
    irq1->rises = 0;
    ps2_key(d, 0x1e, true);
    ps2_key(d, 0x1e, false);
    ps2_key(d, 0xe048, true);
    CHECK(irq1->level);
    CHECK_EQ(get(), 0x1e);
    CHECK_EQ(get(), 0x9e);
    CHECK_EQ(get(), 0xe0);
    CHECK_EQ(get(), 0x48);
    CHECK_EQ(get(), -1);
    CHECK_EQ(irq1->rises, 4);
    mode(0x01); /* no translation: set 2 */
    ps2_key(d, 0x1e, true);
    ps2_key(d, 0x1e, false);
    CHECK_EQ(get(), 0x1c);
    CHECK_EQ(get(), 0xf0);
    CHECK_EQ(get(), 0x1c);
    rig_out(&r, 0x60, 1, 0xed);
    CHECK_EQ(get(), 0xfa);
    rig_out(&r, 0x60, 1, 2);
    CHECK_EQ(get(), 0xfa);
    rig_out(&r, 0x60, 1, 0xf5);
    CHECK_EQ(get(), 0xfa);
    ps2_key(d, 0x1e, true);
    CHECK_EQ(get(), -1);
    rig_stop(&r);
}

static void typing(void)
{
    static const u8 want[] = { 0x2a, 0x23, 0xa3, 0xaa, 0x17, 0x97,
                               0x1d, 0x2e, 0xae, 0x9d, 0x1c, 0x9c };

    start();
    mode(0x41);
    CHECK_EQ(ps2_type(d, "Hi\003\n", 4), 4);
    for (u32 i = 0; i < LEN(want); i++)
        CHECK_EQ(get(), want[i]);
    CHECK_EQ(get(), -1);
    CHECK(ps2_type(d, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 48) < 48);
    rig_stop(&r);
}

/* As much as a driver reads away that finds something: 16 bytes.  Then it hears all again. */
static void typed_unread(void)
{
    u32 n = 0;

    start();
    mode(0x41);
    for (u32 i = 0; i < 30; i++) {
        rig_clock(&r, 200000000);
        ps2_key(d, 0x1e, true);
        rig_clock(&r, 50000000);
        ps2_key(d, 0x1e, false);
    }
    ps2_key(d, 0x1e, true);
    while (get() >= 0)
        n++;
    CHECK(n >= 8 && n <= 16);
    CHECK_EQ(n % 2, 0);     /* no press without its release */
    ps2_key(d, 0x1e, true); /* repeated: now it is heard, and so is its release */
    ps2_key(d, 0x1e, false);
    CHECK_EQ(get(), 0x1e);
    CHECK_EQ(get(), 0x9e);
    for (u32 i = 0; i < 10; i++) { /* at once, to one who reads */
        ps2_key(d, 0xe048, true);
        ps2_key(d, 0xe048, false);
    }
    for (n = 0; get() >= 0;)
        n++;
    CHECK_EQ(n, 40);
    for (u32 i = 0; i < 20; i++) { /* held down */
        rig_clock(&r, 30000000);
        ps2_key(d, 0x1e, true);
    }
    ps2_key(d, 0x1e, false);
    CHECK_EQ(get(), 0x1e);
    for (n = 0; get() == 0x1e;)
        n++;
    CHECK(n <= 2);
    ps2_key(d, 0x1e, true);
    CHECK_EQ(get(), 0x1e);
    ps2_key(d, 0x1e, true);
    CHECK_EQ(get(), 0x1e);
    ps2_key(d, 0x1e, false);
    CHECK_EQ(get(), 0x9e);
    rig_stop(&r);
}

static void mouse(void)
{
    static const u8 wheel[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80 };

    start();
    mode(0x43);
    to_mouse(0xff);
    CHECK_EQ(get(), 0xfa);
    CHECK_EQ(get(), 0xaa);
    CHECK_EQ(get(), 0);
    for (u32 i = 0; i < LEN(wheel); i++) {
        to_mouse(wheel[i]);
        CHECK_EQ(get(), 0xfa);
    }
    to_mouse(0xf2);
    CHECK_EQ(get(), 0xfa);
    CHECK_EQ(get(), 3);
    ps2_mouse(d, 1, 1, 0, 0);
    CHECK_EQ(get(), -1); /* not yet */
    to_mouse(0xf4);
    CHECK_EQ(get(), 0xfa);
    CHECK_EQ(get(), 0x28);
    CHECK_EQ(get(), 1);
    CHECK_EQ(get(), 0xff);
    CHECK_EQ(get(), 0);
    ps2_mouse(d, -300, 0, 1, 1);
    CHECK(irq12->level);
    CHECK_EQ(get(), 0x19);
    CHECK_EQ(get(), 1); /* -255 */
    CHECK_EQ(get(), 0);
    CHECK_EQ(get(), 1);
    CHECK_EQ(get(), -1);
    rig_stop(&r);
}

int main(void)
{
    CASE(controller);
    CASE(keyboard);
    CASE(typing);
    CASE(typed_unread);
    CASE(mouse);
    return check_end();
}
