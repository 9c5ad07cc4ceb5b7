/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial port.  National Semiconductor PC16550D data sheet.
 *
 * What is sent is out at once; what comes waits at the host until the FIFO has room.
 * Left out: the line's speed, parity and break (the registers are kept), DMA modes.
 */
#include "backend/chr.h"
#include "machine/device.h"
#include <errno.h>
#include <stdio.h>

enum { DATA, IER, FCR_IIR, LCR, MCR, LSR, MSR, SCR, UART_PORTS, UART_FIFO = 16 };
enum { IER_RECEIVE = 1, IER_SEND = 2, IER_LINE = 4, IER_MODEM = 8 };
enum {
    IIR_NONE = 1,
    IIR_MODEM = 0,
    IIR_SEND = 2,
    IIR_RECEIVE = 4,
    IIR_LINE = 6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFO = 0xc0
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVE = 2, FCR_WRITABLE = 0xc9 };
enum {
    LCR_DIVISOR = 0x80,
    MCR_OUT2 = 8,
    MCR_LOOP = 0x10,
    LSR_READY = 1,
    LSR_OVERRUN = 2,
    LSR_SENT = 0x60
};
enum { MSR_THERE = 0xb0 /* CTS DSR DCD */ };

struct uart16550 {
    struct device dev;
    struct uart16550_config {
        u16 port;
        u8 irq, pad;
    } config;
    struct uart16550_state {
        u8 fifo[UART_FIFO];
        u8 head, count; /* of the FIFO */
        u8 ier, fcr, lcr, mcr, lsr, msr_delta, scr, dll, dlm;
        bool send_due; /* the transmitter is empty and nobody was told */
        bool timeout;  /* fewer than the trigger level, but they have waited */
        u8 pad[3];
    } state;
    struct irq irq;
    struct chr *chr;
};

static struct uart16550_state *uart_state(struct device *d)
{
    return &((struct uart16550 *)d)->state;
}

static u32 uart_room(const struct uart16550_state *s)
{
    return (s->fcr & FCR_ENABLE ? UART_FIFO : 1u) - s->count;
}

static u32 uart_trigger(const struct uart16550_state *s)
{
    static const u8 levels[] = { 1, 4, 8, 14 };

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* Table of interrupt priorities in the data sheet, highest first. */
static u8 uart_iir(const struct uart16550_state *s)
{
    if (s->ier & IER_LINE && s->lsr & LSR_OVERRUN)
        return IIR_LINE;
    if (s->ier & IER_RECEIVE && s->count >= uart_trigger(s))
        return IIR_RECEIVE;
    if (s->ier & IER_RECEIVE && s->count && s->timeout)
        return IIR_TIMEOUT;
    if (s->ier & IER_SEND && s->send_due)
        return IIR_SEND;
    if (s->ier & IER_MODEM && s->msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void uart_update(struct uart16550 *u)
{
    const struct uart16550_state *s = &u->state;

    irq_set(&u->irq, uart_iir(s) != IIR_NONE && s->mcr & MCR_OUT2);
}

/* Room has come: ask the host for more, unless the line is looped. */
static void uart_more(struct uart16550 *u)
{
    if (u->chr && !(u->state.mcr & MCR_LOOP))
        chr_more(u->chr);
}

static void uart_receive(struct uart16550_state *s, u8 byte)
{
    if (!uart_room(s)) {
        s->lsr |= LSR_OVERRUN;
        return;
    }
    s->fifo[(s->head + s->count) % UART_FIFO] = byte;
    s->count++;
}

static u8 uart_read(struct uart16550 *u)
{
    struct uart16550_state *s = &u->state;
    u8 byte = s->fifo[s->head];

    if (!s->count)
        return 0;
    s->head = (s->head + 1) % UART_FIFO;
    if (--s->count == 0) {
        s->timeout = false;
        uart_more(u);
    }
    return byte;
}

static void uart_send(struct uart16550 *u, u8 byte)
{
    struct uart16550_state *s = &u->state;

    if (s->mcr & MCR_LOOP) {
        uart_receive(s, byte);
        s->timeout = true;
    } else if (u->chr) {
        chr_put(u->chr, &byte, 1);
    }
    s->send_due = true;
}

static void uart_fcr(struct uart16550 *u, u8 val)
{
    struct uart16550_state *s = &u->state;

    if ((val ^ s->fcr) & FCR_ENABLE ||
        (val & (FCR_CLEAR_RECEIVE | FCR_ENABLE)) == (FCR_CLEAR_RECEIVE | FCR_ENABLE)) {
        s->head = s->count = 0;
        s->timeout = false;
        uart_more(u);
    }
    s->fcr = val & FCR_ENABLE ? val & FCR_WRITABLE : 0;
}

/* In loop mode the modem's outputs are its inputs. */
static u8 uart_msr(struct uart16550_state *s)
{
    u8 m = s->mcr, val = MSR_THERE;

    if (m & MCR_LOOP)
        val = (u8)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4);
    val |= s->msr_delta;
    s->msr_delta = 0;
    return val;
}

static void uart_mcr(struct uart16550 *u, u8 val)
{
    struct uart16550_state *s = &u->state;
    u8 before = uart_msr(s) >> 4, after;
    u8 was = s->mcr;

    s->mcr = val & 0x1f;
    after = uart_msr(s) >> 4;
    if ((was | s->mcr) & MCR_LOOP)
        s->msr_delta = (u8)(((before ^ after) & 0xb) | (before & ~after & 4));
    if (was & MCR_LOOP)
        uart_more(u);
}

static u64 uart_load(struct device *d, u32 off, u32 size)
{
    struct uart16550 *u = (struct uart16550 *)d;
    struct uart16550_state *s = &u->state;
    u64 val = 0;

    (void)size;
    switch (off) {
    case DATA:
        val = s->lcr & LCR_DIVISOR ? s->dll : uart_read(u);
        break;
    case IER:
        val = s->lcr & LCR_DIVISOR ? s->dlm : s->ier;
        break;
    case FCR_IIR:
        val = uart_iir(s);
        if (val == IIR_SEND)
            s->send_due = false;
        val |= s->fcr & FCR_ENABLE ? IIR_FIFO : 0;
        break;
    case LCR:
        val = s->lcr;
        break;
    case MCR:
        val = s->mcr;
        break;
    case LSR:
        val = s->lsr | LSR_SENT | (s->count ? LSR_READY : 0u);
        s->lsr = 0;
        break;
    case MSR:
        val = uart_msr(s);
        break;
    case SCR:
        val = s->scr;
        break;
    }
    uart_update(u);
    return val;
}

static void uart_store(struct device *d, u32 off, u32 size, u64 wide)
{
    struct uart16550 *u = (struct uart16550 *)d;
    struct uart16550_state *s = &u->state;
    u8 val = (u8)wide;

    (void)size;
    switch (off) {
    case DATA:
        if (s->lcr & LCR_DIVISOR)
            s->dll = val;
        else
            uart_send(u, val);
        break;
    case IER:
        if (s->lcr & LCR_DIVISOR) {
            s->dlm = val;
            break;
        }
        if (val & ~s->ier & IER_SEND)
            s->send_due = true; /* it is empty: say so at once */
        s->ier = val & 0xf;
        break;
    case FCR_IIR:
        uart_fcr(u, val);
        break;
    case LCR:
        s->lcr = val;
        break;
    case MCR:
        uart_mcr(u, val);
        break;
    case SCR:
        s->scr = val;
        break;
    }
    uart_update(u);
}

/* ---- the host's side, on its loop: no domain is held ---- */

static u32 uart_can(void *arg)
{
    struct uart16550 *u = arg;
    u32 n;

    domain_lock(u->dev.domain);
    n = u->state.mcr & MCR_LOOP ? 0 : uart_room(&u->state);
    domain_unlock(u->dev.domain);
    return n;
}

static void uart_take(void *arg, const u8 *p, u32 n)
{
    struct uart16550 *u = arg;

    domain_lock(u->dev.domain);
    for (u32 i = 0; i < n; i++)
        uart_receive(&u->state, p[i]);
    u->state.timeout = true;
    uart_update(u);
    domain_unlock(u->dev.domain);
}

static int uart16550_create(struct device *d, struct err *e)
{
    struct uart16550 *u = (struct uart16550 *)d;
    struct region r = { .name = d->name,
                        .base = u->config.port,
                        .len = UART_PORTS,
                        .min = 1,
                        .max = 1,
                        .load = uart_load,
                        .store = uart_store,
                        .dev = d };
    char irq[16];

    if (u->config.irq > 15)
        return err_set(e, -EINVAL, "irq %u is not one of 0 to 15", u->config.irq);
    snprintf(irq, sizeof(irq), "isa.%u", u->config.irq);
    u->irq = machine_wire(d->machine, d, irq);
    if (space_add(machine_ports(d->machine), &r, NULL, e))
        return -EEXIST;
    u->chr = device_end(d, "chr");
    if (u->chr)
        chr_attach(u->chr, uart_can, uart_take, u);
    return 0;
}

static void uart16550_destroy(struct device *d)
{
    struct uart16550 *u = (struct uart16550 *)d;

    if (u->chr)
        chr_attach(u->chr, NULL, NULL, NULL);
}

static void uart16550_reset(struct device *d, enum reset kind)
{
    struct uart16550 *u = (struct uart16550 *)d;

    (void)kind;
    *uart_state(d) = (struct uart16550_state){ .dll = 12 };
    uart_update(u);
    uart_more(u);
}

static int uart16550_check(const struct device *d, struct err *e)
{
    const struct uart16550_state *s = &((const struct uart16550 *)d)->state;

    if (s->head >= UART_FIFO || s->count > UART_FIFO || s->ier & 0xf0 || s->mcr & 0xe0)
        return err_set(e, -EBADMSG, "no UART can be in this state");
    return 0;
}

static const struct field config[] = { FIELD(1, struct uart16550_config, port, 0, "I/O port"),
                                       FIELD(2, struct uart16550_config, irq, 0, "ISA interrupt"),
                                       FIELD(0, struct uart16550_config, pad, F_LOCAL, "none"),
                                       FIELD_END };
#define UART struct uart16550_state
static const struct field state[] = { FIELDS(1, UART, fifo, 0, "received bytes"),
                                      FIELD(2, UART, head, 0, "the oldest of them"),
                                      FIELD(3, UART, count, 0, "how many"),
                                      FIELD(4, UART, ier, 0, "interrupt enable"),
                                      FIELD(5, UART, fcr, 0, "FIFO control"),
                                      FIELD(6, UART, lcr, 0, "line control"),
                                      FIELD(7, UART, mcr, 0, "modem control"),
                                      FIELD(8, UART, lsr, 0, "line errors"),
                                      FIELD(9, UART, msr_delta, 0, "modem changes"),
                                      FIELD(10, UART, scr, 0, "scratch"),
                                      FIELD(11, UART, dll, 0, "divisor, low"),
                                      FIELD(12, UART, dlm, 0, "divisor, high"),
                                      FIELD(13, UART, send_due, 0,
                                            "transmitter empty, not yet told"),
                                      FIELD(14, UART, timeout, 0, "received bytes have waited"),
                                      FIELDS(0, UART, pad, F_LOCAL, "none"),
                                      FIELD_END };

const struct device_class device_uart16550 = {
    .name = "uart16550",
    .about = "16550A serial port",
    .size = sizeof(struct uart16550),
    .config_at = offsetof(struct uart16550, config),
    .config = config,
    .config_default = &(const struct uart16550_config){ .port = 0x3f8, .irq = 4 },
    .config_size = sizeof(struct uart16550_config),
    .state_at = offsetof(struct uart16550, state),
    .state_size = sizeof(struct uart16550_state),
    .state = state,
    .create = uart16550_create,
    .destroy = uart16550_destroy,
    .reset = uart16550_reset,
    .check = uart16550_check,
};
