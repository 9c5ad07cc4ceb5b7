/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile Parallels machine: the document and everything that is made of it. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_package(data, n, ".pvs");
}
