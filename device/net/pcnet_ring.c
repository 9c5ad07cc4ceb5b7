/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Initialisation block and descriptors of the PCnet-PCI II, in the three software styles that
 * drivers use: 0 (LANCE, 16 bits), 2 and 3 (32 bits; 3 has the address last).
 */
#include "base/bytes.h"
#include "device/net/pcnet_int.h"

enum { OWN = 0x8000, ERR = 0x4000, OFLO = 0x1000, BUFF = 0x400, STP = 0x200, ENP = 0x100 };
enum { ROUND = 64, FRAME_LEAST = 60, FCS = 4, RLEN_MAX = 9 };

struct desc {
    u64 at;
    u32 base, len;
    u16 status;
};

static struct gmem *ram(struct pcnet *p)
{
    return machine_ram(p->dev.machine);
}
static u32 style(const struct pcnet *p)
{
    return p->state.csr[CSR_STYLE] & 0xff;
}
static u32 desc_size(const struct pcnet *p)
{
    return style(p) ? 16 : 8;
}

/* Where base and status are, and what they look like. */
static bool desc_get(struct pcnet *p, u64 ring, u32 i, struct desc *d)
{
    u8 raw[16];

    d->at = ring + (u64)i * desc_size(p);
    if (gmem_read(ram(p), d->at, raw, desc_size(p))) {
        guest_error(&p->dev, "a descriptor is not in RAM");
        return false;
    }
    if (style(p)) {
        d->base = le32(raw + (style(p) == 3 ? 8 : 0));
        d->len = -(u32)le16(raw + 4) & 0xfff;
        d->status = le16(raw + 6);
    } else {
        d->base = le16(raw) | (u32)raw[2] << 16;
        d->len = -(u32)le16(raw + 4) & 0xfff;
        d->status = (u16)(raw[3] << 8);
    }
    if (!d->len)
        d->len = 4096;
    return true;
}

/* The message's length first, then the status that gives the descriptor back. */
static void desc_put(struct pcnet *p, const struct desc *d, u16 status, bool has_count, u32 count)
{
    u8 b[4];
    u8 high = (u8)(status >> 8);

    put_le32(b, count & 0xfff);
    if (!style(p)) {
        if (has_count)
            gmem_write(ram(p), d->at + 6, b, 2);
        gmem_write(ram(p), d->at + 3, &high, 1);
        return;
    }
    if (has_count)
        gmem_write(ram(p), d->at + (style(p) == 3 ? 0 : 8), b, 4);
    put_le16(b, status);
    gmem_write(ram(p), d->at + 6, b, 2);
}

/* ---- the initialisation block ---- */

static u32 ring_count(u32 bits)
{
    return 1u << (bits > RLEN_MAX ? RLEN_MAX : bits);
}

static void init_words(struct pcnet *p, const u8 *mode, const u8 *address)
{
    struct pcnet_state *s = &p->state;

    s->csr[CSR_MODE] = le16(mode);
    for (u32 i = 0; i < 3; i++)
        s->csr[CSR_PADR + i] = le16(address + 2 * i);
}

bool pcnet_init_block(struct pcnet *p)
{
    struct pcnet_state *s = &p->state;
    u64 at = s->csr[1] | (u32)s->csr[2] << 16;
    u8 b[28];
    u32 n = style(p) ? 28 : 24;
    const u8 *filter = b + (style(p) ? 12 : 8);

    if (!style(p))
        at &= 0xffffff;
    if (gmem_read(ram(p), at, b, n)) {
        guest_error(&p->dev, "the initialisation block is not in RAM");
        return false;
    }
    init_words(p, b, b + (style(p) ? 4 : 2));
    for (u32 i = 0; i < 4; i++)
        s->csr[CSR_LADRF + i] = le16(filter + 2 * i);
    if (style(p)) {
        s->rx_count = ring_count(b[2] >> 4);
        s->tx_count = ring_count(b[3] >> 4);
        s->rx_base = le32(b + 20);
        s->tx_base = le32(b + 24);
    } else {
        s->rx_count = ring_count(b[19] >> 5);
        s->tx_count = ring_count(b[23] >> 5);
        s->rx_base = le32(b + 16) & 0xffffff;
        s->tx_base = le32(b + 20) & 0xffffff;
    }
    s->rx_at = s->tx_at = 0;
    return true;
}

/* ---- out ---- */

static void send_frame(struct pcnet *p, u32 len)
{
    if (len < FRAME_LEAST) {
        memset(p->frame + len, 0, FRAME_LEAST - len);
        len = FRAME_LEAST;
    }
    if (!(p->state.csr[CSR_MODE] & MODE_LOOP))
        net_send(p->net, &(struct iovec){ p->frame, len }, 1);
}

/* One frame's descriptors; false: there is none that is whole. */
static bool send_one(struct pcnet *p)
{
    struct pcnet_state *s = &p->state;
    u32 len = 0, at = s->tx_at;
    struct desc d;
    bool bad = false;

    for (u32 n = 0; n < s->tx_count; n++, at = (at + 1) % s->tx_count) {
        if (!desc_get(p, s->tx_base, at, &d) || !(d.status & OWN))
            return false;
        if (d.len > sizeof(p->frame) - len || gmem_read(ram(p), d.base, p->frame + len, d.len))
            bad = true;
        else
            len += d.len;
        if (d.status & ENP)
            break;
    }
    if (!(d.status & ENP) || len < 14)
        bad = true;
    for (;; s->tx_at = (s->tx_at + 1) % s->tx_count) {
        desc_get(p, s->tx_base, s->tx_at, &d);
        desc_put(p, &d, (u16)((d.status & ~OWN) | (bad ? ERR : 0)), false, 0);
        if (s->tx_at == at % s->tx_count)
            break;
    }
    s->tx_at = (s->tx_at + 1) % s->tx_count;
    if (bad)
        guest_error(&p->dev, "a frame too long, too short or not in RAM");
    else
        send_frame(p, len);
    return true;
}

void pcnet_send(struct pcnet *p)
{
    u32 n = 0;

    if (!(p->state.csr[0] & CSR0_TXON) || p->state.csr[5] & CSR5_SPND || p->paused ||
        !p->state.tx_count || !pci_master(&p->dev))
        return;
    while (n < ROUND && send_one(p))
        n++;
    if (n == ROUND) /* others get their turn */
        bell_ring(p->tx_bell);
    if (n)
        pcnet_cause(p, CSR0_TINT);
}

/* ---- in ---- */

/* CRC-32 of the address, the upper six bits choose (data sheet, logical address filter). */
static bool wanted_group(const struct pcnet *p, const u8 *mac)
{
    u32 crc = 0xffffffff, bit;

    for (u32 i = 0; i < FRAME_MAC; i++)
        for (u32 k = 0; k < 8; k++) {
            bit = (crc ^ mac[i] >> k) & 1;
            crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
        }
    crc >>= 26;
    return p->state.csr[CSR_LADRF + crc / 16] >> crc % 16 & 1;
}

static bool wanted(const struct pcnet *p, const struct net_frame *f)
{
    static const u8 all[FRAME_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    u16 mode = p->state.csr[CSR_MODE];
    u8 own[FRAME_MAC];

    if (f->len < 14 || f->len > PCNET_FRAME - FCS)
        return false;
    if (mode & MODE_PROM)
        return true;
    if (!memcmp(f->p, all, FRAME_MAC))
        return !(mode & MODE_DRCVBC);
    if (f->p[0] & 1)
        return wanted_group(p, f->p);
    for (u32 i = 0; i < 3; i++)
        put_le16(own + 2 * i, p->state.csr[CSR_PADR + i]);
    return !(mode & MODE_DRCVPA) && !memcmp(f->p, own, FRAME_MAC);
}

/* Room for n bytes in descriptors that are ours? */
static bool room_for(struct pcnet *p, u32 n)
{
    struct desc d;
    u32 room = 0, at = p->state.rx_at;

    for (u32 i = 0; i < p->state.rx_count && room < n; i++) {
        if (!desc_get(p, p->state.rx_base, at, &d) || !(d.status & OWN))
            return false;
        room += d.len;
        at = (at + 1) % p->state.rx_count;
    }
    return room >= n;
}

enum pcnet_got pcnet_receive(struct pcnet *p, const struct net_frame *f)
{
    static const u8 fcs[FCS];
    struct pcnet_state *s = &p->state;
    u32 done = 0, least = f->len < FRAME_LEAST ? FRAME_LEAST : f->len, all = least + FCS;
    u8 *whole = p->frame;

    if (!(s->csr[0] & CSR0_RXON) || !pci_master(&p->dev) || !s->rx_count || !wanted(p, f))
        return PCNET_UNWANTED;
    if (s->csr[5] & CSR5_SPND || !room_for(p, all))
        return PCNET_NO_ROOM;
    memset(whole, 0, all);
    memcpy(whole, f->p, f->len);
    memcpy(whole + least, fcs, FCS);
    while (done < all) {
        u16 status = done ? 0 : STP;
        struct desc d;
        u32 n;

        desc_get(p, s->rx_base, s->rx_at, &d);
        n = all - done < d.len ? all - done : d.len;
        if (gmem_write(ram(p), d.base, whole + done, n)) {
            guest_error(&p->dev, "a receive buffer is not in RAM");
            status |= ERR | BUFF;
        }
        done += n;
        desc_put(p, &d, (u16)(status | (done == all ? ENP : 0)), done == all, all);
        s->rx_at = (s->rx_at + 1) % s->rx_count;
        if (!n)
            break;
    }
    return PCNET_TAKEN;
}
