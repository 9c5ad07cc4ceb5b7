/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A saved VM from its file: what it was built from, checked against the files that are there
 * now; then its state into a VM that has just been built alike.  A copy of it is another VM.
 */
#include "backend/tpm.h"
#include "base/bytes.h"
#include "device/chipset/vmgenid.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOAD_BLOCKS = 64, LOAD_PORTS = 64 };

static json_t *load_json(const struct saved *s, struct err *e)
{
    struct span text;
    json_t *o = NULL;

    if (saved_get(s, "vm", &text, e))
        return NULL;
    o = json_loadb((const char *)text.p, text.len, 0, NULL);
    if (!json_is_object(o)) {
        json_decref(o);
        o = NULL;
        err_set(e, -EBADMSG, "%s: does not say what VM it is", saved_path(s));
    }
    return o;
}

u64 vm_saved_tsc_hz(const struct saved *s)
{
    json_t *o = load_json(s, NULL);
    json_int_t hz = json_integer_value(json_object_get(o, "tsc_hz"));

    json_decref(o);
    return hz > 0 ? (u64)hz : 0;
}

/* ---- where its files are ---- */

/*
 * A saved VM may have been moved: its directory with what is below it, or a directory further
 * up.  What the two names of that directory have in common at their ends says which.
 */
struct load_place {
    struct desc *d;
    char was[4096], is[4096]; /* of the directory that was moved; "": none was */
};

static void load_place(struct load_place *p, struct desc *d, const struct saved *s, const json_t *o)
{
    const char *was = json_string_value(json_object_get(o, "place"));
    char *copy = strdup(saved_path(s)), *is = copy ? realpath(dirname(copy), NULL) : NULL;

    *p = (struct load_place){ .d = d };
    if (was && is && strcmp(was, is)) {
        snprintf(p->was, sizeof(p->was), "%s", was);
        snprintf(p->is, sizeof(p->is), "%s", is);
    }
    free(is);
    free(copy);
}

/* Drops the last component of both when it is the same. */
static bool load_place_up(char *was, char *is)
{
    char *a = strrchr(was, '/'), *b = strrchr(is, '/');

    if (!a || !b || strcmp(a, b))
        return false;
    *a = *b = 0;
    return true;
}

/* Where the file is now; lives as long as the description. */
static const char *load_moved(const struct load_place *p, const char *path)
{
    char was[4096], is[4096];
    const char *now;

    if (!path || !*p->was || !access(path, F_OK))
        return path;
    memcpy(was, p->was, sizeof(was));
    memcpy(is, p->is, sizeof(is));
    do {
        size_t n = strlen(was);

        if (strncmp(path, was, n) || path[n] != '/')
            continue;
        now = desc_text(p->d, "%s%s", is, path + n);
        if (now && !access(now, F_OK))
            return now;
    } while (load_place_up(was, is));
    return path;
}

static void load_disk_moved(const struct load_place *p, struct desc_disk *k)
{
    k->path = load_moved(p, k->path);
    for (struct desc_piece *i = k->pieces; i; i = i->next)
        i->path = load_moved(p, i->path);
    if (k->base)
        load_disk_moved(p, (struct desc_disk *)(uintptr_t)k->base);
}

static void load_all_moved(const struct load_place *p, struct desc *d, struct vm_how *how)
{
    for (struct desc_disk *k = d->disks; k; k = k->next)
        load_disk_moved(p, k);
    how->bios = load_moved(p, how->bios);
    how->kernel = load_moved(p, how->kernel);
    how->initrd = load_moved(p, how->initrd);
    how->state = load_moved(p, how->state);
}

/* ---- what it is built from ---- */

/* Are the files as they were?  what: "has been replaced or modified since ..." */
static int load_files(const struct load_place *at, const json_t *list, int code, const char *what,
                      struct err *e)
{
    const json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        const char *path = load_moved(at, json_string_value(json_object_get(o, "path")));
        struct stat st;

        if (!path)
            return err_set(e, -EBADMSG, "a file without a name");
        if (stat(path, &st))
            return err_set(e, -errno, "%s: %s", path, strerror(errno));
        if (st.st_size != json_integer_value(json_object_get(o, "size")) ||
            st.st_mtim.tv_sec != json_integer_value(json_object_get(o, "seconds")) ||
            st.st_mtim.tv_nsec != json_integer_value(json_object_get(o, "nanoseconds")))
            return err_set(e, code, "%s: %s", path, what);
    }
    return 0;
}

static const char *load_text(struct desc *d, const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? desc_text(d, "%s", s) : NULL;
}

static int load_ports(struct desc *d, const json_t *list, struct vm_how *how, struct err *e)
{
    struct net_port *ports = arena_new(&d->arena, LOAD_PORTS * sizeof(*ports));
    const json_t *o;
    size_t i;

    if (!ports || json_array_size(list) > LOAD_PORTS)
        return err_set(e, -EBADMSG, "too many published ports");
    json_array_foreach(list, i, o)
    {
        json_int_t host = json_integer_value(json_object_get(o, "host")),
                   guest = json_integer_value(json_object_get(o, "guest"));

        if (host < 1 || host > 65535 || guest < 1 || guest > 65535)
            return err_set(e, -EBADMSG, "a published port that cannot be");
        ports[i] =
            (struct net_port){ json_is_true(json_object_get(o, "udp")), (u16)host, (u16)guest };
    }
    how->ports = ports;
    how->nports = (u32)json_array_size(list);
    return 0;
}

static int load_lines(struct desc *d, const json_t *list, struct vm_how *how, struct err *e)
{
    const char **lines = arena_new(&d->arena, LOAD_PORTS * sizeof(*lines));
    const json_t *o;
    size_t i;

    if (!lines || json_array_size(list) > LOAD_PORTS)
        return err_set(e, -EBADMSG, "too many ports lead somewhere");
    json_array_foreach(list, i, o)
    {
        if (!json_is_string(o) || !(lines[i] = desc_text(d, "%s", json_string_value(o))))
            return err_set(e, -EBADMSG, "a port that leads nowhere");
    }
    how->lines = lines;
    how->nlines = (u32)json_array_size(list);
    return 0;
}

static int load_how(struct desc *d, const json_t *o, struct vm_how *how, struct err *e)
{
    const char *console = json_string_value(json_object_get(o, "console"));
    int r;

    how->cpu = load_text(d, o, "cpu");
    how->persona = load_text(d, o, "persona");
    how->agent = load_text(d, o, "agent");
    how->vsock = load_text(d, o, "vsock");
    how->bios = load_text(d, o, "bios");
    how->kernel = load_text(d, o, "kernel");
    how->initrd = load_text(d, o, "initrd");
    how->append = load_text(d, o, "append");
    how->state = load_text(d, o, "state");
    how->testdev = json_is_true(json_object_get(o, "testdev"));
    how->no_reboot = json_is_true(json_object_get(o, "no_reboot"));
    how->throwaway = json_is_true(json_object_get(o, "throwaway"));
    how->restricted = json_is_true(json_object_get(o, "restricted"));
    if (!how->engine || !how->persona || !how->state || !console)
        return err_set(e, -EBADMSG, "it does not say how it ran");
    how->console = !strcmp(console, "serial") ? VM_CONSOLE_SERIAL
                   : !strcmp(console, "vga")  ? VM_CONSOLE_VGA
                                              : VM_CONSOLE_NONE;
    r = load_lines(d, json_object_get(o, "lines"), how, e);
    return r ? r : load_ports(d, json_object_get(o, "ports"), how, e);
}

int vm_saved_how(struct saved *s, struct desc *d, struct vm_how *how, struct err *e)
{
    json_t *o = load_json(s, e);
    struct load_place at;
    char *desc;
    int r;

    if (!o)
        return e ? e->code : -EBADMSG;
    desc = json_dumps(json_object_get(o, "desc"), JSON_COMPACT | JSON_ENCODE_ANY);
    r = desc ? desc_read_json(d, (struct span){ (const u8 *)desc, strlen(desc) }, e)
             : err_set(e, -EBADMSG, "it has no description");
    free(desc);
    r = r ? r : desc_check(d, e);
    how->engine = load_text(d, o, "engine");
    if (how->engine && !strcmp(how->engine, "kvm"))
        how->engine = "auto"; /* this may be another host */
    r = r ? r : load_how(d, json_object_get(o, "how"), how, e);
    if (r)
        err_in(e, "%s: ", saved_path(s));
    load_place(&at, d, s, o);
    if (!r)
        load_all_moved(&at, d, how);
    if (!r)
        r = load_files(&at, json_object_get(o, "files"), -ESTALE,
                       "has been replaced or modified since the VM was saved", e);
    json_decref(o);
    how->desc = d;
    how->saved = s;
    return r;
}

int vm_saved_fresh(const struct saved *s, struct desc *d, struct err *e)
{
    json_t *o = load_json(s, e);
    struct load_place at;
    int r;

    load_place(&at, d, s, o);
    r = o ? load_files(&at, json_object_get(o, "tips"), -EBUSY,
                       "the VM has run since it was saved; --revert gives up what it wrote "
                       "since, --as-copy makes another VM",
                       e)
          : -EBADMSG;

    json_decref(o);
    return r;
}

int vm_saved_copy(struct desc *d, struct vm_how *how, const char *state, struct err *e)
{
    u8 r[16 + 6];

    if (getrandom(r, sizeof(r), 0) != sizeof(r))
        return err_set(e, -EIO, "no random numbers");
    memcpy(d->uuid, r, 16);
    d->uuid[6] = (u8)((d->uuid[6] & 0xf) | 0x40); /* RFC 4122 4.4: random */
    d->uuid[8] = (u8)((d->uuid[8] & 0x3f) | 0x80);
    d->has_uuid = true;
    how->other_generation = true;
    for (struct desc_nic *n = d->nics; n; n = n->next, r[18]++) {
        if (!n->has_mac)
            memcpy(n->mac, (const u8[]){ 0x52, 0x54, 0 }, 3);
        n->has_mac = true;
        memcpy(n->mac + 3, r + 16, 3); /* its maker stays: drivers and rules go by it */
    }
    d->name = desc_text(d, "%s-%02x%02x", d->name, r[20], r[21]);
    how->state = desc_text(d, "%s", state);
    how->ports = NULL;
    how->nports = 0;
    if (how->vsock) /* the path is the other one's */
        how->vsock = "";
    return d->name && how->state ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* ---- its state ---- */

static int load_cpus(struct vm *vm, const struct saved *s, struct err *e)
{
    struct vm_cpu_saved *c = aligned_alloc(64, sizeof(*c));
    struct span in;
    struct cursor at;
    int r = c ? saved_get(s, "cpus", &in, e) : err_set(e, -ENOMEM, "out of memory");

    if (!r)
        at = cursor_of(in.p, in.len);
    for (u32 i = 0; i < vm->ncpus && !r; i++) {
        u32 n = get_le32(&at);
        const u8 *p = cursor_take(&at, n);

        memset(c, 0, sizeof(*c));
        r = at.bad ? err_set(e, -EBADMSG, "its registers are cut short")
                   : field_load(vm_cpu_fields, c, (struct span){ p, n }, e);
        r = r ? r : vm_cpu_set(&vm->cpus[i], c, e);
        if (r)
            err_in(e, "vCPU %u: ", i);
    }
    if (!r && at.at != at.len)
        r = err_set(e, -EBADMSG, "it has more vCPUs than %u", vm->ncpus);
    free(c);
    return r;
}

static int load_persona(struct vm *vm, const struct saved *s, struct err *e)
{
    struct persona *p = vm->persona;
    struct span in;
    int r;

    if (!p || !p->class->state || !saved_has(s, "persona"))
        return 0; /* it had no state then */
    r = saved_get(s, "persona", &in, e);
    r = r ? r : field_load(p->class->state, (u8 *)p + p->class->state_at, in, e);
    if (!r && p->class->check)
        r = p->class->check(p, e);
    if (!r && p->class->restored)
        p->class->restored(p);
    return r ? err_in(e, "persona %s: ", p->class->name), r : 0;
}

static int load_over(void *arg, u64 at, u64 len, int fd, u64 off, struct err *e)
{
    return machine_ram_over(arg, at, len, fd, off, e);
}

/* RAM is mapped from the file; other memories have owners with plans. */
static int load_memories(struct vm *vm, const struct saved *s, struct err *e)
{
    const struct saved_map over = { load_over, vm->machine };
    struct machine_block b[LOAD_BLOCKS];
    u32 n = machine_blocks(vm->machine, b, LOAD_BLOCKS);
    int r = n > LOAD_BLOCKS ? err_set(e, -E2BIG, "more than %d memories", LOAD_BLOCKS) : 0;

    r = r ? r : machine_ram_clear(vm->machine, e);
    for (u32 i = 0; i < n && !r; i++)
        r = saved_load(s, b[i].name, b[i].p, b[i].len, i ? NULL : &over, e);
    if (r)
        return r;
    machine_ram_ready(vm->machine);
    saved_note_whole(s);
    return 0;
}

int vm_load(struct vm *vm, struct saved *s, struct err *e)
{
    struct device *g;
    struct span in;
    int r;

    vm_pause(vm);
    r = load_memories(vm, s, e);
    if (r)
        return r;
    r = saved_get(s, "machine", &in, e);
    r = r ? r : machine_load(vm->machine, in, e);
    r = r ? r : load_persona(vm, s, e);
    if (!r && vm->tpm) {
        r = saved_get(s, "tpm", &in, e);
        r = r ? r : tpm_load(vm->tpm, in, e);
    }
    r = r ? r : load_cpus(vm, s, e);
    if (!r && vm->how.other_generation && (g = machine_device(vm->machine, "vmgenid")) &&
        vmgenid_renew(g))
        r = err_set(e, -EIO, "no random numbers");
    saved_forget(s);
    return r ? err_in(e, "%s: ", saved_path(s)), r : 0;
}
