/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_IDE_INT_H
#define DEVICE_STORAGE_IDE_INT_H
#include "backend/blk.h"
#include "bus/scsi.h"
#include "machine/device.h"

/*
 * The IDE function: two channels of two drives.  ide.c has the registers and the channels'
 * life, ide_data.c moves data (PIO blocks, bus master DMA), ide_ata.c has the commands of
 * disks, ide_packet.c those of CD-ROMs.
 */
enum { IDE_CHANNELS = 2, IDE_DRIVES = 4, IDE_SECTOR = 512, IDE_BUF = 8192, IDE_PIECES = 256 };
enum { IDE_PRDS = 8192 }; /* entries of a table: 64 KiB, SFF-8038i 1.3 */
enum { IDE_TRIM_BLOCKS = 8 };

enum ide_status_bits {
    ST_ERR = 0x01,
    ST_DRQ = 0x08,
    ST_DSC = 0x10,
    ST_DF = 0x20,
    ST_DRDY = 0x40,
    ST_BSY = 0x80
};
enum ide_error_bits { ER_ABRT = 0x04, ER_IDNF = 0x10, ER_UNC = 0x40 };
enum ide_bm_bits { BM_ACTIVE = 1, BM_ERROR = 2, BM_INTR = 4, BM_START = 1, BM_TO_MEMORY = 8 };

enum ide_phase {
    IDE_IDLE,
    IDE_WORK,   /* BSY; a request of the backend is under way */
    IDE_PACKET, /* the command packet comes through the data port */
    IDE_IN,     /* the guest reads buf[at, end) */
    IDE_OUT,    /* the guest writes buf[at, end) */
    IDE_DMA,    /* waits for the bus master to be started */
    IDE_PHASES
};

struct ide_drive_state {
    u8 status, error, device;
    u8 feature, count, low, mid, high;                     /* as last written */
    u8 old_feature, old_count, old_low, old_mid, old_high; /* as written before that */
    u8 multiple, heads, sectors;
    u8 mode; /* transfer mode as SET FEATURES takes it */
    bool cache_off;
    u8 pad[6];
    struct scsi_state unit;
};

struct ide_channel_state {
    u64 off;     /* on the disk */
    u32 left;    /* bytes still to go between disk and buf, or disk and guest */
    u32 at, end; /* what the guest moves of buf now */
    u32 filled;  /* bytes in buf */
    u32 drq;     /* bytes of one DRQ block */
    u32 prd;     /* bus master: table address */
    u32 prd_next, prd_addr, prd_left; /* entries taken; rest of the current one */
    u8 select, control, command, phase;
    u8 bm_command, bm_status;
    bool irq;   /* INTRQ */
    bool disk;  /* data goes to or from the disk; else buf is all there is */
    bool write; /* from the guest */
    bool dma, flush, prd_last;
    u8 cdb[12];
    u8 trim_at[2]; /* ranges done, little-endian */
    u8 pad[2];
    u8 buf[IDE_BUF];
};

struct ide;
struct ide_channel {
    struct ide *ide;
    struct ide_channel_state *s;
    struct irq wire;
    struct blk_req req;
    struct iovec v[IDE_PIECES];
    int nv;
    bool under_way;
    void (*then)(struct ide_channel *c, int result); /* domain held */
    struct scsi_command scsi;
};

struct ide_drive {
    struct blk *blk;
    bool present, cd;
    struct scsi_unit unit; /* CD-ROM */
    u64 sectors;           /* disk */
};

struct ide {
    struct device dev;
    struct ide_config {
        u8 cd;
        char model[41], cd_model[41], serial[18], revision[9];
        char cd_vendor[9], cd_product[17];
        u8 vmware;
    } config;
    struct ide_state {
        struct ide_drive_state drive[IDE_DRIVES];
        struct ide_channel_state channel[IDE_CHANNELS];
    } state;
    struct ide_drive drive[IDE_DRIVES];
    struct ide_channel channel[IDE_CHANNELS];
};

/* The selected drive. */
struct ide_drive *ide_drive(struct ide_channel *c);
struct ide_drive_state *ide_regs(struct ide_channel *c);
u32 ide_index(const struct ide_channel *c); /* 0 to 3 */

void ide_interrupt(struct ide_channel *c);
void ide_ok(struct ide_channel *c); /* ends the command well, with an interrupt */
void ide_fail(struct ide_channel *c, u8 error);
void ide_signature(struct ide *p, u32 drive); /* ATA-6 9.12: what a reset leaves */

/* One request of the backend; then `then`. */
void ide_submit(struct ide_channel *c, enum blk_op op, u64 off, u64 len, int nv,
                void (*then)(struct ide_channel *c, int result));
/* How a command ends whose data have all gone over. */
void ide_finish(struct ide_channel *c, int result);

/* Starts moving what off, left, disk, write, dma say; buf and filled hold data if !disk. */
void ide_move(struct ide_channel *c);
void ide_data_touched(struct ide_channel *c); /* the guest reached `end` */
void ide_dma_start(struct ide_channel *c);    /* the bus master was started */

void ide_ata_command(struct ide_channel *c);
void ide_ata_data(struct ide_channel *c); /* !disk, write: buf holds what the guest sent */
void ide_packet_command(struct ide_channel *c);
void ide_packet_come(struct ide_channel *c); /* twelve bytes are in buf */
void ide_packet_data(struct ide_channel *c);
void ide_packet_end(struct ide_channel *c, int result);
#endif
