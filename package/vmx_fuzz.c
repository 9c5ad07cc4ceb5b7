/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile VMX; what can be read is written back, too. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_round(data, n, ".vmx", "vmx");
}
