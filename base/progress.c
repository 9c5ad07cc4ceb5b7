/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A progress bar for long work on bytes. */
#include "base/progress.h"
#include "base/loop.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_BAR = 24 };

void progress_start(struct progress *p, const char *what)
{
    *p = (struct progress){ .what = what, .started = loop_now(), .on = isatty(2) };
}

static void progress_draw(const struct progress *p, u64 done, u64 total, i64 now)
{
    double seconds = (double)(now - p->started) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    double part = total ? (double)done / (double)total : 0;
    int filled = (int)(part * PROGRESS_BAR + 0.5);
    char bar[PROGRESS_BAR + 1];

    memset(bar, '.', PROGRESS_BAR);
    memset(bar, '#', (size_t)(filled > PROGRESS_BAR ? PROGRESS_BAR : filled));
    bar[PROGRESS_BAR] = 0;
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %%  %.0f MiB/s", p->what, bar, part * 100,
            rate / 1048576);
    if (rate > 0 && total > done)
        fprintf(stderr, "  %.0f s left", (double)(total - done) / rate);
    fflush(stderr);
}

void progress_show(struct progress *p, u64 done, u64 total)
{
    i64 now = loop_now();

    if (!p->on || (p->shown && now - p->drawn < 100000000))
        return;
    p->drawn = now;
    p->shown = true;
    progress_draw(p, done, total, now);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
