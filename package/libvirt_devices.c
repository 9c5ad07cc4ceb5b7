/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network cards, ports, screen and sound of a libvirt domain; what else there is is noted. */
#include "package/libvirt_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void devices_boot(const struct xml_node *n, u32 *boot)
{
    const struct xml_node *b = xml_child(n, "boot");
    const char *order = xml_attr(b, "order");

    if (!order)
        return;
    *boot = (u32)strtoul(order, NULL, 10);
    if (*boot && *boot < 1000)
        xml_take(b, "order");
    else
        *boot = 0;
}

static int devices_nic(struct libvirt *x, const struct xml_node *n)
{
    static const char *const names[] = { "network", "bridge", "dev", "name", "path", "address" };
    const struct xml_node *model = xml_child(n, "model"), *mac = xml_child(n, "mac");
    const struct xml_node *source = xml_child(n, "source"), *link = xml_child(n, "link");
    const char *type = xml_attr(model, "type"), *name = NULL;
    const char *usual = x->qemu ? "rtl8139" : !strcmp(x->d->persona, "xen") ? "netfront" : "E1000";
    struct desc_nic *c = place_nic(x->d, x->n, type ? type : usual);

    if (!c)
        return -ENOMEM;
    xml_taken(n);
    if (!type)
        c->foreign = NULL;
    xml_take(model, "type");
    if (xml_attr(mac, "address") && place_mac(c, xml_attr(mac, "address")))
        xml_take(mac, "address");
    for (size_t i = 0; i < LEN(names) && !name; i++)
        name = xml_attr(source, names[i]);
    name = name ? name : xml_attr(n, "type");
    if (name && !(c->network = arena_text(&x->d->arena, name, strlen(name))))
        return -ENOMEM;
    if (xml_attr(link, "state"))
        c->connected = strcmp(xml_take(link, "state"), "down") != 0;
    devices_boot(n, &c->boot);
    return 0;
}

/* ---- ports ---- */

static int devices_target(struct libvirt *x, struct desc_port *p, const struct xml_node *n)
{
    const struct xml_node *source = xml_child(n, "source");
    const char *path = xml_attr(source, "path"), *host = xml_attr(source, "host");
    const char *service = xml_attr(source, "service");

    if (path && *path) {
        p->target = arena_text(&x->d->arena, path, strlen(path));
        xml_take(source, "path");
        return p->target ? 0 : -ENOMEM;
    }
    if (!service || xml_next(source, "source"))
        return 0;
    p->target = arena_print(&x->d->arena, "%s:%s", host ? host : "", service);
    xml_take(source, "host");
    xml_take(source, "service");
    return p->target ? 0 : -ENOMEM;
}

static int devices_ports(struct libvirt *x, const char *element, enum desc_port_kind kind)
{
    const struct xml_node *n = xml_child(x->devices, element);
    unsigned found = 0;
    int r = 0;

    for (; n && !r; n = xml_next(n, element), found++) {
        const char *type = xml_attr(n, "type");
        struct desc_port *p;
        char name[32];

        snprintf(name, sizeof(name), "%s%u", element, found);
        p = desc_add_port(x->d, name, kind, type ? type : "pty");
        if (!p)
            return -ENOMEM;
        xml_taken(n);
        xml_take(n, "type");
        r = devices_target(x, p, n);
    }
    return r;
}

/* ---- one of a kind ---- */

static int devices_screen(struct libvirt *x)
{
    const struct xml_node *model = xml_child(xml_child(x->devices, "video"), "model");
    const char *type = xml_attr(model, "type"), *vram = xml_attr(model, "vram");
    u64 kib = vram ? strtoull(vram, NULL, 10) : 0;

    if (type) {
        x->d->display = arena_text(&x->d->arena, type, strlen(type));
        xml_take(model, "type");
    }
    if (kib && kib < 1u << 30) {
        x->d->video_memory = kib << 10;
        xml_take(model, "vram");
    }
    return type && !x->d->display ? -ENOMEM : 0;
}

static int devices_sound(struct libvirt *x)
{
    const struct xml_node *n = xml_child(x->devices, "sound");
    const char *model = xml_attr(n, "model");

    if (!model)
        return 0;
    x->d->sound = arena_text(&x->d->arena, model, strlen(model));
    xml_take(n, "model");
    return x->d->sound ? 0 : -ENOMEM;
}

/* What a guest would miss: said by name; it is kept for writing back. */
static void devices_others(struct libvirt *x)
{
    static const char *const others[][2] = {
        { "hostdev", "a device of the host" },    { "filesystem", "a directory of the host" },
        { "redirdev", "a redirected device" },    { "smartcard", "a smart card" },
        { "shmem", "memory shared with others" }, { "memory", "memory that is plugged in" }
    };

    for (size_t i = 0; i < LEN(others); i++)
        if (xml_child(x->devices, others[i][0]))
            note(x->n, NOTE_KEPT, others[i][0], "%s: kept for writing back, not given to a guest",
                 others[i][1]);
    if (xml_child(x->domain, "commandline"))
        note(x->n, NOTE_KEPT, "commandline", "options for QEMU itself are kept for writing back");
}

static void devices_tpm(struct libvirt *x)
{
    const struct xml_node *n = xml_child(x->devices, "tpm");
    const char *model = xml_attr(n, "model");

    x->d->tpm = n != NULL;
    x->d->tpm_fifo = n && (!model || !strcmp(model, "tpm-tis")); /* libvirt's default */
}

int libvirt_devices(struct libvirt *x)
{
    const struct xml_node *n = xml_child(x->devices, "interface");
    int r = 0;

    for (; n && !r; n = xml_next(n, "interface"))
        r = devices_nic(x, n);
    r = r ? r : devices_ports(x, "serial", DESC_SERIAL);
    r = r ? r : devices_ports(x, "parallel", DESC_PARALLEL);
    r = r ? r : devices_screen(x);
    r = r ? r : devices_sound(x);
    devices_tpm(x);
    devices_others(x);
    return r;
}
