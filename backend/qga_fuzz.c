/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile agent behind a serial port: its lines, jobs under way. */
#include "backend/qga.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

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

    for (u32 i = 0; i < n; i++)
        sum ^= p[i];
    return sum == 0xee ? -1 : 0;
}

static void fuzz_done(void *arg, int r, const char *text, u32 status)
{
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const char greeting[] =
        "\xff{\"return\":1}\n"
        "{\"return\":{\"version\":\"1\",\"supported_commands\":["
        "{\"name\":\"guest-exec\",\"enabled\":true},{\"name\":\"guest-shutdown\",\"enabled\":true},"
        "{\"name\":\"guest-fsfreeze-freeze\",\"enabled\":true},"
        "{\"name\":\"guest-file-read\",\"enabled\":true},"
        "{\"name\":\"guest-file-write\",\"enabled\":true}]}}\n";
    static const char *const argv[] = { "true", NULL };
    u32 left = size && data[0] & 0x80 ? 300000 : 3;
    struct agent_ask ask = { .path = "/x",
                             .argv = argv,
                             .take = fuzz_take,
                             .give = fuzz_give,
                             .done = fuzz_done,
                             .arg = &left };
    struct agent *a;
    struct loop *l;
    struct err e;
    struct qga *q;

    log_level_set(LOG_ERROR);
    if (loop_new(&l, &e) || agent_new(&a, l, &e) || qga_new(&q, a, &e))
        abort();
    if (size && data[0] & 1) {
        qga_hear(q, (const u8 *)greeting, sizeof(greeting) - 1);
        for (u32 i = 0; i < 6; i++) /* what it is asked of the guest itself comes first */
            if (data[0] & 2)
                qga_hear(q, (const u8 *)"{\"return\":{}}\n", 14);
        ask.verb = data[0] >> 2 & 15;
        if (ask.verb < AGENT_VERBS)
            agent_start(a, &ask, NULL, &e);
    }
    if (size)
        qga_hear(q, data + 1, (u32)size - 1);
    qga_free(q);
    agent_free(a);
    loop_free(l);
    return 0;
}
