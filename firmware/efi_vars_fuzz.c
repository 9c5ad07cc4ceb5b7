/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A package's file of variables that is anything; also as the store that is written to. */
#include "firmware/efi_vars.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static void nothing(void *arg, const struct efi_var *v)
{
    *(u8 *)arg ^= v->len ? v->data[v->len - 1] : v->name[v->name_len - 1];
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    static const u8 name[] = { 'A', 0, 0, 0 };
    struct efi_var v = { .name = name, .name_len = sizeof(name), .data = name, .len = 3 };
    u8 *store = malloc(n ? n : 1), sum = 0;
    struct span from = { p, n };

    if (!store)
        return 0;
    memcpy(store, p, n);
    efi_each(from, nothing, &sum);
    efi_import(store, (u32)n, from, n & 1);
    efi_put(store, (u32)n, &v);
    efi_each((struct span){ store, n }, nothing, &sum);
    free(store);
    return 0;
}
