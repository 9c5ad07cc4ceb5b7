/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function of Intel's PIIX4 (82371AB, 8086:7111): two channels at the ports and
 * interrupts that every PC has them at, two drives each, a bus master.  ATA/ATAPI-6.
 *
 * Timing registers are kept and have no effect.  Drives have one request under way at most;
 * what must not overlap with it waits by domain_wait.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/storage/ide_int.h"
#include <errno.h>
#include <stdio.h>

enum { CTL_NIEN = 2, CTL_SRST = 4, CTL_HOB = 0x80 };
enum { IDETIM = 0x40, IDETIM_LEN = 12, IDE_COULD_BE_NATIVE = 0x0a };

u32 ide_index(const struct ide_channel *c)
{
    return (c == &c->ide->channel[1] ? 2u : 0u) + c->s->select;
}

struct ide_drive *ide_drive(struct ide_channel *c)
{
    return &c->ide->drive[ide_index(c)];
}

struct ide_drive_state *ide_regs(struct ide_channel *c)
{
    return &c->ide->state.drive[ide_index(c)];
}

static void ide_wire(struct ide_channel *c)
{
    irq_set(&c->wire, c->s->irq && !(c->s->control & CTL_NIEN));
}

void ide_interrupt(struct ide_channel *c)
{
    c->s->irq = true;
    c->s->bm_status |= BM_INTR;
    ide_wire(c);
}

void ide_ok(struct ide_channel *c)
{
    c->s->phase = IDE_IDLE;
    ide_regs(c)->status = ST_DRDY | ST_DSC;
    ide_regs(c)->error = 0;
    ide_interrupt(c);
}

void ide_fail(struct ide_channel *c, u8 error)
{
    c->s->phase = IDE_IDLE;
    ide_regs(c)->status = ST_DRDY | ST_DSC | ST_ERR;
    ide_regs(c)->error = error;
    ide_interrupt(c);
}

void ide_finish(struct ide_channel *c, int result)
{
    if (c->s->command == 0xa0) {
        ide_packet_end(c, result);
    } else if (result) {
        ide_fail(c, result == -EIO || result == -EBADMSG ? ER_UNC : ER_ABRT);
    } else if (c->s->flush) {
        c->s->flush = false;
        ide_submit(c, BLK_FLUSH, 0, 0, 0, ide_finish);
    } else {
        ide_ok(c);
    }
}

/* On the lane. */
static void ide_request_done(struct blk_req *r, int result)
{
    struct ide_channel *c = r->arg;
    struct domain *domain = c->ide->dev.domain;

    domain_lock(domain);
    c->under_way = false;
    c->then(c, result);
    domain_wake(domain);
    domain_unlock(domain);
}

void ide_submit(struct ide_channel *c, enum blk_op op, u64 off, u64 len, int nv,
                void (*then)(struct ide_channel *c, int result))
{
    c->req = (struct blk_req){
        .op = op, .off = off, .len = len, .v = c->v, .n = nv, .done = ide_request_done, .arg = c
    };
    c->then = then;
    c->under_way = true;
    c->s->phase = IDE_WORK;
    ide_regs(c)->status = ST_BSY;
    blk_submit(ide_drive(c)->blk, &c->req);
}

/* ---- resets ---- */

void ide_signature(struct ide *p, u32 drive)
{
    struct ide_drive_state *d = &p->state.drive[drive];
    bool cd = p->drive[drive].cd;

    d->error = d->count = d->low = 1;
    d->mid = cd ? 0x14 : 0;
    d->high = cd ? 0xeb : 0;
    d->device &= 0x10;
}

static void ide_drive_reset(struct ide *p, u32 drive)
{
    struct ide_drive_state *d = &p->state.drive[drive];

    *d = (struct ide_drive_state){ .heads = 16, .sectors = 63, .mode = 0x0c };
    if (!p->drive[drive].present)
        return;
    scsi_reset(&d->unit, p->drive[drive].cd ? SCSI_ASC_RESET : 0);
    ide_signature(p, drive);
    d->status = p->drive[drive].cd ? 0 : ST_DRDY | ST_DSC;
}

/* Lets a request end that touches the guest; what it would have begun next is forgotten. */
static void ide_settle(struct ide_channel *c)
{
    while (c->under_way)
        domain_wait(c->ide->dev.domain);
}

static void ide_channel_stop(struct ide_channel *c)
{
    ide_settle(c);
    c->s->phase = IDE_IDLE;
    c->s->bm_status &= ~BM_ACTIVE;
    c->s->flush = false;
    c->s->irq = false;
    ide_wire(c);
}

static void ide_channel_reset(struct ide_channel *c)
{
    u32 first = c == &c->ide->channel[1] ? 2 : 0;

    ide_channel_stop(c);
    c->s->select = 0;
    ide_drive_reset(c->ide, first);
    ide_drive_reset(c->ide, first + 1);
}

/* ---- commands ---- */

static void ide_diagnose(struct ide_channel *c)
{
    u32 first = c == &c->ide->channel[1] ? 2 : 0;

    for (u32 i = first; i < first + 2; i++) {
        if (!c->ide->drive[i].present)
            continue;
        ide_signature(c->ide, i);
        c->ide->state.drive[i].status = c->ide->drive[i].cd ? 0 : ST_DRDY | ST_DSC;
    }
    c->s->select = 0;
    ide_interrupt(c);
}

static void ide_command(struct ide_channel *c, u8 command)
{
    struct ide_drive *drive = ide_drive(c);

    if (command == 0x08 && drive->cd) { /* DEVICE RESET: also while busy */
        ide_channel_stop(c);
        ide_signature(c->ide, ide_index(c));
        ide_regs(c)->status = 0;
        return;
    }
    if (!drive->present || c->s->phase != IDE_IDLE)
        return;
    c->s->command = command;
    c->s->irq = false;
    ide_wire(c);
    c->s->disk = c->s->write = c->s->dma = c->s->flush = false;
    c->s->left = c->s->filled = c->s->at = c->s->end = 0;
    ide_regs(c)->error = 0;
    if (command == 0x90)
        ide_diagnose(c);
    else if (drive->cd)
        ide_packet_command(c);
    else
        ide_ata_command(c);
}

/* ---- registers ---- */

static u64 ide_data_load(struct ide_channel *c, u32 size)
{
    struct ide_channel_state *s = c->s;
    u64 v = 0;

    if (s->phase != IDE_IN)
        return 0;
    for (u32 i = 0; i < size && s->at < s->end; i++)
        v |= (u64)s->buf[s->at++] << (8 * i);
    if (s->at >= s->end)
        ide_data_touched(c);
    return v;
}

static void ide_data_store(struct ide_channel *c, u32 size, u64 v)
{
    struct ide_channel_state *s = c->s;

    if (s->phase != IDE_OUT && s->phase != IDE_PACKET)
        return;
    for (u32 i = 0; i < size && s->at < s->end; i++)
        s->buf[s->at++] = (u8)(v >> (8 * i));
    if (s->at >= s->end)
        ide_data_touched(c);
}

static u8 ide_reg_load(struct ide_channel *c, u32 reg)
{
    const struct ide_drive_state *d = ide_regs(c);
    bool hob = c->s->control & CTL_HOB;

    if (!ide_drive(c)->present)
        return 0;
    switch (reg) {
    case 1:
        return d->error;
    case 2:
        return hob ? d->old_count : d->count;
    case 3:
        return hob ? d->old_low : d->low;
    case 4:
        return hob ? d->old_mid : d->mid;
    case 5:
        return hob ? d->old_high : d->high;
    case 6:
        return (u8)(d->device | 0xa0);
    case 7:
        c->s->irq = false;
        ide_wire(c);
        return d->status;
    }
    return 0;
}

/* Both drives of a channel see what is written. */
static void ide_reg_store(struct ide_channel *c, u32 reg, u8 v)
{
    u32 first = c == &c->ide->channel[1] ? 2 : 0;

    c->s->control &= (u8)~CTL_HOB;
    if (reg == 7) {
        ide_command(c, v);
        return;
    }
    if (c->s->phase == IDE_WORK)
        return;
    for (u32 i = first; i < first + 2; i++) {
        struct ide_drive_state *d = &c->ide->state.drive[i];

        switch (reg) {
        case 1:
            d->old_feature = d->feature;
            d->feature = v;
            break;
        case 2:
            d->old_count = d->count;
            d->count = v;
            break;
        case 3:
            d->old_low = d->low;
            d->low = v;
            break;
        case 4:
            d->old_mid = d->mid;
            d->mid = v;
            break;
        case 5:
            d->old_high = d->high;
            d->high = v;
            break;
        case 6:
            d->device = v;
            break;
        }
    }
    if (reg == 6 && c->s->phase == IDE_IDLE)
        c->s->select = v >> 4 & 1;
}

static struct ide_channel *ide_at(struct device *d, u32 channel)
{
    return &((struct ide *)d)->channel[channel];
}

static u64 ide_load(struct ide_channel *c, u32 off, u32 size)
{
    u64 v = 0;

    if (off == 0)
        return ide_data_load(c, size);
    for (u32 i = 0; i < size && off + i < 8; i++)
        v |= (u64)ide_reg_load(c, off + i) << (8 * i);
    return v;
}

static void ide_store(struct ide_channel *c, u32 off, u32 size, u64 v)
{
    if (off == 0) {
        ide_data_store(c, size, v);
        return;
    }
    for (u32 i = 0; i < size && off + i < 8; i++)
        ide_reg_store(c, off + i, (u8)(v >> (8 * i)));
}

static u64 ide_load0(struct device *d, u32 off, u32 size)
{
    return ide_load(ide_at(d, 0), off, size);
}

static u64 ide_load1(struct device *d, u32 off, u32 size)
{
    return ide_load(ide_at(d, 1), off, size);
}

static void ide_store0(struct device *d, u32 off, u32 size, u64 v)
{
    ide_store(ide_at(d, 0), off, size, v);
}

static void ide_store1(struct device *d, u32 off, u32 size, u64 v)
{
    ide_store(ide_at(d, 1), off, size, v);
}

static u64 ide_control_load(struct ide_channel *c)
{
    return ide_drive(c)->present ? ide_regs(c)->status : 0; /* does not answer the interrupt */
}

static void ide_control_store(struct ide_channel *c, u8 v)
{
    u8 was = c->s->control;

    c->s->control = v & (CTL_NIEN | CTL_SRST | CTL_HOB);
    if (v & CTL_SRST && !(was & CTL_SRST))
        ide_channel_reset(c);
    ide_wire(c);
}

static u64 ide_control_load0(struct device *d, u32 off, u32 size)
{
    return ide_control_load(ide_at(d, 0));
}

static u64 ide_control_load1(struct device *d, u32 off, u32 size)
{
    return ide_control_load(ide_at(d, 1));
}

static void ide_control_store0(struct device *d, u32 off, u32 size, u64 v)
{
    ide_control_store(ide_at(d, 0), (u8)v);
}

static void ide_control_store1(struct device *d, u32 off, u32 size, u64 v)
{
    ide_control_store(ide_at(d, 1), (u8)v);
}

/* ---- bus master, SFF-8038i 2 ---- */

static u64 ide_bm_load(struct device *d, u32 off, u32 size)
{
    const struct ide_channel_state *s = ide_at(d, off >> 3 & 1)->s;
    u8 reg[8] = { s->bm_command, 0, s->bm_status, 0 };
    u64 v = 0;

    put_le32(reg + 4, s->prd);
    for (u32 i = 0; i < size && (off & 7) + i < 8; i++)
        v |= (u64)reg[(off & 7) + i] << (8 * i);
    return v;
}

static void ide_bm_command(struct ide_channel *c, u8 v)
{
    struct ide_channel_state *s = c->s;
    bool was = s->bm_command & BM_START;

    if (!(v & BM_START) && was && s->phase == IDE_WORK && s->dma)
        ide_settle(c);
    s->bm_command = v & (BM_START | BM_TO_MEMORY);
    if (!(v & BM_START)) {
        s->bm_status &= ~BM_ACTIVE;
    } else if (!was) {
        s->bm_status |= BM_ACTIVE;
        if (s->phase == IDE_DMA)
            ide_dma_start(c);
    }
}

static void ide_bm_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct ide_channel *c = ide_at(d, off >> 3 & 1);
    struct ide_channel_state *s = c->s;

    for (u32 i = 0; i < size && (off & 7) + i < 8; i++) {
        u32 reg = (off & 7) + i;
        u8 v = (u8)(val >> (8 * i));

        if (reg == 0) {
            ide_bm_command(c, v);
        } else if (reg == 2) {
            s->bm_status &= (u8) ~(v & (BM_INTR | BM_ERROR));
            s->bm_status = (u8)((s->bm_status & ~0x60) | (v & 0x60));
        } else if (reg >= 4) {
            u32 shift = 8 * (reg - 4);

            s->prd = ((s->prd & ~(0xffu << shift)) | (u32)v << shift) & ~3u;
        }
    }
}

/* ---- life ---- */

static int ide_region(struct ide *p, u16 base, u32 len, u8 max,
                      u64 (*load)(struct device *, u32, u32),
                      void (*store)(struct device *, u32, u32, u64), struct err *e)
{
    struct region r = { .name = "ide",
                        .base = base,
                        .len = len,
                        .min = 1,
                        .max = max,
                        .load = load,
                        .store = store,
                        .dev = &p->dev };

    return space_add(machine_ports(p->dev.machine), &r, NULL, e);
}

static void ide_attach(struct ide *p, u32 i)
{
    const struct ide_config *conf = &p->config;
    struct ide_drive *drive = &p->drive[i];
    struct scsi_unit *u = &drive->unit;
    char end[8];

    snprintf(end, sizeof(end), "ide.%u", i);
    drive->blk = device_end(&p->dev, end);
    drive->cd = conf->cd >> i & 1;
    drive->present = drive->blk || drive->cd;
    if (!drive->cd) {
        drive->sectors = drive->blk ? blk_size(drive->blk) / IDE_SECTOR : 0;
        return;
    }
    u->kind = SCSI_CDROM;
    u->medium = drive->blk;
    u->readonly = true;
    u->block = 2048;
    u->blocks = drive->blk ? blk_size(drive->blk) / 2048 : 0;
    snprintf(u->vendor, sizeof(u->vendor), "%-8.8s", conf->cd_vendor);
    snprintf(u->product, sizeof(u->product), "%-16.16s", conf->cd_product);
    snprintf(u->revision, sizeof(u->revision), "%-4.4s", conf->revision);
}

static int ide_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { .index = 4,
          .space = PCI_PORTS,
          .size = 16,
          .min = 1,
          .max = 4,
          .load = ide_bm_load,
          .store = ide_bm_store },
        { 0 },
    };
    struct pci_ident ident = {
        .vendor = 0x8086, .device = 0x7111, .class = 0x010180, .revision = 1, .bars = bars
    };
    struct ide *p = (struct ide *)d;
    int rc;

    for (u32 i = 0; i < IDE_DRIVES; i++)
        ide_attach(p, i);
    for (u32 i = 0; i < IDE_CHANNELS; i++) {
        p->channel[i].ide = p;
        p->channel[i].s = &p->state.channel[i];
        p->channel[i].wire = machine_wire(d->machine, d, i ? "isa.15" : "isa.14");
    }
    rc = ide_region(p, 0x1f0, 8, 4, ide_load0, ide_store0, e);
    if (!rc)
        rc = ide_region(p, 0x170, 8, 4, ide_load1, ide_store1, e);
    if (!rc)
        rc = ide_region(p, 0x3f6, 1, 1, ide_control_load0, ide_control_store0, e);
    if (!rc)
        rc = ide_region(p, 0x376, 1, 1, ide_control_load1, ide_control_store1, e);
    if (p->config.vmware)
        ident.class |= IDE_COULD_BE_NATIVE, ident.subvendor = 0x15ad, ident.subdevice = 0x1976;
    if (!rc)
        rc = pci_plug(d, &ident, e);
    if (!rc)
        pci_config_writable(d, IDETIM, IDETIM_LEN, 0xff);
    return rc;
}

static void ide_destroy(struct device *d)
{
    pci_unplug(d);
}

static void ide_reset(struct device *d, enum reset kind)
{
    struct ide *p = (struct ide *)d;
    u8 *config = pci_config(d);

    (void)kind;
    for (u32 i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *c = &p->channel[i];

        ide_settle(c);
        *c->s = (struct ide_channel_state){ 0 };
        for (u32 j = 0; j < 2; j++)
            if (p->drive[i * 2 + j].present)
                c->s->bm_status |= (u8)(0x20 << j); /* may do DMA */
        ide_channel_reset(c);
        put_le16(config + IDETIM + 2 * i, 0x8000); /* the channel answers at its ports */
    }
}

static void ide_pause(struct device *d)
{
    struct ide *p = (struct ide *)d;

    domain_lock(d->domain);
    for (u32 i = 0; i < IDE_CHANNELS; i++)
        ide_settle(&p->channel[i]);
    domain_unlock(d->domain);
}

static int ide_check_channel(const struct ide_channel_state *s, struct err *e)
{
    if (s->phase >= IDE_PHASES || s->phase == IDE_WORK || s->select > 1)
        return err_set(e, -EBADMSG, "phase %u, drive %u", s->phase, s->select);
    if (s->at > s->end || s->end > IDE_BUF || s->filled > IDE_BUF || s->drq > IDE_BUF ||
        (s->phase != IDE_IDLE && !s->drq && s->phase != IDE_PACKET))
        return err_set(e, -EBADMSG, "buffer: at %u, end %u, filled %u, block %u", s->at, s->end,
                       s->filled, s->drq);
    if (!s->disk && s->left > IDE_BUF)
        return err_set(e, -EBADMSG, "%u bytes for the buffer", s->left);
    if ((s->phase == IDE_OUT || s->phase == IDE_IN) && s->at == s->end)
        return err_set(e, -EBADMSG, "a block without bytes");
    if (s->phase == IDE_OUT && (s->filled > s->end || s->left < s->end - s->filled ||
                                (!s->disk && s->left > IDE_BUF - s->filled)))
        return err_set(e, -EBADMSG, "%u bytes for a block of %u", s->left, s->end - s->filled);
    return 0;
}

static int ide_check(const struct device *d, struct err *e)
{
    const struct ide *p = (const struct ide *)d;

    for (u32 i = 0; i < IDE_CHANNELS; i++) {
        const struct ide_channel_state *s = &p->state.channel[i];
        int rc = ide_check_channel(s, e);

        if (rc)
            return err_in(e, "channel %u: ", i);
        if (s->phase != IDE_IDLE && !p->drive[i * 2 + s->select].present)
            return err_set(e, -EBADMSG, "channel %u: a command, but no drive", i);
        if (s->disk && s->phase != IDE_IDLE && !p->drive[i * 2 + s->select].blk)
            return err_set(e, -EBADMSG, "channel %u: a transfer, but no disk", i);
    }
    for (u32 i = 0; i < IDE_DRIVES; i++)
        if (!p->state.drive[i].heads || !p->state.drive[i].sectors ||
            p->state.drive[i].multiple > 16)
            return err_set(e, -EBADMSG, "drive %u: geometry", i);
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct ide_config, cd, 0, "drives that are CD-ROM drives, one bit each"),
    FIELD_TEXT(2, struct ide_config, model, 0, "model of disks"),
    FIELD_TEXT(3, struct ide_config, cd_model, 0, "model of CD-ROM drives"),
    FIELD_TEXT(4, struct ide_config, serial, 0, "serial number; the drive's number follows"),
    FIELD_TEXT(5, struct ide_config, revision, 0, "firmware revision"),
    FIELD_TEXT(6, struct ide_config, cd_vendor, 0, "INQUIRY vendor of CD-ROM drives"),
    FIELD_TEXT(7, struct ide_config, cd_product, 0, "INQUIRY product of CD-ROM drives"),
    FIELD(8, struct ide_config, vmware, 0, "1: the one of VMware's boards"),
    FIELD_END
};
static const struct field drive_fields[] = {
    FIELD(1, struct ide_drive_state, status, 0, "status register"),
    FIELD(2, struct ide_drive_state, error, 0, "error register"),
    FIELD(3, struct ide_drive_state, device, 0, "device register"),
    FIELD(4, struct ide_drive_state, feature, 0, "features"),
    FIELD(5, struct ide_drive_state, count, 0, "sector count"),
    FIELD(6, struct ide_drive_state, low, 0, "LBA low"),
    FIELD(7, struct ide_drive_state, mid, 0, "LBA mid"),
    FIELD(8, struct ide_drive_state, high, 0, "LBA high"),
    FIELD(9, struct ide_drive_state, old_feature, 0, "features, written before"),
    FIELD(10, struct ide_drive_state, old_count, 0, "sector count, written before"),
    FIELD(11, struct ide_drive_state, old_low, 0, "LBA low, written before"),
    FIELD(12, struct ide_drive_state, old_mid, 0, "LBA mid, written before"),
    FIELD(13, struct ide_drive_state, old_high, 0, "LBA high, written before"),
    FIELD(14, struct ide_drive_state, multiple, 0, "sectors of one block of MULTIPLE commands"),
    FIELD(15, struct ide_drive_state, heads, 0, "heads of the geometry in use"),
    FIELD(16, struct ide_drive_state, sectors, 0, "sectors of the geometry in use"),
    FIELD(17, struct ide_drive_state, mode, 0, "transfer mode"),
    FIELD(18, struct ide_drive_state, cache_off, 0, "write cache switched off"),
    FIELDS(0, struct ide_drive_state, pad, F_LOCAL, "none"),
    { .tag = 19,
      .kind = F_STRUCT,
      .at = offsetof(struct ide_drive_state, unit),
      .size = sizeof(struct scsi_state),
      .count = 1,
      .name = "unit",
      .doc = "packet side",
      .sub = scsi_state_fields },
    FIELD_END
};
static const struct field channel_fields[] = {
    FIELD(1, struct ide_channel_state, off, 0, "where the transfer is on the disk"),
    FIELD(2, struct ide_channel_state, left, 0, "bytes still to go"),
    FIELD(3, struct ide_channel_state, at, 0, "next byte of the buffer"),
    FIELD(4, struct ide_channel_state, end, 0, "end of the block in the buffer"),
    FIELD(5, struct ide_channel_state, filled, 0, "bytes in the buffer"),
    FIELD(6, struct ide_channel_state, drq, 0, "bytes of one block"),
    FIELD(7, struct ide_channel_state, prd, 0, "bus master table"),
    FIELD(8, struct ide_channel_state, prd_next, 0, "entries taken"),
    FIELD(9, struct ide_channel_state, prd_addr, 0, "address of the current piece"),
    FIELD(10, struct ide_channel_state, prd_left, 0, "bytes left of it"),
    FIELD(11, struct ide_channel_state, select, 0, "selected drive"),
    FIELD(12, struct ide_channel_state, control, 0, "device control"),
    FIELD(13, struct ide_channel_state, command, 0, "last command"),
    FIELD(14, struct ide_channel_state, phase, 0, "what it waits for"),
    FIELD(15, struct ide_channel_state, bm_command, 0, "bus master command"),
    FIELD(16, struct ide_channel_state, bm_status, 0, "bus master status"),
    FIELD(17, struct ide_channel_state, irq, 0, "INTRQ"),
    FIELD(18, struct ide_channel_state, disk, 0, "data between buffer or guest and the disk"),
    FIELD(19, struct ide_channel_state, write, 0, "data from the guest"),
    FIELD(20, struct ide_channel_state, dma, 0, "by the bus master"),
    FIELD(21, struct ide_channel_state, flush, 0, "flush when all is written"),
    FIELD(22, struct ide_channel_state, prd_last, 0, "the current piece is the last"),
    FIELDS(23, struct ide_channel_state, cdb, 0, "command packet"),
    FIELDS(24, struct ide_channel_state, trim_at, 0, "ranges trimmed"),
    FIELDS(0, struct ide_channel_state, pad, F_LOCAL, "none"),
    FIELDS(25, struct ide_channel_state, buf, 0, "buffer"),
    FIELD_END
};
static const struct field state[] = {
    FIELD_SUB(1, struct ide_state, drive, 0, "drives", drive_fields),
    FIELD_SUB(2, struct ide_state, channel, 0, "channels", channel_fields), FIELD_END
};

const struct device_class device_ide = {
    .name = "ide",
    .about = "IDE of Intel's PIIX4: two channels, two drives each (8086:7111)",
    .size = sizeof(struct ide),
    .config_at = offsetof(struct ide, config),
    .config = config,
    .config_default = &(const struct ide_config){ .model = "VMware Virtual IDE Hard Drive",
                                                  .cd_model = "VMware Virtual IDE CDROM Drive",
                                                  .serial = "0000000000000000",
                                                  .revision = "00000001",
                                                  .cd_vendor = "NECVMWar",
                                                  .cd_product = "VMware IDE CDR10" },
    .config_size = sizeof(struct ide_config),
    .state_at = offsetof(struct ide, state),
    .state_size = sizeof(struct ide_state),
    .state = state,
    .create = ide_create,
    .destroy = ide_destroy,
    .reset = ide_reset,
    .pause = ide_pause,
    .check = ide_check,
};
