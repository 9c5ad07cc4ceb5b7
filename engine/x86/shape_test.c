/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoding by example against decoding, on random instructions with other numbers in them. */
#include "engine/x86/shape.h"
#include "tests/check.h"

static u64 seed = 88172645463325252ull;
static struct x86_shapes shapes;

static u64 random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void random_bytes(u8 b[16], enum x86_mode mode)
{
    static const u8 prefix[] = { 0x66, 0xf2, 0xf3, 0x67, 0x2e, 0x64, 0xf0 };
    u32 n = 0;

    for (u32 i = 0; i < 16; i++)
        b[i] = (u8)(random64() >> 20);
    while (random64() % 3 == 0 && n < 3)
        b[n++] = prefix[random64() % LEN(prefix)];
    if (mode == X86_MODE64 && random64() % 2)
        b[n++] = 0x40 | (random64() & 15);
    if (random64() % 4 == 0)
        b[n++] = random64() % 3 ? 0xc4 : 0xc5;
    else if (random64() % 3 == 0)
        b[n++] = 0x0f;
}

/* The same instruction with another displacement and immediate. */
static void other_numbers(u8 b[16], const struct x86_insn *in)
{
    for (u32 i = 0; in->at_disp != 0xff && i < in->disp_size; i++)
        b[in->at_disp + i] = (u8)(random64() >> 20);
    for (u32 i = 0; in->at_imm != 0xff && i < in->imm_size; i++)
        b[in->at_imm + i] = (u8)(random64() >> 20);
    for (u32 i = in->len; i < 16; i++)
        b[i] = (u8)(random64() >> 20);
}

static void same_as_decoded(void)
{
    u32 tried = 0, found = 0;

    for (u32 i = 0; i < 60000 && !check_failed_now; i++) {
        enum x86_mode mode = i % 3;
        struct x86_insn in, want, got;
        u8 b[16];

        random_bytes(b, mode);
        if (x86_decode(&in, b, 15, mode))
            continue;
        if (!x86_shape_find(&shapes, &got, b, 15, mode))
            x86_shape_add(&shapes, &in);
        for (u32 k = 0; k < 6; k++) {
            other_numbers(b, &in);
            tried++;
            if (x86_decode(&want, b, 15, mode) ||
                !x86_shape_find(&shapes, &got, b, 16 - k % 2, mode))
                continue;
            found++;
            CHECK(!memcmp(&want, &got, sizeof(want)));
        }
    }
    CHECK(found > tried / 2);
}

/* Common ones are found again whatever their numbers are; none is found past the end. */
static void common(void)
{
    static const struct {
        const char *a, *b;
        u32 len;
    } pairs[] = {
        { "\x48\x8b\x44\x24\x08", "\x48\x8b\x44\x24\xf0", 5 },
        { "\x0f\x84\x01\x02\x03\x04", "\x0f\x84\x7f\xff\xff\x0f", 6 },
        { "\xb8\x01\x00\x00\x00", "\xb8\x07\x06\x05\x04", 5 },
        { "\x48\x83\xc4\x08", "\x48\x83\xc4\x28", 4 },
        { "\x75\x10", "\x75\x22", 2 },
        { "\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x88", "\x48\xb8\x11\x12\x13\x14\x15\x16\x17\x18",
          10 },
    };
    struct x86_insn in;

    memset(&shapes, 0, sizeof(shapes));
    for (u32 i = 0; i < LEN(pairs); i++) {
        CHECK_EQ(x86_decode(&in, (const u8 *)pairs[i].a, pairs[i].len, X86_MODE64), 0);
        x86_shape_add(&shapes, &in);
        CHECK(x86_shape_find(&shapes, &in, (const u8 *)pairs[i].b, pairs[i].len, X86_MODE64));
        CHECK(!x86_shape_find(&shapes, &in, (const u8 *)pairs[i].b, pairs[i].len - 1, X86_MODE64));
        CHECK(!x86_shape_find(&shapes, &in, (const u8 *)pairs[i].b, pairs[i].len, X86_MODE32));
    }
}

/* Any opcode, with any registers and forms of address: what is found is what is decoded. */
static u32 any_registers_of(const u8 *op, u32 nop, u32 times)
{
    static const u8 prefixes[] = { 0, 0, 0x66, 0x64, 0x65, 0xf3 };
    u32 found = 0;

    for (u32 i = 0; i < times && !check_failed_now; i++) {
        u8 prefix = prefixes[random64() % LEN(prefixes)], rex = (u8)(random64() % 32), b[16];
        struct x86_insn want, got;
        u32 n = 0;

        for (u32 k = 0; k < 16; k++)
            b[k] = (u8)(random64() >> 20);
        if (prefix)
            b[n++] = prefix;
        if (rex < 16)
            b[n++] = 0x40 | rex;
        memcpy(b + n, op, nop);
        if (x86_decode(&want, b, 15, X86_MODE64)) {
            CHECK(!x86_shape_find(&shapes, &got, b, 15, X86_MODE64));
        } else if (x86_shape_find(&shapes, &got, b, 15, X86_MODE64)) {
            CHECK(!memcmp(&want, &got, sizeof(want)));
            found++;
        } else {
            x86_shape_add(&shapes, &want);
        }
    }
    return found;
}

static void any_registers(void)
{
    static const u8 common[][2] = { { 0x01 }, { 0x8b },       { 0x8d },
                                    { 0x63 }, { 0x0f, 0x45 }, { 0x0f, 0xb6 } };

    memset(&shapes, 0, sizeof(shapes));
    for (u32 op = 0; op < 256; op++) {
        any_registers_of((u8[]){ (u8)op }, 1, 1500);
        any_registers_of((u8[]){ 0x0f, (u8)op }, 2, 1500);
        any_registers_of((u8[]){ 0x0f, 0x38, (u8)op }, 3, 600);
        any_registers_of((u8[]){ 0x0f, 0x3a, (u8)op }, 3, 600);
    }
    for (u32 i = 0; i < LEN(common); i++)
        CHECK(any_registers_of(common[i], common[i][1] ? 2 : 1, 3000) > 1500);
}

int main(int argc, char **argv)
{
    CASE(same_as_decoded);
    CASE(common);
    CASE(any_registers);
    return check_end();
}
