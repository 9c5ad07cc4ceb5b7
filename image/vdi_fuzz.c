/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/fuzz_patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fuzz_template all[] = { { .block = 65536 },
                                          { .block = 65536, .child = true },
                                          { .options = "variant=static" } };

    return n && data[0] >= 240 ? fuzz_image("vdi", data + 1, n - 1)
                               : fuzz_patched("vdi", all, LEN(all), NULL, data, n);
}
