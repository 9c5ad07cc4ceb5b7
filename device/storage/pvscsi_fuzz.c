/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: registers, rings, lists, request contents.  The
 * input is a program of short operations; rings that work are one of them, so that requests
 * get past the first check.
 */
#include "device/storage/pvscsi_wire.h"
#include "tests/storage_fuzz.h"

enum { STATE = 0x10000, REQ = 0x20000, CMP = 0x40000, MSG = 0x80 };

static struct device *adapter;
static u64 regs;

static void fuzz_start(void)
{
    adapter = fuzz_adapter("pvscsi", "2", "scsi.0", "scsi.1");
    regs = rig_bar(adapter, 0);
}

/* A disk comes or goes, with a message ring that the guest chose. */
static void fuzz_plug(u8 how)
{
    if (how & 1) {
        rig_store(&rig, regs + PVSCSI_COMMAND, 4, PVSCSI_CMD_SETUP_MSG_RING);
        for (u32 i = 0; i < sizeof(struct pvscsi_setup_messages); i += 4)
            rig_store(&rig, regs + PVSCSI_COMMAND_DATA, 4, i ? (i & 4 ? 0 : MSG) : how >> 4);
    }
    device_end_set(adapter, how & 2 ? "scsi.3" : "scsi.4", how & 4 ? disk : NULL, how & 8, NULL);
}

static void fuzz_rings(u32 pages)
{
    struct pvscsi_setup_rings w = { .req_pages = pages, .cmp_pages = pages };

    w.state_ppn = STATE / PVSCSI_PAGE;
    for (u32 i = 0; i < PVSCSI_PAGES; i++) {
        w.req_ppn[i] = REQ / PVSCSI_PAGE + i;
        w.cmp_ppn[i] = CMP / PVSCSI_PAGE + i;
    }
    rig_store(&rig, regs + PVSCSI_COMMAND, 4, PVSCSI_CMD_SETUP_RINGS);
    for (u32 i = 0; i < sizeof(w); i += 4)
        rig_store(&rig, regs + PVSCSI_COMMAND_DATA, 4, le32((u8 *)&w + i));
}

/* The next request, by what the input says; numbers made small enough to mean something. */
static void fuzz_request(struct cursor *c)
{
    struct pvscsi_request_wire w = { 0 };
    const u8 *cdb = cursor_take(c, 16);
    u8 b[4], how = get_u8(c);
    u32 prod;

    if (cdb)
        memcpy(w.cdb, cdb, 16);
    w.cdb_len = how & 1 ? 16 : get_u8(c);
    w.target = how & 2 ? 0 : get_u8(c);
    w.flags = get_u8(c);
    w.data_addr = how & 4 ? get_le64(c) : get_le32(c) & (RAM - 1);
    w.data_len = how & 8 ? get_le64(c) : get_le16(c);
    w.sense_addr = how & 16 ? get_le64(c) : 0x8000;
    w.sense_len = get_u8(c);
    w.lun[1] = how & 32 ? get_u8(c) : 0;
    rig_get(&rig, STATE, b, 4);
    prod = le32(b);
    rig_put(&rig, REQ + prod % 32 * sizeof(w), &w, sizeof(w));
    put_le32(b, prod + 1);
    rig_put(&rig, STATE, b, 4);
    rig_store(&rig, regs + PVSCSI_KICK_RW, 4, 0);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    rig_store(&rig, regs + PVSCSI_COMMAND, 4, PVSCSI_CMD_RESET);
    fuzz_rings(1);
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++) {
        const u8 *bytes;
        u32 at;

        switch (get_u8(&c) % 8) {
        case 0:
            at = get_le16(&c) & 0x7ffc;
            rig_store(&rig, regs + at, 4, get_le32(&c));
            break;
        case 1:
            at = get_le32(&c) & (RAM - 1) & ~0xffu;
            bytes = cursor_take(&c, 32);
            if (bytes)
                gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
            break;
        case 2:
            fuzz_rings(get_u8(&c));
            break;
        case 3:
        case 4:
            fuzz_request(&c);
            break;
        case 5:
            fuzz_settle();
            break;
        case 6:
            at = STATE + (get_u8(&c) & 0x9f);
            bytes = cursor_take(&c, 4);
            if (bytes)
                rig_put(&rig, at, bytes, 4);
            rig_store(&rig, regs + PVSCSI_KICK_OTHER, 4, 0);
            break;
        case 7:
            fuzz_plug(get_u8(&c));
            break;
        }
    }
    fuzz_settle();
    return 0;
}
