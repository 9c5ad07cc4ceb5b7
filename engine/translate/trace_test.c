/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loops that become traces, against the interpreter: pages that end inside a group, faults and
 * interrupts in the middle, code and mappings that change, registers and flags over the exits.
 */
/* clang-format off: the rig checks */
#include "engine/translate/translate_rig.h"
#include "tests/check.h"
/* clang-format on */
#include <pthread.h>
#include <sched.h>

static void gate(u8 *ram, u32 vector, const u8 *code, u32 n)
{
    u32 at = 0x12000 + vector * 64;
    u8 gate[16] = { (u8)at, (u8)(at >> 8), 8, 0, 0, 0x8e, 1, 0 };
    u64 gdt[3] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

    memcpy(ram + at, code, n);
    memcpy(ram + 0x14000 + vector * 16, gate, 16);
    memcpy(ram + 0x1f000, gdt, sizeof(gdt));
}
static void gates(struct x86_state *s)
{
    s->idtr = (struct x86_table){ .base = 0x14000, .limit = 0xfff };
    s->gdtr = (struct x86_table){ .base = 0x1f000, .limit = 0xfff };
    s->gpr[R15] = 0;
}
static void page(u8 *ram, u64 lin, u64 entry)
{
    memcpy(ram + TABLES + 0x3000 + (lin >> 12) * 8, &entry, 8);
}

/* push rbx; mov rbx,[rsp+16]; add r11,rbx; lea rax,[rbx+r11]; mov [rsp-16],r11; pop rbx; ret */
static void prepare_calls(u8 *ram, struct x86_state *s)
{
    static const u8 f[] = { 0x53, 0x48, 0x8b, 0x5c, 0x24, 0x10, 0x49, 1,    0xdb, 0x4a,
                            0x8d, 4,    0x1b, 0x4c, 0x89, 0x5c, 0x24, 0xf0, 0x5b, 0xc3 };

    memcpy(ram + 0x11000, f, sizeof(f));
}
static void prepare_alias(u8 *ram, struct x86_state *s)
{
    page(ram, 0x181000, CODE | 7);
}
/* push rax; push rdx; mov rax,cr2; shr rax,12; lea rdx,[rax*8+0x303000]; shl rax,12; or rax,7;
 * mov [rdx],rax; inc r15; pop rdx; pop rax; add rsp,8; iretq */
static void prepare_faults(u8 *ram, struct x86_state *s)
{
    static const u8 map[] = { 0x50, 0x52, 0xf,  0x20, 0xd0, 0x48, 0xc1, 0xe8, 0xc,  0x48,
                              0x8d, 0x14, 0xc5, 0,    0x30, 0x30, 0,    0x48, 0xc1, 0xe0,
                              0xc,  0x48, 0x83, 0xc8, 7,    0x48, 0x89, 2,    0x49, 0xff,
                              0xc7, 0x5a, 0x58, 0x48, 0x83, 0xc4, 8,    0x48, 0xcf };

    gates(s);
    gate(ram, 14, map, sizeof(map));
    for (u64 lin = 0x80000; lin < 0x86000; lin += 0x1000)
        page(ram, lin, lin | (lin == 0x80000 ? 5 : 6)); /* read only; not there */
}
/* mov esi,7; inc r15; iretq */
static void prepare_divides(u8 *ram, struct x86_state *s)
{
    static const u8 skip[] = { 0xbe, 7, 0, 0, 0, 0x49, 0xff, 0xc7, 0x48, 0xcf };

    gates(s);
    gate(ram, 0, skip, sizeof(skip));
}
static void prepare_remapped(u8 *ram, struct x86_state *s)
{
    ram[0x94008] = 100;
}
/* mov eax,7; ret and mov eax,1000; ret */
static void prepare_code_remapped(u8 *ram, struct x86_state *s)
{
    static const u8 f[] = { 0xb8, 7, 0, 0, 0, 0xc3 }, g[] = { 0xb8, 0xe8, 3, 0, 0, 0xc3 };

    memcpy(ram + 0x11000, f, sizeof(f));
    memcpy(ram + 0x15000, g, sizeof(g));
}
/* dec ecx; jmp back to the loop; then a page of xor eax,eax, behind which no flag is needed */
static void prepare_elsewhere(u8 *ram, struct x86_state *s)
{
    static const u8 back[] = { 0xff, 0xc9, 0xe9, 0x0e, 0xf0, 0xff, 0xff, 0x90 };

    for (u32 i = 0; i < 4096; i += 2)
        memcpy(ram + 0x11000 + i, (const u8[]){ 0x31, 0xc0 }, 2);
    memcpy(ram + 0x11000, back, sizeof(back));
}
/* pushfq; pop rdx; and edx,1; add r8,rdx; ret: at 0x11000, and 517 GiB above the rest */
static void prepare_far_end(u8 *ram, struct x86_state *s)
{
    static const u8 f[] = { 0x9c, 0x5a, 0x83, 0xe2, 1, 0x49, 1, 0xd0, 0xc3 };

    memcpy(ram + 0x11000, f, sizeof(f));
    memcpy(ram + TABLES + 8, ram + TABLES, 8);
    memcpy(ram + TABLES + 0x1028, ram + TABLES + 0x1000, 8);
}
static void prepare_sign_ends(u8 *ram, struct x86_state *s)
{
    page(ram, 0x91000, 0x98007);
    page(ram, 0x95000, 0x9a007);
}
/* 4 GiB above as all is */
static void prepare_low_group(u8 *ram, struct x86_state *s)
{
    memcpy(ram + TABLES + 0x1020, ram + TABLES + 0x1000, 8);
}
/* add rbx,[rsp]; ret: at 0x10020, and 2 GiB above as all is */
static void prepare_reach(u8 *ram, struct x86_state *s)
{
    static const u8 f[] = { 0x48, 3, 0x1c, 0x24, 0xc3 };

    memcpy(ram + 0x10020, f, sizeof(f));
    memcpy(ram + TABLES + 0x1010, ram + TABLES + 0x1000, 8);
}
/* mov ebx,0x200000; inc r15; add rsp,8; iretq */
static void prepare_far(u8 *ram, struct x86_state *s)
{
    static const u8 back[] = { 0xbb, 0,    0,    0x20, 0, 0x49, 0xff,
                               0xc7, 0x48, 0x83, 0xc4, 8, 0x48, 0xcf };

    gates(s);
    gate(ram, 13, back, sizeof(back));
}

/* Floating-point exceptions masked. */
static void prepare_vectors(u8 *ram, struct x86_state *s)
{
    u16 fcw = 0x37f;

    memcpy(s->xsave, &fcw, sizeof(fcw));
}

/* As PROGRAM, and a trace was made. */
#define TRACE(name, prepare, ...)                                                                  \
    PROGRAM(name##_run, X86_MODE64, prepare, __VA_ARGS__)                                          \
    static void name(void)                                                                         \
    {                                                                                              \
        rig_traces = 0;                                                                            \
        name##_run();                                                                              \
        CHECK(rig_traces);                                                                         \
    }

/*
 * Code of another page was translated last before the trace is: which flags are needed behind
 * the loop is a matter of its own page.
 * mov ecx,0x2000; xor ebx,ebx; mov rax,-1; mov esi,0x200000; xor edx,edx; 1: cmp ecx,0x1fff;
 * je 0x11000; add rbx,rax; mov rdx,[rsi+rdx*8]; dec ecx; jnz 1b; setc r8b; hlt
 */
TRACE(elsewhere, prepare_elsewhere, 0xb9, 0, 0x20, 0, 0, 0x31, 0xdb, 0x48, 0xc7, 0xc0, 0xff, 0xff,
      0xff, 0xff, 0xbe, 0, 0, 0x20, 0, 0x31, 0xd2, 0x81, 0xf9, 0xff, 0x1f, 0, 0, 0xf, 0x84, 0xdf,
      0xf, 0, 0, 0x48, 1, 0xc3, 0x48, 0x8b, 0x14, 0xd6, 0xff, 0xc9, 0x75, 0xe9, 0x41, 0xf, 0x92,
      0xc0, 0xf4)

/*
 * Two arrays, one read and one written, over pages, neither aligned: accesses that cross are
 * in it.
 * mov rsi,0x200ffb; mov rdi,0x210803; xor ecx,ecx; 1: mov rax,[rsi+rcx*8]; add rax,rcx; mov
 * [rdi+rcx*8],rax; add rcx,1; cmp rcx,3000; jne 1b; hlt
 */
TRACE(stream, NULL, 0x48, 0xc7, 0xc6, 0xfb, 0xf, 0x20, 0, 0x48, 0xc7, 0xc7, 3, 8, 0x21, 0, 0x31,
      0xc9, 0x48, 0x8b, 4, 0xce, 0x48, 1, 0xc8, 0x48, 0x89, 4, 0xcf, 0x48, 0x83, 0xc1, 1, 0x48,
      0x81, 0xf9, 0xb8, 0xb, 0, 0, 0x75, 0xe8, 0xf4)

/*
 * Downwards, a span before and behind the register, two steps that differ by a factor.
 * mov rbx,0x20fff0; mov rbp,0x220010; mov ecx,1500; 1: movzx eax,byte ptr [rbx-3]; add
 * eax,[rbx+9]; mov [rbp-8],eax; xor [rbp+8],cl; sub rbx,4; sub rbp,16; dec rcx; jnz 1b; hlt
 */
TRACE(down, NULL, 0x48, 0xc7, 0xc3, 0xf0, 0xff, 0x20, 0, 0x48, 0xc7, 0xc5, 0x10, 0, 0x22, 0, 0xb9,
      0xdc, 5, 0, 0, 0xf, 0xb6, 0x43, 0xfd, 3, 0x43, 9, 0x89, 0x45, 0xf8, 0x30, 0x4d, 8, 0x48, 0x83,
      0xeb, 4, 0x48, 0x83, 0xed, 0x10, 0x48, 0xff, 0xc9, 0x75, 0xe6, 0xf4)

/*
 * Steps that no power of two relates, a wide span, a step that is not of the head's
 * registers.
 * mov rbx,0x200000; mov rsi,0x230000; mov rdx,0x240000; mov ecx,2000; 1: mov rax,[rbx]; add
 * rax,[rbx+700]; mov [rsi],rax; mov rdi,rdx; add rdi,40; inc qword ptr [rdi-40]; mov rdx,rdi;
 * add rbx,24; add rsi,36; dec rcx; jnz 1b; hlt
 */
TRACE(odd_steps, NULL, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0x48, 0xc7, 0xc6, 0, 0, 0x23, 0, 0x48, 0xc7,
      0xc2, 0, 0, 0x24, 0, 0xb9, 0xd0, 7, 0, 0, 0x48, 0x8b, 3, 0x48, 3, 0x83, 0xbc, 2, 0, 0, 0x48,
      0x89, 6, 0x48, 0x89, 0xd7, 0x48, 0x83, 0xc7, 0x28, 0x48, 0xff, 0x47, 0xd8, 0x48, 0x89, 0xfa,
      0x48, 0x83, 0xc3, 0x18, 0x48, 0x83, 0xc6, 0x24, 0x48, 0xff, 0xc9, 0x75, 0xd8, 0xf4)

/*
 * Addresses that are known late: looked up once a round for a read, a store and a read-
 * modify-write.
 * mov rbx,0x200000; mov r8,0x1234567; mov ecx,5000; 1: mov rax,r8; shl rax,13; xor r8,rax;
 * mov rax,r8; shr rax,7; xor r8,rax; movzx edx,r8w; mov rdi,[rbx+rdx*8]; add rdi,rcx; mov
 * [rbx+rdx*8],rdi; inc dword ptr [rbx+rdx*8+4]; dec rcx; jnz 1b; hlt
 */
TRACE(hashed, NULL, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0x49, 0xc7, 0xc0, 0x67, 0x45, 0x23, 1, 0xb9,
      0x88, 0x13, 0, 0, 0x4c, 0x89, 0xc0, 0x48, 0xc1, 0xe0, 0xd, 0x49, 0x31, 0xc0, 0x4c, 0x89, 0xc0,
      0x48, 0xc1, 0xe8, 7, 0x49, 0x31, 0xc0, 0x41, 0xf, 0xb7, 0xd0, 0x48, 0x8b, 0x3c, 0xd3, 0x48, 1,
      0xcf, 0x48, 0x89, 0x3c, 0xd3, 0xff, 0x44, 0xd3, 4, 0x48, 0xff, 0xc9, 0x75, 0xd4, 0xf4)

/*
 * A carry that lives through the whole loop, over accesses that are checked and not.
 * mov rbx,0x2007f4; mov rsi,0x230000; mov ecx,2500; stc; 1: mov rax,[rbx]; adc rax,[rsi]; mov
 * [rbx+8],rax; lea rbx,[rbx+8]; mov rdx,[rbx-16]; adc [rsi+64],rdx; lea rsi,[rsi+24]; dec
 * rcx; jnz 1b; pushfq; pop rdi; hlt
 */
TRACE(carry, NULL, 0x48, 0xc7, 0xc3, 0xf4, 7, 0x20, 0, 0x48, 0xc7, 0xc6, 0, 0, 0x23, 0, 0xb9, 0xc4,
      9, 0, 0, 0xf9, 0x48, 0x8b, 3, 0x48, 0x13, 6, 0x48, 0x89, 0x43, 8, 0x48, 0x8d, 0x5b, 8, 0x48,
      0x8b, 0x53, 0xf0, 0x48, 0x11, 0x56, 0x40, 0x48, 0x8d, 0x76, 0x18, 0x48, 0xff, 0xc9, 0x75,
      0xe1, 0x9c, 0x5f, 0xf4)

/*
 * A call of a function in another page, by a register too, that uses the stack and r9 to r11.
 * start: mov ecx,300; mov r12,0x11000; mov r9,5; mov r10,0x200000; 1: push rcx; .byte 0xe8;
 * .long 0x1000-(.-start+4); call r12; pop rcx; add r9,rax; mov [r10],r9; add r10,8; lea
 * r11,[r11+r9*2]; dec rcx; jnz 1b; hlt
 */
TRACE(calls, prepare_calls, 0xb9, 0x2c, 1, 0, 0, 0x49, 0xc7, 0xc4, 0, 0x10, 1, 0, 0x49, 0xc7, 0xc1,
      5, 0, 0, 0, 0x49, 0xc7, 0xc2, 0, 0, 0x20, 0, 0x51, 0xe8, 0xe0, 0xf, 0, 0, 0x41, 0xff, 0xd4,
      0x59, 0x49, 1, 0xc1, 0x4d, 0x89, 0xa, 0x49, 0x83, 0xc2, 8, 0x4f, 0x8d, 0x1c, 0x4b, 0x48, 0xff,
      0xc9, 0x75, 0xe3, 0xf4)

/*
 * Registers 9 to 11 as counters, bases and bytes.
 * mov r9,0x2003f8; mov r10d,900; xor r11d,r11d; 1: mov al,[r9]; add r11b,al; movsx rdx,r11b;
 * add [r9+rdx+0x300],r11; bswap r11; xchg r11b,al; imul r11,r10; add r9,5; sub r10,1; jnz 1b;
 * hlt
 */
TRACE(homes, NULL, 0x49, 0xc7, 0xc1, 0xf8, 3, 0x20, 0, 0x41, 0xba, 0x84, 3, 0, 0, 0x45, 0x31, 0xdb,
      0x41, 0x8a, 1, 0x41, 0, 0xc3, 0x49, 0xf, 0xbe, 0xd3, 0x4d, 1, 0x9c, 0x11, 0, 3, 0, 0, 0x49,
      0xf, 0xcb, 0x41, 0x86, 0xc3, 0x4d, 0xf, 0xaf, 0xda, 0x49, 0x83, 0xc1, 5, 0x49, 0x83, 0xea, 1,
      0x75, 0xda, 0xf4)

/*
 * In its hundredth round the loop changes an instruction of its own, and again later.
 * mov ecx,400; xor ebx,ebx; again: add ebx,0x11; cmp ecx,300; je 2f; cmp ecx,7; jne 3f; 2:
 * add byte ptr [rip+again+2],3; 3: dec ecx; jnz again; hlt
 */
TRACE(own_code, NULL, 0xb9, 0x90, 1, 0, 0, 0x31, 0xdb, 0x83, 0xc3, 0x11, 0x81, 0xf9, 0x2c, 1, 0, 0,
      0x74, 5, 0x83, 0xf9, 7, 0x75, 7, 0x80, 5, 0xeb, 0xff, 0xff, 0xff, 3, 0xff, 0xc9, 0x75, 0xe5,
      0xf4)

/*
 * The page of the loop's code is mapped a second time, for data, and stored to by that.
 * mov ecx,400; lea rsi,[rip+again+2+0x171000]; xor ebx,ebx; 1: lea rdi,[rsi]; again: add
 * ebx,0x11; mov rax,[rdi-8]; cmp ecx,250; jne 3f; inc byte ptr [rdi]; 3: dec ecx; jnz 1b; hlt
 */
TRACE(alias, prepare_alias, 0xb9, 0x90, 1, 0, 0, 0x48, 0x8d, 0x35, 7, 0x10, 0x17, 0, 0x31, 0xdb,
      0x48, 0x8d, 0x3e, 0x83, 0xc3, 0x11, 0x48, 0x8b, 0x47, 0xf8, 0x81, 0xf9, 0xfa, 0, 0, 0, 0x75,
      2, 0xfe, 7, 0xff, 0xc9, 0x75, 0xe8, 0xf4)

/*
 * Pages of the array are missing: the handler maps them and counts, the loop goes on where it
 * was.
 * mov esp,0x90000; mov rbx,0x80ff0; mov rsi,0x200000; mov ecx,1200; xor eax,eax; 1: add
 * eax,ecx; mov rdx,[rsi]; add [rbx+16],rax; lea rsi,[rsi+8]; sbb rdx,[rbx+24]; add rbx,16;
 * dec rcx; jnz 1b; mov qword ptr [rsp-24],0; hlt
 */
TRACE(faults, prepare_faults, 0xbc, 0, 0, 9, 0, 0x48, 0xc7, 0xc3, 0xf0, 0xf, 8, 0, 0x48, 0xc7, 0xc6,
      0, 0, 0x20, 0, 0xb9, 0xb0, 4, 0, 0, 0x31, 0xc0, 1, 0xc8, 0x48, 0x8b, 0x16, 0x48, 1, 0x43,
      0x10, 0x48, 0x8d, 0x76, 8, 0x48, 0x1b, 0x53, 0x18, 0x48, 0x83, 0xc3, 0x10, 0x48, 0xff, 0xc9,
      0x75, 0xe6, 0x48, 0xc7, 0x44, 0x24, 0xe8, 0, 0, 0, 0, 0xf4)

/*
 * A divide error in the middle of a trace, whose registers hold other things then.
 * mov esp,0x90000; mov rbx,0x200000; mov ecx,500; 1: mov eax,ecx; xor edx,edx; mov esi,ecx;
 * and esi,63; add rsi,[rbx]; div esi; add [rbx+8],rax; dec ecx; jnz 1b; hlt
 */
TRACE(divides, prepare_divides, 0xbc, 0, 0, 9, 0, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0xb9, 0xf4, 1, 0,
      0, 0x89, 0xc8, 0x31, 0xd2, 0x89, 0xce, 0x83, 0xe6, 0x3f, 0x48, 3, 0x33, 0xf7, 0xf6, 0x48, 1,
      0x43, 8, 0xff, 0xc9, 0x75, 0xea, 0xf4)

/*
 * Data under a base that stays the same is mapped elsewhere in the middle: INVLPG, then
 * another 200 rounds.
 * mov r13d,5; mov rbx,0x90000; 4: mov ecx,200; 1: inc qword ptr [rbx+8]; mov rax,[rbx+8]; add
 * [rbx+16],rax; dec rcx; jnz 1b; mov eax,0x303480; xor qword ptr [rax],0x4000; invlpg [rbx];
 * dec r13d; jnz 4b; hlt
 */
TRACE(remapped, prepare_remapped, 0x41, 0xbd, 5, 0, 0, 0, 0x48, 0xc7, 0xc3, 0, 0, 9, 0, 0xb9, 0xc8,
      0, 0, 0, 0x48, 0xff, 0x43, 8, 0x48, 0x8b, 0x43, 8, 0x48, 1, 0x43, 0x10, 0x48, 0xff, 0xc9,
      0x75, 0xef, 0xb8, 0x80, 0x34, 0x30, 0, 0x48, 0x81, 0x30, 0, 0x40, 0, 0, 0xf, 1, 0x3b, 0x41,
      0xff, 0xcd, 0x75, 0xd6, 0xf4)

/*
 * The function that the loop calls is mapped elsewhere in the middle: another function.
 * mov esp,0x80000; mov r13d,4; mov r12,0x11000; 4: mov ecx,100; 1: call r12; add ebx,eax; dec
 * ecx; jnz 1b; mov eax,0x303088; xor qword ptr [rax],0x4000; invlpg [r12]; dec r13d; jnz 4b;
 * hlt
 */
TRACE(code_remapped, prepare_code_remapped, 0xbc, 0, 0, 8, 0, 0x41, 0xbd, 4, 0, 0, 0, 0x49, 0xc7,
      0xc4, 0, 0x10, 1, 0, 0xb9, 0x64, 0, 0, 0, 0x41, 0xff, 0xd4, 1, 0xc3, 0xff, 0xc9, 0x75, 0xf7,
      0xb8, 0x88, 0x30, 0x30, 0, 0x48, 0x81, 0x30, 0, 0x40, 0, 0, 0x41, 0xf, 1, 0x3c, 0x24, 0x41,
      0xff, 0xcd, 0x75, 0xdc, 0xf4)

/*
 * The path that was recorded is left now and then, in the middle, with flags that are used
 * outside.
 * mov rbx,0x200000; mov ecx,3000; 1: mov eax,ecx; imul eax,eax,0x9e3779b1; cmp
 * eax,0x10000000; jb 2f; add [rbx],eax; jmp 3f; 2: setnc dl; adc dword ptr [rbx+4],0; add
 * [rbx+8],dl; 3: add rbx,8; dec rcx; jnz 1b; hlt
 */
TRACE(diamond, NULL, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0xb9, 0xb8, 0xb, 0, 0, 0x89, 0xc8, 0x69, 0xc0,
      0xb1, 0x79, 0x37, 0x9e, 0x3d, 0, 0, 0, 0x10, 0x72, 4, 1, 3, 0xeb, 0xa, 0xf, 0x93, 0xc2, 0x83,
      0x53, 4, 0, 0, 0x53, 8, 0x48, 0x83, 0xc3, 8, 0x48, 0xff, 0xc9, 0x75, 0xda, 0xf4)

/*
 * Packed and scalar arithmetic over arrays; stores that later rounds read.
 * mov rbx,0x200000; mov rsi,0x210000; mov ecx,1024; 1: cvtsi2sd xmm1,rcx; movsd
 * [rbx+rcx*8],xmm1; dec rcx; jnz 1b; xor eax,eax; 2: movupd xmm0,[rbx+rax+8]; mulpd
 * xmm0,xmm0; addpd xmm0,[rsi+rax]; movapd [rsi+rax],xmm0; vaddpd ymm2,ymm0,[rbx+rax+24];
 * vmovupd [rsi+rax+0x4000],ymm2; add rax,16; cmp rax,8000; jne 2b; vzeroupper; hlt
 */
TRACE(vectors, prepare_vectors, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0x48, 0xc7, 0xc6, 0, 0, 0x21, 0,
      0xb9, 0, 4, 0, 0, 0xf2, 0x48, 0xf, 0x2a, 0xc9, 0xf2, 0xf, 0x11, 0xc, 0xcb, 0x48, 0xff, 0xc9,
      0x75, 0xf1, 0x31, 0xc0, 0x66, 0xf, 0x10, 0x44, 3, 8, 0x66, 0xf, 0x59, 0xc0, 0x66, 0xf, 0x58,
      4, 6, 0x66, 0xf, 0x29, 4, 6, 0xc5, 0xfd, 0x58, 0x54, 3, 0x18, 0xc5, 0xfd, 0x11, 0x94, 6, 0,
      0x40, 0, 0, 0x48, 0x83, 0xc0, 0x10, 0x48, 0x3d, 0x40, 0x1f, 0, 0, 0x75, 0xd1, 0xc5, 0xf8,
      0x77, 0xf4)

/*
 * Addresses that wrap around, and one that is not canonical: the same faults.
 * mov rbx,0x200000; mov ecx,100; 1: add rbx,8; mov rax,[rbx]; cmp ecx,40; jne 2f; mov
 * rbx,0x8000000000000000; 2: dec ecx; jnz 1b; mov qword ptr [rsp-24],0; hlt
 */
TRACE(far_away, prepare_far, 0x48, 0xc7, 0xc3, 0, 0, 0x20, 0, 0xb9, 0x64, 0, 0, 0, 0x48, 0x83, 0xc3,
      8, 0x48, 0x8b, 3, 0x83, 0xf9, 0x28, 0x75, 0xa, 0x48, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff,
      0xc9, 0x75, 0xe6, 0x48, 0xc7, 0x44, 0x24, 0xe8, 0, 0, 0, 0, 0xf4)

/*
 * An index that goes over the end of the signed numbers as its address leaves the page, upwards
 * and downwards; the next page is elsewhere.
 * mov rax,0x8000000000091003; mov rcx,0x7ffffffffffff001; mov edx,700; 1: mov [rax+rcx],dl; add
 * rcx,8; dec edx; jnz 1b; mov rax,0x8000000000095ffd; mov rcx,0x8000000000000fff; mov edx,700; 1:
 * mov [rax+rcx],dl; sub rcx,8; dec edx; jnz 1b; hlt
 */
TRACE(sign_ends, prepare_sign_ends, 0x48, 0xb8, 3, 0x10, 9, 0, 0, 0, 0, 0x80, 0x48, 0xb9, 1, 0xf0,
      0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xba, 0xbc, 2, 0, 0, 0x88, 0x14, 8, 0x48, 0x83, 0xc1, 8,
      0xff, 0xca, 0x75, 0xf5, 0x48, 0xb8, 0xfd, 0x5f, 9, 0, 0, 0, 0, 0x80, 0x48, 0xb9, 0xff, 0xf, 0,
      0, 0, 0, 0, 0x80, 0xba, 0xbc, 2, 0, 0, 0x88, 0x14, 8, 0x48, 0x83, 0xe9, 8, 0xff, 0xca, 0x75,
      0xf5, 0xf4)

/*
 * A group that reaches further down than a displacement can, from its first access.
 * mov rbx,0x200400; mov ebp,200; mov esi,0x210000; 1: mov rcx,[rsi]; add rcx,0x0ffffff8; inc
 * qword ptr [rbx+rcx*8-0x80000000]; sub rcx,0x0ffffff8; inc dword ptr [rbx+rcx*8-1000]; dec ebp;
 * jnz 1b; hlt
 */
TRACE(low_group, prepare_low_group, 0x48, 0xc7, 0xc3, 0, 4, 0x20, 0, 0xbd, 0xc8, 0, 0, 0, 0xbe, 0,
      0, 0x21, 0, 0x48, 0x8b, 0x0e, 0x48, 0x81, 0xc1, 0xf8, 0xff, 0xff, 0xf, 0x48, 0xff, 0x84, 0xcb,
      0, 0, 0, 0x80, 0x48, 0x81, 0xe9, 0xf8, 0xff, 0xff, 0xf, 0xff, 0x84, 0xcb, 0x18, 0xfc, 0xff,
      0xff, 0xff, 0xcd, 0x75, 0xdc, 0xf4)

/*
 * The interrupt comes while the loop runs as a trace, from another thread.
 * mov esp,0x90000; mov rsi,0x200000; 1: inc qword [rsi]; test ebx,ebx; jz 1b; cli; hlt
 */
static void *interrupt_later(void *arg)
{
    struct rig *r = arg;

    while (__atomic_load_n((u64 *)(void *)(r->ram + DATA), __ATOMIC_RELAXED) < 100000)
        __builtin_ia32_pause();
    r->vector = 0x40;
    r->ops->kick(r->v[0]);
    return NULL;
}
static void interrupts(void)
{
    static const u8 code[] = { 0xbc, 0,    0,    9, 0,    0x48, 0xc7, 0xc6, 0,    0,   0x20,
                               0,    0x48, 0xff, 6, 0x85, 0xdb, 0x74, 0xf9, 0xfa, 0xf4 };
    static const u8 handler[] = { 0x48, 0xff, 0xc3, 0x48, 0xcf }; /* inc rbx; iretq */
    struct err e = { 0 };
    struct x86_state s;
    pthread_t thread;
    struct rig r;

    rig_open(&r, &engine_translate, 1, false);
    rig_tables(r.ram);
    memcpy(r.ram + CODE, code, sizeof(code));
    rig_state(&s, X86_MODE64);
    gates(&s);
    gate(r.ram, 0x40, handler, sizeof(handler));
    s.rflags |= FLAG_IF;
    s.gpr[RBX] = 0;
    r.ops->set(r.v[0], &s);
    pthread_create(&thread, NULL, interrupt_later, &r);
    CHECK_EQ(r.ops->run(r.v[0], &e), STOP_HALTED);
    pthread_join(thread, NULL);
    r.ops->get(r.v[0], &s);
    CHECK_EQ(s.gpr[RBX], 1);
    rig_close(&r);
}

/*
 * User code that is mapped twice, and the trace is of one place: the loop runs in turn at both,
 * its return addresses tell where.
 * mov r13d,6; mov rbx,0x200000; start: mov ecx,300; 1: add [rbx+8],rcx; add rbx,8; call f;
 * dec ecx; jnz 1b; dec r13d; jz 2f; lea rax,[rip+start]; xor rax,0x191000; jmp rax; 2: hlt;
 * f: mov rax,[rsp]; add [rbx+16],ax; ret
 */
static void two_places(void)
{
    static const u8 code[] = { 0x41, 0xbd, 6,    0,    0,    0,    0x48, 0xc7, 0xc3, 0,    0,
                               0x20, 0,    0xb9, 0x2c, 1,    0,    0,    0x48, 1,    0x4b, 8,
                               0x48, 0x83, 0xc3, 8,    0xe8, 0x19, 0,    0,    0,    0xff, 0xc9,
                               0x75, 0xef, 0x41, 0xff, 0xcd, 0x74, 0xf,  0x48, 0x8d, 5,    0xde,
                               0xff, 0xff, 0xff, 0x48, 0x35, 0,    0x10, 0x19, 0,    0xff, 0xe0,
                               0xf4, 0x48, 0x8b, 4,    0x24, 0x66, 1,    0x43, 0x10, 0xc3 };
    struct program p = { X86_MODE64, code, sizeof(code), prepare_alias, true };

    rig_traces = 0;
    program_compare(&p);
    CHECK(rig_traces > 1);
}

/*
 * User code whose hot path ends where it goes far away, as a program's calls of a library do:
 * by a jump, and by a call.
 * mov ecx,300; mov r12,0x8140011000; 1: inc rbx 14 times; call 2f; dec ecx; jnz 1b; hlt;
 * 2: jmp r12.  The other: inc rbx 15 times; call r12.
 */
#define INC_RBX 0x48, 0xff, 0xc3
#define INC_RBX_7 INC_RBX, INC_RBX, INC_RBX, INC_RBX, INC_RBX, INC_RBX, INC_RBX
static void far_end(void)
{
    static const u8 jump[] = {
        0xb9,      0x2c,      1,    0, 0, 0x49, 0xbc, 0,    0x10, 1,    0x40, 0x81, 0,    0,    0,
        INC_RBX_7, INC_RBX_7, 0xe8, 5, 0, 0,    0,    0xff, 0xc9, 0x75, 0xcd, 0xf4, 0x41, 0xff, 0xe4
    };
    static const u8 call[] = { 0xb9, 0x2c, 1,    0,    0,    0x49, 0xbc,      0,         0x10,
                               1,    0x40, 0x81, 0,    0,    0,    INC_RBX_7, INC_RBX_7, INC_RBX,
                               0x41, 0xff, 0xd4, 0xff, 0xc9, 0x75, 0xcc,      0xf4 };
    struct program p = { X86_MODE64, jump, sizeof(jump), prepare_far_end, true };

    rig_traces = 0;
    program_compare(&p);
    CHECK(rig_traces);
    p.code = call;
    p.size = sizeof(call);
    rig_traces = 0;
    program_compare(&p);
    CHECK(rig_traces);
}

/*
 * Displacements that reach beyond 2 GiB from the start of the page.
 * start: jmp rel8 to 0x80; .org 0x80: mov ecx,3; 1: call start+0x80000020; add
 * rbx,[start+0x80000000]; lea rax,[start+0x80000020]; xor [start+0x80000060],rax; dec ecx;
 * jnz 1b; hlt
 */
static void reach(void)
{
    static const u8 code[] = { 0xb9, 3,    0,    0,    0,    0xe8, 0x96, 0xff, 0xff,
                               0x7f, 0x48, 3,    0x1d, 0x6f, 0xff, 0xff, 0x7f, 0x48,
                               0x8d, 5,    0x88, 0xff, 0xff, 0x7f, 0x48, 0x31, 5,
                               0xc1, 0xff, 0xff, 0x7f, 0xff, 0xc9, 0x75, 0xe2, 0xf4 };
    u8 all[0x80 + sizeof(code)] = { 0xeb, 0x7e };
    struct program p = { X86_MODE64, all, sizeof(all), prepare_reach, true };

    memcpy(all + 0x80, code, sizeof(code));
    program_compare(&p);
}

/* ---- random loops ---- */

static u64 seed;
static u32 rnd(u32 n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed * 0x2545f4914f6cdd1dull >> 33) % n;
}

static const u8 bases[] = { RBX, RSI, RDI, R9, R12, RBP };
static const u8 values[] = { RAX, RDX, R8, R10, R11, R13, R14 };

/* op reg, [base + disp] or [base + rcx * scale + disp], either way round; or op reg, reg. */
static u32 rnd_op(u8 *p)
{
    static const u8 ops[] = { 0x8b, 3, 0x2b, 0x33, 0x23, 0xb, 0x3b, 0x13, 0x1b, 0x87 };
    u8 op = ops[rnd(sizeof(ops))], reg = values[rnd(7)], base = bases[rnd(6)];
    u8 rex = 0x40 | (rnd(2) ? 8 : 0) | (reg & 8 ? 4 : 0);
    bool index = !rnd(3);
    u32 n = 0;

    if (!rnd(3)) {
        base = values[rnd(7)];
        p[n++] = rex | (base & 8 ? 1 : 0);
        p[n++] = op;
        p[n++] = 0xc0 | (reg & 7) << 3 | (base & 7);
        return n;
    }
    p[n++] = rex | (base & 8 ? 1 : 0);
    p[n++] = rnd(2) && op != 0x87 ? op ^ 2 : op;
    p[n++] = 0x44 | (reg & 7) << 3;
    if (!index && (base & 7) != 4)
        p[n - 1] = 0x40 | (reg & 7) << 3 | (base & 7);
    else
        p[n++] = (u8)(rnd(4) << 6 | (index ? RCX : 4) << 3 | (base & 7));
    p[n++] = (u8)rnd(256);
    return n;
}

/* Something that uses flags, the stack, or jumps. */
static u32 rnd_other(u8 *p)
{
    u8 reg = values[rnd(7)], low = reg & 7, high = reg >> 3;
    u32 n = 0, k;

    switch (rnd(5)) {
    case 0: /* setcc */
        memcpy(p, (u8[]){ 0x40 | high, 0xf, 0x90 | rnd(16), 0xc0 | low }, 4);
        return 4;
    case 1: /* cmovcc reg, rax */
        memcpy(p, (u8[]){ 0x48 | high << 2, 0xf, 0x40 | rnd(16), 0xc0 | low << 3 }, 4);
        return 4;
    case 2: /* push, ..., pop */
        p[n++] = 0x40 | high;
        p[n++] = 0x50 | low;
        n += rnd_op(p + n);
        p[n++] = 0x40 | high;
        p[n++] = 0x58 | low;
        return n;
    case 3: /* inc, dec; or push; pop [rsp-16], which no trace goes through: not often */
        if (!rnd(16)) {
            memcpy(p, (u8[]){ 0x40 | high, 0x50 | low, 0x8f, 0x44, 0x24, 0xf0 }, 6);
            return 6;
        }
        memcpy(p, (u8[]){ 0x48 | high, 0xff, 0xc0 | rnd(2) << 3 | low }, 3);
        return 3;
    default: /* jcc over the next */
        k = rnd_op(p + 2);
        p[0] = 0x70 | rnd(16);
        p[1] = (u8)k;
        return 2 + k;
    }
}

static u32 rnd_loop(u8 *p)
{
    u32 n = 0, head, count = 4 + rnd(24);

    for (u32 i = 0; i < 6; i++) {
        u32 at = 0x200000 + i * 0x20000 + 0x4000 + rnd(4096);

        p[n++] = 0x48 | bases[i] >> 3;
        p[n++] = 0xc7;
        p[n++] = 0xc0 | (bases[i] & 7);
        memcpy(p + n, &at, 4);
        n += 4;
    }
    memcpy(p + n, (u8[]){ 0xb9, (u8)rnd(256), 1, 0, 0 }, 5); /* mov ecx, 256 and more */
    n += 5;
    head = n;
    for (u32 i = 0; i < count; i++)
        n += rnd(4) ? rnd_op(p + n) : rnd_other(p + n);
    for (u32 i = 0; i < 6; i++) {
        static const i8 steps[] = { 0, 0, 4, 8, -8, 16, 24, 3, -40 };

        p[n++] = 0x48 | bases[i] >> 3;
        p[n++] = 0x8d; /* lea: the flags go round */
        p[n++] = 0x40 | (bases[i] & 7) << 3 | (bases[i] & 7);
        p[n - 3] |= bases[i] >> 3 << 2;
        if ((bases[i] & 7) == 4)
            p[n++] = 0x24;
        p[n++] = (u8)steps[rnd(9)];
    }
    memcpy(p + n, (u8[]){ 0xff, 0xc9, 0xf, 0x85 }, 4); /* dec ecx; jnz */
    n += 4;
    head -= n + 4;
    memcpy(p + n, &head, 4);
    n += 4;
    p[n++] = 0xf4;
    return n;
}

static void random_loops(void)
{
    u8 code[1024];

    rig_traces = 0;
    for (u32 i = 0; i < 60 && !check_failed_now; i++) {
        struct program p = { X86_MODE64, code, 0, NULL, i % 2 };

        seed = 0x9e3779b97f4a7c15ull * (i + 1);
        p.size = rnd_loop(code);
        program_compare(&p);
        if (check_failed_now)
            printf("# loop %u\n", i);
    }
    CHECK(rig_traces > 30);
    printf("# %u traces\n", (u32)rig_traces);
}

/* ---- displacements and indices at their ends ---- */

/* Where an address is wrong by 2 or 4 GiB there is memory too: the guest's, and ours. */
static void prepare_ends(u8 *ram, struct x86_state *s)
{
    static const u16 also[] = { 2, 4, 506, 508, 510 };

    memcpy(ram + TABLES + 0xff8, ram + TABLES, 8);
    for (u32 i = 0; i < LEN(also); i++)
        memcpy(ram + TABLES + 0x1000 + 8 * also[i], ram + TABLES + 0x1000, 8);
    for (u32 i = 0; i < 256; i++) /* neighbours lie apart */
        page(ram, 0x80000 + i * PAGE, (DATA + i * 37 % 256 * PAGE) | 7);
    for (u32 i = 0; i < 2; i++) {
        u8 *p = mmap(i ? ram + (1ull << 32) : ram - (1ull << 32), RAM, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

        if (p != MAP_FAILED)
            memset(p + DATA, 0x77, TABLES - DATA);
    }
}

struct ends {
    u8 base[6];
    i32 off[6];
    u8 scale[3];
    u64 index; /* rcx at first */
};

/* op reg, [base + disp] or [base + rcx * scale + disp], either way round; rcx may be moved far. */
static u32 rnd_end_op(u8 *p, const struct ends *w)
{
    static const u8 ops[] = { 0x8b, 3, 0x2b, 0x33, 0x23, 0xb, 0x3b, 0x13, 0x1b, 0x87 };
    u32 k = rnd(6), n = 0;
    u8 op = ops[rnd(sizeof(ops))], reg = values[rnd(7)], base = w->base[k];
    i32 disp = w->off[k] + (i32)rnd(400) - 200;
    bool index = k < 3;
    i64 less = index ? (i64)disp - (0xffffff8ll << w->scale[k]) : INT64_MIN;
    bool add = less >= INT32_MIN && !rnd(3);

    if (add) {
        memcpy(p, (u8[]){ 0x48, 0x8d, 0x89, 0xf8, 0xff, 0xff, 0xf }, 7); /* lea rcx,[rcx+...] */
        n = 7;
        disp = (i32)less;
    }
    p[n++] = 0x40 | (rnd(2) ? 8 : 0) | (reg & 8 ? 4 : 0) | (base & 8 ? 1 : 0);
    p[n++] = rnd(2) && op != 0x87 ? op ^ 2 : op;
    p[n++] = 0x80 | (reg & 7) << 3 | (index || (base & 7) == 4 ? 4 : base & 7);
    if (index || (base & 7) == 4)
        p[n++] = (u8)((index ? w->scale[k] << 6 | RCX << 3 : 4 << 3) | (base & 7));
    memcpy(p + n, &disp, 4);
    n += 4;
    if (add) {
        memcpy(p + n, (u8[]){ 0x48, 0x8d, 0x89, 8, 0, 0, 0xf0 }, 7);
        n += 7;
    }
    return n;
}

static u32 rnd_set(u8 *p, u8 reg, u64 val)
{
    p[0] = 0x48 | reg >> 3;
    p[1] = 0xb8 | (reg & 7);
    memcpy(p + 2, &val, 8);
    return 10;
}

static u32 rnd_end_loop(u8 *p)
{
    static const i32 offs[] = { INT32_MAX - 200, INT32_MIN + 200, 0,
                                INT32_MAX - 200, INT32_MIN + 200, -200 };
    static const i8 steps[] = { 0, 0, 4, 8, -8, 16, 24, 3, -40 };
    struct ends w = { .index = 0 };
    u32 n = 0, head, count = 3 + rnd(12), off = rnd(PAGE);
    i8 step = steps[rnd(9)];

    /* it wraps about where the first base's address comes to another page */
    w.index = (step < 0 ? (u64)INT64_MIN + off : (u64)INT64_MAX - (PAGE - off)) + rnd(600) - 300;
    if (!rnd(4))
        w.index <<= 1;
    for (u32 i = 0; i < 6; i++) {
        u64 at = 0x90000 + i * 0x20000 + 0x8000 + (i ? rnd(PAGE) : off);

        w.base[i] = i == 5 && rnd(2) ? RSP : bases[i];
        w.off[i] = offs[rnd(6)];
        if (i < 3) {
            w.scale[i] = i ? (u8)rnd(4) : 0;
            at -= w.index << w.scale[i];
        }
        n += rnd_set(p + n, w.base[i], at - (u64)(i64)w.off[i]);
    }
    n += rnd_set(p + n, RCX, w.index);
    n += rnd_set(p + n, R15, 300 + rnd(400));
    head = n;
    for (u32 i = 0; i < count; i++)
        n += rnd_end_op(p + n, &w);
    for (u32 i = 0; i < 6; i++) {
        u8 b = w.base[i];

        p[n++] = 0x48 | b >> 3 | b >> 3 << 2;
        p[n++] = 0x8d; /* lea */
        p[n++] = 0x40 | (b & 7) << 3 | (b & 7);
        if ((b & 7) == 4)
            p[n++] = 0x24;
        p[n++] = (u8)(i < 3 && rnd(2) ? 0 : steps[rnd(9)]);
    }
    memcpy(p + n, (u8[]){ 0x48, 0x8d, 0x49, (u8)step }, 4); /* lea rcx, [rcx + step] */
    n += 4;
    memcpy(p + n, (u8[]){ 0x49, 0xff, 0xcf, 0xf, 0x85 }, 5); /* dec r15; jnz */
    n += 5;
    head -= n + 4;
    memcpy(p + n, &head, 4);
    n += 4;
    p[n++] = 0xf4;
    return n;
}

static void ends(void)
{
    u8 code[1024];

    rig_traces = 0;
    for (u32 i = 0; i < 100 && !check_failed_now; i++) {
        struct program p = { X86_MODE64, code, 0, prepare_ends, i % 2 };

        seed = 0xd6e8feb86659fd93ull * (i + 1);
        p.size = rnd_end_loop(code);
        program_compare(&p);
        if (check_failed_now)
            printf("# loop %u\n", i);
    }
    CHECK(rig_traces > 30);
    printf("# %u traces\n", (u32)rig_traces);
}

/* Made by another thread: what is computed does not depend on when. */
static void beside(void)
{
    u8 code[1024];
    cpu_set_t cpus;

    rig_beside = true;
    rig_traces = 0;
    for (u32 i = 0; i < 40 && rig_traces < 6 && !check_failed_now; i++) {
        struct program p = { X86_MODE64, code, 0, NULL, i % 2 };

        seed = 0xc2b2ae3d27d4eb4full * (i + 1);
        p.size = rnd_loop(code);
        program_compare(&p);
        own_code_run();
        code_remapped_run();
    }
    rig_beside = false;
    CHECK(rig_traces || sched_getaffinity(0, sizeof(cpus), &cpus) || CPU_COUNT(&cpus) < 2);
    printf("# %u traces\n", (u32)rig_traces);
}

int main(void)
{
    u64 features;
    struct err e = { 0 };

    if (engine_translate.probe(&features, &e)) {
        printf("1..0 # SKIP %s\n", e.text);
        return 0;
    }
    CASE(stream);
    CASE(down);
    CASE(odd_steps);
    CASE(hashed);
    CASE(carry);
    CASE(elsewhere);
    CASE(calls);
    CASE(homes);
    CASE(own_code);
    CASE(alias);
    CASE(faults);
    CASE(divides);
    CASE(remapped);
    CASE(code_remapped);
    CASE(diamond);
    CASE(vectors);
    CASE(far_away);
    CASE(sign_ends);
    CASE(low_group);
    CASE(interrupts);
    CASE(two_places);
    CASE(far_end);
    CASE(reach);
    CASE(random_loops);
    CASE(ends);
    CASE(beside);
    return check_end();
}
