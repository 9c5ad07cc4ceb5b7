/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of the 82540EM: frames gathered, checksums and TCP segments made on the way out;
 * filtered, verified and spread over buffers on the way in.  SDM sections 3.2 to 3.5.
 */
#include "base/bytes.h"
#include "device/net/e1000_int.h"

enum { ROUND = 256, FRAME_LEAST = 60, FRAME_USUAL = 1518 };
enum { TX_EOP = 1, TX_IC = 4, TX_TSE = 4, TX_RS = 8, TX_DEXT = 32, TX_VLE = 64 };
enum { TX_DATA = 1, TX_DD = 1, POPTS_IXSM = 1, POPTS_TXSM = 2 };
enum { RX_DD = 1, RX_EOP = 2, RX_IXSM = 4, RX_VP = 8, RX_TCPCS = 0x20, RX_IPCS = 0x40 };

struct tx_desc {
    u8 raw[E1000_DESC];
    u64 addr;
    u32 len;
    u8 cmd;
    bool extended;
};

static struct gmem *ram(struct e1000 *c)
{
    return machine_ram(c->dev.machine);
}
static u32 ring_size(const struct e1000_ring *r)
{
    return r->len / E1000_DESC;
}
static u64 ring_at(const struct e1000_ring *r, u32 i)
{
    return r->base + (u64)i * E1000_DESC;
}
static void ring_next(struct e1000_ring *r)
{
    r->head = r->head + 1 >= ring_size(r) ? 0 : r->head + 1;
}

/* ---- transmit ---- */

static bool tx_desc_get(struct e1000 *c, const struct e1000_ring *r, struct tx_desc *d)
{
    if (gmem_read(ram(c), ring_at(r, r->head), d->raw, sizeof(d->raw))) {
        guest_error(&c->dev, "a transmit descriptor is not in RAM");
        return false;
    }
    d->addr = le64(d->raw);
    d->cmd = d->raw[11];
    d->extended = d->cmd & TX_DEXT;
    d->len = d->extended ? le32(d->raw + 8) & 0xfffff : le16(d->raw + 8);
    return true;
}

static void tx_done(struct e1000 *c, const struct e1000_ring *r, struct tx_desc *d)
{
    if (!(d->cmd & TX_RS))
        return;
    d->raw[12] |= TX_DD;
    gmem_write(ram(c), ring_at(r, r->head) + 12, d->raw + 12, 1);
}

static void tx_out(void *arg, const struct iovec *v, int n)
{
    net_send(((struct e1000 *)arg)->net, v, n);
}

/* The checksum from start to the end that the context says, 0: the frame's. */
static bool tx_checksum(u8 *f, u32 len, u32 context)
{
    u32 end = context >> 16 ? (context >> 16) + 1 : len;

    return frame_checksum(f, end < len ? end : len, context & 0xff, context >> 8 & 0xff);
}

/* first: the descriptor that says what is to be done with the frame. */
static bool tx_offload(struct e1000 *c, const struct tx_desc *first, u8 *f, u32 len)
{
    const u32 *context = c->state.context;
    u8 popts = first->raw[13];

    if (!first->extended)
        return !(first->cmd & TX_IC) || frame_checksum(f, len, first->raw[13], first->raw[10]);
    if (popts & POPTS_IXSM && !tx_checksum(f, len, context[0]))
        return false;
    return !(popts & POPTS_TXSM) || tx_checksum(f, len, context[1]);
}

/* Drivers leave the length of the IP packet out, which is different in each segment. */
static void tx_length(const u32 *context, u8 *f, u32 len)
{
    u32 ip = context[0] & 0xff;

    if (ip + 40 > len)
        return;
    if (f[ip] >> 4 == 4)
        put_be16(f + ip + 2, (u16)min_u64(len - ip, 0xffff));
    else
        put_be16(f + ip + 4, (u16)min_u64(len - ip - 40, 0xffff));
}

static void tx_frame(struct e1000 *c, const struct tx_desc *first, const struct tx_desc *last,
                     u32 len)
{
    u8 *f = c->frame + FRAME_VLAN;
    bool cut = first->extended && first->cmd & TX_TSE, ok = len >= 14;

    if (ok && !cut)
        ok = tx_offload(c, first, f, len);
    if (ok && last->cmd & TX_VLE && c->state.ctrl & CTRL_VME) {
        memmove(f - FRAME_VLAN, f, 12);
        f -= FRAME_VLAN;
        put_be16(f + 12, 0x8100);
        put_be16(f + 14, le16(last->raw + 14));
        len += FRAME_VLAN;
    }
    if (ok && cut) {
        u32 mss = c->state.context[3] >> 16;

        tx_length(c->state.context, f, len);
        ok = mss && !frame_cut(f, len, mss, net_large(c->net), tx_out, c);
    } else if (ok) {
        if (len < FRAME_LEAST) {
            memset(f + len, 0, FRAME_LEAST - len);
            len = FRAME_LEAST;
        }
        net_send(c->net, &(struct iovec){ f, len }, 1);
    }
    if (!ok)
        guest_error(&c->dev, "a frame that cannot be sent as it was asked");
}

/* Descriptors up to the end of a frame; false: the ring ends, or makes no sense. */
static bool tx_take(struct e1000 *c)
{
    struct e1000_ring *r = c->state.tx;
    struct tx_desc d, first = { .extended = false };
    u32 len = 0, had = 0;

    while (r->head != r->tail) {
        if (!tx_desc_get(c, r, &d))
            return false;
        if (d.extended && (d.raw[10] >> 4) != TX_DATA) {
            for (u32 i = 0; i < 4; i++)
                c->state.context[i] = le32(d.raw + 4 * i);
        } else {
            if (!had++)
                first = d;
            if (d.len > NET_FRAME_MAX - len ||
                gmem_read(ram(c), d.addr, c->frame + FRAME_VLAN + len, d.len)) {
                guest_error(&c->dev, "a frame too long or not in RAM");
                len = 0;
            } else {
                len += d.len;
            }
        }
        tx_done(c, r, &d);
        ring_next(r);
        if (had && d.cmd & TX_EOP && !(d.extended && (d.raw[10] >> 4) != TX_DATA)) {
            tx_frame(c, &first, &d, len);
            return true;
        }
    }
    return false;
}

void e1000_send(struct e1000 *c)
{
    struct e1000_ring *r = c->state.tx;
    u32 n, was = r->head;

    if (!(c->state.tctl & TCTL_EN) || c->paused || !pci_master(&c->dev) ||
        r->head >= ring_size(r) || r->tail >= ring_size(r))
        return;
    for (n = 0; n < ROUND && tx_take(c); n++)
        continue;
    if (n == ROUND) /* vCPUs and frames to the guest get their turn */
        bell_ring(c->tx_bell);
    if (r->head != was)
        e1000_interrupt(c, ICR_TXDW | (r->head == r->tail ? (u32)ICR_TXQE : 0));
}

/* ---- receive ---- */

static u32 rx_buffer(const struct e1000 *c)
{
    static const u32 size[] = { 2048, 1024, 512, 256 };
    u32 n = size[c->state.rctl >> 16 & 3];

    return c->state.rctl & RCTL_BSEX ? n == 2048 ? n : n * 16 : n;
}

static u32 rx_room(const struct e1000_ring *r)
{
    u32 n = ring_size(r);

    if (r->head >= n || r->tail >= n)
        return 0;
    return r->tail >= r->head ? r->tail - r->head : n - r->head + r->tail;
}

static bool rx_multicast(const struct e1000 *c, const u8 *f)
{
    static const u8 shift[] = { 4, 3, 2, 0 };
    u32 hash = (f[5] << 8 | f[4]) >> shift[c->state.rctl >> 12 & 3] & 0xfff;

    return c->state.mta[hash / 32] >> hash % 32 & 1;
}

bool e1000_wants(const struct e1000 *c, const struct net_frame *f)
{
    const struct e1000_state *s = &c->state;
    struct frame_filter w = { .unicast = true,
                              .broadcast = s->rctl & RCTL_BAM,
                              .all_multicast = s->rctl & RCTL_MPE,
                              .all = s->rctl & RCTL_UPE && s->rctl & RCTL_MPE };
    u8 macs[E1000_RA][FRAME_MAC];

    if (!(s->rctl & RCTL_EN) || f->len < 14 || (f->len > FRAME_USUAL && !(s->rctl & RCTL_LPE)))
        return false;
    for (u32 i = 0; i < E1000_RA; i++) {
        if (!(s->ra[2 * i + 1] >> 31))
            continue;
        put_le32(macs[w.nothers], s->ra[2 * i]);
        put_le16(macs[w.nothers] + 4, (u16)s->ra[2 * i + 1]);
        w.nothers++;
    }
    w.others = macs[0];
    w.mac = w.nothers ? macs[0] : c->mac;
    w.unicast = w.nothers || s->rctl & RCTL_UPE;
    if (!frame_wanted(&w, f->p, f->len) && !(s->rctl & RCTL_UPE && !(f->p[0] & 1)) &&
        !(f->p[0] & 1 && rx_multicast(c, f->p)))
        return false;
    if (s->rctl & RCTL_VFE && f->len >= 18 && be16(f->p + 12) == 0x8100) {
        u16 tag = be16(f->p + 14) & 0xfff;

        return s->vfta[tag / 32] >> tag % 32 & 1;
    }
    return true;
}

static u8 rx_status(const struct e1000 *c, const struct net_frame *f)
{
    struct frame_parts p = frame_parse(f->p, f->len);
    struct frame_verdict ok = frame_verify(f->p, &p);
    u8 status = 0;

    if (c->state.rxcsum & RXCSUM_IPOFL && ok.ip_ok)
        status |= RX_IPCS;
    if (c->state.rxcsum & RXCSUM_TUOFL && ok.l4_ok)
        status |= RX_TCPCS;
    return status ? status : RX_IXSM;
}

/* A frame as the guest finds it: without its VLAN tag, with a check sum at its end. */
struct rx_frame {
    const u8 *p;
    u32 len, cut; /* cut: where a tag of four bytes is left out; 0: nowhere */
    u16 special;
    u8 status;
};

static int rx_copy(struct e1000 *c, const struct rx_frame *f, u32 at, u64 to, u32 n)
{
    static const u8 fcs[E1000_FCS];
    u32 body = f->len - (f->cut ? FRAME_VLAN : 0);

    while (n) {
        bool head = f->cut && at < f->cut;
        u32 part = n, end = head ? f->cut : body;
        int rc;

        if (at < body) {
            part = part < end - at ? part : end - at;
            rc = gmem_write(ram(c), to, f->p + at + (f->cut && !head ? FRAME_VLAN : 0), part);
        } else {
            rc = gmem_write(ram(c), to, fcs + (at - body), part);
        }
        if (rc)
            return rc;
        at += part;
        to += part;
        n -= part;
    }
    return 0;
}

/* As the SDM has them (3.2.3), or the 82574's extended ones (7.1.5), where no hash is told. */
static void rx_desc_write(struct e1000 *c, u64 at, u8 status, u32 n, u16 special)
{
    u8 raw[E1000_DESC] = { 0 };

    if (c->state.rfctl & RFCTL_EXTEN) {
        raw[8] = status;
        put_le16(raw + 12, (u16)n);
        put_le16(raw + 14, special);
        gmem_write(ram(c), at, raw, sizeof(raw));
        return;
    }
    put_le16(raw, (u16)n);
    raw[4] = status;
    put_le16(raw + 6, special);
    gmem_write(ram(c), at + 8, raw, 8);
}

static void rx_desc(struct e1000 *c, struct e1000_ring *r, const struct rx_frame *f, u32 at, u32 n,
                    bool last)
{
    u8 raw[E1000_DESC];

    if (gmem_read(ram(c), ring_at(r, r->head), raw, 8)) {
        guest_error(&c->dev, "a receive descriptor is not in RAM");
        return;
    }
    if (le64(raw) && rx_copy(c, f, at, le64(raw), n))
        guest_error(&c->dev, "a receive buffer is not in RAM");
    rx_desc_write(c, ring_at(r, r->head), (u8)(RX_DD | (last ? RX_EOP | f->status : 0)), n,
                  last ? f->special : 0);
}

bool e1000_receive(struct e1000 *c, const struct net_frame *in)
{
    struct e1000_ring *r = c->state.rx;
    struct rx_frame f = { .p = in->p, .len = in->len, .status = rx_status(c, in) };
    u32 size = rx_buffer(c), all, at = 0, room = rx_room(r);

    if (c->state.ctrl & CTRL_VME && in->len >= 18 && be16(in->p + 12) == 0x8100) {
        f.cut = 12;
        f.special = be16(in->p + 14);
        f.status |= RX_VP;
    }
    all = f.len - (f.cut ? FRAME_VLAN : 0) + (c->state.rctl & RCTL_SECRC ? 0 : E1000_FCS);
    if ((all + size - 1) / size > room) {
        e1000_interrupt(c, ICR_RXO);
        return false;
    }
    while (at < all) {
        u32 n = all - at < size ? all - at : size;

        rx_desc(c, r, &f, at, n, at + n == all);
        at += n;
        ring_next(r);
    }
    if (rx_room(r) < ring_size(r) >> (1 + (c->state.rctl >> 8 & 3)))
        e1000_interrupt(c, ICR_RXDMT0);
    return true;
}
