/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_VMCX_INT_H
#define PACKAGE_VMCX_INT_H
#include "base/err.h"
#include "base/types.h"
#include "desc/desc.h"

/* The layout of a .vmcx; all numbers are little-endian and stand without gaps. */
enum {
    VMCX_MAGIC = 0x01282014,
    VMCX_SECOND = 0x1000,  /* the other header */
    VMCX_OBJECTS = 0x2000, /* the table of objects */
    VMCX_HEADER = 46,      /* magic, checksum, sequence u16, version u32, u64, alignment u32, */
                           /* log offset u64, log size u64, header size u32 */
    VMCX_VERSION = 0x400,

    LOG_MAGIC = 0x01110003,
    LOG_HEADER = 34, /* magic, checksum, entries u32, u8, most entries u32, 4 x u32, u8 */
    LOG_ENTRY = 28,  /* offset u64, size u32, u32, u32, checksum, checksum of the data */

    OBJECTS_MAGIC = 0x01110001,
    OBJECTS_HEADER = 8,
    OBJECT_SIZE = 18, /* kind u8, checksum, offset u64, size u32, allocated u8 */
    OBJECT_OBJECTS = 1,
    OBJECT_KEYS = 2,
    OBJECT_FILE = 3,

    KEYS_MAGIC = 2,
    KEYS_HEADER = 10, /* magic u16, index u16, sequence u16, checksum */
    KEY_HEADER = 21,  /* type u16, size u32, parent table u16, parent offset u32, checksum, */
                      /* insertion u32, length of the name with its end u8 */
    KEY_FREE = 1,
    KEY_INT = 3,
    KEY_UINT = 4,
    KEY_DOUBLE = 5,
    KEY_STRING = 6,
    KEY_ARRAY = 7,
    KEY_BOOL = 8,
    KEY_NODE = 9,
    KEY_ELSEWHERE = 0x100 /* size u32, offset u64 of the value */
};
#define VMCX_MAX (64u << 20)

/* package/vmcx_log.c: which header counts; what its log still has to do is done in p. */
int vmcx_replay(u8 *p, u64 size, const char *file, struct notes *n, struct err *e);
#endif
