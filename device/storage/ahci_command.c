/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of AHCI ports, AHCI 1.3.1 chapters 4 and 5: taken from the command list, carried
 * out, answered by a FIS in memory.  Reads, writes and flushes of ATA become the SCSI commands
 * that mean the same (device/storage/lun.h), so there is one way to a disk.
 * Not offered: port multipliers, TRIM, SMART.
 */
#include "base/bytes.h"
#include "device/storage/ahci_int.h"
#include <errno.h>
#include <string.h>

enum { HEADER_SIZE = 32, TABLE_PACKET = 0x40, TABLE_PRDT = 0x80, PRD_SIZE = 16, SECTOR = 512 };
enum { RX_PIO = 0x20, RX_D2H = 0x40, RX_BITS = 0x58 };
enum { FIS_INTERRUPT = 0x40, FIS_COMMAND = 0x80, CONTROL_SRST = 4 };
enum { SCSI_READ16 = 0x88, SCSI_WRITE16 = 0x8a, SCSI_VERIFY16 = 0x8f, SCSI_SYNC = 0x35 };
enum { KEY_MEDIUM = 3, KEY_ILLEGAL = 5, ASC_LBA_RANGE = 0x21, LOG_NCQ = 0x10 };

static struct gmem *ram(const struct ahci *a)
{
    return machine_ram(a->dev.machine);
}

static void ahci_put(struct ahci *a, u32 port, u32 off, const void *fis, u32 n)
{
    const struct ahci_port_state *s = &a->state.port[port];

    if (s->cmd & CMD_FRE && gmem_write(ram(a), s->fb + off, fis, n))
        guest_error(&a->dev, "port %u: the area for received FISes is not in RAM", port);
}

/* A register FIS: what the task file shows. */
static void ahci_put_d2h(struct ahci *a, u32 port, u8 flags, const u8 *like)
{
    struct ahci_port_state *s = &a->state.port[port];
    u8 fis[FIS_SIZE] = { FIS_D2H, flags };

    fis[2] = (u8)s->tfd;
    fis[3] = (u8)(s->tfd >> 8);
    if (like) {
        memcpy(fis + 4, like + 4, 7); /* LBA and device */
        fis[12] = like[12];
        fis[13] = like[13];
    } else {
        fis[4] = (u8)(s->sig >> 8);
        fis[5] = (u8)(s->sig >> 16);
        fis[6] = (u8)(s->sig >> 24);
        fis[12] = (u8)s->sig;
    }
    ahci_put(a, port, RX_D2H, fis, sizeof(fis));
}

void ahci_signature(struct ahci *a, u32 port)
{
    struct ahci_port_state *s = &a->state.port[port];

    s->sig = a->port[port].cd ? 0xeb140101 : 0x101;
    s->tfd = 0x100 | (a->port[port].cd ? 0 : ATA_DRDY | ATA_DSC);
    ahci_put_d2h(a, port, 0, NULL);
}

/* ---- answers ---- */

static void answer_queued(struct ahci *a, struct ahci_task *t, u8 status, u8 error)
{
    struct ahci_port_state *s = &a->state.port[t->port];
    u8 fis[8] = { FIS_BITS, FIS_INTERRUPT, status & 0x77, error };
    u32 bit = 1u << t->slot;

    if (error) {
        s->failed = t->slot;
        s->error = error;
    } else {
        s->sact &= ~bit;
        put_le32(fis + 4, bit);
    }
    s->tfd = (s->tfd & ~0xff77u) | (u32)error << 8 | (status & 0x77);
    ahci_put(a, t->port, RX_BITS, fis, sizeof(fis));
    ahci_interrupt(a, t->port, IS_SDBS | (error ? (u32)IS_TFES : 0));
}

static void answer_pio(struct ahci *a, struct ahci_task *t, u8 status)
{
    u8 fis[FIS_SIZE] = { FIS_PIO, FIS_INTERRUPT | 0x20, status | ATA_DRQ };

    memcpy(fis + 4, t->fis + 4, 7);
    fis[12] = t->fis[12];
    fis[13] = t->fis[13];
    fis[15] = status; /* at the end of the transfer */
    put_le16(fis + 16, (u16)min_u64(t->task.moved, 8192));
    ahci_put(a, t->port, RX_PIO, fis, sizeof(fis));
    ahci_interrupt(a, t->port, IS_PSS);
}

static void ahci_forget(struct ahci_port_state *s, u32 slot)
{
    s->ci &= ~(1u << slot);
    s->issued &= ~(1u << slot);
}

/* The end of a command; error 0: it went well. */
static void ahci_answer(struct ahci *a, struct ahci_task *t, u8 error)
{
    struct ahci_port_state *s = &a->state.port[t->port];
    u8 status = ATA_DRDY | ATA_DSC | (error ? ATA_ERR : 0), bytes[4];

    t->busy = false;
    a->port[t->port].under_way--;
    if (error)
        s->halted = true; /* 6.2.2.1: its bit in CI stays until the port is stopped */
    else
        ahci_forget(s, t->slot);
    if (t->queued) {
        answer_queued(a, t, status, error);
        return;
    }
    put_le32(bytes, (u32)t->task.moved);
    gmem_write(ram(a), t->header + 4, bytes, sizeof(bytes));
    s->tfd = (u32)error << 8 | status;
    if (t->pio && !error) {
        answer_pio(a, t, status);
        return;
    }
    if (a->port[t->port].cd)
        t->fis[12] = (u8)((t->fis[12] & ~7) | 3); /* command completion */
    ahci_put_d2h(a, t->port, FIS_INTERRUPT, t->fis);
    ahci_interrupt(a, t->port, IS_DHRS | (error ? (u32)IS_TFES : 0));
}

/* What an ATA drive says where a SCSI unit gives this sense. */
static u8 ahci_error(const struct ahci *a, const struct ahci_task *t)
{
    const struct scsi_command *c = &t->task.c;
    u8 key = c->sense[2] & 15;

    if (t->task.fault)
        return ATA_ABRT;
    if (c->status == SCSI_GOOD)
        return 0;
    if (a->port[t->port].cd)
        return (u8)(key << 4 | ATA_ABRT);
    if (key == KEY_MEDIUM)
        return ATA_UNC;
    return key == KEY_ILLEGAL && c->sense[12] == ASC_LBA_RANGE ? ATA_IDNF : ATA_ABRT;
}

/* On the lane, domain held. */
static void ahci_task_done(struct lun_task *task)
{
    struct ahci_task *t = (struct ahci_task *)task;
    struct ahci *a = t->ahci;

    ahci_answer(a, t, ahci_error(a, t));
    domain_wake(a->dev.domain);
    ahci_take(a, t->port);
}

/* ---- data ---- */

/* Entry i of the table: its address, and bytes; 0 when it is not in RAM. */
static u32 ahci_prd(const struct ahci_task *t, u32 i, u64 *addr)
{
    u8 prd[PRD_SIZE];

    if (gmem_read(ram(t->ahci), t->table + TABLE_PRDT + (u64)i * PRD_SIZE, prd, sizeof(prd)))
        return 0;
    *addr = le64(prd) & ~1ull;
    return (le32(prd + 12) & 0x3fffff) + 1;
}

static int ahci_map(struct lun_task *task, enum gmem_dir dir)
{
    struct ahci_task *t = (struct ahci_task *)task;
    struct gmem *g = ram(t->ahci);
    int rc = 0;

    for (u32 i = 0; i < t->prdtl && !rc; i++) {
        u64 addr = 0;
        u32 n = ahci_prd(t, i, &addr);

        rc = n ? gmem_map(g, addr, n, dir, task->v + task->nv, LUN_PIECES - task->nv) : -EFAULT;
        if (rc > 0) {
            task->nv += rc;
            task->room += n;
            rc = 0;
        }
    }
    if (rc) {
        gmem_unmap(g, task->v, task->nv, 0);
        task->nv = 0;
        guest_error(&t->ahci->dev, "port %u: a data region %s", t->port,
                    rc == -EFAULT ? "is not in RAM" : "has too many pieces");
    }
    return rc;
}

/* Bytes that the drive tells of itself. */
static void ahci_reply(struct ahci *a, struct ahci_task *t, const u8 *p, u32 n)
{
    u32 at = 0;

    for (u32 i = 0; i < t->prdtl && at < n; i++) {
        u64 addr = 0;
        u32 part = (u32)min_u64(ahci_prd(t, i, &addr), n - at);

        if (!part || gmem_write(ram(a), addr, p + at, part)) {
            guest_error(&a->dev, "port %u: a data region is not in RAM", t->port);
            ahci_answer(a, t, ATA_ABRT);
            return;
        }
        at += part;
    }
    t->task.moved = at;
    ahci_answer(a, t, 0);
}

/* ---- commands ---- */

static u64 fis_lba(const u8 *fis, bool ext)
{
    u64 low = fis[4] | (u32)fis[5] << 8 | (u32)fis[6] << 16;

    if (!ext)
        return low | (u64)(fis[7] & 15) << 24;
    return low | (u64)fis[8] << 24 | (u64)fis[9] << 32 | (u64)fis[10] << 40;
}

static u32 fis_count(const u8 *fis, bool ext)
{
    u32 n = ext ? fis[12] | (u32)fis[13] << 8 : fis[12];

    return n ? n : ext ? 65536 : 256;
}

static void ahci_run(struct ahci *a, struct ahci_task *t)
{
    if (lun_run(&t->task))
        ahci_answer(a, t, ahci_error(a, t));
}

/* op: a SCSI command of 16 bytes. */
static void ahci_blocks(struct ahci *a, struct ahci_task *t, u8 op, u64 lba, u32 count, bool fua)
{
    u8 *cdb = t->task.c.cdb;

    cdb[0] = op;
    cdb[1] = fua && op == SCSI_WRITE16 ? 8 : 0;
    put_be64(cdb + 2, lba);
    put_be32(cdb + 10, count);
    t->task.c.cdb_len = 16;
    ahci_run(a, t);
}

static void ahci_transfer(struct ahci *a, struct ahci_task *t, u8 op, bool ext, bool pio, bool fua)
{
    t->pio = pio && op == SCSI_READ16;
    ahci_blocks(a, t, op, fis_lba(t->fis, ext), fis_count(t->fis, ext), fua);
}

/* FPDMA: the count stands in the feature register, the tag in the count register. */
static void ahci_queued(struct ahci *a, struct ahci_task *t, bool write)
{
    u32 n = t->fis[3] | (u32)t->fis[11] << 8;

    if (t->fis[12] >> 3 != t->slot || !(a->state.port[t->port].sact >> t->slot & 1)) {
        guest_error(&a->dev, "port %u: a queued command's tag is not its slot", t->port);
        ahci_answer(a, t, ATA_ABRT);
        return;
    }
    t->queued = true;
    ahci_blocks(a, t, write ? SCSI_WRITE16 : SCSI_READ16, fis_lba(t->fis, true), n ? n : 65536,
                t->fis[7] & 0x80);
}

/* The log that says which queued command failed: ACS-2, log address 10h. */
static void ahci_log(struct ahci *a, struct ahci_task *t)
{
    struct ahci_port_state *s = &a->state.port[t->port];
    u8 page[SECTOR] = { 0 }, sum = 0;

    t->pio = t->fis[2] == 0x2f;
    if (fis_count(t->fis, true) != 1 || t->fis[5] || t->fis[9] ||
        (t->fis[4] != LOG_NCQ && t->fis[4])) {
        ahci_answer(a, t, ATA_ABRT);
        return;
    }
    if (t->fis[4]) {
        page[0] = s->failed;
        page[2] = s->error ? ATA_DRDY | ATA_DSC | ATA_ERR : ATA_DRDY | ATA_DSC;
        page[3] = s->error;
        for (u32 i = 0; i < SECTOR - 1; i++)
            sum = (u8)(sum + page[i]);
        page[SECTOR - 1] = (u8)-sum;
    } else {
        put_le16(page, 1);
        put_le16(page + 2 * LOG_NCQ, 1);
    }
    ahci_reply(a, t, page, sizeof(page));
}

static void ahci_features(struct ahci *a, struct ahci_task *t)
{
    struct ahci_port_state *s = &a->state.port[t->port];

    switch (t->fis[3]) {
    case 0x02:
    case 0x82:
        s->cache_off = t->fis[3] == 0x82;
        s->unit[0].write_through = s->cache_off;
        break;
    case 0x03: /* transfer mode */
    case 0x05: /* power management, acoustics, look-ahead, SATA features: as they come */
    case 0x10:
    case 0x85:
    case 0x90:
    case 0xaa:
    case 0x55:
    case 0x66:
    case 0xcc:
        break;
    default:
        ahci_answer(a, t, ATA_ABRT);
        return;
    }
    ahci_answer(a, t, 0);
}

static void ahci_tell(struct ahci *a, struct ahci_task *t)
{
    u8 page[SECTOR];

    t->pio = true;
    ahci_identify(a, t->port, page);
    ahci_reply(a, t, page, sizeof(page));
}

/* Commands that move blocks, or look at them, by address and count. */
static const struct ahci_move {
    u8 command, scsi;
    bool ext, pio, fua;
} ahci_moves[] = {
    { 0x20, SCSI_READ16, false, true, false },    { 0x21, SCSI_READ16, false, true, false },
    { 0xc4, SCSI_READ16, false, true, false },    { 0x24, SCSI_READ16, true, true, false },
    { 0x29, SCSI_READ16, true, true, false },     { 0xc8, SCSI_READ16, false, false, false },
    { 0xc9, SCSI_READ16, false, false, false },   { 0x25, SCSI_READ16, true, false, false },
    { 0x30, SCSI_WRITE16, false, true, false },   { 0x31, SCSI_WRITE16, false, true, false },
    { 0xc5, SCSI_WRITE16, false, true, false },   { 0xca, SCSI_WRITE16, false, false, false },
    { 0xcb, SCSI_WRITE16, false, false, false },  { 0x34, SCSI_WRITE16, true, true, false },
    { 0x35, SCSI_WRITE16, true, false, false },   { 0x39, SCSI_WRITE16, true, true, false },
    { 0x3d, SCSI_WRITE16, true, false, true },    { 0xce, SCSI_WRITE16, true, true, true },
    { 0x40, SCSI_VERIFY16, false, false, false }, { 0x41, SCSI_VERIFY16, false, false, false },
    { 0x42, SCSI_VERIFY16, true, false, false },
};

static bool ahci_moves_blocks(struct ahci *a, struct ahci_task *t)
{
    for (u32 i = 0; i < LEN(ahci_moves); i++) {
        const struct ahci_move *m = &ahci_moves[i];

        if (m->command != t->fis[2])
            continue;
        ahci_transfer(a, t, m->scsi, m->ext, m->pio, m->fua);
        return true;
    }
    return false;
}

static void ahci_disk(struct ahci *a, struct ahci_task *t)
{
    if (ahci_moves_blocks(a, t))
        return;
    switch (t->fis[2]) {
    case 0x60:
    case 0x61:
        ahci_queued(a, t, t->fis[2] == 0x61);
        break;
    case 0xe7:
    case 0xea:
        t->task.c.cdb[0] = SCSI_SYNC;
        t->task.c.cdb_len = 10;
        ahci_run(a, t);
        break;
    case 0x2f:
    case 0x47:
        ahci_log(a, t);
        break;
    case 0xec:
        ahci_tell(a, t);
        break;
    case 0xef:
        ahci_features(a, t);
        break;
    case 0xe5: /* CHECK POWER MODE: active */
        t->fis[12] = 0xff;
        ahci_answer(a, t, 0);
        break;
    case 0x91: /* geometry, power modes, block size of PIO: nothing depends on them here */
    case 0xc6:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
        ahci_answer(a, t, 0);
        break;
    default:
        ahci_answer(a, t, ATA_ABRT);
    }
}

static void ahci_cd(struct ahci *a, struct ahci_task *t)
{
    struct scsi_command *c = &t->task.c;

    switch (t->fis[2]) {
    case 0xa0:
        if (gmem_read(ram(a), t->table + TABLE_PACKET, c->cdb, 12)) {
            ahci_answer(a, t, ATA_ABRT);
            return;
        }
        c->cdb_len = 12;
        t->pio = false;
        ahci_run(a, t);
        break;
    case 0xa1:
        ahci_tell(a, t);
        break;
    case 0xef:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
        ahci_answer(a, t, 0);
        break;
    case 0xec: /* a packet device refuses and shows its signature */
        t->fis[4] = 1;
        t->fis[5] = 0x14;
        t->fis[6] = 0xeb;
        ahci_answer(a, t, ATA_ABRT);
        break;
    default:
        ahci_answer(a, t, ATA_ABRT);
    }
}

/* A FIS without the command bit writes the control register: a software reset. */
static void ahci_control(struct ahci *a, struct ahci_task *t)
{
    struct ahci_port_state *s = &a->state.port[t->port];
    bool on = t->fis[15] & CONTROL_SRST;

    t->busy = false;
    a->port[t->port].under_way--;
    ahci_forget(s, t->slot);
    if (s->in_reset && !on) {
        scsi_reset(s->unit, a->port[t->port].cd ? SCSI_ASC_RESET : 0);
        s->cache_off = false;
        ahci_signature(a, t->port);
    }
    s->in_reset = on;
}

static void ahci_begin(struct ahci *a, u32 port, u32 slot)
{
    struct ahci_port_state *s = &a->state.port[port];
    struct ahci_port *p = &a->port[port];
    struct ahci_task *t = &p->task[slot];
    u8 header[HEADER_SIZE];

    s->issued |= 1u << slot;
    t->header = s->clb + (u64)slot * HEADER_SIZE;
    if (gmem_read(ram(a), t->header, header, sizeof(header)) ||
        gmem_read(ram(a), le64(header + 8) & ~127ull, t->fis, FIS_SIZE)) {
        guest_error(&a->dev, "port %u: command %u is not in RAM", port, slot);
        s->halted = true;
        ahci_interrupt(a, port, IS_HBFS);
        return;
    }
    t->table = le64(header + 8) & ~127ull;
    t->prdtl = le16(header + 2);
    t->ahci = a;
    t->port = (u8)port;
    t->slot = (u8)slot;
    t->busy = true;
    t->queued = t->pio = false;
    t->task.dev = &a->dev;
    t->task.lun = &p->lun;
    t->task.map = ahci_map;
    t->task.done = ahci_task_done;
    t->task.moved = 0;
    t->task.fault = 0;
    t->task.c.lun = 0;
    t->task.c.status = SCSI_GOOD;
    memset(t->task.c.cdb, 0, sizeof(t->task.c.cdb));
    p->under_way++;
    s->cmd = (s->cmd & ~0x1f00u) | slot << 8;
    if (t->fis[0] != FIS_H2D)
        ahci_answer(a, t, ATA_ABRT);
    else if (!(t->fis[1] & FIS_COMMAND))
        ahci_control(a, t);
    else if (p->cd)
        ahci_cd(a, t);
    else
        ahci_disk(a, t);
}

/* Commands that are not queued run alone. */
static bool ahci_alone(const struct ahci *a, u32 port)
{
    const struct ahci_port *p = &a->port[port];

    for (u32 i = 0; i < AHCI_SLOTS; i++)
        if (p->task[i].busy && !p->task[i].queued)
            return true;
    return false;
}

void ahci_take(struct ahci *a, u32 port)
{
    struct ahci_port_state *s = &a->state.port[port];

    if (!a->port[port].present || !pci_master(&a->dev))
        return;
    while (s->cmd & CMD_ST && !s->halted && s->ci & ~s->issued && !ahci_alone(a, port))
        ahci_begin(a, port, (u32)__builtin_ctz(s->ci & ~s->issued));
}
