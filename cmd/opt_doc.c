/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is made from the option tables to be read: help and manual pages. */
#include "cmd/opt.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    HELP_NAMES = 27, /* columns for the names of options */
    HELP_LEAST = 60,
    HELP_WIDTH = 80, /* where nobody tells how wide it is */
    HELP_MOST = 100,
};

static u32 opt_width(FILE *f)
{
    struct winsize w;

    if (ioctl(fileno(f), TIOCGWINSZ, &w) || !w.ws_col)
        return HELP_WIDTH;
    return w.ws_col < HELP_LEAST ? HELP_LEAST : w.ws_col > HELP_MOST ? HELP_MOST : w.ws_col;
}

/* Text in lines of its own making, from column `at` on; an empty line in it stays one. */
static void opt_fill(FILE *f, const char *text, u32 at, u32 indent)
{
    u32 width = opt_width(f), space = 0;

    for (const char *p = text; *p; p += strspn(p, " \n")) {
        u32 n = (u32)strcspn(p, " \n");

        if (space && at + space + n > width) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
            space = 0;
        }
        fprintf(f, "%*s%.*s", (int)space, "", (int)n, p);
        at += space + n;
        p += n;
        space = p[-1] == '.' ? 2 : 1;
        if (!strncmp(p, "\n\n", 2)) {
            fprintf(f, "\n\n%*s", (int)indent, "");
            at = indent;
            space = 0;
        }
    }
    fputc('\n', f);
}

static void opt_help_option(FILE *f, const char *left, const struct opt *o)
{
    char text[400];

    snprintf(text, sizeof(text), "%s%s%s%s", o->help, o->choices ? " (" : "",
             o->choices ? o->choices : "", o->choices ? ")" : "");
    fprintf(f, "  %-*s ", HELP_NAMES - 3, left);
    opt_fill(f, text, strlen(left) > HELP_NAMES - 3 ? (u32)strlen(left) + 3 : HELP_NAMES,
             HELP_NAMES);
}

static void opt_help_examples(const struct command *c, FILE *f)
{
    if (!c->examples)
        return;
    fputs("\nexamples:\n", f);
    for (const char *p = c->examples, *end; (end = strchr(p, '\n')); p = end + 1)
        fprintf(f, "  %.*s\n", (int)(end - p), p);
}

static void opt_help_subs(const struct command *c, FILE *f)
{
    fprintf(f, "usage: mimic %s COMMAND [options] ...\n\n%s.\n", c->name, c->about);
    if (c->text) {
        fputc('\n', f);
        opt_fill(f, c->text, 0, 0);
    }
    fputs("\ncommands:\n", f);
    for (u32 i = 0; c->subs[i]; i++)
        fprintf(f, "  %-12s %s\n", strchr(c->subs[i]->name, ' ') + 1, c->subs[i]->about);
    opt_help_examples(c, f);
    fprintf(f, "\nmimic %s COMMAND --help tells more about each.\n", c->name);
}

void opt_help(const struct command *c, FILE *f)
{
    if (c->subs) {
        opt_help_subs(c, f);
        return;
    }
    fprintf(f, "usage: mimic %s [options]%s%s\n\n%s.\n", c->name, *c->args ? " " : "", c->args,
            c->about);
    if (c->text) {
        fputc('\n', f);
        opt_fill(f, c->text, 0, 0);
    }
    fputs("\noptions:\n", f);
    for (u32 i = 0; i < c->nopts; i++) {
        const struct opt *o = &c->opts[i];
        char left[64];

        snprintf(left, sizeof(left), "%s--%s%s%s",
                 o->letter ? (char[]){ '-', o->letter, ',', ' ', 0 } : "", o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
        opt_help_option(f, left, o);
    }
    opt_help_option(f, "-h, --help", &(struct opt){ .help = "this text" });
    opt_help_examples(c, f);
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
    fputs(".TP\n.B \\-h, \\-\\-help\nShow the options.\n", f);
}

static void opt_manual_subs(const struct command *c, FILE *f)
{
    fputs(".SH COMMANDS\n", f);
    for (u32 i = 0; c->subs[i]; i++) {
        fprintf(f, ".TP\n.B mimic %s \\fR[options] %s\n", c->subs[i]->name, c->subs[i]->args);
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
