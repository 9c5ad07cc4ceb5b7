/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: one file in memory, so that an engine's helper processes can map parts of it.
 * Pages of a saved VM are mapped private from its own file, shared with its copies until they
 * are written to; such a page is apart, and comes into the file in memory when an engine wants
 * it there and everything stands.
 *
 * [0, low) of RAM stands at 0, the rest at 4 GiB.  The 128 KiB behind the VGA window (0xa0000)
 * are never seen.  Whether the CPU may write to the BIOS area is a matter of slots (slot.c);
 * devices always may.
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GMEM_LOW_MAX 0xc0000000u
#define GMEM_HIGH 0x100000000u
enum { GMEM_VGA = 0xa0000, GMEM_VGA_END = 0xc0000 };
enum { GMEM_PAGE = 4096, GMEM_GRAIN = 4, GMEM_SHARES = 20000 };

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
    *g = (struct gmem){ m, p, size, min_u64(size, GMEM_LOW_MAX), fd };
    gmem_alone(g);
    return 0;
}

static int gmem_failed(struct err *e)
{
    return err_set(e, -errno, "guest memory: %s", strerror(errno));
}

int gmem_clear(struct gmem *g, struct err *e)
{
    return ftruncate(g->fd, 0) || ftruncate(g->fd, (off_t)g->size) ? gmem_failed(e) : 0;
}

static bool gmem_is_apart(const struct gmem *g, u64 page)
{
    return atomic_load(&g->apart[page / 64]) >> page % 64 & 1;
}

static void gmem_set_apart(struct gmem *g, u64 first, u64 end)
{
    for (u64 n; first < end; first += n) {
        n = min_u64(64 - first % 64, end - first);
        atomic_fetch_or(&g->apart[first / 64], (~0ull >> (64 - n)) << first % 64);
    }
}

int gmem_over(struct gmem *g, u64 at, u64 len, int fd, u64 off, struct err *e)
{
    u64 words = g->size / GMEM_PAGE / 64 + 1;

    if (!g->apart) {
        g->apart = calloc(words, sizeof(*g->apart));
        g->wanted = calloc(words, sizeof(*g->wanted));
    }
    if (!g->apart || !g->wanted)
        return err_set(e, -ENOMEM, "out of memory");
    if (!range_ok(at, len, g->size) || at % GMEM_PAGE || len % GMEM_PAGE)
        return err_set(e, -EINVAL, "guest memory: not a place for pages of a file");
    if (mmap(g->host + at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
             (off_t)off) == MAP_FAILED)
        return gmem_failed(e);
    gmem_set_apart(g, at / GMEM_PAGE, (at + len) / GMEM_PAGE);
    return 0;
}

void gmem_alone(struct gmem *g)
{
    madvise(g->host, g->size, MADV_DONTDUMP);
    madvise(g->host, g->size, MADV_DONTFORK);
}

/* ---- into the file ---- */

static u8 *gmem_find(const struct gmem *g, u64 gpa, u64 n)
{
    if (range_ok(gpa, n, g->low))
        return gpa >= GMEM_VGA_END || range_ok(gpa, n, GMEM_VGA) ? g->host + gpa : NULL;
    if (gpa >= GMEM_HIGH && range_ok(gpa - GMEM_HIGH, n, g->size - g->low))
        return g->host + g->low + (gpa - GMEM_HIGH);
    return NULL;
}

bool gmem_want(struct gmem *g, u64 gpa)
{
    const u8 *p = gmem_find(g, gpa, 1);
    u64 page = p ? (u64)(p - g->host) / GMEM_PAGE : 0;

    if (!p || !g->apart || !gmem_is_apart(g, page) || g->shares == GMEM_SHARES)
        return false;
    atomic_fetch_or(&g->wanted[page / 64], 1ull << page % 64);
    return true;
}

/* The pages [first, end), each apart, are what the file has there. */
static int gmem_into(struct gmem *g, u64 first, u64 end)
{
    u8 *p = g->host + first * GMEM_PAGE;
    u64 len = (end - first) * GMEM_PAGE;

    if (g->shares == GMEM_SHARES)
        return -ENOSPC;
    if (mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, g->fd,
             (off_t)(first * GMEM_PAGE)) == MAP_FAILED)
        return -errno;
    madvise(p, len, MADV_DONTDUMP);
    madvise(p, len, MADV_DONTFORK);
    for (u64 i = first; i < end; i++)
        atomic_fetch_and(&g->apart[i / 64], ~(1ull << i % 64));
    g->shares++;
    return 0;
}

static int gmem_share_run(struct gmem *g, u64 first, u64 end)
{
    u64 at = first * GMEM_PAGE, len = (end - first) * GMEM_PAGE;

    if (pwrite(g->fd, g->host + at, len, (off_t)at) != (ssize_t)len)
        return -EIO;
    return gmem_into(g, first, end);
}

/* Where pages from `at` on stop being apart, or being not. */
static u64 gmem_run(const struct gmem *g, u64 at, u64 last)
{
    bool apart = gmem_is_apart(g, at);

    while (++at < last && gmem_is_apart(g, at) == apart)
        continue;
    return at;
}

/* With those around it: each run of pages is one mapping more, and a process has 65530. */
static void gmem_share_around(struct gmem *g, u64 page)
{
    u64 at = page & -(u64)GMEM_GRAIN, last = min_u64(at + GMEM_GRAIN, g->size / GMEM_PAGE), end;

    for (; at < last; at = end) {
        end = gmem_run(g, at, last);
        if (gmem_is_apart(g, at) && gmem_share_run(g, at, end))
            return;
    }
}

void gmem_share(struct gmem *g)
{
    for (u64 word = 0; g->apart && word < g->size / GMEM_PAGE / 64 + 1; word++)
        for (u64 left = atomic_exchange(&g->wanted[word], 0); left; left &= left - 1) {
            u64 page = 64 * word + (u64)__builtin_ctzll(left);

            if (gmem_is_apart(g, page))
                gmem_share_around(g, page);
        }
}

void gmem_fini(struct gmem *g)
{
    if (!g->host)
        return;
    munmap(g->host, g->size);
    close(g->fd);
    free((void *)g->apart);
    free((void *)g->wanted);
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

/* Those come into the file, where there is nothing. */
static int gmem_give_apart(struct gmem *g, const u8 *p, u64 n)
{
    u64 at = (u64)(p - g->host) / GMEM_PAGE, last = at + n / GMEM_PAGE, end;
    int r = 0;

    for (; g->apart && at < last && !r; at = end) {
        end = gmem_run(g, at, last);
        r = gmem_is_apart(g, at) ? gmem_into(g, at, end) : 0;
    }
    return r;
}

int gmem_give(struct gmem *g, u64 gpa, u64 n)
{
    u8 *p = gmem_find(g, gpa, n);
    int r;

    if (!p)
        return -EFAULT;
    r = gmem_give_apart(g, p, n);
    if (r || madvise(p, n, MADV_REMOVE))
        return r ? r : -errno;
    gmem_written(g, gpa, n);
    return 0;
}

u64 gmem_size(const struct gmem *g)
{
    return g->size;
}
