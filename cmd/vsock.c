/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic vsock: standard input and output joined to a vsock port of a running guest. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct vsock_options {
    bool listen;
};
static const struct opt vsock_opts[] = {
    { "listen", OPT_FLAG, offsetof(struct vsock_options, listen), NULL, NULL,
      "PORT is the host's: wait until a program in the guest connects to it", 'l' },
};

struct vsock_pipe {
    int from, to;
    u8 b[65536];
    size_t at, len;
    bool end, shut;
};

/* What is there goes on, as far as it goes.  false: nobody takes it. */
static bool vsock_pump(struct vsock_pipe *p, short from, short to)
{
    ssize_t n;

    if (p->at == p->len && !p->end && from) {
        n = read(p->from, p->b, sizeof(p->b));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        p->end = n <= 0;
        p->at = 0;
        p->len = n > 0 ? (size_t)n : 0;
    }
    if (p->at < p->len && to) {
        n = write(p->to, p->b + p->at, p->len - p->at);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        p->at += n > 0 ? (size_t)n : 0;
    }
    if (p->end && p->at == p->len && !p->shut) {
        shutdown(p->to, SHUT_WR); /* of no effect where it is no socket */
        p->shut = true;
    }
    return true;
}

/* Until the guest has no more to say. */
static int vsock_join(int fd, struct err *e)
{
    static struct vsock_pipe in, out;

    in.from = 0, in.to = fd;
    out.from = fd, out.to = 1;
    while (!out.end || out.at < out.len) {
        bool in_full = in.at < in.len, out_full = out.at < out.len;
        struct pollfd f[3] = {
            { in_full || in.end ? -1 : 0, POLLIN, 0 },
            { fd, (short)((out_full || out.end ? 0 : POLLIN) | (in_full ? POLLOUT : 0)), 0 },
            { out_full ? 1 : -1, POLLOUT, 0 },
        };

        if (poll(f, 3, -1) < 0 && errno != EINTR)
            return err_set(e, -errno, "poll: %s", strerror(errno));
        if (!vsock_pump(&in, f[0].revents, (short)(!in_full || f[1].revents & POLLOUT))) {
            in.end = true; /* the guest takes no more; it may still have something to say */
            in.at = in.len;
        }
        if (!vsock_pump(&out, f[1].revents & (POLLIN | POLLHUP | POLLERR),
                        (short)(!out_full || f[2].revents)))
            return err_set(e, -EPIPE, "standard output takes no more");
    }
    return 0;
}

static int vsock_go(const struct vsock_options *o, const char *vm, unsigned port, struct err *e)
{
    json_t *result = NULL;
    struct call *c = NULL;
    int fd[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return err_set(e, -errno, "no socket: %s", strerror(errno));
    r = call_open(&c, vm, e);
    r = r ? r
          : call_send(c, "vsock",
                      json_pack("{s:I, s:b}", "port", (json_int_t)port, "listen", o->listen),
                      (const int[]){ fd[1], -1 }, e);
    close(fd[1]);
    r = r ? r : call_wait(c, NULL, NULL, &result, e);
    json_decref(result);
    call_close(c);
    r = r ? r : vsock_join(fd[0], e);
    close(fd[0]);
    return r;
}

static int vsock_run(int argc, char **argv)
{
    struct vsock_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    unsigned port = 0;
    char rest;
    int r = opt_parse(&command_vsock, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n != 2 || sscanf(words.v[1], "%u%c", &port, &rest) != 1) {
        fprintf(stderr, "mimic vsock: %s\n", r ? e.text : "expected a VM and a port");
        return EXIT_USE;
    }
    signal(SIGPIPE, SIG_IGN);
    r = vsock_go(&o, words.v[0], port, &e);
    if (!r)
        return EXIT_DONE;
    fprintf(stderr, "mimic vsock: %s\n", e.text);
    return exit_code(r);
}

const struct command command_vsock = {
    .name = "vsock",
    .args = "VM PORT",
    .about = "Talk to a vsock port of a running guest",
    .text = "What is read from standard input goes to the program in the guest that listens at "
            "PORT; what it says is written to standard output, until it ends.\n"
            "VMs of VMware have vsock by VMCI, others by virtio when they run with --vsock.",
    .opts = vsock_opts,
    .nopts = LEN(vsock_opts),
    .run = vsock_run,
    .examples = "mimic vsock web 5000\n"
                "mimic vsock web 5000 <request >answer\n"
                "mimic vsock --listen web 6000 >from-the-guest\n",
};
