/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bus, with a device of the test's own in a catalog of its own. */
#include "base/bytes.h"
#include "bus/pci.h"
#include "tests/check.h"
#include "tests/rig.h"

static u8 video[0x2000] __attribute__((aligned(4096)));
static const u8 rom[100] = { 0x55, 0xaa, 1 };
static u64 last_val;
static u32 last_off, last_size, config_calls;

static u64 toy_load(struct device *d, u32 off, u32 size)
{
    (void)d, (void)size;
    return 0xa0 + off;
}

static void toy_store(struct device *d, u32 off, u32 size, u64 val)
{
    domain_assert(d->domain);
    last_off = off;
    last_size = size;
    last_val = val;
}

static void toy_config(struct device *d, u32 off, u32 size)
{
    (void)d, (void)off, (void)size;
    config_calls++;
}

static const struct pci_bar toy_bars[] = {
    { .index = 0,
      .space = PCI_PORTS,
      .size = 32,
      .min = 1,
      .max = 4,
      .load = toy_load,
      .store = toy_store },
    { .index = 1,
      .space = PCI_MEM32,
      .size = 0x1000,
      .min = 1,
      .max = 4,
      .load = toy_load,
      .store = toy_store },
    { .index = 2, .space = PCI_MEM64, .size = 0x2000, .prefetch = true, .ram = video },
    { 0 }
};

static int toy_create(struct device *d, struct err *e)
{
    const struct pci_ident id = { .vendor = 0x1234,
                                  .device = 0x5678,
                                  .subvendor = 0x15ad,
                                  .subdevice = 7,
                                  .class = 0x020000,
                                  .revision = 3,
                                  .pin = 1,
                                  .msi = true,
                                  .vectors = 3,
                                  .msix_bar = 4,
                                  .bars = toy_bars,
                                  .rom = rom,
                                  .rom_size = sizeof(rom) };
    int r = pci_plug(d, &id, e);

    if (!r) {
        pci_on_config(d, toy_config);
        pci_config_writable(d, 0xf0, 1, 0x0f);
    }
    return r;
}

/* Another, with its MSI-X table in a BAR of its own. */
static int toy2_create(struct device *d, struct err *e)
{
    const struct pci_ident id = { .vendor = 0x1234,
                                  .device = 0x5679,
                                  .pin = 2,
                                  .vectors = 2,
                                  .msix_bar = 1,
                                  .msix_table = 0x800,
                                  .msix_pba = 0xc00,
                                  .bars = toy_bars };

    return pci_plug(d, &id, e);
}

static void toy_destroy(struct device *d)
{
    pci_unplug(d);
}

static const struct device_class toy = {
    .name = "toy", .size = sizeof(struct device), .create = toy_create, .destroy = toy_destroy
};
static const struct device_class toy2 = {
    .name = "toy2", .size = sizeof(struct device), .create = toy2_create, .destroy = toy_destroy
};

static int toy_bridge_create(struct device *d, struct err *e)
{
    const struct pci_ident id = { .vendor = 0x1234, .device = 0x5680, .class = 0x060400 };
    int r = pci_plug(d, &id, e);

    return r ? r : pci_bridge(d, 5, e);
}
static const struct device_class toy_bridge = { .name = "bridge",
                                                .size = sizeof(struct device),
                                                .create = toy_bridge_create,
                                                .destroy = toy_destroy };
const struct device_class *const device_catalog[] = { &toy, &toy2, &toy_bridge, NULL };

static void header_and_sizing(void)
{
    struct rig r;
    struct device *d;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL);
    CHECK_EQ(pci_slot(d), 2);
    CHECK_EQ(rig_pci_get(d, 0, 4), 0x56781234);
    CHECK_EQ(rig_pci_get(d, 8, 4), 0x02000003);
    CHECK_EQ(rig_pci_get(d, 0x2c, 4), 0x000715ad);
    CHECK_EQ(rig_pci_get(d, 0x3d, 1), 1);
    CHECK(rig_pci_get(d, 6, 2) & 0x10);
    rig_pci_set(d, 0, 4, 0);
    CHECK_EQ(rig_pci_get(d, 0, 2), 0x1234);
    rig_pci_set(d, 0x10, 4, ~0u);
    CHECK_EQ(rig_pci_get(d, 0x10, 4), 0xffffffe1);
    rig_pci_set(d, 0x14, 4, ~0u);
    CHECK_EQ(rig_pci_get(d, 0x14, 4), 0xfffff000);
    rig_pci_set(d, 0x18, 4, ~0u);
    rig_pci_set(d, 0x1c, 4, ~0u);
    CHECK_EQ(rig_pci_get(d, 0x18, 4), 0xffffe00c);
    CHECK_EQ(rig_pci_get(d, 0x1c, 4), ~0u);
    rig_pci_set(d, 0x30, 4, ~0u);
    CHECK_EQ(rig_pci_get(d, 0x30, 4), 0xfffff001);
    CHECK_EQ(pci_config_load(r.m, 0, 3, 0, 0, 4), ~0u);
    CHECK_EQ(pci_config_load(r.m, 0, 3, 0, 0, 2), 0xffff);
    rig_pci_set(d, 0xf0, 4, ~0u);
    CHECK_EQ(rig_pci_get(d, 0xf0, 4), 0x0f);
    CHECK_EQ(config_calls, 1);
    rig_stop(&r);
}

static bool has_slot(struct rig *r, u64 gpa)
{
    struct machine_slot s[16];
    u32 n = machine_slots(r->m, s, 16);

    for (u32 i = 0; i < n; i++)
        if (s[i].gpa == gpa)
            return true;
    return false;
}

static void windows_follow(void)
{
    struct rig r;
    struct device *d;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL);
    CHECK_EQ(rig_in(&r, 0xc001, 1), 0xff);
    rig_pci_enable(&r, d);
    CHECK_EQ(rig_bar(d, 0), 0xc000);
    CHECK_EQ(rig_in(&r, 0xc001, 1), 0xa1);
    rig_store(&r, rig_bar(d, 1) + 8, 4, 77);
    CHECK_EQ(last_val, 77);
    CHECK_EQ(last_off, 8);
    CHECK(has_slot(&r, rig_bar(d, 2)));
    rig_pci_set(d, 0x30, 4, 0xf0000001);
    CHECK(has_slot(&r, 0xf0000000));
    rig_pci_set(d, 0x10, 4, 0xd000);
    CHECK_EQ(rig_in(&r, 0xc001, 1), 0xff);
    CHECK_EQ(rig_in(&r, 0xd001, 1), 0xa1);
    rig_pci_set(d, 4, 2, 4);
    CHECK_EQ(rig_in(&r, 0xd001, 1), 0xff);
    CHECK(!has_slot(&r, 0xf0000000));
    rig_pci_set(d, 4, 2, 7);
    machine_reset(r.m, RESET_SYSTEM);
    CHECK_EQ(rig_pci_get(d, 4, 2), 0);
    CHECK_EQ(rig_pci_get(d, 0x10, 4), 1);
    CHECK_EQ(rig_in(&r, 0xd001, 1), 0xff);
    rig_stop(&r);
}

static void line_interrupts(void)
{
    struct rig_wire *b;
    struct device *d;
    struct rig r;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL); /* slot 2, INTA: PIRQ B */
    b = rig_wire(&r, "pci.b");
    rig_pci_enable(&r, d);
    pci_level(d, true);
    CHECK(b->level);
    CHECK(rig_pci_get(d, 6, 2) & 8);
    rig_pci_set(d, 4, 2, 0x407);
    CHECK(!b->level);
    CHECK(rig_pci_get(d, 6, 2) & 8);
    rig_pci_set(d, 4, 2, 7);
    CHECK(b->level);
    rig_pci_set(d, rig_pci_cap(d, 5) + 2, 2, 1);
    CHECK(!b->level);
    CHECK(pci_message(d));
    CHECK(!pci_msix(d));
    rig_stop(&r);
}

static void one_message(void)
{
    struct device *d;
    struct rig r;
    u32 cap;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL);
    rig_pci_enable(&r, d);
    cap = rig_pci_cap(d, 5);
    CHECK_EQ(rig_pci_get(d, cap + 2, 2), 0x80);
    pci_raise(d, 0);
    CHECK_EQ(r.nmsi, 0);
    rig_pci_set(d, cap + 4, 4, 0xfee01007);
    rig_pci_set(d, cap + 12, 2, 0x4041);
    rig_pci_set(d, cap + 2, 2, 1);
    pci_raise(d, 0);
    CHECK_EQ(rig_msi_seen(&r, 0xfee01004, 0x4041), 1);
    rig_pci_set(d, 4, 2, 3);
    pci_raise(d, 0);
    CHECK_EQ(r.nmsi, 1); /* no bus mastering, no message */
    rig_stop(&r);
}

static void msix_masks_and_pends(void)
{
    struct device *d;
    struct rig r;
    u64 table;
    u32 cap;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL);
    rig_pci_enable(&r, d);
    cap = rig_pci_cap(d, 0x11);
    CHECK_EQ(rig_pci_get(d, cap + 2, 2), 2);
    table = rig_bar(d, 4);
    CHECK_EQ(rig_load(&r, table + 12, 4), 1); /* masked at power-on */
    rig_pci_set(d, cap + 2, 2, 0x8000);
    pci_raise(d, 1);
    CHECK_EQ(r.nmsi, 0);
    CHECK_EQ(rig_load(&r, table + 0x800, 8), 2);
    rig_store(&r, table + 16, 8, 0xfee02000);
    rig_store(&r, table + 24, 4, 0x55);
    rig_store(&r, table + 28, 4, 0);
    CHECK_EQ(rig_msi_seen(&r, 0xfee02000, 0x55), 1);
    CHECK_EQ(rig_load(&r, table + 0x800, 8), 0);
    rig_pci_set(d, cap + 2, 2, 0xc000);
    pci_raise(d, 1);
    CHECK_EQ(r.nmsi, 1);
    rig_pci_set(d, cap + 2, 2, 0x8000);
    CHECK_EQ(r.nmsi, 2);
    pci_raise(d, 9);
    CHECK_EQ(r.nmsi, 2);
    rig_store(&r, table + 0x800, 8, ~0ull); /* read only */
    CHECK_EQ(rig_load(&r, table + 0x800, 8), 0);
    rig_stop(&r);
}

static void msix_in_the_devices_bar(void)
{
    struct device *d;
    struct rig r;

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy2", NULL, NULL);
    rig_pci_enable(&r, d);
    rig_msix_enable(&r, d, 2);
    pci_raise(d, 1);
    CHECK_EQ(rig_msi_seen(&r, 0xfee00000, 1), 1);
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 0x10, 1), 0xb0);
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 0x818, 4), 1);
    rig_stop(&r);
}

static void seats(void)
{
    struct pci_numbered number;
    struct device *d, *d2;
    struct err e = { 0 };
    struct rig r;

    rig_start(&r, 1, 1);
    CHECK_EQ(pci_place(r.m, "toy2", 2, 3, &e), 0);
    d = rig_device(&r, "toy", NULL, NULL);
    d2 = rig_device(&r, "toy2", NULL, NULL);
    CHECK_EQ(pci_slot(d), 3);
    CHECK_EQ(pci_slot(d2), 2);
    CHECK_EQ(pci_function(d2), 3);
    CHECK_EQ(rig_pci_get(d2, 0xe, 1), 0x80);
    CHECK(pci_vacant(r.m, 4) && !pci_vacant(r.m, 2) && !pci_vacant(r.m, 3));
    CHECK_EQ(pci_number(r.m, "toy", 160, &e), 0);
    CHECK_EQ(pci_numbered(r.m, &number, 1), 1);
    CHECK_EQ(number.number, 160);
    CHECK_EQ(number.slot, 3);
    CHECK_EQ(number.bus, 0);
    CHECK_EQ(pci_place(r.m, "late", 2, 3, &e), 0);
    CHECK(device_new(r.m, "toy", "late", NULL, NULL, NULL, &e) < 0);
    CHECK(strstr(e.text, "taken by toy2") != NULL);
    CHECK(pci_place(r.m, "no", 32, 0, &e) < 0);
    rig_stop(&r);
}

/* A bridge in slot 6, a card in slot 3 behind it: the guest calls that bus 9. */
static struct device *behind(struct rig *r, struct device **card)
{
    struct device *bridge;
    struct err e = { 0 };

    rig_start(r, 1, 1);
    CHECK(pci_place_on(r->m, "toy", 5, 3, 0, &e) < 0); /* there is no such bus yet */
    CHECK_EQ(pci_place(r->m, "bridge", 6, 0, &e), 0);
    bridge = rig_device(r, "bridge", NULL, NULL);
    CHECK_EQ(pci_place_on(r->m, "toy", 5, 3, 0, &e), 0);
    CHECK(!pci_vacant_on(r->m, 5, 3) && pci_vacant_on(r->m, 5, 4) && !pci_vacant_on(r->m, 6, 3));
    rig_wire(r, "pci.a");
    rig_wire(r, "pci.b");
    rig_wire(r, "pci.c");
    rig_wire(r, "pci.d");
    *card = rig_device(r, "toy", NULL, NULL);
    return bridge;
}

static void open_bridge(struct device *bridge)
{
    rig_pci_set(bridge, 0x18, 4, 0x090900);
    rig_pci_set(bridge, 0x1c, 2, 0xd0c0);     /* ports 0xc000 to 0xdfff */
    rig_pci_set(bridge, 0x20, 4, 0xe010e000); /* memory 0xe0000000 to 0xe01fffff */
    rig_pci_set(bridge, 0x24, 4, 0x0000fff0);
    rig_pci_set(bridge, 4, 2, 7);
}

static void bridges(void)
{
    struct pci_numbered number;
    struct device *bridge, *d;
    struct err e = { 0 };
    struct rig r;

    bridge = behind(&r, &d);
    CHECK_EQ(rig_pci_get(bridge, 0xe, 1), 1);
    CHECK_EQ(pci_config_load(r.m, 9, 3, 0, 0, 4), ~0u);
    rig_pci_set(bridge, 0x18, 4, 0x090900);
    CHECK_EQ(pci_config_load(r.m, 9, 3, 0, 0, 4), 0x56781234);
    CHECK_EQ(pci_config_load(r.m, 9, 2, 0, 0, 4), ~0u);
    CHECK_EQ(pci_config_load(r.m, 0, 3, 0, 0, 4), ~0u);
    CHECK_EQ(pci_config_load(r.m, 5, 3, 0, 0, 4), ~0u); /* our own number is nothing to a guest */
    CHECK_EQ(pci_number(r.m, "toy", 192, &e), 0);
    CHECK_EQ(pci_numbered(r.m, &number, 1), 1);
    CHECK_EQ(number.bus, 5);
    CHECK_EQ(number.bridge_slot, 6);
    CHECK_EQ(number.slot, 3);
    /* INTA of slot 3 is INTD of slot 6, which is wired to PIRQ A */
    pci_level(d, true);
    CHECK(r.wires[(6 + 3 + 3) & 3].level);
    CHECK_EQ(pci_slot(d), 3);
    CHECK(pci_upstream(d) == bridge && !pci_upstream(bridge));
    rig_stop(&r);
}

static void bridge_windows(void)
{
    struct device *bridge, *d;
    struct rig r;

    bridge = behind(&r, &d);
    open_bridge(bridge);
    r.next_bar = 0xe0000000;
    r.next_port = 0xc000;
    rig_pci_enable(&r, d);
    CHECK_EQ(rig_in(&r, 0xc004, 1), 0xa4);
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xa4);
    rig_pci_set(bridge, 4, 2, 2); /* ports are shut */
    CHECK_EQ(rig_in(&r, 0xc004, 1), 0xff);
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xa4);
    rig_pci_set(bridge, 0x20, 4, 0xe000e010); /* base above limit */
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xff);
    rig_pci_set(bridge, 0x24, 4, 0xe011e001); /* by the other window */
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xa4);
    rig_pci_set(bridge, 0x2c, 4, 1); /* whose limit is above 4 GiB now */
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xa4);
    rig_pci_set(bridge, 0x28, 4, 1);
    CHECK_EQ(rig_load(&r, rig_bar(d, 1) + 4, 1), 0xff);
    machine_reset(r.m, RESET_SYSTEM);
    CHECK_EQ(rig_pci_get(bridge, 0x18, 4), 0);
    CHECK_EQ(rig_pci_get(bridge, 0x28, 4), 0);
    rig_stop(&r);
}

/* Saved with its windows open: what is behind is where it was. */
static void bridges_move(void)
{
    struct device *bridge, *d, *there;
    struct rig r, to;

    bridge = behind(&r, &d);
    open_bridge(bridge);
    r.next_bar = 0xe0000000;
    r.next_port = 0xc000;
    rig_pci_enable(&r, d);
    behind(&to, &there);
    machine_pause(r.m);
    rig_move(&r, &to);
    CHECK_EQ(rig_in(&to, 0xc004, 1), 0xa4);
    CHECK_EQ(rig_pci_get(there, 0, 4), 0x56781234);
    rig_stop(&to);
    rig_stop(&r);
}

/* Any configuration write at any place: nothing breaks, and a reset puts all back. */
static void random_configuration(void)
{
    struct device *d, *d2;
    struct rig r;
    u32 seed = 1;
    u8 fresh[256];

    rig_start(&r, 1, 1);
    d = rig_device(&r, "toy", NULL, NULL);
    d2 = rig_device(&r, "toy2", NULL, NULL);
    for (u32 i = 0; i < 64; i++)
        put_le32(fresh + 4 * i, rig_pci_get(d, 4 * i, 4));
    for (u32 i = 0; i < 20000; i++) {
        u32 off, size;

        seed = seed * 1664525 + 1013904223;
        off = seed >> 24;
        size = 1u << (seed >> 20 & 1);
        if (seed & 0x10000)
            size = 4;
        off &= ~(size - 1);
        rig_pci_set(seed & 0x20000 ? d : d2, off, size, seed * 2654435761u);
        pci_raise(d, i & 3);
        pci_level(d, i & 1);
        rig_load(&r, rig_bar(d, 4), 4);
    }
    machine_reset(r.m, RESET_SYSTEM);
    for (u32 i = 0; i < 60; i++)
        CHECK_EQ(rig_pci_get(d, 4 * i, 4), le32(fresh + 4 * i));
    rig_stop(&r);
}

int main(void)
{
    CASE(header_and_sizing);
    CASE(windows_follow);
    CASE(line_interrupts);
    CASE(one_message);
    CASE(msix_masks_and_pends);
    CASE(msix_in_the_devices_bar);
    CASE(seats);
    CASE(bridges);
    CASE(bridge_windows);
    CASE(bridges_move);
    CASE(random_configuration);
    return check_end();
}
