/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of the block backend: every request is answered once, on the lane, in any order. */
#include "backend/blk.h"
#include "base/loop.h"
#include "tests/check.h"
#include <errno.h>
#include <pthread.h>

enum { DISK = 1 << 20, REQS = 500 };

static struct loop *lane;
static pthread_t lane_thread;
static struct blk *disk;

static int answered, wrong, last_result;
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answer_cond = PTHREAD_COND_INITIALIZER;

static void *lane_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void begin(bool readonly)
{
    struct err e = { 0 };

    answered = wrong = 0;
    CHECK_EQ(loop_new(&lane, &e), 0);
    CHECK_EQ(pthread_create(&lane_thread, NULL, lane_main, lane), 0);
    CHECK_EQ(blk_open_mem(&disk, DISK, readonly, lane, &e), 0);
}

static void end(void)
{
    loop_stop(lane);
    pthread_join(lane_thread, NULL);
    blk_close(disk);
    loop_free(lane);
}

static void on_done(struct blk_req *r, int result)
{
    pthread_mutex_lock(&answer_lock);
    wrong += !pthread_equal(pthread_self(), lane_thread);
    answered++;
    last_result = result;
    *(int *)r->arg += 1;
    pthread_cond_broadcast(&answer_cond);
    pthread_mutex_unlock(&answer_lock);
}

/* One request, waited for; its result. */
static int run(enum blk_op op, u64 off, u64 len, void *p, u64 room)
{
    struct iovec v = { p, room };
    int times = 0;
    struct blk_req r = {
        .op = op, .off = off, .len = len, .v = &v, .n = p ? 1 : 0, .done = on_done, .arg = &times
    };

    blk_submit(disk, &r);
    blk_drain(disk);
    CHECK_EQ(times, 1);
    return last_result;
}

static void bytes_come_back(void)
{
    u8 in[1024], out[1024];

    begin(false);
    for (u32 i = 0; i < sizeof(in); i++)
        in[i] = (u8)(i * 7 + 1);
    CHECK_EQ(blk_size(disk), DISK);
    CHECK_EQ(run(BLK_WRITE, 4096, sizeof(in), in, sizeof(in)), 0);
    CHECK_EQ(run(BLK_FLUSH, 0, 0, NULL, 0), 0);
    CHECK_EQ(run(BLK_READ, 4096, sizeof(out), out, sizeof(out)), 0);
    CHECK(!memcmp(in, out, sizeof(in)));
    CHECK_EQ(run(BLK_TRIM, 4096, 512, NULL, 0), 0);
    CHECK_EQ(run(BLK_READ, 4096, sizeof(out), out, sizeof(out)), 0);
    CHECK(out[0] == 0 && out[511] == 0 && !memcmp(in + 512, out + 512, 512));
    CHECK_EQ(blk_mem_count(disk, BLK_READ), 2);
    CHECK_EQ(wrong, 0);
    end();
}

static void numbers_are_checked(void)
{
    u8 b[512];

    begin(false);
    CHECK_EQ(run(BLK_READ, DISK, 512, b, 512), (u64)-ERANGE);
    CHECK_EQ(run(BLK_READ, DISK - 256, 512, b, 512), (u64)-ERANGE);
    CHECK_EQ(run(BLK_READ, ~0ull - 100, 512, b, 512), (u64)-ERANGE);
    CHECK_EQ(run(BLK_TRIM, 0, DISK + 1ull, NULL, 0), (u64)-ERANGE);
    CHECK_EQ(run(BLK_READ, 0, 512, b, 511), (u64)-EINVAL);
    CHECK_EQ(run(BLK_READ, DISK, 0, b, 0), 0);
    CHECK_EQ(wrong, 0);
    end();
    begin(true);
    CHECK(blk_readonly(disk));
    CHECK_EQ(run(BLK_WRITE, 0, 512, b, 512), (u64)-EROFS);
    CHECK_EQ(run(BLK_TRIM, 0, 512, NULL, 0), (u64)-EROFS);
    CHECK_EQ(run(BLK_READ, 0, 512, b, 512), 0);
    end();
}

static void every_request_is_answered_once(void)
{
    static struct blk_req r[REQS];
    static int times[REQS];
    static u8 data[REQS][512];
    struct iovec v[REQS];

    begin(false);
    for (int i = 0; i < REQS; i++) {
        memset(data[i], i, sizeof(data[i]));
        v[i] = (struct iovec){ data[i], 512 };
        times[i] = 0;
        r[i] = (struct blk_req){ .op = BLK_WRITE,
                                 .off = (u64)i * 512,
                                 .len = 512,
                                 .v = &v[i],
                                 .n = 1,
                                 .done = on_done,
                                 .arg = &times[i] };
        blk_submit(disk, &r[i]);
    }
    blk_drain(disk);
    CHECK_EQ(answered, REQS);
    CHECK_EQ(wrong, 0);
    for (int i = 0; i < REQS; i++) {
        CHECK_EQ(times[i], 1);
        CHECK(!memcmp(blk_mem(disk) + i * 512, data[i], 512));
    }
    end();
}

static void faults_to_order(void)
{
    u8 b[512] = { 0 };

    begin(false);
    blk_mem_fail(disk, 1 << BLK_READ, 1024, 512, -EIO, 2);
    CHECK_EQ(run(BLK_READ, 512, 512, b, 512), 0);
    CHECK_EQ(run(BLK_WRITE, 1024, 512, b, 512), 0);
    CHECK_EQ(run(BLK_READ, 1024, 512, b, 512), (u64)-EIO);
    CHECK_EQ(run(BLK_READ, 1024, 512, b, 512), (u64)-EIO);
    CHECK_EQ(run(BLK_READ, 1024, 512, b, 512), 0);
    blk_mem_fail(disk, 1 << BLK_FLUSH, 0, 0, -ENOSPC, 1);
    CHECK_EQ(run(BLK_FLUSH, 0, 0, NULL, 0), (u64)-ENOSPC);
    end();
}

static void held_requests_wait(void)
{
    u8 b[512] = { 1 };
    struct iovec v = { b, 512 };
    int times = 0;
    struct blk_req r = {
        .op = BLK_WRITE, .len = 512, .v = &v, .n = 1, .done = on_done, .arg = &times
    };

    begin(false);
    blk_mem_hold(disk, true);
    blk_submit(disk, &r);
    CHECK_EQ(times, 0);
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 0);
    blk_mem_hold(disk, false);
    blk_drain(disk);
    CHECK_EQ(times, 1);
    end();
}

static void on_post(void *arg)
{
    (void)arg;
}

static void close_without_a_lane(void)
{
    u8 b[512] = { 3 };
    struct iovec v = { b, 512 };
    int times = 0;
    struct err e = { 0 };
    struct blk_req r = {
        .op = BLK_WRITE, .len = 512, .v = &v, .n = 1, .done = on_done, .arg = &times
    };

    CHECK_EQ(loop_new(&lane, &e), 0);
    CHECK_EQ(blk_open_mem(&disk, DISK, false, lane, &e), 0);
    blk_submit(disk, &r);
    blk_close(disk); /* waits for the worker; nobody tells us */
    CHECK_EQ(times, 0);
    CHECK_EQ(loop_post(lane, on_post, NULL), 0);
    loop_once(lane); /* a late post of the disk's, if there is one, finds it closed */
    CHECK_EQ(times, 0);
    loop_free(lane);
}

int main(void)
{
    CASE(bytes_come_back);
    CASE(numbers_are_checked);
    CASE(every_request_is_answered_once);
    CASE(faults_to_order);
    CASE(held_requests_wait);
    CASE(close_without_a_lane);
    return check_end();
}
