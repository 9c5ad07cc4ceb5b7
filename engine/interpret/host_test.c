/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter against the processor under it: random instructions run on both, from the
 * same registers, flags, vector state and memory, and must leave the same.  Memory is mapped
 * where the guest has it, so the instruction's very bytes run.  MIMIC_CASES: how many;
 * MIMIC_SEED: others than the usual ones.
 */
#include "engine/interpret/vector_int.h"
#include "engine/x86/memory.h"
#include "tests/check.h"
#include "tests/insn/random.h"
#include <Zydis/Mnemonic.h>
#include <asm/ldt.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    DATA = 0x10000000,
    DATA_SIZE = 4 * PAGE,
    RAM_SIZE = 0x200000,
    DATA_GPA = 0x100000
};
enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000 };
enum { CODE_AT = 0x5000, CODE_PAGES = 256 };

static struct x86_cpu cpu;
static struct x86_memory memory;
static u8 *ram, *native, *code; /* code: one page of many, so that few are written twice */
static u8 *code_pages;
/* What the code refers to, away from it: translators watch pages of code. */
struct host_data {
    u64 own_rsp, rsp; /* ours, the instruction's */
    u32 target;       /* far pointer to the code of 32 or 16 bits */
    u16 selector, own_ss, ss;
};
static struct host_data *host_data;
static enum x86_mode mode = X86_MODE64;
static u64 origin = DATA; /* what addresses of DATA begin with: a segment's base may do it */
static u64 no_load(void *arg, u64 gpa, u32 size)
{
    return ~0ull;
}
static void no_store(void *arg, u64 gpa, u32 size, u64 val)
{
}
static void no_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
}
static int no_vector(void *arg, u32 open)
{
    return VECTOR_NONE;
}
static const struct cpu_io io = {
    .load = no_load, .store = no_store, .cpuid = no_cpuid, .vector = no_vector
};

/* 64-bit mode, DATA mapped to DATA_GPA by 4 KiB pages, the first 2 MiB as they are. */
static void rig_start(void)
{
    struct mem_slot slot = { .len = RAM_SIZE };
    struct x86_state *s = &cpu.s;
    struct err e = { 0 };

    ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    native = mmap((void *)(uintptr_t)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    code_pages = mmap(NULL, CODE_PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    host_data =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    slot.host = ram;
    CHECK_EQ(x86_memory_init(&memory), 0);
    CHECK_EQ(x86_memory_set(&memory, &slot, 1, &e), 0);
    CHECK_EQ(x86_cpu_init(&cpu, 0, &io, &memory, 1000000000, &e), 0);
    put_le64(ram + PML4, PDPT | 7);
    put_le64(ram + PDPT, PD | 7);
    put_le64(ram + PD, 0x87);
    put_le64(ram + PD + DATA / 0x200000 * 8, PT | 7);
    for (u32 i = 0; i < DATA_SIZE / PAGE; i++)
        put_le64(ram + PT + 8 * i, (DATA_GPA + i * PAGE) | 0x67);
    s->cr3 = PML4;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE;
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    s->seg[SEG_CS].attr = ATTR_S | ATTR_P | ATTR_L | ATTR_G | 0xb;
    s->seg[SEG_SS].attr = ATTR_S | ATTR_P | ATTR_DB | ATTR_G | 3;
    s->rip = CODE_AT;
}

/* ---- random instructions and states ---- */

static void random_state(void)
{
    struct x86_state *s = &cpu.s;

    for (u32 i = 0; i < 16; i++)
        s->gpr[i] = random_value();
    s->rflags = FLAG_ONE | (random64() & (FLAGS_ARITH | FLAG_DF));
    memset(s->xsave, 0, sizeof(s->xsave));
    random_floats(s->xsave + AREA_XMM, 256);
    random_floats(s->xsave + AREA_YMM, 256);
    random_x87(s->xsave);
    put_le32(s->xsave + AREA_MXCSR, random_mxcsr());
    put_le32(s->xsave + AREA_MXCSR_MASK, 0xffff);
    put_le64(s->xsave + AREA_HEADER, 7);
    random_floats(native, DATA_SIZE);
}

static u64 random_place(void)
{
    return (origin + PAGE + random64() % PAGE) & (random64() % 2 ? ~63ull : ~0ull);
}

/* Gives base and index values that put the memory operand at a place in DATA. */
static bool place_operand(const struct x86_insn *in)
{
    u64 *g = cpu.s.gpr, index = 0;

    if (in->base == X86_NOREG || in->base == X86_RIP || in->base == in->index)
        return false;
    if (in->index != X86_NOREG && !(in->flags & INSN_VSIB)) {
        g[in->index] = random64() % 16;
        index = g[in->index] * in->scale;
    }
    g[in->base] = random_place() - (u64)in->disp - index;
    return range_ok(op_address(&cpu, in) - origin - PAGE, 1, PAGE);
}

static bool is_bit_string(const struct x86_insn *in)
{
    return in->map == 1 && (in->opcode & 0xe7) == 0xa3 && in->mem == 0;
}

/* Names memory by registers that the encoding implies. */
static bool is_implicit(const struct x86_insn *in)
{
    return in->flags & INSN_STRING || in->op == ZYDIS_MNEMONIC_XLAT ||
           in->op == ZYDIS_MNEMONIC_MASKMOVQ || in->op == ZYDIS_MNEMONIC_MASKMOVDQU ||
           in->op == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

/* Makes what the instruction refers to lie in DATA; false: another try. */
static bool random_address(const struct x86_insn *in)
{
    u64 *g = cpu.s.gpr;

    g[RSP] = origin + PAGE + random64() % PAGE;
    g[RSP] &= random64() % 8 ? ~7ull : ~0ull;
    if (in->op == ZYDIS_MNEMONIC_LEAVE || in->op == ZYDIS_MNEMONIC_ENTER)
        g[RBP] = origin + PAGE + random64() % PAGE;
    if (is_implicit(in)) {
        g[RSI] = g[RBX] = random_place();
        g[RDI] = origin + PAGE + random64() % PAGE;
        g[RCX] = random64() % 40;
        return in->asize > 2 || mode == X86_MODE16;
    }
    if (in->mem == X86_NOREG || in->opd[in->mem].kind == OPD_AGEN)
        return true;
    if (in->flags & INSN_VSIB)
        for (u32 i = 0; i < 8; i++)
            put_le32(cpu.s.xsave + (i < 4 ? AREA_XMM : AREA_YMM) + 16 * in->index + 4 * (i & 3),
                     in->opcode & 1 && (i & 1) ? 0 : (u32)(random64() % 100));
    if (is_bit_string(in))
        g[in->opd[1].reg] = (u64)((i64)(random64() % 4096) - 2048);
    if (is_bit_string(in) && (in->opd[1].reg == in->base || in->opd[1].reg == in->index))
        return false;
    return place_operand(in);
}

/* ---- the host's side ---- */

static sigjmp_buf host_escape;
static volatile int host_signal;

static void host_fault(int sig, siginfo_t *info, void *context)
{
    host_signal = sig;
    siglongjmp(host_escape, 1);
}

static void host_start(void)
{
    static _Alignas(64) u8 stack[65536];
    stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction a = { .sa_sigaction = host_fault,
                           .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

    sigaltstack(&other, NULL);

    sigaction(SIGFPE, &a, NULL);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGILL, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

static _Alignas(64) u8 host_area[X86_XSAVE_SIZE];
static struct vector_frame host_frame;

/* An instruction on a 32-bit absolute address: three bytes and where. */
static u8 *host_absolute(u8 *p, const char *bytes, const void *at)
{
    memcpy(p, bytes, 4);
    put_le32(p + 4, (u32)(uintptr_t)at);
    return p + 8;
}
#define LOAD_RSP "\x48\x8b\x24\x25"
#define STORE_RSP "\x48\x89\x24\x25"
#define LOAD_SS "\x48\x8e\x14\x25"
#define JUMP_FAR "\x40\xff\x2c\x25"

enum { LDT_CODE = 0x07, LDT_DATA = 0x0f, FLAT_CODE = 0x23, OUR_CODE = 0x33, FLAT_DATA = 0x2b };

/* n instructions, with their stack pointer around them, in a code segment of their mode. */
static void host_code(const struct x86_insn *in, u32 n)
{
    enum { THERE = 0x100 };
    u8 *p = code;

    p = host_absolute(p, STORE_RSP, &host_data->own_rsp);
    p = host_absolute(p, LOAD_RSP, &host_data->rsp);
    if (mode != X86_MODE64) {
        p = host_absolute(p, LOAD_SS, &host_data->ss);
        p = host_absolute(p, JUMP_FAR, &host_data->target);
        host_data->ss = mode == X86_MODE16 ? LDT_DATA : FLAT_DATA;
        host_data->own_ss = FLAT_DATA;
        host_data->selector = mode == X86_MODE16 ? LDT_CODE : FLAT_CODE;
        p = code + THERE;
        host_data->target =
            (u32)(uintptr_t)p - (mode == X86_MODE16 ? (u32)(uintptr_t)code_pages : 0);
    }
    for (u32 i = 0; i < n; i++) {
        memcpy(p, in[i].bytes, in[i].len);
        p += in[i].len;
    }
    if (mode != X86_MODE64) { /* jmp far to what follows, in 64-bit code */
        if (mode == X86_MODE16)
            *p++ = 0x66;
        p[0] = 0xea;
        put_le32(p + 1, (u32)(uintptr_t)p + 7);
        put_le16(p + 5, OUR_CODE);
        p += 7;
        p = host_absolute(p, LOAD_SS, &host_data->own_ss);
    }
    p = host_absolute(p, STORE_RSP, &host_data->rsp);
    p = host_absolute(p, LOAD_RSP, &host_data->own_rsp);
    *p = 0xc3;
}

/* 0, or the signal. */
static int host_run(const struct x86_insn *in, u32 n)
{
    static const u32 calm = 0x1f80;
    static u32 code_next;

    code = code_pages + code_next++ % (mode == X86_MODE16 ? 16 : CODE_PAGES) * PAGE;
    host_code(in, n);
    memcpy(host_frame.gpr, cpu.s.gpr, sizeof(host_frame.gpr));
    host_frame.flags = cpu.s.rflags;
    host_frame.code = code;
    host_frame.from = cpu.s.xsave;
    host_frame.to = host_area;
    host_frame.mxcsr = le32(cpu.s.xsave + AREA_MXCSR);
    host_frame.components = 7;
    host_signal = 0;
    host_data->rsp = cpu.s.gpr[RSP];
    if (!sigsetjmp(host_escape, 0))
        vector_enter(&host_frame);
    host_frame.gpr[RSP] = host_data->rsp;
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(calm));
    return host_signal;
}

/* ---- both ---- */

static bool is_wanted(const struct x86_insn *in)
{
    if (mode != X86_MODE64 && (in->op == ZYDIS_MNEMONIC_BOUND || in->op == ZYDIS_MNEMONIC_INTO))
        return false;
    if (in->flags & (INSN_BRANCH | INSN_SYSTEM | INSN_PRIVILEGED | INSN_SEGMENT))
        return false;
    if (in->base == X86_RIP)
        return false;
    if (in->flags & INSN_STRING && (in->opcode & 0xfc) == 0x6c)
        return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_FNSTENV: /* its pointers are of the run */
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_STD:
        return false;
    default:
        return true;
    }
}

static void run_operation(struct x86_cpu *c, void *arg)
{
    const struct x86_insn *in = arg;

    do {
        op_find(in)(c, in);
    } while (in->flags & INSN_STRING && c->s.rip == CODE_AT); /* it may return early */
}

/* The signal that stands for a vector. */
static int signal_of(u8 vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_MF:
    case VEC_XM:
        return SIGFPE;
    case VEC_UD:
        return SIGILL;
    case VEC_SS:
        return SIGBUS;
    default:
        return SIGSEGV;
    }
}

static void compare_vector(void)
{
    u8 *x = cpu.s.xsave;

    CHECK_EQ(le64(x), le64(host_area) & 0x0000ffffffffffff);
    CHECK_EQ(le32(x + AREA_MXCSR), le32(host_area + AREA_MXCSR));
    for (u32 i = 0; i < 8; i++) {
        CHECK_EQ(le64(x + AREA_ST + 16 * i), le64(host_area + AREA_ST + 16 * i));
        CHECK_EQ(le16(x + AREA_ST + 16 * i + 8), le16(host_area + AREA_ST + 16 * i + 8));
    }
    for (u32 i = 0; i < 16; i++) {
        CHECK(!memcmp(x + AREA_XMM + 16 * i, host_area + AREA_XMM + 16 * i, 16));
        CHECK(!memcmp(x + AREA_YMM + 16 * i, host_area + AREA_YMM + 16 * i, 16));
    }
}

/* Outside 64-bit code an interrupt may change the upper halves. */
static u64 register_mask(void)
{
    return op_mask(mode == X86_MODE64 ? 8 : 4);
}

static void compare(void)
{
    for (u32 i = 0; i < (mode == X86_MODE64 ? 16 : 8); i++)
        CHECK_EQ(cpu.s.gpr[i] & register_mask(), host_frame.gpr[i] & register_mask());
    CHECK_EQ(cpu.s.rflags & (FLAGS_ARITH | FLAG_DF), host_frame.flags & (FLAGS_ARITH | FLAG_DF));
    compare_vector();
    CHECK(!memcmp(ram + DATA_GPA, native, DATA_SIZE));
}

/* What the decoder says of registers and flags is at least what happens. */
static void check_sets(const struct x86_insn *in, const struct x86_state *before)
{
    u64 flags = before->rflags ^ cpu.s.rflags;

    for (u32 i = 0; i < 16; i++)
        if (!(in->gpr_write >> i & 1))
            CHECK_EQ(before->gpr[i], cpu.s.gpr[i]);
    CHECK_EQ(flags & ~(u64)in->eflags_write & (FLAGS_ARITH | FLAG_DF), 0);
}

/* Registers and flags that it does not read make no difference to what it writes. */
static void check_reads(const struct x86_insn *in, const struct x86_state *before, const u8 *data)
{
    struct vector_frame first = host_frame;

    cpu.s = *before;
    for (u32 i = 0; i < 16; i++)
        if (!(in->gpr_read >> i & 1))
            cpu.s.gpr[i] = random_value();
    cpu.s.rflags ^= random64() & ~(u64)in->eflags_read & FLAGS_ARITH;
    memcpy(native, data, DATA_SIZE);
    if (host_run(in, 1))
        return;
    for (u32 i = 0; i < 16; i++)
        if (in->gpr_write >> i & 1)
            CHECK_EQ(first.gpr[i] & register_mask(), host_frame.gpr[i] & register_mask());
    CHECK_EQ(first.flags & in->eflags_write & FLAGS_ARITH,
             host_frame.flags & in->eflags_write & FLAGS_ARITH);
}

static void describe(const struct x86_insn *in, const struct x86_state *s)
{
    char text[100];

    x86_print(in, 0, text, sizeof(text));
    printf("# %s | bytes", text);
    for (u32 i = 0; i < in->len; i++)
        printf(" %02x", in->bytes[i]);
    printf("\n# rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64 " flags %" PRIx64
           " mxcsr %x fcw %x fsw %x\n",
           s->gpr[RAX], s->gpr[RCX], s->gpr[RDX], s->rflags, le32(s->xsave + AREA_MXCSR),
           le16(s->xsave + AREA_FCW), le16(s->xsave + AREA_FSW));
    if (cpu.fault.vector)
        printf("# fault %u, signal %d\n", cpu.fault.vector, host_signal);
}

static u8 data_before[DATA_SIZE];

/* One random instruction on both sides; false: it was none. */
static bool host_one(void)
{
    struct x86_state before;
    struct x86_insn in;
    u8 bytes[15];
    bool done;
    int sig;

    random_bytes(bytes, mode == X86_MODE64);
    if (x86_decode(&in, bytes, 15, mode) || !is_wanted(&in) || !op_find(&in))
        return false;
    random_state();
    if (!random_address(&in))
        return false;
    memcpy(ram + DATA_GPA, native, DATA_SIZE);
    memcpy(data_before, native, DATA_SIZE);
    before = cpu.s;
    sig = host_run(&in, 1);
    cpu.fault.vector = 0;
    cpu.s.rip = CODE_AT;
    done = x86_guard(&cpu, run_operation, &in);
    CHECK_EQ(done, !sig);
    if (!done && sig)
        CHECK_EQ(signal_of(cpu.fault.vector), sig);
    if (done && !sig) {
        compare();
        check_sets(&in, &before);
        if (!(in.flags & INSN_VECTOR))
            check_reads(&in, &before, data_before);
    }
    if (check_failed_now)
        describe(&in, &before);
    cpu.s = before;
    return true;
}

/* ---- several in a row: what one leaves, the next finds ---- */

enum { ROW = 7 };

/* Takes an instruction into a row.  held: registers that addresses need as they are;
 * written: registers that are no longer known. */
static bool row_takes(const struct x86_insn *in, u32 *held, u32 *written)
{
    u32 address = 0;
    bool moves;

    if (is_implicit(in) || is_bit_string(in) || in->flags & INSN_VSIB ||
        in->op == ZYDIS_MNEMONIC_ENTER || in->op == ZYDIS_MNEMONIC_LEAVE ||
        (in->flags & INSN_VECTOR && random64() % 4))
        return false;
    if (in->flags & INSN_STACK && *written >> RSP & 1)
        return false;
    if (in->mem != X86_NOREG && in->opd[in->mem].kind == OPD_MEM) {
        address = (in->base < 16 ? 1u << in->base : 0) | (in->index < 16 ? 1u << in->index : 0);
        if ((address & (*held | *written)) || !place_operand(in))
            return false;
    }
    *held |= address;
    moves = in->flags & INSN_STACK && !(in->opd[0].kind == OPD_GPR && in->opd[0].reg == RSP);
    *written |= in->gpr_write & ~(moves ? 1u << RSP : 0); /* by a little: there is room */
    return true;
}

static u32 row_make(struct x86_insn row[ROW])
{
    u32 held = 1 << RSP, written = 0, n = 0, want = 2 + random64() % (ROW - 1);
    u8 bytes[15];

    cpu.s.gpr[RSP] = (origin + PAGE + random64() % PAGE) & ~7ull;
    for (u32 tries = 0; tries < 100 && n < want; tries++) {
        random_bytes(bytes, mode == X86_MODE64);
        if (!x86_decode(&row[n], bytes, 15, mode) && is_wanted(&row[n]) && op_find(&row[n]) &&
            row_takes(&row[n], &held, &written))
            n++;
    }
    return n;
}

static void host_row(void)
{
    struct x86_insn row[ROW];
    struct x86_state before;
    bool done = true;
    u32 n, at = 0;
    int sig;

    random_state();
    cpu.s.rflags &= ~(u64)FLAG_DF;
    n = row_make(row);
    memcpy(ram + DATA_GPA, native, DATA_SIZE);
    before = cpu.s;
    sig = host_run(row, n);
    cpu.fault.vector = 0;
    while (at < n && done)
        done = x86_guard(&cpu, run_operation, &row[at++]);
    CHECK_EQ(done, !sig);
    if (!done && sig)
        CHECK_EQ(signal_of(cpu.fault.vector), sig);
    if (done && !sig)
        compare();
    for (u32 i = 0; i < n && check_failed_now; i++)
        describe(&row[i], &before);
    cpu.s = before;
}

static u32 cases_wanted(void)
{
    const char *text = getenv("MIMIC_CASES");

    return text ? (u32)strtoul(text, NULL, 0) : 12000;
}

static void all_as_host(void)
{
    u32 n = cases_wanted(), done = 0, bad = 0;
    int failed = 0;

    host_start();
    while (done < n && bad < 20) {
        check_failed_now = 0;
        if (random64() % 3)
            done += host_one();
        else
            host_row();
        bad += check_failed_now;
        failed |= check_failed_now;
    }
    check_failed_now = failed;
}

static void same_as_host_64(void)
{
    all_as_host();
}

static void data_segments(u16 selector)
{
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((u32)selector));
}

/* Segments of the guest as the host has them. */
static void guest_segments(u32 code_attr, u32 data_attr, u32 limit)
{
    for (u32 i = 0; i <= SEG_DS; i++) {
        cpu.s.seg[i].base = i == SEG_CS ? 0 : DATA - origin;
        cpu.s.seg[i].limit = limit;
        cpu.s.seg[i].attr = ATTR_S | ATTR_P | (i == SEG_CS ? 0xb | code_attr : 3 | data_attr);
    }
}

static void same_as_host_32(void)
{
    mode = X86_MODE32;
    guest_segments(ATTR_DB | ATTR_G, ATTR_DB | ATTR_G, 0xffffffff);
    data_segments(FLAT_DATA);
    all_as_host();
    data_segments(0);
}

/* 16-bit segments from a local descriptor table, data at DATA. */
static void same_as_host_16(void)
{
    struct user_desc text = { .entry_number = LDT_CODE >> 3,
                              .base_addr = (u32)(uintptr_t)code_pages,
                              .limit = 0xffff,
                              .contents = 2 };
    struct user_desc data = { .entry_number = LDT_DATA >> 3, .base_addr = DATA, .limit = 0xffff };

    if (syscall(SYS_modify_ldt, 1, &text, sizeof(text)) ||
        syscall(SYS_modify_ldt, 1, &data, sizeof(data))) {
        check_skip("no local descriptor tables here");
        return;
    }
    mode = X86_MODE16;
    origin = 0;
    guest_segments(0, 0, 0xffff);
    data_segments(LDT_DATA);
    all_as_host();
    data_segments(0);
}

int main(void)
{
    const char *other = getenv("MIMIC_SEED");

    seed += other ? strtoull(other, NULL, 0) : 0;
    rig_start();
    CASE(same_as_host_64);
    CASE(same_as_host_32);
    CASE(same_as_host_16);
    return check_end();
}
