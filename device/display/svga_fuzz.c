/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: the ports of SVGA II, its FIFO with commands that are
 * nearly right, its regions and screens; and somebody who looks.  The input is a program of
 * short operations.
 */
#include "base/loop.h"
#include "device/display/svga_rig.h"
#include <stdlib.h>

enum { RAM = 4 << 20, FIFO_SMALL = 4096 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct device *card;
static struct svga_guest guest;
static struct vga_pointer pointer;

static void fuzz_start(void)
{
    static const char *const settings[] = { "rom", "none", "vram", "4194304", NULL };
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };

    if (machine_new(&rig.m, &how, NULL))
        abort();
    rig.next_bar = 0xe0000000;
    rig.next_port = 0xc000;
    card = rig_device(&rig, "svga", settings, NULL);
    svga_guest_open(&guest, &rig, card);
}

static void fuzz_nothing(void *arg)
{
    (void)arg;
}

/* Numbers that mean something here more often than others. */
static u32 fuzz_number(struct cursor *c)
{
    u8 how = get_u8(c);

    switch (how % 8) {
    case 0:
        return get_le32(c);
    case 1:
        return (u32)SVGA_GMR_FRAMEBUFFER;
    case 2:
        return 0u - get_u8(c);
    case 3:
        return 32 | 24 << 8;
    case 4:
        return get_le16(c);
    default:
        return how >> 3;
    }
}

static void fuzz_command(struct cursor *c)
{
    u32 words[40] = { get_u8(c) % (SVGA_CMD_COUNT + 2) }, n = get_u8(c) % LEN(words);

    if (words[0] > SVGA_CMD_COUNT)
        words[0] = SVGA_CMD_3D;
    for (u32 i = 1; i < n; i++)
        words[i] = fuzz_number(c);
    svga_guest_put(&guest, words, n);
}

static void fuzz_look(void)
{
    struct vga_picture p = { 0 };

    if (!vga_news(card, &p))
        for (u32 i = 0; i < p.wide * p.high; i += 997)
            rig.ask_code += p.pixel[i];
    free(p.pixel);
    vga_pointer(card, &pointer);
}

static void fuzz_step(struct cursor *c)
{
    u32 reg;

    switch (get_u8(c) % 8) {
    case 0:
        reg = get_u8(c) % 64;
        svga_guest_set(&guest, reg, fuzz_number(c));
        break;
    case 1:
        reg = get_le16(c);
        svga_guest_get(&guest, reg);
        svga_guest_set(&guest, reg, get_le32(c));
        break;
    case 2: /* the words that the guest shares, whatever they are */
        reg = get_u8(c) % 16;
        svga_guest_word_set(&guest, reg, get_u8(c) & 1 ? get_le32(c) : 4u * get_le16(c));
        break;
    case 3:
        svga_guest_set(&guest, SVGA_REG_SYNC, 1);
        break;
    case 4:
        fuzz_look();
        break;
    default:
        fuzz_command(c);
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);
    u8 style;

    if (!rig.m)
        fuzz_start();
    domain_lock(card->domain);
    card->class->reset(card, RESET_SYSTEM);
    domain_unlock(card->domain);
    style = get_u8(&c);
    svga_guest_set(&guest, SVGA_REG_ENABLE, 1); /* small pictures are quick: not the VGA's */
    svga_guest_set(&guest, SVGA_REG_WIDTH, 64);
    svga_guest_set(&guest, SVGA_REG_HEIGHT, 32);
    for (u32 i = 0; i < 64; i++) { /* lists of pages that lead somewhere */
        u8 b[8];

        put_le32(b, 1 + i % 5);
        put_le32(b + 4, i % 4);
        rig_put(&rig, 0x1000 + 8 * i, b, sizeof(b));
    }
    if (style & 1)
        svga_guest_start(&guest, style & 2 ? 16 : 4 * SVGA_FIFO_WORDS,
                         style & 4 ? FIFO_SMALL : SVGA_FIFO_SIZE);
    for (u32 i = 0; i < 64 && c.at < c.len; i++) {
        u32 next = svga_guest_word(&guest, SVGA_FIFO_NEXT);

        if (next < guest.min || next >= guest.max || next & 3) /* for our own puts */
            svga_guest_word_set(&guest, SVGA_FIFO_NEXT, guest.min);
        fuzz_step(&c);
    }
    for (u32 i = 0; i < 3 && svga_guest_get(&guest, SVGA_REG_BUSY); i++)
        continue;
    fuzz_look();
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
    return 0;
}
