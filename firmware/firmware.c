/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is ready before the first instruction: tables, then a BIOS or a kernel. */
#include "firmware/firmware.h"
#include "device/chipset/fwcfg.h"
#include "firmware/acpi_int.h"
#include "firmware/boot_int.h"
#include "firmware/smbios_int.h"

/* The tables go to the firmware configuration and, when no BIOS will, into RAM. */
static int firmware_tables(struct machine *m, const struct firmware_how *how, struct device *cfg,
                           u64 *rsdp, struct err *e)
{
    struct acpi_tables acpi;
    struct smbios smbios;
    u64 end = BIOS_AREA;
    int r = acpi_make(&acpi, m, how->persona, e);

    if (r)
        return r;
    r = smbios_make(&smbios, m, how, e);
    if (r) {
        acpi_fini(&acpi);
        return r;
    }
    r = acpi_offer(&acpi, cfg, e);
    r = r ? r : smbios_offer(&smbios, cfg, e);
    if (how->kernel) {
        machine_shadow(m, BIOS_AREA, BIOS_AREA_END - BIOS_AREA, true);
        r = r ? r : acpi_place(&acpi, m, end, rsdp, &end, e);
        r = r ? r : smbios_place(&smbios, m, BIOS_AREA_SMBIOS, &end, e);
    }
    acpi_fini(&acpi);
    smbios_fini(&smbios);
    return r;
}

int firmware_prepare(struct machine *m, const struct firmware_how *how, struct firmware_start *out,
                     struct err *e)
{
    struct device *cfg = machine_device(m, "fwcfg");
    u64 rsdp = 0;
    int r = 0;

    *out = (struct firmware_start){ 0 };
    x86_state_reset(&out->state, 0);
    if (!cfg)
        r = device_new(m, "fwcfg", "fwcfg", NULL, NULL, &cfg, e);
    r = r ? r : fwcfg_item(cfg, FWCFG_UUID, how->uuid, sizeof(how->uuid), e);
    r = r ? r : firmware_tables(m, how, cfg, &rsdp, e);
    if (r)
        return r;
    if (how->kernel)
        return how->restored ? 0 : direct_boot(m, how, rsdp, out, e);
    return bios_boot(m, how, e);
}

/* A BIOS finds by itself where the guest wants to wake. */
int firmware_wake(struct machine *m, bool direct, struct firmware_start *out, struct err *e)
{
    *out = (struct firmware_start){ 0 };
    x86_state_reset(&out->state, 0);
    return direct ? direct_wake(m, acpi_waking_vector(m, BIOS_AREA), out, e) : 0;
}
