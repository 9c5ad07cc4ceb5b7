/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H
#include "cmd/opt.h"

/* The subcommands, one file each. */
extern const struct command command_run, command_inspect, command_convert, command_check,
    command_disk, command_ps, command_shutdown, command_pause, command_resume, command_call,
    command_save, command_restore, command_info, command_guest, command_guestinfo, command_balloon,
    command_screen, command_exec, command_cp, command_vsock;
#endif
