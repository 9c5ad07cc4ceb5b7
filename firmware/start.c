/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The states of the processor in which kernels begin: flat 32-bit protected mode (multiboot,
 * PVH, Linux 32-bit protocol) and long mode with the first 4 GiB mapped one to one (Linux
 * 64-bit protocol).  Selectors are Linux's: code 0x10, data 0x18; TSS 0x20.
 */
#include "firmware/boot_int.h"

enum { SEL_CODE = 0x10, SEL_DATA = 0x18, SEL_TSS = 0x20 };
enum {
    ATTR_CODE32 = 0xb | ATTR_S | ATTR_P | ATTR_DB | ATTR_G,
    ATTR_CODE64 = 0xb | ATTR_S | ATTR_P | ATTR_L | ATTR_G,
    ATTR_DATA = 0x3 | ATTR_S | ATTR_P | ATTR_DB | ATTR_G,
    ATTR_TSS = 0xb | ATTR_P,
};
enum { PAGE_P = 1, PAGE_W = 2, PAGE_LARGE = 0x80 };

/* The 8 bytes of a descriptor: SDM 3A 3.4.5. */
static u64 start_descriptor(u64 base, u32 limit, u32 attr)
{
    u64 d = (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40;

    return d | (u64)(limit >> 16 & 0xf) << 48 | (u64)(attr >> 12 & 0xf) << 52 |
           (base >> 24 & 0xff) << 56;
}

static int start_segments(struct boot *b, u32 code, struct x86_state *s, struct err *e)
{
    static const u8 data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    u8 gdt[0x30] = { 0 };

    put_le64(gdt + SEL_CODE, start_descriptor(0, 0xfffff, code));
    put_le64(gdt + SEL_DATA, start_descriptor(0, 0xfffff, ATTR_DATA));
    put_le64(gdt + SEL_TSS, start_descriptor(INFO_TSS, 0x67, ATTR_TSS));
    s->gdtr = (struct x86_table){ .base = INFO_GDT, .limit = sizeof(gdt) - 1 };
    s->idtr = (struct x86_table){ 0 };
    s->seg[SEG_CS] = (struct x86_segment){ .sel = SEL_CODE, .limit = ~0u, .attr = code };
    for (u32 i = 0; i < LEN(data); i++)
        s->seg[data[i]] = (struct x86_segment){ .sel = SEL_DATA, .limit = ~0u, .attr = ATTR_DATA };
    s->seg[SEG_TR] =
        (struct x86_segment){ .sel = SEL_TSS, .base = INFO_TSS, .limit = 0x67, .attr = ATTR_TSS };
    return place(b, INFO_GDT, gdt, sizeof(gdt), "descriptor table", e);
}

int start_flat32(struct boot *b, u64 entry, struct x86_state *s, struct err *e)
{
    x86_state_reset(s, 0);
    s->cr0 = CR0_PE | CR0_ET;
    s->rip = entry;
    s->rflags = FLAG_ONE;
    memset(s->gpr, 0, sizeof(s->gpr));
    return start_segments(b, ATTR_CODE32, s, e);
}

/* One top table, one of 1 GiB entries, four of 2 MiB pages. */
static int start_tables(struct boot *b, struct err *e)
{
    u64 t[512] = { INFO_TABLES + 0x1000 + PAGE_P + PAGE_W };
    int r = place(b, INFO_TABLES, t, sizeof(t), "page tables", e);

    for (u64 i = 0; i < 512; i++)
        t[i] = i < 4 ? INFO_TABLES + 0x2000 + i * 0x1000 + PAGE_P + PAGE_W : 0;
    r = r ? r : place(b, INFO_TABLES + 0x1000, t, sizeof(t), "page tables", e);
    for (u64 gib = 0; gib < 4 && !r; gib++) {
        for (u64 i = 0; i < 512; i++)
            t[i] = (gib << 30 | i << 21) + PAGE_P + PAGE_W + PAGE_LARGE;
        r = place(b, INFO_TABLES + 0x2000 + gib * 0x1000, t, sizeof(t), "page tables", e);
    }
    return r;
}

int start_long64(struct boot *b, u64 entry, struct x86_state *s, struct err *e)
{
    int r;

    x86_state_reset(s, 0);
    s->cr0 = CR0_PE | CR0_ET | CR0_PG;
    s->cr3 = INFO_TABLES;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA;
    s->rip = entry;
    s->rflags = FLAG_ONE;
    memset(s->gpr, 0, sizeof(s->gpr));
    r = start_segments(b, ATTR_CODE64, s, e);
    return r ? r : start_tables(b, e);
}
