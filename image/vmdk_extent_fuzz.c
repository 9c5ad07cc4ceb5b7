/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A good descriptor over a hostile extent: seSparse, COWD or sparse, by the first byte. */
#include "image/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const types[] = { "SESPARSE", "VMFSSPARSE", "SPARSE" };
    static char dir[] = "/dev/shm/mimic-extent-fuzz-XXXXXX";
    static bool made;
    struct image_open how = { .flags = 0 };
    char text[256], disk[64], extent[64];
    struct image *im;
    struct err e = { 0 };
    FILE *f;

    if (n < 2 || (!made && !mkdtemp(dir)))
        return 0;
    made = true;
    log_level_set(LOG_ERROR);
    snprintf(disk, sizeof(disk), "%s/d.vmdk", dir);
    snprintf(extent, sizeof(extent), "%s/e.vmdk", dir);
    snprintf(text, sizeof(text),
             "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\nRW %u %s \"e.vmdk\"\n",
             data[1] * 300u + 1, types[data[0] % 3]);
    f = fopen(disk, "we");
    if (!f || fputs(text, f) < 0 || fclose(f))
        abort();
    f = fopen(extent, "we");
    if (!f || fwrite(data + 2, 1, n - 2, f) != n - 2 || fclose(f))
        abort();
    how.path = disk;
    if (!image_open(&im, &how, &e)) {
        fuzz_use(im);
        image_close(im, NULL);
    } else if (!e.text[0]) {
        abort();
    }
    return 0;
}
