/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mimic command: finds the subcommand and runs it. */
#include "cmd/opt.h"
#include <string.h>

static void main_usage(FILE *f)
{
    fprintf(f, "usage: mimic COMMAND [options] ...\n\n"
               "Runs virtual machines made for other hypervisors, as they are.\n\ncommands:\n");
    for (u32 i = 0; commands[i]; i++)
        fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->about);
    fprintf(f, "\nmimic COMMAND --help tells more about each.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        main_usage(stderr);
        return EXIT_USE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        main_usage(stdout);
        return EXIT_DONE;
    }
    for (u32 i = 0; commands[i]; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "mimic: there is no command \"%s\"; mimic --help lists them\n", argv[1]);
    return EXIT_USE;
}
