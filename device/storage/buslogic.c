/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BusLogic BT-958, 104b:1040, a MultiMaster adapter on PCI: what "buslogic" means in a VMware
 * package.  Registers, interrupts and commands after the MultiMaster technical reference.
 *
 * Its expansion ROM, by which a BIOS boots from it, is ours: buslogic_rom.S.
 *
 * Left out: mailboxes with 24-bit addresses, the ports of ISA adapters, target mode, what
 * configures real hardware (EEPROM, SCAM, flash).
 */
#include "device/storage/buslogic_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- interrupts ---- */

static void buslogic_level(struct buslogic *b)
{
    pci_level(&b->dev, b->state.interrupt & BL_VALID && !b->state.silent);
}

/* One reason at a time: drivers look at one.  Others wait until it has been reset. */
void buslogic_interrupt(struct buslogic *b, u8 what)
{
    struct buslogic_state *s = &b->state;

    if (s->interrupt & BL_VALID)
        s->waiting |= what & (u8)~s->interrupt;
    else
        s->interrupt = BL_VALID | what;
    buslogic_level(b);
}

static void buslogic_interrupt_reset(struct buslogic *b)
{
    static const u8 order[] = { BL_COMPLETE, BL_BUS_WAS_RESET, BL_INBOX, BL_OUTBOX };
    struct buslogic_state *s = &b->state;

    s->interrupt = 0;
    for (u32 i = 0; i < LEN(order) && !s->interrupt; i++)
        if (s->waiting & order[i]) {
            s->waiting &= (u8)~order[i];
            s->interrupt = BL_VALID | order[i];
        }
    buslogic_level(b);
    bell_ring(b->bell); /* mailboxes may have been emptied */
}

/* ---- what the adapter says about itself ---- */

static void say(struct buslogic *b, const void *p, u32 n)
{
    memcpy(b->state.reply, p, n);
    b->state.reply_len = n;
}

/* As much of it as the guest asks for by its parameter. */
static void say_some(struct buslogic *b, const void *p, u32 n)
{
    u32 want = b->state.parameter[0];

    memset(b->state.reply, 0, sizeof(b->state.reply));
    memcpy(b->state.reply, p, n < want ? n : want);
    b->state.reply_len = want;
}

static void say_devices(struct buslogic *b, u32 first)
{
    u8 p[8];

    for (u32 i = 0; i < 8; i++)
        p[i] = b->present >> (first + i) & 1; /* unit 0 alone */
    say(b, p, sizeof(p));
}

static void say_configuration(struct buslogic *b)
{
    u32 line = pci_config(&b->dev)[0x3c];
    u8 p[3] = { 0, line >= 9 && line <= 15 ? (u8)(1 << (line - 9)) : 0, BL_OWN_ID };

    say(b, p, sizeof(p));
}

static void say_setup(struct buslogic *b)
{
    const struct buslogic_state *s = &b->state;
    u8 p[34] = { 3 }; /* negotiates, checks parity */

    p[4] = (u8)s->count;
    p[5] = (u8)(s->mailboxes >> 16);
    p[6] = (u8)(s->mailboxes >> 8);
    p[7] = (u8)s->mailboxes;
    p[17] = 'B';
    p[18] = 'D';
    p[19] = 'A';
    p[20] = p[32] = 0xff; /* wide transfers */
    say_some(b, p, sizeof(p));
}

static void say_extended_setup(struct buslogic *b)
{
    const struct buslogic_state *s = &b->state;
    u8 p[14] = { 'E' };

    put_le16(p + 2, 8192); /* elements of a list */
    p[4] = (u8)s->count;
    put_le32(p + 5, s->mailboxes);
    p[9] = 1 << 6; /* interrupts by level */
    memcpy(p + 10, "07B", 3);
    p[13] = 1 << 0 | 1 << 3; /* wide, ultra */
    say_some(b, p, sizeof(p));
}

/* Its own RAM: the part where the settings of "AutoSCSI" stand. */
static void say_ram(struct buslogic *b)
{
    u8 m[256] = { 0 }, *p = m + BL_AUTOSCSI;
    u32 from = b->state.parameter[0], n = b->state.parameter[1];

    memcpy(p, "FA", 2);
    p[2] = 64;
    memcpy(p + 3, "BT-958", 6);
    p[10] = 1 << 2; /* level */
    p[14] = BL_OWN_ID;
    p[15] = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7;
    p[18] = 1 << 2; /* extended translation */
    for (u32 i = 19; i <= 27; i += 2)
        put_le16(p + i, 0xffff); /* enabled, wide, fast, synchronous, disconnects */
    put_le16(p + 34, 0xffff);
    p[41] = 7;
    p[43] = 1; /* disks of more than 1024 cylinders */
    memset(b->state.reply, 0, sizeof(b->state.reply));
    memcpy(b->state.reply, m + from, n < sizeof(m) - from ? n : sizeof(m) - from);
    b->state.reply_len = n;
}

static void say_pci(struct buslogic *b)
{
    u8 p[4] = { 6, pci_config(&b->dev)[0x3c], 1 << 7 | 3, 0 }; /* no ISA ports; terminated */

    say(b, p, sizeof(p));
}

static void init_mailboxes(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;

    s->count = s->parameter[0];
    s->mailboxes = le32(s->parameter + 1);
    s->next_in = s->next_out = 0;
    s->first_done = s->ndone = 0;
    s->invalid = !s->count;
}

/* ---- commands ---- */

static const struct {
    u8 op, parameters;
} commands[] = {
    { BL_TEST, 0 },
    { BL_START_MAILBOX, 0 },
    { BL_BOARD_ID, 0 },
    { BL_DEVICES_LOW, 0 },
    { BL_CONFIGURATION, 0 },
    { BL_DIAGNOSE, 0 },
    { BL_DEVICES_HIGH, 0 },
    { BL_TARGETS, 0 },
    { BL_FIRMWARE_DIGIT, 0 },
    { BL_PCI_INFO, 0 },
    { BL_FIRMWARE_LETTER, 0 },
    { BL_OUTBOX_INTERRUPT, 1 },
    { BL_PREEMPT_TIME, 1 },
    { BL_BUS_OFF_TIME, 1 },
    { BL_TRANSFER_RATE, 1 },
    { BL_SETUP, 1 },
    { BL_ECHO, 1 },
    { BL_OPTIONS, 1 },
    { BL_INTERRUPTS, 1 },
    { BL_MODEL, 1 },
    { BL_SYNC_PERIOD, 1 },
    { BL_EXTENDED_SETUP, 1 },
    { BL_ROUND_ROBIN, 1 },
    { BL_MODIFY_ADDRESS, 1 },
    { BL_CCB_FORMAT, 1 },
    { BL_FETCH_RAM, 2 },
    { BL_SELECTION_TIMEOUT, 4 },
    { BL_INIT_MAILBOX, 5 },
};

static void buslogic_finish(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;

    s->running = false;
    s->reply_len = s->told = 0;
    if (s->command != BL_OUTBOX_INTERRUPT && s->command != BL_MODIFY_ADDRESS)
        buslogic_interrupt(b, BL_COMPLETE);
}

static void buslogic_inquire(struct buslogic *b)
{
    static const u8 no_period[16];
    struct buslogic_state *s = &b->state;
    u8 p[2];

    switch (s->command) {
    case BL_BOARD_ID:
        say(b, "AA50", 4);
        break;
    case BL_FIRMWARE_DIGIT:
        say(b, "7", 1);
        break;
    case BL_FIRMWARE_LETTER:
        say(b, "B", 1);
        break;
    case BL_MODEL:
        say_some(b, "958D ", 5);
        break;
    case BL_DEVICES_LOW:
    case BL_DEVICES_HIGH:
        say_devices(b, s->command == BL_DEVICES_LOW ? 0 : 8);
        break;
    case BL_TARGETS:
        put_le16(p, (u16)b->present);
        say(b, p, sizeof(p));
        break;
    case BL_CONFIGURATION:
        say_configuration(b);
        break;
    case BL_SETUP:
        say_setup(b);
        break;
    case BL_SYNC_PERIOD:
        say_some(b, no_period, sizeof(no_period));
        break;
    case BL_EXTENDED_SETUP:
        say_extended_setup(b);
        break;
    case BL_FETCH_RAM:
        say_ram(b);
        break;
    case BL_PCI_INFO:
        say_pci(b);
        break;
    case BL_ECHO:
        say(b, s->parameter, 1);
        break;
    }
}

/* All parameters are there. */
static void buslogic_execute(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;

    switch (s->command) {
    case BL_INIT_MAILBOX:
        init_mailboxes(b);
        break;
    case BL_OUTBOX_INTERRUPT:
        s->tell_outbox = s->parameter[0];
        break;
    case BL_INTERRUPTS:
        s->silent = !s->parameter[0];
        break;
    case BL_ROUND_ROBIN:
        s->strict = s->parameter[0];
        break;
    case BL_CCB_FORMAT:
        s->wide_luns = s->parameter[0];
        break;
    default:
        buslogic_inquire(b);
    }
    if (!s->reply_len)
        buslogic_finish(b);
    buslogic_level(b);
}

static void buslogic_parameter(struct buslogic *b, u8 val)
{
    struct buslogic_state *s = &b->state;

    if (s->got == s->wanted)
        return; /* the reply has not been read yet */
    s->parameter[s->got++] = val;
    if (s->command == BL_OPTIONS && s->got == 1)
        s->wanted += val < BL_PARAMETERS - 1 ? val : BL_PARAMETERS - 1; /* so many follow */
    if (s->got == s->wanted)
        buslogic_execute(b);
}

static void buslogic_command(struct buslogic *b, u8 val)
{
    struct buslogic_state *s = &b->state;

    if (val == BL_START_MAILBOX && !s->running) {
        bell_ring(b->bell);
        return;
    }
    if (s->running) {
        buslogic_parameter(b, val);
        return;
    }
    s->command = val;
    s->running = true;
    s->got = s->wanted = s->reply_len = s->told = 0;
    s->invalid = true;
    for (u32 i = 0; i < LEN(commands); i++)
        if (commands[i].op == val) {
            s->invalid = false;
            s->wanted = commands[i].parameters;
        }
    if (s->invalid)
        buslogic_finish(b);
    else if (!s->wanted)
        buslogic_execute(b);
}

/* ---- resets ---- */

static void buslogic_stop(struct buslogic *b)
{
    b->state.count = 0; /* nothing is taken or told any more */
    while (b->under_way)
        domain_wait(b->dev.domain);
    for (u32 i = 0; i < BL_REQUESTS; i++)
        b->request[i].busy = b->request[i].resets = false;
    b->resets = 0;
}

static void buslogic_reset_adapter(struct buslogic *b, bool bus)
{
    struct buslogic_state *s = &b->state, fresh = { .testing = true };

    buslogic_stop(b);
    memcpy(fresh.unit, s->unit, sizeof(fresh.unit));
    *s = fresh;
    for (u32 i = 0; i < BL_TARGETS_MAX && bus; i++)
        scsi_reset(&s->unit[i], SCSI_ASC_RESET);
    buslogic_level(b);
}

/* Commands under way end with the status of a reset. */
static void buslogic_reset_bus(struct buslogic *b)
{
    for (u32 i = 0; i < BL_REQUESTS; i++)
        if (b->request[i].busy)
            b->request[i].status = BL_ADAPTER_RESET;
    while (b->under_way)
        domain_wait(b->dev.domain);
    for (u32 i = 0; i < BL_TARGETS_MAX; i++)
        scsi_reset(&b->state.unit[i], SCSI_ASC_RESET);
}

/* ---- registers ---- */

static u8 buslogic_status(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;

    if (s->testing) { /* drivers wait to see it on, then off */
        s->testing = false;
        return BL_TESTING | BL_UNINITIALISED;
    }
    return (u8)((s->invalid ? BL_INVALID : 0) | (s->told < s->reply_len ? BL_DATA_IN : 0) |
                (s->running ? 0 : BL_READY) | (s->count ? 0 : BL_UNINITIALISED));
}

static u8 buslogic_reply(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;
    u8 v;

    if (s->told >= s->reply_len)
        return 0;
    v = s->reply[s->told++];
    if (s->told == s->reply_len)
        buslogic_finish(b);
    return v;
}

static u64 buslogic_load(struct device *d, u32 off, u32 size)
{
    struct buslogic *b = (struct buslogic *)d;

    (void)size;
    switch (off) {
    case BL_STATUS:
        return buslogic_status(b);
    case BL_COMMAND:
        return buslogic_reply(b);
    case BL_INTERRUPT:
        return b->state.interrupt;
    case BL_GEOMETRY:
        return 0x80; /* extended translation */
    }
    return 0;
}

static void buslogic_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct buslogic *b = (struct buslogic *)d;

    (void)size;
    if (off == BL_COMMAND)
        buslogic_command(b, (u8)val);
    if (off != BL_CONTROL)
        return;
    if (val & (BL_RESET_HARD | BL_RESET_SOFT)) {
        buslogic_reset_adapter(b, val & BL_RESET_HARD);
        return;
    }
    if (val & BL_RESET_BUS)
        buslogic_reset_bus(b);
    if (val & BL_RESET_INTERRUPT)
        buslogic_interrupt_reset(b);
}

/* ---- life ---- */

static void buslogic_rung(struct device *d, u32 index)
{
    (void)index;
    buslogic_mail((struct buslogic *)d);
}

static void buslogic_attach(struct buslogic *b, u32 target)
{
    const struct buslogic_config *c = &b->config;
    struct lun *l = &b->lun[target];
    bool cd = c->cd >> target & 1;
    struct blk *blk;
    char end[16];

    snprintf(end, sizeof(end), "scsi.%u", target);
    blk = device_end(&b->dev, end);
    if ((!blk && !cd) || target == BL_OWN_ID)
        return;
    b->present |= 1u << target;
    lun_init(l, cd ? SCSI_CDROM : SCSI_DISK, blk, &b->state.unit[target],
             cd ? c->cd_vendor : c->vendor, cd ? c->cd_product : c->product,
             cd ? c->cd_revision : c->revision);
    if (c->serial[0])
        snprintf(l->unit.serial, sizeof(l->unit.serial), "%s%02x", c->serial, target);
}

#define REGISTERS .min = 1, .max = 1, .load = buslogic_load, .store = buslogic_store
static int buslogic_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { .index = 0, .space = PCI_PORTS, .size = BL_PORTS, REGISTERS },
        { .index = 1, .space = PCI_MEM32, .size = BL_PORTS, REGISTERS },
        { 0 },
    };
    const struct pci_ident ident = {
        .vendor = BL_VENDOR,
        .device = BL_DEVICE,
        .subvendor = BL_VENDOR,
        .subdevice = BL_DEVICE,
        .class = 0x010000,
        .revision = 1,
        .pin = 1,
        .bars = bars,
        .rom = buslogic_rom,
        .rom_size = buslogic_rom_size,
    };
    struct buslogic *b = (struct buslogic *)d;
    int r;

    for (u32 i = 0; i < BL_TARGETS_MAX; i++)
        buslogic_attach(b, i);
    b->request = calloc(BL_REQUESTS, sizeof(*b->request));
    if (!b->request)
        return err_set(e, -ENOMEM, "no memory for requests");
    r = bell_new(d, buslogic_rung, 0, &b->bell);
    if (r)
        return err_set(e, r, "no bell");
    return pci_plug(d, &ident, e);
}

static void buslogic_destroy(struct device *d)
{
    pci_unplug(d);
    free(((struct buslogic *)d)->request);
}

static void buslogic_reset(struct device *d, enum reset kind)
{
    if (kind != RESET_SLEEP)
        buslogic_reset_adapter((struct buslogic *)d, true);
}

static void buslogic_pause(struct device *d)
{
    struct buslogic *b = (struct buslogic *)d;

    domain_lock(d->domain);
    while (b->under_way)
        domain_wait(d->domain);
    domain_unlock(d->domain);
}

static void buslogic_resume(struct device *d)
{
    bell_ring(((struct buslogic *)d)->bell); /* what was left, or came with the mailboxes */
}

static int buslogic_check(const struct device *d, struct err *e)
{
    const struct buslogic_state *s = &((const struct buslogic *)d)->state;

    if (s->count > 255 || (s->count && (s->next_in >= s->count || s->next_out >= s->count)))
        return err_set(e, -EBADMSG, "%u mailboxes", s->count);
    if (s->wanted > BL_PARAMETERS || s->got > s->wanted || s->reply_len > BL_PARAMETERS ||
        s->told > s->reply_len)
        return err_set(e, -EBADMSG, "%u of %u parameters", s->got, s->wanted);
    if (s->first_done >= BL_DONE || s->ndone > BL_DONE)
        return err_set(e, -EBADMSG, "%u answers wait", s->ndone);
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct buslogic_config, cd, 0, "targets that are CD-ROM drives, one bit each"),
    FIELD_TEXT(2, struct buslogic_config, vendor, 0, "INQUIRY vendor of disks"),
    FIELD_TEXT(3, struct buslogic_config, product, 0, "INQUIRY product of disks"),
    FIELD_TEXT(4, struct buslogic_config, revision, 0, "INQUIRY revision of disks"),
    FIELD_TEXT(5, struct buslogic_config, cd_vendor, 0, "INQUIRY vendor of CD-ROM drives"),
    FIELD_TEXT(6, struct buslogic_config, cd_product, 0, "INQUIRY product of CD-ROM drives"),
    FIELD_TEXT(7, struct buslogic_config, cd_revision, 0, "INQUIRY revision of CD-ROM drives"),
    FIELD_TEXT(8, struct buslogic_config, serial, 0,
               "start of the serial numbers, the target follows; empty: none are told"),
    FIELD(0, struct buslogic_config, pad, F_LOCAL, "none"),
    FIELD_END
};
static const struct field done_fields[] = {
    FIELD(1, struct buslogic_done, ccb, 0, "address of the CCB"),
    FIELD(2, struct buslogic_done, adapter_status, 0, "status of the adapter"),
    FIELD(3, struct buslogic_done, scsi_status, 0, "status of the target"),
    FIELD(4, struct buslogic_done, outcome, 0, "code for the mailbox"),
    FIELD(0, struct buslogic_done, pad, F_LOCAL, "none"),
    FIELD_END
};
#define STATE struct buslogic_state
static const struct field state[] = {
    FIELD(1, STATE, mailboxes, 0, "address of the mailboxes"),
    FIELD(2, STATE, count, 0, "how many there are, each way"),
    FIELD(3, STATE, next_out, 0, "outgoing mailbox that is looked at next"),
    FIELD(4, STATE, next_in, 0, "incoming mailbox that is filled next"),
    FIELD(5, STATE, wanted, 0, "parameters of the command"),
    FIELD(6, STATE, got, 0, "those that came"),
    FIELD(7, STATE, reply_len, 0, "bytes of its reply"),
    FIELD(8, STATE, told, 0, "those that were read"),
    FIELD(9, STATE, first_done, 0, "first answer that waits for a mailbox"),
    FIELD(10, STATE, ndone, 0, "answers that wait"),
    FIELD(11, STATE, command, 0, "last command"),
    FIELD(12, STATE, interrupt, 0, "interrupt register"),
    FIELD(13, STATE, waiting, 0, "interrupts that come after it"),
    FIELD(14, STATE, running, 0, "a command is not finished"),
    FIELD(15, STATE, invalid, 0, "the last command was invalid"),
    FIELD(16, STATE, testing, 0, "it tests itself after a reset"),
    FIELD(17, STATE, silent, 0, "interrupts are off"),
    FIELD(18, STATE, strict, 0, "mailboxes strictly one after the other"),
    FIELD(19, STATE, wide_luns, 0, "CCBs with six bits of unit"),
    FIELD(20, STATE, tell_outbox, 0, "interrupts for outgoing mailboxes"),
    FIELDS(0, STATE, pad, F_LOCAL, "none"),
    FIELDS(21, STATE, parameter, 0, "the parameters"),
    FIELDS(22, STATE, reply, 0, "the reply"),
    FIELD_SUB(23, STATE, done, 0, "answers", done_fields),
    FIELD_SUB(24, STATE, unit, 0, "targets", scsi_state_fields),
    FIELD_END
};

const struct device_class device_buslogic = {
    .name = "buslogic",
    .about = "BusLogic BT-958 (104b:1040): VMware's \"buslogic\"",
    .size = sizeof(struct buslogic),
    .config_at = offsetof(struct buslogic, config),
    .config = config,
    .config_default = &(const struct buslogic_config){ .vendor = "VMware",
                                                       .product = "Virtual disk",
                                                       .revision = "1.0",
                                                       .cd_vendor = "NECVMWar",
                                                       .cd_product = "VMware SCSI CDR",
                                                       .cd_revision = "1.0" },
    .config_size = sizeof(struct buslogic_config),
    .state_at = offsetof(struct buslogic, state),
    .state_size = sizeof(struct buslogic_state),
    .state = state,
    .create = buslogic_create,
    .destroy = buslogic_destroy,
    .reset = buslogic_reset,
    .pause = buslogic_pause,
    .resume = buslogic_resume,
    .check = buslogic_check,
};
