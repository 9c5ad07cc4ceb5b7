/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_NUMBER_H
#define PACKAGE_NUMBER_H
#include "base/err.h"
#include "base/types.h"

/* A decimal number that is all of text: no sign, no space, nothing behind it.  false: is none. */
bool number_decimal(const char *text, u64 *v);
/* The same as a package says it under `name`; "" says nothing and leaves *v.  0 or -EBADMSG, e. */
int number_said(const char *text, const char *file, const char *name, u64 most, u64 *v,
                struct err *e);
#endif
