/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kinds and quantities of Kubernetes, as KubeVirt's API uses them. */
#include "package/kubevirt_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kube_kind *kube_kind(const char *kind)
{
    static const struct kube_kind kinds[] = {
        { "VirtualMachine", { "spec", "template", "spec" }, "spec/template/spec" },
        { "VirtualMachineInstance", { "spec" }, "spec" },
        { "VirtualMachineInstanceReplicaSet",
          { "spec", "template", "spec" },
          "spec/template/spec" },
        { "VirtualMachinePool",
          { "spec", "virtualMachineTemplate", "spec", "template", "spec" },
          "spec/virtualMachineTemplate/spec/template/spec" },
        { "VirtualMachineInstancePreset", { "spec" }, "spec" },
    };

    for (size_t i = 0; i < LEN(kinds); i++)
        if (!strcmp(kinds[i].kind, kind))
            return &kinds[i];
    return NULL;
}

bool kube_quantity(const char *text, u64 *v)
{
    static const char decimal[] = "kMGTPE", binary[] = "KMGTPE";
    const char *at;
    double n;
    char *end;

    errno = 0;
    n = strtod(text, &end);
    if (!isdigit((u8)*text) || errno || n < 0)
        return false;
    if (*end && end[1] == 'i' && !end[2] && (at = strchr(binary, *end))) {
        for (const char *u = binary; u <= at; u++)
            n *= 1024;
    } else if (*end == 'm' && !end[1]) {
        n = n / 1000 > (double)(u64)(n / 1000) ? n / 1000 + 1 : n / 1000;
    } else if (*end && !end[1] && (at = strchr(decimal, *end))) {
        for (const char *u = decimal; u <= at; u++)
            n *= 1000;
    } else if (*end) {
        return false;
    }
    if (n >= 9.2e18)
        return false;
    *v = (u64)n;
    return true;
}

void kube_print_quantity(u64 v, char text[32])
{
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    unsigned u = 0;

    while (v && !(v & 1023) && u < LEN(units) - 1) {
        v >>= 10;
        u++;
    }
    snprintf(text, 32, "%llu%s", (unsigned long long)v, units[u]);
}
