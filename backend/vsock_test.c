/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vsock.h"
#include "base/loop.h"
#include "tests/check.h"
#include "tests/scratch.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A device that the test plays. */
static struct {
    u32 stream, host_port, guest_port, asked, ready;
    bool refuses;
} guest;

static int guest_connect(void *arg, u32 stream, u32 host_port, u32 guest_port)
{
    (void)arg;
    guest.stream = stream;
    guest.host_port = host_port;
    guest.guest_port = guest_port;
    guest.asked++;
    return guest.refuses ? -ECONNREFUSED : 0;
}

static void guest_ready(void *arg, u32 stream)
{
    (void)arg;
    guest.ready += stream == guest.stream;
}

static const struct vsock_guest guest_calls = { .connect = guest_connect, .ready = guest_ready };
static struct loop *loop;
static struct vsock *vsock;
static int done;

static void mark(void *arg)
{
    *(bool *)arg = true;
}

/* All that is ready now, several times: one thing leads to another. */
static void turn(void)
{
    for (int i = 0; i < 4; i++) {
        bool here = false;

        loop_post(loop, mark, &here);
        while (!here)
            loop_once(loop);
    }
}

static void told(void *arg, int r)
{
    (void)arg;
    done = r;
}

static void begin(const char *name)
{
    memset(&guest, 0, sizeof(guest));
    done = 1;
    CHECK_EQ(loop_new(&loop, NULL), 0);
    CHECK_EQ(vsock_open(&vsock, loop, NULL), 0);
    vsock_attach(vsock, &guest_calls, NULL);
    if (name)
        CHECK_EQ(vsock_listen(vsock, in_dir(name), NULL), 0);
}

static void end(void)
{
    vsock_close(vsock);
    loop_free(loop);
}

static int unix_socket(const char *path, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int dial(const char *name)
{
    struct sockaddr_un a;
    int fd = unix_socket(in_dir(name), &a);

    CHECK_EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void tell(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turn();
}

static bool hears(int fd, const char *want)
{
    char b[64] = "";
    ssize_t n = recv(fd, b, sizeof(b) - 1, MSG_DONTWAIT);

    return n == (ssize_t)strlen(want) && !strcmp(b, want);
}

static bool is_closed(int fd)
{
    char b;

    return recv(fd, &b, 1, MSG_DONTWAIT) == 0;
}

static void connects_by_a_line(void)
{
    char want[32], b[16];
    struct iovec v = { b, sizeof(b) };
    struct stat st;
    int fd;

    begin("a.sock");
    CHECK(!stat(in_dir("a.sock"), &st) && (st.st_mode & 0777) == 0600);
    fd = dial("a.sock");
    tell(fd, "CONN"); /* in pieces, and more behind it */
    tell(fd, "ECT 1234\nearly");
    CHECK_EQ(guest.asked, 1);
    CHECK_EQ(guest.guest_port, 1234);
    CHECK_EQ(vsock_read(vsock, guest.stream, &v, 1), 0); /* not before it is up */
    vsock_up(vsock, guest.stream);
    snprintf(want, sizeof(want), "OK %u\n", guest.host_port);
    CHECK(hears(fd, want));
    CHECK_EQ(vsock_read(vsock, guest.stream, &v, 1), 5);
    CHECK(!memcmp(b, "early", 5));
    CHECK_EQ(vsock_read(vsock, guest.stream, &v, 1), -EAGAIN);
    CHECK_EQ(guest.ready, 0);
    tell(fd, "x");
    CHECK_EQ(guest.ready, 1);
    CHECK_EQ(vsock_read(vsock, guest.stream, &v, 1), 1);
    CHECK_EQ(vsock_write(vsock, guest.stream, &(struct iovec){ "abc", 3 }, 1), 3);
    CHECK(hears(fd, "abc"));
    vsock_drop(vsock, guest.stream);
    CHECK(is_closed(fd));
    close(fd);
    end();
    CHECK(stat(in_dir("a.sock"), &st) && errno == ENOENT);
}

static void nonsense_is_hung_up_on(void)
{
    static const char *const lines[] = { "GET / HTTP/1.1\r\n\r\n", "CONNECT x\n", "CONNECT 5 6\n",
                                         "CONNECT 1111111111111111111111111111111111" };

    begin("b.sock");
    for (u32 i = 0; i < LEN(lines); i++) {
        int fd = dial("b.sock");

        tell(fd, lines[i]);
        CHECK(recv(fd, (char[1]){ 0 }, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
        close(fd);
    }
    CHECK_EQ(guest.asked, 0);
    guest.refuses = true;
    {
        int fd = dial("b.sock");

        tell(fd, "CONNECT 5\n");
        CHECK_EQ(guest.asked, 1);
        CHECK(is_closed(fd));
        close(fd);
    }
    end();
}

static void dials_a_listener(void)
{
    struct sockaddr_un a;
    int l, fd, id;

    begin("c.sock");
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 6000, 1), (u64)-ECONNREFUSED);
    l = unix_socket(in_dir("c.sock_6000"), &a);
    CHECK(!bind(l, (struct sockaddr *)&a, sizeof(a)) && !listen(l, 1));
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HYPERVISOR, 6000, 1), (u64)-ECONNREFUSED);
    id = vsock_dial(vsock, VSOCK_CID_HOST, 6000, 1);
    CHECK(id >= 0);
    fd = accept(l, NULL, NULL);
    CHECK_EQ(vsock_write(vsock, (u32)id, &(struct iovec){ "abc", 3 }, 1), 3);
    vsock_shut(vsock, (u32)id, VSOCK_NO_MORE_OUT);
    CHECK(hears(fd, "abc"));
    CHECK(is_closed(fd));
    close(fd);
    CHECK_EQ(vsock_write(vsock, (u32)id, &(struct iovec){ "abc", 3 }, 1), (u64)-EPIPE);
    close(l);
    end();
}

static void a_full_socket_is_waited_for(void)
{
    static char b[1 << 16];
    struct iovec v = { b, sizeof(b) };
    struct vsock_call c = { .port = 7, .done = told };
    size_t put = 0, got = 0;
    ssize_t n;
    int fd[2];

    begin(NULL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    CHECK_EQ(vsock_call(vsock, &c), 0);
    turn();
    CHECK_EQ(guest.guest_port, 7);
    CHECK_EQ(done, 1);
    vsock_up(vsock, guest.stream);
    CHECK_EQ(done, 0);
    while ((n = vsock_write(vsock, guest.stream, &v, 1)) > 0)
        put += (size_t)n;
    CHECK_EQ(n, -EAGAIN);
    while ((n = recv(fd[1], b, sizeof(b), MSG_DONTWAIT)) > 0)
        got += (size_t)n;
    CHECK_EQ(put, got);
    turn();
    CHECK_EQ(guest.ready, 1);
    CHECK(vsock_write(vsock, guest.stream, &v, 1) > 0);
    close(fd[1]);
    end();
}

static void one_call_waits_for_the_guest(void)
{
    struct vsock_call c = { .port = 7, .wait_for_guest = true, .done = told };
    int fd[2], id;

    begin(NULL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    CHECK_EQ(vsock_call(vsock, &c), 0);
    turn();
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 8, 1), (u64)-ECONNREFUSED);
    id = vsock_dial(vsock, VSOCK_CID_HOST, 7, 1);
    CHECK(id >= 0);
    CHECK_EQ(done, 0);
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 7, 1), (u64)-ECONNREFUSED);
    CHECK_EQ(vsock_write(vsock, (u32)id, &(struct iovec){ "abc", 3 }, 1), 3);
    CHECK(hears(fd[1], "abc"));
    close(fd[1]);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    CHECK_EQ(vsock_call(vsock, &c), 0);
    turn();
    close(fd[1]); /* gone before the guest came */
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 7, 1), (u64)-ECONNREFUSED);
    CHECK_EQ(done, -ECANCELED);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c.fd = fd[0];
    CHECK_EQ(vsock_call(vsock, &c), 0);
    turn();
    end();
    CHECK_EQ(done, -ECANCELED);
    CHECK(is_closed(fd[1]));
    close(fd[1]);
}

static void as_many_as_there_are(void)
{
    struct sockaddr_un a;
    int l;

    begin("d.sock");
    l = unix_socket(in_dir("d.sock_1"), &a);
    CHECK(!bind(l, (struct sockaddr *)&a, sizeof(a)) && !listen(l, 2 * VSOCK_STREAMS));
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        CHECK(vsock_dial(vsock, VSOCK_CID_HOST, 1, i) >= 0);
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 1, 1), (u64)-EMFILE);
    vsock_drop(vsock, 5);
    CHECK_EQ(vsock_dial(vsock, VSOCK_CID_HOST, 1, 1), 5);
    close(l);
    end();
}

static void a_socket_left_behind_is_replaced(void)
{
    struct sockaddr_un a;
    struct err e = { 0 };
    struct vsock *other;
    int l = unix_socket(in_dir("e.sock"), &a);

    CHECK(!bind(l, (struct sockaddr *)&a, sizeof(a)));
    close(l); /* as a killed process leaves it */
    begin("e.sock");
    CHECK_EQ(vsock_open(&other, loop, NULL), 0);
    CHECK(vsock_listen(other, in_dir("e.sock"), &e) < 0); /* in use */
    CHECK(strstr(e.text, "e.sock"));
    vsock_close(other);
    CHECK_EQ(access(in_dir("e.sock"), F_OK), 0);
    end();
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(connects_by_a_line);
    CASE(nonsense_is_hung_up_on);
    CASE(dials_a_listener);
    CASE(a_full_socket_is_waited_for);
    CASE(one_call_waits_for_the_guest);
    CASE(as_many_as_there_are);
    CASE(a_socket_left_behind_is_replaced);
    return scratch_end();
}
