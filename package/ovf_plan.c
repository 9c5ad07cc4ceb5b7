/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files a package that is written will have: disks first, in the order of the VMs. */
#include "image/format.h"
#include "package/ovf_out.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool plan_same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* Also two of one file (an XVA), and two that are still to come down a pipe, are not the same. */
static bool plan_same_disk(const struct desc_disk *a, const struct desc_disk *b)
{
    return a->path && b->path && !strcmp(a->path, b->path) && a->offset == b->offset &&
           plan_same_text(a->source, b->source) && plan_same_text(a->part, b->part) &&
           a->base == b->base && a->media == b->media;
}

const struct ovf_member *ovf_member_of(const struct ovf_out *o, const struct desc_disk *k)
{
    for (const struct ovf_member *m = o->members; m; m = m->next)
        if (m->disk && (m->disk == k || plan_same_disk(m->disk, k)))
            return m;
    return NULL;
}

static bool plan_has_name(const struct ovf_out *o, const char *name)
{
    for (const struct ovf_member *m = o->members; m; m = m->next)
        if (!strcmp(m->name, name))
            return true;
    return !strcmp(name, sink_main(o->s));
}

/* Ids that elements kept whole speak of are theirs. */
static bool plan_is_taken(struct ovf_out *o, const char *attr, const char *id)
{
    const char *key = !strcmp(attr, "id") ? "References/File[" : "DiskSection/Disk";

    for (const struct desc *d = o->first; d; d = d->next)
        for (const struct desc_extra *x = d->extras; x; x = x->next) {
            const struct xml_node *n;

            if (strcmp(x->format, "ovf") || strncmp(x->key, key, strlen(key)))
                continue;
            n = ovf_look(o, x->value);
            if (xml_attr(n, attr) && !strcmp(xml_attr(n, attr), id))
                return true;
        }
    return false;
}

static const char *plan_id(struct ovf_out *o, const char *attr, const char *word, u32 *count)
{
    const char *id;

    do
        id = arena_print(&o->arena, "%s%u", word, ++*count);
    while (id && plan_is_taken(o, attr, id));
    o->failed |= !id;
    return id ? id : "";
}

static struct ovf_member *plan_add(struct ovf_out *o, const char *name)
{
    struct ovf_member *m = arena_new(&o->arena, sizeof(*m)), **last = &o->members;

    if (!m || !name) {
        o->failed = true;
        return NULL;
    }
    m->name = name;
    m->made = (struct sink_disk){ .size = UINT64_MAX, .populated = UINT64_MAX };
    while (*last)
        last = &(*last)->next;
    *last = m;
    return m;
}

/* The suffix of what the disks become. */
static const char *plan_suffix(const struct ovf_out *o)
{
    const char *said = o->how->disk_format ? o->how->disk_format : "vmdk";
    size_t n = strcspn(said, ":");

    for (u32 i = 0; image_catalog[i]; i++)
        if (strlen(image_catalog[i]->name) == n && !strncmp(image_catalog[i]->name, said, n))
            return image_catalog[i]->suffix ? image_catalog[i]->suffix : "";
    return ".vmdk";
}

static int plan_disk(struct ovf_out *o, const struct desc_disk *k)
{
    const char *suffix = k->media == DESC_DISK    ? plan_suffix(o)
                         : k->media == DESC_CDROM ? ".iso"
                                                  : ".flp";
    struct ovf_member *m;

    if (k->source && !k->path)
        return err_set(o->e, -ENOENT, "%s: its file \"%.100s\" is not there", k->name, k->source);
    if (ovf_member_of(o, k) || (!k->path && (k->media != DESC_DISK || !k->capacity)))
        return 0;
    if (!k->path) { /* a disk of zeroes has no file */
        m = plan_add(o, "");
        if (m) {
            m->disk = k;
            m->disk_id = plan_id(o, "diskId", "vmdisk", &o->ndiskids);
        }
        return m ? 0 : -ENOMEM;
    }
    m = plan_add(o, arena_print(&o->arena, "%s-%s%u%s", sink_name(o->s),
                                k->media == DESC_DISK ? "disk" : "file", ++o->ndisks, suffix));
    if (!m)
        return -ENOMEM;
    m->disk = k;
    m->id = plan_id(o, "id", "file", &o->nfiles);
    if (k->media == DESC_DISK)
        m->disk_id = plan_id(o, "diskId", "vmdisk", &o->ndiskids);
    m->outside = o->how->no_disks;
    return 0;
}

static int plan_file(struct ovf_out *o, const struct desc_file *f)
{
    const char *base = source_base(f->name), *name = base, *key;
    const struct xml_node *kept;
    struct ovf_member *m;

    for (u32 i = 1; name && plan_has_name(o, name); i++)
        name = arena_print(&o->arena, "%u-%s", i, base);
    m = plan_add(o, name);
    key = arena_print(&o->arena, "References/File[%.200s]", f->name);
    if (!m || !key)
        return -ENOMEM;
    m->file = f;
    kept = ovf_look(o, desc_extra(o->first, "ovf", key));
    m->id = xml_attr(kept, "id") ? xml_attr(kept, "id") : plan_id(o, "id", "file", &o->nfiles);
    return 0;
}

int ovf_plan(struct ovf_out *o)
{
    int r = 0;

    for (const struct desc *d = o->first; !r && d; d = d->next)
        for (const struct desc_disk *k = d->disks; !r && k; k = k->next)
            r = plan_disk(o, k);
    for (const struct desc *d = o->first; !r && d; d = d->next)
        for (const struct desc_file *f = d->files; !r && f; f = f->next)
            r = plan_file(o, f);
    return r ? r : o->failed ? -ENOMEM : 0;
}
