/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_TPM_INT_H
#define DEVICE_CHIPSET_TPM_INT_H
#include "backend/tpm.h"
#include "machine/machine.h"

/*
 * What both interfaces of a TPM do with a command: it goes to the TPM, and comes back as its
 * answer, in the same buffer.  Domain held.
 */
#define TPM_BASE 0xfed40000u
enum { TPM_VENDOR = 0x1014, TPM_DEVICE = 1, TPM_REVISION = 1 }; /* as TPMs of VMs go by */

struct tpm_job {
    struct device *dev;
    struct tpm *end; /* NULL: a TPM that has failed */
    u8 *buffer;      /* of `room` bytes, in the device's state */
    u32 room;
    bool busy;
    void (*answered)(struct device *d, u32 n); /* the answer is in the buffer */
};

void tpm_job_create(struct tpm_job *j, struct device *d);
/* The command in the buffer; answered is called at once or later, on another thread. */
void tpm_job_start(struct tpm_job *j, u8 locality);
void tpm_job_wait(struct tpm_job *j); /* until nothing is under way */
void tpm_job_reset(struct tpm_job *j);
#endif
