/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_VIRT_TEST_H
#define PACKAGE_VIRT_TEST_H
#include "package/format.h"
#include "package/source.h"
#include "tests/check.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * For tests of formats that are one document with files beside it: a directory, documents in
 * it opened, descriptions compared.
 */
static char dir[] = "/dev/shm/mimic-virt-XXXXXX";
static struct desc d, again;
static struct notes notes;
static struct err err;

static __attribute__((unused)) const char *at(const char *name)
{
    static char paths[4][600];
    static unsigned n;
    char *path = paths[n++ % 4];

    snprintf(path, 600, "%s/%s", dir, name);
    return path;
}

static __attribute__((unused)) const char *store(const char *name, const void *p, size_t n)
{
    const char *path = at(name);
    FILE *f;

    for (char *c = (char *)path + sizeof(dir); (c = strchr(c, '/')); c++) { /* its directories */
        *c = 0;
        mkdir(path, 0700);
        *c = '/';
    }
    f = fopen(path, "we");
    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
    return path;
}

static __attribute__((unused)) bool same_file(const char *one, const char *two)
{
    struct stat a, b;

    return one && !stat(one, &a) && !stat(two, &b) && a.st_ino == b.st_ino;
}

static __attribute__((unused)) int open_into(struct desc *to, const char *path)
{
    struct package_options o = { .verify = true };
    int r;

    desc_fini(to);
    notes_fini(&notes);
    desc_init(to);
    err = (struct err){ 0 };
    r = package_open(path, &o, to, &notes, &err);
    CHECK((r != 0) == (err.text[0] != 0));
    return r;
}

static __attribute__((unused)) int open_text(const char *name, const char *text)
{
    return open_into(&d, store(name, text, strlen(text)));
}

/* A note of this kind at this place with these words in it? */
static __attribute__((unused)) bool noted(enum note_kind k, const char *where, const char *words)
{
    for (const struct note *n = notes.first; n; n = n->next)
        if (n->kind == k && (!where || !strcmp(n->where, where)) && strstr(n->text, words))
            return true;
    return false;
}

/* All but where the files lie on this host; extras by their key, whatever their order */
static json_t *virt_facts(const struct desc *of)
{
    static const char *const host[] = { "path", "container", "offset", "length" };
    struct notes none = { 0 };
    struct buf text = { 0 };
    json_t *j, *list, *extras = json_object(), *v;
    size_t i;

    CHECK_EQ(desc_json(of, &none, &text), 0);
    j = json_loadb((char *)text.p, text.len, 0, NULL);
    buf_fini(&text);
    json_array_foreach(json_object_get(j, "disks"), i, v)
    {
        for (size_t k = 0; k < LEN(host); k++)
            json_object_del(v, host[k]);
    }
    json_object_del(j, "files");
    list = json_object_get(j, "extras");
    json_array_foreach(list, i, v)
    {
        json_object_set(extras, json_string_value(json_object_get(v, "key")), v);
    }
    json_object_set_new(j, "extras", extras);
    return j;
}

static void virt_difference(const json_t *a, const json_t *b, const char *where)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        char *one, *two;

        if (other && json_equal(v, other))
            continue;
        if (json_is_object(v) && json_is_object(other)) {
            virt_difference(v, other, key);
            continue;
        }
        one = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        two = json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("# %s %s: %.600s\n#   became: %.600s\n", where, key, one, two ? two : "nothing");
        free(one);
        free(two);
    }
    json_object_foreach((json_t *)b, key, v)
    {
        if (!json_object_get(a, key))
            printf("# %s %s: is new\n", where, key);
    }
}

static __attribute__((unused)) bool same(const struct desc *a, const struct desc *b)
{
    json_t *one = virt_facts(a), *two = virt_facts(b);
    bool yes = json_equal(one, two);

    if (!yes) {
        virt_difference(one, two, "");
        virt_difference(two, one, "back");
    }
    json_decref(one);
    json_decref(two);
    return yes;
}

/* d written as `name`, and that read into `again` */
static __attribute__((unused)) int write_again(const char *name, const char *format, bool no_disks)
{
    struct package_options o = { .no_disks = no_disks, .format = format };
    struct err why = { 0 };
    struct notes n = { 0 };
    char path[600];
    int r;

    snprintf(path, sizeof(path), "%s", at(name));
    unlink(path);
    r = package_write(path, &o, &d, &n, &why);
    if (r)
        printf("# %s: %s\n", name, why.text);
    notes_fini(&n);
    return r ? r : open_into(&again, path);
}

static __attribute__((unused)) void virt_end(void)
{
    char command[64];

    desc_fini(&d);
    desc_fini(&again);
    notes_fini(&notes);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    CHECK_EQ(system(command), 0);
}

/* A file of the corpus beside the project; NULL (and the case is skipped) without it */
static __attribute__((unused)) const char *corpus(const char *name)
{
    static char path[4096];
    const char *source = getenv("MIMIC_SOURCE");

    snprintf(path, sizeof(path), "%s/../shared/corpus/%s", source ? source : ".", name);
    if (access(path, R_OK))
        snprintf(path, sizeof(path), "%s/../../shared/corpus/%s", source ? source : ".", name);
    if (!access(path, R_OK))
        return path;
    check_skip("the corpus is not here");
    return NULL;
}
#endif
