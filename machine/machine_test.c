/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's own parts, without any device of the catalog but one that is made here. */
#include "machine/machine_int.h"
#include "tests/check.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static struct machine *m;
static u64 reg_value;
static u32 reg_off, reg_size, reg_calls;

static u64 reg_load(struct device *d, u32 off, u32 size)
{
    u64 all = 0x8877665544332211ull;

    (void)d;
    reg_calls++;
    reg_off = off;
    reg_size = size;
    return all >> (8 * (off & 7));
}

static void reg_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)d;
    reg_calls++;
    reg_off = off;
    reg_size = size;
    reg_value = val;
}

static void start(u64 mib)
{
    struct machine_make how = { .ram = mib << 20, .cpus = 2, .tsc_hz = 2000000000, .manual = true };
    struct err e = { 0 };

    CHECK_EQ(machine_new(&m, &how, &e), 0);
}

static void stop(void)
{
    machine_free(m);
    m = NULL;
}

static u32 region(u64 base, u64 len, u8 min, u8 max)
{
    struct region r = { .name = "r",
                        .base = base,
                        .len = len,
                        .min = min,
                        .max = max,
                        .load = reg_load,
                        .store = reg_store };
    struct err e = { 0 };
    u32 id = ~0u;

    CHECK_EQ(space_add(machine_memory(m), &r, &id, &e), 0);
    return id;
}

static void space_repairs_widths(void)
{
    struct space *s;

    start(1);
    s = machine_memory(m);
    region(0x1000, 8, 1, 2);
    region(0x2000, 8, 4, 4);
    CHECK_EQ(space_load(s, 0x1000, 4), 0x44332211);
    CHECK_EQ(reg_size, 2);
    CHECK_EQ(space_load(s, 0x1001, 2), 0x3322);
    CHECK_EQ(reg_size, 1);
    CHECK_EQ(space_load(s, 0x2000, 8), 0x8877665544332211ull);
    CHECK_EQ(space_load(s, 0x2005, 2), 0x7766);
    CHECK_EQ(reg_off, 4);
    CHECK_EQ(reg_size, 4);
    space_store(s, 0x2006, 1, 0xab);
    CHECK_EQ(reg_value, 0xab0000);
    CHECK_EQ(reg_off, 4);
    space_store(s, 0x1004, 1, 0x1ff);
    CHECK_EQ(reg_value, 0xff);
    stop();
}

static void space_edges(void)
{
    struct space *s;
    u32 id;

    start(1);
    s = machine_memory(m);
    id = region(0x1000, 4, 1, 8);
    CHECK_EQ(space_load(s, 0xffe, 4), 0x2211ffff);
    CHECK_EQ(space_load(s, 0x1002, 4), 0xffff4433);
    CHECK_EQ(space_load(s, 0x5000, 8), ~0ull);
    CHECK(space_has(s, 0x1003));
    CHECK(!space_has(s, 0x1004));
    space_move(s, id, 0xfffffffffffffffcull);
    CHECK_EQ(space_load(s, ~0ull, 1), 0x44);
    CHECK(!space_has(s, 0x1000));
    space_move(s, id, ~0ull);
    CHECK(!space_has(s, ~0ull));
    space_drop(s, id);
    stop();
}

static void space_first_made_wins(void)
{
    struct region r = { .name = "late", .base = 0x1800, .len = 0x10, .min = 1, .max = 1 };
    struct err e = { 0 };
    struct space *s;
    u32 big;

    start(1);
    s = machine_memory(m);
    region(0x1000, 0x1000, 1, 8);
    CHECK_EQ(space_add(s, &r, NULL, &e), (u64)-EEXIST);
    big = region(0x10000, 0x4000, 1, 8);
    space_move(s, big, 0);
    CHECK_EQ(space_at(s, big), 0);
    space_load(s, 0x1010, 1);
    CHECK_EQ(reg_off, 0x10);
    space_load(s, 0x2010, 1);
    CHECK_EQ(reg_off, 0x2010);
    space_load(s, 0xff0, 1);
    CHECK_EQ(reg_off, 0xff0);
    stop();
}

static u64 forgot_at, forgot_len;
static u32 slots_told;
static void cpus_forget(void *arg, u64 gpa, u64 len)
{
    (void)arg;
    forgot_at = gpa;
    forgot_len = len;
}
static int cpus_slots(void *arg)
{
    (void)arg;
    slots_told++;
    return 0;
}

static void ram_has_holes(void)
{
    u8 b[16] = { 1, 2, 3 };
    struct iovec v[2];
    struct gmem *g;

    start(4096);
    g = machine_ram(m);
    machine_cpus_set(m, &(struct machine_cpus){ .forget = cpus_forget });
    CHECK_EQ(gmem_size(g), 4096ull << 20);
    CHECK_EQ(machine_low_ram(m), 0xc0000000);
    CHECK_EQ(gmem_write(g, 0x9fff0, b, 16), 0);
    CHECK_EQ(forgot_at, 0x9fff0);
    CHECK_EQ(forgot_len, 16);
    CHECK_EQ(gmem_write(g, 0x9fff1, b, 16), (u64)-EFAULT);
    CHECK_EQ(gmem_write(g, 0xbffff, b, 1), (u64)-EFAULT);
    CHECK_EQ(gmem_write(g, 0xc0000, b, 1), 0);
    CHECK_EQ(gmem_read(g, 0xbffffff8, b, 9), (u64)-EFAULT);
    CHECK_EQ(gmem_read(g, ~0ull, b, 2), (u64)-EFAULT);
    CHECK_EQ(gmem_read(g, 0x13fffffff, b, 1), 0);
    CHECK_EQ(gmem_read(g, 0x140000000, b, 1), (u64)-EFAULT);
    CHECK_EQ(gmem_map(g, 0x100001000, 64, GMEM_WRITE, v, 2), 1);
    ((u8 *)v[0].iov_base)[5] = 77;
    gmem_unmap(g, v, 1, 6);
    CHECK_EQ(forgot_at, 0x100001000);
    CHECK_EQ(forgot_len, 6);
    CHECK_EQ(gmem_read(g, 0x100001005, b, 1), 0);
    CHECK_EQ(b[0], 77);
    stop();
}

enum { RESTORED_AT = 0x200000, RESTORED_PAGES = 100 };

static int restored_file(void)
{
    u8 page[4096];
    int fd = memfd_create("saved", MFD_CLOEXEC);

    for (u32 i = 0; i < RESTORED_PAGES; i++) {
        memset(page, i % 10 ? (int)i : 0, sizeof(page));
        CHECK_EQ(pwrite(fd, page, sizeof(page), i * 4096), 4096);
    }
    return fd;
}

/* What of RAM's file is at that page: all bytes are this. */
static bool file_has(const struct machine_slot *s, u64 page, u8 byte)
{
    u8 b[4096];

    if (pread(s->fd, b, sizeof(b), RESTORED_AT + (off_t)page * 4096) != sizeof(b))
        return false;
    return b[0] == byte && !memcmp(b, b + 1, sizeof(b) - 1);
}

static void pages_of_a_restored_vm(void)
{
    struct machine_slot s[16];
    struct err e = { 0 };
    struct gmem *g;
    u8 b = 0xee;
    int fd = restored_file();

    start(16);
    g = machine_ram(m);
    gmem_write(g, 0x300000, &b, 1);
    CHECK(!machine_ram_want(m, RESTORED_AT)); /* nothing is apart yet */
    CHECK_EQ(machine_ram_clear(m, &e), 0);
    CHECK_EQ(machine_ram_over(m, RESTORED_AT, RESTORED_PAGES * 4096, fd, 0, &e), 0);
    CHECK_EQ(machine_ram_over(m, 16 << 20, 4096, fd, 0, &e), (u64)-EINVAL);
    machine_ram_ready(m);
    CHECK(machine_slots(m, s, 16) > 1 && s[0].shared && s[0].apart);
    gmem_read(g, 0x300000, &b, 1);
    CHECK_EQ(b, 0);
    gmem_read(g, RESTORED_AT + 77 * 4096, &b, 1);
    CHECK_EQ(b, 77);
    b = 33;
    gmem_write(g, RESTORED_AT + 41 * 4096, &b, 1);
    CHECK_EQ(pread(fd, &b, 1, 41 * 4096), 1);
    CHECK_EQ(b, 41); /* its file does not change */
    CHECK(file_has(&s[0], 41, 0));
    CHECK(machine_ram_want(m, RESTORED_AT + 77 * 4096 + 5));
    CHECK(!machine_ram_want(m, 0x100000));
    machine_ram_share(m);
    CHECK(file_has(&s[0], 77, 77) && file_has(&s[0], 41, 0));
    CHECK(!machine_ram_want(m, RESTORED_AT + 77 * 4096));
    b = 34;
    gmem_write(g, RESTORED_AT + 77 * 4096, &b, 1);
    CHECK_EQ(pread(s[0].fd, &b, 1, RESTORED_AT + 77 * 4096), 1);
    CHECK_EQ(b, 34);
    CHECK_EQ(gmem_give(g, RESTORED_AT, RESTORED_PAGES * 4096), 0);
    gmem_read(g, RESTORED_AT + 78 * 4096, &b, 1);
    CHECK_EQ(b, 0);
    stop();
    close(fd);
}

static void slots_follow_pam_and_moves(void)
{
    static u8 rom[0x3000];
    struct machine_slot s[16];
    struct err e = { 0 };
    u32 id;

    start(16);
    machine_cpus_set(m, &(struct machine_cpus){ .slots = cpus_slots });
    slots_told = 0;
    CHECK_EQ(machine_slots(m, s, 16), 3);
    CHECK_EQ(s[1].gpa, 0xc0000);
    CHECK(s[1].readonly);
    machine_shadow(m, 0xf0000, 0x10000, true);
    CHECK_EQ(slots_told, 1);
    CHECK_EQ(machine_slots(m, s, 16), 4);
    CHECK_EQ(s[2].gpa, 0xf0000);
    CHECK(!s[2].readonly && s[1].readonly);
    CHECK_EQ(machine_slot_add(m, &(struct machine_slot){ 0xfffff000, 0x1000, rom, true }, &id, &e),
             0);
    CHECK_EQ(machine_slots(m, s, 16), 5);
    machine_slot_drop(m, id);
    CHECK_EQ(machine_slot_add(m, &(struct machine_slot){ 0xfff000, 0x3000, rom, true }, &id, &e),
             0);
    CHECK_EQ(machine_slots(m, s, 16), 5);
    CHECK_EQ(s[4].gpa, 0x1000000);
    CHECK_EQ(s[4].len, 0x2000);
    CHECK(s[4].host == rom + 0x1000);
    machine_slot_move(m, id, ~0ull);
    CHECK_EQ(machine_slots(m, s, 16), 4);
    CHECK_EQ(machine_slot_add(m, &(struct machine_slot){ 0xfff800, 0x1000, rom, true }, &id, &e),
             (u64)-EINVAL);
    stop();
}

static bool pin_level;
static u32 pin_calls;
static void pin_set(void *sink, u32 pin, bool level)
{
    CHECK(sink == &pin_level);
    CHECK_EQ(pin, 7);
    pin_level = level;
    pin_calls++;
}

static void wires_join(void)
{
    struct irq a, b;

    start(1);
    pin_level = false;
    a = machine_wire(m, NULL, "x");
    irq_set(&a, true);
    machine_input(m, "x", (struct irq){ pin_set, &pin_level, 7 });
    CHECK(pin_level); /* who comes late hears of the level */
    pin_calls = 0;
    b = machine_wire(m, NULL, "x");
    irq_set(&b, true);
    irq_set(&b, true);
    irq_set(&a, false);
    CHECK(pin_level);
    CHECK_EQ(pin_calls, 0);
    irq_set(&b, false);
    CHECK(!pin_level);
    stop();
}

/* A device that is in no catalog: the frame needs only what is set here. */
static const struct device_class test_class = { .name = "test", .size = sizeof(struct device) };
static struct device *test_device;
static struct node test_node;
static struct node *test_nodes[1] = { &test_node };
static u32 rang[4], fired[3];
static i64 fired_at;
static struct timer *tick[3];

static void device_start(void)
{
    start(1);
    test_device = calloc(1, sizeof(*test_device));
    test_device->class = &test_class;
    test_device->machine = m;
    test_device->domain = domain_get(m, "test");
    test_node = (struct node){ .dev = test_device };
    m->nodes = test_nodes;
    m->nnodes = 1;
}

static void device_stop(void)
{
    struct timer *t = test_node.timers, *next;
    struct bell *b = test_node.bells, *next_bell;

    for (; t; t = next) {
        next = timer_next(t);
        timer_free(t);
    }
    for (; b; b = next_bell) {
        next_bell = bell_next(b);
        bell_free(b);
    }
    m->nodes = NULL;
    m->nnodes = 0;
    free(test_device);
    stop();
}

static void fire0(struct device *d)
{
    domain_assert(d->domain);
    fired[0]++;
    fired_at = machine_now(m);
    timer_set(tick[0], fired_at + 10);
}
static void fire1(struct device *d)
{
    (void)d;
    fired[1]++;
    timer_stop(tick[2]);
}
static void fire2(struct device *d)
{
    (void)d;
    fired[2]++;
}

static void timers_in_order(void)
{
    device_start();
    CHECK_EQ(timer_new(test_device, fire0, &tick[0]), 0);
    CHECK_EQ(timer_new(test_device, fire1, &tick[1]), 0);
    CHECK_EQ(timer_new(test_device, fire2, &tick[2]), 0);
    timer_set(tick[2], 51);
    timer_set(tick[1], 50);
    timer_set(tick[0], 10);
    machine_clock_advance(m, 9);
    CHECK_EQ(fired[0], 0);
    machine_clock_advance(m, 1);
    CHECK_EQ(fired[0], 1);
    machine_clock_advance(m, 95);
    CHECK_EQ(fired[0], 10);
    CHECK_EQ(fired_at, 100);
    CHECK_EQ(fired[1], 1);
    CHECK_EQ(fired[2], 0); /* stopped one nanosecond before its time */
    CHECK_EQ(machine_now(m), 105);
    CHECK_EQ(machine_tsc(m), 210);
    CHECK_EQ(machine_tsc_to_ns(m, 410) - 1, 205);
    device_stop();
}

static void on_bell(struct device *d, u32 index)
{
    domain_assert(d->domain);
    rang[index]++;
}
static void lane_done(void *arg)
{
    *(bool *)arg = true;
}

static void bells_coalesce(void)
{
    struct bell *b[2];
    bool done = false;

    device_start();
    CHECK_EQ(bell_new(test_device, on_bell, 0, &b[0]), 0);
    CHECK_EQ(bell_new(test_device, on_bell, 1, &b[1]), 0);
    bell_ring(b[0]);
    bell_ring(b[1]);
    bell_ring(b[0]);
    loop_post(machine_lane(m), lane_done, &done);
    while (!done || !rang[1])
        loop_once(machine_lane(m));
    CHECK_EQ(rang[0], 1);
    CHECK_EQ(rang[1], 1);
    bell_ring(b[1]); /* freed while it waits */
    device_stop();
}

static void slots_wait_for_the_domain(void)
{
    device_start();
    machine_cpus_set(m, &(struct machine_cpus){ .slots = cpus_slots });
    slots_told = 0;
    domain_lock(test_device->domain);
    machine_shadow(m, 0xc0000, 0x4000, true);
    CHECK_EQ(slots_told, 0);
    domain_unlock(test_device->domain);
    CHECK_EQ(slots_told, 1);
    device_stop();
}

static u32 ask_code, ask_what, ask_count;
static void on_ask(void *arg, enum machine_event what, u32 code)
{
    CHECK(arg == m);
    ask_what = what;
    ask_code = code;
    ask_count++;
}

static void asking(void)
{
    start(1);
    machine_on_ask(m, on_ask, m);
    machine_ask(m, MACHINE_EXIT, 0x1ff);
    machine_ask(m, MACHINE_RESET, 0);
    loop_once(machine_loop(m));
    CHECK_EQ(ask_count, 1);
    CHECK_EQ(ask_what, MACHINE_EXIT);
    CHECK_EQ(ask_code, 0x1ff);
    stop();
}

/* With threads and the host's clock: pausing stands everything still, and it ends. */
static void pause_and_go(void)
{
    struct machine_make how = { .ram = 1 << 20, .cpus = 1, .tsc_hz = 1000000000 };
    struct err e = { 0 };
    i64 at;

    CHECK_EQ(machine_new(&m, &how, &e), 0);
    for (int i = 0; i < 3; i++) {
        machine_pause(m);
        at = machine_now(m);
        CHECK_EQ(machine_tsc(m), machine_tsc(m));
        CHECK_EQ(machine_now(m), at);
        machine_resume(m);
        CHECK(machine_now(m) >= at);
    }
    stop();
}

static void nonsense_is_refused(void)
{
    struct machine_make how = { .ram = 12345, .cpus = 1, .tsc_hz = 1 };
    struct err e = { 0 };

    CHECK_EQ(machine_new(&m, &how, &e), (u64)-EINVAL);
    how = (struct machine_make){ .ram = 1 << 20, .cpus = 65, .tsc_hz = 1 };
    CHECK_EQ(machine_new(&m, &how, &e), (u64)-EINVAL);
}

int main(void)
{
    CASE(space_repairs_widths);
    CASE(space_edges);
    CASE(space_first_made_wins);
    CASE(ram_has_holes);
    CASE(pages_of_a_restored_vm);
    CASE(slots_follow_pam_and_moves);
    CASE(wires_join);
    CASE(timers_in_order);
    CASE(bells_coalesce);
    CASE(slots_wait_for_the_domain);
    CASE(asking);
    CASE(pause_and_go);
    CASE(nonsense_is_refused);
    return check_end();
}
