/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/fuzz_patch.h"
#include "image/vhdx_int.h"

/* Headers, region tables, and an entry of the log with the id that the header has. */
static void vhdx_mend(u8 *file, size_t n)
{
    u8 *log = file + VHDX_MIB;
    u32 len = le32(log + 8);

    for (u64 at = 64 << 10; at <= 128 << 10; at += 64 << 10)
        put_le32(file + at + 4, vhdx_crc(file + at, VHDX_HEADER, 4));
    for (u64 at = 192 << 10; at <= 256 << 10; at += 64 << 10)
        put_le32(file + at + 4, vhdx_crc(file + at, VHDX_TABLE, 4));
    if (len >= 64 && len <= VHDX_MIB) {
        memcpy(log + 32, file + (64 << 10) + 48, 16);
        put_le32(log + 4, vhdx_crc(log, len, 4));
    }
}

/* An entry of one page in the log, which the inputs can change. */
static void vhdx_log(u8 *file)
{
    u8 *e = file + VHDX_MIB;

    memcpy(e, "loge", 4);
    put_le32(e + 8, 8192);
    put_le64(e + 16, 1);
    put_le32(e + 24, 2);
    memcpy(e + 64, "desc", 4);
    put_le64(e + 64 + 16, 3 << 20);
    put_le64(e + 64 + 24, 1);
    memcpy(e + 96, "zero", 4);
    put_le64(e + 96 + 8, 4096);
    put_le64(e + 96 + 16, (3 << 20) + 4096);
    put_le64(e + 96 + 24, 1);
    memcpy(e + 4096, "data", 4);
    put_le32(e + 8192 - 4, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fuzz_template all[] = { { 0 },
                                          { .child = true },
                                          { .options = "sector=4096", .block = 2 << 20 } };

    for (size_t i = 0; i < LEN(all); i++)
        if (!all[i].file) {
            fuzz_make(&all[i], "vhdx");
            vhdx_log(all[i].file);
            all[i].sectors[all[i].nsectors++] = VHDX_MIB / 512;
            all[i].sectors[all[i].nsectors++] = VHDX_MIB / 512 + 8;
        }
    return fuzz_patched("vhdx", all, LEN(all), vhdx_mend, data, n);
}
