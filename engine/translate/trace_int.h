/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_TRACE_INT_H
#define ENGINE_TRANSLATE_TRACE_INT_H
#include "engine/translate/build.h"

/*
 * A trace being made: a loop, or a straight path, as it was run once.  Each general register is, at each
 * instruction, a root plus a constant; a root is the register's value at the head (its number)
 * or the result of an instruction (16 and up).  Accesses with the same roots are a group.
 */
struct trace_path { /* what was recorded; nothing in it is believed when the trace is made */
    u32 n;
    bool loop;               /* it ends where it began */
    u64 pc[TRACE_INSNS + 1]; /* linear */
    u64 gpa[TRACE_INSNS];    /* bit 63: its page is global */
    u64 gpr[16];             /* at the head */
    u64 seg[2];              /* bases of FS and GS */
};
#define PATH_GLOBAL (1ull << 63)

struct trace_value {
    i16 root;
    i64 off;
};

enum trace_class {
    GROUP_STEADY, /* at the same place in each round: checked at the head */
    GROUP_STEP,   /* moves by a constant: checked before the loop, and again behind the bound */
    GROUP_PAGE,   /* each round: is it in the same page as last time? */
    GROUP_LOOK    /* each round: looked up */
};
enum { NO_ROOT = -1, NO_GROUP = 0xff, NO_REG = 0xff, TRACE_GROUPS = 64, TRACE_PAGES = 8 };

struct trace_key {
    i16 base, index;
    u8 scale, seg; /* seg: FS, GS or X86_NOREG */
    i64 off;       /* with no root and no segment: the linear address */
};
struct trace_group {
    struct trace_key key; /* off does not count */
    i64 lo, hi;           /* offsets of its bytes */
    i64 step;
    u32 slot, uses, first; /* first: instruction that comes first */
    u8 class;              /* enum trace_class */
    u8 reg;                /* host register that holds the addend, or NO_REG */
    bool write, fold_base, fold_index;
    bool asked; /* the code that checks it each round was written */
};

struct tracer {
    const struct trace_path *path;
    u64 frame; /* linear less pc */
    struct trace_value val[TRACE_INSNS + 1][16];
    u32 nroot;
    u16 steady; /* registers that end as they began, but for a constant */
    struct trace_group group[TRACE_GROUPS];
    u32 ngroup;
    u8 of[TRACE_INSNS][2]; /* groups of an instruction's accesses */
    bool checks[TRACE_INSNS];
    u8 leader; /* register that the bound is for, or NO_REG: no group steps */
    u32 bound; /* slot whose page is the bound */
    u64 page[TRACE_PAGES], page_gpa[TRACE_PAGES]; /* linear, and physical | global */
    u64 page_lines[TRACE_PAGES];
    u32 npage; /* the head's first */
    struct trace *made;
    u16 spare;               /* host registers that are free */
    u8 group_of[TRACE_HELD]; /* of the registers held */
    u8 *recheck, *top, *fail, *moved;
};

/* trace_path.c: false: no trace can be made of it */
bool trace_analyse(struct build *t);
bool trace_key_of(const struct build *t, u32 i, const struct access *a, struct trace_key *k);
bool trace_same(const struct trace_key *a, const struct trace_key *b);
/* the stack access of PUSH, POP, CALL, RET, LEAVE; false: it has none */
bool trace_stack_access(const struct x86_insn *in, struct access *a);
bool trace_wants(const struct engine *g, const struct x86_insn *in);
static inline i64 trace_abs(i64 v)
{
    return v < 0 ? -v : v;
}

/* trace.c: now; engine lock held.  v: on whose thread it is, or NULL */
void trace_make(struct engine *g, struct vcpu *v, struct block *head, const struct trace_path *p);
/* trace_beside.c: it is made by another thread, or found again; false: there is none */
bool trace_leave(struct engine *g, struct block *head, const struct trace_path *p);
int trace_beside_open(struct engine *g);
void trace_beside_close(struct engine *g);

/* trace_code.c: false: not all of it could be translated */
bool trace_emit(struct build *t);
#endif
