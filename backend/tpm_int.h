/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TPM_INT_H
#define BACKEND_TPM_INT_H
#include "backend/tpm.h"
#include "backend/tpm_wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct tpm {
    struct loop *lane;
    void (*done)(void *arg, const u8 *p, u32 n);
    void *arg;
    atomic_bool failed;

    pthread_mutex_t lock; /* the control channel, one question at a time */
    int control;
    pid_t pid;  /* 0: not our child */
    char *keep; /* a directory that goes with it; or NULL */

    int data; /* the lane's, as all below */
    struct loop_watch *watch;
    struct loop_timer *late;
    bool busy;
    u8 locality, told; /* of the command; what the TPM was told last */
    u32 n, got;        /* bytes of the command; of the answer so far */
    u8 bytes[TPM_BUFFER];
};

void tpm_fail(struct tpm *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ask and be answered: 0 or an error, which has failed the TPM.  fd: sent along; or -1. */
int tpm_ask(struct tpm *t, enum tpm_control what, struct span body, int fd, u8 *answer, u32 n);

/* tpm_process.c */
int tpm_spawn(struct tpm *t, const char *state, struct err *e);
void tpm_reap(struct tpm *t);
#endif
