/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A description into a package, and a package into another. */
#include "package/sink.h"
#include "package/source.h"
#include "package/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* "ova" is as good a name as "ovf": a suffix without its dot. */
static bool write_is_called(const struct package_format *f, const char *format)
{
    return !strcmp(f->name, format) || (f->archive && !strcmp(f->archive + 1, format)) ||
           (f->folder && !strcmp(f->folder + 1, format)) ||
           (f->suffix && !strcmp(f->suffix + 1, format));
}

const struct package_format *package_writer(const char *path, const char *format)
{
    const struct package_format *best = NULL;

    for (int i = 0; package_catalog[i]; i++) {
        const struct package_format *f = package_catalog[i];

        if (!f->write)
            continue;
        if (format ? write_is_called(f, format)
                   : (f->archive && source_has_suffix(path, f->archive)) ||
                         (f->folder && source_has_suffix(path, f->folder)) ||
                         (f->suffix && source_has_suffix(path, f->suffix)))
            best = best ? best : f;
    }
    return best;
}

static const struct package_format *write_format(const char *path, const struct package_options *o,
                                                 struct err *e)
{
    const struct package_format *f = package_writer(path, o->format);
    bool known = false;

    if (f)
        return f;
    for (int i = 0; o->format && package_catalog[i]; i++)
        known |= !strcmp(package_catalog[i]->name, o->format);
    if (known)
        err_set(e, -EOPNOTSUPP, "%s: packages of this format are read, not written", o->format);
    else if (o->format)
        err_set(e, -EINVAL, "%s: is no format of packages; mimic list tells them", o->format);
    else
        err_set(e, -EINVAL, "%s: its name does not tell a package's format; --format does", path);
    return NULL;
}

int package_target(const char *path, const struct package_options *o, struct err *e)
{
    if (!write_format(path, o, e))
        return e->code;
    if (strcmp(path, "-") && !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW))
        return err_set(e, -EEXIST, "%s: exists already", path);
    return 0;
}

/* In strict mode the first thing that is lost ends it. */
static int write_strict(const struct package_options *o, const struct notes *n, struct err *e)
{
    for (const struct note *k = o->strict ? n->first : NULL; k; k = k->next)
        if (k->kind == NOTE_LOST)
            return err_set(e, -EOPNOTSUPP, "would be lost: %s: %s", k->where, k->text);
    return 0;
}

static int write_into(const char *path, const struct package_format *f,
                      const struct package_options *o, const struct desc *d, struct notes *n,
                      struct err *e)
{
    struct sink *s;
    int r = sink_open(&s, path, f, o, e);

    if (r)
        return r;
    r = f->write(d, s, n, e);
    if (!r && stream_is_open())
        r = stream_verify(o, n, e);
    r = r ? r : write_strict(o, n, e);
    stream_end();
    if (r)
        sink_drop(s);
    else
        r = sink_commit(s, e);
    return r;
}

int package_try(const struct package_options *o, const struct desc *d, struct notes *n,
                struct err *e)
{
    return package_write("", o, d, n, e);
}

int package_write(const char *path, const struct package_options *o, const struct desc *d,
                  struct notes *n, struct err *e)
{
    const struct package_format *f = write_format(path, o, e);
    struct notes own = { 0 };
    struct desc one;
    int r;

    if (!f)
        return e->code;
    while (o->vm && d && strcmp(d->name, o->vm))
        d = d->next;
    if (!d)
        return err_set(e, -ENOENT, "there is no VM \"%s\" in it", o->vm);
    one = *d;
    if (o->vm)
        one.next = NULL;
    r = write_into(path, f, o, &one, n ? n : &own, e);
    notes_fini(&own);
    return r;
}

int package_convert(const char *from, const char *to, const struct package_options *o,
                    struct notes *n, struct err *e)
{
    struct desc d;
    int r;

    desc_init(&d);
    r = package_open(from, o, &d, n, e);
    r = r ? r : package_write(to, o, &d, n, e);
    desc_fini(&d);
    return r;
}
