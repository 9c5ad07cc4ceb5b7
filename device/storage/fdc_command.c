/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the floppy disk controller, but for those that move data.  Intel 82077AA data
 * sheet (1994), chapter 5.  Left out: SCAN, which nobody uses: refused as what does not exist.
 */
#include "device/storage/fdc_int.h"
#include <string.h>

enum fdc_command {
    READ_TRACK = 0x02,
    SPECIFY = 0x03,
    SENSE_DRIVE = 0x04,
    WRITE = 0x05,
    READ = 0x06,
    RECALIBRATE = 0x07,
    SENSE_INTERRUPT = 0x08,
    WRITE_DELETED = 0x09,
    READ_ID = 0x0a,
    READ_DELETED = 0x0c,
    FORMAT = 0x0d,
    DUMPREG = 0x0e,
    SEEK = 0x0f,
    VERSION = 0x10,
    PERPENDICULAR = 0x12,
    CONFIGURE = 0x13,
    LOCK = 0x14,
    VERIFY = 0x16,
};
enum { MT_MFM_SK = 0xe0, LOCK_ON = 0x80, RELATIVE = 0x80, RELATIVE_IN = 0x40 };
enum { ST0_SEEK_END = 0x20, ST0_NO_TRACK0 = 0x50, ST0_INVALID = 0x80 };
enum { ST3_PROTECTED = 0x40, ST3_READY = 0x20, ST3_TRACK0 = 0x10, ST3_TWO_SIDES = 8 };
enum { VERSION_82077 = 0x90, FDC_STEPS = 80, PRETRACK = 1 };

/* The commands, what of the first byte may differ, how many bytes each has. */
static const struct {
    u8 command, any, bytes;
} commands[] = {
    { READ_TRACK, MT_MFM_SK, 9 },
    { SPECIFY, 0, 3 },
    { SENSE_DRIVE, 0, 2 },
    { WRITE, MT_MFM_SK, 9 },
    { READ, MT_MFM_SK, 9 },
    { RECALIBRATE, 0, 2 },
    { SENSE_INTERRUPT, 0, 1 },
    { WRITE_DELETED, MT_MFM_SK, 9 },
    { READ_ID, 0x40, 2 },
    { READ_DELETED, MT_MFM_SK, 9 },
    { FORMAT, 0x40, 6 },
    { DUMPREG, 0, 1 },
    { SEEK, RELATIVE | RELATIVE_IN, 3 },
    { VERSION, 0, 1 },
    { PERPENDICULAR, 0, 2 },
    { CONFIGURE, 0, 4 },
    { LOCK, LOCK_ON, 1 },
    { VERIFY, MT_MFM_SK, 9 },
};

static u32 command_find(u8 first)
{
    u32 i = 0;

    while (i < LEN(commands) && commands[i].command != (first & ~commands[i].any))
        i++;
    return i;
}

u32 fdc_command_bytes(u8 first)
{
    u32 i = command_find(first);

    return i < LEN(commands) ? commands[i].bytes : 1;
}

/* 5.2.7: LOCK keeps what CONFIGURE said of the FIFO over a reset of software's. */
void fdc_defaults(struct fdc *f)
{
    struct fdc_state *s = &f->state;

    if (!s->lock) {
        s->configure[0] = 0x20; /* no FIFO */
        s->configure[1] = 0;
    }
    s->configure[0] &= 0x2f; /* no implied seeks, drives are polled */
    s->perpendicular &= 0x3c;
}

/* ---- heads that move ---- */

static void command_seek(struct fdc *f, u32 drive, u8 to, u8 st0)
{
    struct fdc_state *s = &f->state;

    s->cylinder[drive] = to;
    if (drive < f->config.drives && f->drive[drive].blk)
        s->changed &= (u8) ~(1u << drive); /* a step with a disk in it clears the line */
    s->st0[drive] = (u8)(st0 | drive);
    s->waiting |= (u8)(1u << drive);
    fdc_result(f, 0, false);
}

static void command_recalibrate(struct fdc *f)
{
    u32 drive = f->state.fifo[1] & 3;
    bool there = drive < f->config.drives && f->state.cylinder[drive] < FDC_STEPS;

    /* without a drive track 0 never comes; from beyond 79 steps not either */
    command_seek(f, drive, there ? 0 : (u8)(f->state.cylinder[drive] - FDC_STEPS),
                 drive >= f->config.drives ? ST0_SEEK_END | ST0_NO_TRACK0 : ST0_SEEK_END);
}

static void command_move(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 drive = s->fifo[1] & 3;
    u8 to = s->fifo[2];

    if (s->fifo[0] & RELATIVE)
        to = (u8)(s->fifo[0] & RELATIVE_IN ? s->cylinder[drive] + to : s->cylinder[drive] - to);
    s->head = s->fifo[1] >> 2 & 1;
    command_seek(f, drive, to, (u8)(ST0_SEEK_END | s->head << 2));
}

/* ---- what it tells ---- */

static void command_sense_interrupt(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 drive;

    if (!s->waiting) {
        s->fifo[0] = ST0_INVALID;
        fdc_result(f, 1, false);
        return;
    }
    drive = (u32)__builtin_ctz(s->waiting);
    s->waiting &= (u8) ~(1u << drive);
    s->fifo[0] = s->st0[drive];
    s->fifo[1] = s->cylinder[drive];
    fdc_result(f, 2, false);
}

static void command_sense_drive(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 drive = s->fifo[1] & 3;
    u8 st3 = (u8)(ST3_READY | ST3_TWO_SIDES | (s->fifo[1] & 7));

    s->head = s->fifo[1] >> 2 & 1;
    if (drive < f->config.drives) {
        const struct fdc_drive *k = &f->drive[drive];

        st3 |= s->cylinder[drive] ? 0 : ST3_TRACK0;
        st3 |= !k->blk || blk_readonly(k->blk) ? ST3_PROTECTED : 0;
    }
    s->fifo[0] = st3;
    fdc_result(f, 1, false);
}

static void command_dumpreg(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    const struct fdc_media *m =
        fdc_selected(f) < FDC_DRIVES ? f->drive[fdc_selected(f)].media : NULL;

    memcpy(s->fifo, s->cylinder, 4);
    memcpy(s->fifo + 4, s->specify, 2);
    s->fifo[6] = m ? m->sectors : 0;
    s->fifo[7] = (u8)((s->lock ? 0x80 : 0) | s->perpendicular);
    memcpy(s->fifo + 8, s->configure, 2);
    fdc_result(f, 10, false);
}

static void command_settings(struct fdc *f)
{
    struct fdc_state *s = &f->state;

    switch (s->fifo[0] & 0x1f) {
    case SPECIFY:
        memcpy(s->specify, s->fifo + 1, 2);
        break;
    case CONFIGURE:
        memcpy(s->configure, s->fifo + 2, 2);
        s->configure[0] &= 0x7f;
        break;
    case PERPENDICULAR: /* OW: only then are the drives' bits taken */
        s->perpendicular = (u8)(s->fifo[1] & 0x80 ? s->fifo[1] & 0x3f
                                                  : (s->perpendicular & 0x3c) | (s->fifo[1] & 3));
        break;
    }
    fdc_result(f, 0, false);
}

static void command_one(struct fdc *f, u8 answer)
{
    f->state.fifo[0] = answer;
    fdc_result(f, 1, false);
}

void fdc_execute(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u32 i = command_find(s->fifo[0]);

    switch (i < LEN(commands) ? (int)commands[i].command : -1) {
    case READ_TRACK:
    case READ:
    case WRITE:
    case READ_DELETED:
    case WRITE_DELETED:
    case VERIFY:
        fdc_transfer(f);
        break;
    case FORMAT:
        fdc_format(f);
        break;
    case READ_ID:
        fdc_read_id(f);
        break;
    case RECALIBRATE:
        command_recalibrate(f);
        break;
    case SEEK:
        command_move(f);
        break;
    case SENSE_INTERRUPT:
        command_sense_interrupt(f);
        break;
    case SENSE_DRIVE:
        command_sense_drive(f);
        break;
    case DUMPREG:
        command_dumpreg(f);
        break;
    case VERSION:
        command_one(f, VERSION_82077);
        break;
    case LOCK:
        s->lock = s->fifo[0] & LOCK_ON;
        command_one(f, s->lock ? 0x10 : 0);
        break;
    case SPECIFY:
    case CONFIGURE:
    case PERPENDICULAR:
        command_settings(f);
        break;
    default:
        command_one(f, ST0_INVALID);
    }
}
