/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's end of a VM's control socket: who is there, asking, waiting for the answer. */
#include "cmd/call.h"
#include "base/buf.h"
#include "vm/control.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALL_FDS = 4, CALL_LINE = 16 << 20 };

struct call {
    int fd, patience;
    char vm[256];
    struct buf in;
    size_t at; /* what was taken of it */
};

/* ---- who is there ---- */

static int call_connect(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *slash = strrchr(path, '/');
    char dir[4096];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), d, r = 0;

    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC); /* names of sockets are short */
    snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%.80s", d,
             slash ? slash + 1 : path);
    if (fd < 0 || d < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
        r = -errno;
    if (d >= 0)
        close(d);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

/* "web-1234.sock": the number, and how long the name before it is; 0: another file. */
static int call_number(const char *file, size_t *name)
{
    const char *dash = strrchr(file, '-');
    char rest[8] = "";
    int pid = 0;

    if (!dash || sscanf(dash + 1, "%d%7s", &pid, rest) != 2 || strcmp(rest, ".sock") || pid <= 0)
        return 0;
    *name = (size_t)(dash - file);
    return pid;
}

static int call_sockets(void (*one)(void *arg, const char *path, const char *file), void *arg,
                        struct err *e)
{
    char dir[4096], path[4400];
    struct dirent *f;
    DIR *d;

    if (control_dir(dir, sizeof(dir)))
        return err_set(e, -ENAMETOOLONG, "the directory of sockets has too long a name");
    d = opendir(dir);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_set(e, -errno, "%s: %s", dir, strerror(errno));
    while ((f = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
        one(arg, path, f->d_name);
    }
    closedir(d);
    return 0;
}

struct call_each {
    void (*one)(void *arg, const char *path, int pid);
    void *arg;
};

static void call_each_one(void *arg, const char *path, const char *file)
{
    struct call_each *each = arg;
    size_t name;
    int pid = call_number(file, &name), fd;

    if (!pid)
        return;
    fd = call_connect(path);
    if (fd >= 0) {
        close(fd);
        each->one(each->arg, path, pid);
    } else if (fd == -ECONNREFUSED) {
        unlink(path); /* left by a process that was killed */
    }
}

int call_each(void (*one)(void *arg, const char *path, int pid), void *arg, struct err *e)
{
    struct call_each each = { one, arg };

    return call_sockets(call_each_one, &each, e);
}

struct call_find {
    const char *vm;
    char clean[48], path[4400];
    int fd;
    u32 n;
};

static void call_find_one(void *arg, const char *path, const char *file)
{
    struct call_find *f = arg;
    char number[16];
    size_t name;
    int pid = call_number(file, &name), fd;

    if (!pid)
        return;
    snprintf(number, sizeof(number), "%d", pid);
    if (strcmp(number, f->vm) && (name != strlen(f->clean) || strncmp(file, f->clean, name)))
        return;
    fd = call_connect(path);
    if (fd < 0)
        return;
    f->n++;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = fd;
}

static int call_find(const char *vm, int *fd, struct err *e)
{
    struct call_find f = { .vm = vm, .fd = -1 };
    int r;

    if (strchr(vm, '/')) {
        *fd = call_connect(vm);
        return *fd < 0 ? err_set(e, *fd, "%s: %s", vm, strerror(-*fd)) : 0;
    }
    control_name(vm, f.clean, sizeof(f.clean));
    r = call_sockets(call_find_one, &f, e);
    if (!r && f.n > 1)
        r = err_set(e, -EINVAL, "%s: %u running VMs are called so; see mimic ps for their numbers",
                    vm, f.n);
    if (!r && !f.n)
        r = err_set(e, -ENOENT, "%s: no running VM is called so; see mimic ps", vm);
    if (r && f.fd >= 0)
        close(f.fd);
    *fd = f.fd;
    return r;
}

/* ---- asking ---- */

int call_open(struct call **out, const char *vm, struct err *e)
{
    struct call *c = calloc(1, sizeof(*c));
    int r = c ? call_find(vm, &c->fd, e) : err_set(e, -ENOMEM, "out of memory");

    if (r) {
        free(c);
        return r;
    }
    snprintf(c->vm, sizeof(c->vm), "%s", vm);
    *out = c;
    return 0;
}

void call_close(struct call *c)
{
    if (!c)
        return;
    close(c->fd);
    buf_fini(&c->in);
    free(c);
}

void call_patience(struct call *c, int ms)
{
    c->patience = ms;
}

static int call_put(struct call *c, const char *text, size_t n, const int *fds)
{
    union {
        char bytes[CMSG_SPACE(CALL_FDS * sizeof(int))];
        struct cmsghdr align;
    } extra = { 0 };
    u32 nfds = 0;

    while (fds && nfds < CALL_FDS && fds[nfds] >= 0)
        nfds++;
    while (n) {
        struct iovec v = { (void *)(uintptr_t)text, n };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
        ssize_t done;

        if (nfds) {
            m.msg_control = extra.bytes;
            m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
            extra.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(nfds * sizeof(int)),
                                            .cmsg_level = SOL_SOCKET,
                                            .cmsg_type = SCM_RIGHTS };
            memcpy(CMSG_DATA(&extra.align), fds, nfds * sizeof(int));
        }
        done = sendmsg(c->fd, &m, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        text += done;
        n -= (size_t)done;
        nfds = 0;
    }
    return 0;
}

int call_send(struct call *c, const char *verb, json_t *take_args, const int *fds, struct err *e)
{
    json_t *line =
        json_pack("{s:s, s:o}", "call", verb, "args", take_args ? take_args : json_object());
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    int r;

    json_decref(line);
    if (!text)
        return err_set(e, -EINVAL, "%s: a name that is no UTF-8 text", c->vm);
    r = call_put(c, text, strlen(text), fds);
    r = r ? r : call_put(c, "\n", 1, NULL);
    free(text);
    return r ? err_set(e, r, "%s: %s", c->vm, strerror(-r)) : 0;
}

/* The next line; waits. */
static int call_line(struct call *c, json_t **line, struct err *e)
{
    for (;;) {
        u8 *from = c->in.p + c->at, *end = NULL, b[16 << 10];
        struct pollfd ready = { .fd = c->fd, .events = POLLIN };
        ssize_t n;

        if (c->in.len > c->at)
            end = memchr(from, '\n', c->in.len - c->at);
        if (end) {
            *line = json_loadb((const char *)from, (size_t)(end - from), 0, NULL);
            c->at += (size_t)(end - from) + 1;
            return *line ? 0 : err_set(e, -EBADMSG, "%s: an answer that is no JSON", c->vm);
        }
        if (c->patience && poll(&ready, 1, c->patience) == 0)
            return err_set(e, -ETIMEDOUT, "%s: does not answer", c->vm);
        n = recv(c->fd, b, sizeof(b), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, -ECONNRESET, "%s: has ended or hung up before it answered", c->vm);
        if (c->in.len >= CALL_LINE || buf_add(&c->in, b, (size_t)n))
            return err_set(e, -ENOMEM, "%s: an answer that is too long", c->vm);
    }
}

static int call_code(const char *name)
{
    for (int i = 1; name && i < 134; i++)
        if (strerrorname_np(i) && !strcmp(strerrorname_np(i), name))
            return -i;
    return -EIO;
}

int call_wait(struct call *c, void (*event)(void *arg, const char *name, const json_t *body),
              void *arg, json_t **result, struct err *e)
{
    for (;;) {
        const json_t *error;
        const char *name, *text;
        json_t *line;
        int r = call_line(c, &line, e);

        if (r)
            return r;
        name = json_string_value(json_object_get(line, "event"));
        error = json_object_get(line, "error");
        if (name) {
            if (event)
                event(arg, name, json_object_get(line, "body"));
        } else if (error) {
            text = json_string_value(json_object_get(error, "text"));
            r = err_set(e, call_code(json_string_value(json_object_get(error, "code"))), "%s: %s",
                        c->vm, text ? text : "it refuses");
        } else {
            *result = json_incref(json_object_get(line, "result"));
        }
        json_decref(line);
        if (!name)
            return r;
    }
}

int call_vm(const char *vm, const char *verb, json_t *take_args, json_t **result, struct err *e)
{
    struct call *c;
    json_t *got = NULL;
    int r = call_open(&c, vm, e);

    if (r) {
        json_decref(take_args);
        return r;
    }
    r = call_send(c, verb, take_args, NULL, e);
    r = r ? r : call_wait(c, NULL, NULL, &got, e);
    call_close(c);
    if (result && !r)
        *result = got;
    else
        json_decref(got);
    return r;
}
