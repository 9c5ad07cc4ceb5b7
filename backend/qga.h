/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_QGA_H
#define BACKEND_QGA_H
#include "backend/agent.h"
#include "backend/chr.h"
#include "base/err.h"

/*
 * What talks to QEMU's guest agent, at the host's end of its serial port: a wire side of an agent.
 * VM thread.
 */
struct qga;
int qga_new(struct qga **out, struct agent *a, struct err *e);
void qga_free(struct qga *q);       /* after qga_chr's device is gone */
struct chr *qga_chr(struct qga *q); /* for the device "org.qemu.guest_agent.0" */
/* Tests: bytes of the guest, as if they had come. */
void qga_hear(struct qga *q, const u8 *p, u32 n);
#endif
