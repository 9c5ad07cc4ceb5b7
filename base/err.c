/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors: a number for the program, a sentence for the person. */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_at(struct err *e, const char *where, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    e->where = where;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return code;
}

int err_in(struct err *e, const char *fmt, ...)
{
    char front[sizeof(e->text)];
    va_list ap;
    size_t n, rest;

    if (!e)
        return 0;
    va_start(ap, fmt);
    vsnprintf(front, sizeof(front), fmt, ap);
    va_end(ap);
    n = strlen(front);
    rest = sizeof(e->text) - n - 1;
    memmove(e->text + n, e->text, strnlen(e->text, rest) + 1);
    e->text[sizeof(e->text) - 1] = 0;
    memcpy(e->text, front, n);
    return e->code;
}
