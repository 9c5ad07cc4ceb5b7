/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rings of vmxnet3.  A descriptor belongs to the device while its generation bit is that
 * of the ring; each one is copied in once, and so is every byte of a frame to be sent.
 * Nonsense in a transmit ring stops the queue and is told by an event, after which drivers
 * reset the card; nonsense in a receive buffer costs its frame.
 */
#include "device/net/vmxnet3_int.h"
#include <errno.h>
#include <stdatomic.h>

enum { VX_ROUND = 64 };

static const struct field vx_ring_fields[] = {
    FIELD(1, struct vx_ring, base, 0, "address"),    FIELD(2, struct vx_ring, size, 0, "entries"),
    FIELD(3, struct vx_ring, next, 0, "next entry"), FIELD(4, struct vx_ring, gen, 0, "generation"),
    FIELDS(0, struct vx_ring, pad, F_LOCAL, "none"), FIELD_END,
};
const struct field vx_tx_fields[] = {
    FIELD_SUB(1, struct vx_tx, ring, 0, "descriptors", vx_ring_fields),
    FIELD_SUB(2, struct vx_tx, comp, 0, "completions", vx_ring_fields),
    FIELDS(3, struct vx_tx, stats, 0, "statistics"),
    FIELD(4, struct vx_tx, stopped, 0, "stopped by an error"),
    FIELD(5, struct vx_tx, intr, 0, "interrupt vector"),
    FIELDS(0, struct vx_tx, pad, F_LOCAL, "none"),
    FIELD_END,
};
const struct field vx_rx_fields[] = {
    FIELD_SUB(1, struct vx_rx, ring, 0, "descriptors", vx_ring_fields),
    FIELD_SUB(2, struct vx_rx, comp, 0, "completions", vx_ring_fields),
    FIELDS(3, struct vx_rx, stats, 0, "statistics"),
    FIELD(4, struct vx_rx, waiting, 0, "waits for buffers"),
    FIELD(5, struct vx_rx, intr, 0, "interrupt vector"),
    FIELDS(0, struct vx_rx, pad, F_LOCAL, "none"),
    FIELD_END,
};

static struct gmem *vx_ram(const struct vmxnet3 *c)
{
    return machine_ram(c->dev.machine);
}

static void vx_next(struct vx_ring *r)
{
    if (++r->next < r->size)
        return;
    r->next = 0;
    r->gen = !r->gen;
}

/* ---- opening ---- */

static bool vx_ring_ok(const struct vx_ring *r, u32 most)
{
    return r->size && r->size <= most && r->size % VX_RING_UNIT == 0 &&
           r->base % VX_RING_ALIGN == 0;
}

static int vx_ring_open(struct vmxnet3 *c, struct vx_ring *r, u64 base, u32 size, u32 most)
{
    struct iovec v[4];

    *r = (struct vx_ring){ .base = base, .size = size, .gen = true };
    if (!vx_ring_ok(r, most) ||
        gmem_map(vx_ram(c), base, size * VX_DESC_LEN, GMEM_WRITE, v, LEN(v)) < 0) {
        guest_error(&c->dev, "a ring of %u entries at 0x%llx", size, (unsigned long long)base);
        return -EINVAL;
    }
    return 0;
}

u64 vmxnet3_queue_at(const struct vmxnet3 *c, bool rx, u32 queue)
{
    return c->state.queues + (u64)VX_Q_LEN * ((rx ? c->state.ntx : 0) + queue);
}

static int vx_tx_open(struct vmxnet3 *c, u32 queue)
{
    struct vx_tx *t = &c->state.tx[queue];
    u8 q[VX_Q_LEN];

    *t = (struct vx_tx){ 0 };
    if (gmem_read(vx_ram(c), vmxnet3_queue_at(c, false, queue), q, sizeof(q)) ||
        q[VX_TQ_INTR] >= VX_INTR_MOST)
        return -EINVAL;
    t->intr = q[VX_TQ_INTR];
    if (vx_ring_open(c, t->ring, le64(q + VX_Q_RING), le32(q + VX_TQ_SIZE), VX_RING_MOST))
        return -EINVAL;
    return vx_ring_open(c, t->comp, le64(q + VX_Q_COMP), le32(q + VX_TQ_COMP_SIZE), VX_COMP_MOST);
}

static int vx_rx_open(struct vmxnet3 *c, u32 queue)
{
    struct vx_rx *r = &c->state.rx[queue];
    u8 q[VX_Q_LEN];

    *r = (struct vx_rx){ 0 };
    if (gmem_read(vx_ram(c), vmxnet3_queue_at(c, true, queue), q, sizeof(q)) ||
        q[VX_RQ_INTR] >= VX_INTR_MOST)
        return -EINVAL;
    r->intr = q[VX_RQ_INTR];
    if (vx_ring_open(c, &r->ring[0], le64(q + VX_Q_RING), le32(q + VX_RQ_SIZE), VX_RING_MOST))
        return -EINVAL;
    if (le32(q + VX_RQ_SIZE2) &&
        vx_ring_open(c, &r->ring[1], le64(q + VX_Q_RING2), le32(q + VX_RQ_SIZE2), VX_RING_MOST))
        return -EINVAL;
    return vx_ring_open(c, r->comp, le64(q + VX_Q_COMP), le32(q + VX_RQ_COMP_SIZE), VX_COMP_MOST);
}

int vmxnet3_rings_open(struct vmxnet3 *c)
{
    for (u32 i = 0; i < c->state.ntx; i++)
        if (vx_tx_open(c, i))
            return -EINVAL;
    for (u32 i = 0; i < c->state.nrx; i++)
        if (vx_rx_open(c, i))
            return -EINVAL;
    return 0;
}

static int vx_ring_check(const struct vx_ring *r, u32 most, struct err *e)
{
    if (!r->size && !r->next)
        return 0;
    if (!vx_ring_ok(r, most) || r->next >= r->size)
        return err_set(e, -EBADMSG, "a ring of %u entries, at entry %u", r->size, r->next);
    return 0;
}

int vmxnet3_rings_check(const struct vmxnet3 *c, struct err *e)
{
    int bad = 0;

    for (u32 i = 0; i < VX_TX_MOST && !bad; i++) {
        const struct vx_tx *t = &c->state.tx[i];

        bad = t->intr >= VX_INTR_MOST ? err_set(e, -EBADMSG, "vector %u", t->intr)
                                      : vx_ring_check(t->ring, VX_RING_MOST, e);
        if (!bad)
            bad = vx_ring_check(t->comp, VX_COMP_MOST, e);
    }
    for (u32 i = 0; i < VX_RX_MOST && !bad; i++) {
        const struct vx_rx *r = &c->state.rx[i];

        bad = r->intr >= VX_INTR_MOST ? err_set(e, -EBADMSG, "vector %u", r->intr)
                                      : vx_ring_check(&r->ring[0], VX_RING_MOST, e);
        if (!bad)
            bad = vx_ring_check(&r->ring[1], VX_RING_MOST, e);
        if (!bad)
            bad = vx_ring_check(r->comp, VX_COMP_MOST, e);
    }
    return bad;
}

/* ---- descriptors and completions ---- */

struct vx_desc {
    u64 addr;
    u32 w2, w3;
};

/* The entry at `next`, if it is ours: the driver writes the word with the bit last. */
static bool vx_desc_get(struct vmxnet3 *c, const struct vx_ring *r, bool tx, struct vx_desc *d)
{
    u64 at = r->base + (u64)r->next * VX_DESC_LEN;
    u8 b[VX_DESC_LEN];

    if (!r->size || gmem_read(vx_ram(c), at + 8, b + 8, 4))
        return false;
    if ((tx ? VX_TX_GEN(le32(b + 8)) : VX_RX_GEN(le32(b + 8))) != r->gen)
        return false;
    atomic_thread_fence(memory_order_acquire);
    if (gmem_read(vx_ram(c), at, b, 8) || gmem_read(vx_ram(c), at + 12, b + 12, 4))
        return false;
    *d = (struct vx_desc){ le64(b), le32(b + 8), le32(b + 12) };
    return true;
}

static void vx_complete(struct vmxnet3 *c, struct vx_ring *r, u32 w0, u32 w2, u32 w3)
{
    u64 at = r->base + (u64)r->next * VX_DESC_LEN;
    u8 b[VX_DESC_LEN] = { 0 };

    put_le32(b, w0);
    put_le32(b + 8, w2);
    put_le32(b + 12, w3 | VX_C_GEN(r->gen));
    if (gmem_write(vx_ram(c), at, b, 12))
        return;
    atomic_thread_fence(memory_order_release);
    gmem_write(vx_ram(c), at + 12, b + 12, 4);
    vx_next(r);
}

static void vx_count(u64 *stats, u32 unicast, const u8 *f, u32 len)
{
    u32 kind = !(f[0] & 1) ? 0 : f[0] == 0xff ? 4 : 2;

    stats[unicast + kind]++;
    stats[unicast + kind + 1] += len;
}

/* ---- transmit ---- */

static void vx_tx_stop(struct vmxnet3 *c, u32 queue, const char *why)
{
    struct vx_tx *t = &c->state.tx[queue];
    u8 b[8] = { 1 };

    guest_error(&c->dev, "transmit queue %u: %s", queue, why);
    t->stopped = true;
    t->stats[VX_TS_ERRORS]++;
    put_le32(b + 4, 1);
    gmem_write(vx_ram(c), vmxnet3_queue_at(c, false, queue) + VX_Q_STOPPED, b, sizeof(b));
    vmxnet3_event(c, VX_EVENT_TX_ERROR);
}

enum vx_gathered { VX_NONE, VX_FRAME, VX_BAD };

/* A whole frame into c->frame, behind room for a tag: first and last descriptor, its length. */
static enum vx_gathered vx_tx_gather(struct vmxnet3 *c, struct vx_ring *r, struct vx_desc *first,
                                     struct vx_desc *last, u32 *len)
{
    *len = 0;
    for (u32 n = 0; n < r->size; n++) {
        u32 size;

        if (!vx_desc_get(c, r, true, last))
            return VX_NONE;
        if (!n)
            *first = *last;
        size = VX_TX_LEN(last->w2);
        if (size > NET_FRAME_MAX - *len ||
            gmem_read(vx_ram(c), last->addr, c->frame + FRAME_VLAN + *len, size))
            return VX_BAD;
        *len += size;
        if (VX_TX_EOP(last->w3))
            return VX_FRAME;
        vx_next(r);
    }
    return VX_BAD;
}

static void vx_tx_out(void *arg, const struct iovec *v, int n)
{
    net_send(((struct vmxnet3 *)arg)->net, v, n);
}

static bool vx_tx_frame(struct vmxnet3 *c, struct vx_tx *t, const struct vx_desc *d, u32 len)
{
    u8 *f = c->frame + FRAME_VLAN;
    u32 mode = VX_TX_MODE(d->w3);

    if (len < 14)
        return false;
    if (mode == VX_MODE_CSUM && !frame_checksum(f, len, VX_TX_HEADERS(d->w3), VX_TX_OFFSET(d->w2)))
        return false;
    if (VX_TX_TAGGED(d->w3)) {
        memmove(f - FRAME_VLAN, f, 12);
        f -= FRAME_VLAN;
        put_be16(f + 12, 0x8100);
        put_be16(f + 14, (u16)VX_TX_TAG(d->w3));
        len += FRAME_VLAN;
    }
    vx_count(t->stats, VX_TS_UNICAST, f, len);
    if (mode == VX_MODE_TSO) {
        t->stats[VX_TS_TSO]++;
        t->stats[VX_TS_TSO_BYTES] += len;
        return !frame_cut(f, len, VX_TX_OFFSET(d->w2), net_large(c->net), vx_tx_out, c);
    }
    net_send(c->net, &(struct iovec){ f, len }, 1);
    return true;
}

void vmxnet3_send(struct vmxnet3 *c, u32 queue)
{
    struct vx_tx *t = &c->state.tx[queue];
    bool done = false;
    u32 n;

    for (n = 0; n < VX_ROUND && !t->stopped; n++) {
        struct vx_ring r = *t->ring; /* a frame is taken as a whole or not at all */
        struct vx_desc first, last;
        enum vx_gathered got;
        u32 len;

        got = vx_tx_gather(c, &r, &first, &last, &len);
        if (got == VX_NONE)
            break;
        if (got == VX_BAD) {
            vx_tx_stop(c, queue, "a frame too long, without end or not in RAM");
            break;
        }
        if (!vx_tx_frame(c, t, &first, len)) {
            guest_error(&c->dev, "a frame that cannot be sent as it was asked");
            t->stats[VX_TS_ERRORS]++;
        }
        if (VX_TX_ASK(last.w3)) {
            vx_complete(c, t->comp, VX_C_INDEX(r.next), 0, 0);
            done = true;
        }
        vx_next(&r);
        *t->ring = r;
    }
    if (n == VX_ROUND) /* vCPUs and frames to the guest get their turn */
        bell_ring(c->tx_bell[queue]);
    if (done)
        vmxnet3_raise(c, t->intr);
}

/* ---- receive ---- */

/* With RSS, all frames of a connection go to one queue. */
u32 vmxnet3_rx_queue(const struct vmxnet3 *c, const struct net_frame *f)
{
    struct frame_parts p;
    u32 h = 0;

    if (c->state.nrx < 2 || !(c->state.features & VX_F_RSS))
        return 0;
    p = frame_parse(f->p, f->len);
    if (!p.v4 || !p.l4)
        return 0;
    h = le32(f->p + p.ip + 12) ^ le32(f->p + p.ip + 16) ^ le16(f->p + p.l4) ^ le16(f->p + p.l4 + 2);
    h ^= h >> 16;
    return (h ^ h >> 8) % c->state.nrx;
}

void vmxnet3_ask_for_buffers(struct vmxnet3 *c, u32 queue, bool on)
{
    u8 b = on;

    c->state.rx[queue].waiting = on;
    gmem_write(vx_ram(c), vmxnet3_queue_at(c, true, queue) + VX_Q_UPDATE, &b, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

/* The next buffer for a frame: the first one from ring 1, of the kind "head". */
static bool vx_rx_buffer(struct vmxnet3 *c, struct vx_rx *q, bool head, struct vx_desc *d,
                         u32 *ring)
{
    u32 most = q->ring[0].size;

    *ring = 0;
    if (!head) {
        if (vx_desc_get(c, &q->ring[0], false, d) && VX_RX_BODY(d->w2))
            return true;
        *ring = 1;
        return vx_desc_get(c, &q->ring[1], false, d) && VX_RX_BODY(d->w2);
    }
    for (; most && vx_desc_get(c, &q->ring[0], false, d); most--) {
        if (!VX_RX_BODY(d->w2))
            return true;
        vx_next(&q->ring[0]);
    }
    return false;
}

struct vx_meta { /* what the completions say about a frame */
    u32 w0, w2, w3;
    u32 skip; /* bytes of a tag that was taken out, behind the addresses */
};

/* Revision 1 says nothing of joined frames: the driver knows them by their length. */
static struct vx_meta vx_rx_meta(const struct vmxnet3 *c, const struct frame_joined *j)
{
    const struct net_frame *f = &j->f;
    struct frame_parts p = frame_parse(f->p, f->len);
    struct vx_meta m = { .w3 = VX_C_FCS_OK | VX_C_TYPE_RX };

    m.w3 |= (p.v4 ? VX_C_V4 : 0) | (p.v6 ? VX_C_V6 : 0) | (p.fragment ? VX_C_FRAGMENT : 0);
    if (p.l4)
        m.w3 |= p.protocol == 6 ? VX_C_TCP : VX_C_UDP;
    if (c->state.features & VX_F_RX_CSUM) {
        struct frame_verdict ok =
            j->mss ? (struct frame_verdict){ true, true } : frame_verify(f->p, &p);

        m.w3 |= (ok.ip_ok ? VX_C_IP_OK : 0) | (ok.l4_ok ? VX_C_L4_OK : 0);
    }
    if (!(m.w3 & VX_C_L4_OK))
        m.w0 = VX_C_NOT_SUMMED;
    if (p.tagged && (c->state.features & VX_F_RX_VLAN)) {
        m.w2 = VX_C_TAGGED | VX_C_TAG(be16(f->p + 14));
        m.skip = FRAME_VLAN;
    }
    return m;
}

/* Bytes [off, off + n) of the frame as the driver sees it, without its tag. */
static int vx_rx_copy(struct vmxnet3 *c, const struct net_frame *f, u32 skip, u32 off, u64 to,
                      u32 n)
{
    u32 front = off < 12 && skip ? (u32)min_u64(12 - off, n) : 0;

    if (front && gmem_write(vx_ram(c), to, f->p + off, front))
        return -EFAULT;
    return gmem_write(vx_ram(c), to + front, f->p + off + front + skip, n - front);
}

enum { VX_RX_PIECES = 64 };

/* false: there are not enough buffers yet. */
bool vmxnet3_receive(struct vmxnet3 *c, const struct frame_joined *j, u32 *queue)
{
    const struct net_frame *f = &j->f;
    struct vx_rx *q, now;
    struct vx_meta m = vx_rx_meta(c, j);
    u32 len = f->len - m.skip, done = 0, n = 0;
    u32 w0[VX_RX_PIECES], size[VX_RX_PIECES];

    *queue = vmxnet3_rx_queue(c, f);
    q = &c->state.rx[*queue];
    now = *q;
    for (; done < len && n < VX_RX_PIECES; n++) {
        struct vx_desc d;
        u32 ring;

        if (!vx_rx_buffer(c, &now, !n, &d, &ring)) {
            q->stats[VX_RS_NO_BUFFER] += q->waiting;
            return false;
        }
        size[n] = (u32)min_u64(VX_RX_LEN(d.w2), len - done);
        w0[n] = VX_C_INDEX(now.ring[ring].next) | VX_C_QUEUE(*queue + (ring ? c->state.nrx : 0));
        if (vx_rx_copy(c, f, m.skip, done, d.addr, size[n]))
            m.w2 |= VX_C_ERROR;
        done += size[n];
        vx_next(&now.ring[ring]);
    }
    if (done < len) {
        q->stats[VX_RS_ERRORS]++;
        return true;
    }
    if (m.w2 & VX_C_ERROR)
        guest_error(&c->dev, "a receive buffer is not in RAM");
    for (u32 i = 0; i < n; i++)
        vx_complete(c, now.comp, w0[i] | m.w0 | (i ? 0 : VX_C_SOP) | (i + 1 < n ? 0 : VX_C_EOP),
                    VX_C_LEN(size[i]) | m.w2, m.w3);
    *q = now;
    if (j->mss) {
        q->stats[VX_RS_LRO]++;
        q->stats[VX_RS_LRO_BYTES] += len;
    }
    vx_count(q->stats, VX_RS_UNICAST, f->p, len);
    return true;
}
