/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What programs may ask about descriptors and ports: LAR, LSL, VERR, VERW (Intel SDM volume
 * 2), and the I/O permission bitmap (volume 1, 19.5).
 */
#include "engine/x86/x86_int.h"

static bool query_read(struct x86_cpu *c, u16 sel, struct x86_descriptor *d)
{
    return (sel & ~3) && x86_descriptor_read(c, sel, d);
}

/* Does the level let the selector be seen? */
static bool query_visible(const struct x86_cpu *c, const struct x86_descriptor *d)
{
    return desc_conforming(d) || (desc_dpl(d) >= x86_cpl(&c->s) && desc_dpl(d) >= (d->sel & 3u));
}

/* System descriptors that LAR (and, but for gates, LSL) knows. */
static bool query_system(const struct x86_cpu *c, u32 type, bool gates)
{
    u32 legacy = 1u << DESC_TSS16 | 1u << DESC_TSS16_BUSY;
    u32 both = 1u << DESC_LDT | 1u << DESC_TSS | 1u << DESC_TSS_BUSY;

    if (gates) {
        both |= 1u << DESC_CALL;
        legacy |= 1u << DESC_CALL16 | 1u << DESC_TASK;
    }
    return ((x86_long(&c->s) ? both : both | legacy) >> type & 1);
}

bool x86_access_rights(struct x86_cpu *c, u16 sel, u32 *rights)
{
    struct x86_descriptor d;

    if (!query_read(c, sel, &d) || !query_visible(c, &d))
        return false;
    if (desc_system(&d) && !query_system(c, desc_type(&d), true))
        return false;
    *rights = (u32)(d.low >> 32) & 0xf0ff00;
    return true;
}

bool x86_segment_limit(struct x86_cpu *c, u16 sel, u32 *limit)
{
    struct x86_descriptor d;

    if (!query_read(c, sel, &d) || !query_visible(c, &d))
        return false;
    if (desc_system(&d) && !query_system(c, desc_type(&d), false))
        return false;
    *limit = x86_descriptor_segment(&d).limit;
    return true;
}

bool x86_verify(struct x86_cpu *c, u16 sel, bool write)
{
    struct x86_descriptor d;

    if (!query_read(c, sel, &d) || desc_system(&d) || !query_visible(c, &d))
        return false;
    if (desc_is_code(&d))
        return !write && (desc_type(&d) & TYPE_RW);
    return !write || (desc_type(&d) & TYPE_RW);
}

void x86_check_io(struct x86_cpu *c, u16 port, u32 size)
{
    const struct x86_state *s = &c->s;
    const struct x86_segment *tr = &s->seg[SEG_TR];
    u32 at;
    u64 map;

    if (x86_real(s) || (!x86_v86(s) && x86_cpl(s) <= (s->rflags >> 12 & 3)))
        return;
    if (!(tr->attr & 8) || tr->limit < 0x67)
        x86_raise_code(c, VEC_GP, 0);
    at = (u32)x86_read(c, tr->base + 0x66, 2, ACCESS_SYSTEM) + port / 8;
    if (at + 1 > tr->limit)
        x86_raise_code(c, VEC_GP, 0);
    map = x86_read(c, tr->base + at, 2, ACCESS_SYSTEM);
    if (map >> (port & 7) & ((1u << size) - 1))
        x86_raise_code(c, VEC_GP, 0);
}
