/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations of Proxmox. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return fuzz_round(data, n, ".conf", "proxmox");
}
