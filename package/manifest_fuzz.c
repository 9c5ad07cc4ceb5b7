/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile manifest beside a descriptor that is in order. */
#include "package/fuzz.h"
#include "package/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct package_options o = { .verify = true };
    char path[100], main[100];
    struct source_file mf = { .name = "m.mf", .path = path, .size = n };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct source s;
    FILE *f;

    snprintf(main, sizeof(main), "%s/m.ovf", fuzz_dir());
    snprintf(path, sizeof(path), "%s/m.mf", fuzz_dir());
    if (access(main, F_OK) && (f = fopen(main, "we")))
        fclose(f);
    f = fopen(path, "we");
    if (!f || fwrite(data, 1, n, f) != n)
        abort();
    fclose(f);
    if (source_open(&s, main, &e))
        abort();
    if (manifest_verify(&s, &mf, &o, &notes, &e) && !e.text[0])
        abort(); /* every refusal says why */
    source_close(&s);
    notes_fini(&notes);
    return 0;
}
