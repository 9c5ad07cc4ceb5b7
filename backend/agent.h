/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_AGENT_H
#define BACKEND_AGENT_H
#include "base/err.h"
#include "base/types.h"

/*
 * The host end of the tools that run inside the guest: whatever they are called and however
 * they are reached, this is what they can do.  One per VM.  Somebody asks (a command, the
 * VM's end), a wire side does it (open-vm-tools over the backdoor, qemu-ga over a serial
 * port).  Everything on the VM thread, the loop given at agent_new, unless it says "any thread".
 */
struct agent;
struct agent_job;
struct loop;

/* What the guest's end can do now: bits by verb, 1 << AGENT_POWEROFF ... */
enum agent_verb {
    AGENT_POWEROFF,
    AGENT_REBOOT,
    AGENT_SUSPEND, /* the guest is ready for it: whoever asked then suspends the VM */
    AGENT_RESUME,  /* it runs again */
    AGENT_FREEZE,  /* file systems are whole on disk and stand until ... */
    AGENT_THAW,
    AGENT_TIME, /* the guest's clock is set to the host's */
    AGENT_SCREEN,
    AGENT_EXEC,
    AGENT_PUT, /* a file into the guest */
    AGENT_GET, /* a file out of the guest */
    AGENT_VERBS,
};
enum { AGENT_STDOUT, AGENT_STDERR, AGENT_FILE };

/*
 * One wish.  Everything pointed at is copied at agent_start but for arg.  take: the bytes of
 * EXEC's input and of PUT's file: how many were put to p, 0 at the end, negative errno;
 * give: what comes out, 0 or negative errno, which ends the job.  done: once, never from
 * inside agent_start; r 0 or negative errno with a sentence; status: EXEC's exit status, 128
 * and more when a signal ended it.  take and give may be NULL.
 */
struct agent_ask {
    enum agent_verb verb;
    i64 patience_ns;             /* -ETIMEDOUT after so long without a sign of it; 0: 60 s */
    const char *user, *password; /* EXEC, PUT, GET; NULL: as the agent itself, if it allows that */
    const char *path;            /* PUT, GET: in the guest */
    const char *const *argv;     /* EXEC: NULL ends; the program is looked for in PATH */
    const char *directory;       /* EXEC: where it starts; NULL: the agent's choice */
    u32 mode;                    /* PUT: permission bits; 0: the guest's default */
    u32 width, height;           /* SCREEN */
    int (*take)(void *arg, u8 *p, u32 room);
    int (*give)(void *arg, u32 stream, const u8 *p, u32 n);
    void (*done)(void *arg, int r, const char *text, u32 status);
    void *arg;
};

/* What the guest's end has told of the guest.  Empty text and 0: not told. */
enum { AGENT_NICS = 16, AGENT_ADDRESSES = 8, AGENT_DISKS = 32 };
struct agent_address {
    char text[48];
    u32 prefix;
};
struct agent_nic {
    char name[32], mac[18];
    u32 naddresses;
    struct agent_address address[AGENT_ADDRESSES];
};
struct agent_disk {
    char path[128], type[16];
    u64 size, free;
};
struct agent_info {
    char name[32];     /* the agent: "open-vm-tools", "qemu-ga" */
    char version[64];  /* its version */
    char host[256];    /* the guest's name for itself */
    char os[64];       /* a short word: "debian12-64" */
    char os_name[256]; /* "Debian GNU/Linux 12 (bookworm)" */
    char kernel[128];
    u64 uptime_s;
    u32 nnics, ndisks;
    struct agent_nic nic[AGENT_NICS];
    struct agent_disk disk[AGENT_DISKS];
    u32 can;      /* bits of verbs */
    bool frozen;  /* between FREEZE and THAW */
    i64 heard_ns; /* loop_now of its last sign of life; 0: none */
};

int agent_new(struct agent **a, struct loop *l, struct err *e);
void agent_free(struct agent *a); /* jobs end with -ECANCELED */

u32 agent_can(struct agent *a); /* any thread: what somebody at the other end can do */
/* What the guest has told: of the end that can do most.  Any thread. */
void agent_info(struct agent *a, struct agent_info *info);
/* -EOPNOTSUPP: nobody there can; *job may be NULL. */
int agent_start(struct agent *a, const struct agent_ask *ask, struct agent_job **job,
                struct err *e);
void agent_cancel(struct agent_job *job); /* done is not called any more */

/*
 * The wire sides.  start gets a job whose verb it said it can do; it answers with agent_done,
 * at once or later.  stop: the job ends now, drop it.
 */
struct agent_side {
    const char *name;
    void (*start)(void *arg, struct agent_job *job);
    void (*stop)(void *arg, struct agent_job *job);
};
struct agent_port;
int agent_plug(struct agent *a, const struct agent_side *side, void *arg, struct agent_port **p,
               struct err *e);
void agent_unplug(struct agent_port *p);
struct loop *agent_loop(struct agent *a);
/* Any thread: what it can do from now on, 0 when the guest's end has gone. */
void agent_can_set(struct agent_port *p, u32 can);
/* Any thread: write to it between these two.  unlock counts as a sign of life. */
struct agent_info *agent_info_lock(struct agent_port *p);
void agent_info_unlock(struct agent_port *p);

const struct agent_ask *agent_job_ask(const struct agent_job *job);
void agent_job_own_set(struct agent_job *job, void *own); /* the side's */
void *agent_job_own(const struct agent_job *job);
void agent_job_lives(struct agent_job *job); /* a sign of it: patience starts again */
/* 0 without a taker or giver */
int agent_job_take(struct agent_job *job, u8 *p, u32 room);
int agent_job_give(struct agent_job *job, u32 stream, const void *p, u32 n);
void agent_done(struct agent_job *job, int r, u32 status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* fmt NULL: no sentence */
#endif
