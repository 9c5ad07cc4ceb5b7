/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's calls, for a vCPU whose vector state may be in the host's registers. */
#include "engine/translate/translate_int.h"

static const struct cpu_io *io_real(struct vcpu *v, enum tier *was)
{
    vcpu_spill(v);
    *was = tier_set(v, TIER_DEVICE);
    return &v->real_io;
}

static u64 io_in(void *arg, u16 port, u32 size)
{
    struct vcpu *v = arg;
    enum tier was;
    const struct cpu_io *io = io_real(v, &was);
    u64 val = io->in(io->arg, port, size);

    v->stats.ports++;
    tier_set(v, was);
    return val;
}
static void io_out(void *arg, u16 port, u32 size, u64 val)
{
    struct vcpu *v = arg;
    enum tier was;
    const struct cpu_io *io = io_real(v, &was);

    io->out(io->arg, port, size, val);
    v->stats.ports++;
    tier_set(v, was);
}
static bool io_port(void *arg, struct x86_state *regs, u16 port, u32 size, bool out)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    bool done = io->port(io->arg, regs, port, size, out);

    tier_set(arg, was);
    return done;
}
static u64 io_load(void *arg, u64 gpa, u32 size)
{
    struct vcpu *v = arg;
    enum tier was;
    const struct cpu_io *io = io_real(v, &was);
    u64 val = io->load(io->arg, gpa, size);

    v->stats.mmio++;
    tier_set(v, was);
    return val;
}
static void io_store(void *arg, u64 gpa, u32 size, u64 val)
{
    struct vcpu *v = arg;
    enum tier was;
    const struct cpu_io *io = io_real(v, &was);

    io->store(io->arg, gpa, size, val);
    v->stats.mmio++;
    tier_set(v, was);
}
static int io_rdmsr(void *arg, u32 msr, u64 *val)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    int r = io->rdmsr(io->arg, msr, val);

    tier_set(arg, was);
    return r;
}
static int io_wrmsr(void *arg, u32 msr, u64 val)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    int r = io->wrmsr(io->arg, msr, val);

    cpuid_forget(arg); /* APIC_BASE is in it */
    tier_set(arg, was);
    return r;
}
static void io_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);

    io->cpuid(io->arg, leaf, sub, regs);
    tier_set(arg, was);
}
static bool io_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    bool done = io->hypercall(io->arg, regs, kind);

    tier_set(arg, was);
    return done;
}
static int io_vector(void *arg, u32 open)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    int vector = io->vector(io->arg, open);

    tier_set(arg, was);
    return vector;
}
static u8 io_tpr(void *arg)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    u8 tpr = io->tpr(io->arg);

    tier_set(arg, was);
    return tpr;
}
static void io_tpr_set(void *arg, u8 val)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);

    io->tpr_set(io->arg, val);
    tier_set(arg, was);
}
static void io_clock(void *arg, bool open)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);

    if (io->clock)
        io->clock(io->arg, open);
    tier_set(arg, was);
}
static bool io_bulk(void *arg, struct x86_state *regs, u16 port, bool out, u8 *p, u32 n)
{
    enum tier was;
    const struct cpu_io *io = io_real(arg, &was);
    bool done = io->bulk && io->bulk(io->arg, regs, port, out, p, n);

    tier_set(arg, was);
    return done;
}

void vcpu_io(struct vcpu *v, const struct cpu_io *real)
{
    v->real_io = *real;
    v->io = (struct cpu_io){ v,         io_in,    io_out,     io_port,  io_load,
                             io_store,  io_rdmsr, io_wrmsr,   io_cpuid, io_hypercall,
                             io_vector, io_tpr,   io_tpr_set, io_bulk,  .clock = io_clock };
}
