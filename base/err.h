/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ERR_H
#define BASE_ERR_H
#include "base/types.h"

/* An error: a number for the program, a sentence for the person. */
struct err {
    int code;          /* negative errno; 0 = none */
    const char *where; /* file:line that noticed it first */
    char text[240];    /* "vm web1: disk 0: vhdx: region table crc is wrong" */
};

int err_at(struct err *e, const char *where, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));      /* returns code */
int err_in(struct err *e, const char *fmt, ...) /* "disk 0: " in front */
    __attribute__((format(printf, 2, 3)));

#define ERR_LINE2(n) #n
#define ERR_LINE(n) ERR_LINE2(n)
#define err_set(e, code, ...) err_at(e, __FILE__ ":" ERR_LINE(__LINE__), code, __VA_ARGS__)
#endif
