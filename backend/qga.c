/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's guest agent, from the host: one JSON object a line, one command at a time.  A delimited
 * sync finds out whether somebody is there, and makes both sides forget what was half said.
 * After QEMU's documentation "Guest Agent Protocol Reference".
 */
#include "backend/qga_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QGA_LINE = 32 << 20, QGA_SENTINEL = 0xff, QGA_CHUNK = 65536 };
/*
 * qemu-ga reads 4096 bytes at a time by a GIOChannel.  What the channel has beyond them it does not
 * see until more comes, and its answer is lost while something is there.  So nothing follows a
 * command before its answer, and what the guest's buffers get are full pages but for the last:
 * a Unix socket takes pieces of this size whole or not at all.
 */
enum { QGA_WRITE = 32 << 10 };
#define QGA_TICK_NS ((i64)1000000000)
#define QGA_SILENCE_NS (30 * QGA_TICK_NS)
#define QGA_INFO_NS (20 * QGA_TICK_NS)

/* ---- out ---- */

static void qga_write(struct qga *q)
{
    while (q->out.len && q->fd >= 0) {
        ssize_t n = write(q->fd, q->out.p, min_u64(q->out.len, QGA_WRITE));

        if (n <= 0)
            break;
        memmove(q->out.p, q->out.p + n, q->out.len - (size_t)n);
        q->out.len -= (size_t)n;
    }
    if (q->watch)
        loop_watch_set(q->watch, LOOP_READ | (q->out.len ? LOOP_WRITE : 0));
}

static void qga_send(struct qga *q, const char *line)
{
    buf_add(&q->out, line, strlen(line));
    qga_write(q);
}

static void qga_next(struct qga *q)
{
    if (q->asked || !q->first || !q->synced)
        return;
    q->asked = true;
    q->asked_ns = loop_now();
    qga_send(q, q->first->line);
}

/* take_line: the command as it is sent; NULL: there was no memory for it. */
static int qga_add(struct qga *q, struct qga_job *j, char *take_line,
                   void (*answer)(struct qga *, struct qga_job *, const json_t *, const char *),
                   bool silent)
{
    struct qga_cmd *c = take_line ? calloc(1, sizeof(*c)) : NULL;

    if (!c) {
        free(take_line);
        return -ENOMEM;
    }
    c->line = take_line;
    c->job = j ? j->id : 0;
    c->answer = answer;
    c->silent = silent;
    if (q->last)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    qga_next(q);
    return 0;
}

static char *qga_command(const char *command, json_t *take_args)
{
    json_t *o = take_args ? json_pack("{s:s, s:o}", "execute", command, "arguments", take_args)
                          : json_pack("{s:s}", "execute", command);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL, *line = NULL;

    if (text && asprintf(&line, "%s\n", text) < 0)
        line = NULL;
    json_decref(o);
    free(text);
    return line;
}

int qga_say(struct qga *q, struct qga_job *j, const char *command, json_t *take_args,
            void (*answer)(struct qga *q, struct qga_job *j, const json_t *value, const char *why))
{
    return qga_add(q, j, qga_command(command, take_args), answer, false);
}

int qga_say_line(struct qga *q, struct qga_job *j, char *take_line,
                 void (*answer)(struct qga *q, struct qga_job *j, const json_t *value,
                                const char *why))
{
    return qga_add(q, j, take_line, answer, false);
}

int qga_say_silent(struct qga *q, struct qga_job *j, const char *command, json_t *take_args)
{
    return qga_add(q, j, qga_command(command, take_args), NULL, true);
}

static void qga_pop(struct qga *q, const json_t *value, const char *why)
{
    struct qga_cmd *c = q->first;
    struct qga_job *j = q->jobs;

    q->first = c->next;
    if (!q->first)
        q->last = NULL;
    q->asked = false;
    while (j && j->id != c->job)
        j = j->next;
    if (j)
        agent_job_lives(j->job);
    if (c->answer && (j || !c->job))
        c->answer(q, j, value, why);
    free(c->line);
    free(c);
}

/* ---- who is there ---- */

static void qga_ask_sync(struct qga *q)
{
    char line[120];

    q->synced = false;
    q->sync++;
    snprintf(line, sizeof(line),
             "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%llu}}\n", QGA_SENTINEL,
             (unsigned long long)q->sync);
    q->asked_ns = loop_now();
    q->out.len = 0;
    qga_send(q, line);
}

static void qga_lost(struct qga *q)
{
    q->can = 0;
    agent_can_set(q->port, 0);
    while (q->first)
        qga_pop(q, NULL, "the agent in the guest does not answer");
}

static void qga_has_commands(struct qga *q, struct qga_job *j, const json_t *value, const char *why)
{
    (void)j;
    if (!value)
        return;
    q->can = qga_read_commands(value);
    agent_can_set(q->port, q->can);
    qga_ask_info(q);
    q->told_ns = loop_now();
    (void)why;
}

static void qga_alive(struct qga *q)
{
    agent_info_lock(q->port);
    agent_info_unlock(q->port);
}

static void qga_answer(struct qga *q, const json_t *o)
{
    const json_t *value = json_object_get(o, "return"), *error = json_object_get(o, "error");
    const char *why = json_string_value(json_object_get(error, "desc"));

    if (!json_is_object(o) || (!value && !error))
        return;
    if (!q->synced) {
        if (!json_is_integer(value) || (u64)json_integer_value(value) != q->sync)
            return;
        q->synced = true;
        q->asked = false;
        qga_alive(q);
        if (!q->can)
            qga_say(q, NULL, "guest-info", NULL, qga_has_commands);
    } else if (q->asked && q->first) {
        qga_alive(q);
        qga_pop(q, value, value ? NULL : why ? why : "an error without a text");
    }
    qga_next(q);
}

/* ---- in ---- */

static void qga_line(struct qga *q, const char *p, size_t n)
{
    const char *mark = memrchr(p, QGA_SENTINEL, n);
    json_t *o;

    if (mark) {
        n -= (size_t)(mark + 1 - p);
        p = mark + 1;
    }
    o = json_loadb(p, n, 0, NULL);
    qga_answer(q, o);
    json_decref(o);
}

void qga_hear(struct qga *q, const u8 *p, u32 n)
{
    while (n) {
        const u8 *end = memchr(p, '\n', n);
        u32 take = end ? (u32)(end - p) : n;

        if (q->in.len + take > QGA_LINE)
            q->in.len = 0; /* what follows is no JSON and is dropped with it */
        if (buf_add(&q->in, p, take))
            q->in.len = 0;
        p += take;
        n -= take;
        if (!end)
            break;
        p++;
        n--;
        qga_line(q, (const char *)q->in.p, q->in.len);
        q->in.len = 0;
    }
}

static void qga_ready(void *arg, u32 events)
{
    struct qga *q = arg;
    u8 b[QGA_CHUNK];
    ssize_t n;

    if (events & LOOP_WRITE)
        qga_write(q);
    if (!(events & LOOP_READ))
        return;
    n = read(q->fd, b, sizeof(b));
    if (n > 0)
        qga_hear(q, b, (u32)n);
    else if (!n)
        loop_watch_set(q->watch, 0);
}

/* Silence: asked anew; a command without an answer means that nobody is there. */
static void qga_tick(void *arg)
{
    struct qga *q = arg;
    i64 now = loop_now();

    if (q->synced && q->asked && q->first && q->first->silent && now - q->asked_ns > QGA_TICK_NS) {
        qga_pop(q, NULL, NULL);
        qga_next(q);
    } else if (q->synced && q->asked && now - q->asked_ns > QGA_SILENCE_NS) {
        qga_lost(q);
        qga_ask_sync(q);
    } else if (!q->synced && now - q->asked_ns > 3 * QGA_TICK_NS && !q->out.len) {
        qga_ask_sync(q);
    } else if (q->synced && !q->first && q->can && now - q->told_ns > QGA_INFO_NS) {
        q->told_ns = now;
        qga_ask_info(q);
    } else if (q->synced && !q->first && now - q->asked_ns > 5 * QGA_TICK_NS) {
        qga_say(q, NULL, "guest-ping", NULL, NULL);
    }
    qga_jobs_tick(q);
    loop_timer_set(q->timer, now + QGA_TICK_NS / 4);
}

/* ---- life ---- */

static int qga_wire(struct qga *q, struct err *e)
{
    int fd[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return err_set(e, -errno, "no socket for the guest agent");
    q->fd = fd[0];
    q->far = fd[1];
    fcntl(q->fd, F_SETFL, O_NONBLOCK);
    fcntl(q->far, F_SETFL, O_NONBLOCK);
    r = chr_open_fd(&q->chr, q->far, q->far, q->loop, e);
    if (!r)
        r = loop_watch_add(q->loop, q->fd, LOOP_READ, qga_ready, q, &q->watch);
    return r;
}

int qga_new(struct qga **out, struct agent *a, struct err *e)
{
    struct qga *q = calloc(1, sizeof(*q));
    int r;

    if (!q)
        return err_set(e, -ENOMEM, "no memory for the guest agent");
    q->agent = a;
    q->loop = agent_loop(a);
    q->fd = q->far = -1;
    r = agent_plug(a, &qga_side, q, &q->port, e);
    r = r ? r : qga_wire(q, e);
    r = r ? r : loop_timer_add(q->loop, qga_tick, q, &q->timer);
    if (r) {
        qga_free(q);
        return r;
    }
    qga_ask_sync(q);
    loop_timer_set(q->timer, loop_now() + QGA_TICK_NS / 4);
    *out = q;
    return 0;
}

struct chr *qga_chr(struct qga *q)
{
    return q->chr;
}

void qga_free(struct qga *q)
{
    if (!q)
        return;
    if (q->port)
        agent_unplug(q->port);
    while (q->first) {
        struct qga_cmd *c = q->first;

        q->first = c->next;
        free(c->line);
        free(c);
    }
    loop_timer_drop(q->timer);
    loop_watch_drop(q->watch);
    if (q->fd >= 0)
        close(q->fd);
    chr_close(q->chr);
    if (q->far >= 0)
        close(q->far);
    buf_fini(&q->in);
    buf_fini(&q->out);
    free(q);
}
