/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_BUILD_H
#define ENGINE_TRANSLATE_BUILD_H
#include "engine/translate/translate_int.h"
#include "engine/x86/shape.h"

/*
 * A block being translated.  At each instruction boundary every guest register is in its
 * place; arithmetic flags are where `flags` says.  An instruction changes nothing before its
 * last access is known to succeed.
 */
enum flags_at { FLAGS_HOST, FLAGS_MEMORY, FLAGS_BOTH };

/* Code that stands behind the block's own: where it was left is `from`. */
struct late {
    u8 *from; /* displacement of the jump to it; NULL: nothing here jumps to it */
    u8 kind;  /* enum late_kind */
    u8 insn, flags, a, b;
    /* LATE_MISS_AT: page; LATE_EDGE: pc; LATE_STACK: displacement; LATE_GROUP: how many;
     * LATE_HOT: counter; LATE_TRACE: pc, or a group */
    u64 value;
    u8 *retry, *back;
};
enum late_kind {
    LATE_STACK,
    LATE_MISS,
    LATE_MISS_AT,
    LATE_EDGE,
    LATE_EXIT,
    LATE_POLL,
    LATE_INDIRECT,
    LATE_STEP,
    LATE_GROUP,
    LATE_HOT,
    LATE_TRACE
};
enum {
    LATES = 4 * TRACE_INSNS,
    VERIFY_INSNS = 16,
    CODE_ROOM = 64 << 10 /* more than a block takes */
};

struct access;
struct build {
    struct vcpu *v; /* on whose thread it is, or NULL */
    struct engine *g;
    struct block *b;
    struct emit e;
    struct tracer *trace; /* NULL: not one */
    struct x86_insn in[TRACE_INSNS];
    u64 pc[TRACE_INSNS + 1];
    u32 live[TRACE_INSNS + 1]; /* arithmetic flags that are still read, before each */
    u32 n, i;                  /* how many; which one is being translated */
    enum flags_at flags;
    u32 mode, set;
    u8 home[16];    /* host registers of the guest's, or X86_NOREG */
    const u8 *code; /* of the page, from b->pc */
    u32 ncode;      /* bytes of it in this page */
    bool ended;     /* the last instruction went somewhere itself */
    bool compare;   /* lock-step can compare the block */
    bool again;     /* in the place of a block whose bytes have changed */
    bool loose;     /* its bytes change often: constants may be read when it runs */
    bool verify;    /* it compares its bytes, at `host`, with what they were: a copy */
    const u8 *host;
    const u8 *page; /* of the first byte: `whole` when translated code is kept, else in memory */
    u8 whole[PAGE];
    u32 far[FARS]; /* with the top bit: the number of the block behind a call of C */
    u8 copy[VERIFY_INSNS * 15 + 1];
    struct late late[LATES];
    u32 nlate;
    struct block_exit exits[TRACE_EXITS];
    u32 nexit;
    struct x86_shapes shapes;
    _Alignas(64) u8 code_now[CODE_ROOM]; /* written here, then moved to its place */
};

static inline size_t gpr_at(u32 n)
{
    return offsetof(struct vcpu, c.s.gpr) + 8 * (size_t)n;
}
/* Where the next byte of code will be. */
static inline u8 *build_home(const struct build *t)
{
    return t->e.p + t->e.delta;
}
/* trace_code.c: what the rest of the translator asks of a trace being made */
bool trace_checks(const struct build *t); /* has the instruction an access to be checked? */
bool trace_operand(struct build *t, const struct access *a, struct xmem *m);
void trace_late(struct build *t, const struct late *l);
int build_undefined(struct build *t);
int build_finish(struct build *t);
u64 build_lines(u64 gpa, u32 len);
void build_start(struct build *t, struct vcpu *v, struct block *b, u8 *to);

/* Registers 9 to 11, unless a trace has put them elsewhere. */
static inline bool is_evicted(const struct build *t, u32 n)
{
    return t->home[n] == X86_NOREG;
}
static inline bool is_moving(const struct build *t)
{
    return t->mode & MODE_MOVES;
}
static inline u32 host_of(const struct build *t, u32 n) /* of one that is not evicted */
{
    return t->home[n];
}
static inline bool is_code64(const struct build *t)
{
    return (t->mode & MODE_SIZE) == X86_MODE64;
}

/* MOV of a constant that is read from the code each time, and that is not compared. */
static inline bool build_is_loose(const struct build *t, const struct x86_insn *in)
{
    return t->verify && t->loose && in->op == ZYDIS_MNEMONIC_MOV && in->opd[0].kind == OPD_GPR &&
           in->opd[1].kind == OPD_IMM && in->imm_size >= 4;
}

u32 flags_kept(const struct x86_insn *in); /* read only because they may stay as they are */
/* flags: before host flags are destroyed; before they are used; after they are written */
void flags_free(struct build *t, u32 live);
void flags_want(struct build *t);
void flags_restore(struct build *t);
/* before operand_check */
static inline void flags_for_access(struct build *t)
{
    if (!t->trace || trace_checks(t))
        flags_free(t, t->live[t->i]);
}

struct late *late_add(struct build *t, enum late_kind kind, u8 *from);
void late_emit(struct build *t);
void operand_stack_late(struct build *t, const struct late *l);
void site_emit(struct build *t, enum why why, u32 insn, u32 a, u32 b, const u8 *retry);

/* operand.c: the check of one access.  Destroys host flags (freed before), r10, r11. */
struct access {
    u8 seg, base, index, scale, asize;
    i64 disp; /* of a RIP base: the linear address, or with `page` less vcpu.page */
    bool page;
    u32 size; /* up to 255 */
    bool write;
};
void operand_of(const struct build *t, const struct x86_insn *in, struct access *a);
struct xmem operand_check(struct build *t, const struct access *a);
struct xmem operand_check_linear(struct build *t, const struct access *a, u8 *retry); /* at r10 */
struct xmem operand_host(struct build *t, const struct access *a);        /* no check; r10, r11 */
struct xmem operand_fold(struct build *t, struct xmem m);                 /* so that r10 is free */
void operand_address(struct build *t, const struct access *a); /* effective: r10 */
void operand_load_pc(struct build *t, u32 to, u64 pc); /* what pc is when it runs; within 4 GiB */
void operand_load_gpr(struct build *t, u32 to, u32 gpr);

/* flow.c, stack.c, plain.c: true when they translated it */
u64 flow_target(const struct build *t, u32 i); /* of a relative branch */
/* Is IP as long as the mode has it?  Otherwise a jump cuts it, or not. */
bool flow_near_size(const struct build *t, const struct x86_insn *in);
u32 flow_live(struct build *t, u64 pc); /* flags that are live there: translate.c */
void flow_edge(struct build *t, u64 pc);
void flow_jump_if(struct build *t, u32 jcc, u64 pc);
void flow_indirect(struct build *t);
void flow_load_target(struct build *t, const struct x86_insn *in);
void flow_poll(struct build *t, enum late_kind kind, u32 exit);
bool flow_insn(struct build *t, const struct x86_insn *in);
bool stack_insn(struct build *t, const struct x86_insn *in);
void stack_late(struct build *t, const struct late *l);
void stack_push_const(struct build *t, u64 val, u32 size, bool pc); /* pc: of this block */
void stack_move(struct build *t, i32 by);
bool system_insn(struct build *t, const struct x86_insn *in);
bool system_ends(const struct build *t, const struct x86_insn *in);
bool system_is_quiet(const struct build *t, const struct x86_insn *in);
bool entry_insn(struct build *t, const struct x86_insn *in);
bool plain_insn(struct build *t, const struct x86_insn *in);
bool plain_is_nothing(const struct x86_insn *in);    /* nothing is done, nothing accessed */
bool plain_is_bit_string(const struct x86_insn *in); /* its operand is not where it says */
#endif
