/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile file of a saved VM: whatever is in it, opening and loading end with an error that
 * names it, or well.  An input is such a file, whose sums of head and index are set right; or it
 * tells what to change in the parts of a good one, whose sums are then all right.
 */
#include "base/bytes.h"
#include "vm/saved_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

enum { FUZZ_PAGES = 150, FUZZ_PARTS = 3, FUZZ_PART_MAX = 4096 };
static const char *const fuzz_parts[2][FUZZ_PARTS] = { { "ram.plain", "ram.runs", "ram.sums" },
                                                       { "ram.packed", "ram.chunks", "ram.map" } };
static u8 *ram, *back;
static char path[64];
static struct {
    u8 b[FUZZ_PART_MAX];
    u32 len;
} good[2][FUZZ_PARTS];

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static void fuzz_must(int r)
{
    if (r)
        abort();
}

static void fuzz_gone(void)
{
    unlink(path);
}

static struct saved_writer *fuzz_begin(void)
{
    struct saved_writer *w;

    unlink(path);
    fuzz_must(saved_begin(&w, path, NULL));
    return w;
}

static void fuzz_commit(struct saved_writer *w, bool packed)
{
    u64 size;

    fuzz_must(saved_memory(w, "ram", ram, FUZZ_PAGES * SAVED_PAGE, packed, NULL, NULL, NULL));
    fuzz_must(saved_commit(w, &size, NULL));
}

/* A map of pages is compressed in the file; here it is as it is. */
static bool fuzz_is_map(bool packed, u32 part)
{
    return packed && part == 2;
}

static void fuzz_learn(bool packed)
{
    struct saved *s;
    struct span to;

    fuzz_commit(fuzz_begin(), packed);
    fuzz_must(saved_open(&s, path, NULL));
    for (u32 i = 0; i < FUZZ_PARTS; i++) {
        fuzz_must(saved_get(s, fuzz_parts[packed][i], &to, NULL));
        good[packed][i].len = (u32)to.len;
        if (fuzz_is_map(packed, i))
            good[packed][i].len =
                (u32)ZSTD_decompress(good[packed][i].b, FUZZ_PART_MAX, to.p, to.len);
        else
            memcpy(good[packed][i].b, to.p, to.len);
    }
    saved_close(s);
}

static void fuzz_start(void)
{
    snprintf(path, sizeof(path), "/dev/shm/mimic-fuzz-%d.saved", (int)getpid());
    atexit(fuzz_gone);
    ram = aligned_alloc(SAVED_PAGE, FUZZ_PAGES * SAVED_PAGE);
    back = aligned_alloc(SAVED_PAGE, FUZZ_PAGES * SAVED_PAGE);
    memset(ram, 0, FUZZ_PAGES * SAVED_PAGE);
    for (u32 i = 0; i < FUZZ_PAGES; i++)
        if (i % 7) /* some are zero, some alike */
            put_le32(ram + i * SAVED_PAGE + i, i % 10 ? i : 10);
    fuzz_learn(false);
    fuzz_learn(true);
}

/* The part before the good one of the same name: it is the one that counts. */
static void fuzz_part(struct saved_writer *w, bool packed, u32 part, struct cursor *c)
{
    u8 b[FUZZ_PART_MAX], out[2 * FUZZ_PART_MAX], edits = get_u8(c);
    u32 len = good[packed][part].len;
    size_t n = len;

    memcpy(b, good[packed][part].b, len);
    for (u32 i = 0; i < edits % 8u; i++) {
        u32 at = get_le16(c) % (len / 4) * 4;

        put_le32(b + at, edits & 8 ? get_le32(c) : get_u8(c));
    }
    if (edits & 16)
        n = get_le16(c) % (len + 1);
    if (fuzz_is_map(packed, part)) {
        n = ZSTD_compress(out, sizeof(out), b, n, 1);
        fuzz_must(ZSTD_isError(n));
    } else {
        memcpy(out, b, n);
    }
    fuzz_must(saved_section(w, fuzz_parts[packed][part], out, n, NULL));
}

static void fuzz_change(struct cursor *c)
{
    struct saved_writer *w = fuzz_begin();
    u8 how = get_u8(c);

    for (u32 i = 0; i < FUZZ_PARTS; i++)
        if (how >> (1 + i) & 1)
            fuzz_part(w, how & 1, i, c);
    fuzz_commit(w, how & 1);
}

static void fuzz_raw(const u8 *p, size_t n)
{
    u8 head[SAVED_HEAD] = { 0 };
    FILE *f = fopen(path, "w");
    u64 at, len;

    if (!f || (n && fwrite(p, n, 1, f) != 1))
        abort();
    if (n >= SAVED_PAGE) {
        memcpy(head, p, sizeof(head));
        memcpy(head, SAVED_MAGIC, 8);
        put_le32(head + 8, SAVED_VERSION);
        put_le64(head + 16, n);
        at = le64(head + 24);
        len = le64(head + 32);
        if (range_ok(at, len, n))
            put_le64(head + 40, XXH3_64bits(p + at, len));
        put_le64(head + 56, XXH3_64bits(head, 56));
        rewind(f);
        if (fwrite(head, sizeof(head), 1, f) != 1)
            abort();
    }
    fclose(f);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);
    struct err e = { 0 };
    struct saved *s;

    if (!ram)
        fuzz_start();
    if (get_u8(&c) & 1)
        fuzz_raw(p, n);
    else
        fuzz_change(&c);
    if (saved_open(&s, path, &e)) {
        if (!e.text[0])
            abort();
        return 0;
    }
    if (saved_load(s, "ram", back, FUZZ_PAGES * SAVED_PAGE, NULL, &e) && !e.text[0])
        abort();
    if (saved_check(s, &e) && !e.text[0])
        abort();
    saved_close(s);
    return 0;
}
