/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder against Zydis' own view on random bytes, and facts that Zydis leaves to us. */
#include "engine/x86/insn.h"
#include "engine/x86/state.h"
#include "tests/check.h"
#include "tests/random64.h"
#include <Zydis/Zydis.h>
#include <errno.h>

static struct x86_insn decode(const char *bytes, u32 n, enum x86_mode mode)
{
    struct x86_insn in = { 0 };

    CHECK_EQ(x86_decode(&in, (const u8 *)bytes, n, mode), 0);
    CHECK_EQ(in.len, n);
    return in;
}
#define DECODE(bytes, mode) decode(bytes, sizeof(bytes) - 1, mode)
#define ANSWERS(bytes, mode, answer)                                                               \
    do {                                                                                           \
        struct x86_insn not_it;                                                                    \
        CHECK_EQ(x86_decode(&not_it, (const u8 *)bytes, sizeof(bytes) - 1, mode), (u64)answer);    \
    } while (0)

/* Lengths are those of Zydis; cut short, an instruction asks for more or is none at all. */
static void lengths(void)
{
    static const ZydisMachineMode machine[] = { ZYDIS_MACHINE_MODE_LEGACY_16,
                                                ZYDIS_MACHINE_MODE_LEGACY_32,
                                                ZYDIS_MACHINE_MODE_LONG_64 };
    static const ZydisStackWidth width[] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                             ZYDIS_STACK_WIDTH_64 };
    u32 done = 0;

    for (u32 i = 0; i < 100000 && !check_failed_now; i++) {
        enum x86_mode mode = i % 3;
        ZydisDecodedInstruction z;
        ZydisDecoderContext ctx;
        struct x86_insn in, cut;
        ZydisDecoder d;
        u8 b[15];

        for (u32 k = 0; k < 15; k++)
            b[k] = (u8)(random64() >> 24);
        if (x86_decode(&in, b, 15, mode))
            continue;
        done++;
        ZydisDecoderInit(&d, machine[mode], width[mode]);
        ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
        ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
        CHECK(ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, &ctx, b, 15, &z)));
        CHECK_EQ(in.len, z.length);
        CHECK_EQ(in.bytes[in.at_opcode], z.opcode);
        CHECK(in.at_imm == 0xff || in.at_imm + in.imm_size == in.len);
        for (u32 n = 1; n < in.len; n++)
            CHECK_EQ(x86_decode(&cut, b, n, mode), (u64)-ENODATA);
    }
    CHECK(done > 20000);
}

static void registers(void)
{
    CHECK_EQ(DECODE("\x88\xe0", X86_MODE64).gpr_write, 1 << RAX); /* mov al, ah */
    CHECK_EQ(DECODE("\x88\xe0", X86_MODE64).gpr_read, 1 << RAX);
    CHECK_EQ(DECODE("\xb0\x01", X86_MODE64).gpr_read, 1 << RAX); /* the rest of RAX stays */
    CHECK_EQ(DECODE("\xb8\x01\x00\x00\x00", X86_MODE64).gpr_read, 0);
    CHECK_EQ(DECODE("\xb5\x01", X86_MODE32).gpr_write, 1 << RCX);            /* mov ch, 1 */
    CHECK_EQ(DECODE("\xf7\xe1", X86_MODE32).gpr_write, 1 << RAX | 1 << RDX); /* mul */
    CHECK_EQ(DECODE("\x50", X86_MODE64).gpr_write, 1 << RSP);
    CHECK_EQ(DECODE("\xf3\xa4", X86_MODE64).gpr_write, 1 << RSI | 1 << RDI | 1 << RCX);
    CHECK_EQ(DECODE("\xa4", X86_MODE64).gpr_write, 1 << RSI | 1 << RDI);
    CHECK_EQ(DECODE("\xaa", X86_MODE16).gpr_read, 1 << RAX | 1 << RDI);
    CHECK_EQ(DECODE("\xd7", X86_MODE32).gpr_read, 1 << RAX | 1 << RBX);
    CHECK_EQ(DECODE("\x0f\xbc\xc1", X86_MODE64).gpr_read, 1 << RAX | 1 << RCX); /* bsf */
    CHECK_EQ(DECODE("\x0f\x44\xc1", X86_MODE64).gpr_read, 1 << RAX | 1 << RCX); /* cmovz */
    CHECK_EQ(DECODE("\x48\x8b\x44\xd1\x08", X86_MODE64).gpr_read, 1 << RCX | 1 << RDX);
}

static void flags(void)
{
    CHECK_EQ(DECODE("\xd3\xe0", X86_MODE64).eflags_read, FLAGS_ARITH); /* the count may be 0 */
    CHECK_EQ(DECODE("\xc1\xe0\x05", X86_MODE64).eflags_read, 0);
    CHECK_EQ(DECODE("\xc1\xe0\x20", X86_MODE64).eflags_write, 0);
    CHECK_EQ(DECODE("\x48\xff\xc0", X86_MODE64).eflags_write, FLAGS_ARITH & ~FLAG_CF);
    CHECK(DECODE("\xa4", X86_MODE64).eflags_read & FLAG_DF);
    CHECK_EQ(DECODE("\xf3\xa6", X86_MODE64).eflags_read & FLAGS_ARITH, FLAGS_ARITH);
    CHECK_EQ(DECODE("\xfd", X86_MODE64).eflags_write, FLAG_DF);
    CHECK_EQ(DECODE("\x9d", X86_MODE64).eflags_write & FLAGS_ARITH, FLAGS_ARITH);
}

static void what_is_not_there(void)
{
    ANSWERS("\xf0\x89\xd8", X86_MODE64, -EINVAL);             /* lock mov */
    ANSWERS("\xf0\x01\xd8", X86_MODE64, -EINVAL);             /* lock add eax, ebx */
    ANSWERS("\x62\xf1\x7c\x48\x58\xc1", X86_MODE64, -EINVAL); /* EVEX */
    ANSWERS("\x0f\x0f\xc1\x9e", X86_MODE64, -EINVAL);         /* 3DNow! */
    ANSWERS("\xc7\xf8\x00\x00\x00\x00", X86_MODE64, -EINVAL); /* xbegin */
    ANSWERS("\x0f\x01\xc2", X86_MODE64, -EINVAL);             /* vmlaunch */
    ANSWERS("\x06", X86_MODE64, -EINVAL);                     /* push es */
    ANSWERS("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", X86_MODE64, -E2BIG);
    ANSWERS("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", X86_MODE64, -ENODATA);
    ANSWERS("\xc5\xf8\x18\x2b", X86_MODE64, -EINVAL);                        /* vprefetche0 */
    CHECK_EQ(DECODE("\xf3\x0f\x1e\xfa", X86_MODE64).op, ZYDIS_MNEMONIC_NOP); /* endbr64 */
    CHECK_EQ(DECODE("\x0f\x1a\x00", X86_MODE64).op, ZYDIS_MNEMONIC_NOP);     /* bndldx */
    CHECK_EQ(DECODE("\x66\xe8\x01\x00\x00\x00", X86_MODE64).osize, 8);       /* call: no 16 bits */
}

/* The source of a string instruction moves with any override, its target with none. */
static void string_segments(void)
{
    CHECK_EQ(DECODE("\xa4", X86_MODE16).seg, SEG_DS);
    CHECK_EQ(DECODE("\x26\xa4", X86_MODE16).seg, SEG_ES);
    CHECK_EQ(DECODE("\x36\xac", X86_MODE32).seg, SEG_SS);
    CHECK_EQ(DECODE("\xf3\x26\x67\x6f", X86_MODE16).seg, SEG_ES);
    CHECK_EQ(DECODE("\x2e\xf3\x6e", X86_MODE16).seg, SEG_CS);
    CHECK_EQ(DECODE("\x26\xd7", X86_MODE32).seg, SEG_ES);
    CHECK_EQ(DECODE("\x26\xa4", X86_MODE64).seg, SEG_DS);
    CHECK_EQ(DECODE("\x64\xa4", X86_MODE64).seg, SEG_FS);
}

static void kinds(void)
{
    struct x86_insn in = DECODE("\x64\xf3\xa5", X86_MODE32);

    CHECK_EQ(in.flags & (INSN_STRING | INSN_REP), INSN_STRING | INSN_REP);
    CHECK_EQ(in.seg, SEG_FS);
    in = DECODE("\x2e\x8b\x00", X86_MODE64); /* CS does not count in 64-bit mode */
    CHECK_EQ(in.flags & INSN_SEGMENT, 0);
    CHECK_EQ(in.seg, SEG_DS);
    CHECK_EQ(DECODE("\x8b\x45\x00", X86_MODE32).seg, SEG_SS);
    CHECK(DECODE("\x0f\x20\xc0", X86_MODE32).flags & INSN_SYSTEM);
    CHECK(DECODE("\x8e\xd8", X86_MODE16).flags & INSN_SYSTEM);
    CHECK(DECODE("\xd9\xe8", X86_MODE16).flags & INSN_X87);
    CHECK(DECODE("\xdb\xe8", X86_MODE32).flags & INSN_X87); /* FUCOMI: of CMOV's set, yet x87 */
    CHECK(!(DECODE("\x0f\x44\xc1", X86_MODE32).flags & INSN_X87));
    CHECK(DECODE("\xdd\x08", X86_MODE32).flags & INSN_X87);       /* FISTTP */
    CHECK(!(DECODE("\x62\x00", X86_MODE32).flags & INSN_BRANCH)); /* BOUND */
    CHECK(DECODE("\xcd\x80", X86_MODE32).flags & INSN_BRANCH);
    CHECK(DECODE("\xc5\xf8\x58\xc1", X86_MODE32).flags & INSN_AVX);
    CHECK_EQ(DECODE("\xc4\xe2\x70\xf2\xc2", X86_MODE64).flags & INSN_VECTOR, 0); /* andn */
    in = DECODE("\x67\x43\x8b\x04\x25\x00\x10\x00\x00", X86_MODE64); /* SIB without a base */
    CHECK_EQ(in.base, X86_NOREG);
    in = DECODE("\x9a\x78\x56\x34\x12\x10\x00", X86_MODE32);
    CHECK_EQ(in.imm, 0x12345678);
    CHECK_EQ(in.imm2, 0x10);
}

int main(void)
{
    CASE(lengths);
    CASE(registers);
    CASE(flags);
    CASE(what_is_not_there);
    CASE(string_segments);
    CASE(kinds);
    return check_end();
}
