/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the descriptor of a VMDK says beside its extents, and another parent for it: two of its
 * lines, written in place of the old ones.
 */
#include "base/buf.h"
#include "image/vmdk_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int vmdk_words_read(struct image *im, struct vmdk_words *w)
{
    struct vmdk_header h;
    u8 head[512];
    u64 n = image_file_length(im, 0);
    int r = image_file_read(im, 0, 0, head, min_u64(sizeof(head), n));

    *w = (struct vmdk_words){ 0 };
    if (r)
        return r;
    if (n >= sizeof(head) && !vmdk_take_header(head, &h)) {
        if (!h.text_at || !mul_ok(&w->at, h.text_at, SECTOR) ||
            !mul_ok(&w->room, h.text_len, SECTOR))
            return -ENOENT;
        n = w->room;
    } else if (!vmdk_text_is(head, min_u64(sizeof(head), n))) {
        return -ENOENT;
    }
    if (n > VMDK_TEXT_MAX || !range_ok(w->at, n, image_file_length(im, 0)))
        return -EFBIG;
    w->text = calloc(1, n + 1);
    return w->text ? meta_get(im, 0, w->at, w->text, n) : -ENOMEM; /* as written last */
}

/* The next "key = value" of a text: its line is [*line, *end). */
static bool words_next(const char **p, const char **line, const char **end, char *key, size_t nkey,
                       char *value, size_t nvalue)
{
    while (**p) {
        const char *eq, *v, *last;

        *line = *p;
        *end = *p + strcspn(*p, "\n");
        *p = **end ? *end + 1 : *end;
        eq = memchr(*line, '=', (size_t)(*end - *line));
        if (!eq || **line == '#')
            continue;
        for (v = eq + 1; v < *end && (isspace((u8)*v) || *v == '"'); v++)
            ;
        for (last = *end; last > v && (isspace((u8)last[-1]) || last[-1] == '"'); last--)
            ;
        snprintf(value, nvalue, "%.*s", (int)(last - v), v);
        for (v = *line; v < eq && isspace((u8)*v); v++)
            ;
        while (eq > v && isspace((u8)eq[-1]))
            eq--;
        snprintf(key, nkey, "%.*s", (int)(eq - v), v);
        return true;
    }
    return false;
}

/* A line that every VMDK has, or that is told in another way. */
static bool words_are_known(const char *key)
{
    static const char *const known[] = { "version",   "encoding",           "CID",
                                         "parentCID", "parentFileNameHint", "ddb.deletable" };

    for (size_t i = 0; i < LEN(known); i++)
        if (!strcasecmp(key, known[i]))
            return true;
    return false;
}

struct vmdk_chs {
    char c[16], h[16], s[16];
};

static void words_fact(const struct image_teller *to, const char *key, const char *value,
                       struct vmdk_chs *g)
{
    if (!strcasecmp(key, "createType"))
        fact_say(to, FACT_VARIANT, "%s", value);
    else if (!strcasecmp(key, "ddb.adapterType"))
        fact_say(to, FACT_ADAPTER, "%s", value);
    else if (!strcasecmp(key, "ddb.uuid"))
        fact_say(to, FACT_ID, "%s", value);
    else if (!strcasecmp(key, "ddb.comment"))
        fact_say(to, FACT_COMMENT, "%s", value);
    else if (!strcasecmp(key, "ddb.geometry.cylinders"))
        snprintf(g->c, sizeof(g->c), "%.15s", value);
    else if (!strcasecmp(key, "ddb.geometry.heads"))
        snprintf(g->h, sizeof(g->h), "%.15s", value);
    else if (!strcasecmp(key, "ddb.geometry.sectors"))
        snprintf(g->s, sizeof(g->s), "%.15s", value);
    else if (!strcasecmp(key, "changeTrackPath"))
        fact_say(to, FACT_BITMAP, "%s: changed block tracking", value);
    else if (!words_are_known(key))
        fact_say(to, FACT_OTHER, "%s: %s", key, value);
}

void vmdk_facts(struct image *im, const struct image_teller *to)
{
    const struct vmdk *k = im->priv;
    struct vmdk_chs g = { .c = "" };
    struct vmdk_words w;
    const char *p, *line, *end;
    char key[128], value[512];

    if (!vmdk_words_read(im, &w))
        for (p = w.text; words_next(&p, &line, &end, key, sizeof(key), value, sizeof(value));)
            words_fact(to, key, value, &g);
    free(w.text);
    if (g.c[0])
        fact_say(to, FACT_GEOMETRY, "%s/%s/%s", g.c, g.h, g.s);
    if (k->cid != VMDK_NO_PARENT)
        fact_say(to, FACT_CONTENT_ID, "%08x", k->cid);
    if (k->parent_cid != VMDK_NO_PARENT)
        fact_say(to, FACT_PARENT_ID, "%08x", k->parent_cid);
    for (u32 i = 0; i < k->nparts; i++)
        if (k->parts[i].packed) {
            fact_say(to, FACT_COMPRESSION, "zlib");
            break;
        }
}

/* The text with the lines of its parent put anew, behind the line of its own CID. */
static int rebase_text(struct buf *b, const char *text, const struct image_make *how, u32 cid)
{
    const char *p = text, *line, *end, *done = text;
    char key[128], value[512];
    int r = 0;

    while (!r && words_next(&p, &line, &end, key, sizeof(key), value, sizeof(value))) {
        bool own = !strcasecmp(key, "CID");
        bool old = !strcasecmp(key, "parentCID") || !strcasecmp(key, "parentFileNameHint");

        if (!own && !old)
            continue;
        r = buf_add(b, done, (size_t)((own ? p : line) - done));
        done = p;
        if (!r && own)
            r = buf_text(b, "parentCID=%08x\n", cid);
        if (!r && own && how->parent)
            r = buf_text(b, "parentFileNameHint=\"%s\"\n", how->parent);
    }
    return r ? r : buf_add(b, done, strlen(done));
}

int vmdk_words_put(struct image *im, const struct vmdk_words *w, struct buf *text)
{
    struct vmdk *k = im->priv;
    const char *cid;
    int r = 0;

    if (w->room && text->len > w->room)
        return -ENOSPC;
    while (!r && text->len < max_u64(w->room, strlen(w->text))) /* over all of the old text */
        r = buf_add(text, w->room ? "" : "\n", 1);
    if (r)
        return r;
    cid = k->cid_at ? memmem(text->p, text->len, "\nCID=", 5) : NULL;
    k->cid_at = cid ? w->at + (u64)(cid + 5 - (const char *)text->p) : 0;
    return meta_put(im, PLAN_HEADER, 0, w->at, text->p, text->len);
}

int vmdk_rebase(struct image *im, const struct image_make *how, struct err *e)
{
    const struct vmdk *up = how->base ? how->base->priv : NULL;
    struct buf b = { 0 };
    struct vmdk_words w;
    int r;

    if (how->base && how->base->format != im->format)
        return err_set(e, -EOPNOTSUPP, "%s: the parent of a VMDK is a VMDK", image_path(im));
    if (how->parent && strpbrk(how->parent, "\"\n\r"))
        return err_set(e, -EINVAL, "%s: cannot be named in a VMDK", how->parent);
    r = vmdk_words_read(im, &w);
    if (!r)
        r = rebase_text(&b, w.text, how, up ? up->cid : VMDK_NO_PARENT);
    r = r ? r : vmdk_words_put(im, &w, &b);
    free(w.text);
    buf_fini(&b);
    return r ? err_set(e, r, "%s: descriptor: the parent: %s", image_path(im), strerror(-r)) : 0;
}
