/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test guest does with vsock sockets.
 *
 *     vsock call PORT MIB    sends so much to a port of the host, which sends it back: compared
 *     vsock refused PORT     nobody listens there
 *     vsock echo PORT N      sends back what comes on N connections, one after the other
 *     vsock pour PORT MIB    sends so much and closes at once
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536 };
static unsigned char out[CHUNK], in[CHUNK];

static void end(const char *what)
{
    printf("VSOCK FAIL %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(unsigned port)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0)
        end("socket");
    if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
        return fd;
    close(fd);
    return -1;
}

/* Bytes that are the same for both sides and different everywhere. */
static unsigned char byte_at(size_t at)
{
    return (unsigned char)((at * 2654435761u) >> 13 ^ at >> 16);
}

static void call(unsigned port, size_t size)
{
    size_t sent = 0, came = 0;
    int fd = dial(port);

    if (fd < 0)
        end("connect");
    while (came < size) {
        struct pollfd f = { fd, (short)(POLLIN | (sent < size ? POLLOUT : 0)), 0 };
        ssize_t n;

        if (poll(&f, 1, 60000) <= 0)
            end("nothing comes any more");
        if (f.revents & POLLOUT && sent < size) {
            size_t some = size - sent < CHUNK ? size - sent : CHUNK;

            for (size_t i = 0; i < some; i++)
                out[i] = byte_at(sent + i);
            n = send(fd, out, some, MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                end("send");
            sent += n > 0 ? (size_t)n : 0;
            if (sent == size)
                shutdown(fd, SHUT_WR);
        }
        if (!(f.revents & (POLLIN | POLLHUP)))
            continue;
        n = recv(fd, in, CHUNK, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            end("recv");
        for (ssize_t i = 0; i < n; i++)
            if (in[i] != byte_at(came + (size_t)i))
                end("what came back differs");
        came += (size_t)n;
    }
    if (recv(fd, in, 1, 0) != 0)
        end("no end");
    close(fd);
    printf("VSOCK CALL %zu bytes back\n", came);
}

static void pour(unsigned port, size_t size)
{
    int fd = dial(port);

    if (fd < 0)
        end("connect");
    for (size_t sent = 0; sent < size;) {
        size_t some = size - sent < CHUNK ? size - sent : CHUNK;
        ssize_t n;

        for (size_t i = 0; i < some; i++)
            out[i] = byte_at(sent + i);
        n = send(fd, out, some, 0);
        if (n <= 0)
            end("send");
        sent += (size_t)n;
    }
    close(fd);
    printf("VSOCK POURED %zu\n", size);
}

static void echo_one(int fd)
{
    ssize_t n, done;
    size_t all = 0;

    while ((n = recv(fd, in, CHUNK, 0)) > 0)
        for (ssize_t at = 0; at < n; at += done, all += (size_t)done)
            if ((done = send(fd, in + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
                end("send");
    if (n < 0)
        end("recv");
    close(fd);
    printf("VSOCK ECHO %zu bytes\n", all);
    fflush(stdout);
}

static void echo(unsigned port, int times)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
    int l = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 8))
        end("listen");
    printf("VSOCK READY\n");
    fflush(stdout);
    while (times--) {
        int fd = accept(l, NULL, NULL);

        if (fd < 0)
            end("accept");
        echo_one(fd);
    }
}

int main(int argc, char **argv)
{
    unsigned port = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    size_t n = argc > 3 ? (size_t)atoi(argv[3]) : 0;

    if (argc > 2 && !strcmp(argv[1], "refused")) {
        if (dial(port) >= 0)
            end("somebody is there");
        printf("VSOCK REFUSED %s\n", strerrorname_np(errno));
    } else if (argc > 3 && !strcmp(argv[1], "call")) {
        call(port, n << 20);
    } else if (argc > 3 && !strcmp(argv[1], "pour")) {
        pour(port, n << 20);
    } else if (argc > 3 && !strcmp(argv[1], "echo")) {
        echo(port, (int)n);
    } else {
        fprintf(stderr, "usage: vsock call|refused|echo|pour PORT [N]\n");
        return 2;
    }
    return 0;
}
