/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware configuration: QEMU's fw_cfg as PC firmware knows it.
 *
 * After QEMU's docs/specs/fw_cfg: selector 0x510 (16 bits), data 0x511 (8 bits), DMA address
 * 0x514 (two big-endian words, the low one starts).  Items are read only: a DMA write is
 * answered with the error bit.  Not modelled: writable files, the memory-mapped form.
 *
 * The wire "fwcfg.tables" goes up when firmware has read what the ACPI tables are made by.
 */
#include "device/chipset/fwcfg.h"
#include "base/bytes.h"
#include "machine/machine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FWCFG_NAME = 56, FWCFG_ENTRY = 64, FWCFG_ITEMS = 96 };
enum { FWCFG_PORT = 0x510, FWCFG_DMA_PORT = 0x514 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };

struct fwcfg_entry {
    u16 key;
    char name[FWCFG_NAME]; /* "": an item without a name */
    u8 *data;
    u32 len;
};

struct fwcfg {
    struct device dev;
    struct fwcfg_state {
        u64 dma; /* address as written so far */
        u32 off; /* in the selected item */
        u16 key;
        u8 pad[2];
    } state;
    struct irq tables;
    struct fwcfg_entry entry[FWCFG_ITEMS]; /* made again at every start, never saved */
    u32 n;
    u16 next_key;
};

static struct fwcfg_entry *fwcfg_by_key(struct fwcfg *f, u16 key)
{
    for (u32 i = 0; i < f->n; i++)
        if (f->entry[i].key == key)
            return &f->entry[i];
    return NULL;
}

static struct fwcfg_entry *fwcfg_by_name(struct fwcfg *f, const char *name)
{
    for (u32 i = 0; i < f->n; i++)
        if (f->entry[i].name[0] && !strcmp(f->entry[i].name, name))
            return &f->entry[i];
    return NULL;
}

static int fwcfg_set(struct fwcfg *f, u16 key, const char *name, const void *data, u32 len,
                     struct err *e)
{
    struct fwcfg_entry *n = fwcfg_by_key(f, key);
    u8 *copy = malloc(len ? len : 1);

    if (!copy)
        return err_set(e, -ENOMEM, "fw_cfg: no memory for %u bytes", len);
    if (!n && f->n == FWCFG_ITEMS) {
        free(copy);
        return err_set(e, -ENOSPC, "fw_cfg: more than %d items", FWCFG_ITEMS);
    }
    if (!n)
        n = &f->entry[f->n++];
    if (len)
        memcpy(copy, data, len);
    free(n->data);
    n->key = key;
    strcpy(n->name, name);
    n->data = copy;
    n->len = len;
    return 0;
}

/* The directory: count, then size, selector, zero, name of each file; big-endian. */
static int fwcfg_directory(struct fwcfg *f, struct err *e)
{
    u8 dir[4 + FWCFG_ITEMS * FWCFG_ENTRY] = { 0 };
    u32 files = 0;

    for (u32 i = 0; i < f->n; i++) {
        u8 *p = dir + 4 + files * FWCFG_ENTRY;

        if (!f->entry[i].name[0])
            continue;
        put_be32(p, f->entry[i].len);
        put_be16(p + 4, f->entry[i].key);
        memcpy(p + 8, f->entry[i].name, FWCFG_NAME);
        files++;
    }
    put_be32(dir, files);
    return fwcfg_set(f, FWCFG_FILE_DIR, "", dir, 4 + files * FWCFG_ENTRY, e);
}

int fwcfg_item(struct device *d, u16 key, const void *data, u32 len, struct err *e)
{
    return fwcfg_set((struct fwcfg *)d, key, "", data, len, e);
}

int fwcfg_file(struct device *d, const char *name, const void *data, u32 len, struct err *e)
{
    struct fwcfg *f = (struct fwcfg *)d;
    struct fwcfg_entry *old = fwcfg_by_name(f, name);
    int r;

    if (!name[0] || strlen(name) >= FWCFG_NAME)
        return err_set(e, -EINVAL, "fw_cfg: file name \"%s\" is not 1 to %d bytes long", name,
                       FWCFG_NAME - 1);
    r = fwcfg_set(f, old ? old->key : f->next_key, name, data, len, e);
    if (r)
        return r;
    if (!old)
        f->next_key++;
    return fwcfg_directory(f, e);
}

const u8 *fwcfg_find(const struct device *d, const char *name, u32 *len)
{
    const struct fwcfg_entry *n = fwcfg_by_name((struct fwcfg *)d, name);

    if (!n)
        return NULL;
    *len = n->len;
    return n->data;
}

static void fwcfg_select(struct fwcfg *f, u16 key)
{
    f->state.key = key;
    f->state.off = 0;
}

/* Up to n bytes at the read position; what lies past the end of the item reads as zero. */
static const u8 *fwcfg_take(struct fwcfg *f, u32 n, u32 *got)
{
    const struct fwcfg_entry *i = fwcfg_by_key(f, f->state.key);
    const u8 *p = NULL;

    *got = 0;
    if (i && f->state.off < i->len) {
        p = i->data + f->state.off;
        *got = (u32)min_u64(n, i->len - f->state.off);
    }
    f->state.off = (u32)min_u64((u64)f->state.off + n, UINT32_MAX);
    if (i && f->state.off >= i->len && !strcmp(i->name, "etc/table-loader"))
        irq_set(&f->tables, true);
    return p;
}

static int fwcfg_dma_read(struct fwcfg *f, u64 to, u32 n)
{
    static const u8 zero[4096];
    struct gmem *ram = machine_ram(f->dev.machine);
    u32 got;
    const u8 *p = fwcfg_take(f, n, &got);

    if (got && gmem_write(ram, to, p, got))
        return -EFAULT;
    while (got < n) {
        u32 piece = (u32)min_u64(sizeof(zero), n - got);

        if (gmem_write(ram, to + got, zero, piece))
            return -EFAULT;
        got += piece;
    }
    return 0;
}

/* control u32, length u32, address u64; the answer replaces control */
static void fwcfg_dma(struct fwcfg *f, u64 at)
{
    struct gmem *ram = machine_ram(f->dev.machine);
    u8 ask[16], answer[4];
    u32 control, len, skipped;
    u64 to;
    bool bad = false;

    if (gmem_read(ram, at, ask, sizeof(ask))) {
        guest_error(&f->dev, "DMA request at 0x%llx is not in RAM", (unsigned long long)at);
        return;
    }
    control = be32(ask);
    len = be32(ask + 4);
    to = be64(ask + 8);
    if (control & DMA_SELECT)
        fwcfg_select(f, (u16)(control >> 16));
    if (control & DMA_READ)
        bad = fwcfg_dma_read(f, to, len) != 0;
    else if (control & DMA_WRITE)
        bad = true;
    else if (control & DMA_SKIP)
        fwcfg_take(f, len, &skipped);
    if (bad)
        guest_error(&f->dev, "DMA of %u bytes, control 0x%x, refused", len, control);
    put_be32(answer, bad ? DMA_ERROR : 0);
    gmem_write(ram, at, answer, sizeof(answer));
}

static u64 fwcfg_load(struct device *d, u32 off, u32 size)
{
    struct fwcfg *f = (struct fwcfg *)d;
    u32 got;
    const u8 *p;

    if (off != 1)
        return 0;
    p = fwcfg_take(f, 1, &got);
    return got ? *p : 0;
}

static void fwcfg_store(struct device *d, u32 off, u32 size, u64 val)
{
    if (off == 0 && size == 2)
        fwcfg_select((struct fwcfg *)d, (u16)val);
}

static u64 fwcfg_dma_load(struct device *d, u32 off, u32 size)
{
    return off == 0 ? le32("QEMU") : le32(" CFG");
}

static void fwcfg_dma_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct fwcfg *f = (struct fwcfg *)d;
    u32 word = __builtin_bswap32((u32)val);

    if (off == 0) {
        f->state.dma = (u64)word << 32;
        return;
    }
    fwcfg_dma(f, f->state.dma | word);
    f->state.dma = 0;
}

static int fwcfg_fill(struct device *d, struct err *e)
{
    u8 id[4], ram[8], cpus[2];
    const u8 irq0 = 1;
    int r;

    put_le32(id, ID_TRADITIONAL | ID_DMA);
    put_le64(ram, machine_ram_size(d->machine));
    put_le16(cpus, (u16)machine_cpu_count(d->machine));
    r = fwcfg_item(d, FWCFG_SIGNATURE, "QEMU", 4, e);
    r = r ? r : fwcfg_item(d, FWCFG_ID, id, sizeof(id), e);
    r = r ? r : fwcfg_item(d, FWCFG_RAM_SIZE, ram, sizeof(ram), e);
    r = r ? r : fwcfg_item(d, FWCFG_NB_CPUS, cpus, sizeof(cpus), e);
    r = r ? r : fwcfg_item(d, FWCFG_MAX_CPUS, cpus, sizeof(cpus), e);
    r = r ? r : fwcfg_item(d, FWCFG_IRQ0_OVERRIDE, &irq0, 1, e);
    return r ? r : fwcfg_directory((struct fwcfg *)d, e);
}

static void fwcfg_destroy(struct device *d)
{
    struct fwcfg *f = (struct fwcfg *)d;

    for (u32 i = 0; i < f->n; i++)
        free(f->entry[i].data);
    f->n = 0;
}

static int fwcfg_create(struct device *d, struct err *e)
{
    struct region r = { .name = "fw_cfg",
                        .base = FWCFG_PORT,
                        .len = 2,
                        .min = 1,
                        .max = 2,
                        .load = fwcfg_load,
                        .store = fwcfg_store,
                        .dev = d };
    struct region dma = { .name = "fw_cfg dma",
                          .base = FWCFG_DMA_PORT,
                          .len = 8,
                          .min = 4,
                          .max = 4,
                          .load = fwcfg_dma_load,
                          .store = fwcfg_dma_store,
                          .dev = d };
    int err;

    ((struct fwcfg *)d)->next_key = FWCFG_FILE_FIRST;
    ((struct fwcfg *)d)->tables = machine_wire(d->machine, d, "fwcfg.tables");
    err = fwcfg_fill(d, e);
    err = err ? err : space_add(machine_ports(d->machine), &r, NULL, e);
    err = err ? err : space_add(machine_ports(d->machine), &dma, NULL, e);
    if (err)
        fwcfg_destroy(d);
    return err;
}

static void fwcfg_reset(struct device *d, enum reset kind)
{
    struct fwcfg *f = (struct fwcfg *)d;

    f->state = (struct fwcfg_state){ 0 };
    irq_set(&f->tables, false);
}

static const struct field state[] = {
    FIELD(1, struct fwcfg_state, dma, 0, "DMA address, as far as it is written"),
    FIELD(2, struct fwcfg_state, off, 0, "read position in the item"),
    FIELD(3, struct fwcfg_state, key, 0, "selected item"),
    FIELDS(0, struct fwcfg_state, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_fwcfg = {
    .name = "fwcfg",
    .about = "firmware configuration, as SeaBIOS, OVMF and kvm-unit-tests read it",
    .domain = "chipset",
    .size = sizeof(struct fwcfg),
    .state_at = offsetof(struct fwcfg, state),
    .state_size = sizeof(struct fwcfg_state),
    .state = state,
    .create = fwcfg_create,
    .destroy = fwcfg_destroy,
    .reset = fwcfg_reset,
};
