/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's half of QEMU's guest agent against lines of text. */
#include "backend/qga_int.h"
#include "tests/check.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct agent *agent;
static struct qga *qga;
static char line[400000];
static int done_r, dones;
static u32 done_status, left, nout;
static char done_text[240], out[400000];

/* What the host said last; its whole lines */
static const char *heard(void)
{
    ssize_t n = read(qga->far, line, sizeof(line) - 1);

    line[n > 0 ? n : 0] = 0;
    return line;
}

static void say(const char *text)
{
    qga_hear(qga, (const u8 *)text, (u32)strlen(text));
}

static void begin(void)
{
    struct err e = { 0 };

    CHECK_EQ(loop_new(&loop, &e), 0);
    CHECK_EQ(agent_new(&agent, loop, &e), 0);
    CHECK_EQ(qga_new(&qga, agent, &e), 0);
    dones = 0;
    nout = 0;
    CHECK(strstr(heard(), "guest-sync-delimited") && (u8)line[0] == 0xff);
    say("what was half said \xff{\"return\": 1}\n");
    CHECK(strstr(heard(), "guest-info"));
    say("{\"return\":{\"version\":\"7.2\",\"supported_commands\":["
        "{\"name\":\"guest-exec\",\"enabled\":true},{\"name\":\"guest-file-read\",\"enabled\":true}"
        ","
        "{\"name\":\"guest-file-write\",\"enabled\":true},{\"name\":\"guest-shutdown\",\"enabled\":"
        "false}]}}\n");
    CHECK_EQ(agent_can(agent), 1 << AGENT_EXEC | 1 << AGENT_PUT | 1 << AGENT_GET);
}

static void end(void)
{
    qga_free(qga);
    agent_free(agent);
    loop_free(loop);
}

static void told(void)
{
    CHECK(strstr(heard(), "guest-info"));
    say("{\"return\":{\"version\":\"7.2\"}}\n");
    CHECK(strstr(heard(), "guest-get-osinfo"));
    say("{\"return\":{\"id\":\"debian\",\"pretty-name\":\"Debian\",\"kernel-release\":\"6.1\"}}\n");
    CHECK(strstr(heard(), "guest-get-host-name"));
    say("{\"return\":{\"host-name\":\"demo\"}}\n");
    CHECK(strstr(heard(), "guest-network-get-interfaces"));
    say("{\"return\":[{\"name\":\"lo\"},{\"name\":\"eth0\",\"hardware-address\":\"00:01\","
        "\"ip-addresses\":[{\"ip-address\":\"10.0.2.15\",\"prefix\":24},7]},3]}\n");
    CHECK(strstr(heard(), "guest-get-fsinfo"));
    say("{\"return\":[{\"mountpoint\":\"/"
        "\",\"type\":\"ext4\",\"total-bytes\":9,\"used-bytes\":4}]}\n");
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

static int take(void *arg, u8 *p, u32 room)
{
    u32 n = (u32)min_u64(min_u64(left, room), 50000);

    memset(p, 'x', n);
    left -= n;
    return (int)n;
}

static void ask(enum agent_verb verb)
{
    static const char *const argv[] = { "echo", "hi", NULL };
    struct agent_ask a = {
        .verb = verb, .path = "/f", .argv = argv, .take = take, .give = give, .done = done
    };
    struct err e = { 0 };

    CHECK_EQ(agent_start(agent, &a, NULL, &e), 0);
}

static void tells_of_the_guest(void)
{
    struct agent_info i;

    begin();
    told();
    agent_info(agent, &i);
    CHECK_TEXT(i.host, "demo");
    CHECK_TEXT(i.os_name, "Debian");
    CHECK_EQ(i.nnics, 2);
    CHECK_TEXT(i.nic[0].address[0].text, "10.0.2.15");
    CHECK_EQ(i.disk[0].free, 5);
    end();
}

static void runs_a_program(void)
{
    begin();
    told();
    left = 3;
    ask(AGENT_EXEC);
    CHECK(strstr(heard(), "\"input-data\":\"eHh4\"") && strstr(line, "[\"hi\"]"));
    say("{\"return\":{\"pid\":77}}\n");
    qga_jobs_tick(qga);
    CHECK(strstr(heard(), "guest-exec-status") && strstr(line, "77"));
    say("{\"return\":{\"exited\":true,\"exitcode\":4,\"out-data\":\"aGkK\",\"err-data\":\"Kg==\"}}"
        "\n");
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, 0);
    CHECK_EQ(done_status, 4);
    CHECK_EQ(nout, 4);
    CHECK(!memcmp(out, "hi\n*", 4));
    ask(AGENT_EXEC);
    heard();
    say("{\"error\":{\"class\":\"GenericError\",\"desc\":\"no such program\"}}\n");
    CHECK_EQ(done_r, (u64)-EIO);
    CHECK_TEXT(done_text, "no such program");
    end();
}

static void moves_files(void)
{
    begin();
    told();
    left = 80000; /* two pieces */
    ask(AGENT_PUT);
    CHECK(strstr(heard(), "\"mode\":\"wb\""));
    say("{\"return\":1000}\n");
    CHECK(strstr(heard(), "guest-file-write"));
    say("{\"return\":{\"count\":50000,\"eof\":false}}\n");
    CHECK(strstr(heard(), "guest-file-write"));
    say("{\"return\":{\"count\":30000,\"eof\":false}}\n");
    CHECK(strstr(heard(), "guest-file-close"));
    say("{\"return\":{}}\n");
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, 0);
    ask(AGENT_GET);
    heard();
    say("{\"return\":1001}\n");
    heard();
    say("{\"return\":{\"count\":3,\"buf-b64\":\"not base64!!\",\"eof\":false}}\n");
    CHECK(strstr(heard(), "guest-file-close"));
    say("{\"return\":{}}\n");
    CHECK_EQ(dones, 2);
    CHECK(done_r < 0);
    end();
}

static void nonsense(void)
{
    begin();
    say("{\"return\":\n[]\n{}\n{\"return\":{}}\nnull\n\n");
    ask(AGENT_EXEC);
    end();
    CHECK_EQ(dones, 1);
    CHECK_EQ(done_r, (u64)-ECANCELED);
}

int main(void)
{
    CASE(tells_of_the_guest);
    CASE(runs_a_program);
    CASE(moves_files);
    CASE(nonsense);
    return check_end();
}
