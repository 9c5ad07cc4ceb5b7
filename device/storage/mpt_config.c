/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fusion-MPT: configuration pages, what the Config message asks for, and the pages that both
 * kinds of adapter have.  MPI 1.5, chapter on configuration.
 */
#include "device/storage/mpt_int.h"
#include <stdio.h>

enum { HEADER = 4, EXTENDED_HEADER = 8 };

/* Makes p a page of len bytes, header included; returns what follows the header's place. */
u8 *mpt_page_grow(struct mpt_page *p, u8 version, u32 len)
{
    p->version = version;
    p->len = len;
    return p->b;
}

static void page_text(u8 *to, u32 room, const char *text)
{
    memcpy(to, text, strnlen(text, room));
}

static bool mpt_page_manufacturing(struct mpt *m, u8 number, struct mpt_page *p)
{
    u8 *b;

    switch (number) {
    case 0:
        b = mpt_page_grow(p, 0, 0x4c);
        page_text(b + 0x04, 16, m->kind->chip);
        page_text(b + 0x14, 8, "B0");
        page_text(b + 0x1c, 16, "Virtual");
        return true;
    case 1: /* vital product data */
        mpt_page_grow(p, 0, 0x104);
        return true;
    case 2: /* chip */
    case 3:
        b = mpt_page_grow(p, 0, 0x0c);
        put_le16(b + 4, m->kind->ident->device);
        b[6] = m->kind->ident->revision;
        return true;
    case 4: /* RAID settings: none */
        mpt_page_grow(p, 5, 0x70);
        return true;
    }
    return false;
}

static bool mpt_page_io_unit(struct mpt *m, u8 number, struct mpt_page *p)
{
    u8 *b;

    switch (number) {
    case 0: /* a value of its own */
        b = mpt_page_grow(p, 0, 0x0c);
        put_le64(b + 4, m->config.address);
        return true;
    case 1: /* one function, one path, no RAID */
        b = mpt_page_grow(p, 2, 0x08);
        put_le32(b + 4, 0x41);
        return true;
    case 2: /* where it stands on PCI */
        b = mpt_page_grow(p, 2, 0x20);
        b[0x0d] = (u8)(pci_slot(&m->dev) << 3 | pci_function(&m->dev));
        return true;
    case 3: /* general purpose pins: none */
        mpt_page_grow(p, 1, 0x0c);
        return true;
    }
    return false;
}

static bool mpt_page_ioc(struct mpt *m, u8 number, struct mpt_page *p)
{
    const struct pci_ident *id = m->kind->ident;
    u8 *b;

    switch (number) {
    case 0:
        b = mpt_page_grow(p, 1, 0x1c);
        put_le16(b + 0x0c, id->vendor);
        put_le16(b + 0x0e, id->device);
        b[0x10] = id->revision;
        put_le32(b + 0x14, id->class);
        put_le16(b + 0x18, id->subvendor);
        put_le16(b + 0x1a, id->subdevice);
        return true;
    case 1: /* coalescing: off; the slot's number is unknown */
        b = mpt_page_grow(p, 3, 0x10);
        b[0x0d] = 0xff;
        return true;
    case 2: /* RAID volumes: none */
        mpt_page_grow(p, 4, 0x0c);
        return true;
    case 3: /* their disks: none */
        mpt_page_grow(p, 0, 0x08);
        return true;
    case 4: /* enclosure processors: none */
        mpt_page_grow(p, 0, 0x08);
        return true;
    case 5: /* hot spares: none */
        mpt_page_grow(p, 0, 0x0c);
        return true;
    case 6: /* what RAID could do: nothing */
        mpt_page_grow(p, 1, 0x3c);
        return true;
    }
    return false;
}

static bool mpt_page_find(struct mpt *m, const struct mpt_page_ask *ask, struct mpt_page *p)
{
    memset(p, 0, sizeof(*p));
    switch (ask->type) {
    case MPT_PAGE_MANUFACTURING:
        return mpt_page_manufacturing(m, ask->number, p);
    case MPT_PAGE_IO_UNIT:
        return mpt_page_io_unit(m, ask->number, p);
    case MPT_PAGE_IOC:
        return mpt_page_ioc(m, ask->number, p);
    case MPT_PAGE_BIOS:
        if (ask->number != 1)
            return false;
        mpt_page_grow(p, 3, 0x20);
        return true;
    }
    return m->kind->page(m, ask, p);
}

/* The header of the page into the page and the reply. */
static void mpt_page_header(const struct mpt_page_ask *ask, struct mpt_page *p,
                            struct mpt_config_reply *r)
{
    bool extended = ask->type >= MPT_PAGE_SAS_UNIT;

    r->version = p->version;
    r->length = extended ? 0 : (u8)(p->len / 4);
    r->number = ask->number;
    r->type = extended ? MPT_PAGE_EXTENDED : ask->type;
    r->reply.head.c = extended ? (u8)(p->len / 4) : 0;
    r->reply.head.d = extended ? (u8)(p->len / 4 >> 8) : 0;
    r->reply.head.e = extended ? ask->type : 0;
    memcpy(p->b, &r->version, HEADER);
    if (!extended)
        return;
    put_le16(p->b + HEADER, (u16)(p->len / 4));
    p->b[HEADER + 2] = ask->type;
}

/* Between the page and the guest's buffer; what fits. */
static u16 mpt_page_move(struct mpt *m, const struct mpt_config_message *w,
                         const struct mpt_page_ask *ask, struct mpt_page *p, bool write)
{
    u32 flags = w->sge[0] >> 24, n = w->sge[0] & 0xffffff;
    u64 at = flags & MPT_SGE_64 ? le64((const u8 *)&w->sge[1]) : w->sge[1];

    if ((flags & MPT_SGE_KIND) != MPT_SGE_SIMPLE)
        return MPT_BAD_LIST;
    n = n < p->len ? n : p->len;
    if (!write)
        return !n || mpt_write(m, at, p->b, n) ? MPT_OK : MPT_BAD_LIST;
    if (n && gmem_read(mpt_ram(m), at, p->b, n))
        return MPT_BAD_LIST;
    if (m->kind->wrote)
        m->kind->wrote(m, ask, p->b, n);
    return MPT_OK;
}

void mpt_configure(struct mpt *m, const u8 *frame, struct mpt_config_reply *r)
{
    struct mpt_config_message w;
    struct mpt_page_ask ask;
    struct mpt_page p;

    memcpy(&w, frame, sizeof(w));
    memcpy(&r->version, &w.version, HEADER);
    ask = (struct mpt_page_ask){ .type = w.type & MPT_PAGE_TYPE,
                                 .number = w.number,
                                 .address = w.address };
    if (ask.type == MPT_PAGE_EXTENDED)
        ask.type = w.head.e;
    else if (ask.type > MPT_PAGE_EXTENDED)
        ask.type = 0xff;
    if (w.head.a > MPT_PAGE_READ_NVRAM) {
        r->reply.status = MPT_CONFIG_BAD_ACTION;
        return;
    }
    if (!mpt_page_find(m, &ask, &p)) {
        r->reply.status = MPT_CONFIG_BAD_PAGE;
        return;
    }
    mpt_page_header(&ask, &p, r);
    switch (w.head.a) {
    case MPT_PAGE_READ:
    case MPT_PAGE_READ_DEFAULT:
    case MPT_PAGE_READ_NVRAM:
        r->reply.status = mpt_page_move(m, &w, &ask, &p, false);
        break;
    case MPT_PAGE_WRITE:
    case MPT_PAGE_WRITE_NVRAM:
        r->reply.status = mpt_page_move(m, &w, &ask, &p, true);
        break;
    }
}
