/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A description from the JSON that desc_json writes.  Keys that are missing keep their
 * defaults, those that are unknown are passed over; a value of another kind is refused.
 */
#include "desc/desc.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { READ_BASES = 64 };

/* One object being read; the first fault is kept. */
struct reader {
    struct desc *d;
    const json_t *o;
    struct err *e;
    int bad;
};

static int read_fault(struct reader *r, const char *key, const char *want)
{
    if (!r->bad)
        r->bad = err_set(r->e, -EBADMSG, "\"%s\" is not %s", key, want);
    return r->bad;
}

static void read_text(struct reader *r, const char *key, const char **to)
{
    const json_t *v = json_object_get(r->o, key);

    if (!v || json_is_null(v))
        return;
    if (!json_is_string(v)) {
        read_fault(r, key, "a text");
        return;
    }
    *to = arena_text(&r->d->arena, json_string_value(v), json_string_length(v));
    if (!*to)
        r->bad = r->bad ? r->bad : err_set(r->e, -ENOMEM, "out of memory");
}

static u64 read_number(struct reader *r, const char *key, u64 unless, u64 most)
{
    const json_t *v = json_object_get(r->o, key);

    if (!v || json_is_null(v))
        return unless;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (u64)json_integer_value(v) > most) {
        read_fault(r, key, "a number that fits");
        return unless;
    }
    return (u64)json_integer_value(v);
}

static bool read_flag(struct reader *r, const char *key)
{
    const json_t *v = json_object_get(r->o, key);

    if (v && !json_is_boolean(v))
        read_fault(r, key, "true or false");
    return json_is_true(v);
}

/* Which of these words, ended by NULL; missing: the first. */
static u32 read_word(struct reader *r, const char *key, const char *const *words)
{
    const char *s = json_string_value(json_object_get(r->o, key));

    for (u32 i = 0; s && words[i]; i++)
        if (!strcmp(s, words[i]))
            return i;
    if (json_object_get(r->o, key))
        read_fault(r, key, "a word that is known");
    return 0;
}

static int read_hex(const char *s, u8 *to, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        unsigned v;

        while (*s == '-' || *s == ':')
            s++;
        if (sscanf(s, "%2x", &v) != 1 || !s[1])
            return -EINVAL;
        to[i] = (u8)v;
        s += 2;
    }
    return *s ? -EINVAL : 0;
}

static bool read_bytes(struct reader *r, const char *key, u8 *to, u32 n)
{
    const json_t *v = json_object_get(r->o, key);

    if (!v || json_is_null(v))
        return false;
    if (!json_is_string(v) || read_hex(json_string_value(v), to, n))
        read_fault(r, key, "as many hexadecimal bytes as it should be");
    return true;
}

/* ---- lists ---- */

static const char *read_name(struct reader *r, const char *key)
{
    const char *s = json_string_value(json_object_get(r->o, key));

    if (!s)
        read_fault(r, key, "a text");
    return s ? s : "";
}

static void read_device(struct reader *r)
{
    struct desc_device *v = desc_add_device(r->d, read_name(r, "name"), read_name(r, "class"));
    const char *key;
    json_t *set;

    if (!v) {
        r->bad = err_set(r->e, -ENOMEM, "out of memory");
        return;
    }
    read_text(r, "foreign", &v->foreign);
    read_text(r, "at", &v->at);
    v->known = read_flag(r, "known");
    json_object_foreach(json_object_get(r->o, "settings"), key, set) if (json_is_string(set))
        desc_add_setting(r->d, v, key, json_string_value(set));
}

static void read_pieces(struct reader *r, struct desc_disk *k)
{
    struct desc_piece **last = &k->pieces;
    const json_t *list = json_object_get(r->o, "pieces"), *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        struct reader one = { r->d, o, r->e, r->bad };
        struct desc_piece *p = arena_new(&r->d->arena, sizeof(*p));

        if (!p)
            break;
        read_text(&one, "path", &p->path);
        p->offset = read_number(&one, "offset", 0, INT64_MAX);
        p->length = read_number(&one, "length", 0, INT64_MAX);
        if (!p->path)
            read_fault(&one, "path", "a text");
        r->bad = one.bad;
        *last = p;
        last = &p->next;
    }
}

static void read_disk_into(struct reader *r, struct desc_disk *k, u32 depth)
{
    static const char *const modes[] = { "write", "read", "throwaway", NULL };
    const json_t *base = json_object_get(r->o, "base");

    read_text(r, "controller", &k->controller);
    k->unit = (u32)read_number(r, "unit", 0, UINT32_MAX);
    k->mode = (enum desc_mode)read_word(r, "mode", modes);
    read_text(r, "source", &k->source);
    k->offset = read_number(r, "offset", 0, INT64_MAX);
    k->length = read_number(r, "length", 0, INT64_MAX);
    read_text(r, "container", &k->container);
    read_text(r, "path", &k->path);
    read_text(r, "format", &k->format);
    k->capacity = read_number(r, "capacity", 0, INT64_MAX);
    k->boot = (u32)read_number(r, "boot", 0, UINT32_MAX);
    read_text(r, "serial", &k->serial);
    read_text(r, "parent", &k->parent);
    read_text(r, "part", &k->part);
    read_pieces(r, k);
    if (json_is_object(base) && depth < READ_BASES) {
        struct reader one = { r->d, base, r->e, r->bad };
        struct desc_disk *b = arena_new(&r->d->arena, sizeof(*b));

        if (b) {
            b->name = k->name;
            read_disk_into(&one, b, depth + 1);
            r->bad = one.bad;
            k->base = b;
        }
    } else if (base && !json_is_null(base)) {
        read_fault(r, "base", "a disk, or has too many");
    }
}

static void read_disk(struct reader *r)
{
    static const char *const media[] = { "disk", "cdrom", "floppy", NULL };
    struct desc_disk *k =
        desc_add_disk(r->d, read_name(r, "name"), (enum desc_media)read_word(r, "media", media));

    if (k)
        read_disk_into(r, k, 0);
    else
        r->bad = err_set(r->e, -ENOMEM, "out of memory");
}

static void read_nic(struct reader *r)
{
    struct desc_nic *n = desc_add_nic(r->d, read_name(r, "name"), read_name(r, "class"));

    if (!n) {
        r->bad = err_set(r->e, -ENOMEM, "out of memory");
        return;
    }
    read_text(r, "foreign", &n->foreign);
    n->known = read_flag(r, "known");
    read_text(r, "at", &n->at);
    read_text(r, "network", &n->network);
    n->has_mac = read_bytes(r, "mac", n->mac, sizeof(n->mac));
    n->connected = read_flag(r, "connected");
    n->boot = (u32)read_number(r, "boot", 0, UINT32_MAX);
}

static void read_port(struct reader *r)
{
    static const char *const kinds[] = { "serial", "parallel", NULL };
    struct desc_port *p =
        desc_add_port(r->d, read_name(r, "name"), (enum desc_port_kind)read_word(r, "kind", kinds),
                      read_name(r, "to"));

    if (p)
        read_text(r, "target", &p->target);
    else
        r->bad = err_set(r->e, -ENOMEM, "out of memory");
}

static void read_extra(struct reader *r)
{
    desc_add_extra(r->d, read_name(r, "format"), read_name(r, "key"), read_name(r, "value"));
}

static int read_list(struct reader *r, const char *key, void (*one)(struct reader *r))
{
    const json_t *list = json_object_get(r->o, key), *o;
    size_t i;

    if (list && !json_is_array(list))
        return read_fault(r, key, "a list");
    json_array_foreach(list, i, o)
    {
        struct reader in = { r->d, o, r->e, r->bad };

        if (!json_is_object(o))
            return read_fault(r, key, "a list of objects");
        one(&in);
        if (in.bad) {
            r->bad = in.bad;
            err_in(r->e, "%s[%zu]: ", key, i);
            return r->bad;
        }
    }
    return 0;
}

static void read_vm(struct reader *r)
{
    static const char *const firmware[] = { "bios", "efi", NULL };
    struct desc *d = r->d;

    read_text(r, "name", &d->name);
    d->has_uuid = read_bytes(r, "uuid", d->uuid, sizeof(d->uuid));
    read_text(r, "persona", &d->persona);
    read_text(r, "product", &d->product);
    read_text(r, "guest_os", &d->guest_os);
    read_text(r, "annotation", &d->annotation);
    d->hardware_version = (u32)read_number(r, "hardware_version", 0, UINT32_MAX);
    d->cpus = (u32)read_number(r, "cpus", d->cpus, UINT32_MAX);
    d->cores_per_socket = (u32)read_number(r, "cores_per_socket", 1, UINT32_MAX);
    d->memory = read_number(r, "memory", d->memory, INT64_MAX);
    d->firmware = (enum desc_firmware)read_word(r, "firmware", firmware);
    d->secure_boot = read_flag(r, "secure_boot");
    d->tpm = read_flag(r, "tpm");
    d->tpm_fifo = read_flag(r, "tpm_fifo");
    read_text(r, "nvram", &d->nvram);
    read_text(r, "machine", &d->machine);
    read_text(r, "clock", &d->clock);
    read_text(r, "display", &d->display);
    d->video_memory = read_number(r, "video_memory", 0, INT64_MAX);
    read_text(r, "sound", &d->sound);
    read_text(r, "kernel", &d->kernel);
    read_text(r, "initrd", &d->initrd);
    read_text(r, "append", &d->append);
}

int desc_read_json(struct desc *d, struct span text, struct err *e)
{
    json_error_t why;
    json_t *o = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, &why);
    struct reader r = { d, o, e, 0 };

    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(e, -EBADMSG, "no description of a VM: %s", o ? "not an object" : why.text);
    }
    read_vm(&r);
    r.bad = r.bad ? r.bad : read_list(&r, "devices", read_device);
    r.bad = r.bad ? r.bad : read_list(&r, "disks", read_disk);
    r.bad = r.bad ? r.bad : read_list(&r, "nics", read_nic);
    r.bad = r.bad ? r.bad : read_list(&r, "ports", read_port);
    r.bad = r.bad ? r.bad : read_list(&r, "extras", read_extra);
    json_decref(o);
    return r.bad;
}
