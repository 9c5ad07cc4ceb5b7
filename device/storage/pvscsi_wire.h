/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_PVSCSI_WIRE_H
#define DEVICE_STORAGE_PVSCSI_WIRE_H
#include "base/types.h"

/* VMware's paravirtual SCSI adapter as guests see it: registers, commands, rings. */
enum {
    PVSCSI_VENDOR = 0x15ad,
    PVSCSI_DEVICE = 0x07c0,
    PVSCSI_BAR = 0x8000,
    PVSCSI_MSIX_TABLE = 0x6000,
    PVSCSI_MSIX_PBA = 0x7000,
};

enum pvscsi_register {
    PVSCSI_COMMAND = 0x0,
    PVSCSI_COMMAND_DATA = 0x4,
    PVSCSI_COMMAND_STATUS = 0x8,
    PVSCSI_INTR_STATUS = 0x100c, /* write 1 to clear */
    PVSCSI_INTR_MASK = 0x2010,   /* 1: may interrupt */
    PVSCSI_KICK_OTHER = 0x3014,
    PVSCSI_KICK_RW = 0x4018,
};
enum { PVSCSI_INTR_COMPLETION = 1, PVSCSI_INTR_MESSAGE = 4 };
enum { PVSCSI_STATUS_MORE = 0xfffffffe }; /* words of the command are to come */

enum pvscsi_command {
    PVSCSI_CMD_RESET = 1,
    PVSCSI_CMD_ISSUE = 2,
    PVSCSI_CMD_SETUP_RINGS = 3,
    PVSCSI_CMD_RESET_BUS = 4,
    PVSCSI_CMD_RESET_DEVICE = 5,
    PVSCSI_CMD_ABORT = 6,
    PVSCSI_CMD_CONFIG = 7,
    PVSCSI_CMD_SETUP_MSG_RING = 8,
    PVSCSI_CMD_UNPLUG = 9,
    PVSCSI_CMD_SETUP_THRESHOLD = 10,
};

enum { PVSCSI_PAGE = 4096, PVSCSI_PAGES = 32, PVSCSI_MSG_PAGES = 16 };
enum { PVSCSI_REQUEST_SIZE = 128, PVSCSI_COMPLETION_SIZE = 32, PVSCSI_MESSAGE_SIZE = 128 };
enum { PVSCSI_PAGE_MSGS = PVSCSI_PAGE / PVSCSI_MESSAGE_SIZE };

struct pvscsi_setup_rings {
    u32 req_pages, cmp_pages;
    u64 state_ppn;
    u64 req_ppn[PVSCSI_PAGES], cmp_ppn[PVSCSI_PAGES];
};
struct pvscsi_reset_device {
    u32 target;
    u8 lun[8];
};
struct pvscsi_abort {
    u64 context;
    u32 target, zero;
};
struct pvscsi_setup_messages {
    u32 pages, zero;
    u64 ppn[PVSCSI_MSG_PAGES];
};
struct pvscsi_setup_threshold {
    u32 enable;
};
struct pvscsi_config_command {
    u64 reply; /* where the page goes */
    u64 address;
    u32 page, zero;
};
enum { PVSCSI_CONFIG_CONTROLLER = 0x1958, PVSCSI_CONFIG_ADDRESS = 0x2120 };

/* The rings state page. */
enum {
    PVSCSI_RS_REQ_PROD = 0,
    PVSCSI_RS_REQ_CONS = 4,
    PVSCSI_RS_REQ_LOG2 = 8,
    PVSCSI_RS_CMP_PROD = 12,
    PVSCSI_RS_CMP_CONS = 16,
    PVSCSI_RS_CMP_LOG2 = 20,
    PVSCSI_RS_THRESHOLD = 24, /* the guest kicks when so many requests wait */
    PVSCSI_RS_MSG_PROD = 128,
    PVSCSI_RS_MSG_CONS = 132,
    PVSCSI_RS_MSG_LOG2 = 136,
};

struct pvscsi_request_wire {
    u64 context;
    u64 data_addr, data_len;
    u64 sense_addr;
    u32 sense_len, flags;
    u8 cdb[16], cdb_len, lun[8], tag, bus, target;
    u16 vcpu_hint;
    u8 unused[58];
};
_Static_assert(sizeof(struct pvscsi_request_wire) == PVSCSI_REQUEST_SIZE, "pvscsi request");

enum pvscsi_flags {
    PVSCSI_FLAG_SG = 1,
    PVSCSI_FLAG_FAR_CDB = 2,
    PVSCSI_FLAG_NO_DATA = 4,
    PVSCSI_FLAG_TO_HOST = 8, /* the guest's memory is written */
    PVSCSI_FLAG_TO_DEVICE = 16,
};

struct pvscsi_sg {
    u64 addr;
    u32 len, flags;
};
enum { PVSCSI_SG_CHAIN = 1 };

enum pvscsi_message_type { PVSCSI_MSG_ADDED = 0, PVSCSI_MSG_REMOVED = 1 };
struct pvscsi_message {
    u32 type, bus, target;
    u8 lun[8];
    u32 pad[27];
};
_Static_assert(sizeof(struct pvscsi_message) == PVSCSI_MESSAGE_SIZE, "pvscsi message");

struct pvscsi_completion_wire {
    u64 context, data_len;
    u32 sense_len;
    u16 host_status, scsi_status;
    u32 pad[2];
};
_Static_assert(sizeof(struct pvscsi_completion_wire) == PVSCSI_COMPLETION_SIZE,
               "pvscsi completion");

enum pvscsi_host_status {
    PVSCSI_HOST_OK = 0,
    PVSCSI_HOST_UNDERRUN = 0x0c,
    PVSCSI_HOST_NO_DEVICE = 0x11,
    PVSCSI_HOST_PARAMETER = 0x1a,
    PVSCSI_HOST_BUS_RESET = 0x25,
    PVSCSI_HOST_ABORTED = 0x26,
};

extern const u8 pvscsi_rom[]; /* pvscsi_efi.c, compiled for EFI */
extern const u32 pvscsi_rom_size;
#endif
