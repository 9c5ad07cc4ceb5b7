/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest reads about its hardware, after the DMTF's SMBIOS Reference Specification
 * 2.8: types 0, 1, 2, 3, 4, 16, 17, 19, 32, 127.  Under the VMware persona the texts are
 * VMware's, which guests and their tools look for.
 */
#include "base/bytes.h"
#include "device/chipset/fwcfg.h"
#include "engine/x86/cpu.h"
#include "firmware/smbios_int.h"
#include <errno.h>
#include <stdio.h>

enum {
    TYPE_BIOS = 0,
    TYPE_SYSTEM = 1,
    TYPE_BOARD = 2,
    TYPE_CHASSIS = 3,
    TYPE_CPU = 4,
    TYPE_MEMORY_ARRAY = 16,
    TYPE_MEMORY = 17,
    TYPE_MAPPED = 19,
    TYPE_BOOT = 32,
    TYPE_END = 127,
};
enum { HANDLE_CHASSIS = 0x300, HANDLE_ARRAY = 0x1000 };
enum { ANCHOR_INTERMEDIATE = 0x10 };

struct smbios_text {
    struct firmware_board board;
    const char *base_maker, *base_product, *chassis, *slot;
    bool vmware;
    char serial[80];
};

/* A structure: `size` bytes of fixed part follow the header, then texts up to NULL. */
static void smbios_add(struct smbios *s, u8 type, u16 handle, const u8 *body, u8 size,
                       const char *const *texts)
{
    u8 head[4] = { type, (u8)(4 + size) };
    size_t start = s->b.len;
    u32 n = 0;
    bool bad;

    put_le16(head + 2, handle);
    bad = buf_add(&s->b, head, 4) || buf_add(&s->b, body, size);
    for (; texts && texts[n]; n++) { /* an empty text would end the structure */
        const char *text = texts[n][0] ? texts[n] : " ";

        bad = bad || buf_add(&s->b, text, strlen(text) + 1);
    }
    bad = bad || buf_add(&s->b, "\0", n ? 1 : 2);
    if (bad) {
        s->n = UINT16_MAX;
        return;
    }
    if (s->n < UINT16_MAX)
        s->n++;
    s->largest = (u16)max_u64(s->largest, s->b.len - start);
}

static const char *smbios_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

/* "VMware-56 4d 01 .. -.. .." from the UUID as it is written */
static void smbios_vmware_serial(const u8 uuid[16], char *to, size_t room)
{
    size_t n = (size_t)snprintf(to, room, "VMware-");

    for (u32 i = 0; i < 16; i++)
        n += (size_t)snprintf(to + n, room - n, "%02x%s", uuid[i],
                              i == 15  ? ""
                              : i == 7 ? "-"
                                       : " ");
}

static void smbios_texts(const struct firmware_how *how, struct smbios_text *t)
{
    const struct firmware_board *b = &how->board;
    bool vmware = how->persona && !strcmp(how->persona, "vmware");
    bool recent = how->hardware_version >= 20;

    smbios_vmware_serial(how->uuid, t->serial, sizeof(t->serial));
    t->board = (struct firmware_board){
        .bios_vendor = smbios_or(b->bios_vendor, vmware ? "Phoenix Technologies LTD" : "Mimic"),
        .bios_version = smbios_or(b->bios_version, vmware ? "6.00" : "1.0"),
        .bios_date = smbios_or(b->bios_date, vmware ? "11/12/2020" : "01/01/2026"),
        .manufacturer = smbios_or(b->manufacturer, vmware ? "VMware, Inc." : "Mimic"),
        .product = smbios_or(b->product, !vmware  ? "Mimic PC"
                                         : recent ? "VMware20,1"
                                                  : "VMware Virtual Platform"),
        .version = smbios_or(b->version, vmware ? "None" : "1.0"),
        .serial = smbios_or(b->serial, vmware ? t->serial : "None"),
    };
    t->base_maker = vmware ? "Intel Corporation" : "Mimic";
    t->base_product = vmware ? "440BX Desktop Reference Platform" : "Mimic PC";
    t->chassis = vmware ? "No Enclosure" : "Mimic";
    t->vmware = vmware;
    t->slot = vmware ? "RAM slot #0" : "DIMM 0";
}

static void smbios_bios(struct smbios *s, const struct smbios_text *t)
{
    u8 b[20] = { 1, 2, 0, 0, 3 };

    put_le16(b + 2, 0xe800);
    b[5] = 3;                          /* (n + 1) * 64 KiB */
    put_le64(b + 6, 1 << 7 | 1 << 11); /* PCI; upgradable */
    b[15] = t->vmware ? 0x04 : 0x14;   /* targeted content distribution; a virtual machine */
    b[14] = 1;                         /* ACPI */
    b[16] = b[17] = b[18] = b[19] = 0xff;
    smbios_add(s, TYPE_BIOS, 0, b, sizeof(b),
               (const char *const[]){ t->board.bios_vendor, t->board.bios_version,
                                      t->board.bios_date, NULL });
}

/* 7.2.1: three little-endian numbers and eight bytes; VMware up to version 12 wrote sixteen
 * plain bytes. */
static void smbios_uuid(const struct firmware_how *how, u8 *to)
{
    const u8 *u = how->uuid;

    memcpy(to, u, 16);
    if (how->persona && !strcmp(how->persona, "vmware") && how->hardware_version &&
        how->hardware_version < 13)
        return;
    put_le32(to, be32(u));
    put_le16(to + 4, be16(u + 4));
    put_le16(to + 6, be16(u + 6));
}

static void smbios_system(struct smbios *s, const struct firmware_how *how,
                          const struct smbios_text *t)
{
    u8 b[23] = { 1, 2, 3, 4 };

    smbios_uuid(how, b + 4);
    b[20] = 6; /* woken by the power switch */
    smbios_add(s, TYPE_SYSTEM, 1, b, sizeof(b),
               (const char *const[]){ t->board.manufacturer, t->board.product, t->board.version,
                                      t->board.serial, NULL });
}

static void smbios_board(struct smbios *s, const struct smbios_text *t)
{
    u8 b[11] = { 1, 2, 3, 4, 0, 1 };
    u8 chassis[18] = { 1, 1, 2, 3, 4, 3, 3, 3, 2 };

    put_le16(b + 7, HANDLE_CHASSIS);
    b[9] = 10; /* motherboard */
    smbios_add(s, TYPE_BOARD, 2, b, sizeof(b),
               (const char *const[]){ t->base_maker, t->base_product, "None", "None", NULL });
    smbios_add(s, TYPE_CHASSIS, HANDLE_CHASSIS, chassis, sizeof(chassis),
               (const char *const[]){ t->chassis, "N/A", "None", "No Asset Tag", NULL });
}

static void smbios_cpus(struct smbios *s, struct machine *m, const struct smbios_text *t)
{
    u32 leaf0[4] = { 0 }, leaf1[4] = { 0 }, mhz = (u32)(machine_tsc_hz(m) / 1000000);
    char vendor[13] = { 0 }, socket[24];

    x86_cpuid_model(0, 0, leaf0);
    x86_cpuid_model(1, 0, leaf1);
    put_le32(vendor, leaf0[1]);
    put_le32(vendor + 4, leaf0[3]);
    put_le32(vendor + 8, leaf0[2]);
    for (u32 i = 0; i < machine_cpu_count(m); i++) {
        u8 b[38] = { 1, 3, 2, 2 }; /* socket, central processor, family unknown, maker */

        put_le32(b + 4, leaf1[0]);
        put_le32(b + 8, leaf1[3]);
        put_le16(b + 16, (u16)mhz);
        put_le16(b + 18, (u16)mhz);
        b[20] = 0x41; /* there and on */
        b[21] = 1;
        put_le16(b + 22, 0xffff); /* no cache information */
        put_le16(b + 24, 0xffff);
        put_le16(b + 26, 0xffff);
        b[31] = b[32] = b[33] = 1; /* one core, one thread */
        put_le16(b + 34, 4);       /* 64 bits */
        put_le16(b + 36, 2);
        snprintf(socket, sizeof(socket), t->vmware ? "CPU #%03u" : "CPU %u", i);
        smbios_add(s, TYPE_CPU, (u16)(0x400 + i), b, sizeof(b),
                   (const char *const[]){ socket, vendor, NULL });
    }
}

static void smbios_mapped(struct smbios *s, u32 n, u64 from, u64 len)
{
    u8 b[27] = { 0 };

    put_le32(b, ~0u); /* see the extended addresses */
    put_le32(b + 4, ~0u);
    put_le16(b + 8, HANDLE_ARRAY);
    b[10] = 1;
    put_le64(b + 11, from);
    put_le64(b + 19, from + len - 1);
    if (from + len <= 1ull << 32) {
        put_le32(b, (u32)(from >> 10));
        put_le32(b + 4, (u32)((from + len - 1) >> 10));
        memset(b + 11, 0, 16);
    }
    smbios_add(s, TYPE_MAPPED, (u16)(0x1300 + n), b, sizeof(b), NULL);
}

static void smbios_memory(struct smbios *s, struct machine *m, const struct smbios_text *t)
{
    u64 all = machine_ram_size(m), low = machine_low_ram(m), mib = all >> 20;
    u8 array[19] = { 1, 3, 3 }; /* other place, system memory, no error correction */
    u8 b[36] = { 0 };

    put_le32(array + 3, all >> 10 >= 0x80000000 ? 0x80000000 : (u32)(all >> 10));
    put_le64(array + 11, all >> 10 >= 0x80000000 ? all : 0);
    put_le16(array + 7, 0xfffe);
    put_le16(array + 9, 1);
    smbios_add(s, TYPE_MEMORY_ARRAY, HANDLE_ARRAY, array, sizeof(array), NULL);
    put_le16(b, HANDLE_ARRAY);
    put_le16(b + 2, 0xfffe);
    put_le16(b + 4, 64); /* width */
    put_le16(b + 6, 64);
    put_le16(b + 8, mib >= 0x7fff ? 0x7fff : (u16)mib);
    put_le32(b + 24, mib >= 0x7fff ? (u32)mib : 0);
    b[10] = 9; /* DIMM */
    b[12] = 1;
    b[14] = 7; /* RAM */
    put_le16(b + 15, 2);
    smbios_add(s, TYPE_MEMORY, 0x1100, b, sizeof(b), (const char *const[]){ t->slot, NULL });
    smbios_mapped(s, 0, 0, low);
    if (all > low)
        smbios_mapped(s, 1, 1ull << 32, all - low);
}

static void smbios_anchor(struct smbios *s)
{
    u8 *a = s->anchor;

    memset(a, 0, SMBIOS_ANCHOR);
    memcpy(a, "_SM_", 4);
    a[5] = SMBIOS_ANCHOR;
    a[6] = 2;
    a[7] = 8;
    put_le16(a + 8, s->largest);
    memcpy(a + ANCHOR_INTERMEDIATE, "_DMI_", 5);
    put_le16(a + 0x16, (u16)s->b.len);
    put_le16(a + 0x1c, s->n);
    a[0x1e] = 0x28;
}

int smbios_make(struct smbios *s, struct machine *m, const struct firmware_how *how, struct err *e)
{
    struct smbios_text t;
    const u8 boot[7] = { 0 };

    *s = (struct smbios){ .n = 0 };
    smbios_texts(how, &t);
    smbios_bios(s, &t);
    smbios_system(s, how, &t);
    smbios_board(s, &t);
    smbios_cpus(s, m, &t);
    smbios_memory(s, m, &t);
    smbios_add(s, TYPE_BOOT, 0x2000, boot, sizeof(boot), NULL);
    smbios_add(s, TYPE_END, 0x7f00, NULL, 0, NULL);
    if (s->n == UINT16_MAX || s->b.len > UINT16_MAX) {
        smbios_fini(s);
        return err_set(e, -ENOMEM, "SMBIOS: the structures do not fit in 64 KiB");
    }
    smbios_anchor(s);
    return 0;
}

void smbios_fini(struct smbios *s)
{
    buf_fini(&s->b);
}

int smbios_offer(const struct smbios *s, struct device *fwcfg, struct err *e)
{
    int r = fwcfg_file(fwcfg, "etc/smbios/smbios-anchor", s->anchor, SMBIOS_ANCHOR, e);

    return r ? r : fwcfg_file(fwcfg, "etc/smbios/smbios-tables", s->b.p, (u32)s->b.len, e);
}

static u8 smbios_checksum(const u8 *p, u32 n)
{
    u8 sum = 0;

    while (n--)
        sum = (u8)(sum + *p++);
    return (u8)-sum;
}

int smbios_place(struct smbios *s, struct machine *m, u64 at, u64 *end, struct err *e)
{
    u8 *a = s->anchor;
    u64 body = at + 32;
    int r;

    put_le32(a + 0x18, (u32)body);
    a[0x15] = smbios_checksum(a + ANCHOR_INTERMEDIATE, SMBIOS_ANCHOR - ANCHOR_INTERMEDIATE);
    a[4] = smbios_checksum(a, SMBIOS_ANCHOR);
    *end = body + s->b.len;
    r = gmem_write(machine_ram(m), at, a, SMBIOS_ANCHOR);
    r = r ? r : gmem_write(machine_ram(m), body, s->b.p, s->b.len);
    return r ? err_set(e, r, "SMBIOS: no RAM at 0x%llx", (unsigned long long)at) : 0;
}
