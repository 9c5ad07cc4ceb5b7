/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk create: a new image, empty or over a parent. */
#include "cmd/disk.h"
#include "cmd/key.h"
#include "image/format.h"
#include <errno.h>
#include <string.h>

struct create_options {
    struct disk_from from; /* of the parent */
    const char *format, *key_file;
    struct opt_list options;
    u64 size, cluster;
    bool json, quiet;
};
#define CREATE_AT(m) offsetof(struct create_options, m)
static const struct opt create_opts[] = {
    { "size", OPT_SIZE, CREATE_AT(size), "SIZE", NULL, "of the disk: 512, 64K, 10G, 1.5T" },
    { "format", OPT_TEXT, CREATE_AT(format), "F[:VARIANT]", NULL,
      "of the image, as vmdk:streamOptimized; else by its name" },
    { "option", OPT_LIST, CREATE_AT(options), "NAME=VALUE", NULL,
      "of the format; mimic disk formats lists them", 'o' },
    { "cluster", OPT_SIZE, CREATE_AT(cluster), "SIZE", NULL, "cluster, grain or block" },
    DISK_PARENT_ROW("parent"),
    DISK_FORMAT_ROW("parent-format"),
    { "key-file", OPT_TEXT, CREATE_AT(key_file), "FILE", NULL,
      "the passphrase of an encrypted image: all of this file; else it is asked for" },
    { "json", OPT_FLAG, CREATE_AT(json), NULL, NULL, "print one JSON object" },
    { "quiet", OPT_FLAG, CREATE_AT(quiet), NULL, NULL, "print nothing", 'q' },
};

static int create_show(const char *path, const struct create_options *o, struct err *e)
{
    struct disk_from from = { .trust = true, .key_file = o->key_file };
    struct image *im;
    char size[32];
    json_t *j;
    int r;

    if (o->quiet)
        return 0;
    from.format = disk_format_of(path);
    r = disk_open(&im, path, &from, 0, e);
    if (r)
        return r;
    if (o->json) {
        j = json_object();
        json_object_set_new(j, "image", disk_json_text(path));
        json_object_set_new(j, "format", disk_json_text(image_format_name(im)));
        json_object_set_new(j, "size", json_integer((json_int_t)image_size(im)));
        if (image_parent_name(im))
            json_object_set_new(j, "parent", disk_json_text(image_parent_name(im)));
        disk_json_print(j);
    } else {
        printf("%s: %s, %s", path, image_format_name(im),
               disk_size_text(image_size(im), size, sizeof(size)));
        if (image_parent_name(im))
            printf(", over %s", image_parent_name(im));
        putchar('\n');
        if (image_parent_name(im) && image_parent_name(im)[0] == '/')
            printf("its parent is in another directory: commands find it with --trust\n");
    }
    image_close(im, NULL);
    return 0;
}

static int create_do(const char *path, const struct create_options *o, struct err *e)
{
    struct image_key key = { .file = o->key_file, .ask = key_ask };
    struct image_open up = {
        .path = o->from.parent, .format = o->from.format, .flags = IMAGE_UNSAFE_PATHS, .key = &key
    };
    struct image_create make = {
        .path = path, .size = o->size, .cluster = (u32)o->cluster, .key = &key
    };
    struct disk_target t;
    int r = disk_target(&t, o->format, path, &o->options, e);

    if (r)
        return r;
    if (o->cluster > 1u << 30)
        return err_set(e, -EINVAL, "%s: --cluster: too big", path);
    make.format = t.format;
    make.options = t.options[0] ? t.options : NULL;
    if (o->from.parent)
        make.parent = &up;
    r = image_create(&make, e);
    return r ? r : create_show(path, o, e);
}

static int create_run(int argc, char **argv)
{
    struct create_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_create, argc, argv, &o, &files, 1, 1);

    if (r)
        return r - 1;
    if (!o.size && !o.from.parent) {
        fprintf(stderr, "mimic disk create: say how big: --size, or --parent\n");
        return EXIT_USE;
    }
    r = create_do(files.v[0], &o, &e);
    return r ? disk_fail(&command_disk_create, r, &e) : EXIT_DONE;
}

const struct command command_disk_create = {
    .name = "disk create",
    .args = "FILE",
    .about = "Make a new disk image, empty or over a parent",
    .text =
        "Never in place of a file that is there.  With --parent, the new image holds only what\n"
        "is written to it; the parent must not be changed from then on.",
    .opts = create_opts,
    .nopts = LEN(create_opts),
    .run = create_run,
    .examples = "mimic disk create --size 20G disk.qcow2\n"
                "mimic disk create --parent base.vmdk overlay.qcow2\n"
                "mimic disk create --size 100G --format vhd:fixed disk.vhd\n",
};
