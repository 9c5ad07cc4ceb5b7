/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test device: what small test guests use to end and to poke at a machine, in the places
 * where other monitors have them (kvm-unit-tests relies on these).
 *
 *   0xf4           a byte b ends the VM with code (b << 1) | 1
 *   0xe0 - 0xe3    keep what is written; any width
 *   0xe4           a page to be forgotten; accepted, nothing to do
 *   0xe8 - 0xef    keep what is written; any width
 *   0x2000 - 0x2017  the level of the interrupt with that number
 *   memory 0xff000000  64 KiB that are a device's, not RAM
 */
#include "machine/machine.h"
#include <stdio.h>
#include <string.h>

enum { TEST_IRQS = 24, TEST_MEMORY = 0x10000 };

struct testdev {
    struct device dev;
    struct testdev_state {
        u8 echo[16];
        u8 memory[TEST_MEMORY];
    } state;
    struct irq irq[TEST_IRQS];
};

static void testdev_exit(struct device *d, u32 off, u32 size, u64 val)
{
    (void)off, (void)size;
    machine_ask(d->machine, MACHINE_EXIT, (u32)((val & 0x7f) << 1 | 1));
}

static u64 testdev_zero(struct device *d, u32 off, u32 size)
{
    (void)d, (void)off, (void)size;
    return 0;
}

static u64 testdev_load(struct device *d, u32 off, u32 size)
{
    const struct testdev *t = (const struct testdev *)d;
    u64 val = 0;

    for (u32 i = 0; i < size; i++)
        val |= (u64)t->state.echo[(off + i) % 16] << (8 * i);
    return val;
}

static void testdev_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct testdev *t = (struct testdev *)d;

    for (u32 i = 0; i < size; i++)
        t->state.echo[(off + i) % 16] = (u8)(val >> (8 * i));
}

static u64 testdev_memory_load(struct device *d, u32 off, u32 size)
{
    const struct testdev *t = (const struct testdev *)d;
    u64 val = 0;

    memcpy(&val, t->state.memory + off, size);
    return val;
}

static void testdev_memory_store(struct device *d, u32 off, u32 size, u64 val)
{
    memcpy(((struct testdev *)d)->state.memory + off, &val, size);
}

static void testdev_irq(struct device *d, u32 off, u32 size, u64 val)
{
    struct testdev *t = (struct testdev *)d;

    (void)size;
    irq_set(&t->irq[off], val & 1);
}

static int testdev_create(struct device *d, struct err *e)
{
    struct testdev *t = (struct testdev *)d;
    const struct region regions[] = {
        { .name = "testdev exit",
          .base = 0xf4,
          .len = 4,
          .min = 1,
          .max = 4,
          .load = testdev_zero,
          .store = testdev_exit,
          .dev = d },
        { .name = "testdev echo",
          .base = 0xe0,
          .len = 16,
          .min = 1,
          .max = 4,
          .load = testdev_load,
          .store = testdev_store,
          .dev = d },
        { .name = "testdev irq",
          .base = 0x2000,
          .len = TEST_IRQS,
          .min = 1,
          .max = 4,
          .load = testdev_zero,
          .store = testdev_irq,
          .dev = d },
    };

    const struct region memory = { .name = "testdev memory",
                                   .base = 0xff000000,
                                   .len = TEST_MEMORY,
                                   .min = 1,
                                   .max = 8,
                                   .load = testdev_memory_load,
                                   .store = testdev_memory_store,
                                   .dev = d };

    for (u32 i = 0; i < TEST_IRQS; i++) {
        char wire[16];

        snprintf(wire, sizeof(wire), "%s.%u", i < 16 ? "isa" : "gsi", i);
        t->irq[i] = machine_wire(d->machine, d, wire);
    }
    for (u32 i = 0; i < LEN(regions); i++)
        if (space_add(machine_ports(d->machine), &regions[i], NULL, e))
            return e->code;
    return space_add(machine_memory(d->machine), &memory, NULL, e);
}

static void testdev_reset(struct device *d, enum reset kind)
{
    (void)kind;
    memset(&((struct testdev *)d)->state, 0, sizeof(struct testdev_state));
}

static const struct field state[] = { FIELDS(1, struct testdev_state, echo, 0, "echo ports"),
                                      FIELDS(2, struct testdev_state, memory, 0, "memory"),
                                      FIELD_END };

const struct device_class device_testdev = {
    .name = "testdev",
    .about = "exit and test ports for test guests",
    .size = sizeof(struct testdev),
    .state_at = offsetof(struct testdev, state),
    .state_size = sizeof(struct testdev_state),
    .state = state,
    .create = testdev_create,
    .reset = testdev_reset,
};
