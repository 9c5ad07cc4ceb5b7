/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors and packages of real products, with the facts that another reader found in
 * them: each is read, written, and read again, and says the same.  They lie beside the project
 * (../shared/corpus); without them this test is skipped.
 */
#include "base/buf.h"
#include "package/format.h"
#include "package/source.h"
#include "tests/check.h"
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *corpus;
static char dir[] = "/dev/shm/mimic-ovf-XXXXXX";
static unsigned read_ok, refused;

/* The value that holds without a deployment option. */
static json_int_t plain_value(const json_t *list)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        if (json_is_null(json_array_get(v, json_array_size(v) - 1)) &&
            json_is_string(json_array_get(v, 0)))
            return atoll(json_string_value(json_array_get(v, 0)));
    }
    return 0;
}

static void compare(const struct desc *d, const json_t *facts)
{
    const json_t *ovf = json_object_get(facts, "ovf"), *systems, *system;
    size_t i = 0;

    ovf = ovf ? ovf : facts;
    systems = json_object_get(ovf, "systems");
    for (; d; d = d->next, i++) {
        json_int_t cpus;
        size_t nics = 0;

        system = json_array_get(systems, i);
        cpus = plain_value(json_object_get(system, "cpu"));
        for (const struct desc_nic *c = d->nics; c; c = c->next)
            nics++;
        if (!json_object_get(ovf, "deployment")) {
            if (cpus)
                CHECK_EQ(d->cpus, cpus);
            CHECK_EQ(nics, json_array_size(json_object_get(system, "nics")));
        }
        if (json_string_value(json_object_get(system, "name")))
            CHECK_TEXT(d->name, json_string_value(json_object_get(system, "name")));
    }
    CHECK_EQ(i, json_array_size(systems));
}

/* ---- A, described, is A' described ---- */

/* Members that say where things lie on this host, or were said otherwise but mean the same */
static const char *const elsewhere[] = { "source", "path",   "container", "offset", "length",
                                         "format", "parent", "pieces",    "product" };

static void strip(json_t *j)
{
    const char *key;
    json_t *v;
    size_t i;
    void *n;

    for (i = 0; i < LEN(elsewhere); i++)
        if (!json_object_get(j, "key"))
            json_object_del(j, elsewhere[i]);
    if (json_is_null(json_object_get(j, "foreign")))
        json_object_set_new(j, "foreign", json_string("?"));
    json_object_foreach_safe(j, n, key, v) strip(v);
    json_array_foreach(j, i, v) strip(v);
}

/* Devices whose kind the package left open have one when it is written. */
static void same_foreign(json_t *a, json_t *b)
{
    const char *key;
    json_t *v;
    size_t i;

    if (json_is_string(json_object_get(a, "foreign")) &&
        !strcmp(json_string_value(json_object_get(a, "foreign")), "?"))
        json_object_set_new(b, "foreign", json_string("?"));
    json_object_foreach(a, key, v) same_foreign(v, json_object_get(b, key));
    json_array_foreach(a, i, v) same_foreign(v, json_array_get(b, i));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A list of extras as sorted lines: their order is not what they say. */
static void sort_extras(json_t *vm)
{
    json_t *list = json_object_get(vm, "extras"), *sorted = json_array();
    size_t n = json_array_size(list);
    char **text = calloc(n + 1, sizeof(*text));

    for (size_t i = 0; i < n; i++)
        text[i] = json_dumps(json_array_get(list, i), JSON_SORT_KEYS);
    qsort(text, n, sizeof(*text), by_text);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(sorted, json_string(text[i]));
        free(text[i]);
    }
    free(text);
    json_object_set_new(vm, "extras", sorted);
}

static json_t *told(const struct desc *d)
{
    struct buf b = { 0 };
    json_t *j, *vm;
    size_t i;

    CHECK_EQ(desc_json(d, NULL, &b), 0);
    j = json_loadb((char *)b.p, b.len, 0, NULL);
    buf_fini(&b);
    strip(j);
    sort_extras(j);
    json_array_foreach(json_object_get(j, "further"), i, vm) sort_extras(vm);
    return j;
}

/* The lines that differ, for whoever reads the failure. */
static void differ(const char *name, json_t *a, json_t *b)
{
    char path[100], command[300];

    CHECK(!"the same description");
    printf("# %s is not the same when it is written and read again\n", name);
    snprintf(path, sizeof(path), "%s/a", dir);
    json_dump_file(a, path, JSON_INDENT(1) | JSON_SORT_KEYS);
    snprintf(path, sizeof(path), "%s/b", dir);
    json_dump_file(b, path, JSON_INDENT(1) | JSON_SORT_KEYS);
    snprintf(command, sizeof(command), "diff -U0 %s/a %s/b | cut -c1-300 | sed 's/^/# /'", dir,
             dir);
    fflush(stdout);
    if (getenv("CORPUS_SAY"))
        CHECK(system(command) >= 0);
}

static void again(const char *name, const struct desc *d)
{
    struct package_options o = { .verify = true, .no_disks = true, .describe = true };
    struct notes n = { 0 };
    struct err e = { 0 };
    struct desc back;
    json_t *a, *b;
    char to[200];
    int r;

    snprintf(to, sizeof(to), "%s/again.ovf", dir);
    r = package_write(to, &o, d, &n, &e);
    if (r) {
        printf("# %s: %s\n", name, e.text);
        CHECK_EQ(r, 0);
        notes_fini(&n);
        return;
    }
    desc_init(&back);
    CHECK_EQ(package_open(to, &o, &back, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    if (!e.text[0]) {
        a = told(d);
        b = told(&back);
        same_foreign(a, b);
        if (!json_equal(a, b))
            differ(name, a, b);
        json_decref(a);
        json_decref(b);
    }
    desc_fini(&back);
    notes_fini(&n);
    unlink(to);
    snprintf(to, sizeof(to), "%s/again.mf", dir);
    unlink(to);
}

/* Most disks were not kept with their descriptors: all are empty files, left where they are. */
static void give_disks(struct desc *d)
{
    static char path[64][100];
    u32 n = 0;

    for (; d; d = d->next)
        for (struct desc_disk *k = d->disks; k && n < LEN(path); k = k->next)
            if (k->source) {
                FILE *f;

                snprintf(path[n], sizeof(path[n]), "%s/disk%u", dir, n);
                f = fopen(path[n], "ae");
                if (f)
                    fclose(f);
                k->path = path[n++];
                k->offset = k->length = 0;
                k->container = NULL;
            }
}

static void try_one(const char *name, const char *facts)
{
    struct package_options o = { .verify = true, .describe = true };
    struct notes n = { 0 };
    struct err e = { 0 };
    struct desc d;
    char from[5000];

    snprintf(from, sizeof(from), "%s/%s", corpus, name);
    if (access(from, F_OK))
        return;
    desc_init(&d);
    if (package_open(from, &o, &d, &n, &e)) {
        refused++;
        CHECK(e.text[0]);
        CHECK(e.code == -EOPNOTSUPP || e.code == -EBADMSG || e.code == -EINVAL);
        if (getenv("CORPUS_SAY"))
            printf("# %s\n", e.text);
    } else {
        json_t *j = json_loads(facts, 0, NULL);
        int bad = check_failed_now;

        read_ok++;
        check_failed_now = 0;
        compare(&d, j);
        json_decref(j);
        give_disks(&d);
        again(name, &d);
        if (check_failed_now)
            printf("# in %s\n", name);
        check_failed_now |= bad;
    }
    notes_fini(&n);
    desc_fini(&d);
}

static void packages_of_products(void)
{
    char index[5000];
    static char line[200000];
    FILE *f;

    corpus = check_corpus();
    if (!corpus)
        return;
    snprintf(index, sizeof(index), "%s/INDEX.tsv", corpus);
    f = fopen(index, "re");
    CHECK(f);
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        char *cell = line, *name = strsep(&cell, "\t"), *facts = strrchr(cell ? cell : "", '\t');

        if (source_has_suffix(name, ".ovf") || source_has_suffix(name, ".ova"))
            try_one(name, facts ? facts + 1 : "");
    }
    fclose(f);
    printf("# %u read, %u refused\n", read_ok, refused);
    CHECK(read_ok > 200);
}

int main(void)
{
    char command[100];

    if (!mkdtemp(dir))
        return 1;
    CASE(packages_of_products);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
