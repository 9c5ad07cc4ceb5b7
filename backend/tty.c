/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw mode of the controlling terminal, termios(3). */
#include "backend/tty.h"
#include <errno.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { TTY_ESCAPE = 0x1d }; /* Ctrl-] */

static struct termios tty_before;
static volatile int tty_fd = -1;

int tty_raw(int fd)
{
    struct termios t;

    if (tcgetattr(fd, &tty_before))
        return -ENOTTY;
    t = tty_before;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | ONLCR; /* our own lines come between the guest's */
    t.c_lflag |= ISIG;
    t.c_cc[VINTR] = TTY_ESCAPE;
    t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (tcsetattr(fd, TCSANOW, &t))
        return -errno;
    if (tty_fd < 0)
        atexit(tty_restore);
    tty_fd = fd;
    return 0;
}

void tty_restore(void)
{
    if (tty_fd >= 0)
        tcsetattr(tty_fd, TCSANOW, &tty_before);
}
