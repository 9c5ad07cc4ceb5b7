/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VHDX_INT_H
#define IMAGE_VHDX_INT_H
#include "image/image_int.h"

#define VHDX_GUID_TEXT 37

struct vhdx_patch { /* what the log says that the file should hold */
    u64 at, len;
    u8 *bytes; /* NULL: zeroes */
};

struct vhdx {
    u64 bat_at, bat_len, meta_at, meta_len;
    u64 block, sector, ratio;
    bool differencing;
    char data_guid[VHDX_GUID_TEXT], linkage[VHDX_GUID_TEXT + 2];
    struct vhdx_patch *patches; /* in order; constant after open */
    size_t npatches;
};

u32 vhdx_crc(const u8 *p, size_t n, size_t at); /* CRC-32C with the 4 bytes at `at` as zero */
void vhdx_guid(const u8 *p, char *text);
/* image/vhdx_log.c */
int vhdx_replay(struct image *im, u64 at, u32 len, const u8 *guid, struct err *e);
void vhdx_forget(struct vhdx *v);
int vhdx_get(struct image *im, u64 at, void *p, size_t n); /* the file as the log has it */
#endif
