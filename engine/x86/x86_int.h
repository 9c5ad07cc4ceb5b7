/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_X86_INT_H
#define ENGINE_X86_X86_INT_H
#include "engine/x86/cpu.h"
#include "engine/x86/memory.h"

/* What the files of the core share: descriptors, stacks under construction, events. */

enum {
    DESC_TSS16 = 1,
    DESC_LDT = 2,
    DESC_TSS16_BUSY = 3,
    DESC_CALL16 = 4,
    DESC_TASK = 5,
    DESC_INT16 = 6,
    DESC_TRAP16 = 7,
    DESC_TSS = 9,
    DESC_TSS_BUSY = 0xb,
    DESC_CALL = 0xc,
    DESC_INT = 0xe,
    DESC_TRAP = 0xf
};
enum { TYPE_CODE = 8, TYPE_CONFORM = 4, TYPE_DOWN = 4, TYPE_RW = 2, TYPE_ACCESSED = 1 };

/* A descriptor as it was read: the eight bytes, in system ones of long mode the next four. */
struct x86_descriptor {
    u64 low;
    u32 high;
    u16 sel;
    u64 at; /* linear address */
};

/* segments: seg.c */
bool x86_descriptor_read(struct x86_cpu *c, u16 sel, struct x86_descriptor *d); /* false: limit */
/* ... or raises vector with the selector. */
void x86_descriptor_get(struct x86_cpu *c, u16 sel, u8 vector, struct x86_descriptor *d);
/* The upper half of a 16-byte system descriptor in long mode; raises. */
void x86_descriptor_high(struct x86_cpu *c, struct x86_descriptor *d, u8 vector);
struct x86_segment x86_descriptor_segment(const struct x86_descriptor *d);
void x86_descriptor_accessed(struct x86_cpu *c, struct x86_descriptor *d);
/* Sets or clears the busy bit of a TSS descriptor in memory. */
void x86_descriptor_busy(struct x86_cpu *c, const struct x86_descriptor *d, bool busy);
_Noreturn void x86_raise_sel(struct x86_cpu *c, u8 vector, u16 sel); /* with EXT */
_Noreturn void x86_raise_zero(struct x86_cpu *c, u8 vector);         /* code 0, with EXT */
struct x86_segment x86_null_segment(u16 sel, u32 dpl);
/* The checks for SS at level cpl; vector for all but not present (#SS). */
struct x86_segment x86_stack_segment(struct x86_cpu *c, u16 sel, u32 cpl, u8 vector,
                                     struct x86_descriptor *d);
static inline u32 desc_type(const struct x86_descriptor *d)
{
    return d->low >> 40 & 0xf;
}
static inline bool desc_system(const struct x86_descriptor *d)
{
    return !(d->low >> 44 & 1);
}
static inline u32 desc_dpl(const struct x86_descriptor *d)
{
    return d->low >> 45 & 3;
}
static inline bool desc_present(const struct x86_descriptor *d)
{
    return d->low >> 47 & 1;
}
static inline bool desc_long(const struct x86_descriptor *d)
{
    return d->low >> 53 & 1;
}
static inline bool desc_db(const struct x86_descriptor *d)
{
    return d->low >> 54 & 1;
}
static inline bool desc_is_code(const struct x86_descriptor *d)
{
    return !desc_system(d) && (desc_type(d) & TYPE_CODE);
}
static inline bool desc_conforming(const struct x86_descriptor *d)
{
    return desc_is_code(d) && (desc_type(d) & TYPE_CONFORM);
}

/* A stack that is not, or not yet, SS:RSP. */
struct x86_stack {
    struct x86_segment ss;
    u64 sp;
    enum x86_access access;
    bool flat; /* 64-bit: no segment */
    u16 code;  /* error code of a #SS for this stack */
};
struct x86_stack x86_stack_here(const struct x86_cpu *c);
void x86_stack_push(struct x86_cpu *c, struct x86_stack *k, u32 size, u64 val);
u64 x86_stack_peek(struct x86_cpu *c, const struct x86_stack *k, u32 at, u32 size);
void x86_stack_drop(struct x86_stack *k, u64 n);                     /* moves sp up */
void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *k); /* sp to RSP */
/* SS:SP (or RSP) of level cpl from the TSS; raises #TS. */
void x86_stack_inner(struct x86_cpu *c, u32 cpl, u16 *sel, u64 *sp);
u64 x86_stack_rsp(struct x86_cpu *c, u32 n); /* long mode: 0-2 RSPn, 4-10 ISTn - 3 */

/* transfers: far.c, task.c */
void x86_load_cs(struct x86_cpu *c, struct x86_descriptor *d, u32 cpl);
void x86_check_rip(struct x86_cpu *c, const struct x86_descriptor *cs, u64 rip);
enum x86_task_how { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT };
void x86_task_switch(struct x86_cpu *c, struct x86_descriptor *tss, enum x86_task_how how,
                     u64 next);

/* paging */
u32 x86_phys_bits(void); /* by the CPUID model: cpuid.c */
bool x86_has_gib_pages(void);
u64 x86_cr4_allowed(void);
u64 x86_xcr0_allowed(void);
void x86_load_pdptes(struct x86_cpu *c, u64 cr3, u64 cr0, u64 cr4); /* raises #GP */
int x86_lin_new(struct x86_cpu *c);
void x86_lin_free(struct x86_cpu *c);
#endif
