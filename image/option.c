/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be asked for when an image is made, "name=value,name=value", against its format's table. */
#include "image/image_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPTION_TEXT 256

static const struct image_option *option_find(const struct image_format *f, const char *name,
                                              size_t n)
{
    for (const struct image_option *o = f->options; o && o->name; o++)
        if (strlen(o->name) == n && !strncasecmp(o->name, name, n))
            return o;
    return NULL;
}

/* Values in capitals stand for anything of that kind; else the value is one of the words. */
static bool option_fits(const struct image_option *o, const char *value, size_t n)
{
    const char *w = o->values;

    if (*w >= 'A' && *w <= 'Z' && !strchr(w, ' '))
        return n > 0;
    while (*w) {
        size_t len = strcspn(w, " ");

        if (len == n && !strncasecmp(w, value, n))
            return true;
        w += len + (w[len] == ' ');
    }
    return false;
}

static void option_names(const struct image_format *f, char *to, size_t room)
{
    size_t at = 0;

    to[0] = 0;
    for (const struct image_option *o = f->options; o && o->name && at < room; o++)
        at += (size_t)snprintf(to + at, room - at, "%s%s", at ? ", " : "", o->name);
}

int image_options_check(const struct image_format *f, const char *text, struct err *e)
{
    char names[200];

    for (const char *p = text; p && *p;) {
        size_t n = strcspn(p, ","), k = strcspn(p, "=");
        const struct image_option *o = k < n ? option_find(f, p, k) : NULL;

        option_names(f, names, sizeof(names));
        if (!o)
            return err_set(e, -EINVAL, "%s: no option \"%.*s\"; it has: %s", f->name,
                           (int)min_u64(n, 40), p, names[0] ? names : "none");
        if (n - k - 1 >= OPTION_TEXT || !option_fits(o, p + k + 1, n - k - 1))
            return err_set(e, -EINVAL, "%s: %s cannot be \"%.*s\"; expected %s", f->name, o->name,
                           (int)min_u64(n - k - 1, 40), p + k + 1, o->values);
        p += n + (p[n] == ',');
    }
    return 0;
}

const char *image_option(const struct image_format *f, const struct image_make *how,
                         const char *name, char *room, size_t n)
{
    const struct image_option *o = option_find(f, name, strlen(name));

    room[0] = 0;
    if (o && strchr(o->values, ' ')) /* a choice: its first word is the default */
        snprintf(room, n, "%.*s", (int)strcspn(o->values, " "), o->values);
    for (const char *p = how->options; p && *p;) {
        size_t len = strcspn(p, ","), k = strcspn(p, "=");

        if (k < len && strlen(name) == k && !strncasecmp(p, name, k))
            snprintf(room, n, "%.*s", (int)(len - k - 1), p + k + 1);
        p += len + (p[len] == ',');
    }
    return room;
}

bool image_option_takes(const struct image_format *f, const char *name, const char *value)
{
    const struct image_option *o = option_find(f, name, strlen(name));

    return o && !strchr(value, ',') && strlen(value) < OPTION_TEXT &&
           option_fits(o, value, strlen(value));
}

bool image_option_said(const char *options, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = options; p && *p; p += *p == ',') {
        if (!strncasecmp(p, name, n) && p[n] == '=')
            return true;
        p += strcspn(p, ",");
    }
    return false;
}
