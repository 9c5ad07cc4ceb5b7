/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a vCPU: in and out of KVM_RUN, kicks, interrupts.
 *
 * Who wants a vCPU out sets its reason (pending, or kvm.changing), then immediate_exit, then
 * signals the thread if the vCPU is inside.  The vCPU clears immediate_exit, says that it is
 * inside, and only then looks at the reasons: so either it sees the reason, or KVM sees
 * immediate_exit, or the signal finds it in KVM_RUN.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does nothing: that it arrives ends KVM_RUN. */
static void kvm_signalled(int sig)
{
    (void)sig;
}

int kvm_signal_number(void)
{
    return SIGRTMIN + 7;
}

int kvm_signal_open(struct err *e)
{
    struct sigaction a = { .sa_handler = kvm_signalled };

    if (sigaction(kvm_signal_number(), &a, NULL))
        return err_set(e, -errno, "no signal for vCPUs: %s", strerror(errno));
    return 0;
}

void kvm_signal_unblock(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, kvm_signal_number());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The thread that calls is the vCPU's: it must take our signal. */
static void kvm_signal_here(struct vcpu *v)
{
    int tid = (int)syscall(SYS_gettid);

    if (atomic_load(&v->tid) == tid)
        return;
    kvm_signal_unblock();
    atomic_store(&v->tid, tid);
}

void kvm_wake(struct vcpu *v)
{
    *(volatile __u8 *)&v->run->immediate_exit = 1;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&v->inside))
        syscall(SYS_tgkill, getpid(), atomic_load(&v->tid), kvm_signal_number());
}

void kvm_kick(struct vcpu *v)
{
    if (!atomic_exchange(&v->c.pending, 1))
        kvm_wake(v);
}

/* ---- in and out ---- */

static void kvm_leave(struct vcpu *v)
{
    struct kvm *k = v->kvm;

    atomic_store(&v->inside, false);
    if (!atomic_load(&k->changing))
        return;
    pthread_mutex_lock(&k->lock);
    pthread_cond_broadcast(&k->calm);
    while (atomic_load(&k->changing))
        pthread_cond_wait(&k->calm, &k->lock);
    pthread_mutex_unlock(&k->lock);
}

/* True: the vCPU may enter.  finish: only to end the instruction of the last exit. */
static bool kvm_enter(struct vcpu *v, bool finish)
{
    for (;;) {
        *(volatile __u8 *)&v->run->immediate_exit = finish;
        atomic_store(&v->inside, true);
        if (atomic_load(&v->kvm->changing)) {
            kvm_leave(v);
            continue;
        }
        if (finish || !atomic_load(&v->c.pending))
            return true;
        kvm_leave(v);
        return false;
    }
}

/* One KVM_RUN: 1 an exit is to be handled, 0 it came back without, or a negative errno. */
static int kvm_once(struct vcpu *v, bool finish)
{
    struct kvm_run *run = v->run;
    bool ours = v->kvm->chips == CHIPS_NONE; /* the local APIC */
    u8 tpr = ours ? v->io.tpr(v->io.arg) : 0;
    int r;

    if (!kvm_enter(v, finish))
        return 0;
    run->cr8 = tpr;
    run->request_interrupt_window = v->c.window && !finish;
    v->unfinished = false;
    v->stat[STAT_RUN]++;
    r = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 1;
    kvm_leave(v);
    v->stale = false;
    if (ours && run->cr8 != tpr)
        v->io.tpr_set(v->io.arg, (u8)run->cr8);
    return r == -EINTR || r == -EAGAIN ? 0 : r;
}

/* ... and what KVM tells of interrupts is true. */
bool kvm_finish(struct vcpu *v, struct err *e)
{
    while (v->unfinished || v->stale) {
        int r = kvm_once(v, true);

        if (r < 0) {
            err_set(e, r, "KVM_RUN: %s", strerror(-r));
            return false;
        }
        if (r && !kvm_exit(v, e))
            return false;
    }
    return true;
}

/* ---- interrupts ---- */

/*
 * KVM keeps an NMI until it may come in, and knows the blocking: always open.  What lets an
 * interrupt in is what KVM says after the last exit.
 */
static u32 kvm_open_now(const struct vcpu *v)
{
    return OPEN_NMI | (v->run->ready_for_interrupt_injection ? (u32)OPEN_INTR : 0);
}

/*
 * A vector of the PIC, into a processor whose local APIC is in the kernel.  KVM_INTERRUPT would
 * keep it where nobody can see it: not in the state that is saved.
 */
static int kvm_inject_event(struct vcpu *v, int vector)
{
    struct kvm_vcpu_events k;
    int r = kvm_ask(v->fd, KVM_GET_VCPU_EVENTS, &k);

    k.interrupt.injected = 1;
    k.interrupt.nr = (u8)vector;
    k.interrupt.soft = 0;
    k.flags = KVM_VCPUEVENT_VALID_SHADOW;
    r = r < 0 ? r : kvm_ask(v->fd, KVM_SET_VCPU_EVENTS, &k);
    r = r < 0 ? r : kvm_store_halted(v); /* it runs */
    return r;
}

/* Is an event on its way in already?  KVM's word above does not say it for its local APIC. */
static bool kvm_is_busy(const struct vcpu *v)
{
    struct kvm_vcpu_events k;

    return v->kvm->chips != CHIPS_NONE &&
           (kvm_ask(v->fd, KVM_GET_VCPU_EVENTS, &k) < 0 || k.interrupt.injected ||
            k.exception.injected || k.exception.pending || k.nmi.injected);
}

static int kvm_inject(struct vcpu *v, int vector)
{
    struct kvm_interrupt i = { .irq = (u32)vector };

    v->c.s.halted = false;
    atomic_store(&v->c.pending, 1); /* there may be more */
    if (vector == VECTOR_NMI)
        return kvm_ask(v->fd, KVM_NMI, NULL);
    v->run->ready_for_interrupt_injection = 0;
    if (v->kvm->chips != CHIPS_NONE)
        return kvm_inject_event(v, vector);
    return kvm_ask(v->fd, KVM_INTERRUPT, &i);
}

/* Ask what waits: STOP_* to leave with, or -1. */
static int kvm_events(struct vcpu *v, struct err *e)
{
    u32 open;
    int n, r = 0;

    if (!kvm_finish(v, e))
        return STOP_BROKEN;
    open = kvm_open_now(v);
    if ((open & OPEN_INTR) && kvm_is_busy(v))
        open &= ~(u32)OPEN_INTR;
    v->c.window = false;
    atomic_store(&v->c.pending, 0);
    n = v->io.vector(v->io.arg, open);
    if (n == VECTOR_STOP)
        return STOP_KICKED;
    if (n == VECTOR_LATER) {
        v->c.window = true;
        v->c.asked = (u8)open;
    } else if (n >= 0 && n <= VECTOR_NMI) {
        r = kvm_inject(v, n);
    }
    if (r < 0) {
        err_set(e, r, "KVM does not take vector %d: %s", n, strerror(-r));
        return STOP_BROKEN;
    }
    return v->c.s.halted ? STOP_HALTED : -1;
}

/* After an injection, only a new kick or an open window is a reason to ask again. */
static bool kvm_must_ask(const struct vcpu *v)
{
    return atomic_load(&v->c.pending) || v->c.s.halted ||
           (v->c.window && (kvm_open_now(v) & ~(u32)v->c.asked));
}

enum stop kvm_run_vcpu(struct vcpu *v, struct err *e)
{
    kvm_signal_here(v);
    for (;;) {
        int r = kvm_must_ask(v) ? kvm_events(v, e) : -1;

        if (r >= 0)
            return (enum stop)r;
        r = kvm_once(v, false);
        if (r < 0) {
            err_set(e, r, "KVM_RUN: %s", strerror(-r));
            return STOP_BROKEN;
        }
        if (r && !kvm_exit(v, e))
            return STOP_BROKEN;
        if (v->shutdown) {
            v->shutdown = false;
            return STOP_SHUTDOWN;
        }
    }
}
