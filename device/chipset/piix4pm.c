/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * South bridge, function 3: ACPI power management.  Intel 82371AB (PIIX4) data sheet, chapter
 * 7; ACPI 6.4, 4.8.  With the APM ports 0xb2 and 0xb3, through which the ACPI mode is
 * switched on and off, as an SMI handler would.
 *
 * Sleep to RAM (S3), where the board has it, until the power button, the clock's alarm or a general
 * purpose event that is enabled; other sleep types end the machine.  Left out: SMBus, device
 * monitors, C states, S1, S4.
 */
#include "device/chipset/piix4pm.h"
#include "base/bytes.h"
#include "bus/pci.h"
#include "machine/machine.h"
#include <errno.h>

enum {
    PM_BASE = 0x40,
    DEVACTB = 0x58,
    PM_MISC = 0x80,
    SMB_BASE = 0x90,
    PM_SIZE = 64,
    PM_DEFAULT = 0x600
};
enum {
    PM1_STATUS = 0,
    PM1_ENABLE = 2,
    PM1_CONTROL = 4,
    PM_TIMER = 8,
    GPE_STATUS = 0xc,
    GPE_ENABLE = 0xe
};
enum {
    STATUS_TIMER = 1 << 0,
    STATUS_GLOBAL = 1 << 5,
    STATUS_BUTTON = 1 << 8,
    STATUS_ALARM = 1 << 10,
    STATUS_WAKE = 1 << 15,
    STATUS_ALL =
        STATUS_TIMER | 1 << 4 | STATUS_GLOBAL | STATUS_BUTTON | 1 << 9 | STATUS_ALARM | STATUS_WAKE,
    ENABLE_ALL = STATUS_TIMER | STATUS_GLOBAL | STATUS_BUTTON | 1 << 9 | STATUS_ALARM
};
enum { CONTROL_SCI = 1, CONTROL_SLEEP = 1 << 13, CONTROL_TYPE = 10, CONTROL_WRITABLE = 0x1c03 };
enum { APM_ACPI_ON = 0xf1, APM_ACPI_OFF = 0xf0, PM_TIMER_HZ = 3579545 };

struct piix4pm {
    struct device dev;
    struct piix4pm_config {
        u8 vmware, sleeps;
    } config;
    struct piix4pm_state {
        i64 overflow; /* guest time of the next change of the timer's top bit */
        u16 status, enable, control, gpe_status, gpe_enable;
        u8 apm_control, apm_status, asleep, pad[3];
    } state;
    struct irq sci;
    struct timer *timer;
    u32 region;
};

static struct piix4pm_state *pm_state(struct device *d)
{
    return &((struct piix4pm *)d)->state;
}

static u32 pm_count(i64 now)
{
    return (u32)((unsigned __int128)now * PM_TIMER_HZ / 1000000000);
}

/* The timer is 32 bits wide; its top bit changes every 2^31 ticks. */
static i64 pm_next(i64 now)
{
    u64 ticks = (u64)((unsigned __int128)now * PM_TIMER_HZ / 1000000000);

    ticks = ((ticks >> 31) + 1) << 31;
    return (i64)((unsigned __int128)ticks * 1000000000 / PM_TIMER_HZ) + 1;
}

/* ACPI 4.8.3.1.1, 16.1: the button wakes always, the others when they are enabled. */
static void pm_wake(struct piix4pm *p)
{
    struct piix4pm_state *s = &p->state;

    if (!s->asleep || !(s->status & (STATUS_BUTTON | (s->enable & STATUS_ALARM)) ||
                        s->gpe_status & s->gpe_enable))
        return;
    s->asleep = 0;
    s->status |= STATUS_WAKE;
    machine_ask(p->dev.machine, MACHINE_WAKE, 0);
}

static void pm_update(struct piix4pm *p)
{
    struct piix4pm_state *s = &p->state;
    i64 now = machine_now(p->dev.machine);

    if (now >= s->overflow) {
        s->status |= STATUS_TIMER;
        s->overflow = pm_next(now);
    }
    irq_set(&p->sci, s->status & s->enable || s->gpe_status & s->gpe_enable);
    if (s->enable & STATUS_TIMER && !(s->status & STATUS_TIMER))
        timer_set(p->timer, s->overflow);
    else
        timer_stop(p->timer);
    pm_wake(p);
}

static void pm_fire(struct device *d)
{
    pm_update((struct piix4pm *)d);
}

static void pm_button(struct device *d)
{
    pm_state(d)->status |= STATUS_BUTTON;
    pm_update((struct piix4pm *)d);
}

static void pm_alarm(struct device *d)
{
    pm_state(d)->status |= STATUS_ALARM;
    pm_update((struct piix4pm *)d);
}

static void pm_event(struct device *d, u32 bit)
{
    pm_state(d)->gpe_status |= (u16)(1u << (bit & 15));
    pm_update((struct piix4pm *)d);
}

static u64 pm_load16(struct piix4pm *p, u32 off)
{
    const struct piix4pm_state *s = &p->state;

    switch (off) {
    case PM1_STATUS:
        pm_update(p);
        return s->status;
    case PM1_ENABLE:
        return s->enable;
    case PM1_CONTROL:
        return s->control;
    case PM_TIMER:
        return (u16)pm_count(machine_now(p->dev.machine));
    case PM_TIMER + 2:
        return pm_count(machine_now(p->dev.machine)) >> 16;
    case GPE_STATUS:
        return s->gpe_status;
    case GPE_ENABLE:
        return s->gpe_enable;
    }
    return 0;
}

static u64 pm_load(struct device *d, u32 off, u32 size)
{
    struct piix4pm *p = (struct piix4pm *)d;

    if (size == 4 && off == PM_TIMER)
        return pm_count(machine_now(d->machine));
    if (size == 4)
        return pm_load16(p, off) | pm_load16(p, off + 2) << 16;
    return pm_load16(p, off & ~1u) >> (off & 1 ? 8 : 0);
}

static void pm_sleep(struct piix4pm *p)
{
    bool ram = p->config.sleeps && (p->state.control >> CONTROL_TYPE & 7) == PIIX4PM_RAM;

    machine_ask(p->dev.machine, ram ? MACHINE_SLEEP : MACHINE_POWEROFF, 0);
}

/* mask: the bits that the access reaches. */
static void pm_store16(struct piix4pm *p, u32 off, u16 val, u16 mask)
{
    struct piix4pm_state *s = &p->state;
    u16 keep = (u16)~mask;

    switch (off) {
    case PM1_STATUS:
        s->status &= (u16)~val;
        break;
    case PM1_ENABLE:
        s->enable = ((s->enable & keep) | val) & ENABLE_ALL;
        break;
    case PM1_CONTROL:
        s->control = ((s->control & keep) | val) & CONTROL_WRITABLE;
        if (val & CONTROL_SLEEP)
            pm_sleep(p);
        break;
    case GPE_STATUS:
        s->gpe_status &= (u16)~val;
        break;
    case GPE_ENABLE:
        s->gpe_enable = (s->gpe_enable & keep) | val;
        break;
    }
    pm_update(p);
}

static void pm_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct piix4pm *p = (struct piix4pm *)d;

    if (size == 1) {
        u32 shift = off & 1 ? 8 : 0;

        pm_store16(p, off & ~1u, (u16)(val << shift), (u16)(0xff << shift));
        return;
    }
    pm_store16(p, off, (u16)val, 0xffff);
    if (size == 4)
        pm_store16(p, off + 2, (u16)(val >> 16), 0xffff);
}

static u64 pm_apm_load(struct device *d, u32 off, u32 size)
{
    (void)size;
    return off ? pm_state(d)->apm_status : pm_state(d)->apm_control;
}

static void pm_apm_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct piix4pm_state *s = pm_state(d);

    (void)size;
    if (off) {
        s->apm_status = (u8)val;
        return;
    }
    s->apm_control = (u8)val;
    if (val == APM_ACPI_ON)
        s->control |= CONTROL_SCI;
    else if (val == APM_ACPI_OFF)
        s->control &= (u16)~CONTROL_SCI;
    pm_update((struct piix4pm *)d);
}

static void pm_place(struct device *d)
{
    const u8 *config = pci_config(d);
    u16 base = le16(config + PM_BASE) & 0xffc0;

    space_move(machine_ports(d->machine), ((struct piix4pm *)d)->region,
               config[PM_MISC] & 1 && base ? base : ~(u64)0);
}

static void pm_on_config(struct device *d, u32 off, u32 size)
{
    (void)off, (void)size;
    pm_place(d);
}

static const struct machine_power power = { .button = pm_button,
                                            .alarm = pm_alarm,
                                            .gpe = pm_event };

static int piix4pm_create(struct device *d, struct err *e)
{
    struct pci_ident id = {
        .vendor = 0x8086, .device = 0x7113, .class = 0x068000, .revision = 3, .pin = 1
    };
    struct region pm = { .name = "acpi",
                         .base = ~(u64)0,
                         .len = PM_SIZE,
                         .min = 1,
                         .max = 4,
                         .load = pm_load,
                         .store = pm_store,
                         .dev = d };
    struct region apm = { .name = "apm",
                          .base = 0xb2,
                          .len = 2,
                          .min = 1,
                          .max = 1,
                          .load = pm_apm_load,
                          .store = pm_apm_store,
                          .dev = d };
    struct piix4pm *p = (struct piix4pm *)d;

    if (p->config.vmware)
        id.revision = 8, id.subvendor = 0x15ad, id.subdevice = 0x1976;
    if (pci_place(d->machine, d->name, 1, 3, e) || pci_plug(d, &id, e))
        return e ? e->code : -EINVAL;
    pci_config_writable(d, 0x40, 0xc0, 0xff);
    pci_config_writable(d, PM_BASE, 1, 0xc0);
    pci_config_writable(d, PM_BASE + 2, 2, 0);
    pci_on_config(d, pm_on_config);
    if (timer_new(d, pm_fire, &p->timer))
        return err_set(e, -ENOMEM, "no memory for a timer");
    p->sci = machine_wire(d->machine, d, "isa.9");
    machine_power_set(d->machine, d, &power);
    if (space_add(machine_ports(d->machine), &pm, &p->region, e))
        return -EEXIST;
    return space_add(machine_ports(d->machine), &apm, NULL, e);
}

bool piix4pm_sleeps(const struct device *d)
{
    return ((const struct piix4pm *)d)->config.sleeps;
}

static void piix4pm_destroy(struct device *d)
{
    pci_unplug(d);
}

/* What was enabled wakes the guest; ACPI is on as it wakes.  ACPI 16.3.1 */
static void pm_reset_state(struct piix4pm *p, enum reset kind)
{
    struct piix4pm_state *s = &p->state;

    if (kind == RESET_SLEEP) {
        s->asleep = 1;
        s->control &= CONTROL_SCI;
    } else {
        *s = (struct piix4pm_state){ .overflow = pm_next(machine_now(p->dev.machine)) };
    }
}

/* The base is where SeaBIOS puts it, so that a guest without a BIOS finds it there too. */
static void piix4pm_reset(struct device *d, enum reset kind)
{
    u8 *config = pci_config(d);

    for (u32 i = 0x40; i < 0x100; i++)
        config[i] = 0;
    put_le32(config + PM_BASE, PM_DEFAULT | 1);
    config[PM_MISC] = 1;
    config[SMB_BASE] = 1;
    config[DEVACTB + 3] = 2; /* SMI by APM is on: there is nothing for a BIOS to set up */
    pm_reset_state((struct piix4pm *)d, kind);
    pm_place(d);
    pm_update((struct piix4pm *)d);
}

static int piix4pm_check(const struct device *d, struct err *e)
{
    const struct piix4pm_state *s = &((const struct piix4pm *)d)->state;

    if (s->enable & ~ENABLE_ALL || s->control & ~CONTROL_WRITABLE || s->status & ~STATUS_ALL ||
        s->asleep > 1)
        return err_set(e, -EBADMSG, "bits are set that do not exist");
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct piix4pm_config, vmware, 0, "1: the one of VMware's boards"),
    FIELD(2, struct piix4pm_config, sleeps, 0, "1: the firmware wakes it from sleep to RAM"),
    FIELD_END
};

static const struct field state[] = { FIELD_TIME(1, struct piix4pm_state, overflow, 0,
                                                 "next change of the timer's top bit"),
                                      FIELD(2, struct piix4pm_state, status, 0, "PM1 status"),
                                      FIELD(3, struct piix4pm_state, enable, 0, "PM1 enable"),
                                      FIELD(4, struct piix4pm_state, control, 0, "PM1 control"),
                                      FIELD(5, struct piix4pm_state, gpe_status, 0, "GPE0 status"),
                                      FIELD(6, struct piix4pm_state, gpe_enable, 0, "GPE0 enable"),
                                      FIELD(7, struct piix4pm_state, apm_control, 0, "port 0xb2"),
                                      FIELD(8, struct piix4pm_state, apm_status, 0, "port 0xb3"),
                                      FIELD(9, struct piix4pm_state, asleep, 0, "sleeps to RAM"),
                                      FIELDS(0, struct piix4pm_state, pad, F_LOCAL, "none"),
                                      FIELD_END };

const struct device_class device_piix4pm = {
    .name = "piix4pm",
    .about = "ACPI power management of the 82371AB: timer, power button, soft off, sleep",
    .domain = "chipset",
    .size = sizeof(struct piix4pm),
    .state_at = offsetof(struct piix4pm, state),
    .state_size = sizeof(struct piix4pm_state),
    .state = state,
    .config_at = offsetof(struct piix4pm, config),
    .config = config,
    .config_default = &(const struct piix4pm_config){ 0 },
    .config_size = sizeof(struct piix4pm_config),
    .create = piix4pm_create,
    .destroy = piix4pm_destroy,
    .reset = piix4pm_reset,
    .check = piix4pm_check,
    .restored = pm_place,
};
