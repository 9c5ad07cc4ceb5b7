/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_SCSI_H
#define BUS_SCSI_H
#include "base/field.h"
#include "base/types.h"

/*
 * A SCSI logical unit: what a command means, and nothing about how its bytes travel.  The
 * same unit is behind every SCSI adapter and behind ATAPI.  SPC-4, SBC-3, MMC-6.
 *
 * The life of a command: fill cdb, cdb_len, lun; scsi_start.  If `want` is not 0, put up to
 * that many bytes of the initiator's data into data[] and call scsi_parameters.  Now `todo`
 * says what is to be done; when it has been done (or failed), scsi_result.  Then `status`
 * and `sense` are the answer.
 */
enum scsi_kind { SCSI_DISK = 0, SCSI_CDROM = 5 };

struct scsi_unit {
    enum scsi_kind kind;
    bool readonly, medium; /* is there a disk in it? */
    u32 block;             /* bytes: 512, or 2048 for a CD */
    u64 blocks;
    char vendor[9], product[17], revision[5], serial[21];
};

struct scsi_state {    /* moves with the device that the unit is in */
    u8 key, asc, ascq; /* what REQUEST SENSE tells next */
    u8 attention;      /* ASC of the unit attention that waits, 0 none */
    bool locked, stopped, write_through;
    u8 pad;
};
extern const struct field scsi_state_fields[];

enum scsi_todo {
    SCSI_REPLY, /* nothing, or data[0..n) goes to the initiator */
    SCSI_READ,  /* [off, off + len) goes to the initiator */
    SCSI_WRITE, /* the initiator's data goes to [off, off + len) */
    SCSI_FLUSH,
    SCSI_TRIM, /* each of trim[0..ntrim) */
    SCSI_FILL, /* [off, off + len) with copies of data[0..block) */
};
enum scsi_status { SCSI_GOOD = 0, SCSI_CHECK = 2, SCSI_BUSY = 8 };
enum { SCSI_SENSE = 18, SCSI_DATA = 2048, SCSI_TRIMS = 32, SCSI_FILL_MAX = 8192 };

struct scsi_command {
    u8 cdb[16];
    u32 cdb_len, lun;

    enum scsi_todo todo;
    bool flush; /* SCSI_WRITE, SCSI_FILL: flush after it */
    u64 off, len;
    u32 want, n, ntrim;
    struct {
        u64 off, len;
    } trim[SCSI_TRIMS];
    u8 status, sense[SCSI_SENSE];
    u8 data[SCSI_DATA];
};

void scsi_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c);
void scsi_parameters(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                     u32 got);
void scsi_result(struct scsi_state *s, struct scsi_command *c, int result); /* 0 or -errno */

enum { SCSI_ASC_MEDIUM_CHANGED = 0x28, SCSI_ASC_RESET = 0x29 };
void scsi_reset(struct scsi_state *s, u8 asc); /* asc: the attention that the next command finds */
#endif
