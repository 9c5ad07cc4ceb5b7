/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program in the guest: VIX starts a shell as the user, which writes what comes out into files of
 * a directory of its own; they are fetched when it has ended.  Input goes there before.
 */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum exec_step {
    EXEC_MKDIR,  /* only for input */
    EXEC_MADE,   /* it runs */
    EXEC_INPUT,  /* a file is written */
    EXEC_START,  /* the program shall start */
    EXEC_RUNS,   /* it has */
    EXEC_FETCH,  /* its output, then its errors */
    EXEC_REMOVE, /* files, then the directory */
};
enum { EXEC_INPUT_FIRST = 4096 };

struct exec {
    enum exec_step step;
    u32 nth; /* of the files */
    int status;
    bool by_vix;
    char dir[40];
    char path[64];
    struct hgfs file;
    u8 first[EXEC_INPUT_FIRST]; /* of the input, read to know whether there is one */
    u32 nfirst;
};

static void exec_next(struct task *k);

static void exec_fini(struct task *k)
{
    free(k->own);
}

static void exec_fail(struct task *k, int r)
{
    if (r == -ENOTCONN)
        task_done(k, r, 0, "the guest's tools are gone");
    else
        vix_fail(k, r);
}

/* Run by the user's shell; the program's own name is the request's. */
static int exec_run(struct task *k, const char *script)
{
    static const char shell[] = "/bin/sh";
    struct buf b = { 0 }, args = { 0 };
    u8 head[12] = { 0 };
    int r = buf_add(&args, "-c ", 3);

    r = r ? r : shell_quote(&args, script);
    put_le32(head + 4, sizeof(shell) - 1);
    put_le32(head + 8, (u32)args.len);
    r = r ? r : buf_add(&b, head, sizeof(head));
    r = r ? r : buf_add(&b, shell, sizeof(shell));
    r = r ? r : buf_add(&b, args.p, args.len);
    r = r ? r : buf_add(&b, "\0", 1);
    r = r ? r : vix_push(k, VIX_RUN_PROGRAM, b.p, (u32)b.len);
    buf_fini(&b);
    buf_fini(&args);
    return r;
}

static int exec_mkdir(struct task *k)
{
    const struct exec *x = k->own;
    char script[80];

    snprintf(script, sizeof(script), "mkdir -m 700 %s", x->dir);
    return exec_run(k, script);
}

static int exec_start(struct task *k)
{
    const struct exec *x = k->own;
    struct buf b = { 0 };
    int r = 0;

    if (!x->nfirst)
        r = buf_text(&b, "mkdir -m 700 %s || exit 126; ", x->dir);
    if (k->ask->directory && !r) {
        r = buf_text(&b, "cd ");
        r = r ? r : shell_quote(&b, k->ask->directory);
        r = r ? r : buf_text(&b, " 2>%s/err || exit 126; ", x->dir);
    }
    for (u32 i = 0; k->ask->argv[i] && !r; i++) {
        r = shell_quote(&b, k->ask->argv[i]);
        r = r ? r : buf_add(&b, " ", 1);
    }
    r = r ? r : buf_text(&b, ">%s/out 2>%s/err <", x->dir, x->dir);
    r = r ? r : x->nfirst ? buf_text(&b, "%s/in", x->dir) : buf_text(&b, "/dev/null");
    r = r ? r : buf_add(&b, "\0", 1);
    r = r ? r : exec_run(k, (const char *)b.p);
    buf_fini(&b);
    return r;
}

/* ---- files ---- */

static int exec_take(struct hgfs *h, u8 *p, u32 room)
{
    struct exec *x = h->task->own;
    u32 n = x->nfirst;

    if (h->offset)
        return agent_job_take(h->task->job, p, room);
    memcpy(p, x->first, n);
    return (int)n;
}

static int exec_give(struct hgfs *h, const u8 *p, u32 n)
{
    const struct exec *x = h->task->own;

    return agent_job_give(h->task->job, x->nth ? AGENT_STDERR : AGENT_STDOUT, p, n);
}

static void exec_file_done(struct hgfs *h, int r, const char *text)
{
    struct exec *x = h->task->own;

    if (r && !(x->step == EXEC_FETCH && r == -ENOENT))
        task_done(h->task, r, 0, text);
    else
        exec_next(h->task);
}

static void exec_file(struct task *k, const char *name, bool write)
{
    struct exec *x = k->own;

    snprintf(x->path, sizeof(x->path), "%s/%s", x->dir, name);
    x->file = (struct hgfs){ .task = k,
                             .path = x->path,
                             .write = write,
                             .by_vix = x->by_vix,
                             .take = exec_take,
                             .give = exec_give,
                             .done = exec_file_done };
    hgfs_begin(&x->file);
}

static int exec_remove(struct task *k)
{
    static const char *const names[] = { "/out", "/err", "/in", "" };
    struct exec *x = k->own;

    if (x->nth == 2 && !x->nfirst)
        x->nth++;
    if (x->nth == LEN(names)) {
        task_done(k, 0, (u32)x->status, NULL);
        return 0;
    }
    snprintf(x->path, sizeof(x->path), "%s%s", x->dir, names[x->nth]);
    x->nth++;
    return hgfs_remove(k, x->path, x->nth == LEN(names), x->by_vix);
}

/* ---- step by step ---- */

/* What is done has been done: the next thing. */
static void exec_next(struct task *k)
{
    struct exec *x = k->own;
    int r = 0;

    switch (x->step) {
    case EXEC_MADE:
        x->step = EXEC_INPUT;
        exec_file(k, "in", true);
        return;
    case EXEC_INPUT:
        x->step = EXEC_START;
        r = exec_start(k);
        break;
    case EXEC_RUNS:
        x->step = EXEC_FETCH;
        exec_file(k, "out", false);
        return;
    case EXEC_FETCH:
        if (!x->nth++) {
            exec_file(k, "err", false);
            return;
        }
        x->step = EXEC_REMOVE;
        x->nth = 0;
        r = exec_remove(k);
        break;
    default:
        break;
    }
    if (r)
        exec_fail(k, r);
}

static void exec_answer(struct task *k, bool ok, const u8 *p, u32 n)
{
    struct exec *x = k->own;
    i64 error;
    int r;

    switch (x->step) {
    case EXEC_INPUT:
    case EXEC_FETCH:
        hgfs_answer(&x->file, ok, p, n);
        return;
    case EXEC_REMOVE: /* what cannot be removed stays */
        r = exec_remove(k);
        if (r)
            exec_fail(k, r);
        return;
    case EXEC_MKDIR:
    case EXEC_START:
        error = vix_answer(ok, &p, &n);
        if (error) {
            vix_fail(k, error);
            return;
        }
        x->step++;
        k->patient = x->step == EXEC_RUNS;
        return;
    default:
        return;
    }
}

/* "mimicN error errno status pid": one of ours has ended */
static void exec_said(struct task *k, enum vmtools_event event, const char *text)
{
    struct exec *x = k->own;
    unsigned long long id;
    int status;

    if (event != EVENT_PROGRAM || sscanf(text, "mimic%llu %*d %*d %d", &id, &status) != 2 ||
        id != k->id)
        return;
    if (x->step == EXEC_START || x->step == EXEC_MKDIR) /* before the answer was heard */
        x->step++;
    if (x->step != EXEC_MADE && x->step != EXEC_RUNS)
        return;
    k->patient = false;
    x->status = status & 0xff;
    if (x->step == EXEC_MADE && status)
        task_done(k, -EIO, 0, "no directory for the input could be made in the guest");
    else
        exec_next(k);
}

void vmtools_exec(struct task *k)
{
    struct exec *x = calloc(1, sizeof(*x));
    u64 name = 0;
    int r = -ENOMEM, n = 0;

    k->own = x;
    k->fini = exec_fini;
    k->answer = exec_answer;
    k->said = exec_said;
    if (!k->ask->argv || !k->ask->user || !x || getrandom(&name, sizeof(name), 0) < 0) {
        exec_fail(k, !x ? -ENOMEM : -EACCES);
        return;
    }
    snprintf(x->dir, sizeof(x->dir), "/tmp/mimic-%016llx", (unsigned long long)name);
    x->by_vix = strcmp(k->ask->user, "root") != 0;
    n = agent_job_take(k->job, x->first, sizeof(x->first));
    if (n < 0) {
        exec_fail(k, n);
        return;
    }
    x->nfirst = (u32)n;
    x->step = n ? EXEC_MKDIR : EXEC_START;
    r = n ? exec_mkdir(k) : exec_start(k);
    if (r)
        exec_fail(k, r);
}
