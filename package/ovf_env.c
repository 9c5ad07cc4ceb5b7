/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The environment document of an OVF's guest (DSP0243 1.1, 9; DSP8027), read and written, and
 * the CD image that carries it.  Microsoft's provisioning sections of the same file name are kept
 * as they are.  As a format of packages it shows and prints what a guest is told.
 */
#include "package/ovf_env.h"
#include "package/iso.h"
#include "package/ovf_int.h"
#include "package/place.h"
#include "package/sink.h"
#include "package/xml_tree.h"
#include "package/xml_write.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ENV_FILE "ovf-env.xml"

u32 ovf_env_ways(const struct desc *d)
{
    const char *transport = desc_extra(d, "ovf", OVF_KEY_TRANSPORT);
    u32 ways = 0;

    if (!transport || !d->properties)
        return 0;
    if (ovf_listed(transport, "iso"))
        ways |= OVF_ENV_ISO;
    if (ovf_listed(transport, "com.vmware.guestInfo"))
        ways |= OVF_ENV_GUESTINFO;
    return ways;
}

/* ---- writing ---- */

/* "class.key.instance" */
static const char *env_key(const struct desc_property *p, char *to, size_t n)
{
    snprintf(to, n, "%s%s%s%s%s", p->class ? p->class : "", p->class ? "." : "", p->key,
             p->instance ? "." : "", p->instance ? p->instance : "");
    return to;
}

static void env_properties(struct xml_write *w, const struct desc *d)
{
    char key[1024];

    if (!d->properties)
        return;
    xml_open(w, "PropertySection");
    for (const struct desc_property *p = d->properties; p; p = p->next) {
        xml_open(w, "Property");
        xml_attribute(w, "oe:key", env_key(p, key, sizeof(key)));
        xml_attribute(w, "oe:value", p->value);
        xml_close(w);
    }
    xml_close(w);
}

static void env_adapters(struct xml_write *w, const struct desc *d)
{
    u32 unit = 7;

    if (!d->nics)
        return;
    xml_open(w, "ve:EthernetAdapterSection");
    for (const struct desc_nic *c = d->nics; c; c = c->next) {
        xml_open(w, "ve:Adapter");
        if (c->has_mac)
            xml_attribute_f(w, "ve:mac", "%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1],
                            c->mac[2], c->mac[3], c->mac[4], c->mac[5]);
        xml_attribute(w, "ve:network", c->network ? c->network : "");
        xml_attribute_f(w, "ve:unitNumber", "%u", unit++);
        xml_close(w);
    }
    xml_close(w);
}

static void env_platform(struct xml_write *w)
{
    xml_open(w, "PlatformSection");
    xml_leaf(w, "Kind", "Mimic");
    xml_leaf(w, "Version", "1");
    xml_leaf(w, "Vendor", "Mimic");
    xml_leaf(w, "Locale", "en");
    xml_close(w);
}

static const char *env_id(const struct desc *d)
{
    const char *id = desc_extra(d, "ovf", OVF_KEY_ID);

    return id ? id : d->name;
}

int ovf_env_text(const struct desc *d, const struct desc *first, struct buf *to)
{
    struct xml_write w;
    bool platform = true;

    xml_begin(&w, to);
    xml_open(&w, "Environment");
    xml_attribute(&w, "xmlns", ENV_SPACE);
    xml_attribute(&w, "xmlns:oe", ENV_SPACE);
    xml_attribute(&w, "xmlns:ve", ENV_VMW_SPACE);
    xml_attribute(&w, "oe:id", env_id(d));
    for (const struct desc_extra *x = d->extras; x; x = x->next)
        if (!strcmp(x->format, "ovfenv")) {
            platform &= strcmp(x->key, "PlatformSection") != 0;
            xml_fragment(&w, x->value);
        }
    if (platform)
        env_platform(&w);
    env_properties(&w, d);
    env_adapters(&w, d);
    for (const struct desc *o = first; o; o = o->next) {
        if (o == d)
            continue;
        xml_open(&w, "Entity");
        xml_attribute(&w, "oe:id", env_id(o));
        env_properties(&w, o);
        xml_close(&w);
    }
    return xml_end_all(&w);
}

int ovf_env_iso(const struct desc *d, const struct desc *first, struct buf *to)
{
    struct iso_file file = { .name = ENV_FILE };
    struct buf text = { 0 };
    int r = ovf_env_text(d, first, &text);

    file.data = text.p;
    file.len = text.len;
    r = r ? r : iso_make("OVF ENV", &file, 1, to);
    buf_fini(&text);
    return r;
}

static int env_store(const char *path, const struct buf *b, struct err *e)
{
    char part[4096];
    FILE *f;
    int r = 0;

    snprintf(part, sizeof(part), "%.4000s.part%d", path, (int)getpid());
    f = fopen(part, "we");
    if (!f)
        return err_set(e, -errno, "%s: %s", part, strerror(errno));
    if (fwrite(b->p, 1, b->len, f) != b->len || fflush(f) || fsync(fileno(f)))
        r = -errno;
    if (fclose(f) && !r)
        r = -errno;
    if (!r && rename(part, path))
        r = -errno;
    if (r)
        unlink(part);
    return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

int ovf_env_attach(struct desc *d, const struct desc *first, const char *path, struct err *e)
{
    struct buf b = { 0 };
    struct desc_disk *k;
    int r = ovf_env_iso(d, first, &b);

    r = r ? err_set(e, r, "the OVF environment: %s", strerror(-r)) : env_store(path, &b, e);
    buf_fini(&b);
    if (r)
        return r;
    for (k = d->disks; k && (k->media != DESC_CDROM || k->source || k->path); k = k->next)
        ;
    k = k ? k : place_disk(d, NULL, DESC_CDROM, NULL, -1);
    if (!k)
        return err_set(e, -ENOMEM, "no memory");
    k->path = k->source = desc_text(d, "%s", path);
    k->format = "raw";
    k->mode = DESC_READ;
    return k->path ? 0 : err_set(e, -ENOMEM, "no memory");
}

/* ---- what the user says ---- */

static bool env_number(const char *v, bool sign, unsigned bits)
{
    char *end;

    errno = 0;
    if (sign) {
        long long n = strtoll(v, &end, 10);

        return *v && !*end && !errno &&
               (bits == 64 || (n >= -(1ll << (bits - 1)) && n < 1ll << (bits - 1)));
    }
    return isdigit((u8)*v) && (strtoull(v, &end, 10) >> (bits - 1) >> 1) == 0 && !*end && !errno;
}

/* DSP0243 1.1, 9.5.1: the types of properties */
static bool env_takes(const char *type, const char *v)
{
    unsigned bits;

    if (!strcasecmp(type, "boolean"))
        return !strcasecmp(v, "true") || !strcasecmp(v, "false");
    if (sscanf(type, "uint%2u", &bits) == 1 && bits && bits <= 64)
        return env_number(v, false, bits);
    if (sscanf(type, "sint%2u", &bits) == 1 && bits && bits <= 64)
        return env_number(v, true, bits);
    if (!strncasecmp(type, "real", 4)) {
        char *end;

        strtod(v, &end);
        return *v && !*end;
    }
    return true;
}

int ovf_env_set(struct desc *d, const char *assignment, struct err *e)
{
    const char *is = strchr(assignment, '=');
    size_t n = is ? (size_t)(is - assignment) : 0;
    struct desc_property *p;
    char key[1024];

    if (!n)
        return err_set(e, -EINVAL, "\"%.100s\" is not \"property=value\"", assignment);
    for (p = d->properties; p; p = p->next) {
        env_key(p, key, sizeof(key));
        if ((strlen(key) == n && !strncmp(key, assignment, n)) ||
            (strlen(p->key) == n && !strncmp(p->key, assignment, n)))
            break;
    }
    if (!p)
        return err_set(e, -ENOENT, "%s: has no property \"%.*s\"", d->name, n < 80 ? (int)n : 80,
                       assignment);
    if (!env_takes(p->type ? p->type : "string", is + 1))
        return err_set(e, -EINVAL, "%s: property %s: \"%.60s\" is no %s", d->name, p->key, is + 1,
                       p->type);
    p->value = desc_text(d, "%s", is + 1);
    return p->value ? 0 : err_set(e, -ENOMEM, "no memory");
}

/* ---- reading ---- */

static int env_read_properties(struct desc *d, const struct xml_node *section)
{
    for (const struct xml_node *p = xml_child(section, "Property"); p;
         p = xml_next(p, "Property")) {
        const char *key = xml_attr(p, "key"), *value = xml_attr(p, "value");

        if (key && *key && !desc_add_property(d, key, value ? value : ""))
            return -ENOMEM;
    }
    return 0;
}

static int env_read_adapters(struct desc *d, const struct xml_node *section)
{
    for (const struct xml_node *a = xml_child(section, "Adapter"); a; a = xml_next(a, "Adapter")) {
        const char *mac = xml_attr(a, "mac"), *network = xml_attr(a, "network");
        struct desc_nic *c = place_nic(d, NULL, "");

        if (!c)
            return -ENOMEM;
        if (mac)
            place_mac(c, mac);
        c->network = network && *network ? desc_text(d, "%s", network) : NULL;
    }
    return 0;
}

static int env_keep(struct desc *d, const struct xml_node *n)
{
    struct buf b = { 0 };
    int r = xml_verbatim(n, NULL, &b);

    r = r ? r : buf_add(&b, "", 1);
    r = r ? r : desc_add_extra(d, "ovfenv", n->name, (const char *)b.p);
    buf_fini(&b);
    return r;
}

static int env_read_entity(struct desc *first, const struct xml_node *n)
{
    struct desc *d = desc_add_vm(first);
    const char *id = xml_attr(n, "id");
    int r = 0;

    if (!d)
        return -ENOMEM;
    if (id && *id)
        d->name = desc_text(d, "%s", id);
    for (const struct xml_node *c = n->first; !r && c; c = c->next)
        r = !strcmp(c->name, "PropertySection") ? env_read_properties(d, c) : env_keep(d, c);
    return d->name ? r : -ENOMEM;
}

static int env_read_root(struct desc *d, const struct xml_node *root, struct notes *n)
{
    const char *id = xml_attr(root, "id");
    int r = 0;

    if (id && *id)
        d->name = desc_text(d, "%s", id);
    for (const struct xml_node *c = root->first; !r && c; c = c->next)
        if (!strcmp(c->name, "PropertySection"))
            r = env_read_properties(d, c);
        else if (!strcmp(c->name, "EthernetAdapterSection"))
            r = env_read_adapters(d, c);
        else if (!strcmp(c->name, "Entity"))
            r = env_read_entity(d, c);
        else
            r = env_keep(d, c);
    note(n, NOTE_KEPT, "environment", "is what a guest was told, and no VM");
    return d->name ? r : -ENOMEM;
}

static int env_probe(struct source *s)
{
    char head[1024] = { 0 };

    if (s->kind != SOURCE_FILES ||
        source_read(s->main, 0, head, min_u64(s->main->size, sizeof(head) - 1), NULL))
        return 0;
    return strstr(head, "Environment") && strstr(head, "/ovf/environment/") ? 90 : 0;
}

static int env_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct arena a = { .limit = 128u << 20 };
    const char *file = source_base(s->main->name);
    struct xml_node *root;
    int r = xml_load(&a, s->main, file, &root, NULL, e);

    if (!r && (strcmp(root->name, "Environment") || strcmp(root->space, ENV_SPACE)))
        r = err_set(e, -EBADMSG, "%s: its root is \"%.100s\", not an OVF Environment", file,
                    root->name);
    if (!r && (r = env_read_root(d, root, n)))
        err_set(e, r, "%s: is too long", file);
    arena_fini(&a);
    return r;
}

static int env_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct buf b = { 0 };
    int r = ovf_env_text(d, d, &b);

    if (r)
        err_set(e, r, "%s: is too long", sink_main(s));
    else
        r = sink_text(s, sink_main(s), b.p, b.len, e);
    buf_fini(&b);
    note(n, NOTE_LOST, d->name, "all but its properties and network cards");
    return r;
}

const struct package_format package_ovf_env = {
    .name = "ovf-env",
    .suffix = ".ovfenv",
    .about = "OVF environment: what a guest is told at its first boot",
    .probe = env_probe,
    .read = env_read,
    .write = env_write,
};
