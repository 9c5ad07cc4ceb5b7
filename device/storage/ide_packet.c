/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CD-ROM drives: the PACKET command carries SCSI commands (bus/scsi.h).  ATA-6 9.8, 8.23. */
#include "base/bytes.h"
#include "device/storage/ata.h"
#include "device/storage/ide_int.h"
#include <errno.h>

enum { PACKET = 12, MAX_BYTES = IDE_BUF };

static void packet_identify(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    const struct ide_config *conf = &c->ide->config;
    u8 *p = s->buf;

    memset(p, 0, IDE_SECTOR);
    ata_word(p, 0, 0x85c0); /* CD-ROM, removable, quick DRQ, packets of 12 bytes */
    ata_text(p + 10 * 2, "", 20);
    ata_text(p + 23 * 2, conf->revision, 8);
    ata_text(p + 27 * 2, conf->cd_model, 40);
    ata_word(p, 48, 1);
    ata_word(p, 49, 0x0f00);
    ata_word(p, 53, 7);
    ata_word(p, 63, 7);
    ata_word(p, 64, 3);
    for (u32 i = 65; i <= 68; i++)
        ata_word(p, i, 120);
    ata_word(p, 80, 0x001e);
    ata_word(p, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
    ata_word(p, 83, 0x4000);
    ata_word(p, 85, 0x4210);
    ata_word(p, 87, 0x4000);
    ata_word(p, 88, 7);
    ata_word(p, 93, 0x6001);
    s->filled = s->drq = IDE_SECTOR;
    ide_move(c);
}

void ide_packet_end(struct ide_channel *c, int result)
{
    struct ide_drive_state *d = ide_regs(c);
    struct scsi_command *k = &c->scsi;

    if (result) {
        k->todo = SCSI_READ;
        scsi_result(&d->unit, k, result);
    }
    d->count = (u8)((d->count & ~7) | 3); /* command completion */
    if (k->status == SCSI_GOOD)
        ide_ok(c);
    else
        ide_fail(c, (u8)((k->sense[2] & 15) << 4 | ER_ABRT));
}

/* What the command came to mean: data in buf, data from the disk, or nothing more. */
static void packet_do(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    const struct scsi_command *k = &c->scsi;

    s->write = false;
    if (k->todo == SCSI_READ) {
        s->disk = true;
        s->off = k->off;
        s->left = (u32)k->len;
        ide_move(c);
    } else if (k->n) {
        s->disk = false;
        s->filled = k->n;
        memcpy(s->buf, k->data, k->n);
        ide_move(c);
    } else { /* a CD-ROM has nothing to write, flush or trim */
        ide_packet_end(c, 0);
    }
}

void ide_packet_come(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    struct scsi_command *k = &c->scsi;
    struct ide_drive_state *d = ide_regs(c);

    s->phase = IDE_IDLE;
    memcpy(s->cdb, s->buf, PACKET);
    memset(k->cdb, 0, sizeof(k->cdb));
    memcpy(k->cdb, s->cdb, PACKET);
    k->cdb_len = PACKET;
    k->lun = 0;
    scsi_start(&ide_drive(c)->unit, &d->unit, k);
    if (k->todo == SCSI_READ && k->len > 0x7fffffff) {
        ide_packet_end(c, -EINVAL);
        return;
    }
    if (!k->want) {
        packet_do(c);
        return;
    }
    s->disk = false;
    s->write = true;
    s->left = k->want;
    ide_move(c);
}

void ide_packet_data(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    struct scsi_command *k = &c->scsi;
    u32 got = s->filled < SCSI_DATA ? s->filled : SCSI_DATA;

    memset(k->cdb, 0, sizeof(k->cdb)); /* it may have been saved and restored in between */
    memcpy(k->cdb, s->cdb, PACKET);
    k->todo = SCSI_REPLY;
    k->status = SCSI_GOOD;
    k->n = 0;
    memcpy(k->data, s->buf, got);
    scsi_parameters(&ide_drive(c)->unit, &ide_regs(c)->unit, k, got);
    packet_do(c);
}

static void packet_begin(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    struct ide_drive_state *d = ide_regs(c);
    u32 limit = d->mid | (u32)d->high << 8;

    if (d->feature & 2) { /* overlapped */
        ide_fail(c, ER_ABRT);
        return;
    }
    s->dma = d->feature & 1;
    if (!limit || limit > MAX_BYTES)
        limit = MAX_BYTES;
    s->drq = limit > 1 ? limit & ~1u : 2;
    s->at = 0;
    s->end = PACKET;
    s->phase = IDE_PACKET;
    d->count = (u8)((d->count & ~7) | 1);
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
}

void ide_packet_command(struct ide_channel *c)
{
    switch (c->s->command) {
    case 0xa0:
        packet_begin(c);
        return;
    case 0xa1:
        packet_identify(c);
        return;
    case 0xec: /* ATA-6 8.15.5: a packet device refuses and shows its signature */
    case 0x20:
        ide_signature(c->ide, ide_index(c));
        ide_fail(c, ER_ABRT);
        return;
    case 0xef: /* SET FEATURES: transfer modes as they come */
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
        ide_ok(c);
        return;
    case 0xe5:
        ide_regs(c)->count = 0xff;
        ide_ok(c);
        return;
    }
    ide_fail(c, ER_ABRT);
}
