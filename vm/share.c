/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a restored VM is mapped private from the saved file.  What user code that runs in a
 * sandbox touches has to be in the file in memory instead: an engine asks for such pages, and
 * they are moved while everything stands, many at once.
 */
#include "base/loop.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdlib.h>

#define SHARE_EVERY_NS ((i64)5 * 1000000) /* no sooner after the last time */

struct vm_share {
    struct loop_timer *timer;
    i64 last;
    atomic_bool told;
};

static void share_now(void *arg)
{
    struct vm *vm = arg;
    bool stood = vm->paused;

    atomic_store(&vm->share->told, false);
    if (vm->ended)
        return;
    if (!stood)
        vm_pause(vm);
    machine_ram_share(vm->machine);
    if (!stood)
        vm_resume(vm);
    vm->share->last = loop_now();
}

static void share_told(void *arg)
{
    struct vm *vm = arg;

    loop_timer_set(vm->share->timer, vm->share->last + SHARE_EVERY_NS);
}

void vm_share_want(struct vm *vm, u64 gpa)
{
    struct vm_share *s = vm->share;

    if (s && machine_ram_want(vm->machine, gpa) && !atomic_exchange(&s->told, true) &&
        loop_post(machine_loop(vm->machine), share_told, vm))
        atomic_store(&s->told, false);
}

int vm_share_open(struct vm *vm, struct err *e)
{
    vm->share = calloc(1, sizeof(*vm->share));
    if (!vm->share || loop_timer_add(machine_loop(vm->machine), share_now, vm, &vm->share->timer))
        return err_set(e, -ENOMEM, "out of memory");
    return 0;
}

void vm_share_close(struct vm *vm)
{
    if (!vm->share)
        return;
    loop_timer_drop(vm->share->timer);
    free(vm->share);
}
