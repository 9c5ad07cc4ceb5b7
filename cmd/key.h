/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_KEY_H
#define CMD_KEY_H
#include "base/types.h"

/* `ask` of struct image_key: a question on the terminal; -ENOKEY when there is none. */
int key_ask(void *arg, const char *path, u8 *room, size_t n);
#endif
