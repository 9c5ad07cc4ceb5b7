/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vmtools.h"
#include "base/bytes.h"
#include "engine/x86/state.h"
#include "persona/persona.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>

static struct rig r;
static struct persona *p;
static struct x86_state s;

static void begin(const char *const *settings)
{
    struct err e = { 0 };

    rig_start(&r, 64, 1);
    CHECK_EQ(persona_new(r.m, "vmware", settings, NULL, &p, &e), 0);
}

static void end(void)
{
    persona_free(p);
    rig_stop(&r);
}

static int call(u16 port, u32 magic, u32 command)
{
    memset(&s, 0, sizeof(s));
    for (u32 i = 0; i < 16; i++)
        s.gpr[i] = 0xaaaa0000bbbb0000ull + i;
    s.gpr[RAX] = magic;
    s.gpr[RCX] = command;
    s.gpr[RDX] = port;
    return p->class->port(p, 0, port, 4, false, &s);
}

static void leaves(void)
{
    u32 regs[4];

    begin(NULL);
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000000, 0, regs), PERSONA_DONE);
    CHECK_EQ(regs[0], 0x40000010);
    CHECK(!memcmp(regs + 1, "VMwareVMware", 12));
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000010, 0, regs), PERSONA_DONE);
    CHECK_EQ(regs[0], machine_tsc_hz(r.m) / 1000);
    CHECK_EQ(regs[1], MACHINE_BUS_HZ / 1000);
    CHECK_EQ(regs[2], 0);
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000001, 0, regs), PERSONA_DONE);
    CHECK_EQ(regs[0] | regs[1] | regs[2] | regs[3], 0);
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000011, 0, regs), PERSONA_PASS);
    CHECK_EQ(p->class->cpuid(p, 0, 1, 0, regs), PERSONA_PASS);
    end();
}

static void backdoor(void)
{
    static const char *const settings[] = { "uuid", "564d0102-0304 0506-0708-090a0b0c0d0e",
                                            "version", "13", NULL };

    begin(settings);
    CHECK_EQ(call(0x5658, 0x564d5868, 10), PERSONA_DONE);
    CHECK_EQ(s.gpr[RAX], 6);
    CHECK_EQ(s.gpr[RBX], 0x564d5868);
    CHECK_EQ(s.gpr[RCX], 2);
    call(0x5658, 0x564d5868, 17);
    CHECK_EQ(s.gpr[RAX], 13);
    call(0x5658, 0x564d5868, 19);
    CHECK_EQ(s.gpr[RAX], 0x02014d56);
    CHECK_EQ(s.gpr[RDX], 0x0e0d0c0b);
    call(0x5658, 0x564d5868, 20);
    CHECK_EQ(s.gpr[RAX], 64);
    call(0x5658, 0x564d5868, 45);
    CHECK_EQ(s.gpr[RAX] | s.gpr[RBX] << 32, machine_tsc_hz(r.m));
    CHECK_EQ(s.gpr[RCX], MACHINE_BUS_HZ);
    call(0x5658, 0x564d5868, 46);
    CHECK_EQ(s.gpr[RAX], 0x564d5868);
    CHECK(s.gpr[RBX] < 1000000);
    CHECK(s.gpr[RDX] > 1500000000);
    end();
}

static void what_it_has_not(void)
{
    begin(NULL);
    call(0x5658, 0x564d5868, 0x7777);
    CHECK_EQ(s.gpr[RAX], 0xffffffff);
    CHECK_EQ(s.gpr[RBX], 0xaaaa0000bbbb0003ull);
    call(0x5658, 0x564d5868, 30); /* nobody listens here: no channel */
    CHECK_EQ(s.gpr[RCX] >> 16, 0);
    CHECK_EQ(call(0x5659, 0x564d5868, 100), PERSONA_DONE);
    CHECK_EQ(s.gpr[RBX], 0);
    end();
}

/* ---- the balloon ---- */

static void balloon_call(u32 command, u64 a, u64 b)
{
    memset(&s, 0, sizeof(s));
    s.gpr[RAX] = 0x456c6d6f;
    s.gpr[RBX] = a;
    s.gpr[RCX] = command;
    s.gpr[RDX] = 0x5670;
    s.gpr[RSI] = b;
    CHECK_EQ(p->class->port(p, 0, 0x5670, 4, false, &s), PERSONA_DONE);
}

static void balloon(void)
{
    u64 entries[3] = { 0x300000, 0x301000, 0x7ffff000 };
    u8 b[8192];

    begin(NULL);
    balloon_call(1, 0, 0);
    CHECK_EQ(s.gpr[RAX], 7); /* not started: it shall start anew */
    balloon_call(0, 2 | 4 | 8 | 16 | 32, 0);
    CHECK_EQ(s.gpr[RAX], 0x03000000);
    CHECK_EQ(s.gpr[RCX], 2 | 4 | 8 | 32);
    balloon_call(1, 0, 0);
    CHECK_EQ(s.gpr[RAX], 0);
    CHECK_EQ(s.gpr[RBX], 0);
    memset(b, 0x55, sizeof(b));
    rig_put(&r, 0x200000, b, 8192);
    balloon_call(2, 0x200, 0);
    CHECK_EQ(s.gpr[RAX], 0);
    rig_get(&r, 0x200000, b, 8192);
    CHECK_EQ(b[0] | b[4095], 0); /* given: it reads as zeroes */
    CHECK_EQ(b[4096], 0x55);
    balloon_call(2, 0x100000, 0); /* no such memory */
    CHECK_EQ(s.gpr[RAX], 2);
    rig_put(&r, 0x300000, b + 4096, 4096);
    rig_put(&r, 0x400000, entries, sizeof(entries));
    balloon_call(6, 0x400, 3);
    CHECK_EQ(s.gpr[RAX], 0);
    rig_get(&r, 0x400000, entries, sizeof(entries));
    CHECK_EQ(entries[0], 0x300000);
    CHECK_EQ(entries[2], 0x7ffff002); /* refused by itself */
    rig_get(&r, 0x300000, b, 4096);
    CHECK_EQ(b[0], 0);
    balloon_call(6, 0x400, 513);
    CHECK_EQ(s.gpr[RAX], 1);
    balloon_call(7, 0x400, 2);
    CHECK_EQ(s.gpr[RAX], 0);
    balloon_call(99, 0, 0);
    CHECK_EQ(s.gpr[RAX], 1);
    end();
}

/* ---- the pointer ---- */

static void pointer_call(u32 command, u64 rbx)
{
    memset(&s, 0, sizeof(s));
    s.gpr[RAX] = 0x564d5868;
    s.gpr[RBX] = rbx;
    s.gpr[RCX] = command;
    p->class->port(p, 0, 0x5658, 4, false, &s);
}

static void pointer(void)
{
    begin(NULL);
    CHECK(!p->class->pointer(p, 1, 2, 0, 0)); /* nobody looks */
    pointer_call(40, 0);
    CHECK_EQ(s.gpr[RAX], 0xffff0000);
    pointer_call(41, 0x45414552);
    pointer_call(40, 0);
    CHECK_EQ(s.gpr[RAX], 1);
    pointer_call(39, 1);
    CHECK_EQ(s.gpr[RAX], 0x3442554a);
    pointer_call(41, 0x53424152);
    CHECK(p->class->pointer(p, 0x1234, 0xffff, -1, 1 | 4));
    pointer_call(40, 0);
    CHECK_EQ(s.gpr[RAX], 4);
    pointer_call(39, 4);
    CHECK_EQ(s.gpr[RAX], 0x28);
    CHECK_EQ(s.gpr[RBX], 0x1234);
    CHECK_EQ(s.gpr[RCX], 0xffff);
    CHECK_EQ(s.gpr[RDX], 0xffffffff);
    for (u32 i = 0; i < 100; i++) /* more than there is room for: whole packets are lost */
        p->class->pointer(p, i, i, 0, 0);
    pointer_call(40, 0);
    CHECK_EQ(s.gpr[RAX], 256);
    pointer_call(39, 5); /* out of step */
    pointer_call(40, 0);
    CHECK_EQ(s.gpr[RAX], 0xffff0000);
    pointer_call(41, 0x45414552);
    pointer_call(41, 0x4c455252);
    CHECK(!p->class->pointer(p, 1, 2, 0, 0)); /* it wants the mouse */
    end();
}

/* ---- messages ---- */

static struct agent *agent;
static struct vmtools *tools;
static u32 channel, cookie[2];

static void begin_tools(void)
{
    struct vmtools_make make = { .cpu_mhz = 1000, .memory_mib = 64 };
    struct err e = { 0 };

    rig_start(&r, 64, 1);
    CHECK_EQ(agent_new(&agent, machine_loop(r.m), &e), 0);
    make.agent = agent;
    CHECK_EQ(vmtools_new(&tools, &make, &e), 0);
    CHECK_EQ(persona_new(r.m, "vmware", NULL,
                         (struct device_end[]){ { "vmtools", tools }, { NULL, NULL } }, &p, &e),
             0);
}

static void end_tools(void)
{
    persona_free(p);
    vmtools_free(tools);
    agent_free(agent);
    rig_stop(&r);
}

static u32 message(u32 type, u32 rbx)
{
    memset(&s, 0, sizeof(s));
    s.gpr[RAX] = 0x564d5868;
    s.gpr[RBX] = rbx;
    s.gpr[RCX] = type << 16 | 30;
    s.gpr[RDX] = (u64)channel << 16 | 0x5658;
    s.gpr[RSI] = cookie[0];
    s.gpr[RDI] = cookie[1];
    CHECK_EQ(p->class->port(p, 0, 0x5658, 4, false, &s), PERSONA_DONE);
    return (u32)s.gpr[RCX] >> 16;
}

static void message_open(u32 protocol)
{
    CHECK_EQ(message(0, protocol | 0x80000000), 1);
    CHECK_EQ(s.gpr[RDX] & 0xffff, 0);
    channel = (u32)s.gpr[RDX] >> 16;
    cookie[0] = (u32)s.gpr[RSI];
    cookie[1] = (u32)s.gpr[RDI];
}

static void bulk_registers(bool out)
{
    memset(&s, 0, sizeof(s));
    s.gpr[RAX] = 0x564d5868;
    s.gpr[RBX] = 0x10000;
    s.gpr[RDX] = (u64)channel << 16 | 0x5659;
    s.gpr[out ? RBP : RSI] = cookie[0];
    s.gpr[out ? RDI : RBP] = cookie[1];
}

/* One message on a channel, four bytes a call or all at once; what came back. */
static const char *ask(const char *text, bool at_once)
{
    static char answer[70000];
    u32 n = (u32)strlen(text), len;

    CHECK(message(1, n) & 1);
    if (at_once && n) {
        bulk_registers(true);
        CHECK_EQ(p->class->bulk(p, 0, 0x5659, true, &s, NULL, n), PERSONA_DONE);
        p->class->bulk(p, 0, 0x5659, true, &s, (u8 *)text, 1);
        p->class->bulk(p, 0, 0x5659, true, &s, (u8 *)text + 1, n - 1);
        CHECK_EQ(s.gpr[RBX], 0x10000);
    }
    for (u32 i = 0; !at_once && i < n; i += 4) {
        u8 b[4] = { 0 };

        memcpy(b, text + i, n - i < 4 ? n - i : 4);
        CHECK_EQ(message(2, le32(b)), 1);
    }
    if (!(message(3, 0) & 2))
        return NULL;
    len = (u32)s.gpr[RBX];
    CHECK_EQ(s.gpr[RDX] >> 16, 1);
    if (at_once) {
        bulk_registers(false);
        CHECK_EQ(p->class->bulk(p, 0, 0x5659, false, &s, NULL, len), PERSONA_DONE);
        p->class->bulk(p, 0, 0x5659, false, &s, (u8 *)answer, len);
        CHECK_EQ(s.gpr[RBX], 0x10000);
    }
    for (u32 i = 0; !at_once && i < len; i += 4) {
        CHECK_EQ(message(4, 1), 1);
        put_le32(answer + i, (u32)s.gpr[RBX]);
    }
    answer[len] = 0;
    CHECK_EQ(message(5, 1), 1);
    return answer;
}

static void messages(void)
{
    begin_tools();
    message_open(0x49435052);
    for (int at_once = 0; at_once < 2; at_once++) {
        CHECK_TEXT(ask("info-set guestinfo.key some value", at_once), "1 ");
        CHECK_TEXT(ask("info-get guestinfo.key", at_once), "1 some value");
        CHECK_TEXT(ask("info-get guestinfo.other", at_once), "0 No value found");
        CHECK_TEXT(ask("no-such-word", at_once), "0 Unknown command");
        CHECK_TEXT(ask("info-getguestinfo.key", at_once), "0 Unknown command");
    }
    CHECK_EQ(message(6, 0), 1);
    CHECK_EQ(message(1, 4), 0); /* closed */
    end_tools();
}

static void hostile_messages(void)
{
    begin_tools();
    message(0, 0x80000001);
    CHECK_EQ(s.gpr[RCX], 0); /* no such protocol */
    message_open(0x49435052);
    CHECK_EQ(message(1, 65537), 0);
    CHECK_EQ(message(2, 1), 0); /* more than was said */
    CHECK_EQ(message(4, 1), 0); /* nothing there */
    CHECK_EQ(message(99, 1), 0);
    cookie[0]++;
    CHECK_EQ(message(1, 4), 0);
    bulk_registers(true);
    CHECK_EQ(p->class->bulk(p, 0, 0x5659, true, &s, NULL, 4), PERSONA_PASS);
    cookie[0]--;
    for (u32 i = 0; i < 20; i++) /* those that nobody uses make room */
        message_open(0x49435052);
    CHECK_TEXT(ask("log x", true), "1 ");
    for (u32 i = 0; i < 20; i++) /* nor do tools that were killed */
        message_open(0x4f4c4354);
    CHECK_TEXT(ask("", true), "reset");
    message_open(0x49435052);
    CHECK_TEXT(ask("log x", true), "1 ");
    channel = 77;
    CHECK_EQ(message(1, 4), 0);
    end_tools();
}

/* The host's commands, as vmtoolsd meets them */
static void host_asks(void)
{
    begin_tools();
    message_open(0x4f4c4354);
    CHECK_TEXT(ask("", true), "reset");
    CHECK(!ask("", true)); /* not before the answer */
    CHECK_TEXT(ask("OK ATR toolbox", true), "Capabilities_Register");
    CHECK(agent_can(agent) & 1 << AGENT_EXEC);
    CHECK(!(agent_can(agent) & 1 << AGENT_POWEROFF));
    CHECK_TEXT(ask("OK ", false), "Set_Option broadcastIP 1");
    CHECK_EQ(message(6, 0), 1);
    CHECK_EQ(agent_can(agent), 0); /* it went away */
    end_tools();
}

/* ---- the clipboard ---- */

static u32 clip(u32 command, u32 rbx)
{
    pointer_call(command, rbx);
    return (u32)s.gpr[RAX];
}

static void clip_told(void *arg, const char *text)
{
    snprintf(arg, 16, "%s", text);
}

static void clipboard(void)
{
    char heard[16] = "", *text;

    begin(NULL);
    CHECK_EQ(clip(6, 0), 0xffffffff); /* nobody listens */
    end();
    begin_tools();
    vmtools_on_clip(tools, clip_told, heard);
    CHECK_EQ(clip(6, 0), 0xffffffff); /* nothing new */
    CHECK_EQ(clip(7, 0), 0);
    CHECK_EQ(vmtools_clip_set(tools, "copied"), 0);
    CHECK_EQ(clip(6, 0), 6);
    CHECK_EQ(clip(7, 0), 0x69706f63);
    CHECK_EQ(clip(7, 0), 0x6465);
    CHECK_EQ(clip(7, 0), 0);
    CHECK_EQ(clip(6, 0), 0xffffffff); /* it has it */
    clip(8, 5);
    clip(9, 0x74736170);
    CHECK_TEXT(heard, "");
    clip(9, 0xffffff65);
    CHECK_TEXT(heard, "paste");
    clip(9, 0);
    text = vmtools_clip_get(tools);
    CHECK_TEXT(text, "paste");
    free(text);
    clip(8, 0xffffffff); /* more than there is room for */
    for (u32 i = 0; i < 20000; i++)
        clip(9, 0x78787878);
    text = vmtools_clip_get(tools);
    CHECK_EQ(strlen(text), VMTOOLS_CLIP);
    free(text);
    vmtools_on_clip(tools, NULL, NULL);
    end_tools();
}

/* What is under way stays so through saving. */
static void state_moves(void)
{
    struct buf b = { 0 };
    struct err e = { 0 };
    void *state;

    begin_tools();
    message_open(0x49435052);
    CHECK(message(1, 5) & 1);
    CHECK_EQ(message(2, 0x20676f6c), 1); /* "log " */
    state = (u8 *)p + p->class->state_at;
    CHECK_EQ(field_save(p->class->state, state, &b), 0);
    p->class->reset(p);
    CHECK_EQ(message(2, 'x'), 0);
    CHECK_EQ(field_load(p->class->state, state, (struct span){ b.p, b.len }, &e), 0);
    CHECK_EQ(p->class->check(p, &e), 0);
    CHECK_EQ(message(2, 'x'), 1);
    CHECK(message(3, 0) & 2);
    CHECK_EQ(s.gpr[RBX], 2);
    buf_fini(&b);
    end_tools();
}

static void without_the_magic(void)
{
    begin(NULL);
    CHECK_EQ(call(0x5658, 0x564d5869, 10), PERSONA_PASS);
    CHECK_EQ(s.gpr[RAX], 0x564d5869);
    CHECK_EQ(call(0x5670, 0x564d5868, 0), PERSONA_PASS);
    CHECK_EQ(call(0x5657, 0x564d5868, 10), PERSONA_PASS);
    end();
}

static void bad_settings(void)
{
    static const char *const bad[][3] = { { "uuid", "564d", NULL },
                                          { "uuid", "564d010203040506070 8090a0b0c0d0eff", NULL },
                                          { "uuid", "x64d0102030405060708090a0b0c0d0e", NULL },
                                          { "colour", "1", NULL } };
    struct err e = { 0 };

    rig_start(&r, 1, 1);
    for (u32 i = 0; i < LEN(bad); i++) {
        CHECK(persona_new(r.m, "vmware", bad[i], NULL, &p, &e) < 0);
        CHECK(!strncmp(e.text, "persona vmware: ", 16));
    }
    CHECK_EQ(persona_new(r.m, "nobody", NULL, NULL, &p, &e), (u64)-ENOENT);
    rig_stop(&r);
}

static void tables_are_sound(void)
{
    for (const struct persona_class *const *c = persona_catalog; *c; c++) {
        CHECK(!(*c)->config || field_check((*c)->config, (*c)->config_size, NULL) == 0);
        CHECK(!(*c)->state || field_check((*c)->state, (*c)->state_size, NULL) == 0);
    }
}

int main(void)
{
    CASE(leaves);
    CASE(backdoor);
    CASE(what_it_has_not);
    CASE(balloon);
    CASE(pointer);
    CASE(messages);
    CASE(hostile_messages);
    CASE(host_asks);
    CASE(clipboard);
    CASE(state_moves);
    CASE(without_the_magic);
    CASE(bad_settings);
    CASE(tables_are_sound);
    return check_end();
}
