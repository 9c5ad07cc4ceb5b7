/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A record of a translated block, of any bytes: what is taken for sound can be put in place. */
#include "engine/translate/keep.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
extern const struct engine_ops engine_translate;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static void *engine;
    struct engine_options o = { .tsc_hz = 1000000000, .apic_ids = 1, .cache_size = 1 << 20 };
    struct err e = { 0 };
    struct block b = { 0 };
    struct kept *r;

    size &= ~(size_t)15;
    if (size < sizeof(*r) || size > KEEP_RECORD_MAX)
        return 0;
    if (!engine && engine_translate.open(&engine, &o, &e))
        return 0;
    r = malloc(size);
    memcpy(r, data, size);
    r->size = (u32)size;
    if (kept_is_sound(r) && kept_use(engine, r, &b))
        for (u32 i = 0; i < b.nexit; i++)
            if (b.exits[i].rel < engine_rw(engine, b.code) ||
                b.exits[i].rel + 4 > engine_rw(engine, b.end))
                abort();
    free(r);
    return 0;
}
