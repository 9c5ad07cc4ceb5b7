/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_KVM_KVM_INT_H
#define ENGINE_KVM_KVM_INT_H
#include "engine/x86/cpu.h"
#include "engine/x86/memory.h"
#include <linux/kvm.h>
#include <pthread.h>
#include <sys/ioctl.h>

/*
 * What KVM does not do itself the software core does: MSRs that are plain storage, CPUID's
 * model, instructions that KVM's emulator gives up on, events that wait in KVM when the
 * state is asked for.  So each vCPU has a struct x86_cpu.  Its state is whole only between
 * kvm_load and kvm_store; at other times the registers in KVM count, and of x86_cpu.s only
 * what KVM does not have (state.c).
 */
enum kvm_stat {
    STAT_RUN,
    STAT_PORT,
    STAT_MMIO,
    STAT_MSR,
    STAT_HALT,
    STAT_WINDOW,
    STAT_TPR,
    STAT_EOI,
    STAT_STEP,
    STATS
};

struct kvm_slot {
    struct mem_slot s;
    bool used;
};

struct kvm {
    int fd, vm;
    u32 run_size, apic_ids, slots;
    u64 arch_capabilities;
    bool sregs2;
    enum engine_chips chips; /* those that are in the kernel */
    u32 ring;                /* entries of each ring of dirty pages; 0: bitmaps */
    struct kvm_cpuid2 *supported;
    struct x86_memory mem; /* the same slots; dirty bits gather in it */

    pthread_mutex_t map; /* one change of slots at a time */
    struct kvm_slot *slot;

    pthread_mutex_t lock; /* guards the list of vCPUs; `calm` is signalled under it */
    pthread_cond_t calm;
    struct vcpu *first;
    atomic_bool changing; /* the slots are: nobody enters KVM_RUN */
    u64 stat[STATS];      /* of vCPUs that were closed */
};

struct vcpu {
    struct x86_cpu c;
    struct cpu_io io;
    struct kvm *kvm;
    struct vcpu *next;
    int fd;
    struct kvm_run *run;
    atomic_int tid;     /* of the thread that runs it */
    atomic_bool inside; /* in KVM_RUN, or about to be */
    bool unfinished;    /* the instruction of the last exit is done by the next KVM_RUN */
    bool shutdown;      /* a triple fault */
    struct kvm_dirty_gfn *ring;
    u32 ring_at; /* the entry that comes next */
    bool stale;  /* run's view of interrupts is from before a set */
    u64 stat[STATS];
};

/* kvm.c */
int kvm_ask(int fd, unsigned long what, void *arg); /* ioctl; negative errno */

/* model.c: what the guest is shown, and who answers its MSRs */
int kvm_supported(struct kvm *k, struct err *e);
void kvm_model_mask(const struct kvm *k, u32 leaf, u32 sub, u32 regs[4]);
int kvm_model_set(struct vcpu *v, struct err *e);
int kvm_model_filter(struct kvm *k, struct err *e);
bool kvm_model_owns(const struct kvm *k, u32 msr); /* KVM keeps this one */

/* chips.c */
extern const struct chip_ops kvm_chips;
int kvm_chips_open(struct kvm *k, struct err *e);

/* ring.c; k->map held */
int kvm_ring_open(struct kvm *k, u32 entries, struct err *e);
int kvm_ring_map(struct vcpu *v, struct err *e);
void kvm_ring_unmap(struct vcpu *v);
int kvm_ring_fetch(struct kvm *k); /* what is in all of them */

/* slots.c */
int kvm_slots_open(struct kvm *k, struct err *e);
void kvm_slots_close(struct kvm *k);
int kvm_slots_set(void *engine, const struct mem_slot *all, u32 n, struct err *e);
int kvm_slots_dirty(void *engine, const struct mem_slot *s, u64 *bitmap);
int kvm_slots_ring_full(struct kvm *k);

/* state.c: between KVM and v->c.s; 0 or a negative errno */
int kvm_load(struct vcpu *v);  /* events that wait in KVM are delivered first */
int kvm_fetch(struct vcpu *v); /* as it is, in the middle of an exit */
int kvm_store(struct vcpu *v);
int kvm_store_regs(struct vcpu *v);   /* general registers, RIP, flags */
int kvm_fetch_halted(struct vcpu *v); /* before kvm_load */
int kvm_store_halted(struct vcpu *v);
int kvm_drop_nmis(struct vcpu *v, u32 *n); /* those that wait in KVM: how many */

/* exit.c: false: e says what is wrong */
bool kvm_exit(struct vcpu *v, struct err *e);

/* run.c */
enum stop kvm_run_vcpu(struct vcpu *v, struct err *e);
bool kvm_finish(struct vcpu *v, struct err *e); /* the instruction of the last exit is over */
void kvm_kick(struct vcpu *v);
int kvm_signal_open(struct err *e); /* the signal that ends KVM_RUN */
int kvm_signal_number(void);
void kvm_signal_unblock(void); /* in this thread */
void kvm_wake(struct vcpu *v); /* out of KVM_RUN, soon */

/* probe.c */
int kvm_probe(u64 *features, struct err *e);
const char *kvm_found(void);
int kvm_needs(int fd, struct err *e); /* has this KVM what we need? */
#endif
