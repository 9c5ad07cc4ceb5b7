/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding of x86 instructions (Intel SDM volume 2) into struct x86_insn.  Zydis knows the
 * encodings; this file adds what an engine needs and Zydis leaves out: exact sets of general
 * registers and flags, where each byte is, and which instructions this processor has.
 * EVEX, XOP, 3DNow!, MPX, CET and TSX are not there: hints among them are NOPs, the rest #UD.
 */
#include "engine/x86/decode_int.h"
#include "engine/x86/state.h"
#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

/* What the host's CPUID offers, one bit an instruction set of Zydis. */
static bool decode_has[ZYDIS_ISA_SET_MAX_VALUE + 1];
static ZydisDecoder decode_by_mode[3];
static pthread_once_t decode_once = PTHREAD_ONCE_INIT;

struct decode_feature {
    u16 set;
    u8 leaf; /* 0: always there; 1, 7, 0x0d (subleaf 1), 0x81: 80000001h, 0x77: 7 subleaf 1 */
    u8 reg;  /* 0 eax 1 ebx 2 ecx 3 edx */
    u8 bit;
};
#define SET(name, ...)                                                                             \
    {                                                                                              \
        ZYDIS_ISA_SET_##name, __VA_ARGS__                                                          \
    }
static const struct decode_feature decode_features[] = {
    SET(I86, 0),
    SET(I186, 0),
    SET(I286REAL, 0),
    SET(I286PROTECTED, 0),
    SET(I386, 0),
    SET(I486, 0),
    SET(I486REAL, 0),
    SET(PENTIUMREAL, 0),
    SET(PENTIUMMMX, 0),
    SET(PPRO, 0),
    SET(FAT_NOP, 0),
    SET(CMOV, 0),
    SET(FCMOV, 0),
    SET(X87, 0),
    SET(CLFSH, 0),
    SET(FXSAVE, 0),
    SET(FXSAVE64, 0),
    SET(LONGMODE, 0),
    SET(LAHF, 0),
    SET(SSE, 0),
    SET(SSE2, 0),
    SET(SSEMXCSR, 0),
    SET(SSE_PREFETCH, 0),
    SET(SSE2MMX, 0),
    SET(PAUSE, 0),
    SET(RDPMC, 0),
    SET(AMD, 0),
    SET(PREFETCH_NOP, 0),
    SET(PREFETCHWT1, 0),
    SET(RDTSCP, 0),
    SET(XSAVE, 0),
    SET(RDWRFSGS, 0),
    SET(SMAP, 0),
    SET(INVPCID, 0),
    SET(PKU, 0),
    SET(MONITOR, 0),
    SET(VTX, 0),
    SET(SVM, 0),
    SET(RDPID, 0),
    SET(XSAVES, 0),
    SET(SSE3, 1, 2, 0),
    SET(SSE3X87, 1, 2, 0),
    SET(SSSE3, 1, 2, 9),
    SET(SSSE3MMX, 1, 2, 9),
    SET(SSE4, 1, 2, 19),
    SET(SSE42, 1, 2, 20),
    SET(POPCNT, 1, 2, 23),
    SET(AES, 1, 2, 25),
    SET(PCLMULQDQ, 1, 2, 1),
    SET(MOVBE, 1, 2, 22),
    SET(CMPXCHG16B, 1, 2, 13),
    SET(RDRAND, 1, 2, 30),
    SET(AVX, 1, 2, 28),
    SET(AVXAES, 1, 2, 28),
    SET(F16C, 1, 2, 29),
    SET(FMA, 1, 2, 12),
    SET(AVX2, 7, 1, 5),
    SET(AVX2GATHER, 7, 1, 5),
    SET(BMI1, 7, 1, 3),
    SET(BMI2, 7, 1, 8),
    SET(ADOX_ADCX, 7, 1, 19),
    SET(RDSEED, 7, 1, 18),
    SET(CLFLUSHOPT, 7, 1, 23),
    SET(CLWB, 7, 1, 24),
    SET(SHA, 7, 1, 29),
    SET(GFNI, 7, 2, 8),
    SET(AVX_GFNI, 7, 2, 8),
    SET(VAES, 7, 2, 9),
    SET(VPCLMULQDQ, 7, 2, 10),
    SET(AVX_VNNI, 0x77, 0, 4),
    SET(LZCNT, 0x81, 2, 5),
    SET(XSAVEOPT, 0x0d, 0, 0),
    SET(XSAVEC, 0x0d, 0, 1),
};
#undef SET

static bool decode_host_has(const struct decode_feature *f)
{
    u32 r[4] = { 0 };
    u32 leaf = f->leaf == 0x81 ? 0x80000001 : f->leaf == 0x77 ? 7 : f->leaf;

    if (!f->leaf)
        return true;
    __get_cpuid_count(leaf, f->leaf == 0x0d || f->leaf == 0x77, &r[0], &r[1], &r[2], &r[3]);
    return r[f->reg] >> f->bit & 1;
}

static void decode_start(void)
{
    static const ZydisMachineMode mode[] = { ZYDIS_MACHINE_MODE_LEGACY_16,
                                             ZYDIS_MACHINE_MODE_LEGACY_32,
                                             ZYDIS_MACHINE_MODE_LONG_64 };
    static const ZydisStackWidth width[] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                             ZYDIS_STACK_WIDTH_64 };
    static const ZydisDecoderMode absent[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                               ZYDIS_DECODER_MODE_WBNOINVD,
                                               ZYDIS_DECODER_MODE_CLDEMOTE };

    for (u32 i = 0; i < LEN(decode_features); i++)
        decode_has[decode_features[i].set] = decode_host_has(&decode_features[i]);
    for (u32 m = 0; m < 3; m++) {
        ZydisDecoderInit(&decode_by_mode[m], mode[m], width[m]);
        for (u32 i = 0; i < LEN(absent); i++)
            ZydisDecoderEnableMode(&decode_by_mode[m], absent[i], ZYAN_FALSE);
        ZydisDecoderEnableMode(&decode_by_mode[m], ZYDIS_DECODER_MODE_LZCNT,
                               decode_has[ZYDIS_ISA_SET_LZCNT]);
        ZydisDecoderEnableMode(&decode_by_mode[m], ZYDIS_DECODER_MODE_TZCNT,
                               decode_has[ZYDIS_ISA_SET_BMI1]);
    }
}

/* Is it an instruction of the processor that we are? */
static bool decode_known(const ZydisDecodedInstruction *z)
{
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        z->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return false;
    if (z->meta.category == ZYDIS_CATEGORY_PREFETCH) /* VEX ones are of another processor */
        return z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    if (z->meta.isa_set == ZYDIS_ISA_SET_VTX)
        return z->mnemonic == ZYDIS_MNEMONIC_VMCALL;
    if (z->meta.isa_set == ZYDIS_ISA_SET_SVM)
        return z->mnemonic == ZYDIS_MNEMONIC_VMMCALL;
    return decode_has[z->meta.isa_set];
}

static bool decode_legacy_prefix(u8 b)
{
    return b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || (b >= 0x64 && b <= 0x67) ||
           b == 0xf0 || b == 0xf2 || b == 0xf3;
}

/* Prefixes, and where opcode, ModRM, SIB, displacement and immediate are. */
static void decode_layout(struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    static const u8 escapes[] = { 0, 1, 2, 2 };
    const ZydisDecodedInstructionRaw *raw = &z->raw;
    u8 at = 0;

    while (at < in->len && (decode_legacy_prefix(in->bytes[at]) ||
                            (in->mode == X86_MODE64 && (in->bytes[at] & 0xf0) == 0x40)))
        at++;
    in->nprefix = at;
    if (at && in->mode == X86_MODE64 && (in->bytes[at - 1] & 0xf0) == 0x40) {
        in->rex = in->bytes[at - 1];
        in->nprefix--;
    }
    in->map = z->opcode_map;
    in->opcode = z->opcode;
    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        in->vex = raw->vex.size;
        at += in->vex;
    } else {
        at += escapes[in->map & 3];
    }
    in->at_opcode = at;
    in->at_modrm = in->at_sib = in->at_disp = in->at_imm = 0xff;
    if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        in->at_modrm = raw->modrm.offset;
        in->modrm = in->bytes[in->at_modrm];
        at = in->at_modrm;
    }
    if (z->attributes & ZYDIS_ATTRIB_HAS_SIB)
        at = in->at_sib = raw->sib.offset;
    at++;
    if (raw->disp.size) {
        in->at_disp = raw->disp.offset;
        in->disp_size = raw->disp.size / 8;
        at = in->at_disp + in->disp_size;
    }
    if (at < in->len) { /* what is left is immediate, register selectors included */
        in->at_imm = at;
        in->imm_size = in->len - at;
    }
}

static u8 decode_gpr(ZydisRegister r)
{
    if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
        return r - ZYDIS_REGISTER_AH;
    if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
        return r - ZYDIS_REGISTER_SPL + 4;
    return (u8)ZydisRegisterGetId(r);
}

static bool decode_is_gpr(ZydisRegister r)
{
    return r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_R15;
}

static u8 decode_address_reg(ZydisRegister r)
{
    if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
        return X86_RIP;
    return decode_is_gpr(r) ? decode_gpr(r) : X86_NOREG;
}

static u8 decode_segment(ZydisRegister r)
{
    return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS ? r - ZYDIS_REGISTER_ES : SEG_DS;
}

static u8 decode_reg_kind(ZydisRegister r)
{
    if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
        return OPD_GPR_HIGH;
    switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        return OPD_GPR;
    case ZYDIS_REGCLASS_SEGMENT:
        return OPD_SEG;
    case ZYDIS_REGCLASS_CONTROL:
        return OPD_CR;
    case ZYDIS_REGCLASS_DEBUG:
        return OPD_DR;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
        return OPD_VEC;
    case ZYDIS_REGCLASS_MMX:
        return OPD_MMX;
    case ZYDIS_REGCLASS_X87:
        return OPD_ST;
    default:
        return OPD_OTHER;
    }
}

static void decode_memory(struct x86_insn *in, const ZydisDecodedOperand *z, u8 n)
{
    in->mem = n;
    in->seg = decode_segment(z->mem.segment);
    in->base = decode_address_reg(z->mem.base);
    if (in->at_sib != 0xff && in->modrm < 0x40 && (in->bytes[in->at_sib] & 7) == 5)
        in->base = X86_NOREG; /* Zydis 4.0 names R13D after a 67h prefix */
    in->index = X86_NOREG;
    if (z->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        in->flags |= INSN_VSIB;
        in->index = (u8)ZydisRegisterGetId(z->mem.index);
    } else {
        in->index = decode_address_reg(z->mem.index);
    }
    in->scale = in->index == X86_NOREG || !z->mem.scale ? 1 : z->mem.scale;
    in->disp = z->mem.disp.has_displacement ? z->mem.disp.value : 0;
}

static u8 decode_field(const ZydisDecodedOperand *z)
{
    switch (z->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
        return AT_MODRM_REG;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
        return AT_MODRM_RM;
    case ZYDIS_OPERAND_ENCODING_OPCODE:
        return AT_OPCODE;
    case ZYDIS_OPERAND_ENCODING_NDSNDD:
        return AT_VVVV;
    case ZYDIS_OPERAND_ENCODING_IS4:
        return AT_IS4;
    default:
        return AT_NONE;
    }
}

static void decode_operand(struct x86_insn *in, const ZydisDecodedOperand *z, u8 n)
{
    struct x86_operand *o = &in->opd[n];
    bool imm_before = n && in->opd[n - 1].kind == OPD_IMM;

    o->access =
        (z->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? OPD_READ : 0) |
        (z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? OPD_WRITE : 0) |
        (z->actions & (ZYDIS_OPERAND_ACTION_CONDREAD | ZYDIS_OPERAND_ACTION_CONDWRITE) ? OPD_COND
                                                                                       : 0) |
        (z->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN ? OPD_HIDDEN : 0);
    o->size = z->size / 8;
    o->at = decode_field(z);
    o->reg = X86_NOREG;
    switch (z->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        o->kind = decode_reg_kind(z->reg.value);
        o->reg = o->kind == OPD_GPR || o->kind == OPD_GPR_HIGH
                     ? decode_gpr(z->reg.value)
                     : (u8)ZydisRegisterGetId(z->reg.value);
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        o->kind = z->mem.type == ZYDIS_MEMOP_TYPE_AGEN ? OPD_AGEN : OPD_MEM;
        if (!(o->access & OPD_HIDDEN))
            decode_memory(in, z, n);
        break;
    case ZYDIS_OPERAND_TYPE_POINTER:
        o->kind = OPD_FAR;
        in->imm = z->ptr.offset;
        in->imm2 = z->ptr.segment;
        break;
    default:
        o->kind = z->imm.is_relative ? OPD_REL : OPD_IMM;
        if (imm_before)
            in->imm2 = (u16)z->imm.value.u;
        else
            in->imm = z->imm.value.u;
    }
}

/* General registers that one operand reads and writes, whatever it is. */
static void decode_operand_gprs(struct x86_insn *in, const ZydisDecodedOperand *z)
{
    if (z->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        u8 base = decode_address_reg(z->mem.base), index = decode_address_reg(z->mem.index);

        in->gpr_read |= base < 16 ? 1 << base : 0;
        in->gpr_read |= index < 16 ? 1 << index : 0;
    } else if (z->type == ZYDIS_OPERAND_TYPE_REGISTER && decode_is_gpr(z->reg.value)) {
        u16 bit = decode_reg_kind(z->reg.value) == OPD_GPR_HIGH
                      ? 1 << (z->reg.value - ZYDIS_REGISTER_AH)
                      : 1 << decode_gpr(z->reg.value);
        bool write = z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        /* the rest of the register, or all of it, stays */
        bool partial = write && (z->size < 32 || z->actions & ZYDIS_OPERAND_ACTION_CONDWRITE);

        in->gpr_write |= write ? bit : 0;
        in->gpr_read |= partial || z->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? bit : 0;
    }
}

static void decode_operands(struct x86_insn *in, const ZydisDecodedInstruction *z,
                            const ZydisDecodedOperand *opd)
{
    for (u8 i = 0; i < z->operand_count; i++) {
        if (i < LEN(in->opd)) {
            decode_operand(in, &opd[i], i);
            in->nopd = i + 1;
        }
        decode_operand_gprs(in, &opd[i]);
    }
    if (in->mem == X86_NOREG) { /* string, xlat, maskmov: the override counts for hidden ones */
        for (u8 i = 0; i < z->operand_count; i++)
            if (opd[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
                opd[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
                opd[i].mem.segment != ZYDIS_REGISTER_ES && opd[i].mem.segment != ZYDIS_REGISTER_SS)
                in->seg = decode_segment(opd[i].mem.segment);
        if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
            in->seg = SEG_ES;
        if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
            in->seg = SEG_SS;
    }
    if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT)
        in->flags |= INSN_SEGMENT;
}

/* Where the default operand size applies: mode, 66, REX.W. */
static u8 decode_effective_size(const struct x86_insn *in)
{
    bool p66 = memchr(in->bytes, 0x66, in->nprefix);

    if (in->mode == X86_MODE16)
        return p66 ? 4 : 2;
    return in->rex & 8 ? 8 : p66 ? 2 : 4;
}

static int decode_error(ZyanStatus status, u32 n)
{
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return n < 15 ? -ENODATA : -E2BIG;
    return status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? -E2BIG : -EINVAL;
}

int x86_decode(struct x86_insn *in, const u8 *p, u32 n, enum x86_mode mode)
{
    ZydisDecodedOperand opd[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction z;
    ZyanStatus status;

    pthread_once(&decode_once, decode_start);
    n = n < 15 ? n : 15;
    status = ZydisDecoderDecodeFull(&decode_by_mode[mode], p, n, &z, opd);
    if (!ZYAN_SUCCESS(status))
        return decode_error(status, n);
    if (!decode_known(&z))
        return -EINVAL;

    memset(in, 0, sizeof(*in));
    in->op = (u16)z.mnemonic;
    in->len = z.length;
    in->mode = (u8)mode;
    memcpy(in->bytes, p, in->len);
    in->base = in->index = in->mem = X86_NOREG;
    in->scale = 1;
    in->seg = SEG_DS;
    in->asize = z.address_width / 8;
    decode_layout(in, &z);
    in->osize =
        z.operand_width >= 16 && z.operand_width <= 64 && z.meta.isa_set != ZYDIS_ISA_SET_X87
            ? z.operand_width / 8
            : decode_effective_size(in);
    decode_operands(in, &z, opd);
    decode_flags(in, &z);
    decode_kinds(in, &z);
    return 0;
}

void x86_print(const struct x86_insn *in, u64 rip, char *text, u32 room)
{
    ZydisDecodedOperand opd[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction z;
    ZydisFormatter f;

    pthread_once(&decode_once, decode_start);
    text[0] = 0;
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decode_by_mode[in->mode], in->bytes, in->len, &z, opd)))
        return;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterFormatInstruction(&f, &z, opd, z.operand_count_visible, text, room, rip, NULL);
}
