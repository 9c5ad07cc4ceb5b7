/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS for VNC viewers: security type 19, VeNCrypt 0.2, in front of a server that speaks plain RFB
 * 3.8.  The viewer's first steps are answered here; behind the TLS handshake bytes are passed on
 * as they are, so a password stays between the viewer and the server.  A thread for each viewer,
 * with the signals of the server's thread: none.
 * Browsers, which speak first, go to the server as they came: it has TLS for web sockets itself.
 *
 * After "The RFB Protocol" (community edition), 7.2.8.  Kinds: with a certificate X509None and
 * X509Vnc; without one TLSNone and TLSVnc, which encrypt but prove nobody's name.
 */
#include "backend/vnc_int.h"
#include "base/bytes.h"
#include "base/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TLS_VIEWERS = 32, TLS_BYTES = 16384, TLS_VERSION_LEN = 12, TLS_SPEAKS_FIRST_MS = 100 };
enum { SECURITY_NONE = 1, SECURITY_VNC = 2, SECURITY_VENCRYPT = 19 };
enum { TLS_NONE = 257, TLS_VNC = 258, X509_NONE = 260, X509_VNC = 261 };
#define TLS_PATIENCE_NS ((i64)30 * 1000000000) /* for the first steps */
static const char tls_version[TLS_VERSION_LEN + 1] = "RFB 003.008\n";

struct vnc_viewer {
    struct vnc_tls *tls;
    pthread_t thread;
    bool used, ended; /* under the lock */
    int fd, inner;    /* the viewer; our end of what the server has */
    SSL *ssl;
    i64 until; /* of the first steps */
};

struct vnc_tls {
    SSL_CTX *ctx;
    bool named; /* there is a certificate */
    void (*hand)(void *arg, int fd);
    void *arg;
    int stop; /* an eventfd, readable at the end */
    pthread_mutex_t lock;
    struct vnc_viewer viewer[TLS_VIEWERS];
};

/* ---- steps that wait: 0, or negative errno when the other end, the time or the server ended ---- */

static int tls_wait(struct vnc_viewer *w, int fd, short events)
{
    struct pollfd p[] = { { w->tls->stop, POLLIN, 0 }, { fd, events, 0 } };
    i64 left = w->until - loop_now();

    if (left <= 0 || poll(p, LEN(p), (int)(left / 1000000) + 1) < 0)
        return errno == EINTR ? 0 : -ETIMEDOUT;
    return p[0].revents ? -ECANCELED : 0;
}

/* All n bytes of a plain descriptor, in or out. */
static int tls_plain(struct vnc_viewer *w, int fd, void *bytes, size_t n, bool out)
{
    u8 *p = bytes;

    while (n) {
        ssize_t got = out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);
        int r;

        if (!got || (got < 0 && errno != EAGAIN && errno != EINTR))
            return -EPIPE;
        r = got < 0 ? tls_wait(w, fd, out ? POLLOUT : POLLIN) : 0;
        if (r)
            return r;
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int tls_get(struct vnc_viewer *w, int fd, void *to, size_t n)
{
    return tls_plain(w, fd, to, n, false);
}

static int tls_put(struct vnc_viewer *w, int fd, const void *from, size_t n)
{
    u8 copy[64];

    memcpy(copy, from, n);
    return tls_plain(w, fd, copy, n, true);
}

/* ---- the server's side: what security it asks for ---- */

static int tls_server(struct vnc_viewer *w, u8 *security)
{
    u8 b[256];
    int pair[2], r;
    u32 n;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    w->inner = pair[0];
    fcntl(w->inner, F_SETFL, O_NONBLOCK);
    w->tls->hand(w->tls->arg, pair[1]);
    r = tls_get(w, w->inner, b, TLS_VERSION_LEN);
    r = r ? r : tls_put(w, w->inner, tls_version, TLS_VERSION_LEN);
    r = r ? r : tls_get(w, w->inner, b, 1);
    n = r ? 0 : b[0];
    r = r ? r : n ? tls_get(w, w->inner, b, n) : -EPROTO;
    if (r)
        return r;
    *security = memchr(b, SECURITY_VNC, n) ? SECURITY_VNC : SECURITY_NONE;
    return memchr(b, *security, n) ? tls_put(w, w->inner, security, 1) : -EPROTO;
}

/* ---- the viewer's side ---- */

static int tls_version_of(struct vnc_viewer *w)
{
    u8 b[TLS_VERSION_LEN];
    int r = tls_put(w, w->fd, tls_version, TLS_VERSION_LEN);

    r = r ? r : tls_get(w, w->fd, b, sizeof(b));
    return r ? r : memcmp(b, "RFB 003.008", 11) < 0 ? -EPROTO : 0;
}

/* VeNCrypt: its version, then the one kind that there is. */
static int tls_kind(struct vnc_viewer *w, u8 security)
{
    u32 kind = w->tls->named ? X509_NONE : TLS_NONE;
    u8 b[6];
    int r = tls_put(w, w->fd, (const u8[]){ 1, SECURITY_VENCRYPT }, 2);

    kind += security == SECURITY_VNC ? 1 : 0;
    r = r ? r : tls_get(w, w->fd, b, 1);
    if (!r && b[0] != SECURITY_VENCRYPT)
        r = -EPROTO;
    r = r ? r : tls_put(w, w->fd, (const u8[]){ 0, 2 }, 2);
    r = r ? r : tls_get(w, w->fd, b, 2);
    if (!r && (b[0] || b[1] != 2)) {
        tls_put(w, w->fd, (const u8[]){ 0xff }, 1);
        r = -EPROTO;
    }
    b[0] = 0; /* that version it is */
    b[1] = 1; /* kinds */
    put_be32(b + 2, kind);
    r = r ? r : tls_put(w, w->fd, b, 6);
    r = r ? r : tls_get(w, w->fd, b, 4);
    if (!r && be32(b) != kind) {
        tls_put(w, w->fd, (const u8[]){ 0 }, 1);
        r = -EPROTO;
    }
    return r ? r : tls_put(w, w->fd, (const u8[]){ 1 }, 1);
}

static int tls_handshake(struct vnc_viewer *w)
{
    int r = 0;

    w->ssl = SSL_new(w->tls->ctx);
    if (!w->ssl || !SSL_set_fd(w->ssl, w->fd))
        return -ENOMEM;
    while (!r) {
        int got = SSL_accept(w->ssl), why = SSL_get_error(w->ssl, got);

        if (got == 1)
            return 0;
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return -EPROTO;
        r = tls_wait(w, w->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
    }
    return r;
}

/* ---- bytes on their way ---- */

struct tls_flow {
    u8 b[TLS_BYTES];
    size_t at, n; /* what is still to go: n bytes from at */
    short wait;   /* the viewer's side waits for this, whatever it does */
};

/* What the TLS library answered: bytes, 0 to wait, negative at the end. */
static int tls_result(struct vnc_viewer *w, int got, struct tls_flow *f)
{
    int why = got > 0 ? SSL_ERROR_NONE : SSL_get_error(w->ssl, got);

    f->wait = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
    return got > 0 ? got : f->wait ? 0 : -EPIPE;
}

static int tls_socket_result(ssize_t got)
{
    return got > 0 ? (int)got : got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

/* One step of one direction: in when it is empty, out when it is not.  Bytes moved, or negative. */
static int tls_step(struct vnc_viewer *w, struct tls_flow *f, bool to_server)
{
    bool out = f->n;
    u8 *p = f->b + f->at;
    int r;

    if (to_server == out)
        r = tls_socket_result(out ? send(w->inner, p, f->n, MSG_NOSIGNAL)
                                  : recv(w->inner, f->b, TLS_BYTES, 0));
    else
        r = tls_result(w, out ? SSL_write(w->ssl, p, (int)f->n) : SSL_read(w->ssl, f->b, TLS_BYTES),
                       f);
    if (r > 0 && out) {
        f->at += (size_t)r;
        f->n -= (size_t)r;
    } else if (r > 0) {
        f->at = 0;
        f->n = (size_t)r;
    }
    return r;
}

static void tls_relay(struct vnc_viewer *w)
{
    struct tls_flow up = { .n = 0 }, down = { .n = 0 };

    for (;;) {
        struct pollfd p[] = { { w->tls->stop, POLLIN, 0 }, { w->fd, 0, 0 }, { w->inner, 0, 0 } };
        int a = tls_step(w, &up, true), b = a < 0 ? a : tls_step(w, &down, false);

        if (a < 0 || b < 0)
            return;
        if (a || b)
            continue;
        p[1].events = (up.n ? 0 : up.wait) | (down.n ? down.wait : 0);
        p[2].events = (up.n ? POLLOUT : 0) | (down.n ? 0 : POLLIN);
        for (u32 i = 1; i < LEN(p); i++) /* else a closed one would wake us */
            p[i].fd = p[i].events ? p[i].fd : -1;
        if ((poll(p, LEN(p), -1) < 0 && errno != EINTR) || p[0].revents)
            return;
    }
}

/* ---- viewers ---- */

/* A browser does not wait for our first words. */
static bool tls_speaks_first(struct vnc_viewer *w)
{
    struct pollfd p = { w->fd, POLLIN, 0 };

    return poll(&p, 1, TLS_SPEAKS_FIRST_MS) > 0;
}

static void *tls_viewer(void *arg)
{
    struct vnc_viewer *w = arg;
    u8 security = 0;
    int r;

    w->until = loop_now() + TLS_PATIENCE_NS;
    if (tls_speaks_first(w)) {
        w->tls->hand(w->tls->arg, w->fd);
        w->fd = -1;
    } else {
        fcntl(w->fd, F_SETFL, O_NONBLOCK);
        r = tls_version_of(w);
        r = r ? r : tls_server(w, &security);
        r = r ? r : tls_kind(w, security);
        r = r ? r : tls_handshake(w);
        if (!r)
            tls_relay(w);
    }
    ERR_clear_error();
    SSL_free(w->ssl);
    if (w->inner >= 0)
        close(w->inner);
    if (w->fd >= 0)
        close(w->fd);
    pthread_mutex_lock(&w->tls->lock);
    w->ended = true;
    pthread_mutex_unlock(&w->tls->lock);
    return NULL;
}

/* A place for one more; those that went are taken away. */
static struct vnc_viewer *tls_place(struct vnc_tls *t)
{
    struct vnc_viewer *place = NULL;

    pthread_mutex_lock(&t->lock);
    for (u32 i = 0; i < TLS_VIEWERS; i++) {
        struct vnc_viewer *w = &t->viewer[i];

        if (w->used && w->ended) {
            pthread_join(w->thread, NULL);
            w->used = false;
        }
        if (!w->used)
            place = w;
    }
    pthread_mutex_unlock(&t->lock);
    return place;
}

void vnc_tls_take(struct vnc_tls *t, int fd)
{
    struct vnc_viewer *w = tls_place(t);

    if (w) {
        *w = (struct vnc_viewer){ .tls = t, .fd = fd, .inner = -1 };
        w->used = !pthread_create(&w->thread, NULL, tls_viewer, w);
    }
    if (!w || !w->used)
        close(fd);
}

/* ---- life ---- */

static int tls_certificate(struct vnc_tls *t, const char *file, struct err *e)
{
    if (access(file, R_OK))
        return err_set(e, -errno, "%s: %s", file, strerror(errno));
    if (SSL_CTX_use_certificate_chain_file(t->ctx, file) != 1 ||
        SSL_CTX_use_PrivateKey_file(t->ctx, file, SSL_FILETYPE_PEM) != 1)
        return err_set(e, -EINVAL, "%s: expected a certificate and its key, in PEM", file);
    t->named = true;
    return 0;
}

/* Without a certificate there is nothing in TLS 1.3. */
static int tls_anonymous(struct vnc_tls *t, struct err *e)
{
    if (!SSL_CTX_set_max_proto_version(t->ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(t->ctx, "aNULL:!eNULL:@SECLEVEL=0"))
        return err_set(e, -EOPNOTSUPP, "this OpenSSL has no TLS without a certificate");
    return 0;
}

int vnc_tls_new(struct vnc_tls **out, const char *file, void (*hand)(void *arg, int fd), void *arg,
                struct err *e)
{
    struct vnc_tls *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return err_set(e, -ENOMEM, "no memory for a VNC server");
    pthread_mutex_init(&t->lock, NULL);
    t->hand = hand;
    t->arg = arg;
    t->stop = eventfd(0, EFD_CLOEXEC);
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (t->stop < 0 || !t->ctx || !SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION))
        r = err_set(e, -ENOMEM, "no TLS for the VNC server");
    else
        r = strcmp(file, "anonymous") ? tls_certificate(t, file, e) : tls_anonymous(t, e);
    ERR_clear_error();
    if (r) {
        vnc_tls_free(t);
        return r;
    }
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_num_tickets(t->ctx, 0); /* behind one, TigerVNC 1.12 waits for ever */
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    *out = t;
    return 0;
}

void vnc_tls_free(struct vnc_tls *t)
{
    u64 one = 1;
    bool told;

    if (!t)
        return;
    told = t->stop >= 0 && write(t->stop, &one, sizeof(one)) == sizeof(one);
    for (u32 i = 0; told && i < TLS_VIEWERS; i++)
        if (t->viewer[i].used)
            pthread_join(t->viewer[i].thread, NULL);
    SSL_CTX_free(t->ctx);
    if (t->stop >= 0)
        close(t->stop);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
