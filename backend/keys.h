/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_KEYS_H
#define BACKEND_KEYS_H
#include "base/types.h"

/*
 * Keys of a US keyboard by their codes in scan code set 1; 0xe0xx for those with a prefix;
 * 0: there is no such key.
 */
u16 keys_ascii(u8 c, bool *shift);
/* X's name of a key, as RFB sends it (RFC 6143 7.5.4); shift: it is there only with Shift. */
u16 keys_symbol(u32 symbol, bool *shift);
#endif
