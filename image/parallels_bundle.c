/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DiskDescriptor.xml of a Parallels bundle (x.hdd/): which files hold which stretch of the
 * disk, one for each snapshot, and which snapshot follows which.  After the files that
 * Parallels Desktop writes; a document with a DOCTYPE is refused.
 */
#include "image/parallels_int.h"
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DESCRIPTOR_MAX (1u << 20)
#define STORAGES_MAX 1024
#define IMAGES_MAX 256
#define SHOTS_MAX 256
#define DEPTH_MAX 16
#define NAME_MAX_ 32
#define TEXT_MAX 1024

struct bundle_parser {
    XML_Parser xml;
    struct parallels_bundle *b;
    char names[DEPTH_MAX][NAME_MAX_]; /* of the elements that are open */
    unsigned depth;
    char text[TEXT_MAX];
    size_t ntext;
    const char *why; /* it was refused; or NULL */
};

bool parallels_is_descriptor(const u8 *text, size_t n)
{
    return memmem(text, n, "<Parallels_disk_image", 21) != NULL;
}

static void bundle_refuse(struct bundle_parser *p, const char *why)
{
    p->why = why;
    XML_StopParser(p->xml, XML_FALSE);
}

/* One more of `size` bytes at the end of an array of n, zeroed; NULL: refused. */
static void *bundle_more(struct bundle_parser *p, void **array, u32 *n, u32 max, size_t size)
{
    u8 *v = *n < max ? realloc(*array, (*n + 1) * size) : NULL;

    if (!v) {
        bundle_refuse(p, *n < max ? "no memory" : "too many elements");
        return NULL;
    }
    *array = v;
    memset(v + *n * size, 0, size);
    return v + (*n)++ * size;
}

static bool bundle_in(const struct bundle_parser *p, const char *parent)
{
    return p->depth >= 2 && !strcmp(p->names[p->depth - 2], parent);
}

static void bundle_start(void *arg, const char *name, const char **attributes)
{
    struct bundle_parser *p = arg;
    struct parallels_bundle *b = p->b;
    struct parallels_storage *s = b->nstorages ? &b->storages[b->nstorages - 1] : NULL;

    if (p->depth == DEPTH_MAX) {
        bundle_refuse(p, "elements are too deep in each other");
        return;
    }
    snprintf(p->names[p->depth++], NAME_MAX_, "%s", name);
    p->ntext = 0;
    if (!strcmp(name, "Storage") && bundle_in(p, "StorageData"))
        bundle_more(p, (void **)&b->storages, &b->nstorages, STORAGES_MAX, sizeof(*b->storages));
    else if (!strcmp(name, "Image") && bundle_in(p, "Storage") && s)
        bundle_more(p, (void **)&s->images, &s->nimages, IMAGES_MAX, sizeof(*s->images));
    else if (!strcmp(name, "Shot") && bundle_in(p, "Snapshots"))
        bundle_more(p, (void **)&b->shots, &b->nshots, SHOTS_MAX, sizeof(*b->shots));
}

static void bundle_text(void *arg, const char *text, int n)
{
    struct bundle_parser *p = arg;
    size_t room = sizeof(p->text) - 1 - p->ntext;
    size_t take = (size_t)n < room ? (size_t)n : room;

    memcpy(p->text + p->ntext, text, take);
    p->ntext += take;
}

/* The text without white space around it. */
static const char *bundle_value(struct bundle_parser *p)
{
    char *v = p->text;

    while (p->ntext && strchr(" \t\r\n", v[p->ntext - 1]))
        p->ntext--;
    v[p->ntext] = 0;
    return v + strspn(v, " \t\r\n");
}

static void bundle_take_image(struct bundle_parser *p, const char *name, const char *value)
{
    struct parallels_bundle *b = p->b;
    struct parallels_storage *s = b->nstorages ? &b->storages[b->nstorages - 1] : NULL;
    struct parallels_image *i = s && s->nimages ? &s->images[s->nimages - 1] : NULL;

    if (!i)
        return;
    if (!strcmp(name, "GUID"))
        snprintf(i->guid, sizeof(i->guid), "%s", value);
    if (!strcmp(name, "Type"))
        i->plain = !strcasecmp(value, "Plain");
    if (!strcmp(name, "File")) {
        free(i->file);
        i->file = strdup(value);
    }
}

static void bundle_take_storage(struct bundle_parser *p, const char *name, const char *value)
{
    struct parallels_bundle *b = p->b;
    struct parallels_storage *s = b->nstorages ? &b->storages[b->nstorages - 1] : NULL;

    if (!s)
        return;
    if (!strcmp(name, "Start"))
        s->start = strtoull(value, NULL, 10);
    if (!strcmp(name, "End"))
        s->end = strtoull(value, NULL, 10);
    if (!strcmp(name, "Blocksize"))
        s->block = strtoull(value, NULL, 10);
}

static void bundle_take_shot(struct bundle_parser *p, const char *name, const char *value)
{
    struct parallels_bundle *b = p->b;

    if (b->nshots && !strcmp(name, "GUID"))
        snprintf(b->shots[b->nshots - 1].guid, PARALLELS_GUID, "%s", value);
    if (b->nshots && !strcmp(name, "ParentGUID"))
        snprintf(b->shots[b->nshots - 1].parent, PARALLELS_GUID, "%s", value);
}

static void bundle_take_disk(struct parallels_bundle *b, const char *name, const char *value)
{
    if (!strcmp(name, "Disk_size"))
        b->size = strtoull(value, NULL, 10);
    if (!strcmp(name, "LogicSectorSize"))
        b->sector = strtoull(value, NULL, 10);
    if (!strcmp(name, "UID"))
        snprintf(b->uid, sizeof(b->uid), "%s", value);
}

static void bundle_end(void *arg, const char *name)
{
    struct bundle_parser *p = arg;
    const char *value = bundle_value(p);

    if (bundle_in(p, "Image"))
        bundle_take_image(p, name, value);
    else if (bundle_in(p, "Storage"))
        bundle_take_storage(p, name, value);
    else if (bundle_in(p, "Shot"))
        bundle_take_shot(p, name, value);
    else if (bundle_in(p, "Snapshots") && !strcmp(name, "TopGUID"))
        snprintf(p->b->top, sizeof(p->b->top), "%s", value);
    else if (bundle_in(p, "Disk_Parameters"))
        bundle_take_disk(p->b, name, value);
    else if (bundle_in(p, "Encryption") && !strcmp(name, "Engine"))
        snprintf(p->b->engine, sizeof(p->b->engine), "%s", value);
    p->ntext = 0;
    p->depth--;
}

static void bundle_doctype(void *arg, const char *name, const char *system, const char *public,
                           int internal)
{
    bundle_refuse(arg, "has a document type, which is refused");
}

static int bundle_parse(struct image *im, struct parallels_bundle *b, const u8 *text, size_t n,
                        struct err *e)
{
    struct bundle_parser p = { .xml = XML_ParserCreate(NULL), .b = b };
    int r = 0;

    if (!p.xml)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    XML_SetUserData(p.xml, &p);
    XML_SetElementHandler(p.xml, bundle_start, bundle_end);
    XML_SetCharacterDataHandler(p.xml, bundle_text);
    XML_SetStartDoctypeDeclHandler(p.xml, bundle_doctype);
    if (XML_Parse(p.xml, (const char *)text, (int)n, 1) != XML_STATUS_OK)
        r = err_set(e, -EBADMSG, "%s: line %lu: %s", image_path(im),
                    XML_GetCurrentLineNumber(p.xml),
                    p.why ? p.why : XML_ErrorString(XML_GetErrorCode(p.xml)));
    XML_ParserFree(p.xml);
    return r;
}

const char *parallels_shot_parent(const struct parallels_bundle *b, const char *guid)
{
    for (u32 i = 0; i < b->nshots; i++)
        if (!strcasecmp(b->shots[i].guid, guid) && b->shots[i].parent[0] &&
            strcasecmp(b->shots[i].parent, PARALLELS_NO_GUID))
            return b->shots[i].parent;
    return NULL;
}

/* Stretches that follow each other from 0 to the end of the disk. */
static int bundle_check(struct image *im, const struct parallels_bundle *b, struct err *e)
{
    u64 at = 0;

    if (b->engine[0] && strcasecmp(b->engine, PARALLELS_NO_GUID))
        return err_set(e, -EOPNOTSUPP, "%s: is encrypted, which is not supported", image_path(im));
    for (u32 i = 0; i < b->nstorages; i++) {
        const struct parallels_storage *s = &b->storages[i];

        if (s->start != at || s->end <= s->start || s->end > INT64_MAX / 512 || !s->nimages)
            return err_set(e, -EBADMSG, "%s: storage %u: from sector %llu to %llu is not possible",
                           image_path(im), i, (unsigned long long)s->start,
                           (unsigned long long)s->end);
        for (u32 k = 0; k < s->nimages; k++)
            if (!s->images[k].file || !*s->images[k].file)
                return err_set(e, -EBADMSG, "%s: storage %u: an image without a file",
                               image_path(im), i);
        at = s->end;
    }
    if (!at || b->size > at)
        return err_set(e, -EBADMSG, "%s: %llu sectors, but files for %llu", image_path(im),
                       (unsigned long long)b->size, (unsigned long long)at);
    return 0;
}

int parallels_read_bundle(struct image *im, struct parallels_bundle *b, struct err *e)
{
    u64 n = image_file_length(im, 0);
    u8 *text = n <= DESCRIPTOR_MAX ? malloc(n + 1) : NULL;
    int r;

    if (n > DESCRIPTOR_MAX)
        return err_set(e, -E2BIG, "%s: a description of %llu bytes", image_path(im),
                       (unsigned long long)n);
    r = text ? image_file_read(im, 0, 0, text, n) : -ENOMEM;
    if (r)
        err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    r = r ? r : bundle_parse(im, b, text, n, e);
    free(text);
    return r ? r : bundle_check(im, b, e);
}

void parallels_drop_bundle(struct parallels_bundle *b)
{
    for (u32 i = 0; b && i < b->nstorages; i++) {
        for (u32 k = 0; k < b->storages[i].nimages; k++)
            free(b->storages[i].images[k].file);
        free(b->storages[i].images);
    }
    if (b) {
        free(b->storages);
        free(b->shots);
    }
    free(b);
}
