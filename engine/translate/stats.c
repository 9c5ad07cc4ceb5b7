/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator's counters as they are shown to people.  They are read while vCPUs run: a
 * number may be some events old, and the sums need not agree to the last one.
 */
#include "engine/translate/keep.h"
#include "engine/translate/sandbox.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

i64 stats_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct stats_to {
    const struct engine *g;
    struct vcpu_stats sum;
    void (*one)(void *arg, const struct engine_stat *s);
    void *arg;
};

static void stats_one(const struct stats_to *t, const char *group, const char *name,
                      enum stat_unit unit, u64 value)
{
    t->one(t->arg, &(struct engine_stat){ group, name, unit, value });
}

static void stats_add(struct vcpu_stats *sum, const struct vcpu_stats *s)
{
    const u64 *from = (const u64 *)(const void *)s; /* numbers, one after the other */
    u64 *to = (u64 *)(void *)sum, now = __builtin_ia32_rdtsc();

    for (size_t i = 0; i < offsetof(struct vcpu_stats, stamp) / sizeof(u64); i++)
        to[i] += from[i];
    if (now > s->stamp)
        sum->ticks[s->tier] += now - s->stamp;
}

static void stats_blocks(const struct stats_to *t)
{
    const struct engine *g = t->g;

    stats_one(t, "blocks", "made", STAT_COUNT, g->count_block);
    stats_one(t, "blocks", "guest instructions in them", STAT_COUNT, g->count_insn);
    stats_one(t, "blocks", "host code", STAT_BYTES, g->count_bytes);
    stats_one(t, "blocks", "dropped", STAT_COUNT, g->count_invalid);
    stats_one(t, "blocks", "traces made", STAT_COUNT, g->count_trace);
    stats_one(t, "blocks", "loops without a trace", STAT_COUNT, g->count_no_trace);
    stats_one(t, "blocks", "code cache in use", STAT_BYTES, g->used);
    stats_one(t, "blocks", "records", STAT_BYTES, g->record_bytes);
    stats_one(t, "blocks", "code cache emptied", STAT_COUNT, g->count_full);
}

static void stats_kept(const struct stats_to *t)
{
    struct keep_counts c;

    if (!t->g->keep)
        return;
    keep_stats(t->g->keep, &c);
    stats_one(t, "kept blocks", "there", STAT_COUNT, c.there);
    stats_one(t, "kept blocks", "used instead of translating", STAT_COUNT, c.used);
    stats_one(t, "kept blocks", "added", STAT_COUNT, c.added);
}

static void stats_exits(const struct stats_to *t)
{
    static const char *const name[WHY_KINDS] = {
        [WHY_MISS] = "TLB miss",
        [WHY_STEP] = "instruction not translated",
        [WHY_EXIT] = "jump linked for the first time",
        [WHY_INDIRECT] = "jump cache miss",
        [WHY_POLL] = "event waits",
        [WHY_STALE] = "code was changed",
        [WHY_HOT] = "loop is hot",
    };

    for (u32 i = 0; i < WHY_KINDS; i++)
        stats_one(t, "exits", name[i], STAT_COUNT, t->sum.why[i]);
    stats_one(t, "exits", "host fault", STAT_COUNT, t->sum.fault);
    stats_one(t, "exits", "events taken", STAT_COUNT, t->sum.event);
    stats_one(t, "exits", "ports", STAT_COUNT, t->sum.ports);
    stats_one(t, "exits", "device memory", STAT_COUNT, t->sum.mmio);
}

static void stats_misses(const struct stats_to *t)
{
    stats_one(t, "tlb misses", "filled for reads", STAT_COUNT, t->sum.miss[0]);
    stats_one(t, "tlb misses", "filled for writes", STAT_COUNT, t->sum.miss[1]);
    stats_one(t, "tlb misses", "no memory or no right", STAT_COUNT, t->sum.refused);
    stats_one(t, "tlb misses", "across two pages", STAT_COUNT, t->sum.across);
}

static u64 stats_tick_hz(const struct engine *g)
{
    u64 ticks = __builtin_ia32_rdtsc() - g->open_tsc;
    i64 ns = stats_now() - g->open_ns;

    return ns > 0 && ticks ? (u64)((unsigned __int128)ticks * 1000000000u / (u64)ns) : 1000000000u;
}

static void stats_time(const struct stats_to *t)
{
    static const char *const name[TIERS] = {
        [TIER_OUT] = "idle and stopped",
        [TIER_CODE] = "translated code",
        [TIER_DIRECT] = "user code run directly",
        [TIER_C] = "between (TLB, jumps, events)",
        [TIER_INTERPRET] = "interpreting",
        [TIER_TRANSLATE] = "translating",
        [TIER_DEVICE] = "devices",
    };
    u64 hz = stats_tick_hz(t->g);

    for (u32 i = 0; i < TIERS; i++)
        stats_one(t, "time", name[i], STAT_NS,
                  (u64)((unsigned __int128)t->sum.ticks[i] * 1000000000u / hz));
}

static void stats_direct(const struct stats_to *t)
{
    static const char *const name[] = {
        [SANDBOX_CALL] = "system calls",
        [SANDBOX_FAULT] = "faults",
        [SANDBOX_POKED] = "interrupted",
    };

    stats_one(t, "direct execution", "address spaces promoted", STAT_COUNT, t->sum.promoted);
    for (u32 i = 0; i < LEN(name); i++)
        stats_one(t, "direct execution", name[i], STAT_COUNT, t->sum.stop[i]);
}

/* What the interpreter did most. */
static void stats_steps(const struct stats_to *t)
{
    const u64 *step = t->sum.step;
    bool told[ZYDIS_MNEMONIC_MAX_VALUE + 1] = { false };

    for (u32 n = 0; n < 16; n++) {
        u32 most = 0;

        for (u32 i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++)
            if (!told[i] && (told[most] || step[i] > step[most]))
                most = i;
        if (!step[most])
            return;
        told[most] = true;
        stats_one(t, "interpreted", most ? ZydisMnemonicGetString((ZydisMnemonic)most) : "alone",
                  STAT_COUNT, step[most]);
    }
}

void stats_show(const struct engine *g, void (*one)(void *arg, const struct engine_stat *s),
                void *arg)
{
    struct stats_to t = { .g = g, .one = one, .arg = arg };

    for (u32 i = 0; i < MAX_VCPUS; i++)
        if (g->vcpu[i])
            stats_add(&t.sum, &g->vcpu[i]->stats);
    if (g->options.eyes.time)
        stats_time(&t);
    stats_blocks(&t);
    stats_kept(&t);
    stats_exits(&t);
    stats_misses(&t);
    stats_direct(&t);
    stats_steps(&t);
}
