/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H
#include "base/err.h"
#include "base/types.h"

/*
 * An event loop: descriptors, timers and calls posted from other threads.  One thread runs
 * it; only loop_post, loop_call and loop_stop may be called from others.  Built on libevent.
 */
struct loop;
struct loop_watch;
struct loop_timer;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };

int loop_new(struct loop **l, struct err *e);
void loop_free(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop */
void loop_once(struct loop *l); /* waits for one round of events */
void loop_stop(struct loop *l); /* any thread; also before loop_run */

/* fn runs on the loop's thread, in the order of posting.  Any thread; never lost. */
int loop_post(struct loop *l, void (*fn)(void *arg), void *arg); /* 0 or -ENOMEM */

/* fn runs on the loop's thread, and has run on return.  Runs here when this is that thread
 * or no thread runs the loop.  Any thread, no lock held. */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

/* Calls fn while fd is ready.  The loop does not own fd. */
int loop_watch_add(struct loop *l, int fd, u32 events, void (*fn)(void *arg, u32 events), void *arg,
                   struct loop_watch **w);
void loop_watch_set(struct loop_watch *w, u32 events); /* 0 pauses it */
void loop_watch_drop(struct loop_watch *w);

/* Calls fn once, at or soon after host time `at` (loop_now); set again to repeat. */
int loop_timer_add(struct loop *l, void (*fn)(void *arg), void *arg, struct loop_timer **t);
void loop_timer_set(struct loop_timer *t, i64 at_ns);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_drop(struct loop_timer *t);

i64 loop_now(void); /* host monotonic time, ns; any thread */
#endif
