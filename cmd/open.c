/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a file's name to a description. */
#include "cmd/open.h"
#include "base/progress.h"
#include "image/image.h"
#include "package/format.h"
#include "package/ovf_env.h"
#include "vm/saved.h"
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static void open_progress(void *arg, const char *what, u64 done, u64 total)
{
    struct progress *p = arg;

    if (!p->what || strcmp(p->what, what))
        progress_start(p, what);
    progress_show(p, done, total);
}

static bool open_has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);

    return n > m && !strcasecmp(path + n - m, suffix);
}

/* Raw has no magic: only a name that says so makes an image raw (never a guess). */
static const char *open_image_format(const struct open_how *how)
{
    static const char *const raw[] = { ".raw", ".img", ".iso", ".bin", ".flp", ".vfd", ".ima" };

    if (how->format)
        return how->format;
    for (u32 i = 0; i < LEN(raw); i++)
        if (open_has_suffix(how->path, raw[i]))
            return "raw";
    return NULL;
}

static struct desc_device *open_controller(struct desc *d, const char *bus)
{
    const char *class = strcmp(bus, "usb") ? bus : "usb_storage";
    struct desc_device *v;

    for (v = d->devices; v; v = v->next)
        if (!strcmp(v->class, class))
            return v;
    v = desc_add_device(d, class, class);
    if (v)
        v->known = true;
    return v;
}

int open_add_usb(struct desc *d, const char *class, struct err *e)
{
    return open_controller(d, class) && open_controller(d, "usb_keyboard")
               ? 0
               : err_set(e, -ENOMEM, "out of memory");
}

static u32 open_next_unit(const struct desc *d, const char *controller)
{
    u32 next = 0;

    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (k->controller && !strcmp(k->controller, controller) && k->unit >= next)
            next = k->unit + 1;
    return next == 7 ? 8 : next; /* 7 is the adapter itself on a SCSI bus */
}

/* What is no VM and no disk may still be something that we know. */
static int open_unknown(const struct open_how *how, struct err *e)
{
    struct saved *saved;
    struct err other = { 0 };
    struct stat st;

    if (!stat(how->path, &st) && S_ISREG(st.st_mode) && !st.st_size)
        return err_set(e, -EMEDIUMTYPE, "%s: is empty", how->path);
    if (!saved_open(&saved, how->path, &other)) {
        saved_close(saved);
        return err_set(e, -EMEDIUMTYPE, "%s: is a saved VM; mimic restore lets it go on",
                       how->path);
    }
    return err_set(e, -EMEDIUMTYPE,
                   "%s: is no package or disk image of a known format; if it is a raw disk, "
                   "say so (--%s raw)",
                   how->path, how->format_by ? how->format_by : "format");
}

int open_add_disk(const struct open_how *how, struct desc *d, enum desc_media media, struct err *e)
{
    bool usb = how->disk_bus && !strcmp(how->disk_bus, "usb");
    const char *bus = media == DESC_FLOPPY                           ? "fdc"
                      : usb || (media == DESC_DISK && how->disk_bus) ? how->disk_bus
                                                                     : "ide";
    struct image_open io = { .path = how->path, .format = open_image_format(how) };
    struct desc_device *v = open_controller(d, bus);
    struct desc_disk *k;
    struct image *im;
    char name[32], *full;
    u32 n = 0;
    int r = image_open(&im, &io, e);

    if (r == -EMEDIUMTYPE && !how->format)
        return open_unknown(how, e);
    if (r)
        return r;
    for (const struct desc_disk *o = d->disks; o; o = o->next)
        n++;
    snprintf(name, sizeof(name), "%s%u",
             media == DESC_CDROM    ? "cd"
             : media == DESC_FLOPPY ? "floppy"
                                    : "disk",
             n);
    k = v ? desc_add_disk(d, name, media) : NULL;
    full = realpath(how->path, NULL);
    if (!k || !full) {
        free(full);
        image_close(im, NULL);
        return err_set(e, -ENOMEM, "%s: out of memory", how->path);
    }
    k->unit = open_next_unit(d, v->name);
    k->controller = v->name;
    k->path = k->source = arena_text(&d->arena, full, strlen(full));
    k->format = arena_print(&d->arena, "%s", image_format_name(im));
    k->capacity = image_size(im);
    free(full);
    image_close(im, NULL);
    return 0;
}

static int open_image(const struct open_how *how, struct desc *d, struct err *e)
{
    char *copy = strdup(how->path);

    if (copy)
        d->name = arena_print(&d->arena, "%s", basename(copy));
    free(copy);
    d->persona = "none";
    return open_add_disk(how, d, open_has_suffix(how->path, ".iso") ? DESC_CDROM : DESC_DISK, e);
}

int open_vm(const struct open_how *how, struct desc *d, struct notes *n, struct err *e)
{
    struct progress p = { 0 };
    struct package_options o = { .verify = how->verify,
                                 .describe = how->describe,
                                 .pull = how->pull,
                                 .strict = how->strict,
                                 .start = how->start,
                                 .ignore_locks = how->ignore_locks,
                                 .discard_suspend = how->discard_suspend,
                                 .discarded = how->discarded,
                                 .discarded_arg = how->arg,
                                 .option = how->option,
                                 .language = how->language,
                                 .trust = how->trust,
                                 .progress = open_progress,
                                 .arg = &p };
    FILE *f = strcmp(how->path, "-") ? fopen(how->path, "re") : NULL;
    int r;

    if (!f && strcmp(how->path, "-"))
        return err_set(e, -errno, "%s: %s", how->path, strerror(errno));
    if (f)
        fclose(f);
    r = how->format ? -ENOENT : package_open(how->path, &o, d, n, e);
    progress_end(&p);
    for (u32 i = 0; !r && how->properties && i < how->properties->n; i++)
        if ((r = ovf_env_set(d, how->properties->v[i], e)))
            return r;
    if (r == -ENOENT && !strcmp(how->path, "-"))
        return err_set(e, -EBADMSG, "standard input: is no package of a known format");
    if (r != -ENOENT)
        return r;
    r = open_image(how, d, e);
    return r ? r : desc_check(d, e);
}

void open_show_notes(const struct notes *n, FILE *f, bool all)
{
    static const char *const kinds[] = { "kept", "changed", "lost" };

    for (const struct note *k = n->first; k; k = k->next)
        if (all || k->kind != NOTE_KEPT)
            fprintf(f, "%-10s %s: %s\n", kinds[k->kind], k->where, k->text);
}
