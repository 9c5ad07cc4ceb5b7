/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: one file in memory, so that an engine's helper processes can map parts of it.
 * [0, low) of it stands at 0, the rest at 4 GiB.  The 128 KiB behind the VGA window (0xa0000)
 * are never seen.  Whether the CPU may write to the BIOS area is a matter of slots (slot.c);
 * devices always may.
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GMEM_LOW_MAX 0xc0000000u
#define GMEM_HIGH 0x100000000u
enum { GMEM_VGA = 0xa0000, GMEM_VGA_END = 0xc0000 };

int gmem_init(struct gmem *g, struct machine *m, u64 size, struct err *e)
{
    int fd = memfd_create("guest memory", MFD_CLOEXEC), rc;
    void *p = MAP_FAILED;

    if (fd >= 0 && !ftruncate(fd, (off_t)size))
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED) {
        rc = err_set(e, -errno, "no room for %llu MiB of guest memory: %s",
                     (unsigned long long)(size >> 20), strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    madvise(p, size, MADV_HUGEPAGE);
    madvise(p, size, MADV_DONTDUMP);
    *g = (struct gmem){ m, p, size, min_u64(size, GMEM_LOW_MAX), fd };
    return 0;
}

int gmem_own(struct gmem *g, struct err *e)
{
    if (mmap(g->host, g->size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return err_set(e, -errno, "guest memory: %s", strerror(errno));
    madvise(g->host, g->size, MADV_HUGEPAGE);
    madvise(g->host, g->size, MADV_DONTDUMP);
    if (ftruncate(g->fd, 0)) /* what a start has put there goes; nobody maps it */
        return err_set(e, -errno, "guest memory: %s", strerror(errno));
    g->own = true;
    return 0;
}

void gmem_fini(struct gmem *g)
{
    if (!g->host)
        return;
    munmap(g->host, g->size);
    close(g->fd);
}

static u8 *gmem_find(const struct gmem *g, u64 gpa, u64 n)
{
    if (range_ok(gpa, n, g->low))
        return gpa >= GMEM_VGA_END || range_ok(gpa, n, GMEM_VGA) ? g->host + gpa : NULL;
    if (gpa >= GMEM_HIGH && range_ok(gpa - GMEM_HIGH, n, g->size - g->low))
        return g->host + g->low + (gpa - GMEM_HIGH);
    return NULL;
}

static void gmem_written(struct gmem *g, u64 gpa, u64 len)
{
    const struct machine_cpus *c = &g->machine->cpus;

    if (c->forget && len)
        c->forget(c->arg, gpa, len);
}

int gmem_read(struct gmem *g, u64 gpa, void *to, size_t n)
{
    const u8 *p = gmem_find(g, gpa, n);

    if (!p)
        return -EFAULT;
    memcpy(to, p, n);
    return 0;
}

int gmem_write(struct gmem *g, u64 gpa, const void *from, size_t n)
{
    u8 *p = gmem_find(g, gpa, n);

    if (!p)
        return -EFAULT;
    memcpy(p, from, n);
    gmem_written(g, gpa, n);
    return 0;
}

int gmem_map(struct gmem *g, u64 gpa, u32 n, enum gmem_dir dir, struct iovec *v, int room)
{
    u8 *p = gmem_find(g, gpa, n);

    (void)dir;
    if (!p)
        return -EFAULT;
    if (room < 1)
        return -E2BIG;
    v[0] = (struct iovec){ p, n };
    return 1;
}

void gmem_unmap(struct gmem *g, const struct iovec *v, int n, u32 written)
{
    for (int i = 0; i < n && written; i++) {
        u64 off = (u64)((const u8 *)v[i].iov_base - g->host);
        u32 len = (u32)min_u64(v[i].iov_len, written);

        gmem_written(g, off < g->low ? off : off - g->low + GMEM_HIGH, len);
        written -= len;
    }
}

bool gmem_has(const struct gmem *g, u64 gpa, u64 n)
{
    return gmem_find(g, gpa, n) != NULL;
}

int gmem_give(struct gmem *g, u64 gpa, u64 n)
{
    u8 *p = gmem_find(g, gpa, n);

    if (!p)
        return -EFAULT;
    if (madvise(p, n, MADV_REMOVE))
        return -errno;
    gmem_written(g, gpa, n);
    return 0;
}

u64 gmem_size(const struct gmem *g)
{
    return g->size;
}
