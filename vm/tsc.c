/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast the host's TSC counts.  Measured once against the monotonic clock: the kernel
 * does not tell, and CPUID leaf 0x15 is absent on many hosts.  Each end is the tightest of
 * several readings, so an interruption between the two clocks does not count.
 */
#include "vm/vm_int.h"
#include <time.h>
#include <x86intrin.h>

struct tsc_pair {
    u64 tsc;
    i64 ns;
};

static i64 tsc_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct tsc_pair tsc_sample(void)
{
    struct tsc_pair best = { 0 };
    u64 tightest = ~(u64)0;

    for (int i = 0; i < 8; i++) {
        u64 before = __rdtsc();
        i64 ns = tsc_clock();
        u64 after = __rdtsc();

        if (after - before < tightest) {
            tightest = after - before;
            best = (struct tsc_pair){ before + (after - before) / 2, ns };
        }
    }
    return best;
}

u64 vm_host_tsc_hz(void)
{
    static u64 hz;
    struct tsc_pair a, b;

    if (hz)
        return hz;
    a = tsc_sample();
    do {
        b = tsc_sample();
    } while (b.ns - a.ns < 20000000);
    hz = (u64)((unsigned __int128)(b.tsc - a.tsc) * 1000000000 / (u64)(b.ns - a.ns));
    hz = (hz + 500) / 1000 * 1000; /* guests are told kHz: no remainder to disagree about */
    return hz;
}
