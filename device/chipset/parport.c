/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A printer port with a printer that takes everything at once.  IEEE 1284-2000, compatibility
 * mode; the registers of the PC/AT's port, of the PS/2's with its direction bit, and EPP 1.9's.
 * Left out: ECP, anything that a printer would say.
 */
#include "backend/chr.h"
#include "machine/device.h"
#include <errno.h>
#include <stdio.h>

enum { DATA, STATUS, CONTROL, EPP, PARPORT_PORTS = 8 };
/* Not busy, no acknowledge now, there is paper, selected, no error; the rest is not wired. */
enum { STATUS_READY = 0xd8, STATUS_RESERVED = 6 };
enum { CONTROL_STROBE = 1, CONTROL_INIT = 4, CONTROL_IRQ = 0x10, CONTROL_IN = 0x20 };
enum { CONTROL_WRITABLE = 0x3f, CONTROL_RESERVED = 0xc0 };

struct parport {
    struct device dev;
    struct parport_config {
        u16 port;
        u8 irq, pad;
    } config;
    struct parport_state {
        u8 data, control, pad[2];
    } state;
    struct irq irq;
    struct chr *chr;
};

/* The byte is gone at once; its acknowledge is a short pulse, whose end interrupts. */
static void parport_print(struct parport *p, u8 byte)
{
    chr_put(p->chr, &byte, 1);
    if (p->state.control & CONTROL_IRQ) {
        irq_set(&p->irq, true);
        irq_set(&p->irq, false);
    }
}

static u64 parport_load(struct device *d, u32 off, u32 size)
{
    const struct parport_state *s = &((struct parport *)d)->state;

    (void)size;
    switch (off) {
    case DATA:
        return s->control & CONTROL_IN ? 0xff : s->data;
    case STATUS:
        return STATUS_READY | STATUS_RESERVED;
    case CONTROL:
        return s->control | CONTROL_RESERVED;
    default: /* EPP reads: nobody answers */
        return 0xff;
    }
}

static void parport_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct parport *p = (struct parport *)d;
    struct parport_state *s = &p->state;
    u8 was = s->control;

    (void)size;
    switch (off) {
    case DATA:
        s->data = (u8)val;
        break;
    case STATUS:
        break;
    case CONTROL:
        s->control = val & CONTROL_WRITABLE;
        if (val & CONTROL_INIT && val & CONTROL_STROBE && !(was & CONTROL_STROBE))
            parport_print(p, s->data);
        break;
    case EPP: /* an address: which part of the printer; there is one */
        break;
    default:
        parport_print(p, (u8)val);
    }
}

static int parport_create(struct device *d, struct err *e)
{
    struct parport *p = (struct parport *)d;
    struct region ports = { .name = "parport",
                            .base = p->config.port,
                            .len = PARPORT_PORTS,
                            .min = 1,
                            .max = 1,
                            .load = parport_load,
                            .store = parport_store,
                            .dev = d };
    char irq[16];

    if (p->config.irq > 15)
        return err_set(e, -EINVAL, "there is no ISA interrupt %u", p->config.irq);
    p->chr = device_end(d, "chr");
    snprintf(irq, sizeof(irq), "isa.%u", p->config.irq);
    p->irq = machine_wire(d->machine, d, irq);
    return space_add(machine_ports(d->machine), &ports, NULL, e);
}

static void parport_reset(struct device *d, enum reset kind)
{
    (void)kind;
    ((struct parport *)d)->state = (struct parport_state){ .control = CONTROL_INIT };
}

static const struct field config[] = { FIELD(1, struct parport_config, port, 0, "first I/O port"),
                                       FIELD(2, struct parport_config, irq, 0, "ISA interrupt"),
                                       FIELD(0, struct parport_config, pad, F_LOCAL, "none"),
                                       FIELD_END };
static const struct field state[] = {
    FIELD(1, struct parport_state, data, 0, "data register"),
    FIELD(2, struct parport_state, control, 0, "control register"),
    FIELDS(0, struct parport_state, pad, F_LOCAL, "none"), FIELD_END
};

const struct device_class device_parport = {
    .name = "parport",
    .about = "printer port with EPP, into a file",
    .size = sizeof(struct parport),
    .config_at = offsetof(struct parport, config),
    .config = config,
    .config_default = &(const struct parport_config){ .port = 0x378, .irq = 7 },
    .config_size = sizeof(struct parport_config),
    .state_at = offsetof(struct parport, state),
    .state_size = sizeof(struct parport_state),
    .state = state,
    .create = parport_create,
    .reset = parport_reset,
};
