/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DESC_DESC_H
#define DESC_DESC_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * The description of a VM: what every package format is read into and written from, and
 * what a VM is built from.  Everything hangs in one arena.  Text is UTF-8, never NULL where
 * a default is named here, NULL where it says "or NULL".
 */
enum desc_firmware { DESC_BIOS, DESC_EFI };
enum desc_media { DESC_DISK, DESC_CDROM, DESC_FLOPPY };
enum desc_mode { DESC_WRITE, DESC_READ, DESC_THROWAWAY };

struct desc_setting { /* of a device: checked against its class's config table */
    const char *name, *text;
    struct desc_setting *next;
};

/* A controller or any other device: class is a name of the device catalog ("pvscsi"). */
struct desc_device {
    const char *name;    /* unique in the VM: "scsi0", "nic1" */
    const char *class;   /* the catalog's, or the foreign name when we have none: see known */
    const char *foreign; /* what the package called it: "VirtualSCSI"; or NULL */
    const char *at;      /* "slot.160": by VMware's slot number; or "auto" */
    bool known;          /* class is ours */
    struct desc_setting *settings;
    struct desc_device *next;
};

struct desc_piece { /* where a file that was cut goes on */
    const char *path;
    u64 offset, length;
    struct desc_piece *next;
};

struct desc_disk {
    const char *name; /* "disk0" */
    enum desc_media media;
    const char *controller; /* the name of a desc_device */
    u32 unit;               /* target or position there */
    enum desc_mode mode;
    const char *source;    /* file name as the package gives it, or NULL (empty drive) */
    u64 offset, length;    /* where in `container` the file lies, when it is inside an archive */
    const char *container; /* the archive's path, or NULL: source stands beside the package */
    const char *path;      /* resolved: what to open (the container, or the file); or NULL */
    const char *format;    /* said by the package: a URI or a name; or NULL: probe */
    u64 capacity;          /* bytes; 0 unknown */
    u32 boot;              /* place in the boot order, 1 first; 0 none */
    const char *part;      /* which disk of a file that holds several ("Ref:12"); or NULL */
    const char *serial;    /* what the guest reads as its serial number; or NULL */
    const char *parent;    /* source is the difference to this file (a delta disk); or NULL */
    const struct desc_disk *base; /* the parent, described likewise (in no list); or NULL */
    struct desc_piece *pieces;    /* the file goes on in these, in order; or NULL */
    struct desc_disk *next;
};

struct desc_file {      /* a file of the package that is no drive's: firmware variables, texts */
    const char *name;   /* as the package gives it */
    const char *path;   /* what to open */
    u64 offset, length; /* where in it; length 0: all of it */
    struct desc_file *next;
};

struct desc_nic {
    const char *name;    /* "nic0" */
    const char *class;   /* device catalog, or foreign */
    const char *foreign; /* what the package called it, or NULL */
    bool known;
    const char *at;
    const char *network; /* its name in the package, or NULL */
    u8 mac[6];
    bool has_mac, connected;
    u32 boot; /* as of a disk */
    struct desc_nic *next;
};

enum desc_port_kind { DESC_SERIAL, DESC_PARALLEL };
struct desc_port {    /* a serial or parallel port */
    const char *name; /* "serial0" */
    enum desc_port_kind kind;
    const char *to;     /* "pty", "file", "pipe", "tcp", "null", or a foreign word */
    const char *target; /* the file, "host:port"; or NULL */
    struct desc_port *next;
};

struct desc_property { /* what an appliance asks of who installs it: OVF's ProductSection */
    const char *class, *instance; /* or NULL */
    const char *key, *type, *value;
    const char *label, *about;
    bool user, password; /* the user may set it; it is not shown */
    struct desc_property *next;
};

struct desc_snapshot {               /* a point in the VM's past, as its product lists it */
    const char *id, *parent;         /* parent NULL: the first */
    const char *name, *about, *time; /* time: RFC 3339, or NULL */
    bool current;
    struct desc_snapshot *next;
};

struct desc_extra { /* foreign keys, kept for writing back */
    const char *format, *key, *value;
    struct desc_extra *next;
};

struct desc {
    struct arena arena;
    const char *name; /* what people call it */
    u8 uuid[16];      /* RFC 4122 order */
    bool has_uuid;
    const char *persona;    /* "vmware", "none", ...: whom to impersonate; "auto" */
    const char *product;    /* what made the package: "VMware ESXi 7.0"; or NULL */
    const char *guest_os;   /* as the package says; or NULL */
    const char *annotation; /* or NULL */
    u32 hardware_version;   /* VMware's; 0 unknown */
    u32 cpus, cores_per_socket;
    u64 memory; /* bytes */
    enum desc_firmware firmware;
    bool secure_boot, tpm;
    bool tpm_fifo; /* by the older of its two interfaces (TIS) */
    const char *nvram;      /* the file of EFI variables, as the package names it; or NULL */
    const char *nvram_path; /* what to open for it: the file, or the archive; or NULL */
    u64 nvram_offset, nvram_length;       /* where in it; length 0: all of the file */
    const char *machine;                  /* "i440fx", "q35", "pv" ...; or NULL */
    const char *clock;                    /* "utc", "localtime"; or NULL */
    const char *display;                  /* the graphics adapter's foreign name; or NULL */
    u64 video_memory;                     /* bytes; 0 unknown */
    const char *sound;                    /* the sound adapter's foreign name; or NULL */
    const char *kernel, *initrd, *append; /* direct boot (Xen PV, libvirt); or NULL */
    struct desc_device *devices;
    struct desc_disk *disks;
    struct desc_nic *nics;
    struct desc_port *ports;
    struct desc_property *properties;
    struct desc_snapshot *snapshots;
    struct desc_file *files;
    struct desc_extra *extras, *extras_last;
    int held;          /* 1 + the descriptor of a nameless file that disks lie in; 0: none */
    struct desc *next; /* a further VM of the same package; or NULL */
};

/* What reading or running a package kept, changed or lost, by name. */
enum note_kind { NOTE_KEPT, NOTE_CHANGED, NOTE_LOST };
struct note {
    enum note_kind kind;
    const char *where, *text;
    struct note *next;
};
struct notes {
    struct arena arena;
    struct note *first, **last;
    u32 n;
};
void note(struct notes *n, enum note_kind k, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void notes_fini(struct notes *n);

void desc_init(struct desc *d); /* defaults: BIOS, 1 vCPU, 1 GiB, persona auto */
void desc_fini(struct desc *d);
/* Append in order; NULL when out of memory.  Texts are copied into the arena. */
struct desc_device *desc_add_device(struct desc *d, const char *name, const char *class);
struct desc_disk *desc_add_disk(struct desc *d, const char *name, enum desc_media media);
struct desc_nic *desc_add_nic(struct desc *d, const char *name, const char *class);
struct desc_port *desc_add_port(struct desc *d, const char *name, enum desc_port_kind kind,
                                const char *to);
struct desc_property *desc_add_property(struct desc *d, const char *key, const char *value);
struct desc_snapshot *desc_add_snapshot(struct desc *d, const char *id, const char *name);
struct desc_file *desc_add_file(struct desc *d, const char *name, const char *path);
struct desc *desc_add_vm(struct desc *d); /* initialised, last of d's chain, freed with d */
/* A text for any member, copied into the arena; NULL when out of memory. */
const char *desc_text(struct desc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int desc_add_setting(struct desc *d, struct desc_device *v, const char *name, const char *text);
int desc_add_extra(struct desc *d, const char *format, const char *key, const char *value);
/* The first of this format and key; NULL when there is none. */
const char *desc_extra(const struct desc *d, const char *format, const char *key);
struct desc_device *desc_device(const struct desc *d, const char *name); /* or NULL */
/* Does it make sense by itself: names unique, controllers there, sizes possible. */
int desc_check(const struct desc *d, struct err *e);
/* JSON, for --json: one object, keys as the members here. */
int desc_json(const struct desc *d, const struct notes *n, struct buf *to);
/*
 * And back, into one that desc_init has prepared: all that a VM is built from.  Left out:
 * further VMs, properties, snapshots, files, notes.
 */
int desc_read_json(struct desc *d, struct span text, struct err *e);
#endif
