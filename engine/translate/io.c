/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's calls, for a vCPU whose vector state may be in the host's registers. */
#include "engine/translate/translate_int.h"

static const struct cpu_io *io_real(struct vcpu *v)
{
    vcpu_spill(v);
    return &v->real_io;
}

static u64 io_in(void *arg, u16 port, u32 size)
{
    const struct cpu_io *io = io_real(arg);

    return io->in(io->arg, port, size);
}
static void io_out(void *arg, u16 port, u32 size, u64 val)
{
    const struct cpu_io *io = io_real(arg);

    io->out(io->arg, port, size, val);
}
static bool io_port(void *arg, struct x86_state *regs, u16 port, u32 size, bool out)
{
    const struct cpu_io *io = io_real(arg);

    return io->port(io->arg, regs, port, size, out);
}
static u64 io_load(void *arg, u64 gpa, u32 size)
{
    const struct cpu_io *io = io_real(arg);

    return io->load(io->arg, gpa, size);
}
static void io_store(void *arg, u64 gpa, u32 size, u64 val)
{
    const struct cpu_io *io = io_real(arg);

    io->store(io->arg, gpa, size, val);
}
static int io_rdmsr(void *arg, u32 msr, u64 *val)
{
    const struct cpu_io *io = io_real(arg);

    return io->rdmsr(io->arg, msr, val);
}
static int io_wrmsr(void *arg, u32 msr, u64 val)
{
    const struct cpu_io *io = io_real(arg);

    return io->wrmsr(io->arg, msr, val);
}
static void io_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    const struct cpu_io *io = io_real(arg);

    io->cpuid(io->arg, leaf, sub, regs);
}
static bool io_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    const struct cpu_io *io = io_real(arg);

    return io->hypercall(io->arg, regs, kind);
}
static int io_vector(void *arg, u32 open)
{
    const struct cpu_io *io = io_real(arg);

    return io->vector(io->arg, open);
}
static u8 io_tpr(void *arg)
{
    const struct cpu_io *io = io_real(arg);

    return io->tpr(io->arg);
}
static void io_tpr_set(void *arg, u8 val)
{
    const struct cpu_io *io = io_real(arg);

    io->tpr_set(io->arg, val);
}
static bool io_bulk(void *arg, struct x86_state *regs, u16 port, bool out, u8 *p, u32 n)
{
    const struct cpu_io *io = io_real(arg);

    return io->bulk && io->bulk(io->arg, regs, port, out, p, n);
}

void vcpu_io(struct vcpu *v, const struct cpu_io *real)
{
    v->real_io = *real;
    v->io = (struct cpu_io){ v,         io_in,    io_out,     io_port,  io_load,
                             io_store,  io_rdmsr, io_wrmsr,   io_cpuid, io_hypercall,
                             io_vector, io_tpr,   io_tpr_set, io_bulk };
}
