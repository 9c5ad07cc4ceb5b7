/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VM_SAVED_INT_H
#define VM_SAVED_INT_H
#include "vm/saved.h"

/* What writer and reader of a saved VM agree on; numbers are little-endian. */
enum {
    SAVED_PAGE = 4096,
    SAVED_HEAD = 64,
    SAVED_VERSION = 1,
    SAVED_SUM = 1 << 20,   /* plain data under one sum */
    SAVED_CHUNK = 1 << 18, /* packed data compressed at once, before */
    SAVED_NAME = 96,
    SAVED_INDEX_MAX = 1 << 20,
    SAVED_SECTIONS = 256,
    SAVED_PAGES = 1 << 28, /* of one memory: a small file must not make a large table */
};
#define SAVED_MAGIC "\x89MimicVM"

/*
 * head: magic 8, version u32, zero u32, length of the file u64, index: place u64, length u64,
 * sum u64; zero u64; sum u64 of the 56 bytes before.
 *
 * Sections of a memory, name in front: ".plain" or ".packed": struct saved_memory; ".data"
 * has no sum of its own in the index.  Plain: ".runs", pairs of u32, first page and pages;
 * ".sums", u64 for each SAVED_SUM of data.  Packed: ".map", zstd of a u32 for each page, 0
 * for zeroes, else 1 + the number of the page in data; ".chunks", for each SAVED_CHUNK of
 * data its stored length u32 and its sum u64.
 */
enum { SAVED_CHUNK_ENTRY = 12 };
struct saved_memory {
    u64 pages, stored; /* of the memory; of those, different ones or not zero: in data */
};
#endif
