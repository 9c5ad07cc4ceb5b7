/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a HostResource to the bytes of a disk: DiskSection, References, the package's files. */
#include "package/ovf_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct xml_node *ovf_section(const struct xml_node *root, const char *name)
{
    for (const struct xml_node *n = root->first; n; n = n->next)
        if (ovf_is_section(n, name))
            return n;
    return NULL;
}

static const struct xml_node *ovf_by_id(const struct xml_node *list, const char *element,
                                        const char *attr, const char *id)
{
    for (const struct xml_node *n = xml_child(list, element); n; n = xml_next(n, element))
        if (xml_attr(n, attr) && !strcmp(xml_attr(n, attr), id))
            return n;
    return NULL;
}

/* The file of a References entry: found, whole, plain. */
static int ovf_fill_file(struct ovf *o, struct desc_disk *k, const char *id)
{
    const struct xml_node *refs = xml_child(o->root, "References");
    const struct xml_node *f = ovf_by_id(refs, "File", "id", id);
    const char *href = xml_attr(f, "href"), *packed = xml_attr(f, "compression"), *said;
    const struct source_file *found;
    int r;

    if (!f || !href)
        return err_set(o->e, -EBADMSG, "%s: References: has no File with the id \"%s\"", o->file,
                       id);
    if (packed && *packed && strcasecmp(packed, "identity"))
        return err_set(o->e, -EOPNOTSUPP,
                       "%s: \"%s\" is compressed (%s): compressed files are not supported", o->file,
                       href, packed);
    if (xml_attr(f, "chunkSize"))
        return err_set(o->e, -EOPNOTSUPP,
                       "%s: \"%s\" is split into chunks: such files are not supported", o->file,
                       href);
    r = source_find(o->s, href, &found, o->e);
    if (r == -ENOENT)
        return err_set(o->e, r, "%s: the file \"%s\" of %s is missing", o->file, href, k->name);
    if (r)
        return r;
    said = xml_attr(f, "size");
    if (said && strtoull(said, NULL, 10) != found->size)
        note(o->n, NOTE_CHANGED, k->name, "\"%s\" should have %s bytes and has %llu", href, said,
             (unsigned long long)found->size);
    k->source = arena_text(&o->d->arena, found->name, strlen(found->name));
    k->path = arena_text(&o->d->arena, found->path, strlen(found->path));
    if (!k->source || !k->path)
        return err_set(o->e, -ENOMEM, "%s: too big", o->file);
    if (source_has_suffix(found->name, ".iso") || source_has_suffix(found->name, ".raw"))
        k->format = "raw"; /* these have no magic to know them by */
    if (o->s->kind == SOURCE_TAR) {
        k->container = k->path;
        k->offset = found->offset;
        k->length = found->size;
    }
    return 0;
}

static int ovf_fill_from_disk(struct ovf *o, struct desc_disk *k, const char *id)
{
    const struct xml_node *disks = ovf_section(o->root, "DiskSection");
    const struct xml_node *disk = ovf_by_id(disks, "Disk", "diskId", id);
    const char *capacity = xml_attr(disk, "capacity"), *units, *format, *file;

    if (!disk)
        return err_set(o->e, -EBADMSG, "%s: DiskSection: has no Disk with the diskId \"%s\"",
                       o->file, id);
    if (xml_attr(disk, "parentRef") && *xml_attr(disk, "parentRef"))
        return err_set(o->e, -EOPNOTSUPP,
                       "%s: disk \"%s\" is a delta over \"%s\": delta disks are not supported",
                       o->file, id, xml_attr(disk, "parentRef"));
    units = xml_attr(disk, "capacityAllocationUnits");
    if (capacity && !ovf_bytes(capacity, units ? units : "", 1, &k->capacity))
        note(o->n, NOTE_LOST, k->name, "its capacity \"%s\" (%s) is not a number of bytes",
             capacity, units ? units : "bytes");
    format = xml_attr(disk, "format"); /* kept, not believed: the file says what it is */
    if (format && desc_add_extra(o->d, "ovf.Disk.format", k->name, format))
        return -ENOMEM;
    file = xml_attr(disk, "fileRef");
    if (file && *file)
        return ovf_fill_file(o, k, file);
    note(o->n, NOTE_KEPT, k->name, "is empty: %llu MiB of zeroes",
         (unsigned long long)(k->capacity >> 20));
    return 0;
}

/* "ovf:/disk/x", "ovf://disk/x", "/disk/x", "disk/x"; the same with file */
int ovf_fill_disk(struct ovf *o, struct desc_disk *k, const char *resource)
{
    const char *p = resource;

    if (!strncasecmp(p, "ovf:", 4))
        p += 4;
    while (*p == '/')
        p++;
    if (!strncasecmp(p, "disk/", 5))
        return ovf_fill_from_disk(o, k, p + 5);
    if (!strncasecmp(p, "file/", 5))
        return ovf_fill_file(o, k, p + 5);
    return err_set(o->e, -EBADMSG, "%s: %s: HostResource \"%s\" names neither a disk nor a file",
                   o->file, k->name, resource);
}
