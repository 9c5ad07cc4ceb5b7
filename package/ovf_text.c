/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Localised texts (DSP0243 1.1, 10): bundles of messages, inline or in files, by language. */
#include "package/ovf_int.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define BUNDLE_FILE_MAX (4u << 20)

/* A bundle in a file of its own; one that is missing or damaged costs the translation only. */
static int text_load(struct ovf *o, const char *id, struct xml_node **root)
{
    const struct xml_node *f = ovf_by_id(xml_child(o->root, "References"), "File", "id", id);
    const struct source_file *found = NULL;
    struct err e = { 0 };
    struct buf text;
    int r;

    *root = NULL;
    if (xml_attr(f, "href"))
        ovf_find_file(o, xml_attr(f, "href"), &found);
    if (!found || (r = source_load(found, BUNDLE_FILE_MAX, &text, &e))) {
        note(o->n, NOTE_LOST, "messages", "the bundle \"%s\" is missing", id);
        return 0;
    }
    r = xml_parse(&o->arena, (const char *)text.p, text.len, found->name, root, NULL, &e);
    buf_fini(&text);
    if (r)
        note(o->n, NOTE_LOST, "messages", "%s", e.text);
    return r == -ENOMEM ? r : 0;
}

int ovf_bundles(struct ovf *o)
{
    for (struct xml_node *c = o->root->first; c; c = c->next) {
        const char *file = xml_attr(c, "fileRef");
        struct xml_node *root = c;
        int r;

        if (strcasecmp(c->name, "Strings") || o->nbundles == LEN(o->bundles))
            continue;
        if (file && (r = text_load(o, file, &root)))
            return r;
        if (!root)
            continue;
        if (xml_attr(c, "lang") && !xml_attr(root, "lang") &&
            ovf_set(&o->arena, root, "http://www.w3.org/XML/1998/namespace", "lang",
                    xml_attr(c, "lang")))
            return -ENOMEM;
        o->bundles[o->nbundles++] = root;
    }
    return 0;
}

/* How well does a bundle's language suit: 2 exactly, 1 the same tongue ("de" for "de-AT") */
static int text_suits(const char *have, const char *want)
{
    size_t n = strcspn(have, "-_."), m = strcspn(want, "-_.");

    if (!strcasecmp(have, want))
        return 2;
    return n == m && !strncasecmp(have, want, n);
}

static const char *text_in(const struct xml_node *bundle, const char *id)
{
    for (const struct xml_node *m = xml_child(bundle, "Msg"); m; m = xml_next(m, "Msg"))
        if (xml_attr(m, "msgid") && !strcmp(xml_attr(m, "msgid"), id))
            return m->text;
    return NULL;
}

static const char *text_of(const struct ovf *o, const char *id, const char *want)
{
    const char *found = NULL, *own = xml_attr(o->root, "lang");
    int best = 0;

    for (u32 i = 0; i < o->nbundles; i++) {
        const char *lang = xml_attr(o->bundles[i], "lang"), *text;
        int suits = lang  ? text_suits(lang, want)
                    : own ? text_suits(own, want)
                          : 1; /* nothing says its language */

        if (suits > best && (text = text_in(o->bundles[i], id))) {
            best = suits;
            found = text;
        }
    }
    return found;
}

const char *ovf_say(struct ovf *o, const struct xml_node *n)
{
    const char *id = xml_attr(n, "msgid"), *own = xml_attr(o->root, "lang"), *text = NULL;

    if (!n)
        return "";
    if (!id || !*id)
        return n->text;
    if (o->language)
        text = text_of(o, id, o->language);
    if (!text)
        text = text_of(o, id, own ? own : "en-US");
    if (!text && !*n->text)
        note(o->n, NOTE_LOST, n->name, "there is no text for the message \"%s\"", id);
    return text ? text : n->text;
}
