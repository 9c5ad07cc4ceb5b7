/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: lines, refusals, bounds, names; no VM behind it. */
#include "base/loop.h"
#include "tests/check.h"
#include "vm/control.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct loop *l;
static struct control *server;
static char dir[64];
static struct err e;

static void start(void)
{
    memset(&e, 0, sizeof(e));
    snprintf(dir, sizeof(dir), "/tmp/control_socket.XXXXXX");
    CHECK(mkdtemp(dir));
    CHECK_EQ(loop_new(&l, &e), 0);
    CHECK_EQ(control_open(&server, NULL, dir, "we b/1", l, &e), 0);
}

static void stop(void)
{
    control_close(server);
    loop_free(l);
    CHECK_EQ(rmdir(dir), 0); /* nothing is left in it */
}

static int plug(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", control_path(server));
    CHECK_EQ(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    loop_once(l);
    return fd;
}

/* What comes back for a line; NULL: hung up. */
static json_t *ask(int fd, const char *line)
{
    char b[4096];
    ssize_t n;

    CHECK_EQ(send(fd, line, strlen(line), MSG_NOSIGNAL), (long long)strlen(line));
    loop_once(l);
    n = recv(fd, b, sizeof(b), MSG_DONTWAIT);
    return n > 0 ? json_loadb(b, (size_t)n, 0, NULL) : NULL;
}

static const char *code(const json_t *o)
{
    const char *s = json_string_value(json_object_get(json_object_get(o, "error"), "code"));

    return s ? s : "";
}

static void its_owner_only(void)
{
    struct stat st;

    start();
    CHECK_EQ(stat(control_path(server), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK(strstr(control_path(server), "/we_b_1-"));
    stop();
}

static void a_directory_of_others_is_refused(void)
{
    struct control *c;

    start();
    chmod(dir, 0777);
    CHECK_EQ(control_open(&c, NULL, dir, "x", l, &e), -EPERM);
    stop();
}

static void nonsense_is_answered(void)
{
    json_t *o;
    int fd;

    start();
    fd = plug();
    o = ask(fd, "hello\n");
    CHECK_TEXT(code(o), "EBADMSG");
    json_decref(o);
    o = ask(fd, "{\"id\":9,\"call\":\"fly\"}\n");
    CHECK_TEXT(code(o), "ENOSYS");
    CHECK_EQ(json_integer_value(json_object_get(o, "id")), 9);
    json_decref(o);
    o = ask(fd, "{\"id\":\"x\",\"call\":\"status\"}\n");
    CHECK_TEXT(code(o), "EBADMSG");
    json_decref(o);
    o = ask(fd, "\n\n{\"call\":\"fly\"}\n"); /* empty lines are none */
    CHECK_TEXT(code(o), "ENOSYS");
    json_decref(o);
    close(fd);
    loop_once(l);
    stop();
}

static void a_line_in_pieces(void)
{
    json_t *o;
    int fd;

    start();
    fd = plug();
    CHECK(!ask(fd, "{\"call\""));
    o = ask(fd, ":\"fly\"}\n");
    CHECK_TEXT(code(o), "ENOSYS");
    json_decref(o);
    close(fd);
    stop();
}

static void a_line_without_end_is_hung_up_on(void)
{
    char much[8192], b[4096];
    ssize_t n = 1;
    int fd;

    start();
    fd = plug();
    memset(much, 'x', sizeof(much));
    for (int i = 0; i < 20; i++) {
        send(fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (i < 7)
            loop_once(l);
    }
    loop_once(l);
    while (n > 0)
        n = recv(fd, b, sizeof(b), 0);
    CHECK(n <= 0);
    close(fd);
    stop();
}

static void too_many_are_refused(void)
{
    int fds[40];
    char b[8];

    start();
    for (u32 i = 0; i < LEN(fds); i++)
        fds[i] = plug();
    CHECK_EQ(recv(fds[0], b, sizeof(b), MSG_DONTWAIT), -1);
    CHECK_EQ(recv(fds[39], b, sizeof(b), MSG_DONTWAIT), 0); /* hung up */
    for (u32 i = 0; i < LEN(fds); i++)
        close(fds[i]);
    stop();
}

static void requests_are_parsed(void)
{
    static const char *const bad[] = { "",
                                       "[]",
                                       "{}",
                                       "{\"call\":7}",
                                       "{\"call\":\"a\",\"args\":[]}",
                                       "{\"call\":\"a\",\"call\":\"b\"}",
                                       "{\"call\":\"0123456789012345678901234567890123456789\"}" };
    static const char good[] = "{\"call\":\"save\",\"id\":-3,\"args\":{\"file\":\"x\"}}";
    struct control_request r;

    for (u32 i = 0; i < LEN(bad); i++) {
        memset(&e, 0, sizeof(e));
        CHECK_EQ(control_parse(&r, bad[i], strlen(bad[i]), &e), -EBADMSG);
        CHECK(e.text[0]);
    }
    CHECK_EQ(control_parse(&r, good, strlen(good), &e), 0);
    CHECK_TEXT(r.call, "save");
    CHECK_EQ(r.id, -3);
    CHECK_TEXT(json_string_value(json_object_get(r.args, "file")), "x");
    json_decref(r.args);
}

static void every_verb_has_its_name(void)
{
    for (u32 i = 0; control_tables[i]; i++)
        for (const struct control_verb *v = control_tables[i]; v->name; v++) {
            CHECK(strlen(v->name) < 32 && v->about && v->run);
            for (u32 k = 0; control_tables[k]; k++)
                for (const struct control_verb *w = control_tables[k]; w->name; w++)
                    CHECK(w == v || strcmp(v->name, w->name));
        }
}

int main(void)
{
    check_case("only its owner reaches it", its_owner_only);
    check_case("a directory that others write to is refused", a_directory_of_others_is_refused);
    check_case("nonsense is answered", nonsense_is_answered);
    check_case("a line in pieces", a_line_in_pieces);
    check_case("a line without end is hung up on", a_line_without_end_is_hung_up_on);
    check_case("too many peers are refused", too_many_are_refused);
    check_case("requests are parsed", requests_are_parsed);
    check_case("every verb has a name of its own", every_verb_has_its_name);
    return check_end();
}
