/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PERSONA_VMWARE_INT_H
#define PERSONA_VMWARE_INT_H
#include "backend/vmtools.h"
#include "engine/x86/state.h"
#include "machine/machine.h"
#include "persona/persona.h"
#include <pthread.h>

enum { BACKDOOR_MAGIC = 0x564d5868 };
enum { VMWARE_CHANNELS = 8, VMWARE_CPUS = 64, VMWARE_POINTER_WORDS = 256 };

/* A message channel: in is what the guest sends, out what it fetches. */
struct vmware_channel {
    u32 protocol; /* 0: free */
    u32 cookie[2];
    u32 in_len, in_at;
    u32 out_len, out_at;
    bool cookies, has_out, pad[10];
    u64 used; /* the count of uses at the last one */
    u8 in[VMTOOLS_MESSAGE], out[VMTOOLS_MESSAGE];
};

/* The clipboard on its way: in is what the guest copied, out what it pastes. */
struct vmware_clip {
    u32 in_len, in_at;
    u32 out_len, out_at;
    u8 in[VMTOOLS_CLIP], out[VMTOOLS_CLIP];
};

struct vmware_state {
    struct vmware_channel channel[VMWARE_CHANNELS];
    u64 uses;
    u64 steal[VMWARE_CPUS]; /* where a vCPU wants its stolen time; 0: nowhere */
    u64 balloon_pages;
    u32 balloon_features;
    bool balloon_on;
    bool pointer_on, pointer_relative, pad[5];
    u32 pointer[VMWARE_POINTER_WORDS];
    u32 pointer_from, pointer_count;
    struct vmware_clip clip[1];
    u32 pad2;
};

struct vmware {
    struct persona persona;
    struct vmware_config {
        u32 version, product;
        char uuid[48];
    } config;
    struct vmware_state state;
    u8 uuid[16];
    struct vmtools *tools; /* or NULL: nobody listens */
    pthread_mutex_t lock;  /* guards state */
    struct loop_timer *steal_timer;
    u32 thread[VMWARE_CPUS]; /* the host's number of a vCPU's thread; 0: not known */
    u64 stolen_base[VMWARE_CPUS];
};

/* All with the lock held. */
void vmware_message(struct vmware *v, struct x86_state *s);
/* The high-bandwidth port; p NULL: would it take or give so many bytes? */
bool vmware_message_bulk(struct vmware *v, struct x86_state *s, bool out, u8 *p, u32 n);
void vmware_message_reset(struct vmware *v);
void vmware_message_restored(struct vmware *v);
extern const struct field vmware_channel_fields[];

bool vmware_clip(struct vmware *v, struct x86_state *s); /* false: another command */
bool vmware_clip_can_be(const struct vmware_clip *c);
extern const struct field vmware_clip_fields[];

void vmware_balloon(struct vmware *v, struct x86_state *s);
void vmware_steal(struct vmware *v, u32 cpu, struct x86_state *s);
int vmware_steal_new(struct vmware *v, struct err *e);
void vmware_steal_restored(struct vmware *v);
void vmware_steal_here(struct vmware *v, u32 cpu); /* this thread runs that vCPU */
void vmware_pointer_status(struct vmware *v, struct x86_state *s);
void vmware_pointer_data(struct vmware *v, struct x86_state *s);
void vmware_pointer_command(struct vmware *v, struct x86_state *s);
bool vmware_pointer_move(struct persona *p, u32 x, u32 y, i32 z, u32 buttons); /* takes the lock */
#endif
