/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mimic command. */
#include <stdio.h>

int main(void)
{
    fprintf(stderr, "mimic: no command is there yet\n");
    return 2;
}
