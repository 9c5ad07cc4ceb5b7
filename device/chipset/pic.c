/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two interrupt controllers of a PC/AT.  Intel 8259A data sheet; the edge/level control
 * registers 0x4d0 and 0x4d1 as in the 82371AB.
 *
 * The state stands under the irq lock.  Left out: 8080 mode, buffered mode.
 */
#include "device/chipset/irqchip.h"
#include <errno.h>
#include <stdio.h>

enum {
    ICW1_ICW4 = 1,
    ICW1_SINGLE = 2,
    ICW1_LEVEL = 8,
    ICW1 = 0x10,
    OCW3 = 8,
    ICW4_AUTO = 2,
    ICW4_NESTED = 0x10,
    PIC_CASCADE = 2,
    PIC_SPURIOUS = 7,
    PIC_PINS = 16
};
/* IRQ 0, 1, 2, 8 and 13 cannot be level triggered. */
static const u8 elcr_mask[2] = { 0xf8, 0xde };

struct pic {
    struct device dev;
    struct pic_state {
        struct pic_chip {
            u8 irr, isr, imr, lines; /* lines: what the pins are at */
            u8 base;                 /* vector of IR0 */
            u8 lowest;               /* the IR with the lowest priority */
            u8 elcr;
            u8 step;    /* the ICW that comes next: 0 none, 2 3 4 */
            bool want4; /* ICW4 was announced */
            bool single;
            bool auto_eoi, rotate_auto, nested, special_mask, poll, read_isr;
        } chip[2];
    } state;
    struct irq out;
    bool level;
};

static struct pic_chip *pic_chip(struct device *d, u32 which)
{
    return &((struct pic *)d)->state.chip[which];
}

/* Rank of the first set bit, counted from the highest priority; 8: none. */
static u32 pic_rank(const struct pic_chip *c, u8 bits)
{
    for (u32 rank = 0; rank < 8; rank++)
        if (bits & 1u << ((c->lowest + 1 + rank) & 7))
            return rank;
    return 8;
}

/* The IR that may interrupt now, or -1. */
static int pic_best(const struct pic_chip *c, bool master)
{
    u8 served = c->isr, ready = c->irr & (u8)~c->imr;
    u32 rank = pic_rank(c, ready);

    if (c->special_mask)
        served &= (u8)~c->imr;
    if (c->nested && master)
        served &= (u8) ~(1u << PIC_CASCADE);
    if (rank == 8 || pic_rank(c, served) <= rank)
        return -1;
    return (int)((c->lowest + 1 + rank) & 7);
}

static void pic_line(struct pic_chip *c, u32 pin, bool level)
{
    u8 bit = (u8)(1u << pin);

    if (c->elcr & bit)
        c->irr = (u8)(level ? c->irr | bit : c->irr & ~bit);
    else if (!level)
        c->irr &= (u8)~bit;
    else if (!(c->lines & bit))
        c->irr |= bit;
    c->lines = (u8)(level ? c->lines | bit : c->lines & ~bit);
}

static void pic_update(struct pic *p)
{
    struct pic_chip *c = p->state.chip;
    bool level;

    pic_line(&c[0], PIC_CASCADE, pic_best(&c[1], false) >= 0);
    level = pic_best(&c[0], true) >= 0;
    if (level != p->level) {
        p->level = level;
        irq_set(&p->out, level);
    }
}

static void pic_set(void *sink, u32 pin, bool level)
{
    struct pic *p = sink;

    const struct machine_chips *k;

    machine_irq_lock(p->dev.machine);
    k = machine_chips(p->dev.machine);
    if (k && k->line) { /* kept elsewhere: the IOAPIC tells of the pins of both */
        machine_irq_unlock(p->dev.machine);
        return;
    }
    pic_line(&p->state.chip[pin / 8], pin & 7, level);
    pic_update(p);
    machine_irq_unlock(p->dev.machine);
}

/* Masked in the PIC, or the PIC masked in the APICs: nobody takes it. */
bool pic_waits(struct device *d, u32 line)
{
    struct pic *p = (struct pic *)d;
    const struct pic_chip *c = &p->state.chip[line / 8];
    struct device *lapic = machine_device(d->machine, "lapic");
    u8 bit = (u8)(1u << (line & 7));

    if (!(c->irr & ~c->imr & ~c->elcr & bit))
        return false;
    return !lapic || lapic_waits(lapic, &(struct apic_message){ .mode = APIC_EXTINT });
}

static void pic_take(struct pic_chip *c, u32 ir)
{
    u8 bit = (u8)(1u << ir);

    if (c->auto_eoi) {
        if (c->rotate_auto)
            c->lowest = (u8)ir;
    } else {
        c->isr |= bit;
    }
    if (!(c->elcr & bit))
        c->irr &= (u8)~bit;
}

u8 pic_acknowledge(struct device *d)
{
    struct pic *p = (struct pic *)d;
    struct pic_chip *c = p->state.chip;
    int ir = pic_best(&c[0], true), ir2;
    u8 vector;

    if (ir < 0) {
        vector = c[0].base + PIC_SPURIOUS;
    } else if (ir == PIC_CASCADE) {
        pic_take(&c[0], PIC_CASCADE);
        ir2 = pic_best(&c[1], false);
        if (ir2 >= 0)
            pic_take(&c[1], (u32)ir2);
        vector = (u8)(c[1].base + (ir2 < 0 ? PIC_SPURIOUS : ir2));
    } else {
        pic_take(&c[0], (u32)ir);
        vector = (u8)(c[0].base + ir);
    }
    pic_update(p);
    return vector;
}

static void pic_icw1(struct pic_chip *c, u8 val)
{
    c->irr = c->isr = c->imr = 0;
    /* a pin that stays high makes no new edge */
    c->irr = c->lines & c->elcr;
    c->lowest = 7;
    c->auto_eoi = c->rotate_auto = c->nested = c->special_mask = c->poll = c->read_isr = false;
    c->want4 = val & ICW1_ICW4;
    c->single = val & ICW1_SINGLE;
    c->step = 2;
}

static void pic_ocw2(struct pic_chip *c, u8 val)
{
    u32 rank = pic_rank(c, c->isr), ir = val & 7;

    switch (val >> 5) {
    case 0:
    case 4:
        c->rotate_auto = val >> 5;
        break;
    case 1:
    case 5:
        if (rank == 8)
            break;
        ir = (c->lowest + 1 + rank) & 7;
        c->isr &= (u8) ~(1u << ir);
        if (val >> 5 == 5)
            c->lowest = (u8)ir;
        break;
    case 3:
        c->isr &= (u8) ~(1u << ir);
        break;
    case 7:
        c->isr &= (u8) ~(1u << ir);
        c->lowest = (u8)ir;
        break;
    case 6:
        c->lowest = (u8)ir;
        break;
    }
}

static void pic_command(struct pic_chip *c, u8 val)
{
    if (val & ICW1) {
        pic_icw1(c, val);
    } else if (val & OCW3) {
        c->poll = val & 4;
        if (val & 2)
            c->read_isr = val & 1;
        if (val & 0x40)
            c->special_mask = val & 0x20;
    } else {
        pic_ocw2(c, val);
    }
}

static void pic_data(struct pic_chip *c, u8 val)
{
    switch (c->step) {
    case 2:
        c->base = val & 0xf8;
        c->step = c->single ? (c->want4 ? 4 : 0) : 3;
        break;
    case 3:
        c->step = c->want4 ? 4 : 0;
        break;
    case 4:
        c->auto_eoi = val & ICW4_AUTO;
        c->nested = val & ICW4_NESTED;
        c->step = 0;
        break;
    default:
        c->imr = val;
    }
}

static u64 pic_poll(struct pic_chip *c, bool master)
{
    int ir = pic_best(c, master);

    c->poll = false;
    if (ir < 0)
        return 0;
    pic_take(c, (u32)ir);
    return 0x80u | (u32)ir;
}

static u64 pic_load(struct device *d, u32 off, u32 which)
{
    struct pic_chip *c = pic_chip(d, which);
    u64 val;

    machine_irq_lock(d->machine);
    if (c->poll) {
        val = pic_poll(c, which == 0);
        pic_update((struct pic *)d);
    } else if (off) {
        val = c->imr;
    } else {
        val = c->read_isr ? c->isr : c->irr;
    }
    machine_irq_unlock(d->machine);
    return val;
}

static void pic_store(struct device *d, u32 off, u32 which, u8 val)
{
    machine_irq_lock(d->machine);
    if (off)
        pic_data(pic_chip(d, which), val);
    else
        pic_command(pic_chip(d, which), val);
    pic_update((struct pic *)d);
    machine_irq_unlock(d->machine);
}

static u64 pic_master_load(struct device *d, u32 off, u32 size)
{
    (void)size;
    return pic_load(d, off, 0);
}

static void pic_master_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)size;
    pic_store(d, off, 0, (u8)val);
}

static u64 pic_slave_load(struct device *d, u32 off, u32 size)
{
    (void)size;
    return pic_load(d, off, 1);
}

static void pic_slave_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)size;
    pic_store(d, off, 1, (u8)val);
}

static u64 pic_elcr_load(struct device *d, u32 off, u32 size)
{
    (void)size;
    return pic_chip(d, off)->elcr;
}

static void pic_elcr_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct pic_chip *c = pic_chip(d, off);

    (void)size;
    machine_irq_lock(d->machine);
    c->elcr = (u8)val & elcr_mask[off];
    c->irr = (u8)((c->irr & ~c->elcr) | (c->lines & c->elcr));
    pic_update((struct pic *)d);
    machine_irq_unlock(d->machine);
}

static int pic_create(struct device *d, struct err *e)
{
    struct region r[] = {
        { .name = "pic0",
          .base = 0x20,
          .len = 2,
          .load = pic_master_load,
          .store = pic_master_store },
        { .name = "pic1",
          .base = 0xa0,
          .len = 2,
          .load = pic_slave_load,
          .store = pic_slave_store },
        { .name = "elcr", .base = 0x4d0, .len = 2, .load = pic_elcr_load, .store = pic_elcr_store },
    };
    struct pic *p = (struct pic *)d;

    for (u32 i = 0; i < LEN(r); i++) {
        r[i].min = r[i].max = 1;
        r[i].dev = d;
        r[i].unlocked = true;
        if (space_add(machine_ports(d->machine), &r[i], NULL, e))
            return -EEXIST;
    }
    p->out = machine_wire(d->machine, d, "pic.int");
    for (u32 i = 0; i < PIC_PINS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "isa.%u", i);
        if (i != PIC_CASCADE)
            machine_input(d->machine, name, (struct irq){ pic_set, p, i });
    }
    return 0;
}

static void pic_reset(struct device *d, enum reset kind)
{
    struct pic *p = (struct pic *)d;

    (void)kind;
    machine_irq_lock(d->machine);
    for (u32 i = 0; i < 2; i++) /* the pins are where their drivers hold them */
        p->state.chip[i] = (struct pic_chip){
            .imr = 0xff, .lowest = 7, .base = 0, .lines = p->state.chip[i].lines
        };
    pic_update(p);
    machine_irq_unlock(d->machine);
}

/* ---- kept elsewhere ---- */

void pic_chip_get(const struct device *d, struct chip_pic to[2])
{
    for (u32 i = 0; i < 2; i++) {
        const struct pic_chip *c = &((const struct pic *)d)->state.chip[i];

        to[i] = (struct chip_pic){ .irr = c->irr,
                                   .isr = c->isr,
                                   .imr = c->imr,
                                   .lines = c->lines,
                                   .base = c->base,
                                   .elcr = c->elcr,
                                   .highest = (c->lowest + 1) & 7,
                                   .step = c->step,
                                   .want4 = c->want4,
                                   .auto_eoi = c->auto_eoi,
                                   .rotate_auto = c->rotate_auto,
                                   .nested = c->nested,
                                   .special_mask = c->special_mask,
                                   .poll = c->poll,
                                   .read_isr = c->read_isr };
    }
}

void pic_chip_put(struct device *d, const struct chip_pic from[2])
{
    for (u32 i = 0; i < 2; i++) {
        const struct chip_pic *c = &from[i];

        *pic_chip(d, i) = (struct pic_chip){ .irr = c->irr,
                                             .isr = c->isr,
                                             .imr = c->imr,
                                             .lines = c->lines,
                                             .base = c->base & 0xf8,
                                             .elcr = c->elcr & elcr_mask[i],
                                             .lowest = (c->highest - 1) & 7,
                                             .step = c->step <= 4 ? c->step : 0,
                                             .want4 = c->want4,
                                             .auto_eoi = c->auto_eoi,
                                             .rotate_auto = c->rotate_auto,
                                             .nested = c->nested,
                                             .special_mask = c->special_mask,
                                             .poll = c->poll,
                                             .read_isr = c->read_isr };
    }
    pic_update((struct pic *)d);
}

static int pic_check(const struct device *d, struct err *e)
{
    const struct pic_state *s = &((const struct pic *)d)->state;

    for (u32 i = 0; i < 2; i++) {
        const struct pic_chip *c = &s->chip[i];

        if (c->lowest > 7 || c->step == 1 || c->step > 4 || c->base & 7 || c->elcr & ~elcr_mask[i])
            return err_set(e, -EBADMSG, "PIC %u: no PIC can be in this state", i);
    }
    return 0;
}

/* The wire is where it was: a PIC that thinks otherwise would never lower it. */
static void pic_restored(struct device *d)
{
    struct pic *p = (struct pic *)d;

    p->level = pic_best(&p->state.chip[0], true) >= 0;
}

#define CHIP struct pic_chip
static const struct field chip_fields[] = {
    FIELD(1, CHIP, irr, 0, "requests"),
    FIELD(2, CHIP, isr, 0, "in service"),
    FIELD(3, CHIP, imr, 0, "masked"),
    FIELD(4, CHIP, lines, 0, "levels of the pins"),
    FIELD(5, CHIP, base, 0, "vector of IR0"),
    FIELD(6, CHIP, lowest, 0, "IR with the lowest priority"),
    FIELD(7, CHIP, elcr, 0, "level triggered pins"),
    FIELD(8, CHIP, step, 0, "the ICW that comes next"),
    FIELD(9, CHIP, want4, 0, "ICW4 was announced"),
    FIELD(10, CHIP, single, 0, "no cascade"),
    FIELD(11, CHIP, auto_eoi, 0, "automatic end of interrupt"),
    FIELD(12, CHIP, rotate_auto, 0, "rotate in automatic EOI"),
    FIELD(13, CHIP, nested, 0, "special fully nested"),
    FIELD(14, CHIP, special_mask, 0, "special mask mode"),
    FIELD(15, CHIP, poll, 0, "the next read polls"),
    FIELD(16, CHIP, read_isr, 0, "a read gives ISR, not IRR"),
    FIELD_END
};
static const struct field state[] = {
    FIELD_SUB(1, struct pic_state, chip, 0, "master and slave", chip_fields), FIELD_END
};

const struct device_class device_pic = {
    .name = "pic",
    .about = "the PIC pair of a PC/AT, with edge/level control",
    .domain = "chipset",
    .size = sizeof(struct pic),
    .state_at = offsetof(struct pic, state),
    .state_size = sizeof(struct pic_state),
    .state = state,
    .create = pic_create,
    .reset = pic_reset,
    .check = pic_check,
    .restored = pic_restored,
};
