/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's vmxnet3 network card: registers, commands, interrupts, filters.  Revision 1, as
 * every driver takes it.  The rings are in vmxnet3_ring.c, all numbers in vmxnet3_wire.h.
 * Left out: wake-up patterns, interrupt moderation, the Toeplitz hash (connections are spread
 * by a simpler one).
 */
#include "device/net/vmxnet3_int.h"
#include <errno.h>

enum {
    VX_VENDOR = 0x15ad,
    VX_DEVICE = 0x07b0,
    VX_SPEED = 10000, /* Mb/s */
    VX_FAILED = 1,
};

static struct gmem *vmxnet3_ram(const struct vmxnet3 *c)
{
    return machine_ram(c->dev.machine);
}

/* ---- interrupts ---- */

/* A pending vector fires when it is not masked; it masks itself when the driver wants so. */
static void vmxnet3_fire(struct vmxnet3 *c, u8 v)
{
    struct vmxnet3_state *s = &c->state;

    if (!s->pending[v] || s->masked[v] || !s->active)
        return;
    s->pending[v] = false;
    s->masked[v] = s->auto_mask;
    if (pci_msix(&c->dev)) {
        pci_raise(&c->dev, v);
    } else if (pci_message(&c->dev)) {
        pci_raise(&c->dev, 0);
    } else {
        s->intx = true; /* until the driver reads the cause */
        pci_level(&c->dev, true);
    }
}

void vmxnet3_raise(struct vmxnet3 *c, u8 v)
{
    c->state.pending[v] = true;
    vmxnet3_fire(c, v);
}

static void vmxnet3_events_show(struct vmxnet3 *c)
{
    u8 b[4];

    put_le32(b, c->state.events);
    gmem_write(vmxnet3_ram(c), c->state.shared + VX_S_EVENT, b, sizeof(b));
}

void vmxnet3_event(struct vmxnet3 *c, u32 event)
{
    if (!c->state.active)
        return;
    c->state.events |= event;
    vmxnet3_events_show(c);
    vmxnet3_raise(c, c->state.event_intr);
}

static u32 vmxnet3_cause_take(struct vmxnet3 *c)
{
    bool was = c->state.intx;

    c->state.intx = false;
    pci_level(&c->dev, false);
    return was;
}

/* ---- commands ---- */

static void vmxnet3_quiesce(struct vmxnet3 *c)
{
    c->state.active = false;
    memset(c->state.pending, 0, sizeof(c->state.pending));
    vmxnet3_cause_take(c);
}

/* What a reset by the driver leaves: the addresses that it set. */
static void vmxnet3_clear(struct vmxnet3 *c)
{
    struct vmxnet3_state *s = &c->state;
    u8 mac[FRAME_MAC];

    vmxnet3_quiesce(c);
    memcpy(mac, s->mac, sizeof(mac));
    *s = (struct vmxnet3_state){ .shared_low = s->shared_low, .shared_high = s->shared_high };
    memcpy(s->mac, mac, sizeof(mac));
    memset(s->masked, true, sizeof(s->masked));
}

static u32 vmxnet3_shared(const struct vmxnet3 *c, u32 off, u8 *to, u32 n)
{
    return !gmem_read(vmxnet3_ram(c), c->state.shared + off, to, n);
}

static void vmxnet3_rx_mode(struct vmxnet3 *c)
{
    u8 b[4];

    if (vmxnet3_shared(c, VX_S_RX_MODE, b, 4))
        c->state.rx_mode = le32(b);
}

static void vmxnet3_mac_filters(struct vmxnet3 *c)
{
    struct vmxnet3_state *s = &c->state;
    u8 b[16];
    u32 n;

    s->nothers = 0;
    if (!vmxnet3_shared(c, VX_S_MAC_LEN, b, 12))
        return;
    n = le16(b) / FRAME_MAC;
    if (n > FRAME_MACS) { /* more than fit: the driver filters the rest */
        s->rx_mode |= VX_MODE_ALL_MULTI;
        return;
    }
    if (n && gmem_read(vmxnet3_ram(c), le64(b + 4), s->others, n * FRAME_MAC)) {
        guest_error(&c->dev, "the table of addresses is not in RAM");
        return;
    }
    s->nothers = (u8)n;
}

static void vmxnet3_vlan_filters(struct vmxnet3 *c)
{
    u8 b[sizeof(c->state.vlans)];

    if (!vmxnet3_shared(c, VX_S_VLAN_TABLE, b, sizeof(b)))
        return;
    for (u32 i = 0; i < LEN(c->state.vlans); i++)
        c->state.vlans[i] = le32(b + 4 * i);
}

static void vmxnet3_features(struct vmxnet3 *c)
{
    u8 b[4];

    if (vmxnet3_shared(c, VX_S_FEATURES, b, 4))
        c->state.features = le32(b);
}

static u32 vmxnet3_activate(struct vmxnet3 *c)
{
    struct vmxnet3_state *s = &c->state;
    u8 b[VX_S_LEN];

    if (s->active)
        vmxnet3_quiesce(c);
    s->shared = (u64)s->shared_high << 32 | s->shared_low;
    if (!pci_master(&c->dev) || !vmxnet3_shared(c, 0, b, sizeof(b)) ||
        le32(b + VX_S_MAGIC) != VX_MAGIC) {
        guest_error(&c->dev, "no shared area at 0x%llx", (unsigned long long)s->shared);
        return VX_FAILED;
    }
    s->queues = le64(b + VX_S_QUEUES);
    s->ntx = b[VX_S_TX_COUNT];
    s->nrx = b[VX_S_RX_COUNT];
    s->auto_mask = b[VX_S_AUTO_MASK];
    s->event_intr = b[VX_S_EVENT_INTR];
    if (!s->ntx || s->ntx > VX_TX_MOST || !s->nrx || s->nrx > VX_RX_MOST ||
        s->event_intr >= VX_INTR_MOST ||
        le32(b + VX_S_QUEUES_LEN) < VX_Q_LEN * ((u32)s->ntx + s->nrx)) {
        guest_error(&c->dev, "%u transmit and %u receive queues, event vector %u", s->ntx, s->nrx,
                    s->event_intr);
        s->ntx = s->nrx = s->event_intr = 0;
        return VX_FAILED;
    }
    s->events = 0;
    vmxnet3_features(c);
    vmxnet3_rx_mode(c);
    vmxnet3_mac_filters(c);
    vmxnet3_vlan_filters(c);
    if (vmxnet3_rings_open(c))
        return VX_FAILED;
    s->active = true;
    vmxnet3_events_show(c);
    return 0;
}

static void vmxnet3_stats(struct vmxnet3 *c)
{
    u8 b[8 * VX_STATS];

    if (!c->state.active)
        return;
    for (u32 i = 0; i < (u32)c->state.ntx + c->state.nrx; i++) {
        bool rx = i >= c->state.ntx;
        u32 queue = rx ? i - c->state.ntx : i;
        const u64 *stats = rx ? c->state.rx[queue].stats : c->state.tx[queue].stats;

        for (u32 k = 0; k < VX_STATS; k++)
            put_le64(b + 8 * k, stats[k]);
        gmem_write(vmxnet3_ram(c), vmxnet3_queue_at(c, rx, queue) + VX_Q_STATS, b, sizeof(b));
    }
}

static void vmxnet3_queue_status(struct vmxnet3 *c)
{
    for (u32 i = 0; c->state.active && i < (u32)c->state.ntx + c->state.nrx; i++) {
        bool rx = i >= c->state.ntx;
        u32 queue = rx ? i - c->state.ntx : i;
        bool stopped = !rx && c->state.tx[queue].stopped;
        u8 b[8] = { stopped, 0, 0, 0, stopped };

        gmem_write(vmxnet3_ram(c), vmxnet3_queue_at(c, rx, queue) + VX_Q_STOPPED, b, sizeof(b));
    }
}

static u32 vmxnet3_set(struct vmxnet3 *c, u32 command)
{
    bool active = c->state.active;

    switch ((int)command) {
    case VX_SET_ACTIVATE:
        return vmxnet3_activate(c);
    case VX_SET_QUIESCE:
        vmxnet3_quiesce(c);
        break;
    case VX_SET_RESET:
        vmxnet3_clear(c);
        break;
    case VX_SET_RX_MODE:
        if (active)
            vmxnet3_rx_mode(c);
        break;
    case VX_SET_MAC_FILTERS:
        if (active)
            vmxnet3_mac_filters(c);
        break;
    case VX_SET_VLAN_FILTERS:
        if (active)
            vmxnet3_vlan_filters(c);
        break;
    case VX_SET_FEATURES:
        if (active)
            vmxnet3_features(c);
        break;
    }
    return 0;
}

static u32 vmxnet3_get(struct vmxnet3 *c, u32 command)
{
    switch ((int)command) {
    case VX_GET_QUEUE_STATUS:
        vmxnet3_queue_status(c);
        return 0;
    case VX_GET_STATS:
        vmxnet3_stats(c);
        return 0;
    case VX_GET_LINK:
        return net_link(c->net) ? VX_SPEED << 16 | 1 : 0;
    case VX_GET_MAC_LOW:
        return le32(c->mac);
    case VX_GET_MAC_HIGH:
        return le16(c->mac + 4);
    case VX_GET_ID_LOW:
        return VX_DEVICE;
    case VX_GET_ID_HIGH:
        return 1;
    case VX_GET_INTR:
        return c->config.intr; /* bits 3:2 0: vectors mask themselves */
    case VX_GET_TX_DATA_LEN:
        return 128;
    }
    return 0;
}

/* ---- registers ---- */

static u64 vmxnet3_data_load(struct device *d, u32 off, u32 size)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    (void)size;
    return off / 8 < VX_INTR_MOST && off % 8 == 0 ? c->state.masked[off / 8] : 0;
}

static void vmxnet3_data_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;
    u32 i = (off & 0x1ff) / 8;

    (void)size;
    if (off / 8 < VX_INTR_MOST && off % 8 == 0) {
        c->state.masked[off / 8] = val & 1;
        vmxnet3_fire(c, (u8)(off / 8));
    } else if (off >= VX_TX_PROD && off < VX_RX_PROD) {
        if (i < c->state.ntx)
            bell_ring(c->tx_bell[i]);
    } else if (off >= VX_RX_PROD && off < VX_RX_PROD2 + 0x200) {
        if (i < c->state.nrx && c->state.rx[i].waiting)
            bell_ring(c->rx_bell);
    }
}

static u64 vmxnet3_control_load(struct device *d, u32 off, u32 size)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    (void)size;
    switch (off) {
    case VX_REVISION:
    case VX_UPT:
        return 1;
    case VX_SHARED_LOW:
        return c->state.shared_low;
    case VX_SHARED_HIGH:
        return c->state.shared_high;
    case VX_COMMAND:
        return c->state.result;
    case VX_MAC_LOW:
        return le32(c->state.mac);
    case VX_MAC_HIGH:
        return le16(c->state.mac + 4);
    case VX_CAUSE:
        return vmxnet3_cause_take(c);
    case VX_EVENT:
        return c->state.events;
    }
    return 0;
}

static void vmxnet3_control_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;
    u32 v = (u32)val;

    (void)size;
    switch (off) {
    case VX_SHARED_LOW:
        c->state.shared_low = v;
        break;
    case VX_SHARED_HIGH:
        c->state.shared_high = v;
        break;
    case VX_COMMAND:
        c->state.result = v >> 16 == 0xcafe ? vmxnet3_set(c, v) : vmxnet3_get(c, v);
        break;
    case VX_MAC_LOW:
        c->state.mac_low = v;
        break;
    case VX_MAC_HIGH:
        put_le32(c->state.mac, c->state.mac_low);
        put_le16(c->state.mac + 4, (u16)v);
        break;
    case VX_EVENT:
        c->state.events &= ~v;
        if (c->state.active)
            vmxnet3_events_show(c);
        break;
    }
}

/* ---- the lane ---- */

static bool vmxnet3_runs(const struct vmxnet3 *c)
{
    return c->state.active && !c->paused && pci_master(&c->dev);
}

static void vmxnet3_tx_bell(struct device *d, u32 queue)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    if (vmxnet3_runs(c) && queue < c->state.ntx)
        vmxnet3_send(c, queue);
}

static void vmxnet3_rx_bell(struct device *d, u32 index)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    (void)index;
    for (u32 i = 0; vmxnet3_runs(c) && i < c->state.nrx; i++)
        if (c->state.rx[i].waiting)
            vmxnet3_ask_for_buffers(c, i, false);
    net_more(c->net);
}

static bool vmxnet3_wants(const struct vmxnet3 *c, const struct net_frame *f)
{
    const struct vmxnet3_state *s = &c->state;
    struct frame_filter w = { .unicast = s->rx_mode & VX_MODE_UNICAST,
                              .multicast = s->rx_mode & VX_MODE_MULTICAST,
                              .broadcast = s->rx_mode & VX_MODE_BROADCAST,
                              .all_multicast = s->rx_mode & VX_MODE_ALL_MULTI,
                              .all = s->rx_mode & VX_MODE_PROMISCUOUS,
                              .mac = s->mac,
                              .others = s->others,
                              .nothers = s->nothers };

    if (!frame_wanted(&w, f->p, f->len))
        return false;
    if (f->len >= 18 && be16(f->p + 12) == 0x8100 && !w.all) {
        u16 tag = be16(f->p + 14) & 0xfff;

        return s->vlans[tag / 32] >> tag % 32 & 1;
    }
    return true;
}

/* How many of the first frames are there now, as one; 0: there are no buffers. */
static u32 vmxnet3_take(struct vmxnet3 *c, const struct net_frame *f, u32 n, u32 *queue)
{
    struct frame_joined j;
    u32 k = frame_join(f, c->state.features & VX_F_LRO ? n : 1, c->joined, &j);

    if (j.mss)
        frame_checksum(c->joined, j.f.len, j.l4, j.l4 + 16);
    if (vmxnet3_receive(c, &j, queue))
        return k;
    if (k == 1)
        return 0;
    frame_join(f, 1, c->joined, &j); /* all buffers may be too few for many */
    return vmxnet3_receive(c, &j, queue);
}

/* No buffers: the driver is asked to tell of new ones, and may have just added some. */
static u32 vmxnet3_take_or_ask(struct vmxnet3 *c, const struct net_frame *f, u32 n, u32 *queue)
{
    u32 k = vmxnet3_take(c, f, n, queue);

    if (k)
        return k;
    vmxnet3_ask_for_buffers(c, *queue, true);
    k = vmxnet3_take(c, f, n, queue);
    if (k)
        vmxnet3_ask_for_buffers(c, *queue, false);
    return k;
}

static u32 vmxnet3_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct vmxnet3 *c = arg;
    u32 took = 0, queues = 0, queue, k;

    domain_lock(c->dev.domain);
    if (c->paused)
        n = 0;
    for (; took < n; took += k) {
        k = 1;
        if (!vmxnet3_runs(c) || !vmxnet3_wants(c, &f[took]))
            continue; /* nobody listens: gone, as on a wire */
        k = vmxnet3_take_or_ask(c, f + took, n - took, &queue);
        if (!k)
            break;
        queues |= 1u << queue;
    }
    for (queue = 0; queue < c->state.nrx; queue++)
        if (queues >> queue & 1)
            vmxnet3_raise(c, c->state.rx[queue].intr);
    domain_unlock(c->dev.domain);
    return took;
}

static void vmxnet3_link(void *arg)
{
    struct vmxnet3 *c = arg;

    domain_lock(c->dev.domain);
    vmxnet3_event(c, VX_EVENT_LINK);
    domain_unlock(c->dev.domain);
}

/* ---- the device ---- */

static int vmxnet3_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { 0, PCI_MEM32, VX_BAR0_LEN, 4, 4, vmxnet3_data_load, vmxnet3_data_store, false, NULL },
        { 1, PCI_MEM32, VX_BAR1_LEN, 4, 4, vmxnet3_control_load, vmxnet3_control_store, false,
          NULL },
        { 0 },
    };
    static const struct net_guest calls = { vmxnet3_deliver, vmxnet3_link };
    struct vmxnet3 *c = (struct vmxnet3 *)d;
    struct pci_ident id = { .vendor = VX_VENDOR,
                            .device = VX_DEVICE,
                            .subvendor = VX_VENDOR,
                            .subdevice = VX_DEVICE,
                            .class = 0x020000,
                            .revision = 1,
                            .pin = 1,
                            .msi = !c->config.no_msi,
                            .vectors = c->config.no_msix ? 0 : VX_INTR_MOST,
                            .msix_bar = 2,
                            .bars = bars };
    int r = frame_mac_parse(c->mac, c->config.mac, e);

    if (r)
        return r;
    if (c->config.intr > VX_INTR_MSIX)
        return err_set(e, -EINVAL, "interrupt kind %u: 0 to 3 are known", c->config.intr);
    for (u32 i = 0; i < VX_TX_MOST; i++)
        if (bell_new(d, vmxnet3_tx_bell, i, &c->tx_bell[i]))
            return err_set(e, -ENOMEM, "no memory for a queue");
    if (bell_new(d, vmxnet3_rx_bell, 0, &c->rx_bell))
        return err_set(e, -ENOMEM, "no memory for a queue");
    r = pci_plug(d, &id, e);
    if (r)
        return r;
    for (u32 i = 0; i < VX_TX_MOST; i++)
        pci_bell(d, 0, &(struct bell_place){ .at = VX_TX_PROD + 8 * i }, c->tx_bell[i]);
    c->net = device_end(d, "net");
    net_attach(c->net, &calls, c);
    return 0;
}

static void vmxnet3_reset(struct device *d, enum reset kind)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    (void)kind;
    vmxnet3_clear(c);
    c->state.shared_low = c->state.shared_high = 0;
    memcpy(c->state.mac, c->mac, FRAME_MAC);
}

static void vmxnet3_pause(struct device *d)
{
    domain_lock(d->domain);
    ((struct vmxnet3 *)d)->paused = true;
    domain_unlock(d->domain);
}

static void vmxnet3_resume(struct device *d)
{
    struct vmxnet3 *c = (struct vmxnet3 *)d;

    domain_lock(d->domain);
    c->paused = false;
    for (u32 i = 0; i < VX_TX_MOST; i++)
        bell_ring(c->tx_bell[i]);
    bell_ring(c->rx_bell);
    domain_unlock(d->domain);
}

static int vmxnet3_check(const struct device *d, struct err *e)
{
    const struct vmxnet3 *c = (const struct vmxnet3 *)d;
    const struct vmxnet3_state *s = &c->state;

    if (s->ntx > VX_TX_MOST || s->nrx > VX_RX_MOST || s->event_intr >= VX_INTR_MOST ||
        s->nothers > FRAME_MACS)
        return err_set(e, -EBADMSG, "%u transmit and %u receive queues, vector %u, %u addresses",
                       s->ntx, s->nrx, s->event_intr, s->nothers);
    return vmxnet3_rings_check(c, e);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct vmxnet3_config, mac, 0, "MAC address"),
    FIELD(2, struct vmxnet3_config, intr, 0, "interrupts: 0 any, 1 INTx, 2 MSI, 3 MSI-X"),
    FIELD(3, struct vmxnet3_config, no_msi, 0, "without MSI"),
    FIELD(4, struct vmxnet3_config, no_msix, 0, "without MSI-X"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD(1, struct vmxnet3_state, shared, 0, "shared area in use"),
    FIELD(2, struct vmxnet3_state, queues, 0, "queue descriptors"),
    FIELD_SUB(3, struct vmxnet3_state, tx, 0, "transmit queues", vx_tx_fields),
    FIELD_SUB(4, struct vmxnet3_state, rx, 0, "receive queues", vx_rx_fields),
    FIELD(5, struct vmxnet3_state, shared_low, 0, "shared area, register"),
    FIELD(6, struct vmxnet3_state, shared_high, 0, "shared area, register"),
    FIELD(7, struct vmxnet3_state, mac_low, 0, "MAC address, first half"),
    FIELD(8, struct vmxnet3_state, result, 0, "answer to the last command"),
    FIELD(9, struct vmxnet3_state, events, 0, "events"),
    FIELD(10, struct vmxnet3_state, rx_mode, 0, "receive mode"),
    FIELD(11, struct vmxnet3_state, features, 0, "features"),
    FIELDS(12, struct vmxnet3_state, vlans, 0, "VLAN tags"),
    FIELDS(13, struct vmxnet3_state, mac, 0, "MAC address"),
    FIELDS(14, struct vmxnet3_state, others, 0, "more addresses it listens to"),
    FIELD(15, struct vmxnet3_state, nothers, 0, "how many of those"),
    FIELD(16, struct vmxnet3_state, ntx, 0, "transmit queues in use"),
    FIELD(17, struct vmxnet3_state, nrx, 0, "receive queues in use"),
    FIELD(18, struct vmxnet3_state, event_intr, 0, "vector of events"),
    FIELDS(19, struct vmxnet3_state, masked, 0, "masked vectors"),
    FIELDS(20, struct vmxnet3_state, pending, 0, "pending vectors"),
    FIELD(21, struct vmxnet3_state, active, 0, "activated"),
    FIELD(22, struct vmxnet3_state, auto_mask, 0, "vectors mask themselves"),
    FIELD(23, struct vmxnet3_state, intx, 0, "INTx raised"),
    FIELDS(0, struct vmxnet3_state, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_vmxnet3 = {
    .name = "vmxnet3",
    .about = "VMware's paravirtual network card",
    .size = sizeof(struct vmxnet3),
    .config_at = offsetof(struct vmxnet3, config),
    .config = config,
    .config_default = &(const struct vmxnet3_config){ .mac = "00:50:56:12:34:56" },
    .config_size = sizeof(struct vmxnet3_config),
    .state_at = offsetof(struct vmxnet3, state),
    .state_size = sizeof(struct vmxnet3_state),
    .state = state,
    .create = vmxnet3_create,
    .reset = vmxnet3_reset,
    .pause = vmxnet3_pause,
    .resume = vmxnet3_resume,
    .check = vmxnet3_check,
};
