/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CD-ROM drives, MMC-6: one data track of the size of the image, one session.  Audio, raw
 * sectors and writing are not there.
 */
#include "bus/scsi_int.h"

enum { CD_LEADOUT = 0xaa };

static void cd_address(u8 *p, u64 block, bool msf)
{
    if (!msf) {
        put_be32(p, (u32)block);
        return;
    }
    block += 150; /* two seconds in front of the first sector */
    p[0] = 0;
    p[1] = (u8)(block / 75 / 60);
    p[2] = (u8)(block / 75 % 60);
    p[3] = (u8)(block % 75);
}

static u8 *cd_track(u8 *p, u8 number, u64 block, bool msf)
{
    memset(p, 0, 8);
    p[1] = 0x14; /* data, copying allowed */
    p[2] = number;
    cd_address(p + 4, block, msf);
    return p + 8;
}

static void cd_toc(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    bool msf = c->cdb[1] & 2;
    u8 format = c->cdb[2] & 15, first = c->cdb[6], *p = c->data, *q = p + 4;

    if (!format)
        format = c->cdb[9] >> 6; /* the place of SFF-8020 */
    if (format > 1 || (!format && first > 1 && first != CD_LEADOUT)) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    if (format == 1) {
        q = cd_track(q, 1, 0, msf); /* the last session starts with track 1 */
    } else {
        if (first <= 1)
            q = cd_track(q, 1, 0, msf);
        q = cd_track(q, CD_LEADOUT, u->blocks, msf);
    }
    put_be16(p, (u16)(q - p - 2));
    p[2] = p[3] = 1;
    scsi_reply(c, (u32)(q - p), be16(c->cdb + 7));
}

/* MMC-6 5.3: features by number, each only if it is asked for. */
static void cd_configuration(const struct scsi_unit *u, struct scsi_command *c)
{
    static const u8 features[] = {
        0x00, 0x00, 0x03, 0x04, 0x00, 0x08, 0x01, 0x00, /* profile list: CD-ROM */
        0x00, 0x01, 0x0b, 0x08, 0x00, 0x00, 0x00, 0x02,
        0x00, 0x00, 0x00, 0x00,                         /* core: ATAPI */
        0x00, 0x03, 0x0b, 0x04, 0x29, 0x00, 0x00, 0x00, /* removable, tray */
        0x00, 0x10, 0x03, 0x08, 0x00, 0x00, 0x08, 0x00,
        0x00, 0x01, 0x00, 0x00,                         /* random readable */
        0x00, 0x1e, 0x0b, 0x04, 0x00, 0x00, 0x00, 0x00, /* CD read */
    };
    u8 *p = c->data, *q = p + 8, mode = c->cdb[1] & 3;
    u16 from = be16(c->cdb + 2);

    memset(p, 0, 8);
    if (u->medium)
        p[7] = 8; /* current profile: CD-ROM */
    for (u32 i = 0; i < sizeof(features); i += 4u + features[i + 3]) {
        const u8 *f = features + i;
        u16 number = be16(f);

        if (mode == 2 ? number == from : number >= from) {
            memcpy(q, f, 4u + f[3]);
            if (number == 0 && u->medium)
                q[6] = 1;
            if (number == 0x10 && !u->medium)
                q[2] &= ~1;
            q += 4 + f[3];
        }
    }
    put_be32(p, (u32)(q - p - 4));
    scsi_reply(c, (u32)(q - p), be16(c->cdb + 7));
}

/* MMC-6 6.6: polled; media events only. */
static void cd_event(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u8 *p = c->data;
    bool media = c->cdb[4] & 0x10;

    if (!(c->cdb[1] & 1)) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    memset(p, 0, 8);
    p[3] = 0x10;
    if (!media) {
        p[1] = 2;
        p[2] = 0x80; /* no event of a class that was asked for */
        scsi_reply(c, 4, be16(c->cdb + 7));
        return;
    }
    p[1] = 6;
    p[2] = 4;
    p[4] = s->attention == SCSI_ASC_MEDIUM_CHANGED ? 2 : 0;
    p[5] = u->medium ? 2 : 0;
    scsi_reply(c, 8, be16(c->cdb + 7));
}

static void cd_disc(struct scsi_command *c)
{
    u8 *p = c->data;

    memset(p, 0, 34);
    p[1] = 32;
    p[2] = 0x0e; /* complete, last session complete */
    p[3] = p[4] = p[5] = p[6] = 1;
    p[7] = 0x20;
    memset(p + 16, 0xff, 8);
    scsi_reply(c, 34, be16(c->cdb + 7));
}

static void cd_track_information(const struct scsi_unit *u, struct scsi_command *c)
{
    u8 *p = c->data;

    memset(p, 0, 36);
    p[1] = 34;
    p[2] = p[3] = 1;
    p[5] = 4;
    p[6] = 1;
    put_be32(p + 24, (u32)u->blocks);
    scsi_reply(c, 36, be16(c->cdb + 7));
}

u32 scsi_cd_mode_page(const struct scsi_unit *u, const struct scsi_state *s, u8 page, u8 *p)
{
    (void)u;
    switch (page) {
    case 0x0e: /* audio control: no volume */
        memset(p, 0, 16);
        p[2] = 4;
        return 16;
    case 0x1a: /* power */
        memset(p, 0, 12);
        return 12;
    case 0x2a: /* capabilities */
        memset(p, 0, 22);
        p[4] = 0x70;
        p[6] = (u8)(0x29 | (s->locked ? 2 : 0)); /* tray, can eject, can lock */
        put_be16(p + 8, 706 * 8);
        put_be16(p + 12, 128);
        put_be16(p + 14, 706 * 8);
        return 22;
    }
    return 0;
}

static void cd_read(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u64 lba, count;

    scsi_cdb_range(c, &lba, &count);
    if (c->cdb[0] == 0xbe) { /* READ CD: user data of 2048 bytes, or nothing */
        u8 what = c->cdb[9] & 0xf8;

        count = be32(c->cdb + 5) & 0xffffff;
        if ((what && what != 0x10) || c->cdb[10] & 7) {
            scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
            return;
        }
        if (!what)
            count = 0;
    }
    if (scsi_blocks(u, s, c, lba, count) && count)
        c->todo = SCSI_READ;
}

/* Commands that need a disc in the drive; false: not one of these. */
static bool cd_medium(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    u64 lba, count;

    switch (c->cdb[0]) {
    case 0x25:
        put_be32(c->data, u->blocks ? (u32)u->blocks - 1 : 0);
        put_be32(c->data + 4, u->block);
        scsi_reply(c, 8, 8);
        return true;
    case 0x28:
    case 0xa8:
    case 0xbe:
        cd_read(u, s, c);
        return true;
    case 0x2b: /* SEEK */
        scsi_cdb_range(c, &lba, &count);
        scsi_blocks(u, s, c, lba, 0);
        return true;
    case 0x43:
        cd_toc(u, s, c);
        return true;
    case 0x51:
        cd_disc(c);
        return true;
    case 0x52:
        cd_track_information(u, c);
        return true;
    }
    return false;
}

bool scsi_cd_start(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    static const u8 medium[] = { 0x25, 0x28, 0xa8, 0xbe, 0x2b, 0x43, 0x51, 0x52 };

    if (!u->medium && memchr(medium, c->cdb[0], sizeof(medium))) {
        scsi_fail(s, c, KEY_NOT_READY, ASC_NO_MEDIUM);
        return true;
    }
    switch (c->cdb[0]) {
    case 0x46:
        cd_configuration(u, c);
        return true;
    case 0x4a:
        cd_event(u, s, c);
        return true;
    case 0xbb: /* SET CD SPEED */
        return true;
    case 0xbd: /* MECHANISM STATUS */
        memset(c->data, 0, 8);
        c->data[5] = 1;
        scsi_reply(c, 8, be16(c->cdb + 8));
        return true;
    }
    return cd_medium(u, s, c);
}
