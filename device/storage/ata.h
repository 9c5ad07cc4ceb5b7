/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_ATA_H
#define DEVICE_STORAGE_ATA_H
#include "base/bytes.h"
#include <string.h>

/* The data that ATA drives tell of themselves: words, and texts with swapped bytes. */
static inline void ata_word(u8 *p, u32 word, u32 v)
{
    put_le16(p + word * 2, (u16)v);
}

/* n bytes; blanks at its end. */
static inline void ata_text(u8 *words, const char *text, u32 n)
{
    u32 len = (u32)strlen(text);

    for (u32 i = 0; i < n; i++)
        words[i ^ 1] = i < len ? (u8)text[i] : ' ';
}
#endif
