/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_CALL_H
#define CMD_CALL_H
#include "base/err.h"
#include "base/types.h"
#include <jansson.h>

/*
 * Commands that talk to a running VM: its control socket from the other end (vm/control.h
 * has the protocol).  A VM is named by its name, by the number of its process, or by the
 * path of its socket.
 */
struct call;
int call_open(struct call **c, const char *vm, struct err *e);
void call_close(struct call *c);

/* Asks; -1 ends fds, which may be NULL and stay the caller's. */
int call_send(struct call *c, const char *verb, json_t *take_args, const int *fds, struct err *e);
/* Waits for the answer, events on the way (event may be NULL).  *result is the caller's; a
 * refusal of the VM is the error. */
int call_wait(struct call *c, void (*event)(void *arg, const char *name, const json_t *body),
              void *arg, json_t **result, struct err *e);
/* No answer within this many ms is an error from now on; 0: as long as it takes. */
void call_patience(struct call *c, int ms);

/* All of that at once; result may be NULL. */
int call_vm(const char *vm, const char *verb, json_t *take_args, json_t **result, struct err *e);

/* Every socket that is there, with the number in its name.  Those that nobody listens at go. */
int call_each(void (*one)(void *arg, const char *path, int pid), void *arg, struct err *e);
#endif
