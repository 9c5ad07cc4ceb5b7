/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory slots and dirty pages.  KVM changes one slot at a time, so vCPUs stand still while
 * the map is being changed: none of them meets a hole that is not there before or after.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, SLOTS_MOST = 512 };

int kvm_slots_open(struct kvm *k, struct err *e)
{
    int n = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);

    k->slots = n <= 0 ? 32 : n > SLOTS_MOST ? SLOTS_MOST : (u32)n;
    k->slot = calloc(k->slots, sizeof(*k->slot));
    return k->slot ? 0 : err_set(e, -ENOMEM, "no memory for KVM's slots");
}

void kvm_slots_close(struct kvm *k)
{
    free(k->slot);
    k->slot = NULL;
}

/* ---- standing still ---- */

static void slots_stop(struct kvm *k)
{
    pthread_mutex_lock(&k->lock);
    atomic_store(&k->changing, true);
    for (struct vcpu *v = k->first; v; v = v->next) {
        if (atomic_load(&v->inside))
            kvm_wake(v);
        while (atomic_load(&v->inside))
            pthread_cond_wait(&k->calm, &k->lock);
    }
    pthread_mutex_unlock(&k->lock);
}

static void slots_go(struct kvm *k)
{
    pthread_mutex_lock(&k->lock);
    atomic_store(&k->changing, false);
    pthread_cond_broadcast(&k->calm);
    pthread_mutex_unlock(&k->lock);
}

/* ---- one slot ---- */

static int slot_tell(struct kvm *k, u32 id, const struct mem_slot *s, u64 len)
{
    struct kvm_userspace_memory_region r = { .slot = id,
                                             .flags = (s->readonly ? KVM_MEM_READONLY : 0) |
                                                      (s->log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0),
                                             .guest_phys_addr = s->gpa,
                                             .memory_size = len,
                                             .userspace_addr = (uintptr_t)s->host };

    return kvm_ask(k->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

/* What KVM has logged of a slot since it was asked last, into our own bits. */
static int slot_fetch_dirty(struct kvm *k, u32 id)
{
    const struct mem_slot *s = &k->slot[id].s;
    u64 pages = s->len / PAGE, *bits = k->ring ? NULL : calloc((pages + 63) / 64, sizeof(u64));
    struct kvm_dirty_log log = { .slot = id, .dirty_bitmap = bits };
    int r;

    if (k->ring)
        return kvm_ring_fetch(k);
    if (!bits)
        return -ENOMEM;
    r = kvm_ask(k->vm, KVM_GET_DIRTY_LOG, &log);
    for (u64 i = 0; i < pages && r >= 0; i++)
        if (bits[i / 64] >> i % 64 & 1)
            x86_memory_mark(&k->mem, s->gpa + i * PAGE, PAGE);
    free(bits);
    return r < 0 ? r : 0;
}

static int slot_drop(struct kvm *k, u32 id)
{
    struct kvm_slot *slot = &k->slot[id];
    int r = slot->s.log_dirty ? slot_fetch_dirty(k, id) : 0;

    slot->used = false;
    return r ? r : slot_tell(k, id, &slot->s, 0);
}

static int slot_put(struct kvm *k, const struct mem_slot *s, struct err *e)
{
    u32 id;
    int r;

    for (id = 0; id < k->slots && k->slot[id].used; id++)
        continue;
    if (id == k->slots)
        return err_set(e, -ENOSPC, "KVM has %u memory slots and the machine needs more", k->slots);
    r = slot_tell(k, id, s, s->len);
    if (r < 0)
        return err_set(e, r, "KVM refuses memory at 0x%llx: %s", (unsigned long long)s->gpa,
                       strerror(-r));
    k->slot[id] = (struct kvm_slot){ .s = *s, .used = true };
    return 0;
}

/* ---- the whole map ---- */

static bool slot_same(const struct mem_slot *a, const struct mem_slot *b)
{
    return a->gpa == b->gpa && a->len == b->len && a->host == b->host &&
           a->readonly == b->readonly && a->log_dirty == b->log_dirty;
}

static int slots_change(struct kvm *k, const struct mem_slot *all, u32 n, struct err *e)
{
    bool *keep = calloc(n ? n : 1, sizeof(*keep));
    int r = 0;

    if (!keep)
        return err_set(e, -ENOMEM, "no memory for %u slots", n);
    for (u32 id = 0; id < k->slots && !r; id++) {
        u32 i;

        if (!k->slot[id].used)
            continue;
        for (i = 0; i < n && !slot_same(&k->slot[id].s, &all[i]); i++)
            continue;
        if (i < n)
            keep[i] = true;
        else
            r = slot_drop(k, id);
    }
    if (r)
        err_set(e, r, "KVM does not let go of memory: %s", strerror(-r));
    /* dirty bits that slot_drop fetched belong to the old table's slots: change it after */
    r = r ? r : x86_memory_set(&k->mem, all, n, e);
    for (u32 i = 0; i < n && !r; i++)
        if (!keep[i])
            r = slot_put(k, &all[i], e);
    free(keep);
    return r;
}

int kvm_slots_set(void *engine, const struct mem_slot *all, u32 n, struct err *e)
{
    struct kvm *k = engine;
    int r;

    pthread_mutex_lock(&k->map);
    slots_stop(k);
    r = slots_change(k, all, n, e);
    slots_go(k);
    pthread_mutex_unlock(&k->map);
    return r;
}

int kvm_slots_dirty(void *engine, const struct mem_slot *s, u64 *bitmap)
{
    struct kvm *k = engine;
    int r = -ENOENT;

    pthread_mutex_lock(&k->map);
    if (k->ring)
        slots_stop(k); /* what the processor still has goes to the ring as a vCPU leaves */
    for (u32 id = 0; id < k->slots; id++)
        if (k->slot[id].used && k->slot[id].s.log_dirty && k->slot[id].s.gpa == s->gpa)
            r = slot_fetch_dirty(k, id);
    if (k->ring)
        slots_go(k);
    r = r ? r : x86_memory_dirty(&k->mem, s, bitmap);
    pthread_mutex_unlock(&k->map);
    return r;
}

int kvm_slots_ring_full(struct kvm *k)
{
    int r;

    pthread_mutex_lock(&k->map);
    r = kvm_ring_fetch(k);
    pthread_mutex_unlock(&k->map);
    return r;
}
