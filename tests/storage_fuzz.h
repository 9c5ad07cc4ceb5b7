/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_STORAGE_FUZZ_H
#define TESTS_STORAGE_FUZZ_H
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/rig.h"
#include <stdlib.h>

/*
 * What the fuzz targets of storage adapters share: one machine for all inputs, with threads
 * of its own, an adapter, and one disk in memory behind two of its places.
 */
enum { RAM = 4 << 20, DISK = 1 << 20 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct blk *disk;

/* One more adapter in the same machine, with the same disk. */
static inline struct device *fuzz_second(const char *class, const char *cd, const char *first,
                                         const char *second)
{
    const char *settings[] = { cd ? "cd" : NULL, cd, NULL };
    struct device_end ends[3] = { { first, disk }, { second, disk }, { 0 } };
    struct device *d = rig_device(&rig, class, settings, ends);

    rig_pci_enable(&rig, d);
    return d;
}

/* cd: the places that are CD-ROM drives, as the setting says it; NULL: it has none. */
static inline struct device *fuzz_adapter(const char *class, const char *cd, const char *first,
                                          const char *second)
{
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };

    if (machine_new(&rig.m, &how, NULL) ||
        blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL))
        abort();
    rig.next_bar = 0xe0000000;
    rig.next_port = 0xc000;
    return fuzz_second(class, cd, first, second);
}

static void fuzz_nothing(void *arg)
{
    (void)arg;
}

/* What was asked for has been done, and told. */
static void fuzz_settle(void)
{
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
    blk_drain(disk);
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
}
#endif
