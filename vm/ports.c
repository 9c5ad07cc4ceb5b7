/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial and parallel ports.  The first two serial ones are always there, as on every PC.
 *
 * Where a port's bytes go: this terminal; what --port says; for a package's file a file of that
 * name beside the guest's writes, since a package does not choose what it writes to on this host;
 * else nowhere, which is noted.
 */
#include "backend/chr.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct ports_place {
    const char *name, *class, *port, *irq;
    bool always;
} ports_places[VM_PORTS] = {
    { "serial0", "uart16550", "0x3f8", "4", true },
    { "serial1", "uart16550", "0x2f8", "3", true },
    { "serial2", "uart16550", "0x3e8", "4", false },
    { "serial3", "uart16550", "0x2e8", "3", false },
    { "parallel0", "parport", "0x378", "7", false },
    { "parallel1", "parport", "0x278", "5", false },
};

static int ports_file(const char *path, int *fd, struct err *e)
{
    struct stat st;

    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (!fstat(*fd, &st) && S_ISREG(st.st_mode))
        fcntl(*fd, F_SETFL, O_APPEND);
    return 0;
}

static int ports_unix(const char *path, int *fd, struct err *e)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(e, -ENAMETOOLONG, "%s: too long for a socket", path);
    memcpy(at.sun_path, path, strlen(path));
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && !connect(*fd, (struct sockaddr *)&at, sizeof(at)))
        return 0;
    return err_set(e, -errno, "%s: %s", path, strerror(errno));
}

static int ports_tcp(const char *where, int *fd, struct err *e)
{
    struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *all = NULL;
    const char *colon = strrchr(where, ':');
    char host[256];
    int r;

    if (!colon || colon - where >= (long)sizeof(host))
        return err_set(e, -EINVAL, "%s: expected HOST:PORT", where);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
    r = getaddrinfo(host, colon + 1, &want, &all);
    if (r)
        return err_set(e, -ENOENT, "%s: %s", where, gai_strerror(r));
    *fd = socket(all->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    r = *fd < 0 || connect(*fd, all->ai_addr, all->ai_addrlen) ? -errno : 0;
    freeaddrinfo(all);
    return r ? err_set(e, r, "%s: %s", where, strerror(-r)) : 0;
}

/* "FILE", "unix:PATH", "tcp:HOST:PORT"; the answer is the descriptor, and whether it is read, too. */
static int ports_where(const char *where, int *fd, bool *both, struct err *e)
{
    *both = !strncmp(where, "unix:", 5) || !strncmp(where, "tcp:", 4);
    if (!*both)
        return ports_file(where, fd, e);
    return *where == 'u' ? ports_unix(where + 5, fd, e) : ports_tcp(where + 4, fd, e);
}

static const struct desc_port *ports_desc(const struct vm *vm, const char *name)
{
    for (const struct desc_port *p = vm->how.desc->ports; p; p = p->next)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static const char *ports_option(const struct vm *vm, const char *name)
{
    for (u32 i = 0; i < vm->how.nlines; i++)
        if (!strncmp(vm->how.lines[i], name, strlen(name)) && vm->how.lines[i][strlen(name)] == '=')
            return vm->how.lines[i] + strlen(name) + 1;
    return NULL;
}

/* A package's file: its last component, in the state directory. */
static int ports_package(struct vm *vm, const struct desc_port *p, struct notes *notes, int *fd,
                         struct err *e)
{
    const char *slash = p->target ? strrchr(p->target, '/') : NULL,
               *back = p->target ? strrchr(p->target, '\\') : NULL, *name;
    char path[4200];
    int r;

    name = back > slash ? back + 1 : slash ? slash + 1 : p->target;
    if (strcmp(p->to, "file") || vm->how.throwaway) {
        if (strcmp(p->to, "null"))
            note(notes, NOTE_LOST, p->name, "leads nowhere; --port %s=WHERE connects it", p->name);
        return 0;
    }
    r = vm_make_state(vm, e);
    snprintf(path, sizeof(path), "%s/port-%.200s", vm->how.state, name && *name ? name : p->name);
    r = r ? r : ports_file(path, fd, e);
    if (!r)
        note(notes, NOTE_CHANGED, p->name, "what it sends is kept in %s", path);
    return r;
}

static int ports_one(struct vm *vm, u32 i, struct notes *notes, struct err *e)
{
    const struct ports_place *k = &ports_places[i];
    const char *option = ports_option(vm, k->name);
    const struct desc_port *p = ports_desc(vm, k->name);
    struct vm_port *to = &vm->ports[i];
    struct loop *l = machine_loop(vm->machine);
    bool both = false;
    int r = 0;

    if (!k->always && !option && !p)
        return 0;
    if (!i && vm->how.console == VM_CONSOLE_SERIAL) {
        r = chr_open_fd(&to->chr, 0, 1, l, e);
    } else {
        if (option)
            r = ports_where(option, &to->fd, &both, e);
        else if (p)
            r = ports_package(vm, p, notes, &to->fd, e);
        if (r)
            return r;
        r = to->fd > 0 ? chr_open_fd(&to->chr, both ? to->fd : -1, to->fd, l, e)
                       : chr_open_null(&to->chr, e);
    }
    if (r)
        return r;
    return device_new(vm->machine, k->class, k->name,
                      (const char *const[]){ "port", k->port, "irq", k->irq, NULL },
                      (struct device_end[]){ { "chr", to->chr }, { NULL, NULL } }, NULL, e);
}

int vm_ports_build(struct vm *vm, struct notes *notes, struct err *e)
{
    int r = 0;

    for (u32 i = 0; i < vm->how.nlines && !r; i++) {
        bool known = false;

        for (u32 k = 0; k < VM_PORTS; k++)
            known |=
                !strncmp(vm->how.lines[i], ports_places[k].name, strlen(ports_places[k].name)) &&
                vm->how.lines[i][strlen(ports_places[k].name)] == '=';
        if (!known)
            r = err_set(
                e, -EINVAL,
                "--port %s: expected serial0 to serial3, parallel0 or parallel1, and =WHERE",
                vm->how.lines[i]);
    }
    for (u32 i = 0; i < VM_PORTS && !r; i++)
        r = ports_one(vm, i, notes, e);
    return r;
}

void vm_ports_close(struct vm *vm)
{
    for (u32 i = 0; i < VM_PORTS; i++) {
        chr_close(vm->ports[i].chr);
        if (vm->ports[i].fd > 0)
            close(vm->ports[i].fd);
    }
}
