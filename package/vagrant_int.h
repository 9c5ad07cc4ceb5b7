/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_VAGRANT_INT_H
#define PACKAGE_VAGRANT_INT_H
#include "package/format.h"

/* What a box for libvirt says in its Vagrantfile: a program that is looked at, never run. */
struct vagrant_words { /* texts, "" none */
    char memory[16], cpus[16], disk_bus[16], nic_model[24], machine[48], video[24], sound[24],
        firmware[64];
};
void vagrant_words(const char *text, struct vagrant_words *w);

/* The format of packages that a provider's boxes hold ("virtualbox": "ovf"), its descriptor's
 * suffix and its name in a box; NULL: none, the box holds images. */
struct vagrant_provider {
    const char *provider, *format, *suffix, *name;
};
const struct vagrant_provider *vagrant_provider(const char *provider);
const struct package_format *vagrant_format(const char *name); /* of the catalog; or NULL */

int vagrant_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
