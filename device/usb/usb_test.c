/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB devices behind each controller, by the same small drivers: what they say about themselves,
 * disks by commands that make sense and commands that do not, pointer and keys, sleep, and a
 * machine that moves in the middle.
 */
#include "base/bytes.h"
#include "device/usb/input.h"
#include "tests/check.h"
#include "tests/rig.h"
#include "tests/usb_driver.h"
#include <errno.h>

enum { RAM_MIB = 16, DISK = 4 << 20, BLOCK = 512, CBW = 0x100000, CSW = 0x100100 };
enum { DATA = 0x200000, IN = 0x81, OUT = 2, CBW_LEN = 31, CSW_LEN = 13, GUARD = 0xa5 };

struct bench {
    struct rig r;
    struct blk *disk;
    struct device *host, *stick, *tablet, *keyboard;
    struct usb_driver u;
};
static struct bench a, b;
static const char *class;
static u32 tag;

static void begin_on(struct bench *n)
{
    rig_start(&n->r, RAM_MIB, 1);
    CHECK_EQ(blk_open_mem(&n->disk, DISK, false, machine_lane(n->r.m), NULL), 0);
    n->host = rig_device(&n->r, class, NULL, NULL);
    n->stick = rig_device(&n->r, "usb_storage", NULL,
                          (struct device_end[]){ { "blk", n->disk }, { NULL, NULL } });
    n->tablet = n->keyboard = NULL;
    if (strcmp(class, "xhci"))
        n->tablet = rig_device(&n->r, "usb_tablet", NULL, NULL);
    n->keyboard = rig_device(&n->r, "usb_keyboard", NULL, NULL);
    if (!n->tablet)
        n->tablet = rig_device(&n->r, "usb_tablet", NULL, NULL);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(n->disk)[i] = (u8)(i * 31 + (i >> 9) * 7);
}

static void begin(void)
{
    begin_on(&a);
    usb_driver_start(&a.u, &a.r, a.host);
}

static void end_of(struct bench *n)
{
    machine_clear(n->r.m);
    blk_close(n->disk);
    rig_stop(&n->r);
}

/* Where the class's devices were plugged in: the stick takes the fastest port. */
static u32 stick_port(void)
{
    return strcmp(class, "xhci") ? 0 : 4;
}
static u32 tablet_port(void)
{
    return 1; /* on xHCI the keyboard is before it */
}
static u32 keyboard_port(void)
{
    return strcmp(class, "xhci") ? 2 : 0;
}

static void byte_at(u64 at, u8 *p, u32 n)
{
    rig_get(&a.r, at, p, n);
}

/* ---- descriptors and the control pipe ---- */

static i32 get_descriptor(u8 type, u8 index, u16 len)
{
    return usb_driver_control(&a.u, 0x80, 6, (u16)(type << 8 | index), 0, len, DATA);
}

static void descriptors(void)
{
    u8 d[64];

    begin();
    CHECK(usb_driver_attach(&a.u, stick_port()));
    CHECK_EQ(get_descriptor(1, 0, 64), 18);
    byte_at(DATA, d, sizeof(d));
    CHECK(d[0] == 18 && d[1] == 1 && d[17] == 1 && le16(d + 8) == 0x0e0f);
    CHECK_EQ(get_descriptor(1, 0, 8), 8);
    CHECK_EQ(get_descriptor(2, 0, 9), 9);
    byte_at(DATA, d, sizeof(d));
    CHECK_EQ(get_descriptor(2, 0, 255), le16(d + 2));
    CHECK_EQ(get_descriptor(3, 0, 255), 4);
    CHECK_EQ(get_descriptor(3, 1, 255), 2 + 2 * 6);
    byte_at(DATA, d, sizeof(d));
    CHECK(!memcmp(d + 2, "V\0M\0w\0a\0r\0e", 11));
    CHECK(get_descriptor(3, 3, 255) >= 2 + 2 * 12); /* a serial number */
    CHECK_EQ(get_descriptor(3, 9, 255), -EPIPE);
    CHECK_EQ(get_descriptor(2, 1, 255), -EPIPE);
    CHECK_EQ(get_descriptor(6, 0, 10), strcmp(class, "xhci") ? 10 : -EPIPE);
    CHECK_EQ(get_descriptor(15, 0, 255), strcmp(class, "xhci") ? -EPIPE : 22);
    CHECK_EQ(get_descriptor(1, 0, 18), 18); /* a stall leaves the control pipe usable */
    end_of(&a);
}

static void requests(void)
{
    u8 d[8];

    begin();
    CHECK(usb_driver_attach(&a.u, tablet_port()));
    CHECK_EQ(usb_driver_control(&a.u, 0x80, 8, 0, 0, 1, DATA), 1); /* configuration */
    byte_at(DATA, d, 1);
    CHECK_EQ(d[0], 1);
    CHECK_EQ(usb_driver_control(&a.u, 0x80, 0, 0, 0, 2, DATA), 2); /* status */
    byte_at(DATA, d, 2);
    CHECK_EQ(le16(d), 0);
    CHECK_EQ(usb_driver_control(&a.u, 0, 3, 1, 0, 0, 0), 0); /* may wake us */
    CHECK_EQ(usb_driver_control(&a.u, 0x80, 0, 0, 0, 2, DATA), 2);
    byte_at(DATA, d, 2);
    CHECK_EQ(le16(d), 2);
    CHECK_EQ(usb_driver_control(&a.u, 2, 3, 0, IN, 0, 0), 0); /* halt an endpoint */
    CHECK_EQ(usb_driver_control(&a.u, 0x82, 0, 0, IN, 2, DATA), 2);
    byte_at(DATA, d, 2);
    CHECK_EQ(le16(d), 1);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 8), -EPIPE);
    usb_driver_clear(&a.u, IN);
    CHECK_EQ(usb_driver_control(&a.u, 0x82, 0, 0, IN, 2, DATA), 2);
    byte_at(DATA, d, 2);
    CHECK_EQ(le16(d), 0);
    CHECK_EQ(usb_driver_control(&a.u, 2, 3, 0, 5, 0, 0), -EPIPE); /* none of that number */
    CHECK_EQ(usb_driver_control(&a.u, 0, 9, 7, 0, 0, 0), -EPIPE); /* configuration 7 */
    CHECK_EQ(usb_driver_control(&a.u, 0x80, 99, 0, 0, 4, DATA), -EPIPE);
    CHECK_EQ(usb_driver_control(&a.u, 0x81, 6, 0x2200, 0, 255, DATA), 63); /* HID's report */
    CHECK_EQ(usb_driver_control(&a.u, 0xa1, 1, 0x100, 0, 8, DATA), 6);
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 10, 0x500, 0, 0, 0), 0); /* idle */
    CHECK_EQ(usb_driver_control(&a.u, 0xa1, 2, 0, 0, 1, DATA), 1);
    byte_at(DATA, d, 1);
    CHECK_EQ(d[0], 5);
    end_of(&a);
}

/* ---- disks ---- */

static void command_put(u32 len, bool in, const u8 *cdb, u32 n)
{
    u8 w[CBW_LEN] = { 'U', 'S', 'B', 'C' };

    put_le32(w + 4, ++tag);
    put_le32(w + 8, len);
    w[12] = in ? 0x80 : 0;
    w[14] = (u8)n;
    memcpy(w + 15, cdb, n);
    rig_put(&a.r, CBW, w, sizeof(w));
}

/* Status of the command, and what is left of its length. */
static int status_get(struct bench *n, u32 *left)
{
    u8 w[CSW_LEN];

    CHECK_EQ(usb_driver_bulk(&n->u, IN, CSW, CSW_LEN), CSW_LEN);
    rig_get(&n->r, CSW, w, sizeof(w));
    CHECK(!memcmp(w, "USBS", 4));
    CHECK_EQ(le32(w + 4), tag);
    *left = le32(w + 8);
    return w[12];
}

static i32 went;
static int command(const u8 *cdb, u32 n, u32 len, bool in, u32 *left)
{
    u32 rest;

    command_put(len, in, cdb, n);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, CBW_LEN), CBW_LEN);
    went = len ? usb_driver_bulk(&a.u, in ? IN : OUT, DATA, len) : 0;
    return status_get(&a, left ? left : &rest);
}

static int transfer(u8 op, u32 lba, u32 blocks)
{
    u8 cdb[10] = { op };

    put_be32(cdb + 2, lba);
    put_be16(cdb + 7, (u16)blocks);
    return command(cdb, 10, blocks * BLOCK, op == 0x28, NULL);
}

static bool same(u64 at, u32 off, u32 n)
{
    u8 *p = malloc(n);
    bool ok;

    rig_get(&a.r, at, p, n);
    ok = !memcmp(p, blk_mem(a.disk) + off, n);
    free(p);
    return ok;
}

static bool stick_ready(void)
{
    static const u8 ready[6] = { 0 };
    bool ok = usb_driver_attach(&a.u, stick_port());

    command(ready, 6, 0, false, NULL); /* the unit attention */
    return ok && !command(ready, 6, 0, false, NULL);
}

static void disk(void)
{
    static const u8 inquiry[6] = { 0x12, 0, 0, 0, 36 }, capacity[10] = { 0x25 };
    static const u8 bad[6] = { 0xff }, sense[6] = { 3, 0, 0, 0, 18 };
    u32 left, n = strcmp(class, "uhci") ? 600 : 300; /* more than its buffer holds */
    u8 d[36];

    begin();
    CHECK(stick_ready());
    CHECK_EQ(usb_driver_control(&a.u, 0xa1, 0xfe, 0, 0, 1, DATA), 1);
    CHECK_EQ(command(inquiry, 6, 36, true, &left), 0);
    CHECK(went == 36 && !left);
    byte_at(DATA, d, 36);
    CHECK(!memcmp(d + 8, "VMware  USB Disk", 16));
    CHECK_EQ(command(inquiry, 6, 200, true, &left), 0); /* it has less than we asked for */
    CHECK(went == 36 && left == 164);
    CHECK_EQ(command(capacity, 10, 8, true, NULL), 0);
    byte_at(DATA, d, 8);
    CHECK(be32(d) == DISK / BLOCK - 1 && be32(d + 4) == BLOCK);
    CHECK_EQ(transfer(0x28, 5, 3), 0);
    CHECK(same(DATA, 5 * BLOCK, 3 * BLOCK));
    CHECK_EQ(transfer(0x28, 100, n), 0);
    CHECK_EQ(went, (i32)(n * BLOCK));
    CHECK(same(DATA, 100 * BLOCK, n * BLOCK));
    CHECK_EQ(transfer(0x2a, 2000, n), 0); /* those go elsewhere */
    CHECK(!memcmp(blk_mem(a.disk) + 2000 * BLOCK, blk_mem(a.disk) + 100 * BLOCK, n * BLOCK));
    CHECK_EQ(transfer(0x28, DISK / BLOCK - 1, 2), 1);
    CHECK_EQ(went, 0);
    CHECK_EQ(command(bad, 6, 0, false, NULL), 1);
    CHECK_EQ(command(sense, 6, 18, true, NULL), 0);
    byte_at(DATA, d, 18);
    CHECK_EQ(d[2], 5); /* illegal request */
    end_of(&a);
}

static void disk_faults(void)
{
    begin();
    CHECK(stick_ready());
    blk_mem_fail(a.disk, 1 << BLK_READ, 50 * BLOCK, BLOCK, -EIO, 1);
    CHECK_EQ(transfer(0x28, 40, 20), 1);
    CHECK_EQ(transfer(0x28, 40, 20), 0);
    CHECK(same(DATA, 40 * BLOCK, 20 * BLOCK));
    blk_mem_fail(a.disk, 1 << BLK_WRITE, 50 * BLOCK, BLOCK, -ENOSPC, 1);
    CHECK_EQ(transfer(0x2a, 50, 1), 1);
    CHECK_EQ(transfer(0x2a, 50, 1), 0);
    end_of(&a);
}

static void disk_nonsense(void)
{
    static const u8 read[10] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 2, 0 };
    static const u8 write[10] = { 0x2a, 0, 0, 0, 0, 1, 0, 0, 2, 0 };
    static const u8 select[6] = { 0x15, 0x10, 0, 0, 4 };
    u8 was[2 * BLOCK];
    u32 left;

    begin();
    CHECK(stick_ready());
    memcpy(was, blk_mem(a.disk) + BLOCK, sizeof(was));
    CHECK_EQ(command(read, 10, 0, false, &left), 2);         /* and no data wanted */
    CHECK_EQ(command(read, 10, 2 * BLOCK, false, &left), 2); /* the wrong way */
    CHECK_EQ(command(write, 10, 2 * BLOCK, true, &left), 2);
    CHECK(!memcmp(was, blk_mem(a.disk) + BLOCK, sizeof(was)));
    CHECK_EQ(command(read, 10, BLOCK, true, &left), 0); /* less than the command says */
    CHECK_EQ(went, BLOCK);
    CHECK_EQ(command(write, 10, 4 * BLOCK, false, &left), 0); /* more */
    CHECK_EQ(left, 2 * BLOCK);
    command(select, 6, 4, false, &left);                   /* parameters */
    CHECK_EQ(command(select, 6, 200000, false, &left), 0); /* more than any buffer holds */
    CHECK_EQ(left, 200000 - 4);
    command_put(0, false, read, 10);
    rig_put(&a.r, CBW, "X", 1);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, CBW_LEN), -EPIPE);
    usb_driver_clear(&a.u, OUT);
    command_put(0, false, read, 10);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, CBW_LEN), -EPIPE); /* until its reset */
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 0xff, 0, 0, 0, 0), 0);
    usb_driver_clear(&a.u, OUT);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, 12), -EPIPE); /* too short */
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 0xff, 0, 0, 0, 0), 0);
    usb_driver_clear(&a.u, OUT);
    CHECK_EQ(transfer(0x28, 7, 9), 0);
    CHECK(same(DATA, 7 * BLOCK, 9 * BLOCK));
    end_of(&a);
}

/* A reset while the disk works: its answer is nobody's. */
static void reset_in_the_middle(void)
{
    static const u8 read[10] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 64, 0 };

    begin();
    CHECK(stick_ready());
    blk_mem_hold(a.disk, true);
    command_put(64 * BLOCK, true, read, 10);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, CBW_LEN), CBW_LEN);
    usb_driver_turn(&a.u);
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 0xff, 0, 0, 0, 0), 0);
    command_put(64 * BLOCK, true, read, 10);
    usb_driver_submit(&a.u, OUT, CBW, CBW_LEN);
    usb_driver_turn(&a.u);
    CHECK(!usb_driver_done(&a.u)); /* it waits for the old one */
    blk_mem_hold(a.disk, false);
    usb_driver_wait(&a.u);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 64 * BLOCK), 64 * BLOCK);
    CHECK(same(DATA, BLOCK, 64 * BLOCK));
    end_of(&a);
}

/* ---- pointer and keys ---- */

static void pointer(void)
{
    u8 d[8];

    begin();
    CHECK(!usb_tablet_point(a.tablet, 1, 1, 0, 0)); /* nobody drives it */
    CHECK(usb_driver_attach(&a.u, tablet_port()));
    usb_driver_submit(&a.u, IN, DATA, 8);
    usb_driver_turn(&a.u);
    CHECK(!usb_driver_done(&a.u)); /* nothing to tell */
    CHECK(usb_tablet_point(a.tablet, 0x8000, 0xffff, 0, 1));
    rig_lane(&a.r);
    usb_driver_turn(&a.u);
    CHECK(usb_driver_done(&a.u));
    CHECK_EQ(a.u.result, 6);
    byte_at(DATA, d, 6);
    CHECK(d[0] == 1 && !d[1] && le16(d + 2) == 0x4000 && le16(d + 4) == 0x7fff);
    for (u32 i = 0; i < 100; i++) /* moves become one; presses do not */
        usb_tablet_point(a.tablet, i << 8, 0, 0, 1);
    usb_tablet_point(a.tablet, 0, 0, -1, 0);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 8), 6);
    byte_at(DATA, d, 6);
    CHECK(d[0] == 1 && le16(d + 2) == 99 << 7);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 8), 6);
    byte_at(DATA, d, 6);
    CHECK(!d[0] && d[1] == 0xff && !le16(d + 2));
    end_of(&a);
}

static void keys(void)
{
    u8 d[8];

    begin();
    CHECK(usb_driver_attach(&a.u, keyboard_port()));
    usb_keyboard_key(a.keyboard, 0x2a, true); /* Shift, A, up */
    usb_keyboard_key(a.keyboard, 0x1e, true);
    usb_keyboard_key(a.keyboard, 0xe048, true);
    usb_keyboard_key(a.keyboard, 0x1e, false);
    for (u32 i = 0; i < 4; i++)
        CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA + 8 * i, 8), 8);
    byte_at(DATA + 8, d, 8);
    CHECK(d[0] == 2 && d[2] == 4 && !d[3]);
    byte_at(DATA + 16, d, 8);
    CHECK(d[0] == 2 && d[2] == 4 && d[3] == 0x52);
    byte_at(DATA + 24, d, 8);
    CHECK(d[0] == 2 && d[2] == 0x52 && !d[3]);
    rig_put(&a.r, DATA, "\2", 1); /* a light */
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 9, 0x200, 0, 1, DATA), 1);
    CHECK_EQ(usb_driver_control(&a.u, 0x21, 11, 0, 0, 0, 0), 0); /* the boot protocol */
    end_of(&a);
}

static void sleeps_and_wakes(void)
{
    u8 d[8];

    begin();
    CHECK(usb_driver_attach(&a.u, tablet_port()));
    usb_driver_port_suspend(&a.u, true);
    CHECK(!usb_tablet_point(a.tablet, 0x100, 0x100, 0, 0));
    CHECK(!usb_driver_port_resumes(&a.u)); /* it may not */
    usb_driver_port_suspend(&a.u, false);
    CHECK_EQ(usb_driver_control(&a.u, 0, 3, 1, 0, 0, 0), 0);
    usb_driver_port_suspend(&a.u, true);
    usb_tablet_point(a.tablet, 0x200, 0x200, 0, 1);
    CHECK(usb_driver_port_resumes(&a.u));
    usb_driver_port_suspend(&a.u, false);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 8), 6);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, 8), 6);
    byte_at(DATA, d, 6);
    CHECK(d[0] == 1 && le16(d + 2) == 0x100);
    end_of(&a);
}

/* A part of the data has gone over, some waits in the buffer, the rest is on the disk. */
static void moves_in_the_middle(void)
{
    enum { FIRST = 24, ALL = 400 };
    u8 read[10] = { 0x28, 0, 0, 0, 0, 9 }, *p = malloc(ALL * BLOCK);
    struct usb_driver u;
    u32 left;

    put_be16(read + 7, ALL);
    begin();
    CHECK(stick_ready());
    command_put(ALL * BLOCK, true, read, 10);
    CHECK_EQ(usb_driver_bulk(&a.u, OUT, CBW, CBW_LEN), CBW_LEN);
    CHECK_EQ(usb_driver_bulk(&a.u, IN, DATA, FIRST * BLOCK), FIRST * BLOCK);
    usb_driver_submit(&a.u, IN, DATA + FIRST * BLOCK, (ALL - FIRST) * BLOCK);
    rig_pause(&a.r);
    begin_on(&b);
    memcpy(blk_mem(b.disk), blk_mem(a.disk), DISK);
    rig_move(&a.r, &b.r);
    u = a.u;
    u.rig = &b.r;
    u.dev = b.host;
    b.u = u;
    rig_clock(&b.r, 5000000);
    usb_driver_wait(&b.u);
    CHECK_EQ(b.u.result, (ALL - FIRST) * BLOCK);
    rig_get(&b.r, DATA, p, ALL * BLOCK);
    CHECK(!memcmp(p, blk_mem(b.disk) + 9 * BLOCK, ALL * BLOCK));
    CHECK_EQ(status_get(&b, &left), 0);
    CHECK_EQ(left, 0);
    free(p);
    end_of(&b);
    end_of(&a);
}

/* Saved state is there until the power goes; then it is told that it cannot be restored. */
static void saved_and_lost(void)
{
    enum { COMMAND = 0x40, STATUS = 0x44, SAVE = 1 << 8, RESTORE = 1 << 9, LOST = 1 << 10 };

    class = "xhci";
    begin();
    rig_store(&a.r, a.u.base + COMMAND, 4, SAVE);
    rig_store(&a.r, a.u.base + COMMAND, 4, RESTORE);
    CHECK_EQ(rig_load(&a.r, a.u.base + STATUS, 4) & LOST, 0);
    machine_reset(a.r.m, RESET_SLEEP);
    usb_driver_start(&a.u, &a.r, a.host);
    rig_store(&a.r, a.u.base + COMMAND, 4, RESTORE);
    CHECK_EQ(rig_load(&a.r, a.u.base + STATUS, 4) & LOST, LOST);
    rig_store(&a.r, a.u.base + STATUS, 4, LOST);
    CHECK_EQ(rig_load(&a.r, a.u.base + STATUS, 4) & LOST, 0);
    end_of(&a);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } cases[] = { { "descriptors", descriptors },
                  { "requests", requests },
                  { "disk", disk },
                  { "faults of the disk", disk_faults },
                  { "nonsense to the disk", disk_nonsense },
                  { "reset in the middle", reset_in_the_middle },
                  { "pointer", pointer },
                  { "keys", keys },
                  { "sleeps and wakes", sleeps_and_wakes },
                  { "moves in the middle", moves_in_the_middle } };
    static const char *const classes[] = { "xhci", "ehci", "uhci" };

    for (u32 i = 0; i < LEN(classes); i++)
        for (u32 k = 0; k < LEN(cases); k++) {
            char name[64];

            class = classes[i];
            snprintf(name, sizeof(name), "%s: %s", class, cases[k].name);
            check_case(name, cases[k].fn);
        }
    check_case("xhci: what was saved is lost in a sleep", saved_and_lost);
    return check_end();
}
