/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_BUSLOGIC_WIRE_H
#define DEVICE_STORAGE_BUSLOGIC_WIRE_H
#include "base/types.h"

/* BusLogic MultiMaster adapters: registers, commands, mailboxes, command control blocks. */
enum { BL_VENDOR = 0x104b, BL_DEVICE = 0x1040, BL_PORTS = 32, BL_OWN_ID = 7 };

enum bl_register {
    BL_CONTROL = 0, /* written; BL_STATUS when read */
    BL_STATUS = 0,
    BL_COMMAND = 1, /* written: command, then its parameters; read: the reply */
    BL_INTERRUPT = 2,
    BL_GEOMETRY = 3,
};
enum bl_control {
    BL_RESET_BUS = 0x10,
    BL_RESET_INTERRUPT = 0x20,
    BL_RESET_SOFT = 0x40,
    BL_RESET_HARD = 0x80,
};
enum bl_status {
    BL_INVALID = 0x01,
    BL_DATA_IN = 0x04,
    BL_BUSY = 0x08,
    BL_READY = 0x10,
    BL_UNINITIALISED = 0x20,
    BL_TESTING = 0x80,
};
enum bl_interrupt {
    BL_INBOX = 0x01,
    BL_OUTBOX = 0x02,
    BL_COMPLETE = 0x04,
    BL_BUS_WAS_RESET = 0x08,
    BL_VALID = 0x80,
};

enum bl_command {
    BL_TEST = 0x00,
    BL_INIT_MAILBOX_24 = 0x01,
    BL_START_MAILBOX = 0x02,
    BL_BOARD_ID = 0x04,
    BL_OUTBOX_INTERRUPT = 0x05,
    BL_SELECTION_TIMEOUT = 0x06,
    BL_PREEMPT_TIME = 0x07,
    BL_BUS_OFF_TIME = 0x08,
    BL_TRANSFER_RATE = 0x09,
    BL_DEVICES_LOW = 0x0a,
    BL_CONFIGURATION = 0x0b,
    BL_SETUP = 0x0d,
    BL_ECHO = 0x1f,
    BL_DIAGNOSE = 0x20,
    BL_OPTIONS = 0x21,
    BL_DEVICES_HIGH = 0x23,
    BL_TARGETS = 0x24,
    BL_INTERRUPTS = 0x25,
    BL_INIT_MAILBOX = 0x81,
    BL_FIRMWARE_DIGIT = 0x84,
    BL_FIRMWARE_LETTER = 0x85,
    BL_PCI_INFO = 0x86,
    BL_MODEL = 0x8b,
    BL_SYNC_PERIOD = 0x8c,
    BL_EXTENDED_SETUP = 0x8d,
    BL_ROUND_ROBIN = 0x8f,
    BL_FETCH_RAM = 0x91,
    BL_MODIFY_ADDRESS = 0x95,
    BL_CCB_FORMAT = 0x96,
};

enum { BL_AUTOSCSI = 64 }; /* where it stands in the adapter's RAM */

/* Outgoing and incoming mailboxes: 8 bytes, the address of a CCB first. */
enum { BL_MAILBOX = 8, BL_CCB = 40 };
enum bl_action { BL_FREE = 0, BL_START = 1, BL_ABORT = 2 };
enum bl_outcome { BL_GOOD = 1, BL_ABORTED = 2, BL_NOT_FOUND = 3, BL_FAILED = 4 };

struct bl_ccb {
    u8 op, direction; /* direction in bits 4:3, tags above */
    u8 cdb_len, sense_len;
    u32 data_len, data;
    u8 reserved[2], adapter_status, scsi_status;
    u8 target, lun;
    u8 cdb[12], reserved2[6];
    u32 sense;
};
_Static_assert(sizeof(struct bl_ccb) == BL_CCB, "BusLogic CCB");
enum bl_op {
    BL_OP = 0,
    BL_OP_SG = 2,
    BL_OP_RESIDUAL = 3,
    BL_OP_SG_RESIDUAL = 4,
    BL_OP_RESET = 0x81
};
enum bl_direction { BL_BY_COMMAND = 0, BL_DATA_TO_HOST = 1, BL_DATA_TO_DEVICE = 2, BL_NO_DATA = 3 };
enum bl_adapter_status {
    BL_OK = 0x00,
    BL_NO_DEVICE = 0x11,
    BL_BAD_ACTION = 0x15,
    BL_BAD_OP = 0x16,
    BL_BAD_PARAMETER = 0x1a,
    BL_NO_SENSE = 0x1b,
    BL_ADAPTER_RESET = 0x22,
    BL_DEVICE_RESET = 0x25,
    BL_QUEUE_ABORTED = 0x26,
};
#endif
