/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Am79C970A, PCnet-PCI II (1022:2000): "vlance" and "Flexible" of VMware, PCnet of
 * VirtualBox.  After AMD's data sheet Am79C970A rev. E.
 *
 * Not modelled: the EEPROM behind BCR19 (the address PROM holds what it would), loopback of
 * frames, timers, LEDs, magic packets; VMware's morphing of "Flexible" into its vmxnet.
 */
#include "base/bytes.h"
#include "device/net/pcnet_int.h"
#include <errno.h>

enum { BAR_SIZE = 32, PORT_DATA = 0x10, PORT_WORD = 0x12, PORT_DWORD = 0x14 };
enum { RESET_WORD = 0x14, BDP_WORD = 0x16, RESET_DWORD = 0x18, BDP_DWORD = 0x1c };
enum { CHIP_LOW = 0x1003, CHIP_HIGH = 0x0262 };
enum { BCR_STYLE = 20, BCR_BURST = 18, BCR_LINK = 4, STYLE_32BIT = 1 << 8, LED_OUT = 1 << 15 };

static struct pcnet_state *state_of(struct pcnet *p)
{
    return &p->state;
}

static void pcnet_line(struct pcnet *p)
{
    struct pcnet_state *s = state_of(p);
    u16 shown = s->csr[0] & CSR0_CAUSES & (u16)~s->csr[3];

    s->csr[0] &= (u16) ~(CSR0_INTR | CSR0_ERR);
    if (s->csr[0] & (CSR0_BABL | CSR0_MISS | CSR0_MERR))
        s->csr[0] |= CSR0_ERR;
    if (shown)
        s->csr[0] |= CSR0_INTR;
    pci_level(&p->dev, shown && s->csr[0] & CSR0_IENA);
}

void pcnet_cause(struct pcnet *p, u16 bits)
{
    p->state.csr[0] |= bits;
    pcnet_line(p);
}

/* S_RESET: all but the address PROM, the width of the ports and the BCRs. */
static void pcnet_stop(struct pcnet *p)
{
    struct pcnet_state *s = state_of(p);

    s->csr[0] = CSR0_STOP;
    s->csr[4] &= 0xc2 << 8 | 0x22;
    s->csr[5] &= (u16)~CSR5_SPND;
    pcnet_line(p);
}

static void pcnet_clear(struct pcnet *p)
{
    struct pcnet_state *s = state_of(p);

    memset(s->csr, 0, sizeof(s->csr));
    s->csr[0] = CSR0_STOP;
    s->csr[4] = 0x0115;
    s->csr[76] = s->csr[78] = 0xffff;
    s->csr[80] = 0x1410;
    s->csr[88] = CHIP_LOW;
    s->csr[89] = CHIP_HIGH;
    for (u32 i = 0; i < 3; i++)
        s->csr[CSR_PADR + i] = le16(p->mac + 2 * i);
    s->rx_count = s->tx_count = s->rx_at = s->tx_at = 0;
    s->rx_base = s->tx_base = 0;
    s->rap = 0;
    s->dword = false;
    pcnet_line(p);
}

static void pcnet_start(struct pcnet *p, u16 val)
{
    struct pcnet_state *s = state_of(p);

    s->csr[0] &= (u16)~CSR0_STOP;
    if (val & CSR0_INIT) {
        s->csr[0] |= CSR0_INIT;
        if (pci_master(&p->dev) && pcnet_init_block(p))
            s->csr[0] |= CSR0_IDON;
        else
            s->csr[0] |= CSR0_MERR;
    }
    if (val & CSR0_STRT) {
        u16 mode = s->csr[CSR_MODE];

        s->csr[0] |=
            CSR0_STRT | (mode & MODE_DTX ? 0 : CSR0_TXON) | (mode & MODE_DRX ? 0 : CSR0_RXON);
        bell_ring(p->rx_bell);
    }
    if (val & (CSR0_STRT | CSR0_TDMD))
        bell_ring(p->tx_bell);
}

/* Causes are cleared by writing 1 to them; STOP wins over all. */
static void pcnet_control(struct pcnet *p, u16 val)
{
    struct pcnet_state *s = state_of(p);

    s->csr[0] &= (u16) ~(val & CSR0_CAUSES);
    s->csr[0] = (u16)((s->csr[0] & ~CSR0_IENA) | (val & CSR0_IENA));
    if (val & CSR0_STOP)
        pcnet_stop(p);
    else if (val & (CSR0_INIT | CSR0_STRT | CSR0_TDMD))
        pcnet_start(p, val);
    pcnet_line(p);
}

static void pcnet_style(struct pcnet *p, u16 val)
{
    u16 kind = val & 0xff;

    kind = kind == 2 || kind == 3 ? kind | STYLE_32BIT : 0;
    p->state.csr[CSR_STYLE] = p->state.bcr[BCR_STYLE] = kind;
}

static u16 csr_load(struct pcnet *p, u32 n)
{
    if (n >= PCNET_CSRS)
        return 0;
    if (n == CSR_STYLE)
        return p->state.bcr[BCR_STYLE];
    return p->state.csr[n];
}

static void csr_store(struct pcnet *p, u32 n, u16 val)
{
    struct pcnet_state *s = state_of(p);

    if (n == 0) {
        pcnet_control(p, val);
    } else if (n == CSR_STYLE) {
        pcnet_style(p, val);
    } else if (n == 4) { /* causes in its low byte are cleared by 1 */
        s->csr[4] = (u16)((val & 0xff15) | (s->csr[4] & 0x22 & ~val));
    } else if (n < PCNET_CSRS && n != 88 && n != 89 && n != 112 && n != 114) {
        s->csr[n] = val;
    }
    if (n == 5 && !(val & CSR5_SPND)) {
        bell_ring(p->tx_bell);
        bell_ring(p->rx_bell);
    }
    if (n == 3)
        pcnet_line(p);
}

static u16 bcr_load(const struct pcnet *p, u32 n)
{
    if (n == BCR_LINK) /* the LED is lit */
        return (u16)((p->state.bcr[n] & ~LED_OUT) | (net_link(p->net) ? LED_OUT : 0));
    return n < PCNET_BCRS ? p->state.bcr[n] : 0;
}
static void bcr_store(struct pcnet *p, u32 n, u16 val)
{
    if (n == BCR_STYLE)
        pcnet_style(p, val);
    else if (n < PCNET_BCRS && n > 1)
        p->state.bcr[n] = val;
}

/* ---- the ports ---- */

static u64 pcnet_load(struct device *d, u32 off, u32 size)
{
    struct pcnet *p = (struct pcnet *)d;
    struct pcnet_state *s = state_of(p);
    u32 val = 0;

    if (off < sizeof(s->prom)) {
        for (u32 i = size; i--;)
            val = val << 8 | (off + i < sizeof(s->prom) ? s->prom[off + i] : 0u);
        return val;
    }
    if (off == PORT_DATA)
        return csr_load(p, s->rap);
    if (off == (s->dword ? PORT_DWORD : PORT_WORD))
        return s->rap;
    if (off == (s->dword ? BDP_DWORD : BDP_WORD))
        return bcr_load(p, s->rap);
    if (off == (s->dword ? RESET_DWORD : RESET_WORD))
        pcnet_clear(p);
    return 0;
}

static void pcnet_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct pcnet *p = (struct pcnet *)d;
    struct pcnet_state *s = state_of(p);

    if (off == PORT_DATA && size == 4) /* the first one makes the ports wide */
        s->dword = true;
    if (off == PORT_DATA)
        csr_store(p, s->rap, (u16)val);
    else if (off == (s->dword ? PORT_DWORD : PORT_WORD))
        s->rap = val & 0x7f;
    else if (off == (s->dword ? BDP_DWORD : BDP_WORD))
        bcr_store(p, s->rap, (u16)val);
}

/* ---- the lane ---- */

static void pcnet_tx_rung(struct device *d, u32 index)
{
    (void)index;
    pcnet_send((struct pcnet *)d);
}
static void pcnet_rx_rung(struct device *d, u32 index)
{
    (void)index;
    net_more(((struct pcnet *)d)->net);
}

static u32 pcnet_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct pcnet *p = arg;
    u32 took = 0;
    bool any = false, full = false;

    domain_lock(p->dev.domain);
    for (; !p->paused && took < n; took++) {
        enum pcnet_got got = pcnet_receive(p, &f[took]);

        any |= got == PCNET_TAKEN;
        full = got == PCNET_NO_ROOM;
        if (full)
            break;
    }
    if (any)
        pcnet_cause(p, CSR0_RINT);
    domain_unlock(p->dev.domain);
    return took;
}

/* ---- the device ---- */

static void pcnet_prom(struct pcnet *p)
{
    u16 sum = 0;

    memset(p->state.prom, 0, sizeof(p->state.prom));
    memcpy(p->state.prom, p->mac, FRAME_MAC);
    p->state.prom[9] = 0x11;
    p->state.prom[14] = p->state.prom[15] = 'W';
    for (u32 i = 0; i < sizeof(p->state.prom); i++)
        sum = (u16)(sum + p->state.prom[i]);
    put_le16(p->state.prom + 12, sum);
}

static int pcnet_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { 0, PCI_PORTS, BAR_SIZE, 1, 4, pcnet_load, pcnet_store, false, NULL },
        { 1, PCI_MEM32, BAR_SIZE, 1, 4, pcnet_load, pcnet_store, false, NULL },
        { 0 },
    };
    static const struct pci_ident id = { .vendor = 0x1022,
                                         .device = 0x2000,
                                         .subvendor = 0x1022,
                                         .subdevice = 0x2000,
                                         .class = 0x020000,
                                         .revision = 0x10,
                                         .pin = 1,
                                         .bars = bars };
    static const struct net_guest calls = { pcnet_deliver, NULL };
    struct pcnet *p = (struct pcnet *)d;
    int r = frame_mac_parse(p->mac, p->config.mac, e);

    if (r)
        return r;
    if (bell_new(d, pcnet_tx_rung, 0, &p->tx_bell) || bell_new(d, pcnet_rx_rung, 0, &p->rx_bell))
        return err_set(e, -ENOMEM, "no memory for a queue");
    p->net = device_end(d, "net");
    r = pci_plug(d, &id, e);
    if (!r)
        net_attach(p->net, &calls, p);
    return r;
}

static void pcnet_reset(struct device *d, enum reset kind)
{
    static const struct {
        u8 at;
        u16 val;
    } bcr[] = { { 0, 5 },    { 1, 5 },    { 2, 2 },    { BCR_LINK, 0xc0 },
                { 5, 0x84 }, { 6, 0x88 }, { 7, 0x90 }, { BCR_BURST, 0x2001 },
                { 21, 0x0f } };
    struct pcnet *p = (struct pcnet *)d;

    (void)kind;
    memset(p->state.bcr, 0, sizeof(p->state.bcr));
    for (u32 i = 0; i < LEN(bcr); i++)
        p->state.bcr[bcr[i].at] = bcr[i].val;
    pcnet_prom(p);
    pcnet_clear(p);
}

static void pcnet_pause(struct device *d)
{
    domain_lock(d->domain);
    ((struct pcnet *)d)->paused = true;
    domain_unlock(d->domain);
}

static void pcnet_resume(struct device *d)
{
    struct pcnet *p = (struct pcnet *)d;

    domain_lock(d->domain);
    p->paused = false;
    bell_ring(p->tx_bell);
    bell_ring(p->rx_bell);
    domain_unlock(d->domain);
}

static int pcnet_check(const struct device *d, struct err *e)
{
    const struct pcnet_state *s = &((const struct pcnet *)d)->state;
    u32 kind = s->csr[CSR_STYLE] & 0xff;

    if (s->rx_count > 512 || s->tx_count > 512 || s->rap >= PCNET_CSRS ||
        (s->rx_at && s->rx_at >= s->rx_count) || (s->tx_at && s->tx_at >= s->tx_count) ||
        (kind && kind != 2 && kind != 3))
        return err_set(e, -EBADMSG, "registers that cannot be so");
    return 0;
}

static const struct field config[] = { FIELD_TEXT(1, struct pcnet_config, mac, 0, "MAC address"),
                                       FIELD_END };
#define STATE struct pcnet_state
static const struct field state[] = {
    FIELDS(1, STATE, csr, 0, "control and status registers"),
    FIELDS(2, STATE, bcr, 0, "bus configuration registers"),
    FIELDS(3, STATE, prom, 0, "address PROM"),
    FIELD(4, STATE, rx_base, 0, "receive ring: address"),
    FIELD(5, STATE, tx_base, 0, "transmit ring: address"),
    FIELD(6, STATE, rx_count, 0, "receive ring: descriptors"),
    FIELD(7, STATE, tx_count, 0, "transmit ring: descriptors"),
    FIELD(8, STATE, rx_at, 0, "receive ring: the next"),
    FIELD(9, STATE, tx_at, 0, "transmit ring: the next"),
    FIELD(10, STATE, rap, 0, "register that the data port reaches"),
    FIELD(11, STATE, dword, 0, "the ports are 32 bits wide"),
    FIELD(0, STATE, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_pcnet = {
    .name = "pcnet",
    .about = "AMD PCnet-PCI II: VMware's vlance, VirtualBox",
    .size = sizeof(struct pcnet),
    .config_at = offsetof(struct pcnet, config),
    .config = config,
    .config_default = &(const struct pcnet_config){ .mac = "00:0c:29:12:34:58" },
    .config_size = sizeof(struct pcnet_config),
    .state_at = offsetof(struct pcnet, state),
    .state_size = sizeof(struct pcnet_state),
    .state = state,
    .create = pcnet_create,
    .reset = pcnet_reset,
    .pause = pcnet_pause,
    .resume = pcnet_resume,
    .check = pcnet_check,
};
