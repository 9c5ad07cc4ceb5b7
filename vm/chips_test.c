/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole VMs with small guests (tests/chips_guests.S): interrupt controllers, timers, two
 * processors, and disks whose rings they fill do the same under each engine and wherever the controllers are, and a VM that is
 * saved under one goes on under another.
 */
#include "backend/blk.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/scratch.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <signal.h>

enum { RESULT = 0x140000, RESULTS = 64, ROUNDS = 0x142010, COUNTS = 0x130000, RAM = 8 << 20 };
enum { ENTRY_AT = 28, BASE = 0x100000, PATIENCE_S = 20, DISK = 1 << 20 };

extern const u8 chips_image[], chips_image_end[];
#define GUEST(name) extern const u8 chips_##name[]
GUEST(apic);
GUEST(timer);
GUEST(pic);
GUEST(pit);
GUEST(ioapic);
GUEST(level);
GUEST(smp);
GUEST(pvscsi);
GUEST(virtio);
GUEST(moves);

static const struct guest {
    const char *name;
    const u8 *entry;
    u32 cpus;
    const char *disk;     /* the controller of a disk that it reads */
    const char *hardware; /* what the kernel's controllers do not do on an emulating KVM */
} guests[] = { { "apic", chips_apic, 1 },
               { "timer", chips_timer, 1 },
               { "pic", chips_pic, 1 },
               { "pit", chips_pit, 1 },
               { "ioapic", chips_ioapic, 1 },
               { "level", chips_level, 1, NULL, "level-triggered interrupts once" },
               { "smp", chips_smp, 2 },
               { "pvscsi", chips_pvscsi, 1, "pvscsi" },
               { "virtio", chips_virtio, 1, "virtio_blk" },
               { "moves", chips_moves, 2 } };

/* Where the engines' vCPUs find their interrupt controllers. */
static const struct place {
    const char *name, *engine, *irqchip;
} places[] = { { "interpret", "interpret", "user" },
               { "translate", "translate", "user" },
               { "kvm_user", "kvm", "user" },
               { "kvm_split", "kvm", "split" },
               { "kvm_kernel", "kvm", "kernel" } };
static const struct place *reference = &places[0];

static const struct guest *guest;
static const struct place *here, *there;

/* ---- a run ---- */

static struct vm *running;
static struct loop_timer *look;
static const char *save_to;

static void out_of_patience(int sig)
{
    (void)sig;
    if (running) {
        vm_signal(running);
        vm_signal(running);
    }
}

static u8 *ram_of(struct vm *vm)
{
    struct machine_block b;

    return machine_blocks(vm->machine, &b, 1) ? b.p : NULL;
}

/* In the middle of its work: saved, and that is the end of this run. */
static void look_whether_to_save(void *arg)
{
    struct vm *vm = arg;
    struct vm_save how = { .path = save_to };
    const u8 *ram = ram_of(vm);
    struct err e = { 0 };

    if (le32(ram + COUNTS + 4 * 0x61) < 4 || le32(ram + COUNTS + 4 * 0x65) < 4 ||
        le32(ram + COUNTS + 4 * 0x66) < 4) {
        loop_timer_set(look, loop_now() + 1000000);
        return;
    }
    if (vm_save(vm, &how, &e))
        printf("# not saved: %s\n", e.text);
    vm_finish(vm, VM_SAVED, 0);
}

static struct vm_result run_vm(struct vm_how *how, u32 results[RESULTS])
{
    struct vm_result result = { .end = VM_CRASHED };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct vm *vm = NULL;

    if (vm_new(&vm, how, &notes, &e)) {
        printf("# %s: %s\n", how->engine, e.text);
        notes_fini(&notes);
        return result;
    }
    running = vm;
    alarm(PATIENCE_S);
    if (save_to && !loop_timer_add(machine_loop(vm->machine), look_whether_to_save, vm, &look))
        loop_timer_set(look, loop_now() + 1000000);
    if (vm_run(vm, &result, &e))
        printf("# %s: %s\n", how->engine, e.text);
    alarm(0);
    running = NULL;
    if (save_to)
        loop_timer_drop(look);
    if (result.end == VM_CRASHED || result.end == VM_STOPPED)
        printf("# %s %s: %s\n", how->engine, how->irqchip,
               result.end == VM_STOPPED ? "no end" : result.text);
    for (u32 i = 0; i < RESULTS; i++)
        results[i] = le32(ram_of(vm) + RESULT + 4 * i);
    vm_free(vm);
    notes_fini(&notes);
    return result;
}

static void write_image(const char *path)
{
    size_t n = (size_t)(chips_image_end - chips_image);
    u8 *image = malloc(n);
    FILE *f = fopen(path, "w");

    memcpy(image, chips_image, n);
    put_le32(image + ENTRY_AT, BASE + (u32)(guest->entry - chips_image));
    CHECK(f && fwrite(image, 1, n, f) == n);
    if (f)
        fclose(f);
    free(image);
}

static void add_disk(struct desc *d, const char *controller)
{
    const char *path = desc_text(d, "%s", in_dir("disk"));
    struct desc_device *c = desc_add_device(d, "disks", controller);
    struct desc_disk *k = desc_add_disk(d, "disk0", DESC_DISK);
    FILE *f = fopen(path, "w");

    CHECK(f && c && k);
    for (u32 i = 0; f && i < DISK; i += 4)
        fwrite(&i, 4, 1, f);
    if (f)
        fclose(f);
    c->known = true;
    k->controller = c->name;
    k->path = k->source = path;
    k->format = "raw";
    k->capacity = DISK;
}

static struct vm_result play(const struct place *at, u32 results[RESULTS])
{
    struct vm_how how = { .engine = at->engine,
                          .irqchip = at->irqchip,
                          .persona = "none",
                          .agent = "none",
                          .kernel = in_dir("guest"),
                          .state = in_dir("state"),
                          .throwaway = true,
                          .console = VM_CONSOLE_NONE,
                          .testdev = true };
    struct vm_result result;
    struct desc d;

    desc_init(&d);
    d.name = guest->name;
    d.cpus = guest->cpus;
    d.memory = RAM;
    if (guest->disk)
        add_disk(&d, guest->disk);
    how.desc = &d;
    write_image(how.kernel);
    result = run_vm(&how, results);
    desc_fini(&d);
    return result;
}

static struct vm_result go_on(const struct place *at, const char *path, u32 results[RESULTS])
{
    struct vm_result result = { .end = VM_CRASHED };
    struct vm_how how = { .engine = NULL };
    struct saved *s = NULL;
    struct err e = { 0 };
    struct desc d;

    desc_init(&d);
    if (saved_open(&s, path, &e) || vm_saved_how(s, &d, &how, &e)) {
        printf("# %s: %s\n", path, e.text);
    } else {
        how.engine = at->engine;
        how.irqchip = at->irqchip;
        result = run_vm(&how, results);
    }
    saved_close(s);
    desc_fini(&d);
    return result;
}

/* ---- the cases ---- */

static const struct engine_ops *engine_named(const char *name)
{
    for (u32 i = 0; engine_catalog[i]; i++)
        if (!strcmp(engine_catalog[i]->name, name))
            return engine_catalog[i];
    return NULL;
}

static bool can(const struct place *p)
{
    static struct err e;
    static char why[160];
    u64 features = 0;

    if (engine_named(p->engine)->probe(&features, &e)) {
        check_skip(e.text);
        return false;
    }
    if (strcmp(p->irqchip, "user") != 0 && !(features & ENGINE_CHIPS)) {
        snprintf(why, sizeof(why), "engine %s keeps no interrupt controllers here", p->engine);
        check_skip(why);
        return false;
    }
    if (strcmp(p->irqchip, "user") != 0 && guest->hardware && !(features & ENGINE_HARDWARE)) {
        snprintf(why, sizeof(why), "this host's KVM %s; its interrupt controllers do not do %s",
                 engine_named(p->engine)->found(), guest->hardware);
        check_skip(why);
        return false;
    }
    return true;
}

static void same_results(const u32 a[RESULTS], const u32 b[RESULTS])
{
    for (u32 i = 0; i < RESULTS; i++)
        if (a[i] != b[i]) {
            printf("# result %u: %s 0x%x, %s 0x%x\n", i, reference->name, a[i], here->name, b[i]);
            check_failed_now = 1;
        }
}

static void expected(u32 results[RESULTS])
{
    static const struct guest *of;
    static u32 kept[RESULTS];

    if (of != guest)
        CHECK_EQ(play(reference, kept).end, VM_EXITED);
    of = guest;
    memcpy(results, kept, sizeof(kept));
}

static void agrees(void)
{
    u32 a[RESULTS], b[RESULTS];

    if (!can(here))
        return;
    expected(a);
    CHECK_EQ(play(here, b).end, VM_EXITED);
    same_results(a, b);
    if (guest->disk) { /* the words of a sector are where they are in the file */
        bool found = false;

        for (u32 i = 0; i + 1 < RESULTS; i++)
            found |= b[i] == 512 && b[i + 1] == 1020;
        CHECK(found);
    }
}

/* Begun in one place, saved there, ended in another: as one that was never moved. */
static void moves(void)
{
    u32 a[RESULTS], b[RESULTS];
    const char *path = in_dir("saved");

    if (!can(here) || !can(there))
        return;
    expected(a);
    save_to = path;
    CHECK_EQ(play(there, b).end, VM_SAVED);
    save_to = NULL;
    CHECK_EQ(go_on(here, path, b).end, VM_EXITED);
    same_results(a, b);
    remove(path);
}

int main(int argc, char **argv)
{
    struct sigaction on_alarm = { .sa_handler = out_of_patience };
    char name[80];

    if (scratch_begin())
        return 1;
    sigaction(SIGALRM, &on_alarm, NULL);
    for (u32 g = 0; g < LEN(guests); g++)
        for (u32 p = 0; p < LEN(places); p++) {
            guest = &guests[g];
            here = &places[p];
            snprintf(name, sizeof(name), "%s_%s", here->name, guest->name);
            if (here != reference && (argc < 2 || strstr(name, argv[1])))
                check_case(name, agrees);
        }
    guest = &guests[LEN(guests) - 1];
    for (u32 p = 1; p < LEN(places); p++)
        for (u32 q = 1; q < LEN(places); q++) {
            here = &places[q];
            there = &places[p];
            snprintf(name, sizeof(name), "from_%s_to_%s", there->name, here->name);
            if ((p == 1 || q == 1 || p == q) && (argc < 2 || strstr(name, argv[1])))
                check_case(name, moves);
        }
    return scratch_end();
}
