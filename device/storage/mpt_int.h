/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_MPT_INT_H
#define DEVICE_STORAGE_MPT_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/storage/lun.h"
#include "device/storage/mpt_wire.h"

/*
 * The Fusion-MPT adapters: mpt.c has registers, queues and resets, mpt_message.c the messages
 * that manage, mpt_scsi.c commands and their lists, mpt_config.c configuration pages; lsilogic.c
 * (parallel SCSI) and lsisas1068.c (SAS) have what they do not share.
 */
enum { MPT_TARGETS = 16, MPT_QUEUE = 512, MPT_PAGE_MAX = 512 };
/* Requests under way, and more that are kept for task management of high priority. */
enum { MPT_REQUESTS = 128, MPT_MANAGERS = 8 };
enum { MPT_REPLY_MAX = 80, MPT_DATA_MAX = 1 << 30 };

struct mpt_queue { /* a ring of message addresses; holds MPT_QUEUE - 1 */
    u32 head, tail;
    u32 at[MPT_QUEUE];
};

struct mpt_state {
    u32 ioc; /* enum mpt_ioc */
    u32 fault;
    u32 unlocked; /* how much of the key has come: 6 is all */
    u32 diag;
    u32 intr_status, intr_mask;
    u32 frames_high, sense_high;
    u32 reply_size;
    u32 who, devices, buses;
    u32 wanted, words; /* of the message that comes through the doorbell */
    u32 answer, told;  /* halves of the reply that goes through it */
    u32 message[MPT_FRAME / 4];
    u16 reply[MPT_REPLY_MAX / 2];
    u32 negotiated[MPT_TARGETS]; /* parallel SCSI: what the driver asked of each target */
    struct mpt_queue request, free, post;
    bool used, events; /* used: the doorbell's message is under way */
    u8 pad[6];
    struct scsi_state unit[MPT_TARGETS];
};

struct mpt_config {
    u64 cd;
    u64 address; /* SAS: the adapter's */
    char vendor[9], product[17], revision[5];
    char cd_vendor[9], cd_product[17], cd_revision[5];
    char serial[17];
    u8 efi;
};

struct mpt_request {
    struct lun_task task; /* first: done gets it back */
    u8 frame[MPT_FRAME];
    u64 order;  /* when it came */
    u16 status; /* what a reset or an abort decided, 0: nothing did */
    u8 target;
    bool busy, manages; /* manages: a task management message that waits for others */
    u32 terminated;
};

/* What a driver asked for: a page, by kind (or extended kind), number and address. */
struct mpt_page_ask {
    u8 type, number;
    u32 address;
};
/* A page under construction: the first bytes are its header. */
struct mpt_page {
    u8 b[MPT_PAGE_MAX];
    u32 len; /* 0: there is no such page */
    u8 version;
};

struct mpt;
struct mpt_kind {
    u8 port_type, own_id;
    u16 product;
    bool (*page)(struct mpt *m, const struct mpt_page_ask *ask, struct mpt_page *p);
    /* A page was written; NULL: nothing comes of it. */
    void (*wrote)(struct mpt *m, const struct mpt_page_ask *ask, const u8 *page, u32 len);
    const char *chip;
    const struct pci_ident *ident;
    const u8 *rom; /* mpt_efi.c for it */
    const u32 *rom_size;
};

struct mpt {
    struct device dev;
    struct mpt_config config;
    struct mpt_state state;
    const struct mpt_kind *kind;
    struct lun lun[MPT_TARGETS];
    u32 present;
    struct bell *bell;
    struct mpt_request *request; /* MPT_REQUESTS + MPT_MANAGERS of them */
    u64 orders;
    u32 under_way, managers;
    bool line;    /* the interrupt as it was last told */
    bool starved; /* more messages stand in the queue than there was room for */
};

/* mpt.c */
int mpt_create(struct mpt *m, const struct mpt_kind *kind, struct err *e);
void mpt_destroy(struct device *d);
void mpt_reset(struct device *d, enum reset kind);
void mpt_pause(struct device *d);
void mpt_resume(struct device *d);
void mpt_restored(struct device *d);
int mpt_check(const struct device *d, struct err *e);
extern const struct field mpt_config_fields[], mpt_state_fields[];
extern const struct pci_bar mpt_bars[];

bool mpt_write(struct mpt *m, u64 gpa, const void *from, u32 n);
void mpt_fault(struct mpt *m, u32 code, const char *why);
void mpt_post(struct mpt *m, u32 what); /* into the reply queue */
/* A reply of n bytes in the guest's next free frame. */
void mpt_post_reply(struct mpt *m, const void *reply, u32 n);
void mpt_answer(struct mpt *m, const void *reply, u32 n); /* through the doorbell */
void mpt_finished(struct mpt *m);                         /* a request is no longer under way */

/* mpt_message.c: through: the doorbell, or a frame of the guest's. */
enum mpt_through { MPT_BY_DOORBELL, MPT_BY_QUEUE };
void mpt_message(struct mpt *m, const u8 *frame, enum mpt_through through);

/* mpt_config.c */
void mpt_configure(struct mpt *m, const u8 *frame, struct mpt_config_reply *r);
u8 *mpt_page_grow(struct mpt_page *p, u8 version, u32 len);

/* mpt_scsi.c */
static inline struct gmem *mpt_ram(struct mpt *m)
{
    return machine_ram(m->dev.machine);
}
void mpt_scsi(struct mpt *m, struct mpt_request *r); /* the frame is there */
void mpt_manage(struct mpt *m, struct mpt_request *r);
void mpt_manage_progress(struct mpt *m);
#endif
