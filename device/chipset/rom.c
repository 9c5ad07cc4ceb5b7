/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BIOS ROM: read-only memory that ends at 4 GiB, where a processor starts after reset.
 *
 * The copy that a PC shows below 1 MiB is RAM (machine_shadow) and whoever fills the ROM
 * fills that too.  Not modelled: flash commands; a store to it is dropped.
 */
#include "device/chipset/rom.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { ROM_PAGE = 4096, ROM_MAX = 16 << 20 };

struct rom {
    struct device dev;
    u8 *bytes;
    u32 len, slot;
};

static int rom_create(struct device *d, struct err *e)
{
    return 0;
}

static void rom_destroy(struct device *d)
{
    struct rom *r = (struct rom *)d;

    if (!r->bytes)
        return;
    machine_slot_drop(d->machine, r->slot);
    munmap(r->bytes, r->len);
    r->bytes = NULL;
}

int rom_fill(struct device *d, const void *p, u32 len, struct err *e)
{
    struct rom *r = (struct rom *)d;
    struct machine_slot s = { .gpa = (1ull << 32) - len, .len = len, .readonly = true };
    int err;

    if (r->bytes && r->len == len) {
        memcpy(r->bytes, p, len);
        return 0;
    }
    if (r->bytes || !len || len % ROM_PAGE || len > ROM_MAX)
        return err_set(e, -EINVAL, "ROM of %u bytes: whole pages up to 16 MiB are expected", len);
    s.host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s.host == MAP_FAILED)
        return err_set(e, -ENOMEM, "no memory for a ROM of %u bytes", len);
    memcpy(s.host, p, len);
    err = machine_slot_add(d->machine, &s, &r->slot, e);
    if (err) {
        munmap(s.host, len);
        return err;
    }
    r->bytes = s.host;
    r->len = len;
    return 0;
}

static void rom_reset(struct device *d, enum reset kind)
{
}

const struct device_class device_rom = {
    .name = "rom",
    .about = "the BIOS ROM below 4 GiB",
    .size = sizeof(struct rom),
    .create = rom_create,
    .destroy = rom_destroy,
    .reset = rom_reset,
};
