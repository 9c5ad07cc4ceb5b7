/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic screen: a picture of a running VM's screen. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct screen_options {
    bool json;
};
static const struct opt screen_opts[] = {
    { "json", OPT_FLAG, offsetof(struct screen_options, json), NULL, NULL,
      "print its size as a JSON object" },
};

/* The picture into fd; *size: what the VM said of it. */
static int screen_ask(const char *vm, int fd, json_t **size, struct err *e)
{
    struct call *c = NULL;
    int fds[] = { fd, -1 };
    int r = call_open(&c, vm, e);

    r = r ? r : call_send(c, "screen", NULL, fds, e);
    r = r ? r : call_wait(c, NULL, NULL, size, e);
    call_close(c);
    return r;
}

/* Whole or not at all. */
static int screen_save(const char *vm, const char *file, json_t **size, struct err *e)
{
    char *made = NULL;
    int fd, r;

    if (asprintf(&made, "%s.XXXXXX", file) < 0)
        return err_set(e, -ENOMEM, "out of memory");
    fd = mkostemp(made, 0);
    r = fd < 0 ? err_set(e, -errno, "%s: %s", file, strerror(errno)) : 0;
    r = r ? r : screen_ask(vm, fd, size, e);
    if (!r && (fchmod(fd, 0644) || rename(made, file)))
        r = err_set(e, -errno, "%s: %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (r && fd >= 0)
        unlink(made);
    free(made);
    return r;
}

static int screen_run(int argc, char **argv)
{
    struct screen_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    json_t *size = NULL;
    int r = opt_parse(&command_screen, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && words.n != 2)
        r = err_set(&e, -EINVAL, "expected a running VM and the PNG file to make");
    if (r) {
        fprintf(stderr, "mimic screen: %s\n", e.text);
        return EXIT_USE;
    }
    r = screen_save(words.v[0], words.v[1], &size, &e);
    if (r)
        fprintf(stderr, "mimic screen: %s\n", e.text);
    else if (o.json)
        json_dumpf(size, stdout, JSON_COMPACT), putchar('\n');
    json_decref(size);
    return r ? exit_code(r) : EXIT_DONE;
}

const struct command command_screen = {
    .name = "screen",
    .args = "VM FILE.png",
    .about = "Save a picture of a running VM's screen",
    .text =
        "FILE.png is there whole or not at all.  To see the screen and to type, run the VM with\n"
        "--display vnc.",
    .opts = screen_opts,
    .nopts = LEN(screen_opts),
    .run = screen_run,
    .examples = "mimic screen web now.png\n",
};
