/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Apple's UDIF (.dmg): a trailer, a property list or a resource fork with tables of runs, runs
 * that are zero, plain or packed.  Read only; left out: encryption, images in several segments.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "image/dmg_int.h"
#include <errno.h>
#include <expat.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define TRAILER 512
#define LIST_MAX (64u << 20)
#define TABLE_HEAD 204
#define RUN_BYTES 40
#define RUNS_MAX (1u << 22)
#define RUN_MAX (64u << 20)

#define RUN_NOTE 0x7ffffffeu
#define RUN_END 0xffffffffu

struct dmg_run {
    u64 first, len; /* of the disk, bytes */
    u64 at;
    u32 packed, kind;
};
struct dmg {
    struct dmg_run *runs;
    u32 nruns, cap;
    u64 data_at;
};

static int dmg_probe(const struct probe *p)
{
    if (p->nhead >= 8 && !memcmp(p->head, "encrcdsa", 8))
        return 90;
    if (p->ntail >= TRAILER && !memcmp(p->tail + p->ntail - TRAILER, "koly", 4))
        return 95;
    return p->ntail >= 8 && !memcmp(p->tail + p->ntail - 8, "cdsaencr", 8) ? 90 : 0;
}

static int dmg_add(struct image *im, const struct dmg_run *run, struct err *e)
{
    struct dmg *d = im->priv;

    if (d->nruns == RUNS_MAX)
        return err_set(e, -E2BIG, "%s: more than %u runs", image_path(im), RUNS_MAX);
    if (d->nruns == d->cap) {
        u32 cap = d->cap ? d->cap * 2 : 256;
        struct dmg_run *runs = realloc(d->runs, cap * sizeof(*runs));

        if (!runs)
            return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
        d->runs = runs;
        d->cap = cap;
    }
    d->runs[d->nruns++] = *run;
    return 0;
}

static int dmg_take_run(struct image *im, const u8 *p, u64 first, u64 data_at, struct err *e)
{
    struct dmg_run run = { .kind = be32(p) };
    u64 sector = be64(p + 8), count = be64(p + 16), packed = be64(p + 32), file;
    bool packs;

    if (run.kind == RUN_NOTE || run.kind == RUN_END || !count)
        return 0;
    packs = dmg_codec_name(run.kind) != NULL;
    if (packs ? !dmg_codec_is_there(run.kind) : run.kind > DMG_IGNORE)
        return err_set(e, -EOPNOTSUPP, "%s: runs of type 0x%08x%s%s are not supported",
                       image_path(im), run.kind, packs ? ", " : "",
                       packs ? dmg_codec_name(run.kind) : "");
    file = image_file_length(im, 0);
    if (!add_ok(&sector, sector, first) || !range_ok(sector, count, INT64_MAX / 512) ||
        (im->size && !range_ok(sector, count, im->size / 512)) ||
        !add_ok(&run.at, be64(p + 24), data_at) ||
        (packs && (count * 512 > RUN_MAX || packed > RUN_MAX)) ||
        ((packs || run.kind == DMG_RAW) && !range_ok(run.at, packed, file)) ||
        (run.kind == DMG_RAW && packed < count * 512))
        return err_set(e, -EBADMSG, "%s: a run of %llu sectors at %llu is not possible",
                       image_path(im), (unsigned long long)count, (unsigned long long)sector);
    run.first = sector * 512;
    run.len = count * 512;
    run.packed = (u32)packed;
    return dmg_add(im, &run, e);
}

static int dmg_take_table(struct image *im, const u8 *p, size_t n, struct err *e)
{
    const struct dmg *d = im->priv;
    u64 data_at;
    int r = 0;

    if (n < TABLE_HEAD || memcmp(p, "mish", 4))
        return 0;
    if (be32(p + 200) > (n - TABLE_HEAD) / RUN_BYTES || !add_ok(&data_at, be64(p + 24), d->data_at))
        return err_set(e, -EBADMSG, "%s: a table of %u runs in %zu bytes", image_path(im),
                       be32(p + 200), n);
    for (u32 i = 0; !r && i < be32(p + 200); i++)
        r = dmg_take_run(im, p + TABLE_HEAD + i * RUN_BYTES, be64(p + 8), data_at, e);
    return r;
}

/* The property list: each <data> is a table, in base64. */
struct dmg_list {
    struct image *im;
    struct err *e;
    XML_Parser parser;
    struct buf text;
    bool inside;
    int result;
};

static void dmg_start(void *arg, const char *name, const char **attrs)
{
    struct dmg_list *l = arg;

    l->inside = !strcmp(name, "data");
    l->text.len = 0;
}

static void dmg_chars(void *arg, const char *s, int n)
{
    struct dmg_list *l = arg;

    for (int i = 0; l->inside && i < n; i++)
        if ((u8)s[i] > ' ' && buf_add(&l->text, s + i, 1))
            XML_StopParser(l->parser, XML_FALSE);
}

static void dmg_end(void *arg, const char *name)
{
    struct dmg_list *l = arg;
    u8 *out;
    int n;

    if (!l->inside || strcmp(name, "data") || l->result)
        return;
    l->inside = false;
    out = malloc(l->text.len / 4 * 3 + 4);
    n = out ? EVP_DecodeBlock(out, l->text.p ? l->text.p : out, (int)l->text.len) : -1;
    if (n > 0)
        l->result = dmg_take_table(l->im, out, (size_t)n, l->e);
    free(out);
    if (l->result)
        XML_StopParser(l->parser, XML_FALSE);
}

static void dmg_entity(void *arg, const XML_Char *name, int is_parameter, const XML_Char *value,
                       int n, const XML_Char *base, const XML_Char *system, const XML_Char *public,
                       const XML_Char *notation)
{
    XML_StopParser(((struct dmg_list *)arg)->parser, XML_FALSE);
}

static int dmg_read_list(struct image *im, u64 at, u64 n, struct err *e)
{
    struct dmg_list l = { .im = im, .e = e };
    char *text = n <= LIST_MAX ? malloc(n + 1) : NULL;
    bool ok;

    l.parser = XML_ParserCreate(NULL);
    if (!text || !l.parser || image_file_read(im, 0, at, text, n)) {
        free(text);
        if (l.parser)
            XML_ParserFree(l.parser);
        return err_set(e, -EBADMSG, "%s: trailer: no property list of %llu bytes at %llu",
                       image_path(im), (unsigned long long)n, (unsigned long long)at);
    }
    XML_SetUserData(l.parser, &l);
    XML_SetElementHandler(l.parser, dmg_start, dmg_end);
    XML_SetCharacterDataHandler(l.parser, dmg_chars);
    XML_SetEntityDeclHandler(l.parser, dmg_entity);
    ok = XML_Parse(l.parser, text, (int)n, 1) == XML_STATUS_OK;
    XML_ParserFree(l.parser);
    buf_fini(&l.text);
    free(text);
    if (!ok && !l.result)
        return err_set(e, -EBADMSG, "%s: its property list is damaged", image_path(im));
    return l.result;
}

struct dmg_fork {
    struct image *im;
    struct err *e;
};
static int dmg_fork_table(void *arg, const u8 *p, size_t n)
{
    struct dmg_fork *f = arg;

    return dmg_take_table(f->im, p, n, f->e);
}

static int dmg_read_fork(struct image *im, u64 at, u64 n, struct err *e)
{
    struct dmg_fork f = { im, e };
    u8 *fork = n && n <= LIST_MAX ? malloc(n) : NULL;
    int r = -EBADMSG;

    if (fork && !image_file_read(im, 0, at, fork, n))
        r = dmg_fork_each(fork, n, dmg_fork_table, &f);
    free(fork);
    return r && !(e && e->code)
               ? err_set(e, r, "%s: its resource fork (%llu bytes at %llu) is damaged",
                         image_path(im), (unsigned long long)n, (unsigned long long)at)
               : r;
}

static int dmg_order(const void *a, const void *b)
{
    const struct dmg_run *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* In the order of the disk, and none of them over another. */
static int dmg_sort(struct image *im, struct err *e)
{
    struct dmg *d = im->priv;
    const struct dmg_run *last = d->runs + d->nruns - 1;

    if (!d->nruns)
        return err_set(e, -EBADMSG, "%s: has no runs", image_path(im));
    qsort(d->runs, d->nruns, sizeof(*d->runs), dmg_order);
    for (u32 i = 1; i < d->nruns; i++)
        if (d->runs[i].first - d->runs[i - 1].first < d->runs[i - 1].len)
            return err_set(e, -EBADMSG, "%s: its runs overlap", image_path(im));
    if (!im->size) /* a trailer that does not say */
        im->size = last->first + last->len;
    return 0;
}

static int dmg_open(struct image *im, struct err *e)
{
    struct dmg *d = im->priv = calloc(1, sizeof(*d));
    u64 file = image_file_length(im, 0), sectors;
    u8 t[TRAILER];
    int r;

    if (!d)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (file < TRAILER || image_file_read(im, 0, file - TRAILER, t, TRAILER) ||
        memcmp(t, "koly", 4))
        return err_set(e, -EOPNOTSUPP, "%s: has no trailer: it is encrypted, or no dmg",
                       image_path(im));
    if (be32(t + 60) > 1)
        return err_set(e, -EOPNOTSUPP, "%s: is segment %u of %u, which is not supported",
                       image_path(im), be32(t + 56), be32(t + 60));
    d->data_at = be64(t + 24);
    sectors = be64(t + 492);
    if (sectors > INT64_MAX / 512)
        return err_set(e, -EBADMSG, "%s: trailer: %llu sectors are not possible", image_path(im),
                       (unsigned long long)sectors);
    im->size = sectors * 512;
    r = be64(t + 224) ? dmg_read_list(im, be64(t + 216), be64(t + 224), e)
                      : dmg_read_fork(im, be64(t + 40), be64(t + 48), e);
    return r ? r : dmg_sort(im, e);
}

static void dmg_close(struct image *im)
{
    struct dmg *d = im->priv;

    if (d)
        free(d->runs);
    free(d);
}

/* The last run that begins at or before off, or the first of all. */
static const struct dmg_run *dmg_find(const struct dmg *d, u64 off)
{
    u32 low = 0, high = d->nruns;

    while (high - low > 1) {
        u32 mid = (low + high) / 2;

        if (d->runs[mid].first <= off)
            low = mid;
        else
            high = mid;
    }
    return &d->runs[low];
}

static int dmg_map(struct image *im, u64 off, struct extent *x)
{
    const struct dmg *d = im->priv;
    const struct dmg_run *run = dmg_find(d, off);

    x->kind = EXT_ZERO;
    if (off < run->first || off - run->first >= run->len) { /* between two runs */
        u64 next = off < run->first               ? run->first
                   : run + 1 < d->runs + d->nruns ? run[1].first
                                                  : im->size;

        x->len = next - off;
        return 0;
    }
    x->len = run->len - (off - run->first);
    x->at = run->at;
    if (run->kind == DMG_RAW) {
        x->kind = EXT_DATA;
        x->at += off - run->first;
    } else if (dmg_codec_name(run->kind)) {
        x->kind = EXT_PACKED;
        x->packed = run->packed;
        x->unpacked = (u32)run->len;
        x->base = run->first;
    }
    return 0;
}

static int dmg_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    return dmg_codec_run(dmg_find(im->priv, x->base)->kind, in, n, out, x->unpacked);
}

/* What its runs are packed with. */
static void dmg_facts(struct image *im, const struct image_teller *to)
{
    const struct dmg *d = im->priv;
    u32 said = 0;

    for (u32 i = 0; i < d->nruns; i++) {
        const char *name = dmg_codec_name(d->runs[i].kind);

        if (name && !(said >> (d->runs[i].kind & 15) & 1))
            fact_say(to, FACT_COMPRESSION, "%s", name);
        said |= name ? 1u << (d->runs[i].kind & 15) : 0;
    }
}

const struct image_format image_dmg = {
    .name = "dmg",
    .suffix = ".dmg",
    .about = "Apple disk images: plain, ADC, zlib, bzip2, LZMA",
    .probe = dmg_probe,
    .open = dmg_open,
    .close = dmg_close,
    .map = dmg_map,
    .unpack = dmg_unpack,
    .facts = dmg_facts,
};
