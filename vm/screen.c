/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text screen of the VGA in our terminal, and that terminal as the keyboard: USB's where the
 * guest drives it, else PS/2's. */
#include "backend/term.h"
#include "device/display/vga.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdlib.h>

struct vm_screen {
    struct vm *vm;
    struct device *vga, *keyboard;
    struct term *term;
    struct vga_text text;
};

static void vm_screen_show(void *arg, struct term_screen *to)
{
    struct vm_screen *s = arg;

    vga_text(s->vga, &s->text);
    *to = (struct term_screen){ .graphics = s->text.graphics,
                                .columns = s->text.columns,
                                .rows = s->text.rows,
                                .cursor = s->text.cursor,
                                .cursor_column = s->text.cursor_column,
                                .cursor_row = s->text.cursor_row,
                                .cell = s->text.cell };
}

static void vm_screen_key(void *arg, u16 code, bool down)
{
    struct vm_screen *s = arg;

    vm_key(s->vm, s->keyboard, code, down);
}

static void vm_screen_leave(void *arg)
{
    vm_signal(((struct vm_screen *)arg)->vm);
}

int vm_screen_open(struct vm *vm, struct err *e)
{
    struct vm_screen *s;
    struct term_how how = { .in = 0,
                            .out = 1,
                            .loop = machine_loop(vm->machine),
                            .screen = vm_screen_show,
                            .key = vm_screen_key,
                            .leave = vm_screen_leave };
    int r;

    if (vm->how.console != VM_CONSOLE_VGA)
        return 0;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, -ENOMEM, "no memory for the screen");
    s->vm = vm;
    s->vga = machine_device(vm->machine, "vga");
    s->keyboard = machine_device(vm->machine, "i8042");
    how.arg = s;
    r = s->vga ? term_open(&s->term, &how, e) : err_set(e, -ENODEV, "no VGA to show");
    if (r) {
        free(s);
        return r;
    }
    vm->screen = s;
    return 0;
}

void vm_screen_close(struct vm *vm)
{
    if (!vm->screen)
        return;
    term_close(vm->screen->term);
    free(vm->screen);
    vm->screen = NULL;
}
