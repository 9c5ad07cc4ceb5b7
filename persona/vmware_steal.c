/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's stolen-time clock, command 91: a vCPU names 64 bytes of its memory, whose first 8 say
 * for how many ticks of the TSC it was ready to run and the host did not let it.  The host's
 * kernel keeps that count for each thread.  After Linux' arch/x86/kernel/cpu/vmware.c.
 */
#include "base/bytes.h"
#include "base/loop.h"
#include "persona/vmware_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { STEAL_OFF = 0, STEAL_ON = 1, STEAL_SIZE = 64 };
#define STEAL_NONE 0xffffffffu
#define STEAL_EVERY_NS ((i64)100000000)

/* Nanoseconds that a thread of ours waited for a processor. */
static bool steal_read(u32 thread, u64 *ns)
{
    unsigned long long ran, waited;
    char path[64], text[96];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%u/schedstat", thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    if (sscanf(text, "%llu %llu", &ran, &waited) != 2)
        return false;
    *ns = waited;
    return true;
}

static void steal_tell(struct vmware *v, u32 cpu)
{
    u64 hz = machine_tsc_hz(v->persona.machine), ns, was;
    struct gmem *ram = machine_ram(v->persona.machine);
    u8 b[8];

    if (!v->state.steal[cpu] || !v->thread[cpu] || !steal_read(v->thread[cpu], &ns))
        return;
    ns -= min_u64(ns, v->stolen_base[cpu]);
    v->stolen_base[cpu] += ns;
    if (gmem_read(ram, v->state.steal[cpu], b, sizeof(b)))
        return;
    was = le64(b);
    put_le64(b, was + (u64)((unsigned __int128)ns * hz / 1000000000));
    gmem_write(ram, v->state.steal[cpu], b, sizeof(b));
}

static void steal_timer(void *arg)
{
    struct vmware *v = arg;
    bool any = false;

    pthread_mutex_lock(&v->lock);
    for (u32 i = 0; i < machine_cpu_count(v->persona.machine); i++) {
        steal_tell(v, i);
        any |= v->state.steal[i] != 0;
    }
    pthread_mutex_unlock(&v->lock);
    if (any)
        loop_timer_set(v->steal_timer, loop_now() + STEAL_EVERY_NS);
}

static void steal_begin(void *arg)
{
    struct vmware *v = arg;

    loop_timer_set(v->steal_timer, loop_now() + STEAL_EVERY_NS);
}

void vmware_steal(struct vmware *v, u32 cpu, struct x86_state *s)
{
    u64 at = (u64)(u32)s->gpr[RSI] << 32 | (u32)s->gpr[RDI], ns;
    u8 zero[STEAL_SIZE] = { 0 };

    s->gpr[RAX] = STEAL_NONE;
    if (cpu >= VMWARE_CPUS)
        return;
    v->state.steal[cpu] = 0;
    if (at == 0 || at == 1) { /* none any more */
        s->gpr[RAX] = STEAL_OFF;
        return;
    }
    v->thread[cpu] = (u32)gettid();
    if (!v->steal_timer || at % STEAL_SIZE || !steal_read(v->thread[cpu], &ns) ||
        gmem_write(machine_ram(v->persona.machine), at, zero, sizeof(zero)))
        return;
    v->stolen_base[cpu] = ns;
    v->state.steal[cpu] = at;
    s->gpr[RAX] =
        loop_post(machine_loop(v->persona.machine), steal_begin, v) ? STEAL_OFF : STEAL_ON;
}

/* A clock of another process' threads: it goes on from where each of ours is first seen. */
void vmware_steal_here(struct vmware *v, u32 cpu)
{
    if (cpu >= VMWARE_CPUS || v->thread[cpu] || !v->state.steal[cpu])
        return;
    v->thread[cpu] = (u32)gettid();
    if (!steal_read(v->thread[cpu], &v->stolen_base[cpu]))
        v->thread[cpu] = 0;
}

void vmware_steal_restored(struct vmware *v)
{
    memset(v->thread, 0, sizeof(v->thread));
    if (v->steal_timer)
        loop_timer_set(v->steal_timer, loop_now() + STEAL_EVERY_NS);
}

int vmware_steal_new(struct vmware *v, struct err *e)
{
    return loop_timer_add(machine_loop(v->persona.machine), steal_timer, v, &v->steal_timer);
}
