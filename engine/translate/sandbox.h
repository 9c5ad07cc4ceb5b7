/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_SANDBOX_H
#define ENGINE_TRANSLATE_SANDBOX_H
#include "base/types.h"
#include <sys/user.h>

/*
 * A process that runs foreign user code on the host processor and can do nothing else.  It
 * has no memory but what it is given, and every system call, fault and signal of it stops it
 * before it has an effect: it is traced with PTRACE_SYSEMU by the thread that made it.  All
 * calls on that thread, but for sandbox_poke.
 */
struct sandbox;

enum sandbox_stop {
    SANDBOX_CALL,  /* a system call: regs.rip is behind the instruction */
    SANDBOX_FAULT, /* a signal of its own doing: what */
    SANDBOX_POKED,
    SANDBOX_GONE, /* it was killed: its registers are lost */
};
struct sandbox_what {
    int signal, code; /* as siginfo has them */
    u64 address;
};
enum { SANDBOX_READ = 1, SANDBOX_WRITE = 2, SANDBOX_EXEC = 4 }; /* as PROT_* */
enum { SANDBOX_OWN = 8192 };          /* bytes of its address space that it needs for itself */
#define SANDBOX_END 0x7ffffffff000ull /* of what it can map */

/* fd: the file that sandbox_map maps parts of; at: where its own bytes are.  0 or -errno. */
int sandbox_new(struct sandbox **s, int fd, u64 at);
void sandbox_free(struct sandbox *s);
u64 sandbox_at(const struct sandbox *s);
u64 sandbox_ran_ns(const struct sandbox *s); /* on a processor, since it was made */
/* May it run CPUID and RDTSC by itself?  Both fault otherwise. */
int sandbox_rules(struct sandbox *s, bool cpuid, bool tsc);

/* Queued; done by sandbox_sync, in order: 0, or the first error. */
int sandbox_map(struct sandbox *s, u64 lin, u64 len, u32 prot, u64 off);
int sandbox_unmap(struct sandbox *s, u64 lin, u64 len);
int sandbox_sync(struct sandbox *s);
int sandbox_unmap_all(struct sandbox *s);

/* xstate: XSAVE's standard form, X86_XSAVE_SIZE bytes; written only when it is not the last
 * one taken.  Both are those of the stop on return. */
enum sandbox_stop sandbox_run(struct sandbox *s, struct user_regs_struct *regs, u8 *xstate,
                              struct sandbox_what *what);
/* Any thread, while the sandbox lives: it stops soon, or as it is started. */
void sandbox_poke(struct sandbox *s);
#endif
