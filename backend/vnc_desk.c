/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a viewer's desktop shares with the guest's: the clipboard, in Latin-1 as RFC 6143 has it or in
 * UTF-8 where the viewer knows the extended one, and the wish for another size of the screen.
 */
#include "backend/vnc_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CUT_MOST = 1 << 20 };

/* ---- text ---- */

static char *text_from_latin(const u8 *p, size_t n)
{
    char *to = malloc(2 * n + 1), *at = to;

    for (size_t i = 0; to && i < n && p[i]; i++) {
        if (p[i] < 0x80) {
            *at++ = (char)p[i];
        } else {
            *at++ = (char)(0xc0 | p[i] >> 6);
            *at++ = (char)(0x80 | (p[i] & 0x3f));
        }
    }
    if (to)
        *at = 0;
    return to;
}

/* One character for each of UTF-8's, "?" for what Latin-1 does not have. */
static char *text_to_latin(const char *text)
{
    char *to = malloc(strlen(text) + 1), *at = to;

    for (const u8 *p = (const u8 *)text; to && *p; p++) {
        if (*p < 0x80)
            *at++ = (char)*p;
        else if ((*p & 0xfe) == 0xc2 && (p[1] & 0xc0) == 0x80)
            *at++ = (char)((*p & 3) << 6 | (p[1] & 0x3f));
        else if (*p >= 0xc0)
            *at++ = '?';
    }
    if (to)
        *at = 0;
    return to;
}

/* ---- the clipboard ---- */

static void desk_latin(char *text, int n, rfbClientPtr client)
{
    struct vnc *v = client->screen->screenData;
    char *copy = n < 0 || n > CUT_MOST ? NULL : text_from_latin((const u8 *)text, (size_t)n);

    if (copy)
        v->how.cut(v->how.arg, copy);
    free(copy);
}

static void desk_utf8(char *text, int n, rfbClientPtr client)
{
    struct vnc *v = client->screen->screenData;
    char *copy = n < 0 || n > CUT_MOST ? NULL : strndup(text, (size_t)n);

    if (copy)
        v->how.cut(v->how.arg, copy);
    free(copy);
}

void vnc_cut(struct vnc *v, const char *text)
{
    char *copy = strdup(text), *old;

    pthread_mutex_lock(&v->lock);
    old = v->cut;
    v->cut = copy;
    pthread_mutex_unlock(&v->lock);
    free(old);
    vnc_wake(v);
}

/* The library sends UTF-8 to all or none: as soon as one viewer cannot, nobody gets it. */
static bool desk_all_utf8(struct vnc *v)
{
    rfbClientIteratorPtr all = rfb.clients(v->screen);
    rfbClientPtr client;
    bool yes = true;

    while ((client = rfb.clients_next(all)))
        yes &= client->enableExtendedClipboard;
    rfb.clients_end(all);
    return yes;
}

void vnc_desk_cut(struct vnc *v)
{
    char *text, *latin;

    pthread_mutex_lock(&v->lock);
    text = v->cut;
    v->cut = NULL;
    pthread_mutex_unlock(&v->lock);
    latin = text ? text_to_latin(text) : NULL;
    if (latin && desk_all_utf8(v))
        rfb.send_cut_utf8(v->screen, text, (int)strlen(text), latin, (int)strlen(latin));
    else if (latin)
        rfb.send_cut(v->screen, latin, (int)strlen(latin));
    free(latin);
    free(text);
}

/* ---- the size ---- */

static int desk_size(int width, int height, int nscreens, struct rfbExtDesktopScreen *screens,
                     rfbClientPtr client)
{
    struct vnc *v = client->screen->screenData;

    (void)screens;
    if (nscreens != 1 || width <= 0 || height <= 0)
        return rfbExtDesktopSize_InvalidScreenLayout;
    return v->how.resize(v->how.arg, (u32)width, (u32)height) ? rfbExtDesktopSize_ResizeProhibited
                                                              : rfbExtDesktopSize_Success;
}

void vnc_desk(struct vnc *v)
{
    if (v->how.cut) {
        v->screen->setXCutText = desk_latin;
        v->screen->setXCutTextUTF8 = desk_utf8;
    }
    if (v->how.resize)
        v->screen->setDesktopSizeHook = desk_size;
}
