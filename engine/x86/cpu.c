/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Life of a software vCPU. */
#include "engine/x86/cpu.h"
#include "engine/x86/x86_int.h"
#include <errno.h>
#include <string.h>

int x86_cpu_init(struct x86_cpu *c, u32 index, const struct cpu_io *io, struct x86_memory *mem,
                 u64 tsc_hz, struct err *e)
{
    memset(c, 0, sizeof(*c));
    x86_state_reset(&c->s, index);
    c->io = io;
    c->mem = mem;
    c->index = index;
    c->apic_ids = 1;
    c->tsc_hz = tsc_hz;
    atomic_init(&c->pending, 1);
    if (x86_lin_new(c) || x86_insn_cache_new(c) || x86_vector_unit_new(c)) {
        x86_cpu_fini(c);
        return err_set(e, -ENOMEM, "no memory for vCPU %u", index);
    }
    return 0;
}

void x86_cpu_fini(struct x86_cpu *c)
{
    if (c->vector)
        x86_vector_unit_free(c);
    if (c->insns)
        x86_insn_cache_free(c);
    x86_lin_free(c);
}
