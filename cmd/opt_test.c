/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option tables: what is parsed, what is refused and with which words, help and completion. */
#include "cmd/near.h"
#include "cmd/opt.h"
#include "tests/check.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct options {
    bool quiet;
    const char *name, *kind;
    u64 number, memory, size;
    struct opt_list disks;
};
#define AT(f) offsetof(struct options, f)
static const struct opt opts[] = {
    { "quiet", OPT_FLAG, AT(quiet), NULL, NULL, "print nothing", 'q' },
    { "name", OPT_TEXT, AT(name), "NAME", NULL, "what it is called" },
    { "kind", OPT_TEXT, AT(kind), "KIND", "bios efi", "how it starts" },
    { "number", OPT_NUMBER, AT(number), "N", NULL, "how many" },
    { "memory", OPT_MIB, AT(memory), "MIB", NULL, "guest memory" },
    { "size", OPT_SIZE, AT(size), "SIZE", NULL, "of the disk" },
    { "disk", OPT_LIST, AT(disks), "FILE", NULL, "one more" },
};

static int nothing(int argc, char **argv)
{
    return argc > 1 && !strcmp(argv[1], "seven") ? 7 : 0;
}

static const struct command start = {
    .name = "start",
    .args = "FILE",
    .about = "Start it",
    .text = "One sentence of some length, which has to be broken where a line of it would be too "
            "long.\n\nAnother paragraph.",
    .opts = opts,
    .nopts = LEN(opts),
    .run = nothing,
    .examples = "mimic start a\nmimic start b\n",
};
static const struct command stop = {
    .name = "stop", .args = "VM", .about = "Stop", .run = nothing
};
static const struct command sub = {
    .name = "group one", .args = "[first | second]", .about = "The first", .run = nothing
};
static const struct command group = { .name = "group",
                                      .args = "",
                                      .about = "A group",
                                      .subs = (const struct command *const[]){ &sub, NULL } };
const struct command *const commands[] = { &start, &stop, &group, NULL };

enum { WORDS_MOST = 40 };

/* The words of a line, parsed; the options are zero before. */
static int parse(const char *line, struct options *o, struct opt_list *operands, struct err *e)
{
    static char room[400];
    char *argv[WORDS_MOST], *save = NULL;
    int argc = 0;

    *o = (struct options){ 0 };
    *operands = (struct opt_list){ 0 };
    *e = (struct err){ 0 };
    snprintf(room, sizeof(room), "start %s", line);
    for (char *w = strtok_r(room, " ", &save); w && argc < WORDS_MOST;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return opt_parse(&start, argc, argv, o, operands, e);
}

static void takes_each_kind(void)
{
    struct options o;
    struct opt_list w;
    struct err e;

    CHECK(!parse("a -q --name=x=y --kind efi --number 0x10 b --memory 2G --size 1.5K "
                 "--disk 1 --disk 2 -- --quiet",
                 &o, &w, &e));
    CHECK(o.quiet && !strcmp(o.name, "x=y") && !strcmp(o.kind, "efi"));
    CHECK(o.number == 16 && o.memory == 2ull << 30 && o.size == 1536);
    CHECK(o.disks.n == 2 && !strcmp(o.disks.v[1], "2"));
    CHECK(w.n == 3 && !strcmp(w.v[0], "a") && !strcmp(w.v[1], "b") && !strcmp(w.v[2], "--quiet"));
    CHECK(!parse("--memory 64 -", &o, &w, &e));
    CHECK(o.memory == 64ull << 20 && w.n == 1 && !strcmp(w.v[0], "-"));
}

static void refuses_with_a_reason(void)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        { "--nmae x", "there is no option --nmae (did you mean --name?); see mimic start --help" },
        { "--memroy=5", "there is no option --memroy (did you mean --memory?); see mimic start" },
        { "--xyzzy", "there is no option --xyzzy; see mimic start --help" },
        { "-x", "there is no option -x; see" },
        { "--name", "--name needs NAME" },
        { "--quiet=1", "--quiet takes no value" },
        { "--kind uefi", "--kind uefi: expected one of: bios efi" },
        { "--kind bio", "expected one of" },
        { "--number x", "expected a number" },
        { "--number -1", "expected a number" },
        { "--memory 5X", "expected a number of MiB" },
        { "--memory 99999999999999T", "expected a number of MiB" },
        { "--size 1.5", "expected a size" },
        { "--size 20000P", "expected a size" },
    };
    struct options o;
    struct opt_list w;
    struct err e;

    for (size_t i = 0; i < LEN(rows); i++) {
        CHECK(parse(rows[i].line, &o, &w, &e) == -EINVAL);
        CHECK(strstr(e.text, rows[i].says));
    }
}

static void lists_have_an_end(void)
{
    char *argv[OPT_LIST_MAX + 2] = { "start" };
    struct options o = { 0 };
    struct opt_list w = { 0 };
    struct err e = { 0 };

    for (int i = 1; i < OPT_LIST_MAX + 2; i++)
        argv[i] = "x";
    CHECK(!opt_parse(&start, OPT_LIST_MAX + 1, argv, &o, &w, &e) && w.n == OPT_LIST_MAX);
    w.n = 0;
    CHECK(opt_parse(&start, OPT_LIST_MAX + 2, argv, &o, &w, &e) == -EINVAL);
}

static void near_words(void)
{
    static const struct {
        const char *typed, *offered;
        bool near;
    } rows[] = {
        { "rnu", "run", true },        { "inof", "info", true },
        { "conver", "convert", true }, { "shutdonw", "shutdown", true },
        { "ab", "cd", false },         { "run", "vsock", false },
        { "list", "disk", false },     { "", "run", false },
        { "x", "y", false },           { "a-word-that-is-longer-than-any-option", "run", false },
    };
    char room[40];

    for (size_t i = 0; i < LEN(rows); i++) {
        struct near n;

        near_start(&n, rows[i].typed, strlen(rows[i].typed));
        near_offer(&n, rows[i].offered);
        CHECK(!!n.best == rows[i].near);
        CHECK(!!*near_hint(&n, "", room, sizeof(room)) == rows[i].near);
    }
}

/* What fn prints; the caller frees it. */
static char *printed(void (*fn)(const struct command *c, FILE *f), const struct command *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    fn(c, f);
    fclose(f);
    return text;
}

static void completion(const struct command *c, FILE *f)
{
    (void)c;
    opt_completion_bash(f);
}

static void help_fits_its_lines(void)
{
    char *text = printed(opt_help, &start), *save = NULL;

    CHECK(strstr(text, "usage: mimic start [options] FILE\n\nStart it.\n"));
    CHECK(strstr(text, "\n\nAnother paragraph.\n"));
    CHECK(strstr(text, "  -q, --quiet              print nothing\n"));
    CHECK(strstr(text, "how it starts (bios efi)\n"));
    CHECK(strstr(text, "\nexamples:\n  mimic start a\n  mimic start b\n"));
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        CHECK(strlen(l) <= 80 && l[strlen(l) - 1] != ' ');
    free(text);
}

static void completion_offers(void)
{
    char *text = printed(completion, NULL);

    CHECK(strstr(text, "commands=\"start stop group \""));
    CHECK(strstr(text, "\"start --kind\") COMPREPLY=($(compgen -W \"bios efi\""));
    CHECK(strstr(text, "\"stop\") offer=\"$(_mimic_vms)\""));
    CHECK(strstr(text, "\"group one\") offer=\"first second \""));
    free(text);
}

static void manual_escapes(void)
{
    char *text = printed(opt_manual, &start);

    CHECK(strstr(text, ".TH MIMIC-start 1"));
    CHECK(strstr(text, "\\-\\-name"));
    CHECK(strstr(text, ".SH EXIT STATUS\n"));
    free(text);
}

static void subcommands(void)
{
    CHECK(opt_sub(&group, "one") == &sub && !opt_sub(&group, "two"));
    CHECK(opt_run_sub(&group, 3, (char *[]){ "group", "one", "seven" }) == 7);
}

int main(void)
{
    CASE(takes_each_kind);
    CASE(refuses_with_a_reason);
    CASE(lists_have_an_end);
    CASE(near_words);
    CASE(help_fits_its_lines);
    CASE(completion_offers);
    CASE(manual_escapes);
    CASE(subcommands);
    return check_end();
}
