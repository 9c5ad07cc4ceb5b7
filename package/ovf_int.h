/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_OVF_INT_H
#define PACKAGE_OVF_INT_H
#include "desc/desc.h"
#include "package/format.h"
#include "package/source.h"
#include "package/xml.h"

/*
 * OVF in several files.  ovf.c reads an envelope; ovf_old.c turns whatever dialect it is in into
 * the terms of 1.x first; ovf_text.c chooses languages, ovf_product.c options and properties,
 * ovf_disks.c finds the bytes, ovf_items.c reads hardware.  ovf_make.c says what our writer calls
 * each device: what a package says beyond that is kept ("the rest"), and ovf_write.c puts it back.
 */
#define OVF_ITEMS_MAX 1024
#define OVF_SPACE "http://schemas.dmtf.org/ovf/envelope/1"
#define OVF_SPACE_2 "http://schemas.dmtf.org/ovf/envelope/2"
#define OVF_SPACE_OLD "http://www.vmware.com/schema/ovf/1/envelope"
#define CIM_SPACE "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define RASD_SPACE CIM_SPACE "CIM_ResourceAllocationSettingData"
#define VSSD_SPACE CIM_SPACE "CIM_VirtualSystemSettingData"
#define SASD_SPACE CIM_SPACE "CIM_StorageAllocationSettingData.xsd"
#define EPASD_SPACE CIM_SPACE "CIM_EthernetPortAllocationSettingData.xsd"
#define VMW_SPACE "http://www.vmware.com/schema/ovf"
#define VBOX_SPACE "http://www.virtualbox.org/ovf/machine"
#define XSI_SPACE "http://www.w3.org/2001/XMLSchema-instance"
#define ENV_SPACE "http://schemas.dmtf.org/ovf/environment/1"
#define ENV_VMW_SPACE "http://www.vmware.com/schema/ovfenv"

/* ResourceType (CIM_ResourceAllocationSettingData) */
enum {
    ITEM_OTHER = 1,
    ITEM_CPU = 3,
    ITEM_MEMORY = 4,
    ITEM_IDE = 5,
    ITEM_SCSI = 6,
    ITEM_FC = 7,
    ITEM_ISCSI = 8,
    ITEM_NIC = 10,
    ITEM_FLOPPY = 14,
    ITEM_CD = 15,
    ITEM_DVD = 16,
    ITEM_DISK = 17,
    ITEM_STORAGE = 20,
    ITEM_SERIAL = 21,
    ITEM_PARALLEL = 22,
    ITEM_USB = 23,
    ITEM_VIDEO = 24,
    ITEM_LOGICAL_DISK = 31,
    ITEM_SOUND = 35,
    ITEM_NVRAM = 32768,
};

/* The rest of a place is kept under these keys; %s is a name of the description. */
#define OVF_KEY_ITEM "VirtualHardwareSection/Item[%s]"
#define OVF_KEY_OTHER_ITEM "VirtualHardwareSection/Item"
#define OVF_KEY_TRANSPORT "VirtualHardwareSection/@transport"
#define OVF_KEY_CONFIG "VirtualHardwareSection/Config/"
#define OVF_KEY_EXTRA_CONFIG "VirtualHardwareSection/ExtraConfig/"
#define OVF_KEY_COLLECTION "VirtualSystemCollection" /* a VM's path; [path]/Section */
#define OVF_KEY_ID "VirtualSystem/@id"
#define OVF_KEY_DISK "DiskSection/Disk[%s]"
#define OVF_NETWORK_ABOUT "The %.200s network"

struct ovf {                /* one reading */
    struct desc *d, *first; /* the VM that is read, and the package's first */
    struct source *s;
    const struct package_options *how; /* or NULL */
    struct notes *n;
    struct err *e;
    struct arena arena; /* the document */
    struct xml_node *root;
    const char *file;             /* the descriptor's name, for messages */
    const char *config;           /* the deployment option that was chosen, or NULL */
    const char *language;         /* or NULL: what stands in the text */
    struct xml_node *bundles[64]; /* Strings, inline and from files */
    u32 nbundles, ndisks_seen;
    const struct xml_node *vbox; /* VirtualBox's own description of this VM; or NULL */
    bool ovirt, failed;
};

struct ovf_item { /* one Item of virtual hardware */
    struct xml_node *node;
    unsigned type;
    const char *id, *parent, *subtype, *name;
    struct desc_device *device; /* what it became, if others hang on it */
    const char *what;           /* the name of what it became; NULL: nothing in the description */
    bool dropped;               /* another of the same id takes its place */
    bool shared;                /* its id is that of another, or is named elsewhere */
    unsigned channel;           /* an IDE controller's place */
};

/* package/ovf_tree.c: trees that are made and printed; NULL and -errno: no memory */
struct xml_node *ovf_node(struct arena *a, struct xml_node *parent, const char *space,
                          const char *name, const char *text);
void ovf_append(struct xml_node *parent, struct xml_node *n);
void ovf_drop(struct xml_node *n);
int ovf_set(struct arena *a, struct xml_node *n, const char *space, const char *name,
            const char *value);
void ovf_unset(struct xml_node *n, const char *name);
struct xml_node *ovf_copy(struct arena *a, struct xml_node *parent, const struct xml_node *n);
int ovf_document(struct buf *to, const struct xml_node *n, const char *plain);
int ovf_fragment(struct buf *to, const struct xml_node *n);

/* package/ovf_old.c */
int ovf_modern(struct ovf *o); /* the whole document in the terms of 1.x */

/* package/ovf.c */
u32 ovf_vmx(const char *types); /* the highest N of "vmx-07 vmx-08", or 0 */
int ovf_uuid(struct desc *d, const char *text);
int ovf_keep(struct ovf *o, struct desc *d, const char *key, const struct xml_node *n);
const char *ovf_copy_text(struct ovf *o, const char *s); /* into the description */
const struct xml_node *ovf_section(const struct xml_node *n, const char *name);
/* Also as VMware's draft names it, before ovf_modern. */
bool ovf_is_section(const struct xml_node *n, const char *name);
bool ovf_is_true(const char *s);
bool ovf_required(const struct xml_node *n); /* by ovf:required; true without one */
/* Something that is not understood: a note, or an error when the user wants it strict. */
int ovf_unknown(struct ovf *o, const struct xml_node *n, const char *where, const char *what);

/* package/ovf_text.c */
int ovf_bundles(struct ovf *o);
const char *ovf_say(struct ovf *o, const struct xml_node *n); /* its text, in the user's language */

/* package/ovf_product.c */
int ovf_options(struct ovf *o); /* which deployment option */
int ovf_product(struct ovf *o, struct xml_node *section);
const char *ovf_property(const struct ovf *o, const char *name); /* its value, or NULL */
const char *ovf_property_value(const struct xml_node *p, const char *config);

/* package/ovf_items.c */
int ovf_read_hardware(struct ovf *o, struct xml_node *section);
bool ovf_listed(const char *list, const char *word); /* words between blanks */

/* package/ovf_disks.c: where the bytes of "ovf:/disk/x" or "ovf:/file/x" are */
int ovf_fill_disk(struct ovf *o, struct desc_disk *k, const char *resource);
int ovf_other_files(struct ovf *o); /* files and disks that are no drive's */
/* The package's file of this href; NULL and 0 when it is missing. */
int ovf_find_file(struct ovf *o, const char *href, const struct source_file **f);
const struct xml_node *ovf_by_id(const struct xml_node *list, const char *element, const char *attr,
                                 const char *id);

/* package/ovf_vbox.c: VirtualBox's own description inside a virtual system */
int ovf_vbox_read(struct ovf *o, const struct xml_node *machine);
void ovf_vbox_macs(struct ovf *o); /* once the cards are there */
int ovf_vbox_patch(struct arena *a, const struct desc *d, struct xml_node *machine);

/* package/ovf_write.c */
int ovf_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);

/* package/ovf_units.c: a number of units in bytes; "" is `unit` bytes */
bool ovf_bytes(const char *number, const char *units, u64 unit, u64 *bytes);

/*
 * package/ovf_make.c: elements as our writer makes them.  In an Item, an element that is marked
 * "taken" gives way to what a package said; the others are governed by the description.  Items
 * have no InstanceID and no Parent yet.
 */
struct xml_node *ovf_make_cpu(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_memory(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_controller(struct arena *a, const struct desc *d,
                                     const struct desc_device *v, unsigned channel);
struct xml_node *ovf_make_disk(struct arena *a, const struct desc *d, const struct desc_disk *k,
                               const char *resource);
struct xml_node *ovf_make_nic(struct arena *a, const struct desc *d, const struct desc_nic *c);
struct xml_node *ovf_make_port(struct arena *a, const struct desc *d, const struct desc_port *p);
struct xml_node *ovf_make_video(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_sound(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_guest(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_system(struct arena *a, const struct desc *d);
struct xml_node *ovf_make_config(struct arena *a, struct xml_node *parent, const char *element,
                                 const char *key, const char *value);
/* What `item` says that `made` does not: a new tree, perhaps without anything in it */
struct xml_node *ovf_rest(struct arena *a, const struct xml_node *item, const struct xml_node *made,
                          bool keep_id);
int ovf_merge(struct arena *a, struct xml_node *made, const struct xml_node *rest);
void ovf_sort(struct xml_node *item); /* its elements in the order of the schema */
bool ovf_same(const struct xml_node *x, const struct xml_node *y);
#endif
