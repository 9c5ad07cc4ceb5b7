/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM in this terminal: built, shown in a table, run to its end. */
#include "cmd/boot.h"
#include "backend/tty.h"
#include "cmd/commands.h"
#include "cmd/eyes.h"
#include "cmd/open.h"
#include <jansson.h>
#include <signal.h>
#include <string.h>

static struct vm *boot_running; /* for the signal handler */

static void boot_signal(int sig)
{
    (void)sig;
    if (boot_running)
        vm_signal(boot_running);
}

/* ---- what was chosen ---- */

static void boot_show(const struct desc *d, const struct vm *vm, const struct vm_how *how,
                      const struct notes *notes)
{
    fprintf(stderr, "%s: %u vCPU%s, %llu MiB, engine %s, persona %s, firmware %s\n", d->name,
            d->cpus, d->cpus > 1 ? "s" : "", (unsigned long long)d->memory >> 20, vm_engine(vm),
            vm_persona(vm), vm_firmware(vm));
    if (vm_engine_why(vm)[0])
        fprintf(stderr, "  engine   %s: %s\n", vm_engine(vm), vm_engine_why(vm));
    if (vm_chips_about(vm)[0])
        fprintf(stderr, "  irqchip  %s\n", vm_chips_about(vm));
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (k->path)
            fprintf(stderr, "  %-8s %s, %llu MiB, %s\n", k->name, k->controller,
                    (unsigned long long)k->capacity >> 20, k->source ? k->source : k->path);
    for (const struct desc_nic *n = d->nics; n; n = n->next)
        fprintf(stderr, "  %-8s %s, user-mode network%s\n", n->name, n->class,
                how->restricted ? " without a way out" : "");
    for (u32 i = 0; i < how->nports; i++)
        fprintf(stderr, "  publish  127.0.0.1:%u -> guest port %u%s\n", how->ports[i].host,
                how->ports[i].guest, how->ports[i].udp ? " (UDP)" : "");
    if (vm_vnc(vm))
        fprintf(stderr, "  screen   VNC at %s\n", vm_vnc(vm));
    if (d->disks)
        fprintf(stderr, "  writes   %s\n", how->throwaway ? "thrown away" : how->state);
    open_show_notes(notes, stderr, false);
}

static void boot_show_json(const struct desc *d, const struct vm *vm, const struct vm_how *how,
                           const struct notes *notes)
{
    struct buf b = { 0 };
    json_t *o = NULL;

    if (!desc_json(d, notes, &b))
        o = json_loadb((const char *)b.p, b.len, 0, NULL);
    buf_fini(&b);
    if (!o)
        return;
    json_object_set_new(o, "engine", json_string(vm_engine(vm)));
    json_object_set_new(o, "engine_why", json_string(vm_engine_why(vm)));
    json_object_set_new(o, "irqchip", json_string(vm_chips_about(vm)));
    json_object_set_new(o, "persona", json_string(vm_persona(vm)));
    if (vm_vnc(vm))
        json_object_set_new(o, "vnc", json_string(vm_vnc(vm)));
    json_object_set_new(o, "firmware_image", json_string(vm_firmware(vm)));
    json_object_set_new(o, "state", how->throwaway ? json_null() : json_string(how->state));
    json_dumpf(o, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(o);
}

/* ---- running ---- */

static int boot_result(const char *command, const struct vm_result *r)
{
    switch (r->end) {
    case VM_POWERED_OFF:
        return EXIT_DONE;
    case VM_EXITED:
        return (int)(r->code & 0xff);
    case VM_SAVED:
        return EXIT_DONE;
    case VM_STOPPED:
        fprintf(stderr, "mimic %s: stopped without a clean power off\n", command);
        return EXIT_STOPPED;
    case VM_CRASHED:
        fprintf(stderr, "mimic %s: the guest cannot go on: %s\n", command, r->text);
        return EXIT_CRASH;
    }
    return EXIT_CRASH;
}

int boot_vm(const char *command, const struct boot_how *o, const struct vm_how *how,
            struct notes *notes)
{
    struct sigaction act = { .sa_handler = boot_signal };
    struct vm_result result = { 0 };
    struct err e = { 0 };
    struct vm *vm;
    int r = vm_new(&vm, how, notes, &e);

    if (r) {
        fprintf(stderr, "mimic %s: %s\n", command, e.text);
        return exit_code(r);
    }
    if (o->json)
        boot_show_json(how->desc, vm, how, notes);
    else if (!o->quiet)
        boot_show(how->desc, vm, how, notes);
    boot_running = vm;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    if (how->console != VM_CONSOLE_NONE)
        tty_raw(0);
    r = vm_run(vm, &result, &e);
    tty_restore();
    boot_running = NULL;
    if (o->stats)
        eyes_show_stats(vm, o->json);
    vm_free(vm);
    if (r) {
        fprintf(stderr, "mimic %s: %s\n", command, e.text);
        return exit_code(r);
    }
    return boot_result(command, &result);
}
