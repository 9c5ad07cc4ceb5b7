/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_STORAGE_MOVE_H
#define TESTS_STORAGE_MOVE_H
#include "base/buf.h"
#include "base/loop.h"
#include "tests/rig.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * A machine that stops and goes on as another one: what tests of storage adapters do in the
 * middle of load.  make builds the rig and its devices anew, as they were; the disk's bytes
 * come along.
 *
 *     struct move m;
 *     move_out(&m, &rig, disk);
 *     end();
 *     begin();
 *     move_in(&m, &rig, disk);
 */
struct move {
    struct buf state;
    u8 *ram, *bytes;
    u64 ram_len, disk_len;
};

/* A pause waits for what is under way, and the lane has to run meanwhile. */
struct move_pause {
    struct rig *rig;
    bool done;
};
static inline void move_wake(void *arg)
{
    (void)arg;
}
static inline void *move_pause(void *arg)
{
    struct move_pause *p = arg;

    machine_pause(p->rig->m);
    __atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(p->rig->m), move_wake, NULL);
    return NULL;
}
static inline bool move_paused(void *arg)
{
    return __atomic_load_n(&((struct move_pause *)arg)->done, __ATOMIC_ACQUIRE);
}

static inline bool move_out(struct move *m, struct rig *r, struct blk *disk)
{
    struct move_pause pause = { .rig = r };
    struct machine_block b[16];
    pthread_t thread;

    *m = (struct move){ 0 };
    if (pthread_create(&thread, NULL, move_pause, &pause))
        return false;
    rig_lane_until(r, move_paused, &pause);
    pthread_join(thread, NULL);
    machine_blocks(r->m, b, LEN(b));
    m->ram_len = b[0].len;
    m->disk_len = blk_size(disk);
    m->ram = malloc(m->ram_len);
    m->bytes = malloc(m->disk_len);
    memcpy(m->ram, b[0].p, m->ram_len);
    memcpy(m->bytes, blk_mem(disk), m->disk_len);
    return !machine_save(r->m, &m->state, NULL);
}

static inline bool move_in(struct move *m, struct rig *r, struct blk *disk)
{
    struct machine_block b[16];
    bool ok;

    machine_pause(r->m);
    machine_blocks(r->m, b, LEN(b));
    memcpy(b[0].p, m->ram, m->ram_len);
    memcpy(blk_mem(disk), m->bytes, m->disk_len);
    ok = !machine_load(r->m, (struct span){ m->state.p, m->state.len }, NULL);
    machine_resume(r->m);
    buf_fini(&m->state);
    free(m->ram);
    free(m->bytes);
    return ok;
}
#endif
