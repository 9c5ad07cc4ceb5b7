/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the decoder and the re-encoder: any bytes, any mode.  What is decoded must
 * be sound; what is rewritten must be an instruction again.
 */
#include "engine/x86/rewrite.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void fuzz_sound(const struct x86_insn *in, u32 n)
{
    if (!in->len || in->len > n || in->len > 15 || in->nopd > LEN(in->opd) ||
        in->at_opcode >= in->len || (in->mem != X86_NOREG && in->mem >= in->nopd))
        abort();
    if ((in->at_imm != 0xff && in->at_imm + in->imm_size != in->len) ||
        (in->at_disp != 0xff && in->at_disp + in->disp_size > in->len))
        abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct x86_host_address at = { .base = 11, .index = X86_NOREG, .seg = X86_NOREG };
    struct x86_insn in, back;
    u8 bytes[15] = { 0 }, out[15], map[16];
    char text[128];
    u32 len = size > 15 ? 15 : (u32)size;
    int n;

    if (size < 2)
        return 0;
    memcpy(bytes, data + 1, len - 1);
    for (u8 i = 0; i < 16; i++)
        map[i] = data[0] & 4 ? i ^ 9 : i;
    if (x86_decode(&in, bytes, len - 1, data[0] % 3))
        return 0;
    fuzz_sound(&in, len - 1);
    x86_print(&in, 0, text, sizeof(text));
    n = x86_rewrite(&in, &at, map, out);
    if (n > 0 && (x86_decode(&back, out, (u32)n, X86_MODE64) || back.op != in.op || back.len != n))
        abort();
    return 0;
}
