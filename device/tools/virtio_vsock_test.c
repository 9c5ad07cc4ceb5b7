/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vsock.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include "tests/check.h"
#include "tests/virtio_driver.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX, TX, EVENT, CID = 3, HEADER = 44, OUT = 0x200000, IN = 0x300000, EVENTS = 0x400000 };
enum { BUFFER = 4096, BUFFERS = 16, HOST_PORT = 5, GUEST_PORT = 1024, ROOM = 10000 };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

static struct rig rig;
static struct device *dev;
static struct vdriver driver;
static struct vsock *vsock;
static int host;
static u32 to_port, passed, next_in;
static u8 packet[BUFFER];

static void accepted(void *arg, int take_fd, u32 guest_port)
{
    (void)arg;
    CHECK_EQ(guest_port, GUEST_PORT);
    host = take_fd;
}

static void give_buffer(u32 i)
{
    struct vbuf b = { IN + i * BUFFER, BUFFER, true };

    vdriver_add(&driver, RX, &b, 1, false);
}

static void plug(struct rig *r)
{
    struct device_end ends[2] = { { 0 } };

    rig_start(r, 8, 1);
    CHECK_EQ(vsock_open(&vsock, machine_lane(r->m), NULL), 0);
    CHECK_EQ(vsock_serve(vsock, VSOCK_CID_HOST, HOST_PORT, accepted, NULL, NULL), 0);
    ends[0] = (struct device_end){ "vsock", vsock };
    dev = rig_device(r, "virtio_vsock", NULL, ends);
}

static void begin(void)
{
    struct vbuf e = { EVENTS, 16, true };

    host = -1;
    to_port = HOST_PORT;
    passed = next_in = 0;
    plug(&rig);
    rig_pci_enable(&rig, dev);
    rig_msix_enable(&rig, dev, 4);
    vdriver_start(&driver, &rig, dev, false, ~0ull, 3);
    CHECK_EQ(vdriver_config(&driver, 0, 4), CID);
    for (u32 i = 0; i < BUFFERS; i++)
        give_buffer(i);
    vdriver_add(&driver, EVENT, &e, 1, false);
    vdriver_kick(&driver, RX);
}

static void end(void)
{
    machine_clear(rig.m);
    vsock_close(vsock);
    rig_stop(&rig);
    if (host >= 0)
        close(host);
}

static void send_packet(u16 op, u32 flags, const void *p, u32 n)
{
    struct vbuf b[2] = { { OUT, HEADER, false }, { OUT + 4096, n, false } };
    u8 h[HEADER] = { 0 };

    put_le64(h, CID);
    put_le64(h + 8, VSOCK_CID_HOST);
    put_le32(h + 16, GUEST_PORT);
    put_le32(h + 20, to_port);
    put_le32(h + 24, n);
    put_le16(h + 28, 1);
    put_le16(h + 30, op);
    put_le32(h + 32, flags);
    put_le32(h + 36, ROOM);
    put_le32(h + 40, passed);
    rig_put(&rig, OUT, h, sizeof(h));
    if (n)
        rig_put(&rig, OUT + 4096, p, n);
    CHECK_EQ(vdriver_do(&driver, TX, b, n ? 2 : 1), 0);
}

/* The operation of the next packet that came, 0: none; the packet is in `packet`. */
static u16 next(void)
{
    u32 head, len;

    rig_lane(&rig);
    if (!vdriver_used(&driver, RX, &head, &len))
        return 0;
    rig_get(&rig, IN + (next_in % BUFFERS) * BUFFER, packet, sizeof(packet));
    give_buffer(next_in++ % BUFFERS);
    vdriver_kick(&driver, RX);
    CHECK_EQ(len, HEADER + le32(packet + 24));
    CHECK_EQ(le64(packet), VSOCK_CID_HOST);
    CHECK_EQ(le64(packet + 8), CID);
    return le16(packet + 30);
}

static void connect_guest(void)
{
    send_packet(REQUEST, 0, NULL, 0);
    CHECK_EQ(next(), RESPONSE);
    CHECK_EQ(le32(packet + 16), HOST_PORT);
    CHECK_EQ(le32(packet + 20), GUEST_PORT);
    CHECK(host >= 0);
}

static void talks(void)
{
    char b[16];

    begin();
    connect_guest();
    send_packet(RW, 0, "hello", 5);
    CHECK_EQ(recv(host, b, sizeof(b), MSG_DONTWAIT), 5);
    CHECK(!memcmp(b, "hello", 5));
    CHECK_EQ(send(host, "answer", 6, 0), 6);
    CHECK_EQ(next(), RW);
    CHECK_EQ(le32(packet + 24), 6);
    CHECK_EQ(le32(packet + 40), 5); /* what was passed on */
    CHECK(!memcmp(packet + HEADER, "answer", 6));
    CHECK_EQ(next(), 0);
    send_packet(CREDIT_REQUEST, 0, NULL, 0);
    CHECK_EQ(next(), CREDIT_UPDATE);
    end();
}

/* No more comes than the guest has room for. */
static void keeps_to_credit(void)
{
    static u8 b[4 * ROOM];
    u32 got = 0;

    begin();
    connect_guest();
    CHECK_EQ(send(host, b, sizeof(b), 0), sizeof(b));
    while (next() == RW)
        got += le32(packet + 24);
    CHECK_EQ(got, ROOM);
    passed = 1000;
    send_packet(CREDIT_UPDATE, 0, NULL, 0);
    CHECK_EQ(next(), RW);
    CHECK_EQ(le32(packet + 24), 1000);
    CHECK_EQ(next(), 0);
    end();
}

/* A host that does not read: what was sent is kept, and what is too much ends it. */
static void holds(void)
{
    static u8 b[4096], c[1 << 20];
    u32 sent = 0, got = 0;
    ssize_t n;

    begin();
    connect_guest();
    for (u32 room = 1; room >= sizeof(b) || !sent; sent += sizeof(b)) {
        for (u32 i = 0; i < sizeof(b); i++)
            b[i] = (u8)((sent + i) * 7 >> 8);
        send_packet(RW, 0, b, sizeof(b));
        send_packet(CREDIT_REQUEST, 0, NULL, 0);
        while (next() != CREDIT_UPDATE)
            ;
        room = le32(packet + 36) - (sent + (u32)sizeof(b) - le32(packet + 40));
    }
    for (u32 i = 0; i < 20; i++) {
        while ((n = recv(host, c + got, sizeof(c) - got, MSG_DONTWAIT)) > 0)
            got += (u32)n;
        rig_lane(&rig);
    }
    CHECK_EQ(got, sent);
    for (u32 i = 0; i < got; i++)
        if (c[i] != (u8)(i * 7 >> 8)) {
            CHECK_EQ(i, got);
            break;
        }
    while (next())
        ;
    for (u32 i = 0; i < 1000 && next() != RST; i++)
        send_packet(RW, 0, b, sizeof(b));
    CHECK_EQ(le16(packet + 30), RST);
    end();
}

static void ends(void)
{
    char b[8];

    begin();
    connect_guest();
    shutdown(host, SHUT_WR);
    CHECK_EQ(next(), SHUTDOWN);
    CHECK_EQ(le32(packet + 32), 2);
    send_packet(RW, 0, "last", 4);
    send_packet(SHUTDOWN, 3, NULL, 0);
    CHECK_EQ(next(), RST);
    CHECK_EQ(recv(host, b, sizeof(b), MSG_DONTWAIT), 4);
    CHECK_EQ(recv(host, b, sizeof(b), MSG_DONTWAIT), 0);
    send_packet(RW, 0, "late", 4);
    CHECK_EQ(next(), RST);
    send_packet(RST, 0, NULL, 0);
    CHECK_EQ(next(), 0);
    end();
}

static void refuses(void)
{
    begin();
    to_port = 6;
    send_packet(REQUEST, 0, NULL, 0);
    CHECK_EQ(next(), RST);
    CHECK_EQ(le32(packet + 16), 6);
    end();
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
    int fd[2];

    for (int refused = 0; refused < 2; refused++) {
        begin();
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        c.fd = fd[0];
        host = fd[1];
        called = 1;
        CHECK_EQ(vsock_call(vsock, &c), 0);
        CHECK_EQ(next(), REQUEST);
        CHECK_EQ(le32(packet + 20), GUEST_PORT);
        to_port = le32(packet + 16);
        send_packet(refused ? RST : RESPONSE, 0, NULL, 0);
        CHECK_EQ(called, refused ? -ECONNREFUSED : 0);
        end();
    }
}

/* Another machine goes on: the driver is told that its connections are gone. */
static void moved(void)
{
    struct vsock *old;
    struct rig from;
    char b[8];
    u32 head, len;
    u8 event[4];

    begin();
    connect_guest();
    from = rig;
    old = vsock;
    rig_pause(&from);
    plug(&rig);
    rig_move(&from, &rig);
    driver.d = dev;
    machine_clear(from.m);
    vsock_close(old);
    rig_stop(&from);
    rig_lane(&rig);
    CHECK_EQ(recv(host, b, sizeof(b), 0), 0);
    CHECK(vdriver_used(&driver, EVENT, &head, &len));
    CHECK_EQ(len, 4);
    rig_get(&rig, EVENTS, event, 4);
    CHECK_EQ(le32(event), 0);
    close(host);
    host = -1;
    connect_guest();
    end();
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(talks);
    CASE(keeps_to_credit);
    CASE(holds);
    CASE(ends);
    CASE(refuses);
    CASE(connects_host);
    CASE(moved);
    return check_end();
}
