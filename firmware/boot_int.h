/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_BOOT_INT_H
#define FIRMWARE_BOOT_INT_H
#include "base/bytes.h"
#include "firmware/firmware.h"

/* The map of memory as BIOS INT 15h E820 gives it. */
enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };
enum { E820_MAX = 16, E820_ENTRY = 20 };
struct e820 {
    u32 n;
    struct e820_range {
        u64 base, len;
        u32 type;
    } range[E820_MAX];
};
void e820_direct(struct e820 *t, const struct machine *m); /* as a BIOS leaves it */
void e820_ram(struct e820 *t, const struct machine *m);    /* RAM alone, for a BIOS */
u32 e820_bytes(const struct e820 *t, u8 *to);              /* 20 bytes each */

/*
 * Low memory of a kernel that is started without a BIOS.  The hand-over data of all
 * protocols lies in [INFO_BASE, INFO_END), where no kernel may load.
 */
enum {
    BIOS_DATA = 0x400,
    INFO_BASE = 0x90000,
    INFO_GDT = 0x90000,
    INFO_TSS = 0x90080,
    INFO_ZERO_PAGE = 0x91000, /* struct boot_params, 4 KiB */
    INFO_TABLES = 0x92000,    /* 6 page tables */
    INFO_START = 0x98000,     /* PVH and multiboot: the structure, then its lists */
    INFO_LISTS = 0x98100,
    INFO_LISTS_END = 0x99000,
    INFO_LINE = 0x99000, /* command lines */
    INFO_END = 0x9f000,
    EBDA_BASE = 0x9fc00,
    BIOS_AREA = 0xe0000, /* ACPI tables */
    BIOS_AREA_SMBIOS = 0xf0000,
    BIOS_AREA_END = 0x100000,
    HIGH_BASE = 0x100000,
};

struct boot {
    struct machine *m;
    struct gmem *ram;
    const struct firmware_how *how;
    struct e820 map;
    u64 rsdp;     /* where the ACPI root is, 0 none */
    u64 high_end; /* end of RAM below 4 GiB */
    u32 line_at;  /* next free byte for command lines */
};

/* Real-mode vectors, interrupt controllers and timer as a BIOS leaves them. */
int legacy_interrupts(struct boot *b, struct err *e);

/* What a kernel file says of itself; the bytes are the file's. */
struct linux_image {
    u32 version;    /* 0x20c: 2.12 */
    u64 setup;      /* bytes of the real-mode part */
    u64 load, size; /* where the rest goes, with the room it needs to unpack itself */
    u32 align;      /* of load, when it may be moved */
    bool movable, entry64;
    u64 initrd_max; /* the last byte an initrd may have */
    u32 line_max;   /* bytes of command line without the final 0 */
    u32 header_end; /* of the setup header, from the start of the file */
};
bool linux_is(struct span file);
int linux_parse(struct span file, struct linux_image *im, struct err *e);
int linux_boot(struct boot *b, struct span file, struct firmware_start *out, struct err *e);

struct elf_piece {
    u64 at; /* guest-physical */
    struct span data;
    u64 size; /* in memory, data.len or more */
};
struct elf_image {
    u64 entry;
    bool wide; /* ELF64 */
    u32 n;
    struct elf_piece piece[32];
    bool pvh;
    u64 pvh_entry;
};
bool elf_is(struct span file);
int elf_parse(struct span file, struct elf_image *im, struct err *e);

int pvh_boot(struct boot *b, struct span file, const struct elf_image *im,
             struct firmware_start *out, struct err *e);

struct multiboot_image {
    u32 flags;
    u64 entry;
    u32 n;
    struct elf_piece piece[32];
};
bool multiboot_is(struct span file);
int multiboot_parse(struct span file, struct multiboot_image *im, struct err *e);
int multiboot_boot(struct boot *b, struct span file, struct firmware_start *out, struct err *e);

/* place.c: bytes into RAM, every one checked against the RAM that there is */
int place(struct boot *b, u64 at, const void *p, u64 n, const char *what, struct err *e);
int place_zero(struct boot *b, u64 at, u64 n, const char *what, struct err *e);
int place_piece(struct boot *b, const struct elf_piece *p, const char *what, struct err *e);
int place_line(struct boot *b, const char *text, u32 *at, struct err *e);
int place_file(struct boot *b, const char *path, u64 at, u64 size, struct err *e);
int file_size(const char *path, u64 *size, struct err *e);
int file_read(const char *path, u64 limit, struct buf *to, struct err *e);

/* start.c: states of the processor in which kernels begin */
int start_flat32(struct boot *b, u64 entry, struct x86_state *s, struct err *e);
int start_long64(struct boot *b, u64 entry, struct x86_state *s, struct err *e);

/* direct.c, bios.c */
int direct_boot(struct machine *m, const struct firmware_how *how, u64 rsdp,
                struct firmware_start *out, struct err *e);
/* In real mode at the vector; nothing is written to RAM. */
int direct_wake(struct machine *m, u32 vector, struct firmware_start *out, struct err *e);
int bios_boot(struct machine *m, const struct firmware_how *how, struct err *e);
#endif
