/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile guest's tools: what they tell, and what they answer to jobs (VIX, HGFS). */
#include "backend/vmtools.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void nothing(void *arg)
{
}

static int fuzz_take(void *arg, u8 *p, u32 room)
{
    u32 *left = arg, n = (u32)min_u64(*left, room);

    memset(p, 'x', n);
    *left -= n;
    return (int)n;
}

static int fuzz_give(void *arg, u32 stream, const u8 *p, u32 n)
{
    u8 sum = 0;

    for (u32 i = 0; i < n; i++) /* every byte is there */
        sum ^= p[i];
    return sum == 0xee ? -1 : 0;
}

static void fuzz_done(void *arg, int r, const char *text, u32 status)
{
}

static void fuzz_start(struct agent *a, u32 n, u32 *left)
{
    static const char *const argv[] = { "true", NULL };
    struct agent_ask ask = { .verb = n % AGENT_VERBS,
                             .user = n & 16 ? "root" : "user",
                             .password = "x",
                             .path = "/tmp/x",
                             .argv = argv,
                             .take = n & 32 ? fuzz_take : NULL,
                             .give = fuzz_give,
                             .done = fuzz_done,
                             .arg = left };
    struct err e;

    *left = n & 64 ? 100000 : 5;
    agent_start(a, &ask, NULL, &e);
}

static void fuzz_step(struct vmtools *t, struct agent *a, struct loop *l, u32 op, const u8 *p,
                      u32 n, u32 *left)
{
    static u8 to[VMTOOLS_MESSAGE];

    switch (op % 6) {
    case 0:
        vmtools_rpci(t, p, n, to);
        break;
    case 1:
    case 2:
        vmtools_tclo_answer(t, op & 1, p, n);
        break;
    case 3:
        vmtools_tclo_next(t, op & 1, to);
        break;
    case 4:
        fuzz_start(a, op / 6, left);
        break;
    case 5:
        vmtools_tclo_open(t, op & 1);
        vmtools_tclo_next(t, op & 1, to);
        vmtools_tclo_answer(t, op & 1, (const u8 *)"OK ATR toolbox", 14);
        vmtools_rpci(t, (const u8 *)"tools.capability.statechange", 28, to);
        break;
    }
    loop_post(l, nothing, NULL);
    loop_once(l);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct vmtools_make make = { .cpu_mhz = 1000, .memory_mib = 64 };
    struct vmtools *t;
    struct agent *a;
    struct loop *l;
    struct err e;
    u32 left = 0;

    log_level_set(LOG_ERROR);
    if (loop_new(&l, &e) || agent_new(&a, l, &e))
        abort();
    make.agent = a;
    if (vmtools_new(&t, &make, &e))
        abort();
    while (c.at < c.len) {
        u32 op = get_u8(&c), n = get_u8(&c);
        const u8 *p;

        n = (u32)min_u64(n, c.len - c.at);
        p = cursor_take(&c, n);
        fuzz_step(t, a, l, op, p, n, &left);
    }
    vmtools_free(t);
    agent_free(a);
    loop_free(l);
    return 0;
}
