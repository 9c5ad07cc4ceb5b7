/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that come to a running VM and go, and other media in its drives.  The description follows,
 * so a saved VM has the disks that were there.  What the guest writes is kept as of any disk.
 */
#include "backend/blk.h"
#include "base/loop.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOTPLUG_UNITS = 64, HOTPLUG_SELF = 7 }; /* 7 is the adapter itself on a SCSI bus */
#define HOTPLUG_LOOK_NS 50000000ll             /* between two looks whether the guest let go */
#define HOTPLUG_PATIENCE_NS 15000000000ll

static struct vm_disk *hotplug_open(struct vm *vm, const struct desc_disk *k)
{
    for (u32 i = 0; i < vm->ndisks; i++)
        if (vm->disks[i].desc == k)
            return &vm->disks[i];
    return NULL;
}

/* A drive's place, "fdc0:1", is a name for it, too. */
static bool hotplug_is_at(const struct desc_disk *k, const char *name)
{
    const char *colon = strrchr(name, ':');
    unsigned unit;
    char rest;

    return colon && k->controller && sscanf(colon + 1, "%u%c", &unit, &rest) == 1 &&
           unit == k->unit && strlen(k->controller) == (size_t)(colon - name) &&
           !strncmp(k->controller, name, (size_t)(colon - name));
}

static struct desc_disk *hotplug_disk(struct vm *vm, const char *name)
{
    for (struct desc_disk *k = vm->how.desc->disks; k; k = k->next)
        if (name && (!strcmp(k->name, name) || hotplug_is_at(k, name)))
            return k;
    return NULL;
}

static void hotplug_unlist(struct vm *vm, const struct desc_disk *gone)
{
    struct desc_disk **link = &vm->how.desc->disks;

    while (*link && *link != gone)
        link = &(*link)->next;
    if (*link)
        *link = gone->next;
}

static void hotplug_close(struct vm *vm, struct desc_disk *k)
{
    struct vm_disk *v = hotplug_open(vm, k);

    if (!v)
        return;
    vm_disk_end(v);
    *v = vm->disks[--vm->ndisks];
}

/* What the device calls the place of a drive: "scsi.3". */
static const char *hotplug_place(const struct vm *vm, const struct desc_disk *k, char *to,
                                 size_t room)
{
    const struct desc_device *v = desc_device(vm->how.desc, k->controller);

    snprintf(to, room, "%s.%u", v ? vm_disk_prefix(v->class) : "", k->unit);
    return to;
}

static int hotplug_set(struct vm *vm, const struct desc_disk *k, struct blk *b, bool force,
                       struct err *e)
{
    struct device *d = machine_device(vm->machine, k->controller);
    char place[24];

    if (vm->paused)
        return err_set(e, -EBUSY, "the VM is paused: its guest can take no notice");
    if (!d)
        return err_set(e, -ENOENT, "%s: there is no such controller", k->controller);
    return device_end_set(d, hotplug_place(vm, k, place, sizeof(place)), b, force, e);
}

/* ---- a disk comes ---- */

/* The controller that is named, or the first that takes disks while the guest runs. */
static const char *hotplug_controller(const struct vm *vm, const char *name)
{
    for (const struct desc_device *v = vm->how.desc->devices; v; v = v->next) {
        const struct device *d = machine_device(vm->machine, v->name);

        if (name ? !strcmp(v->name, name)
                 : d && d->class->end_set && strcmp(vm_disk_prefix(v->class), "floppy") != 0)
            return v->name;
    }
    return NULL;
}

static int hotplug_unit(const struct vm *vm, const char *controller)
{
    for (u32 unit = 0; unit < HOTPLUG_UNITS; unit++) {
        bool taken = unit == HOTPLUG_SELF;

        for (const struct desc_disk *k = vm->how.desc->disks; k; k = k->next)
            taken |= k->controller && !strcmp(k->controller, controller) && k->unit == unit;
        if (!taken)
            return (int)unit;
    }
    return -ENOSPC;
}

/* "web-data" of "/srv/web data.qcow2", as nothing else is called in this VM. */
static void hotplug_name(struct vm *vm, const char *path, char *to, size_t room)
{
    const char *slash = strrchr(path, '/');
    char plain[48];

    control_name(slash ? slash + 1 : path, plain, sizeof(plain));
    if (strrchr(plain, '.') && strrchr(plain, '.') != plain)
        *strrchr(plain, '.') = 0;
    snprintf(to, room, "%s", plain);
    for (u32 n = 2; hotplug_disk(vm, to) || desc_device(vm->how.desc, to); n++)
        snprintf(to, room, "%s-%u", plain, n);
}

static int hotplug_source(struct vm *vm, struct desc_disk *k, struct control_call *c)
{
    const char *format = control_text(c, "format");
    struct desc *d = vm->how.desc;

    k->path = k->source = desc_text(d, "%s", control_text(c, "image"));
    k->format = format ? desc_text(d, "%s", format) : NULL;
    return !k->path || (format && !k->format) ? -ENOMEM : 0;
}

/* What goes into a place, described; in the list of disks, but not opened. */
static struct desc_disk *hotplug_make(struct vm *vm, struct control_call *c, enum desc_media media,
                                      const char *controller, u32 unit, struct err *e)
{
    const char *image = control_text(c, "image");
    struct desc_disk *k;
    char own[64];

    if (!image || *image != '/') {
        err_set(e, -EINVAL, "\"image\" is not the whole path of a file");
        return NULL;
    }
    hotplug_name(vm, image, own, sizeof(own));
    k = desc_add_disk(vm->how.desc, own, media);
    if (!k || !(k->controller = desc_text(vm->how.desc, "%s", controller)) ||
        hotplug_source(vm, k, c)) {
        err_set(e, -ENOMEM, "out of memory");
        if (k)
            hotplug_unlist(vm, k);
        return NULL;
    }
    k->unit = unit;
    if (media != DESC_CDROM)
        k->mode = control_flag(c, "readonly")    ? DESC_READ
                  : control_flag(c, "throwaway") ? DESC_THROWAWAY
                                                 : DESC_WRITE;
    return k;
}

static struct desc_disk *hotplug_describe(struct vm *vm, struct control_call *c, struct err *e)
{
    const json_t *unit = json_object_get(control_args(c), "unit");
    const char *name = control_text(c, "controller"), *controller = hotplug_controller(vm, name);
    int place;

    if (!controller) {
        err_set(e, -ENOENT, "%s%s", name ? name : "the VM has no controller ",
                name ? ": there is no such controller"
                     : "that takes disks while it runs (pvscsi does)");
        return NULL;
    }
    place = json_is_integer(unit) ? (int)json_integer_value(unit) : hotplug_unit(vm, controller);
    if (place < 0 || place >= HOTPLUG_UNITS || place == HOTPLUG_SELF) {
        err_set(e, -EINVAL, "%s has no free place%s", controller,
                json_is_integer(unit) ? " of this number" : "");
        return NULL;
    }
    return hotplug_make(vm, c, DESC_DISK, controller, (u32)place, e);
}

static void verb_disk_attach(struct vm *vm, struct control_call *c)
{
    struct err e = { 0 };
    struct desc_disk *k = hotplug_describe(vm, c, &e);
    struct blk *b = NULL;
    int r = k ? vm_build_blk(vm, k, &b, &e) : e.code;

    if (!r) {
        k->capacity = blk_size(b);
        r = hotplug_set(vm, k, b, false, &e);
    }
    if (r < 0) {
        if (k) {
            hotplug_close(vm, k);
            hotplug_unlist(vm, k);
        }
        control_fail(c, r, "%s", e.text);
        return;
    }
    control_answer(c, json_pack("{s:s, s:s, s:i, s:b}", "name", k->name, "controller",
                                k->controller, "unit", (int)k->unit, "told", !r));
}

/* ---- a disk goes ---- */

struct hotplug_leave {
    struct vm *vm;
    struct control_call *call;
    struct desc_disk *disk;
    struct loop_timer *timer;
    i64 until;
};

static void hotplug_leave_free(struct hotplug_leave *l)
{
    loop_timer_drop(l->timer);
    free(l);
}

/* Who asked does not wait any longer, or the VM ends: the disk stays, its guest was told. */
static void hotplug_gone(void *arg)
{
    struct hotplug_leave *l = arg;
    struct control_call *c = l->call;

    hotplug_leave_free(l);
    control_fail(c, -ECANCELED, "nobody waits for it");
}

static void hotplug_look(void *arg)
{
    struct hotplug_leave *l = arg;
    struct control_call *c = l->call;
    struct err e = { 0 };
    int r = hotplug_open(l->vm, l->disk) ? hotplug_set(l->vm, l->disk, NULL, false, &e)
                                         : err_set(&e, -ENOENT, "it has gone by another way");

    if (r == -EAGAIN && loop_now() < l->until) {
        loop_timer_set(l->timer, loop_now() + HOTPLUG_LOOK_NS);
        return;
    }
    control_on_gone(c, NULL, NULL);
    if (r < 0) {
        hotplug_leave_free(l);
        control_fail(c, r == -EAGAIN ? -EBUSY : r, "%s",
                     r == -EAGAIN ? "the guest was told and does not let it go; --force takes it "
                                    "away"
                                  : e.text);
        return;
    }
    hotplug_close(l->vm, l->disk);
    hotplug_unlist(l->vm, l->disk);
    hotplug_leave_free(l);
    control_answer(c, NULL);
}

static void verb_disk_detach(struct vm *vm, struct control_call *c)
{
    struct desc_disk *k = hotplug_disk(vm, control_text(c, "name"));
    struct hotplug_leave *l;
    struct err e = { 0 };
    int r = k && hotplug_open(vm, k) ? 0 : err_set(&e, -ENOENT, "the VM has no disk of this name");

    if (!r)
        r = hotplug_set(vm, k, NULL, control_flag(c, "force"), &e);
    if (r >= 0) {
        hotplug_close(vm, k);
        hotplug_unlist(vm, k);
        control_answer(c, NULL);
        return;
    }
    l = r == -EAGAIN ? calloc(1, sizeof(*l)) : NULL;
    if (!l || loop_timer_add(machine_loop(vm->machine), hotplug_look, l, &l->timer)) {
        free(l);
        control_fail(c, r, "%s", r == -EAGAIN ? "out of memory" : e.text);
        return;
    }
    l->vm = vm;
    l->call = c;
    l->disk = k;
    l->until = loop_now() + HOTPLUG_PATIENCE_NS;
    control_on_gone(c, hotplug_gone, l);
    loop_timer_set(l->timer, loop_now() + HOTPLUG_LOOK_NS);
}

/* ---- other media in a drive ---- */

static int hotplug_eject(struct vm *vm, struct desc_disk *k, struct err *e)
{
    int r = hotplug_open(vm, k) ? hotplug_set(vm, k, NULL, true, e) : 0;

    if (r < 0)
        return r;
    hotplug_close(vm, k);
    k->path = k->source = k->format = NULL;
    k->capacity = k->offset = k->length = 0;
    return 0;
}

static struct desc_disk *hotplug_drive(struct vm *vm, struct control_call *c)
{
    struct desc_disk *k = hotplug_disk(vm, control_text(c, "name"));

    if (k && k->media != DESC_DISK)
        return k;
    control_fail(c, -ENOENT, "the VM has no drive of this name");
    return NULL;
}

static void verb_disk_eject(struct vm *vm, struct control_call *c)
{
    struct desc_disk *k = hotplug_drive(vm, c);
    struct err e = { 0 };
    int r = k ? hotplug_eject(vm, k, &e) : 0;

    if (r)
        control_fail(c, r, "%s", e.text);
    else if (k)
        control_answer(c, NULL);
}

/* The drive is described anew with its medium, whose writes are kept by its own name. */
static void verb_disk_insert(struct vm *vm, struct control_call *c)
{
    struct desc_disk *was = hotplug_drive(vm, c), *k = NULL;
    struct blk *b = NULL;
    struct err e = { 0 };
    int r = was ? hotplug_eject(vm, was, &e) : 0;

    if (!was)
        return;
    if (!r && !(k = hotplug_make(vm, c, was->media, was->controller, was->unit, &e)))
        r = e.code;
    r = r ? r : vm_build_blk(vm, k, &b, &e);
    r = r ? r : hotplug_set(vm, k, b, false, &e);
    if (r < 0) {
        if (k) {
            hotplug_close(vm, k);
            hotplug_unlist(vm, k);
        }
        control_fail(c, r, "%s", e.text);
        return;
    }
    k->capacity = blk_size(b);
    hotplug_unlist(vm, was);
    control_answer(c, json_pack("{s:s}", "name", k->name));
}

/* ---- what there is ---- */

static void verb_disks(struct vm *vm, struct control_call *c)
{
    static const char *const media[] = { "disk", "cdrom", "floppy" };
    json_t *list = json_array();

    for (const struct desc_disk *k = vm->how.desc->disks; k; k = k->next) {
        const struct vm_disk *v = hotplug_open(vm, k);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s?, s:i, s:s?, s:I, s:b}", "name", k->name,
                                        "media", media[k->media], "controller", k->controller,
                                        "unit", (int)k->unit, "image", v ? k->path : NULL, "size",
                                        (json_int_t)(v ? blk_size(v->blk) : 0), "readonly",
                                        v && blk_readonly(v->blk)));
    }
    control_answer(c, json_pack("{s:o}", "disks", list));
}

const struct control_verb control_disk[] = {
    { "disks", "the drives, and what is in them", verb_disks },
    { "disk-attach", "\"image\" becomes a disk; \"format\", \"controller\", \"unit\"",
      verb_disk_attach },
    { "disk-insert", "\"image\" is the medium of drive \"name\"; \"format\", \"readonly\"",
      verb_disk_insert },
    { "disk-eject", "drive \"name\" is empty", verb_disk_eject },
    { "disk-detach", "the disk \"name\" goes; \"force\": without waiting for the guest",
      verb_disk_detach },
    { 0 },
};
