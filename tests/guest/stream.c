/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's program that moves bytes as fast as it can: one after the other from and to a disk,
 * or a TCP peer.  It prints "@B NAME" before and "@E NAME BYTES" behind; the host has the clock.
 *
 *   stream NAME read|dread|write|dwrite DISK MIB     d: past the page cache
 *   stream NAME send|take ADDRESS PORT MIB
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 1 << 20, PIECE = 128 << 10 };

static char *buffer;

/* Until n bytes have gone or come; how many really did. */
static long long move(int fd, int out, long long n, size_t chunk)
{
    long long done = 0;

    while (done < n) {
        size_t want = n - done < (long long)chunk ? (size_t)(n - done) : chunk;
        ssize_t got = out ? write(fd, buffer, want) : read(fd, buffer, want);

        if (got <= 0)
            break;
        done += got;
    }
    return done;
}

static int disk(const char *what, const char *path)
{
    int direct = *what == 'd' ? O_DIRECT : 0, fd;

    fd = open(path, (strstr(what, "write") ? O_WRONLY : O_RDONLY) | direct);
    if (fd < 0)
        perror(path);
    return fd;
}

static int peer(const char *address, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port)) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &a.sin_addr);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        perror(address);
        return -1;
    }
    return fd;
}

int main(int argc, char **argv)
{
    int fd, net = argc == 6, out;
    long long n;
    char last;

    if (argc < 5 || posix_memalign((void **)&buffer, 4096, CHUNK))
        return 2;
    memset(buffer, 0x5a, CHUNK);
    out = strstr(argv[2], "write") || !strcmp(argv[2], "send");
    fd = net ? peer(argv[3], argv[4]) : disk(argv[2], argv[3]);
    if (fd < 0)
        return 1;
    printf("@B %s\n", argv[1]);
    fflush(stdout);
    n = move(fd, out, atoll(argv[argc - 1]) << 20, net ? PIECE : CHUNK);
    if (net && out) { /* the peer closes when it has all */
        shutdown(fd, SHUT_WR);
        if (read(fd, &last, 1) < 0)
            n = 0;
    } else if (out && fsync(fd)) {
        n = 0;
    }
    printf("@E %s %lld\n", argv[1], n);
    return 0;
}
