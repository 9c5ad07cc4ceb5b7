/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM of a VM whose description has one: swtpm's process, its state beside the overlays, and
 * the device in front of it.  What the TPM of another product held is not in any package.
 */
#include "backend/tpm.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>

int vm_tpm_build(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    struct device_end ends[] = { { NULL, NULL }, { NULL, NULL } };
    char path[4200];
    struct err why = { 0 };
    int r = 0;

    if (!d->tpm)
        return 0;
    if (!vm->how.throwaway) {
        snprintf(path, sizeof(path), "%s/tpm", vm->how.state);
        r = vm_make_state(vm, e);
    }
    if (r)
        return r;
    r = tpm_open(&vm->tpm, vm->how.throwaway ? NULL : path, machine_lane(vm->machine), &why);
    if (r == -ENOENT && !vm->how.must_tpm && !vm->how.saved) {
        note(notes, NOTE_LOST, "TPM", "is not offered: %s", why.text);
        return 0;
    }
    if (r)
        return err_set(e, r, "%s", why.text);
    ends[0] = (struct device_end){ "tpm", vm->tpm };
    return device_new(vm->machine, d->tpm_fifo ? "tpm_tis" : "tpm_crb", "tpm",
                      (const char *const[]){ NULL }, ends, NULL, e);
}
