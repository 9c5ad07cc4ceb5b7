/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_VSOCK_FUZZ_H
#define TESTS_VSOCK_FUZZ_H
#include "backend/vsock.h"
#include "base/bytes.h"
#include "tests/rig.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What the fuzz targets of devices with sockets share: services of the host at two ports, and
 * ends of it that come, go, talk, and do not listen.
 */
enum { HOSTS = 4, FUZZ_PORT = 1, FUZZ_PORT_HOST = 2 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct vsock *vsock;
static int host[HOSTS] = { -1, -1, -1, -1 };
static u32 next_host;

static void fuzz_keep(int fd)
{
    int *at = &host[next_host++ % HOSTS];

    if (*at >= 0)
        close(*at);
    *at = fd;
}

static void fuzz_accepted(void *arg, int take_fd, u32 guest_port)
{
    fuzz_keep(take_fd);
}

static void fuzz_done(void *arg, int r)
{
}

/* On the rig's machine, which stands: its device with sockets. */
static struct device *fuzz_sockets(const char *class)
{
    struct device_end ends[2] = { { 0 } };
    struct device *d;

    if (vsock_open(&vsock, machine_lane(rig.m), NULL) ||
        vsock_serve(vsock, VSOCK_CID_HYPERVISOR, FUZZ_PORT, fuzz_accepted, NULL, NULL) ||
        vsock_serve(vsock, VSOCK_CID_HOST, FUZZ_PORT_HOST, fuzz_accepted, NULL, NULL))
        abort();
    ends[0] = (struct device_end){ "vsock", vsock };
    d = rig_device(&rig, class, NULL, ends);
    rig_pci_enable(&rig, d);
    return d;
}

/* The target then lets what was asked for be done. */
static void fuzz_host(struct cursor *c)
{
    u8 b[4096] = { 1 }, what = get_u8(c);
    int fd = host[what & 3], pair[2];

    switch (what >> 2 & 7) {
    case 0:
    case 1:
        if (fd >= 0)
            (void)!send(fd, b, what * 16u, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 2:
    case 3:
        if (fd >= 0)
            (void)!recv(fd, b, sizeof(b), MSG_DONTWAIT);
        break;
    case 4:
        if (fd >= 0)
            shutdown(fd, what >> 5 & 1 ? SHUT_WR : SHUT_RD);
        break;
    case 5:
        fuzz_keep(-1);
        break;
    default:
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            return;
        fuzz_keep(pair[0]);
        vsock_call(vsock, &(struct vsock_call){ .port = what >> 5 & 3,
                                                .fd = pair[1],
                                                .wait_for_guest = what >> 7,
                                                .done = fuzz_done });
    }
}
#endif
