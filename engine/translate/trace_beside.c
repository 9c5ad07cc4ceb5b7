/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traces made beside the guest: the vCPU that found a hot path leaves it here and goes on.  The
 * thread is started for the first one; it makes a trace under the engine's lock, as any vCPU
 * would, so that what is taken out of the tables meanwhile, and the emptying of the cache, are
 * seen.  Where there is one host processor, or lock-step compares, it stays the vCPU's work.
 *
 * How much there is to do is bounded by the counters of loops, and by the few paths that wait:
 * what does not fit is found hot again.
 */
#include "engine/translate/trace_int.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum { BESIDE_PATHS = 4 };

struct trace_beside {
    pthread_t thread;
    pthread_cond_t more;
    bool wanted, started, stop;
    u32 n; /* paths that wait, the oldest first */
    struct {
        struct block *head;
        struct trace_path path;
    } at[BESIDE_PATHS];
};

static void *beside_run(void *arg)
{
    struct engine *g = arg;
    struct trace_beside *s = g->beside;

    prctl(PR_SET_NAME, "traces");
    pthread_mutex_lock(&g->lock);
    while (!s->stop) {
        struct trace_path path;
        struct block *head = s->at[0].head;

        if (!s->n) {
            pthread_cond_wait(&s->more, &g->lock);
            continue;
        }
        path = s->at[0].path;
        s->n--;
        for (u32 i = 0; i < s->n; i++)
            s->at[i] = s->at[i + 1];
        head->trace_waits = false;
        if (!head->dead)
            trace_make(g, NULL, head, &path);
        pthread_mutex_unlock(&g->lock); /* vCPUs that wait for it come first */
        sched_yield();
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static bool beside_start(struct engine *g)
{
    struct trace_beside *s = g->beside;
    sigset_t all, old;

    if (s->started || !s->wanted)
        return s->started;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    s->started = !pthread_create(&s->thread, NULL, beside_run, g);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->wanted = s->started;
    return s->started;
}

bool trace_leave(struct engine *g, struct block *head, const struct trace_path *p)
{
    struct trace_beside *s = g->beside;

    if (!s || !beside_start(g))
        return false;
    if (s->n == BESIDE_PATHS)
        return true;
    /* by this thread, which has no store to them under way */
    for (u32 i = 0; i < p->n; i++)
        tlb_drop_writes(g, p->gpa[i] & -(u64)PAGE & ~PATH_GLOBAL);
    s->at[s->n].head = head;
    s->at[s->n++].path = *p;
    head->trace_waits = true;
    pthread_cond_signal(&s->more);
    return true;
}

void trace_beside_forget(struct engine *g)
{
    if (g->beside)
        g->beside->n = 0;
}

int trace_beside_open(struct engine *g)
{
    cpu_set_t cpus;

    g->beside = calloc(1, sizeof(*g->beside));
    if (!g->beside)
        return -ENOMEM;
    pthread_cond_init(&g->beside->more, NULL);
    g->beside->wanted = !g->options.check && !g->options.traces_wait &&
                        !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) > 1;
    return 0;
}

void trace_beside_close(struct engine *g)
{
    struct trace_beside *s = g->beside;

    if (!s)
        return;
    pthread_mutex_lock(&g->lock);
    s->stop = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&g->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->more);
    free(s);
    g->beside = NULL;
}
