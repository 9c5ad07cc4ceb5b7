/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of EFI variables of VMware, of VirtualBox, of OVMF; what of them goes into a new store. */
#include "base/bytes.h"
#include "firmware/efi_vars.h"
#include "tests/check.h"
#include <errno.h>
#include <stdio.h>

enum { STORE = 8192, AT = 0x48 };

static u8 store[STORE], file[16384];
static u32 len, seen;

/* An empty volume of edk2, as OVMF's firmware comes with. */
static void volume(u8 *p, u32 size)
{
    static const u8 guid[16] = { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92 };

    memset(p, 0xff, size);
    memset(p, 0, AT);
    memcpy(p + 40, "_FVH", 4);
    put_le16(p + 48, AT);
    memcpy(p + AT, guid, 16);
    put_le32(p + AT + 16, size - AT);
    p[AT + 20] = 0x5a;
    p[AT + 21] = 0xfe;
    memset(p + AT + 22, 0, 6);
}

static u32 wide(u8 *to, const char *text)
{
    u32 n = 0;

    do {
        put_le16(to + n, (u8)*text);
        n += 2;
    } while (*text++);
    return n;
}

/* A record of VMware's. */
static void record(const char *name, const void *data, u32 n)
{
    u8 *p = file + len;
    u32 names = wide(p + 28, name);

    memcpy(p, efi_global, 16);
    put_le32(p + 16, 7);
    put_le32(p + 20, names + n);
    put_le32(p + 24, names);
    memcpy(p + 28 + names, data, n);
    len += 28 + names + n;
}

static u32 option(u8 *to, const char *name, u8 type, u8 kind)
{
    u32 n;

    put_le32(to, 1);
    put_le16(to + 4, 8);
    n = 6 + wide(to + 6, name);
    memcpy(to + n, (const u8[8]){ type, kind, 4, 0, 0x7f, 0xff, 4, 0 }, 8);
    return n + 8;
}

static void vmware(void)
{
    static const u8 first[] = { 9, 0 }, order[] = { 0x80, 0, 3, 0, 1, 0, 7, 0 },
                    seconds[] = { 5, 0 };
    u8 o[64];

    memset(file, 0xff, sizeof(file));
    memcpy(file, "MRVN\1\0\0\0", 8);
    memcpy(file + 0x100, "\1EFI_NV\0\0\0\0\0\0VMWNVRAM\0\0\0\0", 25);
    len = 0x100 + 13 + 16;
    record("BootOrder", first, sizeof(first));
    record("Boot0080", o, option(o, "EFI VMware Virtual SCSI", 2, 1));
    record("Boot0001", o, option(o, "debian", 4, 1));
    record("Boot0003", o, option(o, "Windows", 4, 1));
    record("ConOut", "xxxx", 4);
    record("Timeout", seconds, 2);
    record("PK", "yyyy", 4);
    record("BootOrder", order, sizeof(order));
    put_le32(file + 0x100 + 13 + 12, len - 0x100 - 13);
}

static void count(void *arg, const struct efi_var *v)
{
    seen++;
}

static void from_vmware(void)
{
    struct span f = { file, sizeof(file) }, to = { store, STORE };
    struct efi_var v;

    vmware();
    volume(store, STORE);
    CHECK_EQ(efi_form(f), EFI_VMWARE);
    seen = 0;
    efi_each(f, count, NULL);
    CHECK_EQ(seen, 8);
    CHECK_EQ(efi_import(store, STORE, f, true), 4);
    CHECK(efi_find(to, efi_global, "BootOrder", &v));
    CHECK_EQ(v.len, 4);
    CHECK_EQ(le32(v.data), 0x00010003);
    CHECK(efi_find(to, efi_global, "Boot0001", &v));
    CHECK_EQ(v.attributes, 7);
    CHECK(!efi_find(to, efi_global, "Boot0080", &v));
    CHECK(!efi_find(to, efi_global, "ConOut", &v));
    CHECK(!efi_find(to, efi_global, "PK", &v));
    CHECK(efi_find(to, efi_global, "Timeout", &v));
}

static void put_again(void)
{
    struct span to = { store, STORE };
    u8 name[8], big[STORE] = { 1 };
    struct efi_var v = { .attributes = 7, .name = name, .data = big, .len = 10 }, got;

    volume(store, STORE);
    memcpy(v.guid, efi_global, 16);
    v.name_len = wide(name, "abc");
    CHECK_EQ(efi_put(store, STORE, &v), 0);
    v.len = 33;
    CHECK_EQ(efi_put(store, STORE, &v), 0);
    seen = 0;
    efi_each(to, count, NULL);
    CHECK_EQ(seen, 1);
    CHECK(efi_find(to, efi_global, "abc", &got));
    CHECK_EQ(got.len, 33);
    CHECK(!efi_find(to, efi_global, "ab", &got));
    v.len = STORE - 400;
    CHECK_EQ(efi_put(store, STORE, &v), 0);
    CHECK_EQ(efi_put(store, STORE, &v), -ENOSPC);
    CHECK(efi_find(to, efi_global, "abc", &got));
    CHECK_EQ(got.len, STORE - 400);
    store[40] = 0;
    CHECK_EQ(efi_put(store, STORE, &v), -EINVAL);
}

/* A volume in a tar beside the state of a TPM; keys are taken from it. */
static void from_virtualbox(void)
{
    u8 name[8], *inner = file + 512 + 512 + 512;
    struct efi_var v = { .attributes = 0x27, .name = name, .data = name, .len = 4 }, got;

    memset(file, 0, sizeof(file));
    strcpy((char *)file, "TpmEmuTpms/permall");
    strcpy((char *)file + 124, "00000000005");
    memcpy(file + 257, "ustar", 5);
    strcpy((char *)file + 1024, "efi/nvram");
    snprintf((char *)file + 1024 + 124, 12, "%011o", STORE);
    memcpy(file + 1024 + 257, "ustar", 5);
    volume(inner, STORE);
    memcpy(v.guid, efi_global, 16);
    v.name_len = wide(name, "PK");
    memset(v.time, 3, sizeof(v.time));
    CHECK_EQ(efi_put(inner, STORE, &v), 0);
    volume(store, STORE);
    CHECK_EQ(efi_form((struct span){ file, sizeof(file) }), EFI_EDK2);
    CHECK_EQ(efi_import(store, STORE, (struct span){ file, sizeof(file) }, true), 1);
    CHECK(efi_find((struct span){ store, STORE }, efi_global, "PK", &got));
    CHECK_EQ(got.time[15], 3);
    CHECK_EQ(got.attributes, 0x27);
}

static void unknown(void)
{
    memset(file, 0, sizeof(file));
    CHECK_EQ(efi_form((struct span){ file, sizeof(file) }), EFI_UNKNOWN);
    CHECK_EQ(efi_form((struct span){ file, 0 }), EFI_UNKNOWN);
    memcpy(file, "MRVN\1\0\0\0CMOS", 12);
    CHECK_EQ(efi_form((struct span){ file, sizeof(file) }), EFI_VMWARE_BIOS);
    volume(store, STORE);
    CHECK_EQ(efi_import(store, STORE, (struct span){ file, sizeof(file) }, true), 0);
}

int main(void)
{
    CASE(from_vmware);
    CASE(put_again);
    CASE(from_virtualbox);
    CASE(unknown);
    return check_end();
}
