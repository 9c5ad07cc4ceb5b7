/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard: what it sends for keys, and its commands.  IBM Personal System/2 hardware
 * reference, keyboard; scan code sets 1 and 2.  Left out: set 3, typematic repeat (the host
 * repeats).
 */
#include "device/input/ps2_int.h"

enum { ACK = 0xfa, RESEND = 0xfe, ECHO = 0xee, SELF_TEST_OK = 0xaa, BREAK = 0xf0, EXTENDED = 0xe0 };
enum {
    SET_LEDS = 0xed,
    SCAN_SET = 0xf0,
    IDENTIFY = 0xf2,
    SET_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESET = 0xff
};

/* Set 2 to set 1, by the table of the IBM PC/AT's keyboard controller. */
static const u8 to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54
};

u8 keyboard_translate(u8 set2)
{
    if (set2 == 0x83)
        return 0x41;
    if (set2 == 0x84)
        return 0x54;
    return set2 < LEN(to_set1) ? to_set1[set2] : set2;
}

static u8 keyboard_set2(u8 set1)
{
    if (set1 == 0x41)
        return 0x83; /* F7 */
    for (u32 i = 1; i < LEN(to_set1); i++)
        if (to_set1[i] == set1)
            return (u8)i;
    return 0;
}

void keyboard_key(struct ps2_keyboard *k, u16 key, bool down)
{
    u8 code = key & 0x7f;

    if (!code || !k->scanning || ps2_room(&k->queue) < 4)
        return;
    if (k->set == 2)
        code = keyboard_set2(code);
    if (!code)
        return;
    if (key >> 8 == EXTENDED)
        ps2_put(&k->queue, EXTENDED);
    if (!down && k->set == 2)
        ps2_put(&k->queue, BREAK);
    ps2_put(&k->queue, !down && k->set == 1 ? code | 0x80 : code);
}

static void keyboard_defaults(struct ps2_keyboard *k)
{
    k->queue.count = 0;
    k->command = 0;
    k->set = 2;
    k->rate = 0x2b;
    k->leds = 0;
    k->scanning = true;
}

void keyboard_reset(struct ps2_keyboard *k)
{
    *k = (struct ps2_keyboard){ .set = 2 };
    keyboard_defaults(k);
}

static void keyboard_argument(struct ps2_keyboard *k, u8 byte)
{
    u8 command = k->command;

    k->command = 0;
    ps2_put(&k->queue, ACK);
    if (command == SET_LEDS)
        k->leds = byte & 7;
    else if (command == SET_RATE)
        k->rate = byte & 0x7f;
    else if (byte == 0)
        ps2_put(&k->queue, k->set);
    else
        k->set = byte == 1 ? 1 : 2;
}

void keyboard_write(struct ps2_keyboard *k, u8 byte)
{
    if (k->command && byte < SET_LEDS) {
        keyboard_argument(k, byte);
        return;
    }
    k->command = 0;
    switch (byte) {
    case SET_LEDS:
    case SCAN_SET:
    case SET_RATE:
        k->command = byte;
        break;
    case ECHO:
        ps2_put(&k->queue, ECHO);
        return;
    case RESEND:
        ps2_put(&k->queue, 0);
        return;
    case IDENTIFY:
        ps2_put(&k->queue, ACK);
        ps2_put(&k->queue, 0xab);
        ps2_put(&k->queue, 0x83);
        return;
    case ENABLE:
        k->scanning = true;
        break;
    case DISABLE:
        keyboard_defaults(k);
        k->scanning = false;
        break;
    case DEFAULTS:
        keyboard_defaults(k);
        break;
    case RESET:
        keyboard_defaults(k);
        ps2_put(&k->queue, ACK);
        ps2_put(&k->queue, SELF_TEST_OK);
        return;
    default:
        if (byte < SET_LEDS) {
            ps2_put(&k->queue, RESEND);
            return;
        }
    }
    ps2_put(&k->queue, ACK);
}

const struct field ps2_queue_fields[] = { FIELDS(1, struct ps2_queue, byte, 0, "bytes"),
                                          FIELD(2, struct ps2_queue, head, 0, "the oldest"),
                                          FIELD(3, struct ps2_queue, count, 0, "how many"),
                                          FIELD_END };
const struct field ps2_keyboard_fields[] = {
    FIELD_ANY(1, struct ps2_keyboard, queue, F_STRUCT, sizeof(struct ps2_queue), 1, 0, "to send",
              ps2_queue_fields),
    FIELD(2, struct ps2_keyboard, command, 0, "waits for its argument"),
    FIELD(3, struct ps2_keyboard, set, 0, "scan code set"),
    FIELD(4, struct ps2_keyboard, leds, 0, "lights"),
    FIELD(5, struct ps2_keyboard, rate, 0, "repeat rate"),
    FIELD(6, struct ps2_keyboard, scanning, 0, "keys are told"),
    FIELD(0, struct ps2_keyboard, pad, F_LOCAL, "none"),
    FIELD_END
};
