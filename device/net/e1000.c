/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82540EM Gigabit Ethernet (8086:100e), the usual network card of VMware, VirtualBox,
 * Parallels and QEMU guests that have no drivers of their hypervisor.  Intel's PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual (317453).
 *
 * Not modelled: interrupt delays (one interrupt tells of all that came together), flow
 * control, wake-up, statistics, which read as 0.
 */
#include "base/bytes.h"
#include "device/net/e1000_int.h"
#include <errno.h>

enum { BAR_REGS = 128 << 10, BAR_PORTS = 64 };
enum {
    REG_CTRL = 0x0000,
    REG_STATUS = 0x0008,
    REG_EECD = 0x0010,
    REG_EERD = 0x0014,
    REG_CTRL_EXT = 0x0018,
    REG_MDIC = 0x0020,
    REG_ICR = 0x00c0,
    REG_ITR = 0x00c4,
    REG_ICS = 0x00c8,
    REG_IMS = 0x00d0,
    REG_IMC = 0x00d8,
    REG_IAM = 0x00e0,
    REG_RCTL = 0x0100,
    REG_TCTL = 0x0400,
    REG_RX = 0x2800,
    REG_TX = 0x3800,
    REG_RXCSUM = 0x5000,
    REG_RFCTL = 0x5008,
    REG_MTA = 0x5200,
    REG_RA = 0x5400,
    REG_VFTA = 0x5600,
};
#define CTRL_RST (1u << 26)
#define CTRL_PHY_RST (1u << 31)
#define RAH_VALID (1u << 31)
enum { STATUS_LINK = 2, STATUS_MASTER = 1 << 19 };
enum { EE_SK = 1, EE_CS = 2, EE_DI = 4, EE_DO = 8, EE_REQ = 0x40, EE_GNT = 0x80, EE_PRES = 0x100 };
enum { EE_READ = 6, EE_COMMAND = 9, EE_SUM = 0xbaba, EERD_START = 1 };
enum { MDIC_WRITE = 1, MDIC_READ = 2, MDIC_READY = 1 << 28, MDIC_ERROR = 1 << 30 };
enum {
    PHY_CONTROL = 0,
    PHY_STATUS = 1,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    PHY_ADVERTISED = 4,
    PHY_PARTNER = 5,
    PHY_EXPANSION = 6,
    PHY_1000_CONTROL = 9,
    PHY_1000_STATUS = 10,
    PHY_EXTENDED_STATUS = 15,
    PHY_SPECIFIC_CONTROL = 16,
    PHY_SPECIFIC = 17,
    PHY_SPECIFIC_EXTENDED = 20,
};
enum { PHY_RESET = 1 << 15, PHY_LINK = 1 << 2, PHY_SPECIFIC_LINK = 1 << 10 };

static const struct e1000_model e1000_82540em = {
    .device = 0x100e,
    .subvendor = 0x8086,
    .subdevice = 0x001e,
    .status = 0x80080781,
    .eerd_done = 16,
    .eerd_shift = 8,
    .keep = { 0x28, 0x2c, 0x30, 0x38, 0x170, 0x410, 0x1000 },
    .phy_id2 = 0x0c20, /* 88E1011 */
};

/* A message tells of a new cause; the line stands as long as there is one. */
static void e1000_line(struct e1000 *c)
{
    bool now = c->state.icr & c->state.ims;

    if (now && !c->asserted && pci_message(&c->dev))
        pci_raise(&c->dev, 0);
    c->asserted = now;
    pci_level(&c->dev, now);
}

void e1000_interrupt(struct e1000 *c, u32 bits)
{
    c->state.icr |= bits;
    e1000_line(c);
}

/* ---- EEPROM and PHY ---- */

/* Marvell's PHYs after reset: gigabit, full duplex, negotiated with a partner that can all. */
static void e1000_phy_reset(struct e1000 *c)
{
    static const u16 after_reset[E1000_PHY] = {
        [PHY_CONTROL] = 0x1140,
        [PHY_STATUS] = 0x7969,
        [PHY_ID1] = 0x0141,
        [PHY_ADVERTISED] = 0x01e1,
        [PHY_PARTNER] = 0x45e1,
        [PHY_EXPANSION] = 0x0001,
        [PHY_1000_CONTROL] = 0x0e00,
        [PHY_1000_STATUS] = 0x3c00,
        [PHY_EXTENDED_STATUS] = 0x3000,
        [PHY_SPECIFIC_CONTROL] = 0x0360,
        [PHY_SPECIFIC] = 0xa800,
        [PHY_SPECIFIC_EXTENDED] = 0x0d60,
    };

    memcpy(c->state.phy, after_reset, sizeof(c->state.phy));
    c->state.phy[PHY_ID2] = c->model->phy_id2;
}

static void e1000_eeprom_make(struct e1000 *c, const struct pci_ident *id)
{
    u16 sum = 0;

    memset(c->eeprom, 0, sizeof(c->eeprom));
    for (u32 i = 0; i < 3; i++)
        c->eeprom[i] = le16(c->mac + 2 * i);
    c->eeprom[0x0a] = 0x4408;
    c->eeprom[0x0b] = id->subdevice;
    c->eeprom[0x0c] = id->subvendor;
    c->eeprom[0x0d] = id->device;
    c->eeprom[0x0e] = 0x8086;
    c->eeprom[0x0f] = 0x3040;
    for (u32 i = 0; i < E1000_EEPROM - 1; i++)
        sum = (u16)(sum + c->eeprom[i]);
    c->eeprom[E1000_EEPROM - 1] = (u16)(EE_SUM - sum);
}

/* Microwire: a start bit, two of the operation, six of the address, then sixteen come back. */
static void e1000_eeprom_wires(struct e1000 *c, u8 val)
{
    struct e1000_state *s = &c->state;
    u8 was = s->eecd;

    s->eecd = val & (EE_SK | EE_CS | EE_DI | EE_REQ);
    if (!(val & EE_CS)) {
        s->ee_in = s->ee_bits = 0;
        s->ee_out = 1;
        return;
    }
    if (was & EE_SK || !(val & EE_SK))
        return;
    if (s->ee_bits < EE_COMMAND) {
        if (!s->ee_bits && !(val & EE_DI)) /* before the start bit */
            return;
        s->ee_in = (u16)(s->ee_in << 1 | (val & EE_DI ? 1 : 0));
        s->ee_bits++;
        s->ee_address = s->ee_in & (E1000_EEPROM - 1);
        s->ee_out = 0;
    } else if (s->ee_in >> 6 == EE_READ) {
        u32 n = s->ee_bits++ - EE_COMMAND;

        s->ee_out = c->eeprom[(s->ee_address + n / 16) % E1000_EEPROM] >> (15 - n % 16) & 1;
        if (s->ee_bits == EE_COMMAND + 16 * E1000_EEPROM)
            s->ee_bits = EE_COMMAND;
    }
}

static u32 e1000_eecd(const struct e1000 *c)
{
    const struct e1000_state *s = &c->state;

    return s->eecd | c->model->eecd | EE_PRES | (s->eecd & EE_REQ ? (u32)EE_GNT : 0) |
           (s->ee_out ? (u32)EE_DO : 0);
}

static u16 e1000_phy(const struct e1000 *c, u32 reg)
{
    u16 val = c->state.phy[reg];

    if (net_link(c->net) && reg == PHY_STATUS)
        val |= PHY_LINK;
    if (net_link(c->net) && reg == PHY_SPECIFIC)
        val |= PHY_SPECIFIC_LINK;
    return val;
}

static void e1000_mdic(struct e1000 *c, u32 val)
{
    struct e1000_state *s = &c->state;
    u32 reg = val >> 16 & 31, op = val >> 26 & 3;

    s->mdic = (val & 0x0fffffff) | MDIC_READY;
    if ((val >> 21 & 31) != 1) {
        s->mdic |= MDIC_ERROR;
    } else if (op == MDIC_READ) {
        s->mdic = (s->mdic & ~0xffffu) | e1000_phy(c, reg);
    } else if (op == MDIC_WRITE && reg == PHY_CONTROL && val & PHY_RESET) {
        e1000_phy_reset(c);
    } else if (op == MDIC_WRITE && reg != PHY_STATUS && reg != PHY_ID1 && reg != PHY_ID2 &&
               reg != PHY_PARTNER && reg != PHY_1000_STATUS && reg != PHY_SPECIFIC) {
        s->phy[reg] = (u16)val;
    }
}

/* ---- registers ---- */

static void e1000_clear(struct e1000 *c)
{
    struct e1000_state *s = &c->state;

    *s = (struct e1000_state){ .ee_out = 1 };
    e1000_phy_reset(c);
    s->ra[0] = le32(c->mac);
    s->ra[1] = le16(c->mac + 4) | RAH_VALID;
    e1000_line(c);
}

static u32 ring_load(const struct e1000_ring *r, u32 reg)
{
    switch (reg) {
    case 0x00:
        return (u32)r->base;
    case 0x04:
        return (u32)(r->base >> 32);
    case 0x08:
        return r->len;
    case 0x10:
        return r->head;
    case 0x18:
        return r->tail;
    }
    return 0;
}

static bool ring_store(struct e1000_ring *r, u32 reg, u32 val)
{
    switch (reg) {
    case 0x00:
        r->base = (r->base & ~0xffffffffull) | (val & ~15u);
        break;
    case 0x04:
        r->base = (u32)r->base | (u64)val << 32;
        break;
    case 0x08:
        r->len = val & 0xfff80;
        break;
    case 0x10:
        r->head = val & 0xffff;
        break;
    case 0x18:
        r->tail = val & 0xffff;
        return true;
    }
    return false;
}

static u32 *e1000_table(struct e1000 *c, u32 off)
{
    struct e1000_state *s = &c->state;

    if (off >= REG_MTA && off < REG_MTA + sizeof(s->mta))
        return &s->mta[(off - REG_MTA) / 4];
    if (off >= REG_RA && off < REG_RA + sizeof(s->ra))
        return &s->ra[(off - REG_RA) / 4];
    if (off >= REG_VFTA && off < REG_VFTA + sizeof(s->vfta))
        return &s->vfta[(off - REG_VFTA) / 4];
    for (u32 i = 0; i < E1000_KEEP && c->model->keep[i]; i++)
        if (off == c->model->keep[i])
            return &s->other[i];
    return NULL;
}

static u32 e1000_icr(struct e1000 *c)
{
    struct e1000_state *s = &c->state;
    u32 val = s->icr;

    if (c->model->express && val & s->ims) {
        val |= ICR_ASSERTED;
        if (s->ctrl_ext & CTRL_EXT_IAME)
            s->ims &= ~s->iam;
    }
    s->icr = 0; /* reading takes them all */
    e1000_line(c);
    return val;
}

static u32 e1000_status(const struct e1000 *c)
{
    u32 val = c->model->status | (net_link(c->net) ? (u32)STATUS_LINK : 0);

    return c->model->express && c->state.ctrl & CTRL_GIO_DISABLE ? val & ~(u32)STATUS_MASTER : val;
}

static u64 e1000_load(struct device *d, u32 off, u32 size)
{
    struct e1000 *c = (struct e1000 *)d;
    struct e1000_state *s = &c->state;
    const u32 *at = e1000_table(c, off);

    (void)size;
    if (at)
        return *at;
    if (off >= REG_RX && off < REG_RX + 0x20)
        return ring_load(s->rx, off - REG_RX);
    if (off >= REG_TX && off < REG_TX + 0x20)
        return ring_load(s->tx, off - REG_TX);
    switch (off) {
    case REG_CTRL:
        return s->ctrl;
    case REG_STATUS:
        return e1000_status(c);
    case REG_EECD:
        return e1000_eecd(c);
    case REG_EERD:
        return s->eerd;
    case REG_MDIC:
        return s->mdic;
    case REG_ICR:
        return e1000_icr(c);
    case REG_ITR:
        return s->itr;
    case REG_IAM:
        return s->iam;
    case REG_CTRL_EXT:
        return s->ctrl_ext;
    case REG_RFCTL:
        return s->rfctl;
    case REG_IMS:
        return s->ims;
    case REG_RCTL:
        return s->rctl;
    case REG_TCTL:
        return s->tctl;
    case REG_RXCSUM:
        return s->rxcsum;
    }
    return 0;
}

static void e1000_control(struct e1000 *c, u32 val)
{
    if (val & CTRL_RST) {
        e1000_clear(c);
        return;
    }
    if (val & CTRL_PHY_RST)
        e1000_phy_reset(c);
    c->state.ctrl = val & ~CTRL_PHY_RST;
}

/* Causes and their masks, and what is only kept.  false: another register. */
static bool e1000_store_plain(struct e1000_state *s, u32 off, u32 val)
{
    switch (off) {
    case REG_ICR:
        s->icr &= ~val;
        return true;
    case REG_ITR:
        s->itr = val & 0xffff;
        return true;
    case REG_IAM:
        s->iam = val;
        return true;
    case REG_CTRL_EXT:
        s->ctrl_ext = val;
        return true;
    case REG_RFCTL:
        s->rfctl = val;
        return true;
    case REG_ICS:
        s->icr |= val & ~ICR_ASSERTED;
        return true;
    case REG_IMS:
        s->ims |= val;
        return true;
    case REG_IMC:
        s->ims &= ~val;
        return true;
    case REG_RXCSUM:
        s->rxcsum = val;
        return true;
    }
    return false;
}

static void e1000_store_acting(struct e1000 *c, u32 off, u32 val)
{
    struct e1000_state *s = &c->state;

    switch (off) {
    case REG_CTRL:
    case REG_CTRL + 4: /* the same register again */
        e1000_control(c, val);
        break;
    case REG_EECD:
        e1000_eeprom_wires(c, (u8)val);
        break;
    case REG_EERD:
        if (val & EERD_START)
            s->eerd = c->model->eerd_done |
                      (u32)c->eeprom[val >> c->model->eerd_shift & (E1000_EEPROM - 1)] << 16;
        break;
    case REG_MDIC:
        e1000_mdic(c, val);
        break;
    case REG_RCTL:
        s->rctl = val;
        bell_ring(c->rx_bell);
        break;
    case REG_TCTL:
        s->tctl = val;
        bell_ring(c->tx_bell);
        break;
    }
}

static void e1000_store(struct device *d, u32 off, u32 size, u64 val64)
{
    struct e1000 *c = (struct e1000 *)d;
    struct e1000_state *s = &c->state;
    u32 val = (u32)val64, *at = e1000_table(c, off);

    (void)size;
    if (at) {
        *at = val;
        return;
    }
    if (off >= REG_RX && off < REG_RX + 0x20) {
        if (ring_store(s->rx, off - REG_RX, val) && c->waiting)
            bell_ring(c->rx_bell);
        return;
    }
    if (off >= REG_TX && off < REG_TX + 0x20) {
        if (ring_store(s->tx, off - REG_TX, val))
            bell_ring(c->tx_bell);
        return;
    }
    if (!e1000_store_plain(s, off, val))
        e1000_store_acting(c, off, val);
    e1000_line(c);
}

/* The registers through two ports: address, data. */
static u64 e1000_in(struct device *d, u32 off, u32 size)
{
    struct e1000 *c = (struct e1000 *)d;

    return off == 0 ? c->state.io : off == 4 ? e1000_load(d, c->state.io, size) : 0;
}
static void e1000_out(struct device *d, u32 off, u32 size, u64 val)
{
    struct e1000 *c = (struct e1000 *)d;

    if (off == 0)
        c->state.io = (u32)val & (BAR_REGS - 4);
    else if (off == 4)
        e1000_store(d, c->state.io, size, val);
}

/* ---- the lane ---- */

static void e1000_tx_rung(struct device *d, u32 index)
{
    (void)index;
    e1000_send((struct e1000 *)d);
}
static void e1000_rx_rung(struct device *d, u32 index)
{
    struct e1000 *c = (struct e1000 *)d;

    (void)index;
    c->waiting = false;
    net_more(c->net);
}

static u32 e1000_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct e1000 *c = arg;
    u32 took = 0;
    bool any = false;

    domain_lock(c->dev.domain);
    if (c->paused)
        n = 0;
    for (; took < n; took++) {
        if (!pci_master(&c->dev) || !e1000_wants(c, &f[took]))
            continue; /* nobody listens: gone, as on a wire */
        if (!e1000_receive(c, &f[took])) {
            c->waiting = true;
            break;
        }
        any = true;
    }
    if (any)
        e1000_interrupt(c, ICR_RXT0);
    domain_unlock(c->dev.domain);
    return took;
}

static void e1000_link(void *arg)
{
    struct e1000 *c = arg;

    domain_lock(c->dev.domain);
    e1000_interrupt(c, ICR_LSC);
    domain_unlock(c->dev.domain);
}

/* ---- the device ---- */

int e1000_plug(struct device *d, const struct e1000_model *m, struct err *e)
{
    static const struct pci_bar bars[] = {
        { 0, PCI_MEM32, BAR_REGS, 4, 4, e1000_load, e1000_store, false, NULL },
        { 1, PCI_PORTS, BAR_PORTS, 4, 4, e1000_in, e1000_out, false, NULL },
        { 0 },
    };
    static const struct pci_bar express[] = {
        { 0, PCI_MEM32, BAR_REGS, 4, 4, e1000_load, e1000_store, false, NULL },
        { 2, PCI_PORTS, BAR_PORTS / 2, 4, 4, e1000_in, e1000_out, false, NULL },
        { 0 },
    };
    /* VMware's boards have an 82545EM, which differs by its name only */
    static const struct pci_ident vmware = {
        .device = 0x100f, .subvendor = 0x15ad, .subdevice = 0x0750, .revision = 1
    };
    struct pci_ident id = { .vendor = 0x8086,
                            .device = m->device,
                            .subvendor = m->subvendor,
                            .subdevice = m->subdevice,
                            .class = 0x020000,
                            .revision = m->express ? 0 : 2,
                            .pin = 1,
                            .msi = m->express,
                            .bars = m->express ? express : bars };
    static const struct net_guest calls = { e1000_deliver, e1000_link };
    struct e1000 *c = (struct e1000 *)d;
    int r;

    c->model = m;
    if (c->config.vmware && !m->express) {
        id.device = vmware.device, id.revision = vmware.revision;
        id.subvendor = vmware.subvendor, id.subdevice = vmware.subdevice;
    }
    r = frame_mac_parse(c->mac, c->config.mac, e);

    if (r)
        return r;
    if (bell_new(d, e1000_tx_rung, 0, &c->tx_bell) || bell_new(d, e1000_rx_rung, 0, &c->rx_bell))
        return err_set(e, -ENOMEM, "no memory for a queue");
    e1000_eeprom_make(c, &id);
    c->net = device_end(d, "net");
    r = pci_plug(d, &id, e);
    if (!r)
        net_attach(c->net, &calls, c);
    return r;
}

static int e1000_create(struct device *d, struct err *e)
{
    return e1000_plug(d, &e1000_82540em, e);
}

void e1000_reset(struct device *d, enum reset kind)
{
    (void)kind;
    e1000_clear((struct e1000 *)d);
}

void e1000_pause(struct device *d)
{
    domain_lock(d->domain);
    ((struct e1000 *)d)->paused = true;
    domain_unlock(d->domain);
}

void e1000_resume(struct device *d)
{
    struct e1000 *c = (struct e1000 *)d;

    domain_lock(d->domain);
    c->paused = false;
    bell_ring(c->tx_bell);
    bell_ring(c->rx_bell);
    domain_unlock(d->domain);
}

int e1000_check(const struct device *d, struct err *e)
{
    const struct e1000_state *s = &((const struct e1000 *)d)->state;

    if (s->tx->len & ~0xfff80u || s->rx->len & ~0xfff80u || s->ee_address >= E1000_EEPROM ||
        s->ee_bits > EE_COMMAND + 16 * E1000_EEPROM || s->io >= BAR_REGS)
        return err_set(e, -EBADMSG, "registers that cannot be so");
    return 0;
}

const struct field e1000_config_fields[] = {
    FIELD_TEXT(1, struct e1000_config, mac, 0, "MAC address"),
    FIELD(2, struct e1000_config, vmware, 0,
          "1: an e1000 is the one of VMware's boards, an 82545EM"),
    FIELD_END
};
#define RING struct e1000_ring
static const struct field ring_fields[] = {
    FIELD(1, RING, base, 0, "address"),         FIELD(2, RING, len, 0, "bytes"),
    FIELD(3, RING, head, 0, "the card's next"), FIELD(4, RING, tail, 0, "the driver's next"),
    FIELD(0, RING, pad, F_LOCAL, "none"),       FIELD_END
};
#define STATE struct e1000_state
const struct field e1000_state_fields[] = {
    FIELD(1, STATE, ctrl, 0, "device control"),
    FIELD(2, STATE, icr, 0, "interrupt causes"),
    FIELD(3, STATE, ims, 0, "interrupt mask"),
    FIELD(4, STATE, rctl, 0, "receive control"),
    FIELD(5, STATE, tctl, 0, "transmit control"),
    FIELD(6, STATE, rxcsum, 0, "receive checksum control"),
    FIELD(7, STATE, mdic, 0, "PHY access"),
    FIELD(8, STATE, eerd, 0, "EEPROM read"),
    FIELD(9, STATE, io, 0, "register that the ports reach"),
    FIELD(10, STATE, itr, 0, "interrupt throttling"),
    FIELDS(11, STATE, other, 0, "registers without effect"),
    FIELDS(12, STATE, ra, 0, "receive addresses"),
    FIELDS(13, STATE, mta, 0, "multicast table"),
    FIELDS(14, STATE, vfta, 0, "VLAN table"),
    FIELD_SUB(15, STATE, tx, 0, "transmit ring", ring_fields),
    FIELD_SUB(16, STATE, rx, 0, "receive ring", ring_fields),
    FIELDS(17, STATE, context, 0, "transmit context"),
    FIELDS(18, STATE, phy, 0, "PHY registers"),
    FIELD(19, STATE, eecd, 0, "EEPROM wires"),
    FIELD(20, STATE, ee_address, 0, "EEPROM address"),
    FIELD(21, STATE, ee_in, 0, "EEPROM command"),
    FIELD(22, STATE, ee_bits, 0, "bits of it that came"),
    FIELD(23, STATE, ee_out, 0, "EEPROM output"),
    FIELD(24, STATE, iam, 0, "causes that mask themselves"),
    FIELD(25, STATE, ctrl_ext, 0, "extended device control"),
    FIELD(26, STATE, rfctl, 0, "receive filter control"),
    FIELD_END,
};

const struct device_class device_e1000 = {
    .name = "e1000",
    .about = "Intel 82540EM Gigabit Ethernet: VMware, VirtualBox, Parallels, QEMU",
    .size = sizeof(struct e1000),
    .config_at = offsetof(struct e1000, config),
    .config = e1000_config_fields,
    .config_default = &(const struct e1000_config){ .mac = "00:0c:29:12:34:56" },
    .config_size = sizeof(struct e1000_config),
    .state_at = offsetof(struct e1000, state),
    .state_size = sizeof(struct e1000_state),
    .state = e1000_state_fields,
    .create = e1000_create,
    .reset = e1000_reset,
    .pause = e1000_pause,
    .resume = e1000_resume,
    .check = e1000_check,
};
