/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of a saved VM: comes back as it was; cut, flipped, foreign ones are refused by name. */
#include "base/bytes.h"
#include "tests/check.h"
#include "tests/random64.h"
#include "vm/saved.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 700 };
static char dir[64], path[100];
static u8 *ram, *back;
static struct err e;

static u8 *pages(void)
{
    return mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void start(void)
{
    memset(&e, 0, sizeof(e));
    snprintf(dir, sizeof(dir), "/tmp/saved_test.XXXXXX");
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/vm", dir);
    ram = pages();
    back = pages();
    for (u32 i = 0; i < PAGES; i++) { /* noise, zeroes long and short, pages that are alike */
        u8 *p = ram + i * PAGE;

        if ((i >= 100 && i < 300) || i % 7 == 0)
            continue;
        if (i % 5 == 0)
            memset(p, 0x55, PAGE);
        else
            for (u32 k = 0; k < PAGE; k += 8)
                put_le64(p + k, random64() >> (i % 60));
    }
}

static void stop(void)
{
    munmap(ram, PAGES * PAGE);
    munmap(back, PAGES * PAGE);
    unlink(path);
    CHECK_EQ(rmdir(dir), 0); /* nothing is left beside it */
}

static u64 save(bool packed)
{
    struct saved_writer *w;
    u64 size = 0;

    CHECK_EQ(saved_begin(&w, path, &e), 0);
    CHECK_EQ(saved_memory(w, "ram", ram, PAGES * PAGE, packed, NULL, NULL, &e), 0);
    CHECK_EQ(saved_section(w, "vm", "hello", 5, &e), 0);
    CHECK_EQ(saved_memory(w, "vga vram", ram + 90 * PAGE, 20 * PAGE, packed, NULL, NULL, &e), 0);
    CHECK_EQ(saved_section(w, "empty", "", 0, &e), 0);
    CHECK(access(path, F_OK)); /* nothing yet */
    CHECK_EQ(saved_commit(w, &size, &e), 0);
    return size;
}

static int over(void *arg, u64 at, u64 len, int fd, u64 off, struct err *err)
{
    void *p =
        mmap((u8 *)arg + at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)off);

    return p == MAP_FAILED ? err_set(err, -errno, "mmap") : 0;
}

/* 0: all of it is as it was. */
static int load(bool map)
{
    const struct saved_map to = { over, back };
    struct saved *s;
    struct span text;
    int r = saved_open(&s, path, &e);

    if (r)
        return r;
    if (map) /* zeroes */
        mmap(back, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
    r = saved_load(s, "ram", back, PAGES * PAGE, map ? &to : NULL, &e);
    r = r ? r : saved_get(s, "vm", &text, &e);
    if (!r)
        CHECK(text.len == 5 && !memcmp(text.p, "hello", 5));
    r = r ? r : saved_check(s, &e);
    saved_close(s);
    if (!r)
        CHECK(!memcmp(ram, back, PAGES * PAGE));
    return r;
}

static void comes_back(bool packed, bool map)
{
    start();
    save(packed);
    memset(back, 0xaa, PAGES * PAGE);
    if (!map)
        back[0] = 0xaa; /* what was there goes */
    CHECK_EQ(load(map), 0);
    back[5 * PAGE] ^= 1; /* and is ours: the file does not change */
    CHECK_EQ(load(map), 0);
    stop();
}
static void plain_mapped(void)
{
    comes_back(false, true);
}
static void plain_read(void)
{
    comes_back(false, false);
}
static void packed_fresh(void)
{
    comes_back(true, true);
}
static void packed_over(void)
{
    comes_back(true, false);
}

static void packed_is_small(void)
{
    struct stat st;
    u64 plain, packed;

    start();
    plain = save(false);
    CHECK(plain < (PAGES - 150) * PAGE); /* the long zeroes are not in it */
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ((u64)st.st_size, plain);
    CHECK_EQ(st.st_mode & 0777, 0600);
    unlink(path);
    packed = save(true);
    CHECK(packed < plain * 3 / 4);
    stop();
}

static void poke(u64 at, u8 flip)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    u8 b;

    CHECK_EQ(pread(fd, &b, 1, (off_t)at), 1);
    b ^= flip;
    CHECK_EQ(pwrite(fd, &b, 1, (off_t)at), 1);
    close(fd);
}

/* Every region: each byte of what is not memory, and many of memory. */
static void flipped(bool packed)
{
    u64 size, step = 1;

    start();
    size = save(packed);
    for (u64 at = 0; at < size; at += step) {
        u8 flip = (u8)(1u << (random64() & 7));

        step = at >= 5000 && at < size - 4000 ? 997 + random64() % 4001
               : at >= 70 && at < 4000        ? 61
                                              : 1;
        poke(at, flip);
        memset(&e, 0, sizeof(e));
        if (!load(true) || !strstr(e.text, path)) {
            printf("# byte %llu of %llu flipped: %s\n", (unsigned long long)at,
                   (unsigned long long)size, e.text);
            check_failed_now = 1;
        }
        poke(at, flip);
    }
    CHECK_EQ(load(true), 0);
    stop();
}
static void plain_flipped(void)
{
    flipped(false);
}
static void packed_flipped(void)
{
    flipped(true);
}

static void cut(void)
{
    u64 size;

    start();
    size = save(false);
    for (u64 n = 0; n < size; n += n < 100 ? 1 : 1 + random64() % 20000) {
        CHECK_EQ(truncate(path, (off_t)n), 0);
        memset(&e, 0, sizeof(e));
        CHECK(load(true));
        CHECK(strstr(e.text, path));
        unlink(path);
        save(false);
    }
    stop();
}

static void foreign(void)
{
    int fd;

    start();
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, ram + PAGE, 20 * PAGE), 20 * PAGE);
    close(fd);
    CHECK_EQ(load(true), -EINVAL);
    CHECK(strstr(e.text, "is not a saved VM"));
    stop();
}

static void never_in_place_of_another(void)
{
    struct saved_writer *w;

    start();
    save(false);
    CHECK_EQ(saved_begin(&w, path, &e), -EEXIST);
    CHECK_EQ(load(true), 0);
    stop();
}

static void given_up(void)
{
    struct saved_writer *w;

    start();
    CHECK_EQ(saved_begin(&w, path, &e), 0);
    CHECK_EQ(saved_memory(w, "ram", ram, PAGES * PAGE, false, NULL, NULL, &e), 0);
    saved_abort(w);
    CHECK(access(path, F_OK));
    stop();
}

static void no_room(void)
{
    struct rlimit old, small;
    struct saved_writer *w;

    start();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ 1 << 20, old.rlim_max };
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_EQ(saved_begin(&w, path, &e), 0);
    CHECK_EQ(saved_memory(w, "ram", ram, PAGES * PAGE, false, NULL, NULL, &e), -EFBIG);
    CHECK(strstr(e.text, path));
    saved_abort(w);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(access(path, F_OK));
    stop();
}

static void another_size(void)
{
    struct saved *s;

    start();
    save(false);
    CHECK_EQ(saved_open(&s, path, &e), 0);
    CHECK_EQ(saved_load(s, "ram", back, PAGE, NULL, &e), -EINVAL);
    CHECK_EQ(saved_load(s, "nothing", back, PAGE, NULL, &e), -EBADMSG);
    saved_close(s);
    stop();
}

/* Tables are as long as the memory: a few bytes must not make gigabytes. */
static void memory_of_terabytes(void)
{
    struct saved_writer *w;
    struct saved *s;
    u8 head[16] = { 0 };
    u64 size;

    start();
    put_le64(head, 0xfffffff0);
    CHECK_EQ(saved_begin(&w, path, &e), 0);
    CHECK_EQ(saved_section(w, "ram.packed", head, sizeof(head), &e), 0);
    CHECK_EQ(saved_section(w, "ram.data", "", 0, &e), 0);
    CHECK_EQ(saved_commit(w, &size, &e), 0);
    CHECK_EQ(saved_open(&s, path, &e), 0);
    CHECK_EQ(saved_check(s, &e), -EBADMSG);
    CHECK(strstr(e.text, "makes no sense"));
    saved_close(s);
    stop();
}

int main(void)
{
    check_case("plain pages are mapped", plain_mapped);
    check_case("plain pages are read", plain_read);
    check_case("packed pages into fresh memory", packed_fresh);
    check_case("packed pages over something", packed_over);
    check_case("zeroes and doubles take no room", packed_is_small);
    check_case("flipped: plain", plain_flipped);
    check_case("flipped: packed", packed_flipped);
    check_case("cut", cut);
    check_case("foreign", foreign);
    check_case("never in place of another file", never_in_place_of_another);
    check_case("given up: nothing is left", given_up);
    check_case("no room", no_room);
    check_case("memory of another size", another_size);
    check_case("memory of terabytes", memory_of_terabytes);
    return check_end();
}
