/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One entry of "disk", after xl-disk-configuration(5): "target,format,vdev,access", the same by
 * "key=value", and the prefixes of old ("phy:/dev/x,hda,w", "tap:aio:/x.img,hdc:cdrom,r").
 */
#include "package/xl_int.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *xl_format_word(const char *s)
{
    static const char *const words[] = { "raw", "qcow", "qcow2", "vhd", "qed", "empty", "vmdk" };

    for (size_t i = 0; i < LEN(words); i++)
        if (!strcasecmp(s, words[i]))
            return words[i];
    return NULL;
}

static void xl_copy_text(char *to, size_t room, const char *s)
{
    snprintf(to, room, "%s", s);
}

static bool xl_rest_add(struct xl_disk *k, const char *s)
{
    size_t n = strlen(k->rest);

    return snprintf(k->rest + n, sizeof(k->rest) - n, "%s%s", n ? "," : "", s) <
           (int)(sizeof(k->rest) - n);
}

/* A network target: the host's script for it. */
static bool xl_rest_add_script(struct xl_disk *k, const char *word)
{
    char script[32];

    snprintf(script, sizeof(script), "script=block-%s", word);
    return xl_rest_add(k, script);
}

/* "tap:aio:/x": the words before the first other thing; true when there was one. */
static bool xl_prefixes(struct xl_disk *k, const char **text)
{
    static const char *const how[] = { "phy", "file", "tap",  "tap2", "tapdisk", "aio",  "ioemu",
                                       "ram", "sync", "drbd", "nbd",  "enbd",    "iscsi" };
    bool any = false;

    for (;;) {
        const char *colon = strchr(*text, ':'), *comma = strchr(*text, ','), *format = NULL;
        char word[16];
        size_t n = colon ? (size_t)(colon - *text) : 0, i;

        if (!n || n >= sizeof(word) || (comma && comma < colon))
            return any;
        memcpy(word, *text, n);
        word[n] = 0;
        for (i = 0; i < LEN(how) && strcmp(word, how[i]); i++)
            ;
        if (i == LEN(how) && !(format = xl_format_word(word)))
            return any;
        if (format)
            xl_copy_text(k->format, sizeof(k->format), format);
        else if (i >= LEN(how) - 4)
            xl_rest_add_script(k, word);
        any = true;
        *text = colon + 1;
    }
}

static bool xl_access(struct xl_disk *k, const char *s)
{
    if (!strcasecmp(s, "r") || !strcasecmp(s, "ro"))
        k->read_only = true;
    else if (strcasecmp(s, "w") && strcasecmp(s, "rw") && strcasecmp(s, "w!") &&
             strcasecmp(s, "rw!") && strcmp(s, "!"))
        return false;
    return true;
}

/* "hdc:cdrom" */
static bool xl_set_vdev(struct xl_disk *k, const char *s)
{
    const char *colon = strchr(s, ':');

    snprintf(k->vdev, sizeof(k->vdev), "%.*s", colon ? (int)(colon - s) : (int)strlen(s), s);
    k->cdrom |= colon && !strcasecmp(colon + 1, "cdrom");
    return !colon || !strcasecmp(colon + 1, "cdrom") || !strcasecmp(colon + 1, "disk");
}

static bool xl_keyword(struct xl_disk *k, char *key, const char *value)
{
    if (!strcasecmp(key, "format"))
        xl_copy_text(k->format, sizeof(k->format), value);
    else if (!strcasecmp(key, "vdev"))
        return xl_set_vdev(k, value);
    else if (!strcasecmp(key, "access"))
        return xl_access(k, value);
    else if (!strcasecmp(key, "devtype"))
        k->cdrom = !strcasecmp(value, "cdrom");
    else {
        key[strlen(key)] = '='; /* one text again */
        return xl_rest_add(k, key);
    }
    return true;
}

static bool xl_flag(struct xl_disk *k, const char *s)
{
    if (!strcasecmp(s, "cdrom"))
        k->cdrom = true;
    else if (!strcasecmp(s, "removable"))
        k->removable = true;
    else
        return false;
    return true;
}

/* The next one without a key: target, format, vdev, access; old entries leave the format out. */
static bool xl_positional(struct xl_disk *k, char *s, unsigned *at, bool old)
{
    const char *format;

    if (*at >= 2 && *s && xl_flag(k, s))
        return true;
    switch ((*at)++) {
    case 0:
        xl_copy_text(k->target, sizeof(k->target), s);
        return true;
    case 1:
        format = old ? NULL : xl_format_word(s);
        if (format) {
            xl_copy_text(k->format, sizeof(k->format), format);
            return true;
        }
        if (!*s && !old)
            return true;
        ++*at; /* no format: this is the device */
        return xl_set_vdev(k, s);
    case 2:
        return xl_set_vdev(k, s);
    case 3:
        return !*s || xl_access(k, s);
    default:
        return !*s || xl_rest_add(k, s);
    }
}

static char *xl_trim(char *s)
{
    size_t n;

    while (isspace((u8)*s))
        s++;
    for (n = strlen(s); n && isspace((u8)s[n - 1]); n--)
        s[n - 1] = 0;
    return s;
}

bool xl_disk_parse(const char *text, struct xl_disk *k, const char **why)
{
    char room[2048], *next = room, *s;
    unsigned at = 0;
    bool old;

    *k = (struct xl_disk){ 0 };
    *why = "is too long";
    while (isspace((u8)*text))
        text++;
    old = xl_prefixes(k, &text);
    if (snprintf(room, sizeof(room), "%s", text) >= (int)sizeof(room) || strlen(text) > 1000)
        return false;
    while (next) {
        char *value;

        *why = "is not understood";
        s = xl_trim(next);
        if (!strncasecmp(s, "target=", 7)) { /* the last: commas are part of it */
            xl_copy_text(k->target, sizeof(k->target), xl_trim(s + 7));
            break;
        }
        s = xl_trim(strsep(&next, ","));
        value = strchr(s, '=');
        if (value && at != 0 && *s != '/') {
            *value = 0;
            if (!xl_keyword(k, s, value + 1))
                return false;
        } else if (value && at == 0 && !memchr(s, '/', (size_t)(value - s))) {
            *value = 0;
            if (!xl_keyword(k, s, value + 1))
                return false;
        } else if (!xl_positional(k, s, &at, old)) {
            return false;
        }
    }
    *why = "names no virtual device";
    if (!strcmp(k->format, "empty"))
        k->target[0] = 0;
    return *k->vdev != 0;
}

long xl_vdev(const char *vdev, char *bus)
{
    const char *p = vdev;
    long n = 0;

    if (!strncmp(p, "/dev/", 5))
        p += 5;
    *bus = p[0];
    if (!strncmp(p, "xvd", 3))
        p += 3;
    else if ((*p == 'h' || *p == 's') && p[1] == 'd')
        p += 2;
    else if (*p == 'f' && p[1] == 'd')
        return isdigit((u8)p[2]) ? p[2] - '0' : -1;
    else if (*p == 'd' && isdigit((u8)p[1])) {
        *bus = 'x';
        return strtol(p + 1, NULL, 10) & 0xffff;
    } else {
        return -1;
    }
    if (!islower((u8)*p))
        return -1;
    for (; islower((u8)*p) && n < 1000; p++)
        n = n * 26 + (*p - 'a' + 1);
    return n - 1;
}
