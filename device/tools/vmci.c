/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's Virtual Machine Communication Interface, 15ad:0740: registers, interrupts, and the way
 * of datagrams in and out: byte by byte through two ports, or by DMA with the registers of
 * virtual hardware 20 in memory.  Known from drivers; there is no public document.
 *
 * A guest reads chunks of 4 KiB from the port.  Datagrams stand in a row, none is cut by a
 * chunk's end unless it is longer than one; what is left of a chunk reads as ones.
 */
#include "device/tools/vmci_int.h"
#include <errno.h>
#include <stdlib.h>

/* ---- interrupts ---- */

static void vmci_level(struct vmci *v)
{
    pci_level(&v->dev, v->state.on && v->state.cause & v->state.mask);
}

void vmci_cause(struct vmci *v, u32 cause)
{
    struct vmci_state *s = &v->state;

    s->cause |= cause;
    vmci_level(v);
    if (!s->on || !(s->mask & cause) || !pci_message(&v->dev))
        return;
    if (!pci_msix(&v->dev))
        pci_raise(&v->dev, 0);
    else
        pci_raise(&v->dev, (u16)__builtin_ctz(cause)); /* one vector each */
}

/* ---- to the guest ---- */

static u32 vmci_whole(u64 payload)
{
    return VMCI_HEADER + (((u32)payload + 7) & ~7u);
}

static void vmci_in_put(struct vmci_state *s, const void *p, u32 n)
{
    u32 at = (s->in_head + s->in_len) % VMCI_IN, first = (u32)min_u64(n, VMCI_IN - at);

    memcpy(s->in + at, p, first);
    memcpy(s->in, (const u8 *)p + first, n - first);
    s->in_len += n;
}

static void vmci_in_take(struct vmci *v, u8 *to, u32 n)
{
    struct vmci_state *s = &v->state;
    u32 first = (u32)min_u64(n, VMCI_IN - s->in_head);

    memcpy(to, s->in + s->in_head, first);
    memcpy(to + first, s->in, n - first);
    s->in_head = (s->in_head + n) % VMCI_IN;
    s->in_len -= n;
    if (s->stuck && s->in_len < VMCI_IN / 2) {
        s->stuck = false;
        bell_ring(v->bell);
    }
}

bool vmci_deliver(struct vmci *v, struct vmci_handle to, struct vmci_handle from, const u8 *p,
                  u32 len)
{
    static const u8 zero[8];
    struct vmci_state *s = &v->state;
    u8 header[VMCI_HEADER];

    if (len > VMCI_OUT || vmci_whole(len) > VMCI_IN - s->in_len) {
        s->stuck = true;
        return false;
    }
    put_le32(header, to.context);
    put_le32(header + 4, to.resource);
    put_le32(header + 8, from.context);
    put_le32(header + 12, from.resource);
    put_le64(header + 16, len);
    vmci_in_put(s, header, sizeof(header));
    vmci_in_put(s, p, len);
    vmci_in_put(s, zero, vmci_whole(len) - VMCI_HEADER - len);
    vmci_cause(v, VMCI_CAUSE_DATAGRAM);
    return true;
}

/* The whole length of the next one, which the guest has begun to read or not; 0: none. */
static u32 vmci_in_next(const struct vmci_state *s)
{
    u8 b[8];

    if (s->in_len < VMCI_HEADER)
        return 0;
    for (u32 i = 0; i < sizeof(b); i++)
        b[i] = s->in[(s->in_head + 16 + i) % VMCI_IN];
    return le64(b) > s->in_len - VMCI_HEADER ? s->in_len : vmci_whole(le64(b));
}

static u8 vmci_in_byte(struct vmci *v)
{
    struct vmci_state *s = &v->state;
    u8 b = 0xff;

    if (!s->in_left && !s->filling) {
        u32 n = vmci_in_next(s);

        s->in_left = n && (!s->chunk || n <= VMCI_CHUNK - s->chunk) ? n : 0;
        s->filling = !s->in_left;
    }
    if (s->in_left) {
        vmci_in_take(v, &b, 1);
        s->in_left--;
    }
    s->chunk = (s->chunk + 1) % VMCI_CHUNK;
    if (!s->chunk) {
        s->filling = false;
        if (s->in_len) /* it may have stopped to look */
            vmci_cause(v, VMCI_CAUSE_DATAGRAM);
    }
    return b;
}

static u64 vmci_in_bytes(struct vmci *v, u32 size)
{
    u64 val = 0;

    for (u32 i = 0; i < size; i++)
        val |= (u64)vmci_in_byte(v) << 8 * i;
    return val;
}

/* ---- from the guest ---- */

static void vmci_out_byte(struct vmci *v, u8 b)
{
    struct vmci_state *s = &v->state;

    if (s->out_len < VMCI_OUT)
        s->out[s->out_len] = b;
    s->out_len++;
    if (s->out_len == VMCI_HEADER) {
        u64 payload = le64(s->out + 16);

        s->out_want = payload < 1 << 20 ? VMCI_HEADER + (u32)payload : VMCI_HEADER;
        if (payload >= 1 << 20) {
            guest_error(&v->dev, "a datagram of more than 1 MiB");
            s->result = (u32)VMCI_TOO_LARGE;
            s->out_len = 0;
            return;
        }
    }
    if (s->out_len < VMCI_HEADER || s->out_len < s->out_want)
        return;
    s->result = (u32)(s->out_len <= VMCI_OUT ? vmci_call(v, s->out, s->out_len) : VMCI_TOO_LARGE);
    s->out_len = 0;
}

/* ---- DMA ---- */

struct vmci_piece {
    u64 at;
    u64 len;
};
enum { VMCI_PIECES = 20 };

/* Where the bytes of a DMA are: how many pieces, 0: it makes no sense. */
static u32 vmci_dma_pieces(struct vmci *v, u64 at, const u8 header[VMCI_DMA_HEADER],
                           struct vmci_piece piece[VMCI_PIECES])
{
    u32 n = le32(header + 8);
    u8 b[VMCI_DMA_PIECE];

    if (le32(header + 4) == VMCI_DMA_INLINE) {
        piece[0] = (struct vmci_piece){ at + VMCI_DMA_HEADER, n };
        return 1;
    }
    if (le32(header + 4) != VMCI_DMA_LIST || n > VMCI_PIECES)
        return 0;
    for (u32 i = 0; i < n; i++) {
        if (gmem_read(machine_ram(v->dev.machine), at + VMCI_DMA_HEADER + i * VMCI_DMA_PIECE, b,
                      sizeof(b)))
            return 0;
        piece[i] = (struct vmci_piece){ le64(b), le64(b + 8) };
    }
    return n;
}

static i32 vmci_dma_send(struct vmci *v, const struct vmci_piece *piece, u32 n)
{
    u8 *b = v->state.out;
    u32 len = 0;

    for (u32 i = 0; i < n; i++) {
        if (piece[i].len > VMCI_OUT - len)
            return VMCI_TOO_LARGE;
        if (gmem_read(machine_ram(v->dev.machine), piece[i].at, b + len, piece[i].len))
            return VMCI_BAD_ARGS;
        len += (u32)piece[i].len;
    }
    if (len < VMCI_HEADER || le64(b + 16) > len - VMCI_HEADER)
        return VMCI_BAD_ARGS;
    return vmci_call(v, b, VMCI_HEADER + (u32)le64(b + 16));
}

/* Whole datagrams, and one without a resource if there is room: it ends them. */
static void vmci_dma_receive(struct vmci *v, const struct vmci_piece *piece, u32 n)
{
    static const u8 end[VMCI_HEADER] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    struct gmem *g = machine_ram(v->dev.machine);
    u8 b[VMCI_OUT + VMCI_HEADER + 8];

    for (u32 i = 0; i < n; i++) {
        u64 at = piece[i].at, left = min_u64(piece[i].len, VMCI_DATAGRAM_MAX);
        u32 one;

        for (; (one = vmci_in_next(&v->state)) && one <= left && one <= sizeof(b); left -= one) {
            vmci_in_take(v, b, one);
            if (gmem_write(g, at, b, one))
                return;
            at += one;
        }
        if (left >= VMCI_HEADER)
            gmem_write(g, at, end, sizeof(end));
    }
}

static void vmci_dma(struct vmci *v, u64 at, bool in)
{
    struct gmem *g = machine_ram(v->dev.machine);
    struct vmci_piece piece[VMCI_PIECES];
    u8 header[VMCI_DMA_HEADER];
    i32 r = VMCI_BAD_ARGS;
    u32 n;

    if (!pci_master(&v->dev) || gmem_read(g, at, header, sizeof(header))) {
        v->state.result = (u32)r;
        return;
    }
    n = vmci_dma_pieces(v, at, header, piece);
    if (n && in)
        vmci_dma_receive(v, piece, n), r = VMCI_OK;
    else if (n)
        r = vmci_dma_send(v, piece, n);
    v->state.result = (u32)r;
    put_le64(header + 16, (u64)(i64)r);
    gmem_write(g, at + 16, header + 16, 8);
    put_le32(header, in);
    gmem_write(g, at, header, 4); /* busy: off when it was sent, on when it was received */
    vmci_cause(v, VMCI_CAUSE_DMA);
    if (in && v->state.in_len)
        vmci_cause(v, VMCI_CAUSE_DATAGRAM);
}

/* ---- registers ---- */

static void vmci_clear(struct vmci *v)
{
    for (struct vmci_stream *s = v->state.stream; s < v->state.stream + VMCI_STREAMS; s++)
        vmci_stream_free(v, s);
    memset(&v->state, 0, sizeof(v->state));
    vmci_level(v);
}

static u32 vmci_capabilities(const struct vmci *v)
{
    return VMCI_CAP_DATAGRAM | VMCI_CAP_NOTIFICATIONS | VMCI_CAP_PPN64 |
           (v->config.dma ? VMCI_CAP_DMA : 0);
}

static u32 vmci_cause_take(struct vmci *v)
{
    u32 cause = v->state.cause;

    v->state.cause = 0;
    vmci_level(v);
    return cause;
}

static u64 vmci_load(struct device *d, u32 off, u32 size)
{
    struct vmci *v = (struct vmci *)d;
    const struct vmci_state *s = &v->state;
    u32 val = 0;

    switch (off & ~3u) {
    case VMCI_STATUS:
        val = s->on ? VMCI_STATUS_ON : 0;
        break;
    case VMCI_CAUSE:
        val = vmci_cause_take(v);
        break;
    case VMCI_MASK:
        val = s->mask;
        break;
    case VMCI_DATA_IN:
        return vmci_in_bytes(v, size);
    case VMCI_CAPS:
        val = vmci_capabilities(v);
        break;
    case VMCI_RESULT_LOW:
        val = s->result;
        break;
    case VMCI_PAGE_SHIFT:
        val = v->config.dma ? 12 : 0;
        break;
    }
    return val >> 8 * (off & 3);
}

static void vmci_control(struct vmci *v, u32 val)
{
    if (val & VMCI_CONTROL_RESET) {
        vmci_clear(v);
        return;
    }
    if (val & VMCI_CONTROL_ON)
        v->state.on = true;
    if (val & VMCI_CONTROL_OFF)
        v->state.on = false;
    if (v->state.on && v->state.in_len)
        vmci_cause(v, VMCI_CAUSE_DATAGRAM);
    vmci_level(v);
}

static void vmci_store_dma(struct vmci *v, u32 off, u32 val)
{
    struct vmci_state *s = &v->state;
    bool in = off >= VMCI_DMA_IN_LOW;
    u64 *at = in ? &s->dma_in : &s->dma_out;

    if (off == VMCI_DMA_IN_HIGH || off == VMCI_DMA_OUT_HIGH) {
        *at = (u64)val << 32 | (u32)*at;
        return;
    }
    *at = (*at & ~0xffffffffull) | val;
    vmci_dma(v, *at, in);
}

static void vmci_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vmci *v = (struct vmci *)d;

    switch (off & ~3u) {
    case VMCI_CONTROL:
        vmci_control(v, (u32)val);
        break;
    case VMCI_MASK:
        v->state.mask = (u32)val;
        vmci_level(v);
        break;
    case VMCI_DATA_OUT:
        for (u32 i = 0; i < size; i++)
            vmci_out_byte(v, (u8)(val >> 8 * i));
        break;
    case VMCI_CAPS:
        v->state.caps = (u32)val & vmci_capabilities(v);
        break;
    case VMCI_DMA_OUT_LOW:
    case VMCI_DMA_OUT_HIGH:
    case VMCI_DMA_IN_LOW:
    case VMCI_DMA_IN_HIGH:
        if (v->config.dma)
            vmci_store_dma(v, off & ~3u, (u32)val);
        break;
    }
}

static u64 vmci_memory_load(struct device *d, u32 off, u32 size)
{
    return off - VMCI_MEMORY_REGISTERS < VMCI_PORTS
               ? vmci_load(d, off - VMCI_MEMORY_REGISTERS, size)
               : 0;
}

static void vmci_memory_store(struct device *d, u32 off, u32 size, u64 val)
{
    if (off - VMCI_MEMORY_REGISTERS < VMCI_PORTS)
        vmci_store(d, off - VMCI_MEMORY_REGISTERS, size, val);
}

/* ---- life ---- */

static void vmci_rung(struct device *d, u32 index)
{
    (void)index;
    vmci_streams_work((struct vmci *)d);
}

#define IN_PORTS                                                                                   \
    {                                                                                              \
        .index = 0, .space = PCI_PORTS, .size = VMCI_PORTS, .min = 1, .max = 4, .load = vmci_load, \
        .store = vmci_store                                                                        \
    }
static int vmci_create(struct device *d, struct err *e)
{
    static const struct pci_bar ports[] = { IN_PORTS, { 0 } };
    static const struct pci_bar bars[] = {
        IN_PORTS,
        { .index = 1,
          .space = PCI_MEM32,
          .size = VMCI_MEMORY,
          .min = 4,
          .max = 4,
          .load = vmci_memory_load,
          .store = vmci_memory_store },
        { 0 },
    };
    struct vmci *v = (struct vmci *)d;
    int r;

    for (u32 i = 0; i < VMCI_STREAMS; i++)
        v->link[i].back = -1;
    v->vsock = device_end(d, "vsock");
    v->ident = (struct pci_ident){ .vendor = VMCI_VENDOR,
                                   .device = VMCI_DEVICE,
                                   .subvendor = VMCI_VENDOR,
                                   .subdevice = VMCI_DEVICE,
                                   .class = 0x088000,
                                   .revision = 0x10,
                                   .pin = 2, /* in its place on the board INTA is the SCI */
                                   .msi = true,
                                   .vectors = v->config.dma ? 3 : 2,
                                   .msix_bar = 1,
                                   .msix_table = VMCI_MEMORY_TABLE,
                                   .msix_pba = VMCI_MEMORY_PENDING,
                                   .bars = v->config.dma ? bars : ports };
    r = bell_new(d, vmci_rung, 0, &v->bell);
    if (r)
        return err_set(e, r, "no bell");
    r = pci_plug(d, &v->ident, e);
    if (!r)
        vsock_attach(v->vsock, &vmci_vsock, v);
    return r;
}

static void vmci_destroy(struct device *d)
{
    struct vmci *v = (struct vmci *)d;

    vsock_attach(v->vsock, NULL, NULL);
    for (u32 i = 0; i < VMCI_STREAMS; i++)
        free(v->link[i].rest);
    pci_unplug(d);
}

static void vmci_reset(struct device *d, enum reset kind)
{
    if (kind != RESET_SLEEP)
        vmci_clear((struct vmci *)d);
}

static int vmci_check(const struct device *d, struct err *e)
{
    const struct vmci_state *s = &((const struct vmci *)d)->state;

    if (s->in_head >= VMCI_IN || s->in_len > VMCI_IN || s->in_left > s->in_len ||
        s->chunk >= VMCI_CHUNK)
        return err_set(e, -EBADMSG, "%u bytes wait for the guest", s->in_len);
    if (s->out_want > VMCI_HEADER + (1 << 20) ||
        (s->out_len && s->out_len >= s->out_want && s->out_len >= VMCI_HEADER))
        return err_set(e, -EBADMSG, "%u of %u bytes of a datagram", s->out_len, s->out_want);
    for (u32 i = 0; i < VMCI_STREAMS; i++)
        if (s->stream[i].state >= STREAM_STATES || s->stream[i].size > VMCI_QUEUE_MAX)
            return err_set(e, -EBADMSG, "stream %u cannot be", i);
    for (u32 i = 0; i < VMCI_DOORBELLS; i++)
        if (s->doorbell[i].index >= VMCI_CHUNK)
            return err_set(e, -EBADMSG, "doorbell %u cannot be", i);
    return 0;
}

static void vmci_restored(struct device *d)
{
    ((struct vmci *)d)->moved = true;
}

/* Host ends of connections are not saved: the guest is told that they are gone. */
static void vmci_resume(struct device *d)
{
    struct vmci *v = (struct vmci *)d;

    domain_lock(d->domain);
    if (v->moved)
        vmci_streams_lost(v);
    v->moved = false;
    bell_ring(v->bell);
    domain_unlock(d->domain);
}

static void vmci_pause(struct device *d)
{
    (void)d; /* it works on the lane alone, which stands */
}

static const struct field config[] = {
    FIELD(1, struct vmci_config, cid, 0, "the guest's context, above 2"),
    FIELD(2, struct vmci_config, dma, 0, "registers in memory, datagrams by DMA"),
    FIELDS(0, struct vmci_config, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field handle_fields[] = {
    FIELD(1, struct vmci_handle, context, 0, "context"),
    FIELD(2, struct vmci_handle, resource, 0, "resource"),
    FIELD_END,
};
static const struct field doorbell_fields[] = {
    FIELD_SUB(1, struct vmci_doorbell, handle, 0, "its name", handle_fields),
    FIELD(2, struct vmci_doorbell, index, 0, "byte of the bitmap"),
    FIELD(3, struct vmci_doorbell, used, 0, "is there"),
    FIELDS(0, struct vmci_doorbell, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field pair_fields[] = {
    FIELD_SUB(1, struct vmci_pair, handle, 0, "its name", handle_fields),
    FIELD(2, struct vmci_pair, peer, 0, "context of the other side"),
    FIELD(3, struct vmci_pair, used, 0, "is there"),
    FIELDS(0, struct vmci_pair, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field stream_fields[] = {
    FIELD_SUB(1, struct vmci_stream, handle, 0, "its queue pair", handle_fields),
    FIELD(2, struct vmci_stream, cid, 0, "context of the host's side"),
    FIELD(3, struct vmci_stream, host_port, 0, "port of the host"),
    FIELD(4, struct vmci_stream, guest_port, 0, "port of the guest"),
    FIELD(5, struct vmci_stream, size, 0, "bytes of each queue"),
    FIELD(6, struct vmci_stream, owe, 0, "packets that the guest is to get"),
    FIELD(7, struct vmci_stream, state, 0, "how far it has come"),
    FIELD(8, struct vmci_stream, guest_shut, 0, "what the guest does no more"),
    FIELD(9, struct vmci_stream, host_shut, 0, "what the host does no more"),
    FIELD(10, struct vmci_stream, old, 0, "without protocols"),
    FIELD(11, struct vmci_stream, waiting_read, 0, "the guest waits for bytes"),
    FIELD(12, struct vmci_stream, waiting_write, 0, "the guest waits for room"),
    FIELD(13, struct vmci_stream, told_up, 0, "the host's end knows that it is up"),
    FIELD(0, struct vmci_stream, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD(1, struct vmci_state, bitmap, 0, "page of notifications"),
    FIELD(2, struct vmci_state, dma_out, 0, "buffer of datagrams from the guest"),
    FIELD(3, struct vmci_state, dma_in, 0, "buffer of datagrams to the guest"),
    FIELD(4, struct vmci_state, cause, 0, "interrupt causes"),
    FIELD(5, struct vmci_state, mask, 0, "causes that interrupt"),
    FIELD(6, struct vmci_state, caps, 0, "capabilities that the guest uses"),
    FIELD(7, struct vmci_state, result, 0, "of the last datagram"),
    FIELD(8, struct vmci_state, out_len, 0, "bytes that came of a datagram"),
    FIELD(9, struct vmci_state, out_want, 0, "its length"),
    FIELD(10, struct vmci_state, in_head, 0, "first byte for the guest"),
    FIELD(11, struct vmci_state, in_len, 0, "bytes for the guest"),
    FIELD(12, struct vmci_state, in_left, 0, "of the datagram that is read"),
    FIELD(13, struct vmci_state, chunk, 0, "bytes read of a chunk"),
    FIELD(14, struct vmci_state, next_resource, 0, "for queue pairs of ours"),
    FIELD(15, struct vmci_state, on, 0, "interrupts are switched on"),
    FIELD(16, struct vmci_state, filling, 0, "the rest of a chunk is empty"),
    FIELD(17, struct vmci_state, stuck, 0, "there was no room for the guest"),
    FIELD(0, struct vmci_state, pad, F_LOCAL, "none"),
    FIELDS(18, struct vmci_state, out, 0, "what comes from the guest"),
    FIELDS(19, struct vmci_state, in, 0, "what waits for the guest"),
    FIELD_SUB(20, struct vmci_state, doorbell, 0, "doorbells", doorbell_fields),
    FIELD_SUB(21, struct vmci_state, pair, 0, "queue pairs", pair_fields),
    FIELD_SUB(22, struct vmci_state, stream, 0, "streams", stream_fields),
    FIELD_END,
};

const struct device_class device_vmci = {
    .name = "vmci",
    .about = "VMware VMCI with stream sockets (vsock)",
    .size = sizeof(struct vmci),
    .config_at = offsetof(struct vmci, config),
    .config = config,
    .config_default = &(const struct vmci_config){ .cid = 3, .dma = true },
    .config_size = sizeof(struct vmci_config),
    .state_at = offsetof(struct vmci, state),
    .state_size = sizeof(struct vmci_state),
    .state = state,
    .create = vmci_create,
    .destroy = vmci_destroy,
    .reset = vmci_reset,
    .pause = vmci_pause,
    .resume = vmci_resume,
    .check = vmci_check,
    .restored = vmci_restored,
};
