/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's contract: engine/engine.h by the block translator. */
#include "engine/translate/direct.h"
#include "engine/translate/keep.h"
#include "engine/translate/trace_int.h"
#include <asm/prctl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE_BIT 2

static int engine_translate_probe(u64 *features, struct err *e)
{
    u8 *rw, *rx;
    u32 a, b, c, d;
    int rc;

    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    if ((c >> 26 & 7) != 7) /* XSAVE, OSXSAVE, AVX */
        return err_set(e, -ENODEV, "the translator needs a host processor with AVX");
    rc = cache_map(2 * PAGE, &rw, &rx, e);
    if (rc)
        return rc;
    munmap(rw, 2 * PAGE);
    munmap(rx, 2 * PAGE);
    trace_register();
    *features = ENGINE_LOCKSTEP | ENGINE_USER_PORTS;
    return 0;
}

static void engine_hook_flush(struct x86_cpu *c, enum x86_flush how, u64 lin)
{
    tlb_flush((struct vcpu *)c, how, lin);
}
static void engine_hook_wrote(struct x86_cpu *c, u64 gpa, u32 len)
{
    struct vcpu *v = (struct vcpu *)c;

    if (v->check_phase == CHECK_TRIAL) {
        check_wrote(v, gpa, len);
        return;
    }
    vcpu_wrote(v); /* the one before has been done */
    if (cache_wrote(v->engine, gpa, len)) {
        v->wrote_gpa = gpa;
        v->wrote_len = len;
    }
}
static void engine_hook_vectors(struct x86_cpu *c)
{
    vcpu_spill((struct vcpu *)c);
}
static void engine_hook_mode(struct x86_cpu *c)
{
    struct vcpu *v = (struct vcpu *)c;

    v->mode_known = false;
    vcpu_memo(v);
}

static void engine_translate_close(void *engine)
{
    struct engine *g = engine;

    trace_beside_close(g);
    if (g->keep)
        keep_save(g->keep);
    keep_close(g->keep);
    eyes_close(g);
    cache_close(g);
    translate_close(g);
    trace_close(g);
    x86_memory_fini(&g->mem);
    free(g);
}

static int engine_translate_open(void **engine, const struct engine_options *o, struct err *e)
{
    struct engine *g = calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return err_set(e, -ENOMEM, "no memory for the translator");
    g->options = *o;
    g->open_tsc = __builtin_ia32_rdtsc();
    g->open_ns = stats_now();
    g->hooks = (struct x86_hooks){ .flush = engine_hook_flush,
                                   .wrote = engine_hook_wrote,
                                   .vectors = engine_hook_vectors,
                                   .mode = engine_hook_mode };
    pthread_mutex_init(&g->lock, NULL);
    pthread_mutex_init(&g->cpus, NULL);
    pthread_cond_init(&g->parked, NULL);
    rc = x86_memory_init(&g->mem);
    if (!rc)
        rc = translate_open(g);
    if (!rc)
        rc = trace_open(g);
    if (!rc)
        rc = trace_beside_open(g);
    if (!rc)
        rc = glue_signals();
    if (!rc)
        rc = cache_open(g, e);
    if (!rc)
        rc = eyes_open(g, e);
    if (!rc)
        g->keep = keep_open(g);
    if (rc) {
        engine_translate_close(g);
        return e->code ? rc : err_set(e, rc, "the translator cannot start");
    }
    *engine = g;
    return 0;
}

/*
 * All vCPUs flush before their next instruction; returns when they have.  A vCPU's thread
 * that asks counts as stopped: it neither acknowledges nor holds up the emptying of the cache.
 */
static void engine_flush_all(struct engine *g)
{
    struct vcpu *self = glue_vcpu && glue_vcpu->engine == g ? glue_vcpu : NULL;
    u32 number[MAX_VCPUS] = { 0 };

    pthread_mutex_lock(&g->lock); /* the thread that makes traces is behind the change too */
    pthread_mutex_unlock(&g->lock);
    pthread_mutex_lock(&g->cpus);
    if (self)
        vcpu_step_out(self);
    for (u32 i = 0; i < MAX_VCPUS; i++) {
        struct vcpu *v = g->vcpu[i];

        if (!v)
            continue;
        number[i] = atomic_fetch_add(&v->asked, 1) + 1;
        if (v->inside)
            vcpu_poke(v);
    }
    for (u32 i = 0; i < MAX_VCPUS; i++) {
        struct vcpu *v = g->vcpu[i];

        while (v && v->inside && (i32)(atomic_load(&v->done) - number[i]) < 0)
            pthread_cond_wait(&g->parked, &g->cpus);
    }
    if (self)
        vcpu_step_in(self);
    pthread_mutex_unlock(&g->cpus);
}

static int engine_translate_slots(void *engine, const struct mem_slot *all, u32 n, struct err *e)
{
    struct engine *g = engine;
    int rc = x86_memory_set(&g->mem, all, n, e);

    if (rc)
        return rc;
    engine_flush_all(g);
    return 0;
}

static int engine_translate_dirty(void *engine, const struct mem_slot *s, u64 *bitmap)
{
    struct engine *g = engine;
    int rc = x86_memory_dirty(&g->mem, s, bitmap);

    engine_flush_all(g); /* the next store to each page is seen again */
    return rc;
}

static void engine_translate_forget(void *engine, u64 gpa, u64 len)
{
    cache_wrote(engine, gpa, len);
}

/*
 * A vCPU's tables in large pages: translated code looks in them all the time, all over.  NULL:
 * no memory.
 */
enum { LARGE = 2 << 20 };
static const size_t vcpu_size = (sizeof(struct vcpu) + PAGE - 1) & -(size_t)PAGE;

static struct vcpu *vcpu_alloc(void)
{
    u8 *p = mmap(NULL, vcpu_size + LARGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t before = -(uintptr_t)p & (LARGE - 1);

    if (p == MAP_FAILED)
        return NULL;
    if (before)
        munmap(p, before);
    munmap(p + before + vcpu_size, LARGE - before);
    madvise(p + before, vcpu_size, MADV_HUGEPAGE);
    return (struct vcpu *)(void *)(p + before);
}

static int engine_translate_cpu_open(void *engine, u32 index, const struct cpu_io *io,
                                     struct vcpu **out, struct err *e)
{
    struct engine *g = engine;
    struct vcpu *v;
    int rc;

    if (index >= MAX_VCPUS || g->vcpu[index])
        return err_set(e, -EINVAL, "vCPU %u cannot be opened", index);
    v = vcpu_alloc();
    if (!v)
        return err_set(e, -errno, "no memory for vCPU %u", index);
    v->engine = g;
    v->self = v;
    v->stats.stamp = __builtin_ia32_rdtsc();
    vcpu_io(v, io);
    rc = x86_cpu_init(&v->c, index, &v->io, &g->mem, g->options.tsc_hz, e);
    if (!rc && g->options.check)
        rc = check_new(v);
    if (!rc)
        rc = direct_open(v);
    if (rc) {
        munmap(v, vcpu_size);
        return rc;
    }
    v->c.hooks = &g->hooks;
    v->c.tsc_slow = g->options.tsc_slow;
    v->c.amd = g->options.amd;
    v->c.apic_ids = g->options.apic_ids ? g->options.apic_ids : 1;
    tlb_init(v);
    trace_init(v);
    v->cpuid_used = true;
    cpuid_forget(v);
    pthread_mutex_lock(&g->lock);
    g->vcpu[index] = v;
    g->nvcpu++;
    pthread_mutex_unlock(&g->lock);
    *out = v;
    return 0;
}

static void engine_translate_cpu_close(struct vcpu *v)
{
    struct engine *g = v->engine;

    pthread_mutex_lock(&g->lock);
    g->vcpu[v->c.index] = NULL;
    g->nvcpu--;
    pthread_mutex_unlock(&g->lock);
    direct_close(v);
    check_free(v);
    x86_cpu_fini(&v->c);
    munmap(v, vcpu_size);
}

static void engine_gs(u64 base)
{
    if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)
        __asm__ volatile("wrgsbase %0" ::"r"(base));
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

static enum stop engine_translate_run(struct vcpu *v, struct err *e)
{
    struct engine *g = v->engine;

    pthread_mutex_lock(&g->cpus);
    vcpu_step_in(v);
    pthread_mutex_unlock(&g->cpus);

    glue_vcpu = v;
    engine_gs((u64)(uintptr_t)v);
    v->stop = STOP_KICKED;
    tier_set(v, TIER_C);
    glue_enter(v);
    tier_set(v, TIER_OUT);
    engine_gs(0);
    glue_vcpu = NULL;

    pthread_mutex_lock(&g->cpus);
    vcpu_step_out(v);
    pthread_mutex_unlock(&g->cpus);
    if (v->stop == STOP_BROKEN)
        err_set(e, -EFAULT, "translated code faulted at guest rip %#llx",
                (unsigned long long)v->c.s.rip);
    return v->stop;
}

static void engine_translate_kick(struct vcpu *v)
{
    vcpu_poke(v);
}

static int engine_translate_get(struct vcpu *v, struct x86_state *s)
{
    *s = v->c.s;
    return 0;
}

static int engine_translate_set(struct vcpu *v, const struct x86_state *s)
{
    int r = x86_state_check(s, NULL);

    if (r)
        return r;
    v->c.s = *s;
    vcpu_loaded(v);
    x86_flush(&v->c, FLUSH_ALL, 0);
    return 0;
}

static void engine_translate_stats(void *engine,
                                   void (*one)(void *arg, const struct engine_stat *s), void *arg)
{
    stats_show(engine, one, arg);
}

const struct engine_ops engine_translate = {
    .name = "translate",
    .probe = engine_translate_probe,
    .open = engine_translate_open,
    .close = engine_translate_close,
    .slots = engine_translate_slots,
    .dirty = engine_translate_dirty,
    .forget = engine_translate_forget,
    .cpu_open = engine_translate_cpu_open,
    .cpu_close = engine_translate_cpu_close,
    .run = engine_translate_run,
    .kick = engine_translate_kick,
    .get = engine_translate_get,
    .set = engine_translate_set,
    .stats = engine_translate_stats,
};
