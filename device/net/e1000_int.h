/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_NET_E1000_INT_H
#define DEVICE_NET_E1000_INT_H
#include "bus/pci.h"
#include "device/net/frame.h"

/*
 * Intel's 82540EM and 82574L: e1000.c has registers, EEPROM and PHY, e1000_ring.c the
 * descriptors both ways, e1000e.c what is the 82574L's alone.  Names are those of the PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual, where sections 3 and 13
 * say all of it, and of the 82574 datasheet, sections 7 and 10.
 */
enum { E1000_KEEP = 47 };

/* What differs from chip to chip. */
struct e1000_model {
    u16 device, subvendor, subdevice;
    u32 status;                /* STATUS without the link */
    u32 eecd;                  /* EECD: always set */
    u32 eerd_done, eerd_shift; /* EERD: done; where the address is */
    bool express;              /* 82574: causes mask themselves, extended descriptors, MSI */
    u16 keep[E1000_KEEP];      /* registers that a driver sets and reads back, and that change
                                 * nothing here; 0 ends */
    u16 phy_id2;               /* PHY identifier, its second word */
};
enum { E1000_MTA = 128, E1000_VFTA = 128, E1000_RA = 16, E1000_EEPROM = 64, E1000_PHY = 32 };
enum { E1000_DESC = 16, E1000_FCS = 4 };

enum e1000_interrupt {
    ICR_TXDW = 1,
    ICR_TXQE = 2,
    ICR_LSC = 4,
    ICR_RXDMT0 = 16,
    ICR_RXO = 64,
    ICR_RXT0 = 128
};
#define CTRL_VME (1u << 30)
#define ICR_ASSERTED (1u << 31)
#define CTRL_EXT_IAME (1u << 27)
#define RFCTL_EXTEN (1u << 15)
#define CTRL_GIO_DISABLE (1u << 2)
enum {
    RCTL_EN = 1 << 1,
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_BAM = 1 << 15,
    RCTL_VFE = 1 << 18,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,
};
enum { TCTL_EN = 1 << 1, RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9 };

struct e1000_ring {
    u64 base;
    u32 len, head, tail; /* bytes; descriptors */
    u32 pad;
};

struct e1000 {
    struct device dev;
    struct e1000_config {
        char mac[18];
        u8 vmware;
    } config;
    struct e1000_state {
        u32 ctrl, icr, ims, rctl, tctl, rxcsum, mdic, eerd, io;
        u32 itr, iam, ctrl_ext, rfctl;
        u32 other[E1000_KEEP]; /* kept, and nothing more: e1000_model.keep */
        u32 ra[2 * E1000_RA], mta[E1000_MTA], vfta[E1000_VFTA];
        struct e1000_ring tx[1], rx[1];
        u32 context[4]; /* the last transmit context */
        u16 phy[E1000_PHY];
        u8 eecd, ee_address; /* the EEPROM's wires, what it reads */
        u16 ee_in, ee_bits, ee_out;
    } state;
    const struct e1000_model *model;
    bool asserted; /* as the last message or line told */
    u8 mac[FRAME_MAC];
    u16 eeprom[E1000_EEPROM];
    struct net *net;
    struct bell *tx_bell, *rx_bell;
    bool paused;
    bool waiting;                         /* frames are, for buffers */
    u8 frame[FRAME_VLAN + NET_FRAME_MAX]; /* one that is being sent; the lane's */
};

/* What the classes are made of. */
int e1000_plug(struct device *d, const struct e1000_model *m, struct err *e);
void e1000_reset(struct device *d, enum reset kind);
void e1000_pause(struct device *d);
void e1000_resume(struct device *d);
int e1000_check(const struct device *d, struct err *e);
extern const struct field e1000_config_fields[], e1000_state_fields[];

void e1000_interrupt(struct e1000 *c, u32 bits);
void e1000_send(struct e1000 *c);                               /* what stands in the ring */
bool e1000_receive(struct e1000 *c, const struct net_frame *f); /* false: no buffers */
bool e1000_wants(const struct e1000 *c, const struct net_frame *f);
#endif
