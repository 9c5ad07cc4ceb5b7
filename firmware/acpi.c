/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables of our PC, after ACPI 6.4 chapter 5: FACS, DSDT (dsdt.c), FADT revision 3,
 * MADT, HPET (IA-PC HPET 1.0a), TPM2 (TCG ACPI Specification 1.2), RSDT, XSDT, root pointer.  They reach the guest through the
 * BIOS (QEMU's table loader, as SeaBIOS and OVMF know it) or stand ready in RAM.
 */
#include "base/bytes.h"
#include "device/chipset/fwcfg.h"
#include "firmware/acpi_int.h"
#include <errno.h>
#include <stdlib.h>

enum {
    HEADER = 36,
    FADT_SIZE = 244,
    FACS_SIZE = 64,
    FACS_VECTOR = 12,
    HPET_SIZE = 56,
    TPM2_SIZE = 76,
    TABLES = 8
};
enum {
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_NO_SLEEP_BUTTON = 1 << 5,
    FADT_TIMER_32 = 1 << 8,
    FADT_RESET_REG = 1 << 10,
};
enum { ISO_LEVEL_HIGH = 0xd };
enum { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3, LOADER_ENTRY = 128 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE "etc/acpi/rsdp"
#define ACPI_TPM_LOG_FILE "etc/tpm/log"
enum { ACPI_TPM_LOG = 64 << 10 };

struct acpi_maker {
    struct acpi_tables *t;
    struct machine *m;
    const char *oem; /* 6 and 8 characters, then 4 of the maker of the tables */
    u32 table[TABLES];
    u32 n;
    bool bad;
};

static u8 acpi_checksum(const u8 *p, u32 n)
{
    u8 sum = 0;

    while (n--)
        sum = (u8)(sum + *p++);
    return (u8)-sum;
}

static void acpi_pointer(struct acpi_maker *k, u32 at, u8 size, u32 to)
{
    if (k->t->nptr == ACPI_PTRS) {
        k->bad = true;
        return;
    }
    put_le32(k->t->b.p + at, to);
    k->t->ptr[k->t->nptr++] = (struct acpi_ptr){ .at = at, .size = size };
}

/* Room for a table; its offset.  The header is filled by acpi_end. */
static u32 acpi_begin(struct acpi_maker *k, u32 size)
{
    u32 at = ((u32)k->t->b.len + 63) & ~63u;

    if (k->bad || !buf_room(&k->t->b, at + size - k->t->b.len)) {
        k->bad = true;
        return 0;
    }
    return at;
}

static u8 *acpi_more(struct acpi_maker *k, u32 n)
{
    u8 *p = k->bad ? NULL : buf_room(&k->t->b, n);

    if (!p)
        k->bad = true;
    return p;
}

static void acpi_end(struct acpi_maker *k, u32 at, const char *name, u8 revision)
{
    struct acpi_tables *t = k->t;
    u8 *p = t->b.p + at;
    u32 len = (u32)t->b.len - at;

    if (k->bad || t->nsum == ACPI_SUMS) {
        k->bad = true;
        return;
    }
    memcpy(p, name, 4);
    put_le32(p + 4, len);
    p[8] = revision;
    memcpy(p + 10, k->oem, 14);
    put_le32(p + 24, 1);
    memcpy(p + 28, k->oem + 14, 4);
    put_le32(p + 32, 1);
    t->sum[t->nsum++] = (struct acpi_sum){ .at = at + 9, .start = at, .len = len };
}

static u32 acpi_facs(struct acpi_maker *k)
{
    u32 at = acpi_begin(k, FACS_SIZE);

    if (!k->bad) {
        memcpy(k->t->b.p + at, "FACS", 4);
        put_le32(k->t->b.p + at + 4, FACS_SIZE);
    }
    return at;
}

static u32 acpi_dsdt(struct acpi_maker *k)
{
    u32 at = acpi_begin(k, HEADER);

    if (!k->bad && dsdt_body(k->m, &k->t->b))
        k->bad = true;
    acpi_end(k, at, "DSDT", 1);
    return at;
}

/* Generic address of an I/O port */
static void acpi_port(u8 *p, u16 port, u8 bytes, u8 access)
{
    p[0] = 1;
    p[1] = (u8)(bytes * 8);
    p[3] = access;
    put_le64(p + 4, port);
}

static void acpi_fadt(struct acpi_maker *k, u32 facs, u32 dsdt)
{
    u32 at = acpi_begin(k, FADT_SIZE);
    u8 *p = k->t->b.p + at;

    if (k->bad)
        return;
    put_le16(p + 46, ACPI_SCI);
    if (space_has(machine_ports(k->m), ACPI_APM_CONTROL)) {
        put_le32(p + 48, ACPI_APM_CONTROL);
        p[52] = 0xf1; /* ACPI on */
        p[53] = 0xf0; /* ACPI off */
    }
    put_le32(p + 56, ACPI_PM_BASE);
    put_le32(p + 64, ACPI_PM_BASE + 4);
    put_le32(p + 76, ACPI_PM_BASE + 8);
    put_le32(p + 80, ACPI_PM_BASE + ACPI_GPE);
    p[88] = 4;
    p[89] = 2;
    p[91] = 4;
    p[92] = 4;               /* 16 events: status, enable */
    put_le16(p + 96, 0xfff); /* no C2 */
    put_le16(p + 98, 0xfff); /* no C3 */
    p[108] = 0x32;
    put_le16(p + 109, 3); /* legacy devices, 8042 */
    put_le32(p + 112,
             FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_TIMER_32 | FADT_RESET_REG);
    acpi_port(p + 116, ACPI_RESET_PORT, 1, 1);
    p[128] = 6; /* system reset, PIIX3 reset control */
    acpi_port(p + 148, ACPI_PM_BASE, 4, 2);
    acpi_port(p + 172, ACPI_PM_BASE + 4, 2, 2);
    acpi_port(p + 208, ACPI_PM_BASE + 8, 4, 3);
    acpi_port(p + 220, ACPI_PM_BASE + ACPI_GPE, 4, 1);
    acpi_pointer(k, at + 36, 4, facs);
    acpi_pointer(k, at + 40, 4, dsdt);
    acpi_end(k, at, "FACP", 3);
    k->table[k->n++] = at;
}

static void acpi_override(struct acpi_maker *k, u8 irq, u8 gsi, u16 flags)
{
    u8 *p = acpi_more(k, 10);

    if (!p)
        return;
    p[0] = 2;
    p[1] = 10;
    p[3] = irq;
    put_le32(p + 4, gsi);
    put_le16(p + 8, flags);
}

static void acpi_madt(struct acpi_maker *k)
{
    static const u8 pci_irqs[] = { 5, ACPI_SCI, 10, 11 };
    u32 at = acpi_begin(k, HEADER + 8), cpus = machine_cpu_count(k->m);
    u8 *p;

    if (k->bad)
        return;
    put_le32(k->t->b.p + at + HEADER, ACPI_APIC_BASE);
    put_le32(k->t->b.p + at + HEADER + 4, 1); /* a PIC is there too */
    for (u32 i = 0; i < cpus; i++) {
        const u8 lapic[8] = { 0, 8, (u8)i, (u8)i, 1 };

        p = acpi_more(k, sizeof(lapic));
        if (p)
            memcpy(p, lapic, sizeof(lapic));
    }
    p = acpi_more(k, 12);
    if (p) {
        p[0] = 1;
        p[1] = 12;
        put_le32(p + 4, ACPI_IOAPIC_BASE);
    }
    acpi_override(k, 0, 2, 0);
    for (u32 i = 0; i < LEN(pci_irqs); i++)
        acpi_override(k, pci_irqs[i], pci_irqs[i], ISO_LEVEL_HIGH);
    p = acpi_more(k, 6);
    if (p)
        memcpy(p, (const u8[6]){ 4, 6, 0xff, 0, 0, 1 }, 6); /* NMI: LINT1 of all */
    acpi_end(k, at, "APIC", 1);
    k->table[k->n++] = at;
}

static void acpi_hpet(struct acpi_maker *k)
{
    u32 at = acpi_begin(k, HPET_SIZE);
    u8 *p = k->t->b.p + at;

    if (k->bad)
        return;
    put_le32(p + 36, 0x8086a201);
    p[41] = 0; /* generic address: memory */
    put_le64(p + 44, ACPI_HPET_BASE);
    acpi_end(k, at, "HPET", 1);
    k->table[k->n++] = at;
}

/* The log of a BIOS is 64 KiB that it finds room for. */
static void acpi_tpm(struct acpi_maker *k, const struct acpi_tpm *tpm)
{
    u32 at = acpi_begin(k, TPM2_SIZE);
    u8 *p = k->t->b.p + at;

    if (k->bad)
        return;
    put_le64(p + 40, tpm->control);
    put_le32(p + 48, tpm->start_method);
    put_le32(p + 64, ACPI_TPM_LOG);
    k->t->log = at + 64;
    acpi_end(k, at, "TPM2", 4);
    k->table[k->n++] = at;
}

static u32 acpi_root(struct acpi_maker *k, const char *name, u8 size)
{
    u32 at = acpi_begin(k, HEADER + k->n * size);

    for (u32 i = 0; i < k->n && !k->bad; i++)
        acpi_pointer(k, at + HEADER + i * size, size, k->table[i]);
    acpi_end(k, at, name, 1);
    return at;
}

static void acpi_rsdp(struct acpi_maker *k)
{
    u8 *p = k->t->rsdp;

    memset(p, 0, ACPI_RSDP);
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, k->oem, 6);
    p[15] = 2;
    put_le32(p + 16, k->t->rsdt);
    put_le32(p + 20, ACPI_RSDP);
    put_le64(p + 24, k->t->xsdt);
}

/* How each of the two interfaces is used: start methods 6 and 7. */
const struct acpi_tpm *acpi_tpm_of(struct machine *m)
{
    static const struct acpi_tpm fifo = { 0, 6, 0x5000 }, crb = { ACPI_TPM_BASE + 0x40, 7, 0x1000 };

    return machine_device(m, "tpm_crb") ? &crb : machine_device(m, "tpm_tis") ? &fifo : NULL;
}

int acpi_make(struct acpi_tables *t, struct machine *m, const char *persona, struct err *e)
{
    bool vmware = persona && !strcmp(persona, "vmware");
    struct acpi_maker k = { .t = t, .m = m };
    u32 facs, dsdt;

    *t = (struct acpi_tables){ .nptr = 0 };
    k.oem = vmware ? "PTLTD Custom  VMW " : "MIMIC MIMICPC MIMC";
    facs = acpi_facs(&k);
    dsdt = acpi_dsdt(&k);
    acpi_fadt(&k, facs, dsdt);
    acpi_madt(&k);
    if (space_has(machine_memory(m), ACPI_HPET_BASE))
        acpi_hpet(&k);
    if (acpi_tpm_of(m))
        acpi_tpm(&k, acpi_tpm_of(m));
    t->rsdt = acpi_root(&k, "RSDT", 4);
    t->xsdt = acpi_root(&k, "XSDT", 8);
    acpi_rsdp(&k);
    if (k.bad) {
        acpi_fini(t);
        return err_set(e, -ENOMEM, "no memory for ACPI tables");
    }
    return 0;
}

void acpi_fini(struct acpi_tables *t)
{
    buf_fini(&t->b);
}

/* One command: 128 bytes, rest zero. */
static u8 *acpi_command(struct buf *b, u32 what, const char *file)
{
    u8 *p = buf_room(b, LOADER_ENTRY);

    if (!p)
        return NULL;
    put_le32(p, what);
    strcpy((char *)p + 4, file);
    return p;
}

static bool acpi_allocate(struct buf *b, const char *file, u32 align, u8 zone)
{
    u8 *p = acpi_command(b, LOADER_ALLOCATE, file);

    if (!p)
        return false;
    put_le32(p + 60, align);
    p[64] = zone;
    return true;
}

static bool acpi_fix_to(struct buf *b, const char *file, u32 at, u8 size, const char *to)
{
    u8 *p = acpi_command(b, LOADER_POINTER, file);

    if (!p)
        return false;
    strcpy((char *)p + 60, to);
    put_le32(p + 116, at);
    p[120] = size;
    return true;
}

static bool acpi_fix(struct buf *b, const char *file, u32 at, u8 size)
{
    return acpi_fix_to(b, file, at, size, ACPI_TABLES_FILE);
}

static bool acpi_add_up(struct buf *b, const char *file, u32 at, u32 start, u32 len)
{
    u8 *p = acpi_command(b, LOADER_CHECKSUM, file);

    if (!p)
        return false;
    put_le32(p + 60, at);
    put_le32(p + 64, start);
    put_le32(p + 68, len);
    return true;
}

static bool acpi_script(const struct acpi_tables *t, struct buf *b)
{
    bool ok = acpi_allocate(b, ACPI_TABLES_FILE, 64, ZONE_HIGH) &&
              acpi_allocate(b, ACPI_RSDP_FILE, 16, ZONE_FSEG);

    if (t->log)
        ok = ok && acpi_allocate(b, ACPI_TPM_LOG_FILE, 1, ZONE_HIGH) &&
             acpi_fix_to(b, ACPI_TABLES_FILE, t->log + 4, 8, ACPI_TPM_LOG_FILE);
    for (u32 i = 0; i < t->nptr; i++)
        ok = ok && acpi_fix(b, ACPI_TABLES_FILE, t->ptr[i].at, t->ptr[i].size);
    for (u32 i = 0; i < t->nsum; i++)
        ok = ok && acpi_add_up(b, ACPI_TABLES_FILE, t->sum[i].at, t->sum[i].start, t->sum[i].len);
    return ok && acpi_fix(b, ACPI_RSDP_FILE, 16, 4) && acpi_fix(b, ACPI_RSDP_FILE, 24, 8) &&
           acpi_add_up(b, ACPI_RSDP_FILE, 8, 0, 20) &&
           acpi_add_up(b, ACPI_RSDP_FILE, 32, 0, ACPI_RSDP);
}

static int acpi_offer_log(struct device *fwcfg, struct err *e)
{
    u8 *none = calloc(1, ACPI_TPM_LOG);
    int r = none ? fwcfg_file(fwcfg, ACPI_TPM_LOG_FILE, none, ACPI_TPM_LOG, e)
                 : err_set(e, -ENOMEM, "no memory for the log of the TPM");

    free(none);
    return r;
}

int acpi_offer(const struct acpi_tables *t, struct device *fwcfg, struct err *e)
{
    struct buf script = { 0 };
    int r = 0;

    if (!acpi_script(t, &script))
        r = err_set(e, -ENOMEM, "no memory for the ACPI table loader");
    r = r ? r : fwcfg_file(fwcfg, ACPI_TABLES_FILE, t->b.p, (u32)t->b.len, e);
    r = r ? r : fwcfg_file(fwcfg, ACPI_RSDP_FILE, t->rsdp, ACPI_RSDP, e);
    if (!r && t->log)
        r = acpi_offer_log(fwcfg, e);
    r = r ? r : fwcfg_file(fwcfg, "etc/table-loader", script.p, (u32)script.len, e);
    buf_fini(&script);
    return r;
}

/* The FACS is the first table. */
u32 acpi_waking_vector(struct machine *m, u64 at)
{
    u8 facs[FACS_SIZE];

    if (gmem_read(machine_ram(m), at, facs, sizeof(facs)) || memcmp(facs, "FACS", 4))
        return 0;
    return le32(facs + FACS_VECTOR);
}

int acpi_place(struct acpi_tables *t, struct machine *m, u64 at, u64 *rsdp, u64 *end, struct err *e)
{
    u8 *p = t->b.p;
    int r;

    if (t->log)
        put_le32(p + t->log, 0); /* no firmware, no log */
    for (u32 i = 0; i < t->nptr; i++)
        put_le32(p + t->ptr[i].at, (u32)(le32(p + t->ptr[i].at) + at));
    for (u32 i = 0; i < t->nsum; i++)
        p[t->sum[i].at] = acpi_checksum(p + t->sum[i].start, t->sum[i].len);
    put_le32(t->rsdp + 16, (u32)(t->rsdt + at));
    put_le64(t->rsdp + 24, t->xsdt + at);
    t->rsdp[8] = acpi_checksum(t->rsdp, 20);
    t->rsdp[32] = acpi_checksum(t->rsdp, ACPI_RSDP);
    *rsdp = (at + t->b.len + 15) & ~15ull;
    *end = *rsdp + ACPI_RSDP;
    r = gmem_write(machine_ram(m), at, p, t->b.len);
    r = r ? r : gmem_write(machine_ram(m), *rsdp, t->rsdp, ACPI_RSDP);
    return r ? err_set(e, r, "ACPI tables: no RAM at 0x%llx", (unsigned long long)at) : 0;
}
