/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ova.xml, alone (as XenEnterprise had it) and as the first member of an archive. */
#include "package/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_in_tar("ova.xml", data, n, ".xva");
    return fuzz_package(data, n, ".xml");
}
