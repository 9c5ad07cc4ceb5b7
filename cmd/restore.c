/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic restore: a saved VM goes on, in this terminal; or another VM like it begins. */
#include "cmd/boot.h"
#include "cmd/commands.h"
#include "vm/control.h"
#include "vm/saved.h"
#include "vm/vm.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct restore_options {
    const char *engine, *irqchip, *console, *display, *vnc, *vnc_password, *vnc_tls, *state;
    bool copy, revert, check, json, quiet, stats;
};
#define RESTORE_AT(m) offsetof(struct restore_options, m)
static const struct opt restore_opts[] = {
    { "as-copy", OPT_FLAG, RESTORE_AT(copy), NULL, NULL,
      "another VM: new name, UUID, MAC addresses, and writes of its own" },
    { "revert", OPT_FLAG, RESTORE_AT(revert), NULL, NULL,
      "give up what the VM wrote since it was saved" },
    { "engine", OPT_TEXT, RESTORE_AT(engine), "NAME", "auto kvm translate interpret",
      "CPU engine, instead of the one that was asked for then" },
    { "irqchip", OPT_TEXT, RESTORE_AT(irqchip), "WHERE", "auto user split kernel",
      "with KVM: interrupt controllers in this program, local APICs in the kernel, or all there" },
    { "console", OPT_TEXT, RESTORE_AT(console), "WHICH", "serial vga none",
      "what this terminal shows; Ctrl-] leaves" },
    { "display", OPT_TEXT, RESTORE_AT(display), "WHERE", "term vnc none",
      "where the guest's screen is seen: this terminal (as --console vga), VNC, or nowhere" },
    { "vnc", OPT_TEXT, RESTORE_AT(vnc), "ADDRESS", NULL, "VNC, here: as mimic run --vnc" },
    { "vnc-password", OPT_TEXT, RESTORE_AT(vnc_password), "FILE", NULL,
      "as mimic run --vnc-password" },
    { "vnc-tls", OPT_TEXT, RESTORE_AT(vnc_tls), "FILE", NULL, "as mimic run --vnc-tls" },
    { "state", OPT_TEXT, RESTORE_AT(state), "DIR", NULL,
      "with --as-copy: where the copy's writes are kept" },
    { "check", OPT_FLAG, RESTORE_AT(check), NULL, NULL, "only look whether the file is whole" },
    { "stats", OPT_FLAG, RESTORE_AT(stats), NULL, NULL, "print the engine's counters at the end" },
    { "json", OPT_FLAG, RESTORE_AT(json), NULL, NULL,
      "print what was chosen as one JSON object on standard error" },
    { "quiet", OPT_FLAG, RESTORE_AT(quiet), NULL, NULL, "do not print what was chosen" },
};

/* A copy's state directory: beside the one it comes from. */
static int restore_copy(const struct restore_options *o, struct desc *d, struct vm_how *how,
                        struct err *e)
{
    char dir[4096];

    if (o->state || how->throwaway)
        return vm_saved_copy(d, how, o->state ? o->state : how->state, e);
    if (snprintf(dir, sizeof(dir), "%s-copy-XXXXXX", how->state) >= (int)sizeof(dir))
        return err_set(e, -ENAMETOOLONG, "%s: too long a name", how->state);
    if (!mkdtemp(dir))
        return err_set(e, -errno, "%s: %s", dir, strerror(errno));
    return vm_saved_copy(d, how, dir, e);
}

static int restore_place(const struct restore_options *o, const struct saved *s, struct desc *d,
                         struct vm_how *how, struct err *e)
{
    int r = 0;

    if (o->copy)
        return restore_copy(o, d, how, e);
    if (!o->revert)
        return vm_saved_fresh(s, d, e);
    how->other_generation = true;
    for (const struct desc_disk *k = d->disks; k && !r && !how->throwaway; k = k->next)
        if (k->media == DESC_DISK && k->mode == DESC_WRITE)
            r = vm_overlay_fresh(how->state, k->name, e);
    return r;
}

static enum vm_console restore_console(const struct restore_options *o, enum vm_console was)
{
    if (o->display && !strcmp(o->display, "term"))
        return VM_CONSOLE_VGA;
    if (!o->console && (o->display || o->vnc))
        return was == VM_CONSOLE_VGA ? VM_CONSOLE_SERIAL : was;
    if (!o->console)
        return was == VM_CONSOLE_VGA && !(isatty(0) && isatty(1)) ? VM_CONSOLE_NONE : was;
    return !strcmp(o->console, "vga")      ? VM_CONSOLE_VGA
           : !strcmp(o->console, "serial") ? VM_CONSOLE_SERIAL
                                           : VM_CONSOLE_NONE;
}

static int restore_vm(const struct restore_options *o, struct saved *s)
{
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct vm_how how = { 0 };
    char control[4096];
    struct desc d;
    int r;

    desc_init(&d);
    r = vm_saved_how(s, &d, &how, &e);
    r = r ? r : restore_place(o, s, &d, &how, &e);
    if (!r) {
        how.engine = o->engine ? o->engine : how.engine;
        how.irqchip = o->irqchip ? o->irqchip : getenv("MIMIC_IRQCHIP");
        how.console = restore_console(o, how.console);
        how.vnc.on = o->vnc || (o->display && !strcmp(o->display, "vnc"));
        how.vnc.at = o->vnc;
        how.vnc.password = o->vnc_password;
        how.vnc.tls = o->vnc_tls;
        how.control = control_dir(control, sizeof(control)) ? NULL : control;
        r = boot_vm("restore", &(struct boot_how){ o->json, o->quiet, o->stats }, &how, &notes);
    } else {
        fprintf(stderr, "mimic restore: %s\n", e.text);
        r = exit_code(r);
    }
    notes_fini(&notes);
    desc_fini(&d);
    return r;
}

static int restore_run(int argc, char **argv)
{
    struct restore_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    struct saved *s = NULL;
    int r = opt_parse(&command_restore, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && words.n != 1)
        r = err_set(&e, -EINVAL, "expected the file of a saved VM");
    if (!r && o.copy && o.revert)
        r = err_set(&e, -EINVAL, "--as-copy and --revert exclude each other");
    if (r) {
        fprintf(stderr, "mimic restore: %s\n", e.text);
        return EXIT_USE;
    }
    signal(SIGPIPE, SIG_IGN);
    r = saved_open(&s, words.v[0], &e);
    if (!r && o.check)
        r = saved_check(s, &e);
    if (r) {
        fprintf(stderr, "mimic restore: %s\n", e.text);
        r = exit_code(r);
        saved_close(s);
    } else {
        r = o.check ? EXIT_DONE : restore_vm(&o, s);
        saved_close(s);
    }
    return r;
}

const struct command command_restore = {
    .name = "restore",
    .args = "FILE",
    .about = "Let a saved VM go on, or begin another one like it",
    .text =
        "The VM is built as it was and goes on with the next instruction, on the disks as they\n"
        "were when it was saved.  With --as-copy it is another VM: the file can be restored so\n"
        "any number of times, at once, and what stays the same in memory is shared.\n"
        "The file must not be changed while a VM restored from it runs.",
    .opts = restore_opts,
    .nopts = LEN(restore_opts),
    .run = restore_run,
    .examples = "mimic restore web.saved\nmimic restore --as-copy web.saved\n",
};
