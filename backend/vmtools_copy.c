/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file into the guest or out of it, with the rights of a user of the guest. */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct copy {
    struct hgfs file;
    bool checked; /* the password is the user's */
};

static void copy_fini(struct task *k)
{
    free(k->own);
}

static int copy_take(struct hgfs *h, u8 *p, u32 room)
{
    return agent_job_take(h->task->job, p, room);
}

static int copy_give(struct hgfs *h, const u8 *p, u32 n)
{
    return agent_job_give(h->task->job, AGENT_FILE, p, n);
}

static void copy_done(struct hgfs *h, int r, const char *text)
{
    task_done(h->task, r, 0, text);
}

static void copy_answer(struct task *k, bool ok, const u8 *p, u32 n)
{
    struct copy *c = k->own;
    i64 error;

    if (c->checked) {
        hgfs_answer(&c->file, ok, p, n);
        return;
    }
    error = vix_answer(ok, &p, &n);
    if (error) {
        vix_fail(k, error);
        return;
    }
    c->checked = true;
    hgfs_begin(&c->file);
}

void vmtools_copy(struct task *k)
{
    struct copy *c = calloc(1, sizeof(*c));
    int r = -ENOMEM;

    k->own = c;
    k->fini = copy_fini;
    k->answer = copy_answer;
    if (c) {
        c->file = (struct hgfs){ .task = k,
                                 .path = k->ask->path,
                                 .write = k->ask->verb == AGENT_PUT,
                                 .mode = k->ask->mode,
                                 .by_vix = !k->ask->user || strcmp(k->ask->user, "root") != 0,
                                 .take = copy_take,
                                 .give = copy_give,
                                 .done = copy_done };
        r = k->ask->path && k->ask->path[0] == '/' ? vix_push(k, VIX_CHECK_USER, NULL, 0) : -EINVAL;
    }
    if (r == -EINVAL)
        task_done(k, r, 0, "the guest's path must begin with /");
    else if (r)
        vix_fail(k, r);
}
