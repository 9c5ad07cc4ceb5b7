/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any format, by its magic. */
#include "image/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_image(NULL, data, n);
}
