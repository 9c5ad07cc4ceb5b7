/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_OPEN_H
#define CMD_OPEN_H
#include "cmd/opt.h"
#include "desc/desc.h"

/*
 * A VM from whatever file the user names: a package of any format, or a bare disk or CD
 * image, for which a plain description is made.
 */
struct open_how {
    const char *path;
    bool verify;
    bool pull;             /* package/format.h */
    const char *format;    /* of a bare image, "raw" above all; or NULL: probe */
    const char *format_by; /* the option that says it, for a hint; NULL: "format" */
    const char *disk_bus;  /* "ide", "pvscsi", "virtio_blk": for bare images; NULL: ide */
    bool describe, strict; /* these and the next as in package_options */
    bool start, ignore_locks, discard_suspend;
    bool (*discarded)(void *arg, const char *file);
    void *arg;
    const char *option, *language, *trust;
    const struct opt_list *properties; /* "key=value" for the guest; or NULL */
};
int open_vm(const struct open_how *how, struct desc *d, struct notes *n, struct err *e);
int open_add_usb(struct desc *d, const char *class, struct err *e); /* a controller, a keyboard */
/* One more image: on the bus that how names. */
int open_add_disk(const struct open_how *how, struct desc *d, enum desc_media media, struct err *e);
void open_show_notes(const struct notes *n, FILE *f, bool all); /* all: also what was kept */
#endif
