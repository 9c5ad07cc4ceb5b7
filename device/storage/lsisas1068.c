/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LSISAS1068, a SAS adapter with Fusion-MPT (mpt_int.h): what "lsisas1068" means in a VMware
 * package.  Its SAS pages, after MPI 1.5: each target hangs on a phy of its own, there are no
 * expanders.  Handles: the adapter's phys have 1 and up, their targets 17 and up.
 */
#include "device/storage/mpt_int.h"

enum { FIRST_TARGET = 1 + MPT_TARGETS, ENCLOSURE = 1, RATE_3_0 = 9, RATES = 0x98 };
enum {
    IS_END_DEVICE = 1,
    IS_INITIATOR = 0x40,
    IS_TARGET = 0x400,
    IS_ATTACHED = 0x800,
};
enum { PRESENT_AND_MAPPED = 3 };

static bool sas_has(const struct mpt *m, u32 phy)
{
    return phy < MPT_TARGETS && m->present >> phy & 1;
}

static u16 sas_attached(const struct mpt *m, u32 phy)
{
    return sas_has(m, phy) ? (u16)(FIRST_TARGET + phy) : 0;
}

static u64 sas_address(const struct mpt *m, u32 handle)
{
    return handle < FIRST_TARGET ? m->config.address : m->config.address + handle;
}

static u32 sas_info(u32 handle)
{
    return handle < FIRST_TARGET ? IS_END_DEVICE | IS_INITIATOR
                                 : IS_END_DEVICE | IS_TARGET | IS_ATTACHED;
}

static bool sas_unit(const struct mpt *m, u8 number, struct mpt_page *p)
{
    u8 *b;

    switch (number) {
    case 0:
        b = mpt_page_grow(p, 4, 0x10 + 16 * MPT_TARGETS);
        b[0x0c] = MPT_TARGETS;
        for (u32 i = 0; i < MPT_TARGETS; i++) {
            u8 *phy = b + 0x10 + 16 * (size_t)i;

            phy[0] = (u8)i;
            phy[3] = sas_has(m, i) ? RATE_3_0 : 0;
            put_le32(phy + 4, sas_info(1 + i));
            put_le16(phy + 8, sas_attached(m, i));
            put_le16(phy + 10, (u16)(1 + i));
        }
        return true;
    case 1:
        b = mpt_page_grow(p, 7, 0x14 + 12 * MPT_TARGETS);
        b[0x10] = MPT_TARGETS;
        for (u32 i = 0; i < MPT_TARGETS; i++) {
            u8 *phy = b + 0x14 + 12 * (size_t)i;

            phy[0] = (u8)i;
            phy[3] = RATES;
            put_le32(phy + 4, sas_info(1 + i));
        }
        return true;
    case 2: /* mapping by phy, nothing kept */
        b = mpt_page_grow(p, 6, 0x14);
        b[8] = MPT_TARGETS;
        b[0x11] = 0x03;
        return true;
    case 3: /* limits of link errors */
        mpt_page_grow(p, 0, 0x2c);
        return true;
    }
    return false;
}

static bool sas_phy(const struct mpt *m, u8 number, u32 address, struct mpt_page *p)
{
    u32 phy = address & 0xff;
    u8 *b;

    if (number > 1 || address >> 28 || phy >= MPT_TARGETS)
        return false;
    b = mpt_page_grow(p, 1, number ? 0x28 : 0x24);
    if (number) /* link errors: none */
        return true;
    put_le16(b + 0x08, (u16)(1 + phy));
    put_le64(b + 0x0c, sas_address(m, 1 + phy));
    put_le16(b + 0x14, sas_attached(m, phy));
    put_le32(b + 0x18, sas_has(m, phy) ? sas_info(FIRST_TARGET) : 0);
    b[0x1c] = b[0x1d] = RATES;
    return true;
}

/* The handle that an address of a device page means; 0: none. */
static u32 sas_find(const struct mpt *m, u32 address)
{
    u32 handle = address & 0xffff, bus = address >> 8 & 0xff, id = address & 0xff;

    switch (address >> 28) {
    case 0: /* the next one; it begins with 0xffff */
        for (u32 h = handle == 0xffff ? 1 : handle + 1; h < FIRST_TARGET + MPT_TARGETS; h++)
            if (h < FIRST_TARGET || sas_has(m, h - FIRST_TARGET))
                return h;
        return 0;
    case 1:
        return bus || !sas_has(m, id) ? 0 : FIRST_TARGET + id;
    case 2:
        if (handle >= 1 && handle < FIRST_TARGET)
            return handle;
        return handle >= FIRST_TARGET && sas_has(m, handle - FIRST_TARGET) ? handle : 0;
    }
    return 0;
}

static bool sas_device(const struct mpt *m, u8 number, u32 address, struct mpt_page *p)
{
    u32 handle = sas_find(m, address), phy;
    bool target = handle >= FIRST_TARGET;
    u8 *b;

    if (!handle || number > 2)
        return false;
    phy = target ? handle - FIRST_TARGET : handle - 1;
    if (number == 1) { /* what SATA disks sent: nothing */
        b = mpt_page_grow(p, 0, 0x30);
        put_le64(b + 0x0c, sas_address(m, handle));
        put_le16(b + 0x18, (u16)handle);
        b[0x1a] = (u8)(target ? phy : 0);
        return true;
    }
    if (number == 2) {
        b = mpt_page_grow(p, 1, 0x14);
        put_le64(b + 8, sas_address(m, handle));
        return true;
    }
    b = mpt_page_grow(p, 5, 0x24);
    put_le16(b + 0x08, (u16)phy);
    put_le16(b + 0x0a, ENCLOSURE);
    put_le64(b + 0x0c, sas_address(m, handle));
    put_le16(b + 0x14, (u16)(target ? 1 + phy : 0));
    b[0x16] = (u8)phy;
    put_le16(b + 0x18, (u16)handle);
    b[0x1a] = (u8)(target ? phy : 0);
    put_le32(b + 0x1c, sas_info(handle));
    put_le16(b + 0x20, PRESENT_AND_MAPPED);
    b[0x22] = (u8)phy;
    return true;
}

static bool sas_enclosure(const struct mpt *m, u8 number, u32 address, struct mpt_page *p)
{
    u32 handle = address & 0xffff;
    bool here = address >> 28 == 0   ? handle == 0xffff || !handle
                : address >> 28 == 1 ? handle == ENCLOSURE
                                     : false;
    u8 *b;

    if (number || !here)
        return false;
    b = mpt_page_grow(p, 1, 0x28);
    put_le64(b + 0x0c, m->config.address);
    put_le16(b + 0x16, ENCLOSURE);
    put_le16(b + 0x18, MPT_TARGETS);
    return true;
}

static bool sas_page(struct mpt *m, const struct mpt_page_ask *ask, struct mpt_page *p)
{
    switch (ask->type) {
    case MPT_PAGE_SAS_UNIT:
        return sas_unit(m, ask->number, p);
    case MPT_PAGE_SAS_PHY:
        return sas_phy(m, ask->number, ask->address, p);
    case MPT_PAGE_SAS_DEVICE:
        return sas_device(m, ask->number, ask->address, p);
    case MPT_PAGE_SAS_ENCLOSURE:
        return sas_enclosure(m, ask->number, ask->address, p);
    }
    return false; /* no expanders */
}

static const struct pci_ident sas_ident = {
    .vendor = MPT_VENDOR,
    .device = MPT_DEVICE_1068,
    .subvendor = 0x15ad,
    .subdevice = 0x1976,
    .class = 0x010700,
    .revision = 1,
    .pin = 1,
    .msi = true,
    .bars = mpt_bars,
};
static const struct mpt_kind sas_kind = {
    .port_type = MPT_PORT_SAS,
    .own_id = MPT_TARGETS,
    .product = 0x2102, /* SAS, initiator, 1068 */
    .page = sas_page,
    .chip = "LSISAS1068",
    .ident = &sas_ident,
    .rom = lsisas1068_rom,
    .rom_size = &lsisas1068_rom_size,
};

static int sas_create(struct device *d, struct err *e)
{
    return mpt_create((struct mpt *)d, &sas_kind, e);
}

const struct device_class device_lsisas1068 = {
    .name = "lsisas1068",
    .about = "LSI Logic SAS 1068 (1000:0054): VMware's \"lsisas1068\"",
    .size = sizeof(struct mpt),
    .config_at = offsetof(struct mpt, config),
    .config = mpt_config_fields,
    .config_default = &(const struct mpt_config){ .address = 0x5000c29000000000,
                                                  .vendor = "VMware",
                                                  .product = "Virtual disk",
                                                  .revision = "1.0",
                                                  .cd_vendor = "NECVMWar",
                                                  .cd_product = "VMware SAS CDROM",
                                                  .cd_revision = "1.0" },
    .config_size = sizeof(struct mpt_config),
    .state_at = offsetof(struct mpt, state),
    .state_size = sizeof(struct mpt_state),
    .state = mpt_state_fields,
    .create = sas_create,
    .destroy = mpt_destroy,
    .reset = mpt_reset,
    .pause = mpt_pause,
    .resume = mpt_resume,
    .check = mpt_check,
    .restored = mpt_restored,
};
