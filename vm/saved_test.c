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
#include <xxhash.h>

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

/* Files of other versions: the head as such a program would write it, the sum included. */
static void another_version(void)
{
    static const u32 versions[] = { 0, 2, 0x10001 };
    u8 head[64];
    char text[60];

    for (u32 i = 0; i < LEN(versions); i++) {
        int fd;

        start();
        save(false);
        fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK_EQ(pread(fd, head, sizeof(head), 0), sizeof(head));
        put_le32(head + 8, versions[i]);
        put_le64(head + 56, XXH3_64bits(head, 56));
        CHECK_EQ(pwrite(fd, head, sizeof(head), 0), sizeof(head));
        close(fd);
        CHECK_EQ(load(true), -EOPNOTSUPP);
        snprintf(text, sizeof(text), "version %u of the file, this program knows 1", versions[i]);
        CHECK(strstr(e.text, path) && strstr(e.text, text));
        stop();
    }
}

/* A file as the first release wrote it, its runs of zeroes left out: it is read for ever. */
static void the_first_version(void)
{
    static const struct piece {
        u32 at;
        const char *bytes; /* hexadecimal */
    } first[] = {
        { 0, "894d696d6963564d0100000000000000fc42000000000000794000000000000083020000"
             "00000000c41426c72f2b9c4f00000000000000007f4812d54fba36b9" },
        { 4096, "1111111111111111" },
        { 12288, "2222222222222222" },
        { 16384, "04000000000000000300000000000000010000000300000094c95e156c8539a428b52ffd"
                 "60001f8d0000281111002200041000f4f7e21efd3dc3da28b52ffd201081000000000000"
                 "010000000000000002000000040000000000000002000000000000001b0000007a31539f"
                 "a37450747b2261223a2262227d7b2273656374696f6e73223a5b7b226e616d65223a2270"
                 "6c61696e2e64617461222c226174223a343039362c226c656e677468223a31323238382c"
                 "2273756d223a2230303030303030303030303030303030227d2c7b226e616d65223a2270"
                 "6c61696e2e706c61696e222c226174223a31363338342c226c656e677468223a31362c22"
                 "73756d223a2232613930666631353361643537333635227d2c7b226e616d65223a22706c"
                 "61696e2e72756e73222c226174223a31363430302c226c656e677468223a382c2273756d"
                 "223a2238616231383233306438343431326265227d2c7b226e616d65223a22706c61696e"
                 "2e73756d73222c226174223a31363430382c226c656e677468223a382c2273756d223a22"
                 "66356135336136333166353738316465227d2c7b226e616d65223a227061636b65642e64"
                 "617461222c226174223a31363431362c226c656e677468223a32372c2273756d223a2230"
                 "303030303030303030303030303030227d2c7b226e616d65223a227061636b65642e6d61"
                 "70222c226174223a31363434332c226c656e677468223a32352c2273756d223a22613431"
                 "62646264636139643064623865227d2c7b226e616d65223a227061636b65642e7061636b"
                 "6564222c226174223a31363436382c226c656e677468223a31362c2273756d223a223432"
                 "3961323862313934623933316165227d2c7b226e616d65223a227061636b65642e636875"
                 "6e6b73222c226174223a31363438342c226c656e677468223a31322c2273756d223a2231"
                 "633262646230353662303130393464227d2c7b226e616d65223a22766d222c226174223a"
                 "31363439362c226c656e677468223a392c2273756d223a22383961313732316531643765"
                 "38393832227d5d7d" },
    };
    struct saved *s;
    struct span text;
    int fd;

    start();
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (u32 i = 0; i < LEN(first); i++)
        for (const char *p = first[i].bytes; *p; p += 2) {
            const char two[] = { p[0], p[1], 0 };
            u8 b = (u8)strtoul(two, NULL, 16);
            off_t at = first[i].at + (p - first[i].bytes) / 2;

            CHECK_EQ(pwrite(fd, &b, 1, at), 1);
        }
    close(fd);
    CHECK_EQ(saved_open(&s, path, &e), 0);
    CHECK_EQ(saved_get(s, "vm", &text, &e), 0);
    CHECK(text.len == 9 && !memcmp(text.p, "{\"a\":\"b\"}", 9));
    CHECK_EQ(saved_check(s, &e), 0);
    memset(ram, 0, 4 * PAGE);
    memset(ram + PAGE, 0x11, 8);
    memset(ram + 3 * PAGE, 0x22, 8);
    CHECK_EQ(saved_load(s, "plain", back, 4 * PAGE, NULL, &e), 0);
    CHECK(!memcmp(ram, back, 4 * PAGE));
    memset(back, 0xee, 4 * PAGE);
    CHECK_EQ(saved_load(s, "packed", back, 4 * PAGE, NULL, &e), 0);
    CHECK(!memcmp(ram, back, 4 * PAGE));
    saved_close(s);
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
    check_case("another version", another_version);
    check_case("the first version", the_first_version);
    check_case("never in place of another file", never_in_place_of_another);
    check_case("given up: nothing is left", given_up);
    check_case("no room", no_room);
    check_case("memory of another size", another_size);
    check_case("memory of terabytes", memory_of_terabytes);
    return check_end();
}
