/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two headers of a .vmcx and its replay log.  A log with entries belongs to a file that was
 * not closed: each entry's bytes go to its offset.  Where in the log the bytes are is not known
 * for certain, so they are looked for where they can be, and taken only if every checksum is
 * right; otherwise the file is refused.
 */
#include "base/bytes.h"
#include "package/vmcx_int.h"
#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#define LOG_ENTRIES 4096

enum { SUM_CRC32, SUM_CRC32C, SUMS };

static u32 log_sum(unsigned kind, const u8 *p, size_t n)
{
    return kind == SUM_CRC32 ? crc32_gzip_refl(0, p, n)
                             : ~crc32_iscsi((unsigned char *)p, (int)n, ~0u);
}

/* Of a structure whose own field for it, at `field`, counts as 0 */
static bool log_sum_is(unsigned kind, const u8 *p, size_t n, size_t field)
{
    u8 copy[64];

    memcpy(copy, p, n);
    put_le32(copy + field, 0);
    return log_sum(kind, copy, n) == le32(p + field);
}

/* A header's worth: none, without or with a checksum that fits */
static int log_header(const u8 *p)
{
    int worth = le32(p) == VMCX_MAGIC;

    for (unsigned k = 0; k < SUMS && worth == 1; k++)
        if (log_sum_is(k, p, VMCX_HEADER, 4))
            worth = 2;
    return worth;
}

struct log {
    u8 *p;
    u64 size, at, end;
    u32 n, most, align;
};

/* All entries' bytes packed from `from` on, each beginning at a multiple of `step` */
static bool log_fits(const struct log *l, u64 from, u32 step, unsigned sum, u64 *where)
{
    for (u32 i = 0; i < l->n; i++) {
        const u8 *entry = l->p + l->at + LOG_HEADER + (u64)i * LOG_ENTRY;
        u32 len = le32(entry + 8);

        from = (from + step - 1) / step * step;
        if (from > l->end || len > l->end - from || !range_ok(le64(entry), len, l->size))
            return false;
        if (log_sum(sum, l->p + from, len) != le32(entry + 24))
            return false;
        where[i] = from;
        from += len;
    }
    return true;
}

static bool log_find(const struct log *l, u64 *where)
{
    u64 table = l->at + LOG_HEADER;
    const u32 steps[] = { 1, 512, 4096, l->align ? l->align : 1 };
    const u64 places[] = { table + (u64)l->most * LOG_ENTRY, table + (u64)l->n * LOG_ENTRY };

    for (size_t a = 0; a < LEN(places); a++)
        for (size_t b = 0; b < LEN(steps); b++)
            for (unsigned sum = 0; sum < SUMS; sum++)
                if (log_fits(l, places[a], steps[b], sum, where))
                    return true;
    return false;
}

static int log_apply(struct log *l, const char *file, struct notes *n, struct err *e)
{
    u64 *where = calloc(l->n, sizeof(*where));
    int r = 0;

    if (!where)
        return -ENOMEM;
    if (!log_find(l, where))
        r = err_set(e, -EUCLEAN,
                    "%s: was not closed, and the %u entries of its log are damaged or unknown: "
                    "start and stop the machine once in Hyper-V",
                    file, l->n);
    for (u32 i = 0; i < l->n && !r; i++) {
        const u8 *entry = l->p + l->at + LOG_HEADER + (u64)i * LOG_ENTRY;
        u8 *copy = malloc(le32(entry + 8) + 1u);

        if (!copy) {
            r = -ENOMEM;
            break;
        }
        memcpy(copy, l->p + where[i], le32(entry + 8));
        memcpy(l->p + le64(entry), copy, le32(entry + 8));
        free(copy);
    }
    free(where);
    if (!r)
        note(n, NOTE_CHANGED, file, "was not closed: the %u entries of its log are carried out",
             l->n);
    return r;
}

int vmcx_replay(u8 *p, u64 size, const char *file, struct notes *n, struct err *e)
{
    struct log l = { .p = p, .size = size };
    const u8 *h = p, *second = p + VMCX_SECOND;
    int one, two;
    u64 len;

    if (size < VMCX_OBJECTS + OBJECTS_HEADER)
        return err_set(e, -EBADMSG, "%s: is too short for a configuration", file);
    one = log_header(h);
    two = log_header(second);
    if (two > one || (two == one && (i16)(u16)(le16(second + 8) - le16(h + 8)) > 0))
        h = second;
    if (!one && !two)
        return err_set(e, -EBADMSG, "%s: has no header of a configuration", file);
    if (le32(h + 10) != VMCX_VERSION)
        return err_set(e, -EOPNOTSUPP, "%s: version 0x%x of the format is not supported", file,
                       le32(h + 10));
    l.align = le32(h + 22) <= 0x10000 ? le32(h + 22) : 0;
    l.at = le64(h + 26);
    len = le64(h + 34);
    if (!range_ok(l.at, LOG_HEADER, size) || le32(p + l.at) != LOG_MAGIC)
        return err_set(e, -EBADMSG, "%s: its log is damaged", file);
    l.end = range_ok(l.at, len, size) ? l.at + len : size;
    l.n = le32(p + l.at + 8);
    l.most = le32(p + l.at + 13);
    if (!l.n)
        return 0;
    if (l.n > LOG_ENTRIES || l.most > 1u << 20 || l.end < l.at + LOG_HEADER ||
        l.n > (l.end - l.at - LOG_HEADER) / LOG_ENTRY)
        return err_set(e, -EBADMSG, "%s: its log is damaged", file);
    return log_apply(&l, file, n, e);
}
