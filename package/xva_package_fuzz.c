/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ova.xml, alone (as XenEnterprise had it) and as the first member of an archive. */
#include "package/fuzz.h"

/* A tar of one member, as an XVA begins. */
static void fuzz_tar(u8 *to, const uint8_t *data, size_t n)
{
    unsigned sum = 0;

    memcpy(to, "ova.xml", 8);
    snprintf((char *)to + 100, 25, "%07o%c%07o%c%07o", 0644, 0, 0, 0, 0);
    snprintf((char *)to + 124, 24, "%011zo%c%011o", n, 0, 0);
    memset(to + 148, ' ', 8);
    to[156] = '0';
    memcpy(to + 257, "ustar\00000", 8);
    for (unsigned i = 0; i < 512; i++)
        sum += to[i];
    snprintf((char *)to + 148, 8, "%06o", sum);
    memcpy(to + 512, data, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    u8 *tar = calloc(1, n + 3 * 512);

    if (!tar)
        return 0;
    fuzz_tar(tar, data, n);
    fuzz_package(tar, 512 + (n + 1535) / 512 * 512, ".xva");
    free(tar);
    return fuzz_package(data, n, ".xml");
}
