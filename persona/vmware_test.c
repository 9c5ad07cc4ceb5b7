/* SPDX-License-Identifier: GPL-2.0-or-later */
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
    call(0x5658, 0x564d5868, 91);
    CHECK_EQ(s.gpr[RAX], 0xffffffff);
    call(0x5658, 0x564d5868, 0x7777);
    CHECK_EQ(s.gpr[RAX], 0xffffffff);
    CHECK_EQ(s.gpr[RBX], 0xaaaa0000bbbb0003ull);
    call(0x5658, 0x564d5868, 30);
    CHECK_EQ(s.gpr[RCX] >> 16, 0);
    call(0x5658, 0x564d5868, 40);
    CHECK_EQ(s.gpr[RAX] & 0xffff, 0);
    CHECK_EQ(call(0x5659, 0x564d5868, 100), PERSONA_DONE);
    CHECK_EQ(s.gpr[RBX], 0);
    CHECK_EQ(call(0x5670, 0x456c6d6f, 0), PERSONA_DONE);
    CHECK_EQ(s.gpr[RAX], 0x03000000);
    CHECK_EQ(s.gpr[RCX], 0);
    call(0x5670, 0x456c6d6f, 1);
    CHECK_EQ(s.gpr[RAX], 0);
    CHECK_EQ(s.gpr[RBX], 0);
    call(0x5670, 0x456c6d6f, 2);
    CHECK_EQ(s.gpr[RAX], 1);
    end();
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
        CHECK_EQ(field_check((*c)->config, (*c)->config_size, NULL), 0);
        CHECK(!(*c)->state || field_check((*c)->state, (*c)->state_size, NULL) == 0);
    }
}

int main(void)
{
    CASE(leaves);
    CASE(backdoor);
    CASE(what_it_has_not);
    CASE(without_the_magic);
    CASE(bad_settings);
    CASE(tables_are_sound);
    return check_end();
}
