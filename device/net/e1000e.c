/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82574L Gigabit Ethernet (8086:10d3), VMware's e1000e.  After Intel's 82574 GbE Controller
 * Family Datasheet (317694).
 *
 * Not modelled, beside what e1000.c leaves out: MSI-X and the second queue, packet split,
 * receive-side scaling, the management engine.  Drivers do without: one MSI vector is there.
 */
#include "device/net/e1000_int.h"

enum { EECD_AUTO_READ = 1 << 9 };

static const struct e1000_model e1000_82574 = {
    .device = 0x10d3,
    .subvendor = 0x15ad,
    .subdevice = 0x07d0,
    .status = 0x00080681,
    .eecd = EECD_AUTO_READ,
    .eerd_done = 2,
    .eerd_shift = 2,
    .express = true,
    .keep = { 0x28,   0x2c,   0x30,   0x38,   0xdc,   0xe4,   0xe8,   0xec,   0xf0,   0x170,
              0x410,  0xe00,  0xf00,  0xf10,  0x1000, 0x1008, 0x1010, 0x2160, 0x2168, 0x2820,
              0x2828, 0x282c, 0x2c00, 0x3820, 0x3828, 0x382c, 0x3840, 0x3928, 0x3940, 0x5800,
              0x5808, 0x5818, 0x5820, 0x5860, 0x5b00, 0x5b30, 0x5b50, 0x5b58, 0x5b64 },
    .phy_id2 = 0x0cb1, /* 82574's own */
};

static int e1000e_create(struct device *d, struct err *e)
{
    return e1000_plug(d, &e1000_82574, e);
}

const struct device_class device_e1000e = {
    .name = "e1000e",
    .about = "Intel 82574L Gigabit Ethernet: VMware",
    .size = sizeof(struct e1000),
    .config_at = offsetof(struct e1000, config),
    .config = e1000_config_fields,
    .config_default = &(const struct e1000_config){ .mac = "00:0c:29:12:34:57" },
    .config_size = sizeof(struct e1000_config),
    .state_at = offsetof(struct e1000, state),
    .state_size = sizeof(struct e1000_state),
    .state = e1000_state_fields,
    .create = e1000e_create,
    .reset = e1000_reset,
    .pause = e1000_pause,
    .resume = e1000_resume,
    .check = e1000_check,
};
