/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flash: array and status modes, programs that only clear bits, erase, the buffer, its file. */
#include "backend/nvram.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE 0xffb00000ull
static struct rig r;

static u8 rd(u32 off)
{
    return (u8)rig_load(&r, BASE + off, 1);
}
static void wr(u32 off, u8 val)
{
    rig_store(&r, BASE + off, 1, val);
}
/* Do the bytes themselves show, without a device in between? */
static bool shown(void)
{
    struct machine_slot s[32];
    u32 n = machine_slots(r.m, s, LEN(s));

    for (u32 i = 0; i < n; i++)
        if (s[i].gpa == BASE)
            return true;
    return false;
}

static void program_and_erase(void)
{
    rig_start(&r, 1, 1);
    rig_device(&r, "flash", NULL, NULL);
    CHECK(shown());
    CHECK_EQ(rd(5), 0xff);
    wr(5, 0x50);
    CHECK(!shown());
    CHECK_EQ(rd(5), 0);
    wr(5, 0x70);
    CHECK_EQ(rd(5), 0);
    wr(5, 0x10);
    wr(5, 0xa5);
    CHECK_EQ(rd(5), 0x80);
    wr(5, 0x40);
    wr(5, 0x5f); /* bits are only cleared */
    wr(5, 0xff);
    CHECK(shown());
    CHECK_EQ(rd(5), 0x05);
    CHECK_EQ(rig_load(&r, BASE + 4, 4), 0xffff05ff);
    wr(0x1234, 0x20);
    wr(0x1234, 0xd0);
    wr(0, 0xff);
    CHECK_EQ(rd(5), 0x05); /* another block */
    wr(0x10, 0x20);
    wr(0x10, 0x00); /* not confirmed */
    CHECK_EQ(rd(0), 0xb0);
    wr(0, 0x50);
    wr(0x10, 0x20);
    wr(0x10, 0xd0);
    CHECK_EQ(rd(0), 0x80);
    wr(0, 0xff);
    CHECK_EQ(rd(5), 0xff);
    rig_stop(&r);
}

static void buffered(void)
{
    rig_start(&r, 1, 1);
    rig_device(&r, "flash", NULL, NULL);
    wr(0x2000, 0xe8);
    CHECK_EQ(rd(0x2000), 0x80);
    wr(0x2000, 3); /* four bytes */
    for (u32 i = 0; i < 4; i++)
        wr(0x2000 + i, (u8)(0x10 + i));
    wr(0x2000, 0xd0);
    wr(0x2000, 0xff);
    CHECK_EQ(rig_load(&r, BASE + 0x2000, 4), 0x13121110);
    wr(0x1fffe, 0xe8); /* reaches over the end of the flash */
    wr(0x1fffe, 255);
    for (u32 i = 0; i < 256; i++)
        wr(0x1fffe + (i & 1), 0);
    wr(0x1fffe, 0xd0);
    wr(0, 0xff);
    CHECK_EQ(rd(0x1fffe), 0);
    CHECK_EQ(rd(0x1fffd), 0xff);
    wr(0, 0x98);
    CHECK_EQ(rd(0x10), 'Q');
    CHECK_EQ(rd(0x27), 17);
    wr(0, 0xff);
    rig_stop(&r);
}

static void kept_in_a_file(void)
{
    char dir[] = "/tmp/mimic-nvram-XXXXXX", fresh[64], path[64], base[24];
    struct err e = { 0 };
    struct nvram *n;
    u8 byte = 0;
    int fd;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
    snprintf(path, sizeof(path), "%s/kept", dir);
    fd = open(fresh, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && !ftruncate(fd, 100));
    CHECK(nvram_open(&n, path, fresh, &e) < 0); /* no whole pages */
    CHECK(access(path, F_OK));
    CHECK(!ftruncate(fd, 8192));
    close(fd);
    for (int run = 0; run < 2; run++) {
        CHECK_EQ(nvram_open(&n, path, fresh, &e), 0);
        rig_start(&r, 1, 1);
        snprintf(base, sizeof(base), "%#llx", BASE);
        rig_device(&r, "flash", (const char *const[]){ "base", base, NULL },
                   (struct device_end[]){ { "nvram", n }, { NULL, NULL } });
        CHECK_EQ(rd(4096), 0);
        wr(run, 0x20);
        wr(run, 0xd0); /* the whole first block becomes ff */
        wr(7, 0x10);
        wr(7, 0x42);
        fd = open(path, O_RDONLY); /* there at once */
        CHECK_EQ(pread(fd, &byte, 1, 7), 1);
        CHECK_EQ(byte, 0x42);
        close(fd);
        rig_stop(&r);
        nvram_close(n);
    }
    CHECK_EQ(nvram_open(&n, NULL, fresh, &e), 0);
    nvram_bytes(n)[0] = 1;
    nvram_close(n);
    fd = open(fresh, O_RDONLY);
    CHECK_EQ(pread(fd, &byte, 1, 0), 1);
    CHECK_EQ(byte, 0);
    close(fd);
    unlink(fresh);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    CASE(program_and_erase);
    CASE(buffered);
    CASE(kept_in_a_file);
    return check_end();
}
