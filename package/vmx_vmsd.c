/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of snapshots that VMware keeps in NAME.vmsd beside NAME.vmx.  It tells their names and
 * their order; the disks' own chains tell their contents.
 */
#include "package/vmx_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VMSD_MAX (4u << 20)
#define VMSD_SNAPSHOTS 512

/* Microseconds since 1970, in two signed halves. */
static const char *vmsd_time(struct desc *d, const struct vmx_text *t, unsigned i)
{
    const char *high = vmx_get(t, "snapshot%u.createTimeHigh", i);
    const char *low = vmx_get(t, "snapshot%u.createTimeLow", i);
    u64 micro = (u64)(u32)strtol(high, NULL, 10) << 32 | (u32)strtol(low, NULL, 10);
    time_t seconds = (time_t)(micro / 1000000);
    struct tm tm;
    char text[40];

    if (!*high || !*low || micro >> 63 || !gmtime_r(&seconds, &tm) || tm.tm_year > 8000)
        return NULL;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return desc_text(d, "%s", text);
}

static int vmsd_read(struct vmx *x, const struct vmx_text *t)
{
    const char *current = vmx_get(t, "snapshot.current");
    unsigned long n = strtoul(vmx_get(t, "snapshot.numSnapshots"), NULL, 10);

    for (unsigned i = 0; i < n && i < VMSD_SNAPSHOTS; i++) {
        const char *uid = vmx_get(t, "snapshot%u.uid", i);
        const char *parent = vmx_get(t, "snapshot%u.parent", i);
        struct desc_snapshot *s;

        if (!*uid)
            continue;
        s = desc_add_snapshot(x->d, uid, vmx_get(t, "snapshot%u.displayName", i));
        if (!s || vmx_keep(x, &s->about, vmx_get(t, "snapshot%u.description", i)))
            return -ENOMEM;
        if (*parent && strcmp(parent, "0") && vmx_keep(x, &s->parent, parent))
            return -ENOMEM;
        s->time = vmsd_time(x->d, t, i);
        s->current = !strcmp(uid, current);
    }
    return 0;
}

int vmx_snapshots(struct vmx *x)
{
    const struct source_file *f;
    struct vmx_text t = { 0 };
    struct err why = { 0 };
    struct buf text;
    char name[300];
    size_t n = strlen(x->file);
    int r;

    snprintf(name, sizeof(name), "%.*s.vmsd", (int)(n > 4 && n < 260 ? n - 4 : 0), x->file);
    if (source_find(x->s, name, &f, NULL) || !f->size || source_load(f, VMSD_MAX, &text, NULL))
        return 0;
    r = vmx_parse(&t, (char *)text.p, text.len, name, x->n, &why);
    buf_fini(&text);
    if (r)
        note(x->n, NOTE_LOST, name, "the list of snapshots cannot be read: %s", why.text);
    r = r ? 0 : vmsd_read(x, &t);
    vmx_text_fini(&t);
    return r;
}
