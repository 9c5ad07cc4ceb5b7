/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that user code of a guest runs in: made by fork, emptied, and stopped at all
 * that is not plain computing.  What it maps it is made to map by its tracer, which lets it
 * run a loop of system calls out of a list; the loop is harmless to the guest's code, since
 * that runs with every system call taken away.  The host's kernel does some by itself for who
 * jumps to their fixed addresses (vsyscalls); a filter makes a stop of these.
 */
#include "engine/translate/sandbox.h"
#include "engine/x86/state.h"
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

enum { PAGE = 4096, CALLS = 60, FD = 3, XSTATE_MAX = 16384 };

/* One system call of the list; nr NO_CALL ends it. */
struct call {
    u64 nr, arg[6], result;
};
#define NO_CALL (~0ull)
enum { BY_SECCOMP = 1 }; /* siginfo: SYS_SECCOMP */
#define VSYSCALLS 0xffffffffff600000ull

struct sandbox {
    pid_t pid;
    u64 at;
    struct call *list; /* shared with the process: its second page */
    u32 n;
    u8 *xstate; /* the host's form of it, as the process has it */
    size_t xsize;
    bool known; /* xstate is what the process has */
};

/* rbx: the list.  Ends with int3. */
static const u8 sandbox_loop[] = {
    0x48, 0x8b, 0x03,       /* mov rax, [rbx] */
    0x48, 0x83, 0xf8, 0xff, /* cmp rax, -1 */
    0x74, 0x24,             /* je end */
    0x48, 0x8b, 0x7b, 0x08, /* mov rdi, [rbx + 8] */
    0x48, 0x8b, 0x73, 0x10, /* mov rsi, [rbx + 16] */
    0x48, 0x8b, 0x53, 0x18, /* mov rdx, [rbx + 24] */
    0x4c, 0x8b, 0x53, 0x20, /* mov r10, [rbx + 32] */
    0x4c, 0x8b, 0x43, 0x28, /* mov r8, [rbx + 40] */
    0x4c, 0x8b, 0x4b, 0x30, /* mov r9, [rbx + 48] */
    0x0f, 0x05,             /* syscall */
    0x48, 0x89, 0x43, 0x38, /* mov [rbx + 56], rax */
    0x48, 0x83, 0xc3, 0x40, /* add rbx, 64 */
    0xeb, 0xd3,             /* jmp start */
    0xcc,                   /* end: int3 */
};

/* The kernel would write to this thread's area, which goes away.  The length must be the one
 * that libc registered: the size it uses, made larger by alignment. */
static void sandbox_no_rseq(void)
{
    u8 *area = (u8 *)__builtin_thread_pointer() + __rseq_offset;

    for (u32 len = 32; __rseq_size && len <= 1024; len += 32)
        if (!syscall(SYS_rseq, area, len, 1, RSEQ_SIG))
            return;
}

/*
 * Calls from the page of vsyscalls trap.  Nothing is slowed down by it: system calls of the guest
 * do not come so far, and speculation is left as it is.
 */
static bool sandbox_no_vsyscalls(void)
{
    enum { IP = offsetof(struct seccomp_data, instruction_pointer) };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VSYSCALLS >> 32, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(u32)(PAGE - 1)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)VSYSCALLS, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = { LEN(code), code };

    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &p);
}

/* The child's first steps, with nothing of libc but system calls. */
static _Noreturn void sandbox_start(const struct sandbox *s, int fd)
{
    void *own = (void *)(uintptr_t)s->at, *shared = (u8 *)own + PAGE;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sandbox_no_rseq();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || dup2(fd, FD) < 0 || close_range(FD + 1, ~0u, 0))
        _exit(1);
    for (int i = 0; i < FD; i++)
        close(i);
    if (mmap(own, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1, 0) != own ||
        mremap(s->list, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, shared) != shared)
        _exit(1);
    memcpy(own, sandbox_loop, sizeof(sandbox_loop));
    if (mprotect(own, PAGE, PROT_READ | PROT_EXEC) || !sandbox_no_vsyscalls() ||
        ptrace(PTRACE_TRACEME, 0, 0, 0))
        _exit(1);
    kill(getpid(), SIGSTOP);
    _exit(1);
}

static int sandbox_wait(struct sandbox *s, int *status)
{
    while (waitpid(s->pid, status, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFSTOPPED(*status))
        return 0;
    s->pid = 0;
    return -ESRCH;
}

int sandbox_sync(struct sandbox *s)
{
    struct user_regs_struct r = { .rip = s->at,
                                  .rbx = s->at + PAGE,
                                  .cs = 0x33,
                                  .ss = 0x2b,
                                  .orig_rax = ~0ull,
                                  .eflags = 0x202,
                                  .rsp = s->at + PAGE };
    int status, rc = 0;
    u32 n = s->n;

    if (!n)
        return 0;
    s->n = 0;
    s->list[n].nr = NO_CALL;
    if (!s->pid || ptrace(PTRACE_SETREGS, s->pid, 0, &r))
        return -ESRCH;
    do {
        if (ptrace(PTRACE_CONT, s->pid, 0, 0))
            return -ESRCH;
        rc = sandbox_wait(s, &status);
        if (rc)
            return rc;
    } while (WSTOPSIG(status) != SIGTRAP);
    for (u32 i = 0; i < n; i++)
        if ((i64)s->list[i].result < 0 && (i64)s->list[i].result >= -4095)
            return (int)(i64)s->list[i].result;
    return 0;
}

static int sandbox_call(struct sandbox *s, u64 nr, const u64 arg[6])
{
    struct call *c;
    int rc = 0;

    if (s->n == CALLS)
        rc = sandbox_sync(s);
    c = &s->list[s->n++];
    c->nr = nr;
    memcpy(c->arg, arg, sizeof(c->arg));
    return rc;
}

int sandbox_map(struct sandbox *s, u64 lin, u64 len, u32 prot, u64 off)
{
    return sandbox_call(s, SYS_mmap,
                        (u64[6]){ lin, len, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, FD, off });
}
int sandbox_unmap(struct sandbox *s, u64 lin, u64 len)
{
    return sandbox_call(s, SYS_munmap, (u64[6]){ lin, len });
}
int sandbox_unmap_all(struct sandbox *s)
{
    s->n = 0;
    sandbox_unmap(s, 0, s->at);
    sandbox_unmap(s, s->at + SANDBOX_OWN, SANDBOX_END - s->at - SANDBOX_OWN);
    return sandbox_sync(s);
}

int sandbox_rules(struct sandbox *s, bool cpuid, bool tsc)
{
    sandbox_call(s, SYS_arch_prctl, (u64[6]){ ARCH_SET_CPUID, cpuid });
    sandbox_call(s, SYS_prctl, (u64[6]){ PR_SET_TSC, tsc ? PR_TSC_ENABLE : PR_TSC_SIGSEGV });
    return sandbox_sync(s);
}

static int sandbox_fork(struct sandbox *s, int fd)
{
    int status, rc;

    /* no exit signal: its end is nobody's business but its tracer's */
    s->pid = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (!s->pid)
        sandbox_start(s, fd);
    if (s->pid < 0) {
        s->pid = 0;
        return -errno;
    }
    rc = sandbox_wait(s, &status);
    if (rc)
        return rc;
    if (ptrace(PTRACE_SETOPTIONS, s->pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD))
        return -errno;
    return sandbox_unmap_all(s);
}

int sandbox_new(struct sandbox **out, int fd, u64 at)
{
    struct sandbox *s = calloc(1, sizeof(*s));
    struct iovec v;
    int rc;

    if (!s)
        return -ENOMEM;
    s->at = at;
    s->list = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s->xstate = calloc(1, XSTATE_MAX);
    if (s->list == MAP_FAILED || !s->xstate) {
        sandbox_free(s);
        return -ENOMEM;
    }
    rc = sandbox_fork(s, fd);
    v = (struct iovec){ s->xstate, XSTATE_MAX };
    if (!rc && ptrace(PTRACE_GETREGSET, s->pid, NT_X86_XSTATE, &v))
        rc = -errno;
    s->xsize = v.iov_len;
    if (!rc && s->xsize < X86_XSAVE_SIZE)
        rc = -ENOTSUP;
    if (rc) {
        sandbox_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sandbox_free(struct sandbox *s)
{
    if (!s)
        return;
    if (s->pid) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, __WALL) < 0 && errno == EINTR)
            continue;
    }
    if (s->list != MAP_FAILED)
        munmap(s->list, PAGE);
    free(s->xstate);
    free(s);
}

u64 sandbox_at(const struct sandbox *s)
{
    return s->at;
}

u64 sandbox_ran_ns(const struct sandbox *s)
{
    struct timespec t;
    clockid_t clock;

    if (!s->pid || clock_getcpuclockid(s->pid, &clock) || clock_gettime(clock, &t))
        return 0;
    return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

void sandbox_poke(struct sandbox *s)
{
    kill(s->pid, SIGURG);
}

/* Vector state: the part that guests have, with the rest in its initial state. */
static int sandbox_give_vectors(struct sandbox *s, const u8 *xstate)
{
    u64 parts = XCR0_X87 | XCR0_SSE;
    struct iovec v = { s->xstate, s->xsize };

    if (s->known && !memcmp(s->xstate, xstate, 416) &&
        !memcmp(s->xstate + 576, xstate + 576, X86_XSAVE_SIZE - 576))
        return 0;
    memset(s->xstate + 416, 0, s->xsize - 416);
    memcpy(s->xstate, xstate, 416);
    memcpy(s->xstate + 576, xstate + 576, X86_XSAVE_SIZE - 576);
    for (u32 i = 576; i < X86_XSAVE_SIZE; i++)
        if (xstate[i])
            parts |= XCR0_AVX; /* in use only when it must be: SSE code is slower then */
    memcpy(s->xstate + 512, &parts, sizeof(parts));
    return ptrace(PTRACE_SETREGSET, s->pid, NT_X86_XSTATE, &v) ? -errno : 0;
}
static int sandbox_take_vectors(struct sandbox *s, u8 *xstate)
{
    struct iovec v = { s->xstate, s->xsize };

    if (ptrace(PTRACE_GETREGSET, s->pid, NT_X86_XSTATE, &v))
        return -errno;
    s->known = true;
    memcpy(xstate, s->xstate, 416);
    memcpy(xstate + 576, s->xstate + 576, X86_XSAVE_SIZE - 576);
    return 0;
}

/*
 * A trapped vsyscall, back to where its page is fetched from: the kernel did the return already.
 * RAX is lost; calls go through it as a rule, and who emulates one gives it another value.
 */
static void sandbox_untrap(struct user_regs_struct *regs, const siginfo_t *info,
                           struct sandbox_what *what)
{
    regs->rip = regs->rax = (u64)(uintptr_t)info->si_call_addr;
    regs->rsp -= 8;
    *what = (struct sandbox_what){ SIGSEGV, SEGV_MAPERR, regs->rip };
}

static enum sandbox_stop sandbox_why(struct sandbox *s, int status, struct user_regs_struct *regs,
                                     struct sandbox_what *what)
{
    siginfo_t info;

    if (WSTOPSIG(status) == (SIGTRAP | 0x80))
        return SANDBOX_CALL;
    if (WSTOPSIG(status) == SIGURG || ptrace(PTRACE_GETSIGINFO, s->pid, 0, &info))
        return SANDBOX_POKED;
    switch (info.si_signo) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
        *what = (struct sandbox_what){ info.si_signo, info.si_code, (u64)(uintptr_t)info.si_addr };
        return SANDBOX_FAULT;
    case SIGSYS:
        if (info.si_code != BY_SECCOMP)
            return SANDBOX_POKED;
        sandbox_untrap(regs, &info, what);
        return SANDBOX_FAULT;
    default: /* somebody sent it something */
        return SANDBOX_POKED;
    }
}

enum sandbox_stop sandbox_run(struct sandbox *s, struct user_regs_struct *regs, u8 *xstate,
                              struct sandbox_what *what)
{
    int status;

    regs->orig_rax = ~0ull;
    if (!s->pid || sandbox_give_vectors(s, xstate) || ptrace(PTRACE_SETREGS, s->pid, 0, regs) ||
        ptrace(PTRACE_SYSEMU, s->pid, 0, 0) || sandbox_wait(s, &status) ||
        ptrace(PTRACE_GETREGS, s->pid, 0, regs) || sandbox_take_vectors(s, xstate))
        return SANDBOX_GONE;
    return sandbox_why(s, status, regs, what);
}
