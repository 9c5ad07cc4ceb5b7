/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes as a box and as a Vagrantfile. */
#include "package/fuzz.h"
#include "package/vagrant_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct vagrant_words w;
    char *text = malloc(n + 1);

    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    vagrant_words(text, &w);
    free(text);
    fuzz_in_tar("metadata.json", data, n, ".box");
    return fuzz_package(data, n, ".box");
}
