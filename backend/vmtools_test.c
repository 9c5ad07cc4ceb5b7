/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host half of GuestRPC against a guest made of messages. */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct agent *agent;
static struct vmtools *tools;
static u8 got[VMTOOLS_MESSAGE + 1];
static char answer[VMTOOLS_MESSAGE + 1];
static int done_r, dones;
static char done_text[240], out[400000];
static u32 done_status, nout;

static void begin(const char *file)
{
    struct vmtools_make make = { .cpu_mhz = 2000, .memory_mib = 512, .state = file };
    struct err e = { 0 };

    CHECK_EQ(loop_new(&loop, &e), 0);
    CHECK_EQ(agent_new(&agent, loop, &e), 0);
    make.agent = agent;
    CHECK_EQ(vmtools_new(&tools, &make, &e), 0);
    dones = done_r = 0;
    nout = 0;
}

static void end(void)
{
    vmtools_free(tools);
    agent_free(agent);
    loop_free(loop);
}

static void nothing(void *arg)
{
}

/* What was posted to the VM thread has run. */
static void settle(void)
{
    loop_post(loop, nothing, NULL);
    loop_once(loop);
}

static const char *rpci_bytes(const void *p, u32 n)
{
    u32 len = vmtools_rpci(tools, p, n, (u8 *)answer);

    answer[len] = 0;
    return answer;
}

static const char *rpci(const char *text)
{
    return rpci_bytes(text, (u32)strlen(text));
}

/* The next command; NULL: none */
static const char *next(void)
{
    u32 n = vmtools_tclo_next(tools, 0, got);

    got[n] = 0;
    return n ? (const char *)got : NULL;
}

static void reply_bytes(const void *p, u32 n)
{
    vmtools_tclo_answer(tools, 0, p, n);
    settle();
}

static void reply(const char *text)
{
    reply_bytes(text, (u32)strlen(text));
}

static void greet(void)
{
    vmtools_tclo_open(tools, 0);
    CHECK_TEXT(next(), "reset");
    reply("OK ATR toolbox");
    while (next())
        reply("OK ");
    CHECK_TEXT(rpci("tools.capability.statechange "), "1 ");
}

static void done(void *arg, int r, const char *text, u32 status)
{
    dones++;
    done_r = r;
    done_status = status;
    snprintf(done_text, sizeof(done_text), "%s", text);
}

static int give(void *arg, u32 stream, const u8 *p, u32 n)
{
    CHECK(nout + n <= sizeof(out));
    memcpy(out + nout, p, n);
    nout += n;
    return 0;
}

static struct agent_job *ask(enum agent_verb verb)
{
    static const char *const argv[] = { "echo", "it's", NULL };
    struct agent_ask a = { .verb = verb,
                           .user = "root",
                           .password = "secret",
                           .path = "/tmp/f",
                           .argv = argv,
                           .give = give,
                           .done = done };
    struct agent_job *job = NULL;
    struct err e = { 0 };

    CHECK_EQ(agent_start(agent, &a, &job, &e), 0);
    return job;
}

static void variables(void)
{
    char file[] = "/tmp/vmtools-test-XXXXXX", *value;

    close(mkstemp(file));
    unlink(file);
    begin(file);
    CHECK_EQ(vmtools_set(tools, "b", "of the host"), 0);
    CHECK_EQ(vmtools_tell(tools, "told", "anew each time"), 0);
    CHECK_TEXT(rpci("info-set guestinfo.a of the guest "), "1 ");
    CHECK_TEXT(rpci("info-set guestinfo.c caf\xe9"), "1 "); /* Latin-1 */
    CHECK_TEXT(rpci("info-get guestinfo.b"), "1 of the host");
    CHECK_TEXT(rpci("info-get guestinfo.told"), "1 anew each time");
    CHECK_TEXT(rpci("info-set host.a 1"), "0 Key is not one of guestinfo");
    CHECK_EQ(vmtools_set(tools, "bad key", "x"), (u64)-EINVAL);
    end();
    begin(file);
    value = vmtools_get(tools, "a");
    CHECK_TEXT(value, "of the guest ");
    free(value);
    CHECK(!vmtools_get(tools, "told"));
    CHECK_EQ(vmtools_set(tools, "a", NULL), 0);
    CHECK_TEXT(rpci("info-get guestinfo.a"), "0 No value found");
    end();
    unlink(file);
}

static void many_variables(void)
{
    char line[60100] = "";
    u32 kept = 0;

    begin(NULL);
    for (u32 i = 0; i < 40; i++) {
        int n = snprintf(line, sizeof(line), "info-set guestinfo.k%u ", i);

        memset(line + n, 'x', 60000 - (size_t)n);
        line[60000] = 0;
        kept += !strcmp(rpci(line), "1 ");
    }
    CHECK(kept >= 16 && kept < 19); /* a MiB in all */
    end();
}

static void power(void)
{
    begin(NULL);
    CHECK_EQ(agent_can(agent), 0);
    greet();
    CHECK(agent_can(agent) & 1 << AGENT_POWEROFF);
    ask(AGENT_POWEROFF);
    CHECK_TEXT(next(), "OS_Halt");
    reply("OK ");
    CHECK_EQ(dones, 0);
    rpci("tools.os.statechange.status 1 1");
    settle();
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, 0);
    ask(AGENT_REBOOT);
    CHECK_TEXT(next(), "OS_Reboot");
    reply("OK ");
    rpci("tools.os.statechange.status 0 2");
    settle();
    CHECK_EQ(done_r, (u64)-EIO);
    ask(AGENT_TIME);
    CHECK_TEXT(next(), "Time_Synchronize 1");
    reply("ERROR no");
    CHECK_TEXT(done_text, "the guest's tools refused: no");
    end();
}

static void freezing(void)
{
    struct agent_info info;

    begin(NULL);
    greet();
    ask(AGENT_FREEZE);
    CHECK_TEXT(next(), "vmbackup.start 0");
    reply("OK ");
    rpci("vmbackup.eventSet reset 0 ");
    rpci("vmbackup.eventSet req.keepAlive 0 ");
    settle();
    CHECK_EQ(dones, 0);
    rpci("vmbackup.eventSet prov.snapshotCommit 0 /");
    settle();
    CHECK_EQ(dones, 1);
    agent_info(agent, &info);
    CHECK(info.frozen);
    ask(AGENT_THAW);
    CHECK_TEXT(next(), "vmbackup.snapshotDone");
    reply("OK ");
    rpci("vmbackup.eventSet req.done 0 ");
    settle();
    CHECK_EQ(dones, 2);
    agent_info(agent, &info);
    CHECK(!info.frozen);
    end();
}

static void told_of_the_guest(void)
{
    static const u8
        nics
            [] = {
                0,   0,   0,   3,   0,   0,   0,   1,   0,   0,   0,    1, /* version 3, one card */
                0,   0,   0,   17,  '0', '0', ':', '5', '0', ':', '5',  '6',  ':',
                '0', '1', ':', '0', '2', ':', '0', '3', 0,   0,   0, /* its address */
                0,   0,   0,   2,                                    /* two of IP */
                0,   0,   0,   1,   0,   0,   0,   4,   10,  0,   2,    15,   0,
                0,   0,   24,  0,   0,   0,   0,   0,   0,   0,   1,    0,    0,
                0,   1,   0,   0,   0,   2,   0,   0,   0,   16,  0xfe, 0x80, 0,
                0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,    0,    1,
                0,   0,   0,   64,  0,   0,   0,   0,   0,   0,   0,    0, /* neither origin nor status */
                0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,    0,    0,
                0,   0,   0, /* no DNS, WINS, DHCP */
            };
    struct agent_info i;
    u8 b[1200] = "SetGuestInfo  10 ";

    begin(NULL);
    memcpy(b + 17, nics, sizeof(nics));
    CHECK_TEXT(rpci_bytes(b, 17 + sizeof(nics)), "1 ");
    for (u32 n = 0; n < sizeof(nics); n++) /* cut anywhere: what was known stays */
        CHECK_TEXT(rpci_bytes(b, 17 + n), "1 ");
    CHECK_TEXT(rpci("SetGuestInfo  1 name"), "1 ");
    CHECK_TEXT(rpci("SetGuestInfo  7 4242"), "1 ");
    CHECK_TEXT(rpci("tools.set.versiontype 12352 4"), "1 ");
    rpci("SetGuestDiskInfo {\"version\":\"1\",\"disks\":[{\"name\":\"Lw==\",\"free\":\"5\","
         "\"size\":\"9\",\"fstype\":\"ext4\"},7,{}]}");
    memset(b, 0, sizeof(b));
    memcpy(b, "SetGuestInfo  11 \1\0\0\0debian12-64", 33);
    strcpy((char *)b + 17 + 4 + 129, "Debian GNU/Linux 12");
    strcpy((char *)b + 17 + 648, "x='1' kernelVersion='6.1.0' y=''");
    rpci_bytes(b, 17 + 648 + 33);
    agent_info(agent, &i);
    CHECK_EQ(i.nnics, 1);
    CHECK_TEXT(i.nic[0].mac, "00:50:56:01:02:03");
    CHECK_EQ(i.nic[0].naddresses, 2);
    CHECK_TEXT(i.nic[0].address[0].text, "10.0.2.15");
    CHECK_EQ(i.nic[0].address[0].prefix, 24);
    CHECK_TEXT(i.nic[0].address[1].text, "fe80::1");
    CHECK_TEXT(i.host, "name");
    CHECK_EQ(i.uptime_s, 42);
    CHECK_TEXT(i.version, "12.2.0");
    CHECK_EQ(i.ndisks, 3);
    CHECK_TEXT(i.disk[0].path, "/");
    CHECK_EQ(i.disk[0].size, 9);
    CHECK_TEXT(i.os, "debian12-64");
    CHECK_TEXT(i.os_name, "Debian GNU/Linux 12");
    CHECK_TEXT(i.kernel, "6.1.0");
    end();
}

/* ---- a file server of the guest ---- */

static u8 hgfs[VMTOOLS_MESSAGE];

static u32 hgfs_op(void)
{
    return !memcmp(got, "f ", 2) ? le32(got + 6) : ~0u;
}

static void hgfs_reply(u32 status, const void *p, u32 n)
{
    memcpy(hgfs, "OK ", 3);
    put_le32(hgfs + 3, le32(got + 2));
    put_le32(hgfs + 7, status);
    memcpy(hgfs + 11, p, n);
    reply_bytes(hgfs, 11 + n);
}

static void serve_read(const char *text, u32 len)
{
    static u8 b[12 + HGFS_CHUNK];
    u64 at = le64(got + 14);
    u32 n = at < len ? (u32)min_u64(len - at, HGFS_CHUNK) : 0;

    put_le32(b, n);
    memcpy(b + 12, text + at, n);
    hgfs_reply(0, b, 12 + n);
}

/* All that is asked of files until nothing more is asked; what was written goes to out. */
static u32 serve(const char *text, u32 len)
{
    u32 n = 0;

    while (next()) {
        switch (hgfs_op()) {
        case 24:
            hgfs_reply(0, "\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
            break;
        case 25:
            serve_read(text, len);
            break;
        case 27:
        case 34:
        case 35:
            hgfs_reply(0, "\0\0\0\0\0\0\0\0", 8);
            break;
        default:
            return n;
        }
        n++;
    }
    return n;
}

static void a_file_comes(void)
{
    static char text[200000];

    for (u32 i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 1000);
    begin(NULL);
    greet();
    ask(AGENT_GET);
    CHECK(next() && !strncmp((char *)got, "Vix_1_Relayed_Command \"mimic", 28));
    reply("OK 0 0 ");
    serve(text, sizeof(text));
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, 0);
    CHECK_EQ(nout, sizeof(text));
    CHECK(!memcmp(out, text, sizeof(text)));
    ask(AGENT_GET); /* a wrong password */
    next();
    reply("OK 3050 0 ");
    CHECK_EQ(done_r, (u64)-EACCES);
    ask(AGENT_GET); /* no such file */
    next();
    reply("OK 0 0 ");
    next();
    hgfs_reply(1, "", 0);
    CHECK_EQ(done_r, (u64)-ENOENT);
    end();
}

static void a_program_runs(void)
{
    char said[80], *script;
    u64 id;

    begin(NULL);
    greet();
    ask(AGENT_EXEC);
    CHECK(next() != NULL);
    id = strtoull((char *)got + 28, NULL, 10);
    script = memmem(got, sizeof(got), "-c '", 4);
    CHECK(script && strstr(script, "echo"));
    CHECK(script && strstr(script, "it'\\''\\'\\'''\\''s")); /* quoted twice */
    reply("OK 0 0 123");
    CHECK(!next());
    snprintf(said, sizeof(said), "Run_Program_Done mimic%llu 0 0 3 123",
             (unsigned long long)id + 1);
    rpci(said);
    settle();
    CHECK(!next()); /* somebody else's */
    snprintf(said, sizeof(said), "Run_Program_Done mimic%llu 0 0 3 123", (unsigned long long)id);
    rpci(said);
    settle();
    CHECK(serve("it's\n", 5) >= 9);
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, 0);
    CHECK_EQ(done_status, 3);
    CHECK_EQ(nout, 10); /* output and errors */
    end();
}

static void they_go_away(void)
{
    struct agent_job *job;

    begin(NULL);
    greet();
    ask(AGENT_GET);
    next();
    vmtools_tclo_close(tools, 0);
    settle();
    CHECK_EQ(dones, 1);
    CHECK(done_r < 0);
    CHECK_EQ(agent_can(agent), 0);
    greet();
    job = ask(AGENT_GET);
    next();
    agent_cancel(job);
    reply("OK 0 0 "); /* nobody waits any more */
    CHECK(!next());
    ask(AGENT_GET);
    next();
    reply("OK nonsense");
    CHECK_EQ(done_r, (u64)-EPROTO);
    ask(AGENT_GET);
    end();
    CHECK_EQ(done_r, (u64)-ECANCELED);
}

static void statistics(void)
{
    begin(NULL);
    CHECK_TEXT(rpci("guestlib.info.get 3"), "0 Unsupported version");
    CHECK_EQ(vmtools_rpci(tools, (const u8 *)"guestlib.info.get 2", 19, got), 2 + 669);
    CHECK_EQ(le32(got + 2), 2);
    CHECK_TEXT(rpci("vmx.set_option synctime 0 1"), "1 ");
    CHECK_EQ(vmtools_options(tools), VMTOOLS_SYNC_TIME);
    end();
}

int main(void)
{
    CASE(variables);
    CASE(many_variables);
    CASE(power);
    CASE(freezing);
    CASE(told_of_the_guest);
    CASE(a_file_comes);
    CASE(a_program_runs);
    CASE(they_go_away);
    CASE(statistics);
    return check_end();
}
