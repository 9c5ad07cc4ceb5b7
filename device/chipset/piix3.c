/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * South bridge, function 0: the ISA bridge, which routes PCI interrupts to ISA ones.  Intel
 * 82371FB/SB data sheet, 2.2.13 (PIRQRC); the 82371AB (PIIX4) is alike.  With it come port 0x80 (POST code) and port 0x92 (reset, A20).
 */
#include "bus/pci.h"
#include "machine/machine.h"
#include <errno.h>
#include <stdio.h>

enum { PIRQ = 0x60, PIRQS = 4, PIRQ_OFF = 0x80 };
enum { PORT92_A20 = 2, PORT92_RESET = 1 };

struct piix3 {
    struct device dev;
    struct piix3_config {
        u8 vmware;
    } config;
    struct piix3_state {
        u8 route[PIRQS]; /* as in configuration space; under the irq lock */
        u8 levels;       /* of pci.a to pci.d; under the irq lock */
        u8 post, port92, pad;
    } state;
    struct irq isa[16]; /* one wire for all PIRQs that go there */
};

/* IRQ 0, 1, 2, 8 and 13 cannot be routed to. */
static bool piix3_can(u32 irq)
{
    return irq < 16 && 0xdef8 >> irq & 1;
}

/* Under the irq lock: every ISA wire by the routes and levels as they are now. */
static void piix3_update(struct piix3 *p)
{
    u32 high = 0;

    for (u32 i = 0; i < PIRQS; i++)
        if (!(p->state.route[i] & PIRQ_OFF) && p->state.levels >> i & 1)
            high |= 1u << (p->state.route[i] & 15);
    for (u32 i = 0; i < LEN(p->isa); i++)
        irq_set(&p->isa[i], high >> i & 1);
}

static void piix3_pirq(void *sink, u32 pin, bool level)
{
    struct piix3 *p = sink;

    machine_irq_lock(p->dev.machine);
    p->state.levels = (u8)((p->state.levels & ~(1u << pin)) | (u32)level << pin);
    piix3_update(p);
    machine_irq_unlock(p->dev.machine);
}

static void piix3_on_config(struct device *d, u32 off, u32 size)
{
    struct piix3 *p = (struct piix3 *)d;

    (void)off, (void)size;
    machine_irq_lock(d->machine);
    for (u32 i = 0; i < PIRQS; i++)
        p->state.route[i] = pci_config(d)[PIRQ + i];
    piix3_update(p);
    machine_irq_unlock(d->machine);
}

static u64 piix3_post_load(struct device *d, u32 off, u32 size)
{
    (void)off, (void)size;
    return ((struct piix3 *)d)->state.post;
}

static void piix3_post_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)off, (void)size;
    ((struct piix3 *)d)->state.post = (u8)val;
}

/* A20 is always open here: the bit is kept for those who look whether they opened it. */
static u64 piix3_92_load(struct device *d, u32 off, u32 size)
{
    (void)off, (void)size;
    return ((struct piix3 *)d)->state.port92;
}

static void piix3_92_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct piix3 *p = (struct piix3 *)d;

    (void)off, (void)size;
    if (val & PORT92_RESET && !(p->state.port92 & PORT92_RESET))
        machine_ask(d->machine, MACHINE_RESET, 0);
    p->state.port92 = (u8)val;
}

static int piix3_create(struct device *d, struct err *e)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x7000, .class = 0x060100 };
    static const struct pci_ident vmware = { .vendor = 0x8086,
                                             .device = 0x7110,
                                             .class = 0x060100,
                                             .revision = 8,
                                             .subvendor = 0x15ad,
                                             .subdevice = 0x1976 };
    struct region post = { .name = "post",
                           .base = 0x80,
                           .len = 1,
                           .min = 1,
                           .max = 1,
                           .load = piix3_post_load,
                           .store = piix3_post_store,
                           .dev = d };
    struct region port92 = { .name = "port 0x92",
                             .base = 0x92,
                             .len = 1,
                             .min = 1,
                             .max = 1,
                             .load = piix3_92_load,
                             .store = piix3_92_store,
                             .dev = d };
    struct piix3 *p = (struct piix3 *)d;

    if (pci_place(d->machine, d->name, 1, 0, e) || pci_plug(d, p->config.vmware ? &vmware : &id, e))
        return e ? e->code : -EINVAL;
    pci_config_writable(d, 0x40, 0xc0, 0xff);
    pci_config_writable(d, PIRQ, PIRQS, 0x8f);
    pci_on_config(d, piix3_on_config);
    for (u32 i = 0; i < LEN(p->isa); i++) {
        char name[16];

        snprintf(name, sizeof(name), "isa.%u", i);
        if (piix3_can(i))
            p->isa[i] = machine_wire(d->machine, d, name);
    }
    for (u32 i = 0; i < PIRQS; i++) {
        char name[] = "pci.a";

        name[4] = (char)('a' + i);
        machine_input(d->machine, name, (struct irq){ piix3_pirq, p, i });
    }
    if (space_add(machine_ports(d->machine), &post, NULL, e))
        return -EEXIST;
    return space_add(machine_ports(d->machine), &port92, NULL, e);
}

static void piix3_destroy(struct device *d)
{
    pci_unplug(d);
}

static void piix3_reset(struct device *d, enum reset kind)
{
    struct piix3 *p = (struct piix3 *)d;
    u8 *config = pci_config(d);

    (void)kind;
    for (u32 i = 0x40; i < 0x100; i++)
        config[i] = 0;
    for (u32 i = 0; i < PIRQS; i++)
        config[PIRQ + i] = PIRQ_OFF;
    p->state.post = 0;
    p->state.port92 = PORT92_A20;
    piix3_on_config(d, PIRQ, PIRQS);
}

static const struct field config[] = {
    FIELD(1, struct piix3_config, vmware, 0, "1: the one of VMware's boards, a PIIX4"), FIELD_END
};

static const struct field state[] = {
    FIELDS(1, struct piix3_state, route, 0, "ISA interrupt of each PCI one"),
    FIELD(2, struct piix3_state, levels, 0, "levels of the PCI interrupts"),
    FIELD(3, struct piix3_state, post, 0, "port 0x80"),
    FIELD(4, struct piix3_state, port92, 0, "port 0x92"),
    FIELD(0, struct piix3_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_piix3 = {
    .name = "piix3",
    .about = "ISA bridge 82371SB: PCI interrupt routing, ports 0x80 and 0x92",
    .domain = "chipset",
    .size = sizeof(struct piix3),
    .state_at = offsetof(struct piix3, state),
    .state_size = sizeof(struct piix3_state),
    .state = state,
    .config_at = offsetof(struct piix3, config),
    .config = config,
    .config_default = &(const struct piix3_config){ 0 },
    .config_size = sizeof(struct piix3_config),
    .create = piix3_create,
    .destroy = piix3_destroy,
    .reset = piix3_reset,
};
