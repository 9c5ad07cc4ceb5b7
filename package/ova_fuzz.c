/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile archive: tar headers, manifest, descriptor.  Checksums are made right first. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n + 1);
    int r;

    if (!copy)
        return 0;
    memcpy(copy, data, n);
    fuzz_tar_sums(copy, n);
    r = fuzz_package(copy, n, ".ova");
    free(copy);
    return r;
}
