/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LSI53C1030, a parallel SCSI adapter with Fusion-MPT (mpt_int.h): what "lsilogic" means in a
 * VMware package.  Its pages of port and targets, after MPI 1.5; a bus has no real wires here,
 * so a target gets whatever transfer parameters the driver asks for.
 */
#include "device/storage/mpt_int.h"

enum {
    OWN_ID = 7,
    /* wide, offset 127, 12.5 ns, packets, double transitions, quick arbitration */
    PORT_CAN = 1 << 29 | 127 << 16 | 8 << 8 | 7,
    DEVICE_MAY = 0xf, /* disconnect, be scanned, have units scanned, queue */
    NEGOTIATED = 1,
};

static void lsi_port(u8 number, struct mpt_page *p)
{
    u8 *b;

    switch (number) {
    case 0:
        b = mpt_page_grow(p, 2, 0x0c);
        put_le32(b + 4, PORT_CAN);
        put_le32(b + 8, 0xff000003); /* low voltage differential */
        break;
    case 1:
        b = mpt_page_grow(p, 3, 0x10);
        put_le32(b + 4, 1 << (OWN_ID + 16) | OWN_ID);
        break;
    case 2:
        b = mpt_page_grow(p, 2, 0x4c);
        put_le32(b + 8, 0x30 | OWN_ID); /* BIOS and OS use it */
        for (u32 i = 0; i < MPT_TARGETS; i++) {
            b[0x0d + 4 * i] = 8;
            put_le16(b + 0x0e + 4 * i, DEVICE_MAY);
        }
        break;
    }
}

static void lsi_target(const struct mpt *m, u8 number, u32 target, struct mpt_page *p)
{
    u32 asked = m->state.negotiated[target];
    u8 *b;

    switch (number) {
    case 0:
        b = mpt_page_grow(p, 4, 0x0c);
        put_le32(b + 4, asked);
        put_le32(b + 8, asked ? NEGOTIATED : 0);
        break;
    case 1:
        b = mpt_page_grow(p, 5, 0x10);
        put_le32(b + 4, asked);
        break;
    case 2:
        mpt_page_grow(p, 1, 0x10);
        break;
    case 3: /* errors on the wire: none */
        mpt_page_grow(p, 0, 0x0c);
        break;
    }
}

static bool lsi_page(struct mpt *m, const struct mpt_page_ask *ask, struct mpt_page *p)
{
    if (ask->type == MPT_PAGE_SCSI_PORT)
        lsi_port(ask->number, p);
    else if (ask->type == MPT_PAGE_SCSI_DEVICE)
        lsi_target(m, ask->number, ask->address & (MPT_TARGETS - 1), p);
    return p->len;
}

static void lsi_wrote(struct mpt *m, const struct mpt_page_ask *ask, const u8 *page, u32 len)
{
    if (ask->type == MPT_PAGE_SCSI_DEVICE && ask->number == 1 && len >= 8)
        m->state.negotiated[ask->address & (MPT_TARGETS - 1)] = le32(page + 4);
}

static const struct pci_ident lsi_ident = {
    .vendor = MPT_VENDOR,
    .device = MPT_DEVICE_1030,
    .subvendor = 0x15ad,
    .subdevice = 0x1976,
    .class = 0x010000,
    .revision = 1,
    .pin = 1,
    .bars = mpt_bars,
};
static const struct mpt_kind lsi_kind = {
    .port_type = MPT_PORT_SCSI,
    .own_id = OWN_ID,
    .product = 0x0102, /* parallel SCSI, initiator, 1030 B0 */
    .page = lsi_page,
    .wrote = lsi_wrote,
    .chip = "LSI53C1030",
    .ident = &lsi_ident,
    .rom = lsilogic_rom,
    .rom_size = &lsilogic_rom_size,
};

static int lsi_create(struct device *d, struct err *e)
{
    return mpt_create((struct mpt *)d, &lsi_kind, e);
}

const struct device_class device_lsilogic = {
    .name = "lsilogic",
    .about = "LSI Logic 53C1030 parallel SCSI (1000:0030): VMware's \"lsilogic\"",
    .size = sizeof(struct mpt),
    .config_at = offsetof(struct mpt, config),
    .config = mpt_config_fields,
    .config_default = &(const struct mpt_config){ .address = 0x5000c29000000000,
                                                  .vendor = "VMware",
                                                  .product = "Virtual disk",
                                                  .revision = "1.0",
                                                  .cd_vendor = "NECVMWar",
                                                  .cd_product = "VMware SCSI CDR",
                                                  .cd_revision = "1.0" },
    .config_size = sizeof(struct mpt_config),
    .state_at = offsetof(struct mpt, state),
    .state_size = sizeof(struct mpt_state),
    .state = mpt_state_fields,
    .create = lsi_create,
    .destroy = mpt_destroy,
    .reset = mpt_reset,
    .pause = mpt_pause,
    .resume = mpt_resume,
    .check = mpt_check,
    .restored = mpt_restored,
};
