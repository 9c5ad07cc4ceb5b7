/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds for every device of the catalog, without code per device: its tables are sound
 * and describe every byte, its state survives saving and loading and never damage, random
 * accesses neither crash it nor leave a trace that a reset does not remove.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include "tests/check.h"
#include "tests/random64.h"
#include "tests/rig.h"

enum { RAM_MIB = 4, ACCESSES = 20000, REGIONS = 64 };

static struct rig r;
static struct rig_ends ends;
static const struct device_class *class;

/* Fresh machine, fresh device; PCI devices are switched on. */
static struct device *start(void)
{
    struct device *d;

    rig_start(&r, RAM_MIB, 2);
    rig_ends_open(&r, &ends);
    d = rig_device(&r, class->name, rig_settings(class->name), ends.list);
    if (d->bus && machine_bus(r.m, "pci"))
        rig_pci_enable(&r, d);
    return d;
}

static void stop(void)
{
    rig_ends_close(&r, &ends);
    rig_stop(&r);
}

static void *state_of(struct device *d)
{
    return (u8 *)d + class->state_at;
}

static bool covered(const struct field *t, u32 size)
{
    u8 *map = calloc(1, size + 1);
    bool all = true;

    if (t)
        field_mark(t, map, size);
    for (u32 i = 0; i < size && all; i++) {
        all = map[i];
        if (!all)
            printf("# %s: byte %u of %u is in no field\n", class->name, i, size);
    }
    free(map);
    return all;
}

static void tables_are_sound(void)
{
    struct err e = { 0 };

    CHECK(class->about && *class->about);
    CHECK(class->size >= sizeof(struct device));
    CHECK(range_ok(class->state_at, class->state_size, class->size));
    CHECK(range_ok(class->config_at, class->config_size, class->size));
    CHECK(!class->state_size || class->state);
    CHECK(!class->config_size || (class->config && class->config_default));
    if (class->state)
        CHECK_EQ(field_check(class->state, class->state_size, &e), 0);
    if (class->config)
        CHECK_EQ(field_check(class->config, class->config_size, &e), 0);
    CHECK(covered(class->state, class->state_size));
    CHECK(covered(class->config, class->config_size));
    if (e.code)
        printf("# %s\n", e.text);
}

/* Any values that a field of that kind can hold. */
static void fill(const struct field *t, u8 *to)
{
    for (; t->kind != F_END; t++)
        for (u32 i = 0; i < t->count; i++) {
            u8 *p = to + t->at + (size_t)i * t->size;

            if (t->kind == F_STRUCT)
                fill(t->sub, p);
            else if (t->kind == F_BOOL)
                *p = random64() & 1;
            else
                for (u32 n = 0; n < t->size; n++)
                    p[n] = t->kind == F_TEXT ? (n + 1 < t->size ? 'a' + random64() % 26 : 0)
                                             : (u8)random64();
        }
}

static void state_survives_saving(void)
{
    u8 *a = calloc(1, class->state_size + 1), *b = calloc(1, class->state_size + 1);
    struct buf first = { 0 }, second = { 0 };
    struct err e = { 0 };

    if (class->state) {
        fill(class->state, a);
        CHECK_EQ(field_save(class->state, a, &first), 0);
        CHECK_EQ(field_load(class->state, b, (struct span){ first.p, first.len }, &e), 0);
        CHECK_EQ(field_save(class->state, b, &second), 0);
        CHECK(first.len == second.len && !memcmp(first.p, second.p, first.len));
    }
    buf_fini(&first);
    buf_fini(&second);
    free(a);
    free(b);
}

/* Cut or flipped state is refused or loads; check() may be asked about whatever came. */
static void damage_is_harmless(void)
{
    struct buf b = { 0 };
    struct device *d = start();
    void *keep = malloc(class->state_size + 1);

    memcpy(keep, state_of(d), class->state_size);
    if (class->state)
        CHECK_EQ(field_save(class->state, state_of(d), &b), 0);
    for (u32 i = 0; i < 400 && b.len; i++) {
        size_t at = random64() % b.len;
        struct err e = { 0 };
        u8 was = b.p[at];

        if (i & 1)
            b.p[at] ^= (u8)(1u << (random64() & 7));
        if (!field_load(class->state, state_of(d), (struct span){ b.p, i & 1 ? b.len : at }, &e) &&
            class->check)
            class->check(d, &e);
        b.p[at] = was;
    }
    if (class->state) { /* and what was saved is good */
        struct err e = { 0 };

        CHECK_EQ(field_load(class->state, state_of(d), (struct span){ b.p, b.len }, &e), 0);
        if (class->check)
            CHECK_EQ(class->check(d, &e), 0);
        if (e.code)
            printf("# %s: %s\n", class->name, e.text);
    }
    memcpy(state_of(d), keep, class->state_size);
    free(keep);
    buf_fini(&b);
    stop();
}

static struct region place[REGIONS];
static u32 nports, nplaces;

static void look_around(void)
{
    nports = space_regions(machine_ports(r.m), place, REGIONS);
    nplaces = nports + space_regions(machine_memory(r.m), place + nports, REGIONS - nports);
}

static void access_once(void)
{
    u32 i = (u32)(random64() % nplaces), size = 1u << (random64() & 3);
    u64 addr = place[i].base + random64() % place[i].len, val = random64();
    bool port = i < nports;

    if (port && size == 8)
        size = 4;
    if (random64() & 1) /* small numbers and addresses in RAM reach further */
        val &= (1 << (random64() % 23)) - 1;
    if (random64() & 1)
        space_store(port ? machine_ports(r.m) : machine_memory(r.m), addr, size, val);
    else
        space_load(port ? machine_ports(r.m) : machine_memory(r.m), addr, size);
}

static void fill_ram(void)
{
    u64 page[512];

    for (u64 at = 0x100000; at < RAM_MIB << 20; at += sizeof(page)) {
        for (u32 i = 0; i < LEN(page); i++)
            page[i] = random64() & random64() & 0x3fffff;
        rig_put(&r, at, page, sizeof(page));
    }
}

static void accesses_are_survived(void)
{
    struct device *d = start();
    bool pci = d->bus && machine_bus(r.m, "pci");

    fill_ram();
    look_around();
    for (u32 i = 0; i < ACCESSES && nplaces; i++) {
        access_once();
        if (i % 64 == 0)
            rig_clock(&r, (i64)(random64() % 100000));
        if (i % 256 == 0)
            rig_lane(&r);
        if (i % 1024 == 0) {
            machine_reset(r.m, i & 1024 ? RESET_SYSTEM : RESET_POWER);
            if (pci)
                rig_pci_enable(&r, d);
        }
        if (pci && i % 300 == 0)
            rig_pci_set(d, 0x40 + 4 * (u32)(random64() % 48), 4, (u32)random64());
    }
    rig_lane(&r);
    stop();
}

/* No time passes and nothing is answered: what differs after a reset was left behind. */
static void reset_equals_new(void)
{
    struct buf fresh = { 0 }, after = { 0 };
    struct device *d = start();

    if (class->state)
        CHECK_EQ(field_save(class->state, state_of(d), &fresh), 0);
    look_around();
    for (u32 i = 0; i < ACCESSES / 10 && nplaces; i++)
        access_once();
    rig_lane(&r);
    machine_reset(r.m, RESET_POWER);
    if (class->state)
        CHECK_EQ(field_save(class->state, state_of(d), &after), 0);
    CHECK_EQ(fresh.len, after.len);
    for (size_t i = 0; i < fresh.len && i < after.len; i++)
        if (fresh.p[i] != after.p[i]) {
            printf("# %s: byte %zu of the saved state is 0x%02x after a reset, was 0x%02x\n",
                   class->name, i, after.p[i], fresh.p[i]);
            check_failed_now = 1;
            break;
        }
    buf_fini(&fresh);
    buf_fini(&after);
    stop();
}

static void each(const char *what, void (*fn)(void))
{
    for (const struct device_class *const *c = device_catalog; *c; c++) {
        char name[100];

        class = *c;
        seed = 88172645463325252ull;
        snprintf(name, sizeof(name), "%s %s", class->name, what);
        check_case(name, fn);
    }
}

int main(void)
{
    each("tables are sound", tables_are_sound);
    each("state survives saving", state_survives_saving);
    each("damage is harmless", damage_is_harmless);
    each("accesses are survived", accesses_are_survived);
    each("reset equals new", reset_equals_new);
    return check_end();
}
