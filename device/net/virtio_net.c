/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network card: a receive queue, a transmit queue, a control queue.
 * Virtual I/O Device (VIRTIO) 1.2, section 5.1.  Checksums and large IPv4 TCP segments of
 * the guest are done here; received frames are marked as verified, and joined when the driver
 * takes large ones.
 * Left out: several queue pairs, VLAN filters.
 */
#include "backend/net.h"
#include "base/bytes.h"
#include "bus/virtio.h"
#include "device/net/frame.h"
#include <errno.h>

enum { NET_RX, NET_TX, NET_CTRL, NET_ROUND = 64, NET_HDR = 12, NET_HDR_LEGACY = 10 };
#define NET_F_CSUM (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_CTRL_VQ (1ull << 17)
#define NET_F_CTRL_RX (1ull << 18)
#define NET_F_CTRL_MAC (1ull << 23)
enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2, GSO_TCP4 = 1 };

struct virtio_net {
    struct virtio v;
    struct virtio_net_config {
        char mac[18];
        bool modern;
    } config;
    struct virtio_net_state {
        struct virtio_state virtio[1];
        u8 mac[FRAME_MAC];
        u8 others[FRAME_MACS * FRAME_MAC]; /* more addresses it listens to */
        u16 nothers;
        bool promiscuous, all_multicast, no_multicast, no_unicast, no_broadcast;
        u8 pad[3];
    } state;
    struct net *net;
    u8 mac[FRAME_MAC];                 /* as described: after each reset */
    struct virtq_req req, more;        /* one request; the further ones of a merged frame */
    u8 frame[NET_FRAME_MAX + NET_HDR]; /* one that checksums go into */
    u8 joined[NET_FRAME_MAX];          /* several to the guest */
};

static u32 virtio_net_header(const struct virtio_net *c)
{
    return virtio_has(&c->v, NET_F_MRG_RXBUF) || virtio_has(&c->v, VIRTIO_F_VERSION_1)
               ? NET_HDR
               : NET_HDR_LEGACY;
}

static void virtio_net_out(void *arg, const struct iovec *v, int n)
{
    net_send(((struct virtio_net *)arg)->net, v, n);
}

/* 5.1.6.2: the header asks for work on the frame. */
static void virtio_net_send_with(struct virtio_net *c, const u8 *h, u32 len)
{
    u32 start = le16(h + 6);

    virtq_get(&c->req, virtio_net_header(c), c->frame, len);
    if (h[1]) {
        if ((h[1] & 0x7f) != GSO_TCP4 ||
            frame_cut(c->frame, len, le16(h + 4), net_large(c->net), virtio_net_out, c))
            guest_error(&c->v.dev, "a large frame that cannot be cut");
        return;
    }
    if (!frame_checksum(c->frame, len, start, start + le16(h + 8))) {
        guest_error(&c->v.dev, "a checksum beyond its frame");
        return;
    }
    net_send(c->net, &(struct iovec){ c->frame, len }, 1);
}

static void virtio_net_send_one(struct virtio_net *c)
{
    u32 hdr = virtio_net_header(c), len;
    u8 h[NET_HDR] = { 0 };
    struct iovec v[VIRTQ_PIECES];
    int n;

    if (virtq_get(&c->req, 0, h, hdr) != hdr || c->req.out_len - hdr > NET_FRAME_MAX) {
        guest_error(&c->v.dev, "a frame of %u bytes", c->req.out_len);
        return;
    }
    len = c->req.out_len - hdr;
    if (h[1] || (h[0] & HDR_NEEDS_CSUM)) {
        virtio_net_send_with(c, h, len);
        return;
    }
    n = virtq_slice(&c->req, false, hdr, len, v, VIRTQ_PIECES);
    if (n > 0)
        net_send(c->net, v, n);
}

static void virtio_net_send(struct virtio_net *c)
{
    u32 n = 0;

    for (; n < NET_ROUND && virtq_pop(&c->v, NET_TX, &c->req); n++) {
        virtio_net_send_one(c);
        virtq_push(&c->v, NET_TX, &c->req, 0);
    }
    if (n == NET_ROUND) /* vCPUs and frames to the guest get their turn */
        virtq_again(&c->v, NET_TX);
    if (n)
        virtq_notify(&c->v, NET_TX);
}

static bool virtio_net_wants(const struct virtio_net *c, const struct net_frame *f)
{
    const struct virtio_net_state *s = &c->state;
    struct frame_filter w = { .unicast = !s->no_unicast,
                              .multicast = !s->no_multicast,
                              .broadcast = !s->no_broadcast,
                              .all_multicast = s->all_multicast,
                              .all = s->promiscuous,
                              .mac = s->mac,
                              .others = s->others,
                              .nothers = s->nothers };

    return frame_wanted(&w, f->p, f->len);
}

/* 5.1.6.4.1: what the driver need not look at again, or how a joined frame could be cut. */
static void virtio_net_describe(const struct virtio_net *c, const struct frame_joined *j, u8 *h)
{
    if (j->mss) {
        h[0] = HDR_NEEDS_CSUM;
        h[1] = GSO_TCP4;
        put_le16(h + 2, (u16)j->payload);
        put_le16(h + 4, (u16)j->mss);
        put_le16(h + 6, (u16)j->l4);
        put_le16(h + 8, 16);
    } else if (virtio_has(&c->v, NET_F_GUEST_CSUM)) {
        struct frame_parts p = frame_parse(j->f.p, j->f.len);
        struct frame_verdict ok = frame_verify(j->f.p, &p);

        h[0] = ok.l4_ok && (ok.ip_ok || p.v6) ? HDR_DATA_VALID : 0;
    }
}

/* 5.1.6.4: header and frame into one request, or into several when the driver merges them. */
static bool virtio_net_receive(struct virtio_net *c, const struct frame_joined *j)
{
    const struct net_frame *f = &j->f;
    u32 hdr = virtio_net_header(c), done, used = 1;
    u8 h[NET_HDR] = { 0 };

    if (!virtq_pop(&c->v, NET_RX, &c->req))
        return false;
    virtio_net_describe(c, j, h);
    done = virtq_put(&c->req, hdr, f->p, f->len);
    while (done < f->len) {
        u32 n;

        if (c->req.in_len <= hdr || !virtio_has(&c->v, NET_F_MRG_RXBUF)) {
            guest_error(&c->v.dev, "a receive buffer of %u bytes is too small", c->req.in_len);
            break;
        }
        if (!virtq_pop(&c->v, NET_RX, &c->more)) {
            virtq_unpop(&c->v, NET_RX, used);
            return false;
        }
        n = virtq_put(&c->more, 0, f->p + done, f->len - done);
        virtq_fill(&c->v, NET_RX, &c->more, n, used++);
        done += n;
    }
    put_le16(h + 10, (u16)used);
    virtq_put(&c->req, 0, h, hdr);
    virtq_fill(&c->v, NET_RX, &c->req,
               (u32)min_u64(c->req.in_len, used > 1 ? c->req.in_len : hdr + (u64)done), 0);
    virtq_publish(&c->v, NET_RX, used);
    return true;
}

/* How many of the first frames are there now; 0: there is no room. */
static u32 virtio_net_take(struct virtio_net *c, const struct net_frame *f, u32 n)
{
    struct frame_joined j;
    u32 k = frame_join(f, virtio_has(&c->v, NET_F_GUEST_TSO4) ? n : 1, c->joined, &j);

    if (virtio_net_receive(c, &j))
        return k;
    if (k == 1 || !virtq_enabled(&c->v, NET_RX))
        return 0;
    frame_join(f, 1, c->joined, &j); /* all of the ring may be too little for many */
    return virtio_net_receive(c, &j);
}

static u32 virtio_net_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct virtio_net *c = arg;
    bool some = false;
    u32 took = 0, k;

    domain_lock(c->v.dev.domain);
    if (c->v.paused) {
        domain_unlock(c->v.dev.domain);
        return 0;
    }
    for (; took < n; took += k) {
        k = 1;
        if (!virtq_enabled(&c->v, NET_RX) || !virtio_net_wants(c, &f[took]))
            continue; /* nobody listens: gone, as on a wire */
        k = virtio_net_take(c, f + took, n - took);
        if (!k && virtq_enabled(&c->v, NET_RX))
            break;
        k = k ? k : 1;
        some = true;
    }
    if (some && virtq_enabled(&c->v, NET_RX))
        virtq_notify(&c->v, NET_RX);
    domain_unlock(c->v.dev.domain);
    return took;
}

static void virtio_net_link_show(struct virtio_net *c)
{
    put_le16(c->v.config + 6, net_link(c->net));
}

static void virtio_net_link(void *arg)
{
    struct virtio_net *c = arg;

    domain_lock(c->v.dev.domain);
    virtio_net_link_show(c);
    virtio_config_changed(&c->v);
    domain_unlock(c->v.dev.domain);
}

/* 5.1.6.5.1: what to listen to. */
static bool virtio_net_mode(struct virtio_net *c, u8 command)
{
    bool *const what[] = {
        &c->state.promiscuous,  &c->state.all_multicast, NULL,
        &c->state.no_multicast, &c->state.no_unicast,    &c->state.no_broadcast
    };
    u8 on;

    if (virtq_get(&c->req, 2, &on, 1) != 1 || command >= LEN(what))
        return false;
    if (what[command])
        *what[command] = on;
    else /* all unicast */
        c->state.promiscuous |= on;
    return true;
}

/* 5.1.6.5.2: two tables, unicast then multicast, each a count and addresses. */
static bool virtio_net_table(struct virtio_net *c)
{
    u32 at = 2;

    c->state.nothers = 0;
    for (int t = 0; t < 2; t++) {
        u8 b[4];
        u32 n;

        if (virtq_get(&c->req, at, b, 4) != 4)
            return false;
        at += 4;
        n = le32(b);
        if (n > (c->req.out_len - at) / FRAME_MAC)
            return false;
        if (n > FRAME_MACS - (u32)c->state.nothers) { /* too many: listen to all of that kind */
            *(t ? &c->state.all_multicast : &c->state.promiscuous) = true;
        } else {
            virtq_get(&c->req, at, c->state.others + c->state.nothers * FRAME_MAC, n * FRAME_MAC);
            c->state.nothers = (u16)(c->state.nothers + n);
        }
        at += n * FRAME_MAC;
    }
    return true;
}

static bool virtio_net_command(struct virtio_net *c)
{
    u8 cmd[2];

    if (virtq_get(&c->req, 0, cmd, 2) != 2)
        return false;
    if (cmd[0] == 0)
        return virtio_net_mode(c, cmd[1]);
    if (cmd[0] == 1 && cmd[1] == 0)
        return virtio_net_table(c);
    if (cmd[0] == 1 && cmd[1] == 1 && c->req.out_len == 2 + FRAME_MAC) {
        virtq_get(&c->req, 2, c->state.mac, FRAME_MAC);
        memcpy(c->v.config, c->state.mac, FRAME_MAC);
        return true;
    }
    return false;
}

static void virtio_net_control(struct virtio_net *c)
{
    for (u32 n = 0; n < NET_ROUND && virtq_pop(&c->v, NET_CTRL, &c->req); n++) {
        u8 bad = !virtio_net_command(c);

        virtq_push(&c->v, NET_CTRL, &c->req, virtq_put(&c->req, 0, &bad, 1));
        virtq_notify(&c->v, NET_CTRL);
    }
}

static void virtio_net_queue(struct virtio *v, u32 q)
{
    struct virtio_net *c = (struct virtio_net *)v;

    if (q == NET_RX)
        net_more(c->net);
    else if (q == NET_TX)
        virtio_net_send(c);
    else
        virtio_net_control(c);
}

static void virtio_net_forget(struct virtio *v)
{
    struct virtio_net *c = (struct virtio_net *)v;
    struct virtio_net_state *s = &c->state;

    memset(s->others, 0, sizeof(s->others));
    s->nothers = 0;
    s->promiscuous = s->all_multicast = s->no_multicast = s->no_unicast = s->no_broadcast = false;
    memcpy(s->mac, c->mac, FRAME_MAC);
    memcpy(v->config, c->mac, FRAME_MAC);
    virtio_net_link_show(c);
}

static const struct virtio_class virtio_net_class = {
    .type = 1,
    .legacy_id = 0x1000,
    .pci_class = 0x020000,
    .queues = 3,
    .size = { 256, 256, 64 },
    .config_len = 8,
    .queue = virtio_net_queue,
    .reset = virtio_net_forget,
};

static int virtio_net_create(struct device *d, struct err *e)
{
    static const struct net_guest calls = { virtio_net_deliver, virtio_net_link };
    struct virtio_net *c = (struct virtio_net *)d;
    int r = frame_mac_parse(c->mac, c->config.mac, e);

    if (!r)
        r = virtio_plug(&c->v, &virtio_net_class, c->state.virtio,
                        NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MAC | NET_F_GUEST_TSO4 |
                            NET_F_HOST_TSO4 | NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ |
                            NET_F_CTRL_RX | NET_F_CTRL_MAC,
                        c->config.modern, e);
    if (r)
        return r;
    c->net = device_end(d, "net");
    net_attach(c->net, &calls, c);
    return 0;
}

static void virtio_net_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
}

static void virtio_net_pause(struct device *d)
{
    virtio_pause((struct virtio *)d);
}

static void virtio_net_resume(struct device *d)
{
    struct virtio_net *c = (struct virtio_net *)d;

    memcpy(c->v.config, c->state.mac, FRAME_MAC);
    virtio_resume(&c->v);
}

static int virtio_net_check(const struct device *d, struct err *e)
{
    const struct virtio_net *c = (const struct virtio_net *)d;

    if (c->state.nothers > FRAME_MACS)
        return err_set(e, -EBADMSG, "%u addresses in a table of %d", c->state.nothers, FRAME_MACS);
    return virtio_check(&c->v, e);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct virtio_net_config, mac, 0, "MAC address"),
    FIELD(2, struct virtio_net_config, modern, 0, "without the legacy interface"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_net_state, virtio, 0, "transport", virtio_fields),
    FIELDS(2, struct virtio_net_state, mac, 0, "MAC address"),
    FIELDS(3, struct virtio_net_state, others, 0, "more addresses it listens to"),
    FIELD(4, struct virtio_net_state, nothers, 0, "how many of those"),
    FIELD(5, struct virtio_net_state, promiscuous, 0, "takes all frames"),
    FIELD(6, struct virtio_net_state, all_multicast, 0, "takes all multicast frames"),
    FIELD(7, struct virtio_net_state, no_multicast, 0, "takes no multicast frames"),
    FIELD(8, struct virtio_net_state, no_unicast, 0, "takes no frames to itself"),
    FIELD(9, struct virtio_net_state, no_broadcast, 0, "takes no broadcast frames"),
    FIELDS(0, struct virtio_net_state, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_virtio_net = {
    .name = "virtio_net",
    .about = "virtio network card",
    .size = sizeof(struct virtio_net),
    .config_at = offsetof(struct virtio_net, config),
    .config = config,
    .config_default = &(const struct virtio_net_config){ .mac = "52:54:00:12:34:56" },
    .config_size = sizeof(struct virtio_net_config),
    .state_at = offsetof(struct virtio_net, state),
    .state_size = sizeof(struct virtio_net_state),
    .state = state,
    .create = virtio_net_create,
    .reset = virtio_net_reset,
    .pause = virtio_net_pause,
    .resume = virtio_net_resume,
    .check = virtio_net_check,
};
