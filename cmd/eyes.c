/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic run --stats, --perf-map and --trace: what people want to know of the engine. */
#include "cmd/eyes.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EYES_TERMINAL = 50 }; /* blocks on a terminal when nobody said how many */

/* ---- files ---- */

/* /tmp/perf-PID.map, where perf looks for it: ours alone, whatever was there. */
static FILE *eyes_perf_map(struct err *e)
{
    char path[64];
    FILE *f = NULL;
    int fd;

    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        f = fdopen(fd, "w");
    if (!f)
        err_set(e, -errno, "%s: %s", path, strerror(errno));
    return f;
}

static FILE *eyes_open(const char *path, const char *how, struct err *e)
{
    FILE *f = fopen(path, how);

    if (!f)
        err_set(e, -errno, "%s: %s", path, strerror(errno));
    return f;
}

/* "ffffffff81000000-ffffffff82000000"; either may be left out */
static int eyes_range(const char *text, u64 *from, u64 *to, struct err *e)
{
    const char *dash = strchr(text, '-');
    char *end;

    *from = *to = 0;
    if (!dash || (dash == text && !dash[1]))
        goto wrong;
    if (dash != text) {
        *from = strtoull(text, &end, 16);
        if (end != dash)
            goto wrong;
    }
    if (dash[1]) {
        *to = strtoull(dash + 1, &end, 16);
        if (*end || *to <= *from)
            goto wrong;
    }
    return 0;
wrong:
    return err_set(e, -EINVAL,
                   "--trace-range %s: expected FROM-TO, hexadecimal guest addresses; either may be "
                   "left out",
                   text);
}

static int eyes_trace(const struct eyes_options *o, struct engine_eyes *to, struct err *e)
{
    bool here = !strcmp(o->trace, "-");

    to->trace_count = o->trace_count;
    to->trace = here ? stderr : eyes_open(o->trace, "we", e);
    if (!to->trace)
        return e->code;
    if (here && !to->trace_count && isatty(2))
        to->trace_count = EYES_TERMINAL;
    return 0;
}

int eyes_start(const struct eyes_options *o, struct engine_eyes *to, struct err *e)
{
    int r = 0;

    *to = (struct engine_eyes){ .time = o->stats };
    if (!o->trace && (o->trace_range || o->trace_count))
        return err_set(e, -EINVAL, "--trace-range and --trace-count need --trace");
    if (o->symbols && !o->trace && !o->perf_map)
        return err_set(e, -EINVAL, "--symbols needs --perf-map or --trace");
    if (o->trace_range)
        r = eyes_range(o->trace_range, &to->from, &to->to, e);
    if (!r && o->symbols) {
        to->symbols = eyes_open(o->symbols, "re", e);
        r = to->symbols ? 0 : e->code;
    }
    if (!r && o->trace)
        r = eyes_trace(o, to, e);
    if (!r && o->perf_map) {
        to->perf_map = eyes_perf_map(e);
        r = to->perf_map ? 0 : e->code;
    }
    if (r)
        eyes_end(to);
    return r;
}

void eyes_end(struct engine_eyes *to)
{
    if (to->symbols)
        fclose(to->symbols);
    if (to->trace && to->trace != stderr)
        fclose(to->trace);
    if (to->perf_map)
        fclose(to->perf_map);
    *to = (struct engine_eyes){ 0 };
}

/* ---- counters ---- */

struct eyes_sum {
    u64 time;
    const char *group;
    json_t *json;
};

static void eyes_add_time(void *arg, const struct engine_stat *s)
{
    struct eyes_sum *sum = arg;

    if (s->unit == STAT_NS)
        sum->time += s->value;
}

static void eyes_show_one(void *arg, const struct engine_stat *s)
{
    struct eyes_sum *sum = arg;

    if (!sum->group || strcmp(sum->group, s->group) != 0)
        fprintf(stderr, "%s\n", s->group);
    sum->group = s->group;
    if (s->unit == STAT_NS)
        fprintf(stderr, "  %-32s %14.1f ms %5.1f %%\n", s->name, (double)s->value / 1e6,
                sum->time ? 100.0 * (double)s->value / (double)sum->time : 0.0);
    else if (s->unit == STAT_BYTES)
        fprintf(stderr, "  %-32s %14.1f KiB\n", s->name, (double)s->value / 1024);
    else
        fprintf(stderr, "  %-32s %14llu\n", s->name, (unsigned long long)s->value);
}

static void eyes_json_one(void *arg, const struct engine_stat *s)
{
    static const char *const suffix[] = { "", " (bytes)", " (ns)" };
    struct eyes_sum *sum = arg;
    json_t *group = json_object_get(sum->json, s->group);
    char name[96];

    if (!group) {
        group = json_object();
        json_object_set_new(sum->json, s->group, group);
    }
    snprintf(name, sizeof(name), "%s%s", s->name, suffix[s->unit]);
    json_object_set_new(group, name, json_integer((json_int_t)s->value));
}

void eyes_show_stats(struct vm *vm, bool json)
{
    struct eyes_sum sum = { 0 };

    if (!json) {
        vm_stats(vm, eyes_add_time, &sum);
        vm_stats(vm, eyes_show_one, &sum);
        return;
    }
    sum.json = json_object();
    vm_stats(vm, eyes_json_one, &sum);
    json_dumpf(sum.json, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(sum.json);
}
