/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic disk convert: one image into another format, and what that kept, changed and lost. */
#include "cmd/disk.h"

static int convert_run(int argc, char **argv)
{
    return EXIT_USE;
}
const struct command command_disk_convert = {
    .name = "disk convert",
    .args = "FROM TO",
    .about = "Convert a disk image",
    .run = convert_run,
};
