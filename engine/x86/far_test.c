/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far transfers, call gates, tasks, segment loads and what programs ask of descriptors. */
#include "engine/x86/cpu_rig.h"
#include "tests/check.h"

enum { TARGET = 0x30000, GATE = RIG_FREE | 3, TASKGATE = 0x58 | 3, CONFORM = 0x60, LDT = 0x68 };

static u32 top32(struct rig *r, u32 n)
{
    return le32(r->ram + r->c->s.gpr[RSP] + 4 * n);
}
static u64 top64(struct rig *r, u32 n)
{
    return le64(r->ram + r->c->s.gpr[RSP] + 8 * n);
}
static void push32(struct rig *r, u32 v)
{
    r->c->s.gpr[RSP] -= 4;
    put_le32(r->ram + r->c->s.gpr[RSP], v);
}

static void jump(struct x86_cpu *c, const u64 *a)
{
    x86_far_jump(c, (u16)a[0], a[1], c->s.rip + 7);
}
static void call(struct x86_cpu *c, const u64 *a)
{
    x86_far_call(c, (u16)a[0], a[1], c->s.rip + 7, (u32)a[2]);
}
static void ret(struct x86_cpu *c, const u64 *a)
{
    x86_far_ret(c, (u32)a[0], (u32)a[1]);
}
static void do_iret(struct x86_cpu *c, const u64 *a)
{
    x86_iret(c, (u32)a[0], c->s.rip + 1);
}
static void load(struct x86_cpu *c, const u64 *a)
{
    x86_load_segment(c, (u8)a[0], (u16)a[1]);
}
static void load_tr(struct x86_cpu *c, const u64 *a)
{
    x86_load_tr(c, (u16)a[0]);
}
static void load_ldtr(struct x86_cpu *c, const u64 *a)
{
    x86_load_ldtr(c, (u16)a[0]);
}

static void direct(struct rig *r)
{
    rig_protected(r, 3);
    rig_desc(r, RIG_GDT, CONFORM, 0x1000, 0xfff, 0x9e, 4);
    CHECK_EQ(rig_try(r, jump, RIG_CODE3, TARGET, 0), -1);
    CHECK_EQ(r->c->s.rip, TARGET);
    CHECK_EQ(rig_try(r, jump, RIG_CODE0, TARGET, 0), VEC_GP);
    CHECK_EQ(r->c->fault.code, RIG_CODE0);
    CHECK_EQ(rig_try(r, jump, 3, TARGET, 0), VEC_GP);
    CHECK_EQ(r->c->fault.code, 0);
    CHECK_EQ(rig_try(r, jump, RIG_DATA3, TARGET, 0), VEC_GP);
    CHECK_EQ(rig_try(r, jump, CONFORM | 3, 0x1000, 0), VEC_GP); /* beyond its limit */
    CHECK_EQ(r->c->fault.code, 0);
    CHECK_EQ(rig_try(r, jump, CONFORM, 0x10, 0), -1);
    CHECK_EQ(r->c->s.seg[SEG_CS].sel, CONFORM | 3);
    CHECK_EQ(r->c->s.seg[SEG_CS].base, 0x1000);
    CHECK_EQ(x86_cpl(&r->c->s), 3);
    CHECK_EQ(r->ram[RIG_GDT + CONFORM + 5], 0x9f); /* accessed */
}

static void direct_transfers(void)
{
    struct rig r;

    rig_open(&r);
    direct(&r);
    rig_desc(&r, RIG_GDT, CONFORM, 0, 0xfffff, 0x1b, 0xc);
    r.c->s.rip = 0x10000;
    CHECK_EQ(rig_try(&r, call, RIG_CODE3, TARGET, 4), -1);
    CHECK_EQ(top32(&r, 0), 0x10007);
    CHECK_EQ(top32(&r, 1), CONFORM | 3);
    rig_desc(&r, RIG_GDT, CONFORM, 0, 0xfffff, 0xfb, 0xc);
    CHECK_EQ(rig_try(&r, ret, 4, 8, 0), -1);
    CHECK_EQ(r.c->s.rip, 0x10007);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3 + 8);
    rig_close(&r);
}

static void call_gate_with_parameters(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    rig_gate(&r, RIG_GDT + (GATE & ~7), RIG_CODE0, TARGET, 0xec, 2);
    push32(&r, 0x1111);
    push32(&r, 0x2222);
    CHECK_EQ(rig_try(&r, call, GATE, 0x999, 4), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 0);
    CHECK_EQ(r.c->s.rip, TARGET);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 - 24);
    CHECK_EQ(top32(&r, 0), 0x10007);
    CHECK_EQ(top32(&r, 1), RIG_CODE3);
    CHECK_EQ(top32(&r, 2), 0x2222);
    CHECK_EQ(top32(&r, 3), 0x1111);
    CHECK_EQ(top32(&r, 4), RIG_STACK3 - 8);
    CHECK_EQ(top32(&r, 5), RIG_DATA3);
    CHECK_EQ(rig_try(&r, ret, 4, 8, 0), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 3);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    rig_protected(&r, 3);
    CHECK_EQ(rig_try(&r, jump, GATE, 0, 0), VEC_GP); /* a jump may not go inward */
    CHECK_EQ(r.c->fault.code, RIG_CODE0);
    rig_gate(&r, RIG_GDT + (GATE & ~7), RIG_CODE0, TARGET, 0x8c, 0);
    CHECK_EQ(rig_try(&r, call, GATE, 0, 4), VEC_GP); /* the gate's own level */
    CHECK_EQ(r.c->fault.code, GATE & ~3);
    rig_gate(&r, RIG_GDT + (GATE & ~7), RIG_CODE0, TARGET, 0x6c, 0);
    CHECK_EQ(rig_try(&r, call, GATE, 0, 4), VEC_NP);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    rig_close(&r);
}

static void call_gate_long(void)
{
    struct rig r;

    rig_open(&r);
    rig_long(&r, 3);
    rig_gate(&r, RIG_GDT + (GATE & ~7), RIG_CODE0, TARGET, 0xec, 0);
    put_le64(r.ram + RIG_GDT + (GATE & ~7) + 8, 0);
    CHECK_EQ(rig_try(&r, call, GATE, 0, 4), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 0);
    CHECK_EQ(r.c->s.seg[SEG_SS].sel, 0);
    CHECK_EQ(top64(&r, 0), 0x10007);
    CHECK_EQ(top64(&r, 1), RIG_CODE3);
    CHECK_EQ(top64(&r, 2), RIG_STACK3);
    CHECK_EQ(top64(&r, 3), RIG_DATA3);
    CHECK_EQ(rig_try(&r, ret, 8, 0, 0), -1);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    put_le64(r.ram + RIG_GDT + (GATE & ~7) + 8, 0x8000); /* an address not canonical */
    CHECK_EQ(rig_try(&r, call, GATE, 0, 4), VEC_GP);
    put_le64(r.ram + RIG_GDT + (GATE & ~7) + 8, 1ull << 40); /* a type above: no gate */
    CHECK_EQ(rig_try(&r, call, GATE, 0, 4), VEC_GP);
    CHECK_EQ(r.c->fault.code, GATE & ~3);
    CHECK_EQ(rig_try(&r, jump, RIG_TR2 | 3, 0, 0), VEC_GP); /* no task switches there */
    rig_close(&r);
}

static void compatibility_mode(void)
{
    struct rig r;

    rig_open(&r);
    rig_long(&r, 0);
    rig_desc(&r, RIG_GDT, CONFORM, 0, 0xfffff, 0x9b, 0xc);
    CHECK_EQ(rig_try(&r, jump, CONFORM, 0x12345678, 0), -1);
    CHECK(!x86_code64(&r.c->s));
    CHECK(x86_long(&r.c->s));
    CHECK_EQ(rig_try(&r, jump, RIG_CODE0, 1ull << 47, 0), VEC_GP);
    rig_desc(&r, RIG_GDT, CONFORM, 0, 0xfffff, 0x9b, 0xe); /* L and D */
    CHECK_EQ(rig_try(&r, jump, CONFORM, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, CONFORM);
    rig_close(&r);
}

static void task(struct rig *r, u32 at, u32 rip, u32 esp)
{
    memset(r->ram + at, 0, 0x68);
    put_le32(r->ram + at + 0x20, rip);
    put_le32(r->ram + at + 0x24, FLAG_ONE | FLAG_CF);
    put_le32(r->ram + at + 0x28, 0xaaaa);
    put_le32(r->ram + at + 0x38, esp);
    put_le16(r->ram + at + 0x48, RIG_DATA0);
    put_le16(r->ram + at + 0x4c, RIG_CODE0);
    put_le16(r->ram + at + 0x50, RIG_DATA0);
    put_le16(r->ram + at + 0x54, RIG_DATA0);
}

static void task_call_and_return(void)
{
    struct rig r;
    u64 sp;

    rig_open(&r);
    rig_protected(&r, 0);
    task(&r, RIG_TSS2, TARGET, 0x9000);
    r.c->s.gpr[RAX] = 0x5555;
    sp = r.c->s.gpr[RSP];
    CHECK_EQ(rig_try(&r, call, RIG_TR2, 0, 4), -1);
    CHECK_EQ(r.c->s.rip, TARGET);
    CHECK_EQ(r.c->s.gpr[RAX], 0xaaaa);
    CHECK_EQ(r.c->s.gpr[RSP], 0x9000);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_CF | FLAG_NT);
    CHECK_EQ(r.c->s.seg[SEG_TR].sel, RIG_TR2);
    CHECK(r.c->s.cr0 & CR0_TS);
    CHECK_EQ(le16(r.ram + RIG_TSS2), RIG_TR);
    CHECK_EQ(le32(r.ram + RIG_TSS + 0x20), 0x10007);
    CHECK_EQ(le32(r.ram + RIG_TSS + 0x28), 0x5555);
    CHECK_EQ(r.ram[RIG_GDT + RIG_TR + 5], 0x8b);
    CHECK_EQ(r.ram[RIG_GDT + RIG_TR2 + 5], 0x8b);
    CHECK_EQ(rig_try(&r, jump, RIG_TR, 0, 0), VEC_GP); /* busy */
    CHECK_EQ(rig_try(&r, do_iret, 4, 0, 0), -1);
    CHECK_EQ(r.c->s.rip, 0x10007);
    CHECK_EQ(r.c->s.gpr[RAX], 0x5555);
    CHECK_EQ(r.c->s.gpr[RSP], sp);
    CHECK_EQ(r.ram[RIG_GDT + RIG_TR2 + 5], 0x89);
    CHECK(!(le32(r.ram + RIG_TSS2 + 0x24) & FLAG_NT));
    CHECK_EQ(le32(r.ram + RIG_TSS2 + 0x20), TARGET + 1); /* goes on behind its IRET */
    put_le32(r.ram + RIG_TSS2 + 0x20, TARGET);
    CHECK_EQ(rig_try(&r, jump, RIG_TR2, 0, 0), -1);
    CHECK(!(r.c->s.rflags & FLAG_NT));
    CHECK_EQ(r.ram[RIG_GDT + RIG_TR + 5], 0x89);
    CHECK_EQ(r.ram[RIG_GDT + RIG_TR2 + 5], 0x8b);
    rig_close(&r);
}

static void task_gate_of_an_exception(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    task(&r, RIG_TSS2, TARGET, 0x9000);
    r.ram[RIG_TSS2 + 0x64] = 1; /* T */
    rig_gate(&r, RIG_IDT + 8 * VEC_GP, RIG_TR2, 0, 0x85, 0);
    r.c->fault = (struct x86_fault){ .vector = VEC_GP, .has_code = true, .code = 0x4321 };
    r.c->debug = 0;
    CHECK_EQ(x86_deliver_fault(r.c), STEPPED);
    CHECK_EQ(r.c->s.rip, TARGET);
    CHECK_EQ(r.c->s.gpr[RSP], 0x9000 - 4);
    CHECK_EQ(top32(&r, 0), 0x4321);
    CHECK_EQ(le32(r.ram + RIG_TSS + 0x20), 0x10000);
    CHECK_EQ(r.c->debug, 1 << 15);
    rig_close(&r);
}

static void task_faults_before_and_after(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    task(&r, RIG_TSS2, TARGET, 0x9000);
    rig_desc(&r, RIG_GDT, RIG_TR2, RIG_TSS2, 0x66, 0x89, 0); /* too short: the old task's fault */
    CHECK_EQ(rig_try(&r, jump, RIG_TR2, 0, 0), VEC_TS);
    CHECK_EQ(r.c->fault.code, RIG_TR2);
    CHECK_EQ(r.c->s.rip, 0x10000);
    CHECK_EQ(r.c->s.seg[SEG_TR].sel, RIG_TR);
    rig_desc(&r, RIG_GDT, RIG_TR2, RIG_TSS2, 0x67, 0x89, 0);
    put_le16(r.ram + RIG_TSS2 + 0x4c, RIG_DATA0); /* CS is no code: the new task's */
    CHECK_EQ(rig_try(&r, jump, RIG_TR2, 0, 0), VEC_TS);
    CHECK_EQ(r.c->fault.code, RIG_DATA0);
    CHECK_EQ(r.c->s.rip, TARGET);
    CHECK_EQ(r.c->s.gpr[RAX], 0xaaaa);
    CHECK_EQ(r.c->s.seg[SEG_TR].sel, RIG_TR2);
    rig_close(&r);
}

static void task_of_16_bits(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    rig_desc(&r, RIG_GDT, RIG_TR2, RIG_TSS2, 0x2b, 0x81, 0);
    memset(r.ram + RIG_TSS2, 0, 0x2c);
    put_le16(r.ram + RIG_TSS2 + 0xe, 0x4444);
    put_le16(r.ram + RIG_TSS2 + 0x10, FLAG_ONE | FLAG_ZF);
    put_le16(r.ram + RIG_TSS2 + 0x12, 0x7777);
    put_le16(r.ram + RIG_TSS2 + 0x22, RIG_DATA0);
    put_le16(r.ram + RIG_TSS2 + 0x24, RIG_CODE0);
    put_le16(r.ram + RIG_TSS2 + 0x26, RIG_DATA0);
    CHECK_EQ(rig_try(&r, jump, RIG_TR2, 0, 0), -1);
    CHECK_EQ(r.c->s.rip, 0x4444);
    CHECK_EQ(r.c->s.gpr[RAX], 0x7777);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_ZF);
    CHECK(r.c->s.seg[SEG_FS].attr & ATTR_UNUSABLE);
    CHECK_EQ(rig_try(&r, call, RIG_TR, 0, 2), -1); /* what the jump saved there */
    CHECK_EQ(r.c->s.rip, 0x10007);
    CHECK_EQ(r.c->s.seg[SEG_TR].sel, RIG_TR);
    CHECK_EQ(le16(r.ram + RIG_TSS2 + 0xe), 0x444b);
    rig_close(&r);
}

static void segment_loads(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    CHECK_EQ(rig_try(&r, load, SEG_DS, RIG_DATA3, 0), -1);
    CHECK_EQ(rig_try(&r, load, SEG_DS, RIG_DATA0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, RIG_DATA0);
    CHECK_EQ(rig_try(&r, load, SEG_DS, 2, 0), -1);
    CHECK(r.c->s.seg[SEG_DS].attr & ATTR_UNUSABLE);
    CHECK_EQ(rig_try(&r, load, SEG_SS, 3, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, load, SEG_SS, RIG_DATA3 & ~3, 0), VEC_GP); /* RPL 0 */
    rig_desc(&r, RIG_GDT, RIG_FREE, 0x1000, 0xff, 0x72, 4);
    CHECK_EQ(rig_try(&r, load, SEG_ES, RIG_FREE | 3, 0), VEC_NP);
    CHECK_EQ(rig_try(&r, load, SEG_SS, RIG_FREE | 3, 0), VEC_SS);
    rig_desc(&r, RIG_GDT, RIG_FREE, 0x1000, 0xff, 0xf8, 4); /* code that cannot be read */
    CHECK_EQ(rig_try(&r, load, SEG_ES, RIG_FREE | 3, 0), VEC_GP);
    rig_desc(&r, RIG_GDT, RIG_FREE, 0x1000, 0xff, 0xf2, 4);
    CHECK_EQ(rig_try(&r, load, SEG_ES, RIG_FREE | 3, 0), -1);
    CHECK_EQ(r.ram[RIG_GDT + RIG_FREE + 5], 0xf3);
    CHECK_EQ(r.c->s.seg[SEG_ES].limit, 0xff);
    CHECK_EQ(rig_try(&r, load, SEG_ES, RIG_FREE | 7, 0), VEC_GP); /* no LDT */
    rig_long(&r, 0);
    CHECK_EQ(rig_try(&r, load, SEG_SS, 0, 0), -1); /* null SS: fine in 64-bit code */
    CHECK_EQ(rig_try(&r, load, SEG_SS, 3, 0), VEC_GP);
    rig_close(&r);
}

static void limits(void)
{
    struct rig r;
    u32 rights, limit;

    rig_open(&r);
    rig_protected(&r, 0);
    rig_desc(&r, RIG_GDT, LDT, RIG_LDT, 0x17, 0x82, 0);
    CHECK_EQ(rig_try(&r, load_ldtr, LDT, 0, 0), -1);
    rig_desc(&r, RIG_LDT, 0xc, 0x1000, 0xfff, 0x97, 4); /* expands down from 0x1000 */
    CHECK_EQ(rig_try(&r, load, SEG_ES, 0xc, 0), -1);
    CHECK_EQ(x86_linear(r.c, SEG_ES, 0x1000, 4, true), 0x2000);
    CHECK_EQ(x86_linear(r.c, SEG_ES, 0xfffffffc, 4, true), 0xffc);
    CHECK(x86_access_rights(r.c, 0xc, &rights));
    CHECK_EQ(rights, 0x409700);
    CHECK(x86_segment_limit(r.c, RIG_DATA0, &limit));
    CHECK_EQ(limit, 0xffffffff);
    CHECK(x86_verify(r.c, 0xc, true));
    CHECK(!x86_verify(r.c, RIG_CODE0, true));
    CHECK(!x86_access_rights(r.c, 0x14 + 8, &rights)); /* beyond the LDT */
    CHECK(!x86_access_rights(r.c, 0, &rights));
    CHECK_EQ(rig_try(&r, load_tr, RIG_TR2, 0, 0), -1);
    CHECK_EQ(rig_try(&r, load_tr, RIG_TR2, 0, 0), VEC_GP); /* busy now */
    CHECK_EQ(rig_try(&r, load_tr, LDT, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, load_ldtr, RIG_TR, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, load_ldtr, 0, 0, 0), -1);
    rig_close(&r);
}

static void linear(struct x86_cpu *c, const u64 *a)
{
    c->s.gpr[RAX] = x86_linear(c, (u8)a[0], a[1], (u32)a[2], true);
}

static void address_checks(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    r.c->s.seg[SEG_DS].limit = 0xff;
    CHECK_EQ(rig_try(&r, linear, SEG_DS, 0xfc, 4), -1);
    CHECK_EQ(rig_try(&r, linear, SEG_DS, 0xfd, 4), VEC_GP);
    r.c->s.seg[SEG_SS].limit = 0xff;
    CHECK_EQ(rig_try(&r, linear, SEG_SS, 0x100, 1), VEC_SS);
    CHECK_EQ(rig_try(&r, linear, SEG_CS, 0, 1), VEC_GP); /* code is not written to */
    r.c->s.cr0 |= CR0_AM;
    r.c->s.rflags |= FLAG_AC;
    CHECK_EQ(rig_try(&r, linear, SEG_ES, 0x1002, 4), VEC_AC);
    CHECK_EQ(rig_try(&r, linear, SEG_ES, 0x1002, 2), -1);
    rig_long(&r, 0);
    CHECK_EQ(rig_try(&r, linear, SEG_DS, 1ull << 47, 1), VEC_GP);
    CHECK_EQ(rig_try(&r, linear, SEG_SS, (1ull << 47) - 2, 4), VEC_SS);
    r.c->s.seg[SEG_GS].base = 0xffff800000000000;
    CHECK_EQ(rig_try(&r, linear, SEG_GS, 8, 8), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 0xffff800000000008);
    rig_close(&r);
}

static void io(struct x86_cpu *c, const u64 *a)
{
    x86_check_io(c, (u16)a[0], (u32)a[1]);
}

static void io_bitmap(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    put_le16(r.ram + RIG_TSS + 0x66, 0x68);
    CHECK_EQ(rig_try(&r, io, 0x80, 1, 0), VEC_GP); /* no room for a bitmap */
    r.c->s.seg[SEG_TR].limit = 0x68 + 0x20;
    memset(r.ram + RIG_TSS + 0x68, 0xff, 0x21);
    r.ram[RIG_TSS + 0x68 + 0x10] = 0xfe; /* port 0x80 */
    CHECK_EQ(rig_try(&r, io, 0x80, 1, 0), -1);
    CHECK_EQ(rig_try(&r, io, 0x80, 2, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, io, 0x100, 1, 0), VEC_GP); /* the byte behind must be there */
    r.c->s.rflags |= FLAG_IOPL;
    CHECK_EQ(rig_try(&r, io, 0x3f8, 4, 0), -1);
    rig_close(&r);
}

int main(void)
{
    CASE(direct_transfers);
    CASE(call_gate_with_parameters);
    CASE(call_gate_long);
    CASE(compatibility_mode);
    CASE(task_call_and_return);
    CASE(task_gate_of_an_exception);
    CASE(task_faults_before_and_after);
    CASE(task_of_16_bits);
    CASE(segment_loads);
    CASE(limits);
    CASE(address_checks);
    CASE(io_bitmap);
    return check_end();
}
