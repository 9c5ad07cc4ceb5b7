/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floppy disk controller of a PC: registers, interrupts, reset, media.  Intel 82077AA data
 * sheet (1994), PC/AT mode: ports 0x3f2-0x3f5 and 0x3f7, IRQ 6, DMA channel 2.
 *
 * Whatever does not wait for a disk is done at once.  Left out: transfers without DMA, tapes,
 * the PS/2 status registers, the time that real drives take.
 */
#include "device/chipset/rtc.h"
#include "device/storage/fdc_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FDC_BASE = 0x3f2, FDC_DIR = 0x3f7 };
enum { DOR, TDR, MSR, FIFO }; /* from FDC_BASE */
enum { DOR_RUN = 4, DOR_DMA = 8, DOR_MOTOR = 16, DSR_RESET = 0x80 };
enum { MSR_READY = 0x80, MSR_TO_CPU = 0x40, MSR_BUSY = 0x10, DIR_CHANGED = 0x80 };
enum { ST0_READY_CHANGED = 0xc0 };

static struct fdc *fdc_of(struct device *d)
{
    return (struct fdc *)d;
}

void fdc_wire(struct fdc *f)
{
    const struct fdc_state *s = &f->state;

    irq_set(&f->irq, s->dor & DOR_DMA && s->dor & DOR_RUN && (s->irq || s->waiting));
}

void fdc_result(struct fdc *f, u32 n, bool irq)
{
    f->state.at = 0;
    f->state.len = (u8)n;
    f->state.phase = n ? FDC_RESULT : FDC_COMMAND;
    f->state.irq = irq;
    fdc_wire(f);
}

/* ---- reset ---- */

static void fdc_wait(struct fdc *f)
{
    while (f->under_way)
        domain_wait(f->dev.domain);
}

/* All drives are polled afterwards, and found to have changed (82077AA 5.2.2). */
static void fdc_begin(struct fdc *f)
{
    struct fdc_state *s = &f->state;

    fdc_wait(f);
    s->at = s->len = 0;
    s->phase = FDC_COMMAND;
    s->irq = false;
    fdc_defaults(f);
    s->waiting = 0xf;
    for (u32 i = 0; i < 4; i++)
        s->st0[i] = (u8)(ST0_READY_CHANGED | i);
    fdc_wire(f);
}

static void fdc_dor(struct fdc *f, u8 val)
{
    struct fdc_state *s = &f->state;
    u8 was = s->dor;

    if (!(val & DOR_RUN) && was & DOR_RUN) {
        fdc_wait(f);
        s->phase = FDC_COMMAND;
        s->at = s->len = 0;
        s->irq = false;
        s->waiting = 0;
    }
    s->dor = val;
    if (val & DOR_RUN && !(was & DOR_RUN))
        fdc_begin(f);
    fdc_wire(f);
}

/* ---- registers ---- */

static u8 fdc_status(const struct fdc_state *s)
{
    if (!(s->dor & DOR_RUN))
        return 0;
    switch (s->phase) {
    case FDC_BUSY:
        return MSR_BUSY;
    case FDC_RESULT:
        return MSR_READY | MSR_TO_CPU | MSR_BUSY;
    default:
        return MSR_READY | (s->at ? MSR_BUSY : 0);
    }
}

static u8 fdc_take(struct fdc *f)
{
    struct fdc_state *s = &f->state;
    u8 val;

    if (s->phase != FDC_RESULT || !(s->dor & DOR_RUN))
        return 0;
    val = s->fifo[s->at++];
    s->irq = false;
    if (s->at == s->len)
        fdc_result(f, 0, false);
    fdc_wire(f);
    return val;
}

static void fdc_give(struct fdc *f, u8 val)
{
    struct fdc_state *s = &f->state;

    if (s->phase != FDC_COMMAND || !(s->dor & DOR_RUN))
        return;
    s->fifo[s->at++] = val;
    if (s->at < fdc_command_bytes(s->fifo[0]))
        return;
    s->len = s->at;
    s->at = 0;
    fdc_execute(f);
}

static u64 fdc_load(struct device *d, u32 off, u32 size)
{
    struct fdc *f = fdc_of(d);

    (void)size;
    switch (off) {
    case DOR:
        return f->state.dor;
    case TDR:
        return f->state.tdr | 0xfc;
    case MSR:
        return fdc_status(&f->state);
    default:
        return fdc_take(f);
    }
}

static void fdc_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct fdc *f = fdc_of(d);

    (void)size;
    switch (off) {
    case DOR:
        fdc_dor(f, (u8)val);
        break;
    case TDR:
        f->state.tdr = val & 3;
        break;
    case MSR: /* written it is the data rate select register */
        f->state.rate = val & 3;
        if (val & DSR_RESET && f->state.dor & DOR_RUN)
            fdc_begin(f);
        break;
    case FIFO:
        fdc_give(f, (u8)val);
        break;
    }
}

/* The change line of the drive that is selected and turns; else nobody drives it. */
static u64 fdc_dir_load(struct device *d, u32 off, u32 size)
{
    const struct fdc *f = fdc_of(d);
    u32 drive = fdc_selected(f);

    (void)off, (void)size;
    if (drive >= f->config.drives || !(f->state.dor & (DOR_MOTOR << drive)))
        return 0;
    return f->state.changed >> drive & 1 ? DIR_CHANGED : 0;
}

static void fdc_ccr_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)off, (void)size;
    fdc_of(d)->state.rate = val & 3;
}

/* ---- media ---- */

static int fdc_insert(struct fdc *f, u32 drive, struct blk *blk, struct err *e)
{
    const struct fdc_media *m = blk ? fdc_media(blk_size(blk)) : NULL;

    if (blk && !m)
        return err_set(e, -EINVAL, "%llu bytes are more than a floppy disk has",
                       (unsigned long long)blk_size(blk));
    f->drive[drive] = (struct fdc_drive){ blk, m };
    return 0;
}

static int fdc_end_set(struct device *d, const char *kind, void *end, bool force, struct err *e)
{
    struct fdc *f = fdc_of(d);
    unsigned drive;
    int r;

    (void)force;
    if (sscanf(kind, "floppy.%u", &drive) != 1 || drive >= f->config.drives)
        return err_set(e, -EINVAL, "%s: there is no drive %s", d->name, kind);
    fdc_wait(f);
    r = fdc_insert(f, drive, end, e);
    if (!r)
        f->state.changed |= (u8)(1u << drive);
    return r;
}

/* ---- the device ---- */

static u8 fdc_kind(const struct fdc *f, u32 drive)
{
    if (drive >= f->config.drives)
        return FDC_NONE;
    return f->drive[drive].media ? f->drive[drive].media->drive : FDC_1440K;
}

static int fdc_regions(struct device *d, struct err *e)
{
    struct region ports = { .name = "fdc",
                            .base = FDC_BASE,
                            .len = 4,
                            .min = 1,
                            .max = 1,
                            .load = fdc_load,
                            .store = fdc_store,
                            .dev = d };
    struct region dir = { .name = "fdc input",
                          .base = FDC_DIR,
                          .len = 1,
                          .min = 1,
                          .max = 1,
                          .load = fdc_dir_load,
                          .store = fdc_ccr_store,
                          .dev = d };
    int r = space_add(machine_ports(d->machine), &ports, NULL, e);

    return r ? r : space_add(machine_ports(d->machine), &dir, NULL, e);
}

static int fdc_create(struct device *d, struct err *e)
{
    struct device *rtc = machine_device(d->machine, "rtc");
    struct fdc *f = fdc_of(d);
    char end[24];
    int r = 0;

    if (!f->config.drives || f->config.drives > FDC_DRIVES)
        return err_set(e, -EINVAL, "there are 1 or 2 floppy drives, not %u", f->config.drives);
    for (u32 i = 0; i < f->config.drives && !r; i++) {
        snprintf(end, sizeof(end), "floppy.%u", i);
        r = fdc_insert(f, i, device_end(d, end), e);
    }
    f->data = r ? NULL : malloc(FDC_TRACK_MAX);
    if (!f->data)
        return r ? r : err_set(e, -ENOMEM, "no memory for a track");
    f->dma = machine_device(d->machine, "dma8237");
    f->irq = machine_wire(d->machine, d, "isa.6");
    if (rtc)
        rtc_floppies(rtc, (u8)(fdc_kind(f, 0) << 4 | fdc_kind(f, 1)));
    return fdc_regions(d, e);
}

static void fdc_destroy(struct device *d)
{
    free(fdc_of(d)->data);
}

static void fdc_reset(struct device *d, enum reset kind)
{
    struct fdc *f = fdc_of(d);

    (void)kind;
    fdc_wait(f);
    f->state = (struct fdc_state){ .rate = FDC_250K, .sector = 1 };
    f->state.changed = (u8)((1u << f->config.drives) - 1);
    fdc_defaults(f);
    fdc_wire(f);
}

static void fdc_pause(struct device *d)
{
    domain_lock(d->domain);
    fdc_wait(fdc_of(d));
    domain_unlock(d->domain);
}

static int fdc_check(const struct device *d, struct err *e)
{
    const struct fdc_state *s = &((const struct fdc *)d)->state;

    if ((s->phase != FDC_COMMAND && s->phase != FDC_RESULT) || s->rate > FDC_1M ||
        s->len > FDC_FIFO || s->waiting > 0xf ||
        s->at >= (s->phase == FDC_RESULT ? s->len : fdc_command_bytes(s->fifo[0])))
        return err_set(e, -EBADMSG, "no floppy controller can be in this state");
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct fdc_config, drives, 0, "how many drives: 1 or 2"),
    FIELDS(0, struct fdc_config, pad, F_LOCAL, "none"), FIELD_END
};
static const struct field state[] = {
    FIELD(1, struct fdc_state, dor, 0, "digital output register"),
    FIELD(2, struct fdc_state, tdr, 0, "tape drive register"),
    FIELD(3, struct fdc_state, rate, 0, "data rate"),
    FIELD(4, struct fdc_state, phase, 0, "what the FIFO holds: 0 a command, 2 a result"),
    FIELDS(5, struct fdc_state, fifo, 0, "FIFO"),
    FIELD(6, struct fdc_state, at, 0, "bytes of it that came or went"),
    FIELD(7, struct fdc_state, len, 0, "bytes in it"),
    FIELDS(8, struct fdc_state, specify, 0, "SPECIFY"),
    FIELD(9, struct fdc_state, perpendicular, 0, "PERPENDICULAR MODE"),
    FIELDS(10, struct fdc_state, configure, 0, "CONFIGURE"),
    FIELD(11, struct fdc_state, lock, 0, "LOCK"),
    FIELDS(12, struct fdc_state, st0, 0, "what SENSE INTERRUPT tells of each drive"),
    FIELD(13, struct fdc_state, waiting, 0, "drives that it has to tell of"),
    FIELDS(14, struct fdc_state, cylinder, 0, "where the heads are"),
    FIELD(15, struct fdc_state, head, 0, "head in use"),
    FIELD(16, struct fdc_state, changed, 0, "drives whose disk has changed"),
    FIELD(17, struct fdc_state, sector, 0, "sector that comes by next"),
    FIELD(18, struct fdc_state, irq, 0, "a result interrupts"),
    FIELDS(0, struct fdc_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_fdc = {
    .name = "fdc",
    .about = "floppy disk controller 82077AA with two drives",
    .domain = "chipset",
    .size = sizeof(struct fdc),
    .config_at = offsetof(struct fdc, config),
    .config = config,
    .config_default = &(const struct fdc_config){ .drives = FDC_DRIVES },
    .config_size = sizeof(struct fdc_config),
    .state_at = offsetof(struct fdc, state),
    .state_size = sizeof(struct fdc_state),
    .state = state,
    .create = fdc_create,
    .destroy = fdc_destroy,
    .reset = fdc_reset,
    .pause = fdc_pause,
    .check = fdc_check,
    .end_set = fdc_end_set,
};
