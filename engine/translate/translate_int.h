/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_TRANSLATE_INT_H
#define ENGINE_TRANSLATE_TRANSLATE_INT_H
#include "engine/translate/emit.h"
#include "engine/x86/cpu.h"
#include "engine/x86/memory.h"
#include <pthread.h>

/*
 * The block translator.  Guest code becomes host code that keeps guest registers in the same
 * host registers (guest rsp in r9; guest r9 r10 r11 in the vCPU block, since r10 and r11 are
 * scratch), arithmetic flags in the host's, x87 and vector state in the host's.  gs points to
 * struct vcpu.  Whatever is not translated is done by x86_step on the state in the block.
 *
 * Everything in this folder is compiled for general registers only, so C called from
 * translated code leaves the guest's vector state alone; vcpu_spill puts it into the block
 * before code that may use it is called.
 */
enum {
    TLB_BITS = 12,
    TLB_SIZE = 1 << TLB_BITS,
    WROTE_BITS = 14,
    TLB_SETS = 3, /* user; supervisor; supervisor with SMAP and AC */
    JUMP_BITS = 13,
    JUMP_KERNEL_BITS = 16, /* of slot 1 */
    JUMP_SIZE = 3 * (1 << JUMP_BITS) + (1 << JUMP_KERNEL_BITS),
    JUMP_SLOTS = 4,  /* by mode: 64-bit user, supervisor, supervisor with AC; the rest */
    LOG_SIZE = 1024, /* entries remembered for a cheap flush */
    BLOCK_INSNS = 64,
    BLOCK_EXITS = 8,
    TRACE_INSNS = 128,
    TRACE_EXITS = 64,
    TRACE_HELD = 8,      /* host registers that a trace takes from the guest's */
    TRACE_SLOTS = 16384, /* of all traces together */
    HEAT_SIZE = 4096,    /* counters of backward jumps */
    CPUID_SLOTS = 64,
    PAGE = 4096,
};
/* A page that no address is in, for tags that pages are compared with. */
#define TLB_NONE (~0ull)
enum {
    USED_GROUP = 16, /* entries for each bit of vcpu.tlb_used and jump_used */
    USED_TLB = TLB_SIZE / USED_GROUP / 64,
    USED_JUMP = (1 << JUMP_KERNEL_BITS) / USED_GROUP / 64,
};

struct tlb_entry {
    u64 read, write; /* linear page that the entry is good for, or TLB_NONE */
    u64 addend;      /* host address minus linear address */
    u64 gpa;         /* guest-physical page; bit 0: global */
};
struct jump {
    u64 pc;
    const u8 *host;
};
/* Which entries of a table were filled since it was flushed. */
struct fill_log {
    u32 n; /* > LOG_SIZE: too many to remember */
    u16 at[LOG_SIZE];
};
/* What was known of an address space when CR3 went to another one: spaces.c. */
enum { LEFT_SPACES = 8, LEFT_TLB = 64, LEFT_JUMPS = 128 };
struct left_space {
    u64 cr3; /* 0: nothing is kept */
    u32 kills, mode, ntlb, njump;
    struct {
        u32 set, at;
        struct tlb_entry e;
    } tlb[LEFT_TLB];
    struct jump jump[LEFT_JUMPS];
};
struct code_tlb {
    u64 page, gpa; /* page | user, or TLB_NONE; gpa | global */
    const u8 *host;
};
enum { CODE_TLB = 256 };
/*
 * What a trace knows of the memory that a group of its accesses is in: a linear page, and
 * host address minus linear address.
 */
struct trace_slot {
    u64 page, addend;
    u64 folded; /* addend and the registers; good for the round it was made in */
};
/*
 * The same for tags that addresses are XORed with: the last page's would look like TLB_NONE.  What
 * is taken for it is not canonical, nor is it with any addend: the access faults.
 */
#define SLOT_NONE 0x8000000000000000ull

/* What a block is translated for; also which tables its code uses. */
enum mode_bits {
    MODE_SIZE = 3, /* enum x86_mode */
    MODE_USER = 1 << 2,
    MODE_SET_SHIFT = 3,
    MODE_SET = 3 << MODE_SET_SHIFT,
    MODE_STACK16 = 1 << 5,
    MODE_FLAT = 1 << 6,   /* ES SS DS: base 0, 4 GiB, read and write */
    MODE_CS64K = 1 << 7,  /* CS limit ffff, else none that matters */
    MODE_NO_X87 = 1 << 8, /* these instructions are left to the interpreter */
    MODE_NO_SSE = 1 << 9,
    MODE_NO_AVX = 1 << 10,
    MODE_UNMASKED = 1 << 11, /* floating-point exceptions may be taken */
    MODE_RING0 = 1 << 12,
    MODE_SMAP = 1 << 13,
    MODE_TSC = 1 << 14,    /* RDTSC is allowed */
    MODE_MOVES = 1 << 15,  /* code runs at any linear page: pcs are offsets in vcpu.page */
    MODE_NEVER = 1u << 31, /* not translated at all */
};

/* What a vCPU's thread is doing. */
enum tier {
    TIER_OUT,
    TIER_CODE,
    TIER_DIRECT,
    TIER_C,
    TIER_INTERPRET,
    TIER_TRANSLATE,
    TIER_DEVICE,
    TIERS
};

/* Why translated code calls C: in the 8 bytes behind the call. */
enum why { WHY_MISS, WHY_STEP, WHY_EXIT, WHY_INDIRECT, WHY_POLL, WHY_STALE, WHY_HOT, WHY_KINDS };

/* Only ever added to by the vCPU's thread; others read them as they are. */
struct vcpu_stats {
    u64 why[WHY_KINDS], fault, event;
    u64 ports, mmio;       /* accesses to devices */
    u64 miss[2];           /* TLB entries filled: for reads, for writes */
    u64 promoted, stop[4]; /* direct execution: address spaces, by enum sandbox_stop */
    u64 refused, across;   /* misses left to the interpreter: no RAM or rights; two pages */
    u64 step[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* interpreted, by mnemonic; [0]: outside blocks */
    u64 ticks[TIERS], stamp;                /* host time stamps, when they are taken */
    enum tier tier;
};

enum { MEMO_ENTER = 1 << 4, MEMO_LEAVE = 1 << 5 };

struct vcpu {
    struct x86_cpu c; /* first */
    struct engine *engine;

    struct cpu_io io, real_io; /* io spills, then calls real_io */

    /* used by translated code */
    struct vcpu *self;
    const u8 *site;                /* where C was called from: behind the call; NULL: from enter */
    const u8 *resume;              /* where C wants to go on */
    u64 page;                      /* linear page that MODE_MOVES code runs in */
    u64 arg[2];                    /* r10 and r11 at the call */
    u64 keep[3];                   /* scratch */
    u16 flags;                     /* OF in the low byte, LAHF's in the high one */
    bool vectors;                  /* the guest's vector state is in the host's registers */
    bool upper;                    /* ... and is not 0 above XMM: see vcpu_main */
    const u8 *fault_at;            /* host address of a native fault */
    u64 fault_flags;               /* RFLAGS there */
    i64 seg_read[6], seg_write[6]; /* last offset that may be accessed in legacy modes; or -1 */
    struct { /* the page that the stack pointer was last used in, or SLOT_NONE; it may be written */
        u64 page, addend;
    } stack[TLB_SETS];
    u64 held[TRACE_HELD]; /* guest registers whose place a trace has taken */
    u8 slot_used[TRACE_SLOTS / USED_GROUP];
    u32 heat[HEAT_SIZE];

    struct cpuid_answer { /* by cpuid_slot; what does not belong there is no answer */
        u32 leaf, sub, r[4], unused[2];
    } cpuid[CPUID_SLOTS];
    bool cpuid_used;

    u8 memo_known; /* bits: of memo, and MEMO_* */
    struct crossing {
        struct x86_segment cs, ss;
        u32 mode;
    } enter, leave; /* what SYSCALL and SYSRET make of the state */

    /* the rest */
    u64 raw[TRACE_HELD];    /* what the trace had in their place when it called C */
    atomic_uint turn;       /* odd while translated code runs */
    atomic_bool slots_drop; /* slots are to be forgotten before translated code goes on */
    u32 mode;               /* of the state, when mode_known */
    bool mode_known, flushed;
    u32 memo[4]; /* mode in 64-bit code: at CPL 0 and 3, each with AC clear and set */
    struct {     /* what memo, enter and leave were made from */
        u64 cr0, cr4, efer, xcr0, dr7, star, fmask;
    } memo_of;
    u8 check_phase; /* enum check_phase */
    u32 slot_mode[JUMP_SLOTS];
    u64 slot_base[JUMP_SLOTS];
    /* what is not global: of the supervisor's set, of each slot */
    struct fill_log tlb_log, jump_log[JUMP_SLOTS];
    u64 tlb_used[TLB_SETS][USED_TLB]; /* bits: groups of entries filled since all were cleared */
    u64 jump_used[JUMP_SLOTS][USED_JUMP];
    u64 jump_pages[JUMP_SLOTS][64]; /* hashed pages that the jump cache has entries of */
    struct code_tlb code[CODE_TLB];
    struct left_space space[LEFT_SPACES]; /* by the low bits of the PCID */
    bool global_user;                     /* code of ring 3 ran from a global page, ever */
    u64 large[2][1024]; /* hashed 2 MiB and 1 GiB regions that large pages filled from */
    bool large_used;    /* one of them is not 0 */
    u64 wrote_gpa;      /* the interpreter's last store to a page of code, while wrote_len is not 0 */
    u32 wrote_len;
    enum stop stop;
    bool inside;             /* it may hold addresses of code and memory; under engine.cpus */
    atomic_uint asked, done; /* requests to flush everything: numbers */
    struct err *err;
    struct check *check;
    struct direct *direct;
    bool direct_on; /* the user code of some address spaces runs in a sandbox */
    u64 calls;      /* system calls of 64-bit code */
    u64 direct_cr3; /* the last of them, or ~0: its user code is entered by vcpu_next */
    struct vcpu_stats stats;

    u32 wrote[TLB_SETS][TLB_SIZE]; /* page numbers that each entry was last made writable for */
    u8 wrote_like[1 << WROTE_BITS];

    _Alignas(64) struct tlb_entry tlb[TLB_SETS][TLB_SIZE];
    struct jump jumps[JUMP_SIZE]; /* slot 0, 2, 3, then 1 */
    struct trace_slot slot[TRACE_SLOTS];
};

static inline u32 cpuid_slot(u32 leaf, u32 sub)
{
    return (leaf ^ leaf >> 26 ^ sub << 3) & (CPUID_SLOTS - 1);
}

/* A direct exit of a block. */
struct block_exit {
    struct block *from, *to; /* to: NULL while not linked */
    struct block_exit *next; /* among those linked to the same block */
    u8 *rel;                 /* the jump's displacement, to be patched */
    u8 *stub;                /* where it points when not linked */
    u64 pc;
    bool host_flags; /* flags are in the host when the jump is taken */
};
struct block {
    u64 gpa, gpa2, pc; /* gpa2: second page of an instruction that crosses, or 0 */
    u32 mode, id;
    u16 len;
    u8 ninsn, nexit;
    atomic_bool dead;
    bool interpret;       /* its first instruction is not translated */
    bool no_trace : 1;    /* none can be made from here */
    bool trace_waits : 1; /* its path waits for the thread that makes traces */
    u8 trace_tried;
    struct trace *trace;  /* NULL: a block */
    const u8 *code;       /* where its host code starts; executable addresses, all three */
    const u8 *entry;      /* with flags in memory */
    const u8 *entry_host; /* with flags in the host */
    const u8 *end;
    u32 *host;      /* per instruction: offset in the code cache, 0 when none */
    u16 *op;        /* per instruction: its mnemonic, and OP_* */
    u16 *at;        /* per instruction, and the end: offset of its bytes */
    u32 *undefined; /* lock-step only: flags undefined behind each; NULL: not compared */
    u64 host_flags[TRACE_INSNS / 64]; /* bit n: a native fault of instruction n has its flags
                                         in the host */
    u64 lines; /* 64-byte pieces of the page that the translation depends on */
    struct block *hash_next, *page_next, *page2_next;
    struct block_exit *exits, *incoming;
};

enum {
    OP_WIDE = 1 << 15,  /* operand size 8 */
    OP_PIECE = 1 << 14, /* REP with flat addresses as wide as the mode: string_step may do it */
    OP_NAME = OP_PIECE - 1
};
_Static_assert((int)ZYDIS_MNEMONIC_MAX_VALUE <= (int)OP_NAME, "names and flags share a word");

/*
 * The hot path from a block's start, made of the blocks that it went through; the rest of
 * struct block counts for it as well, but for `at`.  It shadows the block in the hash.
 */
struct trace {
    struct block *head;
    u64 page;                /* linear page of the head; MODE_MOVES: the trace runs at no other */
    u32 nheld;               /* registers taken: gpr[] */
    u8 gpr[TRACE_HELD];      /* whose host register is taken */
    u8 home[TRACE_HELD];     /* X86_NOREG: for an addend; or for this register */
    u64 pc[TRACE_INSNS + 1]; /* of each instruction, and the end; as block.pc counts */
};
struct trace_ref { /* a page that a trace depends on */
    struct trace_ref *next;
    struct block *b;
    u64 lines;
};

struct code_page {
    struct code_page *next;
    u64 gpa;
    u32 quiet;   /* stores since the last block there died and none was made */
    u32 hits;    /* stores seen since `since` */
    u64 since;   /* host time stamp */
    bool verify; /* stores go unseen: its blocks compare their bytes first */
    bool user;   /* the last block of it was of ring 3 */
    struct code_page *verify_next;
    u64 lines;                    /* 64-byte pieces that hold translated bytes */
    struct block *first, *second; /* that start here; that reach in from the page before */
    struct trace_ref *traces;
};

enum { HASH_SIZE = 1 << 18, PAGE_HASH = 1 << 12, MAX_VCPUS = 64 };
enum { PAGE_CODE = 1, PAGE_WRITTEN = 2 }; /* engine.page flags */

struct engine {
    struct engine_options options;
    struct x86_memory mem;
    struct x86_hooks hooks;

    u8 *rw, *rx;           /* the two mappings of the code cache */
    atomic_uint kills;     /* counts before and after a block is taken out of the tables */
    u64 size, used, start; /* start: behind the fixed code */
    u64 ready;             /* pages up to here are in memory */
    u8 *go_in, *to_c, *to_c_flags, *on_fault, *no_jump; /* fixed code, writable addresses */
    u8 *stack_look[TLB_SETS][2];                        /* ... for reads, for writes */
    u8 *cpuid_look;
    u8 *piece[TLB_SETS][2][2]; /* REP STOS, MOVS: of bytes, of eight */

    pthread_mutex_t lock; /* translation, links, pages */
    struct block **hash;
    struct code_page *page_hash[PAGE_HASH];
    struct code_page *verify; /* pages that are in this mode */
    u64 verify_tried;         /* host time stamp: when they were last taken out of it */
    struct block **blocks;    /* by id, in order of host address */
    u32 nblock, room;
    struct chunk *chunks;
    struct build *build; /* the translator's work space */
    struct tracer *tracer;
    struct trace_beside *beside;
    u32 nslot;        /* slots given to traces */
    _Atomic u8 *page; /* a byte a guest page: PAGE_* */
    u8 *direct;       /* a byte a guest page: sandboxes that may write to it */
    u64 pages;

    pthread_mutex_t cpus;
    pthread_cond_t parked;
    struct vcpu *vcpu[MAX_VCPUS];
    u32 nvcpu;              /* under lock */
    atomic_bool stop_world; /* the cache is about to be emptied: come out */
    u32 cpus_in;            /* vCPUs that hold addresses of translated code */

    u64 count_block, count_insn, count_bytes, count_invalid, count_full;
    struct keep *keep;               /* translated code for the next run; or NULL */
    u64 record_bytes;                /* of chunks */
    _Atomic u64 idle_looked;         /* host time stamp */
    u32 idle_times; /* one after the other, little work was done */
    i64 idle_ns, idle_cpu;           /* then: monotonic time, the process' time on processors */
    struct eyes *eyes;               /* or NULL */
    u64 open_tsc;                    /* when it was opened: host time stamp */
    i64 open_ns;                     /* ... and monotonic time */
    u64 count_trace, count_no_trace; /* made; given up */
};

static inline u8 *engine_rx(const struct engine *g, const u8 *rw)
{
    return g->rx + (rw - g->rw);
}
static inline u8 *engine_rw(const struct engine *g, const u8 *rx)
{
    return g->rw + (rx - g->rx);
}
static inline u32 mode_set(u32 mode)
{
    return (mode & MODE_SET) >> MODE_SET_SHIFT;
}
static inline u32 mode_slot(u32 mode)
{
    return (mode & MODE_SIZE) == X86_MODE64 ? mode_set(mode) : 3;
}

/* The entry of a pc: one of `mask + 1` from `first` on. */
static inline u32 jump_first(u32 slot)
{
    static const u32 place[] = { 0, 3, 1, 2 };

    return place[slot] << JUMP_BITS;
}
static inline u32 jump_mask(u32 slot)
{
    return (1u << (slot == 1 ? JUMP_KERNEL_BITS : JUMP_BITS)) - 1;
}

/* RIP at an offset that a block knows. */
static inline u64 block_rip(const struct vcpu *v, const struct block *b, u64 pc)
{
    return b->mode & MODE_MOVES ? v->page + pc : pc;
}
/* ... of its instruction i, or of what follows the last. */
static inline u64 block_pc(const struct block *b, u32 i)
{
    return b->trace ? b->trace->pc[i] : b->pc + b->at[i];
}

/* What a miss was for; MISS_BOTH: a read now, but the entry is to allow stores as well. */
enum miss { MISS_READ, MISS_WRITE, MISS_STEP, MISS_BOTH = 4 };
enum hot { HOT_NEAR, HOT_FAR, HOT_MOVED };
struct site { /* the 8 bytes behind a call of C, and where to go on */
    u32 block;
    u8 why, insn; /* number in the block */
    u8 a, b;   /* WHY_MISS: bytes, enum miss; WHY_EXIT: number of the exit; WHY_HOT: it, enum hot */
    i32 retry; /* WHY_MISS: from the site to where to go on; WHY_HOT: its counter */
};

/* glue.c: the fixed code, and moving vector state */
int glue_emit(struct engine *g);
void glue_enter(struct vcpu *v);
void vcpu_spill(struct vcpu *v);
int glue_signals(void);
extern _Thread_local struct vcpu *glue_vcpu;

/* tlb.c */
void tlb_init(struct vcpu *v);
bool tlb_fill(struct vcpu *v, u64 lin, bool write); /* false: only the interpreter can do it */
void tlb_flush(struct vcpu *v, enum x86_flush how, u64 lin);
void tlb_drop_writes(struct engine *g, u64 gpa); /* no store to the page goes unseen from now */
void tlb_put(struct vcpu *v, u32 set, u32 at, const struct tlb_entry *e); /* as it was */
const u8 *tlb_code(struct vcpu *v, u64 lin, u64 *gpa); /* host address of code; NULL: none */
void jump_add(struct vcpu *v, u32 mode, u64 pc, const struct block *b, bool global);
void jump_put(struct vcpu *v, u32 slot, const struct jump *j);
void jump_drop(struct vcpu *v, u64 pc, const u8 *host);
void jump_slot(struct vcpu *v, u32 mode); /* the mode's part of the jump cache is its own */

/* spaces.c */
void spaces_save(struct vcpu *v, u64 cr3);  /* before what it knows is flushed */
void spaces_restore(struct vcpu *v);        /* of CR3, after the flush */
void spaces_drop(struct vcpu *v, bool all); /* or only those of CR3's PCID */

/* cache.c: blocks, links, code pages; engine lock held but for cache_map and cache_wrote* */
int cache_map(u64 size, u8 **rw, u8 **rx, struct err *e);
int cache_open(struct engine *g, struct err *e);
void cache_close(struct engine *g);
void *cache_alloc(struct engine *g, size_t n);
void cache_ahead(struct engine *g); /* before code is written at g->used */
struct block *cache_find(struct engine *g, u64 gpa, u64 gpa2, u64 pc, u32 mode);
int cache_add(struct engine *g, struct block *b);
struct block *cache_by_host(struct engine *g, const u8 *rx);
void cache_link(struct engine *g, struct block_exit *x, struct block *to);
/* A store, before or after it: was there code?  Then, when told before, cache_wrote_done after. */
bool cache_wrote(struct engine *g, u64 gpa, u64 len);
void cache_wrote_done(struct engine *g, u64 gpa, u64 len);
bool cache_verifies(struct engine *g, u64 gpa); /* blocks of the page are to verify themselves */
void cache_unseen(struct engine *g, u64 gpa);   /* stores to the page go unseen from now */
void cache_kill(struct engine *g, struct block *b);
void cache_unlink_exits(struct engine *g, struct block *b);
void cache_calm(struct engine *g); /* now and then: pages out of verify mode; takes the lock */
void cache_empty(struct engine *g);
/* Asked when a vCPU halts: has the guest done next to nothing lately, and has much code? */
bool cache_is_too_much(struct vcpu *v);

/* block.c; engine lock held.  gpa: of the first byte, and of the next page; code: n[0]
 * bytes up to the end of the page and n[1] of the next one; host: where they are in memory.
 * -ENOSPC: the cache is full. */
int translate_open(struct engine *g);
void translate_close(struct engine *g);
int translate_block(struct vcpu *v, const u64 gpa[2], u64 pc, u32 mode, const u8 *code,
                    const u32 n[2], const u8 *host, struct block **b);

/*
 * A block that verifies itself, made anew where it is: its entries and links to it stay good.
 * No other vCPU may be there.  false: it cannot be, and the block is to be dropped.
 */
bool translate_again(struct vcpu *v, struct block *b, const u8 *code, u32 n, const u8 *host);

/* trace.c */
void trace_register(void); /* best before there are threads: then it waits for nobody */
void trace_beside_forget(struct engine *g); /* paths that wait; engine lock held */
int trace_open(struct engine *g);
void trace_close(struct engine *g);
void trace_init(struct vcpu *v);
/* From s.rip on: a trace, if one can be made.  false: the guest has shut down. */
bool trace_hot(struct vcpu *v, u32 heat);
void trace_drop(struct vcpu *v, struct block *b, u32 heat); /* it is mapped elsewhere now */
bool trace_watch(struct vcpu *v, const struct block *b);    /* lock-step: it counts blocks */
void trace_out(struct vcpu *v, const struct block *b); /* C was called: the guest's registers */
void trace_in(struct vcpu *v, const struct block *b);  /* and back, where C was called */
void trace_forget(struct vcpu *v);                     /* what the slots say */
void trace_drop_writes(struct engine *g); /* every vCPU's slots; its TLB has no such entry now */
/* cache.c: a page that a new trace depends on; no block is made anew while it is alive */
int cache_trace(struct engine *g, u64 gpa, struct block *b, u64 lines);
void cache_install(struct engine *g, struct block *b);

/* run.c */
u32 vcpu_mode(struct vcpu *v);
void vcpu_memo(struct vcpu *v); /* control state may have changed: what is known of modes */
enum x86_stepped vcpu_interpret(struct vcpu *v, u32 op); /* one instruction, at s.rip */
void vcpu_wrote(struct vcpu *v); /* the store that the engine was told of has been done */
struct block *vcpu_block(struct vcpu *v, u32 mode, bool *global);
/* Arithmetic flags from the block's form into RFLAGS, and back. */
void flags_pack(struct vcpu *v);
void flags_unpack(struct vcpu *v);
/* Is something of the registers' parts above XMM not 0? */
static inline bool vcpu_upper(const u8 *xsave)
{
    u64 any = 0;

    for (u32 i = 576; i < X86_XSAVE_SIZE; i += 8) {
        u64 part;

        __builtin_memcpy(&part, xsave + i, 8);
        any |= part;
    }
    return any;
}
const u8 *vcpu_main(struct vcpu *v); /* called by the fixed code; where to go on; NULL: leave */
void vcpu_step_in(struct vcpu *v);
void vcpu_step_out(struct vcpu *v);
void vcpu_loaded(struct vcpu *v);
void vcpu_poke(struct vcpu *v); /* any thread: it comes out of its code soon */

/* stats.c */
void stats_show(const struct engine *g, void (*one)(void *arg, const struct engine_stat *s),
                void *arg);
i64 stats_now(void); /* monotonic, ns */
/* From now on the thread does something else; what it did. */
static inline enum tier tier_set(struct vcpu *v, enum tier tier)
{
    struct vcpu_stats *s = &v->stats;
    enum tier was = s->tier;
    u64 now;

    if (!v->engine->options.eyes.time)
        return was;
    now = __builtin_ia32_rdtsc();
    s->ticks[was] += now - s->stamp;
    s->stamp = now;
    s->tier = tier;
    return was;
}

/* eyes.c: vector state spilled, engine lock held but for open and close */
int eyes_open(struct engine *g, struct err *e);
void eyes_close(struct engine *g);
void eyes_made(struct vcpu *v, const struct block *b, u64 rip, const u8 *code);

/* io.c */
void vcpu_io(struct vcpu *v, const struct cpu_io *real);

/* string.c: at s.rip, elements of `size` bytes; false: not done, or not to its end */
bool string_step(struct vcpu *v, u32 size, bool move, u64 next);

/* What CPUID answers may have changed. */
void cpuid_forget(struct vcpu *v);
/* fast.c: instruction i of b, RIP at it, done in the common case: true; else it still is to be
 * done, or what is left of it */
bool fast_step(struct vcpu *v, const struct block *b, u32 i);

/* check.c; vector state spilled, flags packed */
enum check_phase { CHECK_NONE, CHECK_TRIAL, CHECK_RUN };
int check_new(struct vcpu *v);
void check_free(struct vcpu *v);
void check_before(struct vcpu *v, const struct block *b);
bool check_after(struct vcpu *v);
void check_wrote(struct vcpu *v, u64 gpa, u32 len);
#endif
