/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic info, guest, guestinfo, balloon: what the tools in a running guest tell and do. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <string.h>

static int guest_end(const char *command, int r, const struct err *e)
{
    if (!r)
        return EXIT_DONE;
    fprintf(stderr, "mimic %s: %s\n", command, e->text);
    return exit_code(r);
}

static int guest_use(const char *command, const struct err *e, const char *want)
{
    fprintf(stderr, "mimic %s: %s\n", command, e->text[0] ? e->text : want);
    return EXIT_USE;
}

static const char *guest_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "-";
}

/* ---- info ---- */

struct info_options {
    bool json;
};
static const struct opt info_opts[] = {
    { "json", OPT_FLAG, offsetof(struct info_options, json), NULL, NULL, "print a JSON object" },
};

static void info_list(const json_t *list, const char *what)
{
    const json_t *one, *address;
    size_t i, k;

    json_array_foreach((json_t *)list, i, one)
    {
        if (!strcmp(what, "disk")) {
            printf("disk       %s (%s), %lld MiB, %lld MiB free\n", guest_text(one, "path"),
                   guest_text(one, "type"),
                   (long long)json_integer_value(json_object_get(one, "size")) >> 20,
                   (long long)json_integer_value(json_object_get(one, "free")) >> 20);
            continue;
        }
        printf("network    %s", guest_text(one, "mac"));
        json_array_foreach(json_object_get(one, "addresses"), k, address)
            printf(" %s", json_string_value(address));
        printf("\n");
    }
}

static void info_show(const json_t *o)
{
    const json_t *beat = json_object_get(o, "heartbeat_ms"), *word;
    size_t i;

    if (!json_is_integer(beat)) {
        printf("no tools have been heard of in this guest: open-vm-tools (VMware's guests) or\n"
               "qemu-guest-agent must be installed in it, and started\n");
        return;
    }
    printf("tools      %s %s, heard of %lld ms ago\n", guest_text(o, "agent"),
           guest_text(o, "version"), (long long)json_integer_value(beat));
    printf("they can  ");
    json_array_foreach(json_object_get(o, "can"), i, word) printf(" %s", json_string_value(word));
    printf("\nhost       %s\n", guest_text(o, "host"));
    printf("system     %s, kernel %s\n", guest_text(o, "os_name"), guest_text(o, "kernel"));
    info_list(json_object_get(o, "nics"), "nic");
    info_list(json_object_get(o, "disks"), "disk");
    if (json_is_true(json_object_get(o, "frozen")))
        printf("its file systems are frozen\n");
    if (json_integer_value(json_object_get(o, "balloon_mib")))
        printf("balloon    %lld MiB\n",
               (long long)json_integer_value(json_object_get(o, "balloon_mib")));
}

static int info_run(int argc, char **argv)
{
    struct info_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    json_t *result = NULL;
    int r = opt_parse(&command_info, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n != 1)
        return guest_use("info", &e, "expected a VM");
    r = call_vm(words.v[0], "info", NULL, &result, &e);
    if (!r && o.json)
        json_dumpf(result, stdout, JSON_INDENT(2)), putchar('\n');
    else if (!r)
        info_show(result);
    json_decref(result);
    return guest_end("info", r, &e);
}

const struct command command_info = {
    .name = "info",
    .args = "VM",
    .about = "Tell what the tools in a running guest tell of it",
    .text = "Addresses, system, disks and whether they live; from open-vm-tools or qemu-ga.",
    .opts = info_opts,
    .nopts = LEN(info_opts),
    .run = info_run,
};

/* ---- guest ---- */

/* The text that comes out, or goes in. */
static int guest_clipboard(const struct opt_list *words, struct err *e)
{
    json_t *args = json_object(), *result = NULL;
    int r;

    if (words->n == 3)
        json_object_set_new(args, "text", json_string(words->v[2]));
    r = call_vm(words->v[0], "clipboard", args, &result, e);
    if (!r && words->n == 2)
        printf("%s\n", guest_text(result, "text"));
    json_decref(result);
    return r;
}

static int guest_run(int argc, char **argv)
{
    struct opt_list words = { 0 };
    struct err e = { 0 };
    unsigned width, height;
    json_t *args;
    char rest;
    int r = opt_parse(&command_guest, argc, argv, NULL, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n < 2 || words.n > 3)
        return guest_use("guest", &e, "expected a VM and what its tools shall do");
    if (!strcmp(words.v[1], "clipboard"))
        return guest_end("guest", guest_clipboard(&words, &e), &e);
    args = json_pack("{s:s}", "what", words.v[1]);
    if (words.n == 3) {
        if (sscanf(words.v[2], "%ux%u%c", &width, &height, &rest) != 2) {
            json_decref(args);
            return guest_use("guest", &e, "expected a size such as 1024x768");
        }
        json_object_set_new(args, "width", json_integer(width));
        json_object_set_new(args, "height", json_integer(height));
    }
    r = call_vm(words.v[0], "guest", args, NULL, &e);
    return guest_end("guest", r, &e);
}

const struct command command_guest = {
    .name = "guest",
    .args = "VM WHAT [WIDTHxHEIGHT | TEXT]",
    .about = "Ask the tools in a running guest for one thing",
    .text =
        "WHAT is one of: poweroff, reboot, suspend (the guest gets ready for it), resume,\n"
        "freeze (file systems are whole on disk and stand still), thaw, time (its clock is set\n"
        "to the host's), screen with a size, clipboard (prints what the guest's user copied; with\n"
        "TEXT gives it to the guest to paste).  What they can: mimic info VM.",
    .run = guest_run,
    .examples = "mimic guest web freeze # before a copy of its disks\n"
                "mimic guest web screen 1280x800\n",
};

/* ---- guestinfo ---- */

static int guestinfo_call(const struct opt_list *words, struct err *e)
{
    bool set = words->n == 4 && !strcmp(words->v[1], "set");
    bool drop = words->n == 3 && !strcmp(words->v[1], "delete");
    bool list = words->n == 2 && !strcmp(words->v[1], "list");
    json_t *args = json_object(), *result = NULL, *value;
    const char *key;
    int r;

    if (!list)
        json_object_set_new(args, "key", json_string(words->v[2]));
    if (set)
        json_object_set_new(args, "value", json_string(words->v[3]));
    if (drop)
        json_object_set_new(args, "delete", json_true());
    r = call_vm(words->v[0], "guestinfo", args, &result, e);
    if (!r && list)
        json_object_foreach(result, key, value) printf("%s=%s\n", key, json_string_value(value));
    else if (!r && !set && !drop)
        printf("%s\n", guest_text(result, "value"));
    json_decref(result);
    return r;
}

static int guestinfo_run(int argc, char **argv)
{
    static const struct {
        const char *word;
        u32 words;
    } forms[] = { { "get", 3 }, { "set", 4 }, { "delete", 3 }, { "list", 2 } };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    bool known = false;
    int r = opt_parse(&command_guestinfo, argc, argv, NULL, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    for (u32 i = 0; !r && i < LEN(forms); i++)
        known |= words.n == forms[i].words && !strcmp(words.v[1], forms[i].word);
    if (!known)
        return guest_use("guestinfo", &e,
                         "expected a VM and: get KEY, set KEY VALUE, delete KEY "
                         "or list");
    return guest_end("guestinfo", guestinfo_call(&words, &e), &e);
}

const struct command command_guestinfo = {
    .name = "guestinfo",
    .args = "VM get|set|delete|list [KEY [VALUE]]",
    .about = "Read and set the variables that VMware guests call guestinfo",
    .text =
        "The guest reads them with: vmware-rpctool 'info-get guestinfo.KEY', and sets them with\n"
        "info-set.  They are kept beside the VM's state.",
    .run = guestinfo_run,
    .examples = "mimic guestinfo web set role database\n",
};

/* ---- balloon ---- */

static int balloon_run(int argc, char **argv)
{
    struct opt_list words = { 0 };
    struct err e = { 0 };
    u64 bytes = 0;
    json_t *args, *result = NULL;
    int r = opt_parse(&command_balloon, argc, argv, NULL, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n < 1 || words.n > 2 || (words.n == 2 && opt_size(words.v[1], &bytes)))
        return guest_use("balloon", &e, "expected a VM and how much memory, such as 512M");
    args = json_object();
    if (words.n == 2)
        json_object_set_new(args, "mib", json_integer((json_int_t)(bytes >> 20)));
    r = call_vm(words.v[0], "balloon", args, &result, &e);
    if (!r)
        printf("wanted %lld MiB, given %lld MiB\n",
               (long long)json_integer_value(json_object_get(result, "wanted_mib")),
               (long long)json_integer_value(json_object_get(result, "given_mib")));
    json_decref(result);
    return guest_end("balloon", r, &e);
}

const struct command command_balloon = {
    .name = "balloon",
    .args = "VM [SIZE]",
    .about = "Take memory from a running guest, or give it back",
    .text = "The guest's balloon driver gives back SIZE of its memory, which the host has then;\n"
            "0 gives it all back to the guest.  Without SIZE: how much it has given.",
    .run = balloon_run,
    .examples = "mimic balloon web 512M\n",
};
