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

static void progress_time(char *to, size_t n, double seconds)
{
    unsigned s = seconds > 359999 ? 359999 : (unsigned)(seconds + 0.5);

    if (s < 100)
        snprintf(to, n, "%u s", s);
    else if (s < 6000)
        snprintf(to, n, "%u min %02u s", s / 60, s % 60);
    else
        snprintf(to, n, "%u h %02u min", s / 3600, s / 60 % 60);
}

/* The name, and no more than fits in a line with the rest. */
static void progress_draw(const struct progress *p, u64 done, u64 total, i64 now)
{
    double seconds = (double)(now - p->started) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    double part = total ? (double)min_u64(done, total) / (double)total : 0;
    int filled = (int)(part * PROGRESS_BAR + 0.5);
    char bar[PROGRESS_BAR + 1], left[32];

    if (!total) { /* a pipe: nobody knows how much will come */
        progress_time(left, sizeof(left), seconds);
        fprintf(stderr, "\r\033[K%.24s %.1f MiB  %.0f MiB/s  %s", p->what, (double)done / 1048576,
                rate / 1048576, left);
        fflush(stderr);
        return;
    }
    memset(bar, '.', PROGRESS_BAR);
    memset(bar, '#', (size_t)filled);
    bar[PROGRESS_BAR] = 0;
    fprintf(stderr, "\r\033[K%.24s [%s] %3.0f %%  %.0f MiB/s", p->what, bar, part * 100,
            rate / 1048576);
    if (rate > 0 && total > done && seconds > 0.5) {
        progress_time(left, sizeof(left), (double)(total - done) / rate);
        fprintf(stderr, "  %s left", left);
    }
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
