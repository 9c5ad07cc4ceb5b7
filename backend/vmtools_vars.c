/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The variables "guestinfo.*", which guest and host both set.  Those of the guest and of the
 * user are kept in a file beside the VM's state, a JSON object; those that a package tells are not.
 */
#include "backend/vmtools_int.h"
#include "base/log.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VARS_MOST = 1024, VARS_BYTES = 1 << 20 };

struct guestinfo {
    struct guestinfo *next;
    char *value;
    bool keep;
    char key[];
};

static struct guestinfo **guestinfo_find(struct vmtools *t, const char *key)
{
    struct guestinfo **at = &t->vars;

    while (*at && strcmp((*at)->key, key) < 0)
        at = &(*at)->next;
    return at;
}

const char *guestinfo_get(struct vmtools *t, const char *key)
{
    struct guestinfo **at = guestinfo_find(t, key);

    return *at && !strcmp((*at)->key, key) ? (*at)->value : NULL;
}

static void guestinfo_drop(struct vmtools *t, struct guestinfo **at)
{
    struct guestinfo *g = *at;

    *at = g->next;
    t->nvars--;
    t->vars_bytes -= strlen(g->value);
    free(g->value);
    free(g);
}

static bool guestinfo_key_ok(const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)key[i]) || key[i] == ' ')
            return false;
    return n && n < GUESTINFO_KEY;
}

int guestinfo_set(struct vmtools *t, const char *key, const char *value, bool keep)
{
    struct guestinfo **at = guestinfo_find(t, key), *g;
    bool there = *at && !strcmp((*at)->key, key);
    size_t n = value ? strlen(value) : 0;

    if (!guestinfo_key_ok(key) || n > GUESTINFO_VALUE)
        return -EINVAL;
    if (there) {
        keep = keep || (*at)->keep;
        guestinfo_drop(t, at);
    }
    t->dirty = t->dirty || (keep && t->file);
    if (!value)
        return 0;
    if (t->nvars >= VARS_MOST || t->vars_bytes + n > VARS_BYTES)
        return -ENOSPC;
    g = calloc(1, sizeof(*g) + strlen(key) + 1);
    if (!g || !(g->value = strdup(value))) {
        free(g);
        return -ENOMEM;
    }
    memcpy(g->key, key, strlen(key) + 1);
    g->keep = keep;
    g->next = *at;
    *at = g;
    t->nvars++;
    t->vars_bytes += n;
    return 0;
}

void guestinfo_free(struct vmtools *t)
{
    while (t->vars)
        guestinfo_drop(t, &t->vars);
}

/* ---- the file ---- */

void guestinfo_load(struct vmtools *t)
{
    json_error_t why;
    json_t *o, *value;
    const char *key;

    if (access(t->file, F_OK))
        return;
    o = json_load_file(t->file, 0, &why);
    if (!json_is_object(o))
        log_warn("%s: not read: %s", t->file, o ? "not an object" : why.text);
    json_object_foreach(o, key, value) if (json_is_string(value))
        guestinfo_set(t, key, json_string_value(value), true);
    json_decref(o);
    t->dirty = false;
}

/* Whole or not at all: beside it, synced, renamed; nobody else's to read. */
static bool guestinfo_put(const char *file, const json_t *o)
{
    char *name = NULL;
    int fd = asprintf(&name, "%s.new", file) > 0
                 ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                 : -1;
    bool ok = fd >= 0 && !json_dumpfd(o, fd, JSON_INDENT(1)) && !fsync(fd) && !rename(name, file);

    if (fd >= 0)
        close(fd);
    free(name);
    return ok;
}

/* A value that is not UTF-8, which JSON must be, is not kept; the others are. */
void guestinfo_write(struct vmtools *t)
{
    json_t *o = json_object();

    pthread_mutex_lock(&t->lock);
    for (struct guestinfo *g = t->vars; o && g; g = g->next)
        if (g->keep)
            json_object_set_new(o, g->key, json_string(g->value));
    t->dirty = false;
    pthread_mutex_unlock(&t->lock);
    if (!o || !guestinfo_put(t->file, o))
        log_warn("%s: the guest's variables were not written: %s", t->file, strerror(errno));
    json_decref(o);
}

/* ---- for the host ---- */

static int guestinfo_change(struct vmtools *t, const char *key, const char *value, bool keep)
{
    int r;

    pthread_mutex_lock(&t->lock);
    r = guestinfo_set(t, key, value, keep);
    pthread_mutex_unlock(&t->lock);
    return r;
}

int vmtools_set(struct vmtools *t, const char *key, const char *value)
{
    return guestinfo_change(t, key, value, true);
}

int vmtools_tell(struct vmtools *t, const char *key, const char *value)
{
    return guestinfo_change(t, key, value, false);
}

char *vmtools_get(struct vmtools *t, const char *key)
{
    const char *value;
    char *copy;

    pthread_mutex_lock(&t->lock);
    value = guestinfo_get(t, key);
    copy = value ? strdup(value) : NULL;
    pthread_mutex_unlock(&t->lock);
    return copy;
}

void vmtools_each(struct vmtools *t, void (*one)(void *arg, const char *key, const char *value),
                  void *arg)
{
    pthread_mutex_lock(&t->lock);
    for (struct guestinfo *g = t->vars; g; g = g->next)
        one(arg, g->key, g->value);
    pthread_mutex_unlock(&t->lock);
}
