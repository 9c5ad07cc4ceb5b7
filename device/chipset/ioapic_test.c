/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC with a local APIC behind it. */
#include "machine/machine.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static const struct machine_intc *intc;

static u32 rd(u32 index)
{
    rig_store(&r, 0xfec00000, 4, index);
    return (u32)rig_load(&r, 0xfec00010, 4);
}
static void wr(u32 index, u32 val)
{
    rig_store(&r, 0xfec00000, 4, index);
    rig_store(&r, 0xfec00010, 4, val);
}
static void entry(u32 pin, u32 high, u32 low)
{
    wr(0x11 + 2 * pin, high);
    wr(0x10 + 2 * pin, low);
}
static int vector(u32 cpu)
{
    return intc->vector(intc->arg, cpu);
}
static void eoi(void)
{
    rig_store(&r, 0xfee000b0, 4, 0);
}
static void start(void)
{
    rig_start(&r, 1, 2);
    rig_device(&r, "pic", NULL, NULL);
    rig_device(&r, "ioapic", NULL, NULL);
    rig_device(&r, "lapic", NULL, NULL);
    intc = machine_intc(r.m);
    for (u32 i = 2; i-- > 0;) {
        machine_cpu_here_set(i);
        rig_store(&r, 0xfee000f0, 4, 0x1ff);
        rig_store(&r, 0xfee000e0, 4, ~0u);
        rig_store(&r, 0xfee000d0, 4, 1u << (24 + i));
        rig_store(&r, 0xfee00350, 4, 0x10000);
    }
}

static void registers(void)
{
    start();
    CHECK_EQ(rd(1), 0x170011);
    CHECK_EQ(rd(0x10), 0x10000);
    wr(0, 0xff000000);
    CHECK_EQ(rd(0), 0x0f000000);
    entry(3, ~0u, ~0u);
    CHECK_EQ(rd(0x16), 0x1afff);
    CHECK_EQ(rd(0x17), 0xff000000);
    CHECK_EQ(rd(0x40), ~0u);
    rig_stop(&r);
}

static void edge(void)
{
    struct irq w;

    start();
    w = machine_wire(r.m, NULL, "isa.4");
    irq_set(&w, true); /* masked: lost */
    entry(4, 1u << 24, 0x41);
    CHECK_EQ(vector(1), ~0ull);
    irq_set(&w, false);
    irq_set(&w, true);
    CHECK_EQ(vector(1), 0x41);
    CHECK_EQ(vector(1), ~0ull);
    w = machine_wire(r.m, NULL, "isa.0"); /* stands at pin 2 */
    entry(2, 0, 0x42);
    irq_set(&w, true);
    CHECK_EQ(vector(0), 0x42);
    rig_stop(&r);
}

static void level(void)
{
    struct irq w;

    start();
    w = machine_wire(r.m, NULL, "gsi.20");
    entry(20, 0, 0x8051);
    irq_set(&w, true);
    CHECK_EQ(vector(0), 0x51);
    CHECK_EQ(rd(0x10 + 40), 0xc051); /* remote IRR */
    eoi();
    CHECK_EQ(vector(0), 0x51); /* still asserted */
    irq_set(&w, false);
    eoi();
    CHECK_EQ(vector(0), ~0ull);
    CHECK_EQ(rd(0x10 + 40), 0x8051);
    wr(0x10 + 40, 0x18051);
    irq_set(&w, true);
    CHECK_EQ(vector(0), ~0ull);
    wr(0x10 + 40, 0x8051);
    CHECK_EQ(vector(0), 0x51);
    wr(0x10 + 40, 0x10051); /* to edge: ends it without EOI */
    wr(0x10 + 40, 0x18051);
    CHECK_EQ(rd(0x10 + 40), 0x18051);
    rig_stop(&r);
}

static void destinations(void)
{
    struct irq w;
    int v0, v1;

    start();
    w = machine_wire(r.m, NULL, "gsi.17");
    entry(17, 3u << 24, 0x961); /* logical, lowest priority: one of the two */
    irq_set(&w, true);
    v0 = vector(0);
    v1 = vector(1);
    CHECK((v0 == 0x61) + (v1 == 0x61) == 1);
    entry(17, 3u << 24, 0x871); /* logical, fixed: both */
    irq_set(&w, false);
    irq_set(&w, true);
    CHECK_EQ(vector(0), 0x71);
    CHECK_EQ(vector(1), 0x71);
    entry(17, 1u << 24, 0x400); /* NMI */
    irq_set(&w, false);
    irq_set(&w, true);
    CHECK_EQ(r.nmis[1], 1);
    rig_stop(&r);
}

static void pic_by_pin_0(void)
{
    struct irq w;

    start();
    rig_out(&r, 0x20, 1, 0x11);
    rig_out(&r, 0x21, 1, 0x30);
    rig_out(&r, 0x21, 1, 4);
    rig_out(&r, 0x21, 1, 1);
    w = machine_wire(r.m, NULL, "isa.3");
    entry(0, 1u << 24, 0x700);
    irq_set(&w, true);
    CHECK(!intc->waiting(intc->arg, 0));
    CHECK_EQ(vector(1), 0x33);
    CHECK_EQ(vector(1), ~0ull);
    rig_stop(&r);
}

int main(void)
{
    CASE(registers);
    CASE(edge);
    CASE(level);
    CASE(destinations);
    CASE(pic_by_pin_0);
    return check_end();
}
