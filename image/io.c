/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving the guest's bytes: reads through the chain, writes in place, writes that need room,
 * trim, and what is where.
 *
 * A write into a place of its own goes there at once.  Any other takes the lock to get room,
 * writes data (with what surrounds it in a partial cluster) without the lock, and then takes
 * the lock again to make it reachable; a range for which that goes on is "busy", and other
 * writers to it wait.
 */
#include "image/image_int.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Make room for this much at once, when a request is that long. */
#define ROOM_MAX (2u << 20)
/* Changed pages of metadata that wait before a commit is made without being asked. */
#define DIRTY_MAX 1024
/* What file systems share is in blocks of this size, or refused. */
#define CLONE_ALIGN 4096

static unsigned image_enter(struct image *im)
{
    unsigned i;

    for (;;) {
        i = atomic_load(&im->epoch) & 1;
        atomic_fetch_add(&im->inside[i], 1);
        if ((atomic_load(&im->epoch) & 1) == i)
            return i;
        atomic_fetch_sub(&im->inside[i], 1);
    }
}
static void image_leave(struct image *im, unsigned i)
{
    atomic_fetch_sub(&im->inside[i], 1);
}

static int image_locate(struct image *im, u64 off, u64 len, struct extent *x)
{
    int r;

    *x = (struct extent){ 0 };
    r = im->format->map(im, off, x);
    if (r)
        return r;
    if (!x->len)
        return -EIO;
    x->len = min_u64(x->len, len);
    return 0;
}

/* Pieces of the request's memory for one transfer; len shrinks to what they cover. */
struct pieces {
    struct iovec v[64];
    int n;
};
static u64 pieces_take(struct pieces *p, const struct iovec *v, int n, u64 skip, u64 len)
{
    u64 got;

    p->n = iov_part(v, n, skip, len, p->v, LEN(p->v), &got);
    return got;
}

static int image_read_parent(struct image *im, u64 off, u64 len, const struct iovec *v, int n)
{
    u64 there = 0;
    int r;

    if (im->parent && off < im->parent->size)
        there = min_u64(len, im->parent->size - off);
    if (there && (r = image_read(im->parent, off, v, n, there)))
        return r;
    iov_zero(v, n, there, len - there);
    return 0;
}

static int image_read_extent(struct image *im, const struct extent *x, u64 off, u64 len,
                             const struct iovec *v, int n)
{
    switch (x->kind) {
    case EXT_DATA:
        return image_file_readv(im, x->file, x->at, v, n);
    case EXT_PARENT:
        return image_read_parent(im, off, len, v, n);
    case EXT_PACKED:
        return packed_read(im, x, off, len, v, n);
    case EXT_SEALED:
        return sealed_read(im, x, len, v, n);
    case EXT_ZERO:
        break;
    }
    iov_zero(v, n, 0, len);
    return 0;
}

int image_read(struct image *im, u64 off, const struct iovec *v, int n, u64 len)
{
    unsigned in;
    u64 done = 0;
    int r = 0;

    if (!range_ok(off, len, im->size))
        return -EINVAL;
    in = image_enter(im);
    while (!r && done < len) {
        struct pieces p;
        struct extent x;

        r = image_locate(im, off + done, len - done, &x);
        if (r)
            break;
        x.len = pieces_take(&p, v, n, done, x.len);
        if (!x.len)
            r = -EINVAL;
        else
            r = image_read_extent(im, &x, off + done, x.len, p.v, p.n);
        done += x.len;
    }
    image_leave(im, in);
    return r;
}

static int image_touch(struct image *im)
{
    int r = 0;

    if (atomic_load(&im->touched))
        return 0;
    pthread_mutex_lock(&im->lock);
    if (!atomic_load(&im->touched)) {
        if (im->format->touch)
            r = im->format->touch(im);
        atomic_store(&im->touched, !r);
    }
    pthread_mutex_unlock(&im->lock);
    return r;
}

/* The lock is held; waits until nobody makes room in [first, end), then does. */
static void image_busy_add(struct image *im, struct image_busy *mine)
{
    struct image_busy *b;

    if (im->lump) {
        mine->first &= ~(u64)(im->lump - 1);
        mine->end = round_up(mine->end, im->lump);
    }

    for (;;) {
        for (b = im->busy; b; b = b->next)
            if (b->first < mine->end && mine->first < b->end)
                break;
        if (!b)
            break;
        pthread_cond_wait(&im->idle, &im->lock);
    }
    mine->next = im->busy;
    im->busy = mine;
}
static void image_busy_drop(struct image *im, struct image_busy *mine)
{
    struct image_busy **b = &im->busy;

    while (*b != mine)
        b = &(*b)->next;
    *b = mine->next;
    pthread_cond_broadcast(&im->idle);
}

/* What was in [off, off + len) before, zero behind the end of the disk. */
static int image_read_old(struct image *im, u64 off, u64 len, u8 *to)
{
    u64 there = off < im->size ? min_u64(len, im->size - off) : 0;
    struct iovec v = { to, there };

    memset(to + there, 0, len - there);
    return there ? image_read(im, off, &v, 1, there) : 0;
}

/*
 * The same in an image that is just being made: what surrounds the request is zero, and so is
 * a file behind its end, so only old bytes of it (a footer that moved) have to go.
 */
static int image_fill_fresh(struct image *im, const struct extent *x, u64 head,
                            const struct iovec *v, int n, u64 skip, u64 len)
{
    struct image_file *f = &im->files[x->file];
    u64 end = x->at + x->len, filled = atomic_load(&f->filled);
    struct pieces p;
    int r = image_file_zero(im, x->file, x->at, head);

    if (!r)
        r = image_file_zero(im, x->file, x->at + head + len, x->len - head - len);
    p.n = iov_part(v, n, skip, len, p.v, LEN(p.v), &len);
    while (filled < end && !atomic_compare_exchange_weak(&f->filled, &filled, end))
        ;
    return r || !p.n ? r : image_file_writev(im, x->file, x->at + head, p.v, p.n);
}

/*
 * Data for the clusters [first, first + x->len) with the request's bytes from `off` on:
 * what lacks of the first and of the last cluster comes from the disk as it was.
 */
static int image_fill(struct image *im, const struct extent *x, u64 first, u64 off,
                      const struct iovec *v, int n, u64 skip, u64 len)
{
    u64 head = off - first, tail = x->len - head - len;
    struct pieces p;
    u8 *around = NULL;
    int r = 0, k = 1;

    if (im->fresh && !im->parent && x->kind == EXT_DATA)
        return image_fill_fresh(im, x, head, v, n, skip, len);
    if (head + tail && !(around = malloc(head + tail)))
        return -ENOMEM;
    if (head)
        r = image_read_old(im, first, head, around);
    if (!r && tail)
        r = image_read_old(im, off + len, tail, around + head);
    if (!r) {
        p.v[0] = (struct iovec){ around, head };
        k = iov_part(v, n, skip, len, p.v + 1, LEN(p.v) - 2, &len) + 1;
        p.v[k++] = (struct iovec){ around ? around + head : NULL, tail };
        r = x->kind == EXT_SEALED ? sealed_fill(im, x, x->len, p.v, k)
                                  : image_file_writev(im, x->file, x->at, p.v + !head, k - !head);
    }
    free(around);
    return r;
}

/* Has this a place that only it uses? */
static bool image_is_own(const struct extent *x)
{
    return (x->kind == EXT_DATA || x->kind == EXT_SEALED) && !x->shared;
}

/* In place; sectors are encrypted whole, so nobody else may write them meanwhile. */
static int image_write_sealed(struct image *im, u64 off, const struct extent *x,
                              const struct iovec *v, int n, u64 skip)
{
    u64 first = off - off % im->sealed;
    struct image_busy busy = { .first = first, .end = round_up(off + x->len, im->sealed) };
    int r;

    pthread_mutex_lock(&im->lock);
    image_busy_add(im, &busy);
    pthread_mutex_unlock(&im->lock);
    r = sealed_write(im, x, v, n, skip, x->len);
    pthread_mutex_lock(&im->lock);
    image_busy_drop(im, &busy);
    pthread_mutex_unlock(&im->lock);
    return r;
}

/*
 * Write [off, off + *len), which has no place of its own yet; *len: how far it came.  v NULL:
 * only make the room, in a fresh image.
 */
static int image_write_room(struct image *im, u64 off, const struct iovec *v, int n, u64 skip,
                            u64 *len)
{
    u64 mask = im->cluster - 1, first = off & ~mask, end = round_up(off + *len, im->cluster);
    struct image_busy busy = { .first = first, .end = end };
    struct image_plan *plan = malloc(sizeof(*plan));
    struct extent x = { 0 };
    int r;

    if (!plan)
        return -ENOMEM;
    plan->nwrites = plan->nfrees = 0;
    pthread_mutex_lock(&im->lock);
    image_busy_add(im, &busy);
    r = atomic_load(&im->broken);
    if (!r)
        r = image_locate(im, off, *len, &x);
    if (!r && image_is_own(&x)) {
        *len = 0; /* somebody was faster: it has a place now */
        image_busy_drop(im, &busy);
        pthread_mutex_unlock(&im->lock);
        free(plan);
        return 0;
    }
    if (!r) {
        x = (struct extent){ 0 };
        r = im->format->room(im, first, end - first, &x, plan);
    }
    pthread_mutex_unlock(&im->lock);
    if (!r) {
        x.len = min_u64(x.len, end - first);
        *len = min_u64(*len, first + x.len - off);
        r = image_fill(im, &x, first, off, v, n, skip, v ? *len : 0);
        atomic_store(&im->unsynced, true);
    }
    pthread_mutex_lock(&im->lock);
    if (!r)
        r = plan_apply(im, plan);
    image_busy_drop(im, &busy);
    pthread_mutex_unlock(&im->lock);
    free(plan);
    return r;
}

static int image_write_some(struct image *im, u64 off, const struct iovec *v, int n, u64 skip,
                            u64 *len)
{
    unsigned in = image_enter(im);
    struct extent x;
    struct pieces p;
    int r = image_locate(im, off, *len, &x);

    if (!r && x.kind == EXT_SEALED && !x.shared) {
        r = image_write_sealed(im, off, &x, v, n, skip);
        *len = x.len;
        atomic_store(&im->unsynced, true);
    } else if (!r && x.kind == EXT_DATA && !x.shared) {
        *len = pieces_take(&p, v, n, skip, x.len);
        r = *len ? image_file_writev(im, x.file, x.at, p.v, p.n) : -EINVAL;
        atomic_store(&im->unsynced, true);
    } else if (!r) {
        /* room for the whole of a long request, but never more than its memory covers */
        *len = pieces_take(&p, v, n, skip, min_u64(*len, ROOM_MAX));
        if (p.n > (int)LEN(p.v) - 2) {
            p.n = (int)LEN(p.v) - 2;
            *len = 0;
            for (int i = 0; i < p.n; i++)
                *len += p.v[i].iov_len;
        }
        r = !*len               ? -EINVAL
            : !im->format->room ? -EROFS
                                : image_write_room(im, off, v, n, skip, len);
    }
    image_leave(im, in);
    return r;
}

int image_write(struct image *im, u64 off, const struct iovec *v, int n, u64 len)
{
    u64 done = 0;
    int r;

    if (!range_ok(off, len, im->size))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    r = atomic_load(&im->broken);
    if (!r)
        r = image_touch(im);
    if (!r && im->format->wrote)
        im->format->wrote(im, off, len);
    while (!r && done < len) {
        u64 some = len - done;

        r = image_write_some(im, off + done, v, n, done, &some);
        done += some;
    }
    if (!r && meta_dirty(im) > DIRTY_MAX)
        r = meta_commit(im);
    return r;
}

/* Where [off, off + *len) of a fresh image goes in place; room is made for it if need be. */
static int image_clone_place(struct image *im, u64 off, u64 len, struct extent *x)
{
    int r = image_locate(im, off, len, x);
    u64 made = len;

    if (r || image_is_own(x))
        return r;
    if (!im->format->room)
        return -EOPNOTSUPP;
    r = image_write_room(im, off, NULL, 0, 0, &made);
    return r ? r : image_locate(im, off, len, x);
}

int image_clone(struct image *to, u64 off, struct image *from, u64 len)
{
    int r = to->fresh && !to->parent ? image_touch(to) : -EOPNOTSUPP;

    while (!r && len) {
        struct file_clone_range range;
        struct extent s, d;
        u64 n, end;

        if ((r = image_locate(from, off, len, &s)))
            break;
        if (s.kind != EXT_DATA || from->files[s.file].nmore)
            return -EOPNOTSUPP;
        if ((r = image_clone_place(to, off, s.len, &d)))
            break;
        n = min_u64(s.len, d.len) & ~(u64)(CLONE_ALIGN - 1);
        range = (struct file_clone_range){ .src_fd = from->files[s.file].fd,
                                           .src_offset = from->files[s.file].offset + s.at,
                                           .src_length = n,
                                           .dest_offset = d.at };
        if (!n || d.kind != EXT_DATA || (range.src_offset | d.at) % CLONE_ALIGN)
            return -EOPNOTSUPP;
        if (ioctl(to->files[d.file].fd, FICLONERANGE, &range))
            return -errno;
        end = image_file_length(to, d.file);
        while (d.at + n > end &&
               !atomic_compare_exchange_weak(&to->files[d.file].length, &end, d.at + n))
            ;
        off += n;
        len -= n;
    }
    return r;
}

int image_trim(struct image *im, u64 off, u64 len)
{
    u64 first, end;
    int r;

    if (!range_ok(off, len, im->size))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    if (!im->format->trim || !im->cluster)
        return 0;
    first = round_up(off, im->cluster);
    end = off + len == im->size ? round_up(im->size, im->cluster) : off + len;
    end &= ~(u64)(im->cluster - 1);
    r = image_touch(im);
    if (!r && im->format->wrote)
        im->format->wrote(im, off, len);
    while (!r && first < end) {
        struct image_busy busy = { .first = first, .end = end };
        struct image_plan *plan = malloc(sizeof(*plan));
        u64 done = 0;

        if (!plan)
            return -ENOMEM;
        plan->nwrites = plan->nfrees = 0;
        pthread_mutex_lock(&im->lock);
        image_busy_add(im, &busy);
        r = atomic_load(&im->broken);
        if (!r)
            r = im->format->trim(im, first, end - first, plan, &done);
        if (!r)
            r = plan_apply(im, plan);
        image_busy_drop(im, &busy);
        pthread_mutex_unlock(&im->lock);
        free(plan);
        if (!done)
            break;
        first += done;
        if (!r && meta_dirty(im) > DIRTY_MAX)
            r = meta_commit(im);
    }
    return r;
}

int image_flush(struct image *im)
{
    return im->writable ? meta_commit(im) : 0;
}

static int image_map_at(struct image *im, u64 off, u64 *len, enum image_kind *kind)
{
    struct extent x;
    int r = image_locate(im, off, *len, &x);

    if (r)
        return r;
    *kind = IMAGE_DATA;
    if (x.kind == EXT_ZERO)
        *kind = IMAGE_ZERO;
    if (x.kind == EXT_DATA && !image_file_stored(im, x.file, x.at, &x.len))
        *kind = IMAGE_ZERO; /* in a hole of the host file */
    *len = x.len;
    if (x.kind != EXT_PARENT)
        return 0;
    *kind = IMAGE_ZERO;
    if (!im->parent || off >= im->parent->size)
        return 0;
    *len = min_u64(*len, im->parent->size - off);
    return image_map_at(im->parent, off, len, kind);
}

int image_map(struct image *im, u64 off, u64 *len, enum image_kind *kind, struct err *e)
{
    unsigned in;
    u64 reach, some;
    enum image_kind k;
    int r;

    if (off >= im->size)
        return err_set(e, -EINVAL, "%s: offset %llu is behind its end", image_path(im),
                       (unsigned long long)off);
    reach = some = im->size - off;
    in = image_enter(im);
    r = image_map_at(im, off, &some, kind);
    reach = some;
    /* extents of one kind that follow each other are one answer, up to a bound */
    for (int i = 0; !r && i < 64 && off + reach < im->size; i++, reach += some) {
        some = im->size - off - reach;
        if (image_map_at(im, off + reach, &some, &k) || k != *kind)
            break;
    }
    image_leave(im, in);
    *len = reach;
    return r ? err_set(e, r, "%s: offset %llu: %s", image_path(im), (unsigned long long)off,
                       strerror(-r))
             : 0;
}
