/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the schedules of UHCI and EHCI are walked. */
#include "device/usb/frames.h"

enum { BUSY_NS = 250000, IDLE_NS = 4000000, IDLE_AFTER = 64 };

u32 frames_count(const struct frames *f, i64 now, u32 unit_ns)
{
    return f->base + (f->running && now > f->from ? (u32)((now - f->from) / unit_ns) : 0);
}

void frames_run(struct frames *f, bool on, i64 now, u32 unit_ns)
{
    if (f->running == on)
        return;
    f->base = frames_count(f, now, unit_ns);
    f->from = now;
    f->running = on;
    f->idle = 0;
}

bool frames_next(struct frames *f, i64 now, u32 unit_ns, u32 units, u32 *frame)
{
    u32 current = frames_count(f, now, unit_ns) / units;

    if (!f->running || f->done == current + 1)
        return false;
    if (current + 1 - f->done > FRAMES_BEHIND) /* also when the counter was set */
        f->done = current;
    *frame = f->done++;
    return true;
}

i64 frames_look(struct frames *f, i64 now, bool found)
{
    f->idle = found ? 0 : f->idle < IDLE_AFTER ? f->idle + 1 : f->idle;
    return now + (f->idle < IDLE_AFTER ? BUSY_NS : IDLE_NS);
}

const struct field frames_fields[] = { FIELD_TIME(1, struct frames, from, 0, "when it was base"),
                                       FIELD(2, struct frames, base, 0, "the counter then"),
                                       FIELD(3, struct frames, done, 0, "the next frame to walk"),
                                       FIELD(4, struct frames, idle, 0, "looks that found nothing"),
                                       FIELD(5, struct frames, running, 0, "it runs"),
                                       FIELDS(0, struct frames, pad, F_LOCAL, "none"),
                                       FIELD_END };
