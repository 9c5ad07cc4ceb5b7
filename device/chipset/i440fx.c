/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host bridge: configuration ports, shadow RAM control, reset control.  Intel 82441FX data
 * sheet; port 0xcf9 as in the 82371AB (PIIX4) data sheet, 4.2.6.
 *
 * The BIOS area is always read from RAM, so of each PAM pair only the write bit counts.
 * Left out: DRAM timing, SMRAM (the register is kept).
 */
#include "bus/pci.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>

enum { PAM = 0x59, PAM_COUNT = 7, SMRAM = 0x72 };
enum { RESET_CPU = 1 << 2, RESET_CONTROL_WRITABLE = 0x6 };

struct i440fx {
    struct device dev;
    struct i440fx_state {
        u32 address; /* port 0xcf8 */
        u8 reset_control;
        u8 pam[PAM_COUNT]; /* what was done about them */
    } state;
};

/* ---- ports: the device asked about has a domain of its own, so none is held here ---- */

static u32 i440fx_address(struct device *d)
{
    u32 address;

    domain_lock(d->domain);
    address = ((struct i440fx *)d)->state.address;
    domain_unlock(d->domain);
    return address;
}

static bool i440fx_selects(u32 address)
{
    return address >> 31;
}

static u64 i440fx_data_load(struct device *d, u32 off, u32 size)
{
    u32 a = i440fx_address(d);

    if (!i440fx_selects(a))
        return ~(u64)0;
    return pci_config_load(d->machine, a >> 16 & 0xff, a >> 11 & 31, a >> 8 & 7, (a & 0xfc) + off,
                           size);
}

static void i440fx_data_store(struct device *d, u32 off, u32 size, u64 val)
{
    u32 a = i440fx_address(d);

    if (i440fx_selects(a))
        pci_config_store(d->machine, a >> 16 & 0xff, a >> 11 & 31, a >> 8 & 7, (a & 0xfc) + off,
                         size, (u32)val);
}

static u64 i440fx_address_load(struct device *d, u32 off, u32 size)
{
    struct i440fx *h = (struct i440fx *)d;

    if (size == 4)
        return h->state.address;
    return off == 1 && size == 1 ? h->state.reset_control : ~(u64)0;
}

static void i440fx_address_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct i440fx *h = (struct i440fx *)d;

    if (size == 4) {
        h->state.address = (u32)val & 0x80fffffc;
    } else if (off == 1 && size == 1) {
        if (val & RESET_CPU && !(h->state.reset_control & RESET_CPU))
            machine_ask(d->machine, MACHINE_RESET, 0);
        h->state.reset_control = val & RESET_CONTROL_WRITABLE;
    }
}

/* ---- shadow RAM ---- */

static void i440fx_shadow(struct i440fx *h)
{
    const u8 *now = pci_config(&h->dev) + PAM;
    struct machine *m = h->dev.machine;

    if (now[0] != h->state.pam[0])
        machine_shadow(m, 0xf0000, 0x10000, now[0] & 0x20);
    for (u32 i = 1; i < PAM_COUNT; i++) {
        u64 at = 0xc0000 + (i - 1) * 0x8000u;

        if (now[i] == h->state.pam[i])
            continue;
        machine_shadow(m, at, 0x4000, now[i] & 2);
        machine_shadow(m, at + 0x4000, 0x4000, now[i] & 0x20);
    }
    memcpy(h->state.pam, now, PAM_COUNT);
}

static void i440fx_on_config(struct device *d, u32 off, u32 size)
{
    (void)off, (void)size;
    i440fx_shadow((struct i440fx *)d);
}

static int i440fx_create(struct device *d, struct err *e)
{
    const struct pci_ident id = {
        .vendor = 0x8086,
        .device = 0x1237,
        .class = 0x060000,
        .revision = 2,
        .subvendor = 0x1af4,
        .subdevice = 0x1100, /* by which SeaBIOS looks for fw_cfg */
    };
    struct region address = { .name = "pci address",
                              .base = 0xcf8,
                              .len = 4,
                              .min = 1,
                              .max = 4,
                              .load = i440fx_address_load,
                              .store = i440fx_address_store,
                              .dev = d };
    struct region data = { .name = "pci data",
                           .base = 0xcfc,
                           .len = 4,
                           .min = 1,
                           .max = 4,
                           .load = i440fx_data_load,
                           .store = i440fx_data_store,
                           .dev = d,
                           .unlocked = true };

    if (pci_place(d->machine, d->name, 0, 0, e) || pci_plug(d, &id, e))
        return e ? e->code : -EINVAL;
    pci_config_writable(d, 0x40, 0xc0, 0xff);
    pci_on_config(d, i440fx_on_config);
    if (space_add(machine_ports(d->machine), &address, NULL, e))
        return -EEXIST;
    return space_add(machine_ports(d->machine), &data, NULL, e);
}

static void i440fx_destroy(struct device *d)
{
    pci_unplug(d);
}

static void i440fx_reset(struct device *d, enum reset kind)
{
    struct i440fx *h = (struct i440fx *)d;
    u8 *config = pci_config(d);

    (void)kind;
    h->state = (struct i440fx_state){ .address = 0 };
    memset(h->state.pam, 0xff, PAM_COUNT);
    memset(config + 0x40, 0, 0xc0);
    config[SMRAM] = 2;
    i440fx_shadow(h);
}

static const struct field state[] = {
    FIELD(1, struct i440fx_state, address, 0, "port 0xcf8"),
    FIELD(2, struct i440fx_state, reset_control, 0, "port 0xcf9"),
    FIELDS(3, struct i440fx_state, pam, 0, "shadow RAM control in effect"), FIELD_END
};

const struct device_class device_i440fx = {
    .name = "i440fx",
    .about = "host bridge 82441FX: PCI configuration ports, shadow RAM, reset control",
    .domain = "chipset",
    .size = sizeof(struct i440fx),
    .state_at = offsetof(struct i440fx, state),
    .state_size = sizeof(struct i440fx_state),
    .state = state,
    .create = i440fx_create,
    .destroy = i440fx_destroy,
    .reset = i440fx_reset,
};
