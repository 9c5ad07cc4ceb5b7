/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O APIC: 24 pins.  Intel 82093AA data sheet.
 *
 * A wire's level means "asserted", so the polarity bits are kept and not looked at.  The
 * state stands under the irq lock.
 */
#include "device/chipset/irqchip.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { IOAPIC_PINS = 24, IOAPIC_VERSION = 0x11, IOAPIC_ISA0_PIN = 2 };
enum {
    REG_SELECT = 0,
    REG_WINDOW = 0x10,
    INDEX_ID = 0,
    INDEX_VERSION = 1,
    INDEX_ARB = 2,
    INDEX_TABLE = 0x10
};
enum {
    RTE_LOGICAL = 1 << 11,
    RTE_STATUS = 1 << 12,
    RTE_REMOTE = 1 << 14,
    RTE_LEVEL = 1 << 15,
    RTE_MASKED = 1 << 16
};
static const u64 RTE_WRITABLE = 0xff0000000001ffffull & ~(u64)(RTE_STATUS | RTE_REMOTE);

struct ioapic {
    struct device dev;
    struct ioapic_config {
        u64 base;
        u8 id, pad[7];
    } config;
    struct ioapic_state {
        u64 table[IOAPIC_PINS];
        u32 lines; /* levels of the pins */
        u8 select, id, pad[2];
    } state;
    struct device *lapic;
};

static struct apic_message ioapic_message(u64 rte)
{
    struct apic_message msg = { .dest = (u32)(rte >> 56),
                                .logical = rte & RTE_LOGICAL,
                                .mode = (u8)(rte >> 8 & 7),
                                .vector = (u8)rte,
                                .level = rte & RTE_LEVEL };

    if (msg.dest == 0xff && !msg.logical)
        msg.dest = APIC_ALL;
    return msg;
}

static void ioapic_send(struct ioapic *io, u64 rte)
{
    struct apic_message msg = ioapic_message(rte);

    if (!io->lapic)
        io->lapic = machine_device(io->dev.machine, "lapic");
    if (io->lapic)
        lapic_send(io->lapic, &msg);
}

/* A level-triggered pin sends when it is high and the last one has ended. */
static void ioapic_level(struct ioapic *io, u32 pin)
{
    u64 *rte = &io->state.table[pin];

    if (!(*rte & RTE_LEVEL) || *rte & (RTE_MASKED | RTE_REMOTE) || !(io->state.lines >> pin & 1))
        return;
    *rte |= RTE_REMOTE;
    ioapic_send(io, *rte);
}

/* Pin 2 is where ISA interrupt 0 is; who keeps the chips wires that itself. */
static u32 ioapic_line(u32 pin)
{
    return pin == IOAPIC_ISA0_PIN ? 0 : pin;
}

static void ioapic_set(void *sink, u32 pin, bool level)
{
    struct ioapic *io = sink;
    struct ioapic_state *s = &io->state;
    const struct machine_chips *k;
    bool was;

    machine_irq_lock(io->dev.machine);
    k = machine_chips(io->dev.machine);
    was = s->lines >> pin & 1;
    s->lines = (s->lines & ~(1u << pin)) | (u32)level << pin;
    if (k && k->line)
        k->line(k->arg, ioapic_line(pin), level);
    else if (s->table[pin] & RTE_LEVEL)
        ioapic_level(io, pin);
    else if (level && !was && !(s->table[pin] & RTE_MASKED))
        ioapic_send(io, s->table[pin]);
    machine_irq_unlock(io->dev.machine);
}

void ioapic_eoi(struct device *d, u8 vector)
{
    struct ioapic *io = (struct ioapic *)d;

    for (u32 i = 0; i < IOAPIC_PINS; i++) {
        u64 *rte = &io->state.table[i];

        if ((u8)*rte != vector || !(*rte & RTE_REMOTE))
            continue;
        *rte &= ~(u64)RTE_REMOTE;
        ioapic_level(io, i);
    }
}

static bool ioapic_gives(const struct ioapic *io, u32 pin)
{
    return pin < IOAPIC_PINS && !(io->state.table[pin] & (RTE_LEVEL | RTE_MASKED));
}

static bool ioapic_waits(const struct ioapic *io, u32 pin)
{
    struct apic_message msg = ioapic_message(io->state.table[pin]);

    return io->lapic && lapic_waits(io->lapic, &msg);
}

bool irqchip_waits(struct machine *m, u32 pin)
{
    struct ioapic *io = (struct ioapic *)machine_device(m, "ioapic");
    struct device *pic = machine_device(m, "pic");
    bool waits = false;

    machine_irq_lock(m);
    if (!machine_chips(m)) {
        if (io && ioapic_gives(io, pin)) /* a PIC beside it that nobody serves holds nothing up */
            waits = ioapic_waits(io, pin);
        else if (pic && pin < 16)
            waits = pic_waits(pic, ioapic_line(pin));
    }
    machine_irq_unlock(m);
    return waits;
}

/*
 * Local APICs that are kept elsewhere tell the end of an interrupt for these pins: also for
 * masked ones, so that masking one for a moment changes nothing.
 */
static void ioapic_tell_pins(struct ioapic *io)
{
    const struct machine_chips *k = machine_chips(io->dev.machine);
    struct chip_pin pin[IOAPIC_PINS];
    u32 n = 0;

    if (!k || k->line)
        return;
    for (u32 i = 0; i < IOAPIC_PINS; i++) {
        struct apic_message msg = ioapic_message(io->state.table[i]);

        if (!msg.level || msg.vector < 16)
            continue;
        pin[n].pin = i;
        lapic_msi(&msg, &pin[n].addr, &pin[n].data);
        n++;
    }
    k->pins(k->arg, pin, n);
}

static u32 ioapic_read(const struct ioapic_state *s)
{
    u32 i = s->select - (u32)INDEX_TABLE;

    switch (s->select) {
    case INDEX_ID:
    case INDEX_ARB:
        return (u32)s->id << 24;
    case INDEX_VERSION:
        return IOAPIC_VERSION | (IOAPIC_PINS - 1) << 16;
    }
    if (s->select < INDEX_TABLE || i >= 2 * IOAPIC_PINS)
        return ~0u;
    return (u32)(s->table[i / 2] >> (i & 1 ? 32 : 0));
}

static void ioapic_write(struct ioapic *io, u32 val)
{
    struct ioapic_state *s = &io->state;
    u32 i = s->select - (u32)INDEX_TABLE;
    u64 *rte, was, mask = i & 1 ? 0xffffffff00000000ull : 0xffffffff;

    if (s->select == INDEX_ID)
        s->id = val >> 24 & 0xf;
    if (s->select < INDEX_TABLE || i >= 2 * IOAPIC_PINS)
        return;
    rte = &s->table[i / 2];
    was = *rte;
    mask &= RTE_WRITABLE;
    *rte = (*rte & ~mask) | ((i & 1 ? (u64)val << 32 : val) & mask);
    if (!(*rte & RTE_LEVEL))
        *rte &= ~(u64)RTE_REMOTE; /* how drivers end an interrupt without EOI */
    if ((was | *rte) & RTE_LEVEL && (was ^ *rte) & ~(u64)(RTE_MASKED | RTE_REMOTE))
        ioapic_tell_pins(io);
    ioapic_level(io, i / 2);
}

static u64 ioapic_load(struct device *d, u32 off, u32 size)
{
    struct ioapic *io = (struct ioapic *)d;
    u64 val = 0;

    (void)size;
    machine_irq_lock(d->machine);
    if (off == REG_SELECT)
        val = io->state.select;
    else if (off == REG_WINDOW)
        val = ioapic_read(&io->state);
    machine_irq_unlock(d->machine);
    return val;
}

static void ioapic_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct ioapic *io = (struct ioapic *)d;

    (void)size;
    machine_irq_lock(d->machine);
    if (off == REG_SELECT)
        io->state.select = (u8)val;
    else if (off == REG_WINDOW)
        ioapic_write(io, (u32)val);
    machine_irq_unlock(d->machine);
}

/* ---- kept elsewhere ---- */

void ioapic_chip_get(const struct device *d, struct chip_ioapic *c)
{
    const struct ioapic_state *s = &((const struct ioapic *)d)->state;

    *c = (struct chip_ioapic){ .lines = s->lines, .select = s->select, .id = s->id };
    memcpy(c->table, s->table, sizeof(c->table));
}

/* The levels of the pins were ours all the time. */
void ioapic_chip_put(struct device *d, const struct chip_ioapic *c)
{
    struct ioapic_state *s = &((struct ioapic *)d)->state;

    s->select = c->select;
    s->id = c->id & 0xf;
    for (u32 i = 0; i < IOAPIC_PINS; i++) {
        s->table[i] = c->table[i] & (RTE_WRITABLE | RTE_REMOTE);
        if (!(s->table[i] & RTE_LEVEL))
            s->table[i] &= ~(u64)RTE_REMOTE;
    }
}

/* An edge that was taken is not told again. */
void ioapic_chip_gone(struct device *d)
{
    struct ioapic *io = (struct ioapic *)d;
    const struct machine_chips *k = machine_chips(d->machine);

    ioapic_tell_pins(io);
    for (u32 i = 0; k && k->line && i < IOAPIC_PINS; i++)
        if (io->state.lines >> i & 1 && io->state.table[i] & RTE_LEVEL)
            k->line(k->arg, ioapic_line(i), true);
}

/* Pin 0 is the PIC's; ISA 0 stands at pin 2, as the MADT and MP tables of a PC say. */
static int ioapic_create(struct device *d, struct err *e)
{
    struct ioapic *io = (struct ioapic *)d;
    struct region r = { .name = "ioapic",
                        .base = io->config.base,
                        .len = 0x100,
                        .min = 4,
                        .max = 4,
                        .load = ioapic_load,
                        .store = ioapic_store,
                        .dev = d,
                        .unlocked = true };

    for (u32 i = 0; i < IOAPIC_PINS; i++) {
        char name[16];

        snprintf(name, sizeof(name), i < 16 ? "isa.%u" : "gsi.%u", i);
        if (i != IOAPIC_ISA0_PIN)
            machine_input(d->machine, name,
                          (struct irq){ ioapic_set, io, i ? i : IOAPIC_ISA0_PIN });
    }
    machine_input(d->machine, "pic.int", (struct irq){ ioapic_set, io, 0 });
    return space_add(machine_memory(d->machine), &r, NULL, e);
}

static void ioapic_reset(struct device *d, enum reset kind)
{
    struct ioapic *io = (struct ioapic *)d;

    (void)kind;
    machine_irq_lock(d->machine);
    io->state = (struct ioapic_state){ .lines = io->state.lines, .id = io->config.id };
    for (u32 i = 0; i < IOAPIC_PINS; i++)
        io->state.table[i] = RTE_MASKED;
    ioapic_tell_pins(io);
    machine_irq_unlock(d->machine);
}

static int ioapic_check(const struct device *d, struct err *e)
{
    const struct ioapic_state *s = &((const struct ioapic *)d)->state;

    for (u32 i = 0; i < IOAPIC_PINS; i++)
        if (s->table[i] & ~(RTE_WRITABLE | RTE_REMOTE) ||
            (s->table[i] & (RTE_REMOTE | RTE_LEVEL)) == RTE_REMOTE)
            return err_set(e, -EBADMSG, "pin %u: entry 0x%llx is not possible", i,
                           (unsigned long long)s->table[i]);
    if (s->lines >> IOAPIC_PINS)
        return err_set(e, -EBADMSG, "more pins than %d", IOAPIC_PINS);
    return 0;
}

static const struct field config[] = { FIELD(1, struct ioapic_config, base, 0, "address"),
                                       FIELD(2, struct ioapic_config, id, 0, "APIC ID"),
                                       FIELDS(0, struct ioapic_config, pad, F_LOCAL, "none"),
                                       FIELD_END };
static const struct field state[] = { FIELDS(1, struct ioapic_state, table, 0, "redirection table"),
                                      FIELD(2, struct ioapic_state, lines, 0, "levels of the pins"),
                                      FIELD(3, struct ioapic_state, select, 0, "index register"),
                                      FIELD(4, struct ioapic_state, id, 0, "APIC ID"),
                                      FIELDS(0, struct ioapic_state, pad, F_LOCAL, "none"),
                                      FIELD_END };

const struct device_class device_ioapic = {
    .name = "ioapic",
    .about = "I/O APIC with 24 pins",
    .domain = "chipset",
    .size = sizeof(struct ioapic),
    .config_at = offsetof(struct ioapic, config),
    .config = config,
    .config_default = &(const struct ioapic_config){ .base = 0xfec00000 },
    .config_size = sizeof(struct ioapic_config),
    .state_at = offsetof(struct ioapic, state),
    .state_size = sizeof(struct ioapic_state),
    .state = state,
    .create = ioapic_create,
    .reset = ioapic_reset,
    .check = ioapic_check,
};
