/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for VMCI: as Linux uses it, by ports and by DMA, and as no driver should. */
#include "backend/vsock.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include "device/tools/vmci_wire.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CID = 3, RAM_MIB = 8, SEND = 0x10000, TAKE = 0x20000, PAIR = 0x100000, BITMAP = 0x30000 };
enum { SIZE = 8192, PAGES = 2 * (SIZE / 4096 + 1), HOST_PORT = 976, GUEST_PORT = 1023 };
/* the pages of a pair are not in order */
enum { OUT_HEADER = PAIR + 5 * 4096, IN_HEADER = PAIR + 2 * 4096 };

static struct rig rig;
static struct device *dev;
static struct vsock *vsock;
static u64 ports, memory;
static bool dma;
static int host = -1; /* the far end of what the guest has connected to */
static u8 in[70000];
static u32 in_len, in_at;

static void accepted(void *arg, int take_fd, u32 guest_port)
{
    (void)arg;
    CHECK_EQ(guest_port, GUEST_PORT);
    host = take_fd;
}

static void begin_on(struct rig *r)
{
    const char *settings[] = { "dma", dma ? "true" : "false", NULL };
    struct device_end ends[2] = { { 0 } };

    rig_start(r, RAM_MIB, 1);
    rig_pci_wires(r);
    CHECK_EQ(vsock_open(&vsock, machine_lane(r->m), NULL), 0);
    CHECK_EQ(vsock_serve(vsock, VMCI_HYPERVISOR, HOST_PORT, accepted, NULL, NULL), 0);
    ends[0] = (struct device_end){ "vsock", vsock };
    dev = rig_device(r, "vmci", settings, ends);
    rig_pci_enable(r, dev);
    ports = rig_bar(dev, 0);
    memory = dma ? rig_bar(dev, 1) + VMCI_MEMORY_REGISTERS : 0;
}

static u32 reg(u32 off)
{
    return (u32)(dma ? rig_load(&rig, memory + off, 4) : rig_in(&rig, (u16)(ports + off), 4));
}

static void reg_set(u32 off, u32 val)
{
    if (dma)
        rig_store(&rig, memory + off, 4, val);
    else
        rig_out(&rig, (u16)(ports + off), 4, val);
}

static void begin(void)
{
    log_level_set(LOG_ERROR);
    in_len = in_at = 0;
    begin_on(&rig);
    reg_set(VMCI_CAPS, reg(VMCI_CAPS));
    reg_set(VMCI_MASK, 7);
    reg_set(VMCI_CONTROL, VMCI_CONTROL_ON);
}

static void end(void)
{
    machine_clear(rig.m);
    vsock_close(vsock);
    rig_stop(&rig);
    if (host >= 0)
        close(host);
    host = -1;
}

/* ---- datagrams ---- */

static i32 send_bytes(const u8 *b, u32 n)
{
    u8 header[VMCI_DMA_HEADER] = { 1 };

    if (!dma) {
        for (u32 i = 0; i < n; i++)
            rig_out(&rig, (u16)(ports + VMCI_DATA_OUT), 1, b[i]);
        return (i32)reg(VMCI_RESULT_LOW);
    }
    put_le32(header + 8, n);
    rig_put(&rig, SEND, header, sizeof(header));
    rig_put(&rig, SEND + sizeof(header), b, n);
    reg_set(VMCI_DMA_OUT_HIGH, 0);
    reg_set(VMCI_DMA_OUT_LOW, SEND);
    rig_get(&rig, SEND, header, sizeof(header));
    CHECK_EQ(le32(header), 0);
    CHECK_EQ(le32(header + 16), reg(VMCI_RESULT_LOW));
    return (i32)reg(VMCI_RESULT_LOW);
}

static i32 send_to(u32 context, u32 resource, const void *p, u32 n)
{
    u8 b[VMCI_HEADER + 512] = { 0 };

    put_le32(b, context);
    put_le32(b + 4, resource);
    put_le64(b + 8, ~0ull);
    put_le64(b + 16, n);
    memcpy(b + VMCI_HEADER, p, n);
    return send_bytes(b, VMCI_HEADER + n);
}

/* A buffer full, as a driver takes it. */
static void take(void)
{
    u8 header[VMCI_DMA_HEADER + VMCI_DMA_PIECE] = { 0 };

    in_at = 0;
    in_len = 4096;
    if (!dma) {
        for (u32 i = 0; i < in_len; i++)
            in[i] = (u8)rig_in(&rig, (u16)(ports + VMCI_DATA_IN), 1);
        return;
    }
    put_le32(header + 4, VMCI_DMA_LIST);
    put_le32(header + 8, 1);
    put_le64(header + VMCI_DMA_HEADER, TAKE + 4096);
    put_le64(header + VMCI_DMA_HEADER + 8, in_len);
    rig_put(&rig, TAKE, header, sizeof(header));
    reg_set(VMCI_DMA_IN_HIGH, 0);
    reg_set(VMCI_DMA_IN_LOW, TAKE);
    rig_get(&rig, TAKE, header, sizeof(header));
    CHECK_EQ(le32(header), 1);
    rig_get(&rig, TAKE + 4096, in, in_len);
}

/* The next datagram, or NULL: there is none. */
static const u8 *next(void)
{
    const u8 *p;

    rig_lane(&rig);
    if (in_at + VMCI_HEADER > in_len || le32(in + in_at + 4) == ~0u)
        take();
    p = in + in_at;
    if (le32(p + 4) == ~0u)
        return NULL;
    in_at += VMCI_HEADER + ((le32(p + 16) + 7) & ~7u);
    return p;
}

/* The next one is that packet of the stream; its field. */
static u64 expect(u32 type)
{
    const u8 *p = next();

    if (!p) {
        printf("# nothing came instead of packet %u\n", type);
        check_failed_now = 1;
        return 0;
    }
    CHECK_EQ(le32(p + 4), VMCI_STREAMS_HOST);
    CHECK_EQ(p[VMCI_HEADER + 1], type);
    return le64(p + VMCI_HEADER + 16);
}

static u64 expect_event(u32 event)
{
    const u8 *p = next();

    CHECK(p && le32(p + 4) == VMCI_EVENTS && le32(p + 8) == VMCI_HYPERVISOR);
    if (p)
        CHECK_EQ(le32(p + VMCI_HEADER), event);
    return p ? le64(p + VMCI_HEADER + 8) : 0;
}

static u32 to_cid, to_port;

static i32 packet(u32 type, u64 value)
{
    u8 p[VMCI_PACKET - VMCI_HEADER] = { VMCI_PACKET_VERSION, (u8)type, VMCI_ON_NOTIFY };

    put_le32(p + 4, GUEST_PORT);
    put_le32(p + 8, to_port);
    put_le64(p + 16, value);
    return send_to(to_cid, to_cid ? VMCI_STREAMS_HOST : VMCI_STREAMS_HYPERVISOR, p, sizeof(p));
}

/* ---- queue pairs ---- */

static u64 page_at(u32 i)
{
    return PAIR + 4096ull * (5 - i); /* backwards */
}

static i32 alloc(u64 handle, u32 flags, u64 size, u64 pages)
{
    u8 p[40 + 8 * PAGES];

    put_le64(p, handle);
    put_le32(p + 8, VMCI_HOST);
    put_le32(p + 12, flags);
    put_le64(p + 16, size);
    put_le64(p + 24, size);
    put_le64(p + 32, pages);
    for (u32 i = 0; i < PAGES; i++)
        put_le64(p + 40 + 8 * i, page_at(i) >> 12);
    return send_to(VMCI_HYPERVISOR, VMCI_PAIR_ALLOC, p, sizeof(p));
}

static u64 number(u64 at)
{
    u8 b[8];

    rig_get(&rig, at, b, 8);
    return le64(b);
}

static void number_set(u64 at, u64 val)
{
    rig_put(&rig, at, &val, 8);
}

/* A byte of the queue that the guest produces to, or consumes. */
static u64 byte_of(bool out, u32 at)
{
    return page_at((out ? 1 : 4) + at / 4096) + at % 4096;
}

static u32 write_out(const char *text, u32 n)
{
    u32 tail = (u32)number(OUT_HEADER + VMCI_QUEUE_TAIL);

    for (u32 i = 0; i < n; i++, tail = (tail + 1) % SIZE)
        rig_put(&rig, byte_of(true, tail), text + i, 1);
    number_set(OUT_HEADER + VMCI_QUEUE_TAIL, tail);
    return tail;
}

static u32 read_in(char *to, u32 n)
{
    u32 head = (u32)number(OUT_HEADER + VMCI_QUEUE_HEAD), got = 0;

    for (; got < n && head != number(IN_HEADER + VMCI_QUEUE_TAIL); head = (head + 1) % SIZE)
        rig_get(&rig, byte_of(false, head), to + got++, 1);
    number_set(OUT_HEADER + VMCI_QUEUE_HEAD, head);
    return got;
}

static const u64 handle = CID | 2000ull << 32;

static void connect_guest(void)
{
    to_cid = VMCI_HYPERVISOR;
    to_port = HOST_PORT;
    CHECK_EQ(packet(PACKET_REQUEST2, SIZE), VMCI_PACKET);
    CHECK_EQ(expect(PACKET_NEGOTIATE2), SIZE);
    CHECK(host >= 0);
    CHECK_EQ(alloc(handle, 0, SIZE, PAGES), VMCI_PAIR_CREATED);
    CHECK_EQ(number(OUT_HEADER), handle);
    CHECK_EQ(number(IN_HEADER), handle);
    packet(PACKET_OFFER, handle);
    CHECK_EQ(expect_event(VMCI_EVENT_PEER_ATTACH), handle);
    CHECK_EQ(expect(PACKET_ATTACH), handle);
    CHECK(!next());
}

static u32 host_read(char *to, u32 room)
{
    ssize_t n = recv(host, to, room, MSG_DONTWAIT);

    return n < 0 ? 0 : (u32)n;
}

/* ---- cases ---- */

static void both_ways(void (*fn)(void))
{
    for (int i = 0; i < 2; i++) {
        dma = i;
        begin();
        fn();
        end();
    }
}

static void asks(void)
{
    u8 p[24] = { 3 };

    CHECK_EQ(reg(VMCI_CAPS) & 0x1f, 0x1c);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_GET_CONTEXT, p, 0), CID);
    put_le32(p + 8, VMCI_GET_CONTEXT);
    put_le32(p + 12, 31);
    put_le32(p + 16, VMCI_PAIR_ALLOC);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_QUERY, p, 20), 5);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_QUERY, p, 16), VMCI_BAD_ARGS);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, 6, p, 0), VMCI_BAD_RESOURCE);
    CHECK_EQ(send_to(VMCI_HOST, 4000, p, 8), VMCI_BAD_RESOURCE);
    CHECK_EQ(send_to(CID, 1, p, 8), VMCI_BAD_RESOURCE);
}

static void rings(void)
{
    u64 p[2] = { BITMAP >> 12, 0 };
    u8 b;

    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_SET_BITMAP, p, 8), 0);
    p[0] = CID | 1500ull << 32;
    p[1] = 7;
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_NOTIFY, p, 8), VMCI_NOT_FOUND);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_LINK, p, 16), 0);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_LINK, p, 16), VMCI_EXISTS);
    reg(VMCI_CAUSE);
    CHECK(!rig_wire_is_up(&rig));
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_NOTIFY, p, 8), 0);
    CHECK(rig_wire_is_up(&rig));
    CHECK(reg(VMCI_CAUSE) & VMCI_CAUSE_NOTIFICATION);
    CHECK(!rig_wire_is_up(&rig));
    rig_get(&rig, BITMAP + 7, &b, 1);
    CHECK_EQ(b, 1);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_UNLINK, p, 8), 0);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_UNLINK, p, 8), VMCI_NOT_FOUND);
    p[1] = 4096;
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_DOORBELL_LINK, p, 16), VMCI_BAD_ARGS);
}

static void talks(void)
{
    char b[SIZE];

    connect_guest();
    write_out("hello", 5);
    packet(PACKET_WROTE, 0);
    rig_lane(&rig);
    CHECK_EQ(host_read(b, sizeof(b)), 5);
    CHECK(!memcmp(b, "hello", 5));
    CHECK_EQ(number(IN_HEADER + VMCI_QUEUE_HEAD), 5);
    CHECK(!next());
    CHECK_EQ(send(host, "answer", 6, 0), 6);
    expect(PACKET_WROTE);
    CHECK_EQ(read_in(b, sizeof(b)), 6);
    CHECK(!memcmp(b, "answer", 6));
    CHECK(!next());
}

/* Around the end, to the brim, and woken when there is room again. */
static void fills(void)
{
    static char b[3 * SIZE], c[3 * SIZE];
    u32 got = 0, tail;

    connect_guest();
    for (u32 i = 0; i < sizeof(b); i++)
        b[i] = (char)(i * 7 + i / 251);
    CHECK_EQ(send(host, b, sizeof(b), 0), sizeof(b));
    expect(PACKET_WROTE);
    CHECK_EQ(number(IN_HEADER + VMCI_QUEUE_TAIL), SIZE - 1); /* full */
    while (got < sizeof(b)) {
        u32 n = read_in(c + got, 3000);

        got += n;
        packet(PACKET_READ, 0);
        rig_lane(&rig);
        CHECK(n);
        if (!n)
            break;
    }
    CHECK(!memcmp(b, c, sizeof(b)));
    while (next())
        ;
    tail = write_out(b, SIZE - 1);
    CHECK_EQ(tail, SIZE - 1);
    packet(PACKET_WROTE, 0);
    expect(PACKET_READ); /* it was full */
    CHECK_EQ(host_read(c, sizeof(c)), SIZE - 1);
    write_out(b, 100);
    packet(PACKET_WROTE, 0);
    CHECK(!next());
    CHECK_EQ(host_read(c, sizeof(c)), 100);
}

static void leaves(void)
{
    u64 h = handle;
    char b[64];

    connect_guest();
    write_out("last words", 10);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH, &h, 8), 0);
    memset(b, 0, sizeof(b));
    for (u32 i = 0; i < PAGES; i++) /* the pages are the guest's again */
        rig_put(&rig, page_at(i), b, sizeof(b));
    rig_lane(&rig);
    CHECK_EQ(recv(host, b, sizeof(b), 0), 10);
    CHECK(!memcmp(b, "last words", 10));
    CHECK_EQ(recv(host, b, sizeof(b), 0), 0);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH, &h, 8), VMCI_NOT_FOUND);
    packet(PACKET_WROTE, 0);
    expect(PACKET_RST);
}

static void ends(void)
{
    u64 h = handle;
    char b[8];

    connect_guest();
    CHECK_EQ(send(host, "bye", 3, 0), 3);
    shutdown(host, SHUT_WR);
    expect(PACKET_WROTE);
    CHECK_EQ(expect(PACKET_SHUTDOWN), VMCI_SHUT_SEND);
    CHECK_EQ(read_in(b, sizeof(b)), 3);
    write_out("still", 5);
    packet(PACKET_WROTE, 0);
    rig_lane(&rig);
    CHECK_EQ(host_read(b, sizeof(b)), 5);
    close(host);
    host = -1;
    write_out("more", 4);
    packet(PACKET_WROTE, 0);
    CHECK_EQ(expect_event(VMCI_EVENT_PEER_DETACH), handle);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH, &h, 8), 0);
}

static void refuses(void)
{
    to_cid = VMCI_HOST;
    to_port = 5;
    packet(PACKET_REQUEST2, SIZE);
    expect(PACKET_RST);
    packet(PACKET_OFFER, handle);
    expect(PACKET_RST);
    packet(PACKET_RST, 0);
    packet(PACKETS, 0);
    expect(PACKET_INVALID);
    CHECK(!next());
}

static int called;

static void call_done(void *arg, int r)
{
    (void)arg;
    called = r;
}

static void connects_host(void)
{
    struct vsock_call c = { .port = GUEST_PORT, .done = call_done };
    u64 offered;
    const u8 *p;
    char b[8];
    int fd[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    host = fd[1];
    called = 1;
    CHECK_EQ(vsock_call(vsock, &c), 0);
    p = next();
    CHECK(p && p[VMCI_HEADER + 1] == PACKET_REQUEST2);
    if (!p)
        return;
    CHECK_EQ(le32(p + VMCI_HEADER + 8), GUEST_PORT);
    to_cid = VMCI_HOST;
    to_port = le32(p + VMCI_HEADER + 4);
    packet(PACKET_NEGOTIATE2, SIZE);
    offered = expect(PACKET_OFFER);
    CHECK_EQ(alloc(offered + 1, VMCI_ALLOC_ATTACH_ONLY, SIZE, PAGES), VMCI_NOT_FOUND);
    CHECK_EQ(alloc(offered, VMCI_ALLOC_ATTACH_ONLY, SIZE, PAGES), VMCI_PAIR_ATTACHED);
    packet(PACKET_ATTACH, offered);
    rig_lane(&rig);
    CHECK_EQ(called, 0);
    CHECK_EQ(send(host, "ping", 4, 0), 4);
    expect(PACKET_WROTE);
    CHECK_EQ(read_in(b, sizeof(b)), 4);
    packet(PACKET_SHUTDOWN, VMCI_SHUT_SEND);
    rig_lane(&rig);
    CHECK_EQ(recv(host, b, sizeof(b), 0), 0);
}

static void nobody_there(void)
{
    struct vsock_call c = { .port = GUEST_PORT, .done = call_done };
    const u8 *p;
    int fd[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    host = fd[1];
    called = 1;
    CHECK_EQ(vsock_call(vsock, &c), 0);
    p = next();
    CHECK(p);
    to_cid = VMCI_HOST;
    to_port = p ? le32(p + VMCI_HEADER + 4) : 0;
    packet(PACKET_RST, 0);
    rig_lane(&rig);
    CHECK_EQ(called, -ECONNREFUSED);
}

/* Guests of before 2010: no choice of protocols, and both sides say that they wait. */
static void old_guest(void)
{
    char b[8];

    to_cid = VMCI_HYPERVISOR;
    to_port = HOST_PORT;
    packet(PACKET_REQUEST, SIZE);
    CHECK_EQ(expect(PACKET_NEGOTIATE), SIZE);
    CHECK_EQ(alloc(handle, 0, SIZE, PAGES), VMCI_PAIR_CREATED);
    packet(PACKET_OFFER, handle);
    expect_event(VMCI_EVENT_PEER_ATTACH);
    expect(PACKET_ATTACH);
    CHECK_EQ(send(host, "one", 3, 0), 3);
    CHECK(!next()); /* it has not said that it waits */
    packet(PACKET_WAITING_READ, 0);
    expect(PACKET_WROTE);
    CHECK_EQ(read_in(b, sizeof(b)), 3);
    packet(PACKET_WAITING_READ, 0);
    CHECK(!next());
    CHECK_EQ(send(host, "two", 3, 0), 3);
    expect(PACKET_WROTE);
    packet(PACKET_WAITING_WRITE, 0);
    expect(PACKET_READ);
}

static void nonsense(void)
{
    u8 huge[VMCI_HEADER] = { 0 };
    u64 h = handle;

    CHECK_EQ(alloc(handle, 0, 0, PAGES), VMCI_BAD_SIZE);
    CHECK_EQ(alloc(handle, 0, 1 << 30, PAGES), VMCI_BAD_SIZE);
    CHECK_EQ(alloc(handle, 0, SIZE, PAGES + 1), VMCI_BAD_ARGS);
    CHECK_EQ(alloc(handle, 0, SIZE - 4096, PAGES), VMCI_BAD_ARGS);
    put_le64(huge + 16, ~0ull);
    CHECK((i32)send_bytes(huge, sizeof(huge)) < 0);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_GET_CONTEXT, huge, 0), CID);
    connect_guest();
    CHECK_EQ(alloc(handle, 0, SIZE, PAGES), VMCI_EXISTS);
    number_set(OUT_HEADER + VMCI_QUEUE_TAIL, SIZE);
    packet(PACKET_WROTE, 0);
    expect(PACKET_RST);
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH, &h, 8), 0);
}

/* More than a chunk: none is cut, and the guest is told that there is more. */
static void many(void)
{
    u32 n = 0;

    to_cid = VMCI_HOST;
    for (to_port = 1; to_port <= 400; to_port++)
        packet(PACKET_ATTACH, 0);
    reg(VMCI_CAUSE);
    while (next()) {
        if (in_at + VMCI_PACKET > in_len && n < 399)
            CHECK(reg(VMCI_CAUSE) & VMCI_CAUSE_DATAGRAM);
        n++;
    }
    CHECK_EQ(n, 400);
    for (to_port = 1; to_port <= 2000; to_port++) /* what has no room is lost, no more */
        packet(PACKET_ATTACH, 0);
    for (n = 0; next(); n++)
        ;
    CHECK(n > 1000 && n < 2000);
}

static void by_messages(void)
{
    rig_msix_enable(&rig, dev, dma ? 3 : 2);
    rig_msi_clear(&rig);
    connect_guest();
    CHECK(rig_msi_seen(&rig, 0xfee00000, 0));
    CHECK_EQ(rig_msi_seen(&rig, 0xfee00000, 1), 0);
    CHECK_EQ(rig_msi_seen(&rig, 0xfee00000, 2) > 0, dma);
    CHECK(!rig_wire_is_up(&rig));
}

static void reset_while_up(void)
{
    char b[8];

    connect_guest();
    reg_set(VMCI_CONTROL, VMCI_CONTROL_RESET);
    rig_lane(&rig);
    CHECK_EQ(recv(host, b, sizeof(b), 0), 0);
    CHECK(!rig_wire_is_up(&rig));
}

/* Another machine goes on: the socket of the host is not there, and the guest is told. */
static void moved(void)
{
    struct vsock *old;
    struct rig from;
    u64 h = handle;
    char b[8];

    connect_guest();
    from = rig;
    old = vsock;
    rig_pause(&from);
    begin_on(&rig);
    rig_move(&from, &rig);
    machine_clear(from.m);
    vsock_close(old);
    rig_stop(&from);
    CHECK_EQ(recv(host, b, sizeof(b), 0), 0);
    in_at = in_len = 0;
    expect_event(VMCI_EVENT_PAIR_RESUMED);
    CHECK(!next());
    CHECK_EQ(send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH, &h, 8), 0);
    close(host);
    host = -1;
    connect_guest();
}

#define BOTH(fn)                                                                                   \
    static void fn##_by_ports_and_dma(void)                                                        \
    {                                                                                              \
        both_ways(fn);                                                                             \
    }
BOTH(asks)
BOTH(rings)
BOTH(talks)
BOTH(fills)
BOTH(leaves)
BOTH(ends)
BOTH(refuses)
BOTH(connects_host)
BOTH(nobody_there)
BOTH(old_guest)
BOTH(nonsense)
BOTH(many)
BOTH(by_messages)
BOTH(reset_while_up)
BOTH(moved)

int main(void)
{
    CASE(asks_by_ports_and_dma);
    CASE(rings_by_ports_and_dma);
    CASE(talks_by_ports_and_dma);
    CASE(fills_by_ports_and_dma);
    CASE(leaves_by_ports_and_dma);
    CASE(ends_by_ports_and_dma);
    CASE(refuses_by_ports_and_dma);
    CASE(connects_host_by_ports_and_dma);
    CASE(nobody_there_by_ports_and_dma);
    CASE(old_guest_by_ports_and_dma);
    CASE(nonsense_by_ports_and_dma);
    CASE(many_by_ports_and_dma);
    CASE(by_messages_by_ports_and_dma);
    CASE(reset_while_up_by_ports_and_dma);
    CASE(moved_by_ports_and_dma);
    return check_end();
}
