/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"
#include "tests/check.h"
#include "tests/virtio_driver.h"

enum { RX, TX, BUF = 0x200000 };

static void talks_both_ways(void)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct vbuf out[2] = { { BUF, 6, false }, { BUF + 100, 5, false } }, in = { BUF, 4, true };
        struct rig_ends ends;
        struct vdriver v;
        struct rig r;
        struct device *d;
        const u8 *kept;
        u32 n, head, len;
        u8 got[4];

        rig_start(&r, 8, 1);
        rig_ends_open(&r, &ends);
        d = rig_device(&r, "virtio_console", NULL, ends.list);
        rig_pci_enable(&r, d);
        rig_msix_enable(&r, d, 3);
        CHECK_EQ(chr_feed(ends.chr, (const u8 *)"early", 5), 0);
        vdriver_start(&v, &r, d, legacy, 0xffffffff, 2);
        rig_put(&r, BUF, "hello ", 6);
        rig_put(&r, BUF + 100, "world", 5);
        CHECK_EQ(vdriver_do(&v, TX, out, 2), 0);
        kept = chr_kept(ends.chr, &n);
        CHECK_EQ(n, 11);
        CHECK(!memcmp(kept, "hello world", 11));
        CHECK_EQ(rig_msi_seen(&r, 0xfee00000, TX), 1);
        CHECK_EQ(chr_feed(ends.chr, (const u8 *)"abcdef", 6), 0); /* nowhere to put it */
        vdriver_add(&v, RX, &in, 1, false);
        vdriver_kick(&v, RX);
        CHECK_EQ(chr_feed(ends.chr, (const u8 *)"abcdef", 6), 4);
        CHECK(vdriver_used(&v, RX, &head, &len));
        CHECK_EQ(len, 4);
        rig_get(&r, BUF, got, 4);
        CHECK(!memcmp(got, "abcd", 4));
        CHECK_EQ(rig_msi_seen(&r, 0xfee00000, RX), 1);
        vdriver_reset(&v);
        CHECK_EQ(chr_feed(ends.chr, (const u8 *)"late", 4), 0);
        rig_ends_close(&r, &ends);
        rig_stop(&r);
    }
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(talks_both_ways);
    return check_end();
}
