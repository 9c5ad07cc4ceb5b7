/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_CPU_H
#define ENGINE_X86_CPU_H
#include "engine/engine.h"
#include "engine/x86/insn.h"
#include "engine/x86/state.h"
#include <setjmp.h>
#include <stdatomic.h>

/*
 * The software vCPU that the interpreter and the translator share: the state, what it may
 * call, and the rules of x86 as functions: paging, segments, exceptions, control transfers.
 *
 * Faults are raised by x86_raise and friends, which do not return: they jump to the point
 * that x86_step (or x86_guard) set.  Whoever sets that point puts back RIP, flags and the
 * general registers, so an instruction may change those before its last access; it must
 * not change segments, control registers or memory before it.
 */
struct x86_memory; /* the engine's slots: engine/x86/memory.h */
struct x86_cpu;

/* What a translator keeps in step with; all may be NULL; the vCPU's own thread. */
/* FLUSH_SWITCH: CR3 names another PCID now; lin is what it was, with FLUSH_KEEPS what is known of
 * the new one's own is still good.  Who does not tell them apart does as for FLUSH_NONGLOBAL. */
enum x86_flush { FLUSH_ALL, FLUSH_NONGLOBAL, FLUSH_SWITCH, FLUSH_PAGE };
#define FLUSH_KEEPS (1ull << 63)
struct x86_hooks {
    void (*flush)(struct x86_cpu *c, enum x86_flush how, u64 lin); /* cached translations */
    void (*wrote)(struct x86_cpu *c, u64 gpa, u32 len);            /* a store to RAM, before it */
    /* s.xsave is about to be used, or code that may use the host's vector registers: until
     * then the guest's may be in them, since engine/x86 and engine/interpret leave them alone */
    void (*vectors)(struct x86_cpu *c);
    void (*mode)(struct x86_cpu *c); /* CR0 CR4 EFER CS SS CPL or flags outside arithmetic */
};

struct x86_fault {
    u8 vector;
    bool has_code, trap; /* trap: RIP of the next instruction is saved */
    u32 code;
    u64 address; /* #PF: CR2 */
    u64 dr6;     /* #DB: bits to set */
};

/* What a fault puts back.  x86_step and x86_guard take it; x86_keep renews it. */
struct x86_restart {
    u64 gpr[16], rip, rflags;
    bool shadow, shadow_ss;
};

struct x86_cpu {
    struct x86_state s;
    const struct cpu_io *io;
    struct x86_memory *mem;
    const struct x86_hooks *hooks;
    u32 index;
    bool amd;     /* CPUID, SYSCALL and SYSENTER are as on AMD's */
    u32 apic_ids; /* vCPUs there are: CPUID's topology; 1 unless the engine says otherwise */
    u64 tsc_hz;
    u32 tsc_slow; /* the TSC counts 2^tsc_slow times slower than the host's */
    u64 clock_asked; /* the host's TSC until which io->clock need not be asked again */

    atomic_uint pending; /* set by kick: ask io->vector at the next boundary */
    bool window;         /* something waits for IF or the end of a shadow or NMI blocking */
    u8 asked;            /* with window: the OPEN_* that vector() was asked with */
    bool external;       /* an event is being delivered: error codes get their EXT bit */

    struct x86_fault fault;
    jmp_buf *escape;
    struct x86_restart restart;
    /* DR6 bits of traps that this instruction met: data and I/O breakpoints, TSS.T.  x86_step
     * clears it before and delivers #DB (trap) after the instruction when it is not 0 */
    u64 debug;
    /* #DB for single step is due after this instruction: TF before it, unless the instruction
     * is a system call or an interrupt, which decide by themselves */
    bool single;

    struct x86_lin_cache *lin;      /* the core's own small TLB: mmu.c */
    struct x86_insn_cache *insns;   /* decoded instructions: decode.c */
    struct x86_vector_unit *vector; /* stubs that run vector instructions: vector.c */
    bool split; /* it holds the lock of atomic accesses that are not one of the host's */
    u64 retired;
};

/* From here on a fault puts back what is now: an element of a REP or a task switch is done. */
static inline void x86_keep(struct x86_cpu *c)
{
    struct x86_restart *r = &c->restart;

    for (u32 i = 0; i < 16; i++)
        r->gpr[i] = c->s.gpr[i];
    r->rip = c->s.rip;
    r->rflags = c->s.rflags;
    r->shadow = c->s.shadow;
    r->shadow_ss = c->s.shadow_ss;
}
/* After a jump to escape: registers as x86_keep found them. */
static inline void x86_put_back(struct x86_cpu *c)
{
    const struct x86_restart *r = &c->restart;

    for (u32 i = 0; i < 16; i++)
        c->s.gpr[i] = r->gpr[i];
    c->s.rip = r->rip;
    c->s.rflags = r->rflags;
    c->s.shadow = r->shadow;
    c->s.shadow_ss = r->shadow_ss;
}

/* What is let in now: OPEN_*. */
static inline u32 x86_open(const struct x86_cpu *c)
{
    bool free = !c->s.shadow && !c->s.shadow_ss;

    return (free && (c->s.rflags & FLAG_IF) ? (u32)OPEN_INTR : 0) |
           (free && !c->s.nmi_blocked ? (u32)OPEN_NMI : 0);
}
/* Is x86_events to be called before the next instruction? */
static inline bool x86_must_ask(const struct x86_cpu *c)
{
    return atomic_load_explicit(&c->pending, memory_order_relaxed) ||
           (c->window && (x86_open(c) & ~(u32)c->asked));
}

int x86_cpu_init(struct x86_cpu *c, u32 index, const struct cpu_io *io, struct x86_memory *mem,
                 u64 tsc_hz, struct err *e);
void x86_cpu_fini(struct x86_cpu *c);

/* Made and freed with the vCPU: decode.c or step.c, vector.c.  0 or -ENOMEM. */
int x86_insn_cache_new(struct x86_cpu *c);
void x86_insn_cache_free(struct x86_cpu *c);
int x86_vector_unit_new(struct x86_cpu *c);
void x86_vector_unit_free(struct x86_cpu *c);

enum x86_stepped { STEPPED, STEP_HALT, STEP_SHUTDOWN };

/* One instruction, its exception delivered if it raised one.  A REP counts as one, but may
 * return early, RIP unchanged, when pending is set. */
enum x86_stepped x86_step(struct x86_cpu *c);

/* Take what waits, if the state lets it in: interrupt or NMI delivered (halted is cleared).
 * STEP_SHUTDOWN: triple fault.  *stop: io->vector answered VECTOR_STOP. */
enum x86_stepped x86_events(struct x86_cpu *c, bool *stop);

/* ---- faults: event.c ---- */
_Noreturn void x86_raise(struct x86_cpu *c, u8 vector);
_Noreturn void x86_raise_code(struct x86_cpu *c, u8 vector, u32 code);
_Noreturn void x86_raise_page(struct x86_cpu *c, u64 lin, u32 code);
/* Deliver c->fault (state as at the faulting instruction), with double and triple faults. */
enum x86_stepped x86_deliver_fault(struct x86_cpu *c);
/* Deliver an external interrupt, or VECTOR_NMI, that was acknowledged and may come in. */
enum x86_stepped x86_interrupt(struct x86_cpu *c, int vector);
/* Software interrupt INT n, INT3, INTO, INT1: next is the RIP after it. */
void x86_software_interrupt(struct x86_cpu *c, u8 vector, u64 next, bool icebp);
/* INT n in virtual 8086 mode, asked first: raises #GP by IOPL, or with CR4.VME goes through the
 * real-mode table: true when done. */
bool x86_v86_interrupt(struct x86_cpu *c, u8 vector, u64 next);
/* fn under a fault guard: false when it raised, c->fault says what; registers are put back. */
bool x86_guard(struct x86_cpu *c, void (*fn)(struct x86_cpu *c, void *arg), void *arg);

/* Before an instruction, while RF still counts (x86_step clears RF after this, before the
 * operation; a fault puts it back): raises #DB when an instruction breakpoint is at RIP. */
void x86_check_breakpoint(struct x86_cpu *c);
static inline bool x86_watching(const struct x86_cpu *c)
{
    return c->s.dr[7] & 0xff;
}
/* Data (kind 1 write, 3 read or write) and I/O (kind 2) breakpoints: adds to c->debug. */
void x86_watch(struct x86_cpu *c, u64 at, u32 size, bool write, bool port);

/* ---- memory: mmu.c ---- */
enum x86_access {
    ACCESS_CPL,    /* rights by the current privilege level */
    ACCESS_SYSTEM, /* descriptor tables, TSS: as a supervisor */
    ACCESS_USER,   /* as CPL 3, whatever it is */
};
/* Linear to guest-physical by the paging mode; raises #PF.  Sets A and D. */
u64 x86_translate(struct x86_cpu *c, u64 lin, bool write, bool fetch, enum x86_access a);
/* Same, without raising and without A or D: false when there is no mapping. */
bool x86_peek(struct x86_cpu *c, u64 lin, u64 *gpa);

/* What a walk found, for translation caches: rights are those of all levels together. */
struct x86_mapping {
    u64 gpa;  /* of the byte asked for */
    u64 size; /* of the page: 4 KiB, 2 MiB, 4 MiB, 1 GiB */
    bool user, write, exec, global;
    bool dirty; /* D is set: a write needs no further walk */
    u8 key;     /* protection key */
};
/* Walks and checks one access; 0, or the #PF error code | 1 << 31 (c->fault not touched). */
u32 x86_walk(struct x86_cpu *c, u64 lin, bool write, bool fetch, enum x86_access a,
             struct x86_mapping *m);

u64 x86_read(struct x86_cpu *c, u64 lin, u32 size, enum x86_access a); /* 1 2 4 8 bytes */
void x86_write(struct x86_cpu *c, u64 lin, u32 size, u64 val, enum x86_access a);
void x86_read_bytes(struct x86_cpu *c, u64 lin, void *to, u32 n, enum x86_access a);
/* Checks all n bytes before it stores one. */
void x86_write_bytes(struct x86_cpu *c, u64 lin, const void *from, u32 n, enum x86_access a);
void x86_probe_write(struct x86_cpu *c, u64 lin, u32 n, enum x86_access a); /* raises or not */
/* Host address of [lin, lin + n) inside one page of RAM; NULL: MMIO, ROM or page crossing.
 * With write the hooks have been told.  Raises #PF. */
void *x86_host(struct x86_cpu *c, u64 lin, u32 n, bool write, enum x86_access a);
/* At most 15 bytes of code at lin; as many as the page rights allow (>= 1, or it raises). */
u32 x86_fetch(struct x86_cpu *c, u64 lin, u8 code[16]);
/* Where the 16 bytes of code at lin are, in one page of RAM; NULL: use x86_fetch.  Raises. */
const u8 *x86_fetch_host(struct x86_cpu *c, u64 lin);
void x86_flush(struct x86_cpu *c, enum x86_flush how, u64 lin); /* and the hooks */
/* Compare and exchange of 1 2 4 8 16 bytes, atomic against other vCPUs when in RAM.
 * *old is what was there; true when replaced. */
/* A long jump has left x86_cmpxchg, from io. */
void x86_unsplit(struct x86_cpu *c);
bool x86_cmpxchg(struct x86_cpu *c, u64 lin, u32 size, void *old, const void *expect,
                 const void *want);

/* ---- segments: seg.c ---- */
/* Effective to linear address of an access of n bytes; raises #GP or #SS (limits, rights,
 * canonical form) and #AC. */
u64 x86_linear(struct x86_cpu *c, u8 seg, u64 off, u32 n, bool write);
void x86_check_aligned(struct x86_cpu *c, u64 lin, u32 n); /* raises #AC when it is asked for */
bool x86_canonical(const struct x86_cpu *c, u64 lin);
void x86_load_segment(struct x86_cpu *c, u8 seg, u16 sel);     /* MOV, POP, LDS ... : raises */
void x86_set_real_segment(struct x86_cpu *c, u8 seg, u16 sel); /* real and V86 mode */
void x86_load_ldtr(struct x86_cpu *c, u16 sel); /* LLDT and LTR, but for CPL: raise */
void x86_load_tr(struct x86_cpu *c, u16 sel);
/* LAR, LSL, VERR and VERW: false when the selector cannot be seen so. */
bool x86_access_rights(struct x86_cpu *c, u16 sel, u32 *rights);
bool x86_segment_limit(struct x86_cpu *c, u16 sel, u32 *limit);
bool x86_verify(struct x86_cpu *c, u16 sel, bool write);

/* ---- stack and near flow ---- */
void x86_push(struct x86_cpu *c, u64 val, u32 size);
u64 x86_pop(struct x86_cpu *c, u32 size);
void x86_jump_near(struct x86_cpu *c, u64 rip); /* limit and canonical checks: raises #GP */

/* ---- far transfers, tasks: far.c, task.c ---- */
void x86_far_jump(struct x86_cpu *c, u16 sel, u64 off, u64 next);
void x86_far_call(struct x86_cpu *c, u16 sel, u64 off, u64 next, u32 osize);
void x86_far_ret(struct x86_cpu *c, u32 osize, u32 extra);
void x86_iret(struct x86_cpu *c, u32 osize, u64 next);

/* ---- control and model: control.c, msr.c, cpuid.c ---- */
void x86_set_cr0(struct x86_cpu *c, u64 val); /* raise #GP */
void x86_set_cr3(struct x86_cpu *c, u64 val);
void x86_set_cr4(struct x86_cpu *c, u64 val);
void x86_set_efer(struct x86_cpu *c, u64 val);
void x86_set_xcr0(struct x86_cpu *c, u64 val);
void x86_set_pkru(struct x86_cpu *c, u32 val); /* flushes; raises nothing */
void x86_set_pkrs(struct x86_cpu *c, u32 val);
u64 x86_rdmsr(struct x86_cpu *c, u32 msr);
void x86_wrmsr(struct x86_cpu *c, u32 msr, u64 val);
u64 x86_rdtsc(struct x86_cpu *c);
/* The model: the host's features masked by what the engines can do; any thread. */
void x86_cpuid_model(u32 leaf, u32 sub, u32 regs[4]);
/* The guest's view: the model, the state's dynamic bits (OSXSAVE, OSPKE), then io->cpuid. */
void x86_cpuid(struct x86_cpu *c, u32 leaf, u32 sub, u32 regs[4]);

/* May an I/O instruction touch these ports?  Raises #GP. */
void x86_check_io(struct x86_cpu *c, u16 port, u32 size);
/* Tells the hooks that CR0 CR4 EFER CS SS CPL DR7 or flags outside arithmetic changed. */
void x86_mode_changed(struct x86_cpu *c);
/* POPF's rules by CPL and IOPL; sets flags and tells the hooks. */
void x86_set_flags(struct x86_cpu *c, u64 val, u64 mask);
/* A vector instruction may run: raises #UD or #NM by CR0, CR4, XCR0. */
void x86_check_vector(struct x86_cpu *c, const struct x86_insn *in);
#endif
