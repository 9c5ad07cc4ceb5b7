/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of commands, and those that tell about the program itself. */
#include "cmd/commands.h"
#include "engine/engine.h"
#include "image/format.h"
#include "machine/device.h"
#include "package/format.h"
#include "persona/persona.h"
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

extern const struct command command_list, command_manual, command_completion;

const struct command *const commands[] = { &command_run,       &command_inspect,    &command_check,
                                           &command_convert,   &command_disk,       &command_list,
                                           &command_ps,        &command_shutdown,   &command_pause,
                                           &command_resume,    &command_call,       &command_save,
                                           &command_restore,   &command_info,       &command_guest,
                                           &command_exec,      &command_cp,         &command_vsock,
                                           &command_guestinfo, &command_balloon,    &command_screen,
                                           &command_manual,    &command_completion, NULL };

struct list_options {
    bool json;
};

/* What a list tells of a part: may be used, and a line. */
struct list_row {
    const char *name, *about;
    bool can;      /* engines: runs here */
    bool hardware; /* engines: at the speed of the hardware */
};

static bool list_engine(u32 i, struct list_row *row)
{
    static struct err e;
    const struct engine_ops *o = engine_catalog[i];
    const char *found;
    u64 features = 0;

    if (!o)
        return false;
    row->can = !o->probe(&features, &e);
    row->hardware = features & ENGINE_HARDWARE;
    found = row->can && o->found ? o->found() : NULL;
    row->about = !row->can ? e.text : found ? found : "can run here";
    row->name = o->name;
    return true;
}

static bool list_persona(u32 i, struct list_row *row)
{
    if (persona_catalog[i])
        *row =
            (struct list_row){ persona_catalog[i]->name, persona_catalog[i]->about, true, false };
    return persona_catalog[i];
}

static bool list_device(u32 i, struct list_row *row)
{
    if (device_catalog[i])
        *row = (struct list_row){ device_catalog[i]->name, device_catalog[i]->about, true, false };
    return device_catalog[i];
}

static bool list_image(u32 i, struct list_row *row)
{
    if (image_catalog[i])
        *row = (struct list_row){ image_catalog[i]->name, image_catalog[i]->about, true, false };
    return image_catalog[i];
}

static bool list_package(u32 i, struct list_row *row)
{
    if (package_catalog[i])
        *row =
            (struct list_row){ package_catalog[i]->name, package_catalog[i]->about, true, false };
    return package_catalog[i];
}

static const struct {
    const char *word, *title;
    bool (*row)(u32 i, struct list_row *row);
} list_kinds[] = {
    { "engines", "engines", list_engine },    { "personas", "personas", list_persona },
    { "devices", "devices", list_device },    { "images", "disk images", list_image },
    { "packages", "packages", list_package },
};

static void list_show(u32 kind)
{
    struct list_row row = { 0 };

    printf("%s:\n", list_kinds[kind].title);
    for (u32 i = 0; list_kinds[kind].row(i, &row); i++)
        printf("  %-16s %s\n", row.name, row.about);
}

static json_t *list_json(u32 kind)
{
    json_t *all = json_array();
    struct list_row row = { 0 };

    for (u32 i = 0; list_kinds[kind].row(i, &row); i++) {
        json_t *o = json_object();

        json_object_set_new(o, "name", json_string(row.name));
        json_object_set_new(o, "about", json_string(row.about));
        if (kind == 0) {
            json_object_set_new(o, "can_run", json_boolean(row.can));
            json_object_set_new(o, "hardware", json_boolean(row.hardware));
        }
        json_array_append_new(all, o);
    }
    return all;
}

static int list_parts(int argc, char **argv)
{
    struct list_options o = { 0 };
    struct opt_list what = { 0 };
    struct err e = { 0 };
    json_t *all;
    u32 known = 0;
    int r = opt_parse(&command_list, argc, argv, &o, &what, &e);

    if (r)
        return r < 0 ? fprintf(stderr, "mimic list: %s\n", e.text), EXIT_USE : EXIT_DONE;
    for (u32 k = 0; k < LEN(list_kinds); k++)
        known += what.n && !strcmp(what.v[0], list_kinds[k].word);
    if (what.n && (what.n > 1 || !known)) {
        fprintf(stderr, "mimic list: expected engines, personas, devices, images or packages\n");
        return EXIT_USE;
    }
    all = json_object();
    for (u32 k = 0; k < LEN(list_kinds); k++) {
        if (what.n && strcmp(what.v[0], list_kinds[k].word) != 0)
            continue;
        if (o.json)
            json_object_set_new(all, list_kinds[k].word, list_json(k));
        else
            list_show(k);
    }
    if (o.json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
    return EXIT_DONE;
}

static const struct opt list_opts[] = {
    { "json", OPT_FLAG, offsetof(struct list_options, json), NULL, NULL, "print it as JSON" },
};

const struct command command_list = {
    .name = "list",
    .args = "[engines | personas | devices | images | packages]",
    .about = "List the engines, personas, devices and formats of this program",
    .text = "Engines are tried: the list tells which can run here, and what was found.  --engine "
            "auto takes kvm where it runs on hardware, else translate.",
    .opts = list_opts,
    .nopts = LEN(list_opts),
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
        fprintf(stderr, "mimic manual: %s\n",
                r        ? e.text
                : what.n ? "there is no such command; mimic --help lists them"
                         : "expected the name of a command; mimic --help lists them");
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

    if (!r && what.n)
        r = err_set(&e, -EINVAL, "no operands are expected");
    if (r)
        return r < 0 ? fprintf(stderr, "mimic completion: %s\n", e.text), EXIT_USE : EXIT_DONE;
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
