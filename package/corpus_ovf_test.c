/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors and packages of real products, with the facts that another reader found in
 * them.  They lie beside the project (../shared/corpus); without them this test is skipped.
 */
#include "package/format.h"
#include "package/source.h"
#include "package/xml.h"
#include "tests/check.h"
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

static char corpus[4096], dir[] = "/dev/shm/mimic-ovf-XXXXXX";

/* Empty files for what the descriptor refers to: only the descriptors were kept. */
static void touch_files(const char *text, size_t n)
{
    struct arena a = { 0 };
    struct xml_node *root;
    const struct xml_node *refs;

    if (!xml_parse(&a, text, n, "x", &root, NULL, NULL)) {
        refs = xml_child(root, "References");
        for (const struct xml_node *f = xml_child(refs, "File"); f; f = xml_next(f, "File")) {
            const char *href = xml_attr(f, "href");
            char path[600];
            FILE *out;

            if (!href || strlen(href) > 300 || strchr(href, '/'))
                continue;
            snprintf(path, sizeof(path), "%s/%s", dir, href);
            out = fopen(path, "ae");
            if (out)
                fclose(out);
        }
    }
    arena_fini(&a);
}

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

static void compare(const char *name, const struct desc *d, const json_t *facts)
{
    const json_t *ovf = json_object_get(facts, "ovf"), *system;
    json_int_t cpus;
    size_t nics = 0;

    ovf = ovf ? ovf : facts;
    system = json_array_get(json_object_get(ovf, "systems"), 0);
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
    if (check_failed_now)
        printf("# in %s\n", name);
}

static unsigned read_ok, refused;

static void try_one(const char *name, const char *facts)
{
    struct package_options o = { .verify = true };
    char from[5000], to[600];
    struct source_file f = { .name = name, .path = from };
    struct notes n = { 0 };
    struct err e = { 0 };
    struct buf b;
    struct stat st;
    struct desc d;
    FILE *out;

    snprintf(from, sizeof(from), "%s/%s", corpus, name);
    snprintf(to, sizeof(to), "%s/%.300s", dir, source_base(name));
    if (stat(from, &st))
        return;
    f.size = (u64)st.st_size;
    CHECK_EQ(source_load(&f, 64 << 20, &b, NULL), 0);
    out = fopen(to, "we");
    CHECK(out && fwrite(b.p, 1, b.len, out) == b.len);
    if (out)
        fclose(out);
    if (source_has_suffix(name, ".ovf"))
        touch_files((char *)b.p, b.len);
    desc_init(&d);
    if (package_open(to, &o, &d, &n, &e)) {
        refused++;
        CHECK(e.text[0]);
        CHECK(e.code == -EOPNOTSUPP || e.code == -EBADMSG || e.code == -ENOENT || e.code == -EPERM);
    } else {
        json_t *j = json_loads(facts, 0, NULL);

        read_ok++;
        compare(name, &d, j);
        json_decref(j);
    }
    notes_fini(&n);
    desc_fini(&d);
    buf_fini(&b);
}

static void packages_of_products(void)
{
    char index[5000], line[70000];
    FILE *f;

    snprintf(index, sizeof(index), "%s/INDEX.tsv", corpus);
    f = fopen(index, "re");
    if (!f) {
        check_skip("no corpus beside the project");
        return;
    }
    while (fgets(line, sizeof(line), f)) {
        char *cell = line, *name = strsep(&cell, "\t"), *facts = strrchr(cell ? cell : "", '\t');

        if (source_has_suffix(name, ".ovf") || source_has_suffix(name, ".ova"))
            try_one(name, facts ? facts + 1 : "");
    }
    fclose(f);
    printf("# %u read, %u refused\n", read_ok, refused);
    CHECK(read_ok > 50);
}

int main(void)
{
    const char *source = getenv("MIMIC_SOURCE");
    char command[100];

    snprintf(corpus, sizeof(corpus), "%s/../shared/corpus", source ? source : ".");
    if (access(corpus, F_OK))
        snprintf(corpus, sizeof(corpus), "%s/../../shared/corpus", source ? source : ".");
    if (!mkdtemp(dir))
        return 1;
    CASE(packages_of_products);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
