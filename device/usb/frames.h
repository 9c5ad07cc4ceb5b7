/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_FRAMES_H
#define DEVICE_USB_FRAMES_H
#include "base/field.h"
#include "base/types.h"

/*
 * The frame counter of a controller that walks lists in the guest's memory.  Guests put work
 * into them without a word, so somebody has to look: often while there was some lately, seldom
 * otherwise.  The counter goes by guest time all the same.
 */
enum { FRAMES_BEHIND = 32 }; /* older ones are left out */

struct frames {
    i64 from;       /* guest time when it was `base`; running */
    u32 base, done; /* done: the next frame that is to be walked */
    u32 idle;       /* looks in a row that found nothing */
    bool running;
    u8 pad[3];
};
extern const struct field frames_fields[];

void frames_run(struct frames *f, bool on, i64 now, u32 unit_ns);
u32 frames_count(const struct frames *f, i64 now, u32 unit_ns); /* units since it began */
/* The next frame of `units` units whose time has come; false: none. */
bool frames_next(struct frames *f, i64 now, u32 unit_ns, u32 units, u32 *frame);
i64 frames_look(struct frames *f, i64 now, bool found); /* when to look again */
#endif
