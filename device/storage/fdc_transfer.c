/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the floppy disk controller that move data: whole sectors of one cylinder, by DMA.
 * Intel 82077AA data sheet (1994), 5.1.  A disk whose data rate is not the one that was chosen has
 * no address marks, which is how drivers find out what disk it is.
 */
#include "device/chipset/dma8237.h"
#include "device/storage/fdc_int.h"
#include <errno.h>
#include <string.h>

enum { WRITE = 0x05, WRITE_DELETED = 0x09, FORMAT = 0x0d, VERIFY = 0x16, READ_TRACK = 0x02 };
enum {
    ST0_FAILED = 0x40,
    MULTI_TRACK = 0x80,
    SIZE_512 = 2,
    SPECIFY_NO_DMA = 1,
    IMPLIED_SEEK = 0x40
};
enum {
    ST1_END = 0x80,     /* past the end of the cylinder */
    ST1_DATA = 0x20,    /* the disk cannot be read there */
    ST1_OVERRUN = 0x10, /* nobody took the data */
    ST1_NO_SECTOR = 4,
    ST1_PROTECTED = 2,
    ST1_NO_MARK = 1
};
enum { ST2_WRONG_CYLINDER = 0x10 };

/* Kinds of disks, smallest first. */
const struct fdc_media *fdc_media(u64 bytes)
{
    static const struct fdc_media all[] = {
        { 40, 1, 8, FDC_250K, FDC_360K },   { 40, 1, 9, FDC_250K, FDC_360K },
        { 40, 2, 8, FDC_250K, FDC_360K },   { 40, 2, 9, FDC_250K, FDC_360K },
        { 80, 2, 9, FDC_250K, FDC_1440K },  { 80, 2, 15, FDC_500K, FDC_1200K },
        { 80, 2, 18, FDC_500K, FDC_1440K }, { 80, 2, 21, FDC_500K, FDC_1440K },
        { 82, 2, 21, FDC_500K, FDC_1440K }, { 80, 2, 36, FDC_1M, FDC_2880K },
    };

    for (u32 i = 0; i < LEN(all); i++)
        if (bytes <= (u64)all[i].tracks * all[i].heads * all[i].sectors * FDC_SECTOR)
            return &all[i];
    return NULL;
}

/* The disk under the heads of a drive, if it can be read at this rate. */
static const struct fdc_media *fdc_found(const struct fdc *f, u32 drive)
{
    const struct fdc_media *m = drive < f->config.drives ? f->drive[drive].media : NULL;
    bool same = m && (m->rate == f->state.rate ||
                      (m->rate == FDC_250K && f->state.rate == FDC_300K)); /* in a 1.2M drive */

    return same && f->state.cylinder[drive] < m->tracks ? m : NULL;
}

/* The seven bytes that end each of these commands. */
static void fdc_end(struct fdc *f, u8 st0, u8 st1, u8 st2, const u8 chrn[4])
{
    struct fdc_state *s = &f->state;
    u8 id[4];

    memcpy(id, chrn, 4);
    s->fifo[0] = (u8)(st0 | s->head << 2 | (s->fifo[1] & 3));
    s->fifo[1] = st1;
    s->fifo[2] = st2;
    memcpy(s->fifo + 3, id, 4);
    fdc_result(f, 7, true);
}

static void fdc_fail(struct fdc *f, u8 st1, u8 st2)
{
    fdc_end(f, ST0_FAILED, st1, st2, f->state.fifo + 2);
}

static bool fdc_writes(const struct fdc *f)
{
    u8 command = f->state.fifo[0] & 0x1f;

    return command == WRITE || command == WRITE_DELETED || command == FORMAT;
}

/* Table 5-5: the sector after the last one. */
static void fdc_next(struct fdc *f, u8 chrn[4])
{
    const u8 *c = f->state.fifo;
    bool multi = c[0] & MULTI_TRACK;
    u32 eot = c[6], at = c[4];

    memcpy(chrn, c + 2, 4);
    for (u32 i = 0; i < f->sectors; i++) {
        if (at++ != eot)
            continue;
        at = 1;
        chrn[0] = (u8)(chrn[0] + (multi && !(chrn[1] & 1) ? 0 : 1));
        chrn[1] ^= multi;
    }
    chrn[2] = (u8)at;
}

/* Everything has been moved, or cannot be. */
static void fdc_moved(struct fdc *f, int result)
{
    u8 chrn[4];

    if (result) {
        fdc_fail(f, ST1_DATA, 0);
        return;
    }
    fdc_next(f, chrn);
    fdc_end(f, f->counted ? 0 : ST0_FAILED, f->counted ? 0 : ST1_END, 0, chrn);
}

static void fdc_request_done(struct blk_req *r, int result)
{
    struct fdc *f = r->arg;
    struct blk *b;

    domain_lock(f->dev.domain);
    if (!result && r->op == BLK_WRITE) { /* a floppy disk has no cache */
        r->op = BLK_FLUSH;
        r->off = r->len = 0;
        r->n = 0;
        b = f->drive[f->state.fifo[1] & 3].blk;
        domain_unlock(f->dev.domain);
        blk_submit(b, r);
        return;
    }
    if ((f->state.fifo[0] & 0x1f) == FORMAT) {
        u8 id[4] = { f->state.cylinder[f->state.fifo[1] & 3], f->state.head, 1, SIZE_512 };

        fdc_end(f, result ? ST0_FAILED : 0, result ? ST1_DATA : 0, 0, id);
    } else {
        if (!result && r->op == BLK_READ && f->chunk &&
            dma_move(f->dma, DMA_FLOPPY, f->data, f->chunk, true) < 0)
            result = -EFAULT;
        fdc_moved(f, result);
    }
    f->under_way = false;
    domain_wake(f->dev.domain);
    domain_unlock(f->dev.domain);
}

static void fdc_submit(struct fdc *f, bool write, u64 off, u32 len)
{
    struct blk *b = f->drive[f->state.fifo[1] & 3].blk;

    f->v = (struct iovec){ f->data, len };
    f->req = (struct blk_req){ .op = write ? BLK_WRITE : BLK_READ,
                               .off = off,
                               .len = len,
                               .v = &f->v,
                               .n = 1,
                               .done = fdc_request_done,
                               .arg = f };
    f->state.phase = FDC_BUSY;
    f->under_way = true;
    blk_submit(b, &f->req);
}

static u64 fdc_offset(const struct fdc_media *m, u32 cylinder, u32 head, u32 sector)
{
    return ((u64)(cylinder * m->heads + head) * m->sectors + sector - 1) * FDC_SECTOR;
}

/* What a transfer can be refused for; 0, or the bits of ST1, and of ST2 above. */
static u32 fdc_refuses(const struct fdc *f, const struct fdc_media *m)
{
    const u8 *c = f->state.fifo;
    u32 drive = c[1] & 3;

    if (!m)
        return ST1_NO_MARK;
    if (fdc_writes(f) && blk_readonly(f->drive[drive].blk))
        return ST1_PROTECTED;
    if (f->state.head >= m->heads)
        return ST1_NO_MARK;
    return 0;
}

void fdc_transfer(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    const u8 *c = s->fifo;
    u32 drive = c[1] & 3, first, left, bad;
    bool to_memory = !fdc_writes(f), verify = (c[0] & 0x1f) == VERIFY;
    const struct fdc_media *m;
    u64 off;

    s->head = c[1] >> 2 & 1;
    if (s->configure[0] & IMPLIED_SEEK)
        s->cylinder[drive] = c[2];
    if ((c[0] & 0x1f) == READ_TRACK)
        s->fifo[4] = 1;
    m = fdc_found(f, drive);
    bad = fdc_refuses(f, m);
    if (!bad && c[2] != s->cylinder[drive])
        bad = ST1_NO_SECTOR | ST2_WRONG_CYLINDER << 8;
    else if (!bad && (!c[4] || c[4] > m->sectors || c[3] != s->head || c[5] != SIZE_512))
        bad = ST1_NO_SECTOR;
    left = verify ? FDC_TRACK_MAX : dma_left(f->dma, DMA_FLOPPY, to_memory);
    if (!bad && (!left || s->specify[1] & SPECIFY_NO_DMA))
        bad = ST1_OVERRUN;
    if (bad) {
        fdc_fail(f, (u8)bad, (u8)(bad >> 8));
        return;
    }
    first = c[4];
    f->sectors =
        min_u64(c[6], m->sectors) >= first ? (u32)min_u64(c[6], m->sectors) - first + 1 : 1;
    if (c[0] & MULTI_TRACK && !s->head && m->heads > 1)
        f->sectors += (u32)min_u64(c[6], m->sectors);
    if (f->sectors > (left + FDC_SECTOR - 1) / FDC_SECTOR)
        f->sectors = (left + FDC_SECTOR - 1) / FDC_SECTOR;
    f->chunk = verify ? 0 : (u32)min_u64(left, f->sectors * (u64)FDC_SECTOR);
    f->counted = verify || left <= f->chunk;
    off = fdc_offset(m, s->cylinder[drive], s->head, first);
    if (off + (u64)f->sectors * FDC_SECTOR > blk_size(f->drive[drive].blk)) {
        fdc_fail(f, ST1_DATA, 0); /* an image that is too short for its kind */
        return;
    }
    if (!to_memory) {
        memset(f->data, 0, f->sectors * (size_t)FDC_SECTOR);
        if (dma_move(f->dma, DMA_FLOPPY, f->data, f->chunk, false) < 0) {
            fdc_fail(f, ST1_OVERRUN, 0);
            return;
        }
    }
    fdc_submit(f, !to_memory, off, f->sectors * FDC_SECTOR);
}

/* Its sectors are told by DMA, four bytes each; the disk keeps its kind, so others are not there. */
void fdc_format(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 drive = s->fifo[1] & 3, n = s->fifo[3], bad;
    u8 ids[4 * 256], none[4] = { 0 };
    const struct fdc_media *m;

    s->head = s->fifo[1] >> 2 & 1;
    m = fdc_found(f, drive);
    bad = fdc_refuses(f, m);
    if (!bad && (dma_left(f->dma, DMA_FLOPPY, false) < 4 * n || !n ||
                 dma_move(f->dma, DMA_FLOPPY, ids, 4 * n, false) < 0))
        bad = ST1_OVERRUN;
    if (!bad && (n != m->sectors || s->fifo[2] != SIZE_512))
        bad = ST1_NO_SECTOR;
    for (u32 i = 0; !bad && i < n; i++)
        if (ids[4 * i] != s->cylinder[drive] || ids[4 * i + 1] != s->head || !ids[4 * i + 2] ||
            ids[4 * i + 2] > n || ids[4 * i + 3] != SIZE_512)
            bad = ST1_NO_SECTOR;
    if (!bad && fdc_offset(m, s->cylinder[drive], s->head, n + 1) > blk_size(f->drive[drive].blk))
        bad = ST1_DATA;
    if (bad) {
        fdc_end(f, ST0_FAILED, (u8)bad, 0, none);
        return;
    }
    memset(f->data, s->fifo[5], n * (size_t)FDC_SECTOR);
    fdc_submit(f, true, fdc_offset(m, s->cylinder[drive], s->head, 1), n * FDC_SECTOR);
}

/* The next sector that comes by. */
void fdc_read_id(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 drive = s->fifo[1] & 3;
    const struct fdc_media *m = fdc_found(f, drive);
    u8 id[4] = { s->cylinder[drive], 0, 0, SIZE_512 };

    s->head = s->fifo[1] >> 2 & 1;
    if (!m || s->head >= m->heads) {
        fdc_end(f, ST0_FAILED, ST1_NO_MARK, 0, id);
        return;
    }
    s->sector = (u8)(s->sector >= m->sectors ? 1 : s->sector + 1);
    id[1] = s->head;
    id[2] = s->sector;
    fdc_end(f, 0, 0, 0, id);
}
