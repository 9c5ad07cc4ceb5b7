/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_NEAR_H
#define CMD_NEAR_H
#include <stddef.h>

/* What somebody may have meant who typed a word that there is not: the nearest of those offered. */
struct near {
    const char *word;  /* as typed */
    size_t len;        /* of it */
    const char *best;  /* NULL: none is near */
    unsigned distance; /* of best: letters to change */
};
void near_start(struct near *n, const char *word, size_t len);
void near_offer(struct near *n, const char *candidate); /* lent until the answer is used */
/* " (did you mean BEFOREbest?)" in room, or "" */
const char *near_hint(const struct near *n, const char *before, char *room, size_t size);
#endif
