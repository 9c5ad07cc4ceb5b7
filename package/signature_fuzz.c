/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile .cert file: its line, its certificates, the chain they make. */
#include "package/fuzz.h"
#include "package/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[100], cert[100];
    struct source_file mf = { .name = "m.mf", .path = path, .size = 1 };
    struct source_file c = { .name = "m.cert", .path = cert, .size = n };
    struct err e = { 0 };
    struct signature g;
    FILE *f;

    snprintf(path, sizeof(path), "%s/m.mf", fuzz_dir());
    snprintf(cert, sizeof(cert), "%s/m.cert", fuzz_dir());
    if (access(path, F_OK) && (f = fopen(path, "we"))) {
        fputc('x', f);
        fclose(f);
    }
    f = fopen(cert, "we");
    if (!f || fwrite(data, 1, n, f) != n)
        abort();
    fclose(f);
    if (signature_verify(&mf, &c, "/dev/null", &g, &e) && !e.text[0])
        abort();
    return 0;
}
