/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_INPUT_PS2_INT_H
#define DEVICE_INPUT_PS2_INT_H
#include "device/input/ps2.h"

/* Bytes on their way from a PS/2 device to the controller. */
enum { PS2_QUEUE = 64 };
struct ps2_queue {
    u8 byte[PS2_QUEUE];
    u8 head, count;
};
static inline u32 ps2_room(const struct ps2_queue *q)
{
    return PS2_QUEUE - q->count;
}
static inline void ps2_put(struct ps2_queue *q, u8 byte)
{
    if (q->count < PS2_QUEUE)
        q->byte[(q->head + q->count++) % PS2_QUEUE] = byte;
}
static inline u8 ps2_take(struct ps2_queue *q)
{
    u8 byte = q->byte[q->head];

    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return byte;
}

struct ps2_keyboard {
    struct ps2_queue queue;
    u8 command; /* waits for its argument */
    u8 set;     /* scan code set: 1 or 2 */
    u8 leds, rate;
    bool scanning;
    u8 pad;
};
void keyboard_reset(struct ps2_keyboard *k);
void keyboard_write(struct ps2_keyboard *k, u8 byte);
void keyboard_key(struct ps2_keyboard *k, u16 key, bool down);
u8 keyboard_translate(u8 set2); /* to set 1, as the controller does */

struct ps2_mouse {
    struct ps2_queue queue;
    i16 dx, dy, dz;   /* moved, not yet told */
    u8 buttons, told; /* told: the buttons of the last packet */
    u8 command;       /* waits for its argument */
    u8 id, rate, resolution;
    u8 rates[2]; /* the last ones set: three of them in a row ask for a wheel */
    bool reporting, remote, wrap, scaled;
};
void mouse_reset(struct ps2_mouse *m);
void mouse_write(struct ps2_mouse *m, u8 byte);
void mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, u8 buttons);
void mouse_fill(struct ps2_mouse *m); /* a packet, when there is something to tell and room */

extern const struct field ps2_queue_fields[], ps2_keyboard_fields[], ps2_mouse_fields[];
#endif
