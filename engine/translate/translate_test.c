/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same programs under the interpreter and the translator, in 16, 32 and 64-bit code. */
#include "tests/check.h"

#include "engine/translate/translate_rig.h" /* which checks */
#include <errno.h>

/* mov ecx,1000; xor eax,eax; l: add eax,ecx; imul ebx,eax,7; dec ecx; jnz l; hlt */
PROGRAM(loop_64, X86_MODE64, NULL, 0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 1, 0xc8, 0x6b, 0xd8, 7, 0xff,
        0xc9, 0x75, 0xf7, 0xf4)
PROGRAM(loop_32, X86_MODE32, NULL, 0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 1, 0xc8, 0x6b, 0xd8, 7, 0x49,
        0x75, 0xf8, 0xf4)
/* mov cx,1000; l: add ax,cx; mov [bx+si],ax; push ax; pop dx; loop l; hlt */
PROGRAM(loop_16, X86_MODE16, NULL, 0xb9, 0xe8, 3, 1, 0xc8, 0x89, 0, 0x50, 0x5a, 0xe2, 0xf8, 0xf4)

/* The last instruction begins below the limit of the code segment, in the middle of a page, and
 * ends above it: inc ax; inc ax; inc ax; mov al,1.  Vector 13 comes to the hlt. */
static void prepare_limit(u8 *ram, struct x86_state *s)
{
    static const u8 code[] = { 0x40, 0x40, 0x40, 0xb0, 1, 0xf4 };
    static const u8 vector[] = { 0, 0, CODE >> 4 & 0xff, CODE >> 12 };

    s->seg[SEG_CS].base = CODE + 0x20;
    s->seg[SEG_CS].sel += 2;
    s->rip = 0xfffc;
    memcpy(ram + CODE + 0x20 + 0xfffc, code, sizeof(code));
    memcpy(ram + 13 * 4ul, vector, sizeof(vector));
}
PROGRAM(limit_16, X86_MODE16, prepare_limit, 0xf4)

/* fib(15) by recursive calls */
PROGRAM(calls_64, X86_MODE64, NULL, 0xbf, 0xf, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xf4, 0x83, 0xff, 2, 0x73,
        3, 0x89, 0xf8, 0xc3, 0x53, 0x57, 0xff, 0xcf, 0xe8, 0xef, 0xff, 0xff, 0xff, 0x89, 0xc3, 0x5f,
        0x83, 0xef, 2, 0x51, 0xe8, 0xe3, 0xff, 0xff, 0xff, 0x59, 1, 0xd8, 0x5b, 0xc3)

/* r9-r11 as everything: mov r9,0x200000; mov r10d,5; lea r11,[r9+r10*8+16]; mov [r11],r10;
 * add [r9+r10*8+16],r9; mov r10,[r11]; push r10; push r11; pop r9; xchg r9,[rsp]; bswap r11;
 * adc r11,r10; hlt */
PROGRAM(evicted_64, X86_MODE64, NULL, 0x49, 0xc7, 0xc1, 0, 0, 0x20, 0, 0x41, 0xba, 5, 0, 0, 0, 0x4f,
        0x8d, 0x5c, 0xd1, 16, 0x4d, 0x89, 0x13, 0x4f, 1, 0x4c, 0xd1, 16, 0x4d, 0x8b, 0x13, 0x41,
        0x52, 0x41, 0x53, 0x41, 0x59, 0x4c, 0x87, 0xc, 0x24, 0x49, 0xf, 0xcb, 0x4d, 0x11, 0xd3,
        0xf4)

/* flags over accesses and blocks: stc; mov rbx,0x200000; l: mov rax,[rbx]; adc rax,rbx;
 * mov [rbx],rax; jmp +0; lea rbx,[rbx+8]; pushfq; pop rdx; setc [rbx]; cmp rbx,... */
PROGRAM(flags_64, X86_MODE64, NULL, 0xf9, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0x48, 0x8b, 3, 0x48,
        0x11, 0xd8, 0x48, 0x89, 3, 0xeb, 0, 0x48, 0x8d, 0x5b, 8, 0xf, 0x92, 3, 0xf, 0x90, 0x43, 1,
        0x9c, 0x5a, 0x48, 0x81, 0xfb, 0, 0x10, 0x20, 0, 0x72, 0xdf, 0xf4)

/* The next instruction is rewritten: mov byte [rip+1],0x90 over hlt's place; two rounds. */
PROGRAM(smc_next_64, X86_MODE64, NULL, 0xb9, 3, 0, 0, 0, 0xc6, 5, 0, 0, 0, 0, 0x40, 0xb0, 1, 0xfe,
        5, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x75, 0xee, 0xf4)

/* A function in another page, changed between calls: mov edi,5; l: call f; inc byte [f+1];
 * add ebx,eax; dec edi; jnz l; hlt; f (0x11000): mov eax,7; ret */
static void prepare_other(u8 *ram, struct x86_state *s)
{
    static const u8 f[] = { 0xb8, 7, 0, 0, 0, 0xc3 };

    memcpy(ram + 0x11000, f, sizeof(f));
}
PROGRAM(smc_other_64, X86_MODE64, prepare_other, 0xbf, 5, 0, 0, 0, 0xe8, 0xf6, 0xf, 0, 0, 0xfe, 4,
        0x25, 1, 0x10, 1, 0, 1, 0xc3, 0xff, 0xcf, 0x75, 0xee, 0xf4)

/* The same so often that stores to these pages are no longer watched. */
PROGRAM(smc_next_often_64, X86_MODE64, NULL, 0xb9, 0x2c, 1, 0, 0, 0xc6, 5, 0, 0, 0, 0, 0x40, 0xb0,
        1, 0xfe, 5, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x75, 0xee, 0xf4)
PROGRAM(smc_other_often_64, X86_MODE64, prepare_other, 0xbf, 0x2c, 1, 0, 0, 0xe8, 0xf6, 0xf, 0, 0,
        0xfe, 4, 0x25, 1, 0x10, 1, 0, 1, 0xc3, 0xff, 0xcf, 0x75, 0xee, 0xf4)

/* A counter beside the code: mov ecx,1000; l: stc; adc dword [rip+8],1; dec ecx; jnz l; hlt */
PROGRAM(smc_beside_64, X86_MODE64, NULL, 0xb9, 0xe8, 3, 0, 0, 0xf9, 0x83, 0x15, 8, 0, 0, 0, 1, 0xff,
        0xc9, 0x75, 0xf4, 0xf4, 0xcc, 0xcc, 0xcc, 0, 0, 0, 0)

/* An instruction over a page boundary, and a loop through it. */
static void prepare_cross(u8 *ram, struct x86_state *s)
{
    /* 10ff9: mov ecx,9; 10ffe: add eax,0x1234567 (5 bytes); dec ecx; jnz; hlt */
    static const u8 f[] = {
        0xb9, 9, 0, 0, 0, 5, 0x67, 0x45, 0x23, 1, 0xff, 0xc9, 0x75, 0xf7, 0xf4
    };

    memcpy(ram + 0x10ff9, f, sizeof(f));
    s->rip = 0x10ff9;
}
PROGRAM(cross_64, X86_MODE64, prepare_cross, 0xf4)

/* Data over a page boundary: mov rbx,0x10fffd; l: add [rbx],rcx; mov rax,[rbx+1]; dec ecx; ... */
PROGRAM(unaligned_64, X86_MODE64, NULL, 0x48, 0xc7, 0xc3, 0xfd, 0xff, 0x10, 0, 0xb9, 9, 0, 0, 0,
        0x48, 1, 0xb, 0x48, 0x8b, 0x43, 1, 0x48, 0x87, 0x43, 0xff, 0xff, 0xc9, 0x75, 0xf1, 0xf4)

/* Page fault in the middle of a block: handler maps the page and returns. */
static void prepare_fault(u8 *ram, struct x86_state *s)
{
    /* 12000: push rax; mov rax,cr2; mov [0x305000-ish pte],..; add rsp,16; iretq */
    static const u8 handler[] = { 0x50, 0x48, 0xc7, 4,    0x25, 0,    0x34, 0x30, 0, 7,    0,
                                  0x08, 0,    0xff, 0xc2, 0x58, 0x48, 0x83, 0xc4, 8, 0x48, 0xcf };
    u8 gate[16] = { 0, 0x20, 8, 0, 0, 0x8e, 1, 0 };
    u64 gdt[3] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

    memcpy(ram + 0x12000, handler, sizeof(handler));
    memcpy(ram + 0x13000 + 14 * 16, gate, 16);
    memcpy(ram + 0x14000, gdt, sizeof(gdt));
    s->idtr = (struct x86_table){ .base = 0x13000, .limit = 0xfff };
    s->gdtr = (struct x86_table){ .base = 0x14000, .limit = 0xfff };
    s->gpr[RDX] = 0;
    memset(ram + TABLES + 0x3000 + 8 * 0x80, 0, 8); /* 0x80000: its PTE is at 0x303400 */
}
/* mov ebx,0x80000; mov ecx,7; add ecx,ecx; add [rbx],rcx; mov rax,[rbx]; hlt */
PROGRAM(fault_64, X86_MODE64, prepare_fault, 0xbb, 0, 0, 8, 0, 0xbc, 0, 0, 9, 0, 0xb9, 7, 0, 0, 0,
        1, 0xc9, 0x48, 1, 0xb, 0x48, 0x8b, 3, 0xf4)

/* rep stosb, rep movsq, repne scasb, std; rep movsb */
PROGRAM(strings_64, X86_MODE64, NULL, 0x48, 0xc7, 0xc7, 0xf0, 0xf, 0x20, 0, 0xb9, 0, 0x20, 0, 0,
        0xf3, 0xaa, 0x48, 0xc7, 0xc6, 0xf0, 0xf, 0x20, 0, 0x48, 0xc7, 0xc7, 3, 0, 0x21, 0, 0xb9, 0,
        1, 0, 0, 0xf3, 0x48, 0xa5, 0xb9, 0, 1, 0, 0, 0xf2, 0xae, 0xfd, 0xb9, 0x33, 0, 0, 0, 0xf3,
        0xa4, 0xa4, 0xfc, 0xf4)

/* SSE, AVX and x87 on registers and memory, aligned and not. */
PROGRAM(vector_64, X86_MODE64, NULL, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0x48, 0xc7, 0xc6, 0, 0, 1, 0,
        0xb9, 0x3c, 0, 0, 0, 0x8b, 4, 0x8e, 0x89, 4, 0x8b, 0xff, 0xc9, 0x79, 0xf6, 0xf, 0x10, 0xb,
        0xf, 0x58, 0x4b, 0x10, 0xc5, 0xf5, 0x58, 0x53, 3, 0xc5, 0xfe, 0x7f, 0x53, 0x40, 0xf2, 0x49,
        0xf, 0x2a, 0xd9, 0x66, 0x49, 0xf, 0x7e, 0xda, 0xb9, 0, 0, 1, 0, 0xf2, 0xf, 0x59, 0x5b, 8,
        0xf, 0x28, 0x6b, 0x10, 0x66, 0xf, 0xef, 0xeb, 0xf, 0x29, 0x6b, 0x20, 0x66, 0x44, 0xf, 0xc5,
        0xdd, 3, 0x4d, 1, 0xdc, 0xd9, 0xe8, 0xd9, 0xeb, 0xde, 0xc1, 0xdd, 0x1c, 0xb, 0xff, 0xc9,
        0x75, 0xd9, 0xf4)

/*
 * Blocks of instructions that were met before, with prefixes, while vector registers are in use:
 * they are made without the decoder.  1: movdqu xmm0,[rbx+n]; movdqu xmm1,[rbx+n+16]; jmp 2;
 * 2: movdqu [rsi+n],xmm0; movdqu [rsi+n+16],xmm1; jmp 3 ... eight times over; hlt
 */
static void prepare_alike(u8 *ram, struct x86_state *s)
{
    static const u16 fcw = 0x37f; /* else all that has to do with floating point is interpreted */
    u8 *p = ram + CODE;

    memcpy(s->xsave, &fcw, sizeof(fcw));
    for (u32 i = 0; i < 512; i++)
        ram[DATA + i] = (u8)(i * 7 + 1);
    s->gpr[RBX] = DATA;
    s->gpr[RSI] = DATA + 0x1000;
    for (u32 n = 0; n < 8; n++)
        for (u32 store = 0; store < 2; store++) {
            for (u32 reg = 0; reg < 2; reg++) {
                const u8 move[] = { 0xf3, 0xf, store ? 0x7f : 0x6f,
                                    (u8)(0x83 + 3 * store + 8 * reg) };
                u32 disp = n * 32 + reg * 16;

                memcpy(p, move, sizeof(move));
                memcpy(p + 4, &disp, 4);
                p += 8;
            }
            memcpy(p, (const u8[]){ 0xeb, 0 }, 2);
            p += 2;
        }
    *p = 0xf4;
}
PROGRAM(alike_64, X86_MODE64, prepare_alike, 0x90)

/* Port I/O, CPUID and MMIO between translated instructions. */
PROGRAM(io_64, X86_MODE64, NULL, 0xb9, 4, 0, 0, 0, 0xe4, 0x20, 1, 0xc3, 0xe6, 0x21, 0x8b, 4, 0x25,
        0, 0, 0, 0x20, 1, 4, 0x25, 0, 0, 0, 0x20, 0xff, 0xc9, 0x75, 0xe9, 0xf4)

/* Divide error by a register in the middle of a block, with a handler that skips it. */
static void prepare_divide(u8 *ram, struct x86_state *s)
{
    static const u8 handler[] = { 0x48, 0x83, 4, 0x24, 2, 0xff, 0xc6, 0x48, 0xcf };

    prepare_fault(ram, s);
    memcpy(ram + 0x12000, handler, sizeof(handler));
    memcpy(ram + 0x13000, ram + 0x13000 + 14 * 16, 16);
}
PROGRAM(divide_64, X86_MODE64, prepare_divide, 0x31, 0xc9, 0x31, 0xd2, 0xbc, 0, 0, 9, 0, 0xf7, 0xf1,
        0xff, 0xc3, 0xf7, 0xf1, 0xff, 0xc3, 0xf4)

/* A misaligned MOVAPS is #GP, by way of the host's own fault. */
static void prepare_align(u8 *ram, struct x86_state *s)
{
    static const u8 handler[] = { 0x58, 0x48, 0x83, 4, 0x24, 3, 0xff, 0xc6, 0x48, 0xcf };

    prepare_fault(ram, s);
    memcpy(ram + 0x12000, handler, sizeof(handler));
    memcpy(ram + 0x13000 + 13 * 16, ram + 0x13000 + 14 * 16, 16);
}
PROGRAM(align_64, X86_MODE64, prepare_align, 0x48, 0xc7, 0xc3, 8, 0, 1, 0, 0xbc, 0, 0, 9, 0, 0xf,
        0x28, 0xb, 0xff, 0xc1, 0xf4)

/* An interrupt asked for by a port ends an endless loop. */
static void prepare_interrupt(u8 *ram, struct x86_state *s)
{
    static const u8 handler[] = { 0xff, 0xc3, 0x48, 0xcf };

    prepare_fault(ram, s);
    memcpy(ram + 0x12000, handler, sizeof(handler));
    memcpy(ram + 0x13000 + 0x40 * 16, ram + 0x13000 + 14 * 16, 16);
    s->rflags |= FLAG_IF;
    s->gpr[RBX] = 0;
}
/* mov esp,..; mov al,0x40; out 0x10,al; l: test ebx,ebx; jz l; hlt */
PROGRAM(interrupt_64, X86_MODE64, prepare_interrupt, 0xbc, 0, 0, 9, 0, 0xb0, 0x40, 0xe6, 0x10, 0x85,
        0xdb, 0x74, 0xfc, 0xfa, 0xf4)

/*
 * Random instructions: bytes that decode to something plain, each memory operand pointed to
 * DATA by moves before it, undefined flags made known behind it.
 */
static u64 seed;
static u64 rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

/*
 * The first byte of a stack access is where a displacement still reaches, the last is not; 4 GiB
 * below, another page is known, and 4 GiB above the guest's memory there is some of ours.
 * mov rax,0xffffffff00280000; mov rbx,[rax]; mov rsp,-0x7fd7fffc; mov rdx,[rsp+0x7ffffffc]; mov
 * [rsp+0x7ffffffe],rbx; hlt
 */
static void prepare_stack_reach(u8 *ram, struct x86_state *s)
{
    void *ours = mmap(ram + 0x280000 + (1ull << 32), PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    CHECK(ours != MAP_FAILED || errno == EEXIST);
    memset(ram + 0x280000, 0x5a, 64);
    memcpy(ram + TABLES + 0xff8, ram + TABLES, 8);
    memcpy(ram + TABLES + 0x1fe0, ram + TABLES + 0x1000, 8);
}
PROGRAM(stack_reach, X86_MODE64, prepare_stack_reach, 0x48, 0xb8, 0, 0, 0x28, 0, 0xff, 0xff, 0xff,
        0xff, 0x48, 0x8b, 0x18, 0x48, 0xc7, 0xc4, 4, 0, 0x28, 0x80, 0x48, 0x8b, 0x94, 0x24, 0xfc,
        0xff, 0xff, 0x7f, 0x48, 0x89, 0x9c, 0x24, 0xfe, 0xff, 0xff, 0x7f, 0xf4)

/*
 * Addresses known beforehand, of accesses that end in another page, which is elsewhere.
 * mov al,[0x90000]; mov al,[0x91000]; mov rbx,[0x90ffc]; mov [0x90ffe],ecx; hlt
 */
static void prepare_const_cross(u8 *ram, struct x86_state *s)
{
    u64 entry = 0x98007;

    memcpy(ram + TABLES + 0x3000 + 0x91 * 8, &entry, 8);
    memset(ram + 0x98000, 0x5a, 64);
}
PROGRAM(const_cross, X86_MODE64, prepare_const_cross, 0x8a, 4, 0x25, 0, 0, 9, 0, 0x8a, 4, 0x25, 0,
        0x10, 9, 0, 0x48, 0x8b, 0x1c, 0x25, 0xfc, 0xf, 9, 0, 0x89, 0xc, 0x25, 0xfe, 0xf, 9, 0, 0xf4)

static u32 rnd_move(u8 *p, u32 reg, u64 val, bool wide)
{
    u32 n = 0;

    if (wide)
        p[n++] = 0x48 | reg >> 3;
    p[n++] = 0xb8 | (reg & 7);
    memcpy(p + n, &val, wide ? 8 : 4);
    return n + (wide ? 8 : 4);
}

static bool rnd_wanted(const struct x86_insn *in, enum x86_mode mode)
{
    if (in->flags & (INSN_BRANCH | INSN_SYSTEM | INSN_STRING | INSN_STACK | INSN_PRIVILEGED |
                     INSN_X87 | INSN_MMX | INSN_VSIB))
        return false;
    if (in->flags & INSN_VECTOR && (in->mem != X86_NOREG || !(rnd() % 4 == 0)))
        return false;
    if (in->flags & INSN_VECTOR && in->eflags_write)
        return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_XLAT:
    case ZYDIS_MNEMONIC_STD:
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_RCPPS:
    case ZYDIS_MNEMONIC_RCPSS:
    case ZYDIS_MNEMONIC_RSQRTPS:
    case ZYDIS_MNEMONIC_RSQRTSS:
    case ZYDIS_MNEMONIC_AAM:
        return false;
    default:
        break;
    }
    if (in->op == ZYDIS_MNEMONIC_BSWAP && in->osize == 2)
        return false;
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_ST || (in->opd[i].kind == OPD_MEM && in->mem != i))
            return false;
    if (mode == X86_MODE16 && in->asize != 2)
        return false;
    if (in->gpr_write & 1 << RSP)
        return false;
    if (in->mem == X86_NOREG)
        return true;
    return in->base != RSP && in->index != RSP && in->base != X86_RIP &&
           (in->base != X86_NOREG || in->index != X86_NOREG) && in->asize == (2u << mode) &&
           in->seg != SEG_CS;
}

/* One more instruction at p; its bytes, or 0. */
static u32 rnd_insn(u8 *p, enum x86_mode mode)
{
    static const u8 compare[] = { 0x83, 0xf9, 0x15 }; /* cmp ecx, 21 */
    u8 bytes[16];
    struct x86_insn in;
    u32 n = 0, at = 0;

    if (rnd() % 4 == 0)
        bytes[n++] = 0x66;
    if (mode == X86_MODE64 && rnd() % 2)
        bytes[n++] = 0x40 | rnd() % 16;
    if (rnd() % 3 == 0) {
        bytes[n++] = 0x0f;
        if (rnd() % 4 == 0)
            bytes[n++] = 0x38;
    } else if (mode == X86_MODE64 && rnd() % 8 == 0) {
        n = 0;
        bytes[n++] = 0xc4;
        bytes[n++] = (u8)(rnd() & 0xe0) | (2 + rnd() % 2);
        bytes[n++] = (u8)(rnd() & 0xfb);
    }
    while (n < 15)
        bytes[n++] = (u8)rnd();
    if (x86_decode(&in, bytes, 15, mode) || !rnd_wanted(&in, mode))
        return 0;
    if (in.mem != X86_NOREG) {
        u64 where = mode == X86_MODE16 ? 0x4000 : DATA;

        if (in.disp != (i8)in.disp)
            return 0;
        if (in.index != X86_NOREG && in.index == in.base)
            return 0;
        if (in.index != X86_NOREG)
            at += rnd_move(p + at, in.index, rnd() % 200, mode == X86_MODE64);
        if (in.base != X86_NOREG)
            at += rnd_move(p + at, in.base, where + rnd() % 8000, mode == X86_MODE64);
        else
            return 0;
        if (mode == X86_MODE16)
            return 0;
        if (in.op == ZYDIS_MNEMONIC_BT || in.op == ZYDIS_MNEMONIC_BTS ||
            in.op == ZYDIS_MNEMONIC_BTR || in.op == ZYDIS_MNEMONIC_BTC)
            return 0;
    }
    memcpy(p + at, in.bytes, in.len);
    at += in.len;
    if (in.eflags_undef) {
        memcpy(p + at, compare, sizeof(compare));
        at += sizeof(compare);
    }
    return at;
}

static void random_mode(enum x86_mode mode, u32 rounds)
{
    for (u32 i = 0; i < rounds && !check_failed_now; i++) {
        static u8 code[600];
        struct program p = { mode, code, 0, NULL, i % 2 && mode == X86_MODE64 };

        seed = 0x9e3779b97f4a7c15ull * (i + 1);
        while (p.size < 500)
            p.size += rnd_insn(code + p.size, mode);
        code[p.size++] = 0xf4;
        program_compare(&p);
        if (check_failed_now) {
            printf("# round %u:\n", i);
            for (u32 at = 0; at < p.size;) {
                struct x86_insn in;
                char text[80];

                if (x86_decode(&in, code + at, p.size - at, mode))
                    break;
                x86_print(&in, CODE + at, text, sizeof(text));
                printf("#   %x: %s\n", CODE + at, text);
                at += in.len;
            }
        }
    }
}
/* Two vCPUs count in the same word: mov ecx,20000; l: lock xadd [0x200000],eax (eax=1 each
 * time); dec ecx; jnz l; hlt */
static void *counter_run(void *arg)
{
    struct vcpu *v = arg;
    struct err e = { 0 };

    CHECK_EQ(engine_translate.run(v, &e), STOP_HALTED);
    return NULL;
}
static void atomic_two_cpus(void)
{
    static const u8 code[] = { 0xb9, 0x20, 0x4e, 0, 0, 0xb8, 1, 0,    0,    0,    0xf0, 0xf,
                               0xc1, 4,    0x25, 0, 0, 0x20, 0, 0xff, 0xc9, 0x75, 0xee, 0xf4 };
    pthread_t thread[CPUS];
    struct x86_state s;
    struct rig r;
    u32 sum;

    rig_open(&r, &engine_translate, CPUS, false);
    rig_tables(r.ram);
    memcpy(r.ram + CODE, code, sizeof(code));
    rig_state(&s, X86_MODE64);
    for (u32 i = 0; i < CPUS; i++) {
        r.ops->set(r.v[i], &s);
        pthread_create(&thread[i], NULL, counter_run, r.v[i]);
    }
    for (u32 i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    memcpy(&sum, r.ram + DATA, 4);
    CHECK_EQ(sum, CPUS * 20000);
    rig_close(&r);
}

/*
 * One vCPU stores to an instruction that another one is running, which translates it anew at once:
 * also when the store comes late, the bytes that were there before are not what stays.
 * mov ecx,40; 1: mov [0x11001],ecx; mov [0x200000],ecx; 2: cmp [0x200040],ecx; jne 2b; dec ecx;
 * jnz 1b; hlt
 * 1: call f; mov esi,[0x200000]; cmp esi,edi; je 1b; xor eax,eax; cpuid; call f; cmp eax,esi;
 * je 2f; inc dword [0x200080]; 2: mov edi,esi; mov [0x200040],esi; cmp esi,1; jne 1b; hlt
 * 0x11000: f: mov eax,0; ret
 */
static void (*hook_wrote)(struct x86_cpu *c, u64 gpa, u32 len);
static void hook_wrote_early(struct x86_cpu *c, u64 gpa, u32 len)
{
    hook_wrote(c, gpa, len);
    if (gpa >> 12 == 0x11)
        usleep(500);
}
static void smc_two_cpus(void)
{
    static const u8 writer[] = { 0xb9, 0x28, 0,    0,    0,    0x89, 0xc,  0x25, 1,    0x10, 1,
                                 0,    0x89, 0xc,  0x25, 0,    0,    0x20, 0,    0x39, 0xc,  0x25,
                                 0x40, 0,    0x20, 0,    0x75, 0xf7, 0xff, 0xc9, 0x75, 0xe5, 0xf4 };
    static const u8 reader[] = { 0xe8, 0xfb, 7,    0,    0,    0x8b, 0x34, 0x25, 0,    0,    0x20,
                                 0,    0x39, 0xfe, 0x74, 0xf0, 0x31, 0xc0, 0xf,  0xa2, 0xe8, 0xe7,
                                 7,    0,    0,    0x39, 0xf0, 0x74, 7,    0xff, 4,    0x25, 0x80,
                                 0,    0x20, 0,    0x89, 0xf7, 0x89, 0x34, 0x25, 0x40, 0,    0x20,
                                 0,    0x83, 0xfe, 1,    0x75, 0xce, 0xf4 };
    static const u8 f[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    pthread_t thread[CPUS];
    struct engine *g;
    struct rig r;

    rig_open(&r, &engine_translate, CPUS, false);
    g = r.engine;
    hook_wrote = g->hooks.wrote;
    g->hooks.wrote = hook_wrote_early;
    rig_tables(r.ram);
    memcpy(r.ram + CODE, writer, sizeof(writer));
    memcpy(r.ram + CODE + 0x800, reader, sizeof(reader));
    memcpy(r.ram + 0x11000, f, sizeof(f));
    for (u32 i = 0; i < CPUS; i++) {
        struct x86_state s;

        rig_state(&s, X86_MODE64);
        s.rip += i * 0x800;
        s.gpr[RSP] -= i * PAGE;
        s.gpr[RDI] = 0;
        r.ops->set(r.v[i], &s);
        pthread_create(&thread[i], NULL, counter_run, r.v[i]);
    }
    for (u32 i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    CHECK_EQ(r.ram[DATA], 1);
    CHECK_EQ(r.ram[DATA + 0x80], 0);
    rig_close(&r);
}

static void random_64(void)
{
    random_mode(X86_MODE64, 150);
}
static void random_32(void)
{
    random_mode(X86_MODE32, 80);
}
static void random_16(void)
{
    random_mode(X86_MODE16, 40);
}

int main(int argc, char **argv)
{
    u64 features;
    struct err e = { 0 };

    if (engine_translate.probe(&features, &e)) {
        printf("1..0 # SKIP %s\n", e.text);
        return 0;
    }
    CASE(loop_64);
    CASE(loop_32);
    CASE(loop_16);
    CASE(limit_16);
    CASE(calls_64);
    CASE(evicted_64);
    CASE(flags_64);
    CASE(smc_next_64);
    CASE(smc_other_64);
    CASE(smc_next_often_64);
    CASE(smc_other_often_64);
    CASE(smc_beside_64);
    CASE(cross_64);
    CASE(unaligned_64);
    CASE(fault_64);
    CASE(strings_64);
    CASE(vector_64);
    CASE(alike_64);
    CASE(io_64);
    CASE(divide_64);
    CASE(stack_reach);
    CASE(const_cross);
    CASE(align_64);
    CASE(interrupt_64);
    CASE(atomic_two_cpus);
    CASE(smc_two_cpus);
    CASE(random_64);
    CASE(random_32);
    CASE(random_16);
    return check_end();
}
