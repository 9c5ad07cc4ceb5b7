/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_QGA_INT_H
#define BACKEND_QGA_INT_H
#include "backend/qga.h"
#include "base/buf.h"
#include "base/loop.h"
#include <jansson.h>

struct qga_job;

/* A command that waits or that the guest works on.  answer: what it returned, lent; or NULL and
 * why not. */
struct qga_cmd {
    struct qga_cmd *next;
    char *line;
    u64 job; /* whose; 0: ours */
    void (*answer)(struct qga *q, struct qga_job *j, const json_t *value, const char *why);
    bool silent; /* success is not answered */
};

struct qga {
    struct agent *agent;
    struct agent_port *port;
    struct loop *loop;
    struct chr *chr;
    int fd; /* our end of what the device's chr reads and writes; -1: tests */
    int far;
    struct loop_watch *watch;
    struct loop_timer *timer;
    struct buf in, out; /* a line that grows; what the device has not taken */
    struct qga_cmd *first, *last;
    bool asked, synced; /* the first one was sent; somebody answers */
    i64 asked_ns, told_ns;
    u64 sync;
    u32 can;
    struct qga_job *jobs;
    u64 jobs_made;
};

struct qga_job {
    struct qga_job *next;
    struct qga *q;
    struct agent_job *job;
    const struct agent_ask *ask;
    struct loop_timer *timer;
    u64 id;
    json_int_t pid, handle;
    i64 wait_ns;
    u32 errors;
    bool opened, ended;
    int r; /* what a file that is being closed ended with */
    char why[200];
};

/* qga.c */
int qga_say(struct qga *q, struct qga_job *j, const char *command, json_t *take_args,
            void (*answer)(struct qga *q, struct qga_job *j, const json_t *value, const char *why));
/* A command that is written already, with its end of line. */
int qga_say_line(struct qga *q, struct qga_job *j, char *take_line,
                 void (*answer)(struct qga *q, struct qga_job *j, const json_t *value,
                                const char *why));
int qga_say_silent(struct qga *q, struct qga_job *j, const char *command, json_t *take_args);
/* qga_job.c */
extern const struct agent_side qga_side;
void qga_jobs_tick(struct qga *q);
/* qga_info.c */
void qga_ask_info(struct qga *q);
u32 qga_read_commands(const json_t *info);
#endif
