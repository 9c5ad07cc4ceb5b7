/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_DIRECT_H
#define ENGINE_TRANSLATE_DIRECT_H
#include "engine/translate/translate_int.h"

/*
 * Direct execution: user code of an address space that computes much and calls the kernel
 * seldom runs on the host processor as it is, in a sandbox process that maps guest pages at
 * the guest's own addresses.  Everything that stops it is done by x86_step on the vCPU's state.
 *
 * A sandbox is a TLB of one address space: what it maps it may keep until the guest flushes.
 */
enum direct_did { DIRECT_NOT, DIRECT_RAN, DIRECT_SHUTDOWN, DIRECT_BROKEN };

/* direct.c; the vCPU's thread */
int direct_open(struct vcpu *v);
void direct_close(struct vcpu *v);
void direct_sample(struct vcpu *v); /* an event came while user code ran */
/* v->direct_on and CPL 3: run it, if this address space is one of them. */
enum direct_did direct_run(struct vcpu *v);
void direct_flush(struct vcpu *v, enum x86_flush how, u64 lin);
void direct_poke(struct vcpu *v); /* any thread */

/* direct_pages.c: what a sandbox maps */
struct direct_page {
    u64 lin; /* DIRECT_FREE, DIRECT_GONE or a page */
    u64 gpa; /* and SANDBOX_* rights */
};
struct direct_pages {
    struct direct_page *page;
    u32 room, used, live; /* used: entries that are not free */
};
struct sandbox;
enum { DIRECT_PAGES_MAX = 1 << 16 };
u32 direct_pages_find(const struct direct_pages *p, u64 lin); /* rights; 0: not mapped */
/* Maps what the guest's tables map around lin, as far as it may be seen there. */
int direct_pages_fill(struct vcpu *v, struct direct_pages *p, struct sandbox *s, u64 lin);
/* How many of its pages are not in a file yet; ask: they are to come there. */
u32 direct_pages_apart(struct vcpu *v, bool ask);
/* Unmaps what is not as it was: one page, all. */
int direct_pages_check(struct vcpu *v, struct direct_pages *p, struct sandbox *s, u64 lin);
int direct_pages_check_all(struct vcpu *v, struct direct_pages *p, struct sandbox *s);
int direct_pages_drop(struct vcpu *v, struct direct_pages *p, struct sandbox *s);
void direct_pages_free(struct vcpu *v, struct direct_pages *p); /* the sandbox is no more */
#endif
