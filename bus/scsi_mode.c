/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mode parameters, SPC-4 7.5: error recovery, caching, and what a CD-ROM adds.  The one thing
 * that an initiator can change is the write cache of a disk.
 */
#include "bus/scsi_int.h"

enum { PAGE_ERROR = 0x01, PAGE_CACHING = 0x08, PAGE_CONTROL = 0x0a, PAGE_ALL = 0x3f };
enum mode_values { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

/* One page at p, its length; 0: there is no such page. */
static u32 mode_page(const struct scsi_unit *u, const struct scsi_state *s, u8 page,
                     enum mode_values which, u8 *p)
{
    u32 n;

    if (page == PAGE_ERROR) {
        n = u->kind == SCSI_CDROM ? 8 : 12;
        memset(p, 0, n);
        if (which != MODE_CHANGEABLE)
            p[2] = u->kind == SCSI_DISK ? 0xc0 : 0; /* automatic reallocation */
    } else if (page == PAGE_CACHING && u->kind == SCSI_DISK) {
        n = 20;
        memset(p, 0, n);
        if (which == MODE_CHANGEABLE || which == MODE_DEFAULT || !s->write_through)
            p[2] = 4; /* WCE */
    } else if (page == PAGE_CONTROL && u->kind == SCSI_DISK) {
        n = 12;
        memset(p, 0, n);
        if (which != MODE_CHANGEABLE)
            p[3] = 0x10; /* commands may be reordered */
    } else if (u->kind == SCSI_CDROM) {
        n = scsi_cd_mode_page(u, s, page, p);
        if (which == MODE_CHANGEABLE && n)
            memset(p, 0, n);
    } else {
        n = 0;
    }
    if (n) {
        p[0] = page;
        p[1] = (u8)(n - 2);
    }
    return n;
}

static u32 mode_block_descriptor(const struct scsi_unit *u, u8 *p)
{
    memset(p, 0, 8);
    put_be32(p, u->blocks > 0xffffffff ? 0xffffffff : (u32)u->blocks);
    put_be32(p + 4, u->block); /* the top byte of the length is reserved: 0 */
    return 8;
}

void scsi_mode_sense(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c)
{
    static const u8 all[] = { 0x01, 0x08, 0x0a, 0x0e, 0x1a, 0x2a };
    bool ten = c->cdb[0] == 0x5a;
    u8 *p = c->data, page = c->cdb[2] & 0x3f;
    enum mode_values which = c->cdb[2] >> 6;
    u32 head = ten ? 8 : 4, n = head, descriptor = 0, pages = 0;

    if (which == MODE_SAVED || (c->cdb[3] && c->cdb[3] != 0xff)) {
        scsi_fail(s, c, KEY_ILLEGAL, which == MODE_SAVED ? 0x3900 : ASC_FIELD);
        return;
    }
    memset(p, 0, head);
    if (u->kind == SCSI_DISK && !(c->cdb[1] & 8))
        descriptor = mode_block_descriptor(u, p + n);
    n += descriptor;
    for (u32 i = 0; i < LEN(all); i++)
        if (page == PAGE_ALL || page == all[i])
            pages += mode_page(u, s, all[i], which, p + n + pages);
    if (!pages) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    n += pages;
    p[ten ? 3 : 2] = (u8)((u->readonly && u->kind == SCSI_DISK ? 0x80 : 0) |
                          (u->kind == SCSI_DISK ? 0x10 : 0)); /* WP, DPOFUA */
    if (ten) {
        put_be16(p, (u16)(n - 2));
        p[7] = (u8)descriptor;
        scsi_reply(c, n, be16(c->cdb + 7));
    } else {
        p[0] = (u8)(n - 1);
        p[3] = (u8)descriptor;
        scsi_reply(c, n, c->cdb[4]);
    }
}

/* A page that came must be as long as ours; only the bits that can change may differ. */
static bool mode_take(const struct scsi_unit *u, struct scsi_state *s, const u8 *p, u32 n)
{
    u8 now[64], mask[64];

    if (mode_page(u, s, p[0] & 0x3f, MODE_CURRENT, now) != n)
        return false;
    mode_page(u, s, p[0] & 0x3f, MODE_CHANGEABLE, mask);
    for (u32 i = 2; i < n; i++)
        if ((p[i] ^ now[i]) & ~mask[i])
            return false;
    if ((p[0] & 0x3f) == PAGE_CACHING)
        s->write_through = !(p[2] & 4);
    return true;
}

void scsi_mode_select(const struct scsi_unit *u, struct scsi_state *s, struct scsi_command *c,
                      u32 got)
{
    u32 at = c->cdb[0] == 0x55 ? 8 : 4;

    if (c->cdb[1] & 1) { /* saving pages: there is no place */
        scsi_fail(s, c, KEY_ILLEGAL, ASC_FIELD);
        return;
    }
    if (!got)
        return;
    if (got < at) {
        scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER_LIST);
        return;
    }
    at += at == 8 ? be16(c->data + 6) : c->data[3]; /* a block descriptor changes nothing */
    while (at < got) {
        u32 n;

        if (got - at < 2 || (n = c->data[at + 1] + 2u) > got - at) {
            scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER_LIST);
            return;
        }
        if (!mode_take(u, s, c->data + at, n)) {
            scsi_fail(s, c, KEY_ILLEGAL, ASC_PARAMETER);
            return;
        }
        at += n;
    }
    if (s->write_through)
        c->todo = SCSI_FLUSH;
}
