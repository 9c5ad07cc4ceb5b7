/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clipboard by commands 6 to 9 of the backdoor: a length, then its bytes, four a call.  The
 * newer way of VMware's tools, messages of drag and drop, is not offered to them: they fall back.
 * After open-vm-tools' dndcp plugin.
 */
#include "base/bytes.h"
#include "persona/vmware_int.h"

enum { CLIP_GET_LENGTH = 6, CLIP_GET_NEXT, CLIP_SET_LENGTH, CLIP_SET_NEXT };
#define CLIP_NOTHING_NEW 0xffffffffu

static u32 clip_get_next(struct vmware_clip *c)
{
    u32 n = c->out_at < c->out_len ? (u32)min_u64(4, c->out_len - c->out_at) : 0;
    u8 b[4] = { 0 };

    memcpy(b, c->out + c->out_at, n);
    c->out_at += n;
    return le32(b);
}

static void clip_set_next(struct vmware *v, struct vmware_clip *c, u32 word)
{
    u32 n = c->in_at < c->in_len ? (u32)min_u64(4, c->in_len - c->in_at) : 0;
    u8 b[4];

    put_le32(b, word);
    memcpy(c->in + c->in_at, b, n);
    c->in_at += n;
    if (n && c->in_at == c->in_len)
        vmtools_clip_said(v->tools, c->in, c->in_len);
}

bool vmware_clip(struct vmware *v, struct x86_state *s)
{
    struct vmware_clip *c = v->state.clip;

    if (!v->tools)
        return false;
    switch (s->gpr[RCX] & 0xffff) {
    case CLIP_GET_LENGTH:
        c->out_at = c->out_len = 0;
        s->gpr[RAX] =
            vmtools_clip_fetch(v->tools, c->out, &c->out_len) ? c->out_len : CLIP_NOTHING_NEW;
        return true;
    case CLIP_GET_NEXT:
        s->gpr[RAX] = clip_get_next(c);
        return true;
    case CLIP_SET_LENGTH:
        c->in_at = 0;
        c->in_len = (u32)min_u64((u32)s->gpr[RBX], VMTOOLS_CLIP);
        s->gpr[RAX] = 0;
        return true;
    case CLIP_SET_NEXT:
        clip_set_next(v, c, (u32)s->gpr[RBX]);
        s->gpr[RAX] = 0;
        return true;
    }
    return false;
}

bool vmware_clip_can_be(const struct vmware_clip *c)
{
    return c->in_len <= VMTOOLS_CLIP && c->in_at <= c->in_len && c->out_len <= VMTOOLS_CLIP &&
           c->out_at <= c->out_len;
}

const struct field vmware_clip_fields[] = {
    FIELD(1, struct vmware_clip, in_len, 0, "length of what the guest copied"),
    FIELD(2, struct vmware_clip, in_at, 0, "how much has come"),
    FIELD(3, struct vmware_clip, out_len, 0, "length of what it pastes"),
    FIELD(4, struct vmware_clip, out_at, 0, "how much has gone"),
    FIELDS(5, struct vmware_clip, in, F_SECRET, "what comes"),
    FIELDS(6, struct vmware_clip, out, F_SECRET, "what goes"),
    FIELD_END,
};
