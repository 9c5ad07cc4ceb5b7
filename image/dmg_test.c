/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Apple's images, put together here: every way to pack a run, both places for the tables. */
#include "base/buf.h"
#include "base/bytes.h"
#include "image/dmg_int.h"
#include "tests/scratch.h"
#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <openssl/evp.h>
#include <zlib.h>

enum { RUN = 64 << 10, RUNS = 24, DISK = RUN * RUNS };
static u8 model[DISK];
static struct buf file, table;

/* Literals, then near and far copies of zeroes at the end: what ADC can say. */
static size_t pack_adc(const u8 *in, size_t n, u8 *to)
{
    size_t put = 0, at = 0;

    while (at < n) {
        size_t same_as = 0;

        while (at + same_as < n && at && in[at + same_as] == in[at - 1] && same_as < 67)
            same_as++;
        if (same_as >= 4) { /* far: at most 67 bytes, one byte back */
            to[put++] = (u8)(0x40 | (same_as - 4));
            to[put++] = 0;
            to[put++] = 0;
            at += same_as;
        } else if (same_as == 3) { /* near */
            to[put++] = 0;
            to[put++] = 0;
            at += 3;
        } else {
            to[put++] = 0x80;
            to[put++] = in[at++];
        }
    }
    return put;
}

static size_t pack(u32 kind, const u8 *in, u8 *to, size_t room)
{
    uLongf z = room;
    unsigned b = (unsigned)room;
    size_t at = 0;

    switch (kind) {
    case DMG_ADC:
        return pack_adc(in, RUN, to);
    case DMG_ZLIB:
        CHECK_EQ(compress(to, &z, in, RUN), Z_OK);
        return z;
    case DMG_BZIP2:
        CHECK_EQ(BZ2_bzBuffToBuffCompress((char *)to, &b, (char *)in, RUN, 9, 0, 0), BZ_OK);
        return b;
    case DMG_LZMA:
        CHECK_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in, RUN, to, &at, room),
                 LZMA_OK);
        return at;
    case DMG_RAW:
        memcpy(to, in, RUN);
        return RUN;
    }
    return 0;
}

static void add_run(u32 kind, u64 sector, u64 at, u64 n)
{
    u8 *p = buf_room(&table, 40);

    put_be32(p, kind);
    put_be64(p + 8, sector);
    put_be64(p + 16, RUN / 512);
    put_be64(p + 24, at);
    put_be64(p + 32, n);
}

static void make_runs(const u32 *kinds, size_t nkinds)
{
    static u8 packed[RUN * 3];

    file.len = table.len = 0;
    memcpy(buf_room(&table, 204), "mish", 4);
    put_be32(table.p + 200, RUNS + 1);
    for (u32 i = 0; i < RUNS; i++) {
        u32 kind = kinds[i % nkinds];
        u8 *in = model + i * RUN;
        size_t n;

        for (u32 k = 0; k < RUN; k++)
            in[k] = kind == DMG_ZERO || kind == DMG_IGNORE ? 0 : (u8)(k / (1 + k % 500 / 7) + i);
        n = pack(kind, in, packed, sizeof(packed));
        add_run(kind, i * (RUN / 512), file.len, n);
        CHECK_EQ(buf_add(&file, packed, n), 0);
    }
    add_run(0xffffffff, DISK / 512, file.len, 0);
}

static void end_file(const char *name, u64 list_at, u64 list_n, u64 fork_at, u64 fork_n)
{
    u8 *t = buf_room(&file, 512);

    memcpy(t, "koly", 4);
    put_be32(t + 4, 4);
    put_be32(t + 8, 512);
    put_be64(t + 32, list_at ? list_at : fork_at);
    put_be64(t + 40, fork_at);
    put_be64(t + 48, fork_n);
    put_be32(t + 60, 1);
    put_be64(t + 216, list_at);
    put_be64(t + 224, list_n);
    put_be64(t + 492, DISK / 512);
    store(name, file.p, file.len);
}

static void with_list(const char *name)
{
    u64 at = file.len;
    char *text = malloc(table.len * 2);

    EVP_EncodeBlock((u8 *)text, table.p, (int)table.len);
    buf_text(&file,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>"
             "<key>resource-fork</key><dict><key>blkx</key><array><dict><key>Data</key><data>\n%s\n"
             "</data></dict></array></dict></dict></plist>\n",
             text);
    free(text);
    end_file(name, at, file.len - at, 0, 0);
}

static void with_fork(const char *name)
{
    u64 at = file.len;
    u8 *p = buf_room(&file, 16 + 4 + table.len + 28 + 2 + 8 + 12), *map;

    put_be32(p, 16);
    put_be32(p + 4, (u32)(20 + table.len));
    put_be32(p + 16, (u32)table.len);
    memcpy(p + 20, table.p, table.len);
    map = p + 20 + table.len;
    put_be16(map + 24, 28);
    memcpy(map + 30, "blkx", 4);
    put_be16(map + 36, 10);
    end_file(name, 0, 0, at, file.len - at);
}

static void every_packing(void)
{
    static const u32 all[] = {
        DMG_ZLIB, DMG_RAW, DMG_BZIP2, DMG_ZERO, DMG_LZMA, DMG_ADC, DMG_IGNORE
    };
    struct image *im;

    for (int i = 0; i < 2; i++) {
        make_runs(all, LEN(all));
        if (i)
            with_fork("a.dmg");
        else
            with_list("a.dmg");
        im = open_it("a.dmg", 0);
        if (!im)
            continue;
        CHECK_TEXT(image_format_name(im), "dmg");
        CHECK_EQ(image_size(im), DISK);
        CHECK(same(im, model, DISK));
        image_close(im, NULL);
    }
}

static void as_qemu_reads_it(void)
{
    static const u32 some_kinds[] = { DMG_ZLIB, DMG_RAW, DMG_ZERO, DMG_ZLIB };

    if (!have_qemu())
        return;
    make_runs(some_kinds, LEN(some_kinds));
    with_list("q.dmg");
    store("model.raw", model, DISK);
    CHECK_EQ(run("qemu-img compare -f dmg -F raw q.dmg model.raw"), 0);
}

static int try_open(struct err *e)
{
    struct image_open how = { .path = in_dir("d.dmg") };
    struct image *im = NULL;
    int r;

    *e = (struct err){ 0 };
    r = image_open(&im, &how, e);
    if (im)
        image_close(im, NULL);
    return r;
}

static void what_is_refused(void)
{
    static const u32 plain[] = { DMG_RAW }, zlib[] = { DMG_ZLIB };
    struct iovec v = { model, RUN };
    struct image *im;
    struct err e;

    make_runs(plain, 1);
    put_be32(table.p + 204, 0x80000042); /* a packing that nobody has */
    with_list("d.dmg");
    CHECK_EQ(try_open(&e), -EOPNOTSUPP);
    CHECK(strstr(e.text, "80000042") != NULL);
    make_runs(plain, 1);
    put_be64(table.p + 204 + 16, 1ull << 60); /* longer than the disk */
    with_list("d.dmg");
    CHECK_EQ(try_open(&e), -EBADMSG);
    make_runs(plain, 1);
    put_be64(table.p + 244 + 8, 0); /* two at one place */
    with_list("d.dmg");
    CHECK_EQ(try_open(&e), -EBADMSG);
    CHECK(strstr(e.text, "overlap") != NULL);
    make_runs(plain, 1);
    put_be32(table.p + 200, 0xffffffff);
    with_fork("d.dmg");
    CHECK_EQ(try_open(&e), -EBADMSG);
    make_runs(plain, 1);
    with_fork("d.dmg");
    put_be32(file.p + file.len - 512 + 60, 3);
    store("d.dmg", file.p, file.len);
    CHECK_EQ(try_open(&e), -EOPNOTSUPP);
    store("d.dmg", (const u8 *)"encrcdsa\0\0\0\2and so on", 21);
    CHECK_EQ(try_open(&e), -EOPNOTSUPP);
    CHECK(strstr(e.text, "encrypted") != NULL);
    make_runs(zlib, 1); /* a run that gives less than it says */
    put_be64(table.p + 204 + 32, 10);
    with_list("d.dmg");
    im = open_it("d.dmg", 0);
    CHECK_EQ(image_read(im, 0, &v, 1, RUN), -EIO);
    CHECK_EQ(image_read(im, RUN, &v, 1, RUN), 0);
    image_close(im, NULL);
}

int main(void)
{
    int r;

    if (scratch_begin())
        return 1;
    CASE(every_packing);
    CASE(as_qemu_reads_it);
    CASE(what_is_refused);
    r = scratch_end();
    buf_fini(&file);
    buf_fini(&table);
    return r;
}
