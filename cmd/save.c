/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic save: a running VM into a file, from which mimic restore goes on. */
#include "base/progress.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct save_options {
    bool compress, keep, quiet;
};
#define SAVE_AT(m) offsetof(struct save_options, m)
static const struct opt save_opts[] = {
    { "compress", OPT_FLAG, SAVE_AT(compress), NULL, NULL,
      "make the file small; it is slower to restore, and copies share no memory" },
    { "keep-running", OPT_FLAG, SAVE_AT(keep), NULL, NULL, "the VM goes on afterwards" },
    { "quiet", OPT_FLAG, SAVE_AT(quiet), NULL, NULL, "print nothing" },
};

static void save_event(void *arg, const char *name, const json_t *body)
{
    json_int_t done = json_integer_value(json_object_get(body, "done")),
               total = json_integer_value(json_object_get(body, "total"));

    if (arg && !strcmp(name, "progress") && total > 0)
        progress_show(arg, (u64)done, (u64)total);
}

/* The VM's process has another working directory. */
static json_t *save_args(const struct save_options *o, const char *file)
{
    char *here = *file == '/' ? NULL : getcwd(NULL, 0);
    char path[8192];

    snprintf(path, sizeof(path), "%s%s%s", here ? here : "", here ? "/" : "", file);
    free(here);
    return json_pack("{s:s, s:b, s:b}", "file", path, "compress", o->compress, "keep", o->keep);
}

static int save_run(int argc, char **argv)
{
    struct save_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    json_t *result = NULL;
    struct call *c = NULL;
    struct progress bar = { 0 };
    int r = opt_parse(&command_save, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && words.n != 2)
        r = err_set(&e, -EINVAL, "expected a running VM and the file to make");
    if (r) {
        fprintf(stderr, "mimic save: %s\n", e.text);
        return EXIT_USE;
    }
    r = call_open(&c, words.v[0], &e);
    r = r ? r : call_send(c, "save", save_args(&o, words.v[1]), NULL, &e);
    progress_start(&bar, "save");
    r = r ? r : call_wait(c, save_event, o.quiet ? NULL : &bar, &result, &e);
    progress_end(&bar);
    call_close(c);
    if (r)
        fprintf(stderr, "mimic save: %s\n", e.text);
    else if (!o.quiet)
        printf("%s: %lld MiB\n", words.v[1],
               (long long)json_integer_value(json_object_get(result, "size")) >> 20);
    json_decref(result);
    return r ? exit_code(r) : EXIT_DONE;
}

const struct command command_save = {
    .name = "save",
    .args = "VM FILE",
    .about = "Save a running VM, so that it can be restored as it was",
    .text =
        "FILE holds memory, processors and devices; it is there whole or not at all.  What the\n"
        "VM wrote to its disks stays in its state directory, frozen: FILE needs it, and the\n"
        "package, to be where they are.  What a VM that runs with --throwaway wrote is copied "
        "beside\n"
        "it, as FILE.DISK.qcow2.  The VM ends when it is saved; with --keep-running it\n"
        "goes on, and the file can be restored with --as-copy at any time.  Ctrl-C ends the\n"
        "waiting, not the saving.",
    .opts = save_opts,
    .nopts = LEN(save_opts),
    .run = save_run,
    .examples = "mimic save web web.saved\nmimic restore web.saved\n",
};
