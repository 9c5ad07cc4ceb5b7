/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal as a PC's screen and keyboard: raw mode, the alternate screen, a timer that
 * draws, and a queue that types no faster than a keyboard controller takes it.
 */
#include "backend/term_int.h"
#include "base/loop.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { TERM_LEAVE = 0x1d, TERM_QUEUE = 1024, TERM_INPUT = 256 };
#define TERM_FRAME_NS 50000000ll
#define TERM_KEY_NS 8000000ll

struct term {
    struct term_how how;
    struct loop_watch *watch;
    struct loop_timer *frame, *typing;
    struct term_shown shown;
    struct term_key queue[TERM_QUEUE];
    u32 head, count;
    bool raw;
    struct termios was;
};

/* A slow terminal is waited for: what is left out would never be drawn. */
static void term_write(struct term *t, const u8 *p, size_t n)
{
    while (n) {
        ssize_t done = write(t->how.out, p, n);
        struct pollfd room = { .fd = t->how.out, .events = POLLOUT };

        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            poll(&room, 1, 1000);
        } else if (done < 0 && errno != EINTR) {
            return;
        }
    }
}

static void term_frame(void *arg)
{
    struct term *t = arg;
    struct term_screen now = { .cell = NULL };
    struct winsize size = { 0 };
    struct buf to = { 0 };

    t->how.screen(t->how.arg, &now);
    if (ioctl(t->how.out, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row) {
        size.ws_col = TERM_COLUMNS;
        size.ws_row = TERM_ROWS;
    }
    if (!term_draw(&t->shown, &now, size.ws_col, size.ws_row, &to))
        term_write(t, to.p, to.len);
    else
        t->shown.known = false;
    buf_fini(&to);
    loop_timer_set(t->frame, loop_now() + TERM_FRAME_NS);
}

static void term_modifiers(struct term *t, u8 with, bool down)
{
    static const struct {
        u8 bit;
        u16 code;
    } keys[] = { { TERM_SHIFT, 0x2a }, { TERM_CTRL, 0x1d }, { TERM_ALT, 0x38 } };

    for (u32 i = 0; i < LEN(keys); i++)
        if (with & keys[i].bit)
            t->how.key(t->how.arg, keys[i].code, down);
}

static void term_type(void *arg)
{
    struct term *t = arg;
    struct term_key k;

    if (!t->count)
        return;
    k = t->queue[t->head];
    t->head = (t->head + 1) % TERM_QUEUE;
    t->count--;
    term_modifiers(t, k.with, true);
    t->how.key(t->how.arg, k.code, true);
    t->how.key(t->how.arg, k.code, false);
    term_modifiers(t, k.with, false);
    if (t->count)
        loop_timer_set(t->typing, loop_now() + TERM_KEY_NS);
}

static void term_input(void *arg, u32 events)
{
    struct term *t = arg;
    u8 in[TERM_INPUT];
    ssize_t n = read(t->how.in, in, sizeof(in));
    bool idle = !t->count;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        loop_watch_set(t->watch, 0);
        t->how.leave(t->how.arg);
        return;
    }
    for (u32 at = 0; at < (u32)n;) {
        struct term_key k;

        if (in[at] == TERM_LEAVE) {
            t->how.leave(t->how.arg);
            return;
        }
        at += term_key(in + at, (u32)n - at, &k);
        if (k.code && t->count < TERM_QUEUE)
            t->queue[(t->head + t->count++) % TERM_QUEUE] = k;
    }
    if (idle)
        term_type(t);
}

static void term_raw(struct term *t)
{
    struct termios raw;

    if (!isatty(t->how.in) || tcgetattr(t->how.in, &t->was))
        return;
    raw = t->was;
    cfmakeraw(&raw);
    t->raw = !tcsetattr(t->how.in, TCSANOW, &raw);
}

static void term_free(struct term *t)
{
    if (t->watch)
        loop_watch_drop(t->watch);
    if (t->typing)
        loop_timer_drop(t->typing);
    if (t->frame)
        loop_timer_drop(t->frame);
    free(t);
}

int term_open(struct term **out, const struct term_how *how, struct err *e)
{
    static const char begin[] = "\033[?1049h";
    struct term *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return err_set(e, -ENOMEM, "no memory for the terminal");
    t->how = *how;
    r = loop_timer_add(how->loop, term_frame, t, &t->frame);
    r = r ? r : loop_timer_add(how->loop, term_type, t, &t->typing);
    if (!r && how->in >= 0)
        r = loop_watch_add(how->loop, how->in, LOOP_READ, term_input, t, &t->watch);
    if (r) {
        term_free(t);
        return err_set(e, r, "the terminal cannot be watched: %s", strerror(-r));
    }
    term_raw(t);
    term_write(t, (const u8 *)begin, sizeof(begin) - 1);
    loop_timer_set(t->frame, loop_now());
    *out = t;
    return 0;
}

void term_close(struct term *t)
{
    static const char end[] = "\033[0m\033[?25h\033[?1049l";

    if (!t)
        return;
    term_write(t, (const u8 *)end, sizeof(end) - 1);
    if (t->raw)
        tcsetattr(t->how.in, TCSANOW, &t->was);
    term_free(t);
}
