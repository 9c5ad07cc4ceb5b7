/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"
#include "image/image.h"
#include "tests/check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK = (9 << 20) + 512 };
static u8 model[DISK], back[DISK];
static char dir[] = "/dev/shm/mimic-convert-XXXXXX";

static const char *in_dir(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *p = paths[turn++ % 4];

    snprintf(p, 256, "%s/%s", dir, name);
    return p;
}

static struct image *open_it(const char *name, const char *format)
{
    struct image_open how = { .path = in_dir(name), .format = format };
    struct image *im = NULL;
    struct err e = { 0 };

    if (image_open(&im, &how, &e))
        printf("# %s\n", e.text);
    CHECK(im != NULL);
    return im;
}

static u64 last_done, last_total;
static void progress(void *arg, u64 done, u64 total)
{
    last_done = done;
    last_total = total;
}

static int convert_as(const char *from, const char *format, const char *to, const char *as,
                      const char *options, unsigned threads, struct err *e)
{
    struct image_convert how = { .path = in_dir(to),
                                 .format = as,
                                 .options = options,
                                 .threads = threads,
                                 .progress = progress };
    struct image *im = open_it(from, format);
    int r = im ? image_convert(im, &how, e) : -ENOENT;

    if (im)
        image_close(im, NULL);
    return r;
}

static int convert(const char *from, const char *format, const char *to, const char *as,
                   unsigned threads, struct err *e)
{
    return convert_as(from, format, to, as, NULL, threads, e);
}

/* Formats that are written in other ways: forward, packed, as several files. */
static const struct {
    const char *format, *options, *name;
} kinds[] = {
    { "qcow2", NULL, "k.qcow2" },
    { "qcow2", "compression=zlib", "k.qcow2" },
    { "qcow2", "compression=zstd,level=small", "k.qcow2" },
    { "vmdk", "variant=streamOptimized", "k.vmdk" },
    { "vmdk", "variant=twoGbMaxExtentSparse", "k.vmdk" },
    { "vhd", NULL, "k.vhd" },
};

static bool holds(const char *name, const char *format)
{
    struct image *im = open_it(name, format);
    struct iovec v = { back, DISK };
    bool ok = im && image_size(im) == DISK && !image_read(im, 0, &v, 1, DISK) &&
              !memcmp(model, back, DISK);

    if (im)
        image_close(im, NULL);
    return ok;
}

static unsigned files_in_dir(void)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void there_and_back(void)
{
    struct err e = { 0 };
    struct stat st;

    for (unsigned threads = 1; threads <= 4; threads += 3) {
        CHECK_EQ(convert("base.raw", "raw", "a.qcow2", "qcow2", threads, &e), 0);
        CHECK_TEXT(e.text, "");
        CHECK_EQ(last_done, DISK);
        CHECK_EQ(last_total, DISK);
        CHECK(holds("a.qcow2", NULL));
        CHECK_EQ(convert("a.qcow2", NULL, "a.raw", "raw", threads, &e), 0);
        CHECK(holds("a.raw", "raw"));
        CHECK_EQ(stat(in_dir("a.raw"), &st), 0);
        CHECK(st.st_blocks * 512 < DISK / 3 * 2); /* holes stay holes */
        if (threads == 1 && !system("command -v qemu-img >/dev/null 2>&1")) {
            char command[300];

            snprintf(command, sizeof(command),
                     "cd %s && qemu-img check -q a.qcow2 && qemu-img compare -q a.qcow2 a.raw",
                     dir);
            CHECK_EQ(system(command), 0);
        }
        CHECK_EQ(convert("base.raw", "raw", "a.raw", "raw", threads, &e), (u64)-EEXIST);
        unlink(in_dir("a.qcow2"));
        unlink(in_dir("a.raw"));
        e = (struct err){ 0 };
    }
}

/* What is packed is read back, by qemu-img too. */
static void packed(void)
{
    bool qemu = !system("command -v qemu-img >/dev/null 2>&1");

    for (size_t i = 1; i < LEN(kinds); i++) {
        struct err e = { 0 };
        char command[300];

        CHECK_EQ(
            convert_as("base.raw", "raw", kinds[i].name, kinds[i].format, kinds[i].options, 3, &e),
            0);
        CHECK_TEXT(e.text, "");
        CHECK(holds(kinds[i].name, kinds[i].format));
        snprintf(command, sizeof(command), "cd %s && %s qemu-img compare -q -f raw base.raw %s",
                 dir, strcmp(kinds[i].format, "qcow2") ? "" : "qemu-img check -q k.qcow2 &&",
                 kinds[i].name);
        if (qemu && strcmp(kinds[i].format, "vhd"))
            CHECK_EQ(system(command), 0);
        snprintf(command, sizeof(command), "rm -f %s/k*", dir);
        CHECK_EQ(system(command), 0);
    }
}

/* A disk that is full: an error, and nothing is left behind. */
static void no_room(void)
{
    unsigned before = files_in_dir();

    for (size_t i = 0; i < LEN(kinds); i++) {
        int status = 0;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (!pid) {
            struct rlimit limit = { 100000, 100000 };
            struct err e = { 0 };
            int r;

            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
            r = convert_as("base.raw", "raw", kinds[i].name, kinds[i].format, kinds[i].options, 2,
                           &e);
            _exit(r == -EFBIG && strstr(e.text, kinds[i].name) ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        CHECK_EQ(status, 0);
        CHECK_EQ(files_in_dir(), before);
    }
}

/* Killed at any moment: the target's name is free or the whole disk. */
static void killed(void)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -rf %s/k*", dir);
    for (unsigned i = 0; i < 8 * LEN(kinds); i++) {
        const char *name = kinds[i / 8].name;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (!pid) {
            struct err e = { 0 };

            convert_as("base.raw", "raw", name, kinds[i / 8].format, kinds[i / 8].options, 2, &e);
            _exit(0);
        }
        for (unsigned turn = 0; turn < i % 8 * 40; turn++)
            files_in_dir(); /* some time passes */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (!access(in_dir(name), F_OK))
            CHECK(holds(name, kinds[i / 8].format));
        CHECK_EQ(system(command), 0);
    }
}

/* 8 TiB with a few sectors in it is done at once. */
static void size_costs_nothing(void)
{
    int fd = open(in_dir("huge.raw"), O_CREAT | O_RDWR, 0666);
    struct err e = { 0 };

    CHECK_EQ(ftruncate(fd, 8ll << 40), 0);
    CHECK_EQ(pwrite(fd, "mimic", 5, 5ll << 40), 5);
    close(fd);
    CHECK_EQ(convert("huge.raw", "raw", "huge2.raw", "raw", 2, &e), 0);
    fd = open(in_dir("huge2.raw"), O_RDONLY);
    CHECK_EQ(pread(fd, back, 5, 5ll << 40), 5);
    CHECK(!memcmp(back, "mimic", 5));
    close(fd);
    CHECK_EQ(convert_as("huge.raw", "raw", "huge.vmdk", "vmdk", "variant=streamOptimized", 2, &e),
             0);
    CHECK_EQ(convert_as("huge.raw", "raw", "huge.qcow2", "qcow2", "compression=zlib", 2, &e), 0);
    CHECK_EQ(convert("huge.vmdk", "vmdk", "huge3.qcow2", "qcow2", 2, &e), 0);
    CHECK_TEXT(e.text, "");
}

int main(void)
{
    char command[100];
    FILE *f;

    if (!mkdtemp(dir))
        return 1;
    for (size_t i = 0; i < DISK; i++)
        model[i] = i / 300000 % 2 ? (u8)(i * 7 ^ i >> 9) : 0;
    f = fopen(in_dir("base.raw"), "we");
    if (!f || fwrite(model, 1, DISK, f) != DISK)
        return 1;
    fclose(f);
    CASE(there_and_back);
    CASE(packed);
    CASE(no_room);
    CASE(killed);
    CASE(size_costs_nothing);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
