/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of a VMX and its relatives (.vmsd): 'key = "value"' lines, keys in any case, "|22" for
 * a byte by its number, comments after "#".  In whatever encoding ".encoding" names.
 */
#include "package/vmx_int.h"
#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VMX_KEYS 8192

bool vmx_true(const char *s)
{
    return !strcasecmp(s, "true") || !strcasecmp(s, "yes") || !strcasecmp(s, "y") ||
           !strcasecmp(s, "on") || !strcmp(s, "1");
}

static int vmx_hex(char c)
{
    return isdigit((u8)c) ? c - '0' : tolower((u8)c) - 'a' + 10;
}

/* "|7C" in place; "|00" has no place in a text and stays as it is. */
static void vmx_unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (*s == '|' && isxdigit((u8)s[1]) && isxdigit((u8)s[2]) && (s[1] != '0' || s[2] != '0')) {
            *to++ = (char)(vmx_hex(s[1]) << 4 | vmx_hex(s[2]));
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

/* One line in place: false when it is no setting. */
static bool vmx_split(char *line, char **key, char **value)
{
    char *is = strchr(line, '='), *end;

    while (isspace((u8)*line))
        line++;
    if (!is || is < line || *line == '#' || *line == '!')
        return false;
    for (end = is; end > line && isspace((u8)end[-1]); end--)
        ;
    *end = 0;
    for (is++; isspace((u8)*is); is++)
        ;
    if (*is == '"') {
        end = strrchr(++is, '"'); /* a quote inside should be escaped, and is not always */
        if (end)
            *end = 0;
    } else {
        end = strstr(is, " #"); /* a comment behind a bare value */
        end = end ? end : is + strlen(is);
        while (end > is && isspace((u8)end[-1]))
            end--;
        *end = 0;
    }
    vmx_unescape(is);
    *key = line;
    *value = is;
    return *line != 0;
}

static bool vmx_is_utf8(const char *s)
{
    const u8 *p = (const u8 *)s;

    while (*p) {
        unsigned n = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;

        if ((*p & 0xc0) == 0x80 || *p > 0xf4)
            return false;
        for (p++; n; n--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static const char *vmx_convert(struct arena *a, iconv_t cd, const char *s)
{
    size_t in = strlen(s), room = 4 * in, left = room;
    char *out = arena_new(a, room + 1), *to = out, *from = (char *)(uintptr_t)s;

    if (!out)
        return NULL;
    iconv(cd, NULL, NULL, NULL, NULL);
    while (in && iconv(cd, &from, &in, &to, &left) == (size_t)-1) {
        if (!in || !left)
            break;
        *to++ = '?'; /* a byte that means nothing there */
        left--;
        from++;
        in--;
    }
    *to = 0;
    return out;
}

static iconv_t vmx_encoding(const struct vmx_text *t, const char *file, struct notes *n)
{
    const char *name = vmx_get(t, ".encoding");
    char alias[40];
    iconv_t cd;

    if (!strncasecmp(name, "windows-", 8)) {
        snprintf(alias, sizeof(alias), "CP%.30s", name + 8);
        name = alias;
    }
    cd = *name ? iconv_open("UTF-8", name) : (iconv_t)-1;
    if (cd != (iconv_t)-1)
        return cd;
    if (*name)
        note(n, NOTE_CHANGED, file, "its encoding \"%.40s\" is not known: read as Windows-1252",
             name);
    return iconv_open("UTF-8", "CP1252");
}

/* Every text that is not UTF-8 already, by what the file says of itself. */
static int vmx_decode(struct vmx_text *t, const char *file, struct notes *n, struct err *e)
{
    const char *said = vmx_get(t, ".encoding");
    bool utf8 = true, other = *said && strcasecmp(said, "UTF-8");
    iconv_t cd;

    for (u32 i = 0; i < t->n; i++)
        utf8 &= vmx_is_utf8(t->keys[i].value) && vmx_is_utf8(t->keys[i].key);
    if (utf8 && !other)
        return 0;
    cd = vmx_encoding(t, file, n);
    if (cd == (iconv_t)-1)
        return err_set(e, -EOPNOTSUPP, "%s: its encoding \"%.40s\" is not known here", file, said);
    if (!other)
        note(n, NOTE_CHANGED, file, "is not the UTF-8 that it should be: read as Windows-1252");
    for (u32 i = 0; i < t->n; i++) {
        t->keys[i].value = vmx_convert(&t->arena, cd, t->keys[i].value);
        t->keys[i].key = vmx_convert(&t->arena, cd, t->keys[i].key);
        if (!t->keys[i].key || !t->keys[i].value) {
            iconv_close(cd);
            return err_set(e, -ENOMEM, "%s: is too long", file);
        }
    }
    iconv_close(cd);
    return 0;
}

static int vmx_order(const void *a, const void *b)
{
    const struct vmx_key *x = *(const struct vmx_key *const *)a;
    const struct vmx_key *y = *(const struct vmx_key *const *)b;
    int r = strcasecmp(x->key, y->key);

    return r ? r : x->line < y->line ? -1 : x->line > y->line;
}

/* In order for vmx_get; of those that are set twice the last one counts. */
static void vmx_sort(struct vmx_text *t, const char *file, struct notes *n)
{
    u32 kept = 0;

    qsort(t->sorted, t->n, sizeof(t->sorted[0]), vmx_order);
    for (u32 i = 0; i < t->n; i++) {
        if (i + 1 < t->n && !strcasecmp(t->sorted[i]->key, t->sorted[i + 1]->key)) {
            if (strcmp(t->sorted[i]->value, t->sorted[i + 1]->value))
                note(n, NOTE_CHANGED, file, "line %u: %s is set again in line %u, which counts",
                     t->sorted[i]->line, t->sorted[i]->key, t->sorted[i + 1]->line);
            t->sorted[i]->taken = true;
            continue;
        }
        t->sorted[kept++] = t->sorted[i];
    }
    t->n = kept;
}

int vmx_parse(struct vmx_text *t, char *text, size_t len, const char *file, struct notes *n,
              struct err *e)
{
    char *line, *key, *value;
    u32 number = 0;

    *t = (struct vmx_text){ .arena = { .limit = 64u << 20 } };
    if (memchr(text, 0, len))
        return err_set(e, -EBADMSG, "%s: is no text", file);
    t->keys = arena_new(&t->arena, sizeof(t->keys[0]) * VMX_KEYS);
    t->sorted = arena_new(&t->arena, sizeof(struct vmx_key *) * VMX_KEYS);
    if (!t->keys || !t->sorted)
        return err_set(e, -ENOMEM, "%s: no memory", file);
    if (!strncmp(text, "\xef\xbb\xbf", 3))
        text += 3;
    while ((line = strsep(&text, "\n"))) {
        struct vmx_key *k = &t->keys[t->n];

        number++;
        if (!vmx_split(line, &key, &value))
            continue;
        if (t->n == VMX_KEYS)
            return err_set(e, -E2BIG, "%s: more than %d settings", file, VMX_KEYS);
        k->key = arena_text(&t->arena, key, strlen(key));
        k->value = arena_text(&t->arena, value, strlen(value));
        if (!k->key || !k->value)
            return err_set(e, -ENOMEM, "%s: is too long", file);
        k->line = number;
        t->sorted[t->n++] = k;
    }
    if (!t->n)
        return err_set(e, -EBADMSG, "%s: has no settings", file);
    vmx_sort(t, file, n);
    return vmx_decode(t, file, n, e);
}

void vmx_text_fini(struct vmx_text *t)
{
    arena_fini(&t->arena);
    *t = (struct vmx_text){ 0 };
}

static struct vmx_key *vmx_find(const struct vmx_text *t, const char *fmt, va_list ap)
{
    struct vmx_key want = { .line = 0 };
    u32 low = 0, high = t->n;
    char key[160];

    vsnprintf(key, sizeof(key), fmt, ap);
    want.key = key;
    while (low < high) {
        u32 mid = low + (high - low) / 2;
        int c = strcasecmp(want.key, t->sorted[mid]->key);

        if (!c)
            return t->sorted[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const char *vmx_get(const struct vmx_text *t, const char *fmt, ...)
{
    const struct vmx_key *k;
    va_list ap;

    va_start(ap, fmt);
    k = vmx_find(t, fmt, ap);
    va_end(ap);
    return k ? k->value : "";
}

const char *vmx_take(const struct vmx_text *t, const char *fmt, ...)
{
    struct vmx_key *k;
    va_list ap;

    va_start(ap, fmt);
    k = vmx_find(t, fmt, ap);
    va_end(ap);
    if (k)
        k->taken = true;
    return k ? k->value : "";
}

void vmx_take_if(const struct vmx_text *t, const char *value, const char *fmt, ...)
{
    struct vmx_key *k;
    va_list ap;

    va_start(ap, fmt);
    k = vmx_find(t, fmt, ap);
    va_end(ap);
    if (k && (!*k->value || !strcasecmp(k->value, value) ||
              (!strcmp(value, "TRUE") && vmx_true(k->value))))
        k->taken = true;
}

int vmx_line(struct buf *to, const char *key, const char *value)
{
    int r = buf_text(to, "%s = \"", key);

    for (; !r && *value; value++) {
        if ((u8)*value < 0x20 || *value == '"' || *value == '|' || *value == 0x7f)
            r = buf_text(to, "|%02X", (u8)*value);
        else
            r = buf_add(to, value, 1);
    }
    return r ? r : buf_text(to, "\"\n");
}
