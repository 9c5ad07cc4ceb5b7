/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TPM_H
#define BACKEND_TPM_H
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * A TPM 2.0 in a process of its own: swtpm, which we start, with a socket for control and one for
 * commands.  When it ends, hangs or lies, that is said once and this TPM has failed: every
 * command from then on is answered by nothing.
 */
struct tpm;
struct loop;

enum { TPM_BUFFER = 4096, TPM_HEADER = 10, TPM_LOCALITIES = 5 };

/*
 * state: the directory of what the TPM keeps, made when it is not there; NULL: it keeps nothing.
 * -ENOENT: swtpm is not installed.
 */
int tpm_open(struct tpm **t, const char *state, struct loop *lane, struct err *e);
/* The same with who answers on the other end of a socket, which becomes ours; tests. */
int tpm_open_socket(struct tpm **t, int control, struct loop *lane, struct err *e);
void tpm_close(struct tpm *t); /* the lane no longer runs; NULL is allowed */

/* done, on the lane, no lock held: n bytes answer the command; 0: the TPM has failed. */
void tpm_attach(struct tpm *t, void (*done)(void *arg, const u8 *p, u32 n), void *arg);
/* One command at a time, at most TPM_BUFFER bytes, copied.  Any thread. */
void tpm_send(struct tpm *t, u8 locality, const u8 *p, u32 n);
/* The power-on of a TPM: its registers are lost, what it keeps stays.  No command under way. */
void tpm_start(struct tpm *t);
bool tpm_failed(struct tpm *t);

/* All that it holds, as bytes; and back, also into one with another directory.  Nothing under way. */
int tpm_save(struct tpm *t, struct buf *to, struct err *e);
int tpm_load(struct tpm *t, struct span from, struct err *e);
#endif
