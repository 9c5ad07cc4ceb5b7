/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A multiboot guest that uses what an engine and the chipset do together: PIC, PIT, local APIC
 * and its timer, IOAPIC, IPIs, TPR, NMI, x2APIC, TSC deadline, a second processor, PCI.  It
 * prints a line for each on COM1 and ends by the test device, with 0 when it came to the end.
 * tests/vm/engine_test.py runs it on each engine and compares the lines.
 */
        .set    LAPIC, 0xfee00000
        .set    IOAPIC, 0xfec00000
        .set    AP_CODE, 0x8000

        .macro  say text
        mov     $9f, %esi
        call    print
        jmp     8f
9:      .asciz  "\text"
8:
        .endm
        /* interrupts until the counter of the vector has gone to n; HLT wakes for each */
        .macro  await vector, n
1:      cli
        cmpl    $\n, counts + 4 * \vector
        jae     2f
        sti
        hlt
        jmp     1b
2:      cli
        .endm
        .macro  number
        mov     %eax, %ebp
        call    hex
        .endm
        .macro  apic reg, value
        movl    $\value, LAPIC + \reg
        .endm

        .section .text
        .globl  _start
        .balign 4
        .long   0x1badb002, 0, -0x1badb002

_start: cli
        mov     $stack_end, %esp
        lgdt    gdtr
        ljmp    $8, $3f
3:      mov     $16, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        call    make_idt
        lidt    idtr
        say     "start\n"

        /* PIC and PIT */
        mov     $0x11, %al
        out     %al, $0x20
        out     %al, $0xa0
        mov     $0x20, %al
        out     %al, $0x21
        mov     $0x28, %al
        out     %al, $0xa1
        mov     $4, %al
        out     %al, $0x21
        mov     $2, %al
        out     %al, $0xa1
        mov     $1, %al
        out     %al, $0x21
        out     %al, $0xa1
        mov     $0xff, %al
        out     %al, $0xa1
        mov     $0xfe, %al
        out     %al, $0x21
        mov     $0x34, %al
        out     %al, $0x43
        mov     $0xa9, %al
        out     %al, $0x40
        mov     $0x04, %al
        out     %al, $0x40
        await   0x20, 3
        mov     $0xff, %al
        out     %al, $0x21
        say     "pit by pic\n"

        /* the same by the IOAPIC, pin 2 */
        apic    0xf0, 0x1ff
        movl    $0x15, IOAPIC
        movl    $0, IOAPIC + 0x10
        movl    $0x14, IOAPIC
        movl    $0x42, IOAPIC + 0x10
        await   0x42, 3
        movl    $0x14, IOAPIC
        movl    $0x10042, IOAPIC + 0x10
        say     "pit by ioapic\n"

        say     "lapic version "
        mov     LAPIC + 0x30, %eax
        number
        say     "lapic id "
        mov     LAPIC + 0x20, %eax
        number

        /* its timer: once, then periodic */
        apic    0x3e0, 0xb
        apic    0x320, 0x40
        apic    0x380, 100000
        await   0x40, 1
        apic    0x320, 0x20040
        apic    0x380, 100000
        await   0x40, 4
        apic    0x320, 0x10040
        say     "lapic timer\n"

        /* an IPI to itself; TPR holds it back, and CR8 is the same register's other name */
        apic    0x300, 0x44041
        await   0x41, 1
        apic    0x80, 0x50
        apic    0x300, 0x44041
        sti
        nop
        nop
        nop
        cli
        say     "held back "
        mov     LAPIC + 0x220, %eax
        and     $2, %eax /* not of the timer */
        number
        apic    0x80, 0
        await   0x41, 2
        say     "ipi\n"

        /* NMI */
        apic    0x310, 0
        apic    0x300, 0x4400
4:      cmpl    $1, counts + 4 * 2
        jb      4b
        say     "nmi\n"

        /* the second processor: INIT, start-up */
        mov     $ap_code, %esi
        mov     $AP_CODE, %edi
        mov     $(ap_end - ap_code), %ecx
        rep movsb
        apic    0x310, 0x01000000
        apic    0x300, 0x4500
        apic    0x300, 0x4608
5:      pause
        cmpl    $0, AP_CODE + ap_here - ap_code
        je      5b
        say     "second processor "
        mov     AP_CODE + ap_here - ap_code, %eax
        number

        /* x2APIC: by MSRs */
        mov     $0x1b, %ecx
        rdmsr
        or      $0x400, %eax
        wrmsr
        movb    $1, is_x2
        say     "x2apic id "
        mov     $0x802, %ecx
        rdmsr
        number
        mov     $0x83f, %ecx
        mov     $0x43, %eax
        xor     %edx, %edx
        wrmsr
        await   0x43, 1
        say     "x2apic self ipi\n"
        mov     $0x832, %ecx
        mov     $0x40044, %eax
        xor     %edx, %edx
        wrmsr
        rdtsc
        add     $1000000, %eax
        adc     $0, %edx
        mov     $0x6e0, %ecx
        wrmsr
        await   0x44, 1
        mov     $0x6e0, %ecx
        rdmsr
        say     "tsc deadline\n"

        /* PCI: who is there */
        xor     %ebx, %ebx
6:      mov     %ebx, %eax
        shl     $11, %eax
        or      $0x80000000, %eax
        mov     $0xcf8, %dx
        out     %eax, %dx
        mov     $0xcfc, %dx
        in      %dx, %eax
        cmp     $-1, %eax
        je      7f
        push    %eax
        say     "pci "
        pop     %eax
        number
7:      inc     %ebx
        cmp     $32, %ebx
        jb      6b

        say     "end\n"
        xor     %eax, %eax
        out     %al, $0xf4
1:      hlt
        jmp     1b

/* COM1: the text at esi; the number in ebp */
print:  mov     $0x3fd, %dx
        in      %dx, %al
        test    $0x20, %al
        jz      print
        lodsb
        test    %al, %al
        jz      1f
        mov     $0x3f8, %dx
        out     %al, %dx
        jmp     print
1:      ret

hex:    mov     $8, %ecx
        mov     $digits, %edi
1:      rol     $4, %ebp
        mov     %ebp, %eax
        and     $15, %eax
        mov     letters(%eax), %al
        stosb
        loop    1b
        mov     $digits, %esi
        jmp     print

make_idt:
        mov     $stubs, %eax
        mov     $idt, %edi
        mov     $0x50, %ecx
1:      mov     %ax, (%edi)
        movw    $8, 2(%edi)
        movw    $0x8e00, 4(%edi)
        mov     %eax, %edx
        shr     $16, %edx
        mov     %dx, 6(%edi)
        add     $8, %edi
        add     $16, %eax
        loop    1b
        ret

        .balign 16
stubs:
        .set    vector, 0
        .rept   0x50
        .balign 16
        push    %eax
        mov     $vector, %eax
        jmp     common
        .set    vector, vector + 1
        .endr
common: push    %ecx
        push    %edx
        incl    counts(, %eax, 4)
        cmp     $2, %eax
        je      3f
        cmp     $0x20, %eax
        jb      broken
        cmp     $0x30, %eax
        jae     1f
        mov     $0x20, %al
        out     %al, $0x20
        jmp     3f
1:      cmpb    $0, is_x2
        jne     2f
        movl    $0, LAPIC + 0xb0
        jmp     3f
2:      mov     $0x80b, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        wrmsr
3:      pop     %edx
        pop     %ecx
        pop     %eax
        iret
broken: push    %eax
        say     "exception "
        pop     %eax
        number
        mov     $1, %al
        out     %al, $0xf4
        hlt

        .code16
ap_code:
        lock incl %cs:(ap_here - ap_code)
1:      cli
        hlt
        jmp     1b
        .balign 4
ap_here:
        .long   0
ap_end:
        .code32

        .section .data
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word   23
        .long   gdt
idtr:   .word   0x50 * 8 - 1
        .long   idt
letters:
        .ascii  "0123456789abcdef"
digits: .asciz  "        \n"
is_x2:  .byte   0
        .section .bss
        .balign 16
idt:    .space  0x50 * 8
counts: .space  0x50 * 4
        .space  4096
stack_end:
