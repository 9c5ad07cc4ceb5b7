/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty pages by rings: each vCPU writes down which pages it stored to, so asking costs what
 * was stored, not what there is.  A full ring brings the vCPU back.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, RING_LEAST = 1024, RING_MOST = 65536 };

static size_t ring_bytes(const struct kvm *k)
{
    return k->ring * sizeof(struct kvm_dirty_gfn);
}

int kvm_ring_open(struct kvm *k, u32 entries, struct err *e)
{
    int which = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
    struct kvm_enable_cap cap = { .cap = which > 0 ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL
                                                   : KVM_CAP_DIRTY_LOG_RING };
    int r;

    if (!entries)
        return 0;
    for (k->ring = RING_LEAST; k->ring < entries && k->ring < RING_MOST;)
        k->ring *= 2;
    cap.args[0] = ring_bytes(k);
    r = kvm_ask(k->vm, KVM_ENABLE_CAP, &cap);
    return r < 0 ? err_set(e, r, "KVM has no rings for dirty pages: %s", strerror(-r)) : 0;
}

int kvm_ring_map(struct vcpu *v, struct err *e)
{
    void *at;

    if (!v->kvm->ring)
        return 0;
    at = mmap(NULL, ring_bytes(v->kvm), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
              KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE);
    if (at == MAP_FAILED)
        return err_set(e, -errno, "KVM's ring of dirty pages: %s", strerror(errno));
    v->ring = at;
    return 0;
}

void kvm_ring_unmap(struct vcpu *v)
{
    if (v->ring)
        munmap(v->ring, ring_bytes(v->kvm));
}

static u32 ring_take(struct kvm *k, struct vcpu *v)
{
    u32 n = 0;

    for (; n < k->ring; n++, v->ring_at++) {
        struct kvm_dirty_gfn *g = &v->ring[v->ring_at % k->ring];
        u32 slot = g->slot & 0xffff;

        if (!(__atomic_load_n(&g->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
            break;
        if (slot < k->slots && k->slot[slot].used && g->offset < k->slot[slot].s.len / PAGE)
            x86_memory_mark(&k->mem, k->slot[slot].s.gpa + g->offset * PAGE, PAGE);
        __atomic_store_n(&g->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
    }
    return n;
}

int kvm_ring_fetch(struct kvm *k)
{
    u32 n = 0;
    int r;

    pthread_mutex_lock(&k->lock);
    for (struct vcpu *v = k->first; v; v = v->next)
        n += ring_take(k, v);
    pthread_mutex_unlock(&k->lock);
    if (!n)
        return 0;
    r = kvm_ask(k->vm, KVM_RESET_DIRTY_RINGS, NULL);
    return r < 0 ? r : 0;
}
