/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware: CPUID leaves 0x40000000 and 0x40000010, and the backdoor, ports 0x5658, 0x5659 and
 * 0x5670, which work at every privilege level.
 *
 * After open-vm-tools' headers backdoor_def.h and Linux' use of them.  Messages, balloon, clipboard,
 * stolen time and pointer have files of their own.  Left out: what only VMware's own firmware asks.
 */
#include "base/bytes.h"
#include "base/loop.h"
#include "persona/vmware_int.h"
#include <errno.h>
#include <string.h>
#include <time.h>

enum { LEAF_FIRST = 0x40000000, LEAF_LAST = 0x40000010 };
enum { PORT_BACKDOOR = 0x5658, PORT_BACKDOOR_BULK = 0x5659, PORT_BALLOON = 0x5670 };
enum { BALLOON_MAGIC = 0x456c6d6f };
enum {
    CMD_GETMHZ = 1,
    CMD_GETVERSION = 10,
    CMD_GETDEVICE = 11,
    CMD_TOGGLEDEVICE = 12,
    CMD_GETOPTIONS = 13,
    CMD_GETHWVERSION = 17,
    CMD_GETUUID = 19,
    CMD_GETMEMSIZE = 20,
    CMD_GETTIME = 23,
    CMD_MESSAGE = 30,
    CMD_ISMOUSEABSOLUTE = 36,
    CMD_POINTER_DATA = 39,
    CMD_POINTER_STATUS = 40,
    CMD_POINTER_COMMAND = 41,
    CMD_GETHZ = 45,
    CMD_GETTIMEFULL = 46,
    CMD_GETTIMEFULL_LAG = 55,
    CMD_GET_VCPU_INFO = 68,
    CMD_POINTER_RESTRICT = 86,
    CMD_STEALCLOCK = 91,
    CMD_GETBUILD = 100,
};
enum { VERSION = 6, BUILD = 1, OPTION_SYNC_TIME = 0x400 };
enum { VCPU_LEGACY_X2APIC = 1 << 3, TIME_LAG_US = 1000000 };
#define NO 0xffffffffu

static int vmware_cpuid(struct persona *p, u32 cpu, u32 leaf, u32 sub, u32 regs[4])
{
    if (leaf < LEAF_FIRST || leaf > LEAF_LAST)
        return PERSONA_PASS;
    memset(regs, 0, 4 * sizeof(*regs));
    if (leaf == LEAF_FIRST) {
        regs[0] = LEAF_LAST;
        memcpy(&regs[1], "VMwareVMware", 12);
    } else if (leaf == LEAF_LAST) {
        regs[0] = (u32)(machine_tsc_hz(p->machine) / 1000);
        regs[1] = MACHINE_BUS_HZ / 1000;
    }
    return PERSONA_DONE;
}

static void vmware_time(struct x86_state *s, bool full)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    s->gpr[RBX] = (u32)(now.tv_nsec / 1000);
    s->gpr[RCX] = TIME_LAG_US;
    if (full) {
        s->gpr[RAX] = BACKDOOR_MAGIC;
        s->gpr[RSI] = (u32)((u64)now.tv_sec >> 32);
        s->gpr[RDX] = (u32)now.tv_sec;
    } else {
        s->gpr[RAX] = (u32)now.tv_sec;
        s->gpr[RDX] = 0; /* minutes west of Greenwich */
    }
}

static void vmware_uuid(const struct vmware *v, struct x86_state *s)
{
    s->gpr[RAX] = le32(v->uuid);
    s->gpr[RBX] = le32(v->uuid + 4);
    s->gpr[RCX] = le32(v->uuid + 8);
    s->gpr[RDX] = le32(v->uuid + 12);
}

/* What is asked by a number and needs no more than that. */
static bool vmware_plain(struct vmware *v, struct x86_state *s)
{
    u64 hz = machine_tsc_hz(v->persona.machine);

    switch (s->gpr[RCX] & 0xffff) {
    case CMD_GETMHZ:
        s->gpr[RAX] = (u32)(hz / 1000000);
        break;
    case CMD_GETVERSION:
        s->gpr[RAX] = VERSION;
        s->gpr[RBX] = BACKDOOR_MAGIC;
        s->gpr[RCX] = v->config.product;
        break;
    case CMD_GETHWVERSION:
        s->gpr[RAX] = v->config.version;
        break;
    case CMD_GETUUID:
        vmware_uuid(v, s);
        break;
    case CMD_GETMEMSIZE:
        s->gpr[RAX] = (u32)(machine_ram_size(v->persona.machine) >> 20);
        break;
    case CMD_GETTIME:
        vmware_time(s, false);
        break;
    case CMD_GETTIMEFULL_LAG:
        s->gpr[RDI] = 0; /* interrupts come when they are due */
        vmware_time(s, true);
        break;
    case CMD_GETTIMEFULL:
        vmware_time(s, true);
        break;
    case CMD_GETDEVICE: /* no removable device can be listed or moved from inside */
    case CMD_TOGGLEDEVICE:
        s->gpr[RAX] = 0;
        break;
    case CMD_GETOPTIONS:
        s->gpr[RAX] =
            v->tools && vmtools_options(v->tools) & VMTOOLS_SYNC_TIME ? OPTION_SYNC_TIME : 0;
        break;
    case CMD_GETBUILD:
        s->gpr[RAX] = BUILD;
        break;
    case CMD_GETHZ:
        s->gpr[RAX] = (u32)hz;
        s->gpr[RBX] = (u32)(hz >> 32);
        s->gpr[RCX] = MACHINE_BUS_HZ;
        break;
    case CMD_GET_VCPU_INFO:
        s->gpr[RAX] = VCPU_LEGACY_X2APIC;
        break;
    default:
        return false;
    }
    return true;
}

static void vmware_backdoor(struct vmware *v, u32 cpu, struct x86_state *s)
{
    if (vmware_plain(v, s))
        return;
    pthread_mutex_lock(&v->lock);
    vmware_steal_here(v, cpu);
    switch (s->gpr[RCX] & 0xffff) {
    case CMD_MESSAGE:
        vmware_message(v, s);
        break;
    case CMD_ISMOUSEABSOLUTE:
        s->gpr[RAX] = v->state.pointer_on && !v->state.pointer_relative;
        break;
    case CMD_POINTER_DATA:
        vmware_pointer_data(v, s);
        break;
    case CMD_POINTER_STATUS:
        vmware_pointer_status(v, s);
        break;
    case CMD_POINTER_COMMAND:
        vmware_pointer_command(v, s);
        break;
    case CMD_POINTER_RESTRICT: /* whoever asks may read it */
        s->gpr[RAX] = 0;
        break;
    case CMD_STEALCLOCK:
        vmware_steal(v, cpu, s);
        break;
    default:
        if (!vmware_clip(v, s))
            s->gpr[RAX] = NO;
    }
    pthread_mutex_unlock(&v->lock);
}

static int vmware_port(struct persona *p, u32 cpu, u16 port, u32 size, bool out,
                       struct x86_state *s)
{
    struct vmware *v = (struct vmware *)p;
    u32 magic = (u32)s->gpr[RAX];

    switch (port) {
    case PORT_BACKDOOR:
        if (magic != BACKDOOR_MAGIC)
            return PERSONA_PASS;
        vmware_backdoor(v, cpu, s);
        return PERSONA_DONE;
    case PORT_BACKDOOR_BULK:
        if (magic != BACKDOOR_MAGIC)
            return PERSONA_PASS;
        s->gpr[RBX] = 0; /* no stream of bytes: its high half would hold "success" */
        return PERSONA_DONE;
    case PORT_BALLOON:
        if (magic != BALLOON_MAGIC)
            return PERSONA_PASS;
        pthread_mutex_lock(&v->lock);
        vmware_balloon(v, s);
        pthread_mutex_unlock(&v->lock);
        return PERSONA_DONE;
    }
    return PERSONA_PASS;
}

static const u16 vmware_ports[] = { PORT_BACKDOOR, PORT_BACKDOOR_BULK, PORT_BALLOON, 0 };

static int vmware_bulk(struct persona *p, u32 cpu, u16 port, bool out, struct x86_state *s,
                       u8 *bytes, u32 n)
{
    struct vmware *v = (struct vmware *)p;
    bool ok;

    if (port != PORT_BACKDOOR_BULK || (u32)s->gpr[RAX] != BACKDOOR_MAGIC)
        return PERSONA_PASS;
    pthread_mutex_lock(&v->lock);
    ok = vmware_message_bulk(v, s, out, bytes, n);
    pthread_mutex_unlock(&v->lock);
    return ok || bytes ? PERSONA_DONE : PERSONA_PASS;
}

static int vmware_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 hexadecimal digits; dashes and blanks between them, as VMware writes them, do not count */
static int vmware_read_uuid(struct vmware *v, struct err *e)
{
    u32 n = 0;

    for (const char *c = v->config.uuid; *c; c++) {
        int digit = vmware_hex(*c);

        if (*c == '-' || *c == ' ')
            continue;
        if (digit < 0 || n == 32)
            n = 33;
        if (n > 32)
            break;
        v->uuid[n / 2] = (u8)(v->uuid[n / 2] << 4 | digit);
        n++;
    }
    if (n != 32)
        return err_set(e, -EINVAL, "uuid: \"%s\" is not 32 hexadecimal digits", v->config.uuid);
    return 0;
}

static int vmware_create(struct persona *p, struct err *e)
{
    struct vmware *v = (struct vmware *)p;
    int r = v->config.uuid[0] ? vmware_read_uuid(v, e) : 0;

    if (r)
        return r;
    v->tools = persona_end(p, "vmtools");
    pthread_mutex_init(&v->lock, NULL);
    return vmware_steal_new(v, e);
}

static void vmware_destroy(struct persona *p)
{
    struct vmware *v = (struct vmware *)p;

    loop_timer_drop(v->steal_timer);
    pthread_mutex_destroy(&v->lock);
}

static void vmware_reset(struct persona *p)
{
    struct vmware *v = (struct vmware *)p;

    pthread_mutex_lock(&v->lock);
    vmware_message_reset(v);
    memset(&v->state, 0, sizeof(v->state));
    pthread_mutex_unlock(&v->lock);
    if (v->tools)
        vmtools_reset(v->tools);
}

static int vmware_check(const struct persona *p, struct err *e)
{
    const struct vmware_state *s = &((const struct vmware *)p)->state;

    for (u32 i = 0; i < VMWARE_CHANNELS; i++) {
        const struct vmware_channel *c = &s->channel[i];

        if (c->in_len > VMTOOLS_MESSAGE || c->in_at > c->in_len || c->out_len > VMTOOLS_MESSAGE ||
            c->out_at > c->out_len)
            return err_set(e, -EINVAL, "message channel %u: lengths that cannot be", i);
    }
    if (s->pointer_count > VMWARE_POINTER_WORDS || s->pointer_from >= VMWARE_POINTER_WORDS)
        return err_set(e, -EINVAL, "pointer: a queue that cannot be");
    if (!vmware_clip_can_be(s->clip))
        return err_set(e, -EINVAL, "clipboard: lengths that cannot be");
    return 0;
}

static void vmware_restored(struct persona *p)
{
    struct vmware *v = (struct vmware *)p;

    pthread_mutex_lock(&v->lock);
    vmware_message_restored(v);
    vmware_steal_restored(v);
    pthread_mutex_unlock(&v->lock);
    if (v->tools)
        vmtools_balloon_told(v->tools, v->state.balloon_pages);
}

static const struct field state[] = {
    FIELD_SUB(1, struct vmware_state, channel, 0, "message channels", vmware_channel_fields),
    FIELD(2, struct vmware_state, uses, 0, "count of uses of channels"),
    FIELDS(3, struct vmware_state, steal, 0, "where vCPUs want their stolen time"),
    FIELD(4, struct vmware_state, balloon_pages, 0, "pages that the guest gave"),
    FIELD(5, struct vmware_state, balloon_features, 0, "what its driver can"),
    FIELD(6, struct vmware_state, balloon_on, 0, "the driver has started"),
    FIELD(7, struct vmware_state, pointer_on, 0, "the driver has started"),
    FIELD(8, struct vmware_state, pointer_relative, 0, "it wants the PS/2 mouse instead"),
    FIELDS(9, struct vmware_state, pointer, 0, "words that wait"),
    FIELD(10, struct vmware_state, pointer_from, 0, "the first of them"),
    FIELD(11, struct vmware_state, pointer_count, 0, "how many"),
    FIELD_SUB(12, struct vmware_state, clip, 0, "the clipboard", vmware_clip_fields),
    FIELDS(0, struct vmware_state, pad, F_LOCAL, "none"),
    FIELD(0, struct vmware_state, pad2, F_LOCAL, "none"),
    FIELD_END,
};

static const struct field config[] = {
    FIELD(1, struct vmware_config, version, 0, "virtual hardware version"),
    FIELD(2, struct vmware_config, product, 0, "2 ESX, 4 Workstation"),
    FIELD_TEXT(3, struct vmware_config, uuid, 0, "UUID of the VM"),
    FIELD_END,
};

const struct persona_class persona_vmware = {
    .name = "vmware",
    .about = "VMware ESXi and Workstation",
    .size = sizeof(struct vmware),
    .config_at = offsetof(struct vmware, config),
    .config_size = sizeof(struct vmware_config),
    .config_default = &(const struct vmware_config){ .version = 19, .product = 2 },
    .config = config,
    .state_at = offsetof(struct vmware, state),
    .state_size = sizeof(struct vmware_state),
    .state = state,
    .create = vmware_create,
    .destroy = vmware_destroy,
    .reset = vmware_reset,
    .check = vmware_check,
    .restored = vmware_restored,
    .cpuid = vmware_cpuid,
    .port = vmware_port,
    .ports = vmware_ports,
    .bulk = vmware_bulk,
    .pointer = vmware_pointer_move,
};
