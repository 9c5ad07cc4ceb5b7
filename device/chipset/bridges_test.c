/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host bridge, ISA bridge and power management, by their ports. */
#include "bus/pci.h"
#include "device/chipset/fwcfg.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static struct device *host, *isa, *pm;

static void start(void)
{
    rig_start(&r, 16, 1);
    host = rig_device(&r, "i440fx", NULL, NULL);
    isa = rig_device(&r, "piix3", NULL, NULL);
    pm = rig_device(&r, "piix4pm", NULL, NULL);
}
static u32 config(u32 slot, u32 function, u32 off)
{
    rig_out(&r, 0xcf8, 4, 0x80000000u | slot << 11 | function << 8 | (off & 0xfc));
    return (u32)rig_in(&r, 0xcfc, 4);
}

static void configuration_ports(void)
{
    start();
    CHECK_EQ(config(0, 0, 0), 0x12378086);
    CHECK_EQ(config(1, 0, 0), 0x70008086);
    CHECK_EQ(config(1, 3, 0), 0x71138086);
    CHECK_EQ(config(1, 1, 0), ~0u);
    CHECK_EQ(config(1, 0, 0xc) >> 16 & 0x80, 0x80);
    CHECK_EQ(rig_in(&r, 0xcf8, 4), 0x8000080c);
    rig_out(&r, 0xcf8, 4, 0x80000800);
    CHECK_EQ(rig_in(&r, 0xcfe, 2), 0x7000);
    CHECK_EQ(rig_in(&r, 0xcfd, 1), 0x80);
    rig_out(&r, 0xcf8, 4, 0);
    CHECK_EQ(rig_in(&r, 0xcfc, 4), ~0u);
    rig_out(&r, 0xcf8, 4, 0x80010000); /* another bus */
    CHECK_EQ(rig_in(&r, 0xcfc, 4), ~0u);
    rig_stop(&r);
}

/* VMware's boards: firmware meets the 82441FX until it is done, then it is an 82443BX. */
static void vmware(const char *board)
{
    rig_start(&r, 16, 1);
    host = rig_device(&r, "i440fx", (const char *const[]){ "board", board, NULL }, NULL);
    CHECK(!pci_place(r.m, "piix3", 7, 0, NULL) && !pci_place(r.m, "piix4pm", 7, 3, NULL));
    isa = rig_device(&r, "piix3", (const char *const[]){ "vmware", "1", NULL }, NULL);
    pm = rig_device(&r, "piix4pm", (const char *const[]){ "vmware", "1", NULL }, NULL);
}

static void is_fx(void)
{
    CHECK_EQ(config(0, 0, 0), 0x12378086);
    CHECK_EQ(config(0, 0, 8) & 0xff, 2);
    CHECK_EQ(config(0, 0, 0x2c), 0x11001af4);
}

static void is_bx(void)
{
    CHECK_EQ(config(0, 0, 0), 0x71908086);
    CHECK_EQ(config(0, 0, 8) & 0xff, 1);
    CHECK_EQ(config(0, 0, 0x2c), 0x197615ad);
}

static void vmware_bios(void)
{
    vmware("vmware-bios");
    is_fx();
    CHECK_EQ(config(7, 0, 0), 0x71108086);
    CHECK_EQ(config(7, 0, 0x2c), 0x197615ad);
    CHECK_EQ(config(7, 3, 0), 0x71138086);
    CHECK_EQ(config(1, 3, 0), ~0u);
    rig_pci_set(host, 0x5a, 1, 0x33);
    rig_pci_set(host, 0x59, 1, 0x10); /* it was not open yet */
    is_fx();
    rig_pci_set(host, 0x59, 1, 0x30);
    is_fx();
    rig_pci_set(host, 0x59, 1, 0x10);
    is_bx();
    machine_reset(r.m, RESET_SYSTEM);
    is_fx();
    rig_stop(&r);
    vmware("vmware");
    is_bx();
    rig_stop(&r);
}

/* The tables' description is read to its end; the south bridge is where OVMF looks for it. */
static void vmware_efi(void)
{
    struct device *cfg;

    vmware("vmware-efi");
    cfg = rig_device(&r, "fwcfg", NULL, NULL);
    CHECK(!fwcfg_file(cfg, "etc/other", "xy", 2, NULL));
    CHECK(!fwcfg_file(cfg, "etc/table-loader", "abc", 3, NULL));
    rig_pci_set(host, 0x59, 1, 0x30);
    rig_pci_set(host, 0x59, 1, 0x10);
    for (u16 key = FWCFG_FILE_FIRST; key < FWCFG_FILE_FIRST + 2; key++) {
        rig_out(&r, 0x510, 2, key);
        rig_in(&r, 0x511, 1);
        rig_in(&r, 0x511, 1);
        is_fx();
    }
    rig_in(&r, 0x511, 1);
    is_bx();
    CHECK_EQ(config(1, 3, 0), 0x71138086);
    CHECK_EQ(config(1, 0, 0), ~0u);
    config(1, 0, 0x60);
    rig_out(&r, 0xcfc, 1, 11);
    CHECK_EQ(config(1, 0, 0x60), ~0u);
    CHECK_EQ(config(7, 0, 0x60) & 0xff, 11);
    machine_reset(r.m, RESET_SYSTEM);
    is_fx();
    rig_stop(&r);
}

static bool writable(u64 gpa)
{
    struct machine_slot s[16];
    u32 n = machine_slots(r.m, s, 16);

    for (u32 i = 0; i < n; i++)
        if (gpa >= s[i].gpa && gpa - s[i].gpa < s[i].len)
            return !s[i].readonly;
    return false;
}

static void shadow(void)
{
    start();
    CHECK(!writable(0xf0000));
    rig_pci_set(host, 0x59, 1, 0x30);
    CHECK(writable(0xf0000));
    CHECK(!writable(0xe0000));
    rig_pci_set(host, 0x5a, 1, 0x03);
    CHECK(writable(0xc0000) && !writable(0xc4000));
    rig_pci_set(host, 0x5f, 1, 0x33);
    CHECK(writable(0xe8000) && writable(0xec000));
    rig_pci_set(host, 0x59, 1, 0x10);
    CHECK(!writable(0xf0000));
    machine_reset(r.m, RESET_SYSTEM);
    CHECK(!writable(0xc0000));
    rig_stop(&r);
}

static void resets(void)
{
    start();
    rig_out(&r, 0xcf9, 1, 2);
    rig_out(&r, 0xcf9, 1, 6);
    rig_loop(&r);
    CHECK_EQ(r.asks, 1);
    CHECK_EQ(r.ask, MACHINE_RESET);
    CHECK_EQ(rig_in(&r, 0xcf9, 1), 6);
    rig_out(&r, 0x92, 1, 3);
    rig_loop(&r);
    CHECK_EQ(r.asks, 2);
    rig_stop(&r);
}

static void routing(void)
{
    struct rig_wire *irq10, *irq11;
    struct irq b;

    start();
    irq10 = rig_wire(&r, "isa.10");
    irq11 = rig_wire(&r, "isa.11");
    b = machine_wire(r.m, NULL, "pci.b");
    irq_set(&b, true);
    CHECK(!irq10->level);
    rig_pci_set(isa, 0x61, 1, 10);
    CHECK(irq10->level);
    rig_pci_set(isa, 0x61, 1, 11);
    CHECK(!irq10->level && irq11->level);
    rig_pci_set(isa, 0x61, 1, 0x8b);
    CHECK(!irq11->level);
    rig_stop(&r);
}

static void power_button(void)
{
    struct rig_wire *sci;

    start();
    sci = rig_wire(&r, "isa.9");
    rig_out(&r, 0xb2, 1, 0xf1);
    CHECK_EQ(rig_in(&r, 0x604, 2) & 1, 1);
    machine_power_button(r.m);
    CHECK(!sci->level);
    rig_out(&r, 0x602, 2, 0x100);
    CHECK(sci->level);
    CHECK_EQ(rig_in(&r, 0x600, 2), 0x100);
    rig_out(&r, 0x600, 2, 0x100);
    CHECK(!sci->level);
    rig_out(&r, 0x604, 2, 0x2001);
    rig_loop(&r);
    CHECK_EQ(r.ask, MACHINE_POWEROFF);
    CHECK_EQ(r.asks, 1);
    rig_stop(&r);
}

static void power_timer(void)
{
    struct rig_wire *sci;

    start();
    sci = rig_wire(&r, "isa.9");
    rig_clock(&r, 1000000000);
    CHECK_EQ(rig_in(&r, 0x608, 4), 3579545);
    rig_out(&r, 0x602, 2, 1);
    rig_clock(&r, 598000000000ll);
    CHECK(!sci->level);
    rig_clock(&r, 2000000000ll); /* 2^31 ticks are 599.9 s */
    CHECK(sci->level);
    CHECK_EQ(rig_in(&r, 0x600, 2), 1);
    rig_out(&r, 0x600, 2, 1);
    CHECK(!sci->level);
    rig_pci_set(pm, 0x40, 4, 0xb001);
    CHECK_EQ(rig_in(&r, 0x602, 2), 0xffff);
    CHECK_EQ(rig_in(&r, 0xb002, 2), 1);
    rig_stop(&r);
}

/* A board whose firmware wakes guests; its clock is at 1 s past the epoch. */
static void start_sleepy(void)
{
    rig_start(&r, 16, 1);
    host = rig_device(&r, "i440fx", NULL, NULL);
    pm = rig_device(&r, "piix4pm", (const char *const[]){ "sleeps", "1", NULL }, NULL);
    rig_device(&r, "rtc", (const char *const[]){ "base", "1", NULL }, NULL);
}
static void cmos(u8 at, u8 val)
{
    rig_out(&r, 0x70, 1, at);
    rig_out(&r, 0x71, 1, val);
}
static bool is_shadow_open(void)
{
    struct machine_slot s[32];
    u32 n = machine_slots(r.m, s, LEN(s));

    for (u32 i = 0; i < n && i < LEN(s); i++)
        if (s[i].gpa <= 0xf0000 && s[i].gpa + s[i].len > 0xf0000)
            return !s[i].readonly;
    return false;
}
static void fall_asleep(u16 enabled)
{
    rig_out(&r, 0x600, 2, 0xffff);
    rig_out(&r, 0x602, 2, enabled);
    r.asks = 0;
    rig_out(&r, 0x604, 2, 0x2401);
    rig_loop(&r);
    CHECK_EQ(r.asks, 1);
    CHECK_EQ(r.ask, MACHINE_SLEEP);
    machine_reset(r.m, RESET_SLEEP);
    rig_loop(&r);
}

static void sleep_until_the_alarm(void)
{
    start_sleepy();
    for (u8 at = 1; at <= 5; at += 2) /* seconds, minutes, hours */
        cmos(at, at == 1 ? 0x05 : 0xff);
    cmos(0xb, 0x22);
    config(0, 0, 0x58);
    rig_out(&r, 0xcfd, 1, 0x30); /* PAM0 */
    CHECK(is_shadow_open());
    fall_asleep(0x400);
    CHECK_EQ(r.asks, 1);
    CHECK(is_shadow_open());
    CHECK_EQ(config(0, 0, 0x58) >> 8 & 0xff, 0x30);
    CHECK_EQ(rig_in(&r, 0x604, 2), 1); /* ACPI stays on */
    rig_out(&r, 0x70, 1, 0xf);
    CHECK_EQ(rig_in(&r, 0x71, 1), 0xfe);
    rig_clock(&r, 3000000000ll);
    rig_loop(&r);
    CHECK_EQ(r.asks, 1);
    rig_clock(&r, 1500000000ll);
    rig_loop(&r);
    CHECK_EQ(r.asks, 2);
    CHECK_EQ(r.ask, MACHINE_WAKE);
    CHECK_EQ(rig_in(&r, 0x600, 2), 0x8400);
    rig_clock(&r, 60000000000ll); /* the next alarm finds it awake */
    rig_loop(&r);
    CHECK_EQ(r.asks, 2);
    machine_reset(r.m, RESET_SYSTEM);
    CHECK(!is_shadow_open());
    CHECK_EQ(rig_in(&r, 0x600, 2), 0);
    rig_stop(&r);
}

static void sleep_until_the_button(void)
{
    start_sleepy();
    cmos(1, 0xff);
    cmos(3, 0xff);
    cmos(5, 0xff);
    cmos(0xb, 0x22);
    fall_asleep(0); /* no alarm is enabled */
    rig_clock(&r, 5000000000ll);
    rig_loop(&r);
    CHECK_EQ(r.asks, 1);
    machine_gpe(r.m, 5);
    rig_loop(&r);
    CHECK_EQ(r.asks, 1);
    machine_power_button(r.m);
    rig_loop(&r);
    CHECK_EQ(r.asks, 2);
    CHECK_EQ(r.ask, MACHINE_WAKE);
    CHECK_EQ(rig_in(&r, 0x600, 2), 0x8500);
    fall_asleep(0x400); /* the alarm goes off each second: perhaps before all is quiet */
    rig_clock(&r, 1000000000ll);
    rig_loop(&r);
    CHECK_EQ(r.ask, MACHINE_WAKE);
    rig_stop(&r);
}

static void sleep_that_is_not_there(void)
{
    start();
    rig_out(&r, 0x604, 2, 0x2401);
    rig_loop(&r);
    CHECK_EQ(r.ask, MACHINE_POWEROFF);
    rig_stop(&r);
    start_sleepy();
    rig_out(&r, 0x604, 2, 0x2801);
    rig_loop(&r);
    CHECK_EQ(r.ask, MACHINE_POWEROFF);
    rig_stop(&r);
}

int main(void)
{
    CASE(configuration_ports);
    CASE(vmware_bios);
    CASE(vmware_efi);
    CASE(shadow);
    CASE(resets);
    CASE(routing);
    CASE(power_button);
    CASE(power_timer);
    CASE(sleep_until_the_alarm);
    CASE(sleep_until_the_button);
    CASE(sleep_that_is_not_there);
    return check_end();
}
