/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_PVSCSI_INT_H
#define DEVICE_STORAGE_PVSCSI_INT_H
#include "bus/pci.h"
#include "device/storage/lun.h"
#include "device/storage/pvscsi_wire.h"

enum { TARGETS = 64, REQUESTS = 256, SG_MAX = 1024, DATA_MAX = 1 << 30 };
enum { WORDS = sizeof(struct pvscsi_setup_rings) / 4 };

struct pvscsi;
struct pvscsi_request {
    struct lun_task task; /* first: done gets it back */
    struct pvscsi_request_wire wire;
    u16 host_status; /* what a reset or an abort decided, 0: nothing did */
    u8 target;
    bool busy;
};

struct pvscsi {
    struct device dev;
    struct pvscsi_config {
        u64 cd;
        char vendor[9], product[17], revision[5];
        char cd_vendor[9], cd_product[17], cd_revision[5];
        char serial[17];
        u8 efi;
    } config;
    struct pvscsi_state {
        u64 rings_state, req_page[PVSCSI_PAGES], cmp_page[PVSCSI_PAGES];
        u32 req_entries, cmp_entries; /* powers of two; 0: no rings */
        u32 req_cons, cmp_prod;
        u32 intr_status, intr_mask;
        u32 command, status;
        u32 words, wanted; /* of the command's data */
        u32 data[WORDS];
        u64 msg_page[PVSCSI_MSG_PAGES], leaving; /* targets whose guest was told to let go */
        u32 msg_entries, msg_prod;               /* entries: 0: no ring */
        bool broken;    /* the guest wrote nonsense to the ring: waits for a reset */
        bool threshold; /* it asks when to kick */
        u8 pad[6];
        struct scsi_state unit[TARGETS];
    } state;
    struct lun lun[TARGETS];
    u64 present;
    struct bell *kick;
    struct pvscsi_request *request; /* REQUESTS of them */
    u32 under_way;
    bool starved; /* the ring holds more than there was room for */
};

/* pvscsi.c */
bool pvscsi_put(struct pvscsi *p, u64 gpa, const void *from, u32 n);
void pvscsi_tell(struct pvscsi *p, u32 why); /* a bit of the interrupt status */
bool pvscsi_is_busy(const struct pvscsi *p, u64 targets);
void pvscsi_seat(struct pvscsi *p, u32 target, struct blk *blk);

/* pvscsi_message.c: the ring by which the guest is told of targets that come and go */
void pvscsi_setup_messages(struct pvscsi *p, const struct pvscsi_setup_messages *w);
int pvscsi_end_set(struct device *d, const char *kind, void *end, bool force, struct err *e);
#endif
