/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk convert: one image into another format, and what that kept, changed and lost. */
#include "base/loop.h"
#include "cmd/disk.h"
#include "cmd/disk_report.h"
#include "cmd/key.h"
#include "cmd/open.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct convert_options {
    struct disk_from from;
    const char *format, *parent, *parent_format, *to_key;
    struct opt_list options;
    u64 threads, cluster;
    bool force, json, quiet;
};
#define CONVERT_AT(m) offsetof(struct convert_options, m)
static const struct opt convert_opts[] = {
    { "format", OPT_TEXT, CONVERT_AT(format), "F[:VARIANT]", NULL,
      "of the new image, as vmdk:streamOptimized; else by its name" },
    { "option", OPT_LIST, CONVERT_AT(options), "NAME=VALUE", NULL,
      "of that format; mimic disk formats lists them", 'o' },
    { "cluster", OPT_SIZE, CONVERT_AT(cluster), "SIZE", NULL, "its cluster, grain or block" },
    { "parent", OPT_TEXT, CONVERT_AT(parent), "FILE", NULL,
      "its parent: only what differs from that is stored" },
    { "parent-format", OPT_TEXT, CONVERT_AT(parent_format), "NAME", NULL,
      "format of that parent, when it does not show it" },
    { "new-key-file", OPT_TEXT, CONVERT_AT(to_key), "FILE", NULL,
      "the passphrase of a new image that is encrypted" },
    { "force", OPT_FLAG, CONVERT_AT(force), NULL, NULL,
      "replace TO if it is there, when the new one is whole" },
    { "threads", OPT_NUMBER, CONVERT_AT(threads), "N", NULL,
      "1 to 8; else one for each processor" },
    { "json", OPT_FLAG, CONVERT_AT(json), NULL, NULL, "report as one JSON object" },
    { "quiet", OPT_FLAG, CONVERT_AT(quiet), NULL, NULL, "report only what is changed or lost",
      'q' },
    DISK_FORMAT_ROW("from"),
    DISK_PARENT_ROW("from-parent"),
    DISK_SNAPSHOT_ROW,
    DISK_FROM_ROWS,
};

/* One conversion, from the command line to its report. */
struct conversion {
    const struct convert_options *o;
    const char *from, *to;
    struct disk_target target;
    struct image_open parent;
    struct image_key key, to_key;
    struct disk_facts was, is;
    bool has_was, has_is;
    struct image_converted result;
    struct notes notes;
    struct disk_work work;
    i64 began;
};

static bool convert_is_pipe(const char *name)
{
    return !strcmp(name, "-");
}

static int convert_append(void *arg, const void *p, size_t n)
{
    const u8 *at = p;

    (void)arg;
    while (n) {
        ssize_t some = write(STDOUT_FILENO, at, n);

        if (some < 0 && errno != EINTR)
            return -errno;
        at += some > 0 ? some : 0;
        n -= some > 0 ? (size_t)some : 0;
    }
    return 0;
}

static ssize_t convert_read(void *arg, void *p, size_t n)
{
    const struct conversion *c = arg;

    for (;;) {
        ssize_t got = read(STDIN_FILENO, p, n);

        if (atomic_load(c->work.work.stop))
            return -ECANCELED;
        if (got >= 0 || errno != EINTR)
            return got < 0 ? -errno : got;
    }
}

static int convert_image(struct conversion *c, struct image *im, struct err *e)
{
    char options[1024];
    struct image_convert how = { .path = convert_is_pipe(c->to) ? NULL : c->to,
                                 .format = c->target.format,
                                 .cluster = (u32)c->o->cluster,
                                 .options = options,
                                 .key = &c->to_key,
                                 .threads = (unsigned)c->o->threads,
                                 .progress = c->work.work.progress,
                                 .arg = c->work.work.arg,
                                 .stop = c->work.work.stop,
                                 .replace = c->o->force,
                                 .parent = c->o->parent ? &c->parent : NULL,
                                 .result = &c->result };

    if (!how.path)
        how.append = convert_append;
    if (image_copy_options(im, how.format, c->target.options, options, sizeof(options)))
        return err_set(e, -E2BIG, "%s: too many options", c->to);
    if (!options[0])
        how.options = NULL;
    return image_convert(im, &how, e);
}

static int convert_from_file(struct conversion *c, struct err *e)
{
    struct image *im;
    int r = disk_open(&im, c->from, &c->o->from, 0, e);

    if (r)
        return r;
    disk_facts_get(&c->was, im);
    c->has_was = true;
    disk_work_begin(&c->work, "convert");
    r = convert_image(c, im, e);
    disk_work_end(&c->work);
    image_close(im, NULL);
    return r;
}

static int convert_pull(struct conversion *c, const char *to, const char *format,
                        const char *options, struct err *e)
{
    struct image_pull how = { .path = to,
                              .format = format,
                              .cluster = (u32)c->o->cluster,
                              .options = options,
                              .key = &c->key,
                              .threads = (unsigned)c->o->threads,
                              .progress = c->work.work.progress,
                              .arg = c->work.work.arg,
                              .stop = c->work.work.stop,
                              .replace = c->o->force,
                              .read = convert_read,
                              .read_arg = c,
                              .name = "standard input",
                              .from = c->o->from.format,
                              .result = &c->result };
    struct stat st;

    if (!fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode))
        how.length = (u64)st.st_size;
    return image_pull(&how, e);
}

/* What comes by one pipe and goes by another is a raw file in between. */
static int convert_pipe_to_pipe(struct conversion *c, struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    struct disk_from raw = { .format = "raw" };
    struct image *im;
    char dir[4096], path[4200];
    int r;

    snprintf(dir, sizeof(dir), "%s/mimic-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return err_set(e, -errno, "%s: %s", dir, strerror(errno));
    snprintf(path, sizeof(path), "%s/disk.raw", dir);
    r = convert_pull(c, path, "raw", NULL, e);
    if (!r && !(r = disk_open(&im, path, &raw, 0, e))) {
        unlink(path);
        r = convert_image(c, im, e);
        image_close(im, NULL);
    }
    unlink(path);
    rmdir(dir);
    return r;
}

static int convert_from_pipe(struct conversion *c, struct err *e)
{
    const struct disk_from *f = &c->o->from;
    int r;

    if (f->snapshot || f->parent || c->o->parent || f->part)
        return err_set(e, -EINVAL, "an image from a pipe has no parents, parts or snapshots");
    disk_work_begin(&c->work, "convert");
    r = convert_is_pipe(c->to) ? convert_pipe_to_pipe(c, e)
                               : convert_pull(c, c->to, c->target.format,
                                              c->target.options[0] ? c->target.options : NULL, e);
    disk_work_end(&c->work);
    if (r)
        disk_hint(r, f, e);
    return r;
}

static json_t *convert_side(const char *path, const struct disk_facts *f)
{
    json_t *j = json_object();

    json_object_set_new(j, "image", disk_json_text(path));
    if (f) {
        json_object_set_new(j, "format", disk_json_text(f->format));
        json_object_set_new(j, "size", json_integer((json_int_t)f->size));
    }
    return j;
}

static void convert_json(const struct conversion *c, FILE *f)
{
    json_t *j = json_object(), *to = convert_side(c->to, c->has_is ? &c->is : NULL);

    json_object_set_new(to, "populated", json_integer((json_int_t)c->result.populated));
    json_object_set_new(to, "stored", json_integer((json_int_t)c->result.stored));
    json_object_set_new(j, "from", convert_side(c->from, c->has_was ? &c->was : NULL));
    json_object_set_new(j, "to", to);
    json_object_set_new(j, "seconds", json_real((double)(loop_now() - c->began) / 1e9));
    json_object_set_new(j, "kept", disk_report_list(&c->notes, NOTE_KEPT));
    json_object_set_new(j, "changed", disk_report_list(&c->notes, NOTE_CHANGED));
    json_object_set_new(j, "lost", disk_report_list(&c->notes, NOTE_LOST));
    json_dumpf(j, f, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    fputc('\n', f);
    json_decref(j);
}

static void convert_text(const struct conversion *c, FILE *f)
{
    double seconds = (double)(loop_now() - c->began) / 1e9;
    u32 count[3] = { 0 };
    char a[32], b[32];

    for (const struct note *k = c->notes.first; k; k = k->next)
        count[k->kind]++;
    open_show_notes(&c->notes, f, !c->o->quiet);
    if (c->o->quiet)
        return;
    fprintf(f, "%s: %s, %s, %s stored, in %.1f s; %u changed, %u lost\n",
            convert_is_pipe(c->to) ? "standard output" : c->to, c->target.format,
            disk_size_text(c->result.size, a, sizeof(a)),
            disk_size_text(c->result.stored, b, sizeof(b)), seconds, count[NOTE_CHANGED],
            count[NOTE_LOST]);
}

/* The new image is opened as anybody would: what it says is what the report goes by. */
static void convert_report(struct conversion *c)
{
    struct disk_from back = { .format = c->target.format, .trust = true, .key_file = c->o->to_key };
    FILE *f = convert_is_pipe(c->to) ? stderr : stdout;
    struct image *im;
    struct err e = { 0 };

    if (!convert_is_pipe(c->to) && !disk_open(&im, c->to, &back, 0, &e)) {
        disk_facts_get(&c->is, im);
        c->has_is = true;
        image_close(im, NULL);
    }
    if (c->has_was)
        disk_report(&c->was, c->has_is ? &c->is : NULL, &c->notes);
    if (c->o->json)
        convert_json(c, f);
    else
        convert_text(c, f);
    notes_fini(&c->notes);
    disk_facts_free(&c->was);
    disk_facts_free(&c->is);
}

static int convert_prepare(struct conversion *c, struct err *e)
{
    const struct convert_options *o = c->o;
    int r;

    if (o->cluster > 1u << 30)
        return err_set(e, -EINVAL, "--cluster: too big");
    if (convert_is_pipe(c->to) && isatty(STDOUT_FILENO))
        return err_set(e, -EINVAL, "an image is not printed on a terminal");
    if (convert_is_pipe(c->to) && !o->format)
        return err_set(e, -EINVAL, "a pipe has no name: say --format");
    r = disk_target(&c->target, o->format, c->to, &o->options, e);
    c->key = (struct image_key){ .file = o->from.key_file, .ask = key_ask };
    c->to_key = (struct image_key){ .file = o->to_key, .ask = key_ask };
    c->parent = (struct image_open){
        .path = o->parent, .format = o->parent_format, .flags = IMAGE_UNSAFE_PATHS, .key = &c->key
    };
    return r;
}

static int convert_run(int argc, char **argv)
{
    struct convert_options o = { .from.format_by = "from" };
    struct conversion c = { .o = &o, .began = loop_now() };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_convert, argc, argv, &o, &files, 2, 2);

    if (r)
        return r - 1;
    c.from = files.v[0];
    c.to = files.v[1];
    r = convert_prepare(&c, &e);
    if (r) {
        disk_fail(&command_disk_convert, r, &e);
        return EXIT_USE;
    }
    r = convert_is_pipe(c.from) ? convert_from_pipe(&c, &e) : convert_from_file(&c, &e);
    if (!r) {
        convert_report(&c);
        return EXIT_DONE;
    }
    disk_facts_free(&c.was);
    return disk_fail(&command_disk_convert, r, &e);
}

const struct command command_disk_convert = {
    .name = "disk convert",
    .args = "FROM TO",
    .about = "Convert a disk image into another format",
    .text =
        "TO appears under its name when it is whole and on the disk, not before, and never in\n"
        "place of a file that is there but with --force.  - is a pipe: FROM standard input, TO\n"
        "standard output, for formats that are written from their beginning to their end.\n"
        "The report tells what the new image has as it was (kept), otherwise (changed), or not\n"
        "at all (lost).",
    .opts = convert_opts,
    .nopts = LEN(convert_opts),
    .run = convert_run,
    .examples = "mimic disk convert disk.vmdk disk.qcow2\n"
                "mimic disk convert --format vmdk:streamOptimized disk.qcow2 disk.vmdk\n"
                "curl -s http://host/disk.vmdk | mimic disk convert - disk.qcow2\n"
                "mimic disk convert --format vmdk:streamOptimized disk.raw - | ssh host 'cat >d'\n",
};
