/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option tables: parsing, and the commands of a group. */
#include "cmd/opt.h"
#include "cmd/near.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct opt *opt_find(const struct command *c, const char *name, size_t n)
{
    for (u32 i = 0; i < c->nopts; i++)
        if (strlen(c->opts[i].name) == n && !memcmp(c->opts[i].name, name, n))
            return &c->opts[i];
    return NULL;
}

static int opt_number(const char *text, u64 unit, u64 *val)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    *val = strtoull(text, &end, 0);
    if (errno)
        return -EINVAL;
    if (unit > 1 && *end) {
        static const char letters[] = "KMGT";
        const char *l = strchr(letters, *end & ~0x20);

        if (!l)
            return -EINVAL;
        unit = (u64)1024 << (10 * (l - letters));
        end++;
        if (*end == 'i' && end[1] == 'B')
            end += 2;
    }
    return *end || !mul_ok(val, *val, unit) ? -EINVAL : 0;
}

/* 1.5T: the part behind the point is exact where it fits in bytes. */
int opt_size(const char *text, u64 *bytes)
{
    static const char letters[] = "KMGTPE";
    u64 unit = 1, whole = 0, part = 0, scale = 1;
    const char *p = text, *l;

    for (; *p >= '0' && *p <= '9'; p++)
        if (!mul_ok(&whole, whole, 10) || !add_ok(&whole, whole, (u64)(*p - '0')))
            return -EINVAL;
    if (p == text)
        return -EINVAL;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9' && scale < 1000000; p++, scale *= 10)
            part = part * 10 + (u64)(*p - '0');
    if (*p && (l = strchr(letters, *p & ~0x20)) && *l) {
        unit = (u64)1024 << (10 * (l - letters));
        p++;
        if (*p == 'i' && p[1] == 'B')
            p += 2;
        else if (*p == 'B')
            p++;
    }
    if (*p || (scale > 1 && unit == 1) || !mul_ok(bytes, whole, unit))
        return -EINVAL;
    part = (u64)((unsigned __int128)unit * part / scale);
    return add_ok(bytes, *bytes, part) ? 0 : -EINVAL;
}

static bool opt_is_choice(const char *choices, const char *val)
{
    size_t n = strlen(val);

    for (const char *p = choices; p && n; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL)
        if (!strncmp(p, val, n) && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static int opt_take(const struct command *c, const struct opt *o, const char *val, void *to,
                    struct err *e)
{
    void *at = (u8 *)to + o->at;
    struct opt_list *l = at;

    if (o->choices && !opt_is_choice(o->choices, val))
        return err_set(e, -EINVAL, "--%s %s: expected one of: %s", o->name, val, o->choices);
    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)at = true;
        return 0;
    case OPT_TEXT:
        *(const char **)at = val;
        return 0;
    case OPT_NUMBER:
    case OPT_MIB:
        if (opt_number(val, o->kind == OPT_MIB ? 1024 * 1024 : 1, at))
            return err_set(e, -EINVAL, "--%s %s: expected a number%s", o->name, val,
                           o->kind == OPT_MIB ? " of MiB, or one with K, M, G or T" : "");
        return 0;
    case OPT_SIZE:
        if (opt_size(val, at))
            return err_set(e, -EINVAL, "--%s %s: expected a size, such as 512, 64K, 10G or 1.5T",
                           o->name, val);
        return 0;
    case OPT_LIST:
        if (l->n == OPT_LIST_MAX)
            return err_set(e, -EINVAL, "--%s: at most %d times", o->name, OPT_LIST_MAX);
        l->v[l->n++] = val;
        return 0;
    }
    return err_set(e, -EINVAL, "%s: --%s has no kind", c->name, o->name);
}

static const struct opt *opt_letter(const struct command *c, const char *a)
{
    for (u32 i = 0; a[1] && !a[2] && i < c->nopts; i++)
        if (c->opts[i].letter == a[1])
            return &c->opts[i];
    return NULL;
}

static int opt_unknown(const struct command *c, const char *a, struct err *e)
{
    const char *name = a + strspn(a, "-");
    struct near near;
    char hint[64];

    near_start(&near, name, strcspn(name, "="));
    for (u32 i = 0; i < c->nopts; i++)
        near_offer(&near, c->opts[i].name);
    return err_set(e, -EINVAL, "there is no option %.*s%s; see mimic %s --help",
                   (int)strcspn(a, "="), a, near_hint(&near, "--", hint, sizeof(hint)), c->name);
}

int opt_parse(const struct command *c, int argc, char **argv, void *to, struct opt_list *operands,
              struct err *e)
{
    bool ended = false;

    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *eq = a[0] == '-' && a[1] == '-' ? strchr(a, '=') : NULL;
        const struct opt *o;
        const char *val = NULL;

        if (!ended && !strcmp(a, "--")) {
            ended = true;
            continue;
        }
        if (ended || a[0] != '-' || !a[1]) {
            if (operands->n == OPT_LIST_MAX)
                return err_set(e, -EINVAL, "%s: too many operands", c->name);
            operands->v[operands->n++] = a;
            continue;
        }
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            opt_help(c, stdout);
            return 1;
        }
        o = a[1] == '-' ? opt_find(c, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2))
                        : opt_letter(c, a);
        if (!o)
            return opt_unknown(c, a, e);
        if (o->kind != OPT_FLAG) {
            val = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!val)
                return err_set(e, -EINVAL, "--%s needs %s", o->name, o->arg);
        } else if (eq) {
            return err_set(e, -EINVAL, "--%s takes no value", o->name);
        }
        if (opt_take(c, o, val, to, e))
            return e->code;
    }
    return 0;
}

const struct command *opt_sub(const struct command *c, const char *word)
{
    for (u32 i = 0; c->subs && c->subs[i]; i++)
        if (!strcmp(strchr(c->subs[i]->name, ' ') + 1, word))
            return c->subs[i];
    return NULL;
}

int opt_run_sub(const struct command *c, int argc, char **argv)
{
    const struct command *sub = argc > 1 ? opt_sub(c, argv[1]) : NULL;
    struct near near;
    char hint[64];

    if (sub)
        return sub->run(argc - 1, argv + 1);
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        opt_help(c, stdout);
        return EXIT_DONE;
    }
    if (argc < 2) {
        opt_help(c, stderr);
        return EXIT_USE;
    }
    near_start(&near, argv[1], strlen(argv[1]));
    for (u32 i = 0; c->subs[i]; i++)
        near_offer(&near, strchr(c->subs[i]->name, ' ') + 1);
    fprintf(stderr, "mimic %s: there is no command \"%s\"%s; mimic %s --help lists them\n", c->name,
            argv[1], near_hint(&near, "", hint, sizeof(hint)), c->name);
    return EXIT_USE;
}

int exit_code(int err)
{
    switch (err) {
    case 0:
        return EXIT_DONE;
    case -ENOENT:
        return EXIT_NOFILE;
    case -EINVAL:
    case -EBADMSG:
    case -EOPNOTSUPP:
    case -ELOOP:
    case -EPROTO:
    case -EMEDIUMTYPE:
    case -ESTALE:
    case -EXDEV:
    case -EFBIG:
    case -EROFS:
        return EXIT_DATA;
    case -EEXIST:
        return EXIT_EXISTS;
    case -ECANCELED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_SYSTEM;
    }
}
