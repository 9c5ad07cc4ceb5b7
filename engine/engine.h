/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H
#include "base/err.h"
#include "base/types.h"
#include "machine/chips.h"
#include <stdio.h>

/*
 * A CPU engine runs x86 vCPUs.  It knows memory slots and the calls in
 * struct cpu_io; it does not know that devices or personas exist.
 */
struct vcpu;
struct x86_state; /* engine/x86/state.h */

/* What waits for a vCPU, as cpu_io.vector answers. */
enum {
    VECTOR_NONE = -1,  /* nothing waits */
    VECTOR_LATER = -2, /* something waits, but `open` does not let it in: ask when it opens */
    VECTOR_NMI = 256,
    VECTOR_STOP = 257, /* leave run() with STOP_KICKED, whatever is open */
};
enum { OPEN_INTR = 1, OPEN_NMI = 2 };

/* What an engine asks of the rest of the machine, always on the vCPU's own thread. */
struct cpu_io {
    void *arg;
    /* regs: the committed state, which a persona's port may change (the engine reloads) */
    u64 (*in)(void *arg, u16 port, u32 size);
    void (*out)(void *arg, u16 port, u32 size, u64 val);
    /* a port that takes and gives whole registers, asked before the permission checks:
     * true when it was one; the instruction is then done but for RIP */
    bool (*port)(void *arg, struct x86_state *regs, u16 port, u32 size, bool out);
    u64 (*load)(void *arg, u64 gpa, u32 size); /* not in a slot: MMIO or nothing */
    void (*store)(void *arg, u64 gpa, u32 size, u64 val);
    int (*rdmsr)(void *arg, u32 msr, u64 *val); /* MSRs that the engine has not; -EINVAL: #GP */
    int (*wrmsr)(void *arg, u32 msr, u64 val);
    /* regs: the model's in, what is shown out; the same answer each time, for an engine may keep
     * it, until a control register, XCR0 or an MSR of the machine is written */
    void (*cpuid)(void *arg, u32 leaf, u32 sub, u32 regs[4]);
    /* VMCALL (1), VMMCALL (2): true when done, false: #UD */
    bool (*hypercall)(void *arg, struct x86_state *regs, u8 kind);
    int (*vector)(void *arg, u32 open); /* acknowledges and answers a vector, or VECTOR_* */
    u8 (*tpr)(void *arg);               /* CR8 */
    void (*tpr_set)(void *arg, u8 val);
    /* REP INSB and OUTSB at a persona's port, forwards, a page's bytes at a time.  p NULL: is it
     * such a port, with these registers?  asked before the permission checks; may be NULL */
    bool (*bulk)(void *arg, struct x86_state *regs, u16 port, bool out, u8 *p, u32 n);
    /* may `port` claim this one?  NULL: any.  Engines that have to fetch the registers ask */
    bool (*has_port)(void *arg, u16 port);
    /* a vector of chip_ops.pins was ended by the guest; engines that keep local APICs */
    void (*eoi)(void *arg, u8 vector);
    /* a VECTOR_NMI that vector() gave is given back: it could not be delivered before the state
     * was asked for.  From get(); may be NULL */
    void (*nmi_back)(void *arg);
    /* a page that is apart is wanted in the slot's file, as soon as may be.  May be NULL */
    void (*want)(void *arg, u64 gpa);
    /* the TSC is to be read; open: interrupts are.  What should have happened by now does.  Asked
     * from time to time by engines whose vCPUs read it through them; may be NULL */
    void (*clock)(void *arg, bool open);
};

enum stop { STOP_KICKED, STOP_HALTED, STOP_SHUTDOWN, STOP_DEBUG, STOP_BROKEN };

struct mem_slot {
    u64 gpa, len; /* whole 4 KiB pages */
    void *host;
    bool readonly, log_dirty; /* a store to a readonly slot is cpu_io.store's */
    bool shared;              /* host is a shared mapping of the file fd, from byte `at` on */
    int fd;
    u64 at;
    /* but for pages whose bits are set, counted from the file's start; bits are taken back while no
     * vCPU runs, or when nobody needs the page any more.  NULL: there are none */
    const _Atomic u64 *apart;
};

/* A counter, for people; units tell how it is printed. */
enum stat_unit { STAT_COUNT, STAT_BYTES, STAT_NS };
struct engine_stat {
    const char *group, *name;
    enum stat_unit unit;
    u64 value;
};

/*
 * What the engine tells about translated code.  The files are the caller's and stay open as
 * long as the engine; NULL: not wanted.
 */
struct engine_eyes {
    bool time;       /* where the time goes is counted too; costs a few per cent */
    FILE *perf_map;  /* a line a piece of code, for perf: address, size, name */
    FILE *symbols;   /* names for it: lines as in System.map */
    FILE *trace;     /* guest and host instructions of each block as it is made */
    u64 from, to;    /* ... that starts in this range of guest addresses; to: 0 is the end */
    u64 trace_count; /* ... and so many at most; 0: all */
};

enum engine_feature {
    ENGINE_LOCKSTEP = 1,
    ENGINE_HARDWARE = 2,   /* guest code runs on the processor as it is */
    ENGINE_USER_PORTS = 4, /* cpu_io.port is asked in ring 3 too, whatever IOPL says */
    ENGINE_CHIPS = 8,      /* it can keep interrupt controllers: engine_ops.chips */
};

/* Which chips the engine keeps itself: its vCPUs then ask no vector that these know of, answer
 * their registers, halt and start inside run(). */
enum engine_chips {
    CHIPS_NONE,
    CHIPS_APICS, /* the local APICs; cpu_io.vector is asked for the PIC's and for NMIs */
    CHIPS_ALL,   /* and PIC, IOAPIC and PIT */
};

struct engine_options {
    u64 tsc_hz;       /* of the guest's TSC; it counts the host's own when equal */
    u32 tsc_slow;     /* ... or 2^tsc_slow times slower than that: the translator only */
    u64 cache_size;   /* translated code, bytes; 0: the engine's choice */
    bool check;       /* translate: run the interpreter in lock-step and compare */
    bool no_traces;   /* translate: blocks only */
    bool traces_wait; /* translate: a trace is made before its loop goes on */
    u32 trace_after;  /* translate: a loop's rounds before it is made a trace; 0: its choice */
    bool no_direct;   /* translate: user code never runs on the host processor as it is */
    u32 apic_ids;     /* vCPUs there will be */
    bool amd;         /* software engines: the guest is shown a processor of AMD's */
    struct engine_eyes eyes;
    enum engine_chips chips;
    u32 dirty_ring; /* entries by vCPU of a ring for dirty pages; 0: bitmaps by slot */
    bool keep;      /* translated code is kept for the next run of the same VM */
    int keep_dir;   /* ... in this directory; lent until open returns */
};

/*
 * Engines with ENGINE_CHIPS, opened with chips.  get and set: nothing runs.  The others: any
 * thread, any time; they must not wait for vCPUs.
 */
struct chip_ops {
    int (*apic_get)(struct vcpu *v, struct chip_apic *a);
    int (*apic_set)(struct vcpu *v, const struct chip_apic *a); /* after the registers */
    int (*msi)(void *engine, u64 addr, u32 data);
    /* CHIPS_APICS: the pins whose end of interrupt cpu_io.eoi is to be told, all of them */
    int (*pins)(void *engine, const struct chip_pin *p, u32 n);
    /* CHIPS_ALL */
    int (*pc_get)(void *engine, struct chip_pc *p);
    int (*pc_set)(void *engine, const struct chip_pc *p);
    int (*line)(void *engine, u32 pin, bool level);
    int (*pit_off)(void *engine, bool off); /* the HPET stands in for counter 0 */
};

struct engine_ops {
    const char *name;                           /* "kvm", "translate", "interpret" */
    int (*probe)(u64 *features, struct err *e); /* can it run here?  no side effects */
    const char *(*found)(void); /* after probe: what it found, a line for people; may be NULL */
    int (*open)(void **engine, const struct engine_options *o, struct err *e);
    void (*close)(void *engine);

    /* Whole map; any thread, vCPUs may be running: on return they no longer see the old one
     * at their next instruction (a calling vCPU thread counts as stopped). */
    int (*slots)(void *engine, const struct mem_slot *all, u32 n, struct err *e);
    int (*dirty)(void *engine, const struct mem_slot *s, u64 *bitmap); /* and clear */
    void (*forget)(void *engine, u64 gpa, u64 len); /* code there was changed from outside */

    int (*cpu_open)(void *engine, u32 index, const struct cpu_io *io, struct vcpu **v,
                    struct err *e);
    void (*cpu_close)(struct vcpu *v);
    enum stop (*run)(struct vcpu *v, struct err *e); /* until kicked or stopped */
    void (*kick)(struct vcpu *v); /* any thread, any time, never lost: vector() is asked again */
    int (*get)(struct vcpu *v, struct x86_state *s); /* the vCPU's thread, or parked */
    int (*set)(struct vcpu *v, const struct x86_state *s);
    /* one call a counter, those of a group one after the other; any thread, vCPUs may be
     * running; may be NULL */
    void (*stats)(void *engine, void (*one)(void *arg, const struct engine_stat *s), void *arg);
    /* stores there write to the eventfd fd and cause no call, from now on or no longer; any
     * thread; may be NULL */
    int (*bell)(void *engine, const struct bell_place *p, int fd, bool on);
    const struct chip_ops *chips; /* NULL: it never keeps any */
};

extern const struct engine_ops *const engine_catalog[]; /* generated; ends with NULL */
#endif
