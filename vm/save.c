/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A running VM into a file: what it is built from (section "vm", JSON), the machine, the
 * vCPUs, the persona, every memory.
 */
#include "backend/blk.h"
#include "backend/tpm.h"
#include "base/bytes.h"
#include "desc/disk.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAVE_BLOCKS = 64 };

/* ---- what it is built from ---- */

static json_t *save_path(const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;
    json_t *o = path ? json_string(real ? real : path) : json_null();

    free(real);
    return o;
}

/* The directory that the file of the saved VM is in: with what is below it, it may be moved. */
static json_t *save_place(const char *file)
{
    char *copy = strdup(file);
    json_t *o = copy ? save_path(dirname(copy)) : json_null();

    free(copy);
    return o;
}

static json_t *save_text(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *save_how(const struct vm *vm)
{
    static const char *const consoles[] = { "serial", "vga", "none" };
    const struct vm_how *h = &vm->how;
    json_t *ports = json_array(), *lines = json_array(), *o;

    for (u32 i = 0; i < h->nports; i++)
        json_array_append_new(ports, json_pack("{s:b, s:i, s:i}", "udp", h->ports[i].udp, "host",
                                               h->ports[i].host, "guest", h->ports[i].guest));
    o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:s, s:o}",
                  "cpu", h->cpu ? h->cpu : "host", "agent", h->agent ? h->agent : "auto", "persona",
                  vm_persona(vm), "bios", save_path(h->bios), "kernel", save_path(h->kernel),
                  "initrd", save_path(h->initrd), "append", save_text(h->append), "state",
                  save_path(h->state), "testdev", h->testdev, "no_reboot", h->no_reboot,
                  "throwaway", h->throwaway, "restricted", h->restricted, "ports", ports, "console",
                  consoles[h->console], "vsock",
                  h->vsock && *h->vsock ? save_path(h->vsock) : save_text(h->vsock));
    for (u32 i = 0; i < h->nlines; i++)
        json_array_append_new(lines, json_string(h->lines[i]));
    json_object_set_new(o, "lines", lines);
    return o;
}

/* A file that has to be the same when the VM is restored. */
static int save_file(json_t *files, const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    json_array_append_new(files, json_pack("{s:o, s:I, s:I, s:I}", "path", save_path(path), "size",
                                           (json_int_t)st.st_size, "seconds",
                                           (json_int_t)st.st_mtim.tv_sec, "nanoseconds",
                                           (json_int_t)st.st_mtim.tv_nsec));
    return 0;
}

/* Disks that are copied beside the file of the saved VM, and go with it if that is not made. */
struct save_copies {
    const char *file;
    char *path[VM_DISKS_MAX];
    u32 n;
};

static void save_copies_end(struct save_copies *c, bool made)
{
    while (c->n) {
        char *path = c->path[--c->n];

        if (!made)
            unlink(path);
        free(path);
    }
}

/* A description whose disks are the frozen overlays. */
struct save_desc {
    struct desc copy;
    struct arena arena;
    json_t *files; /* of all disks */
    json_t *tips;  /* the overlays that the VM goes on in */
    struct save_copies *copies;
    struct err *e;
    int r;
};

static struct desc_disk *save_disk_new(struct save_desc *s, const struct desc_disk *like)
{
    struct desc_disk *k = arena_new(&s->arena, sizeof(*k));

    if (k)
        *k = *like;
    else
        s->r = s->r ? s->r : err_set(s->e, -ENOMEM, "out of memory");
    return k;
}

/* Paths as they are from anywhere. */
static void save_disk_real(struct save_desc *s, struct desc_disk *k)
{
    char *real = k->path ? realpath(k->path, NULL) : NULL;
    struct desc_disk *base;

    if (real)
        k->path = arena_print(&s->arena, "%s", real);
    free(real);
    if (k->path && !s->r)
        s->r = save_file(s->files, k->path, s->e);
    if (!k->base || s->r)
        return;
    base = save_disk_new(s, k->base);
    k->base = base;
    if (base)
        save_disk_real(s, base);
}

/* Overlays, the uppermost first, then the disk's own file. */
static struct desc_disk *save_disk_stack(struct save_desc *s, const struct desc_disk *d,
                                         char *const *chain, u32 n)
{
    struct desc_disk *first = NULL, **link = &first, *k;

    for (u32 i = 0; i < n; i++) {
        k = s->r ? NULL : save_disk_new(s, d);
        if (k) {
            k->path = arena_print(&s->arena, "%s", chain[i]);
            k->format = "qcow2";
            k->offset = k->length = 0;
            k->pieces = NULL;
            k->part = NULL;
            k->base = NULL;
            *link = k;
            link = (struct desc_disk **)(uintptr_t)&k->base;
        }
    }
    if (!s->r && (k = save_disk_new(s, d)))
        *link = k;
    return first;
}

/* The overlay in use stays as it is from now on. */
static struct desc_disk *save_disk_frozen(struct save_desc *s, struct vm *vm, struct vm_disk *v)
{
    struct desc_disk *first = NULL;
    char **chain, *frozen = NULL;
    u32 n;

    s->r = vm_overlay_freeze(vm, v, &frozen, s->e);
    s->r = s->r ? s->r : vm_overlay_chain(v->desc, frozen, &chain, &n, s->e);
    free(frozen);
    if (s->r)
        return NULL;
    first = save_disk_stack(s, v->desc, chain, n);
    while (n)
        free(chain[--n]);
    free(chain);
    if (!s->r)
        s->r = save_file(s->tips, v->overlay, s->e);
    return first;
}

/* What is thrown away is copied. */
static struct desc_disk *save_disk_copied(struct save_desc *s, const struct vm_disk *v)
{
    char **copy = &s->copies->path[s->copies->n];

    s->r = vm_disk_copy(v, s->copies->file, copy, s->e);
    if (s->r)
        return NULL;
    s->copies->n++;
    return save_disk_stack(s, v->desc, copy, 1);
}

static void save_disk(struct save_desc *s, struct vm *vm, const struct desc_disk *d,
                      struct desc_disk **to)
{
    struct vm_disk *v = NULL;

    for (u32 i = 0; i < vm->ndisks; i++)
        if (vm->disks[i].desc == d)
            v = &vm->disks[i];
    if (v && v->overlay)
        *to = save_disk_frozen(s, vm, v);
    else if (v && v->fd >= 0)
        *to = save_disk_copied(s, v);
    else
        *to = save_disk_new(s, d);
    if (!s->r && v)
        save_disk_real(s, *to);
}

static void save_disks(struct save_desc *s, struct vm *vm)
{
    struct desc_disk **link = &s->copy.disks;

    for (const struct desc_disk *d = vm->how.desc->disks; d && !s->r; d = d->next) {
        save_disk(s, vm, d, link);
        if (s->r)
            break;
        (*link)->next = NULL;
        link = &(*link)->next;
    }
}

static int save_vm(struct vm *vm, struct save_copies *copies, struct saved_writer *w, struct err *e)
{
    struct save_desc s = {
        .copy = *vm->how.desc, .files = json_array(), .tips = json_array(), .copies = copies
    };
    struct buf desc = { 0 };
    json_t *o = NULL;
    char *text = NULL;

    s.copy.disks = NULL;
    s.e = e;
    save_disks(&s, vm);
    s.copy.next = NULL;
    if (!s.r && desc_json(&s.copy, NULL, &desc))
        s.r = err_set(e, -ENOMEM, "out of memory");
    if (!s.r)
        o = json_pack("{s:o, s:o, s:O, s:O, s:o, s:I, s:s}", "desc",
                      json_loadb((const char *)desc.p, desc.len, 0, NULL), "how", save_how(vm),
                      "files", s.files, "tips", s.tips, "place", save_place(copies->file), "tsc_hz",
                      (json_int_t)machine_tsc_hz(vm->machine), "engine", vm_engine(vm));
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (!s.r)
        s.r = text ? saved_section(w, "vm", text, strlen(text), e)
                   : err_set(e, -EINVAL, "a path of its files is no UTF-8 text");
    free(text);
    json_decref(o);
    json_decref(s.files);
    json_decref(s.tips);
    buf_fini(&desc);
    arena_fini(&s.arena);
    return s.r;
}

/* ---- processors, persona, machine ---- */

static int save_cpus(struct vm *vm, struct saved_writer *w, struct err *e)
{
    struct vm_cpu_saved *s = aligned_alloc(64, sizeof(*s));
    struct buf b = { 0 };
    int r = s ? 0 : -ENOMEM;

    for (u32 i = 0; i < vm->ncpus && !r; i++) {
        size_t at = b.len;

        memset(s, 0, sizeof(*s));
        vm_cpu_get(&vm->cpus[i], s);
        r = buf_room(&b, 4) ? field_save(vm_cpu_fields, s, &b) : -ENOMEM;
        if (!r)
            put_le32(b.p + at, (u32)(b.len - at - 4));
    }
    r = r ? err_set(e, r, "out of memory") : saved_section(w, "cpus", b.p, b.len, e);
    buf_fini(&b);
    free(s);
    return r;
}

static int save_state(struct vm *vm, struct saved_writer *w, struct err *e)
{
    const struct persona *p = vm->persona;
    struct buf b = { 0 };
    int r = machine_save(vm->machine, &b, e);

    r = r ? r : saved_section(w, "machine", b.p, b.len, e);
    b.len = 0;
    if (!r && p && p->class->state) {
        r = field_save(p->class->state, (const u8 *)p + p->class->state_at, &b);
        r = r ? err_set(e, r, "out of memory") : saved_section(w, "persona", b.p, b.len, e);
    }
    b.len = 0;
    if (!r && vm->tpm) {
        r = tpm_save(vm->tpm, &b, e);
        r = r ? r : saved_section(w, "tpm", b.p, b.len, e);
    }
    buf_fini(&b);
    return r ? r : save_cpus(vm, w, e);
}

/* ---- memories ---- */

struct save_told {
    struct vm_save *how;
    u64 before, total;
};

static void save_told(void *arg, u64 done)
{
    struct save_told *t = arg;

    t->how->told(t->how->arg, t->before + done, t->total);
}

static int save_memories(struct vm *vm, struct vm_save *how, struct saved_writer *w, struct err *e)
{
    struct machine_block b[SAVE_BLOCKS];
    struct save_told t = { .how = how };
    u32 n = machine_blocks(vm->machine, b, SAVE_BLOCKS);
    int r = n > SAVE_BLOCKS ? err_set(e, -E2BIG, "more than %d memories", SAVE_BLOCKS) : 0;

    for (u32 i = 0; i < n && !r; i++)
        t.total += b[i].len;
    for (u32 i = 0; i < n && !r; i++) {
        r = saved_memory(w, b[i].name, b[i].p, b[i].len, how->packed, how->told ? save_told : NULL,
                         &t, e);
        t.before += b[i].len;
    }
    return r;
}

int vm_save(struct vm *vm, struct vm_save *how, struct err *e)
{
    struct save_copies copies = { .file = how->path };
    struct saved_writer *w;
    int r = saved_begin(&w, how->path, e);

    if (r)
        return r;
    vm_pause(vm);
    r = save_memories(vm, how, w, e);
    r = r ? r : save_state(vm, w, e);
    r = r ? r : save_vm(vm, &copies, w, e); /* last: a failure before leaves the disks alone */
    if (r)
        saved_abort(w);
    else
        r = saved_commit(w, &how->size, e);
    save_copies_end(&copies, !r);
    return r;
}
