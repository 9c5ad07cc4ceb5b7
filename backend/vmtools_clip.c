/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clipboard between the host's users and the guest's: the last text of either side. */
#include "backend/vmtools_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A copy up to the most that the wire carries, cut between characters of UTF-8. */
static char *clip_copy(const char *text, size_t n)
{
    n = strnlen(text, n);
    if (n > VMTOOLS_CLIP)
        for (n = VMTOOLS_CLIP; n && ((u8)text[n] & 0xc0) == 0x80;)
            n--;
    return strndup(text, n);
}

static void clip_put(struct vmtools *t, char **place, char *take_text)
{
    char *old;

    pthread_mutex_lock(&t->lock);
    old = *place;
    *place = take_text;
    pthread_mutex_unlock(&t->lock);
    free(old);
}

int vmtools_clip_set(struct vmtools *t, const char *text)
{
    char *copy = clip_copy(text, strlen(text));

    if (!copy)
        return -ENOMEM;
    clip_put(t, &t->clip_host, copy);
    return 0;
}

bool vmtools_clip_fetch(struct vmtools *t, u8 to[VMTOOLS_CLIP], u32 *n)
{
    char *text;

    pthread_mutex_lock(&t->lock);
    text = t->clip_host;
    t->clip_host = NULL;
    pthread_mutex_unlock(&t->lock);
    if (!text)
        return false;
    *n = (u32)strlen(text);
    memcpy(to, text, *n);
    free(text);
    return true;
}

void vmtools_clip_said(struct vmtools *t, const u8 *p, u32 n)
{
    char *copy = clip_copy((const char *)p, n);
    void (*told)(void *, const char *);
    void *arg;

    if (!copy)
        return;
    pthread_mutex_lock(&t->lock);
    told = t->on_clip;
    arg = t->on_clip_arg;
    if (told) /* lock held, so that whoever listens can leave */
        told(arg, copy);
    pthread_mutex_unlock(&t->lock);
    clip_put(t, &t->clip_guest, copy);
}

char *vmtools_clip_get(struct vmtools *t)
{
    char *copy;

    pthread_mutex_lock(&t->lock);
    copy = strdup(t->clip_guest ? t->clip_guest : "");
    pthread_mutex_unlock(&t->lock);
    return copy;
}

void vmtools_on_clip(struct vmtools *t, void (*told)(void *arg, const char *text), void *arg)
{
    pthread_mutex_lock(&t->lock);
    t->on_clip = told;
    t->on_clip_arg = arg;
    pthread_mutex_unlock(&t->lock);
}

void vmtools_clip_free(struct vmtools *t)
{
    free(t->clip_host);
    free(t->clip_guest);
}
