/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the cases of insn_make on the processor it finds, as a Linux program of its own, and
 * keeps what each leaves: registers, flags, vector state, memory, and the exception with its
 * code and address.  A host and a guest must leave the same.  Signals are the way in and
 * out: the return from a handler loads all registers of a case, and the exception at its end
 * (INT3, when nothing came before) gives them back.
 *
 * The code of cases that loop is in a file that is mapped at several places, where it runs in
 * turn: few rounds first, then, when nothing was raised, as many as the case says.
 *
 *     insn_run CASES write FILE [CODE TURN]   keep a number for each case
 *     insn_run CASES check FILE [CODE TURN]   compare with them; what differs is shown
 *     insn_run CASES show N [CODE TURN]       show case N
 *
 * CODE: a file for that code, which several may share; TURN: the place that is first.
 */
#include "tests/insn/cases.h"
#include "tests/insn/random.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { FLAT_CODE = 0x23, FLAT_CODE64 = 0x33, FLAT_DATA = 0x2b, LDT_CODE = 0x07, LDT_DATA = 0x0f };
enum { FCW = 0, MXCSR = 24, ST = 32, XMM = 160, LEGACY_END = 416, HEADER = 512, YMM = 576 };
enum { TRAP_DB = 1, TRAP_BP = 3, TRAP_UD = 6, TRAP_PF = 14, STEPS = 100, REPEAT = 3, SHOWN = 20 };
enum { HOT_REPEAT = 6, HOT_FEW = 40 };
enum { FLAGS_SEEN = 0x44dd5, FLAGS_ARITHMETIC = 0x8d5, INT3 = 0xcc };

struct left {
    u64 gpr[16], rip, flags, trap, code, address;
    u8 x87[160], xmm[256], ymm[256];
    u64 memory;
};

static const struct insn_case **cases;
static u32 ncases, nhot, at, again, steps, differ, turn;
static u64 digest, *digests, *expected;
static struct left left;
static bool show, lasts; /* lasts: few rounds raised nothing */
static u64 home_fs;
static ucontext_t home;
static u8 home_vectors[LEGACY_END];
static u8 *data = (u8 *)(uintptr_t)CASE_DATA;

static u64 mix(u64 h, const void *p, u32 n)
{
    for (u32 i = 0; i < n; i += 8) {
        u64 v;

        memcpy(&v, (const u8 *)p + i, 8);
        h = (h ^ v) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return h;
}

/* 16-bit code reaches 64 KiB. */
static u8 *slot_of(u32 n)
{
    u32 slots = cases[n]->mode == CASE_MODE16 ? 0xffff / CASE_SLOT : CASE_SLOTS;

    return (u8 *)(uintptr_t)CASE_CODE + n % slots * CASE_SLOT;
}

/* Where it is mapped that a case which loops runs at now. */
static u8 *place_of(void)
{
    return (u8 *)(uintptr_t)CASE_HOT + (turn + again) % CASE_PLACES * (u64)CASE_HOT_APART;
}

static u8 *code_of(u32 n)
{
    return cases[n]->rounds ? place_of() + cases[n]->hot * 2 * CASE_PAGE + cases[n]->at
                            : slot_of(n) + CASE_AT;
}

/* ---- before a case ---- */

static void case_memory(void)
{
    mprotect(data + CASE_READ_ONLY * CASE_PAGE, CASE_PAGE, PROT_READ | PROT_WRITE);
    random_floats(data, CASE_HOLE * CASE_PAGE);
    for (u32 i = CASE_READ_ONLY; i < CASE_PAGES; i++)
        memcpy(data + i * CASE_PAGE, data, CASE_PAGE);
    mprotect(data + CASE_READ_ONLY * CASE_PAGE, CASE_PAGE, PROT_READ);
    memcpy(place_of() + CASE_NEAR, data, CASE_PAGE + 64);
}

static void case_rounds(const struct insn_case *c)
{
    u8 *kept = (u8 *)(uintptr_t)CASE_KEPT;

    put_le64(kept + KEPT_ROUNDS, again == 0 ? 1 : again & 1 || !lasts ? HOT_FEW : c->rounds);
    put_le64(kept + KEPT_RANDOM, c->seed);
    put_le64(kept + KEPT_SUM, 0);
}

static void case_vectors(const struct insn_case *c, u8 *x)
{
    random_floats(x + XMM, 256);
    random_floats(x + YMM, 256);
    random_x87(x);
    memset(x + 6, 0, 18);
    put_le32(x + MXCSR, random_mxcsr());
    for (u32 i = 0; c->vsib != CASE_NO_INDEX && i < 8; i++)
        put_le32(x + (i < 4 ? XMM : YMM) + 16 * (c->vsib & 15) + 4 * (i & 3),
                 (u32)(random64() % 100) & -(i % 2 == 0));
    put_le64(x + HEADER, le64(x + HEADER) | 7);
}

static const u8 gregs[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15 };

static void case_load(ucontext_t *u)
{
    const struct insn_case *c = cases[at];
    greg_t *g = u->uc_mcontext.gregs;
    u8 *code = code_of(at);
    u64 cs = c->mode == CASE_MODE64 ? FLAT_CODE64 : c->mode == CASE_MODE32 ? FLAT_CODE : LDT_CODE;
    u64 ss = c->mode == CASE_MODE16 ? LDT_DATA : FLAT_DATA;

    seed = c->seed | 1;
    if (!again && !c->rounds)
        memcpy(code, c->code, c->len);
    case_memory();
    case_rounds(c);
    case_vectors(c, (u8 *)u->uc_mcontext.fpregs);
    for (u32 i = 0; i < 16; i++)
        g[gregs[i]] = (greg_t)c->gpr[i];
    g[REG_EFL] = (greg_t)(c->flags | 0x202);
    g[REG_RIP] = (greg_t)(uintptr_t)code - (c->mode == CASE_MODE16 ? CASE_CODE : 0);
    g[REG_CSGSFS] = (greg_t)(cs | ss << 48);
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((u32)ss));
    steps = 0;
}

/* ---- after it ---- */

static void case_take(const ucontext_t *u)
{
    const greg_t *g = u->uc_mcontext.gregs;
    const u8 *x = (const u8 *)u->uc_mcontext.fpregs;
    u32 n = cases[at]->mode == CASE_MODE64 ? 16 : 8;

    memset(&left, 0, sizeof(left));
    for (u32 i = 0; i < n; i++)
        left.gpr[i] = n == 16 ? (u64)g[gregs[i]] : (u32)g[gregs[i]];
    left.rip = (u64)g[REG_RIP];
    left.flags = (u64)g[REG_EFL] & FLAGS_SEEN;
    left.trap = (u64)g[REG_TRAPNO];
    /* flags that the next instruction replaces need not be there when this one faults */
    if (cases[at]->row && left.trap != TRAP_DB && left.trap != TRAP_BP)
        left.flags &= ~(u64)FLAGS_ARITHMETIC;
    left.code = left.trap == TRAP_UD ? 0 : (u64)g[REG_ERR];
    left.address = left.trap == TRAP_PF ? (u64)g[REG_CR2] : 0;
    memcpy(left.x87, x, 6);
    memcpy(left.x87 + MXCSR, x + MXCSR, 4);
    memcpy(left.x87 + ST, x + ST, 128);
    memcpy(left.xmm, x + XMM, 256);
    memcpy(left.ymm, x + YMM, 256);
    left.memory = mix(mix(0, data, CASE_HOLE * CASE_PAGE), data + CASE_READ_ONLY * CASE_PAGE,
                      (CASE_PAGES - CASE_READ_ONLY) * CASE_PAGE);
    if (cases[at]->rounds)
        left.memory = mix(mix(left.memory, (u8 *)(uintptr_t)CASE_KEPT, 32), place_of() + CASE_NEAR,
                          CASE_PAGE + 64);
}

static void show_bytes(const char *name, u32 n, const u8 *p, u32 len)
{
    printf("  %s%u ", name, n);
    while (len--)
        printf("%02x", p[len]);
    printf("\n");
}

static void case_show(void)
{
    printf("case %u run %u step %u: trap %" PRIu64 " code %" PRIx64 " address %" PRIx64 "\n", at,
           again, steps, left.trap, left.code, left.address);
    for (u32 i = 0; i < 16; i++)
        printf("  gpr%u %" PRIx64 "\n", i, left.gpr[i]);
    printf("  rip %" PRIx64 "\n  flags %" PRIx64 "\n  memory %" PRIx64 "\n", left.rip, left.flags,
           left.memory);
    show_bytes("x87-", 0, left.x87, 6);
    show_bytes("mxcsr", 0, left.x87 + MXCSR, 4);
    for (u32 i = 0; i < 8; i++)
        show_bytes("st", i, left.x87 + ST + 16 * i, 10);
    for (u32 i = 0; i < 16; i++)
        show_bytes("xmm", i, left.xmm + 16 * i, 16);
    for (u32 i = 0; i < 16; i++)
        show_bytes("ymm", i, left.ymm + 16 * i, 16);
}

/* The next run or case; false: that was the last. */
static bool case_end(void)
{
    bool bad;

    lasts = left.trap == TRAP_BP && (lasts || again == 0);
    if (++again < (cases[at]->rounds ? HOT_REPEAT : REPEAT))
        return true;
    bad = expected && digest != expected[at];
    again = 0;
    digests[at] = digest;
    digest = 0;
    if (!cases[at]->rounds)
        memset(slot_of(at) + CASE_AT, INT3, cases[at]->len);
    if (bad && !show && differ < SHOWN) {
        show = true; /* again, to be seen */
        return true;
    }
    if (bad || (expected && show)) {
        differ++;
        printf("@F %u\n", at);
    }
    if (show && !expected)
        return false;
    show = false;
    return ++at < ncases;
}

/* The C library's own is not there while a case runs. */
static void set_fs(u64 base)
{
    u64 rax = SYS_arch_prctl;

    __asm__ volatile("syscall"
                     : "+a"(rax)
                     : "D"((u64)ARCH_SET_FS), "S"(base)
                     : "rcx", "r11", "memory");
}

static void handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    u64 flags;

    set_fs(home_fs);
    __asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
    __asm__ volatile("push %0\n\tpopfq" : : "r"(flags & ~0x40000ull) : "cc");
    if (!home.uc_mcontext.gregs[REG_RIP]) {
        home = *u;
        memcpy(home_vectors, u->uc_mcontext.fpregs, sizeof(home_vectors));
        case_load(u);
        set_fs(CASE_FS);
        return;
    }
    case_take(u);
    if (show)
        case_show();
    digest = mix(digest, &left, sizeof(left));
    if (left.trap == TRAP_DB && ++steps < STEPS) {
        set_fs(CASE_FS);
        return;
    }
    if (case_end()) {
        case_load(u);
        set_fs(CASE_FS);
        return;
    }
    memcpy(u->uc_mcontext.fpregs, home_vectors, sizeof(home_vectors));
    memcpy(u->uc_mcontext.gregs, home.uc_mcontext.gregs, sizeof(home.uc_mcontext.gregs));
    u->uc_mcontext.gregs[REG_RIP] += 2;
}

/* ---- the runner's places ---- */

static void map_at(u64 at_, u64 len, int prot)
{
    void *p = mmap((void *)(uintptr_t)at_, len, prot,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (p != (void *)(uintptr_t)at_) {
        perror("insn_run: mmap");
        exit(2);
    }
}

static void segments16(void)
{
    struct user_desc text = {
        .entry_number = LDT_CODE >> 3, .base_addr = CASE_CODE, .limit = 0xffff, .contents = 2
    };
    struct user_desc bss = { .entry_number = LDT_DATA >> 3,
                             .base_addr = CASE_DATA,
                             .limit = 0xffff };

    if (syscall(SYS_modify_ldt, 1, &text, sizeof(text)) ||
        syscall(SYS_modify_ldt, 1, &bss, sizeof(bss))) {
        perror("insn_run: modify_ldt");
        exit(2);
    }
}

static void *load_file(const char *name, u64 *len)
{
    int fd = open(name, O_RDONLY);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    void *p = end <= 0 ? MAP_FAILED : mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED) {
        perror(name);
        exit(2);
    }
    *len = (u64)end;
    return p;
}

static void load_cases(const char *name)
{
    u64 len, off = 0;
    const u8 *p = load_file(name, &len);

    cases = calloc(len / offsetof(struct insn_case, code) + 1, sizeof(*cases));
    while (cases && off < len) {
        cases[ncases] = (const void *)(p + off);
        nhot += cases[ncases]->rounds != 0;
        off += CASE_SIZE(cases[ncases]);
        ncases++;
    }
}

/* All of it is there before the first runs, as a program's is. */
static void map_loops(const char *name)
{
    u64 size = nhot * 2ul * CASE_PAGE;
    int fd = name ? open(name, O_RDWR | O_CREAT, 0600) : memfd_create("code", 0);
    u8 *p;

    if (!nhot)
        return;
    if (fd < 0 || ftruncate(fd, (off_t)size)) {
        perror("insn_run: code");
        exit(2);
    }
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (u32 i = 0; i < ncases && p != MAP_FAILED; i++)
        if (cases[i]->rounds)
            memcpy(p + cases[i]->hot * 2 * CASE_PAGE + cases[i]->at, cases[i]->code, cases[i]->len);
    for (u32 i = 0; i < CASE_PLACES; i++) {
        u64 place = CASE_HOT + i * (u64)CASE_HOT_APART;

        if (p == MAP_FAILED || mmap((void *)(uintptr_t)place, size, PROT_READ | PROT_EXEC,
                                    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED) {
            perror("insn_run: mmap");
            exit(2);
        }
    }
    munmap(p, size);
    close(fd);
}

static void start(const char *code)
{
    static _Alignas(64) u8 stack[131072];
    static const int signals[] = { SIGILL, SIGSEGV, SIGFPE, SIGBUS, SIGTRAP };
    stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction a = { .sa_sigaction = handler,
                           .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

    map_at(CASE_CODE, CASE_SLOTS * CASE_SLOT, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_at(CASE_DATA, CASE_HOLE * CASE_PAGE, PROT_READ | PROT_WRITE);
    map_at(CASE_DATA + CASE_READ_ONLY * CASE_PAGE, (CASE_PAGES - CASE_READ_ONLY) * CASE_PAGE,
           PROT_READ);
    mprotect(data + (CASE_READ_ONLY + 1) * CASE_PAGE, (CASE_PAGES - CASE_READ_ONLY - 1) * CASE_PAGE,
             PROT_READ | PROT_WRITE);
    map_at(CASE_KEPT, CASE_PAGE, PROT_READ | PROT_WRITE);
    for (u32 i = 0; i < CASE_PLACES; i++)
        map_at(CASE_HOT + i * (u64)CASE_HOT_APART + CASE_NEAR, 2 * CASE_PAGE,
               PROT_READ | PROT_WRITE);
    map_loops(code);
    memset((void *)(uintptr_t)CASE_CODE, INT3, CASE_SLOTS * CASE_SLOT);
    segments16();
    syscall(SYS_arch_prctl, ARCH_SET_GS, CASE_GS);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &home_fs);
    sigaltstack(&other, NULL);
    for (u32 i = 0; i < LEN(signals); i++)
        sigaction(signals[i], &a, NULL);
}

int main(int argc, char **argv)
{
    u64 len;
    FILE *f;

    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: insn_run CASES write|check FILE [CODE TURN], or show N\n");
        return 2;
    }
    load_cases(argv[1]);
    turn = argc == 6 ? (u32)strtoul(argv[5], NULL, 0) : 0;
    digests = calloc(ncases, sizeof(*digests));
    if (!strcmp(argv[2], "check"))
        expected = load_file(argv[3], &len);
    if (!strcmp(argv[2], "show")) {
        at = (u32)strtoul(argv[3], NULL, 0);
        show = true;
    }
    start(argc == 6 ? argv[4] : NULL);
    __asm__ volatile("ud2"
                     :
                     :
                     : "memory", "cc", "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10",
                       "r11", "r12", "r13", "r14", "r15");
    if (!strcmp(argv[2], "write")) {
        f = fopen(argv[3], "wb");
        if (!f || fwrite(digests, sizeof(*digests), ncases, f) != ncases || fclose(f)) {
            perror(argv[3]);
            return 2;
        }
    }
    if (expected)
        printf("@R %u cases, %u differ\n", at, differ);
    return differ ? 1 : 0;
}
