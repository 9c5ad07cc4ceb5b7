/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "engine/x86/state.h"
#include "machine/device.h"
#include "machine/machine.h"
#include "persona/persona.h"
#include "tests/check.h"
#include "tests/rig.h"

enum { CLOCK_AT = 0x3000, MSR_WALL = 0x4b564d00, MSR_CLOCK = 0x4b564d01 };

static struct rig r;
static struct persona *p;

static void begin(void)
{
    struct err e = { 0 };

    rig_start(&r, 64, 1);
    CHECK_EQ(persona_new(r.m, "kvm", NULL, NULL, &p, &e), 0);
}

static void end(void)
{
    persona_free(p);
    rig_stop(&r);
}

static void leaves(void)
{
    u32 regs[4];

    begin();
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000000, 0, regs), PERSONA_DONE);
    CHECK_EQ(regs[0], 0x40000001);
    CHECK(!memcmp(regs + 1, "KVMKVMKVM\0\0", 12));
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000001, 0, regs), PERSONA_DONE);
    CHECK(regs[0] & 1 << 3);
    CHECK_EQ(p->class->cpuid(p, 0, 0x40000002, 0, regs), PERSONA_PASS);
    end();
}

/* What the guest computes from the record is guest time. */
static void clock_record(void)
{
    u8 rec[32], wall[12];
    u64 tsc, ns, val;
    i64 want;

    begin();
    CHECK_EQ(p->class->wrmsr(p, 0, MSR_CLOCK, CLOCK_AT | 1), PERSONA_DONE);
    CHECK_EQ(p->class->rdmsr(p, 0, MSR_CLOCK, &val), PERSONA_DONE);
    CHECK_EQ(val, CLOCK_AT | 1);
    CHECK_EQ(gmem_read(machine_ram(r.m), CLOCK_AT, rec, sizeof(rec)), 0);
    CHECK_EQ(le32(rec) & 1, 0);
    tsc = le64(rec + 8) + 3 * machine_tsc_hz(r.m);
    ns = tsc - le64(rec + 8);
    ns = (i8)rec[28] < 0 ? ns >> -(i8)rec[28] : ns << rec[28];
    ns = (u64)((unsigned __int128)ns * le32(rec + 24) >> 32) + le64(rec + 16);
    want = machine_tsc_to_ns(r.m, tsc);
    CHECK((i64)ns - want < 10 && want - (i64)ns < 10);
    CHECK_EQ(p->class->wrmsr(p, 0, MSR_WALL, CLOCK_AT + 64), PERSONA_DONE);
    CHECK_EQ(gmem_read(machine_ram(r.m), CLOCK_AT + 64, wall, sizeof(wall)), 0);
    CHECK(le32(wall + 4) > 1600000000 && le32(wall + 8) < 1000000000);
    CHECK_EQ(p->class->wrmsr(p, 0, MSR_CLOCK, ~0ull), PERSONA_DONE); /* nowhere */
    CHECK_EQ(p->class->wrmsr(p, 0, 0x4b564d10, 0), PERSONA_PASS);
    end();
}

static void calls(void)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));

    begin();
    x86_state_reset(s, 0);
    s->gpr[RAX] = 1;
    CHECK_EQ(p->class->hypercall(p, 0, 1, s), PERSONA_DONE);
    CHECK_EQ(s->gpr[RAX], 0);
    s->gpr[RAX] = 77;
    CHECK_EQ(p->class->hypercall(p, 0, 1, s), PERSONA_DONE);
    CHECK_EQ((i32)s->gpr[RAX], -1000);
    s->gpr[RAX] = 10; /* an IPI to nobody */
    s->gpr[RBX] = 0xffffffff;
    s->gpr[RDX] = 0xffffffff;
    CHECK_EQ(p->class->hypercall(p, 0, 1, s), PERSONA_DONE);
    CHECK_EQ(s->gpr[RAX], 0);
    s->seg[SEG_SS].attr |= ATTR_DPL; /* from a program */
    s->gpr[RAX] = 1;
    CHECK_EQ(p->class->hypercall(p, 0, 1, s), PERSONA_DONE);
    CHECK_EQ((i32)s->gpr[RAX], -1);
    free(s);
    end();
}

int main(void)
{
    CASE(leaves);
    CASE(clock_record);
    CASE(calls);
    return check_end();
}
