/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What writers of packages that stand beside their disks share. */
#include "package/place_write.h"
#include "package/lost.h"
#include "package/source.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is the word among these? */
static bool place_among(const char *words, const char *word)
{
    size_t n = word ? strlen(word) : 0;

    for (const char *p = words; n && *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && !strncmp(p, word, n))
            return true;
    return false;
}

int place_out(struct sink *s, const struct desc_disk *k, const char *stem, const char *keep,
              struct sink_disk *out, struct notes *n, struct err *e)
{
    bool own = k->media != DESC_DISK || place_among(keep, k->format);
    char format[32], name[300];
    const char *suffix;

    *out = (struct sink_disk){ 0 };
    if (!k->path && (k->source || !k->capacity)) {
        if (k->source)
            note(n, NOTE_LOST, k->name, "\"%.200s\" was not there: only its name is written",
                 k->source);
        out->name = k->source;
        out->format = k->format ? k->format : "raw";
        out->capacity = k->capacity;
        return 0;
    }
    snprintf(format, sizeof(format), "%.*s", own ? 31 : (int)strcspn(keep, " "),
             k->media != DESC_DISK ? "raw"
             : own                 ? k->format
                                   : keep);
    suffix = k->media == DESC_CDROM ? "iso" : k->media == DESC_FLOPPY ? "img" : format;
    if (stem)
        snprintf(name, sizeof(name), "%.200s.%s", stem, suffix);
    else
        snprintf(name, sizeof(name), "%.200s-%s.%s", sink_name(s), k->name, suffix);
    for (char *p = name; *p; p++)
        if (*p == '/' || *p == ':' || *p == ',' || (u8)*p <= ' ')
            *p = '_';
    return sink_disk(s, k, name, format, NULL, out, e);
}

void place_lost(const struct desc *d, const char *format, struct notes *n)
{
    lost_properties(d, n);
    lost_extras(d, format, n);
}

long place_number(const char *name)
{
    const char *p = name + strlen(name);

    while (p > name && isdigit((u8)p[-1]))
        p--;
    return *p ? strtol(p, NULL, 10) : -1;
}

bool place_boot(const struct desc *d, u32 place, const struct desc_disk **k,
                const struct desc_nic **c)
{
    *c = NULL;
    for (*k = d->disks; *k; *k = (*k)->next)
        if ((*k)->boot == place)
            return true;
    for (*c = d->nics; *c; *c = (*c)->next)
        if ((*c)->boot == place)
            return true;
    return false;
}

void place_boot_order(struct desc *d, const char *letters)
{
    u32 place = 1;

    for (; *letters; letters++) {
        enum desc_media media = *letters == 'd'   ? DESC_CDROM
                                : *letters == 'a' ? DESC_FLOPPY
                                                  : DESC_DISK;
        struct desc_disk *k = d->disks;

        if (*letters == 'n' && d->nics && !d->nics->boot)
            d->nics->boot = place++;
        if (!strchr("acd", *letters))
            continue;
        while (k && k->media != media)
            k = k->next;
        if (k && !k->boot)
            k->boot = place++;
    }
}

void place_boot_letters(const struct desc *d, char letters[8])
{
    const struct desc_disk *k;
    const struct desc_nic *c;

    memset(letters, 0, 8);
    for (u32 place = 1; place < 64 && place_boot(d, place, &k, &c); place++) {
        char letter = c ? 'n' : k->media == DESC_CDROM ? 'd' : 'c';

        if (!strchr(letters, letter) && strlen(letters) < 4)
            letters[strlen(letters)] = letter;
    }
}

const char *place_mac_text(const struct desc_nic *c, char text[18])
{
    text[0] = 0;
    if (c->has_mac)
        snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2],
                 c->mac[3], c->mac[4], c->mac[5]);
    return text;
}
