/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mimic disk resize: bigger, or, when that is asked for, smaller.  Nothing inside the disk is
 * touched; what a partition table has to say about that is told.
 */
#include "base/bytes.h"
#include "cmd/disk.h"
#include <errno.h>
#include <string.h>

struct resize_options {
    struct disk_from from;
    bool shrink, json;
};
#define RESIZE_AT(m) offsetof(struct resize_options, m)
static const struct opt resize_opts[] = {
    { "shrink", OPT_FLAG, RESIZE_AT(shrink), NULL, NULL,
      "make it smaller: what is behind the new end is lost" },
    { "json", OPT_FLAG, RESIZE_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_PARENT_ROW("parent"),
    DISK_FROM_ROWS,
};

struct resize_notes {
    char text[3][200];
    u32 n;
};

/* A GPT has its second header in the last sector; this disk's end is elsewhere now. */
static void resize_gpt(struct image *im, u64 was, struct resize_notes *n)
{
    u64 size = image_size(im);
    u8 b[512];

    for (u32 sector = 512; sector <= 4096 && n->n < LEN(n->text); sector *= 8) {
        struct iovec v = { b, sizeof(b) };
        u64 last;

        if (min_u64(was, size) < 2ull * sector || image_read(im, sector, &v, 1, sizeof(b)) ||
            memcmp(b, "EFI PART", 8))
            continue;
        last = le64(b + 48);
        if (size > was)
            snprintf(n->text[n->n++], sizeof(n->text[0]),
                     "its GPT's second header stays at %llu, which is not the end any more: the "
                     "guest's partition tool moves it (sgdisk -e)",
                     (unsigned long long)(was - sector));
        else
            snprintf(n->text[n->n++], sizeof(n->text[0]),
                     "its GPT's second header was cut off%s: the guest's partition tool writes a "
                     "new one (sgdisk -e)",
                     last > size / sector ? ", and the space that it calls usable is beyond the end"
                                          : "");
        return;
    }
}

static void resize_mbr(struct image *im, struct resize_notes *n)
{
    u8 b[512];
    struct iovec v = { b, sizeof(b) };

    if (image_size(im) < 512 || image_read(im, 0, &v, 1, sizeof(b)) || le16(b + 510) != 0xaa55)
        return;
    for (u32 i = 0; i < 4 && n->n < LEN(n->text); i++) {
        const u8 *p = b + 446 + i * 16;
        u64 end = ((u64)le32(p + 8) + le32(p + 12)) * 512;

        if (p[4] && p[4] != 0xee && end > image_size(im))
            snprintf(n->text[n->n++], sizeof(n->text[0]),
                     "partition %u ends at %llu, behind the new end of the disk", i + 1,
                     (unsigned long long)end);
    }
}

static void resize_show(const char *path, u64 was, u64 size, const struct resize_notes *n,
                        bool json)
{
    char a[32], b[32];
    json_t *j, *l;

    if (!json) {
        printf("%s: %s, was %s\n", path, disk_size_text(size, b, sizeof(b)),
               disk_size_text(was, a, sizeof(a)));
        for (u32 i = 0; i < n->n; i++)
            printf("%s: %s\n", path, n->text[i]);
        return;
    }
    j = json_object();
    json_object_set_new(j, "image", disk_json_text(path));
    json_object_set_new(j, "was", json_integer((json_int_t)was));
    json_object_set_new(j, "size", json_integer((json_int_t)size));
    json_object_set_new(j, "notes", l = json_array());
    for (u32 i = 0; i < n->n; i++)
        json_array_append_new(l, disk_json_text(n->text[i]));
    disk_json_print(j);
}

static int resize_do(const char *path, const char *to, const struct resize_options *o,
                     struct err *e)
{
    struct resize_notes notes = { .n = 0 };
    struct image *im;
    u64 size, was, now = 0;
    int r, end;

    if (opt_size(*to == '+' ? to + 1 : to, &size))
        return err_set(e, -EINVAL, "%s: expected a size, such as 20G or +1.5T", to);
    r = disk_open(&im, path, &o->from, IMAGE_WRITE, e);
    if (r)
        return r;
    was = image_size(im);
    if (*to == '+' && !add_ok(&size, size, was))
        r = err_set(e, -EFBIG, "%s: too big", path);
    if (!r)
        r = image_resize(im, size, o->shrink, e);
    if (r == -EINVAL && size < was && !o->shrink)
        r = err_set(e, r, "%s: has %llu bytes; --shrink cuts off what is behind %llu", path,
                    (unsigned long long)was, (unsigned long long)size);
    if (!r) {
        now = image_size(im);
        resize_gpt(im, was, &notes);
        if (now < was)
            resize_mbr(im, &notes);
    }
    end = image_close(im, r ? NULL : e);
    if (!r && !end)
        resize_show(path, was, now, &notes, o->json);
    return r ? r : end;
}

static int resize_run(int argc, char **argv)
{
    struct resize_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_resize, argc, argv, &o, &files, 2, 2);

    if (r)
        return r - 1;
    r = resize_do(files.v[0], files.v[1], &o, &e);
    return r ? disk_fail(&command_disk_resize, r, &e) : EXIT_DONE;
}

const struct command command_disk_resize = {
    .name = "disk resize",
    .args = "FILE [+]SIZE",
    .about = "Make the disk in an image bigger or smaller",
    .text = "What is new is zero.  Partitions and file systems are not changed: that is for the\n"
            "guest's own tools.",
    .opts = resize_opts,
    .nopts = LEN(resize_opts),
    .run = resize_run,
    .examples = "mimic disk resize disk.qcow2 40G\nmimic disk resize --format raw disk.img +10G\n",
};
