/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wishes that are one command to the guest's tools: power, clock, screen; and freezing, which is
 * the snapshot protocol of their vmbackup plugin: start, the guest says that it stands, done.
 */
#include "backend/vmtools_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "ok state": what the tools did about a change of power */
static void power_said(struct task *k, enum vmtools_event event, const char *text)
{
    int ok, state;

    if (event != EVENT_STATE || sscanf(text, "%d %d", &ok, &state) != 2)
        return;
    task_done(k, ok ? 0 : -EIO, 0, ok ? NULL : "the scripts of the guest's tools failed");
}

static void power_answer(struct task *k, bool ok, const u8 *p, u32 n)
{
    (void)p;
    (void)n;
    if (!ok)
        task_done(k, -EIO, 0, "the guest's tools refused");
}

static void plain_answer(struct task *k, bool ok, const u8 *p, u32 n)
{
    char text[200];

    snprintf(text, sizeof(text), "the guest's tools refused: %.*s", (int)min_u64(n, 150),
             p ? (const char *)p : "");
    task_done(k, ok ? 0 : -EIO, 0, ok ? NULL : text);
}

/* ---- freeze and thaw ---- */

static bool freeze_is(const char *text, const char *event)
{
    size_t n = strlen(event);

    return !strncmp(text, event, n) && (!text[n] || text[n] == ' ');
}

static void freeze_said(struct task *k, enum vmtools_event event, const char *text)
{
    bool thaw = k->ask->verb == AGENT_THAW;
    struct agent_info *i;
    char why[300];

    if (event != EVENT_BACKUP)
        return;
    if (freeze_is(text, thaw ? "req.done" : "prov.snapshotCommit")) {
        i = agent_info_lock(k->tools->port);
        i->frozen = !thaw;
        agent_info_unlock(k->tools->port);
        task_done(k, 0, 0, NULL);
    } else if (freeze_is(text, "req.aborted") || freeze_is(text, "req.error")) {
        i = agent_info_lock(k->tools->port);
        i->frozen = false;
        agent_info_unlock(k->tools->port);
        snprintf(why, sizeof(why), "the guest could not be frozen: %.200s", text);
        task_done(k, -EIO, 0, why);
    }
}

void vmtools_simple(struct task *k)
{
    static const char *const words[AGENT_VERBS] = {
        [AGENT_POWEROFF] = "OS_Halt",        [AGENT_REBOOT] = "OS_Reboot",
        [AGENT_SUSPEND] = "OS_Suspend",      [AGENT_RESUME] = "OS_Resume",
        [AGENT_FREEZE] = "vmbackup.start 0", [AGENT_THAW] = "vmbackup.snapshotDone",
        [AGENT_TIME] = "Time_Synchronize 1",
    };
    char screen[64];
    const char *word = words[k->ask->verb];

    switch (k->ask->verb) {
    case AGENT_FREEZE:
    case AGENT_THAW:
        k->said = freeze_said;
        k->answer = power_answer;
        break;
    case AGENT_TIME:
    case AGENT_SCREEN:
        k->answer = plain_answer;
        break;
    default:
        k->said = power_said;
        k->answer = power_answer;
    }
    if (k->ask->verb == AGENT_SCREEN) {
        snprintf(screen, sizeof(screen), "Resolution_Set %u %u", k->ask->width, k->ask->height);
        word = screen;
    }
    if (vmtools_push_text(k->tools, k->id, word))
        task_done(k, -ENOTCONN, 0, "the guest's tools are gone");
}
