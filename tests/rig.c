/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bench that tests of devices stand on. */
#include "tests/rig.h"
#include "base/loop.h"
#include "bus/pci.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RIG_ROUNDS = 3, RIG_BARS = 6, RIG_BLOCKS = 8 };

static void rig_must(int r, const struct err *e, const char *what)
{
    if (!r)
        return;
    printf("Bail out! %s: %s\n", what, e && e->code ? e->text : strerror(-r));
    exit(99);
}

/* ---- what the machine tells ---- */

static void rig_kick(void *arg, u32 cpu)
{
    ((struct rig *)arg)->kicks[cpu]++;
}

static void rig_nmi(void *arg, u32 cpu)
{
    ((struct rig *)arg)->nmis[cpu]++;
}

static void rig_init(void *arg, u32 cpu)
{
    ((struct rig *)arg)->inits[cpu]++;
}

static void rig_startup(void *arg, u32 cpu, u8 page)
{
    struct rig *r = arg;

    r->sips[cpu]++;
    r->sipi_page[cpu] = page;
}

static void rig_forget(void *arg, u64 gpa, u64 len)
{
    (void)gpa, (void)len;
    ((struct rig *)arg)->forgot++;
}

static int rig_slots(void *arg)
{
    (void)arg;
    return 0;
}

static int rig_msi(void *arg, u64 addr, u32 data)
{
    struct rig *r = arg;

    if (r->nmsi < LEN(r->msi))
        r->msi[r->nmsi] = (struct rig_msi){ addr, data };
    r->nmsi++;
    return 0;
}

static void rig_asked(void *arg, enum machine_event what, u32 code)
{
    struct rig *r = arg;

    r->asks++;
    r->ask = what;
    r->ask_code = code;
}

static void rig_wire_set(void *sink, u32 pin, bool level)
{
    struct rig_wire *w = sink;

    (void)pin;
    w->rises += level && !w->level;
    w->level = level;
}

/* ---- the bench ---- */

void rig_start(struct rig *r, u32 ram_mib, u32 cpus)
{
    struct machine_make how = {
        .ram = (u64)ram_mib << 20, .cpus = cpus, .tsc_hz = 1000000000, .manual = true
    };
    struct machine_cpus c = { .arg = r,
                              .kick = rig_kick,
                              .nmi = rig_nmi,
                              .init = rig_init,
                              .startup = rig_startup,
                              .forget = rig_forget,
                              .slots = rig_slots };
    struct err e = { 0 };

    memset(r, 0, sizeof(*r));
    r->next_bar = 0xe0000000;
    r->next_port = 0xc000;
    rig_must(machine_new(&r->m, &how, &e), &e, "machine");
    machine_cpus_set(r->m, &c);
    machine_msi_set(r->m, rig_msi, r);
    machine_on_ask(r->m, rig_asked, r);
}

void rig_stop(struct rig *r)
{
    machine_free(r->m);
    r->m = NULL;
}

struct device *rig_device(struct rig *r, const char *class, const char *const *settings,
                          const struct device_end *ends)
{
    struct err e = { 0 };
    struct device *d;

    rig_must(device_new(r->m, class, class, settings, ends, &d, &e), &e, class);
    return d;
}

const char *const *rig_settings(const char *class)
{
    static const char *const rtc[] = { "base", "1700000000", NULL };

    return strcmp(class, "rtc") ? NULL : rtc;
}

struct rig_wire *rig_wire(struct rig *r, const char *name)
{
    struct rig_wire *w = &r->wires[r->nwires];

    rig_must(r->nwires == LEN(r->wires) ? -1 : 0, NULL, "too many wires");
    r->nwires++;
    snprintf(w->name, sizeof(w->name), "%s", name);
    machine_input(r->m, name, (struct irq){ rig_wire_set, w, 0 });
    return w;
}

void rig_pci_wires(struct rig *r)
{
    for (const char *p = "abcd"; *p; p++)
        rig_wire(r, (const char[]){ 'p', 'c', 'i', '.', *p, 0 });
}

bool rig_wire_is_up(const struct rig *r)
{
    bool up = false;

    for (u32 i = 0; i < r->nwires; i++)
        up |= r->wires[i].level;
    return up;
}

void rig_msi_clear(struct rig *r)
{
    r->nmsi = 0;
}

u32 rig_msi_seen(const struct rig *r, u64 addr, u32 data)
{
    u32 n = 0;

    for (u32 i = 0; i < r->nmsi && i < LEN(r->msi); i++)
        n += r->msi[i].addr == addr && r->msi[i].data == data;
    return n;
}

void rig_clock(struct rig *r, i64 ns)
{
    machine_clock_advance(r->m, ns);
}

static void rig_mark(void *arg)
{
    *(bool *)arg = true;
}

/* Several times: what a bell causes may be one more bell. */
static void rig_drain(struct loop *l)
{
    for (int i = 0; i < RIG_ROUNDS; i++) {
        bool here = false;

        rig_must(loop_post(l, rig_mark, &here), NULL, "loop");
        while (!here)
            loop_once(l);
    }
}

void rig_lane(struct rig *r)
{
    rig_drain(machine_lane(r->m));
}

struct rig_turn {
    struct rig *r;
    atomic_bool end;
};

static void *rig_turn(void *arg)
{
    struct rig_turn *t = arg;

    while (!atomic_load(&t->end))
        loop_once(machine_lane(t->r->m));
    return NULL;
}

static void rig_nothing(void *arg)
{
    (void)arg;
}

void rig_pause(struct rig *r)
{
    struct rig_turn t = { .r = r };
    pthread_t thread;

    rig_must(-pthread_create(&thread, NULL, rig_turn, &t), NULL, "thread");
    machine_pause(r->m);
    atomic_store(&t.end, true);
    rig_must(loop_post(machine_lane(r->m), rig_nothing, NULL), NULL, "loop");
    pthread_join(thread, NULL);
}

void rig_resume(struct rig *r)
{
    machine_resume(r->m);
    rig_lane(r);
}

void rig_move(struct rig *from, struct rig *to)
{
    struct machine_block a[RIG_BLOCKS], b[RIG_BLOCKS];
    struct buf state = { 0 };
    struct err e = { 0 };
    u32 n = machine_blocks(from->m, a, RIG_BLOCKS);

    machine_pause(to->m);
    rig_must(n > RIG_BLOCKS || machine_blocks(to->m, b, RIG_BLOCKS) != n, NULL, "memories");
    for (u32 i = 0; i < n; i++) {
        rig_must(strcmp(a[i].name, b[i].name) || a[i].len != b[i].len, NULL, a[i].name);
        memcpy(b[i].p, a[i].p, a[i].len);
    }
    rig_must(machine_save(from->m, &state, &e), &e, "save");
    rig_must(machine_load(to->m, (struct span){ state.p, state.len }, &e), &e, "load");
    buf_fini(&state);
    machine_resume(to->m);
}

void rig_loop(struct rig *r)
{
    rig_drain(machine_loop(r->m));
}

void rig_lane_until(struct rig *r, bool (*done)(void *arg), void *arg)
{
    while (!done(arg))
        loop_once(machine_lane(r->m));
}

u64 rig_in(struct rig *r, u16 port, u32 size)
{
    return space_load(machine_ports(r->m), port, size);
}

void rig_out(struct rig *r, u16 port, u32 size, u64 val)
{
    space_store(machine_ports(r->m), port, size, val);
}

u64 rig_load(struct rig *r, u64 gpa, u32 size)
{
    return space_load(machine_memory(r->m), gpa, size);
}

void rig_store(struct rig *r, u64 gpa, u32 size, u64 val)
{
    space_store(machine_memory(r->m), gpa, size, val);
}

void rig_put(struct rig *r, u64 gpa, const void *p, size_t n)
{
    rig_must(gmem_write(machine_ram(r->m), gpa, p, n), NULL, "rig_put");
}

void rig_get(struct rig *r, u64 gpa, void *p, size_t n)
{
    rig_must(gmem_read(machine_ram(r->m), gpa, p, n), NULL, "rig_get");
}

/* ---- PCI ---- */

/* As the bridge above it is told. */
static u8 rig_pci_bus(const struct device *d)
{
    const struct device *up = pci_upstream(d);

    return up ? pci_config((struct device *)(uintptr_t)up)[0x19] : 0;
}

u32 rig_pci_get(struct device *d, u32 off, u32 size)
{
    return pci_config_load(d->machine, rig_pci_bus(d), pci_slot(d), pci_function(d), off, size);
}

void rig_pci_set(struct device *d, u32 off, u32 size, u32 val)
{
    pci_config_store(d->machine, rig_pci_bus(d), pci_slot(d), pci_function(d), off, size, val);
}

/* Sizes BAR i and gives it a place; answers how many registers it took. */
static u32 rig_bar_set(struct rig *r, struct device *d, u32 i)
{
    u32 reg = 0x10 + 4 * i, low = rig_pci_get(d, reg, 4), size;
    u64 *next = low & 1 ? &r->next_port : &r->next_bar;
    bool wide = !(low & 1) && (low & 6) == 4;

    rig_pci_set(d, reg, 4, ~0u);
    size = -(rig_pci_get(d, reg, 4) & (low & 1 ? ~3u : ~15u));
    if (size) {
        *next = (*next + size - 1) & ~(u64)(size - 1);
        rig_pci_set(d, reg, 4, (u32)*next);
        *next += size;
    }
    return wide ? 2 : 1;
}

void rig_pci_enable(struct rig *r, struct device *d)
{
    for (u32 i = 0; i < RIG_BARS;)
        i += rig_bar_set(r, d, i);
    rig_pci_set(d, 4, 2, 7);
}

u64 rig_bar(struct device *d, u32 index)
{
    u32 low = rig_pci_get(d, 0x10 + 4 * index, 4);

    if (low & 1)
        return low & ~3u;
    return (low & ~15u) | ((low & 6) == 4 ? (u64)rig_pci_get(d, 0x14 + 4 * index, 4) << 32 : 0);
}

u32 rig_pci_cap(struct device *d, u8 id)
{
    u32 at = rig_pci_get(d, 0x34, 1);

    for (int i = 0; at && i < 48; i++, at = rig_pci_get(d, at + 1, 1))
        if (rig_pci_get(d, at, 1) == id)
            return at;
    return 0;
}

void rig_msix_enable(struct rig *r, struct device *d, u16 vectors)
{
    u32 cap = rig_pci_cap(d, 0x11);
    u32 table = rig_pci_get(d, cap + 4, 4);
    u64 at = rig_bar(d, table & 7) + (table & ~7u);

    rig_must(cap ? 0 : -1, NULL, "no MSI-X");
    for (u16 i = 0; i < vectors; i++) {
        rig_store(r, at + i * 16u, 4, 0xfee00000);
        rig_store(r, at + i * 16u + 4, 4, 0);
        rig_store(r, at + i * 16u + 8, 4, i);
        rig_store(r, at + i * 16u + 12, 4, 0);
    }
    rig_pci_set(d, cap + 2, 2, 0x8000);
}

/* ---- host ends ---- */

void rig_ends_open(struct rig *r, struct rig_ends *n)
{
    struct loop *lane = machine_lane(r->m);
    struct err e = { 0 };

    memset(n, 0, sizeof(*n));
    rig_must(chr_open_buf(&n->chr, 65536, &e), &e, "chr");
    rig_must(net_open_pair(&n->net, &n->far, lane, &e), &e, "net");
    rig_must(blk_open_mem(&n->blk, 1 << 20, false, lane, &e), &e, "blk");
    n->list[0] = (struct device_end){ "chr", n->chr };
    n->list[1] = (struct device_end){ "net", n->net };
    n->list[2] = (struct device_end){ "blk", n->blk };
    n->list[3] = (struct device_end){ "floppy.0", n->blk };
}

void rig_ends_close(struct rig *r, struct rig_ends *n)
{
    machine_clear(r->m);
    chr_close(n->chr);
    net_close(n->net);
    net_close(n->far);
    blk_close(n->blk);
}
