/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network cards, ports and sound of a VirtualBox machine, and its snapshots. */
#include "package/vbox_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The elements that say what a card is plugged into */
static const char *const ports_networks[] = { "NAT",
                                              "BridgedInterface",
                                              "HostInterface",
                                              "InternalNetwork",
                                              "HostOnlyInterface",
                                              "HostOnlyNetwork",
                                              "NATNetwork",
                                              "GenericInterface",
                                              "CloudNetwork",
                                              "VDE" };

/* What the card is plugged into: the name of a network or an interface, else the kind */
static void ports_network(struct vbox *x, struct desc_nic *c, const struct xml_node *n)
{
    for (size_t i = 0; i < LEN(ports_networks); i++) {
        const struct xml_node *a = xml_child(n, ports_networks[i]);
        const char *name = xml_attr(a, "name");

        if (!a)
            continue;
        name = name ? name : xml_attr(a, "driver");
        name = name && *name ? name : a->name;
        c->network = arena_text(&x->d->arena, name, strlen(name));
        return;
    }
}

static int ports_nic(struct vbox *x, const struct xml_node *n)
{
    const char *mac = xml_attr(n, "MACAddress"), *cable = xml_attr(n, "cable");
    const char *type = xml_attr(n, "type");
    struct desc_nic *c;

    if (!vbox_true(xml_attr(n, "enabled")))
        return 0;
    c = place_nic(x->d, x->n, type ? type : "Am79C970A");
    if (!c)
        return -ENOMEM;
    xml_take(n, "enabled");
    xml_take(n, "type");
    if (mac && place_mac(c, mac))
        xml_take(n, "MACAddress");
    else if (mac)
        note(x->n, NOTE_LOST, c->name, "\"%s\" is no MAC address", mac);
    c->connected = !cable || vbox_true(cable);
    xml_take(n, "cable");
    ports_network(x, c, n);
    return 0;
}

static const char *const ports_modes[][2] = { { "Disconnected", "null" },
                                              { "HostPipe", "pipe" },
                                              { "HostDevice", "device" },
                                              { "RawFile", "file" },
                                              { "TCP", "tcp" } };

static int ports_port(struct vbox *x, const struct xml_node *n, enum desc_port_kind kind,
                      unsigned index)
{
    const char *mode = xml_attr(n, "hostMode"), *path = xml_attr(n, "path"), *to = "null";
    struct desc_port *p;
    char name[32];

    if (!vbox_true(xml_attr(n, "enabled")))
        return 0;
    if (kind == DESC_PARALLEL)
        to = path && *path ? "device" : "null";
    for (size_t i = 0; mode && i < LEN(ports_modes); i++)
        if (!strcasecmp(ports_modes[i][0], mode))
            to = ports_modes[i][1];
    snprintf(name, sizeof(name), "%s%u", kind == DESC_SERIAL ? "serial" : "parallel", index);
    p = desc_add_port(x->d, name, kind, to);
    if (!p)
        return -ENOMEM;
    if (path && *path && !(p->target = arena_text(&x->d->arena, path, strlen(path))))
        return -ENOMEM;
    xml_take(n, "enabled");
    xml_take(n, "hostMode");
    xml_take(n, "path");
    return 0;
}

static int ports_all(struct vbox *x, const char *element, enum desc_port_kind kind)
{
    const struct xml_node *n = xml_child(xml_child(x->hardware, element), "Port");
    unsigned found = 0;
    int r = 0;

    for (; n && !r; n = xml_next(n, "Port")) {
        bool on = vbox_true(xml_attr(n, "enabled"));

        r = ports_port(x, n, kind, found);
        found += on;
    }
    return r;
}

static int ports_sound(struct vbox *x)
{
    const struct xml_node *n = xml_child(x->hardware, "AudioAdapter");
    const char *enabled = xml_attr(n, "enabled"), *chip = xml_attr(n, "controller");

    if (!n || (enabled && !vbox_true(enabled)))
        return 0;
    chip = chip ? chip : "AC97";
    xml_take(n, "enabled");
    xml_take(n, "controller");
    x->d->sound = arena_text(&x->d->arena, chip, strlen(chip));
    return x->d->sound ? 0 : -ENOMEM;
}

int vbox_devices(struct vbox *x)
{
    const struct xml_node *n = xml_child(xml_child(x->hardware, "Network"), "Adapter");
    int r = 0;

    for (; n && !r; n = xml_next(n, "Adapter"))
        r = ports_nic(x, n);
    r = r ? r : ports_all(x, xml_child(x->hardware, "UART") ? "UART" : "Uart", DESC_SERIAL);
    r = r ? r : ports_all(x, "LPT", DESC_PARALLEL);
    return r ? r : ports_sound(x);
}

/* ---- snapshots: a tree of whole machines ---- */

static int snapshots_one(struct vbox *x, const struct xml_node *n, const char *parent)
{
    const char *id = xml_attr(n, "uuid"), *name = xml_attr(n, "name");
    const char *time = xml_attr(n, "timeStamp"), *about = xml_text(n, "Description");
    const char *current = xml_attr(x->machine, "currentSnapshot");
    struct desc_snapshot *s;

    if (!id)
        return err_set(x->e, -EBADMSG, "%s: a snapshot without a uuid", x->file);
    s = desc_add_snapshot(x->d, id, name ? name : "");
    if (!s)
        return -ENOMEM;
    s->parent = parent ? arena_text(&x->d->arena, parent, strlen(parent)) : NULL;
    s->time = time ? arena_text(&x->d->arena, time, strlen(time)) : NULL;
    s->about = *about ? arena_text(&x->d->arena, about, strlen(about)) : NULL;
    s->current = current && !strcasecmp(current, id);
    return 0;
}

int vbox_snapshots(struct vbox *x)
{
    const struct xml_node *top = xml_child(x->machine, "Snapshot"), *n = top;
    int r = 0;

    while (n && !r) { /* down into <Snapshots>, then on to the next, then up */
        const struct xml_node *up = n->parent ? n->parent->parent : NULL;
        const struct xml_node *below = xml_child(xml_child(n, "Snapshots"), "Snapshot");

        r = snapshots_one(x, n, n == top ? NULL : xml_attr(up, "uuid"));
        while (!below && n != top && !xml_next(n, "Snapshot"))
            n = n->parent->parent;
        n = below ? below : n == top ? NULL : xml_next(n, "Snapshot");
    }
    if (top)
        note(x->n, NOTE_KEPT, "snapshots", "the machine is taken as it is now, behind all of them");
    return r;
}
