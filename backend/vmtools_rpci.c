/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RPCI: what the guest's tools ask the host, as a table of words.  An answer is "1 " or "0 " and
 * what there is to say.  After open-vm-tools' plugins and programs, which are who asks.
 */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct rpci {
    struct vmtools *t;
    const char *p; /* what follows the word; ends with 0 */
    u32 n;
    u8 *to;
    u32 len;
};

static void rpci_answer(struct rpci *r, bool ok, const void *p, size_t n)
{
    n = min_u64(n, VMTOOLS_MESSAGE - 2);
    memcpy(r->to, ok ? "1 " : "0 ", 2);
    memcpy(r->to + 2, p, n);
    r->len = (u32)n + 2;
}

static void rpci_text(struct rpci *r, bool ok, const char *text)
{
    rpci_answer(r, ok, text, strlen(text));
}

static void rpci_yes(struct rpci *r)
{
    rpci_text(r, true, "");
}

/* ---- variables ---- */

static void rpci_info_get(struct rpci *r)
{
    const char *value = NULL;

    if (!strncmp(r->p, "guestinfo.", 10))
        value = guestinfo_get(r->t, r->p + 10);
    if (value)
        rpci_text(r, true, value);
    else
        rpci_text(r, false, "No value found");
}

static void rpci_info_set(struct rpci *r)
{
    const char *space = strchr(r->p, ' ');
    char key[GUESTINFO_KEY];
    size_t n = space ? (size_t)(space - r->p) : strlen(r->p);

    if (strncmp(r->p, "guestinfo.", 10) || n <= 10 || n - 10 >= sizeof(key)) {
        rpci_text(r, false, "Key is not one of guestinfo");
        return;
    }
    snprintf(key, sizeof(key), "%.*s", (int)(n - 10), r->p + 10);
    if (guestinfo_set(r->t, key, space ? space + 1 : NULL, true))
        rpci_text(r, false, "Permission denied");
    else
        rpci_yes(r);
}

/* ---- what the tools tell ---- */

static void rpci_guest_info(struct rpci *r)
{
    char *end;
    unsigned long type = strtoul(r->p, &end, 10);
    const char *value = *end ? end + 1 : end;

    vmtools_info(r->t, (u32)type, (const u8 *)value, r->n - (u32)(value - r->p));
    rpci_yes(r);
}

static void rpci_disk_info(struct rpci *r)
{
    vmtools_info_disks(r->t, (const u8 *)r->p, r->n);
    rpci_yes(r);
}

static void rpci_capability(struct rpci *r)
{
    if (!strncmp(r->p, "statechange", 11)) /* it is said without a number */
        r->t->can_state = true;
    else if (!strncmp(r->p, "resolution_set ", 15))
        r->t->can_screen = r->p[15] == '1';
    vmtools_capable(r->t);
    rpci_yes(r);
}

static void rpci_version(struct rpci *r)
{
    unsigned long v = strtoul(*r->p == ' ' ? r->p + 1 : r->p, NULL, 10);
    struct agent_info *i = agent_info_lock(r->t->port);

    snprintf(i->version, sizeof(i->version), "%lu.%lu.%lu", v >> 10, v >> 5 & 31, v & 31);
    agent_info_unlock(r->t->port);
    rpci_yes(r);
}

static void rpci_state_change(struct rpci *r)
{
    vmtools_say(r->t, EVENT_STATE, (const u8 *)r->p, r->n);
    rpci_yes(r);
}

static void rpci_backup(struct rpci *r)
{
    vmtools_say(r->t, EVENT_BACKUP, (const u8 *)r->p, r->n);
    rpci_yes(r);
}

static void rpci_program_done(struct rpci *r)
{
    vmtools_say(r->t, EVENT_PROGRAM, (const u8 *)r->p, r->n);
    rpci_yes(r);
}

/* "synctime 0 1": the option, what it was, what it shall be */
static void rpci_set_option(struct rpci *r)
{
    char name[64], command[96];
    int was, is;

    if (sscanf(r->p, "%63s %d %d", name, &was, &is) != 3 || strcmp(name, "synctime")) {
        rpci_text(r, false, "Unknown option");
        return;
    }
    vmtools_options_set(r->t, is ? VMTOOLS_SYNC_TIME : 0);
    snprintf(command, sizeof(command), "Set_Option synctime %d", is ? 1 : 0);
    for (u32 i = 0; i < VMTOOLS_SESSIONS; i++)
        if (r->t->session[i].main)
            vmtools_push_session(r->t, i, 0, command, (u32)strlen(command));
    rpci_yes(r);
}

/* ---- what the VM may use: "vmware-toolbox-cmd stat" ---- */

struct guestlib {
    u8 b[1024];
    u32 n;
};

static void guestlib_u32(struct guestlib *g, bool valid, u32 value)
{
    put_le32(g->b + g->n, valid);
    put_le32(g->b + g->n + 4, value);
    g->n += 8;
}

static void guestlib_u64(struct guestlib *g, u64 value)
{
    put_le32(g->b + g->n, 1);
    put_le64(g->b + g->n + 4, value);
    g->n += 12;
}

/* Version 2 of the library's data: a plain struct of pairs, whether and how much. */
static void rpci_guestlib(struct rpci *r)
{
    struct vmtools *t = r->t;
    struct guestlib g = { .n = 12 };
    u64 session = (u64)(uintptr_t)t; /* another one after each start */
    struct timespec now, cpu;
    static const char path[] = "/";

    if (atoi(r->p) != 2) {
        rpci_text(r, false, "Unsupported version");
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    put_le32(g.b, 2);
    put_le64(g.b + 4, session);
    guestlib_u32(&g, true, 0);                                             /* CPU: reserved, MHz */
    guestlib_u32(&g, true, ~0u);                                           /* limit: none */
    guestlib_u32(&g, true, 1000);                                          /* shares */
    guestlib_u64(&g, (u64)cpu.tv_sec * 1000 + (u64)cpu.tv_nsec / 1000000); /* used, ms */
    guestlib_u32(&g, true, (u32)t->cpu_mhz);                               /* the host's */
    guestlib_u32(&g, true, 0);                                          /* memory: reserved, MiB */
    guestlib_u32(&g, true, ~0u);                                        /* limit: none */
    guestlib_u32(&g, true, (u32)t->memory_mib * 10);                    /* shares */
    guestlib_u32(&g, true, (u32)t->memory_mib);                         /* mapped */
    guestlib_u32(&g, true, (u32)t->memory_mib);                         /* active */
    guestlib_u32(&g, true, 0);                                          /* overhead */
    guestlib_u32(&g, true, (u32)(atomic_load(&t->balloon_pages) >> 8)); /* in the balloon */
    guestlib_u32(&g, true, 0);                                          /* swapped */
    guestlib_u32(&g, true, 0);                                          /* shared */
    guestlib_u32(&g, true, 0);                                          /* saved by that */
    guestlib_u32(&g, true, (u32)t->memory_mib);                         /* used */
    guestlib_u64(&g, (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000);
    g.b[g.n] = 1;
    memcpy(g.b + g.n + 1, path, sizeof(path));
    rpci_answer(r, true, g.b, g.n + 1 + 512);
}

static void rpci_not_upgradable(struct rpci *r)
{
    rpci_text(r, true, "0");
}

static void rpci_never(struct rpci *r)
{
    rpci_text(r, false, "Not supported by this host");
}

static const struct {
    const char *word;
    bool begins; /* what follows belongs to the word's own argument, without a blank */
    void (*fn)(struct rpci *r);
} rpci_words[] = {
    { "info-get", false, rpci_info_get },
    { "info-set", false, rpci_info_set },
    { "log", false, rpci_yes },
    { "SetGuestInfo", false, rpci_guest_info },
    { "SetGuestDiskInfo", false, rpci_disk_info },
    { "tools.capability.", true, rpci_capability },
    { "tools.set.version", false, rpci_version },
    { "tools.set.versiontype", false, rpci_version },
    { "tools.os.statechange.status", false, rpci_state_change },
    { "vmbackup.eventSet", false, rpci_backup },
    { "Run_Program_Done", false, rpci_program_done },
    { "vmx.set_option", false, rpci_set_option },
    { "vmx.capability.unified_loop", false, rpci_yes },
    { "vmx.capability.tools_is_upgradable", false, rpci_not_upgradable },
    { "vmx.capability.edit_scripts", false, rpci_yes },
    { "guestlib.info.get", false, rpci_guestlib },
    { "update.tools.health", false, rpci_yes },
    { "toolinstall.", true, rpci_yes },
    { "deployPkg.update.state", false, rpci_yes },
    { "guest.vmsupport", true, rpci_yes },
    { "tools.vmsupport.status", false, rpci_yes },
    { "vmxnet3.", true, rpci_yes },
    { "disk.wiper.enable", false, rpci_never },
    { "disk.shrink", false, rpci_never },
};

static void rpci_run(struct rpci *r, char *text, u32 n)
{
    for (u32 i = 0; i < LEN(rpci_words); i++) {
        u32 w = (u32)strlen(rpci_words[i].word);

        if (n < w || memcmp(text, rpci_words[i].word, w))
            continue;
        if (!rpci_words[i].begins && text[w] && text[w] != ' ')
            continue;
        r->p = text + w;
        while (!rpci_words[i].begins && *r->p == ' ')
            r->p++;
        r->n = n - (u32)(r->p - text);
        rpci_words[i].fn(r);
        return;
    }
    rpci_text(r, false, "Unknown command");
}

u32 vmtools_rpci(struct vmtools *t, const u8 *p, u32 n, u8 to[VMTOOLS_MESSAGE])
{
    struct rpci r = { .t = t, .to = to };
    char *text = malloc((size_t)n + 1);

    if (!text) {
        rpci_text(&r, false, "Out of memory");
        return r.len;
    }
    memcpy(text, p, n);
    text[n] = 0;
    pthread_mutex_lock(&t->lock);
    rpci_run(&r, text, n);
    pthread_mutex_unlock(&t->lock);
    free(text);
    return r.len;
}
