/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug console: port 0x402, as Bochs, QEMU and SeaBIOS know it.
 *
 * A byte written is a byte on the host side; a read returns 0xe9 so that
 * firmware can tell that it is there.  No document but common use.
 * Not modelled: reading from the host.
 */
#include "backend/chr.h"
#include "machine/device.h"
#include <errno.h>

struct debugcon {
    struct device dev;
    struct debugcon_config {
        u16 port;
    } config;
    struct debugcon_state {
        u64 written;
        i64 last;
        u8 byte;
        bool muted;
        u8 pad[6];
    } state;
    struct chr *out; /* host side: made again by create, never saved */
};

static u64 debugcon_load(struct device *d, u32 off, u32 size)
{
    (void)d, (void)off, (void)size;
    return 0xe9;
}

static void debugcon_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct debugcon *c = (struct debugcon *)d;

    (void)off, (void)size;
    c->state.byte = (u8)val;
    c->state.written++;
    c->state.last = machine_now(d->machine);
    if (!c->state.muted)
        chr_put(c->out, &c->state.byte, 1);
}

static int debugcon_create(struct device *d, struct err *e)
{
    struct debugcon *c = (struct debugcon *)d;
    struct region r = { .name = "debugcon",
                        .base = c->config.port,
                        .len = 1,
                        .min = 1,
                        .max = 1,
                        .load = debugcon_load,
                        .store = debugcon_store,
                        .dev = d };

    c->out = device_end(d, "chr");
    return space_add(machine_ports(d->machine), &r, NULL, e);
}

static void debugcon_reset(struct device *d, enum reset kind)
{
    (void)kind;
    ((struct debugcon *)d)->state = (struct debugcon_state){ 0 };
}

static int debugcon_check(const struct device *d, struct err *e)
{
    const struct debugcon_state *s = &((const struct debugcon *)d)->state;

    if (s->written == 0 && s->byte != 0)
        return err_set(e, -EBADMSG, "a last byte, yet nothing was written");
    return 0;
}

static const struct field config[] = { FIELD(1, struct debugcon_config, port, 0, "I/O port"),
                                       FIELD_END };
static const struct field state[] = {
    FIELD(1, struct debugcon_state, written, 0, "bytes so far"),
    FIELD_TIME(2, struct debugcon_state, last, 0, "when the last one came"),
    FIELD(3, struct debugcon_state, byte, 0, "the last one"),
    FIELD(4, struct debugcon_state, muted, 0, "host side switched off"),
    FIELDS(0, struct debugcon_state, pad, F_LOCAL, "none"),
    FIELD_END
};

const struct device_class device_debugcon = {
    .name = "debugcon",
    .about = "Bochs/SeaBIOS debug port 0x402",
    .size = sizeof(struct debugcon),
    .config_at = offsetof(struct debugcon, config),
    .config = config,
    .config_default = &(const struct debugcon_config){ .port = 0x402 },
    .config_size = sizeof(struct debugcon_config),
    .state_at = offsetof(struct debugcon, state),
    .state_size = sizeof(struct debugcon_state),
    .state = state,
    .create = debugcon_create,
    .reset = debugcon_reset,
    .check = debugcon_check,
};
