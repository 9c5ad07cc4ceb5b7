/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of ATA disks, ATA/ATAPI-6 with LBA48, and TRIM of ACS-2. */
#include "base/bytes.h"
#include "device/storage/ata.h"
#include "device/storage/ide_int.h"
#include <errno.h>

enum { MULTIPLE_MAX = 16, HEADS = 16, SECTORS = 63 };

static void identify_modes(u8 *p, u8 mode)
{
    bool udma = mode >> 3 == 8, mwdma = mode >> 3 == 4;

    ata_word(p, 53, 7);
    ata_word(p, 63, 7u | (mwdma ? 0x100u << (mode & 7) : 0));
    ata_word(p, 64, 3);
    for (u32 i = 65; i <= 68; i++)
        ata_word(p, i, 120); /* ns */
    ata_word(p, 88, 7u | (udma ? 0x100u << (mode & 7) : 0));
    ata_word(p, 93, 0x6001);
}

static void identify_geometry(u8 *p, const struct ide_drive *drive, const struct ide_drive_state *d)
{
    u64 all = drive->sectors, cylinders = all / (HEADS * SECTORS), now;
    u32 lba28 = all > 0x0fffffff ? 0x0fffffff : (u32)all;

    if (cylinders > 16383)
        cylinders = 16383;
    now = min_u64(all / (d->heads * d->sectors), 65535);
    ata_word(p, 1, (u32)cylinders);
    ata_word(p, 3, HEADS);
    ata_word(p, 6, SECTORS);
    ata_word(p, 54, (u32)now);
    ata_word(p, 55, d->heads);
    ata_word(p, 56, d->sectors);
    put_le32(p + 57 * 2, (u32)now * d->heads * d->sectors);
    put_le32(p + 60 * 2, lba28);
    put_le64(p + 100 * 2, all);
}

static void ata_identify(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    const struct ide_config *conf = &c->ide->config;
    const struct ide_drive *drive = ide_drive(c);
    const struct ide_drive_state *d = ide_regs(c);
    u8 *p = s->buf, cache = d->cache_off ? 0 : 0x20;
    char serial[21];

    memset(p, 0, IDE_SECTOR);
    ata_word(p, 0, 0x0040);
    memcpy(serial, conf->serial, sizeof(conf->serial));
    serial[strlen(serial) + 1] = 0;
    serial[strlen(serial)] = (char)('0' + ide_index(c));
    ata_text(p + 10 * 2, serial, 20);
    ata_text(p + 23 * 2, conf->revision, 8);
    ata_text(p + 27 * 2, conf->model, 40);
    ata_word(p, 47, 0x8000 | MULTIPLE_MAX);
    ata_word(p, 48, 1);
    ata_word(p, 49, 0x0f00); /* LBA, DMA, IORDY */
    ata_word(p, 51, 0x0200);
    ata_word(p, 52, 0x0200);
    ata_word(p, 59, d->multiple ? 0x100u | d->multiple : 0);
    identify_geometry(p, drive, d);
    identify_modes(p, d->mode);
    ata_word(p, 80, 0x00f0); /* ATA-4 to ATA-7 */
    ata_word(p, 82, 0x4020); /* NOP, write cache */
    ata_word(p, 83, 0x7400); /* FLUSH (EXT), LBA48 */
    ata_word(p, 84, 0x4040); /* FUA */
    ata_word(p, 85, 0x4000u | cache);
    ata_word(p, 86, 0x3400);
    ata_word(p, 87, 0x4040);
    ata_word(p, 105, IDE_TRIM_BLOCKS);
    ata_word(p, 169, blk_readonly(drive->blk) ? 0 : 1);
    ata_word(p, 217, 1); /* does not rotate */
    s->filled = IDE_SECTOR;
    s->drq = IDE_SECTOR;
    ide_move(c);
}

/* Where the command points and how far: false when that is not on the disk. */
static bool ata_range(struct ide_channel *c, bool ext, u64 *lba, u32 *count)
{
    const struct ide_drive_state *d = ide_regs(c);
    u32 low = d->low | (u32)d->mid << 8 | (u32)d->high << 16;

    if (ext) {
        *lba = low | (u64)d->old_low << 24 | (u64)d->old_mid << 32 | (u64)d->old_high << 40;
        *count = d->count | (u32)d->old_count << 8;
        if (!*count)
            *count = 65536;
    } else {
        *count = d->count ? d->count : 256;
        if (d->device & 0x40) {
            *lba = low | (u32)(d->device & 15) << 24;
        } else { /* cylinder, head, sector from 1 */
            u32 cylinder = d->mid | (u32)d->high << 8;

            if (!d->low || d->low > d->sectors || (d->device & 15) >= d->heads)
                return false;
            *lba = ((u64)cylinder * d->heads + (d->device & 15)) * d->sectors + d->low - 1;
        }
    }
    return range_ok(*lba, *count, ide_drive(c)->sectors);
}

enum { EXT = 1, WRITE = 2, DMA = 4, MULTI = 8, FUA = 16 };

static void ata_transfer(struct ide_channel *c, u32 how)
{
    struct ide_channel_state *s = c->s;
    struct ide_drive_state *d = ide_regs(c);
    u64 lba;
    u32 count;

    if (how & MULTI && !d->multiple) {
        ide_fail(c, ER_ABRT);
        return;
    }
    if (!ata_range(c, how & EXT, &lba, &count)) {
        ide_fail(c, ER_IDNF);
        return;
    }
    if (how & WRITE && blk_readonly(ide_drive(c)->blk)) {
        ide_fail(c, ER_ABRT);
        return;
    }
    s->off = lba * IDE_SECTOR;
    s->left = count * IDE_SECTOR;
    s->disk = true;
    s->write = how & WRITE;
    s->dma = how & DMA;
    s->flush = how & WRITE && (how & FUA || d->cache_off);
    s->drq = IDE_SECTOR * (how & MULTI ? d->multiple : 1u);
    ide_move(c);
}

static void ata_features(struct ide_channel *c)
{
    struct ide_drive_state *d = ide_regs(c);

    switch (d->feature) {
    case 0x02: /* write cache */
        d->cache_off = false;
        break;
    case 0x82:
        d->cache_off = true;
        ide_submit(c, BLK_FLUSH, 0, 0, 0, ide_finish);
        return;
    case 0x03: /* transfer mode: PIO, multiword DMA 0-2, Ultra DMA 0-2 */
        if (d->count >> 3 > 1 &&
            ((d->count >> 3 != 4 && d->count >> 3 != 8) || (d->count & 7) > 2)) {
            ide_fail(c, ER_ABRT);
            return;
        }
        d->mode = d->count;
        break;
    case 0x05: /* power, acoustics, look-ahead, reverting to defaults: nothing to do */
    case 0x55:
    case 0x66:
    case 0x85:
    case 0xaa:
    case 0xcc:
        break;
    default:
        ide_fail(c, ER_ABRT);
        return;
    }
    ide_ok(c);
}

static void ata_geometry(struct ide_channel *c)
{
    struct ide_drive_state *d = ide_regs(c);

    if (!d->count || d->count > 63) {
        ide_fail(c, ER_ABRT);
        return;
    }
    d->sectors = d->count;
    d->heads = (d->device & 15) + 1;
    ide_ok(c);
}

static void ata_verify(struct ide_channel *c, bool ext)
{
    u64 lba;
    u32 count;

    if (ata_range(c, ext, &lba, &count))
        ide_ok(c);
    else
        ide_fail(c, ER_IDNF);
}

static void ata_native_max(struct ide_channel *c, bool ext)
{
    struct ide_drive_state *d = ide_regs(c);
    u64 last = ide_drive(c)->sectors - 1;

    if (!ext)
        last = min_u64(last, 0x0ffffffe);
    d->low = (u8)last;
    d->mid = (u8)(last >> 8);
    d->high = (u8)(last >> 16);
    if (ext) {
        d->old_low = (u8)(last >> 24);
        d->old_mid = (u8)(last >> 32);
        d->old_high = (u8)(last >> 40);
    } else {
        d->device = (u8)((d->device & 0xf0) | (last >> 24 & 15));
    }
    ide_ok(c);
}

/* ACS-2 7.10: ranges of eight bytes, LBA and count. */
static void ata_trim_next(struct ide_channel *c, int result)
{
    struct ide_channel_state *s = c->s;
    u32 at = le16(s->trim_at);

    while (!result && at < s->filled / 8) {
        u64 range = le64(s->buf + at * 8), lba = range & 0xffffffffffff, count = range >> 48;

        put_le16(s->trim_at, (u16)++at);
        if (!count)
            continue;
        if (!range_ok(lba, count, ide_drive(c)->sectors)) {
            ide_fail(c, ER_IDNF);
            return;
        }
        ide_submit(c, BLK_TRIM, lba * IDE_SECTOR, count * IDE_SECTOR, 0, ata_trim_next);
        return;
    }
    ide_finish(c, result);
}

static void ata_trim(struct ide_channel *c)
{
    struct ide_channel_state *s = c->s;
    const struct ide_drive_state *d = ide_regs(c);
    u32 blocks = d->count | (u32)d->old_count << 8;

    if (d->feature != 1 || !blocks || blocks > IDE_TRIM_BLOCKS || blk_readonly(ide_drive(c)->blk)) {
        ide_fail(c, ER_ABRT);
        return;
    }
    s->left = blocks * IDE_SECTOR;
    s->drq = IDE_SECTOR;
    s->write = s->dma = true;
    ide_move(c);
}

void ide_ata_data(struct ide_channel *c)
{
    put_le16(c->s->trim_at, 0);
    ata_trim_next(c, 0);
}

static bool ata_transfer_command(struct ide_channel *c)
{
    static const struct {
        u8 command, how;
    } t[] = {
        { 0x20, 0 },
        { 0x21, 0 },
        { 0x24, EXT },
        { 0x29, EXT | MULTI },
        { 0xc4, MULTI },
        { 0xc8, DMA },
        { 0xc9, DMA },
        { 0x25, EXT | DMA },
        { 0x30, WRITE },
        { 0x31, WRITE },
        { 0x34, EXT | WRITE },
        { 0x39, EXT | WRITE | MULTI },
        { 0xc5, WRITE | MULTI },
        { 0xca, WRITE | DMA },
        { 0xcb, WRITE | DMA },
        { 0x35, EXT | WRITE | DMA },
        { 0x3d, EXT | WRITE | DMA | FUA },
        { 0xce, EXT | WRITE | MULTI | FUA },
    };

    for (u32 i = 0; i < LEN(t); i++) {
        if (t[i].command == c->s->command) {
            ata_transfer(c, t[i].how);
            return true;
        }
    }
    return false;
}

void ide_ata_command(struct ide_channel *c)
{
    struct ide_drive_state *d = ide_regs(c);
    u8 command = c->s->command;

    if (ata_transfer_command(c))
        return;
    switch (command) {
    case 0x06:
        ata_trim(c);
        return;
    case 0x10: /* RECALIBRATE, SEEK, standby and idle in their two places */
    case 0x70:
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x97:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
        ide_ok(c);
        return;
    case 0x27:
    case 0xf8:
        ata_native_max(c, command == 0x27);
        return;
    case 0x40:
    case 0x41:
    case 0x42:
        ata_verify(c, command == 0x42);
        return;
    case 0x91:
        ata_geometry(c);
        return;
    case 0x98: /* CHECK POWER MODE: active */
    case 0xe5:
        d->count = 0xff;
        ide_ok(c);
        return;
    case 0xc6:
        if (d->count > MULTIPLE_MAX || (d->count & (d->count - 1))) {
            ide_fail(c, ER_ABRT);
            return;
        }
        d->multiple = d->count;
        ide_ok(c);
        return;
    case 0xe7: /* FLUSH CACHE */
    case 0xea:
    case 0x99: /* SLEEP */
    case 0xe6:
        ide_submit(c, BLK_FLUSH, 0, 0, 0, ide_finish);
        return;
    case 0xec:
        ata_identify(c);
        return;
    case 0xef:
        ata_features(c);
        return;
    }
    ide_fail(c, ER_ABRT);
}
