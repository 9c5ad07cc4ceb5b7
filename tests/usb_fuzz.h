/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_USB_FUZZ_H
#define TESTS_USB_FUZZ_H
#include "base/bytes.h"
#include "device/usb/input.h"
#include "tests/rig.h"
#include "tests/usb_driver.h"
#include <stdlib.h>

/*
 * What the fuzz targets of USB controllers share: a machine with a stick, a tablet and a keyboard,
 * a driver that has one of them running when an input begins, and steps that a guest may take:
 * any register, any byte of the lists in memory, transfers that nearly make sense.
 */
enum { FUZZ_RAM_MIB = 4, FUZZ_DISK = 1 << 20, FUZZ_LISTS = 0x10000, FUZZ_DATA = 0x200000 };
enum { FUZZ_STEPS = 100, FUZZ_CBW = 0x180000 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct blk *disk;
static struct device *host, *tablet, *keyboard;
static struct usb_driver driver;

static void fuzz_machine(const char *class)
{
    rig_start(&rig, FUZZ_RAM_MIB, 1);
    if (blk_open_mem(&disk, FUZZ_DISK, false, machine_lane(rig.m), NULL))
        abort();
    host = rig_device(&rig, class, NULL, NULL);
    rig_device(&rig, "usb_storage", NULL, (struct device_end[]){ { "blk", disk }, { NULL, NULL } });
    tablet = rig_device(&rig, "usb_tablet", NULL, NULL);
    keyboard = rig_device(&rig, "usb_keyboard", NULL, NULL);
}

static void fuzz_control(struct cursor *c)
{
    u8 how = get_u8(c), type = get_u8(c), request = how & 1 ? get_u8(c) : get_u8(c) & 15;
    u16 value = how & 2 ? get_le16(c) : (u16)(get_u8(c) << 8 | (how >> 6));

    usb_driver_control(&driver, type, request, value, how & 4 ? get_le16(c) : 0,
                       how & 8 ? get_le16(c) : get_u8(c), FUZZ_DATA);
}

static void fuzz_transfer(u8 endpoint, u64 data, u32 len)
{
    usb_driver_submit(&driver, endpoint, data, len);
    usb_driver_turn(&driver);
    usb_driver_done(&driver);
}

/* A command with its data and its answer, each of which may be wrong. */
static void fuzz_command(struct cursor *c)
{
    u8 how = get_u8(c), w[31] = { 'U', 'S', 'B', 'C' };
    u32 len = how & 1 ? get_le32(c) : how & 2 ? get_u8(c) : get_u8(c) * 512u;
    const u8 *cdb = cursor_take(c, 16);

    put_le32(w + 8, len);
    w[12] = how & 4 ? 0x80 : 0;
    w[14] = how & 8 ? get_u8(c) : 16;
    if (cdb)
        memcpy(w + 15, cdb, 16);
    rig_put(&rig, FUZZ_CBW, w, sizeof(w));
    fuzz_transfer(2, FUZZ_CBW, how & 16 ? get_u8(c) : sizeof(w));
    if (len)
        fuzz_transfer(how & 4 ? 0x81 : 2, FUZZ_DATA, len & 0xffff);
    fuzz_transfer(0x81, FUZZ_CBW + 64, 13);
}

static void fuzz_poke(struct cursor *c)
{
    u32 at = FUZZ_LISTS + get_le16(c), n = get_u8(c) & 31;
    const u8 *p = cursor_take(c, n);

    if (p && n)
        rig_put(&rig, at & ~3u, p, n);
}

static void fuzz_input(struct cursor *c)
{
    u16 x = get_le16(c);

    usb_tablet_point(tablet, x, x ^ 0xff, (i8)x, x >> 8);
    usb_keyboard_key(keyboard, x, x & 0x100);
}

static void fuzz_step(struct cursor *c, void (*reg)(u32 at, u32 val))
{
    u32 at;

    switch (get_u8(c) % 10) {
    case 0:
    case 1:
        at = get_le16(c);
        reg(at, at & 1 ? get_le32(c) : 1u << (get_u8(c) & 31));
        break;
    case 2:
    case 3:
        fuzz_poke(c);
        break;
    case 4:
        fuzz_control(c);
        break;
    case 5:
    case 6:
        fuzz_command(c);
        break;
    case 7:
        fuzz_transfer(get_u8(c) & 0x8f, FUZZ_DATA, get_le16(c));
        break;
    case 8:
        fuzz_input(c);
        usb_driver_turn(&driver);
        break;
    case 9:
        at = get_u8(c);
        if (at & 1)
            usb_driver_port_suspend(&driver, at & 2);
        else
            usb_driver_clear(&driver, at & 2 ? 0x81 : 2);
        break;
    }
}

/* reset: of the controller; ports: how many may have something. */
static int fuzz_run(const char *class, const u8 *p, size_t n, void (*reset)(void), u32 ports,
                    void (*reg)(u32 at, u32 val))
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_machine(class);
    driver.rig = &rig;
    driver.base = rig_bar(host, strcmp(class, "uhci") ? 0 : 4);
    reset();
    usb_driver_start(&driver, &rig, host);
    usb_driver_attach(&driver, get_u8(&c) % ports);
    for (u32 steps = 0; steps < FUZZ_STEPS && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c, reg);
    usb_driver_turn(&driver);
    return 0;
}
#endif
