/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "device/chipset/fwcfg.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>

enum { ASK = 0x1000, TO = 0x2000 };
static struct rig r;
static struct device *d;

static void begin(void)
{
    rig_start(&r, 16, 3);
    d = rig_device(&r, "fwcfg", NULL, NULL);
}

static u64 item(u16 key, u32 size)
{
    u64 val = 0;

    rig_out(&r, 0x510, 2, key);
    for (u32 i = 0; i < size; i++)
        val |= rig_in(&r, 0x511, 1) << (8 * i);
    return val;
}

static u32 dma(u32 control, u32 len, u64 to)
{
    u8 ask[16];

    put_be32(ask, control);
    put_be32(ask + 4, len);
    put_be64(ask + 8, to);
    rig_put(&r, ASK, ask, sizeof(ask));
    rig_out(&r, 0x514, 4, 0);
    rig_out(&r, 0x518, 4, __builtin_bswap32(ASK));
    rig_get(&r, ASK, ask, 4);
    return be32(ask);
}

static void items(void)
{
    begin();
    CHECK_EQ(item(FWCFG_SIGNATURE, 4), le32("QEMU"));
    CHECK_EQ(item(FWCFG_ID, 4), 3);
    CHECK_EQ(item(FWCFG_RAM_SIZE, 8), 16 << 20);
    CHECK_EQ(item(FWCFG_NB_CPUS, 2), 3);
    CHECK_EQ(item(FWCFG_MAX_CPUS, 4), 3); /* past the end: zeroes */
    CHECK_EQ(item(0x7777, 4), 0);
    CHECK_EQ(rig_in(&r, 0x514, 4), le32("QEMU"));
    CHECK_EQ(rig_in(&r, 0x518, 4), le32(" CFG"));
    rig_stop(&r);
}

static void files(void)
{
    struct err e = { 0 };
    char name[64];
    u32 len;
    u16 key;

    begin();
    CHECK_EQ(fwcfg_file(d, "etc/one", "abc", 3, &e), 0);
    CHECK_EQ(fwcfg_file(d, "etc/two", "defg", 4, &e), 0);
    CHECK_EQ(__builtin_bswap32((u32)item(FWCFG_FILE_DIR, 4)), 2);
    for (u32 i = 0; i < 2; i++) {
        len = 0;
        for (u32 n = 0; n < 4; n++)
            len = len << 8 | (u32)rig_in(&r, 0x511, 1);
        CHECK_EQ(len, 3 + i);
        key = (u16)(rig_in(&r, 0x511, 1) << 8);
        key |= (u16)rig_in(&r, 0x511, 1);
        CHECK_EQ(key, 0x20 + i);
        CHECK_EQ(rig_in(&r, 0x511, 1) | rig_in(&r, 0x511, 1), 0);
        for (u32 n = 0; n < 56; n++)
            name[n] = (char)rig_in(&r, 0x511, 1);
        if (i)
            CHECK_TEXT(name, "etc/two");
    }
    CHECK_EQ(item(0x21, 4), le32("defg"));
    CHECK_EQ(fwcfg_file(d, "etc/one", "xy", 2, &e), 0); /* keeps its key */
    CHECK_EQ(item(0x20, 4), le32("xy\0"));
    CHECK(!memcmp(fwcfg_find(d, "etc/one", &len), "xy", 2) && len == 2);
    CHECK(!fwcfg_find(d, "etc/none", &len));
    memset(name, 'n', 56);
    name[56] = 0;
    CHECK_EQ(fwcfg_file(d, name, "", 0, &e), (u64)-EINVAL);
    len = 0;
    for (u32 i = 0; i < 200 && !len; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        len = (u32)fwcfg_file(d, name, "", 0, &e);
    }
    CHECK_EQ(len, (u32)-ENOSPC);
    rig_stop(&r);
}

static void by_dma(void)
{
    struct err e = { 0 };
    char got[16];

    begin();
    CHECK_EQ(fwcfg_file(d, "f", "0123456789", 10, &e), 0);
    memset(got, 'x', sizeof(got));
    rig_put(&r, TO, got, sizeof(got));
    CHECK_EQ(dma(0x20 << 16 | 8 | 2, 4, TO), 0); /* select, read */
    CHECK_EQ(dma(4, 2, 0), 0);                   /* skip */
    CHECK_EQ(dma(2, 6, TO + 4), 0);              /* four are left, two zeroes */
    rig_get(&r, TO, got, sizeof(got));
    CHECK(!memcmp(got, "01236789\0\0xxxxxx", 16));
    CHECK_EQ(rig_in(&r, 0x511, 1), 0);
    CHECK_EQ(dma(16, 4, TO), 1); /* nothing may be written */
    CHECK_EQ(dma(0x20 << 16 | 8 | 2, 4, 1ull << 40), 1);
    CHECK_EQ(dma(0x20 << 16 | 8 | 2, 0xffffffff, 0x800000), 1); /* past the end of RAM */
    rig_out(&r, 0x514, 4, 0xffffffff);                          /* the request itself is nowhere */
    rig_out(&r, 0x518, 4, 0);
    CHECK_EQ(item(FWCFG_ID, 4), 3);
    rig_stop(&r);
}

int main(void)
{
    CASE(items);
    CASE(files);
    CASE(by_dma);
    return check_end();
}
