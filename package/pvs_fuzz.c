/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile Parallels machine: the document, what is made of it, and that written and read again. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_round(data, n, ".pvs", "pvs");
}
