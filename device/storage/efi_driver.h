/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_EFI_DRIVER_H
#define DEVICE_STORAGE_EFI_DRIVER_H
#include "base/types.h"

/*
 * What a driver in an expansion ROM needs of EFI: UEFI 2.8, sections 4.4 (boot services), 11.1
 * (driver binding), 14.4 (PCI I/O), 15.7 (extended SCSI pass through).  Members that no driver of
 * ours uses are only counted.
 */
#define EFI __attribute__((ms_abi))

#define EFI_ERROR(n) (1ull << 63 | (n))
#define EFI_BAD_PARAMETER EFI_ERROR(2)
#define EFI_UNSUPPORTED EFI_ERROR(3)
#define EFI_BAD_BUFFER_SIZE EFI_ERROR(4)
#define EFI_DEVICE_ERROR EFI_ERROR(7)
#define EFI_NO_MEMORY EFI_ERROR(9)
#define EFI_NOT_FOUND EFI_ERROR(14)
#define EFI_TIMEOUT EFI_ERROR(18)

struct efi_guid {
    u32 a;
    u16 b, c;
    u8 d[8];
};

enum { EFI_BOOT_DATA = 4, EFI_BY_DRIVER = 0x10, EFI_NATIVE = 0 };

struct efi_boot {
    u8 header[24];
    void *before_pool[5];
    u64(EFI *pool)(u32 type, u64 size, void **p);
    u64(EFI *pool_free)(void *p);
    void *before_install[6];
    u64(EFI *install)(void **handle, const struct efi_guid *g, u32 type, void *interface);
    void *reinstall;
    u64(EFI *uninstall)(void *handle, const struct efi_guid *g, void *interface);
    void *before_stall[12];
    u64(EFI *stall)(u64 us);
    void *before_open[3];
    u64(EFI *open)(void *handle, const struct efi_guid *g, void **interface, void *agent,
                   void *controller, u32 how);
    u64(EFI *close)(void *handle, const struct efi_guid *g, void *agent, void *controller);
};
struct efi_system {
    u8 header[24];
    void *before_boot[9];
    struct efi_boot *boot;
};

struct efi_binding {
    u64(EFI *supported)(struct efi_binding *b, void *controller, void *rest);
    u64(EFI *start)(struct efi_binding *b, void *controller, void *rest);
    u64(EFI *stop)(struct efi_binding *b, void *controller, u64 n, void **children);
    u32 version;
    void *image, *handle;
};

enum { EFI_WIDTH_32 = 2 };
enum { EFI_MAP_READ = 0, EFI_MAP_WRITE = 1, EFI_MAP_COMMON = 2 }; /* as the device sees it */
enum { EFI_ATTRIBUTES_ON = 2, EFI_PCI_MEMORY = 0x200, EFI_PCI_MASTER = 0x400 };

struct efi_pci {
    void *poll[2];
    u64(EFI *load)(struct efi_pci *p, u32 width, u8 bar, u64 off, u64 n, void *to);
    u64(EFI *store)(struct efi_pci *p, u32 width, u8 bar, u64 off, u64 n, const void *from);
    void *ports[2];
    u64(EFI *config_load)(struct efi_pci *p, u32 width, u32 off, u64 n, void *to);
    void *config_store, *copy;
    u64(EFI *map)(struct efi_pci *p, u32 op, void *host, u64 *n, u64 *bus, void **mapping);
    u64(EFI *unmap)(struct efi_pci *p, void *mapping);
    u64(EFI *pages)(struct efi_pci *p, u32 type, u32 memory, u64 n, void **host, u64 attributes);
    u64(EFI *pages_free)(struct efi_pci *p, u64 n, void *host);
    void *flush, *location;
    u64(EFI *attributes)(struct efi_pci *p, u32 op, u64 attributes, u64 *result);
};

enum { EFI_TARGET = 16 };
enum { EFI_SCSI_PHYSICAL = 1, EFI_SCSI_LOGICAL = 2 };
enum { EFI_SCSI_IN = 0, EFI_SCSI_OUT = 1 };
enum { EFI_HOST_OK = 0, EFI_HOST_TIMEOUT = 0x0b, EFI_HOST_OTHER = 0x7f };

struct efi_scsi_packet {
    u64 timeout;
    void *in, *out, *sense;
    u8 *cdb;
    u32 in_len, out_len;
    u8 cdb_len, direction, host_status, target_status, sense_len;
};
struct efi_scsi_mode {
    u32 adapter, attributes, align;
};
struct efi_path {
    u8 type, subtype, len[2];
    u16 target, lun;
};
struct efi_scsi {
    struct efi_scsi_mode *mode;
    u64(EFI *pass)(struct efi_scsi *s, u8 *target, u64 lun, struct efi_scsi_packet *k, void *event);
    u64(EFI *next_unit)(struct efi_scsi *s, u8 **target, u64 *lun);
    u64(EFI *path)(struct efi_scsi *s, u8 *target, u64 lun, struct efi_path **path);
    u64(EFI *unit)(struct efi_scsi *s, const struct efi_path *path, u8 **target, u64 *lun);
    u64(EFI *reset)(struct efi_scsi *s);
    u64(EFI *reset_unit)(struct efi_scsi *s, u8 *target, u64 lun);
    u64(EFI *next)(struct efi_scsi *s, u8 **target);
};
#endif
