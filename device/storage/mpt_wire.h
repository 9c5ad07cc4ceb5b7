/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_MPT_WIRE_H
#define DEVICE_STORAGE_MPT_WIRE_H
#include "base/types.h"

/* LSI Logic's Fusion-MPT as guests see it: registers, messages, lists.  MPI 1.5. */
enum {
    MPT_VENDOR = 0x1000,
    MPT_DEVICE_1030 = 0x0030,
    MPT_DEVICE_1068 = 0x0054,
    MPT_PORTS = 0x100,
    MPT_FRAME = 128, /* bytes of a request, the most */
};

enum mpt_register {
    MPT_DOORBELL = 0x00,
    MPT_SEQUENCE = 0x04,
    MPT_DIAG = 0x08,
    MPT_INTR_STATUS = 0x30,
    MPT_INTR_MASK = 0x34,
    MPT_REQUEST_QUEUE = 0x40,
    MPT_REPLY_QUEUE = 0x44,
    MPT_PRIORITY_QUEUE = 0x48,
};
enum mpt_interrupt { MPT_INTR_DOORBELL = 1, MPT_INTR_REPLY = 8 };
enum mpt_diag { MPT_DIAG_RESET = 0x04, MPT_DIAG_HISTORY = 0x20, MPT_DIAG_WRITABLE = 0x80 };
enum mpt_ioc { MPT_IOC_RESET = 0, MPT_IOC_READY = 1, MPT_IOC_OPERATIONAL = 2, MPT_IOC_FAULT = 4 };
enum { MPT_DOORBELL_USED = 1 << 27 };
#define MPT_ADDRESS_REPLY 0x80000000u
#define MPT_NO_REPLY 0xffffffffu

enum mpt_function {
    MPT_SCSI_IO = 0x00,
    MPT_TASK_MANAGEMENT = 0x01,
    MPT_IOC_INIT = 0x02,
    MPT_IOC_FACTS = 0x03,
    MPT_CONFIG = 0x04,
    MPT_PORT_FACTS = 0x05,
    MPT_PORT_ENABLE = 0x06,
    MPT_EVENTS = 0x07,
    MPT_EVENT_ACK = 0x08,
    MPT_SAS_CONTROL = 0x1b,
    MPT_UNIT_RESET = 0x40, /* these in the doorbell only */
    MPT_IO_UNIT_RESET = 0x41,
    MPT_HANDSHAKE = 0x42,
};

enum mpt_status {
    MPT_OK = 0,
    MPT_BAD_FUNCTION = 0x01,
    MPT_BAD_LIST = 0x03,
    MPT_BAD_FIELD = 0x07,
    MPT_BAD_STATE = 0x08,
    MPT_CONFIG_BAD_ACTION = 0x20,
    MPT_CONFIG_BAD_TYPE = 0x21,
    MPT_CONFIG_BAD_PAGE = 0x22,
    MPT_CONFIG_BAD_DATA = 0x23,
    MPT_SCSI_BAD_BUS = 0x41,
    MPT_SCSI_BAD_TARGET = 0x42,
    MPT_SCSI_NO_DEVICE = 0x43,
    MPT_SCSI_UNDERRUN = 0x45,
    MPT_SCSI_TERMINATED = 0x48,
    MPT_SCSI_TM_FAILED = 0x4a,
    MPT_FAULT_NO_REPLY_FRAME = 0x2810, /* in the doorbell, state fault */
    MPT_FAULT_QUEUE = 0x2811,
};

/* What every message begins with; replies have their length in dwords where `chain` is. */
struct mpt_head {
    u8 a, b, chain, function;
    u8 c, d, e, flags;
    u32 context;
};
struct mpt_reply { /* the part that all share */
    struct mpt_head head;
    u16 f, status;
    u32 log;
};

struct mpt_scsi_io {
    u8 target, bus, chain, function;
    u8 cdb_len, sense_len, reserved, flags;
    u32 context;
    u8 lun[8];
    u32 control;
    u8 cdb[16];
    u32 data_len, sense_addr;
};
enum { MPT_CONTROL_DIRECTION = 3 << 24, MPT_CONTROL_WRITE = 1 << 24, MPT_CONTROL_READ = 2 << 24 };

struct mpt_scsi_reply {
    struct mpt_head head; /* a target, b bus, c length of the CDB, d of the sense */
    u8 scsi_status, scsi_state;
    u16 status;
    u32 log, moved, sense, response;
    u16 tag, reserved;
};
enum mpt_scsi_state {
    MPT_STATE_SENSE = 0x01,
    MPT_STATE_NO_SENSE = 0x02, /* there was one, and it could not be written */
    MPT_STATE_NO_STATUS = 0x04,
    MPT_STATE_TERMINATED = 0x08,
};

struct mpt_task_management {
    struct mpt_head head; /* a target, b bus, d type */
    u8 lun[8];
    u32 reserved[7], task; /* the context of the request that is meant */
};
enum mpt_task_type {
    MPT_ABORT_TASK = 1,
    MPT_ABORT_TASK_SET = 2,
    MPT_TARGET_RESET = 3,
    MPT_BUS_RESET = 4,
    MPT_LUN_RESET = 5,
    MPT_CLEAR_TASK_SET = 6,
    MPT_QUERY_TASK = 7,
};
struct mpt_task_reply {
    struct mpt_reply reply; /* c response code */
    u32 terminated;
};
enum { MPT_TASK_COMPLETE = 0x00, MPT_TASK_UNSUPPORTED = 0x04, MPT_TASK_SUCCEEDED = 0x08 };

struct mpt_ioc_init {
    struct mpt_head head; /* a who, d devices, e buses */
    u16 reply_size, reserved;
    u32 frames_high, sense_high;
};
struct mpt_ioc_facts {
    struct mpt_reply reply; /* a, b version; c, d header version */
    u8 chain_depth, who, block, flags;
    u16 reply_depth, frame_dwords;
    u16 reserved, product;
    u32 frames_high;
    u16 credits;
    u8 ports, events;
    u32 sense_high;
    u16 reply_size;
    u8 devices, buses;
    u32 image, capabilities, firmware;
    u16 priority_depth, reserved2;
    u32 host_page[3], host_signal;
};
_Static_assert(sizeof(struct mpt_ioc_facts) == 80, "IOCFacts reply");
enum { MPT_CAPABILITY_PRIORITY = 1 };

struct mpt_port_facts {
    struct mpt_reply reply; /* e port */
    u8 reserved, type;
    u16 devices, own_id, protocol, buffers, persistent, buckets;
    u8 initiators, reserved2;
    u32 reserved3;
};
_Static_assert(sizeof(struct mpt_port_facts) == 40, "PortFacts reply");
enum { MPT_PORT_SCSI = 0x01, MPT_PORT_SAS = 0x30, MPT_PROTOCOL_INITIATOR = 8 };

struct mpt_event {
    struct mpt_reply reply; /* a, b data length; e: it must be acknowledged */
    u32 event, context, data;
};
enum { MPT_EVENT_CHANGE = 0x0a };

struct mpt_config_message {
    struct mpt_head head; /* a action; c, d extended length; e extended type */
    u32 reserved[2];
    u8 version, length, number, type;
    u32 address;
    u32 sge[3];
};
struct mpt_config_reply {
    struct mpt_reply reply;
    u8 version, length, number, type;
};
enum mpt_config_action {
    MPT_PAGE_HEADER = 0,
    MPT_PAGE_READ = 1,
    MPT_PAGE_WRITE = 2,
    MPT_PAGE_DEFAULT = 3,
    MPT_PAGE_WRITE_NVRAM = 4,
    MPT_PAGE_READ_DEFAULT = 5,
    MPT_PAGE_READ_NVRAM = 6,
};
enum mpt_page_type {
    MPT_PAGE_IO_UNIT = 0x00,
    MPT_PAGE_IOC = 0x01,
    MPT_PAGE_BIOS = 0x02,
    MPT_PAGE_SCSI_PORT = 0x03,
    MPT_PAGE_SCSI_DEVICE = 0x04,
    MPT_PAGE_MANUFACTURING = 0x09,
    MPT_PAGE_EXTENDED = 0x0f,
    MPT_PAGE_TYPE = 0x0f,     /* the rest of the byte: may it be written? */
    MPT_PAGE_SAS_UNIT = 0x10, /* extended from here */
    MPT_PAGE_SAS_EXPANDER = 0x11,
    MPT_PAGE_SAS_DEVICE = 0x12,
    MPT_PAGE_SAS_PHY = 0x13,
    MPT_PAGE_SAS_ENCLOSURE = 0x15,
};

extern const u8 lsilogic_rom[], lsisas1068_rom[]; /* mpt_efi.c, compiled for EFI */
extern const u32 lsilogic_rom_size, lsisas1068_rom_size;

/* A list's elements: 24 bits of length, flags; chains have a length of 16 bits. */
enum mpt_sge {
    MPT_SGE_END_OF_LIST = 0x01,
    MPT_SGE_64 = 0x02,
    MPT_SGE_TO_DEVICE = 0x04,
    MPT_SGE_SIMPLE = 0x10,
    MPT_SGE_CHAIN = 0x30,
    MPT_SGE_KIND = 0x30,
    MPT_SGE_LAST = 0x80, /* of this part of the list */
};
#endif
