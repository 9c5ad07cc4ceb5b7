/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is made from the option tables: help, manual pages, completion for bash. */
#include "cmd/opt.h"
#include <string.h>

static void opt_help_subs(const struct command *c, FILE *f)
{
    fprintf(f, "usage: mimic %s COMMAND [options] ...\n\n%s.\n", c->name, c->about);
    if (c->text)
        fprintf(f, "\n%s\n", c->text);
    fputs("\ncommands:\n", f);
    for (u32 i = 0; c->subs[i]; i++)
        fprintf(f, "  %-12s %s\n", strchr(c->subs[i]->name, ' ') + 1, c->subs[i]->about);
    fprintf(f, "\nmimic %s COMMAND --help tells more about each.\n", c->name);
}

void opt_help(const struct command *c, FILE *f)
{
    if (c->subs) {
        opt_help_subs(c, f);
        return;
    }
    fprintf(f, "usage: mimic %s [options] %s\n\n%s.\n", c->name, c->args, c->about);
    if (c->text)
        fprintf(f, "\n%s\n", c->text);
    if (c->nopts)
        fprintf(f, "\noptions:\n");
    for (u32 i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];
        char left[64];

        snprintf(left, sizeof(left), "%s--%s%s%s",
                 o->letter ? (char[]){ '-', o->letter, ',', ' ', 0 } : "", o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
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

static void opt_manual_options(const struct command *c, FILE *f)
{
    fputs(".SH OPTIONS\n", f);
    for (u32 i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];

        fputs(".TP\n.BI ", f);
        if (o->letter)
            fprintf(f, "\"\\-%c, \" ", o->letter);
        fprintf(f, "\\-\\-%s", o->name);
        fprintf(f, "%s%s\n", o->arg ? " \" \" " : "", o->arg ? o->arg : "");
        opt_troff(f, o->help);
        if (o->choices)
            fprintf(f, " (%s)", o->choices);
        fputc('\n', f);
    }
    fputs(".TP\n.B \\-\\-help\nShow this text.\n", f);
}

static void opt_manual_subs(const struct command *c, FILE *f)
{
    fputs(".SH COMMANDS\n", f);
    for (u32 i = 0; c->subs[i]; i++) {
        fprintf(f, ".TP\n.B mimic %s\n[options] %s\n.br\n", c->subs[i]->name, c->subs[i]->args);
        opt_troff(f, c->subs[i]->about);
        fprintf(f, ".\nSee the page of mimic manual %s.\n", c->subs[i]->name);
    }
}

void opt_manual(const struct command *c, FILE *f)
{
    char page[64];

    snprintf(page, sizeof(page), "%s", c->name);
    for (char *p = page; *p; p++)
        *p = *p == ' ' ? '-' : *p;
    fprintf(f, ".TH MIMIC-%s 1 \"\" Mimic\n.SH NAME\nmimic-%s \\- ", page, page);
    opt_troff(f, c->about);
    fprintf(f, "\n.SH SYNOPSIS\n.B mimic %s\n%s %s\n.SH DESCRIPTION\n", c->name,
            c->subs ? "COMMAND [options]" : "[options]", c->subs ? "..." : c->args);
    opt_troff(f, c->about);
    fputs(".\n", f);
    if (c->text) {
        fputs(".PP\n", f);
        opt_troff(f, c->text);
        fputc('\n', f);
    }
    if (c->subs)
        opt_manual_subs(c, f);
    else
        opt_manual_options(c, f);
    fputs(
        ".SH EXIT STATUS\n0 done; 1 what was compared differs; 64 wrong command line; 65 a package "
        "or\n"
        "image is damaged or not supported; 66 a file is not there; 70 the guest crashed; 71 the\n"
        "host lacks something; 73 a file is there already; 75 stopped without a clean power off; "
        "130\n"
        "interrupted.\n",
        f);
    if (c->examples) {
        fputs(".SH EXAMPLES\n.nf\n", f);
        opt_troff(f, c->examples);
        fputs(".fi\n", f);
    }
}

/* One command's lines: `words` names it in the shell's case, "run" or "disk convert". */
static void opt_completion_choices(const struct command *c, FILE *f)
{
    for (u32 k = 0; k < c->nopts; k++)
        if (c->opts[k].choices)
            fprintf(f, "    \"%s --%s\") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                    c->name, c->opts[k].name, c->opts[k].choices);
}

static void opt_completion_options(const struct command *c, FILE *f)
{
    fprintf(f, "        \"%s\") COMPREPLY=($(compgen -W \"--help", c->name);
    for (u32 k = 0; k < c->nopts; k++)
        fprintf(f, " --%s", c->opts[k].name);
    fputs("\" -- \"$cur\")) ;;\n", f);
}

/* fn for each command, and for each subcommand */
static void opt_each(void (*fn)(const struct command *c, FILE *f), FILE *f)
{
    for (u32 i = 0; commands[i]; i++) {
        fn(commands[i], f);
        for (u32 k = 0; commands[i]->subs && commands[i]->subs[k]; k++)
            fn(commands[i]->subs[k], f);
    }
}

static void opt_completion_subs(const struct command *c, FILE *f)
{
    if (!c->subs)
        return;
    fprintf(f,
            "    %s)\n        if [ \"$COMP_CWORD\" = 2 ]; then\n            COMPREPLY=($(compgen "
            "-W \"--help",
            c->name);
    for (u32 k = 0; c->subs[k]; k++)
        fprintf(f, " %s", strchr(c->subs[k]->name, ' ') + 1);
    fputs("\" -- \"$cur\"))\n            return\n        fi\n        words=\"$words "
          "${COMP_WORDS[2]}\" ;;\n",
          f);
}

void opt_completion_bash(FILE *f)
{
    fputs("_mimic() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local words=${COMP_WORDS[1]}\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W \"",
          f);
    for (u32 i = 0; commands[i]; i++)
        fprintf(f, "%s ", commands[i]->name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n    case \"$words\" in\n", f);
    opt_each(opt_completion_subs, f);
    fputs("    esac\n    case \"$words $prev\" in\n", f);
    opt_each(opt_completion_choices, f);
    fputs("    esac\n    case \"$cur\" in\n    -*) case \"$words\" in\n", f);
    opt_each(opt_completion_options, f);
    fputs("        esac ;;\n    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\n"
          "complete -o filenames -F _mimic mimic\n",
          f);
}
