/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differentiated system description of our PC: processors, the PCI host bridge with its
 * windows and interrupt routing (PIIX: four links, registers 0x60-0x63 of the ISA bridge),
 * the ISA devices that are there, soft off and sleep.  ACPI 6.4 chapters 5 to 7 and 9; PCI Firmware
 * Specification 4.3 (_PRT).
 */
#include "bus/pci.h"
#include "device/chipset/piix4pm.h"
#include "device/chipset/vmgenid.h"
#include "engine/x86/cpu.h"
#include "firmware/acpi_int.h"
#include "firmware/aml_int.h"
#include <errno.h>
#include <stdio.h>

enum { PCI_SLOTS = 32, SCI = 9, DSDT_NUMBERS = 128 };
enum { PCI_HOLE_END = 0xfebfffff };
#define HIGH_WINDOW_ALIGN (1ull << 30)

static void dsdt_device(struct aml *a, const char *name, const char *hid, struct aml_crs *c)
{
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisa(a, hid);
    aml_name(a, "_CRS");
    aml_crs(a, c);
    aml_close(a);
}

static void dsdt_port(struct aml *a, const char *name, const char *hid, u16 port, u8 irq, u8 uid)
{
    struct aml_crs c = { .n = 0 };

    crs_io(&c, port, 8);
    crs_irq(&c, irq);
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisa(a, hid);
    aml_name(a, "_UID");
    aml_int(a, uid);
    aml_name(a, "_CRS");
    aml_crs(a, &c);
    aml_close(a);
}

static void dsdt_floppy(struct aml *a)
{
    struct aml_crs c = { .n = 0 };

    crs_io(&c, 0x3f2, 4);
    crs_io(&c, 0x3f7, 1);
    crs_irq(&c, 6);
    crs_dma(&c, 2);
    dsdt_device(a, "FDC0", "PNP0700", &c);
}

static void dsdt_isa(struct aml *a, u8 slot, struct space *ports)
{
    static const struct {
        const char *name, *hid;
        u16 port;
        u8 irq, uid;
    } lines[] = { { "COM1", "PNP0501", 0x3f8, 4, 1 }, { "COM2", "PNP0501", 0x2f8, 3, 2 },
                  { "COM3", "PNP0501", 0x3e8, 4, 3 }, { "COM4", "PNP0501", 0x2e8, 3, 4 },
                  { "LPT1", "PNP0400", 0x378, 7, 1 }, { "LPT2", "PNP0400", 0x278, 5, 2 } };
    static const char *const routes[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };
    struct aml_crs rtc = { .n = 0 }, keys = { .n = 0 }, mouse = { .n = 0 };

    aml_device(a, "ISA_");
    aml_name(a, "_ADR");
    aml_int(a, (u64)slot << 16);
    aml_region_pci(a, "PIRQ", 0x60, 4);
    aml_fields(a, "PIRQ", routes, LEN(routes));
    crs_io(&rtc, 0x70, 2);
    crs_irq(&rtc, 8);
    dsdt_device(a, "RTC_", "PNP0B00", &rtc);
    if (space_has(ports, 0x60)) {
        crs_io(&keys, 0x60, 1);
        crs_io(&keys, 0x64, 1);
        crs_irq(&keys, 1);
        dsdt_device(a, "KBD_", "PNP0303", &keys);
        crs_irq(&mouse, 12);
        dsdt_device(a, "MOU_", "PNP0F13", &mouse);
    }
    for (u32 i = 0; i < LEN(lines); i++)
        if (space_has(ports, lines[i].port))
            dsdt_port(a, lines[i].name, lines[i].hid, lines[i].port, lines[i].irq, lines[i].uid);
    if (space_has(ports, 0x3f5))
        dsdt_floppy(a);
    aml_close(a);
}

/* Interrupt link n: its register holds the IRQ, bit 7 switches it off. */
static void dsdt_link(struct aml *a, u32 n)
{
    static const u32 may[] = { 5, 10, 11 }, none[] = { 0 };
    char name[] = "LNKA", route[] = "\\_SB_.PCI0.ISA_.PRQ0";
    struct aml_crs possible = { .n = 0 }, current = { .n = 0 };

    name[3] = (char)('A' + n);
    route[sizeof(route) - 2] = (char)('0' + n);
    crs_level(&possible, may, LEN(may));
    crs_level(&current, none, 1);
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisa(a, "PNP0C0F");
    aml_name(a, "_UID");
    aml_int(a, n);
    aml_name(a, "_PRS");
    aml_crs(a, &possible);
    aml_method(a, "_STA", 0); /* off: 9, on: 11 */
    aml_if(a);
    aml_op(a, AML_AND);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_op(a, AML_NOWHERE);
    aml_op(a, AML_RETURN);
    aml_int(a, 9);
    aml_close(a);
    aml_op(a, AML_RETURN);
    aml_int(a, 11);
    aml_close(a);
    aml_method(a, "_DIS", 0);
    aml_op(a, AML_OR);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_path(a, route);
    aml_close(a);
    aml_method(a, "_CRS", 0); /* the IRQ is at byte 5 of the descriptor */
    aml_op(a, AML_STORE);
    aml_crs(a, &current);
    aml_op(a, AML_LOCAL0);
    aml_op(a, AML_STORE);
    aml_op(a, AML_AND);
    aml_path(a, route);
    aml_int(a, 15);
    aml_op(a, AML_NOWHERE);
    aml_op(a, AML_INDEX);
    aml_op(a, AML_LOCAL0);
    aml_int(a, 5);
    aml_op(a, AML_NOWHERE);
    aml_op(a, AML_RETURN);
    aml_op(a, AML_LOCAL0);
    aml_close(a);
    aml_method(a, "_SRS", 1);
    aml_op(a, AML_STORE);
    aml_op(a, AML_DEREF);
    aml_op(a, AML_INDEX);
    aml_op(a, AML_ARG0);
    aml_int(a, 5);
    aml_op(a, AML_NOWHERE);
    aml_path(a, route);
    aml_close(a);
    aml_close(a);
}

/* Slot s, pin p goes to link s - 1 + p; the power management function to the SCI. */
static void dsdt_routing(struct aml *a, u8 isa)
{
    aml_name(a, "_PRT");
    aml_package(a, (PCI_SLOTS - 1) * 4);
    for (u32 slot = 1; slot < PCI_SLOTS; slot++)
        for (u32 pin = 0; pin < 4; pin++) {
            char link[] = "LNKA";

            link[3] = (char)('A' + ((slot - 1 + pin) & 3));
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            if (slot == isa && pin == 0) {
                aml_int(a, 0);
                aml_int(a, SCI);
            } else {
                aml_path(a, link);
                aml_int(a, 0);
            }
            aml_close(a);
        }
    aml_close(a);
}

static void dsdt_place(struct aml *a, char kind, u8 slot, u8 function)
{
    char name[8];

    snprintf(name, sizeof(name), "%c%02X%X", kind, slot, function);
    aml_device(a, name);
    aml_name(a, "_ADR");
    aml_int(a, (u64)slot << 16 | function);
}

/*
 * Slots with a number of their own: guests name network cards after it ("ens160").  Those behind
 * a bridge stand together, as the bus gives them.
 */
static void dsdt_numbers(struct aml *a, struct machine *m)
{
    struct pci_numbered all[DSDT_NUMBERS];
    u32 n = pci_numbered(m, all, DSDT_NUMBERS);

    for (u32 i = 0; i < n && i < DSDT_NUMBERS; i++) {
        const struct pci_numbered *p = &all[i];

        if (p->bus && (!i || p[-1].bus != p->bus))
            dsdt_place(a, 'B', p->bridge_slot, p->bridge_function);
        dsdt_place(a, 'S', p->slot, p->function);
        aml_name(a, "_SUN");
        aml_int(a, p->number);
        aml_close(a);
        if (p->bus && (i + 1 == n || i + 1 == DSDT_NUMBERS || p[1].bus != p->bus))
            aml_close(a);
    }
}

/*
 * Behind the RAM, up to what processors can address: EFI puts BARs of 64 bits there, and guests
 * those of devices that come later.
 */
static void dsdt_high_window(struct aml_crs *c, struct machine *m)
{
    u64 first = (1ull << 32) + machine_ram_size(m) - machine_low_ram(m), last;
    u32 model[4];

    x86_cpuid_model(0x80000008, 0, model);
    last = (1ull << (model[0] & 0xff)) - 1;
    first = (first + HIGH_WINDOW_ALIGN - 1) & ~(HIGH_WINDOW_ALIGN - 1);
    if (first < last)
        crs_memory_window64(c, first, last);
}

static void dsdt_pci(struct aml *a, struct machine *m, struct space *ports)
{
    const struct device *isa = machine_device(m, "piix3");
    u8 slot = isa ? pci_slot(isa) : 1;
    struct aml_crs c = { .n = 0 };

    crs_bus_numbers(&c, 0, 0xff);
    crs_io(&c, 0xcf8, 8);
    crs_io_window(&c, 0, 0xcf7);
    crs_io_window(&c, 0xd00, 0xffff);
    crs_memory_window(&c, 0xa0000, 0xbffff, true);
    crs_memory_window(&c, (u32)machine_low_ram(m), PCI_HOLE_END, false);
    dsdt_high_window(&c, m);
    aml_device(a, "PCI0");
    aml_name(a, "_HID");
    aml_eisa(a, "PNP0A03");
    aml_name(a, "_UID");
    aml_int(a, 0);
    aml_name(a, "_CRS");
    aml_crs(a, &c);
    dsdt_routing(a, slot);
    dsdt_isa(a, slot, ports);
    dsdt_numbers(a, m);
    aml_close(a);
}

/* Where the generation ID is, and the event that says it has changed. */
static void dsdt_generation(struct aml *a)
{
    aml_scope(a, "\\_SB_");
    aml_device(a, "VGEN");
    aml_name(a, "_HID");
    aml_text(a, "VMGENCTR");
    aml_name(a, "_CID");
    aml_text(a, "VM_Gen_Counter");
    aml_name(a, "_DDN");
    aml_text(a, "VM_Gen_Counter");
    aml_name(a, "ADDR");
    aml_package(a, 2);
    aml_int(a, VMGENID_ADDRESS);
    aml_int(a, 0);
    aml_close(a);
    aml_close(a);
    aml_close(a);
    aml_scope(a, "\\_GPE");
    aml_method(a, "_E05", 0);
    aml_op(a, AML_NOTIFY);
    aml_path(a, "\\_SB_.VGEN");
    aml_int(a, 0x80);
    aml_close(a);
    aml_close(a);
}

static void dsdt_tpm(struct aml *a, u32 size)
{
    struct aml_crs c = { .n = 0 };

    crs_fixed(&c, ACPI_TPM_BASE, size);
    aml_device(a, "TPM_");
    aml_name(a, "_HID");
    aml_text(a, "MSFT0101");
    aml_name(a, "_STA");
    aml_int(a, 15);
    aml_name(a, "_CRS");
    aml_crs(a, &c);
    aml_close(a);
}

static void dsdt_processors(struct aml *a, u32 n)
{
    static const char digit[] = "0123456789ABCDEF";

    for (u32 i = 0; i < n; i++) {
        char name[] = "CP00";

        name[2] = digit[i >> 4 & 15];
        name[3] = digit[i & 15];
        aml_processor(a, name, (u8)i);
        aml_close(a);
    }
}

/* What SLP_TYP is for a state; there is no second register. */
static void dsdt_sleep(struct aml *a, const char *name, u8 type)
{
    aml_name(a, name);
    aml_package(a, 4);
    aml_int(a, type);
    for (u32 i = 1; i < 4; i++)
        aml_int(a, 0);
    aml_close(a);
}

int dsdt_body(struct machine *m, struct buf *to)
{
    struct aml a = { .bad = false };
    struct aml_crs hpet = { .n = 0 };
    const struct device *pm = machine_device(m, "piix4pm");
    int r;

    aml_scope(&a, "\\_SB_");
    dsdt_processors(&a, machine_cpu_count(m));
    for (u32 i = 0; i < 4; i++)
        dsdt_link(&a, i);
    dsdt_pci(&a, m, machine_ports(m));
    if (space_has(machine_memory(m), ACPI_HPET_BASE)) {
        crs_fixed(&hpet, ACPI_HPET_BASE, 0x400);
        dsdt_device(&a, "HPET", "PNP0103", &hpet);
    }
    if (acpi_tpm_of(m))
        dsdt_tpm(&a, acpi_tpm_of(m)->size);
    aml_close(&a);
    if (machine_device(m, "vmgenid"))
        dsdt_generation(&a);
    if (pm && piix4pm_sleeps(pm))
        dsdt_sleep(&a, "\\_S3_", PIIX4PM_RAM);
    dsdt_sleep(&a, "\\_S5_", PIIX4PM_OFF);
    r = a.bad || a.depth ? -ENOMEM : buf_add(to, a.b.p, a.b.len);
    buf_fini(&a.b);
    return r;
}
