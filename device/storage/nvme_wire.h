/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_NVME_WIRE_H
#define DEVICE_STORAGE_NVME_WIRE_H
#include "base/types.h"

/* NVM Express 1.4: registers, commands, completions, status codes. */
enum {
    NVME_VENDOR = 0x15ad,
    NVME_DEVICE = 0x07f0,
    NVME_BAR = 0x4000,
    NVME_MSIX_TABLE = 0x2000,
    NVME_MSIX_PBA = 0x3000,
    NVME_PAGE = 4096,
    NVME_BLOCK = 512,
    NVME_LIST = 1024, /* entries of a namespace list */
};

enum nvme_register {
    NVME_CAP = 0x00,
    NVME_CAP_HIGH = 0x04,
    NVME_VS = 0x08,
    NVME_INTMS = 0x0c,
    NVME_INTMC = 0x10,
    NVME_CC = 0x14,
    NVME_CSTS = 0x1c,
    NVME_AQA = 0x24,
    NVME_ASQ = 0x28,
    NVME_ASQ_HIGH = 0x2c,
    NVME_ACQ = 0x30,
    NVME_ACQ_HIGH = 0x34,
    NVME_DOORBELLS = 0x1000,
};
enum { NVME_VERSION = 0x00010400 };
/* fixed: command set, page size, arbitration have one value, 0 */
enum nvme_cc { NVME_CC_ENABLE = 1, NVME_CC_SHUTDOWN = 3 << 14, NVME_CC_FIXED = 0x3ff0 };
enum nvme_csts { NVME_CSTS_READY = 1, NVME_CSTS_FATAL = 2, NVME_CSTS_SHUT = 2 << 2 };

struct nvme_command {
    u8 op, flags;
    u16 id;
    u32 nsid;
    u64 reserved, metadata, prp1, prp2;
    u32 dw10, dw11, dw12, dw13, dw14, dw15;
};
_Static_assert(sizeof(struct nvme_command) == 64, "NVMe command");

struct nvme_completion {
    u32 result, reserved;
    u16 head, queue, id, status; /* status: its lowest bit is the phase */
};
_Static_assert(sizeof(struct nvme_completion) == 16, "NVMe completion");

enum nvme_admin {
    NVME_DELETE_SQ = 0x00,
    NVME_CREATE_SQ = 0x01,
    NVME_GET_LOG = 0x02,
    NVME_DELETE_CQ = 0x04,
    NVME_CREATE_CQ = 0x05,
    NVME_IDENTIFY = 0x06,
    NVME_ABORT = 0x08,
    NVME_SET_FEATURES = 0x09,
    NVME_GET_FEATURES = 0x0a,
    NVME_EVENT = 0x0c,
};
enum nvme_io {
    NVME_FLUSH = 0x00,
    NVME_WRITE = 0x01,
    NVME_READ = 0x02,
    NVME_ZERO = 0x08,
    NVME_DATASET = 0x09,
};
enum { NVME_FUA = 1 << 30, NVME_DEALLOCATE = 1 << 2 };

enum nvme_identify {
    NVME_ID_NAMESPACE = 0,
    NVME_ID_CONTROLLER = 1,
    NVME_ID_ACTIVE = 2,
    NVME_ID_DESCRIPTORS = 3,
};
enum nvme_log {
    NVME_LOG_ERRORS = 1,
    NVME_LOG_HEALTH = 2,
    NVME_LOG_FIRMWARE = 3,
    NVME_LOG_CHANGED = 4,
};
enum nvme_feature {
    NVME_FEATURE_ARBITRATION = 1,
    NVME_FEATURE_POWER = 2,
    NVME_FEATURE_TEMPERATURE = 4,
    NVME_FEATURE_RECOVERY = 5,
    NVME_FEATURE_CACHE = 6,
    NVME_FEATURE_QUEUES = 7,
    NVME_FEATURE_COALESCING = 8,
    NVME_FEATURE_VECTOR = 9,
    NVME_FEATURE_ATOMICITY = 10,
    NVME_FEATURE_EVENTS = 11,
    NVME_FEATURES,
};

/* Status field: the code, its type in bits 10:8, 0x4000 for "do not retry". */
enum nvme_status {
    NVME_OK = 0,
    NVME_BAD_OPCODE = 0x4001,
    NVME_BAD_FIELD = 0x4002,
    NVME_TRANSFER = 0x0004,
    NVME_INTERNAL = 0x0006,
    NVME_BAD_NAMESPACE = 0x400b,
    NVME_BAD_OFFSET = 0x4013,
    NVME_BAD_RANGE = 0x4080,
    NVME_NO_SPACE = 0x4081,
    NVME_BAD_CQ = 0x4100,
    NVME_BAD_QUEUE = 0x4101,
    NVME_BAD_SIZE = 0x4102,
    NVME_TOO_MANY_EVENTS = 0x4105,
    NVME_BAD_VECTOR = 0x4108,
    NVME_BAD_LOG = 0x4109,
    NVME_BAD_DELETION = 0x410c,
    NVME_NOT_SAVED = 0x410d,
    NVME_NOT_CHANGED = 0x410e,
    NVME_READ_ONLY = 0x4182,
    NVME_WRITE_FAULT = 0x0280,
    NVME_READ_FAULT = 0x0281,
};
#endif
