/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two channels to swtpm (its manual: "control channel", "data channel").  The lane moves
 * commands, so a TPM that makes a key for a minute keeps nobody waiting; control is asked and
 * answered at once, within a limit.
 */
#include "backend/tpm_int.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TPM_NONE = 0x800 }; /* a result that is no failure: there is no such state */
enum { TPM_ASK_MS = 10000, TPM_UNKNOWN_LOCALITY = 0xff };
#define TPM_COMMAND_NS ((i64)180 * 1000000000) /* the slowest key there is, on a slow host */

void tpm_fail(struct tpm *t, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    if (atomic_exchange(&t->failed, true))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_error("TPM: %s; the guest goes on with a TPM that has failed", text);
}

bool tpm_failed(struct tpm *t)
{
    return atomic_load(&t->failed);
}

/* ---- control ---- */

static int tpm_put(int fd, const u8 *p, u32 n, int pass)
{
    char space[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec v = { (void *)(uintptr_t)p, n };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    struct cmsghdr *c;

    if (pass >= 0) {
        m.msg_control = space;
        m.msg_controllen = sizeof(space);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof(int));
    }
    while (v.iov_len) {
        ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);

        if (r < 0)
            return -errno;
        v.iov_base = (u8 *)v.iov_base + r;
        v.iov_len -= (size_t)r;
        m.msg_control = NULL;
        m.msg_controllen = 0;
    }
    return 0;
}

static int tpm_take(int fd, u8 *p, u32 n)
{
    while (n) {
        struct pollfd f = { .fd = fd, .events = POLLIN };
        ssize_t r = poll(&f, 1, TPM_ASK_MS);

        if (r == 0)
            return -ETIMEDOUT;
        r = r < 0 ? r : recv(fd, p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r ? -errno : -EPIPE;
        p += r;
        n -= (u32)r;
    }
    return 0;
}

static int tpm_lost(struct tpm *t, int r)
{
    tpm_fail(t, "swtpm %s",
             r == -ETIMEDOUT                   ? "does not answer"
             : r == -EPIPE || r == -ECONNRESET ? "has ended"
                                               : strerror(-r));
    return r;
}

static int tpm_ask_locked(struct tpm *t, enum tpm_control what, struct span body, int fd,
                          u8 *answer, u32 n)
{
    u8 *p = malloc(4 + body.len);
    int r = p ? 0 : -ENOMEM;

    if (!r) {
        put_be32(p, what);
        if (body.len)
            memcpy(p + 4, body.p, body.len);
        r = tpm_put(t->control, p, (u32)(4 + body.len), fd);
    }
    free(p);
    r = r ? r : tpm_take(t->control, answer, 4);
    if (!r && be32(answer) && !(what == TPM_GET_STATE && be32(answer) & TPM_NONE)) {
        tpm_fail(t, "swtpm answers %#x to control command %d", be32(answer), what);
        return -EIO;
    }
    r = r ? r : tpm_take(t->control, answer + 4, n - 4);
    return r ? tpm_lost(t, r) : 0;
}

int tpm_ask(struct tpm *t, enum tpm_control what, struct span body, int fd, u8 *answer, u32 n)
{
    int r = -EIO;

    pthread_mutex_lock(&t->lock);
    if (!tpm_failed(t))
        r = tpm_ask_locked(t, what, body, fd, answer, n);
    pthread_mutex_unlock(&t->lock);
    return r;
}

static int tpm_tell(struct tpm *t, enum tpm_control what, const void *p, u32 n)
{
    u8 result[4];

    return tpm_ask(t, what, (struct span){ p, n }, -1, result, sizeof(result));
}

void tpm_start(struct tpm *t)
{
    const u8 forget[4] = { 0, 0, 0, TPM_INIT_FORGET };

    tpm_tell(t, TPM_INIT, forget, sizeof(forget));
}

/* ---- commands ---- */

static void tpm_done(struct tpm *t, u32 n)
{
    t->busy = false;
    loop_timer_stop(t->late);
    if (t->done)
        t->done(t->arg, t->bytes, n);
}

static void tpm_late(void *arg)
{
    struct tpm *t = arg;

    tpm_fail(t, "swtpm does not answer a command");
    tpm_done(t, 0);
}

/* What came of the answer is whole when its header says so. */
static void tpm_hear(void *arg, u32 events)
{
    struct tpm *t = arg;
    ssize_t r = recv(t->data, t->bytes + t->got, sizeof(t->bytes) - t->got, MSG_DONTWAIT);
    u32 size;

    (void)events;
    if (r < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (r <= 0 || !t->busy || tpm_failed(t)) {
        loop_watch_set(t->watch, 0);
        tpm_fail(t, r > 0 ? "swtpm talks without being asked" : "swtpm has ended");
        if (t->busy)
            tpm_done(t, 0);
        return;
    }
    t->got += (u32)r;
    if (t->got < TPM_HEADER)
        return;
    size = be32(t->bytes + 2);
    if (size < TPM_HEADER || size > sizeof(t->bytes) || t->got > size) {
        tpm_fail(t, "swtpm's answer is %u bytes long and says %u", t->got, size);
        tpm_done(t, 0);
    } else if (t->got == size) {
        tpm_done(t, size);
    }
}

static void tpm_begin(void *arg)
{
    struct tpm *t = arg;

    t->busy = true;
    t->got = 0;
    if (t->locality != t->told && !tpm_tell(t, TPM_SET_LOCALITY, &t->locality, 1))
        t->told = t->locality;
    if (!tpm_failed(t) && tpm_put(t->data, t->bytes, t->n, -1))
        tpm_fail(t, "swtpm has ended");
    if (tpm_failed(t))
        tpm_done(t, 0);
    else
        loop_timer_set(t->late, loop_now() + TPM_COMMAND_NS);
}

void tpm_attach(struct tpm *t, void (*done)(void *arg, const u8 *p, u32 n), void *arg)
{
    t->done = done;
    t->arg = arg;
}

void tpm_send(struct tpm *t, u8 locality, const u8 *p, u32 n)
{
    t->n = n < TPM_BUFFER ? n : TPM_BUFFER;
    memcpy(t->bytes, p, t->n);
    t->locality = locality;
    loop_post(t->lane, tpm_begin, t);
}

/* ---- all that it holds ---- */

enum { TPM_BLOBS = 3, TPM_BLOB_MAX = 1 << 20, TPM_BLOB_PIECE = 65536 };

/* Behind result, flags, the whole length and this piece's: the bytes. */
static int tpm_get_blob(struct tpm *t, u32 type, struct buf *to)
{
    u8 head[16], ask[12];
    u32 total = 0, n;
    size_t at = to->len, start = at + 8;
    int r = buf_room(to, 8) ? 0 : -ENOMEM;

    do {
        put_be32(ask, 0);
        put_be32(ask + 4, type);
        put_be32(ask + 8, (u32)(to->len - start));
        r = r ? r : tpm_ask(t, TPM_GET_STATE, (struct span){ ask, sizeof(ask) }, -1, head, 16);
        if (r)
            return r;
        total = be32(head + 8);
        n = be32(head + 12);
        if (total > TPM_BLOB_MAX || n > total - (to->len - start) ||
            (!n && to->len - start < total))
            return -EBADMSG;
        if (n && !buf_room(to, n))
            return -ENOMEM;
        r = tpm_take(t->control, to->p + to->len - n, n);
        r = r ? tpm_lost(t, r) : 0;
    } while (!r && to->len - start < total);
    put_le32(to->p + at, be32(head + 4));
    put_le32(to->p + at + 4, total);
    return r;
}

int tpm_save(struct tpm *t, struct buf *to, struct err *e)
{
    u8 failed = tpm_failed(t);
    int r = buf_add(to, &failed, 1);

    for (u32 type = 1; type <= TPM_BLOBS && !failed && !r; type++)
        r = tpm_get_blob(t, type, to);
    return r ? err_set(e, r, "the TPM does not tell its state") : 0;
}

static int tpm_set_blob(struct tpm *t, u32 type, u32 flags, const u8 *p, u32 n)
{
    struct buf b = { 0 };
    u8 *to = buf_room(&b, 12), result[4];
    int r = to ? 0 : -ENOMEM;

    if (!r) {
        put_be32(to, flags);
        put_be32(to + 4, type);
        put_be32(to + 8, n);
        r = buf_add(&b, p, n);
    }
    r = r ? r : tpm_ask(t, TPM_SET_STATE, (struct span){ b.p, b.len }, -1, result, 4);
    buf_fini(&b);
    return r;
}

int tpm_load(struct tpm *t, struct span from, struct err *e)
{
    struct cursor c = cursor_of(from.p, from.len);
    const u8 keep[4] = { 0 };
    int r;

    if (get_u8(&c)) {
        tpm_fail(t, "it had failed when the VM was saved");
        return 0;
    }
    r = tpm_tell(t, TPM_STOP, NULL, 0);
    for (u32 type = 1; type <= TPM_BLOBS && !r; type++) {
        u32 flags = get_le32(&c), n = get_le32(&c);
        const u8 *p = cursor_take(&c, n);

        if (c.bad || n > TPM_BLOB_MAX)
            return err_set(e, -EBADMSG, "the TPM's state is cut short");
        r = n ? tpm_set_blob(t, type, flags, p, n) : 0;
    }
    r = r ? r : tpm_tell(t, TPM_INIT, keep, sizeof(keep));
    t->told = TPM_UNKNOWN_LOCALITY;
    return r ? err_set(e, r, "the TPM does not take its state") : 0;
}

/* ---- life ---- */

/* The TPM is given the other end of a new channel. */
static int tpm_channel(struct tpm *t, struct err *e)
{
    u8 size[4], answer[16];
    int ends[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_set(e, -errno, "TPM: %s", strerror(errno));
    t->data = ends[0];
    r = tpm_ask(t, TPM_SET_DATA, (struct span){ 0 }, ends[1], answer, 4);
    close(ends[1]);
    put_be32(size, TPM_BUFFER);
    r = r ? r : tpm_ask(t, TPM_SET_BUFFER, (struct span){ size, 4 }, -1, answer, 16);
    if (!r && (loop_watch_add(t->lane, t->data, LOOP_READ, tpm_hear, t, &t->watch) ||
               loop_timer_add(t->lane, tpm_late, t, &t->late)))
        r = -ENOMEM;
    return r ? err_set(e, r, "TPM: swtpm does not start as it should") : 0;
}

static struct tpm *tpm_new(struct loop *lane)
{
    struct tpm *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->lane = lane;
    t->control = t->data = -1;
    t->told = TPM_UNKNOWN_LOCALITY;
    return t;
}

int tpm_open_socket(struct tpm **out, int control, struct loop *lane, struct err *e)
{
    struct tpm *t = tpm_new(lane);
    int r;

    if (!t)
        return err_set(e, -ENOMEM, "TPM: no memory");
    t->control = control;
    r = tpm_channel(t, e);
    if (r)
        tpm_close(t);
    else
        *out = t;
    return r;
}

int tpm_open(struct tpm **out, const char *state, struct loop *lane, struct err *e)
{
    struct tpm *t = tpm_new(lane);
    int r;

    if (!t)
        return err_set(e, -ENOMEM, "TPM: no memory");
    r = tpm_spawn(t, state, e);
    r = r ? r : tpm_channel(t, e);
    if (r)
        tpm_close(t);
    else
        *out = t;
    return r;
}

void tpm_close(struct tpm *t)
{
    if (!t)
        return;
    loop_watch_drop(t->watch);
    loop_timer_drop(t->late);
    if (t->control >= 0 && !tpm_failed(t))
        tpm_tell(t, TPM_SHUTDOWN, NULL, 0);
    if (t->control >= 0)
        close(t->control);
    if (t->data >= 0)
        close(t->data);
    tpm_reap(t);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
