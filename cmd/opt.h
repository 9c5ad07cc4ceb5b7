/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_OPT_H
#define CMD_OPT_H
#include "base/err.h"
#include "base/types.h"
#include <stdio.h>

/*
 * A command and its options, written once: parsing, --help, the manual page and shell
 * completion are made from these tables.
 */
enum opt_kind {
    OPT_FLAG,   /* bool */
    OPT_TEXT,   /* const char * */
    OPT_NUMBER, /* u64 */
    OPT_MIB,    /* u64 bytes; a plain number is MiB; K M G T suffixes */
    OPT_SIZE,   /* u64 bytes: 512, 64K, 10G, 1.5T */
    OPT_LIST,   /* struct opt_list: may be given many times */
};
enum { OPT_LIST_MAX = 32 };
struct opt_list {
    const char *v[OPT_LIST_MAX];
    u32 n;
};
struct opt {
    const char *name; /* without the dashes */
    enum opt_kind kind;
    size_t at;           /* offset in the command's struct */
    const char *arg;     /* "FILE"; NULL for a flag */
    const char *choices; /* "serial vga none" or NULL */
    const char *help;
    char letter; /* a short form, -o; or 0 */
};

struct command {
    const char *name, *args, *about; /* a subcommand has both words: "disk convert" */
    const char *text;                /* a paragraph or more for --help and the manual */
    const struct opt *opts;
    u32 nopts;
    int (*run)(int argc, char **argv); /* argv[0]: the command's name */
    const char *examples;              /* lines "command # what it does" */
    const struct command *const *subs; /* ends with NULL; run is opt_run_sub then; or NULL */
};
extern const struct command *const commands[]; /* ends with NULL */

/*
 * Options anywhere, "--" ends them; operands go to `operands`.  --help is answered here: 1
 * is returned and there is nothing more to do.  0, or -EINVAL with e.
 */
int opt_parse(const struct command *c, int argc, char **argv, void *to, struct opt_list *operands,
              struct err *e);
int opt_size(const char *text, u64 *bytes); /* as OPT_SIZE; 0 or -EINVAL */
/* The subcommand that argv[1] names; its help, or the list of all. */
int opt_run_sub(const struct command *c, int argc, char **argv);
const struct command *opt_sub(const struct command *c, const char *word); /* or NULL */
void opt_help(const struct command *c, FILE *f);
void opt_manual(const struct command *c, FILE *f); /* troff, man(7) */
void opt_completion_bash(FILE *f);

/* Exit codes, sysexits.h's where they fit. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_DIFFERENT = 1, /* of comparisons */
    EXIT_USE = 64,      /* the command line is wrong */
    EXIT_DATA = 65,     /* a package or an image is damaged or not supported */
    EXIT_NOFILE = 66,   /* it is not there */
    EXIT_CRASH = 70,    /* the guest cannot go on */
    EXIT_SYSTEM = 71,   /* the host lacks something: memory, a port, a permission */
    EXIT_EXISTS = 73,   /* the file that was to be made is there already */
    EXIT_STOPPED = 75,  /* stopped without a clean power off */
    EXIT_INTERRUPTED = 130,
};
int exit_code(int err); /* for a negative errno */
#endif
