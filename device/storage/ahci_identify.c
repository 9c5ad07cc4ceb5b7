/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDENTIFY DEVICE and IDENTIFY PACKET DEVICE of SATA drives: ACS-2 7.12, SATA 2.6 13.2. */
#include "base/bytes.h"
#include "device/storage/ahci_int.h"
#include "device/storage/ata.h"
#include <stdio.h>
#include <string.h>

enum { QUEUE = AHCI_SLOTS - 1, SATA_SPEEDS = 0x0e, SATA_NCQ = 0x100 };

static void identify_common(const struct ahci *a, u32 port, u8 *p, const char *model)
{
    char serial[24];

    snprintf(serial, sizeof(serial), "%s%02u", a->config.serial, port);
    ata_text(p + 10 * 2, serial, 20);
    ata_text(p + 23 * 2, a->config.revision, 8);
    ata_text(p + 27 * 2, model, 40);
    ata_word(p, 48, 1);
    ata_word(p, 49, 0x0f00); /* LBA, DMA, IORDY */
    ata_word(p, 53, 6);      /* words 64 to 70 and 88 */
    ata_word(p, 63, 7);
    ata_word(p, 64, 3);
    for (u32 i = 65; i <= 68; i++)
        ata_word(p, i, 120);
    ata_word(p, 80, 0x01f0); /* ATA-4 to ACS */
    ata_word(p, 88, 0x203f); /* UDMA 5 */
}

static void identify_disk(const struct ahci *a, u32 port, u8 *p)
{
    u64 all = a->port[port].lun.unit.blocks, cylinders = all / (16 * 63);
    u32 cache = a->state.port[port].cache_off ? 0 : 0x20;

    ata_word(p, 0, 0x0040);
    ata_word(p, 1, (u32)min_u64(cylinders, 16383));
    ata_word(p, 3, 16);
    ata_word(p, 6, 63);
    ata_word(p, 47, 0x8010);
    put_le32(p + 60 * 2, (u32)min_u64(all, 0x0fffffff));
    ata_word(p, 75, QUEUE);
    ata_word(p, 76, SATA_SPEEDS | SATA_NCQ);
    ata_word(p, 82, 0x4020); /* NOP, write cache */
    ata_word(p, 83, 0x7400); /* FLUSH (EXT), LBA48 */
    ata_word(p, 84, 0x4060); /* FUA, general purpose log */
    ata_word(p, 85, 0x4000u | cache);
    ata_word(p, 86, 0x3400);
    ata_word(p, 87, 0x4060);
    put_le64(p + 100 * 2, all);
    ata_word(p, 217, 1); /* does not rotate */
}

static void identify_cd(u8 *p)
{
    ata_word(p, 0, 0x85c0); /* CD-ROM, removable, packets of 12 bytes */
    ata_word(p, 76, SATA_SPEEDS);
    ata_word(p, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
    ata_word(p, 83, 0x4000);
    ata_word(p, 85, 0x4210);
    ata_word(p, 87, 0x4000);
}

void ahci_identify(const struct ahci *a, u32 port, u8 *p)
{
    bool cd = a->port[port].cd;

    memset(p, 0, 512);
    identify_common(a, port, p, cd ? a->config.cd_model : a->config.model);
    if (cd)
        identify_cd(p);
    else
        identify_disk(a, port, p);
}
