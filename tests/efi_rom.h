/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_EFI_ROM_H
#define TESTS_EFI_ROM_H
#include "base/bytes.h"
#include "tests/check.h"
#include <string.h>

/* An expansion ROM with a driver for EFI on 64-bit processors: PCI Firmware 3.0, 5.1.2 and UEFI
 * 2.8, 14.4.2. */
static inline void efi_rom(const u8 *p, u32 size, u16 vendor, u16 device)
{
    const u8 *pci = p + le16(p + 0x18), *image = p + le16(p + 0x16);

    CHECK_EQ(le16(p), 0xaa55);
    CHECK_EQ(le16(p + 2) * 512u, size);
    CHECK_EQ(le32(p + 4), 0xef1);
    CHECK_EQ(le16(p + 8), 11);
    CHECK_EQ(le16(p + 10), 0x8664);
    CHECK(!memcmp(pci, "PCIR", 4) && pci[20] == 3 && pci[21] == 0x80);
    CHECK_EQ(le16(pci + 4), vendor);
    CHECK_EQ(le16(pci + 6), device);
    CHECK(!memcmp(image, "MZ", 2) && !memcmp(image + le32(image + 60), "PE\0", 4));
}
#endif
