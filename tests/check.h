/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A test program is a list of cases.  Each prints one TAP line; a failed CHECK says where
 * and what, fails its case and goes on.  check_skip names the reason.
 *
 *     static void fields_round_trip(void) { CHECK(x == 1); CHECK_EQ(a, b); }
 *     int main(int argc, char **argv) {
 *         CASE(fields_round_trip);
 *         return check_end();
 *     }
 */
static int check_n, check_bad, check_failed_now;
static const char *check_skipped;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                          \
            check_failed_now = 1;                                                                  \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        unsigned long long check_a = (unsigned long long)(a), check_b = (unsigned long long)(b);   \
        if (check_a != check_b) {                                                                  \
            printf("# %s:%d: %s is 0x%llx, %s is 0x%llx\n", __FILE__, __LINE__, #a, check_a, #b,   \
                   check_b);                                                                       \
            check_failed_now = 1;                                                                  \
        }                                                                                          \
    } while (0)
#define CHECK_TEXT(a, b)                                                                           \
    do {                                                                                           \
        const char *check_a = (a), *check_b = (b);                                                 \
        if (!check_a || !check_b || strcmp(check_a, check_b)) {                                    \
            printf("# %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a,                  \
                   check_a ? check_a : "(null)", check_b ? check_b : "(null)");                    \
            check_failed_now = 1;                                                                  \
        }                                                                                          \
    } while (0)

static inline void check_skip(const char *why)
{
    check_skipped = why;
}
/*
 * Files of products and tools that are kept beside the project, in ../shared/corpus; NULL, and
 * the case is skipped, where they are not.
 */
static inline const char *check_corpus(void)
{
    static const char *const places[] = { "../shared/corpus", "../../shared/corpus" };
    static char found[PATH_MAX];
    const char *source = getenv("MIMIC_SOURCE");

    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", source ? source : ".", places[i]);
        if (realpath(path, found))
            return found;
    }
    check_skip("no corpus beside the project");
    return NULL;
}
static inline void check_case(const char *name, void (*fn)(void))
{
    check_failed_now = 0;
    check_skipped = NULL;
    fn();
    check_n++;
    if (check_failed_now)
        printf("not ok %d %s\n", check_n, name);
    else if (check_skipped)
        printf("ok %d %s # SKIP %s\n", check_n, name, check_skipped);
    else
        printf("ok %d %s\n", check_n, name);
    check_bad |= check_failed_now;
    fflush(stdout);
}
#define CASE(fn) check_case(#fn, fn)
static inline int check_end(void)
{
    printf("1..%d\n", check_n);
    return check_bad;
}
#endif
