/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile guest at the backdoor: any registers at its three ports, and streams of bytes. */
#include "backend/vmtools.h"
#include "base/bytes.h"
#include "base/log.h"
#include "engine/x86/state.h"
#include "persona/persona.h"
#include "tests/rig.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void fuzz_stream(struct persona *p, struct x86_state *s, struct cursor *c)
{
    bool out = get_u8(c) & 1;
    u8 bytes[4096] = { 0 };
    u32 n = get_le16(c) & 4095;

    s->gpr[RAX] = 0x564d5868;
    s->gpr[RBX] = 0x10000;
    n = n ? n : 1;
    if (p->class->bulk(p, 0, 0x5659, out, s, NULL, n) == PERSONA_DONE)
        p->class->bulk(p, 0, 0x5659, out, s, bytes, n);
}

static void fuzz_call(struct persona *p, struct cursor *c, struct x86_state *s)
{
    static const u16 ports[] = { 0x5658, 0x5659, 0x5670 };
    u8 op = get_u8(c);
    u16 port = ports[op % 3];

    if (!(op & 0x40)) { /* else: with what the last call left, cookies and all */
        s->gpr[RBX] = get_le32(c);
        s->gpr[RSI] = get_le32(c);
        s->gpr[RDI] = get_le16(c);
        s->gpr[RDX] = (u64)(get_u8(c) & 15) << 16 | port;
    } else {
        s->gpr[RBX] = get_u8(c) & 1 ? get_le32(c) : 0xc9435052; /* RPCI, with cookies */
    }
    s->gpr[RCX] = port == 0x5670 ? get_u8(c) & 15 : (u64)(get_u8(c) & 7) << 16 | 30;
    if (op & 0x20 && port != 0x5670)
        s->gpr[RCX] = get_u8(c) & 127;
    s->gpr[RAX] = port == 0x5670 ? 0x456c6d6f : 0x564d5868;
    if (op & 0x80)
        fuzz_stream(p, s, c);
    else
        p->class->port(p, 0, port, 4, false, s);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct vmtools_make make = { .cpu_mhz = 1000, .memory_mib = 8 };
    static struct x86_state s;
    struct vmtools *tools;
    struct agent *agent;
    struct persona *p;
    struct err e = { 0 };
    struct rig r;

    log_level_set(LOG_ERROR);
    memset(&s, 0, sizeof(s));
    rig_start(&r, 8, 1);
    if (agent_new(&agent, machine_loop(r.m), &e))
        abort();
    make.agent = agent;
    if (vmtools_new(&tools, &make, &e) ||
        persona_new(r.m, "vmware", NULL,
                    (struct device_end[]){ { "vmtools", tools }, { NULL, NULL } }, &p, &e))
        abort();
    while (!c.bad && c.at < c.len)
        fuzz_call(p, &c, &s);
    if (p->class->check(p, &e))
        abort();
    persona_free(p);
    vmtools_free(tools);
    agent_free(agent);
    rig_stop(&r);
    return 0;
}
