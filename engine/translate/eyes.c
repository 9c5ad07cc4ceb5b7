/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translated code for people: a map for perf (tools/perf/Documentation/jit-interface.txt of the
 * Linux sources: "START SIZE name" in hexadecimal), and a listing of blocks as they are made,
 * guest bytes and instructions, then the host's.  The map's names are those of the guest's
 * symbols when a list in the form of System.map is given.
 */
#include "engine/translate/translate_int.h"
#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct symbol {
    u64 at;
    char *name;
};
struct eyes {
    struct engine_eyes to;
    struct symbol *symbol;
    u32 nsymbol;
    u64 traced;
    ZydisFormatter format;
};
enum { SYMBOLS_MAX = 1 << 20 };

/* ---- symbols ---- */

static int symbol_order(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

/* "ffffffff81000000 T _text", of code only; other lines are passed over. */
static bool symbol_parse(const char *line, struct symbol *s)
{
    char type, name[128];
    unsigned long long at;

    if (sscanf(line, "%llx %c %127s", &at, &type, name) != 3 || !strchr("tTwW", type) || !at)
        return false;
    s->at = at;
    s->name = strdup(name);
    return s->name;
}

static int symbols_read(struct eyes *y, struct err *e)
{
    char line[512];
    u32 room = 0;

    while (y->to.symbols && fgets(line, sizeof(line), y->to.symbols)) {
        if (y->nsymbol == room) {
            struct symbol *more;

            room = room ? 2 * room : 1024;
            if (room > SYMBOLS_MAX)
                return err_set(e, -E2BIG, "more than %d symbols", SYMBOLS_MAX / 2);
            more = realloc(y->symbol, room * sizeof(*more));
            if (!more)
                return err_set(e, -ENOMEM, "no memory for the symbols");
            y->symbol = more;
        }
        if (symbol_parse(line, &y->symbol[y->nsymbol]))
            y->nsymbol++;
    }
    if (y->nsymbol)
        qsort(y->symbol, y->nsymbol, sizeof(*y->symbol), symbol_order);
    return 0;
}

/* The last one at or before the address; NULL: none near. */
static const struct symbol *symbol_at(const struct eyes *y, u64 at)
{
    u32 lo = 0, hi = y->nsymbol;

    while (lo < hi) {
        u32 mid = (lo + hi) / 2;

        if (y->symbol[mid].at <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo && at - y->symbol[lo - 1].at < 1 << 20 ? &y->symbol[lo - 1] : NULL;
}

static void symbol_text(const struct eyes *y, u64 rip, char *text, size_t room)
{
    const struct symbol *s = symbol_at(y, rip);

    if (s)
        snprintf(text, room, "%s+0x%llx ", s->name, (unsigned long long)(rip - s->at));
    else
        *text = 0;
}

/* ---- the map for perf ---- */

static void perf_line(const struct eyes *y, const u8 *at, u64 size, const char *name)
{
    fprintf(y->to.perf_map, "%llx %llx %s\n", (unsigned long long)(uintptr_t)at,
            (unsigned long long)size, name);
}

static void perf_block(const struct eyes *y, const struct block *b, u64 rip)
{
    char symbol[160], name[256];

    symbol_text(y, rip, symbol, sizeof(symbol));
    snprintf(name, sizeof(name), "%s[guest %s %llx, gpa %llx]", symbol,
             b->mode & MODE_USER ? "user" : "kernel", (unsigned long long)rip,
             (unsigned long long)b->gpa);
    perf_line(y, b->code, (u64)(b->end - b->code), name);
    fflush(y->to.perf_map);
}

/* ---- the listing ---- */

static void trace_line(struct eyes *y, ZydisMachineMode mode, const u8 *code, u32 len, u64 at,
                       const char *note)
{
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction in;
    ZydisDecoder decoder;
    char text[128] = "?";

    ZydisDecoderInit(&decoder, mode,
                     mode == ZYDIS_MACHINE_MODE_LONG_64          ? ZYDIS_STACK_WIDTH_64
                     : mode == ZYDIS_MACHINE_MODE_LONG_COMPAT_32 ? ZYDIS_STACK_WIDTH_32
                                                                 : ZYDIS_STACK_WIDTH_16);
    if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, len, &in, operand)))
        ZydisFormatterFormatInstruction(&y->format, &in, operand, in.operand_count_visible, text,
                                        sizeof(text), at, ZYAN_NULL);
    fprintf(y->to.trace, "%16llx  ", (unsigned long long)at);
    for (u32 i = 0; i < 15; i++)
        fprintf(y->to.trace, i < len ? "%02x" : "  ", i < len ? code[i] : 0);
    fprintf(y->to.trace, "  %s%s\n", text, note);
}

static u32 trace_length(const u8 *code, u32 room)
{
    ZydisDecodedInstruction in;
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, ZYAN_NULL, code, room, &in))
               ? in.length
               : 1;
}

/* What stands behind a call of C. */
static void trace_site(struct eyes *y, const struct block *b, const u8 *at)
{
    static const char *const why[WHY_KINDS] = { "miss", "step", "exit", "look", "event", "stale", "hot" };
    struct site s;

    memcpy(&s, at, sizeof(s));
    fprintf(y->to.trace, "%16s  ; to C: %s at %llx", "", s.why < WHY_KINDS ? why[s.why] : "?",
            (unsigned long long)(b->pc + (s.insn < b->ninsn ? b->at[s.insn] : 0)));
    if (s.why == WHY_MISS)
        fprintf(y->to.trace, ", %u bytes %s", s.a, s.b ? "written" : "read");
    fputc('\n', y->to.trace);
}

static bool trace_calls_c(const struct engine *g, const u8 *at, u32 len)
{
    i32 by;

    if (len != 5 || at[0] != X_CALL)
        return false;
    memcpy(&by, at + 1, sizeof(by));
    return at + 5 + by == engine_rx(g, g->to_c) || at + 5 + by == engine_rx(g, g->to_c_flags);
}

static void trace_host(struct eyes *y, const struct engine *g, const struct block *b)
{
    const u8 *p = b->code;

    for (u32 i = 0; p < b->end;) {
        u32 len =
            (u32)min_u64(trace_length(p, (u32)min_u64((u64)(b->end - p), 15)), (u64)(b->end - p));
        char note[32] = "";

        for (; i < b->ninsn && (!b->host[i] || g->rx + b->host[i] <= p); i++)
            snprintf(note, sizeof(note), "   ; %llx", (unsigned long long)(b->pc + b->at[i]));
        trace_line(y, ZYDIS_MACHINE_MODE_LONG_64, p, len, (u64)(uintptr_t)p, note);
        if (trace_calls_c(g, p, len) && (u64)(b->end - p) >= len + sizeof(struct site)) {
            trace_site(y, b, p + len);
            len += sizeof(struct site);
        }
        p += len;
    }
}

static void trace_block(struct eyes *y, const struct engine *g, const struct block *b, u64 rip,
                        const u8 *code)
{
    static const ZydisMachineMode modes[] = { [X86_MODE16] = ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
                                              [X86_MODE32] = ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                              [X86_MODE64] = ZYDIS_MACHINE_MODE_LONG_64 };
    char symbol[160];

    symbol_text(y, rip, symbol, sizeof(symbol));
    fprintf(y->to.trace, "block %u: %sguest rip %llx gpa %llx mode %x, %u bytes to %llu\n", b->id,
            symbol, (unsigned long long)rip, (unsigned long long)b->gpa, b->mode, b->len,
            (unsigned long long)(b->end - b->code));
    for (u32 i = 0; i < b->ninsn; i++)
        trace_line(y, modes[b->mode & MODE_SIZE], code + b->at[i],
                   (u32)min_u64(b->at[i + 1] - b->at[i], 15), rip + b->at[i], "");
    fputs("host\n", y->to.trace);
    trace_host(y, g, b);
    fputc('\n', y->to.trace);
    fflush(y->to.trace);
}

static bool trace_wants(struct eyes *y, u64 rip)
{
    const struct engine_eyes *to = &y->to;

    if (!to->trace || rip < to->from || (to->to && rip >= to->to))
        return false;
    if (to->trace_count && y->traced == to->trace_count) {
        fprintf(to->trace, "... and more: %llu blocks were asked for\n",
                (unsigned long long)y->traced);
        fflush(to->trace);
        y->to.trace = NULL;
        return false;
    }
    y->traced++;
    return true;
}

void eyes_made(struct vcpu *v, const struct block *b, u64 rip, const u8 *code)
{
    struct eyes *y = v->engine->eyes;

    if (y->to.perf_map)
        perf_block(y, b, rip);
    if (trace_wants(y, rip))
        trace_block(y, v->engine, b, rip, code);
}

int eyes_open(struct engine *g, struct err *e)
{
    const struct engine_eyes *to = &g->options.eyes;
    struct eyes *y;

    if (!to->perf_map && !to->trace)
        return 0;
    y = g->eyes = calloc(1, sizeof(*y));
    if (!y)
        return err_set(e, -ENOMEM, "no memory for the map of translated code");
    y->to = *to;
    if (!ZYAN_SUCCESS(ZydisFormatterInit(&y->format, ZYDIS_FORMATTER_STYLE_INTEL)))
        return err_set(e, -EINVAL, "the disassembler does not start");
    if (to->perf_map)
        perf_line(y, g->rx, g->start, "[mimic: between guest code and C]");
    return symbols_read(y, e);
}

void eyes_close(struct engine *g)
{
    struct eyes *y = g->eyes;

    if (!y)
        return;
    for (u32 i = 0; i < y->nsymbol; i++)
        free(y->symbol[i].name);
    free(y->symbol);
    free(y);
    g->eyes = NULL;
}
