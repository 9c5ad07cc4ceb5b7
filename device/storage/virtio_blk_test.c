/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include "tests/check.h"
#include "tests/virtio_driver.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>

enum { HDR = 0x200000, STATUS = 0x200800, DATA = 0x300000, SECTOR = 512 };
enum { IN, OUT, FLUSH = 4, ID = 8, DISCARD = 11, ZEROES = 13 };
#define ALL_FEATURES 0xffffffffull
#define F_FLUSH (1ull << 9)

struct bench {
    struct rig r;
    struct device *d;
    struct vdriver v;
    struct blk *blk;
};

static void bench_start(struct bench *b, bool legacy, bool readonly, u64 features)
{
    static const char *const settings[] = { "serial", "SN-1234", NULL };
    struct device_end ends[2] = { { "blk", NULL }, { NULL, NULL } };

    rig_start(&b->r, 8, 1);
    CHECK_EQ(blk_open_mem(&b->blk, 4 << 20, readonly, machine_lane(b->r.m), NULL), 0);
    ends[0].end = b->blk;
    b->d = rig_device(&b->r, "virtio_blk", settings, ends);
    rig_pci_enable(&b->r, b->d);
    rig_msix_enable(&b->r, b->d, 2);
    vdriver_start(&b->v, &b->r, b->d, legacy, features, 1);
}

static void bench_stop(struct bench *b)
{
    machine_clear(b->r.m);
    blk_close(b->blk);
    rig_stop(&b->r);
}

static void header(struct bench *b, u64 at, u32 type, u64 sector)
{
    u8 h[16];

    put_le32(h, type);
    put_le32(h + 4, 0);
    put_le64(h + 8, sector);
    rig_put(&b->r, at, h, sizeof(h));
    rig_put(&b->r, STATUS, "\xff", 1);
}

struct waits {
    struct bench *b;
    u32 len;
    bool used;
};

static bool is_used(void *arg)
{
    struct waits *w = arg;
    u32 head;

    w->used = vdriver_used(&w->b->v, 0, &head, &w->len);
    return w->used;
}

/* One request, to its end: the status byte. */
static u8 request(struct bench *b, u32 type, u64 sector, u64 data, u32 len)
{
    struct vbuf v[3] = { { HDR, 16, false },
                         { data, len, type == IN || type == ID },
                         { STATUS, 1, true } };
    struct waits w = { .b = b };
    u8 status;

    header(b, HDR, type, sector);
    if (!len)
        v[1] = v[2];
    vdriver_add(&b->v, 0, v, len ? 3 : 2, false);
    vdriver_store(&b->v, b->v.legacy ? 16 : 0x3000, 2, 0);
    rig_lane_until(&b->r, is_used, &w);
    rig_get(&b->r, STATUS, &status, 1);
    return status;
}

static void fill(struct bench *b, u64 at, u32 len, u32 seed)
{
    static u8 p[1 << 20];

    for (u32 i = 0; i < len; i++)
        p[i] = (u8)(seed + i * 13 + (i >> 9));
    rig_put(&b->r, at, p, len);
}

static void data_goes_both_ways(void)
{
    static u8 p[1 << 20], disk[1 << 20];

    for (int legacy = 0; legacy < 2; legacy++) {
        struct bench b;

        bench_start(&b, legacy, false, ALL_FEATURES);
        CHECK_EQ(vdriver_config(&b.v, 0, 4), (4 << 20) / SECTOR);
        for (u32 i = 1; i < 40; i++) {
            u32 len = i * i * SECTOR, off = i * 3;

            fill(&b, DATA, len, i);
            CHECK_EQ(request(&b, OUT, off, DATA, len), 0);
            rig_get(&b.r, DATA, p, len);
            CHECK(!memcmp(blk_mem(b.blk) + off * SECTOR, p, len));
            fill(&b, DATA, len, i + 1);
            CHECK_EQ(request(&b, IN, off, DATA, len), 0);
            rig_get(&b.r, DATA, disk, len);
            CHECK(!memcmp(p, disk, len));
        }
        CHECK_EQ(request(&b, FLUSH, 0, 0, 0), 0);
        CHECK_EQ(blk_mem_count(b.blk, BLK_FLUSH), 1);
        CHECK_EQ(request(&b, ID, 0, DATA, 20), 0);
        rig_get(&b.r, DATA, p, 20);
        CHECK_TEXT((char *)p, "SN-1234");
        bench_stop(&b);
    }
}

static void range(struct bench *b, u64 sector, u32 n, u32 flags)
{
    u8 p[16];

    put_le64(p, sector);
    put_le32(p + 8, n);
    put_le32(p + 12, flags);
    rig_put(&b->r, DATA, p, sizeof(p));
}

static void ranges_are_cleared(void)
{
    struct bench b;

    bench_start(&b, false, false, ALL_FEATURES);
    memset(blk_mem(b.blk), 0xaa, 4 << 20);
    range(&b, 3, 8000, 0); /* more than one step */
    CHECK_EQ(request(&b, ZEROES, 0, DATA, 16), 0);
    for (u32 i = 0; i < 4 << 20; i++)
        if (blk_mem(b.blk)[i] != (i >= 3 * SECTOR && i < 8003 * SECTOR ? 0 : 0xaa)) {
            CHECK_EQ(i, ~0u);
            break;
        }
    range(&b, 0, 2, 0);
    CHECK_EQ(request(&b, DISCARD, 0, DATA, 16), 0);
    CHECK_EQ(blk_mem_count(b.blk, BLK_TRIM), 1);
    range(&b, 8000, 193, 0);
    CHECK_EQ(request(&b, ZEROES, 0, DATA, 16), 1);
    range(&b, ~0ull / 512 + 2, 1, 0);
    CHECK_EQ(request(&b, DISCARD, 0, DATA, 16), 1);
    range(&b, 0, 1, 0x80);
    CHECK_EQ(request(&b, DISCARD, 0, DATA, 16), 2);
    CHECK_EQ(request(&b, DISCARD, 0, DATA, 15), 2);
    bench_stop(&b);
}

static void nonsense_is_an_error(void)
{
    struct vbuf no_status[2] = { { HDR, 16, false }, { DATA, 512, false } };
    struct bench b;

    bench_start(&b, false, false, ALL_FEATURES);
    CHECK_EQ(request(&b, IN, 8192, DATA, 512), 1);
    CHECK_EQ(request(&b, IN, 8191, DATA, 1024), 1);
    CHECK_EQ(request(&b, IN, ~0ull, DATA, 512), 1);
    CHECK_EQ(request(&b, IN, (~0ull >> 9) + 1, DATA, 512), 1);
    CHECK_EQ(request(&b, OUT, 0, DATA, 511), 1);
    CHECK_EQ(request(&b, 99, 0, DATA, 512), 2);
    CHECK_EQ(request(&b, ID, 0, DATA, 19), 1);
    CHECK_EQ(request(&b, IN, 0, 0, 0), 0);
    blk_mem_fail(b.blk, 1 << BLK_READ, 0, 512, -EIO, 1);
    CHECK_EQ(request(&b, IN, 0, DATA, 512), 1);
    CHECK_EQ(request(&b, IN, 0, DATA, 512), 0);
    header(&b, HDR, OUT, 0);
    vdriver_add(&b.v, 0, no_status, 2, false);
    vdriver_kick(&b.v, 0);
    CHECK(vdriver_status(&b.v) & VIRTIO_NEEDS_RESET);
    CHECK_EQ(blk_mem_count(b.blk, BLK_WRITE), 0);
    bench_stop(&b);
    bench_start(&b, false, true, ALL_FEATURES);
    CHECK_EQ(request(&b, OUT, 0, DATA, 512), 1);
    CHECK_EQ(request(&b, IN, 0, DATA, 512), 0);
    CHECK_EQ(b.v.features & (1 << 5 | 1 << 13), 1 << 5);
    bench_stop(&b);
}

static void writes_are_safe_without_flushes(void)
{
    struct bench b;

    bench_start(&b, true, false, 0); /* as SeaBIOS does it */
    CHECK_EQ(request(&b, OUT, 0, DATA, 512), 0);
    CHECK_EQ(blk_mem_count(b.blk, BLK_FLUSH), 1);
    CHECK_EQ(request(&b, IN, 0, DATA, 512), 0);
    CHECK_EQ(blk_mem_count(b.blk, BLK_FLUSH), 1);
    bench_stop(&b);
    bench_start(&b, false, false, F_FLUSH);
    CHECK_EQ(request(&b, OUT, 0, DATA, 512), 0);
    CHECK_EQ(blk_mem_count(b.blk, BLK_FLUSH), 0);
    bench_stop(&b);
}

struct stopper {
    struct bench *b;
    bool pause, done;
};

static void on_post(void *arg)
{
    (void)arg; /* wakes the loop */
}

static void *stopper_thread(void *arg)
{
    struct stopper *s = arg;

    if (s->pause)
        machine_pause(s->b->r.m);
    else
        vdriver_reset(&s->b->v);
    __atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(s->b->r.m), on_post, NULL);
    return NULL;
}

static bool stopper_done(void *arg)
{
    return __atomic_load_n(&((struct stopper *)arg)->done, __ATOMIC_ACQUIRE);
}

static bool stopper_waits(struct stopper *s)
{
    struct virtio *v = (struct virtio *)s->b->d;
    bool waits;

    domain_lock(v->dev.domain);
    waits = s->pause ? v->paused : v->resetting;
    domain_unlock(v->dev.domain);
    return waits;
}

/* Reads are held by the disk, then the device is told to stop: it waits, then nothing comes. */
static void under_load(bool pause)
{
    struct bench b;
    struct stopper s = { .b = &b, .pause = pause };
    pthread_t t;
    u32 head, len, n = 0;

    bench_start(&b, false, false, ALL_FEATURES);
    blk_mem_hold(b.blk, true);
    for (u32 i = 0; i < 20; i++) {
        struct vbuf v[3] = { { HDR + 16 * i, 16, false },
                             { DATA + 4096 * i, 4096, true },
                             { STATUS + i, 1, true } };

        header(&b, HDR + 16 * i, IN, 8 * i);
        vdriver_add(&b.v, 0, v, 3, false);
    }
    vdriver_kick(&b.v, 0);
    pthread_create(&t, NULL, stopper_thread, &s);
    while (!stopper_waits(&s))
        sched_yield();
    CHECK(!stopper_done(&s));
    blk_mem_hold(b.blk, false);
    rig_lane_until(&b.r, stopper_done, &s);
    pthread_join(t, NULL);
    while (vdriver_used(&b.v, 0, &head, &len))
        n++;
    CHECK_EQ(n, pause ? 20 : 0);
    if (pause)
        machine_resume(b.r.m);
    vdriver_start(&b.v, &b.r, b.d, false, ALL_FEATURES, 1);
    CHECK_EQ(request(&b, IN, 0, DATA, 512), 0);
    bench_stop(&b);
}

static void reset_waits_for_requests(void)
{
    under_load(false);
}

static void pause_waits_for_requests(void)
{
    under_load(true);
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(data_goes_both_ways);
    CASE(ranges_are_cleared);
    CASE(nonsense_is_an_error);
    CASE(writes_are_safe_without_flushes);
    CASE(reset_waits_for_requests);
    CASE(pause_waits_for_requests);
    return check_end();
}
