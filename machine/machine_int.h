/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_MACHINE_INT_H
#define MACHINE_MACHINE_INT_H
#include "base/loop.h"
#include "machine/machine.h"
#include <pthread.h>
#include <stdatomic.h>

/* What the files of this folder know of each other. */

/* ---- cover.c: intervals that never overlap; the first to claim an address keeps it ---- */
struct cover_part {
    u64 base, last; /* last address, inclusive */
    u32 id;
};
struct cover {
    struct cover_part *part; /* sorted by address */
    u32 n, room;
};
int cover_add(struct cover *c, u64 base, u64 len, u32 id);                    /* 0 or -ENOMEM */
const struct cover_part *cover_hit(const struct cover *c, u64 base, u64 len); /* who is in there? */

/* ---- domain.c ---- */
struct domain {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct machine *machine;
    char name[32];
    struct domain *next;
};
struct domain *domain_get(struct machine *m, const char *name); /* shared, made on demand */
void domain_free(struct domain *d);
bool domain_slots_later(struct machine *m); /* true: told when the domain held now is let go */
int irq_lock_init(struct machine *m);

/* ---- gmem.c ---- */
struct gmem {
    struct machine *machine;
    u8 *host;
    u64 size, low;               /* all of it; the part below 4 GiB */
    int fd;                      /* what host maps from its start, but for pages that are apart */
    _Atomic u64 *apart, *wanted; /* a bit for each page; NULL: none was ever apart */
    u32 shares;                  /* how many runs of them came into the file */
};
int gmem_init(struct gmem *g, struct machine *m, u64 size, struct err *e);
void gmem_fini(struct gmem *g);
int gmem_clear(struct gmem *g, struct err *e);
int gmem_over(struct gmem *g, u64 at, u64 len, int fd, u64 off, struct err *e);
void gmem_alone(struct gmem *g); /* neither in core dumps nor in children */
bool gmem_want(struct gmem *g, u64 gpa);
void gmem_share(struct gmem *g);

/* ---- timer.c: guest time and what waits for it ---- */
struct clock {
    pthread_mutex_t lock; /* innermost of all: nothing is called under it */
    struct timer **heap;  /* by time; heap[0] is due first */
    u32 n, room;
    int fd; /* timerfd: fires on the VM loop; -1 when the clock is turned by hand */
    struct loop_watch *watch;
    i64 armed;             /* guest time that fd is set to */
    i64 firing;            /* when the timer was due whose function runs, or CLOCK_NEVER */
    _Atomic i64 due;       /* the earlier of that and heap[0]'s */
    _Atomic u32 owed;      /* timers set by timer_owe */
    pthread_cond_t fired;  /* a timer's function has run */
    _Atomic i64 stands_at; /* CLOCK_RUNS, or the time of a clock that stands */
    u32 slow;              /* guest time runs 2^slow times slower than the host's */
    _Atomic i64 offset;    /* ... and is that minus this */
    _Atomic u64 tsc_offset, tsc_stands_at;
};
#define CLOCK_RUNS INT64_MIN
#define CLOCK_NEVER INT64_MAX
enum { CLOCK_LATE_NS = 1000000 }; /* a timer that is later than this is waited for */
int clock_init(struct machine *m, struct err *e);
void clock_fini(struct machine *m);
void clock_stop(struct machine *m);
void clock_go(struct machine *m);
void timer_free(struct timer *t);
struct timer *timer_next(const struct timer *t);     /* the next one of the same device */
void clock_put(struct machine *m, i64 now, u64 tsc); /* of a clock that stands */

/* ---- bell.c: the I/O thread and what it is woken by ---- */
struct lane {
    struct loop *loop;
    int fd; /* eventfd: some bell was rung */
    struct loop_watch *watch;
    _Atomic(struct bell *) rung;
    atomic_bool held; /* bells wait */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    bool stands, go_on;
};
int lane_init(struct machine *m, struct err *e);
void lane_fini(struct machine *m);
void lane_hold(struct machine *m); /* no bell is being answered when it returns */
void lane_stop(struct machine *m); /* the thread stands */
void lane_go(struct machine *m);
void bell_free(struct bell *b);
struct bell *bell_next(const struct bell *b);
bool bell_is_rung(const struct bell *b);
void bells_open(struct machine *m);    /* machine_cpus.bell is there; VM thread */
void bells_collect(struct machine *m); /* nothing runs: what was rung past us is rung */

/* ---- machine.c ---- */
void machine_ask_again(struct machine *m, u32 asked); /* as m->asked holds it; 0: nothing */

/* ---- irq.c ---- */
struct irq_input;
struct irq_wire;
void irq_fini(struct machine *m);
/* The levels of a device's wires, first made first; a load tells no sink.  How many there are. */
u32 irq_levels(struct machine *m, const struct device *d, bool *level, u32 room);
void irq_levels_put(struct machine *m, const struct device *d, const bool *level, u32 n);

/* ---- slot.c ---- */
enum { SLOTS_MAX = 48, SHADOW_GRAIN = 0x4000, SHADOW_PARTS = 0x40000 / SHADOW_GRAIN };
struct slots {
    pthread_mutex_t lock; /* guards the rest; leaf */
    struct machine_slot slot[SLOTS_MAX];
    bool used[SLOTS_MAX];
    bool writable[SHADOW_PARTS];
};

void slots_shadow(struct machine *m, bool writable[SHADOW_PARTS]);
void slots_shadow_put(struct machine *m, const bool writable[SHADOW_PARTS]);

/* ---- device.c ---- */
struct node { /* what the machine keeps for a device */
    struct device *dev;
    struct device_end *ends;
    u32 nends;
    struct timer *timers;
    struct bell *bells;
    struct machine_block memory[4];
    u32 nmemories;
};
struct node *node_of(const struct device *d);
void device_free_all(struct machine *m);
void device_reset_one(struct device *d, enum reset kind);

struct bus_keep {
    const char *name;
    void *bus;
    void (*reset)(struct machine *m, void *bus);
    void (*free)(void *bus);
    int (*save)(const struct device *d, struct buf *to);
    int (*load)(struct device *d, struct span from, struct err *e);
};

struct machine {
    struct machine_make how;
    struct gmem ram;
    struct space *ports, *memory;
    struct loop *loop;
    struct lane lane;
    struct clock clock;
    struct slots slots;
    pthread_mutex_t irq_lock;
    struct domain *domains;
    struct node **nodes;
    u32 nnodes;
    struct bus_keep buses[8];
    u32 nbuses;
    struct irq_input *inputs;
    struct irq_wire *wires;
    struct machine_cpus cpus;
    struct machine_intc intc;
    bool has_intc, paused;
    struct machine_chips chips;
    bool has_chips;
    int (*msi)(void *arg, u64 addr, u32 data);
    void *msi_arg;
    struct device *power;
    const struct machine_power *power_is;
    void (*on_ask)(void *arg, enum machine_event what, u32 code);
    void *on_ask_arg;
    _Atomic u32 asked; /* 0, or an event and its code on their way to the VM thread */
    _Atomic i64 error_from;
    _Atomic u32 errors_left;
    _Atomic u64 errors;
};
#endif
