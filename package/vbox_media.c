/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VirtualBox's media: machines name images by UUID, a registry says where they are, and which
 * image a difference is to: the element that it stands in.  The registry is in the machine's
 * settings since 1.11, before that in VirtualBox.xml; up to 1.3 it had other names.
 */
#include "package/locate.h"
#include "package/vbox_int.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define MEDIA_DEPTH 256

/* "{uuid}", whose braces and case do not matter */
static bool media_same(const char *a, const char *b)
{
    size_t n;

    if (!a || !b)
        return false;
    a += *a == '{';
    b += *b == '{';
    n = strcspn(a, "}");
    return n == strcspn(b, "}") && !strncasecmp(a, b, n);
}

/* Through all elements below a registry, in document order. */
static const struct xml_node *media_find(const struct xml_node *top, const char *uuid)
{
    const struct xml_node *n = top ? top->first : NULL;

    while (n) {
        if (media_same(xml_attr(n, "uuid"), uuid))
            return n;
        if (n->first) {
            n = n->first;
            continue;
        }
        while (n != top && !n->next)
            n = n->parent;
        n = n == top ? NULL : n->next;
    }
    return NULL;
}

static const char *media_location(const struct xml_node *m)
{
    static const char *const kinds[] = { "VirtualDiskImage", "VMDKImage", "VHDImage",
                                         "CustomHardDisk" };
    const char *name = xml_attr(m, "location");

    name = name ? name : xml_attr(m, "src");
    for (size_t i = 0; i < LEN(kinds) && !name; i++) {
        const struct xml_node *c = xml_child(m, kinds[i]);

        name = xml_attr(c, "filePath") ? xml_attr(c, "filePath") : xml_attr(c, "location");
    }
    return name;
}

/* Ours for VirtualBox's "VDI"; NULL: the image tells itself */
static const char *media_format(const struct xml_node *m)
{
    static const char *const formats[][2] = { { "VDI", "vdi" }, { "VMDK", "vmdk" },
                                              { "VHD", "vhd" }, { "VHDX", "vhdx" },
                                              { "RAW", "raw" }, { "QED", "qed" },
                                              { "QCOW", NULL }, { "Parallels", "parallels" },
                                              { "DMG", "dmg" } };
    const char *said = xml_attr(m, "format");

    for (size_t i = 0; said && i < LEN(formats); i++)
        if (!strcasecmp(formats[i][0], said))
            return formats[i][1];
    return NULL;
}

static int media_property(struct vbox *x, const struct desc_disk *k, const struct xml_node *m)
{
    for (const struct xml_node *p = xml_child(m, "Property"); p; p = xml_next(p, "Property")) {
        const char *name = xml_attr(p, "name");

        if (name && !strcmp(name, "CRYPT/KeyStore"))
            return err_set(x->e, -EOPNOTSUPP,
                           "%s: %s is encrypted (CRYPT/KeyStore), which is not supported", x->file,
                           k->name);
    }
    return 0;
}

static int media_disk(struct vbox *x, struct desc_disk *k, const struct xml_node *m)
{
    const char *name = media_location(m), *format = xml_attr(m, "format");
    int r = media_property(x, k, m);

    if (r || !name)
        return r;
    if ((format && !strcasecmp(format, "iSCSI")) || xml_child(m, "ISCSIHardDisk")) {
        note(x->n, NOTE_LOST, k->name, "is an iSCSI disk on the network: \"%s\"", name);
        return 0;
    }
    if (k->media == DESC_DISK)
        k->format = media_format(m);
    return locate_disk(x->d, x->s, x->n, k, name, x->e);
}

/* The images that this one is the difference to, each in a description of its own. */
static int media_chain(struct vbox *x, struct desc_disk *k, const struct xml_node *m)
{
    for (unsigned depth = 0; m->parent && xml_attr(m->parent, "uuid"); m = m->parent, depth++) {
        struct desc_disk *base = arena_new(&x->d->arena, sizeof(*base));
        int r;

        if (!base)
            return -ENOMEM;
        if (depth == MEDIA_DEPTH)
            return err_set(x->e, -E2BIG, "%s: %s: more than %d images in a chain", x->file, k->name,
                           MEDIA_DEPTH);
        *base = (struct desc_disk){ .name = k->name, .media = k->media, .mode = DESC_READ };
        r = media_disk(x, base, m->parent);
        if (r)
            return r;
        k->parent = base->source;
        k->base = base;
        k = base;
    }
    return 0;
}

int vbox_medium(struct vbox *x, struct desc_disk *k, const char *uuid)
{
    const struct xml_node *places[] = { xml_child(x->machine, "MediaRegistry"),
                                        xml_child(x->global, "MediaRegistry"),
                                        xml_child(x->global, "DiskRegistry") };
    const struct xml_node *m = NULL;
    const char *type;
    int r;

    for (size_t i = 0; i < LEN(places) && !m; i++)
        m = media_find(places[i], uuid);
    if (!m) {
        note(x->n, NOTE_LOST, k->name,
             "is the image %s, which no media registry here knows (VirtualBox.xml may)", uuid);
        return 0;
    }
    type = xml_attr(m, "type");
    if (type && !strcasecmp(type, "Immutable"))
        k->mode = DESC_THROWAWAY;
    if (type && !strcasecmp(type, "Readonly"))
        k->mode = DESC_READ;
    r = media_disk(x, k, m);
    return r ? r : k->media == DESC_DISK ? media_chain(x, k, m) : 0;
}
