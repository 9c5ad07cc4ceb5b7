/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a HostResource to the bytes of a disk: DiskSection, References, the package's files, also
 * compressed, in chunks, and as deltas over others.  Files and disks that no drive uses are kept.
 */
#include "package/ovf_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHUNKS_MAX 2000
#define DELTAS_MAX 64

const struct xml_node *ovf_by_id(const struct xml_node *list, const char *element, const char *attr,
                                 const char *id)
{
    for (const struct xml_node *n = xml_child(list, element); n; n = xml_next(n, element))
        if (xml_attr(n, attr) && !strcmp(xml_attr(n, attr), id))
            return n;
    return NULL;
}

/* %41 of a URI as A; NULL: nothing to decode */
static const char *disk_decode(struct ovf *o, const char *href)
{
    char *to, *p;

    if (!strchr(href, '%') || !(to = arena_text(&o->arena, href, strlen(href))))
        return NULL;
    for (p = to; *href; href++)
        if (*href == '%' && isxdigit((u8)href[1]) && isxdigit((u8)href[2])) {
            char hex[3] = { href[1], href[2], 0 };

            *p++ = (char)strtoul(hex, NULL, 16);
            href += 2;
        } else {
            *p++ = *href;
        }
    *p = 0;
    return to;
}

/* An absolute name means nothing on this host: only its last part, beside the descriptor. */
static const char *disk_beside(struct ovf *o, const char *href)
{
    const char *last = href;
    bool drive = isalpha((u8)href[0]) && href[1] == ':';

    if (!strncasecmp(href, "file:", 5))
        href += 5;
    else if (strstr(href, "://"))
        return href; /* is refused, with its name */
    if (*href != '/' && *href != '\\' && !drive)
        return href;
    for (const char *p = href; *p; p++)
        if ((*p == '/' || *p == '\\') && p[1])
            last = p + 1;
    note(o->n, NOTE_CHANGED, last, "the package names it as \"%.200s\"", href);
    return last;
}

int ovf_find_file(struct ovf *o, const char *href, const struct source_file **f)
{
    const char *name = disk_beside(o, href), *decoded;
    struct err first = { 0 };
    int r = source_find(o->s, name, f, &first);

    if (r == -ENOENT && (decoded = disk_decode(o, name)))
        r = source_find(o->s, decoded, f, NULL);
    if (r && r != -ENOENT && r != -ENOTDIR && o->how && o->how->describe) {
        note(o->n, NOTE_LOST, href, "%s", first.text);
        r = -ENOENT;
    }
    if (r == -ENOENT || r == -ENOTDIR) {
        *f = NULL;
        return 0;
    }
    if (r)
        *o->e = first;
    return r;
}

/* The place of a file that was found. */
static int disk_place(struct ovf *o, struct desc_disk *k, const struct source_file *f)
{
    k->source = ovf_copy_text(o, f->name);
    k->path = ovf_copy_text(o, f->path);
    if (o->s->kind == SOURCE_TAR) {
        k->container = k->path;
        k->offset = f->offset;
        k->length = f->size;
    }
    return o->failed ? -ENOMEM : 0;
}

static int disk_missing(struct ovf *o, struct desc_disk *k, const char *href)
{
    if (o->how && o->how->describe) {
        note(o->n, NOTE_LOST, k->name, "its file \"%.200s\" is missing", href);
        k->source = ovf_copy_text(o, href);
        return 0;
    }
    return err_set(o->e, -ENOENT, "%s: the file \"%.100s\" of %s is missing", o->file, href,
                   k->name);
}

static void disk_size_note(struct ovf *o, const struct desc_disk *k, const struct xml_node *file,
                           u64 have)
{
    const char *said = xml_attr(file, "size");

    if (o->s->pipe) /* not known yet */
        return;
    if (said && *said && strtoull(said, NULL, 10) != have)
        note(o->n, NOTE_CHANGED, k->name, "\"%.100s\" should have %.30s bytes and has %llu",
             xml_attr(file, "href"), said, (unsigned long long)have);
}

/* name.000000000, name.000000001 ...: as many as the size says, else as there are */
static int disk_chunks(struct ovf *o, struct desc_disk *k, const struct xml_node *file,
                       const char *href)
{
    u64 size = strtoull(xml_attr(file, "size") ? xml_attr(file, "size") : "", NULL, 10);
    u64 chunk = strtoull(xml_attr(file, "chunkSize"), NULL, 10), have = 0;
    u64 want = size && chunk ? size / chunk + (size % chunk != 0) : 0;
    struct desc_piece **last = &k->pieces, *p;
    const struct source_file *f;
    char name[600];

    for (u64 i = 0; !want || i < want; i++) {
        int r;

        if (i == CHUNKS_MAX)
            return err_set(o->e, -E2BIG, "%s: \"%.100s\" has more than %d chunks", o->file, href,
                           CHUNKS_MAX);
        snprintf(name, sizeof(name), "%.500s.%09llu", href, (unsigned long long)i);
        if ((r = ovf_find_file(o, name, &f)))
            return r;
        if (!f && i && !want)
            break;
        if (!f)
            return disk_missing(o, k, name);
        have += f->size;
        if (!i && (r = disk_place(o, k, f)))
            return r;
        if (!i)
            continue;
        p = arena_new(&o->d->arena, sizeof(*p));
        if (!p)
            return -ENOMEM;
        p->path = ovf_copy_text(o, f->path);
        p->offset = f->offset;
        p->length = o->s->kind == SOURCE_TAR ? f->size : 0;
        *last = p;
        last = &p->next;
    }
    disk_size_note(o, k, file, have);
    return 0;
}

/* A name that says raw, and nothing but raw: these have no magic to know them by. */
static bool disk_is_raw(const char *name, const char *format)
{
    if (format && (strstr(format, "Ecma-119") || strstr(format, "ecma-119") ||
                   strstr(format, "iso9660") || !strcasecmp(format, "raw")))
        return true;
    return source_has_suffix(name, ".iso") || source_has_suffix(name, ".raw") ||
           source_has_suffix(name, ".flp") || source_has_suffix(name, "-flat.vmdk");
}

/* The file of a References entry: one, or many; compressed ones the image layer unpacks. */
static int disk_fill_file(struct ovf *o, struct desc_disk *k, const char *id, const char *format)
{
    const struct xml_node *refs = xml_child(o->root, "References");
    const struct xml_node *file = ovf_by_id(refs, "File", "id", id);
    const char *href, *chunk, *packed;
    const struct source_file *f;
    int r;

    if (!file) /* oVirt's disks name the file itself */
        file = ovf_by_id(refs, "File", "href", id);
    href = xml_attr(file, "href");
    chunk = xml_attr(file, "chunkSize");
    packed = xml_attr(file, "compression");
    if (!file || !href)
        return err_set(o->e, -EBADMSG, "%s: References: has no File with the id \"%.100s\"",
                       o->file, id);
    ((struct xml_node *)file)->taken = true;
    r = ovf_find_file(o, href, &f);
    if (r)
        return r;
    if (f) {
        disk_size_note(o, k, file, f->size);
        r = disk_place(o, k, f);
    } else if (chunk) {
        r = disk_chunks(o, k, file, href);
    } else {
        r = disk_missing(o, k, href);
    }
    if (!r && (!packed || !*packed || !strcasecmp(packed, "identity")) && disk_is_raw(href, format))
        k->format = "raw";
    return r;
}

/* "20", "${disk.size}" */
static const char *disk_capacity(struct ovf *o, struct desc_disk *k, const char *text)
{
    size_t n = strlen(text);
    const char *name, *value;

    if (n < 4 || text[0] != '$' || text[1] != '{' || text[n - 1] != '}')
        return text;
    name = arena_text(&o->arena, text + 2, n - 3);
    value = name ? ovf_property(o, name) : NULL;
    if (!value || !*value)
        note(o->n, NOTE_LOST, k->name, "its capacity is the property \"%.100s\", which is not set",
             name ? name : "");
    return value && *value ? value : NULL;
}

/* What a Disk says beyond what our writer says of it. */
static int disk_keep(struct ovf *o, const struct desc_disk *k, const struct xml_node *disk)
{
    static const char *const ours[] = { "diskId", "fileRef",   "capacityAllocationUnits",
                                        "format", "parentRef", "populatedSize" };
    struct xml_node *rest = ovf_copy(&o->arena, NULL, disk);
    const char *capacity = xml_attr(disk, "capacity");
    char key[100];

    if (!rest)
        return -ENOMEM;
    if (!capacity || *capacity != '$') /* a property's: the units go with it */
        ovf_unset(rest, "capacity");
    for (size_t i = 0; i < LEN(ours); i++)
        if (i != 2 || !xml_attr(rest, "capacity"))
            ovf_unset(rest, ours[i]);
    if (!rest->attrs && !rest->first)
        return 0;
    snprintf(key, sizeof(key), OVF_KEY_DISK, k->name);
    return ovf_keep(o, o->d, key, rest);
}

static int disk_fill(struct ovf *o, struct desc_disk *k, const char *id, unsigned depth);

/* The disk that this one is the difference to. */
static int disk_parent(struct ovf *o, struct desc_disk *k, const char *id, const char *parent,
                       unsigned depth)
{
    struct desc_disk *base = arena_new(&o->d->arena, sizeof(*base));
    int r;

    if (!base)
        return -ENOMEM;
    if (depth >= DELTAS_MAX)
        return err_set(o->e, -ELOOP, "%s: disk \"%.100s\" is a delta over too many others", o->file,
                       id);
    base->name = k->name;
    base->media = DESC_DISK;
    base->mode = DESC_READ;
    r = disk_fill(o, base, parent, depth + 1);
    if (r)
        return r;
    if (!base->path)
        return 0; /* an empty disk: whatever lies over it is all there is */
    k->base = base;
    k->parent = base->source;
    return 0;
}

static int disk_fill(struct ovf *o, struct desc_disk *k, const char *id, unsigned depth)
{
    const struct xml_node *disks = ovf_section(o->root, "DiskSection");
    const struct xml_node *disk = ovf_by_id(disks, "Disk", "diskId", id);
    const char *capacity = xml_attr(disk, "capacity"), *parent = xml_attr(disk, "parentRef");
    const char *units = xml_attr(disk, "capacityAllocationUnits"), *file;
    int r = 0;

    if (!disk)
        return err_set(o->e, -EBADMSG, "%s: DiskSection: has no Disk with the diskId \"%.100s\"",
                       o->file, id);
    ((struct xml_node *)disk)->taken = true;
    capacity = capacity ? disk_capacity(o, k, capacity) : NULL;
    if (capacity && !ovf_bytes(capacity, units ? units : "", 1, &k->capacity)) {
        note(o->n, NOTE_LOST, k->name, "its capacity \"%.40s\" (%.40s) is not a number of bytes",
             capacity, units ? units : "bytes");
        k->capacity = 0;
    }
    file = xml_attr(disk, "fileRef");
    if (file && *file)
        r = disk_fill_file(o, k, file, xml_attr(disk, "format"));
    if (!r && parent && *parent)
        r = disk_parent(o, k, id, parent, depth);
    if (r || depth)
        return r;
    if (k->base)
        note(o->n, NOTE_KEPT, k->name, "is a delta over \"%.100s\"", k->parent);
    else if (!k->path)
        note(o->n, NOTE_KEPT, k->name, "is empty: %llu MiB of zeroes",
             (unsigned long long)(k->capacity >> 20));
    return disk_keep(o, k, disk);
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
        return disk_fill(o, k, p + 5, 0);
    if (!strncasecmp(p, "file/", 5))
        return disk_fill_file(o, k, p + 5, NULL);
    return err_set(o->e, -EBADMSG,
                   "%s: %s: HostResource \"%.100s\" names neither a disk nor a file", o->file,
                   k->name, resource);
}

/* ---- what no drive uses ---- */

static bool file_is_named(const struct desc *d, const struct source_file *f)
{
    for (; d; d = d->next)
        for (const struct desc_file *x = d->files; x; x = x->next)
            if (!strcmp(x->name, f->name))
                return true;
    return false;
}

/* Does anything that is kept whole speak of the file by its id, in a text or (all) in a value? */
static bool file_is_meant(const struct xml_node *n, const char *id, bool all)
{
    char host[300];

    snprintf(host, sizeof(host), "/file/%.250s", id);
    for (const struct xml_attr *a = all ? n->attrs : NULL; a; a = a->next)
        if ((!strcmp(a->name, "fileRef") && !strcmp(a->value, id)) || strstr(a->value, host))
            return true;
    if (strstr(n->text, host))
        return true;
    for (const struct xml_node *c = n->first; c; c = c->next)
        if (file_is_meant(c, id, all))
            return true;
    return false;
}

static int file_keep(struct ovf *o, const struct xml_node *file)
{
    const char *href = xml_attr(file, "href"), *id = xml_attr(file, "id");
    const struct source_file *f;
    struct desc_file *to;
    char key[300];
    int r;

    if (!href || !id)
        return 0;
    r = ovf_find_file(o, href, &f);
    if (r)
        return r;
    if (!f) {
        note(o->n, NOTE_LOST, "References", "the file \"%.100s\" is missing; no drive uses it",
             href);
        return 0;
    }
    snprintf(key, sizeof(key), "References/File[%.200s]", f->name);
    if (file_is_named(o->first, f)) /* firmware variables: by a setting; or by an Item as well */
        return file_is_meant(o->root, id, false) ? ovf_keep(o, o->first, key, file) : 0;
    to = desc_add_file(o->first, f->name, f->path);
    if (!to)
        return -ENOMEM;
    to->offset = f->offset;
    to->length = o->s->kind == SOURCE_TAR ? f->size : 0;
    if (!file_is_meant(o->root, id, true))
        note(o->n, NOTE_KEPT, "References", "the file \"%.100s\" is nobody's", href);
    return ovf_keep(o, o->first, key, file);
}

int ovf_other_files(struct ovf *o)
{
    const struct xml_node *refs = xml_child(o->root, "References");
    const struct xml_node *disks = ovf_section(o->root, "DiskSection");
    int r = 0;

    for (const struct xml_node *k = xml_child(disks, "Disk"); !r && k; k = xml_next(k, "Disk"))
        if (!k->taken) {
            const char *id = xml_attr(k, "diskId");

            note(o->n, NOTE_KEPT, "DiskSection", "the disk \"%.100s\" is in no drive",
                 id ? id : "");
            r = ovf_keep(o, o->first, "DiskSection/Disk", k);
        }
    for (const struct xml_node *f = xml_child(refs, "File"); !r && f; f = xml_next(f, "File"))
        if (!f->taken)
            r = file_keep(o, f);
    return r;
}
