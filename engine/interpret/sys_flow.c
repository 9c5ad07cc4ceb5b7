/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt flag and flags image, ports, software interrupts, system calls: SDM volume 2. */
#include "engine/interpret/sys_int.h"
#include <Zydis/Mnemonic.h>

void op_hlt(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_supervisor(c);
    c->s.halted = true;
}

/* ---- ports ---- */

static u16 flow_port(const struct x86_cpu *c, const struct x86_insn *in, u32 n)
{
    return in->opd[n].kind == OPD_IMM ? (u8)in->imm : (u16)c->s.gpr[RDX];
}

/* true: a persona's, and done */
static bool flow_port_first(struct x86_cpu *c, u16 port, u32 size, bool out)
{
    if (c->io->port(c->io->arg, &c->s, port, size, out))
        return true;
    x86_check_io(c, port, size);
    if (x86_watching(c))
        x86_watch(c, port, size, out, true);
    return false;
}

void op_in(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;
    u16 port = flow_port(c, in, 1);

    if (!flow_port_first(c, port, size, false))
        op_put(c, in, 0, c->io->in(c->io->arg, port, size));
}

void op_out(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[1].size;
    u16 port = flow_port(c, in, 0);

    if (!flow_port_first(c, port, size, true))
        c->io->out(c->io->arg, port, size, op_get(c, in, 1));
}

/* ---- flags ---- */

static bool flow_iopl_ok(const struct x86_cpu *c)
{
    return x86_cpl(&c->s) <= (c->s.rflags >> 12 & 3);
}

/* CLI and STI where IOPL forbids them: the virtual flag of V86 (VME) and ring 3 (PVI). */
static bool flow_virtual_if(const struct x86_cpu *c)
{
    return x86_cpl(&c->s) == 3 && (c->s.cr4 & (x86_v86(&c->s) ? CR4_VME : CR4_PVI));
}

void op_cli(struct x86_cpu *c, const struct x86_insn *in)
{
    if (flow_iopl_ok(c))
        c->s.rflags &= ~(u64)FLAG_IF;
    else if (flow_virtual_if(c))
        c->s.rflags &= ~(u64)FLAG_VIF;
    else
        x86_raise_code(c, VEC_GP, 0);
    x86_mode_changed(c);
}

void op_sti(struct x86_cpu *c, const struct x86_insn *in)
{
    if (flow_iopl_ok(c)) {
        c->s.shadow = !(c->s.rflags & FLAG_IF);
        c->s.rflags |= FLAG_IF;
    } else if (flow_virtual_if(c) && !(c->s.rflags & FLAG_VIP)) {
        c->s.rflags |= FLAG_VIF;
    } else {
        x86_raise_code(c, VEC_GP, 0);
    }
    x86_mode_changed(c);
}

void op_clac(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 r[4];

    x86_cpuid_model(7, 0, r);
    if (!(r[1] >> 20 & 1) || x86_cpl(&c->s))
        x86_raise(c, VEC_UD);
    c->s.rflags &= ~(u64)FLAG_AC;
    if (in->op == ZYDIS_MNEMONIC_STAC)
        c->s.rflags |= FLAG_AC;
    x86_mode_changed(c);
}

/* V86 with IOPL below 3: only 16-bit images, with VIF in the place of IF, under VME. */
static bool flow_v86_flags(struct x86_cpu *c, const struct x86_insn *in)
{
    if (!x86_v86(&c->s) || flow_iopl_ok(c))
        return false;
    if (!(c->s.cr4 & CR4_VME) || in->osize != 2)
        x86_raise_code(c, VEC_GP, 0);
    return true;
}

void op_pushf(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 val = c->s.rflags & ~(u64)(FLAG_VM | FLAG_RF);

    if (flow_v86_flags(c, in))
        val = (val & ~(u64)FLAG_IF) | FLAG_IOPL | (val & FLAG_VIF ? FLAG_IF : 0);
    x86_push(c, val, in->osize);
}

void op_popf(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 mask = in->osize == 2 ? 0xffff : 0xffffffff & ~(u64)FLAG_RF;
    bool v86 = flow_v86_flags(c, in);
    u64 val = x86_pop(c, in->osize);

    if (v86) {
        if ((val & FLAG_TF) || ((val & FLAG_IF) && (c->s.rflags & FLAG_VIP)))
            x86_raise_code(c, VEC_GP, 0);
        c->s.rflags = (c->s.rflags & ~(u64)FLAG_VIF) | (val & FLAG_IF ? FLAG_VIF : 0);
        mask &= ~(u64)FLAG_IF;
    }
    x86_set_flags(c, val, mask);
}

/* ---- software interrupts ---- */

void op_int(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 next = x86_next(c, in);

    if (!x86_v86(&c->s) || !x86_v86_interrupt(c, (u8)in->imm, next))
        x86_software_interrupt(c, (u8)in->imm, next, false);
}

void op_int1(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_software_interrupt(c, VEC_DB, x86_next(c, in), true);
}

void op_int3(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_software_interrupt(c, VEC_BP, x86_next(c, in), false);
}

void op_into(struct x86_cpu *c, const struct x86_insn *in)
{
    if (c->s.rflags & FLAG_OF)
        x86_software_interrupt(c, VEC_OF, x86_next(c, in), false);
    else
        c->s.rip = x86_next(c, in);
}

void op_iret(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_iret(c, in->osize, x86_next(c, in));
}

/* ---- system calls ---- */

enum {
    FLOW_CODE = ATTR_P | ATTR_S | ATTR_G | 0xb,
    FLOW_DATA = ATTR_P | ATTR_S | ATTR_G | ATTR_DB | 3,
};

static void flow_flat(struct x86_cpu *c, u16 cs, u16 ss, u32 cpl, bool is_long)
{
    u32 dpl = cpl << ATTR_DPL_SHIFT;

    c->s.seg[SEG_CS] =
        (struct x86_segment){ .sel = (u16)((cs & ~3u) | cpl),
                              .limit = 0xffffffff,
                              .attr = FLOW_CODE | dpl | (is_long ? ATTR_L : ATTR_DB) };
    c->s.seg[SEG_SS] = (struct x86_segment){ .sel = (u16)((ss & ~3u) | cpl),
                                             .limit = 0xffffffff,
                                             .attr = FLOW_DATA | dpl };
}

/* AMD's outside long mode: AMD64 volume 3, SYSCALL. */
static void flow_syscall_legacy(struct x86_cpu *c, const struct x86_insn *in, u16 sel)
{
    if (x86_real(&c->s))
        x86_raise(c, VEC_UD);
    c->s.gpr[RCX] = x86_next(c, in);
    c->s.rip = (u32)c->s.star;
    c->s.rflags &= ~(u64)(FLAG_VM | FLAG_IF | FLAG_RF);
    flow_flat(c, sel, sel + 8, 0, false);
    x86_mode_changed(c);
}

void op_syscall(struct x86_cpu *c, const struct x86_insn *in)
{
    u16 sel = (u16)(c->s.star >> 32);

    if (!(c->s.efer & EFER_SCE) || (in->mode != X86_MODE64 && !c->amd))
        x86_raise(c, VEC_UD);
    if (!x86_long(&c->s)) {
        flow_syscall_legacy(c, in, sel);
        return;
    }
    c->s.gpr[RCX] = x86_next(c, in);
    c->s.gpr[R11] = c->s.rflags;
    c->s.rip = in->mode == X86_MODE64 ? c->s.lstar : c->s.cstar;
    c->s.rflags = (c->s.rflags & ~c->s.fmask & ~(u64)FLAG_RF) | FLAG_ONE;
    c->single = c->s.rflags & FLAG_TF;
    flow_flat(c, sel, sel + 8, 0, true);
    x86_mode_changed(c);
}

void op_sysret(struct x86_cpu *c, const struct x86_insn *in)
{
    u16 sel = (u16)(c->s.star >> 48);
    bool wide = in->osize == 8;
    u64 rip = c->s.gpr[RCX];

    if (!(c->s.efer & EFER_SCE) || (in->mode != X86_MODE64 && !c->amd))
        x86_raise(c, VEC_UD);
    sys_supervisor(c);
    if (!x86_long(&c->s)) {
        c->s.rip = (u32)rip;
        c->s.rflags |= FLAG_IF;
        flow_flat(c, sel, sel + 8, 3, false);
        x86_mode_changed(c);
        return;
    }
    if (wide && !x86_canonical(c, rip))
        x86_raise_code(c, VEC_GP, 0);
    c->s.rip = wide ? rip : (u32)rip;
    c->s.rflags = (c->s.gpr[R11] & 0x3c7fd5) | FLAG_ONE;
    c->single = c->s.rflags & FLAG_TF;
    flow_flat(c, wide ? sel + 16 : sel, sel + 8, 3, wide);
    x86_mode_changed(c);
}

void op_sysenter(struct x86_cpu *c, const struct x86_insn *in)
{
    u16 sel = (u16)c->s.sysenter_cs;
    bool is_long = x86_long(&c->s);

    if (c->amd && is_long)
        x86_raise(c, VEC_UD);
    if (x86_real(&c->s) || !(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    c->s.rip = is_long ? c->s.sysenter_eip : (u32)c->s.sysenter_eip;
    c->s.gpr[RSP] = is_long ? c->s.sysenter_esp : (u32)c->s.sysenter_esp;
    c->s.rflags &= ~(u64)(FLAG_VM | FLAG_IF | FLAG_RF);
    flow_flat(c, sel, sel + 8, 0, is_long);
    x86_mode_changed(c);
}

void op_sysexit(struct x86_cpu *c, const struct x86_insn *in)
{
    u16 sel = (u16)c->s.sysenter_cs;
    bool wide = in->osize == 8;
    u64 rip = c->s.gpr[RDX], rsp = c->s.gpr[RCX];

    if (x86_real(&c->s) || !(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    sys_supervisor(c);
    if (wide && (!x86_canonical(c, rip) || !x86_canonical(c, rsp)))
        x86_raise_code(c, VEC_GP, 0);
    c->s.rip = wide ? rip : (u32)rip;
    c->s.gpr[RSP] = wide ? rsp : (u32)rsp;
    flow_flat(c, wide ? sel + 32 : sel + 16, wide ? sel + 40 : sel + 24, 3, wide);
    x86_mode_changed(c);
}
