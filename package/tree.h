/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_TREE_H
#define PACKAGE_TREE_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "desc/desc.h"

/*
 * Values as YAML, XML-RPC and Python know them: texts, lists, maps.  Readers take what they
 * understand; what was not taken becomes extras of the description, by its path
 * ("spec/volumes/[root]/hostDisk", "~1" stands for a slash in a key), printed in one line of
 * YAML's flow style.  Writers build a tree and put the extras back.
 */
enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };
struct tree {
    enum tree_kind kind;
    const char *key;  /* in a map; else NULL */
    const char *text; /* TREE_TEXT: never NULL */
    const char *type; /* XML-RPC's "boolean", "double"..., a YAML tag; or NULL */
    bool bare;        /* TREE_TEXT: a number, true, null: written without quotes */
    bool taken;       /* this, or something in it, was understood */
    u32 line;         /* where it was read, or 0 */
    struct tree *parent, *first, *last, *next;
};

#define TREE_DEPTH 64
#define TREE_NODES 200000

/* Appended to parent (which may be NULL); key is for maps.  NULL: no memory, or no parent. */
struct tree *tree_add(struct arena *a, struct tree *parent, enum tree_kind kind, const char *key);
struct tree *tree_add_map(struct arena *a, struct tree *parent, const char *key);
struct tree *tree_add_list(struct arena *a, struct tree *parent, const char *key);
struct tree *tree_add_text(struct arena *a, struct tree *parent, const char *key, const char *text);
/* %: bare: a number or a truth. */
struct tree *tree_add_bare(struct arena *a, struct tree *parent, const char *key, const char *fmt,
                           ...) __attribute__((format(printf, 4, 5)));

struct tree *tree_get(const struct tree *map, const char *key); /* or NULL; map may be NULL */
void tree_take(struct tree *t);                                 /* and what it is in; may be NULL */
void tree_take_all(struct tree *t);                             /* also what is in it */
/* The text there, taken; "" when there is none or it is no text. */
const char *tree_take_text(const struct tree *map, const char *key);
bool tree_true(const char *text); /* "true", "1", "yes", "on" in any case */

/* All that was not taken, as extras of this format. */
int tree_leave(const struct tree *root, struct desc *d, const char *format);
/*
 * Puts an extra back at its path: 0; 1 when there is no place for it or it is there already;
 * -ENOMEM, -EBADMSG (no path, no value).
 */
int tree_put(struct arena *a, struct tree *root, const char *path, const char *value);
int tree_print(const struct tree *t, struct buf *to); /* one line of flow style */
#endif
