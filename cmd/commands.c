/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of commands, and those that tell about the program itself. */
#include "cmd/commands.h"
#include "engine/engine.h"
#include "image/format.h"
#include "machine/device.h"
#include "package/format.h"
#include "persona/persona.h"
#include <string.h>

extern const struct command command_list, command_manual, command_completion;

const struct command *const commands[] = { &command_run,        &command_inspect,
                                           &command_check,      &command_convert,
                                           &command_disk,       &command_list,
                                           &command_ps,         &command_shutdown,
                                           &command_pause,      &command_resume,
                                           &command_call,       &command_manual,
                                           &command_completion, NULL };

static int list_parts(int argc, char **argv)
{
    struct opt_list what = { 0 };
    struct err e = { 0 };
    u64 features;
    int r = opt_parse(&command_list, argc, argv, NULL, &what, &e);

    if (r)
        return r < 0 ? fprintf(stderr, "mimic: %s\n", e.text), EXIT_USE : EXIT_DONE;
    printf("engines:\n");
    for (u32 i = 0; engine_catalog[i]; i++) {
        int no = engine_catalog[i]->probe(&features, &e);

        printf("  %-16s %s\n", engine_catalog[i]->name, no ? e.text : "can run here");
    }
    printf("personas:\n");
    for (u32 i = 0; persona_catalog[i]; i++)
        printf("  %-16s %s\n", persona_catalog[i]->name, persona_catalog[i]->about);
    printf("devices:\n");
    for (u32 i = 0; device_catalog[i]; i++)
        printf("  %-16s %s\n", device_catalog[i]->name, device_catalog[i]->about);
    printf("disk images:\n");
    for (u32 i = 0; image_catalog[i]; i++)
        printf("  %-16s %s\n", image_catalog[i]->name, image_catalog[i]->about);
    printf("packages:\n");
    for (u32 i = 0; package_catalog[i]; i++)
        printf("  %-16s %s\n", package_catalog[i]->name, package_catalog[i]->about);
    return EXIT_DONE;
}

const struct command command_list = {
    .name = "list",
    .args = "",
    .about = "List the engines, personas, devices and formats of this program",
    .run = list_parts,
};

static const struct command *manual_find(const struct opt_list *what)
{
    for (u32 i = 0; what->n && commands[i]; i++)
        if (!strcmp(commands[i]->name, what->v[0]))
            return what->n == 1   ? commands[i]
                   : what->n == 2 ? opt_sub(commands[i], what->v[1])
                                  : NULL;
    return NULL;
}

static int manual_show(int argc, char **argv)
{
    const struct command *c;
    struct opt_list what = { 0 };
    struct err e = { 0 };
    int r = opt_parse(&command_manual, argc, argv, NULL, &what, &e);

    if (r > 0)
        return EXIT_DONE;
    c = r ? NULL : manual_find(&what);
    if (!c) {
        fprintf(stderr, "mimic manual: %s\n", r ? e.text : "expected the name of a command");
        return EXIT_USE;
    }
    opt_manual(c, stdout);
    return EXIT_DONE;
}

const struct command command_manual = {
    .name = "manual",
    .args = "COMMAND [SUBCOMMAND]",
    .about = "Print the manual page of a command",
    .text = "The page is for man: mimic manual run | man -l -",
    .run = manual_show,
};

static int completion_show(int argc, char **argv)
{
    struct opt_list what = { 0 };
    struct err e = { 0 };
    int r = opt_parse(&command_completion, argc, argv, NULL, &what, &e);

    if (r)
        return r < 0 ? fprintf(stderr, "mimic: %s\n", e.text), EXIT_USE : EXIT_DONE;
    opt_completion_bash(stdout);
    return EXIT_DONE;
}

const struct command command_completion = {
    .name = "completion",
    .args = "",
    .about = "Print what makes bash complete mimic's commands and options",
    .text = "Use it with: source <(mimic completion)",
    .run = completion_show,
};
