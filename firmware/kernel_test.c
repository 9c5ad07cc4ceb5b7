/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels of every form, made here, and what a guest would find in RAM. */
#include "firmware/boot_int.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>
#include <unistd.h>

static struct rig r;
static u8 image[0x8000];

struct temp {
    char path[32];
};

static struct temp temp_file(const void *p, size_t n)
{
    struct temp t = { "/tmp/mimic-test-XXXXXX" };
    int fd = mkstemp(t.path);

    CHECK(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
    return t;
}

static u64 ram(u64 at, u32 size)
{
    u8 b[8] = { 0 };

    rig_get(&r, at, b, size);
    return le64(b);
}

static void ram_text(u64 at, const char *want)
{
    char b[64] = { 0 };

    rig_get(&r, at, b, sizeof(b) - 1);
    CHECK_TEXT(b, want);
}

/* A bzImage: 4 sectors of setup, then 0x1000 bytes. */
static size_t linux_make(bool wide)
{
    memset(image, 0, sizeof(image));
    image[0x1f1] = 3;
    image[0x200] = 0xeb;
    image[0x201] = 0x66;
    memcpy(image + 0x202, "HdrS", 4);
    put_le16(image + 0x206, 0x20f);
    image[0x211] = 1;
    put_le32(image + 0x214, 0x100000);
    put_le32(image + 0x22c, 0x7fffffff);
    put_le32(image + 0x230, 0x200000);
    image[0x234] = 1;
    image[0x236] = wide;
    put_le32(image + 0x238, 2047);
    put_le64(image + 0x258, 0x1000000);
    put_le32(image + 0x260, 0x300000);
    for (u32 i = 0; i < 0x1000; i++)
        image[2048 + i] = (u8)(i ^ 0x5a);
    return 2048 + 0x1000;
}

static int start(const char *kernel, const char *initrd, const char *append,
                 struct firmware_start *out, struct err *e)
{
    struct firmware_how how = { .kernel = kernel, .initrd = initrd, .append = append };

    memset(e, 0, sizeof(*e));
    return firmware_prepare(r.m, &how, out, e);
}

static void linux_64(void)
{
    struct temp k = temp_file(image, linux_make(true)), i = temp_file("initrd!", 7);
    struct firmware_start s;
    struct err e;
    u64 zp, initrd;

    rig_start(&r, 64, 1);
    CHECK_EQ(start(k.path, i.path, "console=ttyS0", &s, &e), 0);
    CHECK(s.direct);
    CHECK_EQ(s.state.rip, 0x1000200);
    CHECK_EQ(s.state.efer, EFER_LME | EFER_LMA);
    CHECK(s.state.seg[SEG_CS].attr & ATTR_L);
    CHECK_EQ(x86_state_check(&s.state, &e), 0);
    CHECK_EQ(ram(0x1000000, 4), le32(image + 2048));
    zp = s.state.gpr[RSI];
    CHECK_EQ(ram(zp + 0x202, 4), le32("HdrS"));
    CHECK_EQ(ram(zp + 0x210, 1), 0xff);
    ram_text(ram(zp + 0x228, 4), "console=ttyS0");
    initrd = ram(zp + 0x218, 4);
    CHECK_EQ(ram(zp + 0x21c, 4), 7);
    CHECK_EQ(initrd, 0x4000000 - 0x1000);
    ram_text(initrd, "initrd!");
    CHECK_EQ(ram(zp + 0x1e8, 1), 4);
    CHECK_EQ(ram(zp + 0x2d0 + 3 * 20, 8), 0x100000);
    CHECK_EQ(ram(zp + 0x2d0 + 3 * 20 + 8, 8), 0x3f00000);
    CHECK_EQ(ram(ram(zp + 0x70, 8), 8), le64("RSD PTR "));
    /* the page tables map what they must one to one */
    CHECK_EQ(ram(s.state.cr3, 8) & ~0xfffull, s.state.cr3 + 0x1000);
    CHECK_EQ(ram(s.state.cr3 + 0x2000 + 8 * 8, 8), 0x1000000 | 0x83);
    rig_stop(&r);
    unlink(k.path);
    unlink(i.path);
}

static void linux_32(void)
{
    struct temp k = temp_file(image, linux_make(false));
    struct firmware_start s;
    struct err e;

    rig_start(&r, 12, 1); /* too little for the preferred address */
    CHECK_EQ(start(k.path, NULL, NULL, &s, &e), 0);
    CHECK_EQ(s.state.rip, 0x200000);
    CHECK_EQ(s.state.cr0 & (CR0_PE | CR0_PG), CR0_PE);
    CHECK_EQ(s.state.seg[SEG_CS].attr, 0xc09b);
    CHECK_EQ(ram(s.state.gpr[RSI] + 0x214, 4), 0x200000);
    CHECK_EQ(ram(s.state.gdtr.base + 0x10, 8), 0x00cf9b000000ffff);
    CHECK_EQ(ram(s.state.gdtr.base + 0x18, 8), 0x00cf93000000ffff);
    CHECK_EQ(x86_state_check(&s.state, &e), 0);
    CHECK_EQ(ram(0x413, 2), 639);
    rig_stop(&r);
    unlink(k.path);
}

static void linux_refused(void)
{
    size_t n = linux_make(true);
    struct linux_image im;
    char line[2100];
    struct firmware_start s;
    struct temp k, big;
    struct err e = { 0 };

    put_le16(image + 0x206, 0x201);
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EOPNOTSUPP);
    linux_make(true);
    image[0x211] = 0;
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EOPNOTSUPP);
    linux_make(true);
    image[0x1f1] = 200;
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    CHECK(strstr(e.text, "setup_sects"));
    linux_make(true);
    put_le32(image + 0x230, 0x12345);
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    linux_make(true);
    put_le64(image + 0x258, 1ull << 40);
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    linux_make(true);
    image[0x201] = 0xff;
    CHECK_EQ(linux_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    n = linux_make(true);
    k = temp_file(image, n);
    big = temp_file(image, n);
    CHECK_EQ(truncate(big.path, 30 << 20), 0);
    rig_start(&r, 32, 1);
    memset(line, 'x', sizeof(line));
    line[2099] = 0;
    CHECK_EQ(start(k.path, NULL, line, &s, &e), (u64)-E2BIG);
    CHECK(strstr(e.text, "2047"));
    CHECK_EQ(start(k.path, big.path, NULL, &s, &e), (u64)-ENOSPC);
    CHECK(strstr(e.text, big.path));
    CHECK_EQ(start("/nowhere/vmlinuz", NULL, NULL, &s, &e), (u64)-ENOENT);
    rig_stop(&r);
    rig_start(&r, 2, 1);
    CHECK_EQ(start(k.path, NULL, NULL, &s, &e), (u64)-ENOSPC);
    rig_stop(&r);
    unlink(k.path);
    unlink(big.path);
}

/* An ELF file with one segment at 1 MiB and, perhaps, the PVH note. */
static size_t elf_make(bool wide, bool note)
{
    u8 *ph = image + 0x40;
    u32 each = wide ? 56 : 32;

    memset(image, 0, sizeof(image));
    memcpy(image, "\177ELF", 4);
    image[4] = wide ? 2 : 1;
    image[5] = 1;
    put_le16(image + 18, wide ? 62 : 3);
    put_le16(image + (wide ? 54 : 42), (u16)each);
    put_le16(image + (wide ? 56 : 44), note ? 2 : 1);
    if (wide) {
        put_le64(image + 24, 0x100010);
        put_le64(image + 32, 0x40);
    } else {
        put_le32(image + 24, 0x100010);
        put_le32(image + 28, 0x40);
    }
    for (u32 i = 0; i < 2; i++, ph += each) {
        u64 off = i ? 0x200 : 0x1000, at = i ? 0 : 0x100000, file = i ? 20 : 0x100,
            mem = i ? 20 : 0x3000;

        put_le32(ph, i ? 4 : 1);
        if (wide) {
            put_le64(ph + 8, off);
            put_le64(ph + 24, at);
            put_le64(ph + 32, file);
            put_le64(ph + 40, mem);
        } else {
            put_le32(ph + 4, (u32)off);
            put_le32(ph + 12, (u32)at);
            put_le32(ph + 16, (u32)file);
            put_le32(ph + 20, (u32)mem);
        }
    }
    put_le32(image + 0x200, 4);
    put_le32(image + 0x204, 4);
    put_le32(image + 0x208, 18);
    memcpy(image + 0x20c, "Xen", 4);
    put_le32(image + 0x210, 0x100020);
    memset(image + 0x1000, 0xcc, 0x100);
    return 0x1100;
}

static void pvh(void)
{
    struct temp k = temp_file(image, elf_make(true, true)), i = temp_file("initrd!", 7);
    struct firmware_start s;
    struct err e;
    u64 info, module;

    rig_start(&r, 16, 1);
    rig_put(&r, 0x101000, "dirt", 4);
    CHECK_EQ(start(k.path, i.path, "a b", &s, &e), 0);
    CHECK_EQ(s.state.rip, 0x100020);
    CHECK_EQ(s.state.cr0 & (CR0_PE | CR0_PG), CR0_PE);
    info = s.state.gpr[RBX];
    CHECK_EQ(ram(info, 4), 0x336ec578);
    CHECK_EQ(ram(info + 4, 4), 1);
    ram_text(ram(info + 24, 8), "a b");
    CHECK_EQ(ram(info + 12, 4), 1);
    module = ram(info + 16, 8);
    ram_text(ram(module, 8), "initrd!");
    CHECK_EQ(ram(module + 8, 8), 7);
    CHECK_EQ(ram(ram(info + 32, 8), 8), le64("RSD PTR "));
    CHECK_EQ(ram(info + 48, 4), 4);
    CHECK_EQ(ram(ram(info + 40, 8) + 16, 4), 1);
    CHECK_EQ(ram(0x100000, 4), 0xcccccccc);
    CHECK_EQ(ram(0x101000, 4), 0); /* the rest of the segment is cleared */
    rig_stop(&r);
    unlink(k.path);
    unlink(i.path);
}

static void elf_refused(void)
{
    struct firmware_start s;
    struct elf_image im;
    struct err e = { 0 };
    size_t n = elf_make(false, false);
    struct temp k = temp_file(image, n);

    CHECK_EQ(elf_parse((struct span){ image, n }, &im, &e), 0);
    CHECK_EQ(elf_parse((struct span){ image, n - 1 }, &im, &e), (u64)-EINVAL);
    CHECK(strstr(e.text, "program header 0"));
    put_le32(image + 0x40 + 20, 0x10);
    CHECK_EQ(elf_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    elf_make(true, false);
    image[18] = 40;
    CHECK_EQ(elf_parse((struct span){ image, n }, &im, &e), (u64)-EINVAL);
    CHECK(strstr(e.text, "e_machine"));
    rig_start(&r, 16, 1);
    CHECK_EQ(start(k.path, NULL, NULL, &s, &e), (u64)-EINVAL);
    CHECK(strstr(e.text, "PVH"));
    rig_stop(&r);
    elf_make(false, true); /* over the hand-over data */
    put_le32(image + 0x40 + 12, 0x8f000);
    unlink(k.path);
    k = temp_file(image, n);
    rig_start(&r, 16, 1);
    CHECK_EQ(start(k.path, NULL, NULL, &s, &e), (u64)-EINVAL);
    CHECK(strstr(e.text, "0x90000"));
    rig_stop(&r);
    unlink(k.path);
}

static void multiboot_header(u32 at, u32 flags)
{
    put_le32(image + at, 0x1badb002);
    put_le32(image + at + 4, flags);
    put_le32(image + at + 8, -(0x1badb002 + flags));
}

static void multiboot_elf(void)
{
    struct temp one = temp_file("first", 6), two = temp_file("second", 7), k;
    size_t n = elf_make(false, false);
    struct firmware_start s;
    char modules[128];
    struct err e;
    u64 info, list;

    multiboot_header(0x1010, 3);
    k = temp_file(image, n);
    snprintf(modules, sizeof(modules), "%s a=1,,2 b,%s", one.path, two.path);
    rig_start(&r, 16, 2);
    CHECK_EQ(start(k.path, modules, "x=y", &s, &e), 0);
    CHECK_EQ(s.state.rip, 0x100010);
    CHECK_EQ(s.state.gpr[RAX], 0x2badb002);
    info = s.state.gpr[RBX];
    CHECK_EQ(ram(info, 4), 0x24d);
    CHECK_EQ(ram(info + 4, 4), 639);
    CHECK_EQ(ram(info + 8, 4), 15 * 1024);
    snprintf(modules, sizeof(modules), "%s x=y", k.path);
    ram_text(ram(info + 16, 4), modules);
    CHECK_EQ(ram(info + 20, 4), 2);
    list = ram(info + 24, 4);
    CHECK_EQ(ram(list, 4), 0x103000);
    ram_text(ram(list, 4), "first");
    snprintf(modules, sizeof(modules), "%s a=1,2 b", one.path);
    ram_text(ram(list + 8, 4), modules);
    CHECK_EQ(ram(list + 16, 4), 0x104000);
    CHECK_EQ(ram(list + 20, 4), 0x104007);
    ram_text(ram(list + 16, 4), "second");
    CHECK_EQ(ram(info + 44, 4), 4 * 24);
    CHECK_EQ(ram(ram(info + 48, 4), 4), 20);
    /* real mode works: the timer's vector ends its interrupt and returns */
    CHECK_EQ(ram(8 * 4, 4), 0xf000ff10);
    CHECK_EQ(ram(0xfff10, 4), 0xe620b050);
    CHECK_EQ(ram(0x21 * 4, 4), 0xf000ff00);
    CHECK_EQ(ram(0xfff00, 1), 0xcf);
    rig_stop(&r);
    unlink(k.path);
    unlink(one.path);
    unlink(two.path);
}

static void multiboot_flat(void)
{
    struct multiboot_image im;
    struct err e = { 0 };
    struct span file = { image, 0x2000 };

    memset(image, 0, sizeof(image));
    multiboot_header(0x100, 0x10003);
    put_le32(image + 0x10c, 0x4100); /* header_addr */
    put_le32(image + 0x110, 0x4000);
    put_le32(image + 0x114, 0x5000);
    put_le32(image + 0x118, 0x8000);
    put_le32(image + 0x11c, 0x4200);
    CHECK_EQ(multiboot_parse(file, &im, &e), 0);
    CHECK_EQ(im.n, 1);
    CHECK_EQ(im.piece[0].at, 0x4000);
    CHECK_EQ(im.piece[0].data.len, 0x1000);
    CHECK(im.piece[0].data.p == image);
    CHECK_EQ(im.piece[0].size, 0x4000);
    CHECK_EQ(im.entry, 0x4200);
    put_le32(image + 0x114, 0x9000);
    CHECK_EQ(multiboot_parse(file, &im, &e), (u64)-EINVAL);
    put_le32(image + 0x110, 0x3000);
    CHECK_EQ(multiboot_parse(file, &im, &e), (u64)-EINVAL);
    multiboot_header(0x100, 0x10007 | 1 << 5);
    CHECK_EQ(multiboot_parse(file, &im, &e), (u64)-EOPNOTSUPP);
    CHECK_EQ(multiboot_is(file), true);
    multiboot_header(0x100, 2);
    CHECK_EQ(multiboot_parse(file, &im, &e), (u64)-EINVAL);
    image[0x108]++;
    CHECK_EQ(multiboot_is(file), false);
}

static void prepare_again(void)
{
    struct temp k = temp_file(image, linux_make(true));
    struct firmware_start s;
    struct err e;

    rig_start(&r, 64, 1);
    CHECK_EQ(start(k.path, NULL, "x", &s, &e), 0);
    rig_put(&r, 0x1000000, "overwritten", 11);
    CHECK_EQ(start(k.path, NULL, "x", &s, &e), 0);
    CHECK_EQ(ram(0x1000000, 4), le32(image + 2048));
    rig_stop(&r);
    unlink(k.path);
}

static void bios(void)
{
    enum { SIZE = 0x40000 };
    u8 *rom = malloc(SIZE);
    struct machine_slot slots[16];
    struct firmware_start s;
    struct firmware_how how = { .boot_order = "/a\n", .serial_console = true };
    struct temp k;
    struct err e = { 0 };
    u32 n, found = 0;

    for (u32 i = 0; i < SIZE; i++)
        rom[i] = (u8)(i * 7 + (i >> 8));
    k = temp_file(rom, SIZE);
    how.bios = k.path;
    rig_start(&r, 16, 1);
    for (u32 round = 0; round < 2; round++) {
        CHECK_EQ(firmware_prepare(r.m, &how, &s, &e), 0);
        CHECK(!s.direct);
        CHECK_EQ(s.state.rip, 0xfff0);
        CHECK_EQ(s.state.seg[SEG_CS].base, 0xffff0000);
        CHECK_EQ(ram(0xffff0, 8), le64(rom + SIZE - 16));
        CHECK_EQ(ram(0xe0000, 8), le64(rom + SIZE - 0x20000));
    }
    n = machine_slots(r.m, slots, LEN(slots));
    for (u32 i = 0; i < n && i < LEN(slots); i++) {
        const struct machine_slot *p = &slots[i];

        if (p->gpa == 0xfffc0000) {
            CHECK_EQ(p->len, SIZE);
            CHECK(p->readonly && !memcmp(p->host, rom, SIZE));
            found++;
        }
        if (p->gpa <= 0xe0000 && p->gpa + p->len > 0xe0000)
            CHECK(p->readonly);
    }
    CHECK_EQ(found, 1);
    CHECK_EQ(truncate(k.path, SIZE - 1), 0);
    CHECK_EQ(firmware_prepare(r.m, &how, &s, &e), (u64)-EINVAL);
    how.bios = "/nowhere/bios.bin";
    CHECK_EQ(firmware_prepare(r.m, &how, &s, &e), (u64)-ENOENT);
    rig_stop(&r);
    unlink(k.path);
    free(rom);
}

/* A guest that slept goes on in real mode where the FACS says; where it does not, nowhere. */
static void waking(void)
{
    static const u32 bad[] = { 0, 0x100000, 0xffffffff };
    struct temp k = temp_file(image, linux_make(true));
    struct firmware_start s;
    struct err e = { 0 };
    u8 vector[4];

    rig_start(&r, 32, 1);
    CHECK_EQ(start(k.path, NULL, "", &s, &e), 0);
    CHECK_EQ(ram(0xe0000, 4), le32((const u8 *)"FACS"));
    put_le32(vector, 0x9a125);
    rig_put(&r, 0xe000c, vector, 4);
    CHECK_EQ(firmware_wake(r.m, true, &s, &e), 0);
    CHECK_EQ(s.state.seg[SEG_CS].sel, 0x9a12);
    CHECK_EQ(s.state.seg[SEG_CS].base, 0x9a120);
    CHECK_EQ(s.state.rip, 5);
    CHECK(!(s.state.cr0 & CR0_PE) && s.direct);
    CHECK_EQ(ram(0xe000c, 4), 0x9a125);
    for (u32 i = 0; i < LEN(bad); i++) {
        put_le32(vector, bad[i]);
        rig_put(&r, 0xe000c, vector, 4);
        CHECK_EQ(firmware_wake(r.m, true, &s, &e), (u64)-ENOENT);
    }
    CHECK_EQ(firmware_wake(r.m, false, &s, &e), 0);
    CHECK_EQ(s.state.rip, 0xfff0);
    CHECK(!s.direct);
    rig_stop(&r);
    unlink(k.path);
}

int main(void)
{
    CASE(linux_64);
    CASE(linux_32);
    CASE(linux_refused);
    CASE(pvh);
    CASE(elf_refused);
    CASE(multiboot_elf);
    CASE(multiboot_flat);
    CASE(prepare_again);
    CASE(bios);
    CASE(waking);
    return check_end();
}
