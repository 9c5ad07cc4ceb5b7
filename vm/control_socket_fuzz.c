/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hostile lines on the control socket. */
#include "vm/control.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct control_request r;
    struct err e = { 0 };

    if (control_parse(&r, (const char *)data, n, &e)) {
        if (!e.text[0] || r.args)
            abort(); /* every refusal says why, and keeps nothing */
        return 0;
    }
    if (!r.call[0] || !json_is_object(r.args))
        abort();
    json_decref(r.args);
    return 0;
}
