/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between those who ask the guest's tools for something and those who know how to say it to
 * them: jobs with their patience, and what the guest has told of itself.
 */
#include "backend/agent.h"
#include "base/loop.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_PATIENCE_NS ((i64)60 * 1000000000)
enum { AGENT_PORTS = 4, AGENT_JOBS = 64, AGENT_ARGS = 256 };

struct agent_port {
    struct agent *agent;
    const struct agent_side *side;
    void *arg;
    struct agent_info info;
};

struct agent_job {
    struct agent *agent;
    struct agent_port *port;
    struct agent_ask ask;
    char *texts[4]; /* owned: user, password, path, directory */
    char **argv;
    void *own;
    struct loop_timer *timer;
    bool ended, starting;
    int r; /* ended while starting: told by the timer */
    u32 status;
    char text[240];
};

struct agent {
    struct loop *loop;
    pthread_mutex_t lock; /* guards ports' info */
    struct agent_port *ports[AGENT_PORTS];
    struct agent_job *jobs[AGENT_JOBS];
};

int agent_new(struct agent **out, struct loop *l, struct err *e)
{
    struct agent *a = calloc(1, sizeof(*a));

    if (!a)
        return err_set(e, -ENOMEM, "no memory for the guest agent");
    a->loop = l;
    pthread_mutex_init(&a->lock, NULL);
    *out = a;
    return 0;
}

/* ---- the wire sides ---- */

int agent_plug(struct agent *a, const struct agent_side *side, void *arg, struct agent_port **out,
               struct err *e)
{
    struct agent_port *p = calloc(1, sizeof(*p));
    u32 i = 0;

    while (i < AGENT_PORTS && a->ports[i])
        i++;
    if (!p || i == AGENT_PORTS) {
        free(p);
        return err_set(e, -ENOMEM, "no place for one more guest agent");
    }
    p->agent = a;
    p->side = side;
    p->arg = arg;
    snprintf(p->info.name, sizeof(p->info.name), "%s", side->name);
    pthread_mutex_lock(&a->lock);
    a->ports[i] = p;
    pthread_mutex_unlock(&a->lock);
    *out = p;
    return 0;
}

struct loop *agent_loop(struct agent *a)
{
    return a->loop;
}

void agent_can_set(struct agent_port *p, u32 can)
{
    pthread_mutex_lock(&p->agent->lock);
    p->info.can = can;
    pthread_mutex_unlock(&p->agent->lock);
}

struct agent_info *agent_info_lock(struct agent_port *p)
{
    pthread_mutex_lock(&p->agent->lock);
    return &p->info;
}

void agent_info_unlock(struct agent_port *p)
{
    p->info.heard_ns = loop_now();
    pthread_mutex_unlock(&p->agent->lock);
}

/* ---- what is known ---- */

/* Lock held: the first that can do one of these verbs; any: whoever has been heard of. */
static struct agent_port *agent_find(struct agent *a, u32 verbs)
{
    struct agent_port *heard = NULL;

    for (u32 i = 0; i < AGENT_PORTS; i++) {
        struct agent_port *p = a->ports[i];

        if (p && (p->info.can & verbs))
            return p;
        if (p && p->info.heard_ns && !heard)
            heard = p;
    }
    return verbs == ~0u ? heard : NULL;
}

u32 agent_can(struct agent *a)
{
    u32 can = 0;

    pthread_mutex_lock(&a->lock);
    for (u32 i = 0; i < AGENT_PORTS; i++)
        can |= a->ports[i] ? a->ports[i]->info.can : 0;
    pthread_mutex_unlock(&a->lock);
    return can;
}

void agent_info(struct agent *a, struct agent_info *info)
{
    struct agent_port *p;

    memset(info, 0, sizeof(*info));
    pthread_mutex_lock(&a->lock);
    p = agent_find(a, ~0u);
    if (p)
        *info = p->info;
    pthread_mutex_unlock(&a->lock);
}

/* ---- jobs ---- */

static void agent_job_free(struct agent_job *job)
{
    struct agent *a = job->agent;

    for (u32 i = 0; i < AGENT_JOBS; i++)
        if (a->jobs[i] == job)
            a->jobs[i] = NULL;
    loop_timer_drop(job->timer);
    for (u32 i = 0; i < LEN(job->texts); i++)
        free(job->texts[i]);
    for (u32 i = 0; job->argv && job->argv[i]; i++)
        free(job->argv[i]);
    free(job->argv);
    free(job);
}

static void agent_job_tell(struct agent_job *job, int r, const char *text, u32 status)
{
    void (*done)(void *, int, const char *, u32) = job->ask.done;
    void *arg = job->ask.arg;
    char copy[sizeof(job->text)];

    snprintf(copy, sizeof(copy), "%s", text);
    agent_job_free(job);
    if (done)
        done(arg, r, copy, status);
}

static void agent_job_stop(struct agent_job *job)
{
    if (!job->ended && job->port)
        job->port->side->stop(job->port->arg, job);
    job->ended = true;
}

static void agent_job_timer(void *arg)
{
    struct agent_job *job = arg;
    bool ended = job->ended;

    agent_job_stop(job);
    if (ended)
        agent_job_tell(job, job->r, job->text, job->status);
    else
        agent_job_tell(job, -ETIMEDOUT, "the tools in the guest did not answer in time", 0);
}

void agent_job_lives(struct agent_job *job)
{
    i64 ns = job->ask.patience_ns ? job->ask.patience_ns : AGENT_PATIENCE_NS;

    if (!job->ended)
        loop_timer_set(job->timer, loop_now() + ns);
}

void agent_done(struct agent_job *job, int r, u32 status, const char *fmt, ...)
{
    va_list ap;

    if (job->ended)
        return;
    job->ended = true;
    if (fmt) {
        va_start(ap, fmt);
        vsnprintf(job->text, sizeof(job->text), fmt, ap);
        va_end(ap);
    }
    job->r = r;
    job->status = status;
    if (job->starting)
        loop_timer_set(job->timer, loop_now());
    else
        agent_job_tell(job, r, job->text, status);
}

static int agent_copy(char **to, const char **ask)
{
    if (!*ask)
        return 0;
    *to = strdup(*ask);
    *ask = *to;
    return *to ? 0 : -ENOMEM;
}

static int agent_job_copy(struct agent_job *job)
{
    struct agent_ask *ask = &job->ask;
    const char *const *argv = ask->argv;
    u32 n = 0;
    int r = agent_copy(&job->texts[0], &ask->user);

    r = r ? r : agent_copy(&job->texts[1], &ask->password);
    r = r ? r : agent_copy(&job->texts[2], &ask->path);
    r = r ? r : agent_copy(&job->texts[3], &ask->directory);
    if (r || !argv)
        return r;
    while (n < AGENT_ARGS && argv[n])
        n++;
    if (!n || n == AGENT_ARGS)
        return -E2BIG;
    job->argv = calloc(n + 1, sizeof(*job->argv));
    for (u32 i = 0; job->argv && i < n; i++)
        if (!(job->argv[i] = strdup(argv[i])))
            return -ENOMEM;
    ask->argv = (const char *const *)job->argv;
    return job->argv ? 0 : -ENOMEM;
}

static const char *const agent_verbs[AGENT_VERBS] = {
    [AGENT_POWEROFF] = "power off",
    [AGENT_REBOOT] = "reboot",
    [AGENT_SUSPEND] = "suspend",
    [AGENT_RESUME] = "resume",
    [AGENT_FREEZE] = "freeze its file systems",
    [AGENT_THAW] = "thaw its file systems",
    [AGENT_TIME] = "set its clock",
    [AGENT_SCREEN] = "set its screen's size",
    [AGENT_EXEC] = "run a program",
    [AGENT_PUT] = "take a file",
    [AGENT_GET] = "give a file",
};

int agent_start(struct agent *a, const struct agent_ask *ask, struct agent_job **out, struct err *e)
{
    struct agent_job *job;
    struct agent_port *p;
    u32 i = 0;
    int r;

    pthread_mutex_lock(&a->lock);
    p = agent_find(a, 1u << ask->verb);
    pthread_mutex_unlock(&a->lock);
    if (!p)
        return err_set(e, -EOPNOTSUPP, "no tools in the guest that can %s", agent_verbs[ask->verb]);
    while (i < AGENT_JOBS && a->jobs[i])
        i++;
    if (i == AGENT_JOBS)
        return err_set(e, -EBUSY, "the tools in the guest have too much to do");
    job = calloc(1, sizeof(*job));
    if (!job)
        return err_set(e, -ENOMEM, "out of memory");
    job->agent = a;
    job->port = p;
    job->ask = *ask;
    r = agent_job_copy(job);
    r = r ? r : loop_timer_add(a->loop, agent_job_timer, job, &job->timer);
    if (r) {
        agent_job_free(job);
        return err_set(e, r, r == -E2BIG ? "too many arguments" : "out of memory");
    }
    a->jobs[i] = job;
    agent_job_lives(job);
    if (out)
        *out = job;
    job->starting = true;
    p->side->start(p->arg, job);
    job->starting = false;
    return 0;
}

void agent_cancel(struct agent_job *job)
{
    agent_job_stop(job);
    agent_job_free(job);
}

void agent_unplug(struct agent_port *p)
{
    struct agent *a = p->agent;

    for (u32 i = 0; i < AGENT_JOBS; i++) {
        struct agent_job *job = a->jobs[i];

        if (!job || job->port != p)
            continue;
        agent_job_stop(job);
        agent_job_tell(job, -ECANCELED, "the guest's tools are gone", 0);
    }
    pthread_mutex_lock(&a->lock);
    for (u32 i = 0; i < AGENT_PORTS; i++)
        if (a->ports[i] == p)
            a->ports[i] = NULL;
    pthread_mutex_unlock(&a->lock);
    free(p);
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    for (u32 i = 0; i < AGENT_PORTS; i++)
        if (a->ports[i])
            agent_unplug(a->ports[i]);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- a job, as its wire side sees it ---- */

const struct agent_ask *agent_job_ask(const struct agent_job *job)
{
    return &job->ask;
}

void agent_job_own_set(struct agent_job *job, void *own)
{
    job->own = own;
}

void *agent_job_own(const struct agent_job *job)
{
    return job->own;
}

int agent_job_take(struct agent_job *job, u8 *p, u32 room)
{
    return job->ask.take ? job->ask.take(job->ask.arg, p, room) : 0;
}

int agent_job_give(struct agent_job *job, u32 stream, const void *p, u32 n)
{
    return n && job->ask.give ? job->ask.give(job->ask.arg, stream, p, n) : 0;
}
