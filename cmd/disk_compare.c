/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk compare: do two images hold the same disk? */
#include "cmd/disk.h"
#include <errno.h>
#include <string.h>

struct compare_options {
    struct disk_from from; /* of the first */
    const char *second;    /* format of the second */
    u64 threads;
    bool strict, json, quiet;
};
#define COMPARE_AT(m) offsetof(struct compare_options, m)
static const struct opt compare_opts[] = {
    { "strict", OPT_FLAG, COMPARE_AT(strict), NULL, NULL,
      "the sizes, and what is stored and what is not, must be the same too" },
    { "json", OPT_FLAG, COMPARE_AT(json), NULL, NULL, "print one JSON object" },
    { "quiet", OPT_FLAG, COMPARE_AT(quiet), NULL, NULL, "say nothing: the exit code tells", 'q' },
    { "threads", OPT_NUMBER, COMPARE_AT(threads), "N", NULL,
      "1 to 8; else one for each processor" },
    DISK_FORMAT_ROW("format"),
    { "parent", OPT_TEXT, COMPARE_AT(from.parent), "FILE", NULL,
      "the parent of the first image, instead of the one that it names" },
    { "format2", OPT_TEXT, COMPARE_AT(second), "NAME", NULL, "the same for the second image" },
    DISK_FROM_ROWS,
};

static void compare_json(u64 a, u64 b, const struct image_difference *d, bool same)
{
    json_t *j = json_object();
    json_t *sizes = json_array();

    json_array_append_new(sizes, json_integer((json_int_t)a));
    json_array_append_new(sizes, json_integer((json_int_t)b));
    json_object_set_new(j, "same", json_boolean(same));
    json_object_set_new(j, "sizes", sizes);
    json_object_set_new(j, "content-differs-at",
                        d->content ? json_integer((json_int_t)d->content_at) : json_null());
    json_object_set_new(j, "allocation-differs-at",
                        d->allocation ? json_integer((json_int_t)d->allocation_at) : json_null());
    disk_json_print(j);
}

static void compare_show(u64 a, u64 b, const struct image_difference *d, bool strict)
{
    if (d->content)
        printf("different: the first byte that differs is at %llu (0x%llx)\n",
               (unsigned long long)d->content_at, (unsigned long long)d->content_at);
    else
        printf("same content\n");
    if (a != b)
        printf("sizes differ: %llu and %llu bytes%s\n", (unsigned long long)a,
               (unsigned long long)b, d->content ? "" : "; what one has more is zero");
    if (strict && d->allocation)
        printf("allocation differs: at %llu (0x%llx) one stores what the other does not\n",
               (unsigned long long)d->allocation_at, (unsigned long long)d->allocation_at);
}

static int compare_two(struct image *a, struct image *b, const struct compare_options *o,
                       bool *same, struct err *e)
{
    struct image_difference d;
    struct disk_work w;
    int r;

    disk_work_begin(&w, "compare");
    w.work.threads = (unsigned)o->threads;
    r = image_compare(a, b, &w.work, &d, e);
    disk_work_end(&w);
    if (r)
        return r;
    *same = !d.content && (!o->strict || (image_size(a) == image_size(b) && !d.allocation));
    if (o->json)
        compare_json(image_size(a), image_size(b), &d, *same);
    else if (!o->quiet)
        compare_show(image_size(a), image_size(b), &d, o->strict);
    return 0;
}

static int compare_run(int argc, char **argv)
{
    struct compare_options o = { 0 };
    struct opt_list files = { 0 };
    struct image *a, *b = NULL;
    struct disk_from second;
    struct err e = { 0 };
    bool same = false;
    int r = disk_parse(&command_disk_compare, argc, argv, &o, &files, 2, 2);

    if (r)
        return r - 1;
    second = o.from;
    second.format = o.second;
    second.parent = NULL;
    r = disk_open(&a, files.v[0], &o.from, 0, &e);
    if (r)
        return disk_fail(&command_disk_compare, r, &e);
    r = disk_open(&b, files.v[1], &second, 0, &e);
    if (!r)
        r = compare_two(a, b, &o, &same, &e);
    image_close(a, NULL);
    if (b)
        image_close(b, NULL);
    if (r)
        return disk_fail(&command_disk_compare, r, &e);
    return same ? EXIT_DONE : EXIT_DIFFERENT;
}

const struct command command_disk_compare = {
    .name = "disk compare",
    .args = "FILE FILE",
    .about = "Compare the disks that two images hold",
    .text =
        "The formats may differ.  The exit code is 0 when the content is the same (what only the\n"
        "longer one has must be zero), 1 when it is not, more when something went wrong.",
    .opts = compare_opts,
    .nopts = LEN(compare_opts),
    .run = compare_run,
    .examples = "mimic disk compare disk.vmdk disk.qcow2\n",
};
