/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mimic check of a package: its description, the digests of its manifest, its signature, and
 * every disk with its chain.  Each is told by itself; one that is wrong does not hide the rest.
 */
#include "base/progress.h"
#include "cmd/check.h"
#include "cmd/disk.h"
#include "desc/disk.h"
#include "package/manifest.h"
#include "package/signature.h"
#include "package/source.h"
#include <errno.h>
#include <string.h>

struct report {
    const struct check_package *how;
    json_t *all, *findings; /* findings: of the disk that is being looked at */
    u32 wrong;
    int first; /* the first error that is no damage */
    struct disk_work work;
};

static void report_line(struct report *p, const char *key, const char *result, const char *why)
{
    if (p->how->json) {
        json_t *j = json_pack("{ss}", "result", result);

        if (why)
            json_object_set_new(j, "text", disk_json_text(why));
        json_object_set_new(p->all, key, j);
    } else {
        printf("%-12s %s%s%s\n", key, result, why ? ": " : "", why ? why : "");
    }
}

static void report_wrong(struct report *p, const char *key, int r, const struct err *e)
{
    bool damage = r == -EBADMSG || r == -EIO || r == -EPROTO || r == -EINVAL || r == -ENOENT ||
                  r == -EPERM || r == -EEXIST || r == -E2BIG;

    if (damage)
        p->wrong++;
    else if (!p->first)
        p->first = r;
    report_line(p, key, damage ? "wrong" : "not checked", e->text[0] ? e->text : strerror(-r));
}

static void check_progress(void *arg, const char *what, u64 done, u64 total)
{
    struct report *p = arg;

    (void)what;
    p->work.work.progress(p->work.work.arg, done, total);
}

static void check_digests(struct report *p, struct source *s)
{
    const struct source_file *manifest = source_companion(s, ".mf");
    struct package_options o = { .verify = true, .progress = check_progress, .arg = p };
    struct notes notes = { 0 };
    struct err e = { 0 };
    int r;

    if (!manifest) {
        report_line(p, "digests", "none", "the package has no manifest");
        return;
    }
    disk_work_begin(&p->work, "digests");
    r = manifest_verify(s, manifest, &o, &notes, &e);
    disk_work_end(&p->work);
    if (r)
        report_wrong(p, "digests", r, &e);
    else
        report_line(p, "digests", "right", NULL);
    for (const struct note *k = r ? NULL : notes.first; k && !p->how->json; k = k->next)
        printf("%-12s   %s: %s\n", "", k->where, k->text);
    notes_fini(&notes);
}

static void check_signature(struct report *p, struct source *s)
{
    const struct source_file *manifest = source_companion(s, ".mf");
    const struct source_file *cert = source_companion(s, ".cert");
    struct signature g = { 0 };
    struct err e = { 0 };
    char text[600];
    int r;

    if (!manifest || !cert) {
        report_line(p, "signature", "none", NULL);
        return;
    }
    r = signature_verify(manifest, cert, p->how->authority, &g, &e);
    if (r) {
        report_wrong(p, "signature", r, &e);
        return;
    }
    snprintf(text, sizeof(text), "%s by \"%s\"", g.method, g.subject);
    p->wrong += !g.right;
    report_line(p, "signature", g.right ? "right" : "wrong", text);
    report_line(p, "chain", g.trusted ? "trusted" : "not trusted", g.trusted ? g.issuer : g.why);
    snprintf(text, sizeof(text), "until %s", g.until);
    report_line(p, "valid", g.expired ? "expired" : "yes", text);
}

static void check_finding(void *arg, const char *text)
{
    struct report *p = arg;

    if (p->how->json)
        json_array_append_new(p->findings, disk_json_text(text));
    else
        printf("  %s\n", text);
}

static int check_disk_of(struct report *p, const struct desc_disk *k, struct err *e)
{
    struct check_image image = { .read = p->how->read, .say = check_finding, .arg = p };
    struct desc_image d;
    int r = desc_image(k, &d, e);

    if (r)
        return r;
    disk_work_begin(&p->work, k->name);
    image.work = &p->work.work;
    r = check_image(&d.how, &image, e);
    disk_work_end(&p->work);
    desc_image_fini(&d);
    return r;
}

static void check_disks(struct report *p, const struct desc *d)
{
    char key[100];

    for (const struct desc *v = d; v; v = v->next)
        for (const struct desc_disk *k = v->disks; k; k = k->next) {
            struct err e = { 0 };
            int r;

            if (!k->source)
                continue;
            if (d->next)
                snprintf(key, sizeof(key), "%.60s/%.30s", v->name, k->name);
            else
                snprintf(key, sizeof(key), "%.60s", k->name);
            p->findings = p->how->json ? json_array() : NULL;
            r = check_disk_of(p, k, &e);
            if (r)
                report_wrong(p, key, r, &e);
            else
                report_line(p, key, "clean", k->source);
            if (p->findings)
                json_object_set_new(json_object_get(p->all, key), "findings", p->findings);
        }
}

static int check_end_report(struct report *p, const char *path)
{
    const char *result = p->wrong ? "damaged" : p->first ? "not checked" : "clean";

    if (p->how->json) {
        json_object_set_new(p->all, "package", disk_json_text(path));
        json_object_set_new(p->all, "result", json_string(result));
        disk_json_print(p->all);
    } else {
        printf("%s: %s\n", path, result);
    }
    return p->wrong ? EXIT_DATA : exit_code(p->first);
}

/* The archive itself cannot be read any further, or its files can. */
static void check_files(struct report *p, const char *path)
{
    char *main = package_main(path, NULL);
    struct source s;
    int r = main ? source_open(&s, main, NULL) : -ENOENT;

    free(main);
    if (r)
        return; /* said already */
    if (s.kind == SOURCE_TAR || source_has_suffix(s.main->name, ".ovf")) {
        check_digests(p, &s);
        check_signature(p, &s);
    }
    source_close(&s);
}

int check_package(const struct check_package *how, const char *path)
{
    struct package_options o = { .trust = how->authority };
    struct report p = { .how = how };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct desc d;
    int r;

    desc_init(&d);
    r = package_open(path, &o, &d, &notes, &e);
    if (r == -ENOENT) {
        desc_fini(&d);
        notes_fini(&notes);
        return -ENOENT;
    }
    p.all = how->json ? json_object() : NULL;
    if (r)
        report_wrong(&p, "description", r, &e);
    else
        report_line(&p, "description", "right", d.name);
    for (const struct note *k = notes.first; k && !how->json; k = k->next)
        if (k->kind == NOTE_LOST)
            printf("%-12s   %s: %s\n", "", k->where, k->text);
    if (strcmp(path, "-"))
        check_files(&p, path);
    if (!r)
        check_disks(&p, &d);
    r = check_end_report(&p, path);
    notes_fini(&notes);
    desc_fini(&d);
    return r;
}
