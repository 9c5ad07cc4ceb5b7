/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String functions in general registers: each length and distance against a loop over bytes. */
#include "base/types.h"
#include "engine/x86/plain.h"
#include "tests/check.h"

enum { ROOM = 96, MOST = 40, FROM = 24 };

/* What is around the bytes stays; `back`: how far behind the source the target is. */
static void copies(void)
{
    for (u32 n = 0; n <= MOST; n++)
        for (i32 back = -FROM; back <= FROM; back++) {
            u8 got[ROOM], want[ROOM], source[ROOM];
            u32 to = (u32)(FROM - back);

            for (u32 i = 0; i < ROOM; i++)
                got[i] = want[i] = source[i] = (u8)(i * 7 + n);
            for (u32 i = 0; i < n; i++)
                want[to + i] = source[FROM + i];
            CHECK(plain_memmove(got + to, got + FROM, n) == got + to);
            for (u32 i = 0; i < ROOM; i++)
                CHECK_EQ(got[i], want[i]);
            for (u32 i = 0; i < ROOM; i++)
                got[i] = source[i];
            CHECK(plain_memcpy(got + to, source + FROM, n) == got + to);
            for (u32 i = 0; i < ROOM; i++)
                CHECK_EQ(got[i], want[i]);
        }
}

static void fills(void)
{
    for (u32 n = 0; n <= MOST; n++) {
        u8 got[ROOM] = { 0 };

        CHECK(plain_memset(got + FROM, 0x1a5, n) == got + FROM);
        for (u32 i = 0; i < ROOM; i++)
            CHECK_EQ(got[i], i >= FROM && i < FROM + n ? 0xa5 : 0);
    }
}

static void looks(void)
{
    u8 a[MOST], b[MOST];

    for (u32 at = 0; at < MOST; at++) {
        for (u32 i = 0; i < MOST; i++)
            a[i] = b[i] = 1;
        a[at] = 0xfe;
        CHECK_EQ(plain_memcmp(a, b, at), 0); /* what differs is behind the end */
        CHECK(plain_memcmp(a, b, at + 1) > 0);
        CHECK(plain_memcmp(b, a, MOST) < 0);
        CHECK(plain_memchr(a, 0xfe, at) == NULL);
        CHECK(plain_memchr(a, 0x1fe, MOST) == a + at); /* as an unsigned char */
    }
}

int main(void)
{
    CASE(copies);
    CASE(fills);
    CASE(looks);
    return check_end();
}
