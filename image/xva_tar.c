/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tar (POSIX ustar and pax, long names of GNU) as an XVA needs it: names, places and sizes
 * of its files, read forward and in place.
 */
#include "base/bytes.h"
#include "image/xva_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAR_BLOCK 512
#define TAR_EXTRA_MAX (1u << 20)

/* Octal, or binary when the first bit is set. */
static bool tar_number(const u8 *p, size_t n, u64 *to)
{
    u64 v = 0;

    if (*p & 0x80) {
        for (size_t i = 1; i < n; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | p[i];
        }
        *to = v;
        return *p == 0x80;
    }
    while (n && *p == ' ')
        p++, n--;
    for (; n && *p >= '0' && *p <= '7'; p++, n--)
        v = v << 3 | (u64)(*p - '0');
    *to = v;
    return !n || !*p || *p == ' ';
}

int tar_header(const u8 *h, struct tar_member *m)
{
    u64 want, sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    if (!tar_number(h + 148, 8, &want) || sum != want || !tar_number(h + 124, 12, &m->size))
        return -EBADMSG;
    if (!memcmp(h + 257, "ustar\0", 6) && h[345]) {
        n = strnlen((const char *)h + 345, 154);
        memcpy(m->name, h + 345, n);
        m->name[n++] = '/';
    }
    memcpy(m->name + n, h, strnlen((const char *)h, 100));
    m->name[n + strnlen((const char *)h, 100)] = 0;
    return 0;
}

/* A pax record, "17 path=Ref:1/0000\n"; its length, 0: none. */
static size_t tar_record(const char *p, size_t n, const char **key, size_t *nkey,
                         const char **value, size_t *nvalue)
{
    size_t len = 0, at = 0;
    const char *equals;

    for (; at < n && at < 8 && p[at] >= '0' && p[at] <= '9'; at++)
        len = len * 10 + (size_t)(p[at] - '0');
    if (at >= n || p[at++] != ' ' || len <= at || len > n || p[len - 1] != '\n')
        return 0;
    equals = memchr(p + at, '=', len - at);
    if (!equals)
        return 0;
    *key = p + at;
    *nkey = (size_t)(equals - *key);
    *value = equals + 1;
    *nvalue = (size_t)(p + len - 1 - *value);
    return len;
}

/* What a header before the file's own says of it. */
struct tar_said {
    char name[256];
    u64 size;
    bool has_size;
};

static int tar_pax(const char *p, size_t n, struct tar_said *s)
{
    const char *key, *value;
    size_t nkey, nvalue, len;

    for (; n; p += len, n -= len) {
        len = tar_record(p, n, &key, &nkey, &value, &nvalue);
        if (!len)
            return -EBADMSG;
        if (nkey == 4 && !memcmp(key, "path", 4) && nvalue < sizeof(s->name)) {
            memcpy(s->name, value, nvalue);
            s->name[nvalue] = 0;
        }
        if (nkey == 4 && !memcmp(key, "size", 4)) {
            s->size = 0;
            s->has_size = true;
            for (size_t i = 0; i < nvalue; i++) {
                if (value[i] < '0' || value[i] > '9' || s->size > UINT64_MAX / 16)
                    return -EBADMSG;
                s->size = s->size * 10 + (u64)(value[i] - '0');
            }
        }
    }
    return 0;
}

static int tar_extra(struct image *im, const struct tar_member *m, char type, struct tar_said *s)
{
    char *p = m->size <= TAR_EXTRA_MAX ? calloc(1, m->size + 1) : NULL;
    int r = p ? image_file_read(im, 0, m->at, p, m->size) : -EBADMSG;

    if (!r && type == 'x')
        r = tar_pax(p, m->size, s);
    else if (!r && type == 'L')
        snprintf(s->name, sizeof(s->name), "%s", p);
    free(p);
    return r;
}

int tar_next(struct image *im, struct tar_member *m, struct err *e)
{
    u64 end = image_file_length(im, 0), header;
    struct tar_said said = { 0 };
    u8 h[TAR_BLOCK];

    for (;;) {
        header = m->next;
        m->before = m->at;
        if (header >= end || end - header < TAR_BLOCK)
            return 0; /* the two blocks of zeroes are missing: all members were whole */
        if (image_file_read(im, 0, header, h, sizeof(h)))
            return err_set(e, -EIO, "%s: cannot be read at %llu", image_path(im),
                           (unsigned long long)header);
        if (!h[0] && !memcmp(h, h + 1, sizeof(h) - 1))
            return 0;
        if (tar_header(h, m))
            return err_set(e, -EBADMSG, "%s: no header of a tar member at byte %llu",
                           image_path(im), (unsigned long long)header);
        if (said.has_size)
            m->size = said.size;
        if (h[156] >= '1' && h[156] <= '6') /* links, directories, devices */
            m->size = 0;
        m->at = header + TAR_BLOCK;
        if (!range_ok(m->at, m->size, end))
            return err_set(e, -EBADMSG, "%s: is cut short: %.100s at byte %llu has %llu bytes",
                           image_path(im), m->name, (unsigned long long)m->at,
                           (unsigned long long)m->size);
        m->next = m->at + round_up(m->size, TAR_BLOCK);
        if (h[156] == 'x' || h[156] == 'L') {
            u64 before = m->before;

            if (tar_extra(im, m, (char)h[156], &said))
                return err_set(e, -EBADMSG, "%s: the header at byte %llu is damaged",
                               image_path(im), (unsigned long long)header);
            m->at = before;
        } else if (!h[156] || h[156] == '0' || h[156] == '7') {
            break;
        } else {
            said = (struct tar_said){ 0 };
        }
    }
    if (said.name[0])
        memcpy(m->name, said.name, sizeof(m->name));
    if (!strncmp(m->name, "./", 2))
        memmove(m->name, m->name + 2, strlen(m->name + 2) + 1);
    return 1;
}

int xva_chunk_name(const char *name, char *ref, i64 *number)
{
    const char *slash = strrchr(name, '/');
    size_t digits;

    if (!slash || slash == name || slash - name >= XVA_REF)
        return XVA_NAME_NONE;
    digits = strspn(slash + 1, "0123456789");
    if (digits < 8 || digits > 12)
        return XVA_NAME_NONE;
    memcpy(ref, name, (size_t)(slash - name));
    ref[slash - name] = 0;
    *number = strtoll(slash + 1, NULL, 10);
    slash += 1 + digits;
    return !*slash                                                    ? XVA_NAME_CHUNK
           : !strcmp(slash, ".checksum") || !strcmp(slash, ".xxhash") ? XVA_NAME_SUM
                                                                      : XVA_NAME_NONE;
}
