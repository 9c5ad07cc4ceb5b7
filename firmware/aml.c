/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer of ACPI machine language, after ACPI 6.4 chapter 20 (AML) and section 6.4
 * (resource descriptors); only the terms that our own tables use.
 */
#include "base/bytes.h"
#include "firmware/aml_int.h"

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL = 0x2e,
    OP_MULTI = 0x2f,
    OP_EXT = 0x5b,
    OP_IF = 0xa0,
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
    EXT_PROCESSOR = 0x83,
    REGION_PCI = 2,
    FIELD_BYTE_PRESERVE = 1,
};

static void aml_put(struct aml *a, const void *p, size_t n)
{
    if (buf_add(&a->b, p, n))
        a->bad = true;
}

static void aml_byte(struct aml *a, u8 v)
{
    aml_put(a, &v, 1);
}

/* The length is written by aml_close, when it is known. */
static void aml_open(struct aml *a)
{
    if (a->depth == AML_DEPTH)
        a->bad = true;
    else
        a->open[a->depth++] = a->b.len;
}

/* PkgLength, 20.2.4: it counts its own bytes */
static u32 aml_length(size_t body, u8 *to)
{
    u32 extra = body + 1 < 64 ? 0 : body + 2 < 1 << 12 ? 1 : body + 3 < 1 << 20 ? 2 : 3;
    size_t all = body + 1 + extra;

    if (!extra) {
        to[0] = (u8)all;
        return 1;
    }
    to[0] = (u8)(extra << 6 | (all & 15));
    for (u32 i = 0; i < extra; i++)
        to[1 + i] = (u8)(all >> (4 + 8 * i));
    return 1 + extra;
}

void aml_close(struct aml *a)
{
    u8 length[4];
    size_t at, body;
    u32 n;

    if (a->bad || !a->depth) {
        a->bad = true;
        return;
    }
    at = a->open[--a->depth];
    body = a->b.len - at;
    n = aml_length(body, length);
    if (!buf_room(&a->b, n)) {
        a->bad = true;
        return;
    }
    memmove(a->b.p + at + n, a->b.p + at, body);
    memcpy(a->b.p + at, length, n);
}

/* "\_SB_.PCI0" : segments of exactly four characters */
void aml_path(struct aml *a, const char *path)
{
    size_t segments;

    if (*path == '\\')
        aml_byte(a, (u8)*path++);
    segments = (strlen(path) + 1) / 5;
    if (!segments || segments * 5 != strlen(path) + 1) {
        a->bad = true;
        return;
    }
    if (segments == 2)
        aml_byte(a, OP_DUAL);
    if (segments > 2) {
        aml_byte(a, OP_MULTI);
        aml_byte(a, (u8)segments);
    }
    for (size_t i = 0; i < segments; i++)
        aml_put(a, path + i * 5, 4);
}

void aml_scope(struct aml *a, const char *path)
{
    aml_byte(a, OP_SCOPE);
    aml_open(a);
    aml_path(a, path);
}

void aml_device(struct aml *a, const char *name)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, EXT_DEVICE);
    aml_open(a);
    aml_path(a, name);
}

void aml_method(struct aml *a, const char *name, u8 args)
{
    aml_byte(a, OP_METHOD);
    aml_open(a);
    aml_path(a, name);
    aml_byte(a, args);
}

void aml_package(struct aml *a, u8 n)
{
    aml_byte(a, OP_PACKAGE);
    aml_open(a);
    aml_byte(a, n);
}

void aml_processor(struct aml *a, const char *name, u8 id)
{
    const u8 no_block[5] = { 0 };

    aml_byte(a, OP_EXT);
    aml_byte(a, EXT_PROCESSOR);
    aml_open(a);
    aml_path(a, name);
    aml_byte(a, id);
    aml_put(a, no_block, sizeof(no_block));
}

void aml_if(struct aml *a)
{
    aml_byte(a, OP_IF);
    aml_open(a);
}

void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_path(a, name);
}

void aml_int(struct aml *a, u64 val)
{
    u32 n = val < 0x100 ? 1 : val < 0x10000 ? 2 : val >> 32 ? 8 : 4;
    u8 bytes[8];

    if (val < 2) {
        aml_byte(a, (u8)val);
        return;
    }
    put_le64(bytes, val);
    aml_byte(a, n == 1 ? OP_BYTE : n == 2 ? OP_WORD : n == 4 ? OP_DWORD : OP_QWORD);
    aml_put(a, bytes, n);
}

void aml_text(struct aml *a, const char *s)
{
    aml_byte(a, OP_STRING);
    aml_put(a, s, strlen(s) + 1);
}

static u32 aml_hex(char c)
{
    return (u32)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits, four hexadecimal digits, the whole big-endian: 19.3.4 */
void aml_eisa(struct aml *a, const char *id)
{
    u32 v = (u32)(id[0] & 31) << 26 | (u32)(id[1] & 31) << 21 | (u32)(id[2] & 31) << 16 |
            aml_hex(id[3]) << 12 | aml_hex(id[4]) << 8 | aml_hex(id[5]) << 4 | aml_hex(id[6]);
    u8 bytes[4];

    put_be32(bytes, v);
    aml_byte(a, OP_DWORD);
    aml_put(a, bytes, sizeof(bytes));
}

void aml_bytes(struct aml *a, const void *p, u8 n)
{
    aml_byte(a, OP_BUFFER);
    aml_open(a);
    aml_int(a, n);
    aml_put(a, p, n);
    aml_close(a);
}

void aml_region_pci(struct aml *a, const char *name, u8 off, u8 len)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, EXT_REGION);
    aml_path(a, name);
    aml_byte(a, REGION_PCI);
    aml_int(a, off);
    aml_int(a, len);
}

void aml_fields(struct aml *a, const char *region, const char *const *names, u32 n)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, EXT_FIELD);
    aml_open(a);
    aml_path(a, region);
    aml_byte(a, FIELD_BYTE_PRESERVE);
    for (u32 i = 0; i < n; i++) {
        aml_put(a, names[i], 4);
        aml_byte(a, 8);
    }
    aml_close(a);
}

void aml_op(struct aml *a, enum aml_op op)
{
    aml_byte(a, (u8)op);
}

static u8 *crs_room(struct aml_crs *c, u32 n)
{
    u8 *p = c->p + c->n;

    if (n > sizeof(c->p) - c->n)
        return NULL;
    memset(p, 0, n);
    c->n += n;
    return p;
}

void crs_io(struct aml_crs *c, u16 base, u8 len)
{
    u8 *p = crs_room(c, 8);

    if (!p)
        return;
    p[0] = 0x47;
    p[1] = 1; /* decodes 16 bits */
    put_le16(p + 2, base);
    put_le16(p + 4, base);
    p[6] = 1;
    p[7] = len;
}

void crs_irq(struct aml_crs *c, u8 irq)
{
    u8 *p = crs_room(c, 3);

    if (!p)
        return;
    p[0] = 0x22;
    put_le16(p + 1, (u16)(1u << irq));
}

void crs_dma(struct aml_crs *c, u8 channel)
{
    u8 *p = crs_room(c, 3);

    if (!p)
        return;
    p[0] = 0x2a;
    p[1] = (u8)(1u << channel);
}

void crs_level(struct aml_crs *c, const u32 *irqs, u8 n)
{
    u8 *p = crs_room(c, 5 + 4u * n);

    if (!p)
        return;
    p[0] = 0x89;
    put_le16(p + 1, (u16)(2 + 4 * n));
    p[3] = 9; /* consumer, level, active high, shared */
    p[4] = n;
    for (u32 i = 0; i < n; i++)
        put_le32(p + 5 + 4 * i, irqs[i]);
}

void crs_fixed(struct aml_crs *c, u32 base, u32 len)
{
    u8 *p = crs_room(c, 12);

    if (!p)
        return;
    p[0] = 0x86;
    put_le16(p + 1, 9);
    p[3] = 1; /* writable */
    put_le32(p + 4, base);
    put_le32(p + 8, len);
}

/* A word address space: type, type flags; minimum and maximum are fixed. */
static void crs_word(struct aml_crs *c, u8 type, u8 flags, u16 first, u16 last)
{
    u8 *p = crs_room(c, 16);

    if (!p)
        return;
    p[0] = 0x88;
    put_le16(p + 1, 13);
    p[3] = type;
    p[4] = 0x0c;
    p[5] = flags;
    put_le16(p + 8, first);
    put_le16(p + 10, last);
    put_le16(p + 14, (u16)(last - first + 1));
}

void crs_bus_numbers(struct aml_crs *c, u16 first, u16 last)
{
    crs_word(c, 2, 0, first, last);
}

void crs_io_window(struct aml_crs *c, u16 first, u16 last)
{
    crs_word(c, 1, 3, first, last);
}

void crs_memory_window(struct aml_crs *c, u32 first, u32 last, bool cacheable)
{
    u8 *p = crs_room(c, 26);

    if (!p)
        return;
    p[0] = 0x87;
    put_le16(p + 1, 23);
    p[4] = 0x0c;
    p[5] = cacheable ? 3 : 1;
    put_le32(p + 10, first);
    put_le32(p + 14, last);
    put_le32(p + 22, last - first + 1);
}

void crs_memory_window64(struct aml_crs *c, u64 first, u64 last)
{
    u8 *p = crs_room(c, 46);

    if (!p)
        return;
    p[0] = 0x8a;
    put_le16(p + 1, 43);
    p[4] = 0x0c;
    p[5] = 1;
    put_le64(p + 14, first);
    put_le64(p + 22, last);
    put_le64(p + 38, last - first + 1);
}

void aml_crs(struct aml *a, struct aml_crs *c)
{
    u8 *end = crs_room(c, 2);

    if (!end) {
        a->bad = true;
        return;
    }
    end[0] = 0x79;
    aml_bytes(a, c->p, (u8)c->n);
}
