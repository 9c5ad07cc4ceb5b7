/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delivery of exceptions and interrupts in every mode, and what goes wrong on the way. */
#include "engine/x86/cpu_rig.h"
#include "tests/check.h"

enum { HANDLER = 0x20000 };

static u32 top32(struct rig *r, u32 n) /* n-th doubleword of the new stack */
{
    return le32(r->ram + r->c->s.gpr[RSP] + 4 * n);
}
static u64 top64(struct rig *r, u32 n)
{
    return le64(r->ram + r->c->s.gpr[RSP] + 8 * n);
}

static enum x86_stepped fault(struct rig *r, u8 vector, bool has_code, u32 code)
{
    r->c->fault = (struct x86_fault){ .vector = vector, .has_code = has_code, .code = code };
    return x86_deliver_fault(r->c);
}

static void soft(struct x86_cpu *c, const u64 *a)
{
    x86_software_interrupt(c, (u8)a[0], c->s.rip + 2, a[1]);
}
static void do_iret(struct x86_cpu *c, const u64 *a)
{
    x86_iret(c, (u32)a[0], c->s.rip + 1);
}

static void idt32(struct rig *r, u8 vector, u16 sel, u8 access)
{
    rig_gate(r, RIG_IDT + 8u * vector, sel, HANDLER + vector, access, 0);
}

static void real_mode(void)
{
    struct rig r;

    rig_open(&r);
    r.c->s.seg[SEG_CS].base = 0x12340;
    r.c->s.seg[SEG_CS].sel = 0x1234;
    r.c->s.rip = 0x56;
    r.c->s.gpr[RSP] = 0xabcd0000; /* wraps to 0xfffa */
    r.c->s.rflags = FLAG_ONE | FLAG_IF | FLAG_CF;
    r.c->s.cr0 = CR0_ET;
    put_le32(r.ram + 4 * 0x21, 0x2000 << 16 | 0x789);
    CHECK_EQ(rig_try(&r, soft, 0x21, 0, 0), -1);
    CHECK_EQ(r.c->s.rip, 0x789);
    CHECK_EQ(r.c->s.seg[SEG_CS].base, 0x20000);
    CHECK_EQ(r.c->s.gpr[RSP], 0xabcdfffa);
    CHECK_EQ(le16(r.ram + 0xfffa), 0x58);
    CHECK_EQ(le16(r.ram + 0xfffc), 0x1234);
    CHECK_EQ(le16(r.ram + 0xfffe), FLAG_ONE | FLAG_IF | FLAG_CF);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_CF);
    CHECK_EQ(rig_try(&r, do_iret, 2, 0, 0), -1);
    CHECK_EQ(r.c->s.rip, 0x58);
    CHECK_EQ(r.c->s.seg[SEG_CS].sel, 0x1234);
    CHECK_EQ(r.c->s.gpr[RSP], 0xabcd0000);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_IF | FLAG_CF);
    r.c->s.idtr.limit = 4 * 13 + 2; /* not even #GP has an entry: 8 has */
    put_le32(r.ram + 4 * 8, 0x3000 << 16);
    CHECK_EQ(fault(&r, VEC_UD, false, 0), STEPPED);
    CHECK_EQ(fault(&r, 0x30, false, 0), STEPPED); /* #GP, then #DF */
    CHECK_EQ(r.c->s.seg[SEG_CS].sel, 0x3000);
    r.c->s.idtr.limit = 3;
    CHECK_EQ(fault(&r, VEC_UD, false, 0), STEP_SHUTDOWN);
    rig_close(&r);
}

static void same_level(void)
{
    struct rig r;
    u64 sp;

    rig_open(&r);
    rig_protected(&r, 0);
    sp = r.c->s.gpr[RSP];
    idt32(&r, VEC_GP, RIG_CODE0, 0x8e);
    r.c->s.rflags = FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_NT;
    CHECK_EQ(fault(&r, VEC_GP, true, 0x1234), STEPPED);
    CHECK_EQ(r.c->s.gpr[RSP], sp - 16);
    CHECK_EQ(top32(&r, 0), 0x1234);
    CHECK_EQ(top32(&r, 1), 0x10000);
    CHECK_EQ(top32(&r, 2), RIG_CODE0);
    CHECK_EQ(top32(&r, 3), FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_RF); /* a fault: RF */
    CHECK_EQ(r.c->s.rflags, FLAG_ONE);
    CHECK_EQ(r.c->s.rip, HANDLER + VEC_GP);
    idt32(&r, 0x40, RIG_CODE0, 0x8f); /* a trap gate leaves IF; no RF for INT */
    r.c->s.rflags = FLAG_ONE | FLAG_IF;
    CHECK_EQ(rig_try(&r, soft, 0x40, 0, 0), -1);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_IF);
    CHECK_EQ(top32(&r, 2), FLAG_ONE | FLAG_IF);
    idt32(&r, 0x41, RIG_CODE0, 0x86); /* 16 bits */
    sp = r.c->s.gpr[RSP];
    CHECK_EQ(rig_try(&r, soft, 0x41, 0, 0), -1);
    CHECK_EQ(r.c->s.gpr[RSP], sp - 6);
    CHECK_EQ(r.c->s.rip, (HANDLER + 0x41) & 0xffff);
    rig_close(&r);
}

static void inner_level_and_back(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    idt32(&r, 0x80, RIG_CODE0, 0xee);
    r.c->s.rflags = FLAG_ONE | FLAG_IF;
    r.c->s.seg[SEG_DS].attr &= ~(u32)ATTR_DPL; /* left over from the kernel: must go on IRET */
    CHECK_EQ(rig_try(&r, soft, 0x80, 0, 0), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 0);
    CHECK_EQ(r.c->s.seg[SEG_CS].sel, RIG_CODE0);
    CHECK_EQ(r.c->s.seg[SEG_SS].sel, RIG_DATA0);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 - 20);
    CHECK_EQ(top32(&r, 0), 0x10002);
    CHECK_EQ(top32(&r, 1), RIG_CODE3);
    CHECK_EQ(top32(&r, 3), RIG_STACK3);
    CHECK_EQ(top32(&r, 4), RIG_DATA3);
    CHECK_EQ(rig_try(&r, do_iret, 4, 0, 0), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 3);
    CHECK_EQ(r.c->s.rip, 0x10002);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    CHECK(r.c->s.rflags & FLAG_IF);
    CHECK(r.c->s.seg[SEG_DS].attr & ATTR_UNUSABLE);
    CHECK(!(r.c->s.seg[SEG_ES].attr & ATTR_UNUSABLE));
    rig_close(&r);
}

static void gate_errors(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    idt32(&r, 0x50, RIG_CODE0, 0x8e); /* DPL 0 */
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, 0x50 * 8 + 2);
    CHECK_EQ(rig_try(&r, soft, 0x50, 1, 0), -1); /* ICEBP does not look at it */
    rig_protected(&r, 3);
    idt32(&r, 0x50, RIG_CODE0, 0x6e); /* absent */
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_NP);
    CHECK_EQ(r.c->fault.code, 0x50 * 8 + 2);
    idt32(&r, 0x50, 0, 0xee);
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, 0);
    idt32(&r, 0x50, RIG_DATA0, 0xee);
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, RIG_DATA0);
    idt32(&r, 0x50, 0x100, 0xee); /* beyond the GDT */
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, 0x100);
    idt32(&r, 0x50, RIG_CODE0, 0xee);
    put_le16(r.ram + RIG_TSS + 8, 0); /* SS0 */
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_TS);
    CHECK_EQ(r.c->fault.code, 0);
    put_le16(r.ram + RIG_TSS + 8, RIG_DATA3);
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_TS);
    CHECK_EQ(r.c->fault.code, RIG_DATA3 & ~3);
    rig_desc(&r, RIG_GDT, RIG_DATA0, 0, 0xfffff, 0x13, 0xc);
    put_le16(r.ram + RIG_TSS + 8, RIG_DATA0);
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_SS);
    CHECK_EQ(r.c->fault.code, RIG_DATA0);
    rig_desc(&r, RIG_GDT, RIG_DATA0, 0, 16, 0x93, 4); /* a stack of 17 bytes */
    CHECK_EQ(rig_try(&r, soft, 0x50, 0, 0), VEC_SS);
    CHECK_EQ(r.c->fault.code, RIG_DATA0);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    CHECK_EQ(x86_cpl(&r.c->s), 3);
    rig_close(&r);
}

static void double_and_triple(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    idt32(&r, VEC_DF, RIG_CODE0, 0x8e); /* #GP has no gate: contributory twice */
    CHECK_EQ(fault(&r, VEC_GP, true, 0), STEPPED);
    CHECK_EQ(r.c->s.rip, HANDLER + VEC_DF);
    CHECK_EQ(top32(&r, 0), 0);
    CHECK_EQ(top32(&r, 1), 0x10000);
    rig_protected(&r, 0);
    idt32(&r, VEC_GP, RIG_CODE0, 0x8e);
    r.c->s.rip = 0x10000;
    CHECK_EQ(fault(&r, VEC_UD, false, 0), STEPPED); /* benign first: the second, not double */
    CHECK_EQ(r.c->s.rip, HANDLER + VEC_GP);
    CHECK_EQ(top32(&r, 0), VEC_UD * 8 + 2 + 1); /* EXT: by an exception */
    put_le64(r.ram + RIG_IDT + 8 * VEC_DF, 0);
    put_le64(r.ram + RIG_IDT + 8 * VEC_GP, 0);
    CHECK_EQ(fault(&r, VEC_GP, true, 0), STEP_SHUTDOWN);
    rig_close(&r);
}

static void page_fault_in_page_fault(void)
{
    struct rig r;

    rig_open(&r);
    rig_long(&r, 0);
    r.c->s.idtr.base = 0x40000000; /* not mapped */
    r.c->fault = (struct x86_fault){ .vector = VEC_PF, .has_code = true, .address = 0x5000 };
    CHECK_EQ(x86_deliver_fault(r.c), STEP_SHUTDOWN); /* the #DF gate is there, too */
    CHECK_EQ(r.c->s.cr2, 0x40000000 + 16 * VEC_PF);
    rig_close(&r);
}

static void idt64(struct rig *r, u8 vector, u16 sel, u8 access, u8 ist)
{
    rig_gate(r, RIG_IDT + 16u * vector, sel, HANDLER + vector, access, ist);
    put_le64(r->ram + RIG_IDT + 16u * vector + 8, 0);
}

static void long_mode(void)
{
    struct rig r;

    rig_open(&r);
    rig_long(&r, 3);
    idt64(&r, VEC_PF, RIG_CODE0, 0x8e, 0);
    r.c->s.rflags = FLAG_ONE | FLAG_IF;
    r.c->fault = (struct x86_fault){ .vector = VEC_PF, .has_code = true, .code = 6, .address = 77 };
    CHECK_EQ(x86_deliver_fault(r.c), STEPPED);
    CHECK_EQ(r.c->s.cr2, 77);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 - 48);
    CHECK_EQ(top64(&r, 0), 6);
    CHECK_EQ(top64(&r, 1), 0x10000);
    CHECK_EQ(top64(&r, 2), RIG_CODE3);
    CHECK_EQ(top64(&r, 3), FLAG_ONE | FLAG_IF | FLAG_RF);
    CHECK_EQ(top64(&r, 4), RIG_STACK3);
    CHECK_EQ(top64(&r, 5), RIG_DATA3);
    CHECK_EQ(r.c->s.seg[SEG_SS].sel, 0);
    CHECK_EQ(x86_cpl(&r.c->s), 0);
    r.c->s.gpr[RSP] += 8;
    CHECK_EQ(rig_try(&r, do_iret, 8, 0, 0), -1);
    CHECK_EQ(x86_cpl(&r.c->s), 3);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK3);
    CHECK_EQ(r.c->s.seg[SEG_SS].sel, RIG_DATA3);
    CHECK(r.c->s.rflags & FLAG_RF);
    idt64(&r, VEC_NMI, RIG_CODE0, 0x8e, 2); /* IST 2 */
    put_le64(r.ram + RIG_TSS + 0x24 + 8, 0x9008);
    r.vector = VECTOR_NMI;
    {
        bool stop;

        CHECK_EQ(x86_events(r.c, &stop), STEPPED);
    }
    CHECK_EQ(r.c->s.gpr[RSP], 0x9000 - 40);
    CHECK(r.c->s.nmi_blocked);
    CHECK_EQ(rig_try(&r, do_iret, 8, 0, 0), -1);
    CHECK(!r.c->s.nmi_blocked);
    idt64(&r, 0x60, RIG_CODE0, 0x86, 0); /* no 16-bit gates there */
    CHECK_EQ(rig_try(&r, soft, 0x60, 0, 0), VEC_GP);
    put_le64(r.ram + RIG_TSS + 4, 1ull << 50); /* RSP0 not canonical */
    idt64(&r, 0x60, RIG_CODE0, 0xee, 0);
    CHECK_EQ(rig_try(&r, soft, 0x60, 0, 0), VEC_SS);
    rig_close(&r);
}

static void virtual_8086(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    idt32(&r, VEC_GP, RIG_CODE0, 0xee);
    r.c->s.rflags |= FLAG_VM;
    r.c->s.seg[SEG_SS].attr |= ATTR_DPL;
    x86_set_real_segment(r.c, SEG_CS, 0x1000);
    x86_set_real_segment(r.c, SEG_SS, 0x2000);
    x86_set_real_segment(r.c, SEG_DS, 0x3000);
    x86_set_real_segment(r.c, SEG_GS, 0x4000);
    r.c->s.rip = 0x10;
    r.c->s.gpr[RSP] = 0x100;
    CHECK_EQ(fault(&r, VEC_GP, true, 0), STEPPED);
    CHECK(!x86_v86(&r.c->s));
    CHECK_EQ(x86_cpl(&r.c->s), 0);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 - 40);
    CHECK_EQ(top32(&r, 1), 0x10);
    CHECK_EQ(top32(&r, 2), 0x1000);
    CHECK_EQ(top32(&r, 3), FLAG_ONE | FLAG_VM | FLAG_RF);
    CHECK_EQ(top32(&r, 4), 0x100);
    CHECK_EQ(top32(&r, 5), 0x2000);
    CHECK_EQ(top32(&r, 7), 0x3000);
    CHECK_EQ(top32(&r, 9), 0x4000);
    CHECK(r.c->s.seg[SEG_DS].attr & ATTR_UNUSABLE);
    r.c->s.gpr[RSP] += 4;
    CHECK_EQ(rig_try(&r, do_iret, 4, 0, 0), -1);
    CHECK(x86_v86(&r.c->s));
    CHECK_EQ(r.c->s.seg[SEG_GS].base, 0x40000);
    CHECK_EQ(r.c->s.gpr[RSP], 0x100);
    CHECK_EQ(rig_try(&r, do_iret, 4, 0, 0), VEC_GP); /* IOPL 0 */
    idt32(&r, 0x70, RIG_CODE3, 0xee);                /* must not lead to ring 3 */
    CHECK_EQ(rig_try(&r, soft, 0x70, 0, 0), VEC_GP);
    CHECK_EQ(r.c->fault.code, RIG_CODE3 & ~3);
    rig_close(&r);
}

static void try_v86_interrupt(struct x86_cpu *c, const u64 *a)
{
    c->s.gpr[RAX] = x86_v86_interrupt(c, (u8)a[0], c->s.rip + 2);
}

static void interrupt_redirection(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    r.c->s.rflags |= FLAG_VM | FLAG_VIF;
    r.c->s.seg[SEG_SS].attr |= ATTR_DPL;
    x86_set_real_segment(r.c, SEG_SS, 0x2000);
    x86_set_real_segment(r.c, SEG_CS, 0x1000);
    r.c->s.rip = 0x20;
    r.c->s.gpr[RSP] = 0x100;
    CHECK_EQ(rig_try(&r, try_v86_interrupt, 0x21, 0, 0), VEC_GP);
    r.c->s.cr4 |= CR4_VME;
    r.c->s.seg[SEG_TR].limit = 0x200;
    put_le16(r.ram + RIG_TSS + 0x66, 0x88); /* redirection map at 0x68 */
    put_le32(r.ram + 4 * 0x21, 0x5000 << 16 | 0x44);
    CHECK_EQ(rig_try(&r, try_v86_interrupt, 0x21, 0, 0), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 1);
    CHECK(x86_v86(&r.c->s));
    CHECK_EQ(r.c->s.seg[SEG_CS].sel, 0x5000);
    CHECK_EQ(r.c->s.rip, 0x44);
    CHECK_EQ(le16(r.ram + 0x200fa), 0x22);
    CHECK_EQ(le16(r.ram + 0x200fe), FLAG_ONE | FLAG_IF | FLAG_IOPL); /* VIF shown as IF */
    CHECK(!(r.c->s.rflags & FLAG_VIF));
    r.ram[RIG_TSS + 0x68 + 4] = 2; /* vector 0x21 goes to the monitor */
    CHECK_EQ(rig_try(&r, try_v86_interrupt, 0x21, 0, 0), VEC_GP);
    rig_close(&r);
}

static void interrupt_windows(void)
{
    struct rig r;
    bool stop;

    rig_open(&r);
    rig_protected(&r, 0);
    idt32(&r, 0x30, RIG_CODE0, 0x8e);
    CHECK(x86_must_ask(r.c));
    r.vector = 0x30;
    r.c->s.rflags = FLAG_ONE;
    r.c->s.halted = true;
    CHECK_EQ(x86_events(r.c, &stop), STEP_HALT);
    CHECK_EQ(r.open, OPEN_NMI);
    CHECK(r.c->window);
    CHECK(!x86_must_ask(r.c));
    r.c->s.rflags |= FLAG_IF;
    r.c->s.shadow = true;
    CHECK(!x86_must_ask(r.c));
    r.c->s.shadow = false;
    CHECK(x86_must_ask(r.c));
    CHECK_EQ(x86_events(r.c, &stop), STEPPED);
    CHECK(!r.c->s.halted);
    CHECK_EQ(r.c->s.rip, HANDLER + 0x30);
    CHECK(x86_must_ask(r.c)); /* there may be another */
    r.vector = VECTOR_STOP;
    x86_events(r.c, &stop);
    CHECK(stop);
    rig_close(&r);
}

static void debug_registers(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    r.c->s.dr[0] = 0x6002;
    r.c->s.dr[7] = 0x400 | 1 | 5u << 16; /* data write, two bytes */
    x86_write(r.c, 0x6000, 2, 0, ACCESS_CPL);
    CHECK_EQ(r.c->debug, 0);
    x86_read(r.c, 0x6002, 1, ACCESS_CPL);
    CHECK_EQ(r.c->debug, 0);
    x86_write(r.c, 0x6001, 2, 0, ACCESS_CPL);
    CHECK_EQ(r.c->debug, 1);
    x86_write(r.c, 0x6003, 1, 0, ACCESS_SYSTEM);
    idt32(&r, VEC_DB, RIG_CODE0, 0x8e);
    r.c->fault = (struct x86_fault){ .vector = VEC_DB, .trap = true, .dr6 = 1 };
    r.c->s.dr[7] |= 1 << 13;
    CHECK_EQ(x86_deliver_fault(r.c), STEPPED);
    CHECK_EQ(r.c->s.dr[6], 0xffff0ff1);
    CHECK(!(r.c->s.dr[7] & 1 << 13));
    CHECK(!(top32(&r, 2) & FLAG_RF));
    rig_close(&r);
}

static void try_breakpoint(struct x86_cpu *c, const u64 *a)
{
    x86_check_breakpoint(c);
}

static void instruction_breakpoint(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    r.c->s.dr[3] = 0x10000;
    r.c->s.dr[7] = 0x400 | 0x80;
    CHECK_EQ(rig_try(&r, try_breakpoint, 0, 0, 0), VEC_DB);
    CHECK_EQ(r.c->fault.dr6, 8);
    r.c->s.rflags |= FLAG_RF;
    CHECK_EQ(rig_try(&r, try_breakpoint, 0, 0, 0), -1);
    rig_close(&r);
}

int main(void)
{
    CASE(real_mode);
    CASE(same_level);
    CASE(inner_level_and_back);
    CASE(gate_errors);
    CASE(double_and_triple);
    CASE(page_fault_in_page_fault);
    CASE(long_mode);
    CASE(virtual_8086);
    CASE(interrupt_redirection);
    CASE(interrupt_windows);
    CASE(debug_registers);
    CASE(instruction_breakpoint);
    return check_end();
}
