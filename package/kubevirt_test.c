/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/kubevirt_int.h"
#include "package/yaml.h"
#include "tests/round.h"

static const char *extra(const char *key)
{
    const char *s = desc_extra(&d, "kubevirt", key);

    return s ? s : "(none)";
}

static void files_of_products(void)
{
    unsigned refused, n = round_corpus("kubevirt/*.yaml", "kubevirt", "round.yaml", &refused);

    if (check_skipped)
        return;
    CHECK(n >= 11);
    CHECK_EQ(refused, 0);
}

static const char vm_text[] =
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\n"
    "metadata:\n  name: web\n  labels: { a/b: 'yes', \"x~y\": \"2\" }\n"
    "  annotations:\n    description: |\n      two\n      lines\n"
    "spec:\n  runStrategy: Always\n  template:\n    metadata:\n      annotations:\n"
    "        vm.kubevirt.io/os: rhel9\n    spec:\n      hostname: web\n      domain:\n"
    "        cpu: {cores: 2, sockets: 2, threads: 2, model: host-passthrough}\n"
    "        memory:\n          guest: 1.5Gi\n          hugepages: {pageSize: 2Mi}\n"
    "        firmware:\n          uuid: 5d307ca9-b3ef-428c-8861-06e72d69f223\n"
    "          bootloader:\n            efi:\n              secureBoot: false\n"
    "              persistent: true\n"
    "        clock: {utc: {}, timer: {hpet: {present: false}}}\n"
    "        devices:\n          tpm: {}\n          rng: {}\n          sound: {name: s, model: "
    "ich9}\n"
    "          disks:\n"
    "          - name: root\n            bootOrder: 1\n            serial: ABC\n"
    "            disk: {bus: virtio}\n            cache: none\n"
    "          - {name: data, disk: {bus: scsi, readonly: true}}\n"
    "          - {name: cd, cdrom: {bus: sata}, bootOrder: 2}\n"
    "          - {name: seed, disk: {bus: virtio}}\n"
    "          - {name: tmp, disk: {}}\n"
    "          interfaces:\n          - {name: default, masquerade: {}, model: e1000e,\n"
    "             macAddress: '02:00:00:00:00:01', ports: [{port: 80}]}\n"
    "          - {name: data, bridge: {}, bootOrder: 3}\n"
    "      networks:\n      - {name: default, pod: {}}\n"
    "      - {name: data, multus: {networkName: lan}}\n"
    "      volumes:\n      - {name: root, persistentVolumeClaim: {claimName: web-root}}\n"
    "      - {name: data, dataVolume: {name: web-data}}\n"
    "      - {name: cd, containerDisk: {image: 'quay.io/x/y:1'}}\n"
    "      - name: seed\n        cloudInitNoCloud:\n          userData: |-\n"
    "            #cloud-config\n            password: x\n"
    "      - {name: tmp, emptyDisk: {capacity: 2Gi}}\n"
    "---\napiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata: {name: web-data}\n"
    "spec: {source: {blank: {}}}\n";

static void machine(void)
{
    store_bytes("web-root.qcow2", "x", 1);
    CHECK_EQ(open_text("vm.yaml", vm_text), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.annotation, "two\nlines\n");
    CHECK_TEXT(d.guest_os, "rhel9");
    CHECK_EQ(d.cpus, 8);
    CHECK_EQ(d.cores_per_socket, 4);
    CHECK_EQ(d.memory, 1536 << 20);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK(!d.secure_boot && d.tpm && d.has_uuid);
    CHECK_TEXT(d.clock, "utc");
    CHECK_TEXT(d.sound, "ich9");
    CHECK_TEXT(d.persona, "kvm");
    CHECK_TEXT(extra("spec/template/spec/hostname"), "\"web\"");
    CHECK_TEXT(extra("metadata/labels"), "{\"a/b\": \"yes\", \"x~y\": \"2\"}");
    CHECK_TEXT(extra("spec/template/spec/domain/cpu/model"), "\"host-passthrough\"");
    CHECK_TEXT(extra("spec/template/spec/domain/devices/disks/[root]/cache"), "\"none\"");
    CHECK(!strncmp(extra("--- DataVolume/web-data"), "{\"apiVersion\"", 13));
}

static void devices(void)
{
    const struct desc_disk *k = d.disks;
    const struct desc_nic *c = d.nics;

    CHECK_TEXT(k->name, "root");
    CHECK_TEXT(k->source, "web-root.qcow2");
    CHECK_EQ(k->boot, 1);
    CHECK_TEXT(k->serial, "ABC");
    CHECK_TEXT(desc_device(&d, k->controller)->class, "virtio_blk");
    k = k->next;
    CHECK_EQ(k->mode, DESC_READ);
    CHECK_TEXT(k->source, "web-data");
    CHECK(!k->path);
    CHECK_TEXT(desc_device(&d, k->controller)->class, "virtio_scsi");
    k = k->next;
    CHECK_EQ(k->media, DESC_CDROM);
    CHECK_TEXT(k->source, "quay.io/x/y:1");
    CHECK(has_note("cd", "registry"));
    k = k->next;
    CHECK(has_note("seed", "cloudInitNoCloud"));
    k = k->next;
    CHECK_EQ(k->capacity, 2ull << 30);
    CHECK_TEXT(desc_device(&d, k->controller)->class, "ahci");
    CHECK(!k->next);
    CHECK_TEXT(c->name, "default");
    CHECK_TEXT(c->class, "e1000e");
    CHECK_TEXT(c->network, "pod");
    CHECK_EQ(c->mac[5], 1);
    c = c->next;
    CHECK_TEXT(c->class, "virtio_net");
    CHECK_TEXT(c->network, "lan");
    CHECK_EQ(c->boot, 3);
    CHECK_TEXT(extra("#nic[1]"), "data"); /* a disk has this name already */
}

static void written_back(void)
{
    char block[65536];

    memset(block, 7, sizeof(block));
    store_bytes("claim.img", block, sizeof(block));
    store_bytes("web-root.qcow2", "", 0);
    unlink(in_dir("web-root.qcow2"));
    CHECK_EQ(open_text("vm.yaml", vm_text), 0);
    CHECK_EQ(round_trip("vm", "kubevirt", "vm2.yaml"), 0);
    CHECK_EQ(open_text("one.yaml",
                       "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n"
                       "metadata: {name: one}\nspec: {domain: {devices: {disks: [{name: a, disk: "
                       "{bus: virtio}}]}, memory: {guest: 64Mi}}, volumes: [{name: a, "
                       "persistentVolumeClaim: {claimName: claim}}]}\n"),
             0);
    CHECK(d.disks->path);
    CHECK_EQ(mkdir(in_dir("to"), 0700), 0);
    CHECK_EQ(round_trip("one", "kubevirt", "to/one.yaml"), 0);
    CHECK(d.disks && d.disks->path);
    CHECK_TEXT(d.disks->source, "claim.raw");
}

/* Our own names, from a VM of another product, are names here as well. */
static void made_from_another(void)
{
    struct package_options o = { .format = "kubevirt" };
    struct notes n = { 0 };
    struct err e = { 0 };
    char block[4096] = "";

    store_bytes("d.raw", block, sizeof(block));
    CHECK_EQ(open_text("web.cfg", "name='My Web'\nmemory=256\nvcpus=2\ntype='hvm'\n"
                                  "disk=['d.raw,raw,xvda,w','d.raw,raw,xvdb,w']\n"
                                  "vif=['model=e1000','bridge=lan']\nboot='c'\n"),
             0);
    CHECK_EQ(package_write(in_dir("mine.yaml"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    notes_fini(&n);
    CHECK_EQ(open_path(in_dir("mine.yaml")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "my-web");
    CHECK_EQ(d.cpus, 2);
    CHECK_TEXT(d.disks->name, "disk0");
    CHECK_EQ(d.disks->boot, 1);
    CHECK_TEXT(d.disks->next->source, "mine-disk1.raw");
    CHECK_TEXT(d.nics->class, "e1000");
    CHECK_TEXT(d.nics->next->network, "lan");
    CHECK_EQ(mkdir(in_dir("there"), 0700), 0); /* claims keep their names */
    CHECK_EQ(round_trip("mine", "kubevirt", "there/mine.yaml"), 0);
}

static void several(void)
{
    CHECK_EQ(open_text("two.yaml",
                       "apiVersion: v1\nkind: List\nitems:\n"
                       "- {apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: a},"
                       " spec: {template: {spec: {domain: {memory: {guest: 64Mi}}}}}}\n"
                       "- {apiVersion: kubevirt.io/v1alpha3, kind: VirtualMachineInstance,"
                       " metadata: {name: b}, spec: {domain: {resources: {requests: "
                       "{memory: 128M, cpu: 1500m}}}}}\n"),
             0);
    CHECK_TEXT(d.name, "a");
    CHECK(d.next);
    CHECK_TEXT(d.next->name, "b");
    CHECK_EQ(d.next->memory, 128000000);
    CHECK_EQ(d.next->cpus, 2);
    CHECK_EQ(round_trip("two", "kubevirt", "two2.yaml"), 0);
    CHECK(d.next);
    CHECK_EQ(d.next->memory, 128000000);
}

static void refuse(const char *text, int code, const char *says)
{
    char all[2000];

    snprintf(all, sizeof(all), "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n%s",
             text);
    CHECK_EQ(open_text("no.yaml", all), (u64)code);
    CHECK(strstr(err.text, says));
    if (check_failed_now)
        printf("# \"%s\" says \"%s\"\n", text, err.text);
}

static void nonsense(void)
{
    char deep[1200] = "spec: ";

    refuse("spec: {domain: &a {b: *a}}\n", -EOPNOTSUPP, "aliases");
    refuse("spec: {domain: {a: 1, a: 2}}\n", -EBADMSG, "twice");
    refuse("spec: {domain: {a: [1, 2}}\n", -EBADMSG, "line 3");
    refuse("spec: {domain: {[1]: 2}}\n", -EOPNOTSUPP, "key");
    refuse("spec: [1]\n", -EBADMSG, "no spec");
    refuse("spec: {domain: 3}\n", -EBADMSG, "no domain");
    refuse("spec: {domain: {cpu: {cores: -1}}}\n", -EBADMSG, "line 3");
    refuse("spec: {domain: {memory: {guest: 1e40}}}\n", -EBADMSG, "line 3");
    refuse("spec: {domain: {devices: {disks: [{name: a},{name: a}]}}}\n", -EBADMSG, "name");
    refuse("spec: {domain: {devices: {disks: [{disk: {}}]}}}\n", -EBADMSG, "name");
    for (int i = 0; i < 500; i++)
        strcat(deep, "[");
    refuse(deep, -E2BIG, "deep");
    CHECK_EQ(open_text("no.yaml", "apiVersion: kubevirt.io/v1\nkind: KubeVirt\n"),
             (u64)-EOPNOTSUPP);
}

static void scalar(const char *yaml, const char *flow)
{
    struct arena a = { 0 };
    struct tree *docs, *again;
    struct buf b = { 0 }, block = { 0 };

    CHECK_EQ(yaml_parse(&a, yaml, strlen(yaml), "x", &docs, NULL), 0);
    CHECK_EQ(tree_print(docs->first, &b), 0);
    buf_add(&b, "", 1);
    CHECK_TEXT((char *)b.p, flow);
    CHECK_EQ(yaml_print(docs->first, &block), 0); /* and back through block style */
    buf_fini(&b);
    CHECK_EQ(yaml_parse(&a, (char *)block.p, block.len, "x", &again, NULL), 0);
    CHECK_EQ(tree_print(again->first, &b), 0);
    buf_add(&b, "", 1);
    CHECK_TEXT((char *)b.p, flow);
    buf_fini(&b);
    buf_fini(&block);
    arena_fini(&a);
}

static void scalars(void)
{
    scalar("[1, '1', yes, \"yes\", ~, '', 0x1f, 1.5e3, 12:30, abc, true]",
           "[1, \"1\", yes, \"yes\", ~, \"\", 0x1f, 1.5e3, 12:30, \"abc\", true]");
    scalar("a: |\n  x\n   y\n\nb: >-\n  x\n  y\nc:\n- d\n- e: f\n",
           "{\"a\": \"x\\n y\\n\", \"b\": \"x y\", \"c\": [\"d\", {\"e\": \"f\"}]}");
    scalar("a: \"tab\\tquote\\\" \\u00e9\"\n'k:y': # c\n", "{\"a\": \"tab\\tquote\\\" \xc3\xa9\", "
                                                           "\"k:y\": null}");
    scalar("!tagged 5", "!tagged \"5\"");
    scalar("{a: {}, b: []}", "{\"a\": {}, \"b\": []}");
    scalar("'  blank '", "\"  blank \"");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(scalars);
    CASE(machine);
    CASE(devices);
    CASE(written_back);
    CASE(made_from_another);
    CASE(several);
    CASE(nonsense);
    CASE(files_of_products);
    done_all();
    return scratch_end();
}
