/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host bridge: configuration ports, shadow RAM control, reset control.  Intel 82441FX data
 * sheet; port 0xcf9 as in the 82371AB (PIIX4) data sheet, 4.2.6.
 *
 * The BIOS area is always read from RAM, so of each PAM pair only the write bit counts.
 * Left out: DRAM timing, SMRAM (the register is kept).  While the guest sleeps the bridge keeps its
 * registers, as a BIOS that wakes it expects.
 *
 * VMware's boards have an 82443BX instead, which neither SeaBIOS nor OVMF know.  They meet the
 * 82441FX and, from when they are done with it until the next reset, guests meet the other: a
 * BIOS's last act is that it locks its shadow RAM; OVMF asks for the last time before it has read
 * what the ACPI tables are made by.  OVMF also programs the south bridge in slot 1 whoever sits
 * there; what it writes goes to slot 7, which no guest notices: the AGP bridge in slot 1 has but
 * one function, and no registers where the interrupt routing is.
 */
#include "bus/pci.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>

enum { SOUTH_OVMF = 1, SOUTH_VMWARE = 7, SOUTH_PM = 3, SOUTH_PIRQ = 0x60 };
enum { PAM = 0x59, PAM_COUNT = 7, SMRAM = 0x72 };
enum { RESET_CPU = 1 << 2, RESET_CONTROL_WRITABLE = 0x6 };

enum i440fx_board { BOARD_PC, BOARD_VMWARE, BOARD_VMWARE_BIOS, BOARD_VMWARE_EFI, BOARDS };
static const char *const i440fx_boards[BOARDS] = { "pc", "vmware", "vmware-bios", "vmware-efi" };

struct i440fx {
    struct device dev;
    struct i440fx_config {
        char board[16];
    } config;
    struct i440fx_state {
        u32 address; /* port 0xcf8 */
        u8 reset_control;
        u8 pam[PAM_COUNT]; /* what was done about them */
        u8 is_bx, pad[3];
    } state;
    enum i440fx_board board;
};

static const struct pci_ident i440fx_fx = {
    .vendor = 0x8086,
    .device = 0x1237,
    .class = 0x060000,
    .revision = 2,
    .subvendor = 0x1af4,
    .subdevice = 0x1100, /* by which SeaBIOS looks for fw_cfg */
};
static const struct pci_ident i440fx_bx = {
    .vendor = 0x8086,
    .device = 0x7190,
    .class = 0x060000,
    .revision = 1,
    .subvendor = 0x15ad,
    .subdevice = 0x1976,
};

static void i440fx_become(struct i440fx *h, bool is_bx)
{
    h->state.is_bx = is_bx;
    if (h->board != BOARD_PC)
        pci_identify(&h->dev, is_bx ? &i440fx_bx : &i440fx_fx);
}

/* OVMF has read the description of its tables. */
static void i440fx_tables(void *sink, u32 pin, bool level)
{
    struct i440fx *h = sink;

    (void)pin;
    if (level && h->board == BOARD_VMWARE_EFI)
        i440fx_become(h, true);
}

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

static u8 i440fx_slot(const struct device *d, u32 a, bool store)
{
    u8 bus = a >> 16 & 0xff, slot = a >> 11 & 31, function = a >> 8 & 7;
    bool south = function == SOUTH_PM || (store && !function && (a & 0xfc) == SOUTH_PIRQ);

    return ((const struct i440fx *)d)->board == BOARD_VMWARE_EFI && !bus && slot == SOUTH_OVMF &&
                   south
               ? SOUTH_VMWARE
               : slot;
}

static u64 i440fx_data_load(struct device *d, u32 off, u32 size)
{
    u32 a = i440fx_address(d);

    if (!i440fx_selects(a))
        return ~(u64)0;
    return pci_config_load(d->machine, a >> 16 & 0xff, i440fx_slot(d, a, false), a >> 8 & 7,
                           (a & 0xfc) + off, size);
}

static void i440fx_data_store(struct device *d, u32 off, u32 size, u64 val)
{
    u32 a = i440fx_address(d);

    if (i440fx_selects(a))
        pci_config_store(d->machine, a >> 16 & 0xff, i440fx_slot(d, a, true), a >> 8 & 7,
                         (a & 0xfc) + off, size, (u32)val);
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
    struct i440fx *h = (struct i440fx *)d;
    bool was_open = h->state.pam[0] & 0x20;

    (void)off, (void)size;
    i440fx_shadow(h);
    if (h->board == BOARD_VMWARE_BIOS && was_open && !(h->state.pam[0] & 0x20))
        i440fx_become(h, true);
}

static int i440fx_create(struct device *d, struct err *e)
{
    struct i440fx *h = (struct i440fx *)d;
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

    while (h->board < BOARDS && strcmp(h->config.board, i440fx_boards[h->board]))
        h->board++;
    if (h->board == BOARDS)
        return err_set(e, -EINVAL, "there is no board %s", h->config.board);
    if (pci_place(d->machine, d->name, 0, 0, e) || pci_plug(d, &i440fx_fx, e))
        return e ? e->code : -EINVAL;
    pci_config_writable(d, 0x40, 0xc0, 0xff);
    pci_on_config(d, i440fx_on_config);
    machine_input(d->machine, "fwcfg.tables", (struct irq){ i440fx_tables, h, 0 });
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

    if (kind == RESET_SLEEP) {
        h->state.address = h->state.reset_control = 0;
        return;
    }
    h->state = (struct i440fx_state){ .address = 0 };
    memset(h->state.pam, 0xff, PAM_COUNT);
    memset(config + 0x40, 0, 0xc0);
    config[SMRAM] = 2;
    i440fx_shadow(h);
    i440fx_become(h, h->board == BOARD_VMWARE);
}

static int i440fx_check(const struct device *d, struct err *e)
{
    const struct i440fx *h = (const struct i440fx *)d;

    if (h->state.is_bx > (h->board != BOARD_PC) || (!h->state.is_bx && h->board == BOARD_VMWARE))
        return err_set(e, -EBADMSG, "the board %s has not such a host bridge", h->config.board);
    return 0;
}

static void i440fx_restored(struct device *d)
{
    i440fx_become((struct i440fx *)d, ((struct i440fx *)d)->state.is_bx);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct i440fx_config, board, 0,
               "pc, vmware, or vmware-bios and vmware-efi, where firmware knows another"),
    FIELD_END
};

static const struct field state[] = {
    FIELD(1, struct i440fx_state, address, 0, "port 0xcf8"),
    FIELD(2, struct i440fx_state, reset_control, 0, "port 0xcf9"),
    FIELDS(3, struct i440fx_state, pam, 0, "shadow RAM control in effect"),
    FIELD(4, struct i440fx_state, is_bx, 0, "the firmware is done: it is an 82443BX now"),
    FIELDS(0, struct i440fx_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_i440fx = {
    .name = "i440fx",
    .about = "host bridge 82441FX: PCI configuration ports, shadow RAM, reset control",
    .domain = "chipset",
    .size = sizeof(struct i440fx),
    .state_at = offsetof(struct i440fx, state),
    .state_size = sizeof(struct i440fx_state),
    .state = state,
    .config_at = offsetof(struct i440fx, config),
    .config = config,
    .config_default = &(const struct i440fx_config){ .board = "pc" },
    .config_size = sizeof(struct i440fx_config),
    .create = i440fx_create,
    .destroy = i440fx_destroy,
    .reset = i440fx_reset,
    .check = i440fx_check,
    .restored = i440fx_restored,
};
