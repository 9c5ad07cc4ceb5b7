/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_image("bochs", data, n);
}
