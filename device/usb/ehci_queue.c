/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EHCI: queue heads and what hangs on them.  Enhanced Host Controller Interface 1.0, 3.5, 3.6
 * and 4.10.  Left out: isochronous descriptors and split transactions (walked past), streaming
 * and NAK counters.
 */
#include "device/usb/ehci_int.h"

enum { QUEUES = 512, AT_ONCE = 128, PAGES = 5, PAGE = 4096, PIECES = 10 };

/* Words of a queue head: 4 to 11 are the overlay, which is a qTD. */
enum { QH_LINK, QH_ENDPOINT, QH_CAPABLE, QH_CURRENT, QH_NEXT, QH_ALTERNATE, QH_TOKEN, QH_PAGES };
enum { QH_WORDS = QH_PAGES + PAGES, QTD_WORDS = 3 + PAGES, QTD_TOKEN_AT = 8 };

struct queue {
    struct ehci *h;
    u32 at;
    u32 w[QH_WORDS];
};

static struct gmem *ehci_ram(struct queue *q)
{
    return machine_ram(q->h->dev.machine);
}

static u32 token_length(u32 token)
{
    return (token & TOKEN_LENGTH) >> TOKEN_LENGTH_SHIFT;
}

/* What the controller may write: from the current qTD on. */
static void queue_write(struct queue *q)
{
    gmem_write(ehci_ram(q), q->at + 4 * QH_CURRENT, &q->w[QH_CURRENT],
               sizeof(q->w) - 4 * QH_CURRENT);
}

/* 4.10.2: the next qTD becomes the overlay, when it is active. */
static bool queue_advance(struct queue *q)
{
    bool was_short = token_length(q->w[QH_TOKEN]) && !(q->w[QH_ALTERNATE] & LINK_END);
    u32 next = q->w[was_short ? QH_ALTERNATE : QH_NEXT], td[QTD_WORDS];

    if (next & LINK_END || gmem_read(ehci_ram(q), next & ~31u, td, sizeof(td)) ||
        !(td[2] & TOKEN_ACTIVE))
        return false;
    if (!(q->w[QH_ENDPOINT] >> 14 & 1)) /* the queue head keeps the data toggle */
        td[2] = (td[2] & ~TOKEN_TOGGLE) | (q->w[QH_TOKEN] & TOKEN_TOGGLE);
    q->w[QH_CURRENT] = next & ~31u;
    memcpy(&q->w[QH_NEXT], td, sizeof(td));
    return true;
}

/* The memory of what is left: pieces, or -EFAULT. */
static int queue_map(struct queue *q, u32 len, enum gmem_dir dir, struct iovec *v)
{
    u32 page = (q->w[QH_TOKEN] & TOKEN_PAGE) >> TOKEN_PAGE_SHIFT, off = q->w[QH_PAGES] % PAGE;
    int n = 0;

    for (; len; page++, off = 0) {
        u32 part = (u32)min_u64(len, PAGE - off);
        int got = page < PAGES ? gmem_map(ehci_ram(q), (q->w[QH_PAGES + page] & ~(PAGE - 1u)) + off,
                                          part, dir, v + n, PIECES - n)
                               : -1;

        if (got < 0) {
            gmem_unmap(ehci_ram(q), v, n, 0);
            return got;
        }
        n += got;
        len -= part;
    }
    return n;
}

/* So many bytes went over: length, place, toggle. */
static void queue_count(struct queue *q, u32 done, bool over)
{
    u32 *token = &q->w[QH_TOKEN], packet = q->w[QH_ENDPOINT] >> 16 & 0x7ff;
    u32 off = q->w[QH_PAGES] % PAGE + done, page = (*token & TOKEN_PAGE) >> TOKEN_PAGE_SHIFT;
    u32 packets = packet ? (done + packet - 1) / packet : 1;

    if (over && !packets)
        packets = 1;
    *token -= done << TOKEN_LENGTH_SHIFT;
    page = (u32)min_u64(page + off / PAGE, 7);
    *token = (*token & ~(u32)TOKEN_PAGE) | page << TOKEN_PAGE_SHIFT;
    q->w[QH_PAGES] = (q->w[QH_PAGES] & ~(PAGE - 1u)) | off % PAGE;
    if (packets & 1)
        *token ^= TOKEN_TOGGLE;
}

/* The qTD is done: its token goes back to it. */
static void queue_retire(struct queue *q, u32 status, bool is_short)
{
    u32 *token = &q->w[QH_TOKEN];

    *token = (*token & ~(u32)TOKEN_ACTIVE) | status;
    gmem_write(ehci_ram(q), q->w[QH_CURRENT] + QTD_TOKEN_AT, token, 4);
    if (*token & TOKEN_IOC || is_short)
        q->h->state.status |= STS_INT;
    if (status)
        q->h->state.status |= STS_ERROR;
}

/* Carries out what is active.  false: the queue stands. */
static bool queue_run(struct queue *q)
{
    static const enum usb_pid pids[] = { USB_OUT, USB_IN, USB_SETUP, USB_OUT };
    u32 token = q->w[QH_TOKEN], where = q->w[QH_ENDPOINT];
    struct usb_device *u = usb_by_address(&q->h->dev, ehci_enabled(q->h), where & 0x7f);
    struct usb_transfer t = { .pid = pids[token >> TOKEN_PID_SHIFT & 3],
                              .endpoint = where >> 8 & 15,
                              .len = token_length(token) };
    struct iovec v[PIECES];
    enum usb_answer a;

    t.v = v;
    t.nv = queue_map(q, t.len, t.pid == USB_IN ? GMEM_WRITE : GMEM_READ, v);
    if (t.nv < 0) {
        guest_error(&q->h->dev, "data that are not in RAM");
        queue_retire(q, TOKEN_BUFFER | TOKEN_HALTED, false);
        return false;
    }
    a = u ? usb_run(u, &t) : USB_GONE;
    gmem_unmap(ehci_ram(q), v, t.nv, t.pid == USB_IN ? t.done : 0);
    queue_count(q, t.done, a == USB_ACK);
    if (a == USB_NAK)
        return false;
    if (a == USB_ACK)
        queue_retire(q, 0, t.pid == USB_IN && t.done < t.len);
    else
        queue_retire(q, TOKEN_HALTED | (a == USB_GONE ? TOKEN_TRANSACTION : 0), false);
    return a == USB_ACK;
}

/* Until it has nothing more, or the device has not. */
static bool queue_visit(struct queue *q)
{
    bool any = false;

    for (u32 n = 0; n < AT_ONCE; n++) {
        u32 was = q->w[QH_TOKEN];

        if (was & TOKEN_HALTED)
            break;
        if (!(was & TOKEN_ACTIVE) && !queue_advance(q))
            break;
        any |= queue_run(q) || q->w[QH_TOKEN] != was;
        queue_write(q);
        if (q->w[QH_TOKEN] & TOKEN_ACTIVE)
            break;
    }
    return any;
}

bool ehci_walk(struct ehci *h, u32 link, bool async)
{
    struct queue q = { .h = h };
    u32 first = link & ~31u;
    bool any = false;

    for (u32 n = 0; n < QUEUES && !(link & LINK_END); n++) {
        q.at = link & ~31u;
        if (n && async && q.at == first)
            break;
        if (gmem_read(ehci_ram(&q), q.at, q.w, sizeof(q.w))) {
            guest_error(&h->dev, "a queue is not in RAM");
            break;
        }
        if (async || (link & LINK_TYPE) == LINK_QUEUE)
            any |= queue_visit(&q);
        link = q.w[QH_LINK];
    }
    return any;
}
