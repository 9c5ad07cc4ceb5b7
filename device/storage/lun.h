/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_LUN_H
#define DEVICE_STORAGE_LUN_H
#include "backend/blk.h"
#include "bus/scsi.h"
#include "machine/device.h"

/*
 * A SCSI unit with a disk behind it, and commands under way on it.  What every adapter
 * shares; how commands and data come from the guest is the adapter's.
 */
struct lun {
    struct scsi_unit unit;
    struct scsi_state *state; /* in the adapter's state */
    struct blk *blk;          /* NULL: no medium */
};

/* Fills the unit from the disk behind it.  blk NULL: a drive without a medium. */
void lun_init(struct lun *l, enum scsi_kind kind, struct blk *blk, struct scsi_state *state,
              const char *vendor, const char *product, const char *revision);

enum { LUN_PIECES = 512 };

struct lun_task {
    struct device *dev; /* whose domain guards it */
    struct lun *lun;
    struct scsi_command c;
    /*
     * Fills v, nv and room with the initiator's memory: GMEM_WRITE for data that it gets.
     * Called at most once a command; -errno is a fault of the initiator's addresses.
     */
    int (*map)(struct lun_task *t, enum gmem_dir dir);
    void (*done)(struct lun_task *t); /* on the lane, domain held */

    struct iovec v[LUN_PIECES];
    int nv;
    u64 room;  /* bytes in v */
    u64 moved; /* the answer: bytes that went over */
    int fault; /* the answer: what map said */

    struct blk_req req;
    u64 at;
    u32 step;
    bool flushed, mapped;
    enum gmem_dir dir;
};

/*
 * Runs the command in t->c (cdb, cdb_len, lun).  Domain held.  true: it is finished and done
 * will not be called.
 */
bool lun_run(struct lun_task *t);
#endif
