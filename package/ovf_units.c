/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units of DSP0004 ("byte * 2^20") and what is written instead ("MegaBytes", "GB"). */
#include "package/ovf_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool units_word(const char *s, u64 *factor)
{
    static const struct {
        const char *name;
        u64 factor;
    } words[] = {
        { "byte", 1 },
        { "bytes", 1 },
        { "b", 1 },
        { "kilobytes", 1024 },
        { "kilobyte", 1024 },
        { "kb", 1024 },
        { "kib", 1024 },
        { "megabytes", 1 << 20 },
        { "megabyte", 1 << 20 },
        { "mb", 1 << 20 },
        { "mib", 1 << 20 },
        { "gigabytes", 1 << 30 },
        { "gigabyte", 1 << 30 },
        { "gb", 1 << 30 },
        { "gib", 1 << 30 },
        { "terabytes", 1ull << 40 },
        { "tb", 1ull << 40 },
        { "tib", 1ull << 40 },
    };
    size_t n = strcspn(s, " *");

    for (size_t i = 0; i < LEN(words); i++)
        if (strlen(words[i].name) == n && !strncasecmp(s, words[i].name, n)) {
            *factor = words[i].factor;
            return true;
        }
    return false;
}

/* What follows the word: " * 2^20", "*10^6", " * 1024", or nothing */
static bool units_times(const char *s, u64 *factor)
{
    while (isspace((u8)*s))
        s++;
    while (*s == '*') {
        u64 base, result = 1;
        unsigned long power = 1;
        char *end;

        base = strtoull(s + 1, &end, 10);
        if (*end == '^')
            power = strtoul(end + 1, &end, 10);
        if (power > 63)
            return false;
        for (unsigned long i = 0; i < power; i++)
            if (!mul_ok(&result, result, base))
                return false;
        if (!mul_ok(factor, *factor, result))
            return false;
        for (s = end; isspace((u8)*s); s++)
            ;
    }
    return !*s;
}

bool ovf_bytes(const char *number, const char *units, u64 unit, u64 *bytes)
{
    u64 factor = unit, n;
    char *end;

    while (isspace((u8)*number))
        number++;
    if (!isdigit((u8)*number))
        return false;
    errno = 0;
    n = strtoull(number, &end, 10);
    while (isspace((u8)*end))
        end++;
    if (errno || *end)
        return false;
    while (isspace((u8)*units))
        units++;
    if (*units &&
        (!units_word(units, &factor) || !units_times(units + strcspn(units, " *"), &factor)))
        return false;
    return mul_ok(bytes, n, factor);
}
