/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file in the guest, through the HGFS server of its tools: requests of version 3, several under
 * way.  For root the packets go as they are, to a server that runs as root, after VIX has checked
 * the password once; for others each goes inside a VIX command, which checks it each time.
 * After open-vm-tools' hgfsProto.h.  Left out: directories, attributes, Windows' paths.
 */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OP_OPEN = 24, OP_READ, OP_WRITE, OP_CLOSE, OP_DELETE_FILE = 34, OP_DELETE_DIRECTORY };
enum { OPEN_READ_ONLY = 0, OPEN_WRITE_ONLY = 1, OPEN_EXISTING = 0, OPEN_CREATE_EMPTY = 4 };
enum { VALID_MODE = 1, VALID_FLAGS = 2, VALID_PERMISSIONS = 0x3c, VALID_NAME = 0x800 };
enum { REPLY = 8 };

static int hgfs_send(struct task *k, bool by_vix, const struct buf *packet)
{
    struct buf b = { 0 };
    u8 head[8];
    int r;

    if (by_vix) {
        put_le32(head, (u32)packet->len);
        put_le32(head + 4, 0);
        r = buf_add(&b, head, sizeof(head));
        r = r ? r : buf_add(&b, packet->p, packet->len);
        r = r ? r : vix_push(k, VIX_HGFS_PACKET, b.p, (u32)b.len);
    } else {
        r = buf_add(&b, "f ", 2);
        r = r ? r : buf_add(&b, packet->p, packet->len);
        r = r ? r : vmtools_push(k->tools, k->id, b.p, (u32)b.len);
    }
    buf_fini(&b);
    return r;
}

static int hgfs_u32(struct buf *b, u32 v)
{
    u8 t[4];

    put_le32(t, v);
    return buf_add(b, t, 4);
}

static int hgfs_u64(struct buf *b, u64 v)
{
    u8 t[8];

    put_le64(t, v);
    return buf_add(b, t, 8);
}

static int hgfs_head(struct buf *b, u32 op)
{
    int r = hgfs_u32(b, op); /* the request's own number comes back and is not needed */

    return r ? r : hgfs_u32(b, op);
}

/* The share "root", then the path's parts, each ended by 0 but for the last. */
static int hgfs_name(struct buf *b, const char *path)
{
    struct buf name = { 0 };
    int r = buf_add(&name, "root", 4);

    for (const char *p = path; *p && !r;) {
        size_t n;

        p += strspn(p, "/");
        n = strcspn(p, "/");
        if (n)
            r = buf_add(&name, "\0", 1);
        r = r ? r : buf_add(&name, p, n);
        p += n;
    }
    r = r ? r : hgfs_u32(b, (u32)name.len);
    for (u32 i = 0; i < 3 && !r; i++) /* flags, case, handle */
        r = hgfs_u32(b, 0);
    r = r ? r : buf_add(b, name.p, name.len);
    r = r ? r : buf_add(b, "\0", 1);
    buf_fini(&name);
    return r;
}

static int hgfs_open(struct hgfs *h)
{
    u32 mode = h->mode ? h->mode : 0644;
    u8 rights[4] = { mode >> 9 & 7, mode >> 6 & 7, mode >> 3 & 7, mode & 7 };
    u64 valid = VALID_MODE | VALID_FLAGS | VALID_NAME | (h->write ? VALID_PERMISSIONS : 0);
    struct buf b = { 0 };
    int r = hgfs_head(&b, OP_OPEN);

    r = r ? r : hgfs_u64(&b, valid);
    r = r ? r : hgfs_u32(&b, h->write ? OPEN_WRITE_ONLY : OPEN_READ_ONLY);
    r = r ? r : hgfs_u32(&b, h->write ? OPEN_CREATE_EMPTY : OPEN_EXISTING);
    r = r ? r : buf_add(&b, rights, 4);
    for (u32 i = 0; i < 2 && !r; i++) /* attributes, size */
        r = hgfs_u64(&b, 0);
    for (u32 i = 0; i < 3 && !r; i++) /* access, sharing, lock */
        r = hgfs_u32(&b, 0);
    for (u32 i = 0; i < 2 && !r; i++)
        r = hgfs_u64(&b, 0);
    r = r ? r : hgfs_name(&b, h->path);
    r = r ? r : hgfs_send(h->task, h->by_vix, &b);
    buf_fini(&b);
    return r;
}

static int hgfs_read(struct hgfs *h)
{
    struct buf b = { 0 };
    int r = hgfs_head(&b, OP_READ);

    r = r ? r : hgfs_u32(&b, h->handle);
    r = r ? r : hgfs_u64(&b, h->offset);
    r = r ? r : hgfs_u32(&b, HGFS_CHUNK);
    r = r ? r : hgfs_u64(&b, 0);
    r = r ? r : hgfs_send(h->task, h->by_vix, &b);
    buf_fini(&b);
    h->offset += HGFS_CHUNK;
    return r;
}

/* 1: there is nothing more to write */
static int hgfs_write(struct hgfs *h)
{
    u8 data[HGFS_CHUNK];
    int n = h->take(h, data, sizeof(data)), r;
    struct buf b = { 0 };

    if (n <= 0)
        return n < 0 ? n : 1;
    r = hgfs_head(&b, OP_WRITE);
    r = r ? r : hgfs_u32(&b, h->handle);
    r = r ? r : buf_add(&b, "\0", 1);
    r = r ? r : hgfs_u64(&b, h->offset);
    r = r ? r : hgfs_u32(&b, (u32)n);
    r = r ? r : hgfs_u64(&b, 0);
    r = r ? r : buf_add(&b, data, (size_t)n);
    r = r ? r : hgfs_send(h->task, h->by_vix, &b);
    buf_fini(&b);
    h->offset += (u32)n;
    return r;
}

static int hgfs_close(struct hgfs *h)
{
    struct buf b = { 0 };
    int r = hgfs_head(&b, OP_CLOSE);

    r = r ? r : hgfs_u32(&b, h->handle);
    r = r ? r : hgfs_u64(&b, 0);
    r = r ? r : hgfs_send(h->task, h->by_vix, &b);
    buf_fini(&b);
    return r;
}

int hgfs_remove(struct task *k, const char *path, bool directory, bool by_vix)
{
    struct buf b = { 0 };
    int r = hgfs_head(&b, directory ? OP_DELETE_DIRECTORY : OP_DELETE_FILE);

    for (u32 i = 0; i < 2 && !r; i++) /* hints */
        r = hgfs_u64(&b, 0);
    r = r ? r : hgfs_name(&b, path);
    r = r ? r : hgfs_send(k, by_vix, &b);
    buf_fini(&b);
    return r;
}

/* ---- a whole file ---- */

static const struct {
    int r;
    const char *text;
} hgfs_status[] = {
    [1] = { -ENOENT, "there is no such file in the guest" },
    [3] = { -EACCES, "the user may not do that in the guest" },
    [4] = { -EEXIST, "the file is there already" },
    [5] = { -ENOTDIR, "a part of the path is no directory" },
    [8] = { -EACCES, "the user may not do that in the guest" },
    [9] = { -ENAMETOOLONG, "the guest does not take that name" },
    [12] = { -ENOSPC, "no room in the guest" },
};

static void hgfs_end(struct hgfs *h, int r, const char *text)
{
    h->ended = true;
    h->done(h, r, text);
}

/* Requests under way still come back, but nothing more is asked for: the file is closed. */
static void hgfs_stop(struct hgfs *h, int error)
{
    if (error && !h->error)
        h->error = (u32)-error;
    h->closing = true;
}

/* As many requests as may be under way, then the closing one. */
static void hgfs_fill(struct hgfs *h)
{
    while (!h->closing && h->under_way < HGFS_AHEAD) {
        int r = h->write ? hgfs_write(h) : hgfs_read(h);

        if (r)
            hgfs_stop(h, r < 0 ? r : 0);
        else
            h->under_way++;
    }
    if (h->closing && !h->under_way && h->opened) {
        h->opened = false;
        if (hgfs_close(h))
            hgfs_end(h, -ENOTCONN, "the guest's tools are gone");
    }
}

void hgfs_begin(struct hgfs *h)
{
    int r = hgfs_open(h);

    if (r)
        hgfs_end(h, r,
                 r == -EACCES ? "the guest's tools want a user and a password"
                              : "the guest's tools are gone");
}

static void hgfs_failed(struct hgfs *h, u32 status)
{
    const char *text = status < LEN(hgfs_status) ? hgfs_status[status].text : NULL;
    char plain[80];

    snprintf(plain, sizeof(plain), "the guest's file server answered with error %u", status);
    hgfs_end(h, text ? hgfs_status[status].r : -EIO, text ? text : plain);
}

static void hgfs_data(struct hgfs *h, struct cursor *c)
{
    u32 n = get_le32(c);
    const u8 *p;
    int r;

    get_le64(c);
    if (h->closing)
        return;
    if (h->write)
        return;
    p = n <= HGFS_CHUNK ? cursor_take(c, n) : NULL;
    if (!p && n) {
        hgfs_stop(h, -EPROTO);
        return;
    }
    r = n ? h->give(h, p, n) : 0;
    if (r < 0 || n < HGFS_CHUNK)
        hgfs_stop(h, r);
}

bool hgfs_answer(struct hgfs *h, bool ok, const u8 *p, u32 n)
{
    struct cursor c;
    i64 error = h->by_vix ? vix_answer(ok, &p, &n) : ok && p ? 0 : -EPROTO;
    u32 status;

    if (h->ended)
        return false;
    c = cursor_of(p, n);
    get_le32(&c);
    status = error ? 0 : get_le32(&c);
    if (error || c.bad) {
        struct task *k = h->task;

        h->ended = true;
        vix_fail(k, error ? error : -EPROTO);
    } else if (!h->opened && !h->closing) { /* the answer to open */
        h->handle = get_le32(&c);
        if (status || c.bad) {
            hgfs_failed(h, status);
        } else {
            h->opened = true;
            hgfs_fill(h);
        }
    } else if (!h->opened) { /* to close */
        if (h->error)
            hgfs_end(h, -(int)h->error, strerror((int)h->error));
        else if (status)
            hgfs_failed(h, status);
        else
            hgfs_end(h, 0, NULL);
    } else {
        h->under_way--;
        if (status)
            hgfs_stop(h, status == 12 ? -ENOSPC : -EIO);
        else
            hgfs_data(h, &c);
        hgfs_fill(h);
    }
    return true;
}
