/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VSOCK_H
#define BACKEND_VSOCK_H
#include "base/err.h"
#include "base/types.h"
#include <sys/types.h>
#include <sys/uio.h>

/*
 * The host end of a guest's vsock: streams between ports of the guest and Unix sockets, whatever
 * device carries them.  As other hypervisors have it, with a path P given by the user:
 *
 *     guest to host    port N of the host is the socket P_N, where somebody listens
 *     host to guest    connect to P, write "CONNECT N\n", read "OK M\n": then it is port N
 *
 * Nothing is kept here: the device reads and writes straight between the guest's memory and the
 * socket.  Opened, listened, served and closed on any thread while the lane does not run it; the
 * calls of the device are made on the lane, with its domain held; those back come on the lane with
 * no lock held.  A stream is a number below VSOCK_STREAMS.
 */
struct vsock;
struct loop;

enum { VSOCK_STREAMS = 128, VSOCK_CID_HYPERVISOR = 0, VSOCK_CID_HOST = 2 };
enum { VSOCK_NO_MORE_IN = 1, VSOCK_NO_MORE_OUT = 2 }; /* from the host's socket; to it */

struct vsock_guest {
    /*
     * The host wants that port of the guest.  0: the device will call vsock_up or vsock_drop;
     * else it is refused.
     */
    int (*connect)(void *arg, u32 stream, u32 host_port, u32 guest_port);
    void (*ready)(void *arg, u32 stream); /* what gave -EAGAIN may be tried again */
};

int vsock_open(struct vsock **v, struct loop *lane, struct err *e);
void vsock_close(struct vsock *v);
void vsock_attach(struct vsock *v, const struct vsock_guest *g, void *arg);
/* The sockets P and P_N.  P is made, and removed by vsock_close. */
int vsock_listen(struct vsock *v, const char *path, struct err *e);
/* A port with a service of ours behind it: it is given one end of each connection. */
int vsock_serve(struct vsock *v, u32 cid, u32 port,
                void (*accept)(void *arg, int take_fd, u32 guest_port), void *arg, struct err *e);

bool vsock_serves(const struct vsock *v, u32 cid, u32 port); /* any thread */

/*
 * One connection of a descriptor: to a port of the guest, or the next that the guest makes to that
 * port of the host.  done, on the lane: 0 when it stands, or why it does not.  Any thread but
 * the lane's.
 */
struct vsock_call {
    u32 port;
    int fd; /* taken */
    bool wait_for_guest;
    void (*done)(void *arg, int r);
    void *arg;
};
int vsock_call(struct vsock *v, const struct vsock_call *c);

/* ---- for the device ---- */

/* The guest wants a port of the host: a stream, or -ECONNREFUSED, -EMFILE. */
int vsock_dial(struct vsock *v, u32 cid, u32 host_port, u32 guest_port);
void vsock_up(struct vsock *v, u32 stream); /* the guest has taken what connect asked for */
void vsock_drop(struct vsock *v, u32 stream);
ssize_t vsock_read(struct vsock *v, u32 stream, const struct iovec *to, int n); /* 0: the end */
ssize_t vsock_write(struct vsock *v, u32 stream, const struct iovec *from, int n);
void vsock_shut(struct vsock *v, u32 stream, u32 what);
#endif
