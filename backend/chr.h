/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_CHR_H
#define BACKEND_CHR_H
#include "base/err.h"
#include "base/types.h"

/*
 * The host end of a serial line.  chr_put from any thread; input arrives on the loop given
 * at open, through take, which answers how many bytes it took.
 */
struct chr;
struct loop;

int chr_open_null(struct chr **c, struct err *e);
int chr_open_buf(struct chr **c, u32 keep, struct err *e); /* tests: keeps what was written */
int chr_open_fd(struct chr **c, int in, int out, struct loop *l, struct err *e); /* -1: none */
void chr_close(
    struct chr *c); /* on the loop's thread, or when it no longer runs; writes the rest */
/* Waits for a moment when the host is slow: nothing is lost while it reads at all. */
void chr_put(struct chr *c, const u8 *p, u32 n);
/* Can n bytes be put without waiting?  When not, the function set by chr_on_room tells. */
bool chr_room(struct chr *c, u32 n);
void chr_on_room(struct chr *c, void (*room)(void *arg), void *arg); /* called on the loop */
/* can() tells how many bytes the device can take now; take() gives them.  No lock is held. */
void chr_attach(struct chr *c, u32 (*can)(void *arg), void (*take)(void *arg, const u8 *p, u32 n),
                void *arg);
void chr_more(struct chr *c);                    /* the device can take input again; any thread */
const u8 *chr_kept(struct chr *c, u32 *n);       /* chr_open_buf: what was written */
u32 chr_feed(struct chr *c, const u8 *p, u32 n); /* chr_open_buf: input; how much was taken */
#endif
