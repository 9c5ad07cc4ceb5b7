/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data of IDE commands: PIO in DRQ blocks through a buffer, DMA by the bus master straight
 * between the disk and the guest.  ATA-6 9.5 to 9.9, SFF-8038i.
 *
 * The buffer is filled and written several blocks at once; the guest sees the block size of
 * its command.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/storage/ide_int.h"
#include <errno.h>

static struct gmem *ide_ram(struct ide_channel *c)
{
    return machine_ram(c->ide->dev.machine);
}

static void ide_block_in(struct ide_channel *c, bool interrupt)
{
    struct ide_channel_state *s = c->s;
    struct ide_drive_state *d = ide_regs(c);
    u32 n = s->filled - s->at;

    if (n > s->drq)
        n = s->drq;
    s->end = s->at + n;
    s->phase = IDE_IN;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    if (s->command == 0xa0) { /* ATA-6 9.8: the size stands in the byte count */
        d->count = (u8)((d->count & ~7) | 2);
        d->mid = (u8)n;
        d->high = (u8)(n >> 8);
    }
    if (interrupt)
        ide_interrupt(c);
}

static void ide_block_out(struct ide_channel *c, bool interrupt)
{
    struct ide_channel_state *s = c->s;
    struct ide_drive_state *d = ide_regs(c);
    u32 n = s->left < s->drq ? s->left : s->drq;

    s->end = s->at + n;
    s->phase = IDE_OUT;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    if (s->command == 0xa0) {
        d->count = (u8)(d->count & ~7);
        d->mid = (u8)n;
        d->high = (u8)(n >> 8);
    }
    if (interrupt)
        ide_interrupt(c);
}

static void ide_filled(struct ide_channel *c, int result)
{
    struct ide_channel_state *s = c->s;

    if (result) {
        ide_finish(c, result);
        return;
    }
    s->off += s->filled;
    s->left -= s->filled;
    s->at = 0;
    ide_block_in(c, true);
}

static void ide_fill(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    u32 room = IDE_BUF - IDE_BUF % s->drq; /* a DRQ block is never larger than buf */

    s->filled = s->left < room ? s->left : room;
    c->v[0] = (struct iovec){ s->buf, s->filled };
    ide_submit(c, BLK_READ, s->off, s->filled, 1, ide_filled);
}

static void ide_written(struct ide_channel *c, int result)
{
    struct ide_channel_state *s = c->s;

    s->off += s->filled;
    s->filled = s->at = 0;
    if (result || !s->left)
        ide_finish(c, result);
    else
        ide_block_out(c, true);
}

void ide_data_touched(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;

    if (s->phase == IDE_PACKET) {
        ide_packet_come(c);
    } else if (s->phase == IDE_IN) {
        if (s->at < s->filled) {
            ide_block_in(c, true);
        } else if (s->disk && s->left) {
            ide_fill(c);
        } else if (s->command == 0xa0) {
            ide_packet_end(c, 0);
        } else {
            s->phase = IDE_IDLE;
            ide_regs(c)->status = ST_DRDY | ST_DSC;
        }
    } else {
        s->left -= s->end - s->filled;
        s->filled = s->at;
        if (!s->disk && !s->left) {
            s->phase = IDE_IDLE;
            if (s->command == 0xa0)
                ide_packet_data(c);
            else
                ide_ata_data(c);
        } else if (s->left && s->at + min_u64(s->left, s->drq) <= IDE_BUF) {
            ide_block_out(c, true);
        } else {
            c->v[0] = (struct iovec){ s->buf, s->filled };
            ide_submit(c, BLK_WRITE, s->off, s->filled, 1, ide_written);
        }
    }
}

/* ---- bus master ---- */

/* The next piece of guest memory by the table: 0, -ENODATA after its end, -EFAULT. */
static int ide_prd(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    u8 entry[8];

    if (s->prd_left)
        return 0;
    if (s->prd_last || s->prd_next == IDE_PRDS)
        return -ENODATA;
    if (gmem_read(ide_ram(c), (u64)s->prd + s->prd_next * 8ull, entry, sizeof(entry)))
        return -EFAULT;
    s->prd_next++;
    s->prd_addr = le32(entry) & ~1u;
    s->prd_left = le16(entry + 4) & ~1u;
    if (!s->prd_left)
        s->prd_left = 0x10000;
    s->prd_last = entry[7] & 0x80;
    return 0;
}

/* Pieces for up to `want` bytes in v, nv; the bytes, or an error. */
static i64 ide_gather(struct ide_channel *c, u32 want, enum gmem_dir dir)
{
    struct ide_channel_state *s = c->s;
    u32 got = 0;

    c->nv = 0;
    while (got < want && c->nv < IDE_PIECES) {
        int rc = ide_prd(c), n;
        u32 part;

        if (rc == -ENODATA && got)
            break;
        if (rc)
            return rc;
        part = want - got < s->prd_left ? want - got : s->prd_left;
        n = gmem_map(ide_ram(c), s->prd_addr, part, dir, c->v + c->nv, IDE_PIECES - c->nv);
        if (n < 0)
            return n == -E2BIG && got ? (i64)got : n;
        c->nv += n;
        got += part;
        s->prd_addr += part;
        s->prd_left -= part;
    }
    return got;
}

static void ide_dma_end(struct ide_channel *c, int result)
{
    struct ide_channel_state *s = c->s;

    if (result == -EFAULT || result == -ENODATA) {
        guest_error(&c->ide->dev, "bus master table: %s",
                    result == -EFAULT ? "an address that is not RAM" : "ends before the data");
        s->bm_status |= BM_ERROR;
    }
    if (result || (s->prd_last && !s->prd_left))
        s->bm_status &= ~BM_ACTIVE;
    ide_finish(c, result);
}

static void ide_dma_next(struct ide_channel *c);

static void ide_dma_moved(struct ide_channel *c, int result)
{
    struct ide_channel_state *s = c->s;

    gmem_unmap(ide_ram(c), c->v, c->nv, s->write ? 0 : (u32)c->req.len);
    s->off += c->req.len;
    s->left -= (u32)c->req.len;
    if (result || !s->left)
        ide_dma_end(c, result);
    else
        ide_dma_next(c);
}

static void ide_dma_next(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    i64 n = ide_gather(c, s->left, s->write ? GMEM_READ : GMEM_WRITE);

    if (n < 0)
        ide_dma_end(c, (int)n);
    else
        ide_submit(c, s->write ? BLK_WRITE : BLK_READ, s->off, (u64)n, c->nv, ide_dma_moved);
}

/* Between buf and the guest: at most IDE_BUF bytes, at once. */
static int ide_dma_buf(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    u32 all = s->write ? s->left : s->filled, done = 0;

    while (done < all) {
        i64 n = ide_gather(c, all - done, s->write ? GMEM_READ : GMEM_WRITE);

        if (n < 0)
            return (int)n;
        for (int i = 0; i < c->nv; i++) {
            if (s->write)
                memcpy(s->buf + done, c->v[i].iov_base, c->v[i].iov_len);
            else
                memcpy(c->v[i].iov_base, s->buf + done, c->v[i].iov_len);
            done += (u32)c->v[i].iov_len;
        }
        gmem_unmap(ide_ram(c), c->v, c->nv, s->write ? 0 : (u32)n);
    }
    if (s->write)
        s->filled = all;
    s->left = 0;
    return 0;
}

void ide_dma_start(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    bool to_memory = s->bm_command & BM_TO_MEMORY;
    int rc;

    s->prd_next = s->prd_left = 0;
    s->prd_last = false;
    if (to_memory == s->write || !pci_master(&c->ide->dev)) {
        s->bm_status = (s->bm_status | BM_ERROR) & ~BM_ACTIVE;
        ide_finish(c, -EINVAL);
        return;
    }
    if (s->disk) {
        ide_dma_next(c);
        return;
    }
    rc = ide_dma_buf(c);
    if (rc || !s->write) {
        ide_dma_end(c, rc);
        return;
    }
    if (s->prd_last && !s->prd_left)
        s->bm_status &= ~BM_ACTIVE;
    if (s->command == 0xa0)
        ide_packet_data(c);
    else
        ide_ata_data(c);
}

void ide_move(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;

    s->at = 0;
    if (s->dma) {
        s->phase = IDE_DMA;
        ide_regs(c)->status = ST_DRDY | ST_DSC | ST_DRQ;
        if (s->bm_command & BM_START)
            ide_dma_start(c);
    } else if (s->write) {
        s->filled = 0;
        ide_block_out(c, s->command == 0xa0);
    } else if (s->disk) {
        ide_fill(c);
    } else {
        ide_block_in(c, true);
    }
}
