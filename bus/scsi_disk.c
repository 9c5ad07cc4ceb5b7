/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Direct-access devices, SBC-3: capacity, transfers, cache, provisioning. */
#include "bus/scsi_int.h"

enum { DISK_FUA = 8 };

u32 scsi_disk_vpd(const struct scsi_unit *u, u8 page, u8 *p)
{
    switch (page) {
    case 0xb0:    /* block limits, SBC-3 6.5.3 */
        p[0] = 1; /* a count of 0 in WRITE SAME is refused */
        if (!u->readonly) {
            put_be32(p + 16, 0x3fffff);   /* blocks of one UNMAP descriptor */
            put_be32(p + 20, SCSI_TRIMS); /* descriptors */
            put_be32(p + 24, 1);
            put_be64(p + 32, SCSI_FILL_MAX);
        }
        return 60;
    case 0xb1:
        put_be16(p, 1); /* does not rotate */
        return 60;
    case 0xb2:
        p[1] = u->readonly ? 0 : 0x80; /* UNMAP */
        p[2] = u->readonly ? 0 : 2;    /* thin */
        return 4;
    }
    return 0;
}

static void disk_capacity(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u64 last = u->blocks - 1;

    memset(c->data, 0, 32);
    if (c->cdb[0] == 0x25) {
        put_be32(c->data, last > 0xffffffff ? 0xffffffff : (u32)last);
        put_be32(c->data + 4, u->block);
        scsi_reply(c, 8, 8);
        return;
    }
    if ((c->cdb[1] & 0x1f) != 0x10) { /* SERVICE ACTION IN: READ CAPACITY (16) alone */
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    put_be64(c->data, last);
    put_be32(c->data + 8, u->block);
    c->data[14] = u->readonly ? 0 : 0x80; /* LBPME */
    scsi_reply(c, 32, be32(c->cdb + 10));
}

static void disk_transfer(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                          enum scsi_todo todo)
{
    u64 lba, count;

    scsi_cdb_range(c, &lba, &count);
    if (c->cdb[0] >> 5 && c->cdb[1] >> 5) { /* protection information: there is none */
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    if (!scsi_blocks(u, s, c, lba, count))
        return;
    if (todo == SCSI_WRITE) {
        if (u->readonly) {
            scsi_fail(s, c, KEY_PROTECT, ASC_PROTECTED);
            return;
        }
        c->flush = s->write_through || (c->cdb[0] >> 5 && c->cdb[1] & DISK_FUA);
    }
    c->todo = count ? todo : SCSI_REPLY;
}

/* VERIFY without the data; WRITE AND VERIFY is a write that reaches the disk. */
static void disk_verify(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u64 lba, count;

    scsi_cdb_range(c, &lba, &count);
    if (c->cdb[1] & 6)
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
    else
        scsi_blocks(u, s, c, lba, count);
}

static void disk_write_same(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u64 lba, count;

    scsi_cdb_range(c, &lba, &count);
    if (u->readonly)
        scsi_fail(s, c, KEY_PROTECT, ASC_PROTECTED);
    else if (c->cdb[1] & 0xfe || !count || count > SCSI_FILL_MAX) /* UNMAP, ANCHOR ... bits */
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
    else if (scsi_blocks(u, s, c, lba, count) && c->cdb[1] & 1 && c->cdb[0] == 0x93) {
        memset(c->data, 0, u->block); /* NDOB: zeroes, no data come */
        c->todo = SCSI_FILL;
        c->flush = s->write_through;
    } else if (c->status == SCSI_GOOD) {
        c->want = u->block;
    }
}

static void disk_unmap(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                       u32 got)
{
    u32 n, bytes;

    if (got < 8) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER_LIST);
        return;
    }
    bytes = be16(c->data + 2);
    n = (bytes < got - 8 ? bytes : got - 8) / 16;
    if (n > SCSI_TRIMS) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER);
        return;
    }
    for (u32 i = 0; i < n; i++) {
        const u8 *p = c->data + 8 + i * 16;
        u64 lba = be64(p), count = be32(p + 8);

        if (!scsi_blocks(u, s, c, lba, count))
            return;
        c->trim[i].off = c->off;
        c->trim[i].len = c->len;
    }
    c->ntrim = n;
    c->todo = n ? SCSI_TRIM : SCSI_REPLY;
}

bool scsi_disk_parameters(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                          u32 got)
{
    switch (c->cdb[0]) {
    case 0x41:
    case 0x93:
        if (got < u->block) {
            scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER_LIST);
        } else {
            c->todo = SCSI_FILL;
            c->flush = s->write_through;
        }
        return true;
    case 0x42:
        disk_unmap(u, s, c, got);
        return true;
    }
    return false;
}

bool scsi_disk_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    switch (c->cdb[0]) {
    case 0x25:
    case 0x9e:
        disk_capacity(u, s, c);
        return true;
    case 0x08: /* READ */
    case 0x28:
    case 0xa8:
    case 0x88:
        disk_transfer(u, s, c, SCSI_READ);
        return true;
    case 0x0a: /* WRITE, WRITE AND VERIFY */
    case 0x2a:
    case 0xaa:
    case 0x8a:
    case 0x2e:
    case 0x8e:
        disk_transfer(u, s, c, SCSI_WRITE);
        return true;
    case 0x2f: /* VERIFY */
    case 0xaf:
    case 0x8f:
    case 0x34: /* PRE-FETCH */
    case 0x90:
        disk_verify(u, s, c);
        return true;
    case 0x35: /* SYNCHRONIZE CACHE: always all of it */
    case 0x91:
        c->todo = SCSI_FLUSH;
        return true;
    case 0x41:
    case 0x93:
        disk_write_same(u, s, c);
        return true;
    case 0x42:
        if (u->readonly)
            scsi_fail(s, c, KEY_PROTECT, ASC_PROTECTED);
        else
            c->want = be16(c->cdb + 7) < SCSI_DATA ? be16(c->cdb + 7) : SCSI_DATA;
        return true;
    }
    return false;
}
