/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a conversion kept, changed and lost: what the new image says of itself, read back,
 * beside what the old one said.
 */
#include "cmd/disk_report.h"
#include "cmd/disk.h"
#include <stdlib.h>
#include <string.h>

static void report_take(void *arg, const char *name, const char *value)
{
    struct disk_facts *f = arg;
    struct disk_fact *v = realloc(f->v, (f->n + 1) * sizeof(*v));

    if (!v)
        return;
    f->v = v;
    v[f->n] = (struct disk_fact){ .name = strdup(name), .value = strdup(value) };
    f->n += v[f->n].name && v[f->n].value;
}

void disk_facts_get(struct disk_facts *f, struct image *im)
{
    const char *up = image_parent(im) ? image_path(image_parent(im)) : image_parent_name(im);

    *f = (struct disk_facts){ .size = image_size(im), .parent = up ? strdup(up) : NULL };
    snprintf(f->format, sizeof(f->format), "%s", image_format_name(im));
    image_facts(im, report_take, f);
}

void disk_facts_free(struct disk_facts *f)
{
    for (u32 i = 0; i < f->n; i++) {
        free(f->v[i].name);
        free(f->v[i].value);
    }
    free(f->v);
    free(f->parent);
    *f = (struct disk_facts){ 0 };
}

/* How a fact is dealt with; what is not named here is kept, changed or lost by its value. */
enum report_rule {
    RULE_VALUE,
    RULE_LAYOUT, /* how this image is made: another one is made otherwise, as was asked */
    RULE_NEW,    /* a copy is an image of its own */
    RULE_MANY,   /* several, each kept or lost */
};
static const struct {
    const char *name;
    enum report_rule rule;
    const char *lost;
} report_rules[] = {
    { "variant", RULE_LAYOUT, NULL },
    { "version", RULE_LAYOUT, NULL },
    { "compression", RULE_LAYOUT, NULL },
    { "file", RULE_LAYOUT, NULL },
    { "created", RULE_LAYOUT, NULL },
    { "creator", RULE_LAYOUT, NULL },
    { "content-id", RULE_LAYOUT, NULL },
    { "parent-id", RULE_LAYOUT, NULL },
    { "id", RULE_NEW, NULL },
    { "snapshot", RULE_MANY, NULL },
    { "bitmap", RULE_MANY, NULL },
    { "other", RULE_MANY, NULL },
    { "sector", RULE_VALUE, "a guest finds partitions by sectors of this size" },
    { "encryption", RULE_VALUE, "the new image is readable for everybody" },
};

static struct disk_fact *report_find(const struct disk_facts *f, const char *name,
                                     const char *value)
{
    for (u32 i = 0; f && i < f->n; i++)
        if (!strcmp(f->v[i].name, name) && (!value || !strcmp(f->v[i].value, value)))
            return &f->v[i];
    return NULL;
}

static void report_fact(const struct disk_fact *was, const struct disk_facts *to, struct notes *n)
{
    enum report_rule rule = RULE_VALUE;
    const struct disk_fact *is;
    const char *lost = NULL;

    for (size_t i = 0; i < LEN(report_rules); i++)
        if (!strcmp(was->name, report_rules[i].name)) {
            rule = report_rules[i].rule;
            lost = report_rules[i].lost;
        }
    if (rule == RULE_LAYOUT)
        return;
    if (!strcmp(was->name, "dirty")) {
        note(n, NOTE_CHANGED, was->name, "%s: done in the copy", was->value);
        return;
    }
    if (!strcmp(was->name, "sector") && !report_find(to, "sector", NULL) &&
        !strcmp(was->value, "512"))
        return; /* what every disk has that says nothing else */
    if (report_find(to, was->name, was->value)) {
        note(n, NOTE_KEPT, was->name, "%s", was->value);
        return;
    }
    is = rule == RULE_MANY ? NULL : report_find(to, was->name, NULL);
    if (is)
        note(n, NOTE_CHANGED, was->name, "%s, was %s", is->value, was->value);
    else
        note(n, rule == RULE_NEW ? NOTE_CHANGED : NOTE_LOST, was->name, "%s%s%s%s", was->value,
             rule == RULE_NEW ? ": the copy has none" : "", lost ? ": " : "", lost ? lost : "");
}

void disk_report(const struct disk_facts *from, const struct disk_facts *to, struct notes *n)
{
    char a[32], b[32];

    if (!to || to->size == from->size)
        note(n, NOTE_KEPT, "size", "%s", disk_size_text(from->size, a, sizeof(a)));
    else
        note(n, NOTE_CHANGED, "size", "%llu bytes (%s), was %llu (%s): this format rounds it",
             (unsigned long long)to->size, disk_size_text(to->size, a, sizeof(a)),
             (unsigned long long)from->size, disk_size_text(from->size, b, sizeof(b)));
    if (from->parent && to && to->parent)
        note(n, NOTE_CHANGED, "parent", "%s, was %s", to->parent, from->parent);
    else if (from->parent)
        note(n, NOTE_CHANGED, "parent", "%s: all that shows through from it is in the copy",
             from->parent);
    for (u32 i = 0; i < from->n; i++)
        report_fact(&from->v[i], to, n);
}

json_t *disk_report_list(const struct notes *n, enum note_kind kind)
{
    json_t *list = json_array(), *one;

    for (const struct note *k = n->first; k; k = k->next) {
        if (k->kind != kind)
            continue;
        one = json_object();
        json_object_set_new(one, "where", disk_json_text(k->where));
        json_object_set_new(one, "text", disk_json_text(k->text));
        json_array_append_new(list, one);
    }
    return list;
}
