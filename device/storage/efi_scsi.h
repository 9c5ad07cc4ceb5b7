/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_EFI_SCSI_H
#define DEVICE_STORAGE_EFI_SCSI_H
#include "device/storage/efi_driver.h"

/*
 * Drivers that EFI runs from the expansion ROM of a SCSI adapter, so that it boots from the disks
 * there: OVMF as distributions build it has none for these.  They give EFI's SCSI bus driver a way
 * to the adapter, one request at a time, polled.  Freestanding 64-bit code that runs in the guest,
 * wherever it is put: no pointer is in its data, and nothing there is written (tools/mkefirom.py).
 * efi_scsi.c and one file for the kind of adapter make one program.
 */
#pragma GCC visibility push(hidden)
enum { POLL_US = 20, POLLS = 30 * 1000000 / POLL_US, SENSE_ROOM = 96, EFI_PAGE = 4096 };

struct adapter {
    struct efi_scsi scsi; /* first: what EFI calls with */
    struct efi_scsi_mode mode;
    struct efi_boot *boot;
    struct efi_pci *pci;
    void *mapping;
    u8 *pages; /* adapter_pages of them, that the adapter sees at bus */
    u64 bus;
    u32 count; /* the kind's own: zero at first */
};

struct adapter_request {
    u8 target;
    const struct efi_scsi_packet *packet;
    u64 data; /* as the adapter sees it */
    u32 len;
};
enum adapter_outcome { ADAPTER_DONE, ADAPTER_NOBODY, ADAPTER_FAILED };
struct adapter_answer {
    enum adapter_outcome outcome;
    u8 status;
    u32 moved, sense_len;
    const u8 *sense;
};

/* What a kind of adapter has. */
extern const u32 adapter_targets, adapter_pages, adapter_bar;
extern const u32 adapter_most; /* bytes of a request's data */
int adapter_is(u32 id);        /* device and vendor */
u64 adapter_begin(struct adapter *a);
void adapter_end(struct adapter *a);
/* Runs a command; an error when no answer came. */
u64 adapter_run(struct adapter *a, const struct adapter_request *r, struct adapter_answer *answer);

u32 adapter_load(struct adapter *a, u32 off);
void adapter_store(struct adapter *a, u32 off, u32 val);
void *memset(void *to, int c, unsigned long n);
void *memcpy(void *to, const void *from, unsigned long n);
#pragma GCC visibility pop
#endif
