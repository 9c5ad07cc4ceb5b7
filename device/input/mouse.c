/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 mouse with a wheel, as the IntelliMouse is switched on: three rates in a row.  IBM
 * Personal System/2 hardware reference, mouse.
 */
#include "device/input/ps2_int.h"

enum { ACK = 0xfa, SELF_TEST_OK = 0xaa };
enum {
    SCALE1 = 0xe6,
    SCALE2 = 0xe7,
    SET_RESOLUTION = 0xe8,
    STATUS = 0xe9,
    STREAM = 0xea,
    READ = 0xeb,
    WRAP_OFF = 0xec,
    WRAP = 0xee,
    REMOTE = 0xf0,
    IDENTIFY = 0xf2,
    SET_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESET = 0xff
};
enum { ID_PLAIN = 0, ID_WHEEL = 3, MOVE_MAX = 255, WHEEL_MAX = 7, BUTTONS = 7 };

static void mouse_defaults(struct ps2_mouse *m)
{
    m->queue.count = 0;
    m->command = 0;
    m->dx = m->dy = m->dz = 0;
    m->rate = 100;
    m->resolution = 2;
    m->reporting = m->remote = m->wrap = m->scaled = false;
}

void mouse_reset(struct ps2_mouse *m)
{
    *m = (struct ps2_mouse){ .id = ID_PLAIN };
    mouse_defaults(m);
}

static int mouse_clamp(int v, int limit)
{
    return v > limit ? limit : v < -limit ? -limit : v;
}

static void mouse_packet(struct ps2_mouse *m)
{
    int dx = mouse_clamp(m->dx, MOVE_MAX), dy = mouse_clamp(-m->dy, MOVE_MAX);
    int dz = mouse_clamp(m->dz, WHEEL_MAX);

    ps2_put(&m->queue, (u8)(m->buttons | 8 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
    ps2_put(&m->queue, (u8)dx);
    ps2_put(&m->queue, (u8)dy);
    if (m->id == ID_WHEEL)
        ps2_put(&m->queue, (u8)dz);
    m->dx = (i16)(m->dx - dx);
    m->dy = (i16)(m->dy + dy);
    m->dz = (i16)(m->id == ID_WHEEL ? m->dz - dz : 0);
    m->told = m->buttons;
}

void mouse_fill(struct ps2_mouse *m)
{
    bool news = m->dx || m->dy || (m->dz && m->id == ID_WHEEL) || m->told != m->buttons;

    if (m->reporting && !m->remote && news && m->queue.count == 0)
        mouse_packet(m);
}

void mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, u8 buttons)
{
    m->dx = (i16)mouse_clamp(m->dx + mouse_clamp(dx, MOVE_MAX), INT16_MAX / 2);
    m->dy = (i16)mouse_clamp(m->dy + mouse_clamp(dy, MOVE_MAX), INT16_MAX / 2);
    m->dz = (i16)mouse_clamp(m->dz + mouse_clamp(dz, WHEEL_MAX), INT16_MAX / 2);
    m->buttons = buttons & BUTTONS;
}

static void mouse_argument(struct ps2_mouse *m, u8 byte)
{
    ps2_put(&m->queue, ACK);
    if (m->command == SET_RESOLUTION) {
        m->resolution = byte & 3;
    } else {
        if (m->rates[0] == 200 && m->rates[1] == 100 && byte == 80)
            m->id = ID_WHEEL;
        m->rates[0] = m->rates[1];
        m->rates[1] = m->rate = byte;
    }
    m->command = 0;
}

static void mouse_status(struct ps2_mouse *m)
{
    static const u8 order[] = { 0, 4, 2, 6, 1, 5, 3, 7 }; /* left is bit 2 here, right bit 0 */

    ps2_put(&m->queue, (u8)(order[m->buttons & BUTTONS] | (m->scaled ? 0x10 : 0) |
                            (m->reporting ? 0x20 : 0) | (m->remote ? 0x40 : 0)));
    ps2_put(&m->queue, m->resolution);
    ps2_put(&m->queue, m->rate);
}

static void mouse_command(struct ps2_mouse *m, u8 byte)
{
    ps2_put(&m->queue, ACK);
    switch (byte) {
    case SCALE1:
    case SCALE2:
        m->scaled = byte == SCALE2;
        break;
    case SET_RESOLUTION:
    case SET_RATE:
        m->command = byte;
        break;
    case STATUS:
        mouse_status(m);
        break;
    case STREAM:
    case REMOTE:
        m->remote = byte == REMOTE;
        break;
    case READ:
        mouse_packet(m);
        break;
    case WRAP:
    case WRAP_OFF:
        m->wrap = byte == WRAP;
        break;
    case IDENTIFY:
        ps2_put(&m->queue, m->id);
        break;
    case ENABLE:
    case DISABLE:
        m->reporting = byte == ENABLE;
        break;
    case DEFAULTS:
        mouse_defaults(m);
        ps2_put(&m->queue, ACK);
        break;
    case RESET:
        mouse_reset(m);
        ps2_put(&m->queue, ACK);
        ps2_put(&m->queue, SELF_TEST_OK);
        ps2_put(&m->queue, m->id);
        break;
    }
}

void mouse_write(struct ps2_mouse *m, u8 byte)
{
    if (m->command)
        mouse_argument(m, byte);
    else if (m->wrap && byte != WRAP_OFF && byte != RESET)
        ps2_put(&m->queue, byte);
    else
        mouse_command(m, byte);
}

const struct field ps2_mouse_fields[] = {
    FIELD_ANY(1, struct ps2_mouse, queue, F_STRUCT, sizeof(struct ps2_queue), 1, 0, "to send",
              ps2_queue_fields),
    FIELD_ANY(2, struct ps2_mouse, dx, F_U16, 2, 1, 0, "moved right", NULL),
    FIELD_ANY(3, struct ps2_mouse, dy, F_U16, 2, 1, 0, "moved down", NULL),
    FIELD_ANY(4, struct ps2_mouse, dz, F_U16, 2, 1, 0, "wheel", NULL),
    FIELD(5, struct ps2_mouse, buttons, 0, "buttons"),
    FIELD(6, struct ps2_mouse, told, 0, "buttons of the last packet"),
    FIELD(7, struct ps2_mouse, command, 0, "waits for its argument"),
    FIELD(8, struct ps2_mouse, id, 0, "0 plain, 3 with a wheel"),
    FIELD(9, struct ps2_mouse, rate, 0, "packets a second"),
    FIELD(10, struct ps2_mouse, resolution, 0, "resolution"),
    FIELDS(11, struct ps2_mouse, rates, 0, "the last rates set"),
    FIELD(12, struct ps2_mouse, reporting, 0, "moves are told"),
    FIELD(13, struct ps2_mouse, remote, 0, "only when asked"),
    FIELD(14, struct ps2_mouse, wrap, 0, "bytes come back"),
    FIELD(15, struct ps2_mouse, scaled, 0, "scaling 2:1"),
    FIELD_END
};
