/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes over sockets from the guest's tools, as packets, and over the host's socket as lines:
 * the first byte of the input says which, the others come in two pieces.
 */
#include "backend/vmtools_vsock.h"
#include "base/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct loop *loop;
static struct agent *agent;
static struct vmtools *tools;
static struct vsock *vsock;
static struct vmtools_vsock *wire;
static struct sockaddr_un at = { .sun_family = AF_UNIX };

static int fuzz_connect(void *arg, u32 stream, u32 host_port, u32 guest_port)
{
    return guest_port & 1;
}
static void fuzz_ready(void *arg, u32 stream)
{
}
static const struct vsock_guest fuzz_guest = { .connect = fuzz_connect, .ready = fuzz_ready };

static void fuzz_mark(void *arg)
{
    *(bool *)arg = true;
}

static void fuzz_turn(void)
{
    for (int i = 0; i < 3; i++) {
        bool here = false;

        if (loop_post(loop, fuzz_mark, &here))
            abort();
        while (!here)
            loop_once(loop);
    }
}

static void fuzz_gone(void)
{
    vsock_close(vsock); /* removes its socket */
}

static void fuzz_start(void)
{
    struct vmtools_make make = { .cpu_mhz = 2000, .memory_mib = 512 };

    if (loop_new(&loop, NULL) || agent_new(&agent, loop, NULL))
        abort();
    make.agent = agent;
    snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/mimic-fuzz-%d.sock", (int)getpid());
    if (vmtools_new(&tools, &make, NULL) || vsock_open(&vsock, loop, NULL) ||
        vmtools_vsock_new(&wire, tools, vsock, loop, NULL) ||
        vsock_listen(vsock, at.sun_path, NULL))
        abort();
    vsock_attach(vsock, &fuzz_guest, NULL);
    atexit(fuzz_gone);
}

static void fuzz_lines(const u8 *p, size_t n, size_t half)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at))) {
        (void)!send(fd, p, half, MSG_NOSIGNAL | MSG_DONTWAIT);
        fuzz_turn();
        (void)!send(fd, p + half, n - half, MSG_NOSIGNAL | MSG_DONTWAIT);
        fuzz_turn();
    }
    close(fd);
    fuzz_turn();
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        vsock_drop(vsock, i);
}

static void fuzz_packets(u32 port, const u8 *p, size_t n, size_t half)
{
    int id = vsock_dial(vsock, VSOCK_CID_HYPERVISOR, port, 1023);

    if (id < 0)
        return;
    fuzz_turn();
    vsock_write(vsock, (u32)id, &(struct iovec){ (u8 *)(uintptr_t)p, half }, 1);
    fuzz_turn();
    vsock_write(vsock, (u32)id, &(struct iovec){ (u8 *)(uintptr_t)p + half, n - half }, 1);
    fuzz_turn();
    vsock_drop(vsock, (u32)id);
    fuzz_turn();
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    if (!loop)
        fuzz_start();
    if (n < 2 || n > 4096)
        return 0;
    if (p[0] % 3 == 0)
        fuzz_lines(p + 2, n - 2, p[1] % (n - 1));
    else
        fuzz_packets(974 + p[0] % 3, p + 2, n - 2, p[1] % (n - 1));
    return 0;
}
