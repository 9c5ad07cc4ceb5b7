/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TTY_H
#define BACKEND_TTY_H

/*
 * The terminal as a guest's console: every key goes to the guest but Ctrl-], which the
 * kernel turns into SIGINT for us, so it works however busy the guest is.  tty_restore puts
 * the terminal back and may be called in a signal handler, and twice.
 */
int tty_raw(int fd); /* 0; -ENOTTY: not a terminal, nothing changed */
void tty_restore(void);
#endif
