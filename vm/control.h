/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VM_CONTROL_H
#define VM_CONTROL_H
#include "base/err.h"
#include "base/types.h"
#include <jansson.h>

/*
 * The control socket of a running VM: a Unix socket that only its owner reaches.  One line
 * is one JSON object.  A request and what may come back for it:
 *
 *     {"call": "save", "id": 7, "args": {"file": "/tmp/x"}}
 *     {"id": 7, "event": "progress", "body": {"done": 5, "total": 9}}      any number
 *     {"id": 7, "result": {...}}  or  {"id": 7, "error": {"code": "ENOSPC", "text": "..."}}
 *
 * Requests of one connection run side by side; descriptors may come with a request's bytes.
 * A handler runs on the VM thread and answers then or later, exactly once, on that thread.
 */
struct vm;
struct control_call;

struct control_verb {
    const char *name, *about;
    void (*run)(struct vm *vm, struct control_call *c);
};
/* The tables of verbs, each ended by a name of NULL: control_verbs.c lists them. */
extern const struct control_verb *const control_tables[]; /* ends with NULL */
extern const struct control_verb control_agent[], control_disk[], control_view[], control_vsock[];

json_t *control_args(const struct control_call *c);                      /* lent; an object */
const char *control_text(const struct control_call *c, const char *key); /* NULL: not given */
bool control_flag(const struct control_call *c, const char *key);
int control_take_fd(struct control_call *c); /* the next one that came; -1: no more */

void control_event(struct control_call *c, const char *event, json_t *take_body);
/* These two end the call: it is gone afterwards.  A body of NULL is an empty object. */
void control_answer(struct control_call *c, json_t *take_body);
void control_fail(struct control_call *c, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Tells when the other side has hung up before the answer, which is still owed.  Called at
 * most once; also when the VM ends. */
void control_on_gone(struct control_call *c, void (*gone)(void *arg), void *arg);

/* The server: opened on the VM thread.  dir is made when it is not there, for us alone. */
struct control;
struct loop;
int control_open(struct control **out, struct vm *vm, const char *dir, const char *name,
                 struct loop *l, struct err *e);
const char *control_path(const struct control *c);
/* Calls that are still open fail; what is to be told is told, if the other side reads. */
void control_close(struct control *c);

/* Where sockets are: $XDG_RUNTIME_DIR/mimic or below the state directory.  0 or -ENAMETOOLONG. */
int control_dir(char *path, size_t room);
/* The name of a VM as its socket's file name begins: letters, digits and "._-". */
void control_name(const char *name, char *to, size_t room);

/* A request as it came: parsed by itself so that it can be fuzzed.  0, or -EBADMSG with e. */
struct control_request {
    json_t *args; /* owned */
    char call[32];
    json_int_t id;
    bool has_id;
};
int control_parse(struct control_request *r, const char *line, size_t n, struct err *e);
#endif
