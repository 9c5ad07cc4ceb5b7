/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of EFI variables.  edk2: Platform Initialization 1.7, volume 3, 3.2 (firmware volume), and
 * its MdeModulePkg's VariableFormat, with and without authentication.  VMware: "MRVN", tables of
 * its BIOS, then "EFI_NV" and "VMWNVRAM" with records one after the other; found out from files.
 * Left out: what VMware's BIOS keeps (its CMOS means nothing to SeaBIOS), VMware's key databases,
 * whose records have a head that is not understood.
 */
#include "firmware/efi_vars.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FV_HEADER = 0x38, STORE_HEADER = 28, RECORD = 32, RECORD_SIGNED = 60 };
enum { RECORD_START = 0x55aa, RECORD_VALID = 0x3f, RECORD_LEAVING = 0x3e, RECORD_DELETED = 0x3c };
enum { VMWARE_RECORD = 28, TAR_BLOCK = 512 };

const u8 efi_global[16] = { 0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                            0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c };
static const u8 store_signed[16] = { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                     0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92 };
static const u8 store_plain[16] = { 0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                                    0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d };

/* ---- where the records are ---- */

struct efi_store {
    enum efi_form form;
    u32 at, end; /* of the records */
    u32 header;  /* of one */
};

/* VirtualBox 7: a tar, of which one file is the volume. */
static struct span efi_unpack(struct span file)
{
    for (size_t at = 0; at + TAR_BLOCK <= file.len && !memcmp(file.p + at + 257, "ustar", 5);) {
        char number[13] = { 0 };
        u64 size;

        memcpy(number, file.p + at + 124, 12);
        size = strtoull(number, NULL, 8);
        at += TAR_BLOCK;
        if (size > file.len - at)
            break;
        if (!strncmp((const char *)file.p + at - TAR_BLOCK, "efi/nvram", 100))
            return (struct span){ file.p + at, size };
        at += (size + TAR_BLOCK - 1) & ~(u64)(TAR_BLOCK - 1);
    }
    return file;
}

static bool efi_volume(struct span f, struct efi_store *s)
{
    u32 at, size;

    if (f.len < FV_HEADER + STORE_HEADER || f.len > UINT32_MAX || memcmp(f.p + 40, "_FVH", 4))
        return false;
    at = le16(f.p + 48);
    if (at > f.len - STORE_HEADER)
        return false;
    size = le32(f.p + at + 16);
    if (size < STORE_HEADER || size > f.len - at || f.p[at + 20] != 0x5a)
        return false;
    if (!memcmp(f.p + at, store_signed, 16))
        s->header = RECORD_SIGNED;
    else if (!memcmp(f.p + at, store_plain, 16))
        s->header = RECORD;
    else
        return false;
    s->form = EFI_EDK2;
    s->at = (at + STORE_HEADER + 3) & ~3u;
    s->end = at + size;
    return s->at <= s->end;
}

static bool efi_vmware(struct span f, struct efi_store *s)
{
    const u8 *p;
    u32 size;

    if (f.len < 64 || f.len > UINT32_MAX || memcmp(f.p, "MRVN", 4))
        return false;
    s->form = EFI_VMWARE_BIOS;
    p = memmem(f.p, f.len, "VMWNVRAM", 8);
    if (!p || f.len - (size_t)(p - f.p) < 16)
        return true;
    size = le32(p + 12);
    s->at = (u32)(p - f.p) + 16;
    s->end = s->at - 16;
    if (size < 16 || size > f.len - s->end)
        return true;
    s->form = EFI_VMWARE;
    s->end += size;
    s->header = VMWARE_RECORD;
    return true;
}

static struct efi_store efi_open(struct span f)
{
    struct efi_store s = { .form = EFI_UNKNOWN };

    if (!efi_volume(f, &s) && !efi_vmware(f, &s))
        s = (struct efi_store){ .form = EFI_UNKNOWN };
    return s;
}

enum efi_form efi_form(struct span file)
{
    return efi_open(efi_unpack(file)).form;
}

/* ---- records ---- */

/* The one at `at`; how long it is, 0: there is none.  *valid: it has not been deleted. */
static u32 efi_record(struct span f, const struct efi_store *s, u32 at, struct efi_var *v,
                      bool *valid)
{
    const u8 *p = f.p + at;
    u64 len;

    if (s->end - at < s->header)
        return 0;
    *v = (struct efi_var){ .name = p + s->header };
    if (s->form == EFI_VMWARE) {
        v->attributes = le32(p + 16);
        v->name_len = le32(p + 24);
        v->len = le32(p + 20) - v->name_len;
        *valid = true;
        if (le32(p + 20) < v->name_len)
            return 0;
        memcpy(v->guid, p, 16);
    } else {
        if (le16(p) != RECORD_START)
            return 0;
        *valid = p[2] == RECORD_VALID || p[2] == RECORD_LEAVING;
        v->attributes = le32(p + 4);
        if (s->header == RECORD_SIGNED)
            memcpy(v->time, p + 16, 16);
        v->name_len = le32(p + s->header - 24);
        v->len = le32(p + s->header - 20);
        memcpy(v->guid, p + s->header - 16, 16);
    }
    len = (u64)s->header + v->name_len + v->len;
    if (len > s->end - at || v->name_len < 4 || v->name_len & 1)
        return 0;
    v->data = v->name + v->name_len;
    if (s->form == EFI_EDK2)
        len = min_u64((len + 3) & ~3ull, s->end - at);
    return (u32)len;
}

static bool efi_same(const struct efi_var *a, const struct efi_var *b)
{
    return a->name_len == b->name_len && !memcmp(a->guid, b->guid, 16) &&
           !memcmp(a->name, b->name, a->name_len);
}

void efi_each(struct span file, void (*one)(void *arg, const struct efi_var *v), void *arg)
{
    struct span f = efi_unpack(file);
    struct efi_store s = efi_open(f);
    struct efi_var v;
    bool valid;

    if (s.form != EFI_EDK2 && s.form != EFI_VMWARE)
        return;
    for (u32 at = s.at, n; (n = efi_record(f, &s, at, &v, &valid)) > 0; at += n)
        if (valid)
            one(arg, &v);
}

bool efi_is(const struct efi_var *v, const u8 guid[16], const char *name)
{
    size_t n = strlen(name);

    if (memcmp(v->guid, guid, 16) || v->name_len != 2 * (n + 1))
        return false;
    for (size_t i = 0; i <= n; i++)
        if (le16(v->name + 2 * i) != (u8)name[i])
            return false;
    return true;
}

struct efi_search {
    const u8 *guid;
    const char *name;
    struct efi_var *to;
    bool found;
};

static void efi_search_one(void *arg, const struct efi_var *v)
{
    struct efi_search *s = arg;

    if (!efi_is(v, s->guid, s->name))
        return;
    *s->to = *v;
    s->found = true;
}

bool efi_find(struct span file, const u8 guid[16], const char *name, struct efi_var *v)
{
    struct efi_search s = { .guid = guid, .name = name, .to = v };

    efi_each(file, efi_search_one, &s);
    return s.found;
}

/* ---- writing ---- */

static void efi_write(u8 *p, const struct efi_store *s, const struct efi_var *v)
{
    memset(p, 0, s->header);
    memcpy(p + s->header, v->name, v->name_len);
    memcpy(p + s->header + v->name_len, v->data, v->len);
    put_le32(p + 4, v->attributes);
    if (s->header == RECORD_SIGNED)
        memcpy(p + 16, v->time, 16);
    put_le32(p + s->header - 24, v->name_len);
    put_le32(p + s->header - 20, v->len);
    memcpy(p + s->header - 16, v->guid, 16);
    put_le16(p, RECORD_START);
    p[2] = RECORD_VALID; /* from here on it is there */
}

int efi_put(u8 *store, u32 size, const struct efi_var *v)
{
    struct span f = { store, size };
    struct efi_store s = efi_open(f);
    struct efi_var old;
    u32 at = s.at, was = 0, n;
    bool valid;

    if (s.form != EFI_EDK2)
        return -EINVAL;
    for (; (n = efi_record(f, &s, at, &old, &valid)) > 0; at += n)
        if (valid && efi_same(&old, v))
            was = at;
    if ((u64)s.header + v->name_len + v->len > s.end - at)
        return -ENOSPC;
    efi_write(store + at, &s, v);
    if (was)
        store[was + 2] = RECORD_DELETED;
    return 0;
}

/* ---- from another machine ---- */

/* Whose variables are an operating system's or its boot loader's, in every firmware. */
static const u8 efi_owners[][16] = {
    /* shim: keys of the machine's owner */
    { 0x50, 0xab, 0x5d, 0x60, 0x46, 0xe0, 0x00, 0x43, 0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b,
      0x23 },
    /* Microsoft */
    { 0xbd, 0x9a, 0xfa, 0x77, 0x59, 0x03, 0x32, 0x4d, 0xbd, 0x60, 0x28, 0xf4, 0xe7, 0x8f, 0x78,
      0x4b },
    /* systemd's boot loader */
    { 0x82, 0xb0, 0x67, 0x4a, 0x4c, 0x0a, 0xcf, 0x41, 0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c,
      0x4f },
};
static const u8 efi_security[16] = { 0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                     0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f };

enum { ENTRIES_MAX = 256, LOAD_OPTION = 6, AUTHENTICATED = 0x20 };

struct efi_taker {
    u8 *store;
    u32 size, taken;
    bool keys; /* databases of keys too, in the form of edk2 */
    u32 nentries;
    u16 entry[ENTRIES_MAX]; /* boot entries that were taken */
};

/* The number of "Boot%04X"; -1: it is something else. */
static int efi_entry(const struct efi_var *v)
{
    char text[5] = { 0 }, *end;
    long n;

    if (memcmp(v->guid, efi_global, 16) || v->name_len != 18 || memcmp(v->name, "B\0o\0o\0t\0", 8))
        return -1;
    for (u32 i = 0; i < 4; i++)
        text[i] = (char)v->name[8 + 2 * i];
    n = strtol(text, &end, 16);
    return *end || *text == '-' || *text == '+' || *text == ' ' ? -1 : (int)n;
}

/* Does it start a file of a partition, wherever the disk sits?  UEFI 2.10, 3.1.3 and 10.3.5.1. */
static bool efi_is_file(const struct efi_var *v)
{
    u32 at = LOAD_OPTION;

    while (at + 2 <= v->len && le16(v->data + at))
        at += 2;
    at += 2;
    return at + 4 <= v->len && v->data[at] == 4 && v->data[at + 1] == 1;
}

static bool efi_is_taken(const struct efi_taker *t, const struct efi_var *v)
{
    for (u32 i = 0; i < LEN(efi_owners); i++)
        if (!memcmp(v->guid, efi_owners[i], 16))
            return true;
    if (efi_entry(v) >= 0)
        return efi_is_file(v) && t->nentries < ENTRIES_MAX;
    if (efi_is(v, efi_global, "Timeout"))
        return v->len == 2;
    return t->keys && v->attributes & AUTHENTICATED &&
           (efi_is(v, efi_global, "PK") || efi_is(v, efi_global, "KEK") ||
            efi_is(v, efi_security, "db") || efi_is(v, efi_security, "dbx"));
}

static void efi_take(void *arg, const struct efi_var *v)
{
    struct efi_taker *t = arg;

    if (!efi_is_taken(t, v) || efi_put(t->store, t->size, v))
        return;
    t->taken++;
    if (efi_entry(v) >= 0 && t->nentries < ENTRIES_MAX)
        t->entry[t->nentries++] = (u16)efi_entry(v);
}

/* Their order, without those that were left behind. */
static void efi_take_order(struct efi_taker *t, struct span from)
{
    u8 order[2 * ENTRIES_MAX];
    struct efi_var v;
    u32 n = 0;

    if (!efi_find(from, efi_global, "BootOrder", &v))
        return;
    for (u32 i = 0; i + 2 <= v.len && n < sizeof(order); i += 2)
        for (u32 k = 0; k < t->nentries; k++)
            if (t->entry[k] == le16(v.data + i)) {
                put_le16(order + n, t->entry[k]);
                n += 2;
                break;
            }
    v.data = order;
    v.len = n;
    if (n && !efi_put(t->store, t->size, &v))
        t->taken++;
}

u32 efi_import(u8 *store, u32 size, struct span from, bool keys)
{
    struct efi_taker t = { .store = store,
                           .size = size,
                           .keys = keys && efi_form(from) == EFI_EDK2 };

    efi_each(from, efi_take, &t);
    efi_take_order(&t, from);
    return t.taken;
}
