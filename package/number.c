/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers in the texts of packages. */
#include "package/number.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

bool number_decimal(const char *text, u64 *v)
{
    char *end;

    errno = 0;
    *v = strtoull(text, &end, 10);
    return isdigit((u8)*text) && !*end && !errno;
}

int number_said(const char *text, const char *file, const char *name, u64 most, u64 *v,
                struct err *e)
{
    if (!*text)
        return 0;
    if (!number_decimal(text, v) || *v > most)
        return err_set(e, -EBADMSG, "%s: %s: \"%.40s\" is not a number up to %llu", file, name,
                       text, (unsigned long long)most);
    return 0;
}
