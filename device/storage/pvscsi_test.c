/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for the adapter: as Linux and SeaBIOS use it, and as no driver should. */
#include "base/bytes.h"
#include "base/loop.h"
#include "bus/scsi.h"
#include "device/storage/pvscsi_wire.h"
#include "tests/check.h"
#include "tests/efi_rom.h"
#include "tests/rig.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum {
    STATE = 0x10000,
    REQ = 0x20000,
    CMP = 0x40000,
    SENSE = 0x60000,
    LIST = 0x70000,
    MSG = 0x80000
};
enum { DATA = 0x100000, DISK = 4 << 20, RAM_MIB = 16, BLOCK = 512 };

static struct rig rig;
static struct blk *disk, *disc;
static struct device *dev;
static u64 regs;
static u32 made, told; /* requests written, completions read */
static struct pvscsi_completion_wire got[4096];

static u32 reg(u32 off)
{
    return (u32)rig_load(&rig, regs + off, 4);
}

static void reg_set(u32 off, u32 v)
{
    rig_store(&rig, regs + off, 4, v);
}

static void command(u32 cmd, const void *words, u32 bytes)
{
    reg_set(PVSCSI_COMMAND, cmd);
    for (u32 i = 0; i < bytes; i += 4)
        reg_set(PVSCSI_COMMAND_DATA, le32((const u8 *)words + i));
}

static void rings(u32 req_pages, u32 cmp_pages)
{
    struct pvscsi_setup_rings w = { .req_pages = req_pages,
                                    .cmp_pages = cmp_pages,
                                    .state_ppn = STATE / PVSCSI_PAGE };

    for (u32 i = 0; i < PVSCSI_PAGES; i++) {
        w.req_ppn[i] = REQ / PVSCSI_PAGE + i;
        w.cmp_ppn[i] = CMP / PVSCSI_PAGE + i;
    }
    command(PVSCSI_CMD_SETUP_RINGS, &w, sizeof(w));
    made = told = 0;
}

static void messages(u32 pages)
{
    struct pvscsi_setup_messages w = { .pages = pages };

    for (u32 i = 0; i < PVSCSI_MSG_PAGES; i++)
        w.ppn[i] = MSG / PVSCSI_PAGE + i;
    command(PVSCSI_CMD_SETUP_MSG_RING, &w, sizeof(w));
}

static void begin(u32 req_pages, u32 cmp_pages)
{
    static const char *const settings[] = { "cd", "2", NULL };
    struct device_end ends[3] = { { 0 } };
    struct err e = { 0 };

    rig_start(&rig, RAM_MIB, 1);
    rig_wire(&rig, "pci.a"); /* slot 2, pin A is wired to one of these */
    rig_wire(&rig, "pci.b");
    rig_wire(&rig, "pci.c");
    rig_wire(&rig, "pci.d");
    CHECK_EQ(blk_open_mem(&disk, DISK, false, machine_lane(rig.m), &e), 0);
    CHECK_EQ(blk_open_mem(&disc, 64 * 2048, true, machine_lane(rig.m), &e), 0);
    ends[0] = (struct device_end){ "scsi.0", disk };
    ends[1] = (struct device_end){ "scsi.1", disc };
    dev = rig_device(&rig, "pvscsi", settings, ends);
    rig_pci_enable(&rig, dev);
    regs = rig_bar(dev, 0);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 31 + (i >> 9) * 7);
    command(PVSCSI_CMD_RESET, NULL, 0);
    if (req_pages) {
        rings(req_pages, cmp_pages);
        CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0);
    }
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(disc);
    rig_stop(&rig);
}

static u32 state_word(u32 at)
{
    u8 b[4];

    rig_get(&rig, STATE + at, b, 4);
    return le32(b);
}

static void state_word_set(u32 at, u32 v)
{
    rig_put(&rig, STATE + at, &v, 4);
}

/* Writes a request to the ring; nobody is told yet. */
static void request(struct pvscsi_request_wire *w)
{
    u32 mask = (1u << state_word(PVSCSI_RS_REQ_LOG2)) - 1;

    if (!w->cdb_len)
        w->cdb_len = 16;
    w->sense_addr = SENSE;
    w->sense_len = 96;
    rig_put(&rig, REQ + (made & mask) * sizeof(*w), w, sizeof(*w));
    made++;
    state_word_set(PVSCSI_RS_REQ_PROD, made);
}

static bool all_told(void *arg)
{
    return state_word(PVSCSI_RS_CMP_PROD) == *(u32 *)arg;
}

/* Kicks and takes completions until `n` in all have come. */
static void wait_for(u32 n)
{
    u32 mask = (1u << state_word(PVSCSI_RS_CMP_LOG2)) - 1;

    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane_until(&rig, all_told, &n);
    for (; told < n; told++)
        rig_get(&rig, CMP + (told & mask) * sizeof(got[0]), &got[told % LEN(got)], sizeof(got[0]));
    state_word_set(PVSCSI_RS_CMP_CONS, told);
}

static struct pvscsi_completion_wire *run(struct pvscsi_request_wire *w)
{
    request(w);
    wait_for(made);
    return &got[(made - 1) % LEN(got)];
}

static struct pvscsi_request_wire transfer(bool write, u32 lba, u32 count, u64 addr)
{
    struct pvscsi_request_wire w = { .context = made + 1000,
                                     .data_addr = addr,
                                     .data_len = count * BLOCK,
                                     .flags = write ? PVSCSI_FLAG_TO_DEVICE : PVSCSI_FLAG_TO_HOST,
                                     .cdb_len = 10 };

    w.cdb[0] = write ? 0x2a : 0x28;
    put_be32(w.cdb + 2, lba);
    put_be16(w.cdb + 7, (u16)count);
    return w;
}

/* Targets say UNIT ATTENTION once after a reset: out of the way. */
static void settle(u8 target)
{
    struct pvscsi_request_wire w = { .flags = PVSCSI_FLAG_NO_DATA, .target = target };

    CHECK_EQ(run(&w)->scsi_status, SCSI_CHECK);
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
}

static bool same(u64 gpa, const u8 *p, u32 n)
{
    u8 *b = malloc(n);
    bool is;

    rig_get(&rig, gpa, b, n);
    is = !memcmp(b, p, n);
    free(b);
    return is;
}

static void reads_and_writes(void)
{
    struct pvscsi_request_wire w;
    struct pvscsi_completion_wire *c;
    u8 b[8 * BLOCK];

    begin(1, 1);
    CHECK_EQ(state_word(PVSCSI_RS_REQ_LOG2), 5);
    CHECK_EQ(state_word(PVSCSI_RS_CMP_LOG2), 7);
    settle(0);
    w = transfer(false, 100, 16, DATA + 12);
    c = run(&w);
    CHECK_EQ(c->context, w.context);
    CHECK_EQ(c->host_status, PVSCSI_HOST_OK);
    CHECK_EQ(c->scsi_status, SCSI_GOOD);
    CHECK_EQ(c->data_len, 16 * BLOCK);
    CHECK(same(DATA + 12, blk_mem(disk) + 100 * BLOCK, 16 * BLOCK));
    memset(b, 0xa5, sizeof(b));
    rig_put(&rig, DATA, b, sizeof(b));
    w = transfer(true, 200, 8, DATA);
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
    CHECK(!memcmp(blk_mem(disk) + 200 * BLOCK, b, sizeof(b)));
    w = (struct pvscsi_request_wire){ .flags = PVSCSI_FLAG_NO_DATA, .cdb = { 0x35 } };
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    CHECK(reg(PVSCSI_INTR_STATUS) & PVSCSI_INTR_COMPLETION); /* polled, as SeaBIOS does */
    end();
}

static void lists_of_pieces(void)
{
    struct pvscsi_sg sg[5] = { { DATA, 100, 0 },
                               { DATA + 0x1003, 412, 0 },
                               { LIST + 0x1000, 0, PVSCSI_SG_CHAIN },
                               { 0 },
                               { 0 } };
    struct pvscsi_sg rest[2] = { { DATA + 0x3000, 0, 0 }, { DATA + 0x4000, 5000, 0 } };
    struct pvscsi_request_wire w;

    begin(1, 1);
    settle(0);
    rig_put(&rig, LIST, sg, sizeof(sg));
    rig_put(&rig, LIST + 0x1000, rest, sizeof(rest));
    w = transfer(false, 7, 2, LIST);
    w.flags |= PVSCSI_FLAG_SG;
    CHECK_EQ(run(&w)->data_len, 2 * BLOCK);
    CHECK(same(DATA, blk_mem(disk) + 7 * BLOCK, 100));
    CHECK(same(DATA + 0x1003, blk_mem(disk) + 7 * BLOCK + 100, 412));
    CHECK(same(DATA + 0x4000, blk_mem(disk) + 8 * BLOCK, BLOCK));
    end();
}

static void hostile_lists(void)
{
    static const struct pvscsi_sg lists[][2] = {
        { { LIST, 0, PVSCSI_SG_CHAIN } },               /* around in a circle */
        { { 0xfffffffffffffff0, 0, PVSCSI_SG_CHAIN } }, /* a chain into nothing */
        { { 0xe0000000, 4096, 0 } },                    /* MMIO, perhaps our own */
        { { RAM_MIB << 20, 1, 0 } },
        { { (RAM_MIB << 20) - 1, 4096, 0 } },
        { { ~0ull, 0xffffffff, 0 } },
        { { DATA, 0, 0 }, { LIST, 0, PVSCSI_SG_CHAIN } },
        { { DATA, 1, 0 }, { LIST, 0, PVSCSI_SG_CHAIN } }, /* a piece of one byte for ever */
    };

    begin(1, 1);
    settle(0);
    for (u32 i = 0; i < LEN(lists); i++) {
        struct pvscsi_request_wire w = transfer(false, 0, 8, LIST);

        rig_put(&rig, LIST, lists[i], sizeof(lists[i]));
        w.flags |= PVSCSI_FLAG_SG;
        CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_PARAMETER);
        w = transfer(true, 0, 8, LIST);
        w.flags |= PVSCSI_FLAG_SG;
        CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_PARAMETER);
    }
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 0);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0); /* still answers */
    end();
}

static void odd_lengths(void)
{
    struct pvscsi_request_wire w;
    struct pvscsi_completion_wire *c;

    begin(1, 1);
    settle(0);
    w = transfer(false, 0, 4, DATA);
    w.data_len = 2 * BLOCK + 100; /* less than the command transfers */
    c = run(&w);
    CHECK_EQ(c->data_len, 2 * BLOCK);
    w.data_len = 100 * BLOCK; /* more */
    CHECK_EQ(run(&w)->data_len, 4 * BLOCK);
    w.data_len = 1ull << 62;
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_PARAMETER);
    w = transfer(false, 0, 4, DATA);
    w.flags = PVSCSI_FLAG_TO_DEVICE;
    CHECK_EQ(run(&w)->data_len, 0);
    w.cdb_len = 17;
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_PARAMETER);
    w = transfer(false, DISK / BLOCK, 1, DATA);
    c = run(&w);
    CHECK_EQ(c->scsi_status, SCSI_CHECK);
    CHECK_EQ(c->sense_len, SCSI_SENSE);
    CHECK(same(SENSE, (const u8[]){ 0x70, 0, 5 }, 3));
    end();
}

static void targets(void)
{
    struct pvscsi_request_wire w = { .data_addr = DATA,
                                     .data_len = 36,
                                     .flags = PVSCSI_FLAG_TO_HOST,
                                     .cdb = { 0x12, 0, 0, 0, 36 } };

    begin(1, 1);
    CHECK_EQ(run(&w)->data_len, 36);
    CHECK(same(DATA + 8, (const u8 *)"VMware  Virtual disk    2.0 ", 28));
    w.target = 1;
    run(&w);
    CHECK(same(DATA, (const u8[]){ 5, 0x80 }, 2));
    w.target = 2;
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_NO_DEVICE);
    w.target = 200;
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_NO_DEVICE);
    w.target = 0;
    w.bus = 1;
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_NO_DEVICE);
    w.bus = 0;
    w.lun[1] = 1;
    run(&w);
    CHECK(same(DATA, (const u8[]){ 0x7f }, 1));
    settle(1);
    memset(&w, 0, sizeof(w));
    w = (struct pvscsi_request_wire){ .data_addr = DATA,
                                      .data_len = 4096,
                                      .target = 1,
                                      .flags = PVSCSI_FLAG_TO_HOST,
                                      .cdb = { 0x28, 0, 0, 0, 0, 3, 0, 0, 2 } };
    CHECK_EQ(run(&w)->data_len, 4096);
    CHECK(same(DATA, blk_mem(disc) + 3 * 2048, 4096));
    end();
}

static void many_at_once(void)
{
    enum { ALL = 1024, EACH = 2 * BLOCK };
    static u32 seen[ALL];

    begin(32, 8);
    settle(0);
    for (u32 i = 0; i < ALL; i++) {
        struct pvscsi_request_wire w = transfer(i & 1, i * 2, 2, DATA + i * EACH);
        u8 b[EACH];

        w.context = i;
        memset(b, (int)i, sizeof(b));
        if (i & 1)
            rig_put(&rig, DATA + i * EACH, b, sizeof(b));
        request(&w);
    }
    wait_for(made);
    memset(seen, 0, sizeof(seen));
    for (u32 i = 0; i < ALL; i++) {
        const struct pvscsi_completion_wire *c = &got[2 + i];

        CHECK_EQ(c->host_status, 0);
        CHECK_EQ(c->data_len, EACH);
        seen[c->context % ALL]++;
    }
    for (u32 i = 0; i < ALL; i++) {
        CHECK_EQ(seen[i], 1);
        CHECK(same(DATA + i * EACH, blk_mem(disk) + i * EACH, EACH));
    }
    end();
}

static void interrupts(void)
{
    struct pvscsi_request_wire w = { .flags = PVSCSI_FLAG_NO_DATA };

    begin(1, 1);
    run(&w);
    CHECK(!rig_wire_is_up(&rig));
    reg_set(PVSCSI_INTR_MASK, 1);
    CHECK(rig_wire_is_up(&rig));
    reg_set(PVSCSI_INTR_STATUS, 1);
    CHECK(!rig_wire_is_up(&rig));
    run(&w);
    CHECK(rig_wire_is_up(&rig));
    reg_set(PVSCSI_INTR_STATUS, 1);
    rig_msix_enable(&rig, dev, 1);
    rig_msi_clear(&rig);
    run(&w);
    run(&w); /* nobody clears the status in between: told again */
    CHECK(!rig_wire_is_up(&rig));
    CHECK_EQ(rig_msi_seen(&rig, 0xfee00000, 0), 2);
    end();
}

/* ---- kicks that do not come to the device: who runs the vCPUs writes to a descriptor ---- */

static struct {
    u64 at[4];
    u32 n;
    int fd;
} doors;

static int doors_told(void *arg, const struct bell_place *p, int fd, bool on)
{
    u32 i;

    for (i = 0; i < doors.n && doors.at[i] != p->at; i++)
        continue;
    CHECK(on ? i == doors.n && i < LEN(doors.at) : i < doors.n);
    if (on && i < LEN(doors.at))
        doors.at[doors.n++] = p->at;
    else if (!on && i < doors.n)
        doors.at[i] = doors.at[--doors.n];
    doors.fd = fd;
    return 0;
}

static void kicks_past_the_device(void)
{
    struct pvscsi_request_wire w = { .flags = PVSCSI_FLAG_NO_DATA };
    struct machine_cpus cpus;
    u64 one = 1;
    u32 command_was;

    begin(1, 1);
    memset(&doors, 0, sizeof(doors));
    cpus = *machine_cpus(rig.m);
    cpus.bell = doors_told;
    machine_cpus_set(rig.m, &cpus);
    CHECK_EQ(doors.n, 2);
    CHECK_EQ(doors.at[0] + doors.at[1], 2 * regs + PVSCSI_KICK_OTHER + PVSCSI_KICK_RW);
    request(&w);
    CHECK_EQ(write(doors.fd, &one, sizeof(one)), sizeof(one));
    rig_lane_until(&rig, all_told, &made);
    told = made;
    command_was = rig_pci_get(dev, 4, 2);
    rig_pci_set(dev, 4, 2, 0); /* out of sight: nobody kicks there */
    CHECK_EQ(doors.n, 0);
    rig_pci_set(dev, 4, 2, command_was);
    CHECK_EQ(doors.n, 2);
    request(&w); /* one that nobody has looked at when the machine is saved */
    CHECK_EQ(write(doors.fd, &one, sizeof(one)), sizeof(one));
    rig_pause(&rig);
    rig_resume(&rig);
    rig_lane_until(&rig, all_told, &made);
    told = made;
    end();
    CHECK_EQ(doors.n, 0);
}

static void refusals(void)
{
    struct pvscsi_setup_rings w = { .req_pages = 33, .cmp_pages = 1 };
    u32 one = 1;

    begin(0, 0);
    messages(1);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff); /* without the other rings */
    command(PVSCSI_CMD_SETUP_THRESHOLD, &one, 4);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0);
    command(77, NULL, 0);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    command(PVSCSI_CMD_SETUP_RINGS, &w, sizeof(w));
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    w.req_pages = 0;
    command(PVSCSI_CMD_SETUP_RINGS, &w, sizeof(w));
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    w.req_pages = 1;
    w.state_ppn = 0xe0000;
    command(PVSCSI_CMD_SETUP_RINGS, &w, sizeof(w));
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    end();
}

static void configuration_page(void)
{
    struct pvscsi_config_command w = { .reply = DATA,
                                       .address = (u64)PVSCSI_CONFIG_ADDRESS << 32,
                                       .page = PVSCSI_CONFIG_CONTROLLER };
    u8 page[480] = { 0 };

    begin(1, 1);
    memset(page, 0xff, sizeof(page));
    rig_put(&rig, DATA, page, sizeof(page));
    command(PVSCSI_CMD_CONFIG, &w, sizeof(w));
    rig_get(&rig, DATA, page, sizeof(page));
    CHECK_EQ(le32(page), PVSCSI_CONFIG_CONTROLLER);
    CHECK_EQ(le16(page + 6), 0);
    CHECK_EQ(le32(page + 472), 16);
    w.page = 0x195a;
    command(PVSCSI_CMD_CONFIG, &w, sizeof(w));
    rig_get(&rig, DATA, page, 16);
    CHECK_EQ(le16(page + 6), PVSCSI_HOST_PARAMETER);
    end();
}

static void wild_ring_indices(void)
{
    struct pvscsi_request_wire w = { .flags = PVSCSI_FLAG_NO_DATA };
    u32 told_before;

    begin(1, 1);
    run(&w);
    told_before = state_word(PVSCSI_RS_CMP_PROD);
    state_word_set(PVSCSI_RS_REQ_PROD, made + 33);
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    CHECK_EQ(state_word(PVSCSI_RS_CMP_PROD), told_before);
    command(PVSCSI_CMD_RESET, NULL, 0); /* heals */
    rings(1, 1);
    CHECK_EQ(run(&w)->host_status, 0);
    rings(1, 1);
    state_word_set(PVSCSI_RS_CMP_CONS, 5); /* the guest says it took what never came */
    request(&w);
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    CHECK_EQ(state_word(PVSCSI_RS_CMP_PROD), 0);
    end();
}

static void faults_reach_the_guest(void)
{
    static const struct {
        u32 ops;
        int rc;
        bool write;
        u8 key, asc;
    } t[] = {
        { 1 << BLK_READ, -EIO, false, 3, 0x11 },
        { 1 << BLK_WRITE, -EIO, true, 3, 0x0c },
        { 1 << BLK_WRITE, -ENOSPC, true, 7, 0x27 },
        { 1 << BLK_READ, -ENOMEM, false, 4, 0x44 },
    };

    begin(1, 1);
    settle(0);
    for (u32 i = 0; i < LEN(t); i++) {
        struct pvscsi_request_wire w = transfer(t[i].write, 50, 4, DATA);
        struct pvscsi_completion_wire *c;
        u8 sense[SCSI_SENSE];

        blk_mem_fail(disk, t[i].ops, 51 * BLOCK, 1, t[i].rc, 1);
        c = run(&w);
        CHECK_EQ(c->scsi_status, SCSI_CHECK);
        CHECK_EQ(c->data_len, 0);
        rig_get(&rig, SENSE, sense, sizeof(sense));
        CHECK_EQ(sense[2], t[i].key);
        CHECK_EQ(sense[12], t[i].asc);
        CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
    }
    end();
}

static void provisioning(void)
{
    struct pvscsi_request_wire w = { .data_addr = DATA,
                                     .data_len = 24,
                                     .flags = PVSCSI_FLAG_TO_DEVICE,
                                     .cdb = { 0x42, 0, 0, 0, 0, 0, 0, 0, 24 } };
    u8 list[24] = { 0 }, zero[BLOCK] = { 0 }, block[BLOCK];

    begin(1, 1);
    settle(0);
    put_be16(list + 2, 16);
    put_be64(list + 8, 10);
    put_be32(list + 16, 2);
    rig_put(&rig, DATA, list, sizeof(list));
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
    CHECK_EQ(blk_mem_count(disk, BLK_TRIM), 1);
    CHECK(!memcmp(blk_mem(disk) + 11 * BLOCK, zero, BLOCK));
    memset(block, 0x77, BLOCK);
    rig_put(&rig, DATA, block, BLOCK);
    w = (struct pvscsi_request_wire){ .data_addr = DATA,
                                      .data_len = BLOCK,
                                      .flags = PVSCSI_FLAG_TO_DEVICE,
                                      .cdb = { 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0x06, 0 } };
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD);
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 3); /* 1536 blocks, 512 at a time */
    for (u32 i = 0; i < 0x600; i++)
        CHECK(!memcmp(blk_mem(disk) + (20 + i) * BLOCK, block, BLOCK));
    end();
}

/* Commands that wait need the lane to run meanwhile. */
static void on_post(void *arg)
{
    (void)arg; /* wakes the loop */
}

struct waiting {
    u32 command;
    const void *words;
    u32 bytes;
    bool done;
};
static void *wait_thread(void *arg)
{
    struct waiting *w = arg;

    command(w->command, w->words, w->bytes);
    __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(rig.m), on_post, NULL);
    return NULL;
}

static bool waiting_done(void *arg)
{
    return __atomic_load_n(&((struct waiting *)arg)->done, __ATOMIC_ACQUIRE);
}

static void on_field(void *arg, const char *path, const struct field *f, u64 value)
{
    (void)f;
    if (!strcmp(path, "command"))
        *(u64 *)arg = value;
}

/* Has the command begun?  The domain is free again when it waits. */
static bool waiting_began(const struct waiting *w)
{
    u64 now = 0;

    domain_lock(dev->domain);
    field_each(dev->class->state, (u8 *)dev + dev->class->state_at, on_field, &now);
    domain_unlock(dev->domain);
    return now == w->command;
}

/* Starts `n` reads that stay under way, resets by `w`, lets them go. */
static void in_the_middle(struct waiting *w, u32 n)
{
    pthread_t thread;

    blk_mem_hold(disk, true);
    for (u32 i = 0; i < n; i++) {
        struct pvscsi_request_wire r = transfer(false, i, 1, DATA + i * BLOCK);

        request(&r);
    }
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    CHECK_EQ(state_word(PVSCSI_RS_REQ_CONS), made);
    CHECK_EQ(pthread_create(&thread, NULL, wait_thread, w), 0);
    while (!waiting_began(w))
        sched_yield();
    CHECK(!waiting_done(w));
    blk_mem_hold(disk, false);
    rig_lane_until(&rig, waiting_done, w);
    pthread_join(thread, NULL);
}

static void bus_reset_in_the_middle(void)
{
    struct waiting w = { .command = PVSCSI_CMD_RESET_BUS };

    begin(1, 1);
    settle(0);
    in_the_middle(&w, 20);
    wait_for(made);
    for (u32 i = told - 20; i < told; i++)
        CHECK_EQ(got[i].host_status, PVSCSI_HOST_BUS_RESET);
    settle(0);
    end();
}

static void device_reset_in_the_middle(void)
{
    struct pvscsi_reset_device d = { .target = 0 };
    struct waiting w = { PVSCSI_CMD_RESET_DEVICE, &d, sizeof(d), false };

    begin(1, 1);
    settle(0);
    settle(1);
    in_the_middle(&w, 20);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0);
    wait_for(made);
    settle(0); /* attention again, the other target has none */
    CHECK_EQ(run(&(struct pvscsi_request_wire){ .flags = PVSCSI_FLAG_NO_DATA, .target = 1 })
                 ->scsi_status,
             SCSI_GOOD);
    d.target = 5;
    command(PVSCSI_CMD_RESET_DEVICE, &d, sizeof(d));
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    end();
}

static void adapter_reset_in_the_middle(void)
{
    struct waiting w = { .command = PVSCSI_CMD_RESET };
    u8 mark[BLOCK];

    begin(1, 1);
    settle(0);
    in_the_middle(&w, 20);
    memset(mark, 0xee, sizeof(mark)); /* the memory is the guest's again */
    rig_put(&rig, DATA, mark, sizeof(mark));
    rig_lane(&rig);
    CHECK(same(DATA, mark, sizeof(mark)));
    CHECK_EQ(state_word(PVSCSI_RS_CMP_PROD), told);
    CHECK_EQ(reg(PVSCSI_INTR_STATUS), 0);
    rings(1, 1);
    settle(0);
    end();
}

static void aborted(void)
{
    struct pvscsi_request_wire w;
    struct pvscsi_abort a;

    begin(1, 1);
    settle(0);
    blk_mem_hold(disk, true);
    w = transfer(false, 0, 1, DATA);
    request(&w);
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    a = (struct pvscsi_abort){ .context = w.context, .target = 0 };
    command(PVSCSI_CMD_ABORT, &a, sizeof(a));
    blk_mem_hold(disk, false);
    wait_for(made);
    CHECK_EQ(got[told - 1].host_status, PVSCSI_HOST_ABORTED);
    end();
}

static struct pvscsi_message message(u32 n)
{
    struct pvscsi_message m;

    rig_get(&rig, MSG + n % PVSCSI_PAGE_MSGS * sizeof(m), &m, sizeof(m));
    return m;
}

/* As Linux does: asks for the command, sets the ring up, is told, lets go, takes the message. */
static void disks_come_and_go(void)
{
    struct pvscsi_request_wire w = { .flags = PVSCSI_FLAG_NO_DATA, .target = 5 };
    struct err e = { 0 };

    begin(1, 1);
    settle(0);
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), 1); /* nobody can be told */
    settle(5);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, false, &e), -EOPNOTSUPP);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, true, &e), 1);
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_NO_DEVICE);
    reg_set(PVSCSI_COMMAND, PVSCSI_CMD_SETUP_MSG_RING);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), PVSCSI_STATUS_MORE);
    messages(1);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0);
    CHECK_EQ(state_word(PVSCSI_RS_MSG_LOG2), 5);
    reg_set(PVSCSI_INTR_STATUS, ~0u);
    reg_set(PVSCSI_INTR_MASK, 0xf);
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), 0);
    CHECK_EQ(reg(PVSCSI_INTR_STATUS), PVSCSI_INTR_MESSAGE);
    CHECK(rig_wire_is_up(&rig));
    CHECK_EQ(state_word(PVSCSI_RS_MSG_PROD), 1);
    CHECK_EQ(message(0).type, PVSCSI_MSG_ADDED);
    CHECK_EQ(message(0).target, 5);
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), -EEXIST);
    state_word_set(PVSCSI_RS_MSG_CONS, 1);
    settle(5);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, false, &e), -EAGAIN);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, false, &e), -EAGAIN);
    CHECK_EQ(state_word(PVSCSI_RS_MSG_PROD), 2); /* told once */
    CHECK_EQ(message(1).type, PVSCSI_MSG_REMOVED);
    CHECK_EQ(run(&w)->scsi_status, SCSI_GOOD); /* its last flush */
    state_word_set(PVSCSI_RS_MSG_CONS, 2);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, false, &e), 0);
    CHECK_EQ(run(&w)->host_status, PVSCSI_HOST_NO_DEVICE);
    CHECK_EQ(device_end_set(dev, "scsi.5", NULL, false, &e), -ENOENT);
    CHECK_EQ(device_end_set(dev, "scsi.64", disk, false, &e), -EINVAL);
    CHECK_EQ(device_end_set(dev, "scsi.1", disk, false, &e), -EINVAL); /* a CD drive's place */
    end();
}

static void hostile_message_rings(void)
{
    struct pvscsi_setup_messages w = { .pages = 17 };
    struct err e = { 0 };

    begin(1, 1);
    command(PVSCSI_CMD_SETUP_MSG_RING, &w, sizeof(w));
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0xffffffff);
    w.pages = 1;
    w.ppn[0] = 0xe0000; /* MMIO */
    command(PVSCSI_CMD_SETUP_MSG_RING, &w, sizeof(w));
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), -EFAULT);
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), -EFAULT); /* it did not come */
    messages(1);
    for (u32 i = 0; i < PVSCSI_PAGE_MSGS; i++) {
        CHECK_EQ(device_end_set(dev, "scsi.5", i & 1 ? NULL : disk, true, &e), 0);
        CHECK_EQ(message(i).type, i & 1);
    }
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), -EBUSY); /* full */
    state_word_set(PVSCSI_RS_MSG_CONS, 77);                           /* of what was never told */
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), -EBUSY);
    command(PVSCSI_CMD_RESET, NULL, 0);
    rings(1, 1);
    CHECK_EQ(device_end_set(dev, "scsi.5", disk, false, &e), 1);
    end();
}

/* Requests of a disk that is pulled out end first. */
static void *pull_thread(void *arg)
{
    struct waiting *w = arg;

    w->bytes = (u32)device_end_set(dev, "scsi.0", NULL, true, NULL);
    __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(rig.m), on_post, NULL);
    return NULL;
}

static void pulled_in_the_middle(void)
{
    struct pvscsi_request_wire r;
    struct waiting w = { .done = false };
    pthread_t thread;

    begin(1, 1);
    settle(0);
    blk_mem_hold(disk, true);
    r = transfer(false, 0, 1, DATA);
    request(&r);
    reg_set(PVSCSI_KICK_RW, 0);
    rig_lane(&rig);
    CHECK_EQ(pthread_create(&thread, NULL, pull_thread, &w), 0);
    blk_mem_hold(disk, false);
    rig_lane_until(&rig, waiting_done, &w);
    pthread_join(thread, NULL);
    CHECK_EQ(w.bytes, 1);
    wait_for(made);
    CHECK_EQ(got[told - 1].scsi_status, SCSI_GOOD);
    CHECK_EQ(run(&r)->host_status, PVSCSI_HOST_NO_DEVICE);
    end();
}

static void threshold(void)
{
    u32 one = 1, zero = 0;

    begin(1, 1);
    command(PVSCSI_CMD_SETUP_THRESHOLD, &one, 4);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 1);
    CHECK_EQ(state_word(PVSCSI_RS_THRESHOLD), 1);
    settle(0);
    command(PVSCSI_CMD_SETUP_THRESHOLD, &zero, 4);
    CHECK_EQ(reg(PVSCSI_COMMAND_STATUS), 0);
    end();
}

static void rom(void)
{
    efi_rom(pvscsi_rom, pvscsi_rom_size, PVSCSI_VENDOR, PVSCSI_DEVICE);
}

int main(void)
{
    CASE(reads_and_writes);
    CASE(kicks_past_the_device);
    CASE(lists_of_pieces);
    CASE(hostile_lists);
    CASE(odd_lengths);
    CASE(targets);
    CASE(many_at_once);
    CASE(interrupts);
    CASE(refusals);
    CASE(configuration_page);
    CASE(wild_ring_indices);
    CASE(faults_reach_the_guest);
    CASE(provisioning);
    CASE(bus_reset_in_the_middle);
    CASE(device_reset_in_the_middle);
    CASE(adapter_reset_in_the_middle);
    CASE(aborted);
    CASE(disks_come_and_go);
    CASE(hostile_message_rings);
    CASE(pulled_in_the_middle);
    CASE(threshold);
    CASE(rom);
    return check_end();
}
