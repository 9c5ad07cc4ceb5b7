/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that start by EFI: OVMF where distributions put it, its code as the ROM at the top of
 * 4 GiB, its variables in a flash right below.  The variables of a VM are a file of its state
 * directory, made from the firmware's own empty store at the first run, with what means something
 * of those that the package brings.
 *
 * Secure boot is by the same code with Microsoft's keys among the variables.  Firmware that keeps
 * the flash from the guest's kernel wants SMM, which our board does not have: who is root in the
 * guest could change the keys.
 */
#include "backend/nvram.h"
#include "firmware/efi_vars.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EFI_FILE_MAX = 16 << 20 };

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

static const struct efi_place *efi_installed(void)
{
    for (u32 i = 0; i < LEN(efi_places); i++)
        if (!access(efi_places[i].code, R_OK) && !access(efi_places[i].vars, R_OK))
            return &efi_places[i];
    return NULL;
}

/* The file of variables that comes with the VM: of a VMX or a .vbox, or a member of an OVF's. */
static bool efi_package(const struct desc *d, struct desc_file *to)
{
    *to = (struct desc_file){ d->nvram, d->nvram_path, d->nvram_offset, d->nvram_length, NULL };
    for (const struct desc_file *f = d->files; f && d->nvram && !to->path; f = f->next)
        if (!strcmp(f->name, d->nvram))
            *to = *f;
    return to->path != NULL;
}

static int efi_read(const struct desc_file *f, struct buf *to)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    u64 n = f->length;
    ssize_t got = -1;

    if (fd >= 0 && !fstat(fd, &st)) {
        n = n ? n : (u64)st.st_size;
        if (n && n <= EFI_FILE_MAX && buf_room(to, n))
            got = pread(fd, to->p, n, (off_t)f->offset);
    }
    if (fd >= 0)
        close(fd);
    return got == (ssize_t)n && n ? 0 : -EIO;
}

/* Into variables that were only just made. */
static void efi_bring(struct vm *vm, struct notes *notes)
{
    const struct desc *d = vm->how.desc;
    struct desc_file f;
    struct buf b = { 0 };
    struct span from;
    u32 n;

    if (!efi_package(d, &f))
        return;
    if (efi_read(&f, &b)) {
        note(notes, NOTE_LOST, "nvram",
             "\"%s\" cannot be read: the firmware starts with its own "
             "variables",
             f.name);
    } else {
        from = (struct span){ b.p, b.len };
        n = efi_import(nvram_bytes(vm->nvram), nvram_size(vm->nvram), from, d->secure_boot);
        if (efi_form(from) == EFI_UNKNOWN)
            note(notes, NOTE_LOST, "nvram",
                 "\"%s\" has a form that is not known: the firmware "
                 "starts with its own variables",
                 f.name);
        else
            note(notes, NOTE_CHANGED, "nvram",
                 "%u variables of \"%s\" go on: boot entries of "
                 "files, keys, those of systems; the rest is its firmware's own",
                 n, f.name);
    }
    buf_fini(&b);
}

/* Is there a key whose owner decides?  Without one, everything starts. */
static void efi_look(struct vm *vm, struct notes *notes)
{
    struct span store = { nvram_bytes(vm->nvram), nvram_size(vm->nvram) };
    struct efi_var v;

    if (vm->how.desc->secure_boot && !efi_find(store, efi_global, "PK", &v))
        note(notes, NOTE_LOST, "secure boot",
             "the VM's variables hold no keys for it: what is not signed starts too");
}

int vm_efi_open(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    const struct efi_place *p;
    const char *vars;
    char path[4200];
    bool fresh = true;
    int r = 0;

    if (d->firmware != DESC_EFI || vm->how.kernel || vm->how.bios)
        return 0;
    p = efi_installed();
    if (!p)
        return err_set(e, -ENOENT,
                       "%s starts by EFI, and its firmware is not installed: %s is missing "
                       "(package ovmf)",
                       d->name, efi_places[0].code);
    vars = d->secure_boot && p->keys && !access(p->keys, R_OK) ? p->keys : p->vars;
    if (vm->how.throwaway) {
        r = nvram_open(&vm->nvram, NULL, vars, e);
    } else {
        snprintf(path, sizeof(path), "%s/nvram.fd", vm->how.state);
        fresh = access(path, F_OK) != 0;
        r = vm_make_state(vm, e);
        if (!r)
            r = nvram_open(&vm->nvram, path, vars, e);
    }
    if (r)
        return r;
    vm->efi = p->code;
    if (fresh && !vm->how.saved)
        efi_bring(vm, notes);
    efi_look(vm, notes);
    return 0;
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
