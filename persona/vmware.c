/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware: CPUID leaves 0x40000000 and 0x40000010, and the backdoor, ports 0x5658 and 0x5659,
 * which work at every privilege level.
 *
 * After open-vm-tools' headers backdoor_def.h and Linux' use of them.  The balloon port
 * 0x5670 answers that it can do nothing, the message channel (RPCI, TCLO) that it cannot be
 * opened, the stolen-time clock that there is none, the absolute pointer that it is absent.
 */
#include "base/bytes.h"
#include "engine/x86/state.h"
#include "machine/machine.h"
#include "persona/persona.h"
#include <errno.h>
#include <string.h>
#include <time.h>

enum { LEAF_FIRST = 0x40000000, LEAF_LAST = 0x40000010 };
enum { PORT_BACKDOOR = 0x5658, PORT_BACKDOOR_BULK = 0x5659, PORT_BALLOON = 0x5670 };
enum { BACKDOOR_MAGIC = 0x564d5868, BALLOON_MAGIC = 0x456c6d6f };
enum {
    CMD_GETMHZ = 1,
    CMD_GETVERSION = 10,
    CMD_GETHWVERSION = 17,
    CMD_GETUUID = 19,
    CMD_GETMEMSIZE = 20,
    CMD_GETTIME = 23,
    CMD_MESSAGE = 30,
    CMD_POINTER_STATUS = 40,
    CMD_GETHZ = 45,
    CMD_GETTIMEFULL = 46,
    CMD_GET_VCPU_INFO = 68,
    CMD_STEALCLOCK = 91,
};
enum { BALLOON_START = 0, BALLOON_TARGET = 1, BALLOON_GUEST_ID = 4 };
enum { BALLOON_INVALID = 1, BALLOON_CAPABILITIES = 0x03000000 };
enum { VERSION = 6, VCPU_LEGACY_X2APIC = 1 << 3, TIME_LAG_US = 1000000 };
#define NO 0xffffffffu

struct vmware {
    struct persona persona;
    struct vmware_config {
        u32 version, product;
        char uuid[48];
    } config;
    u8 uuid[16];
};

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

static void vmware_backdoor(struct vmware *v, struct x86_state *s)
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
    case CMD_GETTIMEFULL:
        vmware_time(s, (s->gpr[RCX] & 0xffff) == CMD_GETTIMEFULL);
        break;
    case CMD_GETHZ:
        s->gpr[RAX] = (u32)hz;
        s->gpr[RBX] = (u32)(hz >> 32);
        s->gpr[RCX] = MACHINE_BUS_HZ;
        break;
    case CMD_GET_VCPU_INFO:
        s->gpr[RAX] = VCPU_LEGACY_X2APIC;
        break;
    case CMD_POINTER_STATUS:
        s->gpr[RAX] = 0; /* no words wait, and none will */
        break;
    case CMD_MESSAGE:
        s->gpr[RCX] &= 0xffff; /* its high half would hold "success" */
        break;
    case CMD_STEALCLOCK:
    default:
        s->gpr[RAX] = NO;
    }
}

static void vmware_balloon(struct x86_state *s)
{
    switch ((u32)s->gpr[RCX]) {
    case BALLOON_START:
        s->gpr[RAX] = BALLOON_CAPABILITIES;
        s->gpr[RCX] = 0;
        break;
    case BALLOON_TARGET:
        s->gpr[RAX] = 0;
        s->gpr[RBX] = 0; /* pages that it should take */
        break;
    case BALLOON_GUEST_ID:
        s->gpr[RAX] = 0;
        break;
    default:
        s->gpr[RAX] = BALLOON_INVALID;
    }
}

static int vmware_port(struct persona *p, u32 cpu, u16 port, u32 size, bool out,
                       struct x86_state *s)
{
    u32 magic = (u32)s->gpr[RAX];

    switch (port) {
    case PORT_BACKDOOR:
        if (magic != BACKDOOR_MAGIC)
            return PERSONA_PASS;
        vmware_backdoor((struct vmware *)p, s);
        return PERSONA_DONE;
    case PORT_BACKDOOR_BULK:
        if (magic != BACKDOOR_MAGIC)
            return PERSONA_PASS;
        s->gpr[RBX] = 0; /* its high half would hold "success" */
        return PERSONA_DONE;
    case PORT_BALLOON:
        if (magic != BALLOON_MAGIC)
            return PERSONA_PASS;
        vmware_balloon(s);
        return PERSONA_DONE;
    }
    return PERSONA_PASS;
}

static const u16 vmware_ports[] = { PORT_BACKDOOR, PORT_BACKDOOR_BULK, PORT_BALLOON, 0 };

static int vmware_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 hexadecimal digits; dashes and blanks between them, as VMware writes them, do not count */
static int vmware_create(struct persona *p, struct err *e)
{
    struct vmware *v = (struct vmware *)p;
    u32 n = 0;

    if (!v->config.uuid[0])
        return 0;
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
    .create = vmware_create,
    .cpuid = vmware_cpuid,
    .port = vmware_port,
    .ports = vmware_ports,
};
