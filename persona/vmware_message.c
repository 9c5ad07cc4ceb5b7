/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's message channels: command 30 of the backdoor, four bytes a call, and port 0x5659,
 * whole messages by REP INSB and OUTSB.  After open-vm-tools' guest_msg_def.h and message.c.
 *
 * A guest sends on a channel, then fetches.  RPCI: what it fetches answers what it sent; TCLO:
 * what it sends answers what it fetched, and an empty message asks for more.
 */
#include "base/bytes.h"
#include "persona/vmware_int.h"
#include <sys/random.h>

enum { PROTOCOL_RPCI = 0x49435052, PROTOCOL_TCLO = 0x4f4c4354 };
#define OPEN_COOKIES 0x80000000u
enum {
    MESSAGE_OPEN,
    MESSAGE_SEND_SIZE,
    MESSAGE_SEND,
    MESSAGE_RECEIVE_SIZE,
    MESSAGE_RECEIVE,
    MESSAGE_RECEIVE_STATUS,
    MESSAGE_CLOSE,
};
enum { STATUS_OK = 1, STATUS_WAITING = 2, STATUS_BULK = 0x80 };

static void message_close(struct vmware *v, struct vmware_channel *c)
{
    if (c->protocol == PROTOCOL_TCLO)
        vmtools_tclo_close(v->tools, (u32)(c - v->state.channel));
    c->protocol = 0;
}

void vmware_message_reset(struct vmware *v)
{
    for (u32 i = 0; i < VMWARE_CHANNELS; i++) {
        if (v->tools && v->state.channel[i].protocol)
            message_close(v, &v->state.channel[i]);
        memset(&v->state.channel[i], 0, sizeof(v->state.channel[i]));
    }
}

/* The tools' host half is another one: it greets the sessions anew, which the guest takes well. */
void vmware_message_restored(struct vmware *v)
{
    for (u32 i = 0; i < VMWARE_CHANNELS; i++) {
        struct vmware_channel *c = &v->state.channel[i];

        if (c->protocol && !v->tools)
            c->protocol = 0;
        if (c->protocol == PROTOCOL_TCLO)
            vmtools_tclo_open(v->tools, i);
    }
}

/* A free one; else that which nobody has used for longest, of RPCI first: its owner is dead. */
static struct vmware_channel *message_free_channel(struct vmware *v)
{
    struct vmware_channel *old = NULL;

    for (u32 i = 0; i < VMWARE_CHANNELS; i++) {
        struct vmware_channel *c = &v->state.channel[i];

        if (!c->protocol)
            return c;
        if (!old ||
            (c->protocol == old->protocol ? c->used < old->used : c->protocol == PROTOCOL_RPCI))
            old = c;
    }
    if (old)
        message_close(v, old);
    return old;
}

static void message_open(struct vmware *v, struct x86_state *s)
{
    u32 protocol = (u32)s->gpr[RBX] & ~OPEN_COOKIES;
    struct vmware_channel *c;

    s->gpr[RCX] = 0;
    if (!v->tools || (protocol != PROTOCOL_RPCI && protocol != PROTOCOL_TCLO))
        return;
    c = message_free_channel(v);
    if (!c)
        return;
    c->protocol = protocol;
    c->in_len = c->in_at = c->out_len = c->out_at = 0;
    c->has_out = false;
    c->cookies = s->gpr[RBX] & OPEN_COOKIES;
    c->used = ++v->state.uses;
    if (c->cookies && getrandom(c->cookie, sizeof(c->cookie), 0) != sizeof(c->cookie))
        c->cookies = false;
    if (!c->cookies)
        c->cookie[0] = c->cookie[1] = 0;
    if (protocol == PROTOCOL_TCLO)
        vmtools_tclo_open(v->tools, (u32)(c - v->state.channel));
    s->gpr[RCX] = STATUS_OK << 16;
    s->gpr[RDX] = (u64)(c - v->state.channel) << 16;
    s->gpr[RSI] = c->cookie[0];
    s->gpr[RDI] = c->cookie[1];
}

static struct vmware_channel *message_channel(struct vmware *v, u64 rdx, u64 cookie0, u64 cookie1)
{
    u32 id = (u32)rdx >> 16;
    struct vmware_channel *c = id < VMWARE_CHANNELS ? &v->state.channel[id] : NULL;

    if (!v->tools || !c || (c->protocol != PROTOCOL_RPCI && c->protocol != PROTOCOL_TCLO) ||
        (c->cookies && (c->cookie[0] != (u32)cookie0 || c->cookie[1] != (u32)cookie1)))
        return NULL;
    c->used = ++v->state.uses;
    return c;
}

/* All of a message has come. */
static void message_arrived(struct vmware *v, struct vmware_channel *c)
{
    if (c->protocol == PROTOCOL_TCLO) {
        if (c->in_len)
            vmtools_tclo_answer(v->tools, (u32)(c - v->state.channel), c->in, c->in_len);
        return;
    }
    c->out_len = vmtools_rpci(v->tools, c->in, c->in_len, c->out);
    c->out_at = 0;
    c->has_out = true;
}

static bool message_take(struct vmware *v, struct vmware_channel *c, const u8 *p, u32 n)
{
    if (c->in_len > VMTOOLS_MESSAGE || c->in_at >= c->in_len)
        return false;
    n = (u32)min_u64(n, c->in_len - c->in_at);
    memcpy(c->in + c->in_at, p, n);
    c->in_at += n;
    if (c->in_at == c->in_len)
        message_arrived(v, c);
    return true;
}

static bool message_give(struct vmware_channel *c, u8 *p, u32 n)
{
    u32 have = c->out_len <= VMTOOLS_MESSAGE && c->out_at < c->out_len ? c->out_len - c->out_at : 0;

    if (!c->has_out || !have)
        return false;
    have = (u32)min_u64(have, n);
    memcpy(p, c->out + c->out_at, have);
    memset(p + have, 0, n - have);
    c->out_at += have;
    return true;
}

static u32 message_send_size(struct vmware *v, struct vmware_channel *c, u32 len)
{
    if (len > VMTOOLS_MESSAGE)
        return 0;
    c->in_len = len;
    c->in_at = 0;
    if (!len)
        message_arrived(v, c);
    return STATUS_OK | STATUS_BULK | (c->has_out ? STATUS_WAITING : 0);
}

static u32 message_receive_size(struct vmware *v, struct vmware_channel *c, struct x86_state *s)
{
    if (!c->has_out && c->protocol == PROTOCOL_TCLO) {
        c->out_len = vmtools_tclo_next(v->tools, (u32)(c - v->state.channel), c->out);
        c->has_out = c->out_len > 0;
    }
    if (!c->has_out)
        return STATUS_OK | STATUS_BULK;
    c->out_at = 0;
    s->gpr[RBX] = c->out_len;
    s->gpr[RDX] = ((u32)s->gpr[RDX] & 0xffff) | MESSAGE_SEND_SIZE << 16;
    return STATUS_OK | STATUS_BULK | STATUS_WAITING;
}

static u32 message_call(struct vmware *v, struct vmware_channel *c, u32 type, struct x86_state *s)
{
    u8 b[4];

    switch (type) {
    case MESSAGE_SEND_SIZE:
        return message_send_size(v, c, (u32)s->gpr[RBX]);
    case MESSAGE_SEND:
        put_le32(b, (u32)s->gpr[RBX]);
        return message_take(v, c, b, 4) ? STATUS_OK : 0;
    case MESSAGE_RECEIVE_SIZE:
        return message_receive_size(v, c, s);
    case MESSAGE_RECEIVE:
        if (!((u32)s->gpr[RBX] & STATUS_OK) || !message_give(c, b, 4))
            break;
        s->gpr[RBX] = le32(b);
        s->gpr[RDX] = ((u32)s->gpr[RDX] & 0xffff) | MESSAGE_SEND << 16;
        return STATUS_OK;
    case MESSAGE_RECEIVE_STATUS:
        c->has_out = false;
        return STATUS_OK;
    case MESSAGE_CLOSE:
        message_close(v, c);
        return STATUS_OK;
    default:
        return 0;
    }
    c->has_out = false;
    return 0;
}

void vmware_message(struct vmware *v, struct x86_state *s)
{
    u32 type = (u32)s->gpr[RCX] >> 16;
    struct vmware_channel *c;

    if (type == MESSAGE_OPEN) {
        message_open(v, s);
        return;
    }
    c = message_channel(v, s->gpr[RDX], s->gpr[RSI], s->gpr[RDI]);
    s->gpr[RCX] = c ? message_call(v, c, type, s) << 16 : 0;
}

bool vmware_message_bulk(struct vmware *v, struct x86_state *s, bool out, u8 *p, u32 n)
{
    struct vmware_channel *c = out ? message_channel(v, s->gpr[RDX], s->gpr[RBP], s->gpr[RDI])
                                   : message_channel(v, s->gpr[RDX], s->gpr[RSI], s->gpr[RBP]);
    bool ok;

    if (!c || (s->gpr[RBX] & 0xffff)) /* 0: a message */
        ok = false;
    else if (!p)
        return out ? c->in_at < c->in_len : c->has_out;
    else
        ok = out ? message_take(v, c, p, n) : message_give(c, p, n);
    if (p && !out && !ok)
        memset(p, 0, n);
    if (p)
        s->gpr[RBX] = ok ? STATUS_OK << 16 : 0;
    return ok;
}

const struct field vmware_channel_fields[] = {
    FIELD(1, struct vmware_channel, protocol, 0, "RPCI, TCLO, or 0: free"),
    FIELDS(2, struct vmware_channel, cookie, 0, "what the guest must show"),
    FIELD(3, struct vmware_channel, in_len, 0, "length of what the guest sends"),
    FIELD(4, struct vmware_channel, in_at, 0, "how much has come"),
    FIELD(5, struct vmware_channel, out_len, 0, "length of what it fetches"),
    FIELD(6, struct vmware_channel, out_at, 0, "how much has gone"),
    FIELD(7, struct vmware_channel, cookies, 0, "opened with cookies"),
    FIELD(8, struct vmware_channel, has_out, 0, "there is something to fetch"),
    FIELD(9, struct vmware_channel, used, 0, "when it was used last"),
    FIELDS(10, struct vmware_channel, in, F_SECRET, "what comes"),
    FIELDS(11, struct vmware_channel, out, F_SECRET, "what goes"),
    FIELDS(0, struct vmware_channel, pad, F_LOCAL, "none"),
    FIELD_END,
};
