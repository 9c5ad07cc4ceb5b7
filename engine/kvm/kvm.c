/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine that runs vCPUs on Linux's KVM (Documentation/virt/kvm/api.rst).  Where the
 * interrupt controllers and timers are the machine's own, KVM tells us of HLT, of an open
 * interrupt window and of a lowered CR8, and takes vectors one by one; else see chips.c.
 * Nested virtualization and system management mode are not offered to the guest.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Three pages and one that KVM wants on Intel processors that cannot run real mode: below the
 * local APIC's page, where neither RAM nor firmware is. */
enum { KVM_IDENTITY = 0xfeffc000, KVM_TSS = 0xfeffd000 };

int kvm_ask(int fd, unsigned long what, void *arg)
{
    int r;

    do {
        r = ioctl(fd, what, arg);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* Behaviour that KVM keeps for old guests and a processor does not have. */
static void kvm_no_quirks(const struct kvm *k)
{
    u64 wish = KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_FIX_HYPERCALL_INSN |
               KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
    int have = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
    struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2 };

    if (have > 0) {
        cap.args[0] = wish & (u64)have;
        kvm_ask(k->vm, KVM_ENABLE_CAP, &cap);
    }
}

static void kvm_features(struct kvm *k)
{
    struct {
        u32 nmsrs, pad; /* as struct kvm_msrs, with room */
        struct kvm_msr_entry e;
    } m = { .nmsrs = 1, .e.index = 0x10a };

    k->sregs2 = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2) > 0;
    if (kvm_ask(k->fd, KVM_GET_MSRS, &m) == 1)
        k->arch_capabilities = m.e.data;
}

static int kvm_vm_new(struct kvm *k, struct err *e)
{
    u64 identity = KVM_IDENTITY;
    struct kvm_enable_cap error = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };
    int r;

    k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (k->fd < 0)
        return err_set(e, -errno, "/dev/kvm: %s", strerror(errno));
    r = kvm_needs(k->fd, e);
    if (r)
        return r;
    k->vm = kvm_ask(k->fd, KVM_CREATE_VM, NULL);
    if (k->vm < 0)
        return err_set(e, k->vm, "KVM makes no VM: %s", strerror(-k->vm));
    r = kvm_ask(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    r = r < 0 ? r : kvm_ask(k->vm, KVM_SET_TSS_ADDR, (void *)(uintptr_t)KVM_TSS);
    if (r < 0)
        return err_set(e, r, "KVM does not take its own pages: %s", strerror(-r));
    kvm_ask(k->vm, KVM_ENABLE_CAP, &error); /* where it is not known, such instructions are #UD */
    kvm_no_quirks(k);
    kvm_features(k);
    r = kvm_chips_open(k, e);
    if (r)
        return r;
    k->run_size = (u32)ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    return 0;
}

static void kvm_close(void *engine)
{
    struct kvm *k = engine;

    kvm_slots_close(k);
    x86_memory_fini(&k->mem);
    if (k->vm >= 0)
        close(k->vm);
    if (k->fd >= 0)
        close(k->fd);
    pthread_mutex_destroy(&k->map);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->calm);
    free(k->supported);
    free(k);
}

static int kvm_open(void **engine, const struct engine_options *o, struct err *e)
{
    struct kvm *k = calloc(1, sizeof(*k));
    int r;

    if (!k || x86_memory_init(&k->mem)) {
        free(k);
        return err_set(e, -ENOMEM, "no memory for the engine");
    }
    k->fd = k->vm = -1;
    k->apic_ids = o->apic_ids ? o->apic_ids : 1;
    k->chips = o->chips;
    pthread_mutex_init(&k->map, NULL);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->calm, NULL);
    r = kvm_vm_new(k, e);
    r = r ? r : kvm_slots_open(k, e);
    r = r ? r : kvm_ring_open(k, o->dirty_ring, e);
    r = r ? r : kvm_supported(k, e);
    r = r ? r : kvm_model_filter(k, e);
    r = r ? r : kvm_signal_open(e);
    if (r) {
        kvm_close(k);
        return r;
    }
    *engine = k;
    return 0;
}

/* KVM keeps its translations of guest memory true by itself. */
static void kvm_forget(void *engine, u64 gpa, u64 len)
{
}

/* ---- vCPUs ---- */

static void kvm_cpu_free(struct vcpu *v)
{
    x86_cpu_fini(&v->c);
    kvm_ring_unmap(v);
    if (v->run)
        munmap(v->run, v->kvm->run_size);
    if (v->fd >= 0)
        close(v->fd);
    free(v);
}

static int kvm_cpu_make(struct vcpu *v, u32 index, struct err *e)
{
    struct kvm *k = v->kvm;
    void *run;
    int r;

    v->fd = kvm_ask(k->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)index);
    if (v->fd < 0)
        return err_set(e, v->fd, "KVM makes no vCPU: %s", strerror(-v->fd));
    run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED)
        return err_set(e, -errno, "KVM's run page: %s", strerror(errno));
    v->run = run;
    r = kvm_ring_map(v, e);
    if (r)
        return r;
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    v->c.apic_ids = k->apic_ids;
    r = kvm_model_set(v, e);
    if (r)
        return r;
    r = kvm_store(v);
    return r ? err_set(e, r, "KVM refuses the power-on state: %s", strerror(-r)) : 0;
}

static int kvm_cpu_open(void *engine, u32 index, const struct cpu_io *io, struct vcpu **out,
                        struct err *e)
{
    struct kvm *k = engine;
    struct vcpu *v = aligned_alloc(_Alignof(struct vcpu), sizeof(*v));
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "no memory for vCPU %u", index);
    memset(v, 0, sizeof(*v));
    v->io = *io;
    v->kvm = k;
    v->fd = -1;
    r = x86_cpu_init(&v->c, index, &v->io, &k->mem, 0, e);
    r = r ? r : kvm_cpu_make(v, index, e);
    if (r) {
        kvm_cpu_free(v);
        return r;
    }
    pthread_mutex_lock(&k->lock);
    v->next = k->first;
    k->first = v;
    pthread_mutex_unlock(&k->lock);
    *out = v;
    return 0;
}

static void kvm_cpu_close(struct vcpu *v)
{
    struct kvm *k = v->kvm;
    struct vcpu **at;

    pthread_mutex_lock(&k->lock);
    for (at = &k->first; *at != v; at = &(*at)->next)
        ;
    *at = v->next;
    for (u32 i = 0; i < STATS; i++)
        k->stat[i] += v->stat[i];
    pthread_mutex_unlock(&k->lock);
    kvm_cpu_free(v);
}

static int kvm_get(struct vcpu *v, struct x86_state *s)
{
    int r = kvm_fetch_halted(v);

    r = r < 0 ? r : kvm_load(v);
    if (!r)
        *s = v->c.s;
    if (v->kvm->chips != CHIPS_NONE)
        v->c.s.halted = false;
    return r;
}

static int kvm_set(struct vcpu *v, const struct x86_state *s)
{
    int r = x86_state_check(s, NULL);
    u32 n;

    if (r)
        return r;
    v->c.s = *s;
    v->c.debug = 0;
    x86_flush(&v->c, FLUSH_ALL, 0);
    r = kvm_store(v);
    r = r < 0 ? r : kvm_drop_nmis(v, &n);
    r = r < 0 ? r : kvm_store_halted(v);
    v->c.window = false;
    atomic_store(&v->c.pending, 1);
    return r < 0 ? r : 0;
}

static int kvm_bell(void *engine, const struct bell_place *p, int fd, bool on)
{
    struct kvm *k = engine;
    struct kvm_ioeventfd i = { .addr = p->at,
                               .len = p->size,
                               .datamatch = p->val,
                               .fd = fd,
                               .flags = (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN) |
                                        (p->port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                                        (p->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) };
    int r;

    if (!p->size && ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) <= 0)
        return -EOPNOTSUPP;
    r = kvm_ask(k->vm, KVM_IOEVENTFD, &i);
    return r < 0 ? r : 0;
}

static void kvm_stats(void *engine, void (*one)(void *arg, const struct engine_stat *s), void *arg)
{
    static const char *const names[STATS] = { "entries",
                                              "ports",
                                              "memory",
                                              "MSRs",
                                              "halts",
                                              "interrupt windows",
                                              "TPR",
                                              "ends of interrupts",
                                              "instructions run in software" };
    struct kvm *k = engine;
    u64 n[STATS];

    pthread_mutex_lock(&k->lock);
    memcpy(n, k->stat, sizeof(n));
    for (const struct vcpu *v = k->first; v; v = v->next)
        for (u32 i = 0; i < STATS; i++)
            n[i] += v->stat[i];
    pthread_mutex_unlock(&k->lock);
    for (u32 i = 0; i < STATS; i++)
        one(arg, &(struct engine_stat){ "exits", names[i], STAT_COUNT, n[i] });
}

const struct engine_ops engine_kvm = {
    .name = "kvm",
    .probe = kvm_probe,
    .found = kvm_found,
    .open = kvm_open,
    .close = kvm_close,
    .slots = kvm_slots_set,
    .dirty = kvm_slots_dirty,
    .forget = kvm_forget,
    .cpu_open = kvm_cpu_open,
    .cpu_close = kvm_cpu_close,
    .run = kvm_run_vcpu,
    .kick = kvm_kick,
    .get = kvm_get,
    .set = kvm_set,
    .stats = kvm_stats,
    .bell = kvm_bell,
    .chips = &kvm_chips,
};
