/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_TPM_PEER_H
#define TESTS_TPM_PEER_H
#include "backend/tpm.h"
#include "backend/tpm_wire.h"
#include "base/bytes.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Who plays swtpm on the other end of a socket: counts the commands that it answers, and keeps
 * that number as its state.  What is wrong with it is said when it is made.
 */
enum peer_fault { PEER_RIGHT, PEER_ENDS, PEER_LIES, PEER_LONG, PEER_REFUSES, PEER_SCRIPT };
struct tpm_peer {
    pthread_t thread;
    int control, data;
    enum peer_fault fault;
    const u8 *script; /* PEER_SCRIPT: what it answers to the first command */
    u32 script_len;
    atomic_uint count, starts, locality;
};

static inline bool peer_read(int fd, void *p, size_t n)
{
    return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static inline bool peer_say(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* The number of a control command, and the descriptor that came with it. */
static inline bool peer_number(struct tpm_peer *p, u32 *what)
{
    char space[CMSG_SPACE(sizeof(int))];
    u8 number[4];
    struct iovec v = { number, 4 };
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
    };
    struct cmsghdr *c;

    if (recvmsg(p->control, &m, 0) != 4)
        return false;
    c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(&p->data, CMSG_DATA(c), sizeof(int));
    *what = be32(number);
    return true;
}

static inline bool peer_control(struct tpm_peer *p)
{
    u8 in[16], out[20] = { 0 };
    u32 what, want = 0, n = 4;

    if (!peer_number(p, &what))
        return false;
    want = what == TPM_GET_STATE || what == TPM_SET_STATE ? 12
           : what == TPM_INIT || what == TPM_SET_BUFFER   ? 4
           : what == TPM_SET_LOCALITY                     ? 1
                                                          : 0;
    if (want && !peer_read(p->control, in, want))
        return false;
    if (p->fault == PEER_REFUSES && what != TPM_SET_DATA && what != TPM_SET_BUFFER)
        put_be32(out, 1);
    p->starts += what == TPM_INIT;
    if (what == TPM_SET_LOCALITY)
        p->locality = in[0];
    if (what == TPM_SET_BUFFER)
        n = 16;
    if (what == TPM_GET_STATE && be32(in + 4) == 1) { /* 4 bytes, two at a time */
        put_be32(out + 8, 4);
        put_be32(out + 12, 2);
        put_be16(out + 16, (u16)(be32(in + 8) ? p->count : p->count >> 16));
        n = 18;
    } else if (what == TPM_GET_STATE) {
        n = 16;
        put_be32(out, be32(in + 4) == 3 ? 0x800 : 0); /* has none */
    }
    if (what == TPM_SET_STATE) {
        u8 blob[4] = { 0 };

        if (be32(in + 8) != 4 || !peer_read(p->control, blob, 4))
            return false;
        p->count = be32(blob);
    }
    if (be32(out) == 1)
        n = 4;
    return peer_say(p->control, out, n) && what != TPM_SHUTDOWN;
}

static inline bool peer_command(struct tpm_peer *p)
{
    u8 in[TPM_BUFFER + 8] = { 0 }, out[TPM_BUFFER + 8] = { 0x80, 0x01 };
    ssize_t n = recv(p->data, in, TPM_BUFFER, 0);
    u32 size = be32(in + 2);

    if (n <= 0 || p->fault == PEER_ENDS)
        return false;
    if (p->fault == PEER_SCRIPT)
        return peer_say(p->data, p->script, p->script_len);
    while ((u32)n < size && size <= TPM_BUFFER) {
        ssize_t more = recv(p->data, in + n, size - (u32)n, 0);

        if (more <= 0)
            return false;
        n += more;
    }
    p->count++;
    memcpy(out, in, (size_t)n); /* an answer is what was asked, with the count as its code */
    put_be32(out + 2, p->fault == PEER_LIES ? 7 : (u32)n);
    put_be32(out + 6, p->count);
    if (p->fault == PEER_LONG)
        return peer_say(p->data, out, (size_t)n + 3);
    /* in two pieces, as sockets may */
    return peer_say(p->data, out, 5) && peer_say(p->data, out + 5, (size_t)n - 5);
}

static inline void *peer_run(void *arg)
{
    struct tpm_peer *p = arg;
    bool goes_on = true;

    while (goes_on) {
        struct pollfd f[2] = { { p->control, POLLIN, 0 }, { p->data, POLLIN, 0 } };

        if (poll(f, p->data < 0 ? 1 : 2, -1) < 0)
            break;
        if (f[0].revents)
            goes_on = peer_control(p);
        else if (p->data >= 0 && f[1].revents)
            goes_on = peer_command(p);
    }
    close(p->control);
    if (p->data >= 0)
        close(p->data);
    return NULL;
}

/* Our end of its control channel. */
static inline int peer_start(struct tpm_peer *p, enum peer_fault fault)
{
    int ends[2];

    p->fault = fault;
    p->data = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        abort();
    p->control = ends[1];
    if (pthread_create(&p->thread, NULL, peer_run, p))
        abort();
    return ends[0];
}

static inline void peer_end(struct tpm_peer *p)
{
    pthread_join(p->thread, NULL);
}
#endif
