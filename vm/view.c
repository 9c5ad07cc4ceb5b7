/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screen from outside: VNC, and a picture of it as a PNG file (PNG specification, third
 * edition).  The pointer goes to the guest's tools where they take it, else to the USB tablet, else to the
 * mouse.
 */
#include "backend/agent.h"
#include "backend/vmtools.h"
#include "backend/vnc.h"
#include "base/buf.h"
#include "base/loop.h"
#include "device/display/vga.h"
#include "device/input/ps2.h"
#include "vm/control.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PNG_LEVEL = 6, PNG_BITS = 8, PNG_RGB = 2 };

struct vm_view {
    struct vm *vm;
    struct device *vga, *i8042;
    struct vnc *vnc;
    u32 x, y, width, height; /* the server's thread: where the pointer was, in pixels */
    struct vga_pointer shape;
    int stir;
};

/* ---- VNC ---- */

static int view_picture(void *arg, struct vnc_picture *to)
{
    struct vm_view *w = arg;
    struct vga_picture p = { 0 };
    int r = vga_news(w->vga, &p);

    w->width = p.width;
    w->height = p.height;
    *to = (struct vnc_picture){ p.width, p.height, p.x, p.y, p.wide, p.high, p.pixel };
    return r;
}

static void view_shape(void *arg, struct vnc_shape *to)
{
    struct vm_view *w = arg;
    const struct vga_pointer *p = &w->shape;

    vga_pointer(w->vga, &w->shape);
    *to = (struct vnc_shape){ p->shown, p->version, p->width, p->height,
                              p->hot_x, p->hot_y,   p->pixel };
}

static void view_key(void *arg, u16 code, bool down)
{
    struct vm_view *w = arg;

    vm_key(w->vm, w->i8042, code, down);
}

static void view_pointer(void *arg, u32 x, u32 y, i32 wheel, u32 buttons)
{
    struct vm_view *w = arg;
    struct persona *p = w->vm->persona;
    u32 px = (u32)((u64)x * w->width >> 16), py = (u32)((u64)y * w->height >> 16);
    bool taken = p && p->class->pointer && p->class->pointer(p, x, y, -wheel, buttons);
    bool usb = !taken && vm_usb_point(w->vm, x, y, wheel, buttons);

    w->stir = w->stir > 0 ? -1 : 1;
    if (w->i8042 && taken) /* its driver waits for the mouse's interrupt */
        ps2_mouse(w->i8042, w->stir, 0, 0, (u8)buttons);
    else if (w->i8042 && !usb)
        ps2_mouse(w->i8042, (int)(px - w->x), (int)(py - w->y), -wheel, (u8)buttons);
    w->x = px;
    w->y = py;
}

static void view_cut(void *arg, const char *text)
{
    struct vm_view *w = arg;

    if (w->vm->tools)
        vmtools_clip_set(w->vm->tools, text);
}

static void view_clip(void *arg, const char *text)
{
    struct vm_view *w = arg;

    vnc_cut(w->vnc, text);
}

/* The guest's tools set the size, if they can; the VM's thread asks them. */
struct view_size {
    struct vm *vm;
    u32 width, height;
};

static void view_size_ask(void *arg)
{
    struct view_size *s = arg;
    struct agent_ask ask = { .verb = AGENT_SCREEN, .width = s->width, .height = s->height };
    struct err e;

    agent_start(s->vm->agent, &ask, NULL, &e); /* else the viewer sees that the size stays */
    free(s);
}

static int view_resize(void *arg, u32 width, u32 height)
{
    struct vm_view *w = arg;
    struct view_size *s;

    if (!w->vm->agent || !(agent_can(w->vm->agent) & 1u << AGENT_SCREEN))
        return -EOPNOTSUPP;
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    *s = (struct view_size){ w->vm, width, height };
    if (!loop_post(machine_loop(w->vm->machine), view_size_ask, s))
        return 0;
    free(s);
    return -ENOMEM;
}

int vm_view_open(struct vm *vm, struct err *e)
{
    struct vm_view *w;
    int r;

    if (!vm->how.vnc.on)
        return 0;
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(e, -ENOMEM, "no memory for the screen");
    w->vm = vm;
    w->vga = machine_device(vm->machine, "vga");
    w->i8042 = machine_device(vm->machine, "i8042");
    r = w->vga ? vnc_open(&w->vnc,
                          &(struct vnc_how){ .at = vm->how.vnc.at,
                                             .password = vm->how.vnc.password,
                                             .tls = vm->how.vnc.tls,
                                             .name = vm->how.desc->name,
                                             .arg = w,
                                             .picture = view_picture,
                                             .shape = view_shape,
                                             .key = view_key,
                                             .pointer = view_pointer,
                                             .cut = view_cut,
                                             .resize = view_resize },
                          e)
               : err_set(e, -ENODEV, "no VGA to show");
    if (r) {
        free(w);
        return r;
    }
    vm->view = w;
    if (vm->tools)
        vmtools_on_clip(vm->tools, view_clip, w);
    return 0;
}

void vm_view_close(struct vm *vm)
{
    if (!vm->view)
        return;
    if (vm->tools)
        vmtools_on_clip(vm->tools, NULL, NULL);
    vnc_close(vm->view->vnc);
    free(vm->view);
    vm->view = NULL;
}

const char *vm_vnc(const struct vm *vm)
{
    return vm->view ? vnc_where(vm->view->vnc) : NULL;
}

/* ---- a picture ---- */

static void png_be32(u8 *to, u32 val)
{
    for (u32 i = 0; i < 4; i++)
        to[i] = (u8)(val >> (24 - 8 * i));
}

static int png_chunk(struct buf *b, const char *type, const u8 *p, size_t n)
{
    size_t from = b->len;
    u8 *head = buf_room(b, 8), *sum;

    if (!head)
        return -ENOMEM;
    png_be32(head, (u32)n);
    memcpy(head + 4, type, 4);
    if (buf_add(b, p, n))
        return -ENOMEM;
    sum = buf_room(b, 4);
    if (!sum)
        return -ENOMEM;
    png_be32(sum, libdeflate_crc32(0, b->p + from + 4, n + 4));
    return 0;
}

/* Lines without a filter, packed. */
static int png_lines(struct buf *b, const struct vga_picture *p)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(PNG_LEVEL);
    size_t line = 1 + 3ul * p->width, n = line * p->height, bound;
    u8 *raw = malloc(n), *packed = NULL;
    int r = -ENOMEM;

    bound = c ? libdeflate_zlib_compress_bound(c, n) : 0;
    packed = bound ? malloc(bound) : NULL;
    for (u32 y = 0; raw && packed && y < p->height; y++) {
        u8 *to = raw + y * line;

        *to++ = 0;
        for (u32 x = 0; x < p->width; x++, to += 3) {
            u32 rgb = p->pixel[(size_t)y * p->width + x];

            to[0] = (u8)(rgb >> 16);
            to[1] = (u8)(rgb >> 8);
            to[2] = (u8)rgb;
        }
    }
    if (raw && packed) {
        bound = libdeflate_zlib_compress(c, raw, n, packed, bound);
        r = png_chunk(b, "IDAT", packed, bound);
    }
    free(raw);
    free(packed);
    libdeflate_free_compressor(c);
    return r;
}

static int view_png(struct buf *b, const struct vga_picture *p)
{
    u8 head[13] = { [8] = PNG_BITS, [9] = PNG_RGB };
    int r;

    png_be32(head, p->width);
    png_be32(head + 4, p->height);
    r = buf_add(b, "\x89PNG\r\n\x1a\n", 8);
    r = r ? r : png_chunk(b, "IHDR", head, sizeof(head));
    r = r ? r : png_lines(b, p);
    return r ? r : png_chunk(b, "IEND", NULL, 0);
}

static int view_write(int fd, const struct buf *b)
{
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(fd, b->p + done, b->len - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* The pointer over the picture. */
static void view_pointer_draw(struct vga_picture *to, const struct vga_pointer *p)
{
    for (u32 row = 0; row < p->height; row++)
        for (u32 column = 0; column < p->width; column++) {
            i64 x = (i64)p->x - p->hot_x + column, y = (i64)p->y - p->hot_y + row;
            u32 over = p->pixel[row * p->width + column], rest = 255 - (over >> 24), *pixel;

            if (x < 0 || y < 0 || x >= to->width || y >= to->height)
                continue;
            pixel = &to->pixel[y * to->width + x];
            for (u32 shift = 0; shift < 24; shift += 8) {
                u32 sum = (over >> shift & 0xff) + (*pixel >> shift & 0xff) * rest / 255;

                *pixel = (*pixel & ~(0xffu << shift)) | (u32)min_u64(sum, 255) << shift;
            }
        }
}

static int view_all(struct device *vga, struct vga_picture *p)
{
    struct vga_pointer *pointer = malloc(sizeof(*pointer));
    int r = pointer ? vga_picture(vga, p) : -ENOMEM;

    if (!r)
        vga_pointer(vga, pointer);
    if (!r && pointer->shown)
        view_pointer_draw(p, pointer);
    free(pointer);
    return r;
}

/* Into the plain file whose descriptor came with the request. */
static void view_screen(struct vm *vm, struct control_call *c)
{
    struct device *vga = machine_device(vm->machine, "vga");
    int fd = control_take_fd(c), r = fd < 0 ? -EBADF : 0;
    struct vga_picture p = { 0 };
    struct buf b = { 0 };

    r = r ? r : !vga ? -ENODEV : view_all(vga, &p);
    r = r ? r : view_png(&b, &p);
    r = r ? r : view_write(fd, &b);
    if (fd >= 0)
        close(fd);
    if (r)
        control_fail(c, r, "the screen cannot be saved: %s", strerror(-r));
    else
        control_answer(c, json_pack("{s:i, s:i}", "width", (int)p.width, "height", (int)p.height));
    buf_fini(&b);
    free(p.pixel);
}

const struct control_verb control_view[] = {
    { "screen", "a picture of it, as PNG, into the descriptor that comes along", view_screen },
    { 0 },
};
