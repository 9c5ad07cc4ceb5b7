/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk attach, detach, insert, eject, list: the disks of a VM that runs. */
#include "cmd/call.h"
#include "cmd/disk.h"
#include "cmd/open.h"
#include <errno.h>
#include <string.h>

struct attach_options {
    const char *format, *controller, *unit;
    bool readonly, throwaway, json;
};
#define ATTACH_AT(m) offsetof(struct attach_options, m)
static const struct opt attach_opts[] = {
    { "format", OPT_TEXT, ATTACH_AT(format), "NAME", NULL,
      "format of an image whose name does not say it, such as raw" },
    { "controller", OPT_TEXT, ATTACH_AT(controller), "NAME", NULL,
      "which controller; else the first that takes disks while the VM runs" },
    { "unit", OPT_TEXT, ATTACH_AT(unit), "N", NULL, "its place there; else the first free one" },
    { "readonly", OPT_FLAG, ATTACH_AT(readonly), NULL, NULL, "the guest cannot write to it" },
    { "throwaway", OPT_FLAG, ATTACH_AT(throwaway), NULL, NULL, "drop what the guest writes to it" },
    { "json", OPT_FLAG, ATTACH_AT(json), NULL, NULL, "print a JSON object" },
};

/* What the VM is asked for: the image is looked at here first. */
static int attach_args(const struct attach_options *o, const char *image, json_t **args,
                       struct err *e)
{
    struct open_how how = { .path = image, .format = o->format, .disk_bus = "pvscsi" };
    unsigned unit;
    struct desc d;
    char rest;
    int r;

    if (o->unit && sscanf(o->unit, "%u%c", &unit, &rest) != 1)
        return err_set(e, -EINVAL, "--unit %s: expected a number", o->unit);
    desc_init(&d);
    r = open_add_disk(&how, &d, DESC_DISK, e);
    *args = r ? NULL
              : json_pack("{s:s, s:s, s:b, s:b, s:s*}", "image", d.disks->path, "format",
                          d.disks->format, "readonly", o->readonly, "throwaway", o->throwaway,
                          "controller", o->controller);
    if (!r && !*args)
        r = err_set(e, -EINVAL, "%s: its name is no UTF-8", image);
    if (!r && o->unit)
        json_object_set_new(*args, "unit", json_integer(unit));
    desc_fini(&d);
    return r;
}

static int attach_run(int argc, char **argv)
{
    struct attach_options o = { 0 };
    struct opt_list words = { 0 };
    json_t *args = NULL, *result = NULL;
    struct err e = { 0 };
    int r = disk_parse(&command_disk_attach, argc, argv, &o, &words, 2, 2);

    if (r)
        return r - 1;
    r = attach_args(&o, words.v[1], &args, &e);
    r = r ? r : call_vm(words.v[0], "disk-attach", args, &result, &e);
    if (r)
        return disk_fail(&command_disk_attach, r, &e);
    if (o.json)
        return disk_json_print(result);
    printf("%s: %s, place %lld%s\n", json_string_value(json_object_get(result, "name")),
           json_string_value(json_object_get(result, "controller")),
           (long long)json_integer_value(json_object_get(result, "unit")),
           json_is_true(json_object_get(result, "told")) ? ""
                                                         : "; its guest has to look for it itself");
    json_decref(result);
    return EXIT_DONE;
}

const struct command command_disk_attach = {
    .name = "disk attach",
    .args = "VM IMAGE",
    .about = "Give a running VM one more disk",
    .text = "The VM needs a controller that can tell its guest: pvscsi.  As with every disk the\n"
            "image itself is not written to: what the guest writes is kept with the VM's state,\n"
            "and is there when the same image is attached again.",
    .opts = attach_opts,
    .nopts = LEN(attach_opts),
    .run = attach_run,
    .examples = "mimic disk attach web data.vmdk\n"
                "mimic disk detach web data\n",
};

/* ---- insert, eject ---- */

struct insert_options {
    const char *format;
    bool readonly;
};
static const struct opt insert_opts[] = {
    { "format", OPT_TEXT, offsetof(struct insert_options, format), "NAME", NULL,
      "format of an image whose name does not say it, such as raw" },
    { "readonly", OPT_FLAG, offsetof(struct insert_options, readonly), NULL, NULL,
      "write-protected" },
};

static int insert_run(int argc, char **argv)
{
    struct insert_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    json_t *args;
    int r = disk_parse(&command_disk_insert, argc, argv, &o, &words, 3, 3);

    if (r)
        return r - 1;
    r = attach_args(&(struct attach_options){ .format = o.format, .readonly = o.readonly },
                    words.v[2], &args, &e);
    if (!r)
        json_object_set_new(args, "name", json_string(words.v[1]));
    r = r ? r : call_vm(words.v[0], "disk-insert", args, NULL, &e);
    return r ? disk_fail(&command_disk_insert, r, &e) : EXIT_DONE;
}

const struct command command_disk_insert = {
    .name = "disk insert",
    .args = "VM DRIVE IMAGE",
    .about = "Put another floppy disk into a drive of a running VM",
    .text = "DRIVE is its name or its place, as list prints them.",
    .opts = insert_opts,
    .nopts = LEN(insert_opts),
    .run = insert_run,
    .examples = "mimic disk insert old fdc0:0 driver.flp\n",
};

static int eject_run(int argc, char **argv)
{
    struct opt_list words = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_eject, argc, argv, NULL, &words, 2, 2);

    if (r)
        return r - 1;
    r = call_vm(words.v[0], "disk-eject", json_pack("{s:s}", "name", words.v[1]), NULL, &e);
    return r ? disk_fail(&command_disk_eject, r, &e) : EXIT_DONE;
}

const struct command command_disk_eject = {
    .name = "disk eject",
    .args = "VM DRIVE",
    .about = "Take the floppy disk out of a drive of a running VM",
    .run = eject_run,
};

/* ---- detach ---- */

struct detach_options {
    bool force;
};
static const struct opt detach_opts[] = {
    { "force", OPT_FLAG, offsetof(struct detach_options, force), NULL, NULL,
      "at once, as if it was pulled out" },
};

static int detach_run(int argc, char **argv)
{
    struct detach_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    int r = disk_parse(&command_disk_detach, argc, argv, &o, &words, 2, 2);

    if (r)
        return r - 1;
    r = call_vm(words.v[0], "disk-detach",
                json_pack("{s:s, s:b}", "name", words.v[1], "force", o.force), NULL, &e);
    return r ? disk_fail(&command_disk_detach, r, &e) : EXIT_DONE;
}

const struct command command_disk_detach = {
    .name = "disk detach",
    .args = "VM DISK",
    .about = "Take a disk away from a running VM",
    .text =
        "DISK is its name, as attach and list print it.  The guest is told, and has 15 seconds\n"
        "to let it go: unmount it there first.",
    .opts = detach_opts,
    .nopts = LEN(detach_opts),
    .run = detach_run,
    .examples = "mimic disk detach web data\n",
};

/* ---- list ---- */

struct disks_options {
    bool json;
};
static const struct opt disks_opts[] = {
    { "json", OPT_FLAG, offsetof(struct disks_options, json), NULL, NULL, "print a JSON object" },
};

static void disks_show(const json_t *one)
{
    const char *image = json_string_value(json_object_get(one, "image")),
               *on = json_string_value(json_object_get(one, "controller"));
    char size[32];

    printf("%-16s %-6s %s:%lld  ", json_string_value(json_object_get(one, "name")),
           json_string_value(json_object_get(one, "media")), on ? on : "-",
           (long long)json_integer_value(json_object_get(one, "unit")));
    if (image)
        printf("%s, %s\n", image,
               disk_size_text((u64)json_integer_value(json_object_get(one, "size")), size,
                              sizeof(size)));
    else
        printf("empty\n");
}

static int disks_run(int argc, char **argv)
{
    struct disks_options o = { 0 };
    struct opt_list words = { 0 };
    json_t *result = NULL, *one;
    struct err e = { 0 };
    size_t i;
    int r = disk_parse(&command_disk_list, argc, argv, &o, &words, 1, 1);

    if (r)
        return r - 1;
    r = call_vm(words.v[0], "disks", NULL, &result, &e);
    if (r)
        return disk_fail(&command_disk_list, r, &e);
    if (o.json)
        return disk_json_print(result);
    json_array_foreach(json_object_get(result, "disks"), i, one) disks_show(one);
    json_decref(result);
    return EXIT_DONE;
}

const struct command command_disk_list = {
    .name = "disk list",
    .args = "VM",
    .about = "List the disks and drives of a running VM",
    .opts = disks_opts,
    .nopts = LEN(disks_opts),
    .run = disks_run,
};
