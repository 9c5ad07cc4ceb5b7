/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's server: connections, lines, calls.  Everything is bounded: lines,
 * connections, open calls, what waits to be sent.  Who breaks a bound is hung up on; a peer
 * of another user is not listened to.
 */
#include "vm/control.h"
#include "base/buf.h"
#include "base/loop.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONTROL_PEERS = 32,
    CONTROL_CALLS = 16, /* open ones of a peer */
    CONTROL_LINE = 64 << 10,
    CONTROL_BACKLOG = 4 << 20, /* bytes that a slow peer may leave unread */
    CONTROL_FDS = 4,
    CONTROL_LAST_MS = 1000, /* for the last words */
};

struct control_peer {
    struct control *control;
    int fd;
    struct loop_watch *watch;
    struct buf in, out;
    size_t sent;
    int fds[CONTROL_FDS];
    u32 nfds, ncalls;
    struct control_peer *next;
};

struct control_call {
    struct control *control;
    struct control_peer *peer; /* NULL: hung up */
    struct control_request request;
    int fds[CONTROL_FDS];
    u32 nfds;
    void (*gone)(void *arg);
    void *gone_arg;
    struct control_call *next;
};

struct control {
    struct vm *vm;
    struct loop *loop;
    int fd;
    struct loop_watch *watch;
    struct control_peer *peers;
    struct control_call *calls;
    u32 npeers;
    char path[4096];
};

/* ---- peers ---- */

static void control_fds_close(int *fds, u32 n)
{
    for (u32 i = 0; i < n; i++)
        close(fds[i]);
}

static void control_call_gone(struct control_call *c)
{
    void (*gone)(void *arg) = c->gone;

    c->peer = NULL;
    c->gone = NULL;
    if (gone)
        gone(c->gone_arg);
}

static void control_hang_up(struct control_peer *p)
{
    struct control *s = p->control;
    struct control_peer **link;

    for (link = &s->peers; *link != p; link = &(*link)->next)
        continue;
    *link = p->next;
    s->npeers--;
    for (struct control_call *c = s->calls, *next; c; c = next) {
        next = c->next;
        if (c->peer == p)
            control_call_gone(c);
    }
    loop_watch_drop(p->watch);
    control_fds_close(p->fds, p->nfds);
    close(p->fd);
    buf_fini(&p->in);
    buf_fini(&p->out);
    free(p);
}

/* false: the peer is gone. */
static bool control_flush(struct control_peer *p)
{
    while (p->sent < p->out.len) {
        ssize_t n =
            send(p->fd, p->out.p + p->sent, p->out.len - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        p->sent += (size_t)n;
    }
    p->out.len = p->sent = 0;
    return true;
}

static void control_want(struct control_peer *p)
{
    loop_watch_set(p->watch, LOOP_READ | (p->out.len ? LOOP_WRITE : 0));
}

/* One line out; a peer that does not read is left to its fate at the next look at it. */
static void control_send(struct control_peer *p, json_t *take_line)
{
    char *text = json_dumps(take_line, JSON_COMPACT);

    json_decref(take_line);
    if (text && p->out.len < CONTROL_BACKLOG && !buf_add(&p->out, text, strlen(text)))
        buf_add(&p->out, "\n", 1);
    free(text);
    if (!control_flush(p) || p->out.len >= CONTROL_BACKLOG)
        shutdown(p->fd, SHUT_RDWR); /* its watch finds out, when no handler is above us */
    control_want(p);
}

static json_t *control_line(const struct control_request *r, const char *key, json_t *take_body)
{
    json_t *line = json_object();

    if (r->has_id)
        json_object_set_new(line, "id", json_integer(r->id));
    json_object_set_new(line, key, take_body ? take_body : json_object());
    return line;
}

static json_t *control_error(int code, const char *text)
{
    const char *name = strerrorname_np(code < 0 ? -code : code);
    json_t *said = json_string(text); /* NULL: a path in it is no UTF-8 */

    return json_pack("{s:s, s:o}", "code", name ? name : "EIO", "text",
                     said ? said : json_string("the reason cannot be put into words"));
}

/* ---- calls ---- */

json_t *control_args(const struct control_call *c)
{
    return c->request.args;
}

const char *control_text(const struct control_call *c, const char *key)
{
    return json_string_value(json_object_get(c->request.args, key));
}

bool control_flag(const struct control_call *c, const char *key)
{
    return json_is_true(json_object_get(c->request.args, key));
}

int control_take_fd(struct control_call *c)
{
    int fd = c->nfds ? c->fds[0] : -1;

    if (c->nfds)
        memmove(c->fds, c->fds + 1, --c->nfds * sizeof(c->fds[0]));
    return fd;
}

void control_event(struct control_call *c, const char *event, json_t *take_body)
{
    json_t *line;

    if (!c->peer) {
        json_decref(take_body);
        return;
    }
    line = control_line(&c->request, "body", take_body);
    json_object_set_new(line, "event", json_string(event));
    control_send(c->peer, line);
}

static void control_end(struct control_call *c, json_t *take_line)
{
    struct control_call **link;

    for (link = &c->control->calls; *link != c; link = &(*link)->next)
        continue;
    *link = c->next;
    if (c->peer) {
        c->peer->ncalls--;
        control_send(c->peer, take_line);
    } else {
        json_decref(take_line);
    }
    control_fds_close(c->fds, c->nfds);
    json_decref(c->request.args);
    free(c);
}

void control_answer(struct control_call *c, json_t *take_body)
{
    control_end(c, control_line(&c->request, "result", take_body));
}

void control_fail(struct control_call *c, int code, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    control_end(c, control_line(&c->request, "error", control_error(code, text)));
}

void control_on_gone(struct control_call *c, void (*gone)(void *arg), void *arg)
{
    c->gone = gone;
    c->gone_arg = arg;
}

/* ---- lines in ---- */

int control_parse(struct control_request *r, const char *line, size_t n, struct err *e)
{
    json_error_t why;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why), *id, *args;
    const char *call = json_string_value(json_object_get(o, "call"));

    *r = (struct control_request){ 0 };
    id = json_object_get(o, "id");
    args = json_object_get(o, "args");
    if (!o)
        err_set(e, -EBADMSG, "no JSON: %s", why.text);
    else if (!call || strlen(call) >= sizeof(r->call))
        err_set(e, -EBADMSG, "\"call\" does not name anything");
    else if ((id && !json_is_integer(id)) || (args && !json_is_object(args)))
        err_set(e, -EBADMSG, "\"id\" is a number and \"args\" an object");
    else
        snprintf(r->call, sizeof(r->call), "%s", call);
    if (id && json_is_integer(id)) {
        r->has_id = true;
        r->id = json_integer_value(id);
    }
    if (r->call[0])
        r->args = args ? json_incref(args) : json_object();
    json_decref(o);
    return r->call[0] ? 0 : -EBADMSG;
}

static const struct control_verb *control_verb(const char *name)
{
    for (u32 i = 0; control_tables[i]; i++)
        for (const struct control_verb *v = control_tables[i]; v->name; v++)
            if (!strcmp(v->name, name))
                return v;
    return NULL;
}

static void control_refuse(struct control_peer *p, const struct control_request *r, int code,
                           const char *text)
{
    control_send(p, control_line(r, "error", control_error(code, text)));
}

static void control_request(struct control_peer *p, const char *line, size_t n)
{
    const struct control_verb *v;
    struct control_request r;
    struct control_call *c;
    struct err e = { 0 };

    if (control_parse(&r, line, n, &e)) {
        control_refuse(p, &r, -EBADMSG, e.text);
        return;
    }
    v = control_verb(r.call);
    c = v && p->ncalls < CONTROL_CALLS ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        if (v)
            control_refuse(p, &r, -EBUSY, "too many calls are open");
        else
            control_refuse(p, &r, -ENOSYS, "there is no such call");
        json_decref(r.args);
        return;
    }
    c->control = p->control;
    c->peer = p;
    c->request = r;
    memcpy(c->fds, p->fds, sizeof(c->fds));
    c->nfds = p->nfds;
    p->nfds = 0;
    p->ncalls++;
    c->next = p->control->calls;
    p->control->calls = c;
    v->run(p->control->vm, c);
}

/* Whole lines of what came; false: a line without end. */
static bool control_lines(struct control_peer *p)
{
    size_t at = 0;
    u8 *end;

    while ((end = memchr(p->in.p + at, '\n', p->in.len - at))) {
        size_t n = (size_t)(end - (p->in.p + at));

        if (n)
            control_request(p, (const char *)p->in.p + at, n);
        at += n + 1;
    }
    memmove(p->in.p, p->in.p + at, p->in.len - at);
    p->in.len -= at;
    return p->in.len < CONTROL_LINE;
}

static void control_take_fds(struct control_peer *p, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        u32 n = (u32)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        int fd;

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (u32 i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
            if (p->nfds < CONTROL_FDS)
                p->fds[p->nfds++] = fd;
            else
                close(fd);
        }
    }
}

/* 1: more may come; 0: later; -1: hung up. */
static int control_receive(struct control_peer *p)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
        struct cmsghdr align;
    } extra;
    u8 b[16 << 10];
    struct iovec v = { b, sizeof(b) };
    struct msghdr m = { .msg_iov = &v,
                        .msg_iovlen = 1,
                        .msg_control = extra.bytes,
                        .msg_controllen = sizeof(extra.bytes) };
    ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    control_take_fds(p, &m);
    if (!n || buf_add(&p->in, b, (size_t)n))
        return -1;
    return 1;
}

static void control_ready(void *arg, u32 events)
{
    struct control_peer *p = arg;
    int r = 0;

    if (events & LOOP_READ)
        r = control_receive(p);
    if (r > 0 && !control_lines(p)) {
        control_refuse(p, &(struct control_request){ 0 }, -E2BIG, "the line is too long");
        r = -1;
    }
    if (r < 0 || !control_flush(p)) {
        control_hang_up(p);
        return;
    }
    control_want(p);
}

/* ---- the listening end ---- */

static bool control_may(int fd)
{
    struct ucred who;
    socklen_t n = sizeof(who);

    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) &&
           (who.uid == geteuid() || who.uid == 0);
}

static void control_knock(void *arg, u32 events)
{
    struct control *s = arg;
    struct control_peer *p;
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    p = control_may(fd) && s->npeers < CONTROL_PEERS ? calloc(1, sizeof(*p)) : NULL;
    if (!p || loop_watch_add(s->loop, fd, LOOP_READ, control_ready, p, &p->watch)) {
        free(p);
        close(fd);
        return;
    }
    p->control = s;
    p->fd = fd;
    p->next = s->peers;
    s->peers = p;
    s->npeers++;
}

/* A directory that is ours alone, or we would talk to whoever made it. */
static int control_make_dir(const char *dir, struct err *e)
{
    struct stat st;

    int r = vm_make_dirs(dir, e);

    if (r)
        return r;
    if (lstat(dir, &st))
        return err_set(e, -errno, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
        return err_set(e, -EPERM, "%s: not a directory that only we can write to", dir);
    return 0;
}

/* Through the directory's descriptor: names of sockets have room for 107 characters. */
static int control_listen(struct control *s, const char *dir, const char *file, struct err *e)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), r = 0;
    mode_t mask;

    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d < 0 || s->fd < 0) {
        r = err_set(e, -errno, "%s: %s", dir, strerror(errno));
    } else {
        snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%.80s", d, file);
        unlinkat(d, file, 0); /* of a process that had our number before */
        mask = umask(0177);
        if (bind(s->fd, (struct sockaddr *)&at, sizeof(at)) || listen(s->fd, CONTROL_PEERS))
            r = err_set(e, -errno, "%s/%s: %s", dir, file, strerror(errno));
        umask(mask);
    }
    if (d >= 0)
        close(d);
    return r;
}

int control_open(struct control **out, struct vm *vm, const char *dir, const char *name,
                 struct loop *l, struct err *e)
{
    struct control *s = calloc(1, sizeof(*s));
    char clean[48], file[80];
    int r;

    if (!s)
        return err_set(e, -ENOMEM, "out of memory");
    s->vm = vm;
    s->loop = l;
    s->fd = -1;
    control_name(name, clean, sizeof(clean));
    snprintf(file, sizeof(file), "%s-%d.sock", clean, (int)getpid());
    r = control_make_dir(dir, e);
    r = r ? r : control_listen(s, dir, file, e);
    if (!r)
        snprintf(s->path, sizeof(s->path), "%s/%s", dir, file);
    if (!r && loop_watch_add(l, s->fd, LOOP_READ, control_knock, s, &s->watch))
        r = err_set(e, -ENOMEM, "out of memory");
    if (r) {
        control_close(s);
        return r;
    }
    *out = s;
    return 0;
}

const char *control_path(const struct control *c)
{
    return c->path;
}

static void control_last_words(struct control_peer *p)
{
    struct pollfd ready = { .fd = p->fd, .events = POLLOUT };

    while (control_flush(p) && p->out.len)
        if (poll(&ready, 1, CONTROL_LAST_MS) <= 0)
            break;
}

void control_close(struct control *s)
{
    if (!s)
        return;
    while (s->calls) {
        struct control_call *c = s->calls;

        if (c->gone)
            c->gone(c->gone_arg);
        if (s->calls == c)
            control_fail(c, -ESHUTDOWN, "the VM has ended");
    }
    while (s->peers) {
        control_last_words(s->peers);
        control_hang_up(s->peers);
    }
    loop_watch_drop(s->watch);
    if (s->fd >= 0)
        close(s->fd);
    if (s->path[0])
        unlink(s->path);
    free(s);
}

/* ---- names ---- */

int control_dir(char *path, size_t room)
{
    const char *run = getenv("XDG_RUNTIME_DIR"), *state = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");
    int n;

    if (run && *run)
        n = snprintf(path, room, "%s/mimic", run);
    else if (state && *state)
        n = snprintf(path, room, "%s/mimic/run", state);
    else if (home && *home)
        n = snprintf(path, room, "%s/.local/state/mimic/run", home);
    else
        n = snprintf(path, room, "/var/tmp/mimic-%u", (unsigned)geteuid());
    return n < 0 || (size_t)n >= room ? -ENAMETOOLONG : 0;
}

void control_name(const char *name, char *to, size_t room)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = 0;

    for (; *name && n + 1 < room; name++)
        to[n++] = strchr(plain, *name) ? *name : '_';
    to[n] = 0;
    if (to[0] == '.')
        to[0] = '_';
}
