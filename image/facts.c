/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What images say beside the guest's bytes: one list of names for all formats. */
#include "image/image_int.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct image_teller {
    image_fact_fn *say;
    void *arg;
};

static const char *const fact_names[FACTS] = {
    [FACT_VARIANT] = "variant",
    [FACT_VERSION] = "version",
    [FACT_SECTOR] = "sector",
    [FACT_PHYSICAL] = "physical-sector",
    [FACT_GEOMETRY] = "geometry",
    [FACT_ADAPTER] = "adapter",
    [FACT_ID] = "id",
    [FACT_CONTENT_ID] = "content-id",
    [FACT_PARENT_ID] = "parent-id",
    [FACT_CREATOR] = "creator",
    [FACT_CREATED] = "created",
    [FACT_COMMENT] = "comment",
    [FACT_SNAPSHOT] = "snapshot",
    [FACT_BITMAP] = "bitmap",
    [FACT_COMPRESSION] = "compression",
    [FACT_ENCRYPTION] = "encryption",
    [FACT_FILE] = "file",
    [FACT_DIRTY] = "dirty",
    [FACT_OTHER] = "other",
};

/* Text from a file: what would act on a terminal is replaced. */
void fact_say(const struct image_teller *to, enum image_fact what, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if ((u8)*p < 0x20 || *p == 0x7f)
            *p = '?';
    if (text[0])
        to->say(to->arg, fact_names[what], text);
}

void image_facts(struct image *im, image_fact_fn *say, void *arg)
{
    struct image_teller to = { say, arg };

    if (im->format->facts)
        im->format->facts(im, &to);
    for (u32 i = 1; i < im->nfiles; i++)
        fact_say(&to, FACT_FILE, "%s", im->files[i].path);
}

/* Facts that a copy should have too, and the options that ask for them. */
static const struct {
    const char *fact, *option;
} fact_copied[] = {
    { "sector", "sector" },     { "physical-sector", "physical" }, { "adapter", "adapter" },
    { "geometry", "geometry" }, { "comment", "comment" },
};

struct fact_copy {
    const struct image_format *format;
    const char *options;
    char *room;
    size_t n, at;
};

static void fact_copy(void *arg, const char *name, const char *value)
{
    struct fact_copy *c = arg;
    const char *option = NULL;

    for (size_t i = 0; i < LEN(fact_copied); i++)
        if (!strcmp(name, fact_copied[i].fact))
            option = fact_copied[i].option;
    if (!option || image_option_said(c->options, option) ||
        !image_option_takes(c->format, option, value) || c->at >= c->n)
        return;
    c->at +=
        (size_t)snprintf(c->room + c->at, c->n - c->at, "%s%s=%s", c->at ? "," : "", option, value);
}

int image_copy_options(struct image *from, const char *format, const char *options, char *room,
                       size_t n)
{
    struct fact_copy c = {
        .format = image_format_of(format), .options = options, .room = room, .n = n
    };

    c.at = (size_t)snprintf(room, n, "%s", options ? options : "");
    if (c.format && c.format->options)
        image_facts(from, fact_copy, &c);
    return c.at < n ? 0 : -E2BIG;
}

u64 image_stored(const struct image *im)
{
    struct stat st;
    u64 n = 0;

    for (u32 i = 0; i < im->nfiles; i++) {
        const struct image_file *f = &im->files[i];

        if (f->window && !f->unpacked)
            n += image_file_length(im, i);
        else if (f->unpacked ? !stat(f->path, &st) : !fstat(f->fd, &st))
            n += (u64)st.st_blocks * 512;
    }
    return n;
}
