/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/fuzz_patch.h"
#include "image/vhd_int.h"

static void vhd_mend(u8 *file, size_t n)
{
    u64 at = be64(file + n - VHD_FOOTER + 16);

    put_be32(file + n - VHD_FOOTER + 64, vhd_sum(file + n - VHD_FOOTER, VHD_FOOTER, 64));
    put_be32(file + 64, vhd_sum(file, VHD_FOOTER, 64));
    if (range_ok(at, VHD_HEADER, n))
        put_be32(file + at + 36, vhd_sum(file + at, VHD_HEADER, 36));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fuzz_template all[] = { { .block = 65536 },
                                          { .block = 65536, .child = true },
                                          { .options = "variant=fixed" } };

    return n && data[0] >= 240 ? fuzz_image("vhd", data + 1, n - 1)
                               : fuzz_patched("vhd", all, LEN(all), vhd_mend, data, n);
}
