/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallel NOR flash with the Intel command set (Intel application note 646, CFI 01): where
 * UEFI firmware keeps its variables.  Reads go straight to the bytes while it is in its array
 * mode; a command takes the bytes out of sight until READ ARRAY.
 *
 * One difference from a chip: after CLEAR STATUS the status reads 0, without the bit for
 * "ready", until the next operation, since OVMF tells flash from ROM by that.
 * Not modelled: locking that holds, protection registers, timing; operations are done at once.
 */
#include "backend/nvram.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { FLASH_BLOCK = 4096, FLASH_BUFFER = 256, FLASH_DEFAULT = 128 << 10 };
enum { STATUS_READY = 0x80, STATUS_PROGRAM = 0x10, STATUS_ERASE = 0x20 };
enum {
    CMD_PROGRAM_ALT = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR = 0x50,
    CMD_LOCK = 0x60,
    CMD_STATUS = 0x70,
    CMD_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFER = 0xe8,
    CMD_ARRAY = 0xff,
};
/* What a read gives, and what the next store means. */
enum flash_mode { FLASH_ARRAY, FLASH_STATUS, FLASH_ID, FLASH_QUERY };
enum flash_wait { WAIT_COMMAND, WAIT_BYTE, WAIT_ERASE, WAIT_LOCK, WAIT_COUNT, WAIT_DATA, WAIT_END };

struct flash {
    struct device dev;
    struct flash_config {
        u64 base; /* its first byte; the firmware's code follows it */
    } config;
    struct flash_state {
        u8 mode, wait, status, pad;
        u16 left, filled; /* of a buffered program */
        u32 at;           /* where the buffer goes */
        u8 buffer[FLASH_BUFFER];
    } state;
    struct nvram *nvram; /* NULL: erased memory of our own */
    u8 *bytes;
    u32 size, slot;
};

static void flash_show(struct flash *f)
{
    bool array = f->state.mode == FLASH_ARRAY && f->state.wait == WAIT_COMMAND;

    machine_slot_move(f->dev.machine, f->slot, array ? f->config.base : ~0ull);
}

/* Common Flash Interface: "QRY", the Intel command set, one region of 4 KiB blocks. */
static u8 flash_query(const struct flash *f, u32 at)
{
    u32 blocks = f->size / FLASH_BLOCK - 1;

    switch (at) {
    case 0x10:
        return 'Q';
    case 0x11:
        return 'R';
    case 0x12:
        return 'Y';
    case 0x13:
        return 1;
    case 0x15:
        return 0x31; /* the extended table */
    case 0x1b:
        return 0x45;
    case 0x1c:
        return 0x55; /* 4.5 to 5.5 V */
    case 0x1f:
    case 0x20:
        return 7; /* typical times, as powers of two of us, us, ms */
    case 0x21:
        return 10;
    case 0x27:
        return (u8)(32 - __builtin_clz(f->size - 1)); /* bytes, as a power of two */
    case 0x2a:
        return 8; /* bytes of the buffer, as a power of two */
    case 0x2c:
        return 1;
    case 0x2d:
        return (u8)blocks;
    case 0x2e:
        return (u8)(blocks >> 8);
    case 0x2f:
        return (u8)(FLASH_BLOCK / 256);
    case 0x30:
        return (u8)(FLASH_BLOCK / 256 >> 8);
    case 0x31:
        return 'P';
    case 0x32:
        return 'R';
    case 0x33:
        return 'I';
    case 0x34:
    case 0x35:
        return '1';
    }
    return 0;
}

static u64 flash_load(struct device *d, u32 off, u32 size)
{
    struct flash *f = (struct flash *)d;

    switch (f->state.mode) {
    case FLASH_ARRAY:
        return f->state.wait == WAIT_COMMAND ? f->bytes[off] : f->state.status;
    case FLASH_ID:
        return off & 0xff ? (off & 0xff) == 1 ? 0x18 : 0 : 0x89; /* device, Intel */
    case FLASH_QUERY:
        return flash_query(f, off & 0xff);
    default:
        return f->state.status;
    }
}

static void flash_command(struct flash *f, u8 val)
{
    struct flash_state *s = &f->state;

    s->mode = FLASH_STATUS;
    switch (val) {
    case CMD_PROGRAM_ALT:
    case CMD_PROGRAM:
        s->wait = WAIT_BYTE;
        break;
    case CMD_ERASE:
        s->wait = WAIT_ERASE;
        break;
    case CMD_LOCK:
        s->wait = WAIT_LOCK;
        break;
    case CMD_BUFFER:
        s->wait = WAIT_COUNT;
        s->status |= STATUS_READY;
        break;
    case CMD_CLEAR:
        s->status = 0;
        break;
    case CMD_STATUS:
        break;
    case CMD_ID:
        s->mode = FLASH_ID;
        break;
    case CMD_QUERY:
        s->mode = FLASH_QUERY;
        break;
    case CMD_ARRAY:
        s->mode = FLASH_ARRAY;
        break;
    default:
        guest_error(&f->dev, "no command %#x", val);
        s->mode = FLASH_ARRAY;
    }
}

/* Programming clears bits; only an erase sets them. */
static void flash_program(struct flash *f, u32 at, const u8 *p, u32 n)
{
    for (u32 i = 0; i < n; i++)
        f->bytes[at + i] &= p[i];
    f->state.status |= STATUS_READY;
}

static void flash_erase(struct flash *f, u32 off, u8 val)
{
    if (val != CMD_CONFIRM) {
        guest_error(&f->dev, "an erase is confirmed by %#x, not %#x", CMD_CONFIRM, val);
        f->state.status |= STATUS_READY | STATUS_ERASE | STATUS_PROGRAM;
        return;
    }
    memset(f->bytes + off / FLASH_BLOCK * FLASH_BLOCK, 0xff, FLASH_BLOCK);
    f->state.status |= STATUS_READY;
}

static void flash_buffer(struct flash *f, u32 off, u8 val)
{
    struct flash_state *s = &f->state;

    if (s->wait == WAIT_COUNT) {
        s->left = (u16)(val + 1);
        s->filled = 0;
        memset(s->buffer, 0xff, sizeof(s->buffer));
        s->wait = WAIT_DATA;
        return;
    }
    if (s->wait == WAIT_DATA) {
        if (s->filled == 0)
            s->at = off;
        if (off - s->at < FLASH_BUFFER)
            s->buffer[off - s->at] = val;
        s->filled++;
        if (!--s->left)
            s->wait = WAIT_END;
        return;
    }
    s->wait = WAIT_COMMAND;
    if (val == CMD_CONFIRM)
        flash_program(f, s->at, s->buffer, (u32)min_u64(FLASH_BUFFER, f->size - s->at));
    else
        s->status |= STATUS_READY | STATUS_ERASE | STATUS_PROGRAM;
}

static void flash_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct flash *f = (struct flash *)d;
    struct flash_state *s = &f->state;
    u8 byte = (u8)val;

    switch (s->wait) {
    case WAIT_COMMAND:
        flash_command(f, byte);
        break;
    case WAIT_BYTE:
        flash_program(f, off, &byte, 1);
        s->wait = WAIT_COMMAND;
        break;
    case WAIT_ERASE:
        flash_erase(f, off, byte);
        s->wait = WAIT_COMMAND;
        break;
    case WAIT_LOCK:
        s->status |= STATUS_READY;
        s->wait = WAIT_COMMAND;
        break;
    default:
        flash_buffer(f, off, byte);
    }
    flash_show(f);
}

static int flash_memory(struct flash *f, struct err *e)
{
    f->nvram = device_end(&f->dev, "nvram");
    if (f->nvram) {
        f->bytes = nvram_bytes(f->nvram);
        f->size = nvram_size(f->nvram);
        return 0;
    }
    f->size = FLASH_DEFAULT;
    f->bytes = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->bytes == MAP_FAILED) {
        f->bytes = NULL;
        return err_set(e, -ENOMEM, "no memory for the flash");
    }
    memset(f->bytes, 0xff, f->size);
    return 0;
}

static void flash_forget(struct flash *f)
{
    if (!f->nvram)
        munmap(f->bytes, f->size);
}

static int flash_create(struct device *d, struct err *e)
{
    struct flash *f = (struct flash *)d;
    struct region r = { .name = d->name,
                        .base = f->config.base,
                        .min = 1,
                        .max = 1,
                        .load = flash_load,
                        .store = flash_store,
                        .dev = d };
    struct machine_slot s = { .gpa = f->config.base, .readonly = true };
    int err = flash_memory(f, e);

    if (err)
        return err;
    r.len = s.len = f->size;
    s.host = f->bytes;
    if (f->config.base % FLASH_BLOCK || f->config.base > (1ull << 32) - f->size)
        err = err_set(e, -EINVAL, "base %#llx: %u bytes below 4 GiB are expected",
                      (unsigned long long)f->config.base, f->size);
    err = err ? err : space_add(machine_memory(d->machine), &r, NULL, e);
    err = err ? err : device_memory(d, "bytes", f->bytes, f->size);
    err = err ? err : machine_slot_add(d->machine, &s, &f->slot, e);
    if (err)
        flash_forget(f);
    return err;
}

static void flash_destroy(struct device *d)
{
    struct flash *f = (struct flash *)d;

    machine_slot_drop(d->machine, f->slot);
    flash_forget(f);
}

static void flash_reset(struct device *d, enum reset kind)
{
    struct flash *f = (struct flash *)d;

    (void)kind;
    f->state = (struct flash_state){ 0 };
    flash_show(f);
}

static void flash_pause(struct device *d)
{
    struct flash *f = (struct flash *)d;

    if (f->nvram)
        nvram_sync(f->nvram);
}

static void flash_resume(struct device *d)
{
    flash_show((struct flash *)d);
}

static void flash_restored(struct device *d)
{
    flash_show((struct flash *)d);
}

static int flash_check(const struct device *d, struct err *e)
{
    const struct flash *f = (const struct flash *)d;
    const struct flash_state *s = &f->state;

    if (s->mode > FLASH_QUERY || s->wait > WAIT_END)
        return err_set(e, -EINVAL, "%s: no mode %u or no step %u", d->name, s->mode, s->wait);
    if (s->at >= f->size || s->left > FLASH_BUFFER || s->filled > FLASH_BUFFER ||
        (s->wait == WAIT_DATA && !s->left))
        return err_set(e, -EINVAL, "%s: a buffer of %u bytes, %u more, at %#x", d->name, s->filled,
                       s->left, s->at);
    return 0;
}

static const struct field config[] = { FIELD(1, struct flash_config, base, 0, "address"),
                                       FIELD_END };
#define FLASH struct flash_state
static const struct field state[] = {
    FIELD(1, FLASH, mode, 0, "what a read gives: enum flash_mode"),
    FIELD(2, FLASH, wait, 0, "what the next store means: enum flash_wait"),
    FIELD(3, FLASH, status, 0, "status register"),
    FIELD(4, FLASH, left, 0, "bytes that the buffer waits for"),
    FIELD(5, FLASH, filled, 0, "bytes that came"),
    FIELD(6, FLASH, at, 0, "where the buffer goes"),
    FIELDS(7, FLASH, buffer, 0, "the buffer"),
    FIELD(0, FLASH, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_flash = {
    .name = "flash",
    .about = "parallel flash for UEFI variables",
    .size = sizeof(struct flash),
    .config_at = offsetof(struct flash, config),
    .config = config,
    .config_default = &(const struct flash_config){ .base = 0xffb00000 },
    .config_size = sizeof(struct flash_config),
    .state_at = offsetof(struct flash, state),
    .state_size = sizeof(struct flash_state),
    .state = state,
    .create = flash_create,
    .destroy = flash_destroy,
    .reset = flash_reset,
    .pause = flash_pause,
    .resume = flash_resume,
    .check = flash_check,
    .restored = flash_restored,
};
