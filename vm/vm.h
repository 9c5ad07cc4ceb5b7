/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VM_VM_H
#define VM_VM_H
#include "backend/net.h"
#include "base/err.h"
#include "base/types.h"
#include "desc/desc.h"
#include "engine/engine.h"

/*
 * One running VM: built from its description, run, and taken down.  All calls on the VM
 * thread, the one that made it, but for vm_signal.
 */
struct vm;
struct saved;

enum vm_console { VM_CONSOLE_SERIAL, VM_CONSOLE_VGA, VM_CONSOLE_NONE };

struct vm_how {
    struct { /* VNC: backend/vnc.h says what the texts are */
        bool on;
        const char *at, *password, *tls;
    } vnc;
    struct desc *desc;   /* lent; disks come and go in it */
    const char *cpu;     /* whose processor it is shown: "host" or "amd" */
    const char *engine;  /* a name of the engine catalog, or "auto" */
    const char *irqchip; /* "user", "split", "kernel": see vm/chips.c; "auto" or NULL */
    const char *persona; /* a name of the persona catalog, "none", or "auto": the description's */
    const char *agent;   /* "qemu": a port for its agent; "none"; "auto" or NULL: as is usual */
    const char
        *vsock; /* path of its socket (backend/vsock.h); "": a device only; NULL: as is usual */
    const char *bios;                     /* firmware image, or NULL: the packaged one */
    const char *kernel, *initrd, *append; /* direct boot; NULL: through the firmware */
    const char *state; /* directory for this VM's overlays; made when it is not there */
    bool throwaway;    /* what the guest writes is gone afterwards */
    enum vm_console console;
    bool must_tpm;                /* no start without the TPM that the description has */
    bool testdev;                 /* exit and test ports for test guests */
    bool no_reboot;               /* a reset ends the run */
    bool check;                   /* run the engines in lock-step */
    bool no_direct;               /* all user code is translated */
    bool no_traces;               /* the translator makes blocks only */
    const struct net_port *ports; /* --publish */
    u32 nports;
    const char *const *lines; /* --port: "serial1=FILE", "parallel0=unix:PATH" ... */
    u32 nlines;
    bool restricted;         /* the network has no way out */
    bool keep_code;          /* translated code stays in `state` for the next run */
    struct engine_eyes eyes; /* what is to be told about translated code */
    bool other_generation;   /* and is told that it is not the only one that did */
    struct saved *saved;     /* goes on from there; lent until vm_new returns; or NULL */
    const char *control;     /* directory of its control socket; NULL: it has none */
};

enum vm_end { VM_POWERED_OFF, VM_EXITED, VM_STOPPED, VM_SAVED, VM_CRASHED };
struct vm_result {
    enum vm_end end;
    u32 code;       /* VM_EXITED: the test device's */
    char text[240]; /* VM_CRASHED: a sentence */
};

/* Builds everything; nothing of the guest has run.  Notes: what could not be honoured. */
int vm_new(struct vm **vm, const struct vm_how *how, struct notes *notes, struct err *e);
void vm_free(struct vm *vm);
/* From power-on until it ends. */
int vm_run(struct vm *vm, struct vm_result *result, struct err *e);

/* Somebody wants it to stop: first the power button, the second time at once.  Safe in a
 * signal handler and in any thread. */
void vm_signal(struct vm *vm);

/* What was chosen, for the table that is shown before the boot. */
const char *vm_engine(const struct vm *vm);
const char *vm_engine_why(const struct vm *vm);  /* why that one; "" when there is no more to say */
const char *vm_chips_about(const struct vm *vm); /* where the interrupt controllers are */
const char *vm_persona(const struct vm *vm);     /* "none" when there is none */
const char *vm_firmware(const struct vm *vm);
const char *vm_vnc(const struct vm *vm); /* where it listens; NULL: not at all */
/*
 * The VM into a file, which must not be there yet.  Its disks' overlays are frozen and it goes
 * on in new ones, so that the file can be restored again and again.  The VM stands afterwards.
 */
struct vm_save {
    const char *path;
    bool packed; /* small: compressed, each page once; else mapped by who restores it */
    void (*told)(void *arg, u64 done, u64 total);
    void *arg;
    u64 size; /* out: bytes of the file */
};
int vm_save(struct vm *vm, struct vm_save *how, struct err *e);

/*
 * What a saved VM is built from, into a description that desc_init has prepared; texts are in
 * its arena.  how.saved is set.  The files of its disks are there and have not changed.
 */
int vm_saved_how(struct saved *s, struct desc *d, struct vm_how *how, struct err *e);
/* Has its own state directory gone on since it was saved?  -EBUSY says that it has. */
int vm_saved_fresh(const struct saved *s, struct desc *d, struct err *e);
/* Another VM of it: new UUID, MAC addresses and name, writes in `state`. */
int vm_saved_copy(struct desc *d, struct vm_how *how, const char *state, struct err *e);

/* The next run of a disk of that state directory begins a new overlay over the disk's file. */
int vm_overlay_fresh(const char *state, const char *disk, struct err *e);

/*
 * Was the state that another product suspended this VM into, `file`, given up before a run with
 * that state directory?  now: it is from now on, if it was not.
 */
bool vm_discarded(const char *state, const char *file, bool now);

/* Stands still: no vCPU, no device, no clock.  Already so: nothing happens. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/* Counters of the engine; while the VM runs, too. */
void vm_stats(struct vm *vm, void (*one)(void *arg, const struct engine_stat *s), void *arg);
#endif
