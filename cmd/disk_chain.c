/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk commit, mimic disk rebase: an overlay and its parent. */
#include "cmd/disk.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct chain_options {
    struct disk_from from;
    const char *to_format; /* rebase: of the new parent */
    bool remove, flatten, unsafe, json;
};
#define CHAIN_AT(m) offsetof(struct chain_options, m)
static const struct opt commit_opts[] = {
    { "remove", OPT_FLAG, CHAIN_AT(remove), NULL, NULL,
      "remove the overlay when all of it is in its parent" },
    { "json", OPT_FLAG, CHAIN_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_PARENT_ROW("parent"),
    DISK_FROM_ROWS,
};
static const struct opt rebase_opts[] = {
    { "flatten", OPT_FLAG, CHAIN_AT(flatten), NULL, NULL, "no parent: all is in the image itself" },
    { "unsafe", OPT_FLAG, CHAIN_AT(unsafe), NULL, NULL,
      "change the name only: the new parent must hold what the old one did" },
    { "parent-format", OPT_TEXT, CHAIN_AT(to_format), "NAME", NULL,
      "format of the new parent, when it does not show it" },
    { "json", OPT_FLAG, CHAIN_AT(json), NULL, NULL, "print one JSON object" },
    DISK_FORMAT_ROW("format"),
    DISK_FROM_ROWS,
};

static void chain_show(const char *image, const char *parent, const char *what, bool removed,
                       bool json)
{
    json_t *j;

    if (!json) {
        printf("%s: %s\n", image, what);
        return;
    }
    j = json_object();
    json_object_set_new(j, "image", disk_json_text(image));
    json_object_set_new(j, "parent", disk_json_text(parent));
    json_object_set_new(j, "removed", json_boolean(removed));
    disk_json_print(j);
}

/* The overlay is written to only for its parent's new id: one that cannot be is only read. */
static int commit_open(struct image **im, const char *path, const struct disk_from *f,
                       struct err *e)
{
    int r = disk_open(im, path, f, IMAGE_WRITE | IMAGE_WRITE_PARENT, e);

    if (r == -EROFS)
        r = disk_open(im, path, f, IMAGE_WRITE_PARENT, e);
    return r;
}

static int commit_do(const char *path, const struct chain_options *o, struct err *e)
{
    char parent[4096] = "", what[4300];
    struct disk_work w;
    struct image *im;
    int r = commit_open(&im, path, &o->from, e), end;

    if (r)
        return r;
    if (image_parent(im))
        snprintf(parent, sizeof(parent), "%s", image_path(image_parent(im)));
    disk_work_begin(&w, "commit");
    r = image_commit(im, &w.work, e);
    disk_work_end(&w);
    end = image_close(im, r ? NULL : e);
    if (!r)
        r = end;
    if (!r && o->remove && unlink(path))
        r = err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (r)
        return r;
    snprintf(what, sizeof(what), "all of it is in %s now%s", parent,
             o->remove ? "; removed" : ", and it is not needed any more");
    chain_show(path, parent, what, o->remove, o->json);
    return 0;
}

static int commit_run(int argc, char **argv)
{
    struct chain_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_commit, argc, argv, &o, &files, 1, 1);

    if (r)
        return r - 1;
    r = commit_do(files.v[0], &o, &e);
    return r ? disk_fail(&command_disk_commit, r, &e) : EXIT_DONE;
}

static int rebase_do(const char *path, const char *parent, const struct chain_options *o,
                     struct err *e)
{
    struct disk_from up = o->from;
    struct disk_how how;
    struct disk_work w;
    struct image *im;
    char what[4300];
    int r, end;

    up.format = o->to_format;
    disk_how(&how, parent, &up, 0);
    how.open.flags |= IMAGE_UNSAFE_PATHS; /* the user himself says which */
    r = disk_open(&im, path, &o->from, IMAGE_WRITE | (o->unsafe ? IMAGE_NO_PARENT : 0), e);
    if (r)
        return r;
    disk_work_begin(&w, "rebase");
    r = image_rebase(im, parent ? &how.open : NULL, o->unsafe, &w.work, e);
    disk_work_end(&w);
    end = image_close(im, r ? NULL : e);
    if (!r)
        r = end;
    if (r)
        return r;
    if (parent)
        snprintf(what, sizeof(what), "its parent is %s now", parent);
    else
        snprintf(what, sizeof(what), "has no parent any more");
    chain_show(path, parent, what, false, o->json);
    return 0;
}

static int rebase_run(int argc, char **argv)
{
    struct chain_options o = { 0 };
    struct opt_list files = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_rebase, argc, argv, &o, &files, 1, 2);

    if (r)
        return r - 1;
    if (o.flatten == (files.n == 2)) {
        fprintf(stderr, "mimic disk rebase: expected the new parent, or --flatten\n");
        return EXIT_USE;
    }
    r = rebase_do(files.v[0], files.n == 2 ? files.v[1] : NULL, &o, &e);
    return r ? disk_fail(&command_disk_rebase, r, &e) : EXIT_DONE;
}

const struct command command_disk_commit = {
    .name = "disk commit",
    .args = "OVERLAY",
    .about = "Write what an overlay holds into its parent",
    .text =
        "The overlay shows the same disk while that goes on and after it; cut short, it can be\n"
        "done again.  Other overlays of that parent are wrong from then on.",
    .opts = commit_opts,
    .nopts = LEN(commit_opts),
    .run = commit_run,
    .examples = "mimic disk commit --remove overlay.qcow2\n",
};
const struct command command_disk_rebase = {
    .name = "disk rebase",
    .args = "IMAGE [NEW-PARENT]",
    .about = "Give an image another parent, or none",
    .text =
        "What the new parent does not hold is copied into the image first, so that the disk is\n"
        "the same at any instant.",
    .opts = rebase_opts,
    .nopts = LEN(rebase_opts),
    .run = rebase_run,
    .examples = "mimic disk rebase overlay.qcow2 other-base.qcow2\n"
                "mimic disk rebase --flatten overlay.qcow2\n",
};
