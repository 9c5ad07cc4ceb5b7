/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PIC pair by its ports and wires. */
#include "device/chipset/irqchip.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static struct device *pic;
static struct rig_wire *out;
static struct irq line[16];

static void start(void)
{
    rig_start(&r, 1, 1);
    pic = rig_device(&r, "pic", NULL, NULL);
    out = rig_wire(&r, "pic.int");
    for (u32 i = 0; i < 16; i++) {
        char name[16];

        snprintf(name, sizeof(name), "isa.%u", i);
        line[i] = machine_wire(r.m, NULL, name);
    }
    rig_out(&r, 0x20, 1, 0x11);
    rig_out(&r, 0x21, 1, 0x30);
    rig_out(&r, 0x21, 1, 4);
    rig_out(&r, 0x21, 1, 1);
    rig_out(&r, 0xa0, 1, 0x11);
    rig_out(&r, 0xa1, 1, 0x38);
    rig_out(&r, 0xa1, 1, 2);
    rig_out(&r, 0xa1, 1, 1);
}

static u8 acknowledge(void)
{
    u8 v;

    machine_irq_lock(r.m);
    v = pic_acknowledge(pic);
    machine_irq_unlock(r.m);
    return v;
}

static void pulse(u32 i)
{
    irq_set(&line[i], true);
    irq_set(&line[i], false);
}

static void edges_and_priorities(void)
{
    start();
    CHECK(!out->level);
    irq_set(&line[4], true);
    irq_set(&line[1], true);
    CHECK(out->level);
    CHECK_EQ(acknowledge(), 0x31);
    CHECK(!out->level); /* 4 is lower than what is in service */
    rig_out(&r, 0x20, 1, 0x20);
    CHECK(out->level);
    CHECK_EQ(acknowledge(), 0x34);
    rig_out(&r, 0x20, 1, 0x20);
    CHECK(!out->level); /* still high, but an edge counts once */
    irq_set(&line[4], false);
    irq_set(&line[4], true);
    CHECK(out->level);
    rig_stop(&r);
}

static void cascade(void)
{
    start();
    irq_set(&line[12], true);
    CHECK_EQ(acknowledge(), 0x3c);
    rig_out(&r, 0x20, 1, 0x0b);
    CHECK_EQ(rig_in(&r, 0x20, 1), 4);
    rig_out(&r, 0xa0, 1, 0x0b);
    CHECK_EQ(rig_in(&r, 0xa0, 1), 0x10);
    irq_set(&line[8], true); /* higher on the slave: waits for the master, not nested */
    CHECK(!out->level);
    rig_out(&r, 0xa0, 1, 0x20);
    rig_out(&r, 0x20, 1, 0x20);
    CHECK(out->level);
    CHECK_EQ(acknowledge(), 0x38);
    rig_stop(&r);
}

static void masks_and_spurious(void)
{
    start();
    rig_out(&r, 0x21, 1, 0x10);
    CHECK_EQ(rig_in(&r, 0x21, 1), 0x10);
    irq_set(&line[4], true);
    CHECK(!out->level);
    rig_out(&r, 0x21, 1, 0);
    CHECK(out->level);
    irq_set(&line[4], false);
    CHECK_EQ(acknowledge(), 0x37); /* gone before INTA */
    pulse(3);
    CHECK(!out->level);
    rig_stop(&r);
}

static void level_triggered(void)
{
    start();
    rig_out(&r, 0x4d0, 1, 0xff);
    CHECK_EQ(rig_in(&r, 0x4d0, 1), 0xf8);
    rig_out(&r, 0x4d1, 1, 0xff);
    CHECK_EQ(rig_in(&r, 0x4d1, 1), 0xde);
    irq_set(&line[11], true);
    CHECK_EQ(acknowledge(), 0x3b);
    rig_out(&r, 0xa0, 1, 0x20);
    rig_out(&r, 0x20, 1, 0x20);
    CHECK(out->level); /* still asserted */
    irq_set(&line[11], false);
    CHECK(!out->level);
    rig_stop(&r);
}

static void modes(void)
{
    start();
    irq_set(&line[5], true);
    rig_out(&r, 0x20, 1, 0x0c); /* poll */
    CHECK_EQ(rig_in(&r, 0x20, 1), 0x85);
    rig_out(&r, 0x20, 1, 0x65); /* specific EOI */
    rig_out(&r, 0x20, 1, 0x0b);
    CHECK_EQ(rig_in(&r, 0x20, 1), 0);
    rig_out(&r, 0x20, 1, 0xc3); /* 3 is the lowest now: 4 the highest */
    irq_set(&line[1], true);
    irq_set(&line[4], true);
    CHECK_EQ(acknowledge(), 0x34);
    rig_out(&r, 0x20, 1, 0x68); /* special mask mode */
    rig_out(&r, 0x21, 1, 0x10);
    CHECK(out->level);
    CHECK_EQ(acknowledge(), 0x31);
    rig_stop(&r);
}

/* What interrupts as it is saved can be ended where it goes on. */
static void moves_with_the_wire(void)
{
    static struct rig other;

    start();
    irq_set(&line[4], true);
    CHECK(out->level);
    rig_pause(&r);
    rig_start(&other, 1, 1);
    rig_device(&other, "pic", NULL, NULL);
    rig_move(&r, &other);
    rig_stop(&r);
    r = other;
    out = rig_wire(&r, "pic.int");
    CHECK(out->level);
    rig_out(&r, 0x21, 1, 0xff);
    CHECK(!out->level);
    rig_stop(&r);
}

int main(void)
{
    CASE(edges_and_priorities);
    CASE(cascade);
    CASE(masks_and_spurious);
    CASE(level_triggered);
    CASE(modes);
    CASE(moves_with_the_wire);
    return check_end();
}
