/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option tables: parsing, help, manual pages, completion. */
#include "cmd/opt.h"
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
    case OPT_LIST:
        if (l->n == OPT_LIST_MAX)
            return err_set(e, -EINVAL, "--%s: at most %d times", o->name, OPT_LIST_MAX);
        l->v[l->n++] = val;
        return 0;
    }
    return err_set(e, -EINVAL, "%s: --%s has no kind", c->name, o->name);
}

int opt_parse(const struct command *c, int argc, char **argv, void *to, struct opt_list *operands,
              struct err *e)
{
    bool ended = false;

    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *eq = strchr(a, '=');
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
        o = a[1] == '-' ? opt_find(c, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2)) : NULL;
        if (!o)
            return err_set(e, -EINVAL, "mimic %s has no option %s; see mimic %s --help", c->name, a,
                           c->name);
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

void opt_help(const struct command *c, FILE *f)
{
    fprintf(f, "usage: mimic %s [options] %s\n\n%s.\n", c->name, c->args, c->about);
    if (c->text)
        fprintf(f, "\n%s\n", c->text);
    if (c->nopts)
        fprintf(f, "\noptions:\n");
    for (u32 i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];
        char left[64];

        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(f, "  %-24s %s", left, o->help);
        if (o->choices)
            fprintf(f, " (%s)", o->choices);
        fputc('\n', f);
    }
    fprintf(f, "  %-24s %s\n", "--help", "this text");
    if (c->examples)
        fprintf(f, "\nexamples:\n%s", c->examples);
}

/* Text for troff: no line may start with a dot, no backslash may act. */
static void opt_troff(FILE *f, const char *s)
{
    bool start = true;

    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", f);
        if (*s == '\\')
            fputs("\\e", f);
        else if (*s == '-')
            fputs("\\-", f);
        else
            fputc(*s, f);
        start = *s == '\n';
    }
}

void opt_manual(const struct command *c, FILE *f)
{
    fprintf(f, ".TH MIMIC-%s 1 \"\" Mimic\n.SH NAME\nmimic-%s \\- ", c->name, c->name);
    opt_troff(f, c->about);
    fprintf(f, "\n.SH SYNOPSIS\n.B mimic %s\n[options] %s\n.SH DESCRIPTION\n", c->name, c->args);
    opt_troff(f, c->about);
    fputs(".\n", f);
    if (c->text) {
        fputs(".PP\n", f);
        opt_troff(f, c->text);
        fputc('\n', f);
    }
    fputs(".SH OPTIONS\n", f);
    for (u32 i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];

        fprintf(f, ".TP\n.BI \\-\\-%s", o->name);
        fprintf(f, "%s%s\n", o->arg ? " \" \" " : "", o->arg ? o->arg : "");
        opt_troff(f, o->help);
        if (o->choices)
            fprintf(f, " (%s)", o->choices);
        fputc('\n', f);
    }
    fputs(".TP\n.B \\-\\-help\nShow this text.\n", f);
    fputs(
        ".SH EXIT STATUS\n0 done; 64 wrong command line; 65 a package or image is damaged or not\n"
        "supported; 66 a file is not there; 70 the guest crashed; 71 the host lacks something;\n"
        "75 stopped without a clean power off.\n",
        f);
    if (c->examples) {
        fputs(".SH EXAMPLES\n.nf\n", f);
        opt_troff(f, c->examples);
        fputs(".fi\n", f);
    }
}

void opt_completion_bash(FILE *f)
{
    fputs("_mimic() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W \"",
          f);
    for (u32 i = 0; commands[i]; i++)
        fprintf(f, "%s ", commands[i]->name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n    case \"${COMP_WORDS[1]} $prev\" in\n", f);
    for (u32 i = 0; commands[i]; i++)
        for (u32 k = 0; k < commands[i]->nopts; k++)
            if (commands[i]->opts[k].choices)
                fprintf(
                    f, "    \"%s --%s\") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                    commands[i]->name, commands[i]->opts[k].name, commands[i]->opts[k].choices);
    fputs("    esac\n    case \"$cur\" in\n    -*) case \"${COMP_WORDS[1]}\" in\n", f);
    for (u32 i = 0; commands[i]; i++) {
        fprintf(f, "        %s) COMPREPLY=($(compgen -W \"--help", commands[i]->name);
        for (u32 k = 0; k < commands[i]->nopts; k++)
            fprintf(f, " --%s", commands[i]->opts[k].name);
        fputs("\" -- \"$cur\")) ;;\n", f);
    }
    fputs("        esac ;;\n    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\n"
          "complete -o filenames -F _mimic mimic\n",
          f);
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
        return EXIT_DATA;
    default:
        return EXIT_SYSTEM;
    }
}
