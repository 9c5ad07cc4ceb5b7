/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deployment options and the properties of products (DSP0243 1.1, 9.5 and 9.8). */
#include "package/ovf_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROPERTY_DEPTH 8

/* The option that was asked for becomes the document's default: what is kept says the same. */
static int option_choose(struct ovf *o, const struct xml_node *section)
{
    for (struct xml_node *c = section->first; c; c = c->next) {
        const char *id = xml_attr(c, "id");

        if (strcasecmp(c->name, "Configuration") || !id)
            continue;
        ovf_unset(c, "default");
        if (!strcmp(id, o->config) && ovf_set(&o->arena, c, OVF_SPACE, "default", "true"))
            return -ENOMEM;
    }
    return 0;
}

int ovf_options(struct ovf *o)
{
    const struct xml_node *section = ovf_section(o->root, "DeploymentOptionSection");
    const struct xml_node *first = xml_child(section, "Configuration"), *chosen = first;
    const char *want = o->how ? o->how->option : NULL;

    for (const struct xml_node *c = first; c; c = xml_next(c, "Configuration"))
        if (want ? xml_attr(c, "id") && !strcmp(xml_attr(c, "id"), want)
                 : ovf_is_true(xml_attr(c, "default"))) {
            o->config = xml_attr(c, "id");
            break;
        }
    if (want && !o->config)
        return err_set(o->e, -EINVAL, "%s: has no deployment option \"%.100s\"", o->file, want);
    if (!o->config)
        o->config = xml_attr(chosen, "id");
    if (!o->config)
        return 0;
    note(o->n, NOTE_KEPT, "deployment option", "\"%s\" of those that the package offers",
         o->config);
    return want ? option_choose(o, section) : 0;
}

/* The value that a configuration gives, else the general one. */
const char *ovf_property_value(const struct xml_node *p, const char *config)
{
    const char *value = xml_attr(p, "value");

    for (const struct xml_node *v = xml_child(p, "Value"); v; v = xml_next(v, "Value")) {
        const char *only = xml_attr(v, "configuration"), *text = xml_attr(v, "value");

        text = text ? text : v->text;
        if (!only || !*only)
            value = value ? value : text;
        else if (config && ovf_listed(only, config))
            return text;
    }
    return value ? value : "";
}

static int product_property(struct ovf *o, const struct xml_node *section, const struct xml_node *p)
{
    const char *key = xml_attr(p, "key"), *type = xml_attr(p, "type");
    const char *class = xml_attr(section, "class"), *instance = xml_attr(section, "instance");
    struct desc_property *to;

    if (!key || !*key) {
        note(o->n, NOTE_LOST, "property", "one of them has no key");
        return 0;
    }
    to = desc_add_property(o->d, key, ovf_property_value(p, o->config));
    if (!to)
        return -ENOMEM;
    to->class = class && *class ? ovf_copy_text(o, class) : NULL;
    to->instance = instance && *instance ? ovf_copy_text(o, instance) : NULL;
    to->type = ovf_copy_text(o, type ? type : "string");
    if (xml_child(p, "Label"))
        to->label = ovf_copy_text(o, ovf_say(o, xml_child(p, "Label")));
    if (xml_child(p, "Description"))
        to->about = ovf_copy_text(o, ovf_say(o, xml_child(p, "Description")));
    to->user = ovf_is_true(xml_attr(p, "userConfigurable"));
    to->password = ovf_is_true(xml_attr(p, "password"));
    return o->failed ? -ENOMEM : 0;
}

int ovf_product(struct ovf *o, struct xml_node *section)
{
    int r = 0;

    for (const struct xml_node *p = xml_child(section, "Property"); !r && p;
         p = xml_next(p, "Property"))
        r = product_property(o, section, p);
    return r;
}

static bool property_is(const struct xml_node *section, const struct xml_node *p, const char *name)
{
    const char *class = xml_attr(section, "class"), *instance = xml_attr(section, "instance");
    const char *key = xml_attr(p, "key");
    char whole[512];

    if (!key)
        return false;
    snprintf(whole, sizeof(whole), "%.150s%s%.150s%s%.150s", class ? class : "",
             class && *class ? "." : "", key, instance && *instance ? "." : "",
             instance ? instance : "");
    return !strcmp(whole, name) || !strcmp(key, name);
}

static const char *property_find(const struct ovf *o, const struct xml_node *n, const char *name,
                                 unsigned depth)
{
    const char *value = NULL;

    for (const struct xml_node *c = n->first; !value && depth && c; c = c->next) {
        if (ovf_is_section(c, "ProductSection")) {
            for (const struct xml_node *p = xml_child(c, "Property"); !value && p;
                 p = xml_next(p, "Property"))
                if (property_is(c, p, name))
                    value = ovf_property_value(p, o->config);
        } else if (!strncasecmp(c->name, "VirtualSystem", 13)) {
            value = property_find(o, c, name, depth - 1);
        }
    }
    return value;
}

const char *ovf_property(const struct ovf *o, const char *name)
{
    return property_find(o, o->root, name, PROPERTY_DEPTH);
}
