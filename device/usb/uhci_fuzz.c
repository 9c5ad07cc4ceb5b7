/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the UHCI controller and its lists. */
#include "tests/usb_fuzz.h"

enum { RESET = 2 };

static void reset(void)
{
    rig_out(&rig, (u16)driver.base, 2, RESET);
}

static void reg(u32 at, u32 val)
{
    rig_out(&rig, (u16)(driver.base + (at >> 1 & 0x1e)), 2, val & 0xffff);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    return fuzz_run("uhci", p, n, reset, 3, reg);
}
