/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words that were nearly typed: the distance of Damerau and Levenshtein (letters that are wrong,
 * lacking, too many, or swapped with their neighbour). */
#include "cmd/near.h"
#include <stdio.h>
#include <string.h>

enum { NEAR_LETTERS = 24, NEAR_MOST = 2 };

static unsigned near_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned near_distance(const char *a, size_t la, const char *b, size_t lb)
{
    unsigned d[NEAR_LETTERS + 1][NEAR_LETTERS + 1];

    for (size_t i = 0; i <= la; i++)
        d[i][0] = (unsigned)i;
    for (size_t k = 0; k <= lb; k++)
        d[0][k] = (unsigned)k;
    for (size_t i = 1; i <= la; i++)
        for (size_t k = 1; k <= lb; k++) {
            d[i][k] = near_least(d[i - 1][k - 1] + (a[i - 1] != b[k - 1]),
                                 near_least(d[i - 1][k], d[i][k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                d[i][k] = near_least(d[i][k], d[i - 2][k - 2] + 1);
        }
    return d[la][lb];
}

void near_start(struct near *n, const char *word, size_t len)
{
    *n = (struct near){ .word = word, .len = len };
}

void near_offer(struct near *n, const char *candidate)
{
    size_t len = strlen(candidate);
    unsigned d;

    if (!n->len || n->len > NEAR_LETTERS || len > NEAR_LETTERS)
        return;
    d = near_distance(n->word, n->len, candidate, len);
    if (d > NEAR_MOST || 2 * d >= n->len || (n->best && d >= n->distance))
        return;
    n->best = candidate;
    n->distance = d;
}

const char *near_hint(const struct near *n, const char *before, char *room, size_t size)
{
    if (n->best)
        snprintf(room, size, " (did you mean %s%s?)", before, n->best);
    else
        room[0] = 0;
    return room;
}
