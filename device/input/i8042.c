/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyboard controller of a PC with keyboard and mouse.  IBM Personal System/2 hardware
 * reference, keyboard and auxiliary device controller.
 *
 * A20 is always open.  Left out: security password, test of the lines.
 */
#include "device/input/ps2_int.h"
#include "machine/machine.h"
#include <errno.h>

enum { ST_OUTPUT = 1, ST_SYSTEM = 4, ST_COMMAND = 8, ST_UNLOCKED = 0x10, ST_MOUSE = 0x20 };
enum {
    MODE_KEYBOARD_IRQ = 1,
    MODE_MOUSE_IRQ = 2,
    MODE_SYSTEM = 4,
    MODE_KEYBOARD_OFF = 0x10,
    MODE_MOUSE_OFF = 0x20,
    MODE_TRANSLATE = 0x40
};
enum {
    READ_MODE = 0x20,
    WRITE_MODE = 0x60,
    MOUSE_OFF = 0xa7,
    MOUSE_ON = 0xa8,
    TEST_MOUSE = 0xa9,
    SELF_TEST = 0xaa,
    TEST_KEYBOARD = 0xab,
    KEYBOARD_OFF = 0xad,
    KEYBOARD_ON = 0xae,
    READ_INPUT = 0xc0,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    AS_KEYBOARD = 0xd2,
    AS_MOUSE = 0xd3,
    TO_MOUSE = 0xd4,
    PULSE = 0xf0
};
enum { OUT_NO_RESET = 1, OUT_A20 = 2, BREAK = 0xf0 };
enum { FROM_NOBODY, FROM_CONTROLLER, FROM_KEYBOARD, FROM_MOUSE };

struct i8042 {
    struct device dev;
    struct i8042_state {
        u8 mode, output_port;
        u8 command;                 /* waits for its byte at port 0x60 */
        u8 data;                    /* the output buffer */
        u8 from;                    /* who filled it: FROM_ */
        bool wrote_command, broken; /* broken: a break prefix was swallowed in translation */
        u8 pad;
        struct ps2_keyboard keyboard;
        struct ps2_mouse mouse;
    } state;
    struct irq keyboard_irq, mouse_irq;
    i64 heard_ns;   /* when the guest last read a byte, or the first came that waits */
    u64 held[4];    /* the keys that are down */
    u64 unheard[4]; /* those whose press found no room: nobody hears of their release */
};

static struct i8042_state *i8042_state(struct device *d)
{
    return &((struct i8042 *)d)->state;
}

static void i8042_lines(struct i8042 *k)
{
    const struct i8042_state *s = &k->state;

    irq_set(&k->keyboard_irq, (s->from == FROM_KEYBOARD || s->from == FROM_CONTROLLER) &&
                                  s->mode & MODE_KEYBOARD_IRQ);
    irq_set(&k->mouse_irq, s->from == FROM_MOUSE && s->mode & MODE_MOUSE_IRQ);
}

/* The next byte of the keyboard that comes through translation. */
static bool i8042_from_keyboard(struct i8042_state *s, u8 *byte)
{
    while (s->keyboard.queue.count) {
        u8 b = ps2_take(&s->keyboard.queue);

        if (!(s->mode & MODE_TRANSLATE)) {
            *byte = b;
            return true;
        }
        if (b == BREAK) {
            s->broken = true;
            continue;
        }
        *byte = (u8)(keyboard_translate(b) | (s->broken ? 0x80 : 0));
        s->broken = false;
        return true;
    }
    return false;
}

/* Fills the output buffer when it is empty and somebody has something. */
static void i8042_pump(struct i8042 *k)
{
    struct i8042_state *s = &k->state;

    if (s->from == FROM_NOBODY && !(s->mode & MODE_KEYBOARD_OFF) &&
        i8042_from_keyboard(s, &s->data)) {
        s->from = FROM_KEYBOARD;
    } else if (s->from == FROM_NOBODY && !(s->mode & MODE_MOUSE_OFF)) {
        mouse_fill(&s->mouse);
        if (s->mouse.queue.count) {
            s->data = ps2_take(&s->mouse.queue);
            s->from = FROM_MOUSE;
        }
    }
    i8042_lines(k);
}

static void i8042_answer(struct i8042 *k, u8 byte, u8 from)
{
    k->state.data = byte;
    k->state.from = FROM_NOBODY;
    i8042_lines(k); /* so that a new byte is a new edge */
    k->state.from = from;
    i8042_lines(k);
}

static void i8042_output_port(struct i8042 *k, u8 val)
{
    if (!(val & OUT_NO_RESET))
        machine_ask(k->dev.machine, MACHINE_RESET, 0);
    k->state.output_port = val | OUT_NO_RESET;
}

static void i8042_command(struct i8042 *k, u8 val)
{
    struct i8042_state *s = &k->state;

    s->command = 0;
    switch (val) {
    case READ_MODE:
        i8042_answer(k, s->mode, FROM_CONTROLLER);
        break;
    case MOUSE_OFF:
        s->mode |= MODE_MOUSE_OFF;
        break;
    case MOUSE_ON:
        s->mode &= (u8)~MODE_MOUSE_OFF;
        break;
    case TEST_MOUSE:
    case TEST_KEYBOARD:
        i8042_answer(k, 0, FROM_CONTROLLER);
        break;
    case SELF_TEST:
        s->mode |= MODE_SYSTEM;
        i8042_answer(k, 0x55, FROM_CONTROLLER);
        break;
    case KEYBOARD_OFF:
        s->mode |= MODE_KEYBOARD_OFF;
        break;
    case KEYBOARD_ON:
        s->mode &= (u8)~MODE_KEYBOARD_OFF;
        break;
    case READ_INPUT:
        i8042_answer(k, 0x80, FROM_CONTROLLER);
        break;
    case READ_OUTPUT:
        i8042_answer(k, s->output_port, FROM_CONTROLLER);
        break;
    case WRITE_MODE:
    case WRITE_OUTPUT:
    case AS_KEYBOARD:
    case AS_MOUSE:
    case TO_MOUSE:
        s->command = val;
        break;
    default:
        if (val >= PULSE && !(val & OUT_NO_RESET))
            machine_ask(k->dev.machine, MACHINE_RESET, 0);
    }
}

static void i8042_data(struct i8042 *k, u8 val)
{
    struct i8042_state *s = &k->state;
    u8 command = s->command;

    s->command = 0;
    switch (command) {
    case WRITE_MODE:
        s->mode = val & 0x7f;
        break;
    case WRITE_OUTPUT:
        i8042_output_port(k, val);
        break;
    case AS_KEYBOARD:
        i8042_answer(k, val, FROM_KEYBOARD);
        break;
    case AS_MOUSE:
        i8042_answer(k, val, FROM_MOUSE);
        break;
    case TO_MOUSE:
        s->mode &= (u8)~MODE_MOUSE_OFF;
        mouse_write(&s->mouse, val);
        break;
    default:
        s->mode &= (u8)~MODE_KEYBOARD_OFF;
        keyboard_write(&s->keyboard, val);
    }
}

static u64 i8042_data_load(struct device *d, u32 off, u32 size)
{
    struct i8042 *k = (struct i8042 *)d;
    u8 val = k->state.data;

    (void)off, (void)size;
    k->state.from = FROM_NOBODY;
    k->heard_ns = machine_now(d->machine);
    i8042_lines(k);
    i8042_pump(k);
    return val;
}

static void i8042_data_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)off, (void)size;
    i8042_state(d)->wrote_command = false;
    i8042_data((struct i8042 *)d, (u8)val);
    i8042_pump((struct i8042 *)d);
}

static u64 i8042_status_load(struct device *d, u32 off, u32 size)
{
    const struct i8042_state *s = i8042_state(d);

    (void)off, (void)size;
    return (u64)(ST_UNLOCKED | (s->from != FROM_NOBODY ? ST_OUTPUT : 0) |
                 (s->from == FROM_MOUSE ? ST_MOUSE : 0) | (s->mode & MODE_SYSTEM ? ST_SYSTEM : 0) |
                 (s->wrote_command ? ST_COMMAND : 0));
}

static void i8042_command_store(struct device *d, u32 off, u32 size, u64 val)
{
    (void)off, (void)size;
    i8042_state(d)->wrote_command = true;
    i8042_command((struct i8042 *)d, (u8)val);
    i8042_pump((struct i8042 *)d);
}

/* ---- from the host ---- */

/*
 * A real keyboard holds 16 bytes, and drivers that empty it before they begin give up after so
 * many (Linux: "No controller found").  What a user types while nobody reads must fit: the byte
 * in the output buffer, and here a key's press with its release.  A guest that lags hears all,
 * but a key that is held down repeats only for one that keeps up.
 */
enum { KEYS_UNREAD = 15, KEY_BYTES = 5, KEYS_LAG_NS = 800000000 };

static bool i8042_hears(struct i8042 *k, u16 key, bool down)
{
    u32 n = (key & 0x7f) | (key >> 8 ? 0x80 : 0), count = k->state.keyboard.queue.count;
    u64 *held = &k->held[n / 64], *unheard = &k->unheard[n / 64], bit = 1ull << n % 64;
    i64 now = machine_now(k->dev.machine);
    bool late = now - k->heard_ns >= KEYS_LAG_NS, again = down && *held & bit;

    if (!count)
        k->heard_ns = now;
    *held = down ? *held | bit : *held & ~bit;
    if (again && count)
        return false;
    if (down)
        *unheard = late && count + KEY_BYTES > KEYS_UNREAD ? *unheard | bit : *unheard & ~bit;
    return !(*unheard & bit);
}

void ps2_key(struct device *d, u16 key, bool down)
{
    struct i8042 *k = (struct i8042 *)d;

    domain_lock(d->domain);
    if (i8042_hears(k, key, down))
        keyboard_key(&k->state.keyboard, key, down);
    i8042_pump(k);
    domain_unlock(d->domain);
}

void ps2_mouse(struct device *d, int dx, int dy, int dz, u8 buttons)
{
    domain_lock(d->domain);
    mouse_move(&i8042_state(d)->mouse, dx, dy, dz, buttons);
    i8042_pump((struct i8042 *)d);
    domain_unlock(d->domain);
}

/* Set 1 code of the key that types c; 0x80: with shift. */
static u8 ps2_key_of(char c)
{
    static const struct {
        const char *plain, *shifted;
        u8 first;
    } rows[] = {
        { "1234567890-=\b\tqwertyuiop[]\n", "!@#$%^&*()_+\b\tQWERTYUIOP{}\n", 0x02 },
        { "asdfghjkl;'`", "ASDFGHJKL:\"~", 0x1e },
        { "\\zxcvbnm,./", "|ZXCVBNM<>?", 0x2b },
        { " ", " ", 0x39 },
        { "\033", "\033", 0x01 },
    };

    if (c == '\r')
        c = '\n';
    if (c == 0x7f)
        c = '\b';
    for (u32 i = 0; i < LEN(rows); i++)
        for (u8 n = 0; rows[i].plain[n]; n++) {
            if (rows[i].plain[n] == c)
                return rows[i].first + n;
            if (rows[i].shifted[n] == c)
                return (rows[i].first + n) | 0x80;
        }
    return 0;
}

u32 ps2_type(struct device *d, const char *text, u32 n)
{
    struct ps2_keyboard *k = &i8042_state(d)->keyboard;
    u32 i;

    domain_lock(d->domain);
    for (i = 0; i < n && ps2_room(&k->queue) >= 12; i++) {
        bool control = text[i] > 0 && text[i] < 27 && !ps2_key_of(text[i]);
        u8 key = ps2_key_of(control ? (char)(text[i] + 'a' - 1) : text[i]);
        u16 with = control ? 0x1d : 0x2a;

        if (!key)
            continue;
        if (control || key & 0x80)
            keyboard_key(k, with, true);
        keyboard_key(k, key & 0x7f, true);
        keyboard_key(k, key & 0x7f, false);
        if (control || key & 0x80)
            keyboard_key(k, with, false);
    }
    i8042_pump((struct i8042 *)d);
    domain_unlock(d->domain);
    return i;
}

/* ---- the device ---- */

static int i8042_create(struct device *d, struct err *e)
{
    struct region data = { .name = "i8042 data",
                           .base = 0x60,
                           .len = 1,
                           .min = 1,
                           .max = 1,
                           .load = i8042_data_load,
                           .store = i8042_data_store,
                           .dev = d };
    struct region command = { .name = "i8042 command",
                              .base = 0x64,
                              .len = 1,
                              .min = 1,
                              .max = 1,
                              .load = i8042_status_load,
                              .store = i8042_command_store,
                              .dev = d };
    struct i8042 *k = (struct i8042 *)d;

    k->keyboard_irq = machine_wire(d->machine, d, "isa.1");
    k->mouse_irq = machine_wire(d->machine, d, "isa.12");
    if (space_add(machine_ports(d->machine), &data, NULL, e))
        return -EEXIST;
    return space_add(machine_ports(d->machine), &command, NULL, e);
}

static void i8042_reset(struct device *d, enum reset kind)
{
    struct i8042_state *s = i8042_state(d);

    (void)kind;
    *s = (struct i8042_state){ .mode = MODE_KEYBOARD_IRQ | MODE_MOUSE_IRQ | MODE_TRANSLATE,
                               .output_port = OUT_NO_RESET | OUT_A20 };
    keyboard_reset(&s->keyboard);
    mouse_reset(&s->mouse);
    i8042_lines((struct i8042 *)d);
}

static int i8042_check(const struct device *d, struct err *e)
{
    const struct i8042_state *s = &((const struct i8042 *)d)->state;

    if (s->from > FROM_MOUSE || s->keyboard.queue.head >= PS2_QUEUE ||
        s->keyboard.queue.count > PS2_QUEUE || s->mouse.queue.head >= PS2_QUEUE ||
        s->mouse.queue.count > PS2_QUEUE || s->keyboard.set < 1 || s->keyboard.set > 2)
        return err_set(e, -EBADMSG, "no keyboard controller can be in this state");
    return 0;
}

#define I8042 struct i8042_state
static const struct field state[] = {
    FIELD(1, I8042, mode, 0, "command byte"),
    FIELD(2, I8042, output_port, 0, "output port"),
    FIELD(3, I8042, command, 0, "waits for its byte"),
    FIELD(4, I8042, data, 0, "output buffer"),
    FIELD(5, I8042, from, 0, "who filled it"),
    FIELD(6, I8042, wrote_command, 0, "the last write was a command"),
    FIELD(7, I8042, broken, 0, "a break prefix came"),
    FIELD(0, I8042, pad, F_LOCAL, "none"),
    FIELD_ANY(8, I8042, keyboard, F_STRUCT, sizeof(struct ps2_keyboard), 1, 0, "keyboard",
              ps2_keyboard_fields),
    FIELD_ANY(9, I8042, mouse, F_STRUCT, sizeof(struct ps2_mouse), 1, 0, "mouse", ps2_mouse_fields),
    FIELD_END
};

const struct device_class device_i8042 = {
    .name = "i8042",
    .about = "keyboard controller with PS/2 keyboard and mouse",
    .domain = "chipset",
    .size = sizeof(struct i8042),
    .state_at = offsetof(struct i8042, state),
    .state_size = sizeof(struct i8042_state),
    .state = state,
    .create = i8042_create,
    .reset = i8042_reset,
    .check = i8042_check,
};
