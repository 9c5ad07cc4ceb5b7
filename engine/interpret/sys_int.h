/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_INTERPRET_SYS_INT_H
#define ENGINE_INTERPRET_SYS_INT_H
#include "engine/interpret/op.h"

/* What the system operations share. */
static inline void sys_supervisor(struct x86_cpu *c)
{
    if (x86_cpl(&c->s))
        x86_raise_code(c, VEC_GP, 0);
}
static inline void sys_protected(struct x86_cpu *c)
{
    if (x86_real(&c->s) || x86_v86(&c->s))
        x86_raise(c, VEC_UD);
}
/* SGDT SIDT SLDT STR SMSW under CR4.UMIP. */
static inline void sys_umip(struct x86_cpu *c)
{
    if (c->s.cr4 & CR4_UMIP)
        sys_supervisor(c);
}
static inline void sys_put_pair(struct x86_cpu *c, u64 val) /* EDX:EAX */
{
    c->s.gpr[RAX] = (u32)val;
    c->s.gpr[RDX] = val >> 32;
}
static inline u64 sys_pair(const struct x86_cpu *c)
{
    return (u32)c->s.gpr[RAX] | c->s.gpr[RDX] << 32;
}
#endif
