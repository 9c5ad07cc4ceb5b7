/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_SMBIOS_INT_H
#define FIRMWARE_SMBIOS_INT_H
#include "base/buf.h"
#include "firmware/firmware.h"

enum { SMBIOS_ANCHOR = 31 };
struct smbios {
    struct buf b;
    u8 anchor[SMBIOS_ANCHOR]; /* without address and checksums */
    u16 n, largest;
};
int smbios_make(struct smbios *s, struct machine *m, const struct firmware_how *how, struct err *e);
void smbios_fini(struct smbios *s);
int smbios_offer(const struct smbios *s, struct device *fwcfg, struct err *e);
/* The anchor goes to `at` (16-byte aligned), the structures behind it. */
int smbios_place(struct smbios *s, struct machine *m, u64 at, u64 *end, struct err *e);
#endif
