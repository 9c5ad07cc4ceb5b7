/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that start by EFI: OVMF where distributions put it, its code as the ROM at the top of
 * 4 GiB, its variables in a flash right below.  The variables of a VM are a file of its state
 * directory, made from the firmware's own empty store at the first run.
 */
#include "backend/nvram.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct efi_place {
    const char *code, *vars;
    const char
        *keys; /* variables with Microsoft's keys, for secure boot by the same code; or NULL */
} efi_places[] = {
    { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd",
      "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" },
    { "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd",
      "/usr/share/OVMF/OVMF_VARS.ms.fd" },
    { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", NULL },
    { "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd", NULL },
    { "/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin", NULL },
};

static const struct efi_place *efi_find(void)
{
    for (u32 i = 0; i < LEN(efi_places); i++)
        if (!access(efi_places[i].code, R_OK) && !access(efi_places[i].vars, R_OK))
            return &efi_places[i];
    return NULL;
}

int vm_efi_open(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    const struct efi_place *p;
    const char *vars;
    char path[4200];
    int r = 0;

    if (d->firmware != DESC_EFI || vm->how.kernel || vm->how.bios)
        return 0;
    p = efi_find();
    if (!p)
        return err_set(e, -ENOENT,
                       "%s starts by EFI, and its firmware is not installed: %s is missing "
                       "(package ovmf)",
                       d->name, efi_places[0].code);
    vars = d->secure_boot && p->keys && !access(p->keys, R_OK) ? p->keys : p->vars;
    if (d->secure_boot && vars != p->keys)
        note(notes, NOTE_LOST, "secure boot",
             "is not offered: this OVMF comes without variables that hold the keys for it");
    if (vm->how.throwaway) {
        r = nvram_open(&vm->nvram, NULL, vars, e);
    } else {
        snprintf(path, sizeof(path), "%s/nvram.fd", vm->how.state);
        r = vm_make_state(vm, e);
        if (!r)
            r = nvram_open(&vm->nvram, path, vars, e);
    }
    vm->efi = p->code;
    return r;
}

int vm_efi_build(struct vm *vm, struct err *e)
{
    struct device_end ends[] = { { "nvram", vm->nvram }, { NULL, NULL } };
    char base[24];
    struct stat st;

    if (!vm->efi)
        return 0;
    if (stat(vm->efi, &st))
        return err_set(e, -errno, "%s: %s", vm->efi, strerror(errno));
    snprintf(base, sizeof(base), "%#llx", (1ull << 32) - (u64)st.st_size - nvram_size(vm->nvram));
    return device_new(vm->machine, "flash", "nvram", (const char *const[]){ "base", base, NULL },
                      ends, NULL, e);
}
