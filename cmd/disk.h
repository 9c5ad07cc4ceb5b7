/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_DISK_H
#define CMD_DISK_H
#include "base/progress.h"
#include "cmd/opt.h"
#include "image/image.h"
#include <jansson.h>
#include <stdatomic.h>

/* What the commands on disk images share. */
extern const struct command command_disk_info, command_disk_convert, command_disk_create,
    command_disk_resize, command_disk_check, command_disk_map, command_disk_compare,
    command_disk_commit, command_disk_rebase, command_disk_formats, command_disk_attach,
    command_disk_detach, command_disk_insert, command_disk_eject, command_disk_list;

/* How an image that is there is opened: the first member of a command's options. */
struct disk_from {
    const char *format, *parent, *snapshot, *part, *key_file;
    bool trust, any_parent, no_lock;
    const char *format_by; /* the option for format, when it is not --format */
};
#define DISK_FORMAT_ROW(word)                                                                      \
    {                                                                                              \
        word, OPT_TEXT, offsetof(struct disk_from, format), "NAME", NULL,                          \
            "format of an image that does not show it, such as raw", 0                             \
    }
#define DISK_FROM_ROWS                                                                             \
    { "key-file",                                                                                  \
      OPT_TEXT,                                                                                    \
      offsetof(struct disk_from, key_file),                                                        \
      "FILE",                                                                                      \
      NULL,                                                                                        \
      "the passphrase of an encrypted image: all of this file; else it is asked for",              \
      0 },                                                                                         \
        { "trust",                                                                                 \
          OPT_FLAG,                                                                                \
          offsetof(struct disk_from, trust),                                                       \
          NULL,                                                                                    \
          NULL,                                                                                    \
          "follow the names inside the image wherever they lead, not only beside it",              \
          0 },                                                                                     \
        { "any-parent",                                                                            \
          OPT_FLAG,                                                                                \
          offsetof(struct disk_from, any_parent),                                                  \
          NULL,                                                                                    \
          NULL,                                                                                    \
          "take the parent although its id is not the one expected",                               \
          0 },                                                                                     \
    {                                                                                              \
        "no-lock", OPT_FLAG, offsetof(struct disk_from, no_lock), NULL, NULL,                      \
            "look although another process writes to it", 0                                        \
    }
#define DISK_PARENT_ROW(word)                                                                      \
    {                                                                                              \
        word, OPT_TEXT, offsetof(struct disk_from, parent), "FILE", NULL,                          \
            "its parent, instead of the one that it names", 0                                      \
    }
#define DISK_SNAPSHOT_ROW                                                                          \
    {                                                                                              \
        "snapshot", OPT_TEXT, offsetof(struct disk_from, snapshot), "NAME", NULL,                  \
            "the disk as it was at this snapshot inside the image", 0                              \
    }

struct disk_how { /* how image_open is asked; not copied: it points into itself */
    struct image_key key;
    struct image_open up, open;
};
void disk_how(struct disk_how *h, const char *path, const struct disk_from *f, u32 flags);
void disk_hint(int r, const struct disk_from *f, struct err *e); /* which option would help */
int disk_open(struct image **im, const char *path, const struct disk_from *f, u32 flags,
              struct err *e);

/* The operands are as many as expected: 0, else the exit code to end with + 1, all said. */
int disk_parse(const struct command *c, int argc, char **argv, void *to, struct opt_list *files,
               u32 least, u32 most);
int disk_fail(const struct command *c, int r, const struct err *e); /* says it; the exit code */

/* Long work: a bar on the terminal; an interrupt ends it, what was begun goes away. */
struct disk_work {
    struct progress bar;
    struct image_work work;
};
void disk_work_begin(struct disk_work *w, const char *what);
void disk_work_end(struct disk_work *w);

const char *disk_size_text(u64 n, char *room, size_t size); /* "1.5 GiB" */
json_t *disk_json_text(const char *s); /* also of names that are no UTF-8; NULL: null */
int disk_json_print(json_t *take_j);   /* 0 or the exit code */
/* "vmdk:streamOptimized", or what the target's name says, and a list of "name=value". */
struct disk_target {
    const char *format;
    char options[1024];
};
int disk_target(struct disk_target *t, const char *format, const char *path,
                const struct opt_list *options, struct err *e);
/* The format whose images are called so: NULL when the name does not say. */
const char *disk_format_of(const char *path);
#endif
