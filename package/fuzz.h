/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_FUZZ_H
#define PACKAGE_FUZZ_H
#include "base/log.h"
#include "package/format.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens the bytes as a package in a directory of its own, where a few likely files are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *fuzz_dir(void)
{
    static char dir[] = "/dev/shm/mimic-fuzz-XXXXXX";
    static bool made;

    if (!made && !mkdtemp(dir))
        abort();
    made = true;
    return dir;
}

static int fuzz_package(const uint8_t *data, size_t n, const char *suffix)
{
    struct package_options o = { .verify = true };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct buf json = { 0 };
    struct desc d;
    char path[100];
    FILE *f;

    log_level_set(LOG_ERROR);
    snprintf(path, sizeof(path), "%s/disk1.vmdk", fuzz_dir());
    if (access(path, F_OK) && (f = fopen(path, "we")))
        fclose(f);
    snprintf(path, sizeof(path), "%s/fuzz%s", fuzz_dir(), suffix);
    f = fopen(path, "we");
    if (!f || fwrite(data, 1, n, f) != n)
        abort();
    fclose(f);
    desc_init(&d);
    if (!package_open(path, &o, &d, &notes, &e)) {
        if (desc_json(&d, &notes, &json))
            abort();
    } else if (!e.text[0]) {
        abort(); /* every refusal says why */
    }
    buf_fini(&json);
    notes_fini(&notes);
    desc_fini(&d);
    return 0;
}

static inline void fuzz_tar_sum(uint8_t *header)
{
    unsigned sum = 0;

    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum & 0777777);
}

/* Headers at whole blocks that say "ustar" get their sum, or nothing would come further. */
static inline void fuzz_tar_sums(uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512)
        if (!memcmp(p + at + 257, "ustar", 5))
            fuzz_tar_sum(p + at);
}

/* The same as the only member of a tar. */
static inline int fuzz_in_tar(const char *name, const uint8_t *data, size_t n, const char *suffix)
{
    u8 *tar = calloc(1, n + 4 * 512);

    if (!tar)
        return 0;
    memcpy(tar, name, strlen(name));
    snprintf((char *)tar + 124, 24, "%011zo%c%011o", n, 0, 0);
    tar[156] = '0';
    memcpy(tar + 257, "ustar\00000", 8);
    fuzz_tar_sum(tar);
    memcpy(tar + 512, data, n);
    fuzz_package(tar, 512 + (n + 1535) / 512 * 512, suffix);
    free(tar);
    return 0;
}

/* What can be read can be written, and what was written can be read: by this format. */
static inline int fuzz_round(const uint8_t *data, size_t n, const char *suffix, const char *format)
{
    struct package_options o = { .format = format, .no_disks = true };
    char from[100], to[100];
    struct err e = { 0 };
    struct desc d;

    fuzz_package(data, n, suffix);
    snprintf(from, sizeof(from), "%s/fuzz%s", fuzz_dir(), suffix);
    snprintf(to, sizeof(to), "%s/again%s", fuzz_dir(), suffix);
    unlink(to);
    desc_init(&d);
    if (!package_open(from, &o, &d, NULL, &e) && !package_write(to, &o, &d, NULL, &e)) {
        desc_fini(&d);
        desc_init(&d);
        if (package_open(to, &o, &d, NULL, &e)) {
            fprintf(stderr, "cannot be read again: %s\n", e.text);
            abort();
        }
    }
    desc_fini(&d);
    return 0;
}
#endif
