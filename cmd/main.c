/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mimic command: finds the subcommand and runs it.  The build defines MIMIC_VERSION. */
#include "cmd/near.h"
#include "cmd/opt.h"
#include <string.h>

static void main_usage(FILE *f)
{
    fprintf(f, "usage: mimic COMMAND [options] ...\n\n"
               "Runs virtual machines made for other hypervisors, as they are.\n\ncommands:\n");
    for (u32 i = 0; commands[i]; i++)
        fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->about);
    fprintf(f,
            "\nmimic COMMAND --help tells more about each, mimic --version which one this is.\n");
}

static int main_unknown(const char *word)
{
    struct near near;
    char hint[64];

    near_start(&near, word, strlen(word));
    near_offer(&near, "--help");
    near_offer(&near, "--version");
    for (u32 i = 0; commands[i]; i++)
        near_offer(&near, commands[i]->name);
    fprintf(stderr, "mimic: there is no %s \"%s\"%s; mimic --help lists them\n",
            *word == '-' ? "option" : "command", word, near_hint(&near, "", hint, sizeof(hint)));
    return EXIT_USE;
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
    if (!strcmp(argv[1], "--version")) {
        puts("mimic " MIMIC_VERSION);
        return EXIT_DONE;
    }
    for (u32 i = 0; commands[i]; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    return main_unknown(argv[1]);
}
