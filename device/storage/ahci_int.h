/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_AHCI_INT_H
#define DEVICE_STORAGE_AHCI_INT_H
#include "bus/pci.h"
#include "device/storage/lun.h"

/*
 * The AHCI controller: ahci.c has the registers and the ports' life, ahci_command.c what
 * happens between a bit in PxCI and the FIS that answers it.
 */
enum { AHCI_PORTS = 30, AHCI_SLOTS = 32, AHCI_MODEL = 41 };

/* PxIS and PxIE */
enum ahci_interrupt {
    IS_DHRS = 1 << 0, /* D2H register FIS */
    IS_PSS = 1 << 1,  /* PIO setup FIS */
    IS_SDBS = 1 << 3, /* set device bits FIS */
    IS_PCS = 1 << 6,  /* connection changed */
    IS_PRCS = 1 << 22,
    IS_HBFS = 1 << 29, /* an address that is not RAM */
    IS_TFES = 1 << 30, /* the task file shows an error */
};
enum ahci_command_bits {
    CMD_ST = 1 << 0,
    CMD_SUD = 1 << 1,
    CMD_POD = 1 << 2,
    CMD_CLO = 1 << 3,
    CMD_FRE = 1 << 4,
    CMD_FR = 1 << 14,
    CMD_CR = 1 << 15,
    CMD_ATAPI = 1 << 24,
};
enum { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DRDY = 0x40, ATA_BSY = 0x80 };
enum { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };
enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO = 0x5f, FIS_BITS = 0xa1, FIS_SIZE = 20 };

struct ahci_port_state {
    u64 clb, fb;
    u32 is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    u32 issued;    /* slots of CI that were taken */
    bool halted;   /* an error: nothing is taken until ST is cleared */
    bool in_reset; /* SRST of a control FIS is set */
    bool cache_off;
    u8 failed, error; /* slot and error register of the queued command that failed */
    u8 pad[7];
    struct scsi_state unit[1];
};

struct ahci;
struct ahci_task {
    struct lun_task task; /* first: done gets it back */
    struct ahci *ahci;
    u8 port, slot;
    u8 fis[FIS_SIZE];
    u64 header, table;
    u32 prdtl;
    bool busy, queued, pio;
};

struct ahci_port {
    struct lun lun;
    bool present, cd;
    u32 under_way;
    struct bell *bell;
    struct ahci_task *task; /* one for each slot; NULL: nothing is plugged in */
};

struct ahci {
    struct device dev;
    struct ahci_config {
        u64 cd;
        u16 vendor, device;
        u8 pad[4];
        char model[AHCI_MODEL], cd_model[AHCI_MODEL], serial[18], revision[9];
        char cd_vendor[9], cd_product[17];
        u8 pad2[1];
    } config;
    struct ahci_state {
        u32 ghc, is;
        struct ahci_port_state port[AHCI_PORTS];
    } state;
    struct ahci_port port[AHCI_PORTS];
    u32 nports;
};

/* Bits into PxIS, and on to the interrupt. */
void ahci_interrupt(struct ahci *a, u32 port, u32 bits);
void ahci_take(struct ahci *a, u32 port); /* what stands in PxCI; the lane, domain held */
/* The register FIS that a device sends by itself: its signature. */
void ahci_signature(struct ahci *a, u32 port);

/* ahci_identify.c: 512 bytes */
void ahci_identify(const struct ahci *a, u32 port, u8 *p);
#endif
