/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest pages in a sandbox: found by walking the guest's tables, mapped from the file that
 * guest RAM is, forgotten when the guest says so.
 *
 * A page that a sandbox may write to is counted in engine.direct: blocks translated from it
 * verify themselves, since stores to it go unseen.
 */
#include "engine/translate/direct.h"
#include "engine/translate/sandbox.h"
#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRECT_FREE (~0ull)
#define DIRECT_GONE (~1ull)
enum { STARTS = 8, STRIDE = 5 };
enum { FILL = 64, FILL_LARGE = 512, COUNT_MAX = 255, ROOM_FIRST = 1024, RIGHTS = 7 };

static u32 pages_slot(const struct direct_pages *p, u64 lin)
{
    return (u32)((lin >> 12) * 0x9e3779b97f4a7c15ull >> 40) & (p->room - 1);
}

static struct direct_page *pages_get(const struct direct_pages *p, u64 lin)
{
    if (!p->room)
        return NULL;
    for (u32 i = pages_slot(p, lin);; i = (i + 1) & (p->room - 1)) {
        if (p->page[i].lin == lin)
            return &p->page[i];
        if (p->page[i].lin == DIRECT_FREE)
            return NULL;
    }
}

u32 direct_pages_find(const struct direct_pages *p, u64 lin)
{
    const struct direct_page *e = pages_get(p, lin & -(u64)PAGE);

    return e ? e->gpa & RIGHTS : 0;
}

static void pages_put(struct direct_pages *p, u64 lin, u64 gpa)
{
    u32 i = pages_slot(p, lin);

    while (p->page[i].lin != DIRECT_FREE)
        i = (i + 1) & (p->room - 1);
    p->page[i] = (struct direct_page){ lin, gpa };
    p->used++;
    p->live++;
}

/* Room for n more, at most half full. */
static int pages_room(struct direct_pages *p, u32 n)
{
    struct direct_pages old = *p;
    u32 room = ROOM_FIRST;

    if (2 * (p->used + n) <= p->room)
        return 0;
    while (room < 4 * (p->live + n))
        room *= 2;
    p->page = malloc(room * sizeof(*p->page));
    if (!p->page) {
        *p = old;
        return -ENOMEM;
    }
    memset(p->page, 0xff, room * sizeof(*p->page));
    p->room = room;
    p->used = p->live = 0;
    for (u32 i = 0; i < old.room; i++)
        if (old.page[i].lin < DIRECT_GONE)
            pages_put(p, old.page[i].lin, old.page[i].gpa);
    free(old.page);
    return 0;
}

/* A page becomes writable in one more sandbox, or in one less. */
static void pages_claim(struct engine *g, u64 gpa)
{
    pthread_mutex_lock(&g->lock);
    if (g->direct[gpa >> 12] < COUNT_MAX)
        g->direct[gpa >> 12]++;
    cache_unseen(g, gpa);
    pthread_mutex_unlock(&g->lock);
}
static void pages_release(struct engine *g, u64 gpa)
{
    pthread_mutex_lock(&g->lock);
    if (g->direct[gpa >> 12] < COUNT_MAX)
        g->direct[gpa >> 12]--;
    pthread_mutex_unlock(&g->lock);
}

static void pages_remove(struct engine *g, struct direct_pages *p, struct direct_page *e)
{
    if (e->gpa & SANDBOX_WRITE)
        pages_release(g, e->gpa & -(u64)PAGE);
    e->lin = DIRECT_GONE;
    p->live--;
}

/*
 * Instructions that answer something else on the host than in the guest, and do not fault:
 * LAR, LSL, SLDT, STR, SGDT, SIDT, SMSW, XGETBV, RDTSCP, RDPKRU, WRPKRU, SYSENTER, RDPMC,
 * RDPID, XSAVEC.  A page that may hold one is left to the translator.
 */
static bool pages_differs(const u8 *p, u32 left)
{
    u8 m = left > 2 ? p[2] : 0, reg = m >> 3 & 7;

    switch (p[1]) {
    case 0x00: /* with a memory operand: too rare a thing, and bytes like it too common */
        return m >= 0xc0 && reg < 2;
    case 0x01:
        return m == 0xd0 || m == 0xf9 || m == 0xee || m == 0xef || (m >= 0xc0 && reg == 4) ||
               (reg < 2 && m < 0xc0);
    case 0x02:
    case 0x03:
    case 0x33:
    case 0x34:
        return true;
    case 0xc7: /* XSAVEC: its header names parts that the guest does not have */
        return m >= 0xf8 || (m < 0xc0 && reg == 4);
    default:
        return false;
    }
}

/* Does decoding from `start` meet an instruction whose opcode is at `at`?  1, 0; -1: unknown. */
static int pages_meets(const u8 *p, u32 start, u32 at)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction in;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (u32 i = start; i <= at; i += in.length) {
        if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, p + i, PAGE - i, &in)))
            return -1;
        if (in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
            in.opcode_map == ZYDIS_OPCODE_MAP_0F && i + in.raw.prefix_count == at)
            return 1;
    }
    return 0;
}

/* Bytes that look like one may be part of another: decoding falls into step soon, so most of
 * some starts before them tell. */
static bool pages_is_code(const u8 *p, u32 at)
{
    i32 votes = 0;

    for (u32 back = STARTS * STRIDE; back; back -= STRIDE) {
        int meets = back <= at ? pages_meets(p, at - back, at) : -1;

        if (meets >= 0)
            votes += meets ? 1 : -1;
    }
    return votes >= 0;
}
static bool pages_code_is_plain(const u8 *p)
{
    for (u32 i = 0; i < PAGE - 1; i++)
        if (p[i] == 0x0f && pages_differs(p + i, PAGE - i) && pages_is_code(p, i))
            return false;
    return true;
}

/* Of a restored VM, and not in the slot's file yet: it will be if it is asked for. */
static bool pages_apart(struct vcpu *v, const struct mem_slot *slot, u64 gpa, bool ask)
{
    u64 page = (slot->at + (gpa - slot->gpa)) / PAGE;

    if (!slot->apart || !(atomic_load(&slot->apart[page / 64]) >> page % 64 & 1))
        return false;
    if (ask && v->real_io.want)
        v->real_io.want(v->real_io.arg, gpa);
    return true;
}

/* What of lin's page the sandbox may see: the guest page with its rights; 0: nothing.
 * *slot: where it is in memory; *large: it is part of a large page. */
static u64 pages_look(struct vcpu *v, u64 lin, const struct mem_slot **slot, bool *large)
{
    struct x86_mapping m;
    u64 gpa, rights = SANDBOX_READ;

    *large = false;

    if (x86_walk(&v->c, lin, false, false, ACCESS_USER, &m) || (m.key && v->c.s.cr4 & CR4_PKE))
        return 0;
    gpa = m.gpa & -(u64)PAGE;
    *slot = x86_slot(&v->engine->mem, gpa);
    if (!*slot || !(*slot)->shared || gpa >> 12 >= v->engine->pages ||
        pages_apart(v, *slot, gpa, true))
        return 0;
    if (m.write && m.dirty && !(*slot)->readonly)
        rights |= SANDBOX_WRITE;
    if (m.exec && !m.write) /* what is written later would not be looked through */
        rights |= SANDBOX_EXEC;
    *large = m.size > PAGE;
    return gpa | rights;
}

/* A run of pages that one call maps. */
struct pages_run {
    u64 lin, len, off;
    u32 rights;
};
static int pages_flush(struct sandbox *s, struct pages_run *r)
{
    int rc = r->len ? sandbox_map(s, r->lin, r->len, r->rights, r->off) : 0;

    r->len = 0;
    return rc;
}

static int pages_add(struct vcpu *v, struct direct_pages *p, struct sandbox *s, u64 lin,
                     struct pages_run *run)
{
    const struct mem_slot *slot;
    bool large;
    u64 found = pages_look(v, lin, &slot, &large), gpa = found & -(u64)PAGE, off;
    struct direct_page *e = pages_get(p, lin);
    u32 rights = found & RIGHTS;
    int rc = 0;

    if (!rights || (e && e->gpa == found))
        return 0;
    off = slot->at + (gpa - slot->gpa);
    if (rights & SANDBOX_EXEC && !pages_code_is_plain((u8 *)slot->host + (gpa - slot->gpa)))
        rights &= ~(u32)SANDBOX_EXEC;
    if (rights & SANDBOX_WRITE) {
        if (slot->log_dirty)
            x86_memory_mark(&v->engine->mem, gpa, PAGE);
        pages_claim(v->engine, gpa);
    }
    if (e)
        pages_remove(v->engine, p, e);
    pages_put(p, lin, gpa | rights);
    if (run->len &&
        (run->lin + run->len != lin || run->off + run->len != off || run->rights != rights))
        rc = pages_flush(s, run);
    if (!run->len)
        *run = (struct pages_run){ .lin = lin, .off = off, .rights = rights };
    run->len += PAGE;
    return rc;
}

int direct_pages_fill(struct vcpu *v, struct direct_pages *p, struct sandbox *s, u64 lin)
{
    const struct mem_slot *slot;
    bool large;
    u64 n = pages_look(v, lin & -(u64)PAGE, &slot, &large) && large ? FILL_LARGE : FILL;
    u64 first = lin & -(n * PAGE);
    struct pages_run run = { 0 };
    int rc = p->live + n > DIRECT_PAGES_MAX ? direct_pages_drop(v, p, s) : 0, r;

    r = pages_room(p, (u32)n);
    if (rc || r)
        return rc ? rc : r;
    for (u64 at = first; at != first + n * PAGE; at += PAGE) {
        if (at - sandbox_at(s) < SANDBOX_OWN || at >= SANDBOX_END)
            continue;
        r = pages_add(v, p, s, at, &run);
        rc = rc ? rc : r;
    }
    r = pages_flush(s, &run);
    return rc ? rc : r;
}

/* ---- all that an address space maps ---- */

enum { ENTRY_P = 1, ENTRY_US = 4, ENTRY_PS = 128, TABLES_MAX = 4096 };
struct pages_count {
    struct vcpu *v;
    bool ask;
    u32 tables, pages, apart;
};

static void pages_count_one(struct pages_count *c, u64 gpa, u64 len)
{
    for (; len && c->pages < DIRECT_PAGES_MAX; gpa += PAGE, len -= PAGE, c->pages++) {
        const struct mem_slot *slot = x86_slot(&c->v->engine->mem, gpa);

        c->apart += slot && pages_apart(c->v, slot, gpa, c->ask);
    }
}

/* User pages below a table; level 4 to 1.  What is not in RAM or too much is left out. */
static void pages_count_in(struct pages_count *c, u64 table, u32 level)
{
    u32 n = level == 4 ? 256 : 512; /* the upper half is the kernel's */

    c->tables++;
    for (u32 i = 0; i < n && c->tables < TABLES_MAX && c->pages < DIRECT_PAGES_MAX; i++) {
        const u8 *p = x86_ram(&c->v->engine->mem, table + 8 * i, 8, false);
        u64 entry = 0, at;

        if (p)
            __builtin_memcpy(&entry, p, 8);
        at = entry & 0xffffffffff000;
        if ((entry & (ENTRY_P | ENTRY_US)) != (ENTRY_P | ENTRY_US))
            continue;
        if (level == 1)
            pages_count_one(c, at, PAGE);
        else if (level == 2 && entry & ENTRY_PS)
            pages_count_one(c, at & -(u64)(512 * PAGE), 512 * PAGE);
        else if (!(entry & ENTRY_PS))
            pages_count_in(c, at, level - 1);
    }
}

u32 direct_pages_apart(struct vcpu *v, bool ask)
{
    u64 top = v->c.s.cr3 & 0xffffffffff000;
    const struct mem_slot *slot = x86_slot(&v->engine->mem, top);
    struct pages_count c = { .v = v, .ask = ask };

    if (slot && slot->apart)
        pages_count_in(&c, top, 4);
    return c.apart;
}

static int pages_check(struct vcpu *v, struct direct_pages *p, struct sandbox *s,
                       struct direct_page *e)
{
    const struct mem_slot *slot;
    bool large;
    u64 lin = e->lin, found = pages_look(v, lin, &slot, &large);
    bool logged = e->gpa & SANDBOX_WRITE && found && slot->log_dirty;

    if (!((found ^ e->gpa) & -(u64)PAGE) && !(e->gpa & ~found & RIGHTS) && !logged)
        return 0;
    pages_remove(v->engine, p, e);
    return sandbox_unmap(s, lin, PAGE);
}

int direct_pages_check(struct vcpu *v, struct direct_pages *p, struct sandbox *s, u64 lin)
{
    struct direct_page *e = pages_get(p, lin & -(u64)PAGE);
    int rc;

    if (!e)
        return 0;
    rc = pages_check(v, p, s, e);
    return rc;
}

int direct_pages_check_all(struct vcpu *v, struct direct_pages *p, struct sandbox *s)
{
    int rc = 0;

    for (u32 i = 0; i < p->room; i++) {
        int r = p->page[i].lin < DIRECT_GONE ? pages_check(v, p, s, &p->page[i]) : 0;

        rc = rc ? rc : r;
    }
    return rc;
}

static void pages_clear(struct vcpu *v, struct direct_pages *p)
{
    for (u32 i = 0; i < p->room; i++)
        if (p->page[i].lin < DIRECT_GONE)
            pages_remove(v->engine, p, &p->page[i]);
    if (p->room)
        memset(p->page, 0xff, p->room * sizeof(*p->page));
    p->used = p->live = 0;
}

int direct_pages_drop(struct vcpu *v, struct direct_pages *p, struct sandbox *s)
{
    int rc = sandbox_unmap_all(s);

    pages_clear(v, p);
    return rc;
}

void direct_pages_free(struct vcpu *v, struct direct_pages *p)
{
    pages_clear(v, p);
    free(p->page);
    *p = (struct direct_pages){ 0 };
}
