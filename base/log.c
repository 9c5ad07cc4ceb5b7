/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines on standard error, one write each. */
#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const log_names[] = { "error", "warn", "info", "debug" };
static int log_now = -1;

void log_level_set(enum log_level level)
{
    log_now = (int)level;
}

bool log_on(enum log_level level)
{
    if (log_now < 0) {
        const char *want = getenv("MIMIC_LOG");

        log_now = LOG_WARN;
        for (size_t i = 0; want && i < LEN(log_names); i++)
            if (!strcmp(want, log_names[i]))
                log_now = (int)i;
    }
    return (int)level <= log_now;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    int n, m;

    if (!log_on(level))
        return;
    n = snprintf(line, sizeof(line), "mimic: %s: ", log_names[level]);
    va_start(ap, fmt);
    m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += m < 0 ? 0 : m;
    if ((size_t)n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (write(2, line, (size_t)n) < 0)
        return; /* nobody is left to tell */
}
