/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text descriptor of a VMDK: "key = value" lines and extent lines, after "Virtual Disk
 * Format 5.0".  Lines that mean nothing to us are left alone.
 */
#include "image/vmdk_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char vmdk_magic[] = "# disk descriptorfile";

bool vmdk_text_is(const u8 *head, size_t n)
{
    size_t i = n >= 3 && !memcmp(head, "\xef\xbb\xbf", 3) ? 3 : 0;

    while (i < n && isspace(head[i]))
        i++;
    return n - i >= sizeof(vmdk_magic) - 1 &&
           !strncasecmp((const char *)head + i, vmdk_magic, sizeof(vmdk_magic) - 1);
}

/* One line, trimmed, as text of its own. */
struct vmdk_reader {
    const char *p, *end;
    const char *line; /* where the line began */
    char text[VMDK_NAME_MAX + 256];
    unsigned number;
};
static bool vmdk_read_line(struct vmdk_reader *r)
{
    const char *stop;
    size_t n;

    if (r->p >= r->end || !*r->p)
        return false;
    for (stop = r->p; stop < r->end && *stop && *stop != '\n'; stop++)
        ;
    while (r->p < stop && isspace((u8)*r->p))
        r->p++;
    r->line = r->p;
    n = min_u64((u64)(stop - r->p), sizeof(r->text) - 1);
    while (n && isspace((u8)r->p[n - 1]))
        n--;
    memcpy(r->text, r->p, n);
    r->text[n] = 0;
    r->p = stop < r->end && *stop ? stop + 1 : stop;
    r->number++;
    return true;
}

/* The next word or quoted text of s; NULL at the end. */
static char *vmdk_word(char **s)
{
    char *p = *s, *start;

    while (*p == ' ' || *p == '\t')
        p++;
    if (!*p)
        return NULL;
    if (*p == '"') {
        start = ++p;
        while (*p && *p != '"')
            p++;
    } else {
        start = p;
        while (*p && *p != ' ' && *p != '\t')
            p++;
    }
    if (*p)
        *p++ = 0;
    *s = p;
    return start;
}

static int vmdk_number(const char *s, u64 *v)
{
    char *end;

    if (!s || !isdigit((u8)*s))
        return -EINVAL;
    errno = 0;
    *v = strtoull(s, &end, 10);
    return *end || errno ? -EINVAL : 0;
}

static int vmdk_choice(const char *s, const char *const *names, const int *values, size_t n)
{
    for (size_t i = 0; s && i < n; i++)
        if (!strcasecmp(s, names[i]))
            return values[i];
    return -1;
}

static int vmdk_access_of(const char *s)
{
    static const char *const names[] = { "RW", "RDONLY", "NOACCESS" };
    static const int values[] = { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS };

    return vmdk_choice(s, names, values, LEN(names));
}

static int vmdk_kind_of(const char *s)
{
    static const char *const names[] = {
        "FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE", "ZERO"
    };
    static const int values[] = { VMDK_FLAT, VMDK_FLAT,     VMDK_SPARSE,
                                  VMDK_COWD, VMDK_SESPARSE, VMDK_ZERO };

    return vmdk_choice(s, names, values, LEN(names));
}

/* ACCESS SECTORS TYPE ["FILE" [OFFSET]] */
static int vmdk_extent_line(struct vmdk_text *t, char *s, const char *where, unsigned number,
                            struct err *e)
{
    char *access = vmdk_word(&s), *sectors = vmdk_word(&s), *type = vmdk_word(&s);
    char *name = vmdk_word(&s), *offset = vmdk_word(&s);
    int kind = vmdk_kind_of(type);
    struct vmdk_line *l, *lines;

    if (t->nlines >= IMAGE_FILES_MAX)
        return err_set(e, -E2BIG, "%s: more than %d extents", where, IMAGE_FILES_MAX);
    if (kind < 0)
        return err_set(e, -EOPNOTSUPP, "%s: line %u: an extent of type \"%.20s\" is not supported",
                       where, number, type ? type : "");
    lines = realloc(t->lines, (t->nlines + 1) * sizeof(*lines));
    if (!lines)
        return err_set(e, -ENOMEM, "%s: no memory", where);
    t->lines = lines;
    l = &lines[t->nlines++];
    *l = (struct vmdk_line){ .access = (enum vmdk_access)vmdk_access_of(access),
                             .kind = (enum vmdk_kind)kind };
    if (vmdk_number(sectors, &l->sectors) || l->sectors > INT64_MAX / 512)
        return err_set(e, -EBADMSG, "%s: line %u: \"%.20s\" is no number of sectors", where, number,
                       sectors);
    if (offset && vmdk_number(offset, &l->offset))
        return err_set(e, -EBADMSG, "%s: line %u: \"%.20s\" is no offset", where, number, offset);
    if (l->kind != VMDK_ZERO && (!name || !*name || strlen(name) >= sizeof(l->name)))
        return err_set(e, -EBADMSG, "%s: line %u: an extent without a file name", where, number);
    if (name)
        memcpy(l->name, name, min_u64(strlen(name), sizeof(l->name) - 1));
    return 0;
}

static int vmdk_key_line(struct vmdk_text *t, const struct vmdk_reader *r, const char *text,
                         const char *where, struct err *e)
{
    char line[sizeof(r->text)], *value, *key = line;
    const char *digits;

    memcpy(line, r->text, sizeof(line));
    value = strchr(line, '=');
    if (!value)
        return 0;
    *value++ = 0;
    key = vmdk_word(&key);
    digits = strchr(r->line, '=') + 1;
    while (*digits == ' ' || *digits == '\t')
        digits++;
    value = vmdk_word(&value);
    if (!key || !value)
        return 0;
    if (!strcasecmp(key, "CID")) {
        t->cid = (u32)strtoul(value, NULL, 16);
        if (strspn(value, "0123456789abcdefABCDEF") == 8 && strlen(value) == 8 && *digits != '"')
            t->cid_at = (u32)(digits - text);
    } else if (!strcasecmp(key, "parentCID")) {
        t->parent_cid = (u32)strtoul(value, NULL, 16);
    } else if (!strcasecmp(key, "changeTrackPath")) {
        t->tracked = true;
    } else if (!strcasecmp(key, "createType")) {
        memcpy(t->type, value, min_u64(strlen(value), sizeof(t->type) - 1));
    } else if (!strcasecmp(key, "parentFileNameHint")) {
        if (strlen(value) >= sizeof(t->parent))
            return err_set(e, -EBADMSG, "%s: line %u: the parent's name is too long", where,
                           r->number);
        memcpy(t->parent, value, strlen(value));
    }
    return 0;
}

int vmdk_text_parse(struct vmdk_text *t, const char *text, size_t n, const char *where,
                    struct err *e)
{
    struct vmdk_reader r = { .p = text, .end = text + n };
    int err = 0;

    *t = (struct vmdk_text){ .cid = VMDK_NO_PARENT, .parent_cid = VMDK_NO_PARENT };
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        r.p += 3;
    while (!err && vmdk_read_line(&r)) {
        char copy[sizeof(r.text)], *s = copy;
        char *word;

        if (!*r.text || *r.text == '#')
            continue;
        memcpy(copy, r.text, sizeof(copy));
        word = vmdk_word(&s);
        if (word && vmdk_access_of(word) >= 0) {
            memcpy(copy, r.text, sizeof(copy));
            err = vmdk_extent_line(t, copy, where, r.number, e);
        } else {
            err = vmdk_key_line(t, &r, text, where, e);
        }
    }
    return err;
}
