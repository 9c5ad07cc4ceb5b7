/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing an image forward: threads take pieces, read them and pack their units; whoever
 * finishes the piece that is next in order puts it, and those behind it that are ready.
 * Nobody waits but for a free slot, so memory is bounded and order costs nothing.
 */
#include "image/convert_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define APPEND_BUFFER (256u << 10)

struct forward_unit {
    u32 at, len; /* of the packed bytes in out, or of the plain ones in data */
    bool packed, zero;
};

struct forward_slot {
    u64 off, len;
    bool ready; /* the lock */
    u8 *data, *out;
    struct forward_unit *units;
};

struct forward {
    struct convert *c;
    struct image *to;
    u64 taken, put; /* pieces; the lock of c */
    bool putting;   /* somebody puts; the lock of c */
    pthread_cond_t change;
    struct forward_slot *slots;
    u32 nslots;
    u64 populated;
};

/* Small pieces are gathered: a callback or a write costs more than a copy. */
static int append_flush(struct image *im)
{
    size_t n = im->nbuffered;

    im->nbuffered = 0;
    return n ? im->append(im->append_arg, im->buffer, n) : 0;
}

int image_append(struct image *im, const void *p, size_t n)
{
    int r = 0;

    im->appended += n;
    if (im->nbuffered + n > APPEND_BUFFER)
        r = append_flush(im);
    if (r || n > APPEND_BUFFER)
        return r ? r : im->append(im->append_arg, p, n);
    memcpy(im->buffer + im->nbuffered, p, n);
    im->nbuffered += n;
    return 0;
}

int image_append_zeroes(struct image *im, u64 n)
{
    static const u8 zero[65536];
    int r = 0;

    for (u64 some; !r && n; n -= some) {
        some = min_u64(n, sizeof(zero));
        r = image_append(im, zero, some);
    }
    return r;
}

/* Read a piece and pack its units. */
static int forward_fill(struct forward *f, struct forward_slot *s, struct packer *packer)
{
    const struct image_pack *pack = &f->to->pack;
    struct iovec v = { s->data, s->len };
    int r = image_read(f->c->from, s->off, &v, 1, s->len);
    size_t room = packer_room(pack);
    u32 at = 0;

    for (u64 done = 0, i = 0; !r && done < s->len; done += pack->unit, i++) {
        size_t n = min_u64(pack->unit, s->len - done);
        u8 *in = s->data + done;
        size_t got;

        s->units[i] = (struct forward_unit){ .at = (u32)done, .len = (u32)n };
        s->units[i].zero = image_is_zero(in, n);
        if (s->units[i].zero || pack->kind == PACK_NONE)
            continue;
        if (n < pack->unit && pack->whole) {
            memset(in + n, 0, pack->unit - n);
            n = s->units[i].len = pack->unit;
        }
        got = packer_run(packer, (s->off + done) / pack->unit, in, n, s->out + at, room);
        if (!got && !pack->shorter)
            return -EIO;
        if (got)
            s->units[i] = (struct forward_unit){ .at = at, .len = (u32)got, .packed = true };
        at += (u32)got;
    }
    return r;
}

/* Put one piece: nobody else does at the same time. */
static int forward_put(struct forward *f, const struct forward_slot *s)
{
    u32 unit = f->to->pack.unit;
    int r = 0;

    for (u64 done = 0, i = 0; !r && done < s->len; done += unit, i++) {
        const struct forward_unit *u = &s->units[i];

        if (u->zero)
            continue;
        f->populated += min_u64(unit, s->len - done);
        r = f->to->format->put(f->to, s->off + done, (u->packed ? s->out : s->data) + u->at, u->len,
                               u->packed);
    }
    return r;
}

/* The lock is held: put what is ready, in order. */
static void forward_drain(struct forward *f)
{
    struct convert *c = f->c;

    f->putting = true;
    while (f->put < f->taken && f->slots[f->put % f->nslots].ready) {
        struct forward_slot *s = &f->slots[f->put % f->nslots];
        int r = 0;

        pthread_mutex_unlock(&c->lock);
        if (!c->result)
            r = forward_put(f, s);
        convert_did(c, s->off, s->len, r, c->how->path ? c->how->path : "output");
        pthread_mutex_lock(&c->lock);
        s->ready = false;
        f->put++;
        pthread_cond_broadcast(&f->change);
    }
    f->putting = false;
}

/* The lock is held.  A slot with the next piece; NULL: no more. */
static struct forward_slot *forward_take(struct forward *f)
{
    struct convert *c = f->c;
    struct forward_slot *s;

    while (!c->result && f->taken - f->put >= f->nslots)
        pthread_cond_wait(&f->change, &c->lock);
    s = &f->slots[f->taken % f->nslots];
    if (f->taken - f->put >= f->nslots || !convert_next(c, &s->off, &s->len))
        return NULL;
    f->taken++;
    return s;
}

static void *forward_main(void *arg)
{
    struct forward *f = arg;
    struct convert *c = f->c;
    struct packer *packer = packer_new(&f->to->pack);
    struct forward_slot *s;

    pthread_mutex_lock(&c->lock);
    if (!packer && !c->result)
        c->result = err_set(&c->err, -ENOMEM, "no memory");
    while ((s = forward_take(f))) {
        int r;

        pthread_mutex_unlock(&c->lock);
        r = forward_fill(f, s, packer);
        if (r)
            convert_did(c, s->off, 0, r, NULL);
        pthread_mutex_lock(&c->lock);
        s->ready = true;
        if (!f->putting)
            forward_drain(f);
    }
    pthread_cond_broadcast(&f->change);
    pthread_mutex_unlock(&c->lock);
    packer_free(packer);
    return NULL;
}

static int forward_slots(struct forward *f)
{
    const struct image_pack *pack = &f->to->pack;
    size_t units = f->c->piece / pack->unit;

    for (u32 i = 0; i < f->nslots; i++) {
        struct forward_slot *s = &f->slots[i];

        s->data = aligned_alloc(4096, f->c->piece);
        s->units = calloc(units, sizeof(*s->units));
        s->out = pack->kind == PACK_NONE ? NULL : malloc(units * packer_room(pack));
        if (!s->data || !s->units || (pack->kind != PACK_NONE && !s->out))
            return -ENOMEM;
    }
    return 0;
}

static void forward_free(struct forward *f)
{
    for (u32 i = 0; f->slots && i < f->nslots; i++) {
        free(f->slots[i].data);
        free(f->slots[i].out);
        free(f->slots[i].units);
    }
    free(f->slots);
    free(f->to->buffer);
    f->to->buffer = NULL;
    pthread_cond_destroy(&f->change);
}

int forward_run(struct convert *c, struct image *to, struct err *e)
{
    struct forward f = { .c = c, .to = to, .nslots = image_threads(c->how->threads) + 2 };
    int r;

    c->step = to->pack.unit;
    c->piece = (u32)max_u64(CONVERT_PIECE, to->pack.unit);
    pthread_cond_init(&f.change, NULL);
    f.slots = calloc(f.nslots, sizeof(*f.slots));
    to->buffer = malloc(APPEND_BUFFER);
    r = f.slots && to->buffer ? forward_slots(&f) : -ENOMEM;
    if (!r) {
        convert_run(c, forward_main, &f);
        r = c->result;
        if (r && e)
            *e = c->err;
        if (!r) {
            r = to->format->end(to, e);
            if (!r && (r = append_flush(to)))
                err_set(e, r, "%s: %s", c->how->path ? c->how->path : "output", strerror(-r));
        }
    } else {
        err_set(e, r, "no memory");
    }
    c->target.populated = f.populated;
    if (!r && to->append && c->how->result)
        *c->how->result = (struct image_converted){ c->from->size, f.populated, to->appended };
    forward_free(&f);
    return r;
}
