/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile zip archive in place of an OVA. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_package(data, n, ".zip");
}
