/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration for xl.  HVM guests of old xm are told by the "builder" that they keep. */
#include "package/lost.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/xl_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct xlw {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct buf to;
    bool pv;
    int bad; /* there was no memory */
};

static const char *xlw_extra(const struct xlw *w, const char *fmt, u32 i)
{
    char key[64];
    const char *s;

    snprintf(key, sizeof(key), fmt, i);
    s = desc_extra(w->d, "xl", key);
    return s ? s : "";
}

static void xlw_text(struct xlw *w, const char *key, const char *value)
{
    struct tree t = { .kind = TREE_TEXT, .text = value };

    if (!value || !*value)
        return;
    w->bad |= buf_text(&w->to, "%s = ", key);
    w->bad |= xl_print(&t, &w->to);
    w->bad |= buf_text(&w->to, "\n");
}

/* One entry of a list of texts. */
static void xlw_item(struct xlw *w, bool first, const char *text)
{
    struct tree t = { .kind = TREE_TEXT, .text = text };

    w->bad |= buf_text(&w->to, first ? " " : ",\n  ");
    w->bad |= xl_print(&t, &w->to);
}

static void xlw_machine(struct xlw *w)
{
    const struct desc *d = w->d;
    char uuid[37];

    xlw_text(w, "name", d->name);
    if (d->has_uuid)
        xlw_text(w, "uuid", place_uuid_text(d, uuid));
    if (!*xlw_extra(w, "builder", 0))
        xlw_text(w, "type", w->pv ? d->machine : "hvm");
    if (d->machine && !strcmp(d->machine, "q35") && !*xlw_extra(w, "device_model_machine", 0))
        xlw_text(w, "device_model_machine", "q35");
    w->bad |= buf_text(&w->to, "memory = %llu\nvcpus = %u\n", (unsigned long long)d->memory >> 20,
                       d->cpus);
    xlw_text(w, "kernel", d->kernel);
    xlw_text(w, "ramdisk", d->initrd);
    xlw_text(w, "cmdline", d->append);
    if (d->firmware == DESC_EFI && !*xlw_extra(w, "firmware", 0) && !w->pv &&
        strcasecmp(xlw_extra(w, "bios", 0), "\"ovmf\""))
        xlw_text(w, "firmware", "ovmf");
    if (d->clock)
        w->bad |= buf_text(&w->to, "localtime = %d\n", !strcmp(d->clock, "localtime"));
    if (d->video_memory)
        w->bad |= buf_text(&w->to, "videoram = %llu\n", (unsigned long long)d->video_memory >> 20);
    xlw_text(w, "soundhw", d->sound);
}

/* xl knows four adapters. */
static void xlw_display(struct xlw *w)
{
    static const char *const own[] = { "cirrus", "stdvga", "qxl", "none", "virtio" };
    const char *s = w->d->display;

    if (!s)
        return;
    for (size_t i = 0; i < LEN(own); i++)
        if (!strcasecmp(s, own[i])) {
            xlw_text(w, "vga", own[i]);
            return;
        }
    if (!strcasecmp(s, "std")) {
        xlw_text(w, "vga", "stdvga");
        return;
    }
    note(w->n, NOTE_CHANGED, "display", "%s becomes Xen's own adapter", s);
}

static char xlw_bus(const struct xlw *w, const struct desc_disk *k, const char **how)
{
    const struct desc_device *v = desc_device(w->d, k->controller);
    const char *class = v ? v->class : "";

    *how = NULL;
    if (w->pv || !strcmp(class, "xen_blk"))
        return 'x';
    if (!strcmp(class, "ide") || k->media == DESC_CDROM)
        return 'h';
    if (!strncmp(class, "lsi", 3))
        return 's';
    *how = class;
    return k->unit < 4 ? 'h' : 'x';
}

/* A device of this bus that nobody has yet; the unit it would like comes first. */
static bool xlw_vdev(const struct xlw *w, u64 taken[3], char bus, u32 unit, char vdev[16])
{
    u32 set = bus == 'h' ? 0 : bus == 's' ? 1 : 2, most = bus == 'h' ? 4 : 26;

    if (unit >= most || taken[set] >> unit & 1)
        for (unit = 0; unit < most && taken[set] >> unit & 1; unit++)
            ;
    if (unit >= most)
        return false;
    taken[set] |= 1ull << unit;
    snprintf(vdev, 16, "%s%c", bus == 'h' ? "hd" : bus == 's' ? "sd" : "xvd", (char)('a' + unit));
    return true;
}

/* The xl word for an image's format; NULL: xl knows none. */
static const char *xlw_format(const char *format)
{
    static const char *const known[] = { "raw", "qcow2", "qcow", "vhd", "qed" };

    for (size_t i = 0; i < LEN(known); i++)
        if (!strcmp(format, known[i]))
            return known[i];
    return NULL;
}

static int xlw_disk(struct xlw *w, const struct desc_disk *k, u32 index, u64 taken[3])
{
    const char *rest = xlw_extra(w, "disk[%u]", index), *how, *format;
    char text[2048], vdev[16], bus = xlw_bus(w, k, &how);
    struct sink_disk out;
    size_t n;
    int r = place_out(w->s, k, NULL, "qcow2 raw vhd qed", &out, w->n, w->e);

    if (r)
        return r;
    if (k->media == DESC_FLOPPY) {
        note(w->n, NOTE_LOST, k->name, "xl has no floppy drives");
        return 0;
    }
    if (strncmp(rest, "vdev=", 5) && !xlw_vdev(w, taken, bus, k->unit, vdev) &&
        !xlw_vdev(w, taken, 'x', k->unit, vdev))
        return err_set(w->e, -E2BIG, "%s: xl has no place for so many disks", k->name);
    if (how)
        note(w->n, NOTE_CHANGED, k->name, "its controller %s becomes %s", how, vdev);
    format = out.name ? xlw_format(out.format) : "empty";
    if (!format)
        return err_set(w->e, -EOPNOTSUPP, "%s: xl cannot use images of the format %s", k->name,
                       out.format);
    if (!strncmp(rest, "vdev=", 5)) {
        snprintf(text, sizeof(text), "format=%s,%s", format, rest);
    } else {
        snprintf(text, sizeof(text), "format=%s,vdev=%s%s%s", format, vdev, *rest ? "," : "", rest);
    }
    n = strlen(text);
    snprintf(text + n, sizeof(text) - n, ",access=%s%s%s%s",
             k->mode == DESC_READ || k->media == DESC_CDROM ? "ro" : "rw",
             k->media == DESC_CDROM ? ",devtype=cdrom" : "", out.name ? ",target=" : "",
             out.name ? out.name : "");
    if (k->mode == DESC_THROWAWAY)
        note(w->n, NOTE_LOST, k->name, "xl keeps what is written to it: it was a throwaway disk");
    if (k->serial)
        note(w->n, NOTE_LOST, k->name, "xl has no serial numbers of disks");
    xlw_item(w, !index, text);
    return 0;
}

static int xlw_disks(struct xlw *w)
{
    u64 taken[3] = { 0 };
    u32 i = 0;
    int r = 0;

    if (!w->d->disks)
        return 0;
    w->bad |= buf_text(&w->to, "disk = [");
    for (const struct desc_disk *k = w->d->disks; !r && k; k = k->next)
        r = xlw_disk(w, k, i++, taken);
    w->bad |= buf_text(&w->to, " ]\n");
    return r;
}

static void xlw_nics(struct xlw *w)
{
    static const char *const models[] = { "rtl8139", "e1000",   "ne2k_pci", "virtio-net", "pcnet",
                                          "i82551",  "i82557b", "i82559er", "vmxnet3" };
    char text[1200], mac[18];
    u32 i = 0;

    if (!w->d->nics)
        return;
    w->bad |= buf_text(&w->to, "vif = [");
    for (const struct desc_nic *c = w->d->nics; c; c = c->next, i++) {
        const char *rest = xlw_extra(w, "vif[%u]", i), *model = c->foreign ? c->foreign : c->class;
        size_t n;

        if (!strcmp(c->class, "virtio_net"))
            model = "virtio-net";
        if (!desc_extra(w->d, "xl", "vif") && strcmp(model, "netfront")) {
            size_t m = 0;

            while (m < LEN(models) && strcasecmp(models[m], model))
                m++;
            if (m == LEN(models) && strcmp(w->d->product ? w->d->product : "", "Xen")) {
                note(w->n, NOTE_CHANGED, c->name, "%s becomes e1000", model);
                model = "e1000";
            }
        }
        place_mac_text(c, mac);
        snprintf(text, sizeof(text), "%s%s", *mac ? "mac=" : "", mac);
        n = strlen(text);
        if (c->network && !strpbrk(c->network, ",\"")) {
            snprintf(text + n, sizeof(text) - n, "%sbridge=%s", n ? "," : "", c->network);
            n = strlen(text);
        }
        if (strcmp(model, "netfront")) {
            snprintf(text + n, sizeof(text) - n, "%smodel=%s", n ? "," : "", model);
            n = strlen(text);
        } else if (!w->pv && !strstr(rest, "type=")) {
            snprintf(text + n, sizeof(text) - n, "%stype=vif", n ? "," : "");
            n = strlen(text);
        }
        if (*rest)
            snprintf(text + n, sizeof(text) - n, "%s%s", n ? "," : "", rest);
        xlw_item(w, !i, text);
    }
    w->bad |= buf_text(&w->to, " ]\n");
}

static void xlw_ports(struct xlw *w, enum desc_port_kind kind, const char *key)
{
    char text[1100];
    u32 n = 0, i = 0;

    for (const struct desc_port *p = w->d->ports; p; p = p->next)
        n += p->kind == kind;
    for (const struct desc_port *p = w->d->ports; p; p = p->next) {
        bool device = !strcmp(p->to, "device");

        if (p->kind != kind)
            continue;
        snprintf(text, sizeof(text), "%s%s%s", device ? "" : p->to, p->target && !device ? ":" : "",
                 p->target ? p->target : "");
        if (n == 1) {
            xlw_text(w, key, text);
            return;
        }
        if (!i)
            w->bad |= buf_text(&w->to, "%s = [", key);
        xlw_item(w, !i++, text);
    }
    if (i)
        w->bad |= buf_text(&w->to, " ]\n");
}

static void xlw_boot(struct xlw *w)
{
    char order[8];

    place_boot_letters(w->d, order);
    xlw_text(w, "boot", order);
}

/* Settings of other hypervisors that xl has no word for. */
static void xlw_lost(struct xlw *w)
{
    const struct desc *d = w->d;

    if (d->secure_boot)
        note(w->n, NOTE_LOST, "secure boot", "xl has no setting for it");
    if (d->tpm && !desc_extra(d, "xl", "vtpm") && !desc_extra(d, "xl", "tpm"))
        note(w->n, NOTE_LOST, "tpm", "xl needs a stub domain for it");
    if (d->annotation)
        note(w->n, NOTE_LOST, "annotation", "xl has no place for it");
    if (d->cores_per_socket > 1)
        note(w->n, NOTE_LOST, "cores per socket", "xl has no setting for it");
    if (d->nvram)
        note(w->n, NOTE_LOST, "nvram", "the EFI variables \"%s\" are not carried over", d->nvram);
    if (d->guest_os)
        note(w->n, NOTE_LOST, "guest", "xl has no place for the guest's kind \"%s\"", d->guest_os);
    lost_snapshots(d, w->n);
    lost_vms(d, w->n);
    place_lost(d, "xl", w->n);
}

int xl_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct xlw w = { .d = d, .s = s, .n = n, .e = e };
    int r;

    w.pv = d->machine && (!strcmp(d->machine, "pv") || !strcmp(d->machine, "pvh"));
    xlw_machine(&w);
    xlw_display(&w);
    xlw_boot(&w);
    xlw_nics(&w);
    xlw_ports(&w, DESC_SERIAL, "serial");
    xlw_ports(&w, DESC_PARALLEL, "parallel");
    r = xlw_disks(&w);
    for (const struct desc_extra *x = d->extras; x; x = x->next)
        if (!strcmp(x->format, "xl") && !strchr(x->key, '['))
            w.bad |= buf_text(&w.to, "%s = %s\n", x->key, x->value);
    xlw_lost(&w);
    if (!r && w.bad)
        r = err_set(e, -ENOMEM, "no memory");
    if (!r)
        r = sink_text(s, sink_main(s), w.to.p, w.to.len, e);
    buf_fini(&w.to);
    return r;
}
