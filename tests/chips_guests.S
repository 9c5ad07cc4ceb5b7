/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests of vm/chips_test.c: one multiboot image (address fields, no ELF), whose entry the test
 * sets to the case.  Each leaves numbers at RESULT, which must be the same under each engine
 * and wherever the interrupt controllers are, and ends by the test device.
 *
 * Interrupts are counted by vector at COUNTS; EDI is where the next result goes.
 */
        .section .rodata
        .balign 16

        .set    BASE, 0x100000
        .set    IDT, 0x110000
        .set    STACK, 0x120000
        .set    COUNTS, 0x130000
        .set    ORDER, 0x131000         /* vectors, as they came; how many is at ORDERED */
        .set    ORDERED, 0x130ffc
        .set    RESULT, 0x140000
        .set    SHARED, 0x142000        /* words between processors */
        .set    APIC, 0xfee00000
        .set    IOAPIC, 0xfec00000

        .macro  at label, reg
        mov     $(\label - chips_image + BASE), \reg
        .endm
        .macro  apic reg, val
        movl    $\val, APIC + \reg
        .endm
        .macro  waitfor vector, n
1:      pause
        cmpl    $\n, COUNTS + 4 * \vector
        jb      1b
        .endm
        .macro  counted vector
        mov     COUNTS + 4 * \vector, %eax
        stosl
        .endm
        .macro  spin n
        mov     $\n, %ecx
1:      dec     %ecx
        jnz     1b
        .endm
        .macro  outb port, val
        mov     $\val, %al
        mov     $\port, %dx
        out     %al, %dx
        .endm
        .macro  rte pin, high, low
        movl    $(0x11 + 2 * \pin), IOAPIC
        movl    $\high, IOAPIC + 0x10
        movl    $(0x10 + 2 * \pin), IOAPIC
        movl    $\low, IOAPIC + 0x10
        .endm
        .macro  case name
        .globl  chips_\name
chips_\name:
        mov     $STACK, %esp
        call    chips_begin
        .endm
        .macro  end_case
        jmp     chips_end
        .endm

        .globl  chips_image
chips_image:
        .long   0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
        .long   BASE, BASE              /* header, load */
        .long   0, 0, 0                 /* all of the file; entry: the test's */

        .code32
chips_gdt:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
chips_gdtr:
        .word   23
        .long   chips_gdt - chips_image + BASE
chips_idtr:
        .word   0x7ff
        .long   IDT

/* Segments, stack, a table with a stub a vector, no interrupts yet. */
chips_begin:
        cli
        cld
        pop     %ebx
        mov     $STACK, %esp
        lgdt    chips_gdtr - chips_image + BASE
        ljmp    $8, $(1f - chips_image + BASE)
1:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $IDT, %edi
        at      chips_stubs, %eax
2:      mov     %ax, (%edi)
        movw    $8, 2(%edi)
        movw    $0x8e00, 4(%edi)
        mov     %eax, %ecx
        shr     $16, %ecx
        mov     %cx, 6(%edi)
        add     $16, %eax
        add     $8, %edi
        cmp     $(IDT + 0x800), %edi
        jb      2b
        lidt    chips_idtr - chips_image + BASE
        mov     $RESULT, %edi
        jmp     *%ebx

chips_end:
        cli
        mov     $0, %al
        mov     $0xf4, %dx
        out     %al, %dx
1:      hlt
        jmp     1b

        .balign 16
chips_stubs:
        .set    vector, 0
        .rept   256
        .balign 16
        push    %eax
        push    $vector
        jmp     chips_handler
        .set    vector, vector + 1
        .endr
        .balign 16
chips_handler:
        pop     %eax
        push    %ecx
        push    %edx
        lock incl COUNTS(, %eax, 4)
        mov     $1, %ecx
        lock xaddl %ecx, ORDERED
        mov     %al, ORDER(%ecx)
        cmp     $32, %eax
        jb      9f                      /* NMI: nothing to end */
        cmp     $0x30, %eax
        jb      8f
        cmp     $0x78, %eax             /* level triggered: by the test device's pin 11 */
        jne     1f
        push    %eax
        outb    0x200b, 0
        pop     %eax
1:      cmp     $0x81, %eax             /* asks for an answer */
        jne     2f
        apic    0x310, 0
        apic    0x300, 0x4082
2:      mov     $0x1b, %ecx
        rdmsr
        test    $0x400, %eax
        jz      3f
        mov     $0x80b, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        wrmsr
        jmp     9f
3:      movl    $0, APIC + 0xb0
        jmp     9f
8:      cmp     $0x28, %eax
        mov     $0x20, %al
        jb      7f
        out     %al, $0xa0
7:      out     %al, $0x20
9:      pop     %edx
        pop     %ecx
        pop     %eax
        iret

/* ---- registers of the local APIC, messages to oneself, priorities ---- */

        case    apic
        apic    0xf0, 0x1ff
        mov     APIC + 0x20, %eax
        stosl
        apic    0x80, 0x35
        mov     APIC + 0x80, %eax
        stosl
        mov     APIC + 0xa0, %eax
        stosl
        apic    0x80, 0
        apic    0xd0, 0x12345678
        mov     APIC + 0xd0, %eax
        stosl
        apic    0xe0, 0x0fffffff
        mov     APIC + 0xe0, %eax
        stosl
        apic    0xe0, 0xffffffff
        apic    0xd0, 0x01000000
        apic    0x350, 0x10700          /* LINT0: masked */
        mov     APIC + 0x350, %eax
        stosl
        apic    0x300, 0x44050          /* to myself */
        mov     APIC + 0x220, %eax
        stosl
        sti
        waitfor 0x50, 1
        cli
        mov     APIC + 0x220, %eax
        stosl
        apic    0x80, 0x60              /* behind the task's priority */
        apic    0x300, 0x44055
        sti
        spin    300
        counted 0x55
        apic    0x80, 0
        waitfor 0x55, 1
        counted 0x55
        cli
        apic    0x300, 0x44051
        apic    0x300, 0x44071
        sti
        waitfor 0x51, 1
        waitfor 0x71, 1
        cli
        apic    0x310, 0x01000000       /* logical, flat: to me */
        apic    0x300, 0x4852
        sti
        waitfor 0x52, 1
        counted 0x52
        mov     ORDER, %eax
        stosl
        mov     ORDER + 4, %eax
        stosl
        end_case

/* ---- its timer ---- */

        case    timer
        apic    0xf0, 0x1ff
        apic    0x3e0, 0xb
        apic    0x320, 0x60             /* once */
        sti
        apic    0x380, 1000000
        waitfor 0x60, 1
        mov     APIC + 0x390, %eax
        stosl
        counted 0x60
        apic    0x320, 0x20061          /* periodic */
        apic    0x380, 2000000
        waitfor 0x61, 3
        apic    0x320, 0x30061
        mov     APIC + 0x380, %eax
        stosl
        apic    0x380, 0
        apic    0x320, 0x63             /* out of a halt */
        cli
        apic    0x380, 3000000
3:      cli                             /* a last tick of before may wake it, too */
        cmpl    $1, COUNTS + 4 * 0x63
        jae     4f
        sti
        hlt
        jmp     3b
4:      sti
        counted 0x63
        apic    0x320, 0x10064          /* masked: the count ends quietly */
        apic    0x380, 100000
2:      cmpl    $0, APIC + 0x390
        jne     2b
        counted 0x64
        apic    0x320, 0x40062          /* by the TSC */
        mfence
        rdtsc
        add     $2000000, %eax
        adc     $0, %edx
        mov     $0x6e0, %ecx
        wrmsr
        waitfor 0x62, 1
        mov     $0x6e0, %ecx
        rdmsr
        stosl
        counted 0x62
        end_case

/* ---- the PIC pair, through LINT0 as a PC starts ---- */

chips_pic_init:
        outb    0x20, 0x11
        outb    0x21, 0x20
        outb    0x21, 4
        outb    0x21, 1
        outb    0xa0, 0x11
        outb    0xa1, 0x28
        outb    0xa1, 2
        outb    0xa1, 1
        outb    0x21, 0xff
        outb    0xa1, 0xff
        ret

        case    pic
        call    chips_pic_init
        outb    0x21, 0xeb              /* 4, and 2 for the other */
        outb    0xa1, 0xfd              /* 9 */
        in      $0x21, %al
        movzx   %al, %eax
        stosl
        sti
        outb    0x2004, 1
        waitfor 0x24, 1
        outb    0x2004, 0
        outb    0x2004, 1
        waitfor 0x24, 2
        outb    0x2004, 0
        outb    0x2009, 1
        waitfor 0x29, 1
        outb    0x2009, 0
        cli
        outb    0x2004, 1               /* waits */
        outb    0x2009, 1
        outb    0x20, 0x0a
        in      $0x20, %al
        and     $0x14, %eax             /* the timer's may wait as well */
        stosl
        outb    0xa0, 0x0a
        in      $0xa0, %al
        movzx   %al, %eax
        stosl
        sti
        waitfor 0x24, 3
        waitfor 0x29, 2
        cli
        outb    0x2004, 0
        outb    0x2009, 0
        outb    0x20, 0x0b
        in      $0x20, %al
        movzx   %al, %eax
        stosl
        outb    0x4d1, 0x02             /* 9 is level triggered */
        mov     $0x4d1, %dx
        in      %dx, %al
        movzx   %al, %eax
        stosl
        outb    0xa1, 0xff
        outb    0x2009, 1
        in      $0xa0, %al
        movzx   %al, %eax
        stosl
        outb    0x2009, 0
        in      $0xa0, %al
        movzx   %al, %eax
        stosl
        sti
        counted 0x24
        counted 0x29
        mov     ORDER, %eax
        stosl
        end_case

/* ---- the interval timer ---- */

        case    pit
        call    chips_pic_init
        outb    0x43, 0x34              /* counter 0: mode 2, 2 ms */
        outb    0x40, 0x52
        outb    0x40, 0x09
        outb    0x43, 0xe2              /* status of counter 0 */
        in      $0x40, %al
        and     $0x3f, %eax
        stosl
        outb    0x21, 0xfe
        sti
        waitfor 0x20, 3
        hlt
        cli
        outb    0x21, 0xff
        outb    0x43, 0                 /* latched: not above the count */
        in      $0x40, %al
        mov     %al, %bl
        in      $0x40, %al
        mov     %al, %bh
        movzx   %bx, %ebx
        xor     %eax, %eax
        cmp     $0x952, %ebx
        setbe   %al
        stosl
        in      $0x61, %al              /* counter 2, 1 ms, by port 0x61 */
        and     $0xfc, %al
        out     %al, $0x61
        outb    0x43, 0xb0
        outb    0x42, 0xa9
        outb    0x42, 0x04
        in      $0x61, %al
        or      $1, %al
        out     %al, $0x61
2:      in      $0x61, %al
        test    $0x20, %al
        jz      2b
        and     $0x23, %eax
        stosl
        end_case

/* ---- the IOAPIC ---- */

        case    ioapic
        apic    0xf0, 0x1ff
        movl    $1, IOAPIC
        mov     IOAPIC + 0x10, %eax
        shr     $16, %eax
        stosl
        movl    $0, IOAPIC
        movl    $0x03000000, IOAPIC + 0x10
        mov     IOAPIC + 0x10, %eax
        stosl
        rte     4, 0, 0x70
        sti
        outb    0x2004, 1
        waitfor 0x70, 1
        outb    0x2004, 0
        outb    0x2004, 1
        waitfor 0x70, 2
        outb    0x2004, 0
        counted 0x70
        rte     4, 0, 0x10000
        outb    0x2004, 1
        outb    0x2004, 0
        spin    100
        counted 0x70
        end_case

/* ... and its level-triggered pins */

        case    level
        apic    0xf0, 0x1ff
        rte     11, 0, 0x8078
        mov     IOAPIC + 0x10, %eax
        stosl
        sti
        outb    0x200b, 1
        waitfor 0x78, 1
        spin    100
        mov     IOAPIC + 0x10, %eax     /* it has ended */
        stosl
        outb    0x200b, 1
        waitfor 0x78, 2
        spin    100
        rte     11, 0, 0x18078          /* masked, raised, unmasked */
        outb    0x200b, 1
        spin    100
        counted 0x78
        movl    $0x8078, IOAPIC + 0x10
        waitfor 0x78, 3
        spin    100
        counted 0x78
        end_case

/* ---- two processors ---- */

        .code16
chips_ap:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   0x8100
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $8, $(chips_ap32 - chips_image + BASE)
chips_ap_end:
        .code32
chips_ap32:
        mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $(STACK - 0x4000), %esp
        lidt    chips_idtr - chips_image + BASE
        apic    0xf0, 0x1ff
        mov     APIC + 0x20, %eax
        mov     %eax, SHARED
        mov     $0x1b, %ecx
        rdmsr
        mov     %eax, SHARED + 4
        cmpl    $0, SHARED + 12         /* a timer of its own, too? */
        je      1f
        apic    0x3e0, 0xb
        apic    0x320, 0x20066
        apic    0x380, 2000000
1:      movl    $1, SHARED + 8
2:      sti
        hlt
        jmp     2b

chips_start_ap:
        push    %edi
        at      chips_ap, %esi
        mov     $0x8000, %edi
        mov     $(chips_ap_end - chips_ap), %ecx
        rep movsb
        at      chips_gdtr, %esi
        mov     $0x8100, %edi
        movsl
        movsw
        pop     %edi
        apic    0x310, 0x01000000
        apic    0x300, 0x4500           /* INIT */
        spin    1000
        apic    0x310, 0x01000000
        apic    0x300, 0x4608           /* start at 0x8000 */
3:      pause
        cmpl    $0, SHARED + 8
        je      3b
        ret

        case    smp
        apic    0xf0, 0x1ff
        call    chips_start_ap
        mov     SHARED, %eax
        stosl
        mov     SHARED + 4, %eax
        stosl
        sti
        apic    0x310, 0x01000000
        apic    0x300, 0x4080           /* to the other */
        waitfor 0x80, 1
        apic    0x310, 0x01000000
        apic    0x300, 0x4081           /* which answers */
        waitfor 0x82, 1
        apic    0x310, 0x01000000
        apic    0x300, 0x4400           /* NMI */
        waitfor 2, 1
        apic    0x300, 0xc4083          /* all but me */
        waitfor 0x83, 1
        apic    0x300, 0x84084          /* all */
        waitfor 0x84, 2
        mov     $0x1b, %ecx             /* x2APIC */
        rdmsr
        or      $0x400, %eax
        wrmsr
        mov     $0x802, %ecx
        rdmsr
        stosl
        mov     $0x83f, %ecx
        mov     $0x90, %eax
        xor     %edx, %edx
        wrmsr
        waitfor 0x90, 1
        mov     $0x830, %ecx
        mov     $0x4085, %eax
        mov     $1, %edx
        wrmsr
        waitfor 0x85, 1
        counted 2
        counted 0x80
        counted 0x81
        counted 0x82
        counted 0x83
        counted 0x84
        counted 0x85
        counted 0x90
        end_case

/*
 * Ticks from both APICs' timers, from the PIT through the IOAPIC, and a pin that stays high
 * and masked; while they come the VM is saved and goes on elsewhere.  SHARED + 16 counts rounds.
 */
        case    moves
        apic    0xf0, 0x1ff
        movl    $1, SHARED + 12
        call    chips_start_ap
        apic    0x3e0, 0xb
        apic    0x320, 0x20061
        apic    0x380, 2000000
        outb    0x43, 0x34
        outb    0x40, 0x52
        outb    0x40, 0x09
        rte     2, 0, 0x65
        rte     11, 0, 0x18078
        outb    0x200b, 1
        sti
2:      incl    SHARED + 16
        cmpl    $20, COUNTS + 4 * 0x61
        jb      2b
        cmpl    $20, COUNTS + 4 * 0x65
        jb      2b
        cmpl    $20, COUNTS + 4 * 0x66
        jb      2b
        apic    0x320, 0x10000
        counted 0x78
        movl    $(0x10 + 2 * 11), IOAPIC
        movl    $0x8078, IOAPIC + 0x10
        waitfor 0x78, 1
        spin    200
        mov     IOAPIC + 0x10, %eax
        stosl
        apic    0x310, 0x01000000
        apic    0x300, 0x4080
        waitfor 0x80, 1
        mov     APIC + 0xf0, %eax
        stosl
        mov     $0x1b, %ecx
        rdmsr
        stosl
        end_case

/* ---- PCI: EBX names a function ---- */

        .macro  pciget off
        lea     \off(%ebx), %eax
        call    chips_pciget
        .endm
        .macro  pciput off, val
        mov     $\val, %ecx
        lea     \off(%ebx), %eax
        call    chips_pciput
        .endm
chips_pciget:
        mov     $0xcf8, %dx
        out     %eax, %dx
        mov     $0xcfc, %dx
        in      %dx, %eax
        ret
chips_pciput:
        mov     $0xcf8, %dx
        out     %eax, %dx
        mov     %ecx, %eax
        mov     $0xcfc, %dx
        out     %eax, %dx
        ret
chips_pcifind:                          /* ESI: device and vendor */
        mov     $0x80000000, %ebx
1:      pciget  0
        cmp     %esi, %eax
        je      2f
        add     $0x800, %ebx
        cmp     $0x80010000, %ebx
        jb      1b
2:      ret
chips_pcicap:                           /* CH: which; ESI: where it is named */
        pciget  0x34
        movzx   %al, %esi
1:      lea     (%ebx, %esi), %eax
        call    chips_pciget
        cmp     %ch, %al
        je      2f
        movzx   %ah, %esi
        test    %esi, %esi
        jnz     1b
2:      add     %ebx, %esi
        ret

/* A disk behind pvscsi: INQUIRY, TEST UNIT READY, READ, each answered by an MSI. */

        .set    PVSCSI, 0xe0000000
        .set    RINGS, 0x150000         /* state, requests, completions, data */

        case    pvscsi
        apic    0xf0, 0x1ff
        mov     $0x07c015ad, %esi
        call    chips_pcifind
        pciput  0x10, PVSCSI
        pciput  0x04, 6
        mov     $5 << 8, %ecx
        call    chips_pcicap
        mov     $0xfee00000, %ecx
        lea     4(%esi), %eax
        call    chips_pciput
        xor     %ecx, %ecx
        lea     8(%esi), %eax
        call    chips_pciput
        mov     $0x58, %ecx
        lea     12(%esi), %eax
        call    chips_pciput
        mov     %esi, %eax
        call    chips_pciget
        lea     0x10000(%eax), %ecx
        mov     %esi, %eax
        call    chips_pciput
        sti
        movl    $1, PVSCSI              /* reset; then where the rings are */
        movl    $3, PVSCSI
        movl    $1, PVSCSI + 4
        movl    $1, PVSCSI + 4
        movl    $(RINGS >> 12), PVSCSI + 4
        movl    $0, PVSCSI + 4
        movl    $((RINGS >> 12) + 1), PVSCSI + 4
        mov     $63, %ecx
2:      movl    $0, PVSCSI + 4
        dec     %ecx
        jnz     2b
        movl    $((RINGS >> 12) + 2), PVSCSI + 4
        mov     $63, %ecx
3:      movl    $0, PVSCSI + 4
        dec     %ecx
        jnz     3b
        mov     RINGS + 8, %eax
        stosl
        movl    $1, PVSCSI + 0x2010
        movl    $0x1234, RINGS + 0x1000
        movl    $(RINGS + 0x3000), RINGS + 0x1008
        movl    $36, RINGS + 0x1010
        movl    $8, RINGS + 0x1024
        movb    $0x12, RINGS + 0x1028
        movb    $36, RINGS + 0x102c
        movb    $6, RINGS + 0x1038
        movb    $0x20, RINGS + 0x1041
        movl    $1, RINGS
        movl    $0, PVSCSI + 0x3014
        waitfor 0x58, 1
        movl    $1, PVSCSI + 0x100c
        movl    $1, RINGS + 16
        movl    $0x1235, RINGS + 0x1080 /* TEST UNIT READY: the attention that waits */
        movl    $4, RINGS + 0x10a4
        movb    $6, RINGS + 0x10b8
        movb    $0x20, RINGS + 0x10c1
        movl    $2, RINGS
        movl    $0, PVSCSI + 0x3014
        waitfor 0x58, 2
        movl    $1, PVSCSI + 0x100c
        movl    $2, RINGS + 16
        movl    $0x1236, RINGS + 0x1100
        movl    $(RINGS + 0x4000), RINGS + 0x1108
        movl    $512, RINGS + 0x1110
        movl    $8, RINGS + 0x1124
        movb    $0x28, RINGS + 0x1128
        movb    $1, RINGS + 0x112d      /* block 1 */
        movb    $1, RINGS + 0x1130
        movb    $10, RINGS + 0x1138
        movb    $0x20, RINGS + 0x1141
        movl    $3, RINGS
        movl    $0, PVSCSI + 0x4018
        waitfor 0x58, 3
        mov     $(RINGS + 0x2000), %esi
        mov     $24, %ecx
        rep movsl
        mov     $(RINGS + 0x3000), %esi
        mov     $9, %ecx
        rep movsl
        mov     RINGS + 0x4000, %eax
        stosl
        mov     RINGS + 0x41fc, %eax
        stosl
        counted 0x58
        end_case

/* A virtio disk through the old interface: a read, notified by a port, answered by MSI-X. */

        .set    VIRTIO, 0xc000
        .set    TABLE, 0xe0100000
        .set    QUEUE, 0x160000
        .set    BLOCK, 0x170000
        .macro  vout off, val, reg
        mov     $(VIRTIO + \off), %dx
        mov     $\val, %eax
        out     \reg, %dx
        .endm

        case    virtio
        apic    0xf0, 0x1ff
        mov     $0x10011af4, %esi
        call    chips_pcifind
        pciput  0x10, VIRTIO
        pciput  0x14, TABLE
        pciput  0x04, 7
        movl    $0xfee00000, TABLE + 16
        movl    $0, TABLE + 20
        movl    $0x59, TABLE + 24
        movl    $0, TABLE + 28
        mov     $0x11 << 8, %ecx
        call    chips_pcicap
        mov     %esi, %eax
        call    chips_pciget
        mov     %eax, %ecx
        or      $0x80000000, %ecx
        mov     %esi, %eax
        call    chips_pciput
        sti
        vout    18, 0, %al
        vout    18, 3, %al
        vout    4, 0, %eax
        vout    14, 0, %ax
        mov     $(VIRTIO + 12), %dx
        xor     %eax, %eax
        in      %dx, %ax
        stosl
        mov     %eax, %ebp              /* how many descriptors */
        vout    8, QUEUE >> 12, %eax
        vout    22, 1, %ax
        vout    18, 7, %al
        movl    $BLOCK, QUEUE
        movl    $16, QUEUE + 8
        movl    $0x00010001, QUEUE + 12
        movl    $(BLOCK + 0x1000), QUEUE + 16
        movl    $512, QUEUE + 24
        movl    $0x00020003, QUEUE + 28
        movl    $(BLOCK + 16), QUEUE + 32
        movl    $1, QUEUE + 40
        movl    $2, QUEUE + 44
        movl    $1, BLOCK + 8           /* sector 1 */
        movb    $0xff, BLOCK + 16
        mov     %ebp, %esi
        shl     $4, %esi
        movl    $0x10000, QUEUE(%esi)   /* available: one, the first */
        movw    $0, QUEUE + 4(%esi)
        vout    16, 0, %ax
        waitfor 0x59, 1
        lea     QUEUE + 4101(%esi, %ebp, 2), %esi
        and     $0xfffff000, %esi
        mov     (%esi), %eax
        stosl
        mov     8(%esi), %eax
        stosl
        movzbl  BLOCK + 16, %eax
        stosl
        mov     BLOCK + 0x1000, %eax
        stosl
        mov     BLOCK + 0x11fc, %eax
        stosl
        counted 0x59
        end_case

        .globl  chips_image_end
chips_image_end:
        .section .note.GNU-stack, "", @progbits
