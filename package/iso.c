/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ISO 9660 (ECMA-119) level 1, with Joliet's second descriptor for names as they are.  One
 * directory, no dates, nothing that boots.  Names in the first tree keep their minus sign, which
 * every reader takes and which is what guests look for when they know no Joliet.
 */
#include "package/iso.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SECTOR 2048u
#define NAME_MAX_CHARS 30
#define RECORD_MAX 2048u /* a directory is one sector */

enum { /* where things lie, in sectors */
       AT_PRIMARY = 16,
       AT_JOLIET = 17,
       AT_END = 18,
       AT_PATH = 19, /* four of them: little and big endian, of both trees */
       AT_ROOT = 23,
       AT_ROOT_JOLIET = 24,
       AT_FILES = 25
};

static void iso_both32(u8 *p, u32 v) /* 7.3.3: little endian, then big */
{
    for (int i = 0; i < 4; i++) {
        p[i] = (u8)(v >> (8 * i));
        p[7 - i] = (u8)(v >> (8 * i));
    }
}

static void iso_both16(u8 *p, u32 v)
{
    p[0] = p[3] = (u8)v;
    p[1] = p[2] = (u8)(v >> 8);
}

static void iso_pad(u8 *p, const char *text, size_t n, bool joliet)
{
    size_t len = strlen(text);

    if (!joliet) {
        memset(p, ' ', n);
        memcpy(p, text, len < n ? len : n);
        return;
    }
    for (size_t i = 0; i + 1 < n; i += 2) { /* UCS-2, big endian */
        p[i] = 0;
        p[i + 1] = i / 2 < len ? (u8)text[i / 2] : ' ';
    }
}

/* One directory record (9.1); its length. */
static size_t iso_record(u8 *p, const u8 *name, size_t n, u32 at, u32 len, bool directory)
{
    size_t size = 33 + n + !(n & 1);

    p[0] = (u8)size;
    iso_both32(p + 2, at);
    iso_both32(p + 10, len);
    p[18] = 100; /* the first of January 2000, which is as good as any */
    p[19] = p[20] = 1;
    p[25] = directory ? 2 : 0;
    iso_both16(p + 28, 1);
    p[32] = (u8)n;
    memcpy(p + 33, name, n);
    return size;
}

static size_t iso_name(const char *name, bool joliet, u8 *to)
{
    size_t n = 0;

    for (; *name; name++)
        if (joliet) {
            to[n++] = 0;
            to[n++] = (u8)*name;
        } else {
            to[n++] = (u8)toupper((u8)*name);
        }
    if (!joliet) {
        to[n++] = ';';
        to[n++] = '1';
    }
    return n;
}

static int iso_directory(u8 *p, const struct iso_file *files, u32 n, bool joliet)
{
    u32 root = joliet ? AT_ROOT_JOLIET : AT_ROOT, at = AT_FILES;
    size_t used = iso_record(p, (const u8 *)"\0", 1, root, SECTOR, true);

    used += iso_record(p + used, (const u8 *)"\1", 1, root, SECTOR, true);
    for (u32 i = 0; i < n; i++) {
        u8 name[2 * NAME_MAX_CHARS + 4];
        size_t len = iso_name(files[i].name, joliet, name);

        if (used + 34 + len > RECORD_MAX)
            return -E2BIG;
        used += iso_record(p + used, name, len, at, (u32)files[i].len, false);
        at += (u32)((files[i].len + SECTOR - 1) / SECTOR);
    }
    return 0;
}

/* A path table of one directory (9.4), in either byte order. */
static void iso_path(u8 *p, u32 root, bool big)
{
    p[0] = 1;
    for (int i = 0; i < 4; i++)
        p[2 + i] = (u8)(root >> (big ? 24 - 8 * i : 8 * i));
    p[big ? 7 : 6] = 1;
}

/* 8.4 and 8.5 */
static void iso_volume(u8 *p, const char *label, u32 sectors, bool joliet)
{
    u32 path = AT_PATH + (joliet ? 2 : 0);

    p[0] = joliet ? 2 : 1;
    memcpy(p + 1, "CD001", 5);
    p[6] = 1;
    iso_pad(p + 8, "", 32, joliet);
    iso_pad(p + 40, label, 32, joliet);
    iso_both32(p + 80, sectors);
    if (joliet)
        memcpy(p + 88, "%/E", 3); /* UCS-2 level 3 */
    iso_both16(p + 120, 1);
    iso_both16(p + 124, 1);
    iso_both16(p + 128, SECTOR);
    iso_both32(p + 132, 10);
    for (int i = 0; i < 4; i++) {
        p[140 + i] = (u8)(path >> (8 * i));
        p[148 + i] = (u8)((path + 1) >> (24 - 8 * i));
    }
    iso_record(p + 156, (const u8 *)"\0", 1, joliet ? AT_ROOT_JOLIET : AT_ROOT, SECTOR, true);
    iso_pad(p + 190, "", 4 * 128, joliet);
    iso_pad(p + 702, "", 3 * 37, joliet);
    for (int i = 0; i < 4; i++) /* dates: none */
        memset(p + 813 + 17 * i, '0', 16);
    p[881] = 1;
}

int iso_make(const char *label, const struct iso_file *files, u32 n, struct buf *to)
{
    u64 sectors = AT_FILES;
    u32 at = AT_FILES;
    u8 *p;

    if (n > ISO_FILES_MAX || strlen(label) > 16)
        return -E2BIG;
    for (u32 i = 0; i < n; i++) {
        if (files[i].len > 1u << 30 || strlen(files[i].name) > NAME_MAX_CHARS)
            return -E2BIG;
        sectors += (files[i].len + SECTOR - 1) / SECTOR;
    }
    p = buf_room(to, sectors * SECTOR);
    if (!p)
        return -ENOMEM;
    iso_volume(p + AT_PRIMARY * SECTOR, label, (u32)sectors, false);
    iso_volume(p + AT_JOLIET * SECTOR, label, (u32)sectors, true);
    memcpy(p + AT_END * SECTOR, "\377CD001\1", 7);
    for (u32 i = 0; i < 4; i++)
        iso_path(p + (AT_PATH + i) * SECTOR, i > 1 ? AT_ROOT_JOLIET : AT_ROOT, i & 1);
    if (iso_directory(p + AT_ROOT * SECTOR, files, n, false) ||
        iso_directory(p + AT_ROOT_JOLIET * SECTOR, files, n, true))
        return -E2BIG;
    for (u32 i = 0; i < n; i++) {
        if (files[i].len)
            memcpy(p + (size_t)at * SECTOR, files[i].data, files[i].len);
        at += (u32)((files[i].len + SECTOR - 1) / SECTOR);
    }
    return 0;
}
