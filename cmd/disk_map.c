/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk map: what is where in an image and its parents. */
#include "cmd/disk.h"
#include <errno.h>
#include <string.h>

struct map_options {
    struct disk_from from;
    bool json;
};
static const struct opt map_opts[] = {
    { "json", OPT_FLAG, offsetof(struct map_options, json), NULL, NULL, "print a JSON array" },
    DISK_FORMAT_ROW("format"),
    DISK_PARENT_ROW("parent"),
    DISK_SNAPSHOT_ROW,
    DISK_FROM_ROWS,
};

static const char *map_kind(const struct image_place *p)
{
    return p->kind == IMAGE_ZERO ? "zero" : p->packed ? "packed" : "data";
}

/* A row of the array, printed as it is found: a map can be long. */
static void map_json(u64 off, const struct image_place *p, bool first)
{
    json_t *j = json_object();
    char *text;

    json_object_set_new(j, "offset", json_integer((json_int_t)off));
    json_object_set_new(j, "length", json_integer((json_int_t)p->len));
    json_object_set_new(j, "kind", json_string(map_kind(p)));
    json_object_set_new(j, "depth", json_integer(p->depth));
    if (p->file) {
        json_object_set_new(j, "file", disk_json_text(p->file));
        json_object_set_new(j, "position", json_integer((json_int_t)p->at));
    }
    text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("%s%s", first ? "" : ",\n ", text ? text : "null");
    free(text);
    json_decref(j);
}

static void map_row(u64 off, const struct image_place *p)
{
    printf("%16llx %16llx  %-6s %5u  ", (unsigned long long)off, (unsigned long long)p->len,
           map_kind(p), p->depth);
    if (p->file)
        printf("%16llx  %s\n", (unsigned long long)p->at, p->file);
    else
        printf("%16s  -\n", "-");
}

static int map_all(struct image *im, bool json, struct err *e)
{
    struct image_place p;
    int r = 0;

    if (json)
        putchar('[');
    else
        printf("%16s %16s  %-6s %5s  %16s  %s\n", "offset", "length", "kind", "depth", "position",
               "file");
    for (u64 off = 0; !r && off < image_size(im); off += p.len) {
        r = image_place(im, off, &p, e);
        if (!r && json)
            map_json(off, &p, !off);
        else if (!r)
            map_row(off, &p);
    }
    if (json)
        puts("]");
    return r;
}

static int map_run(int argc, char **argv)
{
    struct map_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    struct image *im;
    int r = disk_parse(&command_disk_map, argc, argv, &o, &files, 1, 1);

    if (r)
        return r - 1;
    r = disk_open(&im, files.v[0], &o.from, 0, &e);
    if (!r) {
        r = map_all(im, o.json, &e);
        image_close(im, NULL);
    }
    return r ? disk_fail(&command_disk_map, r, &e) : EXIT_DONE;
}

const struct command command_disk_map = {
    .name = "disk map",
    .args = "FILE",
    .about = "Tell where each stretch of the disk is stored",
    .text =
        "Offset, length, kind (data, packed, zero), depth in the chain of parents (0: the image\n"
        "itself), position and file.  The table is in hexadecimal, JSON in decimal.",
    .opts = map_opts,
    .nopts = LEN(map_opts),
    .run = map_run,
    .examples = "mimic disk map disk.qcow2\nmimic disk map --json overlay.vmdk\n",
};
