/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/chr.h"
#include "base/loop.h"
#include "tests/check.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct sink {
    struct loop *loop;
    u8 got[64];
    u32 n, room;
};

static u32 sink_can(void *arg)
{
    return ((struct sink *)arg)->room;
}

static void sink_take(void *arg, const u8 *p, u32 n)
{
    struct sink *s = arg;

    CHECK(n <= s->room && s->n + n <= sizeof(s->got));
    memcpy(s->got + s->n, p, n);
    s->n += n;
    s->room -= n;
}

static void buffer_keeps_and_feeds(void)
{
    struct sink s = { .room = 3 };
    struct chr *c;
    const u8 *p;
    u32 n;

    CHECK_EQ(chr_open_buf(&c, 6, NULL), 0);
    chr_put(c, (const u8 *)"abcd", 4);
    chr_put(c, (const u8 *)"efgh", 4);
    p = chr_kept(c, &n);
    CHECK_EQ(n, 6);
    CHECK(!memcmp(p, "abcdef", 6));
    chr_attach(c, sink_can, sink_take, &s);
    CHECK_EQ(chr_feed(c, (const u8 *)"12345", 5), 3);
    CHECK(!memcmp(s.got, "123", 3));
    chr_close(c);
}

struct reader {
    int fd;
    u64 n, bad;
};

static void *reader_run(void *arg)
{
    struct reader *r = arg;
    u8 b[1000];
    ssize_t n;

    while ((n = read(r->fd, b, sizeof(b))) > 0)
        for (ssize_t i = 0; i < n; i++, r->n++)
            r->bad += b[i] != (u8)(r->n * 7);
    return NULL;
}

static void output_is_complete_and_in_order(void)
{
    struct reader r = { 0 };
    struct loop *l;
    struct chr *c;
    pthread_t t;
    int fd[2];
    u64 sent = 0;

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(pipe(fd), 0);
    r.fd = fd[0];
    CHECK_EQ(chr_open_fd(&c, -1, fd[1], l, NULL), 0);
    pthread_create(&t, NULL, reader_run, &r);
    while (sent < 1000000) {
        u8 b[113];

        for (u32 i = 0; i < sizeof(b); i++)
            b[i] = (u8)((sent + i) * 7);
        chr_put(c, b, sizeof(b));
        sent += sizeof(b);
    }
    chr_close(c);
    close(fd[1]);
    pthread_join(t, NULL);
    close(fd[0]);
    CHECK_EQ(r.n, sent);
    CHECK_EQ(r.bad, 0);
    loop_free(l);
}

static void reader_that_left_costs_nothing(void)
{
    static const u8 b[4096];
    struct loop *l;
    struct chr *c;
    int fd[2];

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(pipe(fd), 0);
    close(fd[0]);
    CHECK_EQ(chr_open_fd(&c, -1, fd[1], l, NULL), 0);
    for (int i = 0; i < 1000; i++)
        chr_put(c, b, sizeof(b));
    chr_close(c);
    close(fd[1]);
    loop_free(l);
}

static void room_is_told(void *arg)
{
    *(bool *)arg = true;
}

static void full_output_tells_when_there_is_room(void)
{
    u8 b[32768] = { 0 };
    struct reader r = { 0 };
    struct loop *l;
    struct chr *c;
    bool told = false;
    pthread_t t;
    int fd[2];

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(pipe(fd), 0);
    r.fd = fd[0];
    CHECK_EQ(chr_open_fd(&c, -1, fd[1], l, NULL), 0);
    chr_on_room(c, room_is_told, &told);
    while (chr_room(c, sizeof(b)))
        chr_put(c, b, sizeof(b));
    CHECK(!told);
    pthread_create(&t, NULL, reader_run, &r);
    while (!told)
        loop_once(l);
    CHECK(chr_room(c, sizeof(b)));
    chr_close(c);
    close(fd[1]);
    pthread_join(t, NULL);
    CHECK_EQ(r.n % sizeof(b), 0);
    close(fd[0]);
    loop_free(l);
}

static void input_with(int in, const char *want, int more_at)
{
    struct sink s = { .room = (u32)more_at };
    struct loop *l;
    struct chr *c;
    size_t len = strlen(want);

    CHECK_EQ(loop_new(&l, NULL), 0);
    CHECK_EQ(chr_open_fd(&c, in, -1, l, NULL), 0);
    chr_attach(c, sink_can, sink_take, &s);
    while (s.n < min_u64(len, (u64)more_at))
        loop_once(l);
    s.room = 40;
    chr_more(c);
    while (s.n < len)
        loop_once(l);
    CHECK_EQ(s.n, len);
    CHECK(!memcmp(s.got, want, len));
    chr_more(c); /* at the end of the input: nothing more comes */
    loop_once(l);
    CHECK_EQ(s.n, len);
    chr_close(c);
    loop_free(l);
}

static void input_from_pipe_file_and_null(void)
{
    FILE *f = tmpfile();
    int fd[2], null = open("/dev/null", O_RDONLY);

    CHECK_EQ(pipe(fd), 0);
    CHECK_EQ(write(fd[1], "hello, pipe", 11), 11);
    close(fd[1]);
    input_with(fd[0], "hello, pipe", 5);
    fputs("hello, file", f);
    rewind(f);
    input_with(fileno(f), "hello, file", 4);
    input_with(null, "", 1);
    close(fd[0]);
    input_with(-1, "", 1);
    close(null);
    fclose(f);
}

int main(void)
{
    CASE(buffer_keeps_and_feeds);
    CASE(output_is_complete_and_in_order);
    CASE(reader_that_left_costs_nothing);
    CASE(full_output_tells_when_there_is_room);
    CASE(input_from_pipe_file_and_null);
    return check_end();
}
