/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VM_VM_INT_H
#define VM_VM_INT_H
#include "engine/engine.h"
#include "engine/x86/state.h"
#include "firmware/firmware.h"
#include "machine/machine.h"
#include "persona/persona.h"
#include "vm/saved.h"
#include "vm/vm.h"
#include <pthread.h>
#include <stdatomic.h>

enum { VM_CPUS_MAX = 64, VM_DISKS_MAX = 32, VM_NICS_MAX = 8, VM_PORTS = 6 };

/* Why a vCPU thread should leave the engine: bits of vm_cpu.ask. */
enum { ASK_PARK = 1, ASK_NMI = 2, ASK_INIT = 4, ASK_SIPI = 8, ASK_END = 16 };

struct vm_cpu {
    struct vm *vm;
    u32 index;
    pthread_t thread;
    bool has_thread;
    struct vcpu *v;
    atomic_uint ask;
    atomic_uchar sipi_page;
    atomic_uint nmis; /* came since its thread looked */
    u32 nmi_pending;  /* its thread's: two at most, one while an NMI is being handled */

    pthread_mutex_t lock; /* guards what follows; wake is signalled under it */
    pthread_cond_t wake;
    bool kicked;  /* since it last looked */
    bool parked;  /* its thread touches nothing */
    bool waiting; /* for a start-up IPI */
};

struct blk;
struct net;
struct chr;
struct vsock;

struct vm {
    struct vm_how how;
    struct machine *machine;
    struct persona *persona;
    const struct engine_ops *ops;
    void *engine;
    enum engine_chips chips; /* those that the engine keeps while vCPUs run */
    char why[200];           /* this engine */
    struct vm_cpu *cpus;
    u32 ncpus;
    struct firmware_start *start; /* the boot processor's first state */

    struct vm_disk {
        const struct desc_disk *desc;
        struct blk *blk;
        char *overlay;             /* where its writes are kept; NULL: nowhere */
        int fd;                    /* of the file without a name that they are in then; or -1 */
        struct overlay_new *fresh; /* the overlay is being put on the disk; or NULL: it is there */
    } disks[VM_DISKS_MAX];
    u32 ndisks;
    struct net *nets[VM_NICS_MAX];
    u32 nnets;
    struct vm_port {
        struct chr *chr;
        int fd; /* 0: none of its own */
    } ports[VM_PORTS];
    struct chr *debug;
    struct tpm *tpm;          /* or NULL */
    struct nvram *nvram;      /* EFI variables; or NULL */
    const char *efi;          /* the firmware's code, when the VM starts by EFI; or NULL */
    struct vm_view *view;     /* VNC, when it is wanted */
    struct vm_screen *screen; /* the VGA in our terminal, when it is shown */

    struct control *control;           /* its socket; or NULL */
    struct agent *agent;               /* the tools in the guest */
    struct qga *qga;                   /* QEMU's, which are another; or NULL */
    struct vmtools *tools;             /* VMware's, which are one kind of them */
    struct vsock *vsock;               /* or NULL */
    struct vmtools_vsock *tools_vsock; /* the tools' way over it; or NULL */
    struct vm_share *share;            /* pages of RAM that are to come into its file; or NULL */
    bool paused;
    atomic_bool asleep; /* to RAM: no vCPU has anything to run until something wakes it */
    u64 tsc_offset;     /* of the machine's counter, as the vCPUs have it */

    struct vm_result result;
    bool ended;
    u32 shutdowns; /* triple faults in a row */
    bool pressed;  /* the power button was, or nobody there can do better */
    u32 wishes;    /* how often somebody asked it to stop */
    struct loop_watch *wish_watch;
    struct loop_timer *wish_timer;
    int wish_fd;
};

/* cpu.c */
int vm_cpus_new(struct vm *vm, struct err *e);   /* engine, vCPUs; machine_cpus set */
int vm_cpus_start(struct vm *vm, struct err *e); /* threads; they wait parked */
void vm_cpus_park(struct vm *vm);                /* returns when no vCPU runs */
void vm_cpus_release(struct vm *vm);
void vm_cpus_reset(struct vm *vm); /* parked; BSP at vm->start, others wait */
void vm_cpus_tsc(struct vm *vm);   /* parked; their counters follow the machine's */
void vm_cpus_free(struct vm *vm);

/* vm.c: the run ends, from the VM thread; the first one counts */
void vm_finish(struct vm *vm, enum vm_end end, u32 code);
/* Wakes it as its power button does; false: it does not sleep.  Any thread. */
bool vm_stir(struct vm *vm);
/* A key of its screen, as backend/keys.h names it: wakes it, or goes to the USB keyboard that it
 * uses, or to the i8042's (NULL: it has none).  Any thread. */
void vm_key(struct vm *vm, struct device *i8042, u16 key, bool down);
void vm_press(struct vm *vm); /* the power button; the guest has its time, then it is stopped */

/* build.c */
int vm_build(struct vm *vm, struct notes *notes, struct err *e);
/* vm/bootorder.c: for the firmware; empty: it has its own */
void vm_boot_order(const struct vm *vm, char *text, size_t room);
void vm_unbuild(struct vm *vm);
u8 vm_build_south(const struct vm *vm); /* the PCI slot of the south bridge */
/* How a controller's class calls its places: "scsi", for the ends "scsi.<unit>"; or "". */
const char *vm_disk_prefix(const char *class);
/* The host end of a disk of the description, listed in vm->disks. */
int vm_build_blk(struct vm *vm, const struct desc_disk *d, struct blk **b, struct err *e);

/* board.c: is it VMware's, with its bridges? */
bool vm_board_is_vmware(const struct vm *vm);
int vm_board_check(const struct vm *vm, struct notes *notes, struct err *e); /* its version */
int vm_bridges_build(struct vm *vm, struct err *e);

/* ports.c: serial and parallel ones */
int vm_ports_build(struct vm *vm, struct notes *notes, struct err *e);
void vm_ports_close(struct vm *vm);

/* usb.c */
int vm_usb_build(struct vm *vm, struct err *e);
bool vm_usb_is(const char *class); /* is it built there? */
/* As backend/vnc.h says.  false: the guest has no driver for it, somebody else may have it. */
bool vm_usb_point(struct vm *vm, u32 x, u32 y, i32 wheel, u32 buttons);
bool vm_usb_key(struct vm *vm, u16 key, bool down);

/* share.c: pages of a restored VM that sandboxes are to see */
int vm_share_open(struct vm *vm, struct err *e);
void vm_share_close(struct vm *vm);
void vm_share_want(struct vm *vm, u64 gpa); /* a vCPU's thread */

/* screen.c: while the VM runs with --console vga */
int vm_screen_open(struct vm *vm, struct err *e);
void vm_screen_close(struct vm *vm);

/* view.c: the screen from outside */
int vm_view_open(struct vm *vm, struct err *e); /* built; nothing runs yet */
void vm_view_close(struct vm *vm);

/* disk.c: the image that a disk of the description runs on; overlay and fd of k are set */
struct image;
struct image_open;
int vm_disk_open(const struct vm *vm, const struct desc_disk *d, struct vm_disk *k,
                 struct image **im, struct err *e);
void vm_disk_end(struct vm_disk *k); /* it is no disk any more */
/* VM paused.  What the guest wrote to a disk that has a fd, in a new file beside that of the
 * saved VM; its path is the caller's. */
int vm_disk_copy(const struct vm_disk *k, const char *saved, char **copy, struct err *e);
/* Not on the host's disk yet, and under no other name than this. */
int vm_disk_create(const char *overlay, const struct image_open *parent, bool check, struct err *e);

/* overlay.c: where writes are kept */
int vm_overlay_open(const struct vm *vm, const struct desc_disk *d, const struct image_open *parent,
                    struct image **im, struct vm_disk *k, struct err *e);
int vm_overlay_ready(void *fresh); /* waits until a new one is on the disk; 0 or -errno */
void vm_overlay_end(struct overlay_new *fresh); /* NULL is allowed; waits */
/* VM paused.  The overlay stays as it is from now on, and the disk goes on in a new one over
 * it.  frozen: its path, to be freed. */
int vm_overlay_freeze(struct vm *vm, struct vm_disk *d, char **frozen, struct err *e);
/* A name of the file of `path` and its parents until the disk's own; the caller frees each and
 * the list.  Answers how many. */
int vm_overlay_chain(const struct desc_disk *d, const char *path, char ***chain, u32 *n,
                     struct err *e);
/* What has to be the same for a file to be the same one: text of path, size, time, place. */
int vm_file_identity(const char *path, u64 offset, u64 length, char *text, size_t room,
                     struct err *e);

int vm_make_dirs(const char *path, struct err *e); /* all of the path, for us alone */
/* The VM's state directory is there, or an error. */
int vm_make_state(const struct vm *vm, struct err *e);

/* save.c, load.c */
int vm_load(struct vm *vm, struct saved *s, struct err *e); /* just built; it stands */
/* What is kept of a vCPU. */
struct vm_cpu_saved {
    struct x86_state state; /* tsc_offset: what the guest added by itself */
    u32 ask, nmis, nmi_pending;
    u8 sipi_page;
    bool waiting;
    u8 pad[50];
};
extern const struct field vm_cpu_fields[];
void vm_cpu_get(const struct vm_cpu *c, struct vm_cpu_saved *s); /* parked */
int vm_cpu_set(struct vm_cpu *c, const struct vm_cpu_saved *s, struct err *e);
u64 vm_saved_tsc_hz(const struct saved *s); /* 0: does not say */

/* efi.c: the firmware and its variables, for a description that asks for EFI */
int vm_efi_open(struct vm *vm, struct notes *notes, struct err *e); /* sets vm->efi */
int vm_efi_build(struct vm *vm, struct err *e);                     /* the flash */

/* tpm.c: when the description has one */
int vm_tpm_build(struct vm *vm, struct notes *notes, struct err *e);

/* agent.c: the guest's tools */
int vm_agent_open(struct vm *vm, struct err *e);
int vm_agent_build(struct vm *vm, struct err *e); /* devices that agents need */
void vm_agent_close(struct vm *vm);
int vm_vsock_build(struct vm *vm, struct err *e); /* the device that carries sockets */
bool vm_agent_poweroff(struct vm *vm);            /* false: nobody there can */

/* cpu.c: from any thread: the run ends with this sentence */
void vm_crash(struct vm *vm, const char *text);
/* INIT and start-up IPI that are on their way arrive; parked */
void vm_cpu_settle(struct vm_cpu *c);

/* chips.c: interrupt controllers that the engine keeps.  give, take: vCPUs parked */
int vm_chips_choose(struct vm *vm, struct err *e);
void vm_chips_give(struct vm *vm);
void vm_chips_take(struct vm *vm);
void vm_chips_eoi(struct vm *vm, u8 vector);

/* tsc.c */
u64 vm_host_tsc_hz(void);
#endif
