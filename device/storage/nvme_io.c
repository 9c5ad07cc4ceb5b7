/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe: the NVM command set, and the guest's memory by physical region pages.  NVM Express 1.4,
 * sections 4.3 and 6.
 */
#include "device/storage/nvme_int.h"
#include <errno.h>

enum { ZERO_STEP = NVME_PAGE * 512 };

/* ---- PRPs (4.3) ---- */

/* Pages that stand one after the other become one piece. */
struct prp_run {
    struct nvme *n;
    struct iovec *v;
    int *nv;
    u64 at, len;
    enum gmem_dir dir;
};

static u16 run_end(struct prp_run *r)
{
    int got = r->len ? gmem_map(nvme_ram(r->n), r->at, (u32)r->len, r->dir, r->v + *r->nv,
                                NVME_PIECES - *r->nv)
                     : 0;

    r->len = 0;
    if (got < 0) {
        guest_error(&r->n->dev, "data at 0x%llx: not in RAM", (unsigned long long)r->at);
        return NVME_TRANSFER;
    }
    *r->nv += got;
    return NVME_OK;
}

static u16 run_page(struct prp_run *r, u64 at, u64 len)
{
    u16 status = NVME_OK;

    if (!r->len || r->at + r->len != at) {
        status = run_end(r);
        r->at = at;
    }
    r->len += len;
    return status;
}

/* The list at `at`; its last entry on a page says where it goes on, unless it ends there. */
static u16 prp_list(struct prp_run *r, u64 at, u64 left)
{
    u64 entry[NVME_PAGE / 8];
    u16 status = NVME_OK;

    if (at % 8)
        return NVME_BAD_OFFSET;
    while (left && !status) {
        u32 room = (NVME_PAGE - at % NVME_PAGE) / 8;
        u64 pages = (left + NVME_PAGE - 1) / NVME_PAGE;
        u32 here = (u32)min_u64(room, pages), i = 0;

        if (gmem_read(nvme_ram(r->n), at, entry, here * 8ull))
            return NVME_TRANSFER;
        for (; i < here && !status; i++) {
            u64 part = min_u64(left, NVME_PAGE);

            if (i + 1 == room && pages > room)
                break;
            if (entry[i] % NVME_PAGE)
                return NVME_BAD_OFFSET;
            status = run_page(r, entry[i], part);
            left -= part;
        }
        if (!left)
            break;
        if (i + 1 != room || entry[i] % NVME_PAGE)
            return status ? status : NVME_BAD_OFFSET;
        at = entry[i];
    }
    return status;
}

u16 nvme_map(struct nvme *n, const struct nvme_command *c, u64 len, enum gmem_dir dir,
             struct iovec *v, int *nv)
{
    struct prp_run r = { .n = n, .v = v, .nv = nv, .dir = dir };
    u64 first = min_u64(len, NVME_PAGE - c->prp1 % NVME_PAGE);
    u16 status;

    *nv = 0;
    status = c->prp1 % 4 ? NVME_BAD_OFFSET : run_page(&r, c->prp1, first);
    len -= first;
    if (!status && len > NVME_PAGE)
        status = prp_list(&r, c->prp2, len);
    else if (!status && len)
        status = c->prp2 % NVME_PAGE ? NVME_BAD_OFFSET : run_page(&r, c->prp2, len);
    if (!status)
        status = run_end(&r);
    if (status) {
        gmem_unmap(nvme_ram(n), v, *nv, 0);
        *nv = 0;
    }
    return status;
}

/* ---- commands ---- */

static u16 status_of(const struct nvme_request *r, int result)
{
    switch (result) {
    case 0:
        return NVME_OK;
    case -EROFS:
        return NVME_READ_ONLY;
    case -ENOSPC:
    case -EDQUOT:
        return NVME_NO_SPACE;
    case -EIO:
    case -EBADMSG:
        return r->c.op == NVME_READ ? NVME_READ_FAULT : NVME_WRITE_FAULT;
    }
    return NVME_INTERNAL;
}

static bool nvme_range(const struct nvme_request *r, u64 lba, u64 count)
{
    return range_ok(lba, count, blk_size(r->blk) / NVME_BLOCK);
}

/* The next of the ranges that are to be forgotten; false: that was the last. */
static bool next_range(struct nvme_request *r)
{
    while (r->step < r->ranges) {
        const u8 *p = r->range + 16 * (size_t)r->step++;

        r->req.op = BLK_TRIM;
        r->req.off = le64(p + 8) * NVME_BLOCK;
        r->req.len = (u64)le32(p + 4) * NVME_BLOCK;
        if (r->req.len)
            return true;
    }
    return false;
}

static bool next_zeroes(struct nvme_request *r)
{
    static u8 zero[NVME_PAGE];
    u64 part = min_u64(r->left, ZERO_STEP);

    if (!part)
        return false;
    r->req.op = BLK_WRITE;
    r->req.off = r->off;
    r->req.len = part;
    r->req.n = 0;
    for (u64 at = 0; at < part; at += NVME_PAGE)
        r->v[r->req.n++] = (struct iovec){ zero, min_u64(NVME_PAGE, part - at) };
    r->off += part;
    r->left -= part;
    return true;
}

/* What a command needs after its first request; false: nothing. */
static bool nvme_next(struct nvme_request *r)
{
    if (r->c.op == NVME_ZERO && next_zeroes(r))
        return true;
    if (r->c.op == NVME_DATASET && next_range(r))
        return true;
    if (!r->flush)
        return false;
    r->flush = false;
    r->req.op = BLK_FLUSH;
    r->req.off = r->req.len = 0;
    r->req.n = 0;
    return true;
}

/* On the lane. */
static void nvme_blk_done(struct blk_req *req, int result)
{
    struct nvme_request *r = req->arg;
    struct nvme *n = r->nvme;

    domain_lock(n->dev.domain);
    if (!result && nvme_next(r)) {
        domain_unlock(n->dev.domain);
        blk_submit(r->blk, req);
        return;
    }
    if (r->mapped)
        gmem_unmap(nvme_ram(n), r->v, r->nv, r->c.op == NVME_READ && !result ? (u32)r->req.len : 0);
    r->mapped = false;
    nvme_request_done(r, status_of(r, result));
    domain_unlock(n->dev.domain);
}

static u16 nvme_transfer(struct nvme *n, struct nvme_request *r)
{
    u64 lba = (u64)r->c.dw11 << 32 | r->c.dw10, count = (r->c.dw12 & 0xffff) + 1ull;
    bool read = r->c.op == NVME_READ;
    u16 status;

    if (count * NVME_BLOCK > NVME_DATA_MAX)
        return NVME_BAD_FIELD;
    if (!nvme_range(r, lba, count))
        return NVME_BAD_RANGE;
    status = nvme_map(n, &r->c, count * NVME_BLOCK, read ? GMEM_WRITE : GMEM_READ, r->v, &r->nv);
    if (status)
        return status;
    r->mapped = true;
    r->req.op = read ? BLK_READ : BLK_WRITE;
    r->req.off = lba * NVME_BLOCK;
    r->req.len = count * NVME_BLOCK;
    r->req.n = r->nv;
    return NVME_OK;
}

static u16 nvme_dataset(struct nvme *n, struct nvme_request *r)
{
    struct iovec v[8];
    u32 at = 0;
    int nv = 0;
    u16 status;

    r->ranges = (r->c.dw10 & 0xff) + 1;
    status = nvme_map(n, &r->c, r->ranges * 16ull, GMEM_READ, v, &nv);
    if (status)
        return status;
    for (int i = 0; i < nv; i++) {
        memcpy(r->range + at, v[i].iov_base, v[i].iov_len);
        at += (u32)v[i].iov_len;
    }
    gmem_unmap(nvme_ram(n), v, nv, 0);
    for (u32 i = 0; i < r->ranges; i++)
        if (!nvme_range(r, le64(r->range + 16 * (size_t)i + 8),
                        le32(r->range + 16 * (size_t)i + 4)))
            return NVME_BAD_RANGE;
    if (!(r->c.dw11 & NVME_DEALLOCATE))
        r->ranges = 0; /* only hints */
    return NVME_OK;
}

static u16 nvme_start_io(struct nvme *n, struct nvme_request *r)
{
    u64 lba = (u64)r->c.dw11 << 32 | r->c.dw10, count = (r->c.dw12 & 0xffff) + 1ull;
    bool through = r->c.dw12 & NVME_FUA || !(n->state.feature[NVME_FEATURE_CACHE] & 1);

    switch (r->c.op) {
    case NVME_READ:
        return nvme_transfer(n, r);
    case NVME_WRITE:
        r->flush = through;
        return nvme_transfer(n, r);
    case NVME_FLUSH:
        r->flush = true;
        return NVME_OK;
    case NVME_ZERO:
        r->off = lba * NVME_BLOCK;
        r->left = count * NVME_BLOCK;
        r->flush = through;
        return nvme_range(r, lba, count) ? NVME_OK : NVME_BAD_RANGE;
    case NVME_DATASET:
        return nvme_dataset(n, r);
    }
    return NVME_BAD_OPCODE;
}

bool nvme_io(struct nvme *n, struct nvme_request *r, u16 *status)
{
    r->blk = nvme_namespace(n, r->c.nsid);
    r->req.v = r->v;
    r->req.done = nvme_blk_done;
    r->req.arg = r;
    r->nv = 0;
    r->step = r->ranges = 0;
    r->mapped = r->flush = false;
    if (r->c.flags)
        *status = NVME_BAD_FIELD; /* fused, or with SGLs */
    else if (!r->blk)
        *status = NVME_BAD_NAMESPACE;
    else if (blk_readonly(r->blk) && r->c.op != NVME_READ && r->c.op != NVME_FLUSH)
        *status = NVME_READ_ONLY;
    else
        *status = nvme_start_io(n, r);
    return *status || (!r->mapped && !nvme_next(r));
}
