/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is ready before the first instruction: tables, then a BIOS or a kernel. */
#include "firmware/firmware.h"
#include "device/chipset/fwcfg.h"
#include "firmware/boot_int.h"

int firmware_prepare(struct machine *m, const struct firmware_how *how, struct firmware_start *out,
                     struct err *e)
{
    struct device *cfg = machine_device(m, "fwcfg");
    int r = 0;

    *out = (struct firmware_start){ 0 };
    x86_state_reset(&out->state, 0);
    if (!cfg)
        r = device_new(m, "fwcfg", "fwcfg", NULL, NULL, &cfg, e);
    r = r ? r : fwcfg_item(cfg, FWCFG_UUID, how->uuid, sizeof(how->uuid), e);
    if (r)
        return r;
    return how->kernel ? direct_boot(m, how, out, e) : bios_boot(m, how, e);
}
