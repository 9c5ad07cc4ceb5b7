/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_FDC_INT_H
#define DEVICE_STORAGE_FDC_INT_H
#include "backend/blk.h"
#include "machine/device.h"

enum { FDC_DRIVES = 2, FDC_SECTOR = 512, FDC_FIFO = 16, FDC_TRACK_MAX = 36 * 2 * FDC_SECTOR };

/* Kinds of drives as CMOS has them. */
enum fdc_kind { FDC_NONE, FDC_360K, FDC_1200K, FDC_720K, FDC_1440K, FDC_2880K };
/* Data rates as in DSR and CCR. */
enum fdc_rate { FDC_500K, FDC_300K, FDC_250K, FDC_1M };

/* What a disk of some size looks like: FDC knows tracks, heads, sectors only. */
struct fdc_media {
    u8 tracks, heads, sectors;
    enum fdc_rate rate;
    enum fdc_kind drive; /* the one that it belongs into */
};
/* The smallest that holds so many bytes; NULL: none does. */
const struct fdc_media *fdc_media(u64 bytes);

enum fdc_phase { FDC_COMMAND, FDC_BUSY, FDC_RESULT };

struct fdc {
    struct device dev;
    struct fdc_config {
        u32 drives; /* 1 or 2 */
        u8 pad[4];
    } config;
    struct fdc_state {
        u8 dor, tdr, rate, phase;
        u8 fifo[FDC_FIFO]; /* of a command, or of its result */
        u8 at, len;
        u8 specify[2], perpendicular, configure[2]; /* as the commands gave them */
        bool lock;
        u8 st0[4];      /* what the next SENSE INTERRUPTs tell */
        u8 waiting;     /* drives whose interrupt nobody sensed, one bit each */
        u8 cylinder[4]; /* as counted by seeks */
        u8 head;        /* of the last command */
        u8 changed;     /* drives whose disk change line is active */
        u8 sector;      /* that READ ID tells next */
        bool irq;       /* for a result */
        u8 pad[5];
    } state;
    struct fdc_drive {
        struct blk *blk; /* NULL: empty */
        const struct fdc_media *media;
    } drive[FDC_DRIVES];
    struct irq irq;
    struct device *dma; /* or NULL */

    bool under_way;     /* a request of the command that runs; the following are its own */
    bool counted;       /* the DMA channel ends it, not the cylinder */
    u32 sectors, chunk; /* sectors of it, bytes of them that DMA moves */
    struct blk_req req;
    struct iovec v;
    u8 *data; /* FDC_TRACK_MAX */
};

/* fdc.c */
void fdc_wire(struct fdc *f);                    /* the interrupt by the state */
void fdc_result(struct fdc *f, u32 n, bool irq); /* n bytes stand in the FIFO */
static inline u32 fdc_selected(const struct fdc *f)
{
    return f->state.dor & 3;
}

/* fdc_command.c */
u32 fdc_command_bytes(u8 command); /* how many it takes with itself */
void fdc_execute(struct fdc *f);
void fdc_defaults(struct fdc *f); /* what a reset does to settings */

/* fdc_transfer.c */
void fdc_transfer(struct fdc *f);
void fdc_format(struct fdc *f);
void fdc_read_id(struct fdc *f);
#endif
