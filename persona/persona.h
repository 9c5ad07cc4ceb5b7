/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PERSONA_PERSONA_H
#define PERSONA_PERSONA_H
#include "base/err.h"
#include "base/field.h"
#include "machine/device.h"

/*
 * A persona is the hypervisor the guest believes it runs on.  Several may be
 * stacked (Xen showing Hyper-V leaves); the first that answers wins.
 */
struct machine;
struct vcpu;
struct x86_state;
struct persona {
    const struct persona_class *class;
    struct machine *machine;
    const struct device_end *ends; /* while it is made */
};

/* what the calls below answer: not mine; done; raise #GP or #UD */
enum { PERSONA_PASS, PERSONA_DONE, PERSONA_FAULT };

struct persona_class {
    const char *name; /* "xen", "hyperv", "vmware", "kvm" */
    const char *about;
    u32 size, config_at, config_size, state_at, state_size;
    const void *config_default;
    const struct field *config, *state; /* same tables as devices */
    int (*create)(struct persona *p, struct err *e);
    void (*destroy)(struct persona *p);
    void (*reset)(struct persona *p);
    int (*check)(const struct persona *p, struct err *e); /* restored state: possible at all? */
    void (*restored)(struct persona *p); /* and then: what is derived is made anew */
    int (*cpuid)(struct persona *p, u32 cpu, u32 leaf, u32 sub, u32 regs[4]);
    int (*rdmsr)(struct persona *p, u32 cpu, u32 msr, u64 *val);
    int (*wrmsr)(struct persona *p, u32 cpu, u32 msr, u64 val);
    int (*hypercall)(struct persona *p, u32 cpu, u8 kind, struct x86_state *regs);
    /* a port that takes and gives registers: the VMware backdoor */
    int (*port)(struct persona *p, u32 cpu, u16 port, u32 size, bool out, struct x86_state *regs);
    /* a stream of bytes in or out, as cpu_io.bulk */
    int (*bulk)(struct persona *p, u32 cpu, u16 port, bool out, struct x86_state *regs, u8 *bytes,
                u32 n);
    const u16 *ports;                          /* those that `port` knows; 0 ends */
    int (*vector)(struct persona *p, u32 cpu); /* -1: none */
    /* The pointer is at x, y of 0 to 0xffff, the wheel moved by z; buttons: 1 left, 2 right,
     * 4 middle.  Any thread.  true: the guest takes it here, and the PS/2 mouse must stir. */
    bool (*pointer)(struct persona *p, u32 x, u32 y, i32 z, u32 buttons);
};
extern const struct persona_class *const persona_catalog[]; /* generated; ends with NULL */

/* Make one with its settings (pairs name, text; NULL ends) and host ends (kind, end; NULL ends;
 * or NULL); persona_free destroys it. */
int persona_new(struct machine *m, const char *class, const char *const *settings,
                const struct device_end *ends, struct persona **p, struct err *e);
void *persona_end(const struct persona *p, const char *kind); /* from create; or NULL */
void persona_free(struct persona *p);
#endif
