/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's verbs in the words of QEMU's guest agent.  It runs as root and knows no users:
 * a job for somebody else is refused.  Output of programs comes when they have ended.
 */
#include "backend/qga_int.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QGA_FILE = 384 << 10, QGA_INPUT = 1 << 20 };
#define QGA_WAIT_NS ((i64)1000000000)

static void job_free(struct qga_job *j)
{
    struct qga_job **at = &j->q->jobs;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    free(j);
}

static void job_done(struct qga_job *j, int r, u32 status, const char *text)
{
    struct agent_job *job = j->job;
    char copy[200] = "";

    snprintf(copy, sizeof(copy), "%s", text ? text : "");
    job_free(j);
    agent_done(job, r, status, *copy ? "%s" : NULL, copy);
}

static void job_ask(struct qga_job *j, const char *command, json_t *args,
                    void (*answer)(struct qga *, struct qga_job *, const json_t *, const char *))
{
    if (qga_say(j->q, j, command, args, answer))
        job_done(j, -ENOMEM, 0, "out of memory");
}

static void job_plain(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i;

    if (v && (j->ask->verb == AGENT_FREEZE || j->ask->verb == AGENT_THAW)) {
        i = agent_info_lock(q->port);
        i->frozen = j->ask->verb == AGENT_FREEZE;
        agent_info_unlock(q->port);
    }
    job_done(j, v ? 0 : -EIO, 0, why);
}

/* ---- base64 ---- */

static json_t *job_encode(const u8 *p, u32 n)
{
    char *text = malloc((size_t)n / 3 * 4 + 8);
    json_t *s = NULL;

    if (text) {
        EVP_EncodeBlock((u8 *)text, p, (int)n);
        s = json_string_nocheck(text);
    }
    free(text);
    return s;
}

/* What a text of base64 says goes to the job: 0 or negative errno. */
static int job_decode(struct qga_job *j, u32 stream, const char *text)
{
    size_t n = text ? strlen(text) : 0, pad = 0;
    u8 *p;
    int got, r;

    if (!n)
        return 0;
    while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
        pad++;
    p = malloc(n / 4 * 3 + 4);
    if (!p)
        return -ENOMEM;
    got = n > (size_t)1 << 30 ? -1 : EVP_DecodeBlock(p, (const u8 *)text, (int)n);
    r = got < (int)pad ? -EPROTO : agent_job_give(j->job, stream, p, (u32)got - (u32)pad);
    free(p);
    return r;
}

/* ---- programs ---- */

static void exec_status(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    const json_t *signal = json_object_get(v, "signal");
    u32 status = (u32)json_integer_value(json_object_get(v, "exitcode"));
    int r;

    if (!v) {
        job_done(j, -EIO, 0, why);
        return;
    }
    if (!json_is_true(json_object_get(v, "exited"))) {
        j->wait_ns = loop_now() + QGA_WAIT_NS / 4;
        return;
    }
    r = job_decode(j, AGENT_STDOUT, json_string_value(json_object_get(v, "out-data")));
    r = r ? r : job_decode(j, AGENT_STDERR, json_string_value(json_object_get(v, "err-data")));
    if (json_is_integer(signal))
        status = 128 + (u32)json_integer_value(signal);
    if (!r && json_is_true(json_object_get(v, "out-truncated")))
        r = -EFBIG;
    job_done(j, r, status & 0xff,
             r == -EFBIG ? "the program wrote more than the agent keeps" : NULL);
}

static void exec_started(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    j->pid = json_integer_value(json_object_get(v, "pid"));
    if (!v || !j->pid)
        job_done(j, -EIO, 0, why ? why : "the agent answered with nonsense");
    else
        j->wait_ns = loop_now();
}

static json_t *exec_args(struct qga_job *j, const u8 *input, u32 n)
{
    json_t *o = json_object(), *list = json_array();
    const char *const *argv = j->ask->argv;

    if (j->ask->directory) {
        json_object_set_new(o, "path", json_string("/bin/sh"));
        json_array_append_new(list, json_string("-c"));
        json_array_append_new(list, json_string("cd \"$0\" && exec \"$@\""));
        json_array_append_new(list, json_string(j->ask->directory));
    } else {
        json_object_set_new(o, "path", json_string(*argv++));
    }
    for (; *argv; argv++)
        json_array_append_new(list, json_string(*argv));
    json_object_set_new(o, "arg", list);
    json_object_set_new(o, "capture-output", json_true());
    if (n)
        json_object_set_new(o, "input-data", job_encode(input, n));
    return o;
}

static void job_exec(struct qga_job *j)
{
    u8 *input = malloc(QGA_INPUT + 1);
    u32 n = 0;
    int got = input ? 1 : -ENOMEM;

    while (got > 0 && n <= QGA_INPUT) {
        got = agent_job_take(j->job, input + n, QGA_INPUT + 1 - n);
        n += got > 0 ? (u32)got : 0;
    }
    if (got < 0)
        job_done(j, got, 0, strerror(-got));
    else if (n > QGA_INPUT)
        job_done(j, -EFBIG, 0, "the agent in the guest takes no more than 1 MiB of input");
    else
        job_ask(j, "guest-exec", exec_args(j, input, n), exec_started);
    free(input);
}

/* ---- files ---- */

static void file_closed(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    char text[200];

    snprintf(text, sizeof(text), "%s", *j->why ? j->why : why ? why : "");
    job_done(j, j->r ? j->r : v ? 0 : -EIO, 0, text);
}

static void file_close(struct qga_job *j, int r, const char *why)
{
    j->r = r;
    snprintf(j->why, sizeof(j->why), "%s", why ? why : r ? strerror(-r) : "");
    job_ask(j, "guest-file-close", json_pack("{s:I}", "handle", j->handle), file_closed);
}

static void file_read(struct qga *q, struct qga_job *j, const json_t *v, const char *why);
static void file_written(struct qga *q, struct qga_job *j, const json_t *v, const char *why);

/* Written by hand: a JSON library looks at each of its characters, an eighth of a copy's time. */
static char *file_line(const struct qga_job *j, const u8 *p, u32 n)
{
    size_t room = (size_t)n / 3 * 4 + 200;
    char *line = malloc(room);
    int at;

    if (!line)
        return NULL;
    at = snprintf(line, room,
                  "{\"execute\":\"guest-file-write\",\"arguments\":{\"handle\":%lld,"
                  "\"buf-b64\":\"",
                  (long long)j->handle);
    at += EVP_EncodeBlock((u8 *)line + at, p, (int)n);
    strcpy(line + at, "\"}}\n");
    return line;
}

static void file_next(struct qga_job *j)
{
    u8 *p;
    int n;

    if (j->ask->verb == AGENT_GET) {
        job_ask(j, "guest-file-read",
                json_pack("{s:I, s:i}", "handle", j->handle, "count", (int)QGA_FILE), file_read);
        return;
    }
    p = malloc(QGA_FILE);
    n = p ? agent_job_take(j->job, p, QGA_FILE) : -ENOMEM;
    if (n <= 0)
        file_close(j, n, NULL);
    else if (qga_say_line(j->q, j, file_line(j, p, (u32)n), file_written))
        job_done(j, -ENOMEM, 0, "out of memory");
    free(p);
}

static void file_written(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    if (v)
        file_next(j);
    else
        file_close(j, -EIO, why);
}

static void file_read(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    int r = v ? job_decode(j, AGENT_FILE, json_string_value(json_object_get(v, "buf-b64"))) : -EIO;

    if (r || json_is_true(json_object_get(v, "eof")) ||
        json_integer_value(json_object_get(v, "count")) <= 0)
        file_close(j, r, why);
    else
        file_next(j);
}

static void file_opened(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    if (!json_is_integer(v)) {
        job_done(j, -EIO, 0, why ? why : "the agent answered with nonsense");
        return;
    }
    j->handle = json_integer_value(v);
    file_next(j);
}

/* ---- which ---- */

/* It is not answered when it goes well: done when no complaint came for a while. */
static void job_power(struct qga_job *j)
{
    const char *mode = j->ask->verb == AGENT_REBOOT ? "reboot" : "powerdown";

    if (qga_say_silent(j->q, j, "guest-shutdown", json_pack("{s:s}", "mode", mode)))
        job_done(j, -ENOMEM, 0, "out of memory");
    else
        j->wait_ns = loop_now() + 2 * QGA_WAIT_NS;
}

static void job_time(struct qga_job *j)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    job_ask(j, "guest-set-time",
            json_pack("{s:I}", "time", (json_int_t)now.tv_sec * 1000000000 + now.tv_nsec),
            job_plain);
}

static void qga_start(void *arg, struct agent_job *job)
{
    struct qga *q = arg;
    struct qga_job *j = calloc(1, sizeof(*j));
    const struct agent_ask *ask = agent_job_ask(job);

    if (!j) {
        agent_done(job, -ENOMEM, 0, "out of memory");
        return;
    }
    if (ask->user && strcmp(ask->user, "root")) {
        free(j);
        agent_done(job, -EACCES, 0, "the agent in the guest knows no user but root");
        return;
    }
    *j = (struct qga_job){ .q = q, .job = job, .ask = ask, .id = ++q->jobs_made, .next = q->jobs };
    q->jobs = j;
    agent_job_own_set(job, j);
    switch (ask->verb) {
    case AGENT_POWEROFF:
    case AGENT_REBOOT:
        job_power(j);
        break;
    case AGENT_FREEZE:
        job_ask(j, "guest-fsfreeze-freeze", NULL, job_plain);
        break;
    case AGENT_THAW:
        job_ask(j, "guest-fsfreeze-thaw", NULL, job_plain);
        break;
    case AGENT_TIME:
        job_time(j);
        break;
    case AGENT_EXEC:
        job_exec(j);
        break;
    case AGENT_PUT:
    case AGENT_GET:
        job_ask(j, "guest-file-open",
                json_pack("{s:s, s:s}", "path", ask->path, "mode",
                          ask->verb == AGENT_PUT ? "wb" : "rb"),
                file_opened);
        break;
    default:
        job_done(j, -EOPNOTSUPP, 0, "the agent in the guest cannot do that");
    }
}

static void qga_stop(void *arg, struct agent_job *job)
{
    (void)arg;
    job_free(agent_job_own(job));
}

void qga_jobs_tick(struct qga *q)
{
    struct qga_job *next;
    i64 now = loop_now();

    for (struct qga_job *j = q->jobs; j; j = next) {
        next = j->next;
        if (!j->wait_ns || now < j->wait_ns)
            continue;
        j->wait_ns = 0;
        if (j->pid)
            job_ask(j, "guest-exec-status", json_pack("{s:I}", "pid", j->pid), exec_status);
        else
            job_done(j, 0, 0, NULL);
    }
}

const struct agent_side qga_side = { "qemu-ga", qga_start, qga_stop };
