/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_SCSI_INT_H
#define BUS_SCSI_INT_H
#include "base/bytes.h"
#include "bus/scsi.h"

enum scsi_key {
    KEY_NONE = 0,
    KEY_NOT_READY = 2,
    KEY_MEDIUM = 3,
    KEY_HARDWARE = 4,
    KEY_ILLEGAL = 5,
    KEY_ATTENTION = 6,
    KEY_PROTECT = 7,
};
enum scsi_asc { /* additional sense codes, SPC-4 annex D; the qualifier in the low byte */
                ASC_OPCODE = 0x2000,
                ASC_RANGE = 0x2100,
                ASC_FIELD = 0x2400,
                ASC_LUN = 0x2500,
                ASC_PARAMETER_LIST = 0x1a00,
                ASC_PARAMETER = 0x2600,
                ASC_PROTECTED = 0x2700,
                ASC_SPACE = 0x2707,
                ASC_NO_MEDIUM = 0x3a00,
                ASC_STOPPED = 0x0402,
                ASC_LOCKED = 0x5302,
                ASC_READ = 0x1100,
                ASC_WRITE = 0x0c00,
                ASC_INTERNAL = 0x4400,
};

void scsi_fail(struct scsi_state *s, struct scsi_command *c, enum scsi_key key, u32 asc);
/* A reply of n bytes that stand in data[], cut to what the initiator allows. */
void scsi_reply(struct scsi_command *c, u32 n, u32 allowed);
/* The range of blocks as bytes in off, len; false: out of range, and the sense says so. */
bool scsi_blocks(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c, u64 lba,
                 u64 count);
/* The address and count that stand in the CDB, by the command's group (6, 10, 12, 16). */
void scsi_cdb_range(const struct scsi_command *c, u64 *lba, u64 *count);

bool scsi_disk_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c);
bool scsi_disk_parameters(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                          u32 got);
u32 scsi_disk_vpd(const struct scsi_unit *u, u8 page, u8 *p);
bool scsi_cd_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c);
u32 scsi_cd_mode_page(const struct scsi_unit *u, const struct scsi_state *s, u8 page, u8 *p);
void scsi_mode_sense(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c);
void scsi_mode_select(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                      u32 got);
#endif
