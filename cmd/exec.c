/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mimic exec, cp: programs and files of a running guest, through its tools and with the rights
 * of one of its users.  What goes in and comes out lies in files without a name in between.
 */
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct exec_options {
    const char *user, *password_file, *directory;
    bool input;
};

#define EXEC_AT(m) offsetof(struct exec_options, m)
#define EXEC_USER                                                                                  \
    { "user", OPT_TEXT, EXEC_AT(user), "NAME", NULL, "as this user of the guest", 'u' },           \
    {                                                                                              \
        "password-file", OPT_TEXT, EXEC_AT(password_file), "FILE", NULL,                           \
            "the first line is the password; else MIMIC_GUEST_PASSWORD, else it is asked for"      \
    }
static const struct opt exec_opts[] = {
    EXEC_USER,
    { "directory", OPT_TEXT, EXEC_AT(directory), "DIR", NULL, "where in the guest it starts" },
    { "input", OPT_FLAG, EXEC_AT(input), NULL, NULL, "what is read here is its input", 'i' },
};
static const struct opt cp_opts[] = { EXEC_USER };

/* ---- the password ---- */

static int exec_ask(char *to, size_t room, struct err *e)
{
    struct termios was, quiet;
    FILE *tty = fopen("/dev/tty", "r+e");
    bool ok;

    if (!tty || tcgetattr(fileno(tty), &was)) {
        if (tty)
            fclose(tty);
        return err_set(e, -EINVAL, "the user's password: --password-file or MIMIC_GUEST_PASSWORD");
    }
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    fprintf(tty, "password in the guest: ");
    fflush(tty);
    ok = fgets(to, (int)room, tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &was);
    fprintf(tty, "\n");
    fclose(tty);
    return ok ? 0 : err_set(e, -EINVAL, "no password");
}

static int exec_password(const struct exec_options *o, char *to, size_t room, struct err *e)
{
    const char *set = getenv("MIMIC_GUEST_PASSWORD");
    int r = 0;
    FILE *f;

    if (o->password_file) {
        f = fopen(o->password_file, "re");
        if (!f || !fgets(to, (int)room, f))
            r = err_set(e, f ? -EINVAL : -errno, "%s: %s", o->password_file,
                        f ? "no password in it" : strerror(errno));
        if (f)
            fclose(f);
    } else if (set) {
        snprintf(to, room, "%s", set);
    } else {
        r = exec_ask(to, room, e);
    }
    if (!r)
        to[strcspn(to, "\r\n")] = 0;
    return r;
}

static int exec_login(const struct exec_options *o, json_t *args, struct err *e)
{
    char password[256] = "";
    int r;

    if (!o->user)
        return 0;
    r = exec_password(o, password, sizeof(password), e);
    json_object_set_new(args, "user", json_string(o->user));
    json_object_set_new(args, "password", json_string(password));
    explicit_bzero(password, sizeof(password));
    return r;
}

/* ---- bytes ---- */

static int exec_copy(int from, int to, struct err *e)
{
    static u8 b[65536];
    ssize_t n, done;

    while ((n = read(from, b, sizeof(b))) > 0)
        for (ssize_t at = 0; at < n; at += done) {
            done = write(to, b + at, (size_t)(n - at));
            if (done < 0)
                return err_set(e, -errno, "cannot write: %s", strerror(errno));
        }
    return n < 0 ? err_set(e, -errno, "cannot read: %s", strerror(errno)) : 0;
}

static int exec_give(int fd, int to, struct err *e)
{
    return lseek(fd, 0, SEEK_SET) ? err_set(e, -errno, "cannot read") : exec_copy(fd, to, e);
}

static int exec_hold(int fd[3], struct err *e)
{
    for (u32 i = 0; i < 3; i++) {
        fd[i] = memfd_create("mimic exec", MFD_CLOEXEC);
        if (fd[i] < 0)
            return err_set(e, -errno, "no memory for what the program writes");
    }
    return 0;
}

static int exec_vm(const char *vm, const char *verb, json_t *take_args, const int *fds,
                   json_t **result, struct err *e)
{
    struct call *c;
    int r = call_open(&c, vm, e);

    if (r) {
        json_decref(take_args);
        return r;
    }
    r = call_send(c, verb, take_args, fds, e);
    r = r ? r : call_wait(c, NULL, NULL, result, e);
    call_close(c);
    return r;
}

/* ---- exec ---- */

static int exec_go(const struct exec_options *o, const struct opt_list *words, int *status,
                   struct err *e)
{
    int fd[4] = { -1, -1, -1, -1 }, r = exec_hold(fd, e);
    json_t *args = json_object(), *list = json_array(), *result = NULL;

    for (u32 i = 1; i < words->n; i++)
        json_array_append_new(list, json_string(words->v[i]));
    json_object_set_new(args, "argv", list);
    if (o->directory)
        json_object_set_new(args, "directory", json_string(o->directory));
    r = r ? r : exec_login(o, args, e);
    if (!r && o->input) {
        json_object_set_new(args, "input", json_true());
        r = exec_copy(0, fd[2], e);
    }
    if (r)
        json_decref(args);
    r = r ? r : exec_vm(words->v[0], "exec", args, fd, &result, e);
    r = r ? r : exec_give(fd[0], 1, e);
    r = r ? r : exec_give(fd[1], 2, e);
    *status = (int)json_integer_value(json_object_get(result, "status"));
    json_decref(result);
    for (u32 i = 0; i < 3; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return r;
}

/* "--" ends the options: what follows it is the program's. */
static int exec_run(int argc, char **argv)
{
    struct exec_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    int r = opt_parse(&command_exec, argc, argv, &o, &words, &e), status = 0;

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n < 2) {
        fprintf(stderr, "mimic exec: %s\n", r ? e.text : "expected a VM, -- and a program");
        return EXIT_USE;
    }
    r = exec_go(&o, &words, &status, &e);
    if (!r)
        return status;
    fprintf(stderr, "mimic exec: %s\n", e.text);
    return exit_code(r);
}

const struct command command_exec = {
    .name = "exec",
    .args = "VM -- PROGRAM [ARGUMENT ...]",
    .about = "Run a program in a running guest, through its tools",
    .text = "What it writes comes when it has ended, and its exit status is that of this command.\n"
            "open-vm-tools want a user and a password of the guest; qemu-ga runs programs as root.",
    .opts = exec_opts,
    .nopts = LEN(exec_opts),
    .run = exec_run,
    .examples = "mimic exec --user root web -- systemctl status nginx\n"
                "echo hello | mimic exec -i -u root web -- sh -c 'cat >/root/file'\n",
};

/* ---- cp ---- */

/* "web:/etc/hosts": the path in the guest, and the VM's name into vm; NULL: a file of ours */
static const char *cp_guest(const char *word, char *vm, size_t room)
{
    const char *colon = strstr(word, ":/");

    if (!colon || colon == word || memchr(word, '/', (size_t)(colon - word)))
        return NULL;
    snprintf(vm, room, "%.*s", (int)(colon - word), word);
    return colon + 1;
}

/* A file of ours that is read */
static int cp_open(const char *path, int *fd, json_t *args, struct err *e)
{
    struct stat st;

    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &st))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "%s: not a plain file", path);
    if (st.st_mode & 0111)
        json_object_set_new(args, "mode", json_integer(st.st_mode & 0777));
    return 0;
}

/* One that is made: under another name until it is whole. */
static int cp_make(const char *path, char **made, int *fd, struct err *e)
{
    mode_t mask = umask(0);
    struct stat st = { .st_mode = S_IFREG | (0666 & ~mask) };

    umask(mask);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "%s: not a plain file", path);
    if (asprintf(made, "%s.XXXXXX", path) < 0)
        return err_set(e, -ENOMEM, "out of memory");
    *fd = mkostemp(*made, O_CLOEXEC);
    if (*fd < 0 || fchmod(*fd, st.st_mode & 0777))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

/* "dir/" of the guest, and a directory of ours: the file goes into it by its own name. */
static char *cp_into(const char *from, const char *to, bool dir)
{
    const char *slash = strrchr(from, '/');
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", to, dir && *to && to[strlen(to) - 1] != '/' ? "/" : "",
                 !dir    ? ""
                 : slash ? slash + 1
                         : from) < 0)
        return NULL;
    return path;
}

/* Takes args. */
static int cp_call(const struct exec_options *o, const char *vm, const char *verb, json_t *args,
                   const int fd[2], struct err *e)
{
    json_t *result = NULL;
    int r = exec_login(o, args, e);

    if (r)
        json_decref(args);
    r = r ? r : exec_vm(vm, verb, args, fd, &result, e);
    json_decref(result);
    return r;
}

static int cp_out(const struct exec_options *o, const char *vm, const char *from, const char *to,
                  struct err *e)
{
    int fd[2] = { -1, -1 }, r;
    char *made = NULL;

    r = cp_make(to, &made, fd, e);
    r = r ? r : cp_call(o, vm, "get", json_pack("{s:s}", "path", from), fd, e);
    if (fd[0] >= 0 && close(fd[0]) && !r)
        r = err_set(e, -errno, "%s: %s", to, strerror(errno));
    if (!r && rename(made, to))
        r = err_set(e, -errno, "%s: %s", to, strerror(errno));
    if (r && fd[0] >= 0)
        unlink(made);
    free(made);
    return r;
}

static int cp_in(const struct exec_options *o, const char *vm, const char *from, const char *to,
                 struct err *e)
{
    json_t *args = json_pack("{s:s}", "path", to);
    int fd[2] = { -1, -1 }, r = cp_open(from, fd, args, e);

    if (r)
        json_decref(args);
    r = r ? r : cp_call(o, vm, "put", args, fd, e);
    if (fd[0] >= 0)
        close(fd[0]);
    return r;
}

static int cp_go(const struct exec_options *o, const char *from, const char *to, struct err *e)
{
    char vm[256], other[256], *target;
    const char *out = cp_guest(from, vm, sizeof(vm)), *in = cp_guest(to, out ? other : vm, 256);
    struct stat st;
    int r;

    if (!out == !in)
        return err_set(e, -EINVAL, "one of the two must be a file in a guest, VM:/PATH");
    target = in ? cp_into(from, in, in[strlen(in) - 1] == '/')
                : cp_into(out, to, !stat(to, &st) && S_ISDIR(st.st_mode));
    if (!target)
        return err_set(e, -ENOMEM, "out of memory");
    r = out ? cp_out(o, vm, out, target, e) : cp_in(o, vm, from, target, e);
    free(target);
    return r;
}

static int cp_run(int argc, char **argv)
{
    struct exec_options o = { 0 };
    struct opt_list words = { 0 };
    struct err e = { 0 };
    int r = opt_parse(&command_cp, argc, argv, &o, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (r || words.n != 2) {
        fprintf(stderr, "mimic cp: %s\n", r ? e.text : "expected a file and where it shall go");
        return EXIT_USE;
    }
    r = cp_go(&o, words.v[0], words.v[1], &e);
    if (!r)
        return EXIT_DONE;
    fprintf(stderr, "mimic cp: %s\n", e.text);
    return r == -EINVAL ? EXIT_USE : exit_code(r);
}

const struct command command_cp = {
    .name = "cp",
    .args = "FILE VM:/FILE | VM:/FILE FILE",
    .about = "Copy a file into a running guest or out of it, through its tools",
    .text = "A file that comes out is there whole or not at all.  Into a directory, here or (with "
            "/ at\n"
            "its end) in the guest, it goes by its own name.\n"
            "open-vm-tools want a user and a password of the guest; qemu-ga works as root.",
    .opts = cp_opts,
    .nopts = LEN(cp_opts),
    .run = cp_run,
    .examples = "mimic cp -u root site.conf web:/etc/nginx/sites-enabled/site.conf\n"
                "mimic cp -u root web:/var/log/syslog syslog\n",
};
