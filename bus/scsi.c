/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI logical units: the commands that every device has, after SPC-4.  Disks (SBC-3) are in
 * scsi_disk.c, CD-ROMs (MMC-6) in scsi_cd.c, mode pages in scsi_mode.c.
 *
 * One logical unit per target.  Not offered: persistent reservations, log pages, supported
 * operation codes; initiators find out by the refusal.
 */
#include "bus/scsi_int.h"
#include <errno.h>

const struct field scsi_state_fields[] = {
    FIELD(1, struct scsi_state, key, 0, "sense key for REQUEST SENSE"),
    FIELD(2, struct scsi_state, asc, 0, "additional sense code"),
    FIELD(3, struct scsi_state, ascq, 0, "its qualifier"),
    FIELD(4, struct scsi_state, attention, 0, "unit attention that waits"),
    FIELD(5, struct scsi_state, locked, 0, "medium removal prevented"),
    FIELD(6, struct scsi_state, stopped, 0, "stopped by START STOP UNIT"),
    FIELD(7, struct scsi_state, write_through, 0, "write cache switched off"),
    FIELD(0, struct scsi_state, pad, F_LOCAL, "none"),
    FIELD_END
};

static void sense_put(u8 *p, u8 key, u8 asc, u8 ascq)
{
    memset(p, 0, SCSI_SENSE);
    p[0] = 0x70; /* SPC-4 4.5.3: fixed format, current error */
    p[2] = key;
    p[7] = SCSI_SENSE - 8;
    p[12] = asc;
    p[13] = ascq;
}

void scsi_fail(struct scsi_state *s, struct scsi_command *c, enum scsi_key key, u32 asc)
{
    s->key = key;
    s->asc = (u8)(asc >> 8);
    s->ascq = (u8)asc;
    c->todo = SCSI_REPLY;
    c->n = c->want = 0;
    c->status = SCSI_CHECK;
    sense_put(c->sense, s->key, s->asc, s->ascq);
}

void scsi_reply(struct scsi_command *c, u32 n, u32 allowed)
{
    c->todo = SCSI_REPLY;
    c->n = n < allowed ? n : allowed;
}

void scsi_reset(struct scsi_state *s, u8 asc)
{
    *s = (struct scsi_state){ .attention = asc };
}

bool scsi_blocks(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c, u64 lba,
                 u64 count)
{
    if (!range_ok(lba, count, u->blocks)) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_RANGE);
        return false;
    }
    c->off = lba * u->block;
    c->len = count * u->block;
    return true;
}

void scsi_cdb_range(const struct scsi_command *c, u64 *lba, u64 *count)
{
    const u8 *b = c->cdb;

    switch (b[0] >> 5) { /* SPC-4 4.3: the group code tells the form */
    case 0:
        *lba = (u64)(b[1] & 0x1f) << 16 | be16(b + 2);
        *count = b[4] ? b[4] : 256;
        break;
    case 4:
        *lba = be64(b + 2);
        *count = be32(b + 10);
        break;
    case 5:
        *lba = be32(b + 2);
        *count = be32(b + 6);
        break;
    default:
        *lba = be32(b + 2);
        *count = be16(b + 7);
    }
}

/* SPC-4 7.8.6: who this is; by what the host named it. */
static u32 vpd_identification(const struct scsi_unit *u, u8 *p)
{
    u32 n = 0, serial = (u32)strlen(u->serial);
    u64 hash = 0xcbf29ce484222325;

    p[0] = 2; /* ASCII: vendor, product, serial */
    p[1] = 1;
    p[3] = (u8)(24 + serial);
    memcpy(p + 4, u->vendor, 8);
    memcpy(p + 12, u->product, 16);
    memcpy(p + 28, u->serial, serial);
    n = 28 + serial;
    if (!serial)
        return n;
    for (u32 i = 0; i < serial; i++)
        hash = (hash ^ (u8)u->serial[i]) * 0x100000001b3;
    p[n] = 1; /* NAA, locally assigned */
    p[n + 1] = 3;
    p[n + 3] = 8;
    put_be64(p + n + 4, hash >> 4 | 3ull << 60);
    return n + 12;
}

static bool inquiry_vpd(const struct scsi_unit *u, struct scsi_command *c, u32 allowed)
{
    u8 *p = c->data, page = c->cdb[2];
    u32 n = 0;

    p[0] = (u8)u->kind;
    p[1] = page;
    switch (page) {
    case 0x00:
        p[4 + n++] = 0x00;
        if (u->serial[0])
            p[4 + n++] = 0x80;
        p[4 + n++] = 0x83;
        for (u8 i = 0xb0; u->kind == SCSI_DISK && i <= 0xb2; i++)
            p[4 + n++] = i;
        break;
    case 0x80:
        n = (u32)strlen(u->serial);
        memcpy(p + 4, u->serial, n);
        break;
    case 0x83:
        n = vpd_identification(u, p + 4);
        break;
    default:
        n = u->kind == SCSI_DISK ? scsi_disk_vpd(u, page, p + 4) : 0;
    }
    if (!n)
        return false;
    put_be16(p + 2, (u16)n);
    scsi_reply(c, n + 4, allowed);
    return true;
}

static void inquiry(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u32 allowed = be16(c->cdb + 3);
    u8 *p = c->data;

    memset(p, 0, 256);
    if (c->cdb[1] & 1) {
        if (!inquiry_vpd(u, c, allowed))
            scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    if (c->cdb[2] || c->cdb[1] & 2) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    p[0] = c->lun ? 0x7f : (u8)u->kind;
    p[1] = u->kind == SCSI_CDROM ? 0x80 : 0;
    p[2] = 6; /* SPC-4 */
    p[3] = 2;
    p[4] = 36 - 5;
    p[7] = 2; /* takes queued commands */
    memcpy(p + 8, u->vendor, 8);
    memcpy(p + 16, u->product, 16);
    memcpy(p + 32, u->revision, 4);
    scsi_reply(c, 36, allowed);
}

static void request_sense(struct scsi_state *s, struct scsi_command *c)
{
    if (c->cdb[1] & 1) { /* descriptor format */
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    if (s->attention) {
        sense_put(c->data, KEY_ATTENTION, s->attention, 0);
        s->attention = 0;
    } else {
        sense_put(c->data, s->key, s->asc, s->ascq);
    }
    s->key = s->asc = s->ascq = 0;
    scsi_reply(c, SCSI_SENSE, c->cdb[4]);
}

static void report_luns(struct scsi_state *s, struct scsi_command *c)
{
    if (c->cdb[2] > 2) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    memset(c->data, 0, 16);
    c->data[3] = 8; /* one of eight bytes: unit 0 */
    scsi_reply(c, c->cdb[2] == 1 ? 8 : 16, be32(c->cdb + 6));
    if (c->cdb[2] == 1) /* well known units: none */
        c->data[3] = 0;
}

static void start_stop(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    bool load = c->cdb[4] & 2;

    if (c->cdb[4] >> 4) /* power conditions: taken, and none has an effect */
        return;
    if (load && u->kind == SCSI_CDROM) {
        if (!(c->cdb[4] & 1) && s->locked)
            scsi_fail(s, c, KEY_ILLEGAL, ASC_LOCKED);
        return; /* the medium stays: only the host changes it */
    }
    s->stopped = !(c->cdb[4] & 1);
    if (s->stopped && u->kind == SCSI_DISK)
        c->todo = SCSI_FLUSH;
}

/* Commands of every kind of device; false: not one of these. */
static bool common_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    switch (c->cdb[0]) {
    case 0x00: /* TEST UNIT READY */
        if (!u->medium)
            scsi_fail(s, c, KEY_NOT_READY, ASC_NO_MEDIUM);
        else if (s->stopped)
            scsi_fail(s, c, KEY_NOT_READY, ASC_STOPPED);
        return true;
    case 0x03:
        request_sense(s, c);
        return true;
    case 0x12:
        inquiry(u, s, c);
        return true;
    case 0x15: /* MODE SELECT */
        c->want = c->cdb[4];
        return true;
    case 0x55:
        c->want = be16(c->cdb + 7) < SCSI_DATA ? be16(c->cdb + 7) : SCSI_DATA;
        return true;
    case 0x1a: /* MODE SENSE */
    case 0x5a:
        scsi_mode_sense(u, s, c);
        return true;
    case 0x16: /* RESERVE, RELEASE: there is one initiator */
    case 0x17:
    case 0x56:
    case 0x57:
        return true;
    case 0x1b:
        start_stop(u, s, c);
        return true;
    case 0x1d: /* SEND DIAGNOSTIC: the default self-test passes, other tests are not there */
        if (!(c->cdb[1] & 4))
            scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return true;
    case 0x1e:
        s->locked = c->cdb[4] & 1;
        return true;
    case 0xa0:
        report_luns(s, c);
        return true;
    }
    return false;
}

void scsi_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u8 op = c->cdb[0];
    bool always = op == 0x12 || op == 0x03 || op == 0xa0 || op == 0x4a;

    c->todo = SCSI_REPLY;
    c->flush = false;
    c->off = c->len = 0;
    c->want = c->n = c->ntrim = 0;
    c->status = SCSI_GOOD;
    memset(c->sense, 0, sizeof(c->sense));
    if (c->lun && op != 0x12 && op != 0xa0) {
        struct scsi_state nobody = { 0 };

        scsi_fail(&nobody, c, KEY_ILLEGAL, ASC_LUN);
        return;
    }
    if (s->attention && !always) {
        u8 asc = s->attention;

        s->attention = 0;
        scsi_fail(s, c, KEY_ATTENTION, (u32)asc << 8);
        return;
    }
    if (op != 0x03 && op != 0x12)
        s->key = s->asc = s->ascq = 0;
    if (!common_start(u, s, c) &&
        !(u->kind == SCSI_DISK ? scsi_disk_start(u, s, c) : scsi_cd_start(u, s, c)))
        scsi_fail(s, c, KEY_ILLEGAL, ASC_OPCODE);
}

void scsi_parameters(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                     u32 got)
{
    c->want = 0;
    if (c->cdb[0] == 0x15 || c->cdb[0] == 0x55)
        scsi_mode_select(u, s, c, got);
    else if (u->kind != SCSI_DISK || !scsi_disk_parameters(u, s, c, got))
        scsi_fail(s, c, KEY_ILLEGAL, ASC_OPCODE);
}

void scsi_result(struct scsi_state *s, struct scsi_command *c, int result)
{
    bool write = c->todo != SCSI_READ;

    switch (result) {
    case 0:
        break;
    case -EROFS:
        scsi_fail(s, c, KEY_PROTECT, ASC_PROTECTED);
        break;
    case -ENOSPC:
    case -EDQUOT:
        scsi_fail(s, c, KEY_PROTECT, ASC_SPACE);
        break;
    case -EIO:
    case -EBADMSG:
        scsi_fail(s, c, KEY_MEDIUM, write ? ASC_WRITE : ASC_READ);
        break;
    default:
        scsi_fail(s, c, KEY_HARDWARE, ASC_INTERNAL);
    }
}
