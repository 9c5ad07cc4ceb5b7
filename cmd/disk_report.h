/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_DISK_REPORT_H
#define CMD_DISK_REPORT_H
#include "desc/desc.h"
#include "image/image.h"
#include <jansson.h>

/* What an image says of itself, kept to be compared with what its copy says. */
struct disk_facts {
    struct disk_fact {
        char *name, *value;
        bool met;
    } * v;
    u32 n;
    u64 size;
    char format[32], *parent;
};
void disk_facts_get(struct disk_facts *f, struct image *im);
void disk_facts_free(struct disk_facts *f);

/* Each thing that the copy has as it was, otherwise, or not at all.  to NULL: went down a pipe. */
void disk_report(const struct disk_facts *from, const struct disk_facts *to, struct notes *n);
json_t *disk_report_list(const struct notes *n, enum note_kind kind);
#endif
