/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_BUSLOGIC_INT_H
#define DEVICE_STORAGE_BUSLOGIC_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/storage/buslogic_wire.h"
#include "device/storage/lun.h"

/*
 * BusLogic BT-958: buslogic.c has registers, interrupts and the adapter's commands,
 * buslogic_ccb.c mailboxes and what travels through them.
 */
extern const u8 buslogic_rom[]; /* buslogic_rom.S, assembled */
extern const u32 buslogic_rom_size;

enum { BL_TARGETS_MAX = 16, BL_REQUESTS = 192, BL_DONE = 512, BL_PARAMETERS = 256 };
enum { BL_SG_MAX = 1024, BL_DATA_MAX = 1 << 30 };

struct buslogic_done { /* for an incoming mailbox */
    u32 ccb;
    u8 adapter_status, scsi_status, outcome, pad;
};

struct buslogic_state {
    u32 mailboxes, count; /* their address; count 0: not initialised */
    u32 next_out, next_in;
    u32 wanted, got, reply_len, told; /* bytes of parameters and reply */
    u32 first_done, ndone;
    u8 command, interrupt, waiting; /* waiting: interrupts that come after this one */
    bool running;                   /* a command waits for parameters, or to be read */
    bool invalid, testing, silent;  /* silent: it shall not interrupt */
    bool strict, wide_luns, tell_outbox;
    u8 pad[6];
    u8 parameter[BL_PARAMETERS], reply[BL_PARAMETERS];
    struct buslogic_done done[BL_DONE];
    struct scsi_state unit[BL_TARGETS_MAX];
};

struct buslogic_request {
    struct lun_task task; /* first: done gets it back */
    struct bl_ccb c;
    u32 at;
    u64 order;
    u8 status; /* what a reset or an abort decided, 0: nothing did */
    bool busy, resets;
};

struct buslogic {
    struct device dev;
    struct buslogic_config {
        u64 cd;
        char vendor[9], product[17], revision[5];
        char cd_vendor[9], cd_product[17], cd_revision[5];
        char serial[17];
        u8 pad;
    } config;
    struct buslogic_state state;
    struct lun lun[BL_TARGETS_MAX];
    u32 present;
    struct bell *bell;
    struct buslogic_request *request; /* BL_REQUESTS of them */
    u64 orders;
    u32 under_way, resets;
};

/* buslogic.c */
void buslogic_interrupt(struct buslogic *b, u8 what);

/* buslogic_ccb.c */
void buslogic_mail(struct buslogic *b); /* takes and delivers what there is; lane, domain held */
#endif
