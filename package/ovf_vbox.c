/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VirtualBox puts its own description (a .vbox file's Machine) into a virtual system and believes
 * it before the rest when it reads the file.  What the Items do not say is taken from it; when it
 * is written back, what the description says goes into it.
 */
#include "package/ovf_int.h"
#include "package/place.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct xml_node *vbox_part(const struct xml_node *machine, const char *name)
{
    return xml_child(xml_child(machine, "Hardware"), name);
}

/* Cards that are switched on are the Items, in order; the file has places for eight. */
static struct xml_node *vbox_adapter(const struct xml_node *machine, u32 n)
{
    struct xml_node *c = (struct xml_node *)xml_child(vbox_part(machine, "Network"), "Adapter");

    for (; c; c = (struct xml_node *)xml_next(c, "Adapter"))
        if (ovf_is_true(xml_attr(c, "enabled")) && !n--)
            return c;
    return NULL;
}

void ovf_vbox_macs(struct ovf *o)
{
    const struct xml_node *machine = o->vbox;
    u32 n = 0;

    for (struct desc_nic *c = o->d->nics; machine && c; c = c->next, n++) {
        const struct xml_node *adapter = vbox_adapter(machine, n);
        const char *mac = xml_attr(adapter, "MACAddress");

        if (mac && !c->has_mac)
            place_mac(c, mac);
    }
}

int ovf_vbox_read(struct ovf *o, const struct xml_node *machine)
{
    const char *firmware = xml_attr(vbox_part(machine, "Firmware"), "type");
    const char *vram = xml_attr(vbox_part(machine, "Display"), "VRAMSize");
    const char *chipset = xml_attr(vbox_part(machine, "Chipset"), "type");
    const char *clock = xml_attr(vbox_part(machine, "RTC"), "localOrUTC");
    const char *about = xml_text(machine, "Description"), *uuid = xml_attr(machine, "uuid");

    o->vbox = machine;
    if (firmware && !strncasecmp(firmware, "EFI", 3))
        o->d->firmware = DESC_EFI;
    if (uuid)
        ovf_uuid(o->d, uuid);
    if (vram)
        o->d->video_memory = strtoull(vram, NULL, 10) % (1ull << 30) << 20;
    if (chipset)
        o->d->machine = !strcasecmp(chipset, "ICH9") ? "q35" : "i440fx";
    if (clock)
        o->d->clock = !strcasecmp(clock, "UTC") ? "utc" : "localtime";
    if (*about && !o->d->annotation)
        o->d->annotation = ovf_copy_text(o, about);
    return o->failed ? -ENOMEM : 0;
}

static int vbox_set(struct arena *a, const struct xml_node *n, const char *name, const char *value)
{
    return n && xml_attr(n, name) ? ovf_set(a, (struct xml_node *)n, "", name, value) : 0;
}

int ovf_vbox_patch(struct arena *a, const struct desc *d, struct xml_node *machine)
{
    const char *firmware = xml_attr(vbox_part(machine, "Firmware"), "type");
    char text[64];
    u32 n = 0;
    int r;

    r = vbox_set(a, machine, "name", d->name);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)d->memory >> 20);
    r = r ? r : vbox_set(a, vbox_part(machine, "Memory"), "RAMSize", text);
    snprintf(text, sizeof(text), "%u", d->cpus);
    r = r ? r : vbox_set(a, vbox_part(machine, "CPU"), "count", text);
    if (firmware && !strncasecmp(firmware, "EFI", 3) != (d->firmware == DESC_EFI))
        r = r ? r
              : vbox_set(a, vbox_part(machine, "Firmware"), "type",
                         d->firmware == DESC_EFI ? "EFI" : "BIOS");
    for (const struct desc_nic *c = d->nics; !r && c; c = c->next, n++) {
        struct xml_node *adapter = vbox_adapter(machine, n);

        snprintf(text, sizeof(text), "%02X%02X%02X%02X%02X%02X", c->mac[0], c->mac[1], c->mac[2],
                 c->mac[3], c->mac[4], c->mac[5]);
        if (c->has_mac)
            r = vbox_set(a, adapter, "MACAddress", text);
    }
    return r;
}
