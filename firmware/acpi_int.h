/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_ACPI_INT_H
#define FIRMWARE_ACPI_INT_H
#include "base/buf.h"
#include "machine/machine.h"

/* Where the chipset's parts are, as our tables say. */
enum {
    ACPI_GPE = 0xc,       /* general purpose events, from there */
    ACPI_PM_BASE = 0x600, /* where SeaBIOS, too, puts the power management function */
    ACPI_SCI = 9,
    ACPI_APM_CONTROL = 0xb2,
    ACPI_RESET_PORT = 0xcf9,
};
#define ACPI_HPET_BASE 0xfed00000u
#define ACPI_APIC_BASE 0xfee00000u
#define ACPI_IOAPIC_BASE 0xfec00000u

/*
 * All tables in one piece, with addresses relative to its start: what must be made absolute
 * (ptr) and summed (sum) is listed, for us or for the BIOS to do.  The root pointer is apart.
 */
enum { ACPI_PTRS = 32, ACPI_SUMS = 16, ACPI_RSDP = 36 };
struct acpi_tables {
    struct buf b;
    struct acpi_ptr {
        u32 at;
        u8 size;
    } ptr[ACPI_PTRS];
    struct acpi_sum {
        u32 at, start, len;
    } sum[ACPI_SUMS];
    u32 nptr, nsum;
    u32 rsdt, xsdt;
    u32 log; /* where the place and size of the TPM's log are told; 0: nowhere */
    u8 rsdp[ACPI_RSDP];
};
int acpi_make(struct acpi_tables *t, struct machine *m, const char *persona, struct err *e);
void acpi_fini(struct acpi_tables *t);
/* To the firmware configuration: tables, root pointer and the list of what is to be done. */
int acpi_offer(const struct acpi_tables *t, struct device *fwcfg, struct err *e);
/* Into RAM at `at` (64-byte aligned), done; rsdp goes to its end, *end follows it. */
int acpi_place(struct acpi_tables *t, struct machine *m, u64 at, u64 *rsdp, u64 *end,
               struct err *e);

/* The TPM: its control area, how a command is started, bytes of registers; NULL: none. */
#define ACPI_TPM_BASE 0xfed40000u
struct acpi_tpm {
    u32 control, start_method, size;
};
const struct acpi_tpm *acpi_tpm_of(struct machine *m);

/* Where a guest that was started without a BIOS wants to wake, as acpi_place's FACS says; 0: it
 * does not say. */
u32 acpi_waking_vector(struct machine *m, u64 at);

int dsdt_body(struct machine *m, struct buf *to);
#endif
