/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a VHDX in place, and making its disk bigger.  The log stays empty: each step is one
 * sector of a table that is written after what it refers to, so a power cut at any instant
 * leaves a whole image, and no reader has to replay anything.
 *
 * Without a parent a new block reads as zero, as before, so it is in the table at once.  Over
 * a parent it is partly present with no bits set, and the bits of a write follow its data.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vhdx_put_headers(struct image *im)
{
    struct vhdx *v = im->priv;
    u8 *h = v->header;
    int r = 0;

    for (int i = 0; !r && i < 2; i++) {
        unsigned slot = !v->slot;

        put_le64(h + 8, le64(h + 8) + 1);
        put_le32(h + 4, vhdx_crc(h, VHDX_HEADER, 4));
        r = image_file_write(im, 0, (slot + 1) * 64ull * VHDX_KIB, h, VHDX_HEADER);
        r = r ? r : image_file_sync(im);
        v->slot = slot;
    }
    return r;
}

/* The file and the content change: other ids, so that children made before do not fit. */
int vhdx_touch(struct image *im)
{
    struct vhdx *v = im->priv;
    int r = guid_make(v->header + 16);

    if (!r && !(im->flags & IMAGE_KEEP_ID))
        r = guid_make(v->header + 32);
    r = r ? r : vhdx_put_headers(im);
    guid_text(v->header + 32, true, v->data_guid);
    return r;
}

static void vhdx_keep_first(void *arg, const char *text)
{
    struct err *e = arg;

    if (!e->text[0])
        err_set(e, -EBADMSG, "%s", text);
}

int vhdx_may_write(struct image *im, struct err *e)
{
    struct vhdx *v = im->priv;
    struct err first = { 0 };

    if (image_file_length(im, 0) > 2 * VHDX_SIZE_MAX)
        return err_set(e, -EFBIG, "%s: a file of %llu bytes is not possible", image_path(im),
                       (unsigned long long)image_file_length(im, 0));
    v->next = round_up(image_file_length(im, 0), VHDX_MIB);
    if (!vhdx_scan(im, vhdx_keep_first, &first))
        return 0;
    return err_set(e, -EBADMSG, "%s", first.text);
}

/* Room at the end of the file: zeroes. */
static int vhdx_take(struct image *im, u64 len, u64 *at)
{
    struct vhdx *v = im->priv;
    int r = image_file_extend(im, 0, v->next + len);

    *at = v->next;
    if (!r)
        v->next += len;
    atomic_store(&im->unsynced, true);
    return r;
}

static int vhdx_put_entry(struct image *im, u64 index, u64 at, enum vhdx_state state)
{
    const struct vhdx *v = im->priv;
    u8 b[8];

    put_le64(b, at | state);
    return meta_put(im, PLAN_TABLE, 0, v->bat_at + index * 8, b, 8);
}

/*
 * The bitmap of a block's chunk.  A new one is on the disk before anything says that it is
 * needed; there is one for each 4 GiB and more, so waiting for that costs little.
 */
static int vhdx_bitmap(struct image *im, u64 block, u64 *at)
{
    const struct vhdx *v = im->priv;
    u64 index = vhdx_map_index(v, block), entry;
    u8 b[8];
    int r = vhdx_entry(im, index, &entry);

    *at = vhdx_place(entry);
    if (r || (entry & 7) == BLOCK_HERE)
        return r;
    r = vhdx_take(im, VHDX_MIB, at);
    r = r ? r : image_file_sync(im);
    put_le64(b, *at | BLOCK_HERE);
    r = r ? r : image_file_write(im, 0, v->bat_at + index * 8, b, 8);
    r = r ? r : image_file_sync(im);
    return r ? r : vhdx_put_entry(im, index, *at, BLOCK_HERE);
}

/* No bits of a block that begins to be partly there. */
static int vhdx_clear_bits(struct image *im, u64 at, u64 n)
{
    static const u8 none[512];
    u8 b[512];
    int r = 0;

    for (u64 some; !r && n; at += some, n -= some) {
        some = min_u64(n, sizeof(b) - at % sizeof(b));
        r = meta_get(im, 0, at, b, some);
        if (!r && memcmp(b, none, some))
            r = meta_put(im, PLAN_HEADER, 0, at, none, some);
    }
    return r;
}

/* A place for a block that has none; *state: what it is from now on. */
static int vhdx_place_block(struct image *im, u64 block, u64 bits_at, enum vhdx_state *state,
                            u64 *at)
{
    const struct vhdx *v = im->priv;
    bool partly = v->differencing && *state == BLOCK_NONE;
    int r = vhdx_take(im, v->block, at);

    if (!r && partly)
        r = vhdx_clear_bits(im, bits_at, v->block / v->sector / 8);
    *state = partly ? BLOCK_PARTLY : BLOCK_HERE;
    return r ? r : vhdx_put_entry(im, vhdx_index(v, block), *at, *state);
}

static void vhdx_plan_bits(const struct vhdx *v, u64 bits_at, u64 in, u32 n,
                           struct image_plan *plan)
{
    u64 first = in / v->sector;
    u8 bits[PLAN_BYTES] = { 0 };

    for (u64 i = first % 8; i < first % 8 + n; i++)
        bits[i / 8] |= (u8)(1 << i % 8);
    plan_set(plan, PLAN_HEADER, 0, bits_at + first / 8, bits, (first % 8 + n + 7) / 8);
}

int vhdx_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    const struct vhdx *v = im->priv;
    u64 block = off / v->block, in = off & (v->block - 1), entry, at, bits_at = 0;
    u32 n =
        (u32)(min_u64(min_u64(len, v->block - in), (PLAN_BYTES - 1) * 8 * v->sector) / v->sector);
    int r = vhdx_entry(im, vhdx_index(v, block), &entry);
    enum vhdx_state state = entry & 7;

    at = vhdx_place(entry);
    if (!r && v->differencing && (state == BLOCK_NONE || state == BLOCK_PARTLY)) {
        r = vhdx_bitmap(im, block, &bits_at);
        bits_at += block % v->ratio * (v->block / v->sector / 8);
    }
    if (!r && state != BLOCK_PARTLY)
        r = vhdx_place_block(im, block, bits_at, &state, &at);
    if (r)
        return r;
    if (state == BLOCK_PARTLY)
        vhdx_plan_bits(v, bits_at, in, n, plan);
    x->kind = EXT_DATA;
    x->at = at + in;
    x->len = n * v->sector;
    return 0;
}

/* Both copies of the region table say where the block table is; one is whole at any time. */
static int vhdx_put_region(struct image *im, u64 at, u64 len)
{
    u8 *b = malloc(VHDX_TABLE), bat[16];
    int r = b ? 0 : -ENOMEM;
    bool good = false;

    vhdx_put_guid(bat, VHDX_REGION_BAT);
    for (u64 from = 192 * VHDX_KIB; !r && !good && from <= 256 * VHDX_KIB; from += VHDX_TABLE) {
        r = image_file_read(im, 0, from, b, VHDX_TABLE);
        good = !r && vhdx_crc(b, VHDX_TABLE, 4) == le32(b + 4) && le32(b + 8) <= 2047;
    }
    if (!r && !good)
        r = -EIO;
    for (u32 i = 0; !r && i < le32(b + 8); i++)
        if (!memcmp(b + 16 + i * 32, bat, 16)) {
            put_le64(b + 16 + i * 32 + 16, at);
            put_le32(b + 16 + i * 32 + 24, (u32)len);
        }
    if (b)
        put_le32(b + 4, vhdx_crc(b, VHDX_TABLE, 4));
    for (u64 to = 192 * VHDX_KIB; !r && to <= 256 * VHDX_KIB; to += VHDX_TABLE) {
        r = image_file_write(im, 0, to, b, VHDX_TABLE);
        r = r ? r : image_file_sync(im);
    }
    free(b);
    return r;
}

/* A bigger block table, at the end; what was in the old one is in it. */
static int vhdx_move_table(struct image *im, u64 entries)
{
    struct vhdx *v = im->priv;
    u64 len = round_up(entries * 8, VHDX_MIB), at;
    u8 b[4096];
    int r = vhdx_take(im, len, &at);

    for (u64 i = 0; !r && i < v->bat_len; i += sizeof(b)) {
        r = meta_get(im, 0, v->bat_at + i, b, sizeof(b));
        r = r ? r : image_file_write(im, 0, at + i, b, sizeof(b));
    }
    r = r ? r : image_file_sync(im);
    r = r ? r : vhdx_put_region(im, at, len);
    if (!r) {
        v->bat_at = at;
        v->bat_len = len;
    }
    return r;
}

/* New entries: nothing there yet, or, in a fixed disk, places. */
static int vhdx_new_entries(struct image *im, u64 size)
{
    const struct vhdx *v = im->priv;
    u64 old = vhdx_entries(v, im->size), entries = vhdx_entries(v, size), at;
    u64 blocks = im->size / v->block + !!(im->size % v->block);
    int r = 0;

    for (u64 i = old; !r && i < entries; i++)
        r = vhdx_put_entry(im, i, 0, BLOCK_NONE);
    for (u64 i = blocks; !r && v->fixed && i < size / v->block + !!(size % v->block); i++) {
        r = vhdx_take(im, v->block, &at);
        r = r ? r : vhdx_put_entry(im, vhdx_index(v, i), at, BLOCK_HERE);
    }
    return r;
}

int vhdx_grow(struct image *im, u64 size, struct err *e)
{
    struct vhdx *v = im->priv;
    u8 b[8];
    int r = 0;

    size = round_up(size, v->sector);
    if (size > VHDX_SIZE_MAX)
        return err_set(e, -EFBIG, "%s: a VHDX holds at most 64 TiB", image_path(im));
    if (vhdx_entries(v, size) * 8 > v->bat_len)
        r = vhdx_move_table(im, vhdx_entries(v, size));
    r = r ? r : vhdx_touch(im);
    r = r ? r : vhdx_new_entries(im, size);
    put_le64(b, size);
    if (!r && !(r = meta_put(im, PLAN_ROOT, 0, v->size_at, b, 8)))
        im->size = size;
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
