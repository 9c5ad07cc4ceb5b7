/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GuestRPC over streams, with a guest made of packets. */
#include "backend/vmtools_vsock.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/check.h"
#include <errno.h>

static struct loop *loop;
static struct agent *agent;
static struct vmtools *tools;
static struct vsock *vsock;
static struct vmtools_vsock *wire;
static u8 in[100000];
static u32 in_len;

static void begin(void)
{
    struct vmtools_make make = { .cpu_mhz = 2000, .memory_mib = 512 };

    CHECK_EQ(loop_new(&loop, NULL), 0);
    CHECK_EQ(agent_new(&agent, loop, NULL), 0);
    make.agent = agent;
    CHECK_EQ(vmtools_new(&tools, &make, NULL), 0);
    CHECK_EQ(vsock_open(&vsock, loop, NULL), 0);
    CHECK_EQ(vmtools_vsock_new(&wire, tools, vsock, loop, NULL), 0);
    in_len = 0;
}

static void end(void)
{
    vsock_close(vsock);
    vmtools_vsock_free(wire);
    vmtools_free(tools);
    agent_free(agent);
    loop_free(loop);
}

static void mark(void *arg)
{
    *(bool *)arg = true;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++) {
        bool here = false;

        loop_post(loop, mark, &here);
        while (!here)
            loop_once(loop);
    }
}

static u32 dial(u32 port)
{
    int id = vsock_dial(vsock, VSOCK_CID_HYPERVISOR, port, 1023);

    CHECK(id >= 0);
    turn();
    return (u32)id;
}

static void put(u32 id, const void *p, size_t n)
{
    struct iovec v = { (void *)(uintptr_t)p, n };

    CHECK_EQ(vsock_write(vsock, id, &v, 1), n);
    turn();
}

static void field(struct buf *b, u32 type, u32 number, u64 val, const char *text)
{
    u8 h[16];

    put_be32(h, type);
    put_be32(h + 4, number);
    put_be32(h + 8, text ? (u32)strlen(text) : (u32)val);
    put_be32(h + 12, (u32)(val >> 32));
    buf_add(b, h, text ? 12 : 16);
    if (text)
        buf_add(b, text, strlen(text));
}

static void say(u32 id, u32 type, const char *text, bool close)
{
    struct buf b = { 0 };

    buf_room(&b, 4);
    field(&b, 1, 1, type, NULL);
    if (close)
        field(&b, 1, 3, 1, NULL);
    if (text)
        field(&b, 2, 2, 0, text);
    put_be32(b.p, (u32)b.len - 4);
    put(id, b.p, b.len);
    buf_fini(&b);
}

/* The next packet's payload; NULL: there is none; "": the connection has ended. */
static const char *hear(u32 id)
{
    static char text[VMTOOLS_MESSAGE + 1];
    struct iovec v = { in + in_len, sizeof(in) - in_len };
    ssize_t n = vsock_read(vsock, id, &v, 1);
    struct vmtools_packet k;
    i64 len;

    if (n == 0 && !in_len)
        return "";
    in_len += n > 0 ? (u32)n : 0;
    len = vmtools_packet_read(&k, in, in_len);
    CHECK(len >= 0);
    if (len <= 0)
        return NULL;
    CHECK_EQ(k.type, VMTOOLS_RPC_DATA);
    memcpy(text, k.payload, k.len);
    text[k.len] = 0;
    memmove(in, in + len, in_len - (size_t)len);
    in_len -= (u32)len;
    return text;
}

static void asks(void)
{
    u32 id;

    begin();
    CHECK(vsock_serves(vsock, VSOCK_CID_HYPERVISOR, 976));
    CHECK(!vsock_serves(vsock, VSOCK_CID_HYPERVISOR, 977));
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 976, 1023), (u64)-ECONNREFUSED);
    id = dial(976);
    say(id, VMTOOLS_RPC_DATA, "info-set guestinfo.name web", false);
    CHECK_TEXT(hear(id), "1 ");
    say(id, VMTOOLS_RPC_DATA, "info-get guestinfo.name", false);
    CHECK_TEXT(hear(id), "1 web");
    say(id, VMTOOLS_RPC_PING, NULL, false);
    CHECK(!hear(id));
    say(id, VMTOOLS_RPC_DATA, "info-get guestinfo.other", true); /* the last one */
    CHECK(hear(id)[0] == '0');
    CHECK_TEXT(hear(id), "");
    end();
}

static void comes_in_pieces(void)
{
    static const u8 packet[] = "\0\0\0\x32"
                               "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0"
                               "\0\0\0\2\0\0\0\2\0\0\0\x16info-get guestinfo.nam";
    u32 id;

    begin();
    vmtools_set(tools, "nam", "x");
    id = dial(976);
    for (u32 i = 0; i < sizeof(packet) - 1; i++) {
        CHECK(!hear(id));
        put(id, packet + i, 1);
    }
    CHECK_TEXT(hear(id), "1 x");
    end();
}

static void is_asked(void)
{
    const char *text;
    u32 id, n = 0;

    begin();
    id = dial(975);
    CHECK_TEXT(hear(id), "reset");
    CHECK(!hear(id));
    say(id, VMTOOLS_RPC_DATA, "OK ATR toolbox", false);
    for (; (text = hear(id)) && *text; n++) /* what tools are told first */
        say(id, VMTOOLS_RPC_DATA, "OK ", false);
    CHECK(n);
    say(id, VMTOOLS_RPC_PING, NULL, false);
    CHECK(!hear(id));
    vmtools_reset(tools);
    end();
}

static void nonsense_ends_it(void)
{
    static const struct {
        const char *p;
        u32 n;
    } bad[] = {
        { "\xff\xff\xff\xff", 4 },
        { "\0\0\0\x08\0\0\0\7\0\0\0\1", 12 },
        { "\0\0\0\x0c\0\0\0\2\0\0\0\2\0\0\xff\0", 16 },
        { "\0\0\0\x05\0\0\0\1\0", 9 },
    };

    begin();
    for (u32 i = 0; i < LEN(bad); i++) {
        u32 id = dial(976);

        put(id, bad[i].p, bad[i].n);
        CHECK_TEXT(hear(id), "");
        vsock_drop(vsock, id);
    }
    for (u32 i = 0; i < 100; i++) /* more than there are lines */
        dial(i & 1 ? 975 : 976);
    end();
}

int main(void)
{
    CASE(asks);
    CASE(comes_in_pieces);
    CASE(is_asked);
    CASE(nonsense_ends_it);
    return check_end();
}
