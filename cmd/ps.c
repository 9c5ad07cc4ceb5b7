/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mimic ps, shutdown, pause, resume, call: what runs here, and the plain calls to it. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include <errno.h>
#include <string.h>

enum { PS_PATIENCE_MS = 3000 };

struct ps_options {
    bool json;
};
static const struct opt ps_opts[] = {
    { "json", OPT_FLAG, offsetof(struct ps_options, json), NULL, NULL,
      "print an array of JSON objects" },
};

struct ps {
    json_t *all;
};

static void ps_one(void *arg, const char *path, int pid)
{
    struct ps *ps = arg;
    struct err e = { 0 };
    json_t *o = NULL;
    struct call *c;
    int r = call_open(&c, path, &e);

    if (r)
        return;
    call_patience(c, PS_PATIENCE_MS);
    r = call_send(c, "status", NULL, NULL, &e);
    r = r ? r : call_wait(c, NULL, NULL, &o, &e);
    call_close(c);
    if (r == -ECONNRESET)
        return; /* it has just ended */
    if (r)
        o = json_pack("{s:s, s:i, s:s}", "name", "?", "pid", pid, "state", "does not answer");
    json_object_set_new(o, "socket", json_string(path));
    json_array_append_new(ps->all, o);
}

static const char *ps_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "-";
}

static void ps_show(const json_t *all)
{
    size_t i;
    json_t *o;

    printf("%8s  %-24s %-9s %9s %5s  %-10s %s\n", "PID", "NAME", "STATE", "MEMORY", "CPUS",
           "ENGINE", "PERSONA");
    json_array_foreach(all, i, o) printf(
        "%8lld  %-24s %-9s %5lld MiB %5lld  %-10s %s\n",
        (long long)json_integer_value(json_object_get(o, "pid")), ps_text(o, "name"),
        ps_text(o, "state"), (long long)json_integer_value(json_object_get(o, "memory")) >> 20,
        (long long)json_integer_value(json_object_get(o, "cpus")), ps_text(o, "engine"),
        ps_text(o, "persona"));
}

static int ps_run(int argc, char **argv)
{
    struct ps_options o = { 0 };
    struct opt_list none = { 0 };
    struct ps ps = { json_array() };
    struct err e = { 0 };
    int r = opt_parse(&command_ps, argc, argv, &o, &none, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && none.n)
        r = err_set(&e, -EINVAL, "no operands are expected");
    if (r) {
        fprintf(stderr, "mimic ps: %s\n", e.text);
        return EXIT_USE;
    }
    r = call_each(ps_one, &ps, &e);
    if (r)
        fprintf(stderr, "mimic ps: %s\n", e.text);
    else if (o.json)
        json_dumpf(ps.all, stdout, JSON_INDENT(2)), putchar('\n');
    else
        ps_show(ps.all);
    json_decref(ps.all);
    return r ? exit_code(r) : EXIT_DONE;
}

const struct command command_ps = {
    .name = "ps",
    .args = "",
    .about = "List the running VMs",
    .text = "Those of this user.  The other commands take a VM's name or its number (PID).",
    .opts = ps_opts,
    .nopts = LEN(ps_opts),
    .run = ps_run,
};

/* ---- one plain call ---- */

struct stop_options {
    bool now;
};
static const struct opt stop_opts[] = {
    { "now", OPT_FLAG, offsetof(struct stop_options, now), NULL, NULL,
      "at once, as if the plug was pulled" },
};

static int plain_call(const struct command *c, int argc, char **argv)
{
    struct stop_options o = { 0 };
    struct opt_list vm = { 0 };
    struct err e = { 0 };
    int r = opt_parse(c, argc, argv, &o, &vm, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && vm.n != 1)
        r = err_set(&e, -EINVAL, "expected a running VM; see mimic ps");
    if (r) {
        fprintf(stderr, "mimic %s: %s\n", c->name, e.text);
        return EXIT_USE;
    }
    r = call_vm(vm.v[0], o.now ? "stop" : c->name, NULL, NULL, &e);
    if (r)
        fprintf(stderr, "mimic %s: %s\n", c->name, e.text);
    return r ? exit_code(r) : EXIT_DONE;
}

static int shutdown_run(int argc, char **argv)
{
    return plain_call(&command_shutdown, argc, argv);
}
static int pause_run(int argc, char **argv)
{
    return plain_call(&command_pause, argc, argv);
}
static int resume_run(int argc, char **argv)
{
    return plain_call(&command_resume, argc, argv);
}

const struct command command_shutdown = {
    .name = "shutdown",
    .args = "VM",
    .about = "Press a running VM's power button",
    .text =
        "A guest that does not power off within 90 seconds is stopped; one that sleeps is woken\n"
        "first.",
    .opts = stop_opts,
    .nopts = LEN(stop_opts),
    .run = shutdown_run,
};
const struct command command_pause = {
    .name = "pause",
    .args = "VM",
    .about = "Let a running VM stand still",
    .text = "Its clock stands too: the guest notices nothing.",
    .run = pause_run,
};
const struct command command_resume = {
    .name = "resume",
    .args = "VM",
    .about = "Let a paused VM go on, wake one that sleeps",
    .text = "A guest that its own user sent to sleep (to RAM) wakes as if its power button was "
            "pressed; a\n"
            "key on its screen, and the alarm of its clock, do the same.",
    .run = resume_run,
};

/* ---- any call ---- */

static void call_show_event(void *arg, const char *name, const json_t *body)
{
    (void)arg;
    fprintf(stderr, "%s ", name);
    json_dumpf(body, stderr, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', stderr);
}

static int call_any(const struct opt_list *words, struct err *e)
{
    json_t *args = words->n > 2 ? json_loads(words->v[2], 0, NULL) : json_object(), *result;
    struct call *c;
    int r;

    if (!json_is_object(args)) {
        json_decref(args);
        return err_set(e, -EINVAL, "%s: not a JSON object", words->v[2]);
    }
    r = call_open(&c, words->v[0], e);
    if (r) {
        json_decref(args);
        return r;
    }
    r = call_send(c, words->v[1], args, NULL, e);
    r = r ? r : call_wait(c, call_show_event, NULL, &result, e);
    call_close(c);
    if (!r) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
    }
    return r;
}

static int call_run(int argc, char **argv)
{
    struct opt_list words = { 0 };
    struct err e = { 0 };
    int r = opt_parse(&command_call, argc, argv, NULL, &words, &e);

    if (r > 0)
        return EXIT_DONE;
    if (!r && (words.n < 2 || words.n > 3))
        r = err_set(&e, -EINVAL,
                    "expected a running VM, the name of a call, and perhaps its "
                    "arguments");
    if (r) {
        fprintf(stderr, "mimic call: %s\n", e.text);
        return EXIT_USE;
    }
    r = call_any(&words, &e);
    if (r)
        fprintf(stderr, "mimic call: %s\n", e.text);
    return r ? exit_code(r) : EXIT_DONE;
}

const struct command command_call = {
    .name = "call",
    .args = "VM NAME [ARGUMENTS]",
    .about = "Make a call on a running VM's control socket, for programs",
    .text = "ARGUMENTS is a JSON object.  The answer is printed as JSON, events on standard error.",
    .run = call_run,
    .examples = "mimic call web status\nmimic call web stats\n",
};
