/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the EHCI controller and its queues. */
#include "tests/usb_fuzz.h"

enum { COMMAND = 0x20, RESET = 2 };

static void reset(void)
{
    rig_store(&rig, driver.base + COMMAND, 4, RESET);
}

static void reg(u32 at, u32 val)
{
    rig_store(&rig, driver.base + COMMAND + (at >> 1 & 0x7c), 4, val);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    return fuzz_run("ehci", p, n, reset, 3, reg);
}
