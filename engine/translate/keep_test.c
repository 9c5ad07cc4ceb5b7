/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Translated code that is kept: met again, damaged, and of another. */
/* The rig checks. */
/* clang-format off */
#include "tests/check.h"
#include "engine/translate/keep.h"
#include "engine/translate/translate_rig.h"
/* clang-format on */

/* mov ecx,1000; l: push rcx; add [0x200000],rcx; pop rax; call f; dec ecx; jnz l; hlt;
 * f: cpuid-free work over flags: cmp al,7; sbb edx,eax; ret */
static const u8 work[] = { 0xb9, 0xe8, 3,    0,    0,    0x51, 0x48, 1,    0x0c, 0x25,
                           0,    0,    0x20, 0,    0x58, 0xe8, 5,    0,    0,    0,
                           0xff, 0xc9, 0x75, 0xed, 0xf4, 0x3c, 7,    0x19, 0xc2, 0xc3 };
static char dir[] = "/tmp/mimic-keep-XXXXXX", path[64];

/* What the program computes; how many of its blocks were kept ones. */
static u64 work_run(u64 *used, u8 last)
{
    struct keep_counts c = { 0 };
    struct err e = { 0 };
    struct x86_state s;
    struct engine *g;
    struct rig r;
    u64 sum;

    rig_keep = open(dir, O_RDONLY | O_DIRECTORY);
    rig_open(&r, &engine_translate, 1, false);
    close(rig_keep);
    rig_keep = -1;
    g = r.engine;
    rig_tables(r.ram);
    memcpy(r.ram + CODE, work, sizeof(work));
    r.ram[CODE + 26] = last;
    rig_state(&s, X86_MODE64);
    s.gpr[RDX] = 0;
    r.ops->set(r.v[0], &s);
    CHECK_EQ(r.ops->run(r.v[0], &e), STOP_HALTED);
    r.ops->get(r.v[0], &s);
    if (g->keep)
        keep_stats(g->keep, &c);
    *used = g->keep ? c.used : ~0ull;
    memcpy(&sum, r.ram + 0x200000, sizeof(sum));
    sum = sum << 32 | (u32)s.gpr[RDX];
    rig_close(&r);
    return sum;
}

static u64 file_size(void)
{
    struct stat s;

    return stat(path, &s) ? 0 : (u64)s.st_size;
}

static void again(void)
{
    u64 used, want = work_run(&used, 7);

    CHECK_EQ(used, 0);
    CHECK(file_size() > 0);
    CHECK_EQ(work_run(&used, 7), want);
    CHECK(used >= 3);
    /* what is not the same is not taken */
    CHECK(work_run(&used, 200) != want);
    CHECK_EQ(used, 0); /* one line holds them all */
    CHECK_EQ(work_run(&used, 7), want);
    CHECK(used >= 3);
}

/* The interpreter computes the same. */
static void the_same(void)
{
    program_case((struct program){ X86_MODE64, work, sizeof(work), NULL, false });
}

static void damaged(void)
{
    u64 used, want = work_run(&used, 7), size = file_size();
    u8 *whole = malloc(size);
    int fd = open(path, O_RDONLY);

    CHECK_EQ(read(fd, whole, size), (ssize_t)size);
    close(fd);
    for (u64 at = 0; at < size; at += at < 4096 ? 13 : 9973) {
        u8 was = whole[at];

        whole[at] ^= 1 << at % 8;
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        CHECK_EQ(write(fd, whole, size), (ssize_t)size);
        close(fd);
        whole[at] = was;
        CHECK_EQ(work_run(&used, 7), want);
    }
    for (u64 len = 0; len < size; len += size / 7) {
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        CHECK_EQ(write(fd, whole, len), (ssize_t)len);
        close(fd);
        CHECK_EQ(work_run(&used, 7), want);
        CHECK_EQ(used, 0);
    }
    free(whole);
}

static void not_ours(void)
{
    char other[80];
    u64 used, want = work_run(&used, 7);

    chmod(path, 0666); /* anybody may have written it */
    CHECK_EQ(work_run(&used, 7), want);
    CHECK_EQ(used, 0);
    CHECK_EQ(work_run(&used, 7), want);
    CHECK(used); /* written anew, for us alone */
    snprintf(other, sizeof(other), "%s.other", path);
    rename(path, other);
    CHECK(!symlink(other, path));
    CHECK_EQ(work_run(&used, 7), want);
    CHECK_EQ(used, 0);
    unlink(other);
    chmod(dir, 0777);
    CHECK_EQ(work_run(&used, 7), want);
    CHECK_EQ(used, ~0ull); /* nothing is kept there */
    chmod(dir, 0700);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof(path), "%s/translated", dir);
    CASE(again);
    CASE(the_same);
    CASE(damaged);
    CASE(not_ours);
    unlink(path);
    rmdir(dir);
    return check_end();
}
