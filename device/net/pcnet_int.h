/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_NET_PCNET_INT_H
#define DEVICE_NET_PCNET_INT_H
#include "bus/pci.h"
#include "device/net/frame.h"

/*
 * AMD's Am79C970A (PCnet-PCI II): pcnet.c has its registers, pcnet_ring.c initialisation block
 * and descriptors.  Names are those of the data sheet, Am79C970A rev. E.
 */
enum { PCNET_CSRS = 128, PCNET_BCRS = 32, PCNET_FRAME = 4096 };

enum pcnet_csr {
    CSR0_INIT = 1 << 0,
    CSR0_STRT = 1 << 1,
    CSR0_STOP = 1 << 2,
    CSR0_TDMD = 1 << 3,
    CSR0_TXON = 1 << 4,
    CSR0_RXON = 1 << 5,
    CSR0_IENA = 1 << 6,
    CSR0_INTR = 1 << 7,
    CSR0_IDON = 1 << 8,
    CSR0_TINT = 1 << 9,
    CSR0_RINT = 1 << 10,
    CSR0_MERR = 1 << 11,
    CSR0_MISS = 1 << 12,
    CSR0_BABL = 1 << 14,
    CSR0_ERR = 1 << 15,
    CSR0_CAUSES = CSR0_IDON | CSR0_TINT | CSR0_RINT | CSR0_MERR | CSR0_MISS | CSR0_BABL,
};
enum { CSR5_SPND = 1 };
enum { MODE_DRX = 1, MODE_DTX = 2, MODE_LOOP = 4, MODE_DRCVPA = 1 << 13, MODE_DRCVBC = 1 << 14 };
enum { MODE_PROM = 1 << 15 };
enum { CSR_LADRF = 8, CSR_PADR = 12, CSR_MODE = 15, CSR_STYLE = 58 };

struct pcnet {
    struct device dev;
    struct pcnet_config {
        char mac[18];
    } config;
    struct pcnet_state {
        u16 csr[PCNET_CSRS], bcr[PCNET_BCRS];
        u8 prom[16];
        u32 rx_base, tx_base, rx_count, tx_count, rx_at, tx_at; /* descriptors */
        u16 rap;
        bool dword; /* the ports are 32 bits wide */
        u8 pad;
    } state;
    u8 mac[FRAME_MAC];
    struct net *net;
    struct bell *tx_bell, *rx_bell;
    bool paused;
    u8 frame[PCNET_FRAME]; /* one that is being sent; the lane's */
};

void pcnet_cause(struct pcnet *p, u16 bits); /* bits of CSR0, and the line */
bool pcnet_init_block(struct pcnet *p);      /* false: it is not in RAM */
void pcnet_send(struct pcnet *p);
/* What a frame from outside met; no room: it waits. */
enum pcnet_got { PCNET_TAKEN, PCNET_UNWANTED, PCNET_NO_ROOM };
enum pcnet_got pcnet_receive(struct pcnet *p, const struct net_frame *f);
#endif
