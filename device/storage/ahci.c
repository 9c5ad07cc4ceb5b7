/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A SATA controller: Serial ATA Advanced Host Controller Interface 1.3.1, with native command
 * queuing, as VirtualBox, VMware, Parallels and QEMU's q35 have one.
 *
 * Stores to PxCI ring a bell; the lane takes the commands.  Stopping a port, and resets, wait
 * until nothing of it touches the guest any more.
 * Not offered: hot plug, port multipliers, power management of the link, enclosures.
 */
#include "device/storage/ahci_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { HBA_SIZE = 0x1100, PORT_REGS = 0x100, PORT_SPAN = 0x80, PORTS_LEAST = 6 };
enum { GHC_HR = 1, GHC_IE = 2 };
#define GHC_AE (1u << 31)
/* 64 bits, queuing, command list override, 6 Gbit/s, AHCI only, 32 slots */
#define HBA_CAP (1u << 31 | 1u << 30 | 1u << 24 | 3u << 20 | 1u << 18 | 31u << 8)
#define HBA_VERSION 0x00010301u
enum { LINK_UP = 0x133, SERR_EXCHANGED = 1 << 26, SCTL_DET = 15 };
#define CMD_WRITABLE (CMD_ST | CMD_SUD | CMD_POD | CMD_FRE | CMD_ATAPI | 0xf2000000u)

static struct ahci_port_state *port_state(struct ahci *a, u32 i)
{
    return &a->state.port[i];
}

static void ahci_line(struct ahci *a)
{
    bool on = a->state.is && a->state.ghc & GHC_IE;

    if (!pci_message(&a->dev))
        pci_level(&a->dev, on);
}

/* The global bits follow the ports' until they are cleared; each new one is a message. */
static void ahci_update(struct ahci *a, u32 port)
{
    struct ahci_port_state *s = port_state(a, port);
    u32 bit = 1u << port;

    if (s->is & s->ie) {
        a->state.is |= bit;
        if (a->state.ghc & GHC_IE && pci_message(&a->dev))
            pci_raise(&a->dev, 0);
    }
    ahci_line(a);
}

void ahci_interrupt(struct ahci *a, u32 port, u32 bits)
{
    port_state(a, port)->is |= bits;
    ahci_update(a, port);
}

static u32 port_is(const struct ahci_port_state *s)
{
    return s->is | (s->serr & SERR_EXCHANGED ? (u32)IS_PCS : 0);
}

/* Nothing of the port is under way any more. */
static void port_quiet(struct ahci *a, u32 i)
{
    while (a->port[i].under_way)
        domain_wait(a->dev.domain);
}

/* ST was cleared. */
static void port_stop(struct ahci *a, u32 i)
{
    struct ahci_port_state *s = port_state(a, i);

    s->halted = true; /* nothing more is taken while the rest ends */
    port_quiet(a, i);
    s->halted = false;
    s->ci = s->sact = s->issued = 0;
    s->cmd &= ~(u32)(CMD_ST | CMD_CR | 0x1f00);
}

/* What a device shows after it was reset. */
static void port_connect(struct ahci *a, u32 i)
{
    struct ahci_port_state *s = port_state(a, i);

    s->is = s->serr = 0;
    s->in_reset = s->cache_off = false;
    s->failed = s->error = 0;
    s->ssts = 0;
    s->sig = ~0u;
    s->tfd = 0x7f;
    if (!a->port[i].present)
        return;
    s->ssts = LINK_UP;
    s->serr = SERR_EXCHANGED;
    scsi_reset(s->unit, a->port[i].cd ? SCSI_ASC_RESET : 0);
    ahci_signature(a, i);
}

static void ahci_reset_all(struct ahci *a)
{
    for (u32 i = 0; i < a->nports; i++) {
        struct ahci_port_state *s = port_state(a, i);

        port_stop(a, i);
        *s = (struct ahci_port_state){ .cmd = CMD_SUD | CMD_POD };
        port_connect(a, i);
    }
    a->state.is = 0;
    a->state.ghc = GHC_AE;
    ahci_line(a);
}

/* ---- registers ---- */

static u32 port_load(struct ahci *a, u32 i, u32 reg)
{
    const struct ahci_port_state *s = port_state(a, i);

    switch (reg) {
    case 0x00:
        return (u32)s->clb;
    case 0x04:
        return (u32)(s->clb >> 32);
    case 0x08:
        return (u32)s->fb;
    case 0x0c:
        return (u32)(s->fb >> 32);
    case 0x10:
        return port_is(s);
    case 0x14:
        return s->ie;
    case 0x18:
        return s->cmd;
    case 0x20:
        return s->tfd;
    case 0x24:
        return s->sig;
    case 0x28:
        return s->ssts;
    case 0x2c:
        return s->sctl;
    case 0x30:
        return s->serr;
    case 0x34:
        return s->sact;
    case 0x38:
        return s->ci;
    }
    return 0;
}

static void port_command(struct ahci *a, u32 i, u32 val)
{
    struct ahci_port_state *s = port_state(a, i);
    u32 was = s->cmd;

    if (was & CMD_ST && !(val & CMD_ST))
        port_stop(a, i);
    s->cmd = (s->cmd & ~CMD_WRITABLE) | (val & CMD_WRITABLE & 0x0fffffff);
    if (val & CMD_CLO)
        s->tfd &= ~(u32)(ATA_BSY | ATA_DRQ);
    s->cmd &= ~(u32)(CMD_FR | CMD_CR);
    s->cmd |= (s->cmd & CMD_FRE ? (u32)CMD_FR : 0) | (s->cmd & CMD_ST ? (u32)CMD_CR : 0);
    if (!(was & CMD_FRE) && s->cmd & CMD_FRE && a->port[i].present)
        ahci_signature(a, i); /* it was waiting to be received */
    bell_ring(a->port[i].bell);
}

static void port_control(struct ahci *a, u32 i, u32 val)
{
    struct ahci_port_state *s = port_state(a, i);
    bool was = (s->sctl & SCTL_DET) == 1, now = (val & SCTL_DET) == 1;

    s->sctl = val & 0xfff;
    if (now) {
        s->ssts = 0;
        s->tfd = 0x7f | ATA_BSY;
    } else if (was) {
        port_connect(a, i);
        ahci_update(a, i);
    }
}

static void port_store(struct ahci *a, u32 i, u32 reg, u32 val)
{
    struct ahci_port_state *s = port_state(a, i);

    switch (reg) {
    case 0x00:
        s->clb = (s->clb & ~0xffffffffull) | (val & ~1023u);
        break;
    case 0x04:
        s->clb = (u32)s->clb | (u64)val << 32;
        break;
    case 0x08:
        s->fb = (s->fb & ~0xffffffffull) | (val & ~255u);
        break;
    case 0x0c:
        s->fb = (u32)s->fb | (u64)val << 32;
        break;
    case 0x10:
        s->is &= ~val;
        ahci_line(a);
        break;
    case 0x14:
        s->ie = val & 0xfdc000ffu;
        ahci_update(a, i);
        break;
    case 0x18:
        port_command(a, i, val);
        break;
    case 0x2c:
        port_control(a, i, val);
        break;
    case 0x30:
        s->serr &= ~val;
        break;
    case 0x34:
        if (s->cmd & CMD_ST)
            s->sact |= val;
        break;
    case 0x38:
        if (s->cmd & CMD_ST)
            s->ci |= val;
        bell_ring(a->port[i].bell);
        break;
    }
}

static u64 ahci_load(struct device *d, u32 off, u32 size)
{
    struct ahci *a = (struct ahci *)d;
    u32 port = (off - PORT_REGS) / PORT_SPAN;

    (void)size;
    switch (off) {
    case 0x00:
        return HBA_CAP | (a->nports - 1);
    case 0x04:
        return a->state.ghc;
    case 0x08:
        return a->state.is;
    case 0x0c:
        return (1u << a->nports) - 1;
    case 0x10:
        return HBA_VERSION;
    }
    return off >= PORT_REGS && port < a->nports ? port_load(a, port, off % PORT_SPAN) : 0;
}

static void ahci_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct ahci *a = (struct ahci *)d;
    u32 port = (off - PORT_REGS) / PORT_SPAN;

    (void)size;
    if (off == 0x04) {
        if (val & GHC_HR) {
            ahci_reset_all(a);
            return;
        }
        a->state.ghc = GHC_AE | (val & GHC_IE);
        ahci_line(a);
    } else if (off == 0x08) {
        a->state.is &= ~(u32)val;
        for (u32 i = 0; i < a->nports; i++) /* what was not cleared below comes again */
            if (val >> i & 1 && port_state(a, i)->is & port_state(a, i)->ie)
                ahci_update(a, i);
        ahci_line(a);
    } else if (off >= PORT_REGS && port < a->nports) {
        port_store(a, port, off % PORT_SPAN, (u32)val);
    }
}

static void ahci_rung(struct device *d, u32 index)
{
    ahci_take((struct ahci *)d, index);
}

/* ---- its life ---- */

static int ahci_plug(struct ahci *a, u32 i, struct err *e)
{
    struct ahci_port *p = &a->port[i];
    bool cd = a->config.cd >> i & 1;
    struct blk *blk;
    char end[16];

    snprintf(end, sizeof(end), "sata.%u", i);
    blk = device_end(&a->dev, end);
    if (!blk && !cd)
        return 0;
    p->task = calloc(AHCI_SLOTS, sizeof(*p->task));
    if (!p->task)
        return err_set(e, -ENOMEM, "no memory for the commands of port %u", i);
    p->present = true;
    p->cd = cd;
    lun_init(&p->lun, cd ? SCSI_CDROM : SCSI_DISK, blk, a->state.port[i].unit, a->config.cd_vendor,
             a->config.cd_product, a->config.revision);
    if (i >= a->nports)
        a->nports = i + 1;
    return 0;
}

static void ahci_free(struct ahci *a)
{
    for (u32 i = 0; i < AHCI_PORTS; i++)
        free(a->port[i].task);
}

static int ahci_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = { { .index = 5,
                                             .space = PCI_MEM32,
                                             .size = 8192,
                                             .min = 4,
                                             .max = 4,
                                             .load = ahci_load,
                                             .store = ahci_store },
                                           { 0 } };
    struct ahci *a = (struct ahci *)d;
    struct pci_ident id = { .vendor = a->config.vendor,
                            .device = a->config.device,
                            .subvendor = a->config.vendor,
                            .subdevice = a->config.device,
                            .class = 0x010601,
                            .revision = 2,
                            .pin = 1,
                            .msi = true,
                            .bars = bars };
    int r = 0;

    a->nports = PORTS_LEAST;
    for (u32 i = 0; i < AHCI_PORTS && !r; i++)
        r = ahci_plug(a, i, e);
    for (u32 i = 0; i < AHCI_PORTS && !r; i++)
        if (bell_new(d, ahci_rung, i, &a->port[i].bell))
            r = err_set(e, -ENOMEM, "no memory for bells");
    r = r ? r : pci_plug(d, &id, e);
    if (r)
        ahci_free(a);
    return r;
}

static void ahci_destroy(struct device *d)
{
    pci_unplug(d);
    ahci_free((struct ahci *)d);
}

static void ahci_reset(struct device *d, enum reset kind)
{
    (void)kind;
    ahci_reset_all((struct ahci *)d);
}

static void ahci_pause(struct device *d)
{
    struct ahci *a = (struct ahci *)d;

    domain_lock(d->domain);
    for (u32 i = 0; i < a->nports; i++)
        port_quiet(a, i);
    domain_unlock(d->domain);
}

static void ahci_resume(struct device *d)
{
    struct ahci *a = (struct ahci *)d;

    for (u32 i = 0; i < a->nports; i++)
        bell_ring(a->port[i].bell);
}

static int ahci_check(const struct device *d, struct err *e)
{
    const struct ahci *a = (const struct ahci *)d;

    for (u32 i = 0; i < AHCI_PORTS; i++) {
        const struct ahci_port_state *s = &a->state.port[i];

        if (s->clb & 1023 || s->fb & 255 || s->failed >= AHCI_SLOTS || s->issued & ~s->ci)
            return err_set(e, -EBADMSG, "port %u is in no state that a port can be in", i);
    }
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct ahci_config, cd, 0, "ports with CD-ROM drives, one bit each"),
    FIELD(2, struct ahci_config, vendor, 0, "PCI vendor"),
    FIELD(3, struct ahci_config, device, 0, "PCI device"),
    FIELD_TEXT(4, struct ahci_config, model, 0, "model of disks"),
    FIELD_TEXT(5, struct ahci_config, cd_model, 0, "model of CD-ROM drives"),
    FIELD_TEXT(6, struct ahci_config, serial, 0, "start of the serial numbers"),
    FIELD_TEXT(7, struct ahci_config, revision, 0, "firmware revision"),
    FIELD_TEXT(8, struct ahci_config, cd_vendor, 0, "INQUIRY vendor of CD-ROM drives"),
    FIELD_TEXT(9, struct ahci_config, cd_product, 0, "INQUIRY product of CD-ROM drives"),
    FIELDS(0, struct ahci_config, pad, F_LOCAL, "none"),
    FIELDS(0, struct ahci_config, pad2, F_LOCAL, "none"),
    FIELD_END
};
#define PORT struct ahci_port_state
static const struct field port_fields[] = {
    FIELD(1, PORT, clb, 0, "command list"),
    FIELD(2, PORT, fb, 0, "received FISes"),
    FIELD(3, PORT, is, 0, "interrupt status"),
    FIELD(4, PORT, ie, 0, "interrupt enable"),
    FIELD(5, PORT, cmd, 0, "command and status"),
    FIELD(6, PORT, tfd, 0, "task file"),
    FIELD(7, PORT, sig, 0, "signature"),
    FIELD(8, PORT, ssts, 0, "link status"),
    FIELD(9, PORT, sctl, 0, "link control"),
    FIELD(10, PORT, serr, 0, "link errors"),
    FIELD(11, PORT, sact, 0, "queued commands that are active"),
    FIELD(12, PORT, ci, 0, "commands issued"),
    FIELD(13, PORT, issued, 0, "those of them that were taken"),
    FIELD(14, PORT, halted, 0, "stopped by an error"),
    FIELD(15, PORT, in_reset, 0, "software reset is on"),
    FIELD(16, PORT, cache_off, 0, "write cache switched off"),
    FIELD(17, PORT, failed, 0, "queued command that failed"),
    FIELD(18, PORT, error, 0, "its error"),
    FIELDS(0, PORT, pad, F_LOCAL, "none"),
    FIELD_SUB(19, PORT, unit, 0, "the drive", scsi_state_fields),
    FIELD_END
};
static const struct field state[] = {
    FIELD(1, struct ahci_state, ghc, 0, "global control"),
    FIELD(2, struct ahci_state, is, 0, "interrupt status"),
    FIELD_SUB(3, struct ahci_state, port, 0, "ports", port_fields), FIELD_END
};

const struct device_class device_ahci = {
    .name = "ahci",
    .about = "AHCI SATA controller: VirtualBox, VMware, Parallels, q35",
    .size = sizeof(struct ahci),
    .config_at = offsetof(struct ahci, config),
    .config = config,
    .config_default = &(const struct ahci_config){ .vendor = 0x8086,
                                                   .device = 0x2829,
                                                   .model = "Mimic Virtual SATA Hard Drive",
                                                   .cd_model = "Mimic Virtual SATA CDRW Drive",
                                                   .serial = "0000000000000000",
                                                   .revision = "1.00",
                                                   .cd_vendor = "MIMIC",
                                                   .cd_product = "SATA CD" },
    .config_size = sizeof(struct ahci_config),
    .state_at = offsetof(struct ahci, state),
    .state_size = sizeof(struct ahci_state),
    .state = state,
    .create = ahci_create,
    .destroy = ahci_destroy,
    .reset = ahci_reset,
    .pause = ahci_pause,
    .resume = ahci_resume,
    .check = ahci_check,
};
