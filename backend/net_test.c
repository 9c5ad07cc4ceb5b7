/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/net.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/check.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

struct card {
    u32 room, frames, bad, links;
    u64 next; /* the number that the next frame carries */
    u8 last[2000];
    u32 last_len;
};

static u32 card_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct card *c = arg;
    u32 took = 0;

    for (; took < n && c->room; took++, c->room--, c->frames++) {
        c->bad += f[took].len >= 68 && le64(f[took].p + 60) != c->next++;
        c->last_len = (u32)min_u64(f[took].len, sizeof(c->last));
        memcpy(c->last, f[took].p, c->last_len);
    }
    return took;
}

static void card_link(void *arg)
{
    ((struct card *)arg)->links++;
}

static const struct net_guest card_calls = { .deliver = card_deliver, .link = card_link };

static void nothing(void *arg)
{
    (void)arg;
}

static void loop_end(struct loop *l) /* calls that are still posted run first */
{
    loop_post(l, nothing, NULL);
    loop_once(l);
    loop_free(l);
}

static void cable_keeps_order_and_waits_for_room(void)
{
    struct card c = { .room = 100 };
    struct net *a, *b;
    struct loop *l;
    u8 frame[1514] = { 0 };

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(net_open_pair(&a, &b, l, NULL), 0);
    net_attach(b, &card_calls, &c);
    for (u64 i = 0, sent = 0; i < 20000; i++) {
        u32 cut = (u32)(i * 37 % 900);
        struct iovec v[2] = { { frame, 100 + cut }, { frame + 100 + cut, 1414 - cut - i % 300 } };

        put_le64(frame + 60, sent++);
        net_send(a, v, 2);
        if (i % 50 == 0) {
            c.room += 50;
            net_more(b);
            loop_once(l);
        }
    }
    c.room = ~0u;
    net_more(b);
    loop_once(l);
    CHECK_EQ(c.frames, 20000);
    CHECK_EQ(c.bad, 0);
    net_close(a);
    net_send(b, &(struct iovec){ frame, 60 }, 1);
    net_close(b);
    loop_end(l);
}

static void full_queue_drops_the_newest(void)
{
    static u8 frame[NET_FRAME_MAX];
    struct card c = { 0 };
    struct net *a, *b;
    struct loop *l;

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(net_open_pair(&a, &b, l, NULL), 0);
    net_attach(b, &card_calls, &c);
    for (u64 i = 0; i < 1000; i++) {
        put_le64(frame + 60, i);
        net_send(a, &(struct iovec){ frame, sizeof(frame) }, 1);
    }
    loop_once(l);
    c.room = 10; /* some leave, as many come, at the other end of the ring */
    net_more(b);
    loop_once(l);
    CHECK_EQ(c.frames, 10);
    c.room = ~0u;
    net_more(b);
    loop_once(l);
    CHECK(c.frames > 50 && c.frames < 100);
    CHECK_EQ(c.bad, 0);
    net_close(a);
    net_close(b);
    loop_end(l);
}

static void pulled_cable(void)
{
    struct card c = { .room = 10 };
    u8 frame[60] = { 0 };
    struct net *a, *b;
    struct loop *l;

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(net_open_pair(&a, &b, l, NULL), 0);
    net_attach(b, &card_calls, &c);
    net_link_set(b, false);
    CHECK(!net_link(b) && net_link(a));
    net_send(a, &(struct iovec){ frame, 60 }, 1);
    loop_once(l);
    CHECK_EQ(c.links, 1);
    CHECK_EQ(c.frames, 0);
    net_link_set(b, true);
    net_send(a, &(struct iovec){ frame, 60 }, 1);
    loop_once(l);
    CHECK_EQ(c.links, 2);
    CHECK_EQ(c.frames, 1);
    net_detach(b);
    net_close(b);
    net_close(a);
    loop_end(l);
}

/* A UDP datagram in IPv4 in Ethernet, from 10.0.2.15 or, for DHCP, from nobody. */
static u32 udp_frame(u8 *f, u32 from, u32 to, u16 sport, u16 dport, const u8 *p, u32 n)
{
    u32 sum = 0;

    memset(f, 0xff, 6);
    memcpy(f + 6, "\x52\x54\0\x12\x34\x56", 6);
    put_be16(f + 12, 0x0800);
    memset(f + 14, 0, 28);
    f[14] = 0x45;
    put_be16(f + 16, (u16)(28 + n));
    f[22] = 64;
    f[23] = 17;
    put_be32(f + 26, from);
    put_be32(f + 30, to);
    for (u32 i = 14; i < 34; i += 2)
        sum += be16(f + i);
    sum = (sum & 0xffff) + (sum >> 16);
    put_be16(f + 24, (u16) ~((sum & 0xffff) + (sum >> 16)));
    put_be16(f + 34, sport);
    put_be16(f + 36, dport);
    put_be16(f + 38, (u16)(8 + n));
    memcpy(f + 42, p, n);
    return 42 + n;
}

static void user_gives_an_address(void)
{
    struct net_make how = { .hostname = "web1" };
    struct card c = { .room = 10 };
    u8 f[600], dhcp[300] = { 1, 1, 6 };
    struct net *n;
    struct loop *l;
    bool named = false;

    memcpy(dhcp + 28, "\x52\x54\0\x12\x34\x56", 6);
    memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8); /* discover */
    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(net_open_user(&n, &how, l, NULL), 0);
    net_attach(n, &card_calls, &c);
    net_send(n, &(struct iovec){ f, udp_frame(f, 0, ~0u, 68, 67, dhcp, sizeof(dhcp)) }, 1);
    while (!c.frames)
        loop_once(l);
    CHECK_EQ(be16(c.last + 36), 68);
    CHECK_EQ(be32(c.last + 42 + 16), 0x0a00020f);
    for (u32 i = 280; i + 6 < c.last_len; i++)
        named |= !memcmp(c.last + i, "\x0c\4web1", 6);
    CHECK(named);
    net_close(n);
    loop_end(l);
}

static int udp_socket(u16 *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(!bind(fd, (struct sockaddr *)&at, len) && !getsockname(fd, (struct sockaddr *)&at, &len));
    *port = ntohs(at.sin_port);
    return fd;
}

static void user_carries_udp_both_ways(void)
{
    struct net_make how = { 0 };
    struct card c = { .room = 10 };
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    struct net *n;
    struct loop *l;
    u8 f[600], b[100];
    u16 port;
    int fd = udp_socket(&port);

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(net_open_user(&n, &how, l, NULL), 0);
    net_attach(n, &card_calls, &c);
    net_send(n,
             &(struct iovec){
                 f, udp_frame(f, 0x0a00020f, 0x0a000202, 5555, port, (const u8 *)"ping", 4) },
             1);
    CHECK_EQ(recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len), 4);
    CHECK(!memcmp(b, "ping", 4));
    CHECK_EQ(sendto(fd, "pong!", 5, 0, (struct sockaddr *)&from, len), 5);
    while (!c.frames) /* an ARP question first, which is answered as a guest would */
        loop_once(l);
    if (be16(c.last + 12) == 0x0806) {
        u8 arp[42];

        memcpy(arp, c.last + 6, 6);
        memcpy(arp + 6, "\x52\x54\0\x12\x34\x56", 6);
        memcpy(arp + 12, c.last + 12, 30);
        put_be16(arp + 20, 2);
        memcpy(arp + 22, "\x52\x54\0\x12\x34\x56\x0a\0\2\x0f", 10);
        memcpy(arp + 32, c.last + 22, 10);
        net_send(n, &(struct iovec){ arp, 42 }, 1);
        while (c.frames < 2)
            loop_once(l);
    }
    CHECK_EQ(be16(c.last + 34), port);
    CHECK_EQ(be16(c.last + 36), 5555);
    CHECK(!memcmp(c.last + 42, "pong!", 5));
    net_close(n);
    loop_end(l);
    close(fd);
}

static void user_names_the_port_that_is_taken(void)
{
    struct net_port port = { .udp = true, .guest = 53 };
    struct net_make how = { .ports = &port, .nports = 1 };
    struct err e = { 0 };
    char text[32];
    struct net *n;
    struct loop *l;
    int fd = udp_socket(&port.host);

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK(net_open_user(&n, &how, l, &e) < 0);
    snprintf(text, sizeof(text), "host port %u/udp", port.host);
    CHECK(strstr(e.text, text) && strstr(e.text, "in use"));
    close(fd);
    CHECK_EQ(net_open_user(&n, &how, l, &e), 0);
    net_close(n);
    loop_end(l);
}

int main(void)
{
    CASE(cable_keeps_order_and_waits_for_room);
    CASE(full_queue_drops_the_newest);
    CASE(pulled_cable);
    CASE(user_gives_an_address);
    CASE(user_carries_udp_both_ways);
    CASE(user_names_the_port_that_is_taken);
    return check_end();
}
