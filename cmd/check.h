/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H
#include "image/image.h"

/*
 * Is an image and its chain of parents as it must be?  Each fault that is found, and each
 * remark, goes to `say`.  0, -EBADMSG for a damaged one (all is said), another -errno for one
 * that could not be looked at; e has the sentence for both.
 */
struct check_image {
    bool read;                     /* read all of the disk too */
    bool repair;                   /* what can be set right without losing data is */
    const struct image_work *work; /* or NULL */
    void (*say)(void *arg, const char *text);
    void *arg;
    u32 said; /* result: lines */
};
int check_image(const struct image_open *what, struct check_image *how, struct err *e);

/* A package: the exit code, all is said; -ENOENT: it is none. */
struct check_package {
    bool read, json;
    const char *authority; /* PEM file of those who are trusted; NULL: the system's */
};
int check_package(const struct check_package *how, const char *path);
#endif
