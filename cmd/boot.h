/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_BOOT_H
#define CMD_BOOT_H
#include "vm/vm.h"

/* Builds a VM, tells what was chosen, runs it to its end; signals press its button. */
struct boot_how {
    bool json, quiet, stats;
};
/* command: for messages.  Answers an exit code. */
int boot_vm(const char *command, const struct boot_how *o, const struct vm_how *how,
            struct notes *notes);
#endif
