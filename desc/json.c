/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The description and its notes as one JSON object; keys as the members are named. */
#include "desc/desc.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that is not UTF-8 after all keeps its ASCII part. */
static json_t *json_of(const char *s)
{
    json_t *j = s ? json_string(s) : json_null();
    char *copy;

    if (j)
        return j;
    copy = strdup(s);
    if (!copy)
        return NULL;
    for (char *p = copy; *p; p++)
        if (*p & 0x80)
            *p = '?';
    j = json_string(copy);
    free(copy);
    return j;
}

static const char *json_firmware(enum desc_firmware f)
{
    return f == DESC_EFI ? "efi" : "bios";
}
static const char *json_media(enum desc_media m)
{
    return m == DESC_CDROM ? "cdrom" : m == DESC_FLOPPY ? "floppy" : "disk";
}
static const char *json_mode(enum desc_mode m)
{
    return m == DESC_READ ? "read" : m == DESC_THROWAWAY ? "throwaway" : "write";
}
static const char *json_kind(enum note_kind k)
{
    return k == NOTE_KEPT ? "kept" : k == NOTE_CHANGED ? "changed" : "lost";
}

static json_t *json_devices(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_device *v = d->devices; v; v = v->next) {
        json_t *set = json_object();

        for (const struct desc_setting *s = v->settings; s; s = s->next)
            json_object_set_new(set, s->name, json_of(s->text));
        json_array_append_new(list,
                              json_pack("{so so so so sb so}", "name", json_of(v->name), "class",
                                        json_of(v->class), "foreign", json_of(v->foreign), "at",
                                        json_of(v->at), "known", v->known, "settings", set));
    }
    return list;
}

static json_t *json_pieces(const struct desc_disk *k)
{
    json_t *list = json_array();

    for (const struct desc_piece *p = k->pieces; p; p = p->next)
        json_array_append_new(list,
                              json_pack("{so sI sI}", "path", json_of(p->path), "offset",
                                        (json_int_t)p->offset, "length", (json_int_t)p->length));
    return list;
}

static json_t *json_files(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_file *f = d->files; f; f = f->next)
        json_array_append_new(list, json_pack("{so so sI sI}", "name", json_of(f->name), "path",
                                              json_of(f->path), "offset", (json_int_t)f->offset,
                                              "length", (json_int_t)f->length));
    return list;
}

static json_t *json_disk(const struct desc_disk *k)
{
    return json_pack("{so ss so sI ss so sI sI so so so sI sI so so so so so}", "name",
                     json_of(k->name), "media", json_media(k->media), "controller",
                     json_of(k->controller), "unit", (json_int_t)k->unit, "mode",
                     json_mode(k->mode), "source", json_of(k->source), "offset",
                     (json_int_t)k->offset, "length", (json_int_t)k->length, "container",
                     json_of(k->container), "path", json_of(k->path), "format", json_of(k->format),
                     "capacity", (json_int_t)k->capacity, "boot", (json_int_t)k->boot, "serial",
                     json_of(k->serial), "parent", json_of(k->parent), "pieces", json_pieces(k),
                     "part", json_of(k->part), "base", k->base ? json_disk(k->base) : json_null());
}

static json_t *json_disks(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_disk *k = d->disks; k; k = k->next)
        json_array_append_new(list, json_disk(k));
    return list;
}

static json_t *json_nics(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_nic *c = d->nics; c; c = c->next) {
        char mac[18];

        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2],
                 c->mac[3], c->mac[4], c->mac[5]);
        json_array_append_new(list, json_pack("{so so so sb so so so sb sI}", "name",
                                              json_of(c->name), "class", json_of(c->class),
                                              "foreign", json_of(c->foreign), "known", c->known,
                                              "at", json_of(c->at), "network", json_of(c->network),
                                              "mac", json_of(c->has_mac ? mac : NULL), "connected",
                                              c->connected, "boot", (json_int_t)c->boot));
    }
    return list;
}

static json_t *json_ports(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_port *p = d->ports; p; p = p->next)
        json_array_append_new(list, json_pack("{so ss so so}", "name", json_of(p->name), "kind",
                                              p->kind == DESC_PARALLEL ? "parallel" : "serial",
                                              "to", json_of(p->to), "target", json_of(p->target)));
    return list;
}

static json_t *json_properties(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_property *p = d->properties; p; p = p->next)
        json_array_append_new(
            list,
            json_pack("{so so so so so so so sb sb}", "class", json_of(p->class), "instance",
                      json_of(p->instance), "key", json_of(p->key), "type", json_of(p->type),
                      "value", json_of(p->password ? NULL : p->value), "label", json_of(p->label),
                      "about", json_of(p->about), "user", p->user, "password", p->password));
    return list;
}

static json_t *json_snapshots(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_snapshot *s = d->snapshots; s; s = s->next)
        json_array_append_new(list, json_pack("{so so so so so sb}", "id", json_of(s->id), "parent",
                                              json_of(s->parent), "name", json_of(s->name), "about",
                                              json_of(s->about), "time", json_of(s->time),
                                              "current", s->current));
    return list;
}

static json_t *json_extras(const struct desc *d)
{
    json_t *list = json_array();

    for (const struct desc_extra *x = d->extras; x; x = x->next)
        json_array_append_new(list, json_pack("{so so so}", "format", json_of(x->format), "key",
                                              json_of(x->key), "value", json_of(x->value)));
    return list;
}

static json_t *json_notes(const struct notes *n)
{
    json_t *list = json_array();

    for (const struct note *t = n->first; t; t = t->next)
        json_array_append_new(list, json_pack("{ss so so}", "kind", json_kind(t->kind), "where",
                                              json_of(t->where), "text", json_of(t->text)));
    return list;
}

static json_t *json_uuid(const struct desc *d)
{
    char text[37], *p = text;

    if (!d->has_uuid)
        return json_null();
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += sprintf(p, "%02x", d->uuid[i]);
    }
    return json_string(text);
}

static json_t *json_vm(const struct desc *d)
{
    json_t *j = json_pack(
        "{so so so so so so sI sI sI sI ss sb sb sb so so so so sI so}", "name", json_of(d->name),
        "uuid", json_uuid(d), "persona", json_of(d->persona), "product", json_of(d->product),
        "guest_os", json_of(d->guest_os), "annotation", json_of(d->annotation), "hardware_version",
        (json_int_t)d->hardware_version, "cpus", (json_int_t)d->cpus, "cores_per_socket",
        (json_int_t)d->cores_per_socket, "memory", (json_int_t)d->memory, "firmware",
        json_firmware(d->firmware), "secure_boot", d->secure_boot, "tpm", d->tpm, "tpm_fifo",
        d->tpm_fifo, "nvram", json_of(d->nvram), "machine", json_of(d->machine), "clock",
        json_of(d->clock), "display", json_of(d->display), "video_memory",
        (json_int_t)d->video_memory, "sound", json_of(d->sound));

    if (!j)
        return NULL;
    json_object_set_new(j, "kernel", json_of(d->kernel));
    json_object_set_new(j, "initrd", json_of(d->initrd));
    json_object_set_new(j, "append", json_of(d->append));
    json_object_set_new(j, "devices", json_devices(d));
    json_object_set_new(j, "disks", json_disks(d));
    json_object_set_new(j, "nics", json_nics(d));
    json_object_set_new(j, "ports", json_ports(d));
    json_object_set_new(j, "properties", json_properties(d));
    json_object_set_new(j, "snapshots", json_snapshots(d));
    json_object_set_new(j, "files", json_files(d));
    json_object_set_new(j, "extras", json_extras(d));
    return j;
}

int desc_json(const struct desc *d, const struct notes *n, struct buf *to)
{
    json_t *j = json_vm(d);
    char *text;
    int r;

    if (!j)
        return -ENOMEM;
    if (d->next) {
        json_t *list = json_array();

        for (const struct desc *vm = d->next; vm; vm = vm->next)
            json_array_append_new(list, json_vm(vm));
        json_object_set_new(j, "further", list);
    }
    if (n)
        json_object_set_new(j, "notes", json_notes(n));
    text = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!text)
        return -ENOMEM;
    r = buf_add(to, text, strlen(text));
    free(text);
    return r;
}
