/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the xHCI controller and its rings. */
#include "device/usb/xhci_wire.h"
#include "tests/usb_fuzz.h"

static void reset(void)
{
    rig_store(&rig, driver.base + XHCI_USBCMD, 4, CMD_RESET);
}

/* Operational, ports, interrupters, doorbells. */
static void reg(u32 at, u32 val)
{
    static const u32 from[] = { XHCI_OP, XHCI_PORTS_AT, XHCI_INTERRUPTERS, XHCI_DOORBELLS };

    rig_store(&rig, driver.base + from[at >> 1 & 3] + (at >> 3 & 0x7c), 4, val);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    return fuzz_run("xhci", p, n, reset, 6, reg);
}
