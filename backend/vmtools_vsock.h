/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VMTOOLS_VSOCK_H
#define BACKEND_VMTOOLS_VSOCK_H
#include "backend/vmtools.h"
#include "backend/vsock.h"

/*
 * The messages of GuestRPC over streams: two ports of the hypervisor that VMware's tools try before
 * the backdoor.  Made when the vsock is, on the VM thread; freed after it is closed, before the
 * tools are.
 */
struct vmtools_vsock;
struct loop;
int vmtools_vsock_new(struct vmtools_vsock **out, struct vmtools *t, struct vsock *v,
                      struct loop *lane, struct err *e);
void vmtools_vsock_free(struct vmtools_vsock *w);

/* A packet as it came: parsed by itself so that it can be fuzzed. */
enum {
    VMTOOLS_RPC_DATA = 1,
    VMTOOLS_RPC_PING = 2,
    VMTOOLS_RPC_EXTRA = 256
}; /* the most bytes besides the payload */
struct vmtools_packet {
    u64 type;
    bool close; /* the connection ends with the answer */
    const u8 *payload;
    u32 len;
};
/* How long it is, 0: not all of it is there, or -EBADMSG. */
i64 vmtools_packet_read(struct vmtools_packet *k, const u8 *p, size_t n);
#endif
