/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generation of this VM: 128 random bits on a page of their own that change when it goes
 * on as another one, a copy or one that went back in time, so that guests renew what must not
 * exist twice.  Microsoft, "Virtual Machine Generation ID"; the ACPI device that tells where
 * they are is in firmware/dsdt.c.
 */
#include "device/chipset/vmgenid.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { VMGENID_PAGE = 4096 };

struct vmgenid {
    struct device dev;
    struct vmgenid_state {
        u8 id[16];
    } state;
    u8 *page;
    u32 slot;
};

static void vmgenid_show(struct device *d)
{
    struct vmgenid *g = (struct vmgenid *)d;

    memcpy(g->page, g->state.id, sizeof(g->state.id));
}

int vmgenid_renew(struct device *d)
{
    struct vmgenid *g = (struct vmgenid *)d;
    u8 id[16];

    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        return -EIO;
    domain_lock(d->domain);
    memcpy(g->state.id, id, sizeof(id));
    vmgenid_show(d);
    domain_unlock(d->domain);
    machine_gpe(d->machine, VMGENID_EVENT);
    return 0;
}

static int vmgenid_create(struct device *d, struct err *e)
{
    struct vmgenid *g = (struct vmgenid *)d;
    struct machine_slot s = { .gpa = VMGENID_ADDRESS, .len = VMGENID_PAGE, .readonly = true };
    int r;

    g->page = mmap(NULL, VMGENID_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->page == MAP_FAILED)
        return err_set(e, -ENOMEM, "no memory for a page");
    s.host = g->page;
    r = machine_slot_add(d->machine, &s, &g->slot, e);
    if (r)
        munmap(g->page, VMGENID_PAGE);
    return r;
}

static void vmgenid_destroy(struct device *d)
{
    struct vmgenid *g = (struct vmgenid *)d;

    machine_slot_drop(d->machine, g->slot);
    munmap(g->page, VMGENID_PAGE);
}

/* A VM that starts anew keeps its generation; the first one of a VM is nothing special. */
static void vmgenid_reset(struct device *d, enum reset kind)
{
    (void)kind;
    vmgenid_show(d);
}

static const struct field state[] = { FIELDS(1, struct vmgenid_state, id, 0, "the generation"),
                                      FIELD_END };

const struct device_class device_vmgenid = {
    .name = "vmgenid",
    .about = "generation ID: tells a guest that it was copied or went back in time",
    .size = sizeof(struct vmgenid),
    .state_at = offsetof(struct vmgenid, state),
    .state_size = sizeof(struct vmgenid_state),
    .state = state,
    .create = vmgenid_create,
    .destroy = vmgenid_destroy,
    .reset = vmgenid_reset,
    .restored = vmgenid_show,
};
