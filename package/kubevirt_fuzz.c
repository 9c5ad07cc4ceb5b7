/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Documents of KubeVirt. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_round(data, n, ".yaml", "kubevirt");
}
