/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs: registers, priorities, messages, the timer. */
#include "device/chipset/irqchip.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>

#define APIC 0xfee00000ull
static struct rig r;
static const struct machine_intc *intc;

static u32 rd(u32 off)
{
    return (u32)rig_load(&r, APIC + off, 4);
}
static void wr(u32 off, u32 val)
{
    rig_store(&r, APIC + off, 4, val);
}
static int vector(u32 cpu)
{
    return intc->vector(intc->arg, cpu);
}
static void on(u32 cpu)
{
    machine_cpu_here_set(cpu);
    wr(0xf0, 0x1ff);
    wr(0xd0, 1u << (24 + cpu));
    wr(0xe0, ~0u);
}
static void start(u32 cpus)
{
    rig_start(&r, 1, cpus);
    rig_device(&r, "pic", NULL, NULL);
    rig_device(&r, "lapic", NULL, NULL);
    intc = machine_intc(r.m);
    for (u32 i = cpus; i-- > 0;)
        on(i);
}
static void stop(void)
{
    machine_cpu_here_set(0);
    rig_stop(&r);
}

static void registers(void)
{
    start(2);
    CHECK_EQ(rd(0x30), 0x50014);
    CHECK_EQ(rd(0x20), 0);
    machine_cpu_here_set(1);
    CHECK_EQ(rd(0x20), 1u << 24);
    CHECK_EQ(intc->base(intc->arg, 0), 0xfee00900);
    CHECK_EQ(intc->base(intc->arg, 1), 0xfee00800);
    wr(0x350, ~0u);
    CHECK_EQ(rd(0x350), 0x1a7ff);
    wr(0xf0, 0xff);
    wr(0x350, 0x700);
    CHECK_EQ(rd(0x350), 0x10700); /* off: masks stay set */
    wr(0x10, 0);
    wr(0x280, 0);
    CHECK_EQ(rd(0x280), 0x80);
    wr(0x280, 0);
    CHECK_EQ(rd(0x280), 0);
    stop();
}

static void priorities(void)
{
    start(1);
    wr(0x300, 0x40061); /* to self */
    wr(0x300, 0x40051);
    CHECK_EQ(r.kicks[0], 1);
    CHECK_EQ(rd(0x200 + 0x30), 1u << 1);
    CHECK_EQ(vector(0), 0x61);
    CHECK_EQ(vector(0), ~0ull);
    CHECK_EQ(rd(0xa0), 0x60);
    wr(0xb0, 0);
    CHECK_EQ(vector(0), 0x51);
    wr(0xb0, 0);
    intc->tpr_set(intc->arg, 0, 7);
    CHECK_EQ(rd(0x80), 0x70);
    wr(0x300, 0x40071);
    CHECK(!intc->waiting(intc->arg, 0));
    wr(0x80, 0x6f);
    CHECK(intc->waiting(intc->arg, 0));
    CHECK_EQ(vector(0), 0x71);
    wr(0x300, 0x40005); /* no such vector */
    wr(0x280, 0);
    CHECK_EQ(rd(0x280), 0x20);
    stop();
}

static void between_processors(void)
{
    start(3);
    machine_cpu_here_set(0);
    wr(0x310, 2u << 24);
    wr(0x300, 0x4045);
    CHECK_EQ(vector(2), 0x45);
    CHECK_EQ(vector(1), ~0ull);
    wr(0x310, 6u << 24); /* logical, flat */
    wr(0x300, 0x4846);
    CHECK_EQ(vector(1), 0x46);
    CHECK_EQ(vector(2), ~0ull); /* it still serves 0x45 */
    wr(0x300, 0xc4500);         /* INIT to all but self */
    wr(0x300, 0xc4608);         /* SIPI */
    CHECK_EQ(r.inits[0] + r.sips[0], 0);
    CHECK_EQ(r.inits[1] + r.inits[2], 2);
    CHECK_EQ(r.sips[2], 1);
    CHECK_EQ(r.sipi_page[2], 8);
    wr(0x300, 0xc8500); /* INIT level de-assert */
    CHECK_EQ(r.inits[1], 1);
    wr(0x310, 1u << 24);
    wr(0x300, 0x400);
    CHECK_EQ(r.nmis[1], 1);
    CHECK_EQ(r.nmis[0], 0);
    wr(0x310, 0xffu << 24);
    wr(0x300, 0x4047);
    CHECK_EQ(vector(0), 0x47);
    CHECK(intc->waiting(intc->arg, 1) == false); /* 0x46 is in service there */
    stop();
}

static void messages(void)
{
    start(2);
    CHECK_EQ(msi_send(r.m, 0xfee01000, 0x33), 0);
    CHECK_EQ(vector(1), 0x33);
    CHECK_EQ(msi_send(r.m, 0xfee0300c, 0x134), 0); /* lowest priority of 0 and 1 */
    CHECK_EQ(vector(0), 0x34);
    CHECK_EQ(msi_send(r.m, 0x1000, 0x33), -EINVAL);
    machine_cpu_here_set(0);
    wr(0xd0, 0x11000000);
    wr(0xe0, 0x0fffffff); /* cluster 1, member 1 */
    wr(0xb0, 0);
    CHECK_EQ(msi_send(r.m, 0xfee11004, 0x55), 0);
    CHECK_EQ(vector(0), 0x55);
    stop();
}

static void x2apic(void)
{
    u64 v;

    start(2);
    CHECK_EQ(intc->msr(intc->arg, 1, 0x802, &v), -EINVAL);
    CHECK_EQ(intc->base_set(intc->arg, 1, 0xfee00400), -EINVAL);
    CHECK_EQ(intc->base_set(intc->arg, 1, 0xfee00c00), 0);
    CHECK_EQ(intc->msr(intc->arg, 1, 0x802, &v), 0);
    CHECK_EQ(v, 1);
    CHECK_EQ(intc->msr(intc->arg, 1, 0x80d, &v), 0);
    CHECK_EQ(v, 2);
    CHECK_EQ(intc->msr(intc->arg, 1, 0x80e, &v), -EINVAL);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x808, 0x100), -EINVAL);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x80b, 1), -EINVAL);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x802, 1), -EINVAL);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x83f, 0x77), 0);
    CHECK_EQ(vector(1), 0x77);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x80b, 0), 0);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x830, 0x44), 0); /* physical, to 0 */
    CHECK_EQ(vector(0), 0x44);
    CHECK_EQ(intc->msr_set(intc->arg, 1, 0x830, 0x0000000200000845), 0); /* logical, to itself */
    CHECK_EQ(vector(1), 0x45);
    machine_cpu_here_set(1);
    CHECK_EQ(rd(0x20), ~0u); /* no registers in memory now */
    CHECK_EQ(intc->base_set(intc->arg, 1, 0xfee00800), -EINVAL);
    CHECK_EQ(intc->base_set(intc->arg, 1, 0xfee00000), 0);
    CHECK_EQ(intc->base_set(intc->arg, 1, 0xfee00800), 0);
    CHECK_EQ(rd(0x20), 1u << 24);
    stop();
}

static void timer_once_and_periodic(void)
{
    start(1);
    wr(0x3e0, 0xb); /* by 1 */
    wr(0x320, 0x40);
    wr(0x380, 100000);
    rig_clock(&r, 40000);
    CHECK_EQ(rd(0x390), 60000);
    rig_clock(&r, 59999);
    CHECK_EQ(vector(0), ~0ull);
    rig_clock(&r, 1);
    CHECK_EQ(vector(0), 0x40);
    wr(0xb0, 0);
    CHECK_EQ(rd(0x390), 0);
    rig_clock(&r, 10000000);
    CHECK_EQ(vector(0), ~0ull);
    wr(0x3e0, 0x0); /* by 2 */
    wr(0x320, 0x20041);
    wr(0x380, 100000);
    for (int i = 0; i < 3; i++) {
        rig_clock(&r, 200000);
        CHECK_EQ(vector(0), 0x41);
        wr(0xb0, 0);
    }
    CHECK_EQ(rd(0x390), 100000);
    wr(0x320, 0x30041);
    rig_clock(&r, 1000000);
    CHECK_EQ(vector(0), ~0ull);
    wr(0x320, 0x20041);
    wr(0x380, 0);
    rig_clock(&r, 1000000);
    CHECK_EQ(vector(0), ~0ull);
    stop();
}

static void timer_changes_mode(void)
{
    start(1);
    wr(0x3e0, 0xb);
    wr(0x320, 0x10040);
    wr(0x380, 1000000);
    rig_clock(&r, 900000);
    wr(0x320, 0x30040); /* periodic: goes on from where it is */
    CHECK_EQ(rd(0x390), 100000);
    rig_clock(&r, 300000);
    CHECK_EQ(rd(0x390), 800000);
    wr(0x320, 0x10040);
    CHECK_EQ(rd(0x390), 800000);
    rig_clock(&r, 900000);
    CHECK_EQ(rd(0x390), 0);
    wr(0x320, 0x30040); /* ended: waits for a new count */
    CHECK_EQ(rd(0x390), 0);
    rig_clock(&r, 1000000);
    CHECK_EQ(rd(0x390), 0);
    wr(0x380, 1000000);
    CHECK_EQ(rd(0x390), 1000000);
    stop();
}

static void timer_deadline(void)
{
    u64 v;

    start(1);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, 1000), 0);
    CHECK_EQ(intc->msr(intc->arg, 0, 0x6e0, &v), 0);
    CHECK_EQ(v, 0); /* not in that mode */
    wr(0x320, 0x40042);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, machine_tsc(r.m) + 5000), 0);
    rig_clock(&r, 4990);
    CHECK_EQ(vector(0), ~0ull);
    rig_clock(&r, 20);
    CHECK_EQ(vector(0), 0x42);
    wr(0xb0, 0);
    CHECK_EQ(intc->msr(intc->arg, 0, 0x6e0, &v), 0);
    CHECK_EQ(v, 0);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, 1), 0); /* long ago: at once */
    CHECK_EQ(vector(0), 0x42);
    wr(0xb0, 0);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, machine_tsc(r.m) + 5000), 0);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, 0), 0);
    rig_clock(&r, 100000);
    CHECK_EQ(vector(0), ~0ull);
    CHECK_EQ(intc->msr_set(intc->arg, 0, 0x6e0, ~0ull), 0); /* never */
    rig_clock(&r, 100000);
    CHECK_EQ(vector(0), ~0ull);
    stop();
}

static void pic_through_lint0(void)
{
    struct irq line;

    start(2);
    line = machine_wire(r.m, NULL, "isa.4");
    rig_out(&r, 0x20, 1, 0x11);
    rig_out(&r, 0x21, 1, 0x30);
    rig_out(&r, 0x21, 1, 4);
    rig_out(&r, 0x21, 1, 1);
    machine_cpu_here_set(0);
    irq_set(&line, true);
    CHECK(intc->waiting(intc->arg, 0)); /* as firmware leaves LINT0 */
    CHECK(!intc->waiting(intc->arg, 1));
    wr(0x350, 0x10700);
    CHECK(!intc->waiting(intc->arg, 0));
    wr(0x350, 0x700);
    CHECK_EQ(vector(0), 0x34);
    CHECK_EQ(vector(0), ~0ull);
    stop();
}

static void reset_on_init(void)
{
    start(1);
    wr(0x300, 0x40061);
    wr(0x80, 0x20);
    intc->cpu_reset(intc->arg, 0);
    CHECK_EQ(rd(0x80), 0);
    CHECK_EQ(rd(0xf0), 0xff);
    CHECK_EQ(rd(0x200 + 0x30), 0);
    CHECK_EQ(rd(0x320), 0x10000);
    CHECK(!intc->waiting(intc->arg, 0));
    stop();
}

int main(void)
{
    CASE(registers);
    CASE(priorities);
    CASE(between_processors);
    CASE(messages);
    CASE(x2apic);
    CASE(timer_once_and_periodic);
    CASE(timer_changes_mode);
    CASE(timer_deadline);
    CASE(pic_through_lint0);
    CASE(reset_on_init);
    return check_end();
}
