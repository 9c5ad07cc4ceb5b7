/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk info: what an image says of itself, and of its parents. */
#include "cmd/disk.h"
#include <errno.h>
#include <string.h>

struct info_options {
    struct disk_from from;
    bool chain, json;
};
#define INFO_AT(m) offsetof(struct info_options, m)
static const struct opt info_opts[] = {
    { "chain", OPT_FLAG, INFO_AT(chain), NULL, NULL, "tell the same of each parent" },
    { "json", OPT_FLAG, INFO_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_PARENT_ROW("parent"),
    DISK_SNAPSHOT_ROW,
    DISK_FROM_ROWS,
};

static void info_line(void *arg, const char *name, const char *value)
{
    fprintf(arg, "%-16s %s\n", name, value);
}

static void info_show(struct image *im, const struct err *broken)
{
    const struct image *up = image_parent(im);
    u64 stored = image_stored(im);
    char a[32];

    printf("%-16s %s\n", "image", image_path(im));
    printf("%-16s %s\n", "format", image_format_name(im));
    printf("%-16s %s (%llu bytes)\n", "size", disk_size_text(image_size(im), a, sizeof(a)),
           (unsigned long long)image_size(im));
    printf("%-16s %s (%llu bytes)\n", "stored", disk_size_text(stored, a, sizeof(a)),
           (unsigned long long)stored);
    printf("%-16s %s\n", "cluster", disk_size_text(image_cluster(im), a, sizeof(a)));
    image_facts(im, info_line, stdout);
    if (up)
        printf("%-16s %s (%s, %s)\n", "parent", image_path(up), image_format_name(up),
               disk_size_text(image_size(up), a, sizeof(a)));
    else if (image_parent_name(im))
        printf("%-16s %s\n", "parent", image_parent_name(im));
    if (broken->text[0])
        printf("%-16s %s\n", "cannot be read", broken->text);
}

/* A fact that may be there several times is a list. */
static void info_json_fact(void *arg, const char *name, const char *value)
{
    static const char *const lists[] = { "snapshot", "bitmap", "file", "other" };
    json_t *j = arg, *l;
    char many[32];

    for (size_t i = 0; i < LEN(lists); i++) {
        if (strcmp(name, lists[i]))
            continue;
        snprintf(many, sizeof(many), "%s%s", name, strcmp(name, "other") ? "s" : "");
        l = json_object_get(j, many);
        if (!l)
            json_object_set_new(j, many, l = json_array());
        json_array_append_new(l, disk_json_text(value));
        return;
    }
    if (!strcmp(name, "sector") || !strcmp(name, "physical-sector"))
        json_object_set_new(j, name, json_integer(atoll(value)));
    else
        json_object_set_new(j, name, disk_json_text(value));
}

static json_t *info_json(struct image *im, const struct err *broken)
{
    json_t *j = json_object();

    json_object_set_new(j, "image", disk_json_text(image_path(im)));
    json_object_set_new(j, "format", disk_json_text(image_format_name(im)));
    json_object_set_new(j, "size", json_integer((json_int_t)image_size(im)));
    json_object_set_new(j, "stored", json_integer((json_int_t)image_stored(im)));
    json_object_set_new(j, "cluster", json_integer(image_cluster(im)));
    image_facts(im, info_json_fact, j);
    if (image_parent(im))
        json_object_set_new(j, "parent", disk_json_text(image_path(image_parent(im))));
    else if (image_parent_name(im))
        json_object_set_new(j, "parent", disk_json_text(image_parent_name(im)));
    if (broken->text[0])
        json_object_set_new(j, "error", disk_json_text(broken->text));
    return j;
}

static void info_all(struct image *im, const struct info_options *o, const struct err *broken)
{
    static const struct err fine;
    json_t *top = NULL, *chain = json_array();

    for (struct image *c = im; c; c = (struct image *)image_parent(c)) {
        if (o->json && !top)
            top = info_json(c, broken);
        else if (o->json)
            json_array_append_new(chain, info_json(c, &fine));
        else
            info_show(c, c == im ? broken : &fine);
        if (!o->chain)
            break;
        if (!o->json && image_parent(c))
            putchar('\n');
    }
    if (o->json && o->chain)
        json_object_set(top, "parents", chain);
    json_decref(chain);
    if (o->json)
        disk_json_print(top);
}

/* What no driver knows is said to be unknown, never to be raw. */
static int info_unknown(const char *path, const struct info_options *o, int r, const struct err *e)
{
    json_t *j;

    if (o->json) {
        j = json_object();
        json_object_set_new(j, "image", disk_json_text(path));
        json_object_set_new(j, "format", r == -EMEDIUMTYPE ? json_string("unknown") : json_null());
        json_object_set_new(j, "error", disk_json_text(e->text));
        disk_json_print(j);
    } else if (r == -EMEDIUMTYPE) {
        printf("%-16s %s\n%-16s unknown\n", "image", path, "format");
    }
    return disk_fail(&command_disk_info, r, e);
}

static int info_run(int argc, char **argv)
{
    struct info_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 }, again = { 0 };
    struct image *im;
    int r = disk_parse(&command_disk_info, argc, argv, &o, &files, 1, 1);

    if (r)
        return r - 1;
    r = disk_open(&im, files.v[0], &o.from, 0, &e);
    if (r && !o.from.parent && disk_open(&im, files.v[0], &o.from, IMAGE_NO_PARENT, &again))
        return info_unknown(files.v[0], &o, r, &e);
    if (r && o.from.parent)
        return disk_fail(&command_disk_info, r, &e);
    info_all(im, &o, &e);
    image_close(im, NULL);
    return exit_code(r);
}

const struct command command_disk_info = {
    .name = "disk info",
    .args = "FILE",
    .about = "Tell what a disk image is: format, sizes, ids, parents, snapshots",
    .text = "A file that is no disk image of a known format is called unknown, never raw.",
    .opts = info_opts,
    .nopts = LEN(info_opts),
    .run = info_run,
    .examples = "mimic disk info disk.vmdk\nmimic disk info --chain --json overlay.qcow2\n",
};
