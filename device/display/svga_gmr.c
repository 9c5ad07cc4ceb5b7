/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory regions of SVGA II: pages of RAM that the guest lists, by a descriptor in
 * memory (GMR) or by commands (GMR2), and that commands then name by a number and an offset.
 *
 * The lists of all regions stand in one table without gaps; taking one out moves the later
 * ones down.
 */
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>

enum { PAGE = 4096, DESCRIPTORS_OF_PAGE = PAGE / 8, CHUNK = 512 };

static void svga_gmr_drop(struct svga *s, u32 id)
{
    struct svga_gmr *g = &s->state.gmr[id], was = *g;

    if (!was.pages)
        return;
    memmove(s->tables->page + was.first, s->tables->page + was.first + was.pages,
            (s->state.pool_used - was.first - was.pages) * sizeof(u32));
    s->state.pool_used -= was.pages;
    *g = (struct svga_gmr){ 0 };
    for (u32 i = 0; i < SVGA_GMRS; i++)
        if (s->state.gmr[i].first > was.first)
            s->state.gmr[i].first -= was.pages;
}

void svga_gmr_define(struct svga *s, u32 id, u32 pages)
{
    struct svga_state *t = &s->state;

    if (id >= SVGA_GMRS) {
        guest_error(&s->vga.dev, "no memory region %u", id);
        return;
    }
    svga_gmr_drop(s, id);
    if (pages > SVGA_GMR_PAGES - t->pool_used) {
        guest_error(&s->vga.dev, "memory region %u has %u pages: too many", id, pages);
        return;
    }
    if (!pages)
        return;
    t->gmr[id] = (struct svga_gmr){ t->pool_used, pages };
    memset(s->tables->page + t->pool_used, 0xff, pages * sizeof(u32));
    t->pool_used += pages;
}

/* A run of pages behind what the region has; it is the last of the table. */
static bool svga_gmr_append(struct svga *s, u32 id, u32 ppn, u32 pages)
{
    struct svga_state *t = &s->state;

    if (pages > SVGA_GMR_PAGES - t->pool_used || pages > SVGA_NO_PAGE - ppn)
        return false;
    for (u32 i = 0; i < pages; i++)
        s->tables->page[t->pool_used + i] = ppn + i;
    t->pool_used += pages;
    t->gmr[id].pages += pages;
    return true;
}

/* Pairs of page and count; a count of 0 names the next page of pairs, page 0 ends. */
static bool svga_gmr_walk(struct svga *s, u32 id, u32 ppn)
{
    u8 b[8];

    for (u32 n = 0, i = 0; n < SVGA_DESCRIPTORS; n++) {
        u32 page, pages;

        if (i == DESCRIPTORS_OF_PAGE ||
            gmem_read(machine_ram(s->vga.dev.machine), ((u64)ppn << 12) + 8 * i, b, sizeof(b)))
            return false;
        page = le32(b);
        pages = le32(b + 4);
        if (!page && !pages)
            return true;
        i++;
        if (!pages) {
            ppn = page;
            i = 0;
        } else if (!svga_gmr_append(s, id, page, pages)) {
            return false;
        }
    }
    return false;
}

void svga_gmr_describe(struct svga *s, u32 id, u32 ppn)
{
    if (id >= SVGA_GMRS) {
        guest_error(&s->vga.dev, "no memory region %u", id);
        return;
    }
    svga_gmr_drop(s, id);
    if (!ppn)
        return;
    s->state.gmr[id].first = s->state.pool_used;
    if (!svga_gmr_walk(s, id, ppn)) {
        guest_error(&s->vga.dev, "memory region %u: a descriptor that cannot be used", id);
        svga_gmr_drop(s, id);
    }
    if (!s->state.gmr[id].pages)
        s->state.gmr[id].first = 0;
}

static u32 svga_page_of(u64 ppn)
{
    return ppn < SVGA_NO_PAGE ? (u32)ppn : SVGA_NO_PAGE;
}

/* Number i of the list that follows in the FIFO or that lies in another region. */
static int svga_remap_page(const struct svga_cmd *c, u32 i, u32 *page)
{
    bool wide = c->arg[1] & SVGA_REMAP_PPN64;
    u8 b[8] = { 0 };

    if (c->arg[1] & SVGA_REMAP_SINGLE)
        i = 0;
    if (c->arg[1] & SVGA_REMAP_VIA_GMR) {
        u32 n = wide ? 8 : 4;
        int r = svga_gmr_read(c->s, c->arg[4], c->arg[5] + (u64)i * n, b, n);

        *page = svga_page_of(le64(b));
        return r;
    }
    *page = svga_page_of(wide ? svga_data(c, 2 * i) | (u64)svga_data(c, 2 * i + 1) << 32
                              : svga_data(c, i));
    return 0;
}

void svga_gmr_remap(const struct svga_cmd *c)
{
    struct svga *s = c->s;
    u32 id = c->arg[0], from = c->arg[2], n = c->arg[3], page;
    struct svga_gmr g;

    g = id < SVGA_GMRS ? s->state.gmr[id] : (struct svga_gmr){ 0 };
    if (from > g.pages || n > g.pages - from) {
        guest_error(&s->vga.dev, "memory region %u: no pages %u to %u", id, from, from + n);
        return;
    }
    for (u32 i = 0; i < n; i++) {
        if (svga_remap_page(c, i, &page)) {
            guest_error(&s->vga.dev, "memory region %u: its list of pages cannot be read", id);
            return;
        }
        s->tables->page[g.first + from + i] = page;
    }
}

/* ---- bytes of a region ---- */

static int svga_gmr_copy(struct svga *s, u32 id, u64 off, u8 *p, u32 n, enum gmem_dir dir)
{
    struct gmem *ram = machine_ram(s->vga.dev.machine);
    const struct svga_gmr *g;

    if (id == (u32)SVGA_GMR_FRAMEBUFFER) {
        if (off > s->vga.memory_size || n > s->vga.memory_size - off)
            return -EFAULT;
        if (dir == GMEM_READ)
            memcpy(p, s->vga.memory + off, n);
        else
            memmove(s->vga.memory + off, p, n);
        return 0;
    }
    g = id < SVGA_GMRS ? &s->state.gmr[id] : NULL;
    if (!g || off > (u64)g->pages * PAGE || n > (u64)g->pages * PAGE - off)
        return -EFAULT;
    while (n) {
        u32 page = s->tables->page[g->first + off / PAGE], in = off % PAGE;
        u32 part = (u32)min_u64(n, PAGE - in);
        u64 gpa = ((u64)page << 12) + in;
        int r = page == SVGA_NO_PAGE ? -EFAULT
                : dir == GMEM_READ   ? gmem_read(ram, gpa, p, part)
                                     : gmem_write(ram, gpa, p, part);

        if (r)
            return r;
        off += part;
        p += part;
        n -= part;
    }
    return 0;
}

int svga_gmr_read(struct svga *s, u32 id, u64 off, void *to, u32 n)
{
    return svga_gmr_copy(s, id, off, to, n, GMEM_READ);
}

int svga_gmr_write(struct svga *s, u32 id, u64 off, const void *from, u32 n)
{
    return svga_gmr_copy(s, id, off, (u8 *)(uintptr_t)from, n, GMEM_WRITE);
}

/* Regions that overlap would not come apart again. */
int svga_gmr_check(const struct svga *s, struct err *e)
{
    const struct svga_gmr *g = s->state.gmr;
    u64 sum = 0;

    for (u32 i = 0; i < SVGA_GMRS; i++) {
        u64 end = (u64)g[i].first + g[i].pages;

        sum += g[i].pages;
        if (end > s->state.pool_used || (!g[i].pages && g[i].first))
            return err_set(e, -EBADMSG, "memory region %u beyond the table", i);
        for (u32 k = 0; k < i && g[i].pages; k++)
            if (g[k].pages && g[k].first < end && g[i].first < (u64)g[k].first + g[k].pages)
                return err_set(e, -EBADMSG, "memory regions %u and %u overlap", k, i);
    }
    if (sum != s->state.pool_used || sum > SVGA_GMR_PAGES)
        return err_set(e, -EBADMSG, "%u pages of memory regions", s->state.pool_used);
    return 0;
}
