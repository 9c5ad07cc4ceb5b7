/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ids of 16 bytes: as text in either byte order, and new random ones (RFC 4122 4.4). */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

void guid_text(const u8 *p, bool little, char *text)
{
    u32 a = little ? le32(p) : be32(p);
    u16 b = little ? le16(p + 4) : be16(p + 4), c = little ? le16(p + 6) : be16(p + 6);

    snprintf(text, GUID_TEXT, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", a, b, c, p[8],
             p[9], p[10], p[11], p[12], p[13], p[14], p[15]);
}

int guid_make(u8 *p)
{
    if (getrandom(p, 16, 0) != 16)
        return -EIO;
    p[6] = p[7] = (u8)(0x40 | (p[7] & 0xf)); /* the version, in both orders */
    p[8] = (u8)(0x80 | (p[8] & 0x3f));
    return 0;
}
