/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_VMX_INT_H
#define PACKAGE_VMX_INT_H
#include "desc/desc.h"
#include "package/format.h"
#include "package/source.h"

#define VMX_BUSES 4
#define VMX_UNITS 64
#define VMX_NICS 10
#define VMX_PORTS 32

/* One 'key = "value"'; taken: its meaning is in the description, else it becomes an extra. */
struct vmx_key {
    const char *key, *value;
    u32 line;
    bool taken;
};
struct vmx_text {
    struct arena arena;
    struct vmx_key **sorted, *keys;
    u32 n;
};

/* package/vmx_text.c: 0 or -errno with e; the text is changed.  n: for what is doubtful. */
int vmx_parse(struct vmx_text *t, char *text, size_t len, const char *file, struct notes *n,
              struct err *e);
void vmx_text_fini(struct vmx_text *t);
/* By key in any case; "" when there is none. */
const char *vmx_get(const struct vmx_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, and the description says it from now on. */
const char *vmx_take(const struct vmx_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Taken when it says what the writer would write (in any case), or nothing. */
void vmx_take_if(const struct vmx_text *t, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool vmx_true(const char *s);
/* A line with what needs it escaped. */
int vmx_line(struct buf *to, const char *key, const char *value);

struct vmx { /* one reading */
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    struct vmx_text t;
};
/* package/vmx_devices.c */
int vmx_devices(struct vmx *x);
int vmx_keep(struct vmx *x, const char **to, const char *text); /* a copy; "" is NULL */
/* A name of some host, as one to look for beside the configuration: into room. */
void vmx_local_name(const char *name, char *room, size_t size);
/* package/vmx_vmsd.c: the snapshots beside the configuration, if any */
int vmx_snapshots(struct vmx *x);
/* package/vmx_left.c: open in VMware or suspended: refused, or noted; after the devices */
int vmx_left(struct vmx *x);
/* package/vmx_write.c */
int vmx_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
/* package/vmx_guest.c: the guest system in VMware's words; exact: it is one of them */
const char *vmx_guest(const char *guest, bool *exact);
#endif
