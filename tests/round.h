/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_ROUND_H
#define TESTS_ROUND_H
#include "package/format.h"
#include "package/source.h"
#include "tests/check.h"
#include "tests/scratch.h"
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <sys/stat.h>

/*
 * What tests of package formats share: texts opened as packages, facts looked up, and the
 * trip there and back: what is written says the same as what was read.
 */
static struct desc d;
static struct notes notes;
static struct err err;

static inline void store_bytes(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(in_dir(name), "we");

    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
}

static inline int open_path(const char *path)
{
    struct package_options o = { .verify = true };

    desc_fini(&d);
    notes_fini(&notes);
    desc_init(&d);
    err = (struct err){ 0 };
    return package_open(path, &o, &d, &notes, &err);
}

static inline int open_text(const char *name, const char *text)
{
    store_bytes(name, text, strlen(text));
    return open_path(in_dir(name));
}

static inline void done_all(void)
{
    desc_fini(&d);
    notes_fini(&notes);
}

static inline bool has_note(const char *where, const char *part)
{
    for (const struct note *n = notes.first; n; n = n->next)
        if (!strcmp(n->where, where) && strstr(n->text, part))
            return true;
    return false;
}

static inline int round_by_key(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Without what moving it changes; extras in order of their text; the further VMs likewise. */
static inline void round_clean(json_t *j)
{
    static const char *const moves[] = { "source",   "path",   "container", "offset", "length",
                                         "capacity", "format", "pieces",    "part" };
    json_t *one, *sorted = json_array();
    char *texts[4096];
    size_t i, n = 0;

    json_object_del(j, "notes");
    json_object_del(j, "product");
    json_array_foreach(json_object_get(j, "disks"), i, one)
    {
        for (size_t m = 0; m < LEN(moves); m++)
            json_object_del(one, moves[m]);
    }
    json_array_foreach(json_object_get(j, "files"), i, one)
    {
        json_object_del(one, "path");
        json_object_del(one, "offset");
    }
    json_array_foreach(json_object_get(j, "extras"), i, one)
    {
        if (n < LEN(texts))
            texts[n++] = json_dumps(one, JSON_SORT_KEYS);
    }
    qsort(texts, n, sizeof(texts[0]), round_by_key);
    for (i = 0; i < n; i++) {
        json_array_append_new(sorted, json_string(texts[i]));
        free(texts[i]);
    }
    json_object_set_new(j, "extras", sorted);
    json_array_foreach(json_object_get(j, "further"), i, one)
    {
        round_clean(one);
    }
}

static inline json_t *round_json(const struct desc *v)
{
    struct buf b = { 0 };
    json_t *j;

    CHECK_EQ(desc_json(v, NULL, &b), 0);
    j = json_loadb((char *)b.p, b.len, 0, NULL);
    buf_fini(&b);
    CHECK(j);
    round_clean(j);
    return j;
}

/* Of two lists of texts in order: what only one of them has. */
static inline void round_differ(const char *name, const json_t *a, const json_t *b)
{
    size_t i = 0, k = 0;

    while (i < json_array_size(a) || k < json_array_size(b)) {
        const char *x = json_string_value(json_array_get(a, i));
        const char *y = json_string_value(json_array_get(b, k));
        int order = !x ? 1 : !y ? -1 : strcmp(x, y);

        if (order)
            printf("# %s: %s %.600s\n", name,
                   order < 0 ? "is gone:" : "is new:", order < 0 ? x : y);
        i += order <= 0;
        k += order >= 0;
    }
}

static inline void round_compare(const char *name, json_t *a, json_t *b)
{
    const char *key;
    json_t *was;

    json_object_foreach(a, key, was)
    {
        json_t *now = json_object_get(b, key);

        if (!json_equal(was, now) && !strcmp(key, "extras")) {
            round_differ(name, was, now);
            check_failed_now = 1;
        } else if (!json_equal(was, now)) {
            char *x = json_dumps(was, JSON_ENCODE_ANY),
                 *y = now ? json_dumps(now, JSON_ENCODE_ANY) : NULL;

            printf("# %s: %s was %.1500s\n#   and is %.1500s\n", name, key, x, y ? y : "(gone)");
            check_failed_now = 1;
            free(x);
            free(y);
        }
    }
}

/* Writes the description that is open, reads it again, compares; the new one stays open. */
static inline int round_trip(const char *name, const char *format, const char *to)
{
    struct package_options o = { .format = format };
    struct notes n = { 0 };
    struct err e = { 0 };
    json_t *was = round_json(&d), *now;
    int r;

    unlink(in_dir(to));
    r = package_write(in_dir(to), &o, &d, &n, &e);
    notes_fini(&n);
    if (r) {
        printf("# %s: cannot be written: %s\n", name, e.text);
        check_failed_now = 1;
    } else if ((r = open_path(in_dir(to)))) {
        printf("# %s: cannot be read again: %s\n", name, err.text);
        check_failed_now = 1;
    } else {
        now = round_json(&d);
        round_compare(name, was, now);
        json_decref(now);
    }
    json_decref(was);
    return r;
}

/*
 * Each file of the corpus that fits: read and written back by this format.  The number of those
 * that could be read; the test is skipped without a corpus.
 */
static inline unsigned round_corpus(const char *pattern, const char *format, const char *to,
                                    unsigned *refused)
{
    const char *corpus = check_corpus();
    unsigned good = 0;
    char path[PATH_MAX + 100];
    glob_t g;

    *refused = 0;
    if (!corpus)
        return 0;
    snprintf(path, sizeof(path), "%s/%s", corpus, pattern);
    if (glob(path, 0, NULL, &g))
        return 0;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        if (open_path(g.gl_pathv[i])) {
            printf("# refused: %s\n", err.text);
            CHECK(err.text[0]);
            ++*refused;
            continue;
        }
        good++;
        round_trip(source_base(g.gl_pathv[i]), format, to);
    }
    globfree(&g);
    return good;
}
#endif
