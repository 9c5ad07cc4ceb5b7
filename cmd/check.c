/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic check and mimic disk check: is it as it must be? */
#include "cmd/check.h"
#include "cmd/commands.h"
#include "cmd/disk.h"
#include "cmd/key.h"
#include <errno.h>
#include <string.h>

struct check_options {
    struct disk_from from;
    const char *authority;
    bool repair, read, json;
};
#define CHECK_AT(m) offsetof(struct check_options, m)

static void check_say(void *arg, const char *text)
{
    struct check_image *how = arg;

    how->said++;
    if (how->say)
        how->say(how->arg, text);
}

static int check_open(struct image *im, struct check_image *how, struct err *e)
{
    int r = 0;

    if (how->repair)
        r = image_repair(im, check_say, how, e);
    if (!r)
        r = image_check(im, check_say, how, e);
    if (!r && how->read)
        r = image_read_all(im, how->work, e);
    return r;
}

int check_image(const struct image_open *what, struct check_image *how, struct err *e)
{
    struct image_open open = *what;
    struct image *im;
    int r, end;

    how->said = 0;
    if (how->repair)
        open.flags |= IMAGE_WRITE | IMAGE_REPAIR;
    r = image_open(&im, &open, e);
    if (r)
        return r;
    r = check_open(im, how, e);
    end = image_close(im, r ? NULL : e);
    return r ? r : end;
}

struct check_lines {
    json_t *list; /* or NULL: print them */
};
static void check_line(void *arg, const char *text)
{
    struct check_lines *l = arg;

    if (l->list)
        json_array_append_new(l->list, disk_json_text(text));
    else
        printf("  %s\n", text);
}

/* -EIO without a bad host is a table that leads nowhere. */
static bool check_is_damage(int r)
{
    return r == -EBADMSG || r == -EIO;
}

static int check_tell(const struct command *c, const struct check_options *o, const char *path,
                      json_t *list, u32 said, int r, const struct err *e)
{
    const char *result = !r                   ? (said && o->repair ? "repaired" : "clean")
                         : check_is_damage(r) ? "damaged"
                                              : "not checked";
    json_t *j;

    if (o->json) {
        j = json_object();
        json_object_set_new(j, "image", disk_json_text(path));
        json_object_set_new(j, "result", json_string(result));
        json_object_set(j, "findings", list);
        if (r)
            json_object_set_new(j, "error", disk_json_text(e->text));
        disk_json_print(j);
    } else {
        printf("%s: %s\n", path, result);
    }
    if (!r)
        return EXIT_DONE;
    fflush(stdout);
    disk_fail(c, r, e);
    return check_is_damage(r) ? EXIT_DATA : exit_code(r);
}

static int check_disk(const struct command *c, const struct check_options *o, const char *path)
{
    struct check_lines lines = { o->json ? json_array() : NULL };
    struct check_image how = {
        .read = o->read, .repair = o->repair, .say = check_line, .arg = &lines
    };
    struct disk_how open;
    struct disk_work w;
    struct err e = { 0 };
    int r;

    disk_how(&open, path, &o->from, 0);
    disk_work_begin(&w, "read");
    how.work = &w.work;
    r = check_image(&open.open, &how, &e);
    disk_work_end(&w);
    if (r)
        disk_hint(r, &o->from, &e);
    r = check_tell(c, o, path, lines.list, how.said, r, &e);
    json_decref(lines.list);
    return r;
}

static int check_disk_run(int argc, char **argv)
{
    struct check_options o = { 0 };
    struct opt_list files = { 0 };
    int r = disk_parse(&command_disk_check, argc, argv, &o, &files, 1, 1);

    return r ? r - 1 : check_disk(&command_disk_check, &o, files.v[0]);
}

static int check_run(int argc, char **argv)
{
    struct check_options o = { 0 };
    struct opt_list files = { 0 };
    int r = disk_parse(&command_check, argc, argv, &o, &files, 1, 1);
    struct check_package how;

    if (r)
        return r - 1;
    how = (struct check_package){ .read = o.read, .json = o.json, .authority = o.authority };
    r = o.from.format ? -ENOENT : check_package(&how, files.v[0]);
    return r == -ENOENT ? check_disk(&command_check, &o, files.v[0]) : r;
}

static const struct opt check_disk_opts[] = {
    { "repair", OPT_FLAG, CHECK_AT(repair), NULL, NULL,
      "set right what can be without losing data" },
    { "read", OPT_FLAG, CHECK_AT(read), NULL, NULL,
      "read all of the disk too: damage inside compressed data shows only then" },
    { "json", OPT_FLAG, CHECK_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_PARENT_ROW("parent"),
    DISK_FROM_ROWS,
};

static const struct opt check_opts[] = {
    { "read", OPT_FLAG, CHECK_AT(read), NULL, NULL, "read all of the disks too" },
    { "authority", OPT_TEXT, CHECK_AT(authority), "FILE", NULL,
      "PEM certificates of those who may sign, instead of the system's" },
    { "json", OPT_FLAG, CHECK_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_FROM_ROWS,
};

const struct command command_disk_check = {
    .name = "disk check",
    .args = "FILE",
    .about = "Check the structure of a disk image and of its parents",
    .text =
        "Each fault is told with its place.  The exit code is 0 for a clean image (or a repaired\n"
        "one) and 65 for a damaged one.",
    .opts = check_disk_opts,
    .nopts = LEN(check_disk_opts),
    .run = check_disk_run,
    .examples = "mimic disk check disk.qcow2\nmimic disk check --repair disk.qcow2\n",
};

const struct command command_check = {
    .name = "check",
    .args = "FILE",
    .about = "Check a VM package or a disk image: structure, digests, signature, chains",
    .text = "Of a package the description, the manifest's digests, the signature, whether its\n"
            "signer is trusted and still valid, and every disk are told apart.  What is wrong is\n"
            "told with its place.  The exit code is 0 when nothing is, 65 when something is\n"
            "damaged or not what was signed.",
    .opts = check_opts,
    .nopts = LEN(check_opts),
    .run = check_run,
    .examples = "mimic check appliance.ova\nmimic check disk.vmdk\n",
};
