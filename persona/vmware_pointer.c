/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's absolute pointer: commands 39 to 41 and 86 of the backdoor.  The guest's driver sits on
 * the PS/2 mouse, whose interrupt tells it to look; then it reads packets of four words here.
 * After Linux' drivers/input/mouse/vmmouse.c.
 */
#include "persona/vmware_int.h"

enum {
    POINTER_ENABLE = 0x45414552,
    POINTER_DISABLE = 0xf5,
    POINTER_RELATIVE = 0x4c455252,
    POINTER_ABSOLUTE = 0x53424152,
    POINTER_VERSION = 0x3442554a,
};
#define POINTER_ERROR 0xffff0000u
enum { PACKET = 4, PACKET_LEFT = 0x20, PACKET_RIGHT = 0x10, PACKET_MIDDLE = 0x08 };

static void pointer_push(struct vmware_state *s, u32 word)
{
    u32 from = s->pointer_from % VMWARE_POINTER_WORDS;

    s->pointer[(from + s->pointer_count) % VMWARE_POINTER_WORDS] = word;
    s->pointer_count++;
}

static u32 pointer_pop(struct vmware_state *s)
{
    u32 from = s->pointer_from % VMWARE_POINTER_WORDS;

    s->pointer_from = (from + 1) % VMWARE_POINTER_WORDS;
    s->pointer_count--;
    return s->pointer[from];
}

bool vmware_pointer_move(struct persona *p, u32 x, u32 y, i32 z, u32 buttons)
{
    struct vmware *v = (struct vmware *)p;
    struct vmware_state *s = &v->state;
    bool on;

    pthread_mutex_lock(&v->lock);
    on = s->pointer_on && !s->pointer_relative;
    if (on && s->pointer_count <= VMWARE_POINTER_WORDS - PACKET) {
        pointer_push(s, (buttons & 1 ? PACKET_LEFT : 0) | (buttons & 2 ? PACKET_RIGHT : 0) |
                            (buttons & 4 ? PACKET_MIDDLE : 0));
        pointer_push(s, x);
        pointer_push(s, y);
        pointer_push(s, (u32)z);
    }
    pthread_mutex_unlock(&v->lock);
    return on;
}

void vmware_pointer_status(struct vmware *v, struct x86_state *s)
{
    s->gpr[RAX] = v->state.pointer_on ? v->state.pointer_count : POINTER_ERROR;
}

void vmware_pointer_data(struct vmware *v, struct x86_state *s)
{
    static const u8 to[PACKET] = { RAX, RBX, RCX, RDX };
    u32 n = (u32)s->gpr[RBX];

    if (!n || n > PACKET || n > v->state.pointer_count ||
        v->state.pointer_count > VMWARE_POINTER_WORDS) {
        v->state.pointer_on = false; /* out of step: the driver starts anew */
        v->state.pointer_count = 0;
        s->gpr[RAX] = POINTER_ERROR;
        return;
    }
    for (u32 i = 0; i < n; i++)
        s->gpr[to[i]] = pointer_pop(&v->state);
}

void vmware_pointer_command(struct vmware *v, struct x86_state *s)
{
    struct vmware_state *st = &v->state;

    switch ((u32)s->gpr[RBX]) {
    case POINTER_ENABLE:
        st->pointer_on = true;
        st->pointer_from = st->pointer_count = 0;
        pointer_push(st, POINTER_VERSION);
        break;
    case POINTER_DISABLE:
        st->pointer_on = false;
        st->pointer_count = 0;
        break;
    case POINTER_RELATIVE:
    case POINTER_ABSOLUTE:
        st->pointer_relative = (u32)s->gpr[RBX] == POINTER_RELATIVE;
        break;
    }
    s->gpr[RAX] = 0;
}
