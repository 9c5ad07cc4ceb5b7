/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile archive: tar headers, manifest, descriptor.  Checksums are made right first. */
#include "package/fuzz.h"

/* Headers at whole blocks that say "ustar" get their sum, or nothing would come further. */
static void ova_mend(uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512) {
        uint8_t *h = p + at;
        unsigned sum = 0;

        if (memcmp(h + 257, "ustar", 5))
            continue;
        memset(h + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += h[i];
        snprintf((char *)h + 148, 8, "%06o", sum & 0777777);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n + 1);
    int r;

    if (!copy)
        return 0;
    memcpy(copy, data, n);
    ova_mend(copy, n);
    r = fuzz_package(copy, n, ".ova");
    free(copy);
    return r;
}
