/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIRMWARE_FIRMWARE_H
#define FIRMWARE_FIRMWARE_H
#include "engine/x86/state.h"
#include "machine/machine.h"

/*
 * What stands in RAM and in the firmware configuration before the first instruction, and
 * what that instruction is.
 */
struct firmware_board { /* what SMBIOS says; NULL: by persona */
    const char *bios_vendor, *bios_version, *bios_date;
    const char *manufacturer, *product, *version, *serial;
};

struct firmware_how {
    const char *bios;       /* path of a BIOS image; NULL: SeaBIOS where distributions put it */
    const char *kernel;     /* path: boot it without a BIOS; or NULL */
    const char *initrd;     /* path, or for multiboot "file args,file args"; or NULL */
    const char *append;     /* the kernel's command line, or NULL */
    const char *persona;    /* "vmware", "none"; NULL: none */
    u8 uuid[16];            /* RFC 4122 order */
    u32 hardware_version;   /* VMware's; 0 unknown */
    bool boot_menu;         /* the BIOS offers its menu and waits for a key */
    bool serial_console;    /* the BIOS shows its screen on COM1 too */
    const char *boot_order; /* lines of device paths, as the BIOS reads them; or NULL */
    bool restored;          /* memory and processors are to come from a saved VM */
    struct firmware_board board;
};

struct firmware_start {
    struct x86_state state; /* of vCPU 0; the others are as after power-on and wait for SIPI */
    bool direct;            /* starts in a kernel, not at the reset vector */
};

/*
 * VM thread, devices made and reset, no vCPU running.  Once before the start and again after
 * every reset of the machine.  Nothing of how is kept.
 */
int firmware_prepare(struct machine *m, const struct firmware_how *how, struct firmware_start *out,
                     struct err *e);

/* The same for a guest that slept to RAM and wakes.  -ENOENT: it does not say where it goes on. */
int firmware_wake(struct machine *m, bool direct, struct firmware_start *out, struct err *e);
#endif
