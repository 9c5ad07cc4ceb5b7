/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk formats: what can be done with each, and what may be asked for when one is made. */
#include "cmd/disk.h"
#include "image/format.h"

struct formats_options {
    bool json;
};
static const struct opt formats_opts[] = {
    { "json", OPT_FLAG, offsetof(struct formats_options, json), NULL, NULL, "print a JSON array" },
};

static const struct {
    u32 can;
    const char *word;
} formats_can[] = {
    { CAN_WRITE, "write" },   { CAN_CREATE, "create" }, { CAN_PARENT, "parent" },
    { CAN_TRIM, "trim" },     { CAN_STREAM, "stream" }, { CAN_GROW, "grow" },
    { CAN_SHRINK, "shrink" },
};

static void formats_show(const struct image_format *f)
{
    printf("%-12s %s\n%-12s read", f->name, f->about, "");
    for (size_t i = 0; i < LEN(formats_can); i++)
        if (f->can & formats_can[i].can)
            printf(", %s", formats_can[i].word);
    if (f->suffix)
        printf("; %s", f->suffix);
    putchar('\n');
    for (const struct image_option *o = f->options; o && o->name; o++)
        printf("%-12s -o %s=%s  %s\n", "", o->name, o->values, o->about);
}

static json_t *formats_json(const struct image_format *f)
{
    json_t *j = json_object(), *can = json_array(), *options = json_array();

    json_object_set_new(j, "name", json_string(f->name));
    json_object_set_new(j, "about", json_string(f->about));
    json_object_set_new(j, "suffix", disk_json_text(f->suffix));
    json_array_append_new(can, json_string("read"));
    for (size_t i = 0; i < LEN(formats_can); i++)
        if (f->can & formats_can[i].can)
            json_array_append_new(can, json_string(formats_can[i].word));
    json_object_set_new(j, "can", can);
    for (const struct image_option *o = f->options; o && o->name; o++)
        json_array_append_new(options, json_pack("{ss ss ss}", "name", o->name, "values", o->values,
                                                 "about", o->about));
    json_object_set_new(j, "options", options);
    return j;
}

static int formats_run(int argc, char **argv)
{
    struct formats_options o = { 0 };
    struct opt_list files = { 0 };
    json_t *all;
    int r = disk_parse(&command_disk_formats, argc, argv, &o, &files, 0, 0);

    if (r)
        return r - 1;
    all = json_array();
    for (int i = 0; image_catalog[i]; i++) {
        if (o.json)
            json_array_append_new(all, formats_json(image_catalog[i]));
        else
            formats_show(image_catalog[i]);
    }
    if (o.json)
        return disk_json_print(all);
    json_decref(all);
    return EXIT_DONE;
}

const struct command command_disk_formats = {
    .name = "disk formats",
    .args = "",
    .about = "List the formats of disk images, and the options for making them",
    .text = "A choice's first word is what is made when nothing is said.  --format F:VARIANT is\n"
            "short for --format F -o variant=VARIANT.",
    .opts = formats_opts,
    .nopts = LEN(formats_opts),
    .run = formats_run,
};
