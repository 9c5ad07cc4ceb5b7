/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets between the guest and the host: which device carries them, its host end, and calls from
 * the control socket.  VMware's VMs of hardware 7 and later have VMCI, unless their description
 * says that they do not; others get a virtio device when sockets are asked for.
 */
#include "backend/vsock.h"
#include "backend/vmtools_vsock.h"
#include "base/loop.h"
#include "bus/pci.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    VSOCK_VMCI_HARDWARE = 7,
    VSOCK_DMA_HARDWARE = 20,
    VSOCK_FUNCTION = 7, /* of the south bridge, whatever slot a VMX names */
};

/* What a VMX or an OVF's ExtraConfig says of the device, or "". */
static const char *vsock_said(const struct vm *vm, const char *key)
{
    for (const struct desc_extra *x = vm->how.desc->extras; x; x = x->next) {
        const char *slash = strrchr(x->key, '/');

        if (!strcasecmp(slash ? slash + 1 : x->key, key))
            return x->value;
    }
    return "";
}

static bool vsock_vmci(const struct vm *vm)
{
    u32 version = vm->how.desc->hardware_version;

    return vm->persona && !strcmp(vm_persona(vm), "vmware") &&
           (!version || version >= VSOCK_VMCI_HARDWARE) &&
           strcasecmp(vsock_said(vm, "vmci0.present"), "FALSE") != 0;
}

int vm_vsock_build(struct vm *vm, struct err *e)
{
    bool vmci = vsock_vmci(vm);
    const char *id = vsock_said(vm, "vmci0.id"), *settings[5] = { NULL };
    u32 version = vm->how.desc->hardware_version, n = 0;
    char cid[16];
    int r;

    if (!vmci && !vm->how.vsock)
        return 0;
    r = vsock_open(&vm->vsock, machine_lane(vm->machine), e);
    if (!r && vmci)
        r = vmtools_vsock_new(&vm->tools_vsock, vm->tools, vm->vsock, machine_lane(vm->machine), e);
    if (!r && vm->how.vsock && *vm->how.vsock)
        r = vsock_listen(vm->vsock, vm->how.vsock, e);
    if (!r && vmci && vm_board_is_vmware(vm))
        r = pci_place(vm->machine, "vmci0", vm_build_south(vm), VSOCK_FUNCTION, e);
    if (r)
        return r;
    snprintf(cid, sizeof(cid), "%u", (u32)strtol(id, NULL, 10)); /* it may be negative */
    if (vmci && (u32)strtol(id, NULL, 10) > VSOCK_CID_HOST)
        settings[n++] = "cid", settings[n++] = cid;
    if (vmci && version && version < VSOCK_DMA_HARDWARE)
        settings[n++] = "dma", settings[n++] = "false";
    return device_new(vm->machine, vmci ? "vmci" : "virtio_vsock", "vmci0", settings,
                      (struct device_end[]){ { "vsock", vm->vsock }, { NULL, NULL } }, NULL, e);
}

/* ---- the verb: one descriptor for one connection ---- */

struct vsock_asked {
    struct vm *vm;
    struct control_call *call; /* NULL: nobody waits any more */
    int r;
};

static void vsock_answer(void *arg)
{
    struct vsock_asked *a = arg;

    if (a->call && a->r)
        control_fail(a->call, a->r, "nobody in the guest listens at that port");
    else if (a->call)
        control_answer(a->call, NULL);
    free(a);
}

/* On the lane. */
static void vsock_done(void *arg, int r)
{
    struct vsock_asked *a = arg;

    a->r = r;
    loop_post(machine_loop(a->vm->machine), vsock_answer, a);
}

static void vsock_gone(void *arg)
{
    struct vsock_asked *a = arg;

    control_fail(a->call, -ECANCELED, "nobody waits for it");
    a->call = NULL;
}

static void verb_vsock(struct vm *vm, struct control_call *c)
{
    const json_t *port = json_object_get(control_args(c), "port");
    struct vsock_asked *a;
    struct vsock_call how = { .wait_for_guest = control_flag(c, "listen"), .done = vsock_done };
    int r;

    if (!json_is_integer(port) || json_integer_value(port) < 0 ||
        json_integer_value(port) >= UINT32_MAX) {
        control_fail(c, -EINVAL, "port: expected a number below 4294967295");
        return;
    }
    if (!vm->vsock) {
        control_fail(c, -EOPNOTSUPP, "this VM has no vsock; it gets one by --vsock");
        return;
    }
    how.fd = control_take_fd(c);
    a = how.fd < 0 ? NULL : calloc(1, sizeof(*a));
    if (!a) {
        control_fail(c, how.fd < 0 ? -EINVAL : -ENOMEM, "expected a connected socket");
        if (how.fd >= 0)
            close(how.fd);
        return;
    }
    *a = (struct vsock_asked){ .vm = vm, .call = c };
    how.port = (u32)json_integer_value(port);
    how.arg = a;
    control_on_gone(c, vsock_gone, a);
    r = vsock_call(vm->vsock, &how);
    if (r)
        vsock_done(a, r);
}

const struct control_verb control_vsock[] = {
    { "vsock", "a socket that comes along becomes \"port\" of the guest; \"listen\": of the host",
      verb_vsock },
    { 0 },
};
