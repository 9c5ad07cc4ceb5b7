/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The passphrase of an encrypted image: asked for on the terminal, not shown. */
#include "cmd/key.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

int key_ask(void *arg, const char *path, u8 *room, size_t n)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios was, quiet;
    ssize_t got;

    (void)arg;
    if (fd < 0 || tcgetattr(fd, &was)) {
        if (fd >= 0)
            close(fd);
        return -ENOKEY;
    }
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fd, TCSAFLUSH, &quiet);
    dprintf(fd, "passphrase of %s: ", path);
    got = read(fd, room, n);
    dprintf(fd, "\n");
    tcsetattr(fd, TCSAFLUSH, &was);
    close(fd);
    if (got > 0 && room[got - 1] == '\n')
        got--;
    return got > 0 ? (int)got : -ENOKEY;
}
