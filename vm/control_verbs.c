/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be asked of a running VM: the list of tables, and the plain verbs. */
#include "base/loop.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define VERB_TELL_NS 100000000ll

static const char *verb_state(const struct vm *vm)
{
    return vm->paused ? "paused" : atomic_load(&vm->asleep) ? "asleep" : "running";
}

static void verb_status(struct vm *vm, struct control_call *c)
{
    const struct desc *d = vm->how.desc;
    char uuid[33] = "";

    for (u32 i = 0; d->has_uuid && i < 16; i++)
        snprintf(uuid + 2 * i, 3, "%02x", d->uuid[i]);
    control_answer(c,
                   json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:I, s:s?}", "name",
                             d->name, "uuid", uuid, "pid", (int)getpid(), "state", verb_state(vm),
                             "engine", vm_engine(vm), "persona", vm_persona(vm), "firmware",
                             vm_firmware(vm), "memory", (json_int_t)d->memory, "cpus", (int)d->cpus,
                             "guest_time_ns", (json_int_t)machine_now(vm->machine), "directory",
                             vm->how.throwaway ? NULL : vm->how.state));
}

static void verb_shutdown(struct vm *vm, struct control_call *c)
{
    vm_press(vm);
    control_answer(c, NULL);
}

static void verb_stop(struct vm *vm, struct control_call *c)
{
    vm_finish(vm, VM_STOPPED, 0);
    control_answer(c, NULL);
}

static void verb_pause(struct vm *vm, struct control_call *c)
{
    vm_pause(vm);
    control_answer(c, NULL);
}

static void verb_resume(struct vm *vm, struct control_call *c)
{
    if (vm->paused || !vm_stir(vm))
        vm_resume(vm);
    control_answer(c, NULL);
}

static void verb_stat(void *arg, const struct engine_stat *s)
{
    json_t *all = arg, *group = json_object_get(all, s->group);

    if (!group) {
        group = json_object();
        json_object_set_new(all, s->group, group);
    }
    json_object_set_new(group, s->name, json_integer((json_int_t)s->value));
}

static void verb_stats(struct vm *vm, struct control_call *c)
{
    json_t *o = json_object();

    vm_stats(vm, verb_stat, o);
    control_answer(c, o);
}

struct verb_save {
    struct control_call *call;
    i64 told;
};

static void verb_save_told(void *arg, u64 done, u64 total)
{
    struct verb_save *s = arg;
    i64 now = loop_now();

    if (now - s->told < VERB_TELL_NS)
        return;
    s->told = now;
    control_event(s->call, "progress",
                  json_pack("{s:I, s:I}", "done", (json_int_t)done, "total", (json_int_t)total));
}

/* A VM that stood before stands again, or is gone. */
static void verb_save(struct vm *vm, struct control_call *c)
{
    struct verb_save told = { .call = c };
    struct vm_save how = { .path = control_text(c, "file"),
                           .packed = control_flag(c, "compress"),
                           .told = verb_save_told,
                           .arg = &told };
    bool stood = vm->paused, keep = control_flag(c, "keep");
    struct err e = { 0 };
    int r = how.path ? vm_save(vm, &how, &e) : err_set(&e, -EINVAL, "\"file\" is not given");

    if ((r || keep) && !stood)
        vm_resume(vm);
    if (r) {
        control_fail(c, r, "%s", e.text);
        return;
    }
    if (!keep)
        vm_finish(vm, VM_SAVED, 0);
    control_answer(c, json_pack("{s:I}", "size", (json_int_t)how.size));
}

static const struct control_verb control_plain[] = {
    { "status", "what it is and what it does", verb_status },
    { "shutdown", "presses the power button; the guest is stopped if it does not care",
      verb_shutdown },
    { "stop", "ends it at once, as if the plug was pulled", verb_stop },
    { "pause", "everything stands still", verb_pause },
    { "resume", "and goes on; a guest that sleeps wakes", verb_resume },
    { "save", "into \"file\"; \"compress\": small; \"keep\": it does not end", verb_save },
    { "stats", "counters of the engine", verb_stats },
    { 0 },
};

const struct control_verb *const control_tables[] = { control_plain, control_agent, control_disk,
                                                      control_view,  control_vsock, NULL };
