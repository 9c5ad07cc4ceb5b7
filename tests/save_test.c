/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds for every device of the catalog when it is saved in the middle of something, and
 * restored into a machine that was just made: it saves the same again, stands at the same
 * addresses, and does the same as the one that was never saved from then on.  And what was
 * damaged on the way is refused or harmless.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include "tests/check.h"
#include "tests/random64.h"
#include "tests/rig.h"
#include <errno.h>

enum { RAM_MIB = 4, ACCESSES = 4000, STEPS = 1500, REGIONS = 64 };

/* Answers of a disk come when they come: two machines agree only when they are at rest. */
static bool has_disk(const struct device_class *c)
{
    return strstr(c->about, "disk") || strstr(c->about, "SCSI") || strstr(c->about, "SATA") ||
           strstr(c->about, "IDE") || strstr(c->about, "NVMe");
}

struct bench {
    struct rig r;
    struct rig_ends ends;
    struct device *d;
    struct region place[REGIONS];
    u32 nports, nplaces;
};
static struct bench a, b;
static const struct device_class *class;

static void start(struct bench *n, bool enable)
{
    rig_start(&n->r, RAM_MIB, 2);
    rig_ends_open(&n->r, &n->ends);
    n->d = rig_device(&n->r, class->name, rig_settings(class->name), n->ends.list);
    if (enable && n->d->bus && machine_bus(n->r.m, "pci"))
        rig_pci_enable(&n->r, n->d);
}

static void stop(struct bench *n)
{
    rig_ends_close(&n->r, &n->ends);
    rig_stop(&n->r);
}

static void look_around(struct bench *n)
{
    n->nports = space_regions(machine_ports(n->r.m), n->place, REGIONS);
    n->nplaces = n->nports +
                 space_regions(machine_memory(n->r.m), n->place + n->nports, REGIONS - n->nports);
}

struct access {
    u64 addr, val;
    u32 size;
    bool port, store;
};

/* By the places of one bench, which are those of the other. */
static struct access choose(const struct bench *n)
{
    u32 i = (u32)(random64() % n->nplaces);
    struct access x = { .addr = n->place[i].base + random64() % n->place[i].len,
                        .val = random64(),
                        .size = 1u << (random64() & 3),
                        .port = i < n->nports,
                        .store = random64() & 1 };

    if (x.port && x.size == 8)
        x.size = 4;
    if (random64() & 1) /* small numbers and addresses in RAM reach further */
        x.val &= (1 << (random64() % 23)) - 1;
    return x;
}

static u64 run(struct bench *n, const struct access *x)
{
    struct space *s = x->port ? machine_ports(n->r.m) : machine_memory(n->r.m);

    if (!x->store)
        return space_load(s, x->addr, x->size);
    space_store(s, x->addr, x->size, x->val);
    return 0;
}

static void fill_ram(struct bench *n)
{
    u64 page[512];

    for (u64 at = 0x100000; at < RAM_MIB << 20; at += sizeof(page)) {
        for (u32 i = 0; i < LEN(page); i++)
            page[i] = random64() & random64() & 0x3fffff;
        rig_put(&n->r, at, page, sizeof(page));
    }
}

/* Any accesses, with time and the lane running on; then it stands. */
static void work(struct bench *n)
{
    fill_ram(n);
    look_around(n);
    for (u32 i = 0; i < ACCESSES && n->nplaces; i++) {
        struct access x = choose(n);

        run(n, &x);
        if (i % 64 == 0)
            rig_clock(&n->r, (i64)(random64() % 100000));
        if (i % 256 == 0)
            rig_lane(&n->r);
    }
    rig_pause(&n->r);
}

static void saved(struct bench *n, struct buf *to)
{
    struct err e = { 0 };

    to->len = 0;
    CHECK_EQ(machine_save(n->r.m, to, &e), 0);
}

static void same(const struct buf *x, const struct buf *y, const char *when)
{
    CHECK_EQ(x->len, y->len);
    for (size_t i = 0; i < x->len && i < y->len; i++)
        if (x->p[i] != y->p[i]) {
            printf("# %s: %s: byte %zu of the saved machine is 0x%02x, was 0x%02x\n", class->name,
                   when, i, y->p[i], x->p[i]);
            check_failed_now = 1;
            return;
        }
}

static void same_places(void)
{
    look_around(&a);
    look_around(&b);
    CHECK_EQ(a.nports, b.nports);
    CHECK_EQ(a.nplaces, b.nplaces);
    for (u32 i = 0; i < a.nplaces && i < b.nplaces; i++)
        CHECK(a.place[i].base == b.place[i].base && a.place[i].len == b.place[i].len);
}

/* a works and is saved; b is made and restored, still standing, as a is. */
static void move(void)
{
    seed = 88172645463325252ull;
    start(&a, true);
    work(&a);
    start(&b, false);
    memcpy(blk_mem(b.ends.blk), blk_mem(a.ends.blk), 1 << 20);
    rig_move(&a.r, &b.r);
}

static void restored_equals_saved(void)
{
    struct buf before = { 0 }, after = { 0 };

    seed = 88172645463325252ull;
    start(&a, true);
    work(&a);
    saved(&a, &before);
    start(&b, false);
    memcpy(blk_mem(b.ends.blk), blk_mem(a.ends.blk), 1 << 20);
    {
        struct err e = { 0 };

        machine_pause(b.r.m);
        CHECK_EQ(machine_load(b.r.m, (struct span){ before.p, before.len }, &e), 0);
        if (e.code)
            printf("# %s\n", e.text);
    }
    saved(&b, &after);
    same(&before, &after, "at once");
    same_places();
    buf_fini(&before);
    buf_fini(&after);
    stop(&b);
    stop(&a);
}

static void goes_on_alike(void)
{
    struct buf x = { 0 }, y = { 0 };
    bool disk = has_disk(class);

    move();
    machine_resume(a.r.m);
    same_places();
    for (u32 i = 0; i < STEPS && a.nplaces; i++) {
        struct access one = choose(&a);
        u64 va = run(&a, &one), vb = run(&b, &one);

        if (va != vb && !disk) {
            printf("# %s: step %u: 0x%llx gives 0x%llx, not 0x%llx\n", class->name, i,
                   (unsigned long long)one.addr, (unsigned long long)vb, (unsigned long long)va);
            check_failed_now = 1;
            break;
        }
        if (i % 32 == 0) {
            i64 ns = (i64)(random64() % 1000000);

            rig_clock(&a.r, ns);
            rig_clock(&b.r, ns);
        }
        if (i % 16 == 0 || disk) {
            rig_pause(&a.r);
            rig_pause(&b.r);
            rig_resume(&a.r);
            rig_resume(&b.r);
        }
    }
    rig_pause(&a.r);
    rig_pause(&b.r);
    saved(&a, &x);
    saved(&b, &y);
    if (!disk)
        same(&x, &y, "after some steps");
    buf_fini(&x);
    buf_fini(&y);
    stop(&b);
    stop(&a);
}

/* Cut, or a bit turned: refused by name, or a machine that runs and ends all the same. */
static void damage_is_harmless(void)
{
    struct buf good = { 0 };

    seed = 88172645463325252ull;
    start(&a, true);
    work(&a);
    saved(&a, &good);
    stop(&a);
    for (u32 i = 0; i < 60; i++) {
        size_t at = random64() % good.len, len = i & 1 ? good.len : at;
        struct err e = { 0 };
        u8 was = good.p[at];

        start(&b, false);
        good.p[at] ^= (u8)(i & 1 ? 1u << (random64() & 7) : 0);
        machine_pause(b.r.m);
        if (machine_load(b.r.m, (struct span){ good.p, len }, &e)) {
            CHECK(e.text[0]);
        } else {
            rig_resume(&b.r);
            look_around(&b);
            for (u32 k = 0; k < 50 && b.nplaces; k++) {
                struct access x = choose(&b);

                run(&b, &x);
            }
            rig_clock(&b.r, 1000000);
            rig_pause(&b.r);
        }
        good.p[at] = was;
        stop(&b);
    }
    buf_fini(&good);
}

static void each(const char *what, void (*fn)(void))
{
    for (const struct device_class *const *c = device_catalog; *c; c++) {
        char name[100];

        class = *c;
        snprintf(name, sizeof(name), "%s %s", class->name, what);
        check_case(name, fn);
    }
}

static void others_are_refused(void)
{
    struct buf one = { 0 };
    struct err e = { 0 };

    class = device_catalog[0];
    start(&a, false);
    rig_pause(&a.r);
    saved(&a, &one);
    class = device_catalog[1];
    start(&b, false);
    machine_pause(b.r.m);
    CHECK_EQ(machine_load(b.r.m, (struct span){ one.p, one.len }, &e), -EINVAL);
    CHECK(strstr(e.text, device_catalog[0]->name) && strstr(e.text, class->name));
    stop(&b);
    stop(&a);
    rig_start(&b.r, RAM_MIB * 2, 2);
    memset(&e, 0, sizeof(e));
    CHECK_EQ(machine_load(b.r.m, (struct span){ one.p, one.len }, &e), -EINVAL);
    CHECK(strstr(e.text, "MiB"));
    rig_stop(&b.r);
    buf_fini(&one);
}

int main(void)
{
    each("restored equals saved", restored_equals_saved);
    each("goes on alike", goes_on_alike);
    each("damaged on the way is harmless", damage_is_harmless);
    check_case("a machine of other devices is refused", others_are_refused);
    return check_end();
}
