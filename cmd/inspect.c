/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic inspect: what is in a package or a disk image. */
#include "cmd/commands.h"
#include "cmd/open.h"
#include "image/image.h"
#include <errno.h>
#include <string.h>

struct inspect_options {
    bool json, no_verify;
};

static const struct opt inspect_opts[] = {
    { "json", OPT_FLAG, offsetof(struct inspect_options, json), NULL, NULL,
      "print one JSON object" },
    { "no-verify", OPT_FLAG, offsetof(struct inspect_options, no_verify), NULL, NULL,
      "do not check the manifest's digests" },
};

static void inspect_show(const struct desc *d, const struct notes *n)
{
    printf("name       %s\n", d->name);
    if (d->product)
        printf("made by    %s\n", d->product);
    if (d->guest_os)
        printf("guest      %s\n", d->guest_os);
    printf("persona    %s\n", d->persona);
    if (d->hardware_version)
        printf("hardware   version %u\n", d->hardware_version);
    printf("firmware   %s\n", d->firmware == DESC_EFI ? "EFI" : "BIOS");
    printf("cpus       %u\nmemory     %llu MiB\n", d->cpus, (unsigned long long)d->memory >> 20);
    for (const struct desc_device *v = d->devices; v; v = v->next)
        printf("device     %s: %s%s\n", v->name, v->class, v->known ? "" : " (not here yet)");
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        printf("%-10s %s: %s on %s:%u, %llu MiB\n", k->media == DESC_CDROM ? "cd" : "disk", k->name,
               k->source ? k->source : "(empty)", k->controller ? k->controller : "?", k->unit,
               (unsigned long long)k->capacity >> 20);
    for (const struct desc_nic *c = d->nics; c; c = c->next) {
        printf("network    %s: %s", c->name, c->class);
        if (c->has_mac)
            printf(" %02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2], c->mac[3],
                   c->mac[4], c->mac[5]);
        printf("%s%s\n", c->network ? " on " : "", c->network ? c->network : "");
    }
    open_show_notes(n, stdout, true);
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
    desc_init(&d);
    r = open_vm(&how, &d, &notes, &e);
    if (!r && o.json) {
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
    .text = "Reads the description, checks the manifest's digests, and says what would be kept,\n"
            "changed or lost when it runs here.",
    .opts = inspect_opts,
    .nopts = LEN(inspect_opts),
    .run = inspect_run,
    .examples = "  mimic inspect appliance.ova\n  mimic inspect --json appliance.ova\n",
};
