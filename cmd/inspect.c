/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic inspect: what is in a package or a disk image. */
#include "cmd/commands.h"
#include "cmd/open.h"
#include "desc/disk.h"
#include "image/image.h"
#include "package/format.h"
#include <errno.h>
#include <string.h>

struct inspect_options {
    const char *to, *option, *language, *trust, *format;
    bool json, no_verify, lost;
};

static const struct opt inspect_opts[] = {
    { "json", OPT_FLAG, offsetof(struct inspect_options, json), NULL, NULL,
      "print one JSON object" },
    { "no-verify", OPT_FLAG, offsetof(struct inspect_options, no_verify), NULL, NULL,
      "do not check the manifest's digests" },
    { "lost", OPT_FLAG, offsetof(struct inspect_options, lost), NULL, NULL,
      "tell what a conversion into --to would change and lose" },
    { "to", OPT_TEXT, offsetof(struct inspect_options, to), "FORMAT", NULL,
      "a format of packages, for --lost" },
    { "option", OPT_TEXT, offsetof(struct inspect_options, option), "ID", NULL,
      "which deployment option of an OVF" },
    { "language", OPT_TEXT, offsetof(struct inspect_options, language), "TAG", NULL,
      "of the package's texts, such as de-AT" },
    { "authority", OPT_TEXT, offsetof(struct inspect_options, trust), "FILE", NULL,
      "PEM certificates that signatures are trusted by, instead of the system's" },
    { "format", OPT_TEXT, offsetof(struct inspect_options, format), "NAME", NULL,
      "format of a bare image whose name does not say it, such as raw" },
};

static void inspect_text(const char *key, const char *text)
{
    if (text)
        printf("%-10s %s\n", key, text);
}

static void inspect_machine(const struct desc *d)
{
    char sockets[40] = "";

    inspect_text("name", d->name);
    inspect_text("made by", d->product);
    inspect_text("guest", d->guest_os);
    inspect_text("persona", d->persona);
    if (d->hardware_version)
        printf("hardware   version %u\n", d->hardware_version);
    inspect_text("machine", d->machine);
    printf("firmware   %s%s%s\n", d->firmware == DESC_EFI ? "EFI" : "BIOS",
           d->secure_boot ? ", secure boot" : "", d->tpm ? ", TPM" : "");
    if (d->cores_per_socket > 1)
        snprintf(sockets, sizeof(sockets), ", %u to a socket", d->cores_per_socket);
    printf("cpus       %u%s\nmemory     %llu MiB\n", d->cpus, sockets,
           (unsigned long long)d->memory >> 20);
    inspect_text("clock", d->clock);
    inspect_text("display", d->display);
    if (d->video_memory)
        printf("video      %llu KiB\n", (unsigned long long)d->video_memory >> 10);
    inspect_text("sound", d->sound);
    inspect_text("variables", d->nvram);
    inspect_text("kernel", d->kernel);
    inspect_text("initrd", d->initrd);
    inspect_text("append", d->append);
}

/* The chain of a disk's image: whose parent is whose, and whether they are there. */
static void inspect_chain(const struct desc_disk *k)
{
    struct desc_image open;
    struct image *im;
    struct err e = { 0 };

    if (desc_image(k, &open, &e) || image_open(&im, &open.how, &e)) {
        printf("             cannot be opened: %s\n", e.text);
        desc_image_fini(&open);
        return;
    }
    printf("             %s", image_format_name(im));
    for (const struct image *p = image_parent(im); p; p = image_parent(p))
        printf(" over %s (%s)", image_path(p), image_format_name(p));
    printf(", %llu MiB\n", (unsigned long long)image_size(im) >> 20);
    image_close(im, NULL);
    desc_image_fini(&open);
}

static void inspect_devices(const struct desc *d)
{
    static const char *const media[] = { "disk", "cd", "floppy" };

    for (const struct desc_device *v = d->devices; v; v = v->next)
        printf("device     %s: %s%s\n", v->name, v->class, v->known ? "" : " (not here yet)");
    for (const struct desc_disk *k = d->disks; k; k = k->next) {
        printf("%-10s %s: %s on %s:%u%s", media[k->media], k->name,
               k->source     ? k->source
               : k->capacity ? "(new)"
                             : "(empty)",
               k->controller ? k->controller : "?", k->unit,
               k->mode == DESC_THROWAWAY ? ", changes thrown away" : "");
        if (k->boot)
            printf(", boot %u", k->boot);
        if (k->serial)
            printf(", serial %s", k->serial);
        printf("\n");
        if (k->source)
            inspect_chain(k);
    }
    for (const struct desc_nic *c = d->nics; c; c = c->next) {
        printf("network    %s: %s", c->name, c->class);
        if (c->has_mac)
            printf(" %02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2], c->mac[3],
                   c->mac[4], c->mac[5]);
        printf("%s%s%s", c->network ? " on " : "", c->network ? c->network : "",
               c->connected ? "" : ", not connected");
        if (c->boot)
            printf(", boot %u", c->boot);
        printf("\n");
    }
    for (const struct desc_port *p = d->ports; p; p = p->next)
        printf("%-10s %s: %s%s%s\n", p->kind == DESC_SERIAL ? "serial" : "parallel", p->name, p->to,
               p->target ? " " : "", p->target ? p->target : "");
}

static void inspect_rest(const struct desc *d)
{
    u32 extras = 0;

    for (const struct desc_property *p = d->properties; p; p = p->next)
        printf("property   %s%s%s = \"%s\"%s%s\n", p->class ? p->class : "", p->class ? "." : "",
               p->key, p->password ? "(not shown)" : p->value, p->label ? "  " : "",
               p->label ? p->label : "");
    for (const struct desc_snapshot *s = d->snapshots; s; s = s->next)
        printf("snapshot   %s: %s%s%s%s%s%s\n", s->id, s->name, s->time ? ", " : "",
               s->time ? s->time : "", s->parent ? ", after " : "", s->parent ? s->parent : "",
               s->current ? ", current" : "");
    for (const struct desc_file *f = d->files; f; f = f->next)
        printf("file       %s\n", f->name);
    inspect_text("annotation", d->annotation);
    for (const struct desc_extra *x = d->extras; x; x = x->next)
        extras++;
    if (extras)
        printf("further    %u settings are kept for writing back (--json shows them)\n", extras);
}

static void inspect_show(const struct desc *d, const struct notes *n)
{
    for (; d; d = d->next) {
        inspect_machine(d);
        inspect_devices(d);
        inspect_rest(d);
        if (d->next)
            printf("\n");
    }
    open_show_notes(n, stdout, true);
}

/* What another format has no place for. */
static int inspect_lost(const struct inspect_options *o, const struct desc *d, struct err *e)
{
    struct package_options p = { .format = o->to };
    struct notes n = { 0 };
    struct buf b = { 0 };
    int r;

    if (!o->to)
        return err_set(e, -EINVAL, "--lost needs --to FORMAT");
    r = package_try(&p, d, &n, e);
    if (!r && o->json) {
        r = desc_json(d, &n, &b);
        if (!r)
            printf("%.*s\n", (int)b.len, (const char *)b.p);
    } else if (!r) {
        open_show_notes(&n, stdout, false);
    }
    buf_fini(&b);
    notes_fini(&n);
    return r;
}

static int inspect_run(int argc, char **argv)
{
    struct inspect_options o = { 0 };
    struct open_how how = { 0 };
    struct opt_list files = { 0 };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct desc d;
    int r = opt_parse(&command_inspect, argc, argv, &o, &files, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && files.n != 1)
        r = err_set(&e, -EINVAL, "expected one file; see mimic inspect --help");
    if (r) {
        fprintf(stderr, "mimic inspect: %s\n", e.text);
        return EXIT_USE;
    }
    how.path = files.v[0];
    how.verify = !o.no_verify;
    how.describe = true;
    how.option = o.option;
    how.language = o.language;
    how.trust = o.trust;
    how.format = o.format;
    desc_init(&d);
    r = open_vm(&how, &d, &notes, &e);
    if (!r && (o.lost || o.to)) {
        r = inspect_lost(&o, &d, &e);
    } else if (!r && o.json) {
        struct buf b = { 0 };

        r = desc_json(&d, &notes, &b);
        if (!r)
            printf("%.*s\n", (int)b.len, (const char *)b.p);
        buf_fini(&b);
    } else if (!r) {
        inspect_show(&d, &notes);
    }
    if (r)
        fprintf(stderr, "mimic inspect: %s\n", e.text[0] ? e.text : strerror(-r));
    notes_fini(&notes);
    desc_fini(&d);
    return exit_code(r);
}

const struct command command_inspect = {
    .name = "inspect",
    .args = "FILE",
    .about = "Tell what is in a VM package or a disk image",
    .text =
        "Reads the description, checks the manifest's digests, and says what was kept, changed\n"
        "or lost.  Every VM of the package is shown with its disks and their chains.  --lost\n"
        "--to FORMAT tells what a conversion would lose.",
    .opts = inspect_opts,
    .nopts = LEN(inspect_opts),
    .run = inspect_run,
    .examples = "mimic inspect appliance.ova\nmimic inspect --json appliance.ova\n"
                "mimic inspect --lost --to vmx appliance.ova\n",
};
