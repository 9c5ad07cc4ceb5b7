/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic convert: a package, or a bare disk image, into a package of another format. */
#include "base/progress.h"
#include "cmd/commands.h"
#include "cmd/open.h"
#include "package/sink.h"
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct convert_options {
    const char *format, *image_format, *vm, *name, *disk_format, *digest, *key, *cert;
    const char *option, *language, *version, *trust;
    struct opt_list properties;
    bool no_disks, no_verify, strict, json, quiet;
};

#define AT(member) offsetof(struct convert_options, member)
static const struct opt convert_opts[] = {
    { "format", OPT_TEXT, AT(format), "FORMAT", NULL, "of the new package; else by TO's suffix" },
    { "vm", OPT_TEXT, AT(vm), "NAME", NULL, "only this VM of a package of several" },
    { "name", OPT_TEXT, AT(name), "NAME", NULL, "what the new VM is called" },
    { "no-disks", OPT_FLAG, AT(no_disks), NULL, NULL,
      "write the description only; it refers to the disks where they are" },
    { "disk-format", OPT_TEXT, AT(disk_format), "F[:VARIANT]", NULL,
      "of the disks, as vmdk:streamOptimized; else what suits the package" },
    { "digest", OPT_TEXT, AT(digest), "NAME", "sha256 sha1 sha512 none", "in the manifest" },
    { "sign", OPT_TEXT, AT(key), "KEY", NULL, "sign the manifest with this PEM key" },
    { "cert", OPT_TEXT, AT(cert), "CERT", NULL, "the PEM certificate of --sign" },
    { "image-format", OPT_TEXT, AT(image_format), "FORMAT", NULL,
      "of FROM when it is a bare disk image, above all raw" },
    { "no-verify", OPT_FLAG, AT(no_verify), NULL, NULL, "do not check FROM's digests" },
    { "authority", OPT_TEXT, AT(trust), "FILE", NULL,
      "PEM certificates that FROM's signature is trusted by, instead of the system's" },
    { "option", OPT_TEXT, AT(option), "ID", NULL, "which deployment option of an OVF" },
    { "language", OPT_TEXT, AT(language), "TAG", NULL, "of FROM's texts, such as de-AT" },
    { "property", OPT_LIST, AT(properties), "KEY=VALUE", NULL,
      "a property of the appliance; again for more" },
    { "format-version", OPT_TEXT, AT(version), "V", NULL, "of the new package's format: 2.0" },
    { "strict", OPT_FLAG, AT(strict), NULL, NULL, "fail when anything would be lost" },
    { "json", OPT_FLAG, AT(json), NULL, NULL, "report as one JSON object" },
    { "quiet", OPT_FLAG, AT(quiet), NULL, NULL, "report only what is changed or lost", 'q' },
};

static void convert_progress(void *arg, const char *what, u64 done, u64 total)
{
    struct progress *p = arg;

    if (!p->what || strcmp(p->what, what))
        progress_start(p, what);
    progress_show(p, done, total);
}

static json_t *convert_list(const struct notes *n, enum note_kind kind)
{
    json_t *list = json_array();

    for (const struct note *k = n->first; k; k = k->next)
        if (k->kind == kind) {
            json_t *one = json_pack("{ss ss}", "where", k->where, "text", k->text);

            json_array_append_new(list, one ? one : json_pack("{ss}", "where", "?"));
        }
    return list;
}

static void convert_json(const char *from, const char *to, const struct desc *d,
                         const struct notes *n, const char *vm, FILE *f)
{
    json_t *names = json_array(), *all;

    for (; d; d = d->next)
        if (!vm || !strcmp(vm, d->name))
            json_array_append_new(names, json_string(d->name));
    all = json_pack("{ss ss so so so so}", "from", from, "to", to, "vms", names, "kept",
                    convert_list(n, NOTE_KEPT), "changed", convert_list(n, NOTE_CHANGED), "lost",
                    convert_list(n, NOTE_LOST));
    if (all)
        json_dumpf(all, f, JSON_INDENT(2));
    fputc('\n', f);
    json_decref(all);
}

static void convert_report(const char *to, const struct notes *n, bool quiet, FILE *f)
{
    u32 lost = 0, changed = 0;

    for (const struct note *k = n->first; k; k = k->next) {
        lost += k->kind == NOTE_LOST;
        changed += k->kind == NOTE_CHANGED;
    }
    open_show_notes(n, f, !quiet);
    if (!quiet)
        fprintf(f, "%s: written; %u changed, %u lost\n", to, changed, lost);
}

/* Ctrl-C: what is half written goes too. */
static void *convert_stop(void *arg)
{
    int signal;

    sigwait(arg, &signal);
    sink_abandon();
    fprintf(stderr, "\nmimic convert: interrupted; nothing was written\n");
    _exit(EXIT_INTERRUPTED);
}

static void convert_watch(void)
{
    static sigset_t stop;
    pthread_t thread;

    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    if (!pthread_create(&thread, NULL, convert_stop, &stop))
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
}

static int convert_do(const struct convert_options *o, const char *from, const char *to,
                      struct desc *d, struct notes *n, struct err *e)
{
    struct progress bar = { 0 };
    struct open_how how = { .path = from,
                            .verify = !o->no_verify,
                            .format = o->image_format,
                            .format_by = "image-format",
                            .pull = !o->no_disks,
                            .strict = o->strict,
                            .option = o->option,
                            .language = o->language,
                            .trust = o->trust,
                            .properties = &o->properties };
    struct package_options p = {
        .verify = !o->no_verify,
        .strict = o->strict,
        .progress = convert_progress,
        .arg = &bar,
        .format = o->format,
        .version = o->version,
        .vm = o->vm,
        .disk_format = o->disk_format,
        .digest = o->digest,
        .key = o->key,
        .cert = o->cert,
        .no_disks = o->no_disks,
    };
    int r;

    if (!o->key != !o->cert)
        return err_set(e, -EINVAL, "--sign needs --cert, and --cert needs --sign");
    r = package_target(to, &p, e);
    if (r)
        return r; /* before a long look at the source */
    r = open_vm(&how, d, n, e);
    if (!r && o->name) {
        struct desc *v = d;

        while (v && o->vm && strcmp(v->name, o->vm))
            v = v->next;
        if (v)
            v->name = o->name;
        p.vm = o->vm ? o->name : NULL;
    }
    r = r ? r : package_write(to, &p, d, n, e);
    progress_end(&bar);
    return r;
}

static int convert_run(int argc, char **argv)
{
    struct convert_options o = { 0 };
    struct opt_list files = { 0 };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct desc d;
    FILE *f;
    int r = opt_parse(&command_convert, argc, argv, &o, &files, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && files.n != 2)
        r = err_set(&e, -EINVAL, "expected FROM and TO; see mimic convert --help");
    if (r) {
        fprintf(stderr, "mimic convert: %s\n", e.text);
        return EXIT_USE;
    }
    f = strcmp(files.v[1], "-") ? stdout : stderr;
    convert_watch();
    desc_init(&d);
    r = convert_do(&o, files.v[0], files.v[1], &d, &notes, &e);
    if (r)
        fprintf(stderr, "mimic convert: %s\n", e.text[0] ? e.text : strerror(-r));
    else if (o.json)
        convert_json(files.v[0], files.v[1], &d, &notes, o.name && o.vm ? o.name : o.vm, f);
    else
        convert_report(files.v[1], &notes, o.quiet, f);
    notes_fini(&notes);
    desc_fini(&d);
    return exit_code(r);
}

const struct command command_convert = {
    .name = "convert",
    .args = "FROM TO",
    .about = "Convert a VM package, or a bare disk image, into a package of another format",
    .text =
        "FROM is whatever mimic inspect understands.  TO ends with the suffix of a format\n"
        "(.ova, .ovf, .vmx ...), the disks then stand beside it or in it; with --format it may\n"
        "be the name of a new directory.  TO \"-\" is a pipe, for archives and for descriptions\n"
        "without disks.  The digests of FROM are checked, the report tells by name what was\n"
        "kept, changed and lost.  TO appears when it is complete; it must not exist before.",
    .opts = convert_opts,
    .nopts = LEN(convert_opts),
    .run = convert_run,
    .examples = "mimic convert appliance.ova vm/web.vmx\n"
                "mimic convert web.vmx web.ova --digest sha1\n"
                "mimic convert disk.qcow2 web.ova --name web\n"
                "mimic convert appliance.ova - --format libvirt --no-disks\n",
};
