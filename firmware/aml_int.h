/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_AML_INT_H
#define FIRMWARE_AML_INT_H
#include "base/buf.h"
#include "base/types.h"

/*
 * Writes ACPI machine language.  What has a body is opened and closed; want of memory or too
 * deep a nesting sets `bad`, which is tested once at the end.
 */
enum { AML_DEPTH = 12 };
struct aml {
    struct buf b;
    size_t open[AML_DEPTH];
    u32 depth;
    bool bad;
};
void aml_close(struct aml *a);

void aml_scope(struct aml *a, const char *path);            /* opens */
void aml_device(struct aml *a, const char *name);           /* opens */
void aml_method(struct aml *a, const char *name, u8 args);  /* opens */
void aml_package(struct aml *a, u8 n);                      /* opens; n objects follow */
void aml_processor(struct aml *a, const char *name, u8 id); /* opens */
void aml_if(struct aml *a);                                 /* opens; the condition follows */
void aml_name(struct aml *a, const char *name);             /* an object follows */
void aml_path(struct aml *a, const char *path);             /* a reference */
void aml_int(struct aml *a, u64 val);
void aml_text(struct aml *a, const char *s);
void aml_eisa(struct aml *a, const char *id);       /* "PNP0A03" */
void aml_bytes(struct aml *a, const void *p, u8 n); /* a Buffer of fixed bytes */
void aml_region_pci(struct aml *a, const char *name, u8 off, u8 len);
void aml_fields(struct aml *a, const char *region, const char *const *names, u32 n); /* of 8 bits */

/* terms and statements: operands follow in the order of the specification */
enum aml_op {
    AML_STORE = 0x70,  /* from, to */
    AML_AND = 0x7b,    /* a, b, target */
    AML_OR = 0x7d,     /* a, b, target */
    AML_DEREF = 0x83,  /* object */
    AML_INDEX = 0x88,  /* buffer, index, target */
    AML_NOTIFY = 0x86, /* object, value */
    AML_RETURN = 0xa4, /* value */
    AML_LOCAL0 = 0x60,
    AML_ARG0 = 0x68,
    AML_NOWHERE = 0x00, /* as a target */
};
void aml_op(struct aml *a, enum aml_op op);

/* Resource templates, ACPI 6.4 section 6.4. */
struct aml_crs {
    u8 p[256];
    u32 n;
};
void crs_io(struct aml_crs *c, u16 base, u8 len);
void crs_irq(struct aml_crs *c, u8 irq);
void crs_dma(struct aml_crs *c, u8 channel);
void crs_level(struct aml_crs *c, const u32 *irqs, u8 n); /* shared, level, active high */
void crs_fixed(struct aml_crs *c, u32 base, u32 len);
void crs_bus_numbers(struct aml_crs *c, u16 first, u16 last);
void crs_io_window(struct aml_crs *c, u16 first, u16 last);
void crs_memory_window(struct aml_crs *c, u32 first, u32 last, bool cacheable);
void crs_memory_window64(struct aml_crs *c, u64 first, u64 last);
void aml_crs(struct aml *a, struct aml_crs *c); /* ends it and writes it as a Buffer */
#endif
