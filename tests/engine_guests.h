/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_ENGINE_GUESTS_H
#define TESTS_ENGINE_GUESTS_H
#include "base/types.h"

/* Where things are in the memory of the guests of engine_guests.S, and the guests. */
enum {
    G_GDT = 0x1000,
    G_IDT = 0x2000,
    G_TSS = 0x4000,
    G_LOG = 0x7008, /* where the next record of a handler goes */
    G_STACK = 0x9000,
    G_CODE = 0x10000,
    G_HANDLERS = 0x18000, /* a stub a vector */
    G_HANDLER_SIZE = 32,
    G_RESULT = 0x20000,
    G_LOGGED = 0x28000,
    G_TABLES = 0x100000,
    G_PAGE = 0x300000,
    G_RAM = 4 << 20,
    G_ROM = 8 << 20,
};

#define GUEST(name) extern const u8 guest_##name[], guest_##name##_end[]
GUEST(real);
GUEST(modes);
GUEST(protected);
GUEST(ring3);
GUEST(paging);
GUEST(exceptions);
GUEST(syscall);
GUEST(ports);
GUEST(mmio);
GUEST(wide);
GUEST(interrupts);
GUEST(waits);
GUEST(msrs);
GUEST(pat);
GUEST(cpuid);
GUEST(calls);
GUEST(triple);
GUEST(spin);
GUEST(add);
GUEST(dirty);
GUEST(handlers64);
GUEST(handlers32);
#endif
