/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a tar archive: POSIX ustar and pax, GNU long names and base-256 sizes.
 * Links, devices and directories are passed over; so are the "._" files of AppleDouble.
 */
#include "package/source_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u
#define HEADERS_MAX (16u << 20) /* an XVA of 8 TiB; each takes 512 bytes of the file */

/* Octal text, or big-endian binary when the first bit is set. */
static bool tar_number(const u8 *p, size_t n, u64 *v)
{
    size_t i = 0;

    *v = 0;
    if (*p & 0x80) {
        for (i = 0; i < n; i++) {
            u8 b = i ? p[i] : p[i] & 0x7f;

            if (*v >> 55)
                return false;
            *v = *v << 8 | b;
        }
        return true;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (*v >> 60)
            return false;
        *v = *v << 3 | (u64)(p[i] - '0');
    }
    return i == n || !p[i] || p[i] == ' ';
}

static bool tar_sum_ok(const u8 *b)
{
    u64 want;
    i64 plain = 0, with_sign = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        u8 c = i >= 148 && i < 156 ? ' ' : b[i];

        plain += c;
        with_sign += (i8)c;
    }
    return tar_number(b + 148, 8, &want) && ((u64)plain == want || (u64)with_sign == want);
}

bool tar_is(const u8 *b)
{
    bool old = b[0] && !b[257] && !b[262]; /* of Unix V7: no magic, but a sum all the same */

    return (!memcmp(b + 257, "ustar", 5) || old) && tar_sum_ok(b);
}

static int tar_read(const struct source *s, int fd, u64 at, void *p, size_t n, struct err *e)
{
    ssize_t got = pread(fd, p, n, (off_t)at);

    if (got == (ssize_t)n)
        return 0;
    return err_set(e, got < 0 ? -errno : -EBADMSG, "%s: ends at byte %llu: it is cut short",
                   s->path, (unsigned long long)(at + (got > 0 ? (u64)got : 0)));
}

/* pax: records "LENGTH key=value\n" */
static int tar_pax(struct tar_next *next, const char *p, size_t n)
{
    while (n) {
        char *after;
        size_t len = strtoul(p, &after, 10), key, value;
        const char *is;

        if (len < 5 || len > n || *after != ' ' || p[len - 1] != '\n')
            return -EBADMSG;
        after++;
        is = memchr(after, '=', (size_t)(p + len - after));
        if (!is)
            return -EBADMSG;
        key = (size_t)(is - after);
        value = (size_t)(p + len - 1 - (is + 1));
        if (key == 4 && !memcmp(after, "path", 4)) {
            if (value >= sizeof(next->name))
                return -ENAMETOOLONG;
            memcpy(next->name, is + 1, value);
            next->name[value] = 0;
            next->has_name = true;
        } else if (key == 4 && !memcmp(after, "size", 4)) {
            next->size = strtoull(is + 1, NULL, 10);
            next->has_size = true;
        }
        p += len;
        n -= len;
    }
    return 0;
}

int tar_about(u8 type, const char *text, u64 size, struct tar_next *next)
{
    if (type == 'x')
        return tar_pax(next, text, size);
    if (type != 'L')
        return 0;
    if (strnlen(text, size) >= sizeof(next->name))
        return -ENAMETOOLONG;
    memcpy(next->name, text, strnlen(text, size));
    next->name[strnlen(text, size)] = 0;
    next->has_name = true;
    return 0;
}

/* A header about the next member: its data is read and understood. */
static int tar_long(struct source *s, int fd, u8 type, u64 at, u64 size, struct tar_next *next,
                    struct err *e)
{
    char *text;
    int r;

    if (size > TAR_ABOUT_MAX)
        return err_set(e, -E2BIG, "%s: a header of %llu bytes", s->path, (unsigned long long)size);
    text = calloc(1, size + 1);
    if (!text)
        return err_set(e, -ENOMEM, "%s: no memory", s->path);
    r = tar_read(s, fd, at, text, size, e);
    if (!r && (r = tar_about(type, text, size, next)))
        err_set(e, r, "%s: a header at byte %llu is damaged", s->path, (unsigned long long)at);
    free(text);
    return r;
}

/*
 * A disk in an XVA is a member for each of its megabytes: of those only the first is listed,
 * the image layer finds the others.
 */
static bool tar_is_chunk(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash && !strncmp(name, "Ref:", 4) && strspn(slash + 1, "0123456789") >= 8 &&
           strcmp(slash, "/00000000");
}

bool tar_name(const u8 *b, const struct tar_next *next, char name[1024])
{
    const char *p = name, *base;

    if (next->has_name) {
        memcpy(name, next->name, sizeof(next->name));
    } else {
        size_t n = 0, prefix = strnlen((const char *)b + 345, 155);

        if (prefix && b[262] == 0) { /* ustar only; GNU has other things there */
            memcpy(name, b + 345, prefix);
            name[prefix] = '/';
            n = prefix + 1;
        }
        memcpy(name + n, b, strnlen((const char *)b, 100));
        name[n + strnlen((const char *)b, 100)] = 0;
    }
    while (p[0] == '.' && p[1] == '/')
        p += 2;
    memmove(name, p, strlen(p) + 1);
    base = source_base(name);
    return *base && strncmp(base, "._", 2) && !tar_is_chunk(name) &&
           (b[156] == '0' || b[156] == 0 || b[156] == '7');
}

static bool tar_is_zero(const u8 *b)
{
    for (size_t i = 0; i < BLOCK; i++)
        if (b[i])
            return false;
    return true;
}

/* 1: the end of the archive */
int tar_block(const u8 *b, const struct tar_next *next, u64 *size, bool *about)
{
    u8 type = b[156];

    if (tar_is_zero(b))
        return 1;
    if (!tar_sum_ok(b) || !tar_number(b + 124, 12, size))
        return -EBADMSG;
    *about = type == 'x' || type == 'L' || type == 'g' || type == 'K';
    if (!*about && next->has_size)
        *size = next->size;
    return 0;
}

int tar_list(struct source *s, int fd, u64 total, struct err *e)
{
    struct tar_next next = { 0 };
    u64 at = 0, size;
    char name[1024];
    u8 b[BLOCK];
    int r;

    for (u32 n = 0; total - at >= BLOCK; n++) {
        bool about;

        r = tar_read(s, fd, at, b, BLOCK, e);
        if (r || (r = tar_block(b, &next, &size, &about)) > 0)
            return r > 0 ? 0 : r;
        if (r < 0)
            return err_set(e, r, "%s: the archive's header at byte %llu is damaged", s->path,
                           (unsigned long long)at);
        if (n > HEADERS_MAX)
            return err_set(e, -E2BIG, "%s: more than %u headers", s->path, HEADERS_MAX);
        at += BLOCK;
        if (size > total - at)
            return err_set(
                e, -EBADMSG,
                "%s: \"%.100s\" should have %llu bytes, but the archive ends after %llu: "
                "it is cut short",
                s->path, (const char *)b, (unsigned long long)size,
                (unsigned long long)(total - at));
        if (about)
            r = tar_long(s, fd, b[156], at, size, &next, e);
        else if (tar_name(b, &next, name))
            r = source_add(s, name, strlen(name), at, size, e);
        if (r)
            return r;
        if (!about)
            next = (struct tar_next){ 0 };
        at += size;
        at += min_u64(-at & (BLOCK - 1), total - at);
    }
    return 0;
}
