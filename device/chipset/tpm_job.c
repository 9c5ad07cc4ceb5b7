/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of a guest to its TPM, one at a time.  TPM 2.0 Library, part 1, 18 (structure). */
#include "base/bytes.h"
#include "device/chipset/tpm_int.h"

/* A command is as long as its header says, at most what the buffer holds. */
static u32 tpm_job_size(const struct tpm_job *j)
{
    u32 n = be32(j->buffer + 2);

    return n < TPM_HEADER ? TPM_HEADER : n > j->room ? j->room : n;
}

static void tpm_job_answer(struct tpm_job *j, const u8 *p, u32 n)
{
    static const u8 failure[TPM_HEADER] = { 0x80, 0x01, 0, 0, 0, TPM_HEADER, 0, 0, 0x01, 0x01 };

    if (!n || n > j->room) {
        p = failure;
        n = sizeof(failure);
    }
    memcpy(j->buffer, p, n);
    j->busy = false;
    j->answered(j->dev, n);
}

/* The lane, no lock held. */
static void tpm_job_done(void *arg, const u8 *p, u32 n)
{
    struct tpm_job *j = arg;

    domain_lock(j->dev->domain);
    tpm_job_answer(j, p, n);
    domain_wake(j->dev->domain);
    domain_unlock(j->dev->domain);
}

void tpm_job_create(struct tpm_job *j, struct device *d)
{
    j->dev = d;
    j->end = device_end(d, "tpm");
    if (j->end)
        tpm_attach(j->end, tpm_job_done, j);
}

void tpm_job_start(struct tpm_job *j, u8 locality)
{
    j->busy = true;
    if (j->end)
        tpm_send(j->end, locality, j->buffer, tpm_job_size(j));
    else
        tpm_job_answer(j, NULL, 0);
}

void tpm_job_wait(struct tpm_job *j)
{
    while (j->busy)
        domain_wait(j->dev->domain);
}

void tpm_job_reset(struct tpm_job *j)
{
    tpm_job_wait(j);
    if (j->end)
        tpm_start(j->end);
}
