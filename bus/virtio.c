/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio over PCI: registers, status, features, interrupts.
 * Virtual I/O Device (VIRTIO) 1.2, sections 2.1 to 2.4, 4.1; the legacy interface after
 * 4.1.4.10 and "Legacy Interface" sections.  The rings are in virtq.c.
 * Left out: access through PCI configuration space (type 5), queue reset, notification data.
 */
#include "bus/virtio.h"
#include "base/bytes.h"
#include "bus/virtio_int.h"
#include <errno.h>

enum {
    VIRTIO_VENDOR = 0x1af4,
    LEGACY_LEN = 128,
    LEGACY_NOTIFY = 16,
    COMMON_AT = 0,
    COMMON_LEN = 64,
    ISR_AT = 0x1000,
    DEVICE_AT = 0x2000,
    NOTIFY_AT = 0x3000,
    REGION_LEN = 0x1000,
    MODERN_LEN = 0x4000,
    ISR_QUEUE = 1,
    ISR_CONFIG = 2,
};

static const struct field virtq_fields[] = {
    FIELD(1, struct virtq_state, desc, 0, "descriptor table"),
    FIELD(2, struct virtq_state, avail, 0, "available ring"),
    FIELD(3, struct virtq_state, used, 0, "used ring"),
    FIELD(4, struct virtq_state, size, 0, "entries"),
    FIELD(5, struct virtq_state, vector, 0, "MSI-X vector"),
    FIELD(6, struct virtq_state, next, 0, "next available entry"),
    FIELD(7, struct virtq_state, done, 0, "next used entry"),
    FIELD(8, struct virtq_state, signalled, 0, "used entry of the last interrupt"),
    FIELD(9, struct virtq_state, enabled, 0, "switched on"),
    FIELD(10, struct virtq_state, told, 0, "has there been an interrupt"),
    FIELDS(0, struct virtq_state, pad, F_LOCAL, "none"),
    FIELD_END,
};
const struct field virtio_fields[] = {
    FIELD(1, struct virtio_state, features, 0, "features taken"),
    FIELD(2, struct virtio_state, feature_select, 0, "device features shown: word"),
    FIELD(3, struct virtio_state, driver_select, 0, "driver features shown: word"),
    FIELD(4, struct virtio_state, queue_select, 0, "queue shown"),
    FIELD(5, struct virtio_state, config_vector, 0, "MSI-X vector of changes"),
    FIELD(6, struct virtio_state, status, 0, "device status"),
    FIELD(7, struct virtio_state, isr, 0, "reasons of the INTx"),
    FIELD(8, struct virtio_state, generation, 0, "of the configuration"),
    FIELD(0, struct virtio_state, pad, F_LOCAL, "none"),
    FIELD_SUB(9, struct virtio_state, q, 0, "queues", virtq_fields),
    FIELD_END,
};

bool virtio_has(const struct virtio *v, u64 feature)
{
    return (v->s->features & feature) == feature;
}

bool virtio_is_ready(const struct virtio *v)
{
    return (v->s->status & VIRTIO_DRIVER_OK) && !(v->s->status & VIRTIO_NEEDS_RESET) &&
           !v->resetting && !v->paused;
}

void virtio_interrupt(struct virtio *v, u16 vector, u8 reason)
{
    if (pci_msix(&v->dev)) {
        if (vector != VIRTIO_NO_VECTOR)
            pci_raise(&v->dev, vector);
        return;
    }
    v->s->isr |= reason;
    pci_level(&v->dev, true);
}

void virtio_config_changed(struct virtio *v)
{
    v->s->generation++;
    if (v->s->status & VIRTIO_DRIVER_OK)
        virtio_interrupt(v, v->s->config_vector, ISR_CONFIG);
}

void virtio_broken(struct virtio *v, const char *why)
{
    guest_error(&v->dev, "%s", why);
    if (v->s->status & VIRTIO_NEEDS_RESET)
        return;
    v->s->status |= VIRTIO_NEEDS_RESET;
    virtio_config_changed(v);
}

static void virtio_state_reset(struct virtio *v)
{
    struct virtio_state *s = v->s;

    *s = (struct virtio_state){ .config_vector = VIRTIO_NO_VECTOR };
    for (u32 i = 0; i < v->ops->queues; i++)
        s->q[i] = (struct virtq_state){ .size = v->ops->size[i], .vector = VIRTIO_NO_VECTOR };
    pci_level(&v->dev, false);
}

void virtio_reset(struct virtio *v)
{
    while (v->resetting) /* by another vCPU, which waits for requests under way */
        domain_wait(v->dev.domain);
    v->resetting = true;
    if (v->ops->reset)
        v->ops->reset(v);
    virtio_state_reset(v);
    v->resetting = false;
    domain_wake(v->dev.domain);
}

void virtio_pause(struct virtio *v)
{
    domain_lock(v->dev.domain);
    v->paused = true;
    domain_unlock(v->dev.domain);
}

void virtio_resume(struct virtio *v)
{
    domain_lock(v->dev.domain);
    v->paused = false;
    for (u32 i = 0; i < v->ops->queues; i++)
        virtq_again(v, i);
    domain_unlock(v->dev.domain);
}

static void virtio_bell(struct device *d, u32 q)
{
    struct virtio *v = (struct virtio *)d;

    if (virtio_is_ready(v) && v->s->q[q].enabled)
        v->ops->queue(v, q);
}

void virtq_again(struct virtio *v, u32 q)
{
    if (q < v->ops->queues)
        bell_ring(v->bell[q]);
}

static void virtio_status_set(struct virtio *v, u8 to)
{
    struct virtio_state *s = v->s;
    bool was_ready = s->status & VIRTIO_DRIVER_OK;

    if (!to) {
        virtio_reset(v);
        return;
    }
    to = (u8)((to & ~VIRTIO_NEEDS_RESET) | (s->status & VIRTIO_NEEDS_RESET));
    /* 3.1.1 step 6: the bit stays only when the device can live with the features */
    if ((to & ~s->status & VIRTIO_FEATURES_OK) &&
        ((s->features & ~v->offered) || !(s->features & VIRTIO_F_VERSION_1)))
        to = (u8)(to & ~VIRTIO_FEATURES_OK);
    s->status = to;
    if (was_ready || !(to & VIRTIO_DRIVER_OK))
        return;
    if (v->ops->ready)
        v->ops->ready(v);
    for (u32 i = 0; i < v->ops->queues; i++) /* legacy drivers fill queues before this */
        virtq_again(v, i);
}

static u16 virtio_vector_of(const struct virtio *v, u64 val)
{
    return val < v->ident.vectors ? (u16)val : VIRTIO_NO_VECTOR;
}

static struct virtq_state *virtio_queue(struct virtio *v)
{
    return v->s->queue_select < v->ops->queues ? &v->s->q[v->s->queue_select] : NULL;
}

static u64 virtio_isr_take(struct virtio *v)
{
    u8 isr = v->s->isr;

    v->s->isr = 0;
    pci_level(&v->dev, false);
    return isr;
}

static u64 virtio_config_load(const struct virtio *v, u32 off, u32 size)
{
    u64 val = 0;

    if (range_ok(off, size, v->ops->config_len))
        memcpy(&val, v->config + off, size);
    return val;
}

/* 4.1.4.3: the common structure, as bytes. */
static u64 virtio_common_load(struct virtio *v, u32 off, u32 size)
{
    const struct virtio_state *s = v->s;
    const struct virtq_state *q = virtio_queue(v);
    u8 c[COMMON_LEN + 8] = { 0 };
    u64 val = 0;

    put_le32(c, s->feature_select);
    put_le32(c + 4, s->feature_select < 2 ? (u32)(v->offered >> (32 * s->feature_select)) : 0);
    put_le32(c + 8, s->driver_select);
    put_le32(c + 12, s->driver_select < 2 ? (u32)(s->features >> (32 * s->driver_select)) : 0);
    put_le16(c + 16, s->config_vector);
    put_le16(c + 18, v->ops->queues);
    c[20] = s->status;
    c[21] = s->generation;
    put_le16(c + 22, s->queue_select);
    if (q) {
        put_le16(c + 24, q->size);
        put_le16(c + 26, q->vector);
        put_le16(c + 28, q->enabled);
        put_le16(c + 30, s->queue_select);
        put_le64(c + 32, q->desc);
        put_le64(c + 40, q->avail);
        put_le64(c + 48, q->used);
    }
    memcpy(&val, c + off, size);
    return val;
}

static void virtio_half_set(u64 *to, bool high, u64 val)
{
    if (high)
        *to = (*to & 0xffffffff) | val << 32;
    else
        *to = (*to & ~0xffffffffull) | (u32)val;
}

static void virtio_queue_store(struct virtio *v, struct virtq_state *q, u32 off, u64 val)
{
    if (off == 26) {
        q->vector = virtio_vector_of(v, val);
        return;
    }
    if (q->enabled) /* 4.1.4.3.2: no changes now */
        return;
    switch (off) {
    case 24:
        if (val && val <= v->ops->size[v->s->queue_select] && !(val & (val - 1)))
            q->size = (u16)val;
        break;
    case 28:
        if (val != 1)
            break;
        if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
            virtio_broken(v, "a queue's address is not aligned");
        else
            q->enabled = true;
        break;
    case 32:
    case 36:
        virtio_half_set(&q->desc, off & 4, val);
        break;
    case 40:
    case 44:
        virtio_half_set(&q->avail, off & 4, val);
        break;
    case 48:
    case 52:
        virtio_half_set(&q->used, off & 4, val);
        break;
    }
}

static void virtio_common_store(struct virtio *v, u32 off, u64 val)
{
    struct virtio_state *s = v->s;
    struct virtq_state *q = virtio_queue(v);

    switch (off) {
    case 0:
        s->feature_select = (u32)val;
        break;
    case 8:
        s->driver_select = (u32)val;
        break;
    case 12:
        if (s->driver_select < 2 && !(s->status & VIRTIO_FEATURES_OK))
            virtio_half_set(&s->features, s->driver_select, val);
        break;
    case 16:
        s->config_vector = virtio_vector_of(v, val);
        break;
    case 20:
        virtio_status_set(v, (u8)val);
        break;
    case 22:
        s->queue_select = (u16)val;
        break;
    default:
        if (q)
            virtio_queue_store(v, q, off, val);
    }
}

static u64 virtio_modern_load(struct device *d, u32 off, u32 size)
{
    struct virtio *v = (struct virtio *)d;
    u32 at = off % REGION_LEN;

    switch (off - at) {
    case COMMON_AT:
        return range_ok(at, size, COMMON_LEN) ? virtio_common_load(v, at, size) : 0;
    case ISR_AT:
        return at ? 0 : virtio_isr_take(v);
    case DEVICE_AT:
        return virtio_config_load(v, at, size);
    }
    return 0;
}

static void virtio_modern_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct virtio *v = (struct virtio *)d;
    u32 at = off % REGION_LEN;

    (void)size;
    if (off - at == COMMON_AT)
        virtio_common_store(v, at, val);
    else if (off - at == NOTIFY_AT)
        virtq_again(v, at / 4);
}

/* Legacy interface, 4.1.4.10: one I/O BAR; queues at page frames, in a fixed layout. */
static void virtio_legacy_queue(struct virtio *v, struct virtq_state *q, u32 frame)
{
    q->desc = (u64)frame << 12;
    q->avail = q->desc + 16ull * q->size;
    q->used = (q->avail + 6 + 2ull * q->size + 4095) & ~4095ull;
    q->next = q->done = q->signalled = 0;
    q->told = false;
    q->enabled = frame;
    (void)v;
}

static u32 virtio_legacy_config_at(const struct virtio *v)
{
    return pci_msix(&v->dev) ? 24 : 20;
}

static u64 virtio_legacy_load(struct device *d, u32 off, u32 size)
{
    struct virtio *v = (struct virtio *)d;
    const struct virtq_state *q = virtio_queue(v);

    if (off >= virtio_legacy_config_at(v))
        return virtio_config_load(v, off - virtio_legacy_config_at(v), size);
    switch (off) {
    case 0:
        return (u32)v->offered;
    case 4:
        return (u32)v->s->features;
    case 8:
        return q && q->enabled ? q->desc >> 12 : 0;
    case 12:
        return q ? q->size : 0;
    case 14:
        return v->s->queue_select;
    case 18:
        return v->s->status;
    case 19:
        return virtio_isr_take(v);
    case 20:
        return v->s->config_vector;
    case 22:
        return q ? q->vector : VIRTIO_NO_VECTOR;
    }
    return 0;
}

static void virtio_legacy_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct virtio *v = (struct virtio *)d;
    struct virtq_state *q = virtio_queue(v);

    (void)size;
    if (off >= virtio_legacy_config_at(v))
        return;
    switch (off) {
    case 4:
        v->s->features = (u32)val & v->offered;
        break;
    case 8:
        if (q)
            virtio_legacy_queue(v, q, (u32)val);
        break;
    case 14:
        v->s->queue_select = (u16)val;
        break;
    case LEGACY_NOTIFY:
        virtq_again(v, (u16)val);
        break;
    case 18:
        virtio_status_set(v, (u8)(val & ~VIRTIO_FEATURES_OK));
        break;
    case 20:
        v->s->config_vector = virtio_vector_of(v, val);
        break;
    case 22:
        if (q)
            q->vector = virtio_vector_of(v, val);
        break;
    }
}

/* 4.1.4: where the structures are, each a vendor capability without its first two bytes. */
static int virtio_capabilities(struct virtio *v, struct err *e)
{
    static const struct {
        u8 type;
        u32 at, len;
    } where[] = { { 1, COMMON_AT, COMMON_LEN },
                  { 3, ISR_AT, REGION_LEN },
                  { 4, DEVICE_AT, REGION_LEN },
                  { 2, NOTIFY_AT, REGION_LEN } };

    for (u32 i = 0; i < LEN(where); i++) {
        bool notify = where[i].type == 2;
        u8 body[18] = { notify ? 20 : 16, where[i].type, 4 };

        put_le32(body + 6, where[i].at);
        put_le32(body + 10, where[i].len);
        put_le32(body + 14, notify ? 4 : 0); /* bytes between the queues' doorbells */
        if (pci_capability(&v->dev, 9, body, notify ? 18 : 14) < 0)
            return err_set(e, -ENOSPC, "no room for virtio's PCI capabilities");
    }
    return 0;
}

static void virtio_ident(struct virtio *v)
{
    const struct virtio_class *c = v->ops;
    u32 n = 0;

    v->ident = (struct pci_ident){ .vendor = VIRTIO_VENDOR,
                                   .device = v->modern ? (u16)(0x1040 + c->type) : c->legacy_id,
                                   .subvendor = VIRTIO_VENDOR,
                                   .subdevice = c->type,
                                   .class = c->pci_class,
                                   .revision = v->modern,
                                   .pin = 1,
                                   .vectors = (u16)(c->queues + 1),
                                   .msix_bar = 1,
                                   .bars = v->bars };
    if (!v->modern)
        v->bars[n++] = (struct pci_bar){ .index = 0,
                                         .space = PCI_PORTS,
                                         .size = LEGACY_LEN,
                                         .min = 1,
                                         .max = 4,
                                         .load = virtio_legacy_load,
                                         .store = virtio_legacy_store };
    v->bars[n++] = (struct pci_bar){ .index = 4,
                                     .space = PCI_MEM64,
                                     .size = MODERN_LEN,
                                     .min = 1,
                                     .max = 4,
                                     .load = virtio_modern_load,
                                     .store = virtio_modern_store,
                                     .prefetch = true };
    v->bars[n] = (struct pci_bar){ 0 };
}

int virtio_plug(struct virtio *v, const struct virtio_class *ops, struct virtio_state *s,
                u64 features, bool modern, struct err *e)
{
    int r;

    v->ops = ops;
    v->s = s;
    v->modern = modern;
    v->offered =
        features | VIRTIO_F_RING_INDIRECT | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | 1ull << 27;
    virtio_ident(v);
    for (u32 i = 0; i < ops->queues; i++)
        if (bell_new(&v->dev, virtio_bell, i, &v->bell[i]))
            return err_set(e, -ENOMEM, "no memory for a virtio queue");
    r = pci_plug(&v->dev, &v->ident, e);
    for (u32 i = 0; i < ops->queues && !r; i++) {
        pci_bell(&v->dev, 4, &(struct bell_place){ .at = NOTIFY_AT + 4 * i }, v->bell[i]);
        if (!modern)
            pci_bell(
                &v->dev, 0,
                &(struct bell_place){ .at = LEGACY_NOTIFY, .size = 2, .match = true, .val = i },
                v->bell[i]);
    }
    return r ? r : virtio_capabilities(v, e);
}

int virtio_check(const struct virtio *v, struct err *e)
{
    for (u32 i = 0; i < v->ops->queues; i++) {
        const struct virtq_state *q = &v->s->q[i];

        if (!q->size || q->size > v->ops->size[i] || (q->size & (q->size - 1)))
            return err_set(e, -EBADMSG, "queue %u: its size %u is impossible", i, q->size);
        if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
            return err_set(e, -EBADMSG, "queue %u: its address is not aligned", i);
    }
    return 0;
}
