/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion for bash, made from the option tables. */
#include "cmd/opt.h"
#include <string.h>

/* One command's lines: the shell's $words is its name, "run" or "disk convert". */
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

/* Of the operands, those that are known: names of VMs or commands, and what is typed as it
 * stands, in small letters. */
static void opt_completion_operands(const struct command *c, FILE *f)
{
    static const char ends[] = " |[]";

    fprintf(f, "        \"%s\") offer=\"", c->name);
    for (const char *p = c->args + strspn(c->args, ends); *p; p += strspn(p, ends)) {
        size_t n = strcspn(p, ends);

        if (strspn(p, "abcdefghijklmnopqrstuvwxyz") == n)
            fprintf(f, "%.*s ", (int)n, p);
        p += n;
    }
    fprintf(f, "%s\" ;;\n",
            !strncmp(c->args, "VM", 2)        ? "$(_mimic_vms)"
            : !strncmp(c->args, "COMMAND", 7) ? "$commands"
                                              : "");
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
    fputs("_mimic_vms() {\n    mimic ps 2>/dev/null | while read -r pid name rest; do\n"
          "        [ \"$pid\" = PID ] || echo \"$name\"\n    done\n}\n"
          "_mimic() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local words=${COMP_WORDS[1]} offer= commands=\"",
          f);
    for (u32 i = 0; commands[i]; i++)
        fprintf(f, "%s ", commands[i]->name);
    fputs("\"\n    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$cur\"))\n"
          "        return\n    fi\n    case \"$words\" in\n",
          f);
    opt_each(opt_completion_subs, f);
    fputs("    esac\n    case \"$words $prev\" in\n", f);
    opt_each(opt_completion_choices, f);
    fputs("    esac\n    case \"$cur\" in\n    -*) case \"$words\" in\n", f);
    opt_each(opt_completion_options, f);
    fputs("        esac ;;\n    *) case \"$words\" in\n", f);
    opt_each(opt_completion_operands, f);
    fputs("        esac\n        COMPREPLY=($(compgen -W \"$offer\" -- \"$cur\"))\n"
          "        [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
          "    esac\n}\ncomplete -o filenames -F _mimic mimic\n",
          f);
}
