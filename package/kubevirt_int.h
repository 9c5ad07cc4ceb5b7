/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_KUBEVIRT_INT_H
#define PACKAGE_KUBEVIRT_INT_H
#include "package/format.h"
#include "package/tree.h"

/* The kinds of objects that hold a VM, and where in them what KubeVirt calls its spec is. */
struct kube_kind {
    const char *kind, *path[5]; /* ended by NULL */
    const char *at;             /* the same as one text */
};
const struct kube_kind *kube_kind(const char *kind); /* or NULL */
bool kube_quantity(const char *text, u64 *v);        /* "128Mi", "1.5G", "500m" (rounded up) */
void kube_print_quantity(u64 v, char text[32]);

int kubevirt_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
