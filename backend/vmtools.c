/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's half of GuestRPC: sessions in which the guest polls for commands (TCLO), and jobs of
 * the agent as tasks that push commands and wait for answers.
 *
 * Messages come on vCPU threads, under the lock; what they mean for a task is posted to the VM
 * thread.  After open-vm-tools' lib/rpcIn and lib/rpcChannel.
 */
#include "backend/vmtools_int.h"
#include "base/loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMTOOLS_BEAT_NS ((i64)2 * 1000000000)
enum { VMTOOLS_SAID = 64 };

static void queue_add(struct vmtools_queue *q, struct vmtools_cmd *c)
{
    c->next = NULL;
    if (q->last)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
}

static struct vmtools_cmd *queue_take(struct vmtools_queue *q)
{
    struct vmtools_cmd *c = q->first;

    if (c) {
        q->first = c->next;
        if (!q->first)
            q->last = NULL;
    }
    return c;
}

static void cmd_free(struct vmtools_cmd *c)
{
    if (c) {
        free(c->answer);
        free(c);
    }
}

/* ---- to the VM thread ---- */

static struct task *task_find(struct vmtools *t, u64 id)
{
    struct task *k = t->tasks;

    while (k && k->id != id)
        k = k->next;
    return k;
}

static void vmtools_hear(struct vmtools *t, struct vmtools_said *s)
{
    struct task *next;

    for (struct task *k = t->tasks; k; k = next) {
        next = k->next;
        if (k->said)
            k->said(k, s->event, s->text);
    }
}

static void vmtools_drain(void *arg)
{
    struct vmtools *t = arg;
    struct vmtools_cmd *c, *c_next;
    struct vmtools_said *s, *s_next;

    pthread_mutex_lock(&t->lock);
    t->posted = false;
    c = t->answered.first;
    t->answered = (struct vmtools_queue){ NULL, NULL };
    s = t->said;
    t->said = NULL;
    t->said_last = &t->said;
    t->nsaid = 0;
    pthread_mutex_unlock(&t->lock);
    for (; c; c = c_next) {
        struct task *k = task_find(t, c->task);

        c_next = c->next;
        if (k) {
            agent_job_lives(k->job);
            if (k->answer)
                k->answer(k, c->ok, c->answer, c->answer_len);
        }
        cmd_free(c);
    }
    for (; s; s = s_next) {
        s_next = s->next;
        vmtools_hear(t, s);
        free(s);
    }
}

static void vmtools_post(struct vmtools *t)
{
    if (!t->posted)
        t->posted = !loop_post(t->loop, vmtools_drain, t);
}

void vmtools_say(struct vmtools *t, enum vmtools_event event, const u8 *p, u32 n)
{
    struct vmtools_said *s;

    if (t->nsaid >= VMTOOLS_SAID || !(s = calloc(1, sizeof(*s))))
        return;
    s->event = event;
    memcpy(s->text, p, min_u64(n, sizeof(s->text) - 1));
    *t->said_last = s;
    t->said_last = &s->next;
    t->nsaid++;
    vmtools_post(t);
}

/* ---- sessions ---- */

int vmtools_push_session(struct vmtools *t, u32 session, u64 task, const void *p, u32 n)
{
    struct vmtools_cmd *c = n > VMTOOLS_MESSAGE ? NULL : calloc(1, sizeof(*c) + n);

    if (!c)
        return -ENOMEM;
    c->task = task;
    c->len = n;
    memcpy(c->p, p, n);
    queue_add(&t->session[session].queue, c);
    return 0;
}

int vmtools_push(struct vmtools *t, u64 task, const void *p, u32 n)
{
    void (*wake)(void *, u32) = NULL;
    int r = -ENOTCONN;
    u32 i = 0;

    pthread_mutex_lock(&t->lock);
    while (i < VMTOOLS_SESSIONS && !t->session[i].main)
        i++;
    if (i < VMTOOLS_SESSIONS)
        r = vmtools_push_session(t, i, task, p, n);
    wake = t->wake;
    pthread_mutex_unlock(&t->lock);
    if (!r && wake)
        wake(t->wake_arg, i);
    return r;
}

int vmtools_push_text(struct vmtools *t, u64 task, const char *text)
{
    return vmtools_push(t, task, text, (u32)strlen(text));
}

void vmtools_on_wake(struct vmtools *t, void (*wake)(void *arg, u32 session), void *arg)
{
    pthread_mutex_lock(&t->lock);
    t->wake = wake;
    t->wake_arg = arg;
    pthread_mutex_unlock(&t->lock);
}

static void session_end(struct vmtools *t, struct vmtools_session *s)
{
    struct vmtools_cmd *c;

    if (s->sent)
        queue_add(&t->answered, s->sent); /* without an answer: not ok */
    while ((c = queue_take(&s->queue)))
        queue_add(&t->answered, c);
    if (s->main) {
        t->registered = false;
        agent_can_set(t->port, 0);
    }
    memset(s, 0, sizeof(*s));
    if (t->answered.first)
        vmtools_post(t);
}

void vmtools_tclo_open(struct vmtools *t, u32 session)
{
    struct vmtools_session *s = &t->session[session];

    pthread_mutex_lock(&t->lock);
    session_end(t, s);
    s->open = true;
    s->heard_ns = loop_now();
    vmtools_push_session(t, session, 0, "reset", 5);
    pthread_mutex_unlock(&t->lock);
}

void vmtools_tclo_close(struct vmtools *t, u32 session)
{
    pthread_mutex_lock(&t->lock);
    session_end(t, &t->session[session]);
    pthread_mutex_unlock(&t->lock);
}

u32 vmtools_tclo_next(struct vmtools *t, u32 session, u8 to[VMTOOLS_MESSAGE])
{
    struct vmtools_session *s = &t->session[session];
    u32 n = 0;

    pthread_mutex_lock(&t->lock);
    s->heard_ns = loop_now();
    if (!s->sent) {
        s->sent = queue_take(&s->queue);
        if (s->sent) {
            n = s->sent->len;
            memcpy(to, s->sent->p, n);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* What vmtoolsd, the service, is told first; the desktop's half calls itself otherwise. */
static void session_greets(struct vmtools *t, u32 session, const u8 *p, u32 n)
{
    static const char *const first[] = { "Capabilities_Register", "Set_Option broadcastIP 1",
                                         "Set_Option enableDnD 0", "Set_Option copypaste 0" };
    struct vmtools_session *s = &t->session[session];

    if (n < 11 || memcmp(p, "ATR toolbox", 11) || (n > 11 && p[11] && p[11] != ' '))
        return;
    for (u32 i = 0; i < VMTOOLS_SESSIONS; i++)
        t->session[i].main = false;
    s->main = true;
    for (u32 i = 0; i < LEN(first); i++)
        vmtools_push_session(t, session, 0, first[i], (u32)strlen(first[i]));
    if (atomic_load(&t->options) & VMTOOLS_SYNC_TIME)
        vmtools_push_session(t, session, 0, "Set_Option synctime 1", 21);
    t->registered = true;
    vmtools_capable(t);
}

void vmtools_tclo_answer(struct vmtools *t, u32 session, const u8 *p, u32 n)
{
    struct vmtools_session *s = &t->session[session];
    struct vmtools_cmd *c;
    u32 word;

    pthread_mutex_lock(&t->lock);
    s->heard_ns = loop_now();
    s->pinged = false;
    c = s->sent;
    s->sent = NULL;
    if (c) {
        c->ok = n >= 3 && !memcmp(p, "OK ", 3);
        word = c->ok ? 3 : n >= 6 && !memcmp(p, "ERROR ", 6) ? 6 : 0;
        if (c->len == 5 && !memcmp(c->p, "reset", 5) && c->ok)
            session_greets(t, session, p + 3, n - 3);
        c->answer = malloc(n - word + 1);
        if (c->answer) {
            memcpy(c->answer, p + word, n - word);
            c->answer[n - word] = 0;
            c->answer_len = n - word;
        } else {
            c->ok = false;
        }
        if (c->task)
            queue_add(&t->answered, c);
        else
            cmd_free(c);
        if (t->answered.first)
            vmtools_post(t);
    }
    pthread_mutex_unlock(&t->lock);
    agent_info_lock(t->port);
    agent_info_unlock(t->port);
}

void vmtools_capable(struct vmtools *t)
{
    u32 can = 1 << AGENT_FREEZE | 1 << AGENT_THAW | 1 << AGENT_TIME | 1 << AGENT_EXEC |
              1 << AGENT_PUT | 1 << AGENT_GET;

    if (t->can_state)
        can |= 1 << AGENT_POWEROFF | 1 << AGENT_REBOOT | 1 << AGENT_SUSPEND | 1 << AGENT_RESUME;
    if (t->can_screen)
        can |= 1 << AGENT_SCREEN;
    agent_can_set(t->port, t->registered ? can : 0);
}

/* ---- tasks ---- */

static void task_free(struct task *k)
{
    struct task **at = &k->tools->tasks;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    if (k->fini)
        k->fini(k);
    free(k);
}

void task_done(struct task *k, int r, u32 status, const char *text)
{
    struct agent_job *job = k->job;

    task_free(k);
    agent_done(job, r, status, text ? "%s" : NULL, text);
}

static void vmtools_start(void *arg, struct agent_job *job)
{
    struct vmtools *t = arg;
    struct task *k = calloc(1, sizeof(*k));

    if (!k) {
        agent_done(job, -ENOMEM, 0, "out of memory");
        return;
    }
    k->tools = t;
    k->job = job;
    k->ask = agent_job_ask(job);
    k->id = ++t->tasks_made;
    k->next = t->tasks;
    t->tasks = k;
    agent_job_own_set(job, k);
    if (k->ask->verb == AGENT_EXEC)
        vmtools_exec(k);
    else if (k->ask->verb == AGENT_PUT || k->ask->verb == AGENT_GET)
        vmtools_copy(k);
    else
        vmtools_simple(k);
}

static void vmtools_stop(void *arg, struct agent_job *job)
{
    (void)arg;
    task_free(agent_job_own(job));
}

static const struct agent_side vmtools_side = { "open-vm-tools", vmtools_start, vmtools_stop };

/* ---- life ---- */

/* A session that need not poll is asked now and then whether it lives; variables are kept. */
static void vmtools_beat(void *arg)
{
    struct vmtools *t = arg;
    bool dirty, lives = false, wake[VMTOOLS_SESSIONS] = { false };
    i64 now = loop_now();

    pthread_mutex_lock(&t->lock);
    for (u32 i = 0; i < VMTOOLS_SESSIONS; i++) {
        struct vmtools_session *s = &t->session[i];

        if (s->open && !s->sent && !s->queue.first && !s->pinged &&
            now - s->heard_ns > VMTOOLS_BEAT_NS) {
            s->pinged = wake[i] = true;
            vmtools_push_session(t, i, 0, "ping", 4);
        }
        if (s->main && now - s->heard_ns < 2 * VMTOOLS_BEAT_NS) {
            agent_info_lock(t->port);
            agent_info_unlock(t->port);
            lives = true;
        }
    }
    dirty = t->dirty;
    pthread_mutex_unlock(&t->lock);
    for (u32 i = 0; i < VMTOOLS_SESSIONS; i++)
        if (wake[i] && t->wake)
            t->wake(t->wake_arg, i);
    for (struct task *k = t->tasks; lives && k; k = k->next)
        if (k->patient)
            agent_job_lives(k->job);
    if (dirty)
        guestinfo_write(t);
    loop_timer_set(t->timer, now + VMTOOLS_BEAT_NS / 2);
}

int vmtools_new(struct vmtools **out, const struct vmtools_make *how, struct err *e)
{
    struct vmtools *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return err_set(e, -ENOMEM, "no memory for the guest's tools");
    pthread_mutex_init(&t->lock, NULL);
    t->agent = how->agent;
    t->loop = agent_loop(how->agent);
    t->said_last = &t->said;
    t->cpu_mhz = how->cpu_mhz;
    t->memory_mib = how->memory_mib;
    r = agent_plug(how->agent, &vmtools_side, t, &t->port, e);
    if (!r)
        r = loop_timer_add(t->loop, vmtools_beat, t, &t->timer);
    if (!r && how->state && !(t->file = strdup(how->state)))
        r = err_set(e, -ENOMEM, "out of memory");
    if (r) {
        vmtools_free(t);
        return r;
    }
    if (t->file)
        guestinfo_load(t);
    loop_timer_set(t->timer, loop_now() + VMTOOLS_BEAT_NS / 2);
    *out = t;
    return 0;
}

void vmtools_reset(struct vmtools *t)
{
    pthread_mutex_lock(&t->lock);
    for (u32 i = 0; i < VMTOOLS_SESSIONS; i++)
        session_end(t, &t->session[i]);
    t->can_screen = t->can_state = false;
    pthread_mutex_unlock(&t->lock);
    atomic_store(&t->balloon_pages, 0);
}

void vmtools_free(struct vmtools *t)
{
    struct vmtools_cmd *c;

    if (!t)
        return;
    if (t->port) {
        vmtools_reset(t);
        agent_unplug(t->port);
    }
    loop_timer_drop(t->timer);
    if (t->dirty)
        guestinfo_write(t);
    while ((c = queue_take(&t->answered)))
        cmd_free(c);
    while (t->said) {
        struct vmtools_said *s = t->said;

        t->said = s->next;
        free(s);
    }
    guestinfo_free(t);
    vmtools_clip_free(t);
    free(t->file);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- small things ---- */

u32 vmtools_options(struct vmtools *t)
{
    return atomic_load(&t->options);
}

void vmtools_options_set(struct vmtools *t, u32 options)
{
    atomic_store(&t->options, options);
}

void vmtools_balloon_want(struct vmtools *t, u64 pages)
{
    atomic_store(&t->balloon_target, pages);
}

u64 vmtools_balloon_target(struct vmtools *t)
{
    return atomic_load(&t->balloon_target);
}

void vmtools_balloon_told(struct vmtools *t, u64 pages)
{
    atomic_store(&t->balloon_pages, pages);
}

u64 vmtools_balloon_pages(struct vmtools *t)
{
    return atomic_load(&t->balloon_pages);
}
