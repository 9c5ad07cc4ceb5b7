/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_OVF_ENV_H
#define PACKAGE_OVF_ENV_H
#include "base/buf.h"
#include "desc/desc.h"

/*
 * What an OVF's guest is told at its first boot: its properties, in an environment document
 * (DSP0243 1.1, 9 and 12), on a CD or through VMware's guestinfo.
 */
enum { OVF_ENV_ISO = 1, OVF_ENV_GUESTINFO = 2 };
/* How the package wants them told; 0: not at all, or there are none */
u32 ovf_env_ways(const struct desc *d);
/* The document of one VM; first: the package's, whose other VMs it hears of. */
int ovf_env_text(const struct desc *d, const struct desc *first, struct buf *to);
/* The same as a CD image, labelled "OVF ENV". */
int ovf_env_iso(const struct desc *d, const struct desc *first, struct buf *to);
/*
 * That image as a file of this path (a former one is replaced), in a CD drive: the first that
 * is empty, else a new one.
 */
int ovf_env_attach(struct desc *d, const struct desc *first, const char *path, struct err *e);
/* "key=value" or "class.key.instance=value": -ENOENT when there is no such property, -EINVAL
 * when its type does not take the value. */
int ovf_env_set(struct desc *d, const char *assignment, struct err *e);
#endif
