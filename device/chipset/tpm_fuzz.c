/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to a TPM, which answers anything. */
#include "base/log.h"
#include "base/loop.h"
#include "tests/rig.h"
#include "tests/tpm_peer.h"

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

#define TPM 0xfed40000ull

static void fuzz_store(struct rig *r, struct cursor *c)
{
    static const u16 likely[] = { 0x00, 0x08, 0x18, 0x24, 0x40, 0x44, 0x48, 0x4c, 0x80, 0x84 };
    u32 how = get_u8(c), size = 1u << (how & 3), locality = how >> 2 & 7;
    u32 reg = how & 0x80 ? get_le16(c) & 0xfff : likely[get_u8(c) % LEN(likely)];
    u64 at = (TPM + 0x1000 * locality + reg) & ~(u64)(size - 1);

    if (how & 0x40)
        rig_load(r, at, size);
    else
        rig_store(r, at, size, size > 1 ? get_le32(c) : get_u8(c));
}

/* A command that gets to the TPM. */
static void fuzz_command(struct rig *r, bool fifo)
{
    static const u8 ask[TPM_HEADER] = { 0x80, 0x01, 0, 0, 0, TPM_HEADER };

    rig_store(r, TPM + (fifo ? 0 : 8), 1, fifo ? 2 : 1);
    rig_store(r, TPM + (fifo ? 0x18 : 0x40), 1, fifo ? 0x40 : 1);
    for (u32 i = 0; i < sizeof(ask); i++)
        rig_store(r, TPM + (fifo ? 0x24 : 0x80 + i), 1, ask[i]);
    rig_store(r, TPM + (fifo ? 0x18 : 0x4c), 1, fifo ? 0x20 : 1);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);
    bool fifo = get_u8(&c) & 1;
    u32 answer = get_u8(&c);
    const u8 *script = cursor_take(&c, answer);
    struct tpm_peer peer = { .script = script, .script_len = script ? answer : 0 };
    struct device_end ends[2] = { { NULL, NULL }, { NULL, NULL } };
    struct rig r;
    struct tpm *t;

    if (!script || !answer)
        return 0;
    log_level_set(LOG_ERROR - 1);
    rig_start(&r, 1, 1);
    if (tpm_open_socket(&t, peer_start(&peer, PEER_SCRIPT), machine_lane(r.m), NULL))
        abort();
    ends[0] = (struct device_end){ "tpm", t };
    rig_device(&r, fifo ? "tpm_tis" : "tpm_crb", NULL, ends);
    fuzz_command(&r, fifo);
    for (u32 i = 0; i < 64 && !c.bad; i++)
        fuzz_store(&r, &c);
    shutdown(peer.control, SHUT_RD); /* half an answer is all there will be */
    rig_pause(&r);
    machine_clear(r.m);
    tpm_close(t);
    peer_end(&peer);
    rig_stop(&r);
    return 0;
}
