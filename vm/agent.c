/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's tools, for this VM: what listens to them is made, a shutdown goes to them first, and
 * what they can do is asked for over the control socket.  Bytes of files and of programs go
 * through descriptors of plain files that came with the request: those never make us wait.
 */
#include "backend/agent.h"
#include "backend/qga.h"
#include "backend/vmtools.h"
#include "base/loop.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGENT_ARGV = 256 };

/* ---- made and gone ---- */

/* The variables that the description brings along, from a VMX or as an OVF's ExtraConfig */
static int agent_tell(struct vm *vm, struct err *e)
{
    for (const struct desc_extra *x = vm->how.desc->extras; x; x = x->next) {
        const char *slash = strrchr(x->key, '/'), *key = slash ? slash + 1 : x->key;

        if (strncasecmp(key, "guestinfo.", 10))
            continue;
        if (vmtools_tell(vm->tools, key + 10, x->value))
            return err_set(e, -EINVAL, "%s: not a name and a text that a guest can be told", key);
    }
    return 0;
}

int vm_agent_open(struct vm *vm, struct err *e)
{
    struct vmtools_make make = { .cpu_mhz = machine_tsc_hz(vm->machine) / 1000000,
                                 .memory_mib = machine_ram_size(vm->machine) >> 20 };
    char file[4200];
    int r = agent_new(&vm->agent, machine_loop(vm->machine), e);

    if (!r && vm->how.state && !vm->how.throwaway) {
        r = vm_make_state(vm, e);
        snprintf(file, sizeof(file), "%.4096s/guestinfo.json", vm->how.state);
        make.state = file;
    }
    make.agent = vm->agent;
    if (!r)
        r = vmtools_new(&vm->tools, &make, e);
    return r ? r : agent_tell(vm, e);
}

/* A virtio port for qemu-ga: where it is asked for, and in PCs that are no VMware's. */
int vm_agent_build(struct vm *vm, struct err *e)
{
    static const char *const settings[] = { "name", "org.qemu.guest_agent.0", NULL };
    const char *want = vm->how.agent ? vm->how.agent : "auto";
    int r;

    if (strcmp(want, "qemu") && (strcmp(want, "auto") || vm->persona || vm->how.kernel))
        return 0;
    r = qga_new(&vm->qga, vm->agent, e);
    if (r)
        return r;
    return device_new(vm->machine, "virtio_console", "agent0", settings,
                      (struct device_end[]){ { "chr", qga_chr(vm->qga) }, { NULL, NULL } }, NULL,
                      e);
}

void vm_agent_close(struct vm *vm)
{
    qga_free(vm->qga);
    vmtools_free(vm->tools);
    agent_free(vm->agent);
}

/* ---- shutting down ---- */

static void agent_off_done(void *arg, int r, const char *text, u32 status)
{
    struct vm *vm = arg;

    (void)text;
    (void)status;
    if (r && !vm->ended)
        machine_power_button(vm->machine);
}

bool vm_agent_poweroff(struct vm *vm)
{
    struct agent_ask ask = { .verb = AGENT_POWEROFF,
                             .patience_ns = (i64)20 * 1000000000,
                             .done = agent_off_done,
                             .arg = vm };

    return vm->agent && !agent_start(vm->agent, &ask, NULL, NULL);
}

/* ---- what can be asked: a call, its job, its files ---- */

struct agent_call {
    struct control_call *call;
    struct agent_job *job;
    int fd[3]; /* what comes out, errors, what goes in; or the file; -1 none */
    u64 at[3];
};

static void agent_call_free(struct agent_call *a)
{
    for (u32 i = 0; i < LEN(a->fd); i++)
        if (a->fd[i] >= 0)
            close(a->fd[i]);
    free(a);
}

static int agent_call_take(void *arg, u8 *p, u32 room)
{
    struct agent_call *a = arg;
    ssize_t n = a->fd[2] < 0 ? 0 : pread(a->fd[2], p, room, (off_t)a->at[2]);

    if (n < 0)
        return -errno;
    a->at[2] += (u64)n;
    return (int)n;
}

static int agent_call_give(void *arg, u32 stream, const u8 *p, u32 n)
{
    struct agent_call *a = arg;
    u32 i = stream == AGENT_STDERR;

    while (n && a->fd[i] >= 0) {
        ssize_t done = pwrite(a->fd[i], p, n, (off_t)a->at[i]);

        if (done < 0)
            return -errno;
        p += done;
        n -= (u32)done;
        a->at[i] += (u64)done;
    }
    return 0;
}

static void agent_call_done(void *arg, int r, const char *text, u32 status)
{
    struct agent_call *a = arg;

    if (r)
        control_fail(a->call, r, "%s", text);
    else
        control_answer(a->call, json_pack("{s:i}", "status", (int)status));
    agent_call_free(a);
}

static void agent_call_gone(void *arg)
{
    struct agent_call *a = arg;

    agent_cancel(a->job);
    control_fail(a->call, -ECANCELED, "nobody waits for it");
    agent_call_free(a);
}

/* The n-th descriptor that came becomes that of a; only plain files. */
static int agent_call_fd(struct agent_call *a, u32 which)
{
    struct stat st;

    a->fd[which] = control_take_fd(a->call);
    if (a->fd[which] < 0)
        return -EBADF;
    return fstat(a->fd[which], &st) || !S_ISREG(st.st_mode) ? -EINVAL : 0;
}

static void agent_call_start(struct vm *vm, struct agent_call *a, struct agent_ask *ask)
{
    struct err e = { 0 };
    int r = 0;

    ask->user = control_text(a->call, "user");
    ask->password = control_text(a->call, "password");
    ask->take = agent_call_take;
    ask->give = agent_call_give;
    ask->done = agent_call_done;
    ask->arg = a;
    if (vm->paused)
        r = err_set(&e, -EBUSY, "the VM is paused, and its tools with it; see mimic resume");
    r = r ? r : agent_start(vm->agent, ask, &a->job, &e);
    if (!r) {
        control_on_gone(a->call, agent_call_gone, a);
        return;
    }
    control_fail(a->call, r, "%s", e.text);
    agent_call_free(a);
}

static struct agent_call *agent_call_new(struct control_call *c)
{
    struct agent_call *a = calloc(1, sizeof(*a));

    if (!a) {
        control_fail(c, -ENOMEM, "out of memory");
        return NULL;
    }
    a->call = c;
    a->fd[0] = a->fd[1] = a->fd[2] = -1;
    return a;
}

static u32 agent_number(const struct control_call *c, const char *key, u32 most)
{
    json_int_t n = json_integer_value(json_object_get(control_args(c), key));

    return n > 0 && n <= most ? (u32)n : 0;
}

static void verb_exec(struct vm *vm, struct control_call *c)
{
    const json_t *list = json_object_get(control_args(c), "argv"), *one;
    struct agent_call *a = agent_call_new(c);
    struct agent_ask ask = { .verb = AGENT_EXEC, .directory = control_text(c, "directory") };
    const char *argv[AGENT_ARGV + 1] = { NULL };
    size_t i;

    if (!a)
        return;
    json_array_foreach((json_t *)list, i, one) if (i < AGENT_ARGV) argv[i] = json_string_value(one);
    if (!argv[0] || json_array_size(list) > AGENT_ARGV || agent_call_fd(a, 0) ||
        agent_call_fd(a, 1) || (control_flag(c, "input") && agent_call_fd(a, 2))) {
        control_fail(c, -EINVAL, "expected argv and two plain files, a third one for input");
        agent_call_free(a);
        return;
    }
    ask.argv = argv;
    agent_call_start(vm, a, &ask);
}

static void agent_file(struct vm *vm, struct control_call *c, enum agent_verb verb)
{
    struct agent_call *a = agent_call_new(c);
    struct agent_ask ask = { .verb = verb,
                             .path = control_text(c, "path"),
                             .mode = agent_number(c, "mode", 07777) };

    if (!a)
        return;
    if (!ask.path || agent_call_fd(a, verb == AGENT_PUT ? 2 : 0)) {
        control_fail(c, -EINVAL, "expected a path and a plain file");
        agent_call_free(a);
        return;
    }
    agent_call_start(vm, a, &ask);
}

static void verb_put(struct vm *vm, struct control_call *c)
{
    agent_file(vm, c, AGENT_PUT);
}

static void verb_get(struct vm *vm, struct control_call *c)
{
    agent_file(vm, c, AGENT_GET);
}

static const struct {
    const char *name;
    enum agent_verb verb;
} agent_words[] = {
    { "poweroff", AGENT_POWEROFF }, { "reboot", AGENT_REBOOT }, { "suspend", AGENT_SUSPEND },
    { "resume", AGENT_RESUME },     { "freeze", AGENT_FREEZE }, { "thaw", AGENT_THAW },
    { "time", AGENT_TIME },         { "screen", AGENT_SCREEN }, { "exec", AGENT_EXEC },
    { "put", AGENT_PUT },           { "get", AGENT_GET },
};

static void verb_guest(struct vm *vm, struct control_call *c)
{
    const char *word = control_text(c, "what");
    struct agent_ask ask = { .width = agent_number(c, "width", 16384),
                             .height = agent_number(c, "height", 16384) };
    struct agent_call *a;
    u32 i = 0;

    while (i < LEN(agent_words) && (!word || strcmp(word, agent_words[i].name)))
        i++;
    if (i == LEN(agent_words) || agent_words[i].verb >= AGENT_EXEC ||
        (agent_words[i].verb == AGENT_SCREEN && (!ask.width || !ask.height))) {
        control_fail(c, -EINVAL,
                     "what: expected poweroff reboot suspend resume freeze thaw time, screen with "
                     "width and height, or clipboard");
        return;
    }
    ask.verb = agent_words[i].verb;
    a = agent_call_new(c);
    if (a)
        agent_call_start(vm, a, &ask);
}

/* ---- what the guest tells ---- */

static json_t *agent_nics(const struct agent_info *i)
{
    json_t *all = json_array();

    for (u32 k = 0; k < i->nnics && k < AGENT_NICS; k++) {
        const struct agent_nic *n = &i->nic[k];
        json_t *addresses = json_array();

        for (u32 m = 0; m < n->naddresses && m < AGENT_ADDRESSES; m++)
            json_array_append_new(addresses,
                                  json_sprintf("%s/%u", n->address[m].text, n->address[m].prefix));
        json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "name", n->name, "mac", n->mac,
                                             "addresses", addresses));
    }
    return all;
}

static json_t *agent_disks(const struct agent_info *i)
{
    json_t *all = json_array();

    for (u32 k = 0; k < i->ndisks && k < AGENT_DISKS; k++) {
        const struct agent_disk *d = &i->disk[k];
        json_t *path = json_string(d->path);

        json_array_append_new(all, json_pack("{s:o, s:s?, s:I, s:I}", "path",
                                             path ? path : json_string("?"), "type",
                                             *d->type ? d->type : NULL, "size", (json_int_t)d->size,
                                             "free", (json_int_t)d->free));
    }
    return all;
}

static void agent_text(json_t *o, const char *key, const char *text)
{
    json_t *s = *text ? json_string(text) : NULL;

    json_object_set_new(o, key, s ? s : json_null());
}

static void verb_info(struct vm *vm, struct control_call *c)
{
    struct agent_info *i = malloc(sizeof(*i));
    json_t *o = json_object(), *can = json_array();

    if (i) {
        agent_info(vm->agent, i);
        for (u32 k = 0; k < LEN(agent_words); k++)
            if (i->can & 1u << agent_words[k].verb)
                json_array_append_new(can, json_string(agent_words[k].name));
        agent_text(o, "agent", i->name);
        agent_text(o, "version", i->version);
        agent_text(o, "host", i->host);
        agent_text(o, "os", i->os);
        agent_text(o, "os_name", i->os_name);
        agent_text(o, "kernel", i->kernel);
        json_object_set_new(o, "uptime", json_integer((json_int_t)i->uptime_s));
        json_object_set_new(o, "heartbeat_ms",
                            i->heard_ns ? json_integer((loop_now() - i->heard_ns) / 1000000)
                                        : json_null());
        json_object_set_new(o, "frozen", json_boolean(i->frozen));
        json_object_set_new(o, "nics", agent_nics(i));
        json_object_set_new(o, "disks", agent_disks(i));
        free(i);
    }
    json_object_set_new(o, "can", can);
    json_object_set_new(o, "balloon_mib",
                        json_integer((json_int_t)vmtools_balloon_pages(vm->tools) >> 8));
    control_answer(c, o);
}

/* ---- variables, balloon ---- */

static void agent_variable(void *arg, const char *key, const char *value)
{
    json_object_set_new(arg, key, json_string(value));
}

static void verb_guestinfo(struct vm *vm, struct control_call *c)
{
    const char *key = control_text(c, "key"), *value = control_text(c, "value");
    json_t *all;
    char *have;
    int r;

    if (!key) {
        all = json_object();
        vmtools_each(vm->tools, agent_variable, all);
        control_answer(c, all);
    } else if (value || control_flag(c, "delete")) {
        r = vmtools_set(vm->tools, key, value);
        if (r)
            control_fail(c, r, "guestinfo.%s: it cannot be set to that", key);
        else
            control_answer(c, NULL);
    } else {
        have = vmtools_get(vm->tools, key);
        if (have)
            control_answer(c, json_pack("{s:s}", "value", have));
        else
            control_fail(c, -ENOENT, "guestinfo.%s has no value", key);
        free(have);
    }
}

static void verb_balloon(struct vm *vm, struct control_call *c)
{
    const json_t *mib = json_object_get(control_args(c), "mib");
    u64 most = machine_ram_size(vm->machine) >> 20;

    if (mib && (!json_is_integer(mib) || json_integer_value(mib) < 0 ||
                (u64)json_integer_value(mib) > most)) {
        control_fail(c, -EINVAL, "mib: from 0 to %llu", (unsigned long long)most);
        return;
    }
    if (mib)
        vmtools_balloon_want(vm->tools, (u64)json_integer_value(mib) << 8);
    control_answer(c, json_pack("{s:I, s:I}", "wanted_mib",
                                (json_int_t)vmtools_balloon_target(vm->tools) >> 8, "given_mib",
                                (json_int_t)vmtools_balloon_pages(vm->tools) >> 8));
}

static void verb_clipboard(struct vm *vm, struct control_call *c)
{
    const char *text = control_text(c, "text");
    json_t *value = NULL;
    char *have;

    if (text) {
        if (vmtools_clip_set(vm->tools, text))
            control_fail(c, -ENOMEM, "out of memory");
        else
            control_answer(c, NULL);
        return;
    }
    have = vmtools_clip_get(vm->tools);
    value = have ? json_string(have) : NULL;
    for (char *p = have; p && !value && *p; p++) /* bytes that are no UTF-8 */
        *p = (u8)*p < 0x80 ? *p : '?';
    value = value || !have ? value : json_string(have);
    control_answer(c, json_pack("{s:o}", "text", value ? value : json_string("")));
    free(have);
}

const struct control_verb control_agent[] = {
    { "info", "what the guest's tools tell of it", verb_info },
    { "exec", "runs a program in the guest", verb_exec },
    { "put", "a file into the guest", verb_put },
    { "get", "a file out of the guest", verb_get },
    { "guest", "asks the guest's tools for one thing", verb_guest },
    { "guestinfo", "reads and sets a variable of the guest", verb_guestinfo },
    { "balloon", "how much memory the guest shall give back", verb_balloon },
    { "clipboard", "reads the guest's clipboard, or gives it a text", verb_clipboard },
    { 0 },
};
