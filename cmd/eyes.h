/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_EYES_H
#define CMD_EYES_H
#include "vm/vm.h"

/* What mimic run is asked to tell about its engine: the options, and what they open. */
struct eyes_options {
    bool stats, perf_map;
    const char *symbols, *trace, *trace_range;
    u64 trace_count;
};

/* Opens the files; how->eyes is set. */
int eyes_start(const struct eyes_options *o, struct engine_eyes *to, struct err *e);
void eyes_end(struct engine_eyes *to);
/* The engine's counters to standard error: a table, or one JSON object. */
void eyes_show_stats(struct vm *vm, bool json);
#endif
