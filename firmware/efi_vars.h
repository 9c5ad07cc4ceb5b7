/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_EFI_VARS_H
#define FIRMWARE_EFI_VARS_H
#include "base/buf.h"

/*
 * The variables of EFI firmwares in files: OVMF's and VirtualBox' (a firmware volume of edk2, in
 * a tar with the state of a TPM too), VMware's (.nvram).  Everything lent points into the file.
 */
struct efi_var {
    u8 guid[16];
    u32 attributes;
    u8 time[16];    /* of one that is written by who can sign */
    const u8 *name; /* UTF-16 with its end; n bytes of it */
    const u8 *data;
    u32 name_len, len;
};

enum efi_form { EFI_UNKNOWN, EFI_EDK2, EFI_VMWARE, EFI_VMWARE_BIOS }; /* BIOS: has none */
enum efi_form efi_form(struct span file);

/* Those that are valid, in the order of the file; of several of one name the last counts. */
void efi_each(struct span file, void (*one)(void *arg, const struct efi_var *v), void *arg);
/* name: plain ASCII; false: there is none. */
bool efi_find(struct span file, const u8 guid[16], const char *name, struct efi_var *v);
bool efi_is(const struct efi_var *v, const u8 guid[16], const char *name);

/* Into a volume of edk2, whole or not at all even when we are killed: -ENOSPC, -EINVAL. */
int efi_put(u8 *store, u32 size, const struct efi_var *v);

/* What of another machine's variables means something in this one: how many were taken.  keys:
 * those of secure boot too, which switch it on. */
u32 efi_import(u8 *store, u32 size, struct span from, bool keys);

extern const u8 efi_global[16]; /* the GUID of what the UEFI specification names */
#endif
