/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic run: boots whatever it is given, with no daemon, no root and no configuration. */
#include "cmd/boot.h"
#include "cmd/commands.h"
#include "cmd/eyes.h"
#include "cmd/open.h"
#include "image/image.h"
#include "package/format.h"
#include "package/ovf_env.h"
#include "vm/control.h"
#include "vm/vm.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { RUN_PORTS_MAX = 32, RUN_CPUS_MAX = 64, RUN_CONTROL_DIR = 4096 };

struct run_options {
    u64 memory, cpus;
    const char *kernel, *initrd, *append, *bios, *firmware, *format, *disk_bus, *nic, *usb, *video;
    const char *cpu, *engine, *irqchip, *agent, *persona, *console, *net, *state, *option;
    const char *display, *vnc, *vnc_password, *vnc_tls, *vsock;
    struct opt_list disks, cdroms, floppies, publish, lines, properties, guestinfo;
    bool ignore_locks, discard_suspend, tpm, secure_boot;
    bool throwaway, no_code_cache, no_verify, no_reboot, testdev, check, no_direct, no_traces, json,
        quiet;
    struct eyes_options eyes;
};

#define RUN_AT(m) offsetof(struct run_options, m)
static const struct opt run_opts[] = {
    { "memory", OPT_MIB, RUN_AT(memory), "MIB", NULL, "guest memory; K, M, G after the number" },
    { "cpus", OPT_NUMBER, RUN_AT(cpus), "N", NULL, "vCPUs, 1 to 64" },
    { "disk", OPT_LIST, RUN_AT(disks), "FILE", NULL, "one more disk image; again for more" },
    { "cdrom", OPT_LIST, RUN_AT(cdroms), "FILE", NULL,
      "a CD image in an IDE drive, or on USB where --disk-bus says so" },
    { "floppy", OPT_LIST, RUN_AT(floppies), "FILE", NULL,
      "a floppy disk image, of the first or second drive" },
    { "disk-bus", OPT_TEXT, RUN_AT(disk_bus), "BUS",
      "ide ahci pvscsi lsilogic lsisas1068 buslogic nvme usb virtio_blk",
      "where bare images are attached" },
    { "usb", OPT_TEXT, RUN_AT(usb), "CONTROLLER", "uhci ehci xhci",
      "one more USB controller, and a USB keyboard; with USB there is always a tablet" },
    { "format", OPT_TEXT, RUN_AT(format), "NAME", NULL,
      "format of a bare image whose name does not say it, such as raw" },
    { "net", OPT_TEXT, RUN_AT(net), "HOW", "user restricted none",
      "network: user mode, the same without a way out, or no card" },
    { "nic", OPT_TEXT, RUN_AT(nic), "CLASS", "vmxnet3 e1000 e1000e pcnet virtio_net",
      "network card where the file names none" },
    { "video", OPT_TEXT, RUN_AT(video), "KIND", "vga svga",
      "graphics adapter: a plain VGA, or VMware's SVGA II; else as the package has it" },
    { "publish", OPT_LIST, RUN_AT(publish), "HOST:GUEST", NULL,
      "forward a TCP port of this host (127.0.0.1) to the guest; /udp after it for UDP" },
    { "port", OPT_LIST, RUN_AT(lines), "NAME=WHERE", NULL,
      "where serial0 to serial3, parallel0 and parallel1 lead: a file (what the guest sends is "
      "added to it), unix:PATH or tcp:HOST:PORT" },
    { "kernel", OPT_TEXT, RUN_AT(kernel), "FILE", NULL,
      "boot this kernel: Linux bzImage, PVH or multiboot" },
    { "initrd", OPT_TEXT, RUN_AT(initrd), "FILE", NULL,
      "its initial RAM disk; for multiboot a list of modules, 'file args,file args'" },
    { "append", OPT_TEXT, RUN_AT(append), "TEXT", NULL, "its command line" },
    { "firmware", OPT_TEXT, RUN_AT(firmware), "KIND", "bios efi",
      "start by this, whatever the package says" },
    { "bios", OPT_TEXT, RUN_AT(bios), "FILE", NULL, "firmware image instead of SeaBIOS" },
    { "secure-boot", OPT_FLAG, RUN_AT(secure_boot), NULL, NULL,
      "start by EFI, and only what Microsoft's keys or the VM's own have signed" },
    { "tpm", OPT_FLAG, RUN_AT(tpm), NULL, NULL, "give it a TPM 2.0 (package swtpm)" },
    { "cpu", OPT_TEXT, RUN_AT(cpu), "MODEL", "host amd",
      "whose processor the guest is shown; amd: an AMD one, by the software engines" },
    { "engine", OPT_TEXT, RUN_AT(engine), "NAME", "auto kvm translate interpret",
      "CPU engine; MIMIC_ENGINE in the environment where it is not given" },
    { "irqchip", OPT_TEXT, RUN_AT(irqchip), "WHERE", "auto user split kernel",
      "with KVM: interrupt controllers in this program, local APICs in the kernel, or all there" },
    { "agent", OPT_TEXT, RUN_AT(agent), "KIND", "auto qemu none",
      "a port for qemu-ga in the guest; auto: in PCs that are no VMware's" },
    { "persona", OPT_TEXT, RUN_AT(persona), "NAME", "auto none kvm vmware",
      "the hypervisor that the guest is shown" },
    { "console", OPT_TEXT, RUN_AT(console), "WHICH", "serial vga none",
      "what this terminal shows; Ctrl-] leaves" },
    { "display", OPT_TEXT, RUN_AT(display), "WHERE", "term vnc none",
      "where the guest's screen is seen: this terminal (as --console vga), VNC, or nowhere" },
    { "vnc", OPT_TEXT, RUN_AT(vnc), "ADDRESS", NULL,
      "VNC, here: PORT, HOST:PORT or the path of a Unix socket; without it 127.0.0.1 and the "
      "first free port from 5900" },
    { "vnc-password", OPT_TEXT, RUN_AT(vnc_password), "FILE", NULL,
      "viewers must know the first line of this file, at most 8 characters" },
    { "vnc-tls", OPT_TEXT, RUN_AT(vnc_tls), "FILE", NULL,
      "viewers must encrypt (VeNCrypt, browsers wss:) with the certificate and key of this file "
      "(PEM); anonymous: with none" },
    { "vsock", OPT_TEXT, RUN_AT(vsock), "PATH", NULL,
      "sockets to the guest: connect to PATH and write \"CONNECT PORT\"; its connections to port N "
      "of the host go to PATH_N" },
    { "state", OPT_TEXT, RUN_AT(state), "DIR", NULL,
      "where the guest's writes are kept, instead of ~/.local/state/mimic/NAME" },
    { "option", OPT_TEXT, RUN_AT(option), "ID", NULL, "which deployment option of an OVF" },
    { "property", OPT_LIST, RUN_AT(properties), "KEY=VALUE", NULL,
      "a property of the appliance, which the guest is told; again for more" },
    { "guestinfo", OPT_LIST, RUN_AT(guestinfo), "KEY=VALUE", NULL,
      "a variable that a VMware guest reads as guestinfo.KEY; again for more" },
    { "throwaway", OPT_FLAG, RUN_AT(throwaway), NULL, NULL, "drop what the guest writes" },
    { "no-code-cache", OPT_FLAG, RUN_AT(no_code_cache), NULL, NULL,
      "do not keep translated code beside the guest's writes for the next run" },
    { "ignore-locks", OPT_FLAG, RUN_AT(ignore_locks), NULL, NULL,
      "run a VM that VMware has open, or seems to" },
    { "discard-suspend", OPT_FLAG, RUN_AT(discard_suspend), NULL, NULL,
      "run a VM that VMware suspended as after a power failure" },
    { "no-verify", OPT_FLAG, RUN_AT(no_verify), NULL, NULL, "do not check the manifest" },
    { "no-reboot", OPT_FLAG, RUN_AT(no_reboot), NULL, NULL, "end when the guest resets" },
    { "testdev", OPT_FLAG, RUN_AT(testdev), NULL, NULL,
      "exit and test ports for test guests (always there with --kernel)" },
    { "no-traces", OPT_FLAG, RUN_AT(no_traces), NULL, NULL,
      "translate blocks only, not hot loops as a whole: slower" },
    { "check", OPT_FLAG, RUN_AT(check), NULL, NULL,
      "run translator and interpreter in lock-step: slow, so is the guest's clock" },
    { "no-direct", OPT_FLAG, RUN_AT(no_direct), NULL, NULL,
      "never run user code on the host processor as it is, in a traced process" },
    { "stats", OPT_FLAG, RUN_AT(eyes.stats), NULL, NULL,
      "count where the time goes, and print the engine's counters at the end" },
    { "perf-map", OPT_FLAG, RUN_AT(eyes.perf_map), NULL, NULL,
      "tell perf about translated code, in /tmp/perf-PID.map" },
    { "trace", OPT_TEXT, RUN_AT(eyes.trace), "FILE", NULL,
      "list each block of guest code with its translation; - for standard error" },
    { "trace-range", OPT_TEXT, RUN_AT(eyes.trace_range), "FROM-TO", NULL,
      "only blocks that start at these guest addresses, hexadecimal" },
    { "trace-count", OPT_NUMBER, RUN_AT(eyes.trace_count), "N", NULL, "only so many of them" },
    { "symbols", OPT_TEXT, RUN_AT(eyes.symbols), "FILE", NULL,
      "names of guest code for --perf-map and --trace: the kernel's System.map" },
    { "json", OPT_FLAG, RUN_AT(json), NULL, NULL,
      "print what was chosen, and counters, as JSON objects on standard error" },
    { "quiet", OPT_FLAG, RUN_AT(quiet), NULL, NULL, "do not print what was chosen" },
};

/* "8080:80", "8080:80/udp" */
static int run_port(const char *text, struct net_port *p, struct err *e)
{
    unsigned host, guest;
    char proto[5] = "tcp", rest;
    int n = sscanf(text, "%u:%u/%4[a-z]%c", &host, &guest, proto, &rest);

    if ((n != 2 && n != 3) || !host || !guest || host > 65535 || guest > 65535 ||
        (strcmp(proto, "tcp") && strcmp(proto, "udp")))
        return err_set(e, -EINVAL, "--publish %s: expected HOST:GUEST, two ports from 1 to 65535",
                       text);
    *p = (struct net_port){ !strcmp(proto, "udp"), (u16)host, (u16)guest };
    return 0;
}

/* ~/.local/state/mimic/NAME-HASH: the hash tells apart files of one name; a folder is its file. */
static char *run_state_dir(const struct run_options *o, const char *path, struct desc *d)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *file = path ? package_main(path, NULL) : strdup("."), *out;
    char *full = file ? realpath(file, NULL) : NULL;
    char name[65];
    u32 n = 0;

    free(file);
    if (o->state) {
        free(full);
        return arena_print(&d->arena, "%s", o->state);
    }
    for (const char *p = d->name; *p && n < sizeof(name) - 1; p++)
        name[n++] = isalnum((unsigned char)*p) || strchr("._-", *p) ? *p : '_';
    name[n] = 0;
    if (name[0] == '.')
        name[0] = '_';
    out = arena_print(&d->arena, "%s%s/mimic/%s-%08x",
                      base   ? base
                      : home ? home
                             : "/var/tmp",
                      base || !home ? "" : "/.local/state", name,
                      full ? (u32)XXH64(full, strlen(full), 0) : 0);
    free(full);
    return out;
}

struct run_file {
    const struct run_options *o;
    const char *path;
    struct desc *d;
};

static bool run_discarded(void *arg, const char *file)
{
    const struct run_file *f = arg;
    const char *state = run_state_dir(f->o, f->path, f->d);

    return state && vm_discarded(state, file, f->o->discard_suspend && !f->o->throwaway);
}

/* ---- from options to a description ---- */

/* What a package does not say of its disks, their files do. */
static void run_disk_sizes(struct desc *d)
{
    struct image *im;

    for (struct desc_disk *k = d->disks; k; k = k->next)
        if (k->path && !k->capacity && !package_disk(k, 0, &im, NULL)) {
            k->capacity = image_size(im);
            image_close(im, NULL);
        }
}

static int run_add_nic(const struct run_options *o, struct desc *d, bool from_package,
                       struct err *e)
{
    struct desc_nic *n;

    if (o->net && !strcmp(o->net, "none")) {
        d->nics = NULL;
        return 0;
    }
    if (d->nics || (from_package && !o->nic) || (o->kernel && !o->net && !o->nic && !o->publish.n))
        return 0;
    n = desc_add_nic(d, "nic0", o->nic ? o->nic : "virtio_net");
    if (!n)
        return err_set(e, -ENOMEM, "out of memory");
    n->known = n->connected = true;
    return 0;
}

static int run_add_disks(const struct opt_list *paths, enum desc_media media, struct open_how *how,
                         struct desc *d, struct err *e)
{
    int r = 0;

    for (u32 i = 0; i < paths->n && !r; i++) {
        how->path = paths->v[i];
        r = open_add_disk(how, d, media, e);
    }
    return r;
}

static int run_describe(const struct run_options *o, const struct opt_list *files, struct desc *d,
                        struct notes *notes, struct err *e)
{
    struct run_file file = { o, files->n ? files->v[0] : NULL, d };
    struct open_how how = { .verify = !o->no_verify,
                            .discarded = run_discarded,
                            .arg = &file,
                            .start = true,
                            .ignore_locks = o->ignore_locks,
                            .discard_suspend = o->discard_suspend,
                            .format = o->format,
                            .disk_bus = o->disk_bus,
                            .option = o->option,
                            .properties = &o->properties };
    bool package = false;
    int r;

    if (o->kernel && !how.disk_bus)
        how.disk_bus = "virtio_blk";
    if (files->n) {
        how.path = files->v[0];
        r = open_vm(&how, d, notes, e);
        if (r)
            return r;
        run_disk_sizes(d);
        package = d->product || d->hardware_version || d->nics;
    } else if (o->kernel) {
        const char *slash = strrchr(o->kernel, '/');

        d->name = arena_print(&d->arena, "%s", slash ? slash + 1 : o->kernel);
        d->persona = "none";
    } else if (!o->disks.n && !o->cdroms.n && !o->floppies.n && !o->bios && !o->firmware) {
        return err_set(e, -EINVAL, "expected a file to run; see mimic run --help");
    }
    r = run_add_disks(&o->disks, DESC_DISK, &how, d, e);
    r = r ? r : run_add_disks(&o->cdroms, DESC_CDROM, &how, d, e);
    r = r ? r : run_add_disks(&o->floppies, DESC_FLOPPY, &how, d, e);
    if (!r && o->usb)
        r = open_add_usb(d, o->usb, e);
    if (r)
        return r;
    if (o->firmware)
        d->firmware = strcmp(o->firmware, "efi") ? DESC_BIOS : DESC_EFI;
    if (o->secure_boot) {
        d->secure_boot = true;
        d->firmware = DESC_EFI;
    }
    d->tpm |= o->tpm;
    if (o->memory)
        d->memory = o->memory;
    if (o->cpus)
        d->cpus = (u32)o->cpus;
    if (o->video)
        d->display = o->video;
    r = run_add_nic(o, d, package, e);
    return r ? r : desc_check(d, e);
}

/* The OVF environment on a CD, when the package wants it told so; path: "" without one */
static int run_environment(struct desc *d, char path[300], struct err *e)
{
    const char *tmp = getenv("TMPDIR");

    path[0] = 0;
    if (!(ovf_env_ways(d) & OVF_ENV_ISO))
        return 0;
    snprintf(path, 300, "%.200s/mimic-%d-ovf-env.iso", tmp ? tmp : "/var/tmp", (int)getpid());
    return ovf_env_attach(d, d, path, e);
}

/* What the guest is told through VMware's variables: the OVF environment, and --guestinfo */
static int run_guestinfo(const struct run_options *o, struct desc *d, struct err *e)
{
    struct buf text = { 0 };
    char key[300];
    int r = 0;

    if (ovf_env_ways(d) & OVF_ENV_GUESTINFO) {
        r = ovf_env_text(d, d, &text);
        r = r ? r : buf_add(&text, "", 1);
        r = r ? r : desc_add_extra(d, "vmx", "guestinfo.ovfEnv", (const char *)text.p);
        buf_fini(&text);
    }
    for (u32 i = 0; i < o->guestinfo.n && !r; i++) {
        const char *word = o->guestinfo.v[i], *eq = strchr(word, '=');

        if (!eq || eq == word)
            return err_set(e, -EINVAL, "--guestinfo %s: expected KEY=VALUE", word);
        snprintf(key, sizeof(key), "guestinfo.%.*s", (int)(eq - word), word);
        r = desc_add_extra(d, "vmx", key, eq + 1);
    }
    return r ? err_set(e, r, "out of memory") : 0;
}

static enum vm_console run_console(const struct run_options *o)
{
    if (o->display && !strcmp(o->display, "term"))
        return VM_CONSOLE_VGA;
    if (o->console)
        return !strcmp(o->console, "vga")      ? VM_CONSOLE_VGA
               : !strcmp(o->console, "serial") ? VM_CONSOLE_SERIAL
                                               : VM_CONSOLE_NONE;
    return !o->kernel && !o->display && !o->vnc && isatty(0) && isatty(1) ? VM_CONSOLE_VGA
                                                                          : VM_CONSOLE_SERIAL;
}

/* The option, the environment's, or the best that runs here. */
static const char *run_engine(const struct run_options *o)
{
    const char *engine = o->engine ? o->engine : getenv("MIMIC_ENGINE");

    return engine && *engine ? engine : "auto";
}

/* Likewise; "auto" is what the guest's kind asks for. */
static const char *run_irqchip(const struct run_options *o)
{
    const char *where = o->irqchip ? o->irqchip : getenv("MIMIC_IRQCHIP");

    return where && *where ? where : "auto";
}

/* What the options say; `control` is room for the name of a directory. */
static struct vm_how run_how(const struct run_options *o, const char *file, struct desc *d,
                             char control[RUN_CONTROL_DIR])
{
    return (struct vm_how){ .desc = d,
                            .vnc = { .on = o->vnc || (o->display && !strcmp(o->display, "vnc")),
                                     .at = o->vnc,
                                     .password = o->vnc_password,
                                     .tls = o->vnc_tls },
                            .cpu = o->cpu,
                            .engine = run_engine(o),
                            .irqchip = run_irqchip(o),
                            .agent = o->agent,
                            .vsock = o->vsock,
                            .persona = o->persona ? o->persona : "auto",
                            .bios = o->bios,
                            .kernel = o->kernel,
                            .initrd = o->initrd,
                            .append = o->append,
                            .state = run_state_dir(o, file, d),
                            .throwaway = o->throwaway,
                            .keep_code = !o->throwaway && !o->no_code_cache &&
                                         (o->state || file || o->disks.n),
                            .control = control_dir(control, RUN_CONTROL_DIR) ? NULL : control,
                            .console = run_console(o),
                            .must_tpm = o->tpm,
                            .testdev = o->testdev,
                            .no_reboot = o->no_reboot,
                            .check = o->check,
                            .no_direct = o->no_direct,
                            .no_traces = o->no_traces,
                            .lines = o->lines.v,
                            .nlines = o->lines.n,
                            .restricted = o->net && !strcmp(o->net, "restricted") };
}

static int run_run(int argc, char **argv)
{
    struct net_port ports[RUN_PORTS_MAX];
    struct opt_list files = { 0 };
    struct run_options o = { 0 };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct engine_eyes eyes = { 0 };
    struct vm_how how;
    char cd[300] = "", control[RUN_CONTROL_DIR];
    struct desc d;
    int r = opt_parse(&command_run, argc, argv, &o, &files, &e);

    if (r > 0)
        return EXIT_DONE;
    for (u32 i = 0; !r && i < o.publish.n; i++)
        r = run_port(o.publish.v[i], &ports[i], &e);
    if (!r && files.n > 1)
        r = err_set(&e, -EINVAL, "expected one file to run; others go with --disk or --cdrom");
    if (!r && o.cpus > RUN_CPUS_MAX)
        r = err_set(&e, -EINVAL, "--cpus %llu: 1 to %d are possible", (unsigned long long)o.cpus,
                    RUN_CPUS_MAX);
    if (r) {
        fprintf(stderr, "mimic run: %s\n", e.text);
        return EXIT_USE;
    }
    signal(SIGPIPE, SIG_IGN);
    desc_init(&d);
    r = run_describe(&o, &files, &d, &notes, &e);
    r = r ? r : run_environment(&d, cd, &e);
    r = r ? r : run_guestinfo(&o, &d, &e);
    r = r ? r : eyes_start(&o.eyes, &eyes, &e);
    if (r) {
        fprintf(stderr, "mimic run: %s\n", e.text);
        r = files.n || o.kernel || o.disks.n || o.cdroms.n || o.floppies.n ? exit_code(r)
                                                                           : EXIT_USE;
    } else {
        how = run_how(&o, files.n ? files.v[0] : NULL, &d, control);
        how.ports = ports;
        how.nports = o.publish.n;
        how.eyes = eyes;
        r = boot_vm("run", &(struct boot_how){ o.json, o.quiet, o.eyes.stats }, &how, &notes);
    }
    eyes_end(&eyes);
    if (*cd)
        unlink(cd);
    notes_fini(&notes);
    desc_fini(&d);
    return r;
}

const struct command command_run = {
    .name = "run",
    .args = "FILE",
    .about = "Run a VM as it is, from its package, its disk image, or a kernel",
    .text =
        "FILE is a package (OVA, VMX, VirtualBox, libvirt ...: mimic list packages) or a disk\n"
        "or CD image.  Engine, persona, firmware and devices are chosen from it; a short table\n"
        "says what was chosen and what could not be honoured.  The file itself is never written "
        "to: what the guest writes is kept beside\n"
        "the VM's state and is there at the next run of the same file.\n\n"
        "Ctrl-] (Ctrl-C when the input is no terminal), SIGTERM and closing the terminal press\n"
        "the guest's power button; a second time stops it at once.\n\n"
        "Translated code is kept with what the guest writes, in a file \"translated\" of about\n"
        "128 MiB at most, and the next run of the same VM starts with it; it may be deleted at any "
        "time,\n"
        "and is ignored when another version of mimic or another processor made it.\n\n"
        "With --perf-map, 'perf record -p PID' and 'perf report' show translated guest code by\n"
        "guest address, and by name with --symbols and a kernel booted with nokaslr.  --trace\n"
        "writes much: some hundred MB for a boot; on a terminal it stops after 50 blocks unless\n"
        "--trace-count says otherwise.",
    .opts = run_opts,
    .nopts = LEN(run_opts),
    .run = run_run,
    .examples =
        "mimic run appliance.ova\n"
        "mimic run --throwaway --publish 2222:22 appliance.ova\n"
        "mimic run --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0' --memory 1024\n",
};
