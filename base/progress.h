/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H
#include "base/types.h"

/*
 * A progress bar on standard error, with rate and time left; silent when that is no
 * terminal.  Drawn at most ten times a second.
 */
struct progress {
    const char *what;
    i64 started, drawn;
    bool on, shown;
};
void progress_start(struct progress *p, const char *what);
void progress_show(struct progress *p, u64 done, u64 total); /* bytes; total 0: not known */
void progress_end(struct progress *p);                       /* wipes the line */
#endif
