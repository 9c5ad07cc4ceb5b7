/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk: the commands on disk images, and what they share. */
#include "cmd/disk.h"
#include "cmd/commands.h"
#include "cmd/key.h"
#include "image/format.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static _Atomic bool disk_stopped;

/* Another option may help: say which. */
void disk_hint(int r, const struct disk_from *f, struct err *e)
{
    char hint[80] = "";

    if (r == -EMEDIUMTYPE && !f->format)
        snprintf(hint, sizeof(hint), " (--%s raw)", f->format_by ? f->format_by : "format");
    else if (r == -ESTALE && !f->any_parent)
        snprintf(hint, sizeof(hint), "; --any-parent takes it all the same");
    else if (!f->trust && strstr(e->text, "names \""))
        snprintf(hint, sizeof(hint), "; --trust follows such names");
    else if (r == -EBUSY && !f->no_lock)
        snprintf(hint, sizeof(hint), "; --no-lock looks all the same");
    if (strlen(e->text) + strlen(hint) < sizeof(e->text))
        strcat(e->text, hint);
}

void disk_how(struct disk_how *h, const char *path, const struct disk_from *f, u32 flags)
{
    flags |= (f->trust ? (u32)IMAGE_UNSAFE_PATHS : 0) |
             (f->any_parent ? (u32)IMAGE_ANY_PARENT : 0) | (f->no_lock ? (u32)IMAGE_NO_LOCK : 0);
    h->key = (struct image_key){ .file = f->key_file, .ask = key_ask };
    h->up = (struct image_open){ .path = f->parent,
                                 .flags = flags & ~(u32)(IMAGE_WRITE | IMAGE_NO_PARENT),
                                 .key = &h->key };
    h->open = (struct image_open){ .path = path,
                                   .format = f->format,
                                   .flags = flags,
                                   .parent = f->parent ? &h->up : NULL,
                                   .snapshot = f->snapshot,
                                   .part = f->part,
                                   .key = &h->key };
}

int disk_open(struct image **im, const char *path, const struct disk_from *f, u32 flags,
              struct err *e)
{
    struct disk_how h;
    int r;

    disk_how(&h, path, f, flags);
    r = image_open(im, &h.open, e);
    if (r)
        disk_hint(r, f, e);
    return r;
}

int disk_parse(const struct command *c, int argc, char **argv, void *to, struct opt_list *files,
               u32 least, u32 most)
{
    struct err e = { 0 };
    int r = opt_parse(c, argc, argv, to, files, &e);

    if (r > 0)
        return EXIT_DONE + 1;
    if (!r && (files->n < least || files->n > most))
        r = err_set(&e, -EINVAL, "expected %s; see mimic %s --help", c->args, c->name);
    if (!r)
        return 0;
    fprintf(stderr, "mimic %s: %s\n", c->name, e.text);
    return EXIT_USE + 1;
}

int disk_fail(const struct command *c, int r, const struct err *e)
{
    if (r == -ECANCELED)
        fprintf(stderr, "mimic %s: interrupted\n", c->name);
    else
        fprintf(stderr, "mimic %s: %s\n", c->name, e->text[0] ? e->text : strerror(-r));
    return exit_code(r);
}

static void disk_signal(int sig)
{
    (void)sig;
    atomic_store(&disk_stopped, true);
}

static void disk_progress(void *arg, u64 done, u64 total)
{
    struct disk_work *w = arg;

    progress_show(&w->bar, done, total);
}

void disk_work_begin(struct disk_work *w, const char *what)
{
    struct sigaction act = { .sa_handler = disk_signal };

    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    progress_start(&w->bar, what);
    w->work = (struct image_work){ .progress = disk_progress, .arg = w, .stop = &disk_stopped };
}

void disk_work_end(struct disk_work *w)
{
    progress_end(&w->bar);
}

const char *disk_size_text(u64 n, char *room, size_t size)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)n;
    size_t u = 0;

    for (; v >= 1024 && u + 1 < LEN(units); u++)
        v /= 1024;
    if (v == (double)(u64)v)
        snprintf(room, size, "%llu %s", (unsigned long long)v, units[u]);
    else
        snprintf(room, size, "%.*f %s", v < 10 ? 2 : 1, v, units[u]);
    return room;
}

json_t *disk_json_text(const char *s)
{
    json_t *j = s ? json_string(s) : json_null();
    char *plain;

    if (j || !(plain = strdup(s)))
        return j;
    for (char *p = plain; *p; p++)
        if ((u8)*p > 0x7e)
            *p = '?';
    j = json_string(plain);
    free(plain);
    return j;
}

int disk_json_print(json_t *take_j)
{
    int r = take_j ? json_dumpf(take_j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : -1;

    json_decref(take_j);
    putchar('\n');
    return r || fflush(stdout) ? EXIT_SYSTEM : EXIT_DONE;
}

const char *disk_format_of(const char *path)
{
    static const struct {
        const char *suffix, *format;
    } more[] = { { ".img", "raw" },       { ".bin", "raw" },       { ".iso", "raw" },
                 { ".avhd", "vhd" },      { ".avhdx", "vhdx" },    { ".vpc", "vhd" },
                 { ".hds", "parallels" }, { ".hdd", "parallels" }, { ".qcow2c", "qcow2" } };
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    for (int i = 0; dot && image_catalog[i]; i++)
        if (image_catalog[i]->suffix && !strcasecmp(dot, image_catalog[i]->suffix))
            return image_catalog[i]->name;
    for (size_t i = 0; dot && i < LEN(more); i++)
        if (!strcasecmp(dot, more[i].suffix))
            return more[i].format;
    return NULL;
}

static const struct image_format *disk_format_named(const char *name, size_t n)
{
    for (int i = 0; image_catalog[i]; i++)
        if (strlen(image_catalog[i]->name) == n && !strncasecmp(image_catalog[i]->name, name, n))
            return image_catalog[i];
    return NULL;
}

/* The formats that can be made, for a sentence. */
static void disk_makeable(char *to, size_t room)
{
    size_t at = 0;

    to[0] = 0;
    for (int i = 0; image_catalog[i] && at < room; i++)
        if (image_catalog[i]->can & CAN_CREATE)
            at += (size_t)snprintf(to + at, room - at, "%s%s", at ? ", " : "",
                                   image_catalog[i]->name);
}

int disk_target(struct disk_target *t, const char *format, const char *path,
                const struct opt_list *options, struct err *e)
{
    const char *name = format ? format : disk_format_of(path), *variant;
    const struct image_format *f;
    char all[120];
    size_t at = 0;

    disk_makeable(all, sizeof(all));
    if (!name)
        return err_set(e, -EINVAL, "%s: the name does not say which format; say --format (%s)",
                       path, all);
    variant = strchr(name, ':');
    f = disk_format_named(name, variant ? (size_t)(variant - name) : strlen(name));
    if (!f || !(f->can & CAN_CREATE))
        return err_set(e, -EINVAL, "%s: no format \"%.40s\" that can be made; there are: %s", path,
                       name, all);
    t->format = f->name;
    t->options[0] = 0;
    if (variant)
        at = (size_t)snprintf(t->options, sizeof(t->options), "variant=%s", variant + 1);
    for (u32 i = 0; i < options->n && at < sizeof(t->options); i++)
        at += (size_t)snprintf(t->options + at, sizeof(t->options) - at, "%s%s", at ? "," : "",
                               options->v[i]);
    if (at >= sizeof(t->options))
        return err_set(e, -EINVAL, "%s: too many options", path);
    return 0;
}

static int disk_run(int argc, char **argv)
{
    return opt_run_sub(&command_disk, argc, argv);
}

static const struct command *const disk_subs[] = {
    &command_disk_info,   &command_disk_convert, &command_disk_create,  &command_disk_resize,
    &command_disk_check,  &command_disk_map,     &command_disk_compare, &command_disk_commit,
    &command_disk_rebase, &command_disk_formats, &command_disk_attach,  &command_disk_detach,
    &command_disk_insert, &command_disk_eject,   &command_disk_list,    NULL,
};
const struct command command_disk = {
    .name = "disk",
    .args = "",
    .about = "Look at disk images, make, convert and change them",
    .text = "Formats are told by what is in a file, never guessed: what has no mark of any format\n"
            "is raw only when its name ends in .raw, .img, .iso or .bin, or when it is said so.\n"
            "Sizes are in bytes, or with K, M, G, T behind them.",
    .run = disk_run,
    .subs = disk_subs,
    .examples = "mimic disk info disk.vmdk\n"
                "mimic disk convert disk.vmdk disk.qcow2\n",
};
