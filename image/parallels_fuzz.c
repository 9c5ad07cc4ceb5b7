/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/fuzz_patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fuzz_template all[] = {
        { .block = 4096 }, { .block = 63 * 512, .options = "variant=expanding-v1" }
    };

    return n && data[0] >= 128 ? fuzz_image("parallels", data + 1, n - 1)
                               : fuzz_patched("parallels", all, LEN(all), NULL, data, n);
}
