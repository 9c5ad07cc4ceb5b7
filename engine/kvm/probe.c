/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can KVM run guests here, and fast?  A KVM may be there that has no processor support below
 * it and emulates kernel code instruction by instruction: so a guest of a few instructions, in
 * 64-bit mode with paging as kernels run, is timed.  Its result holds for this process.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const struct {
    int cap;
    const char *what;
} probe_needs[] = {
    { KVM_CAP_USER_MEMORY, "guest memory" },
    { KVM_CAP_EXT_CPUID, "CPUID tables" },
    { KVM_CAP_READONLY_MEM, "read-only memory slots" },
    { KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
    { KVM_CAP_VCPU_EVENTS, "the state of events" },
    { KVM_CAP_DEBUGREGS, "debug registers" },
    { KVM_CAP_XSAVE, "XSAVE state" },
    { KVM_CAP_XCRS, "XCR0" },
    { KVM_CAP_SYNC_REGS, "registers in the run page" },
    { KVM_CAP_X86_USER_SPACE_MSR, "MSRs handled outside the kernel" },
    { KVM_CAP_X86_MSR_FILTER, "the MSR filter" },
    { KVM_CAP_VCPU_ATTRIBUTES, "attributes of vCPUs" },
};

int kvm_needs(int fd, struct err *e)
{
    int api = ioctl(fd, KVM_GET_API_VERSION, 0);

    if (api != KVM_API_VERSION)
        return err_set(e, -EOPNOTSUPP, "/dev/kvm speaks version %d of its interface, not %d", api,
                       KVM_API_VERSION);
    for (u32 i = 0; i < LEN(probe_needs); i++)
        if (ioctl(fd, KVM_CHECK_EXTENSION, probe_needs[i].cap) <= 0)
            return err_set(e, -EOPNOTSUPP, "this host's KVM lacks %s (Linux 5.16 has all)",
                           probe_needs[i].what);
    return 0;
}

/* ---- the guest that is timed ---- */

enum {
    PROBE_RAM = 64 << 10,
    PROBE_CODE = 0x1000,
    PROBE_PML4 = 0x2000,
    PROBE_PDPT = 0x3000,
    PROBE_PD = 0x4000,
    PROBE_SHORT = 500,     /* rounds of two instructions */
    PROBE_LONG = 2000000,  /* about a millisecond of a processor */
    PROBE_SLOW_MIPS = 100, /* below: emulated */
};

struct probe {
    int fd, vm, cpu;
    u32 run_size;
    struct kvm_run *run;
    u8 *ram;
};

static void probe_close(struct probe *p)
{
    if (p->run)
        munmap(p->run, p->run_size);
    if (p->cpu >= 0)
        close(p->cpu);
    if (p->vm >= 0)
        close(p->vm);
    if (p->ram)
        munmap(p->ram, PROBE_RAM);
}

static int probe_sregs(const struct probe *p)
{
    struct kvm_segment code = {
        .limit = ~0u, .selector = 8, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1
    };
    struct kvm_segment data = {
        .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
    };
    struct kvm_sregs s;
    int r = kvm_ask(p->cpu, KVM_GET_SREGS, &s);

    if (r < 0)
        return r;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    s.cr3 = PROBE_PML4;
    s.cr4 = CR4_PAE;
    s.efer = EFER_LME | EFER_LMA;
    return kvm_ask(p->cpu, KVM_SET_SREGS, &s);
}

struct probe_cpuid { /* as struct kvm_cpuid2, with room */
    u32 nent, padding;
    struct kvm_cpuid_entry2 e[256];
};

static struct kvm_cpuid_entry2 *probe_leaf_1(struct probe_cpuid *c)
{
    for (u32 i = 0; i < c->nent && i < LEN(c->e); i++)
        if (c->e[i].function == 1)
            return &c->e[i];
    return NULL;
}

enum { PROBE_SSE3 = 1 }; /* leaf 1 ECX: a feature that the guest is not to see */

static int probe_cpuid(const struct probe *p)
{
    struct probe_cpuid c = { .nent = 256 };
    int r = kvm_ask(p->fd, KVM_GET_SUPPORTED_CPUID, &c);

    if (r >= 0 && probe_leaf_1(&c))
        probe_leaf_1(&c)->ecx &= ~(u32)PROBE_SSE3;
    return r < 0 ? r : kvm_ask(p->cpu, KVM_SET_CPUID2, &c);
}

/* Can it keep interrupt controllers? */
static u64 probe_chips(int fd)
{
    static const int needs[] = { KVM_CAP_IRQCHIP,    KVM_CAP_SPLIT_IRQCHIP,     KVM_CAP_PIT2,
                                 KVM_CAP_PIT_STATE2, KVM_CAP_IRQ_ROUTING,       KVM_CAP_SIGNAL_MSI,
                                 KVM_CAP_MP_STATE,   KVM_CAP_TSC_DEADLINE_TIMER };

    for (u32 i = 0; i < LEN(needs); i++)
        if (ioctl(fd, KVM_CHECK_EXTENSION, needs[i]) <= 0)
            return 0;
    return ENGINE_CHIPS;
}

/* What KVM took and did not keep: a sentence, or NULL. */
static const char *probe_odd(const struct probe *p)
{
    u64 offset = (u64)-1000000;
    struct kvm_device_attr a = { .group = KVM_VCPU_TSC_CTRL,
                                 .attr = KVM_VCPU_TSC_OFFSET,
                                 .addr = (uintptr_t)&offset };
    struct probe_cpuid c = { .nent = 256 };

    if (kvm_ask(p->cpu, KVM_GET_CPUID2, &c) < 0 || !probe_leaf_1(&c) ||
        (probe_leaf_1(&c)->ecx & PROBE_SSE3))
        return "shows its guests another processor than it is told to";
    if (kvm_ask(p->cpu, KVM_SET_DEVICE_ATTR, &a) < 0)
        return "cannot shift a guest's time stamp counter";
    offset = 0;
    if (kvm_ask(p->cpu, KVM_GET_DEVICE_ATTR, &a) < 0 || offset != (u64)-1000000)
        return "does not shift a guest's time stamp counter";
    return NULL;
}

static int probe_open(struct probe *p, struct err *e)
{
    /* again: dec ecx; jnz again; out 0x10, al; jmp again */
    static const u8 code[] = { 0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x10, 0xeb, 0xf8 };
    struct kvm_userspace_memory_region slot = { .memory_size = PROBE_RAM };
    void *at;
    int r = 0;

    p->vm = kvm_ask(p->fd, KVM_CREATE_VM, NULL);
    p->cpu = p->vm < 0 ? p->vm : kvm_ask(p->vm, KVM_CREATE_VCPU, NULL);
    if (p->cpu < 0)
        return err_set(e, p->cpu, "KVM makes no VM: %s", strerror(-p->cpu));
    at = mmap(NULL, PROBE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p->ram = at == MAP_FAILED ? NULL : at;
    p->run_size = (u32)ioctl(p->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    at = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->cpu, 0);
    p->run = at == MAP_FAILED ? NULL : at;
    if (!p->ram || !p->run)
        return err_set(e, -ENOMEM, "no memory for KVM's probe");
    memcpy(p->ram + PROBE_CODE, code, sizeof(code));
    *(u64 *)(void *)(p->ram + PROBE_PML4) = PROBE_PDPT | 3;
    *(u64 *)(void *)(p->ram + PROBE_PDPT) = PROBE_PD | 3;
    *(u64 *)(void *)(p->ram + PROBE_PD) = 0x83;
    slot.userspace_addr = (uintptr_t)p->ram;
    r = kvm_ask(p->vm, KVM_SET_TSS_ADDR, (void *)(uintptr_t)0xfeffd000);
    r = r < 0 ? r : kvm_ask(p->vm, KVM_SET_USER_MEMORY_REGION, &slot);
    r = r < 0 ? r : probe_cpuid(p);
    r = r < 0 ? r : probe_sregs(p);
    return r < 0 ? err_set(e, r, "KVM refuses a small guest: %s", strerror(-r)) : 0;
}

static i64 probe_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* a busy host is not a slow KVM */
    return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* How long n rounds take, in ns; negative errno. */
static i64 probe_time(struct probe *p, u32 n)
{
    struct kvm_regs regs = { .rcx = n, .rip = PROBE_CODE, .rflags = FLAG_ONE };
    i64 start = probe_now();
    int r = kvm_ask(p->cpu, KVM_SET_REGS, &regs);

    if (r >= 0 && ioctl(p->cpu, KVM_RUN, NULL) < 0)
        r = errno == EINTR ? -ETIMEDOUT : -errno; /* no answer in time, see kvm_probe */
    if (r < 0)
        return r;
    return p->run->exit_reason == KVM_EXIT_IO ? probe_now() - start : -EIO;
}

/* Thousands of instructions a second; negative errno. */
static i64 probe_speed(struct probe *p)
{
    i64 ns = probe_time(p, PROBE_SHORT); /* what is done once is done */

    ns = ns < 0 ? ns : probe_time(p, PROBE_SHORT);
    if (ns < 0)
        return ns;
    if (ns > 1000000) /* no need to wait for more of it */
        return 2ll * PROBE_SHORT * 1000000 / ns;
    ns = probe_time(p, PROBE_LONG);
    return ns < 0 ? ns : 2ll * PROBE_LONG * 1000000 / (ns + 1);
}

/* ---- the answer ---- */

enum { PROBE_PATIENCE_S = 2 }; /* a KVM that never comes back is as good as none */

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool ended; /* under lock */
    int result;
    struct err err;
    u64 features;
    char text[120];
} probed = { .once = PTHREAD_ONCE_INIT,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .done = PTHREAD_COND_INITIALIZER };

/* KVM lets VMware's ports through to us from ring 3 when its module was told to. */
static u64 probe_user_ports(void)
{
    int fd = open("/sys/module/kvm/parameters/enable_vmware_backdoor", O_RDONLY | O_CLOEXEC);
    char c = 'N';

    if (fd < 0)
        return 0;
    if (read(fd, &c, 1) != 1)
        c = 'N';
    close(fd);
    return c == 'Y' || c == '1' ? ENGINE_USER_PORTS : 0;
}

static void probe_measured(int fd, long long khz, const char *odd)
{
    bool slow = khz < PROBE_SLOW_MIPS * 1000ll;

    probed.features = (slow || odd ? 0 : ENGINE_HARDWARE) | probe_user_ports() | probe_chips(fd);
    if (odd && !slow)
        snprintf(probed.text, sizeof(probed.text), "%s", odd);
    else if (slow)
        snprintf(probed.text, sizeof(probed.text),
                 "only emulates here: %lld.%02lld million instructions a second", khz / 1000,
                 khz % 1000 / 10);
    else
        snprintf(probed.text, sizeof(probed.text), "hardware: %lld million instructions a second",
                 khz / 1000);
}

static void probe_ask(struct err *e)
{
    struct probe p = { .vm = -1, .cpu = -1 };
    i64 khz;

    p.fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (p.fd < 0) {
        probed.result = err_set(e, -errno, "/dev/kvm: %s", strerror(errno));
        return;
    }
    probed.result = kvm_needs(p.fd, e);
    if (!probed.result)
        probed.result = probe_open(&p, e);
    if (!probed.result) {
        khz = probe_speed(&p);
        if (khz < 0)
            probed.result =
                err_set(e, (int)khz, "KVM does not run a small guest: %s", strerror((int)-khz));
        else
            probe_measured(p.fd, khz, probe_odd(&p));
    }
    probe_close(&p);
    close(p.fd);
}

static void *probe_thread(void *arg)
{
    (void)arg;
    kvm_signal_unblock();
    probe_ask(&probed.err);
    pthread_mutex_lock(&probed.lock);
    probed.ended = true;
    pthread_cond_signal(&probed.done);
    pthread_mutex_unlock(&probed.lock);
    return NULL;
}

/* In a thread, so that it can be called back. */
static void probe_once(void)
{
    struct timespec until;
    pthread_t thread;

    probed.result = kvm_signal_open(&probed.err);
    if (probed.result)
        return;
    if (pthread_create(&thread, NULL, probe_thread, NULL)) {
        probed.result = err_set(&probed.err, -EAGAIN, "no thread to try KVM in");
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PROBE_PATIENCE_S;
    pthread_mutex_lock(&probed.lock);
    while (!probed.ended && pthread_cond_timedwait(&probed.done, &probed.lock, &until) != ETIMEDOUT)
        continue;
    if (!probed.ended)
        pthread_kill(thread, kvm_signal_number());
    pthread_mutex_unlock(&probed.lock);
    pthread_join(thread, NULL);
}

int kvm_probe(u64 *features, struct err *e)
{
    pthread_once(&probed.once, probe_once);
    if (probed.result && e)
        *e = probed.err;
    *features = probed.features;
    return probed.result;
}

const char *kvm_found(void)
{
    return probed.result ? probed.err.text : probed.text;
}
