/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VMTOOLS_INT_H
#define BACKEND_VMTOOLS_INT_H
#include "backend/vmtools.h"
#include "base/buf.h"
#include <pthread.h>
#include <stdatomic.h>

struct guestinfo;
struct task;

/* A message to the guest, and its answer on the way back. */
struct vmtools_cmd {
    struct vmtools_cmd *next;
    u64 task; /* whose; 0: nobody waits */
    bool ok;  /* the answer said so */
    u8 *answer;
    u32 answer_len, len;
    u8 p[];
};
struct vmtools_queue {
    struct vmtools_cmd *first, *last;
};

struct vmtools_session {
    bool open, main, pinged;
    i64 heard_ns;
    struct vmtools_queue queue;
    struct vmtools_cmd *sent; /* the guest works on it */
};

/* What the guest says over RPCI that a task may wait for. */
enum vmtools_event { EVENT_STATE, EVENT_BACKUP, EVENT_PROGRAM };
struct vmtools_said {
    struct vmtools_said *next;
    enum vmtools_event event;
    char text[512];
};

struct vmtools {
    struct agent *agent;
    struct agent_port *port;
    struct loop *loop;
    struct loop_timer *timer;

    pthread_mutex_t lock; /* guards what follows, up to the next blank line */
    struct vmtools_session session[VMTOOLS_SESSIONS];
    struct vmtools_queue answered;
    struct vmtools_said *said, **said_last;
    u32 nsaid;
    bool posted, registered, can_screen, can_state, dirty;
    struct guestinfo *vars;
    u32 nvars;
    u64 vars_bytes;
    void (*wake)(void *arg, u32 session);
    void *wake_arg;
    char *clip_host, *clip_guest; /* or NULL */
    void (*on_clip)(void *arg, const char *text);
    void *on_clip_arg;

    _Atomic u32 options;
    _Atomic u64 balloon_target, balloon_pages;
    u64 cpu_mhz, memory_mib;
    char *file;

    struct task *tasks; /* the VM thread's, like the rest */
    u64 tasks_made;
    bool frozen;
};

/* One wish of somebody, in steps: what a job of the agent is here. */
struct task {
    struct task *next;
    struct vmtools *tools;
    struct agent_job *job;
    const struct agent_ask *ask;
    u64 id;
    bool patient; /* as long as the guest's tools live */
    /* the answer to a command that it pushed; something that the guest said; or NULL */
    void (*answer)(struct task *k, bool ok, const u8 *p, u32 n);
    void (*said)(struct task *k, enum vmtools_event event, const char *text);
    void (*fini)(struct task *k);
    void *own;
};

/* vmtools.c: VM thread */
int vmtools_push(struct vmtools *t, u64 task, const void *p, u32 n); /* to the main session */
int vmtools_push_text(struct vmtools *t, u64 task, const char *text);
void task_done(struct task *k, int r, u32 status, const char *text);
/* Lock held, any thread. */
void vmtools_say(struct vmtools *t, enum vmtools_event event, const u8 *p, u32 n);
void vmtools_capable(struct vmtools *t);
int vmtools_push_session(struct vmtools *t, u32 session, u64 task, const void *p, u32 n);

/* vmtools_power.c: power, freeze, clock, screen */
void vmtools_simple(struct task *k);
/* vmtools_exec.c, vmtools_copy.c */
void vmtools_exec(struct task *k);
void vmtools_copy(struct task *k);

/* vmtools_clip.c */
void vmtools_clip_free(struct vmtools *t);

/* vmtools_info.c; agent's info is locked by them */
void vmtools_info(struct vmtools *t, u32 type, const u8 *p, u32 n);
void vmtools_info_disks(struct vmtools *t, const u8 *p, u32 n);

/* vmtools_vars.c: lock held */
int guestinfo_set(struct vmtools *t, const char *key, const char *value, bool keep);
const char *guestinfo_get(struct vmtools *t, const char *key);
void guestinfo_free(struct vmtools *t);
void guestinfo_load(struct vmtools *t);
void guestinfo_write(struct vmtools *t); /* takes the lock itself */

/* vmtools_vix.c: the commands of VIX */
enum { VIX_RUN_PROGRAM = 4, VIX_HGFS_PACKET = 84, VIX_CHECK_USER = 78 };
/* A command as its message; body follows the request's head. */
int vix_push(struct task *k, u32 opcode, const void *body, u32 n);
/* What came back: VIX' error number, 0 none, negative errno when it makes no sense; *p and *n:
 * what follows it. */
i64 vix_answer(bool ok, const u8 **p, u32 *n);
void vix_fail(struct task *k, i64 error); /* ends the task with a sentence */
/* Quotes for a POSIX shell. */
int shell_quote(struct buf *to, const char *word);

/* vmtools_hgfs.c: files in the guest; one of them open at a time */
enum { HGFS_CHUNK = 61440, HGFS_AHEAD = 8 };
struct hgfs {
    struct task *task;
    const char *path;
    bool write, opened, closing, ended, by_vix;
    u32 mode;
    u32 handle, error;
    u64 offset;                                   /* of the next request */
    u32 under_way;                                /* requests without answer */
    int (*take)(struct hgfs *h, u8 *p, u32 room); /* what to write */
    int (*give)(struct hgfs *h, const u8 *p, u32 n);
    void (*done)(struct hgfs *h, int r, const char *text);
};
/* From the task's answer: did it belong to the file? */
bool hgfs_answer(struct hgfs *h, bool ok, const u8 *p, u32 n);
void hgfs_begin(struct hgfs *h); /* filled: task, path, write, mode, take or give, done */
/* Removes a file or an empty directory; the answer is the task's. */
int hgfs_remove(struct task *k, const char *path, bool directory, bool by_vix);
#endif
