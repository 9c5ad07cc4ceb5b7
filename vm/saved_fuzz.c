/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile file of a saved VM: whatever is in it, opening and loading end with an error that
 * names it, or well.  The sums of head and index are set right, so that the fuzzer gets past.
 */
#include "base/bytes.h"
#include "vm/saved_int.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

enum { FUZZ_PAGES = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static u8 *ram;
    static int fd = -1;
    char path[64];
    u8 head[SAVED_HEAD] = { 0 };
    struct err e = { 0 };
    struct saved *s;
    u64 at, len;

    if (fd < 0) {
        fd = memfd_create("saved", MFD_CLOEXEC);
        ram = aligned_alloc(SAVED_PAGE, FUZZ_PAGES * SAVED_PAGE);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    if (n >= SAVED_PAGE) {
        memcpy(head, data, sizeof(head));
        memcpy(head, SAVED_MAGIC, 8);
        put_le32(head + 8, SAVED_VERSION);
        put_le64(head + 16, n);
        at = le64(head + 24);
        len = le64(head + 32);
        if (range_ok(at, len, n))
            put_le64(head + 40, XXH3_64bits(data + at, len));
        put_le64(head + 56, XXH3_64bits(head, 56));
        if (pwrite(fd, head, sizeof(head), 0) != sizeof(head))
            abort();
    }
    if (saved_open(&s, path, &e)) {
        if (!e.text[0])
            abort();
        return 0;
    }
    if (saved_load(s, "ram", ram, FUZZ_PAGES * SAVED_PAGE, NULL, &e) && !e.text[0])
        abort();
    if (saved_check(s, &e) && !e.text[0])
        abort();
    saved_close(s);
    return 0;
}
