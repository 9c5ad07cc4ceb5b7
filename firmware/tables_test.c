/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI and SMBIOS as a guest reads them: sums, pointers, a walk through the AML. */
#include "device/chipset/fwcfg.h"
#include "engine/x86/cpu.h"
#include "firmware/acpi_int.h"
#include "firmware/aml_int.h"
#include "firmware/boot_int.h"
#include "firmware/smbios_int.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static u8 low[1 << 20];

static u8 sum(const u8 *p, u32 n)
{
    u8 all = 0;

    while (n--)
        all = (u8)(all + *p++);
    return all;
}

/* The tables in `low`, by a machine with n CPUs; the root pointer's place. */
static u64 acpi_build(u32 ram_mib, u32 cpus)
{
    struct acpi_tables t;
    struct err e = { 0 };
    u64 rsdp = 0, end;

    rig_start(&r, ram_mib, cpus);
    CHECK_EQ(acpi_make(&t, r.m, "none", &e), 0);
    CHECK_EQ(acpi_place(&t, r.m, 0xe0000, &rsdp, &end, &e), 0);
    CHECK(end < 0xf0000);
    acpi_fini(&t);
    rig_get(&r, 0, low, 0xa0000);
    rig_get(&r, 0xc0000, low + 0xc0000, 0x40000);
    rig_stop(&r);
    return rsdp;
}

static const u8 *acpi_find(u64 rsdp, const char *name)
{
    const u8 *rsdt = low + le32(low + rsdp + 16);

    for (u32 at = 36; at < le32(rsdt + 4); at += 4) {
        const u8 *p = low + le32(rsdt + at);

        CHECK_EQ(sum(p, le32(p + 4)), 0);
        if (!memcmp(p, name, 4))
            return p;
    }
    return NULL;
}

static void acpi_adds_up(void)
{
    u64 rsdp = acpi_build(16, 3);
    const u8 *rsdt = low + le32(low + rsdp + 16), *xsdt = low + le64(low + rsdp + 24);
    const u8 *fadt = acpi_find(rsdp, "FACP"), *madt = acpi_find(rsdp, "APIC");
    u32 cpus = 0, ioapics = 0, overrides = 0;

    CHECK(!memcmp(low + rsdp, "RSD PTR ", 8));
    CHECK_EQ(sum(low + rsdp, 20), 0);
    CHECK_EQ(sum(low + rsdp, 36), 0);
    CHECK_EQ(sum(rsdt, le32(rsdt + 4)), 0);
    CHECK_EQ(sum(xsdt, le32(xsdt + 4)), 0);
    CHECK_EQ((le32(rsdt + 4) - 36) / 4, (le32(xsdt + 4) - 36) / 8);
    for (u32 i = 0; i < (le32(rsdt + 4) - 36) / 4; i++)
        CHECK_EQ(le32(rsdt + 36 + 4 * i), le64(xsdt + 36 + 8 * i));
    CHECK(fadt && madt);
    CHECK_EQ(le32(fadt + 4), 244);
    CHECK_EQ(le32(fadt + 36) % 64, 0);
    CHECK(!memcmp(low + le32(fadt + 36), "FACS", 4));
    CHECK(!memcmp(low + le32(fadt + 40), "DSDT", 4));
    CHECK_EQ(sum(low + le32(fadt + 40), le32(low + le32(fadt + 40) + 4)), 0);
    CHECK_EQ(le32(fadt + 76), ACPI_PM_BASE + 8);
    CHECK_EQ(le64(fadt + 208 + 4), ACPI_PM_BASE + 8);
    CHECK(!acpi_find(rsdp, "HPET")); /* this machine has none */
    for (u32 at = 44; at < le32(madt + 4); at += madt[at + 1]) {
        cpus += madt[at] == 0;
        ioapics += madt[at] == 1;
        overrides += madt[at] == 2;
        CHECK(madt[at + 1] >= 6 && at + madt[at + 1] <= le32(madt + 4));
    }
    CHECK_EQ(cpus, 3);
    CHECK_EQ(ioapics, 1);
    CHECK_EQ(overrides, 5);
}

/* Walks a list of AML terms; counts the devices; every length must end where its parent's
 * contents go on. */
struct walk {
    const u8 *p, *end;
    u32 devices, methods, packages, bad;
};

static const u8 *walk_length(struct walk *w, const u8 *p)
{
    const u8 *at = p;
    u32 n = *p & 63, extra = *p >> 6;

    if (extra)
        n &= 15;
    for (u32 i = 0; i < extra; i++)
        n |= (u32)at[1 + i] << (4 + 8 * i);
    if (n < 1 + extra || n > (u64)(w->end - at)) {
        w->bad++;
        n = 1 + extra;
    }
    w->p = at + 1 + extra;
    return at + n;
}

static void walk_name(struct walk *w)
{
    u32 n = 1;

    if (*w->p == '\\')
        w->p++;
    if (*w->p == 0x2e) {
        n = 2;
        w->p++;
    } else if (*w->p == 0x2f) {
        n = w->p[1];
        w->p += 2;
    }
    for (u32 i = 0; i < 4 * n; i++)
        w->bad += !((w->p[i] >= 'A' && w->p[i] <= 'Z') || (w->p[i] >= '0' && w->p[i] <= '9') ||
                    w->p[i] == '_');
    w->p += 4 * n;
}

static void walk_terms(struct walk *w, const u8 *end);

static void walk_inside(struct walk *w, u32 skip_after_name, bool name)
{
    const u8 *end = walk_length(w, w->p);

    if (name)
        walk_name(w);
    w->p += skip_after_name;
    walk_terms(w, end);
}

static void walk_ext(struct walk *w)
{
    const u8 *end;

    switch (*w->p++) {
    case 0x80: /* operation region: name, space, then two integers */
        walk_name(w);
        w->p++;
        break;
    case 0x81:
        end = walk_length(w, w->p);
        walk_name(w);
        w->p = end;
        break;
    case 0x82:
        w->devices++;
        walk_inside(w, 0, true);
        break;
    case 0x83:
        walk_inside(w, 6, true);
        break;
    default:
        w->bad++;
    }
}

static void walk_term(struct walk *w)
{
    u8 op = *w->p;
    const u8 *end;

    if (op == '\\' || op == 0x2e || op == 0x2f || op == '_' || (op >= 'A' && op <= 'Z')) {
        walk_name(w);
        return;
    }
    w->p++;
    switch (op) {
    case 0x00: /* constants and operators: their operands are terms themselves */
    case 0x01:
    case 0x60:
    case 0x68:
    case 0x70:
    case 0x7b:
    case 0x7d:
    case 0x83:
    case 0x88:
    case 0xa4:
        break;
    case 0x08:
        walk_name(w);
        break;
    case 0x0a:
        w->p++;
        break;
    case 0x0b:
        w->p += 2;
        break;
    case 0x0c:
        w->p += 4;
        break;
    case 0x10:
        walk_inside(w, 0, true);
        break;
    case 0x11: /* a template ends with its end tag */
        end = walk_length(w, w->p);
        w->bad += end[-2] != 0x79;
        w->p = end;
        break;
    case 0x12:
        w->packages++;
        walk_inside(w, 1, false);
        break;
    case 0x14:
        w->methods++;
        walk_inside(w, 1, true);
        break;
    case 0x5b:
        walk_ext(w);
        break;
    case 0xa0:
        walk_inside(w, 0, false);
        break;
    default:
        w->bad++;
    }
}

static void walk_terms(struct walk *w, const u8 *end)
{
    while (w->p < end && !w->bad)
        walk_term(w);
    w->bad += w->p != end;
}

static void aml_is_well_formed(void)
{
    static const u32 cpus[] = { 1, 64 };

    for (u32 i = 0; i < LEN(cpus); i++) {
        const u8 *dsdt = low + le32(acpi_find(acpi_build(16, cpus[i]), "FACP") + 40);
        struct walk w = { .p = dsdt + 36, .end = dsdt + le32(dsdt + 4) };

        walk_terms(&w, w.end);
        CHECK_EQ(w.bad, 0);
        CHECK_EQ(w.devices, 7); /* PCI0, ISA_, RTC_, four links */
        CHECK_EQ(w.methods, 4 * 4);
        CHECK_EQ(w.packages, 1 + 31 * 4 + 1);
    }
}

/* The host bridge's windows: the high one begins behind the RAM and ends with the addresses. */
static void high_window(void)
{
    static const struct {
        u32 ram_mib;
        u64 first;
    } want[] = { { 16, 1ull << 32 }, { 4096, 5ull << 30 } };
    u32 model[4];

    x86_cpuid_model(0x80000008, 0, model);
    for (u32 i = 0; i < LEN(want); i++) {
        const u8 *dsdt = low + le32(acpi_find(acpi_build(want[i].ram_mib, 1), "FACP") + 40);
        u32 found = 0;

        for (u32 at = 36; at + 46 <= le32(dsdt + 4); at++)
            if (dsdt[at] == 0x8a && le16(dsdt + at + 1) == 43) {
                u64 first = le64(dsdt + at + 14), last = le64(dsdt + at + 22);

                CHECK_EQ(first, want[i].first);
                CHECK_EQ(last, (1ull << (model[0] & 0xff)) - 1);
                CHECK_EQ(le64(dsdt + at + 38), last - first + 1);
                found++;
            }
        CHECK_EQ(found, 1);
    }
}

static void aml_lengths(void)
{
    static const struct {
        u32 body;
        u8 bytes[4];
        u32 n;
    } want[] = { { 0, { 1 + 4 }, 1 },
                 { 58, { 63 }, 1 },
                 { 59, { 0x41, 0x04 }, 2 },
                 { 4089, { 0x4f, 0xff }, 2 },
                 { 4090, { 0x81, 0x00, 0x01 }, 3 } };

    for (u32 i = 0; i < LEN(want); i++) {
        struct aml a = { .depth = 0 };

        aml_scope(&a, "ABCD");
        for (u32 n = 0; n < want[i].body; n++)
            aml_int(&a, 0);
        aml_close(&a);
        CHECK(!a.bad);
        CHECK(!memcmp(a.b.p + 1, want[i].bytes, want[i].n));
        CHECK(!memcmp(a.b.p + 1 + want[i].n, "ABCD", 4));
        buf_fini(&a.b);
    }
}

/* Sleep to RAM is told of where the board wakes from it, and nowhere else. */
static void sleep_states(void)
{
    static const u8 off[] = { '_', 'S', '5', '_', 0x12 }, ram[] = { '_', 'S', '3', '_', 0x12 };

    for (u32 i = 0; i < 3; i++) {
        struct acpi_tables t;
        struct err e = { 0 };

        rig_start(&r, 16, 1);
        if (i)
            rig_device(&r, "piix4pm", (const char *const[]){ "sleeps", i == 1 ? "0" : "1", NULL },
                       NULL);
        CHECK_EQ(acpi_make(&t, r.m, "none", &e), 0);
        CHECK(memmem(t.b.p, t.b.len, off, sizeof(off)));
        CHECK(!memmem(t.b.p, t.b.len, ram, sizeof(ram)) == (i < 2));
        acpi_fini(&t);
        rig_stop(&r);
    }
}

/* A BIOS that knows the loader must come to the same tables. */
static void loader_agrees(void)
{
    enum { AT = 0xd0000, ROOT = 0xcf000 };
    struct device *cfg;
    struct acpi_tables t;
    struct err e = { 0 };
    u32 n = 0, len = 0, rlen = 0;
    const u8 *script, *tables, *rsdp;

    rig_start(&r, 16, 2);
    cfg = rig_device(&r, "fwcfg", NULL, NULL);
    CHECK_EQ(acpi_make(&t, r.m, "vmware", &e), 0);
    CHECK_EQ(acpi_offer(&t, cfg, &e), 0);
    script = fwcfg_find(cfg, "etc/table-loader", &n);
    tables = fwcfg_find(cfg, "etc/acpi/tables", &len);
    rsdp = fwcfg_find(cfg, "etc/acpi/rsdp", &rlen);
    CHECK(script && tables && rsdp && n % 128 == 0 && rlen == 36);
    memset(low, 0, sizeof(low));
    memcpy(low + AT, tables, len);
    memcpy(low + ROOT, rsdp, rlen);
    for (const u8 *p = script; p < script + n; p += 128) {
        u8 *file = low + (strcmp((const char *)p + 4, "etc/acpi/rsdp") ? AT : ROOT);

        if (le32(p) == 2) {
            u8 *to = file + le32(p + 116);

            CHECK_TEXT((const char *)p + 60, "etc/acpi/tables");
            put_le32(to, le32(to) + AT);
        } else if (le32(p) == 3) {
            u8 *to = file + le32(p + 60);

            *to = (u8)(*to - sum(file + le32(p + 64), le32(p + 68)));
        } else {
            CHECK_EQ(le32(p), 1);
        }
    }
    CHECK_EQ(sum(low + ROOT, 20), 0);
    CHECK_EQ(sum(low + ROOT, 36), 0);
    CHECK(acpi_find(ROOT, "FACP") && acpi_find(ROOT, "APIC"));
    CHECK_EQ(sum(low + le32(acpi_find(ROOT, "FACP") + 40),
                 le32(low + le32(acpi_find(ROOT, "FACP") + 40) + 4)),
             0);
    acpi_fini(&t);
    rig_stop(&r);
}

/* The n-th text of a structure. */
static const char *smbios_text(const u8 *p, u32 n)
{
    const char *s = (const char *)p + p[1];

    while (n-- > 1)
        s += strlen(s) + 1;
    return s;
}

static const u8 *smbios_next(const u8 *p)
{
    const u8 *s = p + p[1];

    while (s[0] || s[1])
        s++;
    return s + 2;
}

static const u8 *smbios_build(const struct firmware_how *how, u32 *types)
{
    struct smbios s;
    struct err e = { 0 };
    const u8 *a = low + 0xf0000, *p;
    u64 end;
    u32 n = 0;

    rig_start(&r, 16, 2);
    CHECK_EQ(smbios_make(&s, r.m, how, &e), 0);
    CHECK_EQ(smbios_place(&s, r.m, 0xf0000, &end, &e), 0);
    rig_get(&r, 0xf0000, low + 0xf0000, 0x10000);
    smbios_fini(&s);
    rig_stop(&r);
    CHECK(!memcmp(a, "_SM_", 4) && !memcmp(a + 16, "_DMI_", 5));
    CHECK_EQ(sum(a, 31), 0);
    CHECK_EQ(sum(a + 16, 15), 0);
    memset(types, 0, 128 * sizeof(*types));
    for (p = low + le32(a + 0x18); p < low + end; p = smbios_next(p), n++) {
        CHECK(p[0] < 128 && p[1] >= 4);
        types[p[0]]++;
        CHECK(smbios_next(p) - p <= le16(a + 8));
    }
    CHECK(p == low + end);
    CHECK_EQ(n, le16(a + 0x1c));
    CHECK_EQ(le32(a + 0x18) + le16(a + 0x16), end);
    return low + le32(a + 0x18);
}

static void smbios_of_vmware(void)
{
    static const u8 plain[16] = { 0x56, 0x4d, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
    static const u8 mixed[16] = { 2, 1, 0x4d, 0x56, 4, 3, 6, 5, 7, 8, 9, 10, 11, 12, 13, 14 };
    struct firmware_how how = { .persona = "vmware" };
    u32 types[128];
    const u8 *p;

    memcpy(how.uuid, plain, 16);
    p = smbios_build(&how, types);
    CHECK_EQ(types[0], 1);
    CHECK_EQ(types[4], 2);
    CHECK_EQ(types[19], 1);
    CHECK_EQ(types[127], 1);
    CHECK_TEXT(smbios_text(p, p[4]), "Phoenix Technologies LTD");
    p = smbios_next(p);
    CHECK_EQ(p[0], 1);
    CHECK_TEXT(smbios_text(p, p[4]), "VMware, Inc.");
    CHECK_TEXT(smbios_text(p, p[5]), "VMware Virtual Platform");
    CHECK_TEXT(smbios_text(p, p[7]), "VMware-56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e");
    CHECK(!memcmp(p + 8, mixed, 16));
    how.hardware_version = 10;
    p = smbios_next(smbios_build(&how, types));
    CHECK(!memcmp(p + 8, plain, 16));
}

static void smbios_of_nobody(void)
{
    struct firmware_how how = { .board = { .serial = "", .product = "A thing" } };
    u32 types[128];
    const u8 *p = smbios_next(smbios_build(&how, types));

    CHECK_TEXT(smbios_text(p, p[4]), "Mimic");
    CHECK_TEXT(smbios_text(p, p[5]), "A thing");
    CHECK_TEXT(smbios_text(p, p[7]), " ");
}

int main(void)
{
    CASE(acpi_adds_up);
    CASE(aml_is_well_formed);
    CASE(high_window);
    CASE(aml_lengths);
    CASE(sleep_states);
    CASE(loader_agrees);
    CASE(smbios_of_vmware);
    CASE(smbios_of_nobody);
    return check_end();
}
