/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VMTOOLS_H
#define BACKEND_VMTOOLS_H
#include "backend/agent.h"
#include "base/err.h"
#include "base/types.h"

/*
 * What VMware's tools in a guest talk to: the messages of GuestRPC, whatever carries them (the
 * backdoor, a stream over VMCI).  The guest asks over RPCI and is answered at once; the host
 * asks over TCLO, where the guest polls.  It is one wire side of an agent.
 */
struct vmtools;

enum { VMTOOLS_MESSAGE = 65536, VMTOOLS_SESSIONS = 12 };

struct vmtools_make {
    struct agent *agent;
    const char *state; /* the file that keeps the variables; NULL: nowhere */
    u64 cpu_mhz, memory_mib;
};
/* VM thread, like all that is not said to be of any thread. */
int vmtools_new(struct vmtools **t, const struct vmtools_make *how, struct err *e);
void vmtools_free(struct vmtools *t);
/* The guest starts anew. */
void vmtools_reset(struct vmtools *t);

/*
 * Any thread, may be called with a lock of the carrier held: one message of the guest, and its
 * answer: how many bytes.
 */
u32 vmtools_rpci(struct vmtools *t, const u8 *p, u32 n, u8 to[VMTOOLS_MESSAGE]);
/* TCLO: session is the carrier's number, below VMTOOLS_SESSIONS.  Any thread. */
void vmtools_tclo_open(struct vmtools *t, u32 session);
void vmtools_tclo_close(struct vmtools *t, u32 session);
u32 vmtools_tclo_next(struct vmtools *t, u32 session, u8 to[VMTOOLS_MESSAGE]); /* 0: none */
void vmtools_tclo_answer(struct vmtools *t, u32 session, const u8 *p, u32 n);
/* Calls wake(arg, session), any thread, when a session has something new: a carrier that need
 * not be polled. */
void vmtools_on_wake(struct vmtools *t, void (*wake)(void *arg, u32 session), void *arg);

/* Variables "guestinfo.KEY", without the prefix: any thread. */
enum { GUESTINFO_KEY = 256, GUESTINFO_VALUE = 65000 };
int vmtools_set(struct vmtools *t, const char *key, const char *value); /* NULL: none any more */
/* Like vmtools_set, for what is told anew at each start: not kept in the file. */
int vmtools_tell(struct vmtools *t, const char *key, const char *value);
/* A copy, for free(); NULL when there is none. */
char *vmtools_get(struct vmtools *t, const char *key);
/* In order, lock held. */
void vmtools_each(struct vmtools *t, void (*one)(void *arg, const char *key, const char *value),
                  void *arg);

/* Options that the tools and backdoor command 13 read.  Any thread. */
enum { VMTOOLS_SYNC_TIME = 1 };
u32 vmtools_options(struct vmtools *t);
void vmtools_options_set(struct vmtools *t, u32 options);

/*
 * The clipboard, texts in UTF-8 of at most VMTOOLS_CLIP bytes.  Any thread.  set: a user of the host
 * copied it; fetch: the guest takes it, once; said: the guest's user copied it; get: a copy of that,
 * for free().  told is called with a lock held, at the next text of the guest; NULL: nobody.
 */
enum { VMTOOLS_CLIP = 65532 };
int vmtools_clip_set(struct vmtools *t, const char *text);
bool vmtools_clip_fetch(struct vmtools *t, u8 to[VMTOOLS_CLIP], u32 *n);
void vmtools_clip_said(struct vmtools *t, const u8 *p, u32 n);
char *vmtools_clip_get(struct vmtools *t);
void vmtools_on_clip(struct vmtools *t, void (*told)(void *arg, const char *text), void *arg);

/* The balloon: what the host wants the guest to give, and what it has given; 4 KiB pages. */
void vmtools_balloon_want(struct vmtools *t, u64 pages);
u64 vmtools_balloon_target(struct vmtools *t);
void vmtools_balloon_told(struct vmtools *t, u64 pages);
u64 vmtools_balloon_pages(struct vmtools *t);
#endif
