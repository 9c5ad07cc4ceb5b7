/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power cuts: every write of a storm is recorded, and the image is put together again as it
 * would be at each moment, whole and with losses between barriers.  It must open, for writing
 * too, and hold what was flushed.
 */
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>

/* Everything written between two barriers may be on the disk or not, in any combination. */
struct event {
    u32 file;
    enum { WROTE, ZEROED, SIZED, BARRIER } kind;
    u64 at; /* SIZED: the new length */
    u8 *p;
    size_t n;
};
/* What is opened, which of its files is written and torn, and where both stand again. */
static const struct cut {
    const char *image, *file, *again, *torn;
    u32 number;
} cut_plain = { "p", "p", "cut", "cut", 0 },
  cut_bundle = { "p.hdd", "p.hdd/new.hds", "cut.hdd", "cut.hdd/new.hds", 1 };
static const struct cut *cut = &cut_plain;

static struct event events[20000];
static unsigned nevents;

static struct event *saw(u32 file, int kind, u64 at, size_t n)
{
    CHECK(nevents < LEN(events));
    if (nevents == LEN(events))
        exit(check_end());
    events[nevents] = (struct event){ file, kind, at, calloc(1, n + 1), n };
    return &events[nevents++];
}
static void saw_write(void *arg, u32 file, u64 at, const struct iovec *v, int n)
{
    for (int i = 0; i < n; i++) {
        if (v[i].iov_len)
            memcpy(saw(file, WROTE, at, v[i].iov_len)->p, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
}
static void saw_zero(void *arg, u32 file, u64 at, u64 len)
{
    saw(file, ZEROED, at, len);
}
static void saw_size(void *arg, u32 file, u64 length)
{
    saw(file, SIZED, length, 0);
}
static void saw_sync(void *arg)
{
    saw(0, BARRIER, 0, 0);
}

enum { SMALL = 512 << 10, SECTORS = SMALL / 512 };
struct promise { /* at one flush */
    unsigned event;
    u32 version[SECTORS];
};
static struct promise promises[64];
static unsigned npromises;
static u32 latest[SECTORS];

static u32 version_of(const u8 *sector)
{
    u32 v;

    memcpy(&v, sector, 4);
    return v;
}

static struct { /* what was given up: may be zero from this moment on */
    unsigned event;
    u32 first, len;
} trims[64];
static unsigned ntrims;

static void trim_some(struct image *im)
{
    u32 first = some(SECTORS / 2), len = 128 + some(SECTORS / 2 - 128);
    static u8 b[SMALL];
    struct iovec v = { b, SMALL };

    if (ntrims == LEN(trims))
        return;
    trims[ntrims].event = nevents;
    trims[ntrims].first = first;
    trims[ntrims++].len = len;
    CHECK_EQ(image_trim(im, first * 512ull, len * 512ull), 0);
    CHECK_EQ(image_read(im, 0, &v, 1, SMALL), 0);
    for (u32 s = first; s < first + len; s++)
        latest[s] = version_of(b + s * 512);
}

static bool may_be_trimmed(u32 s, unsigned from, unsigned upto)
{
    for (unsigned i = 0; i < ntrims; i++)
        if (trims[i].event >= from && trims[i].event <= upto && s >= trims[i].first &&
            s < trims[i].first + trims[i].len)
            return true;
    return false;
}

/* Sectors with a version and their own number in them. */
static void stamped_storm(struct image *im, unsigned n)
{
    static u8 b[64 * 512];
    u32 version = 1;

    for (unsigned i = 0; i < n; i++) {
        u32 first = some(SECTORS), len = (u32)min_u64(1 + some(40), SECTORS - first);

        version++;
        for (u32 k = 0; k < len; k++) {
            memset(b + k * 512, (u8)version, 512);
            memcpy(b + k * 512, &version, 4);
            memcpy(b + k * 512 + 4, &(u32){ first + k }, 4);
        }
        if (some(10) == 0)
            trim_some(im);
        for (u32 k = 0; k < len; k++)
            latest[first + k] = version;
        CHECK_EQ(write_at(im, first * 512ull, b, len * 512ull), 0);
        if (some(9) == 0 && npromises < LEN(promises)) {
            CHECK_EQ(image_flush(im), 0);
            promises[npromises].event = nevents;
            memcpy(promises[npromises++].version, latest, sizeof(latest));
        }
    }
}

static void replay_one(int fd, const struct event *v)
{
    switch (v->kind) {
    case WROTE:
    case ZEROED:
        CHECK_EQ(pwrite(fd, v->p, v->n, (off_t)v->at), v->n);
        break;
    case SIZED:
        CHECK_EQ(ftruncate(fd, (off_t)v->at), 0);
        break;
    case BARRIER:
        break;
    }
}

static void replay(const u8 *start, size_t nstart, unsigned upto, bool lossy)
{
    unsigned barrier = 0;
    static const u8 zero[4096];
    int fd = open(in_dir(cut->torn), O_RDWR | O_CREAT | O_TRUNC, 0666);

    CHECK_EQ(ftruncate(fd, (off_t)nstart), 0);
    for (size_t i = 0, n; i < nstart; i += n) {
        n = min_u64(nstart - i, sizeof(zero));
        if (memcmp(start + i, zero, n))
            CHECK_EQ(pwrite(fd, start + i, n, (off_t)i), n);
    }
    for (unsigned i = 0; i < upto; i++)
        if (events[i].kind == BARRIER)
            barrier = i;
    for (unsigned i = 0; i < upto; i++)
        if (events[i].file == cut->number && !(lossy && i > barrier && some(2)))
            replay_one(fd, &events[i]);
    close(fd);
}

static bool survived(unsigned upto)
{
    struct image_open how = { .path = in_dir(cut->again), .flags = IMAGE_WRITE };
    const struct promise *p = NULL;
    static u8 b[SMALL];
    struct iovec v = { b, SMALL };
    struct image *im = NULL;
    struct err e = { 0 };
    bool ok = true;

    for (unsigned i = 0; i < npromises && promises[i].event <= upto; i++)
        p = &promises[i];
    if (image_open(&im, &how, &e) || image_read(im, 0, &v, 1, SMALL)) {
        printf("# after %u of %u: %s\n", upto, nevents, e.text);
        return false;
    }
    for (u32 s = 0; s < SECTORS; s++) {
        u32 version = version_of(b + s * 512), own;

        memcpy(&own, b + s * 512 + 4, 4);
        if (version && own != s) {
            printf("# after %u: sector %u has what belongs to %u\n", upto, s, own);
            ok = false;
        }
        if (p && version < p->version[s] && (version || !may_be_trimmed(s, p->event, upto))) {
            printf("# after %u: sector %u is of %u, %u was flushed\n", upto, s, version,
                   p->version[s]);
            ok = false;
        }
    }
    image_close(im, NULL);
    return ok;
}

/* The image stands in "p" and may be written: a storm, and then every moment of it again. */
static void power_cut(unsigned writes)
{
    static const struct image_tap tap = {
        .wrote = saw_write, .synced = saw_sync, .sized = saw_size, .zeroed = saw_zero
    };
    static u8 start[8 << 20];
    struct image_open how = { .path = in_dir(cut->image), .flags = IMAGE_WRITE };
    struct image *im = NULL;
    struct err e = { 0 };
    ssize_t nstart;
    int fd = open(in_dir(cut->file), O_RDONLY);

    nevents = npromises = ntrims = 0;
    memset(latest, 0, sizeof(latest));
    nstart = read(fd, start, sizeof(start));
    close(fd);
    if (image_open(&im, &how, &e))
        printf("# %s\n", e.text);
    CHECK(im != NULL);
    if (!im)
        return;
    im->tap = &tap;
    stamped_storm(im, writes);
    CHECK_EQ(image_close(im, NULL), 0);
    CHECK(nevents > writes);
    for (unsigned i = 0; i <= nevents && !check_failed_now; i++) {
        replay(start, (size_t)nstart, i, false);
        CHECK(survived(i));
        replay(start, (size_t)nstart, i, true);
        CHECK(survived(i));
    }
    for (unsigned i = 0; i < nevents; i++)
        free(events[i].p);
}

/* Of a format, over a parent full of zeroes when it has one (VDI looks for ".vdi"). */
static void cut_of(const char *format, const char *options, u32 block, bool child)
{
    CHECK_EQ(make_it("base.vdi", format, SMALL, NULL, NULL, block), 0);
    CHECK_EQ(make_it("p", format, SMALL, options, child ? "base.vdi" : NULL, block), 0);
    power_cut(50);
    if (check_failed_now)
        printf("# %s, %s, blocks of %u\n", format, options ? options : "", block);
}

static void qcow2_of(u32 cluster)
{
    struct image_create how = {
        .path = in_dir("p"), .format = "qcow2", .size = SMALL, .cluster = cluster
    };

    unlink(how.path);
    CHECK_EQ(image_create(&how, NULL), 0);
    power_cut(120);
}
static void qcow2(void)
{
    qcow2_of(4096);
    qcow2_of(512);
    qcow2_of(65536);
    cut_of("qcow2", "variant=v2,level=small", 512, true);
    cut_of("qcow2", "extended_l2=on", 16384, false);
    cut_of("qcow2", "extended_l2=on", 16384, true);
    cut_of("qcow2", "refcount_bits=1", 512, false);
}

static void vmdk(void)
{
    if (!have_qemu())
        return;
    CHECK_EQ(run("rm -f p; qemu-img create -f vmdk p %d", SMALL), 0);
    power_cut(120);
}

static void vhd(void)
{
    cut_of("vhd", NULL, 65536, false);
    cut_of("vhd", NULL, 0, false);
    cut_of("vhd", NULL, 65536, true);
    cut_of("vhd", "variant=fixed", 0, false);
}

static void vdi(void)
{
    cut_of("vdi", NULL, 4096, false);
    cut_of("vdi", NULL, 0, false);
    cut_of("vdi", NULL, 4096, true);
    cut_of("vdi", "variant=static", 65536, false);
}

static void vhdx(void)
{
    cut_of("vhdx", NULL, 0, false);
    cut_of("vhdx", NULL, 0, true);
    cut_of("vhdx", "sector=4096", 0, true);
}

/* New clusters are copies of old ones, and of another size. */
static void parallels_stack(void)
{
    char text[2000];
    int n = snprintf(text, sizeof(text),
                     "<Parallels_disk_image Version=\"1.0\"><Disk_Parameters><Disk_size>%d"
                     "</Disk_size></Disk_Parameters><StorageData><Storage><Start>0</Start><End>%d"
                     "</End><Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>"
                     "Compressed</Type><File>new.hds</File></Image><Image><GUID>{1}</GUID><Type>"
                     "Compressed</Type><File>old.hds</File></Image></Storage></StorageData>"
                     "<Snapshots><Shot><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID>"
                     "<ParentGUID>{1}</ParentGUID></Shot></Snapshots></Parallels_disk_image>",
                     SECTORS, SECTORS);

    CHECK_EQ(run("mkdir p.hdd cut.hdd"), 0);
    store("p.hdd/DiskDescriptor.xml", (u8 *)text, (size_t)n);
    CHECK_EQ(make_it("p.hdd/old.hds", "parallels", SMALL, NULL, NULL, 4096), 0);
    CHECK_EQ(make_it("p.hdd/new.hds", "parallels", SMALL, NULL, NULL, 63 * 512), 0);
    CHECK_EQ(run("cp p.hdd/DiskDescriptor.xml p.hdd/old.hds cut.hdd/"), 0);
    cut = &cut_bundle;
    power_cut(50);
    cut = &cut_plain;
}
static void parallels(void)
{
    cut_of("parallels", NULL, 4096, false);
    cut_of("parallels", "variant=expanding-v1", 63 * 512, false);
    parallels_stack();
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(qcow2);
    CASE(vmdk);
    CASE(vhd);
    CASE(vdi);
    CASE(vhdx);
    CASE(parallels);
    return scratch_end();
}
