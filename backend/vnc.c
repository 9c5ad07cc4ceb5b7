/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VNC by libvncserver.  We listen ourselves, so that a Unix socket serves as well, and give
 * it each connection.  What may be new of the picture is taken 25 times a second while somebody
 * looks, and only what differs from the last one is sent.
 *
 * The library has TLS for web sockets only: other viewers that encrypt are met by vnc_tls.c.
 */
#include "backend/keys.h"
#include "backend/vnc_int.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT_FIRST = 5900, PORT_TRIES = 100, FRAME_US = 40000, TILE = 64, BACKLOG = 8 };
/* ---- the picture ---- */

static u32 vnc_pixel(u32 rgb)
{
    return (rgb & 0xff00) | (rgb >> 16 & 0xff) | (rgb & 0xff) << 16;
}

static int vnc_size(struct vnc *v, u32 width, u32 height)
{
    u32 *shown = calloc((size_t)width * height, sizeof(*shown));

    if (!shown)
        return -ENOMEM;
    rfb.new_framebuffer(v->screen, (char *)shown, (int)width, (int)height, 8, 3, 4);
    free(v->shown);
    v->shown = shown;
    v->width = width;
    v->height = height;
    return 0;
}

/* One tile: is anything new?  It is shown then. */
static bool vnc_tile(struct vnc *v, const struct vnc_picture *p, u32 x, u32 y, u32 wide, u32 high)
{
    bool differs = false;

    for (u32 row = y; row < y + high; row++) {
        const u32 *from = p->pixel + (size_t)(row - p->y) * p->wide + (x - p->x);
        u32 *to = v->shown + (size_t)row * v->width + x;

        for (u32 i = 0; i < wide; i++) {
            u32 pixel = vnc_pixel(from[i]);

            differs |= to[i] != pixel;
            to[i] = pixel;
        }
    }
    return differs;
}

static void vnc_picture(struct vnc *v)
{
    struct vnc_picture p = { 0 };

    if (v->how.picture(v->how.arg, &p) || !p.width || !p.height)
        p.wide = 0;
    else if ((p.width != v->width || p.height != v->height) && vnc_size(v, p.width, p.height))
        p.wide = 0;
    for (u32 y = p.y; p.wide && y < p.y + p.high; y += TILE)
        for (u32 x = p.x; x < p.x + p.wide; x += TILE) {
            u32 wide = (u32)min_u64(TILE, p.x + p.wide - x);
            u32 high = (u32)min_u64(TILE, p.y + p.high - y);

            if (vnc_tile(v, &p, x, y, wide, high))
                rfb.mark_rect(v->screen, (int)x, (int)y, (int)(x + wide), (int)(y + high));
        }
    free(p.pixel);
}

/* ---- keyboard and pointer ---- */

enum { KEY_SHIFT = 0x2a, KEY_SHIFT_RIGHT = 0x36, KEY_CAPS = 0x3a };

/*
 * Viewers that type a text, and keyboards on glass, send "A" or "!" and no Shift: the guest gets
 * one around the key.  Not for letters while Caps Lock makes them capitals.
 */
static void vnc_key(rfbBool down, rfbKeySym symbol, rfbClientPtr client)
{
    struct vnc *v = client->screen->screenData;
    bool shift, letter = symbol >= 'A' && symbol <= 'Z';
    u16 code = keys_symbol(symbol, &shift);
    u32 held = code == KEY_SHIFT ? 1 : code == KEY_SHIFT_RIGHT ? 2 : 0;

    if (!code)
        return;
    v->shifts = down ? v->shifts | held : v->shifts & ~held;
    v->caps ^= down && code == KEY_CAPS;
    shift = shift && down && !v->shifts && !(letter && v->caps);
    if (shift)
        v->how.key(v->how.arg, KEY_SHIFT, true);
    v->how.key(v->how.arg, code, down);
    if (shift)
        v->how.key(v->how.arg, KEY_SHIFT, false);
}

/* RFC 6143 7.5.5: bit 0 left, 1 middle, 2 right; 3 and 4 are clicks of the wheel. */
static void vnc_pointer(int mask, int x, int y, rfbClientPtr client)
{
    struct vnc *v = client->screen->screenData;
    u32 m = (u32)mask, buttons = (m & 1) | (m & 4) >> 1 | (m & 2) << 1, fresh = m & ~v->buttons;
    i32 wheel = (fresh & 8 ? 1 : 0) - (fresh & 16 ? 1 : 0);

    v->buttons = m;
    if (x < 0 || y < 0 || (u32)x >= v->width || (u32)y >= v->height)
        return;
    v->how.pointer(v->how.arg, v->width > 1 ? (u32)x * 0xffff / (v->width - 1) : 0,
                   v->height > 1 ? (u32)y * 0xffff / (v->height - 1) : 0, wheel, buttons);
}

/* ---- who looks ---- */

static void vnc_viewer(struct vnc *v, int fd)
{
    if (fd >= FD_SETSIZE) /* the library selects */
        close(fd);
    else
        rfb.new_client(v->screen, fd);
}

static void vnc_accept(struct vnc *v)
{
    int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0 && v->tls)
        vnc_tls_take(v->tls, fd);
    else if (fd >= 0)
        vnc_viewer(v, fd);
}

void vnc_wake(struct vnc *v)
{
    u64 one = 1;

    if (write(v->wake, &one, sizeof(one)) < 0)
        return; /* it is awake already */
}

/* Any thread: a plain connection for the server. */
static void vnc_hand(void *arg, int fd)
{
    struct vnc *v = arg;
    bool taken;

    pthread_mutex_lock(&v->lock);
    taken = v->nhanded < VNC_HANDED;
    if (taken)
        v->handed[v->nhanded++] = fd;
    pthread_mutex_unlock(&v->lock);
    if (taken)
        vnc_wake(v);
    else
        close(fd);
}

static void vnc_woken(struct vnc *v)
{
    int fds[VNC_HANDED];
    u64 count;
    u32 n;

    if (read(v->wake, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&v->lock);
    n = v->nhanded;
    memcpy(fds, v->handed, n * sizeof(*fds));
    v->nhanded = 0;
    pthread_mutex_unlock(&v->lock);
    for (u32 i = 0; i < n; i++)
        vnc_viewer(v, fds[i]);
    vnc_desk_cut(v);
}

static void *vnc_serve(void *arg)
{
    struct vnc *v = arg;
    sigset_t all;

    sigfillset(&all); /* a viewer that went is an error of write here */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        struct pollfd p[] = { { v->stop, POLLIN, 0 },
                              { v->listener, POLLIN, 0 },
                              { v->wake, POLLIN, 0 } };

        if (poll(p, LEN(p), v->screen->clientHead ? 0 : -1) < 0 && errno != EINTR)
            return NULL;
        if (p[0].revents)
            return NULL;
        if (p[1].revents)
            vnc_accept(v);
        if (p[2].revents)
            vnc_woken(v);
        if (!v->screen->clientHead)
            continue;
        vnc_picture(v);
        vnc_shape(v);
        rfb.process_events(v->screen, FRAME_US);
    }
}

/* ---- where ---- */

static int vnc_listen_path(struct vnc *v, struct err *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    mode_t mask;
    int r;

    if (strlen(v->how.at) >= sizeof(a.sun_path))
        return err_set(e, -ENAMETOOLONG, "%s: too long for a socket's name", v->how.at);
    strcpy(a.sun_path, v->how.at);
    snprintf(v->where, sizeof(v->where), "%s", v->how.at);
    v->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (v->listener < 0)
        return err_set(e, -errno, "no socket: %s", strerror(errno));
    mask = umask(077);
    r = bind(v->listener, (struct sockaddr *)&a, sizeof(a));
    umask(mask);
    if (r || listen(v->listener, BACKLOG))
        return err_set(e, -errno, "VNC at %s: %s", v->how.at, strerror(errno));
    v->is_path = true;
    return 0;
}

static int vnc_bind(struct vnc *v, const char *host, u32 port, struct err *e)
{
    struct addrinfo hint = { .ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV },
                    *a;
    char text[16];
    int r, one = 1;

    snprintf(text, sizeof(text), "%u", port);
    r = getaddrinfo(host, text, &hint, &a);
    if (r)
        return err_set(e, -EINVAL, "VNC at %s: %s", host, gai_strerror(r));
    v->listener = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(v->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    r = bind(v->listener, a->ai_addr, a->ai_addrlen) || listen(v->listener, BACKLOG) ? -errno : 0;
    freeaddrinfo(a);
    if (!r) {
        snprintf(v->where, sizeof(v->where), "%.200s:%u", host, port);
        return 0;
    }
    close(v->listener);
    v->listener = -1;
    return err_set(e, r, "VNC at %s:%u: %s", host, port, strerror(-r));
}

static int vnc_listen_port(struct vnc *v, const char *at, struct err *e)
{
    const char *colon = strrchr(at, ':'), *digits = colon ? colon + 1 : at;
    char host[200] = "127.0.0.1", *end;
    unsigned long port = strtoul(digits, &end, 10);
    int r;

    if (!*digits || *end || port > 65535 || (colon && colon - at >= (int)sizeof(host)))
        return err_set(e, -EINVAL, "VNC at %s: expected PORT, HOST:PORT, or a path with a /", at);
    if (colon)
        snprintf(host, sizeof(host), "%.*s", (int)(colon - at), at);
    if (port)
        return vnc_bind(v, host, (u32)port, e);
    for (u32 i = 0; i < PORT_TRIES; i++) {
        r = vnc_bind(v, host, PORT_FIRST + i, e);
        if (r != -EADDRINUSE)
            return r;
    }
    return r;
}

static int vnc_password(struct vnc *v, struct err *e)
{
    FILE *f = v->how.password ? fopen(v->how.password, "re") : NULL;
    size_t n;

    if (!v->how.password)
        return 0;
    if (!f)
        return err_set(e, -errno, "%s: %s", v->how.password, strerror(errno));
    if (!fgets(v->password, sizeof(v->password), f))
        v->password[0] = 0;
    fclose(f);
    n = strcspn(v->password, "\r\n");
    v->password[n] = 0;
    if (!n || n > VNC_PASSWORD_MAX)
        return err_set(e, -EINVAL,
                       "%s: expected a first line of 1 to %d characters, which is all "
                       "that VNC's password can be",
                       v->how.password, VNC_PASSWORD_MAX);
    v->passwords[0] = v->password;
    v->screen->authPasswdData = v->passwords;
    v->screen->passwordCheck = rfb.check_password;
    return 0;
}

static int vnc_screen(struct vnc *v, struct err *e)
{
    int argc = 0, r = vnc_library(e);

    if (r)
        return r;
    rfb.log_enable(0);
    v->screen = rfb.get_screen(&argc, NULL, 640, 480, 8, 3, 4);
    v->shown = v->screen ? calloc(640 * 480, sizeof(*v->shown)) : NULL;
    if (!v->shown)
        return err_set(e, -ENOMEM, "no memory for a VNC server");
    v->width = 640;
    v->height = 480;
    v->screen->frameBuffer = (char *)v->shown;
    v->screen->screenData = v;
    v->screen->desktopName = v->how.name;
    v->screen->port = v->screen->ipv6port = -1;
    v->screen->alwaysShared = TRUE;
    v->screen->cursor = NULL;
    v->screen->kbdAddEvent = vnc_key;
    v->screen->ptrAddEvent = vnc_pointer;
    v->screen->deferUpdateTime = 0;
    vnc_desk(v);
    if (!v->how.tls)
        return 0;
    if (strcmp(v->how.tls, "anonymous")) /* for browsers */
        v->screen->sslcertfile = v->certificate = strdup(v->how.tls);
    return vnc_tls_new(&v->tls, v->how.tls, vnc_hand, v, e);
}

int vnc_open(struct vnc **out, const struct vnc_how *how, struct err *e)
{
    struct vnc *v = calloc(1, sizeof(*v));
    const char *at = how->at ? how->at : "0";
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "no memory for a VNC server");
    v->how = *how;
    v->listener = -1;
    pthread_mutex_init(&v->lock, NULL);
    v->stop = eventfd(0, EFD_CLOEXEC);
    v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = v->stop < 0 || v->wake < 0 ? err_set(e, -errno, "no VNC server: %s", strerror(errno)) : 0;
    r = r ? r : vnc_screen(v, e);
    r = r ? r : vnc_password(v, e);
    r = r ? r : strchr(at, '/') ? vnc_listen_path(v, e) : vnc_listen_port(v, at, e);
    if (!r && pthread_create(&v->thread, NULL, vnc_serve, v))
        r = err_set(e, -EAGAIN, "no thread for the VNC server");
    if (r) {
        vnc_close(v);
        return r;
    }
    v->has_thread = true;
    *out = v;
    return 0;
}

const char *vnc_where(const struct vnc *v)
{
    return v->where;
}

void vnc_close(struct vnc *v)
{
    u64 one = 1;

    if (!v)
        return;
    if (v->has_thread && write(v->stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(v->thread, NULL);
    vnc_tls_free(v->tls);
    for (u32 i = 0; i < v->nhanded; i++)
        close(v->handed[i]);
    if (v->screen) {
        rfb.shutdown_server(v->screen, TRUE);
        v->screen->sslcertfile = NULL;
        rfb.screen_cleanup(v->screen);
    }
    if (v->listener >= 0)
        close(v->listener);
    if (v->is_path)
        unlink(v->where);
    if (v->stop >= 0)
        close(v->stop);
    if (v->wake >= 0)
        close(v->wake);
    pthread_mutex_destroy(&v->lock);
    free(v->shown);
    free(v->certificate);
    free(v->cut);
    free(v);
}
