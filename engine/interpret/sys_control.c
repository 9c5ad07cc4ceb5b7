/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control and debug registers, MSRs, TLB and caches, CPUID, hypercalls: Intel SDM volume 2. */
#include "engine/interpret/sys_int.h"
#include <Zydis/Mnemonic.h>

/* ---- MOV CR, MOV DR ---- */

enum { DR6_BD = 1 << 13, DR7_GD = 1 << 13 };
enum { DR6_ONES = 0xffff0ff0, DR6_SETTABLE = 0xe00f, DR7_ONES = 0x400, DR7_SETTABLE = 0xffff23ff };

static u64 control_read(struct x86_cpu *c, u8 reg)
{
    switch (reg) {
    case 0:
        return c->s.cr0;
    case 2:
        return c->s.cr2;
    case 3:
        return c->s.cr3;
    case 4:
        return c->s.cr4;
    case 8:
        return c->io->tpr(c->io->arg);
    default:
        x86_raise(c, VEC_UD);
    }
}

static void control_write(struct x86_cpu *c, u8 reg, u64 val)
{
    switch (reg) {
    case 0:
        x86_set_cr0(c, val);
        break;
    case 2:
        c->s.cr2 = val;
        break;
    case 3:
        x86_set_cr3(c, val);
        break;
    case 4:
        x86_set_cr4(c, val);
        break;
    case 8:
        if (val >> 4)
            x86_raise_code(c, VEC_GP, 0);
        c->io->tpr_set(c->io->arg, (u8)val);
        break;
    default:
        x86_raise(c, VEC_UD);
    }
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; DR7.GD guards them all. */
static u8 debug_register(struct x86_cpu *c, u8 reg)
{
    if (reg > 7 || ((reg == 4 || reg == 5) && (c->s.cr4 & CR4_DE)))
        x86_raise(c, VEC_UD);
    if (c->s.dr[7] & DR7_GD) {
        c->fault = (struct x86_fault){ .vector = VEC_DB, .dr6 = DR6_BD };
        longjmp(*c->escape, 1);
    }
    return reg == 4 || reg == 5 ? reg + 2 : reg;
}

static void debug_write(struct x86_cpu *c, u8 reg, u64 val)
{
    if (reg >= 6 && val >> 32)
        x86_raise_code(c, VEC_GP, 0);
    if (reg == 6)
        val = (val & DR6_SETTABLE) | DR6_ONES;
    else if (reg == 7)
        val = (val & DR7_SETTABLE) | DR7_ONES;
    c->s.dr[reg] = val;
    x86_mode_changed(c);
}

void op_mov_control(struct x86_cpu *c, const struct x86_insn *in)
{
    const struct x86_operand *to = &in->opd[0], *from = &in->opd[1];
    u64 mask = in->mode == X86_MODE64 ? ~0ull : 0xffffffff;

    sys_supervisor(c);
    if (to->kind == OPD_CR)
        control_write(c, to->reg, c->s.gpr[from->reg] & mask);
    else if (to->kind == OPD_DR)
        debug_write(c, debug_register(c, to->reg), c->s.gpr[from->reg] & mask);
    else if (from->kind == OPD_CR)
        c->s.gpr[to->reg] = control_read(c, from->reg) & mask;
    else
        c->s.gpr[to->reg] = c->s.dr[debug_register(c, from->reg)] & mask;
}

void op_smsw(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_umip(c);
    op_put(c, in, 0, c->s.cr0);
}

void op_lmsw(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 val;

    sys_supervisor(c);
    val = op_get(c, in, 0);
    x86_set_cr0(c, (c->s.cr0 & ~0xeull) | (val & 0xf));
}

void op_clts(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_supervisor(c);
    c->s.cr0 &= ~(u64)CR0_TS;
    x86_mode_changed(c);
}

/* ---- TLB, caches ---- */

void op_invlpg(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 lin = op_address(c, in);

    sys_supervisor(c);
    if (in->mode != X86_MODE64)
        lin = (u32)(lin + c->s.seg[in->seg].base);
    else if (in->seg == SEG_FS || in->seg == SEG_GS)
        lin += c->s.seg[in->seg].base;
    if (x86_canonical(c, lin))
        x86_flush(c, FLUSH_PAGE, lin);
}

void op_invpcid(struct x86_cpu *c, const struct x86_insn *in)
{
    enum { ONE_ADDRESS, ONE_CONTEXT, ALL_GLOBAL, ALL };
    u64 d[2], type, lin;
    bool on = c->s.cr4 & CR4_PCIDE;

    sys_supervisor(c);
    type = op_get(c, in, 0);
    lin = x86_linear(c, in->seg, op_address(c, in), 16, false);
    x86_read_bytes(c, lin, d, 16, ACCESS_CPL);
    if (type > ALL || (type < ALL_GLOBAL && (d[0] >> 12 || (!on && d[0]))) ||
        (type == ONE_ADDRESS && !x86_canonical(c, d[1])))
        x86_raise_code(c, VEC_GP, 0);
    if (type == ONE_ADDRESS && d[0] == (on ? c->s.cr3 & 0xfff : 0))
        x86_flush(c, FLUSH_PAGE, d[1]);
    else
        x86_flush(c, type == ALL_GLOBAL ? FLUSH_ALL : FLUSH_NONGLOBAL, 0);
}

void op_wbinvd(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_supervisor(c);
}

/* ---- MSRs, counters, CPUID ---- */

void op_rdmsr(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_supervisor(c);
    sys_put_pair(c, x86_rdmsr(c, (u32)c->s.gpr[RCX]));
}

void op_wrmsr(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_supervisor(c);
    x86_wrmsr(c, (u32)c->s.gpr[RCX], sys_pair(c));
}

enum { CLOCK_ASKS_HZ = 4096 };

/* False: an interrupt comes before it, the instruction is done afterwards. */
static bool control_clock(struct x86_cpu *c, const struct x86_insn *in)
{
    bool open = x86_open(c) & OPEN_INTR && !c->single;

    if (!c->io->clock || __builtin_ia32_rdtsc() < c->clock_asked)
        return true;
    c->io->clock(c->io->arg, open);
    c->clock_asked = __builtin_ia32_rdtsc() + c->tsc_hz / CLOCK_ASKS_HZ;
    if (!open || !x86_must_ask(c))
        return true;
    c->s.rip -= in->len;
    return false;
}

static bool control_tsc(struct x86_cpu *c, const struct x86_insn *in)
{
    if (c->s.cr4 & CR4_TSD)
        sys_supervisor(c);
    if (!control_clock(c, in))
        return false;
    sys_put_pair(c, x86_rdtsc(c));
    return true;
}

void op_rdtsc(struct x86_cpu *c, const struct x86_insn *in)
{
    control_tsc(c, in);
}

void op_rdtscp(struct x86_cpu *c, const struct x86_insn *in)
{
    if (control_tsc(c, in))
        c->s.gpr[RCX] = (u32)c->s.tsc_aux;
}

/* The model has no performance counters: every number of one is out of range. */
void op_rdpmc(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_raise_code(c, VEC_GP, 0);
}

void op_rdpid(struct x86_cpu *c, const struct x86_insn *in)
{
    c->s.gpr[in->opd[0].reg] = (u32)c->s.tsc_aux;
}

void op_cpuid(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 r[4];

    x86_cpuid(c, (u32)c->s.gpr[RAX], (u32)c->s.gpr[RCX], r);
    c->s.gpr[RAX] = r[0];
    c->s.gpr[RBX] = r[1];
    c->s.gpr[RCX] = r[2];
    c->s.gpr[RDX] = r[3];
}

void op_xgetbv(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 r[4];

    if (!(c->s.cr4 & CR4_OSXSAVE))
        x86_raise(c, VEC_UD);
    x86_cpuid_model(0xd, 1, r);
    if ((u32)c->s.gpr[RCX] > (r[0] >> 2 & 1)) /* 1, what is in use, where XGETBV knows it */
        x86_raise_code(c, VEC_GP, 0);
    sys_put_pair(c, c->s.xcr0);
}

void op_xsetbv(struct x86_cpu *c, const struct x86_insn *in)
{
    if (!(c->s.cr4 & CR4_OSXSAVE))
        x86_raise(c, VEC_UD);
    sys_supervisor(c);
    if ((u32)c->s.gpr[RCX])
        x86_raise_code(c, VEC_GP, 0);
    x86_set_xcr0(c, sys_pair(c));
}

void op_rdpkru(struct x86_cpu *c, const struct x86_insn *in)
{
    if (!(c->s.cr4 & CR4_PKE))
        x86_raise(c, VEC_UD);
    if ((u32)c->s.gpr[RCX])
        x86_raise_code(c, VEC_GP, 0);
    sys_put_pair(c, c->s.pkru);
}

void op_wrpkru(struct x86_cpu *c, const struct x86_insn *in)
{
    if (!(c->s.cr4 & CR4_PKE))
        x86_raise(c, VEC_UD);
    if ((u32)(c->s.gpr[RCX] | c->s.gpr[RDX]))
        x86_raise_code(c, VEC_GP, 0);
    x86_set_pkru(c, (u32)c->s.gpr[RAX]);
}

void op_vmcall(struct x86_cpu *c, const struct x86_insn *in)
{
    if (!c->io->hypercall(c->io->arg, &c->s, in->op == ZYDIS_MNEMONIC_VMCALL ? 1 : 2))
        x86_raise(c, VEC_UD);
}
