/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guests of engine_test.c: machine code that is copied to CODE and run.  Each ends with an
 * OUT to port END.  What they see they leave in memory and in registers; what they do to
 * devices the rig writes down.
 *
 * expect GUEST, LABEL: the next exception goes on at LABEL.  Handlers write down vector, error
 * code, and where it was.  Addresses of engine_guests.h: results from 0x20000 on, 0x7000 where
 * to go on, MMIO at 0x600000, a read-only slot at 0x800000, page tables at 0x100000.
 */
        .section .rodata

        .macro  guest name
        .globl  guest_\name
        .balign 64
guest_\name:
        .endm
        .macro  end_guest name
        .globl  guest_\name\()_end
guest_\name\()_end:
        .endm
        .macro  finish
        mov     $0xe2, %dx
        out     %al, %dx
0:      hlt
        jmp     0b
        .endm
        .macro  expect name, label
        movl    $(\label - guest_\name + 0x10000), 0x7000
        .endm

/* ---- real mode ---- */

        .code16
        guest   real
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x9000, %sp
        mov     $0x5000, %di
        cld
        /* arithmetic and flags */
        mov     $0x7fff, %ax
        add     $1, %ax
        pushf
        pop     %bx
        mov     %bx, (%di)
        mov     $0x1234, %ax
        mov     $0x00ff, %cx
        mul     %cx
        mov     %ax, 2(%di)
        mov     %dx, 4(%di)
        mov     $0x8001, %ax
        rcl     $3, %ax
        pushf
        pop     %bx
        mov     %ax, 6(%di)
        mov     %bx, 8(%di)
        mov     $0x99, %al
        add     $0x28, %al
        daa
        mov     %ax, 10(%di)
        /* an interrupt through the table at 0, a division by zero, a far call */
        movw    $(real_int - guest_real), 0x84
        movw    $0x1000, 0x86
        mov     $5, %ax
        int     $0x21
        mov     %ax, 12(%di)
        movw    $(real_div - guest_real), 0x00
        movw    $0x1000, 0x02
        xor     %cx, %cx
        mov     $7, %ax
        xor     %dx, %dx
        div     %cx
        mov     %ax, 14(%di)
        lcall   $0x1000, $(real_far - guest_real)
        mov     %ax, 16(%di)
        /* strings, forwards and backwards */
        mov     $0x5000, %si
        mov     $0x5100, %di
        mov     $16, %cx
        rep movsw
        std
        mov     $0x511f, %si
        mov     $0x515f, %di
        mov     $8, %cx
        rep movsb
        cld
        mov     $0x5000, %di
        mov     $0x40, %cx
        xor     %al, %al
        repne scasb
        mov     %cx, 0x5200
        /* ports of all widths, and strings of them */
        mov     $0x300, %dx
        in      %dx, %al
        mov     %al, 0x5210
        in      %dx, %ax
        mov     %ax, 0x5212
        in      %dx, %eax
        mov     %eax, 0x5214
        mov     $0x89abcdef, %eax
        out     %al, %dx
        out     %ax, %dx
        out     %eax, %dx
        out     %al, $0x42
        in      $0x42, %al
        mov     $0x310, %dx
        mov     $0x5220, %di
        mov     $5, %cx
        rep insb
        mov     $3, %cx
        rep insw
        mov     $0x5000, %si
        mov     $4, %cx
        rep outsb
        mov     $3, %cx
        rep outsl
        mov     %di, 0x5240
        mov     %si, 0x5242
        finish
real_int:
        add     $0x100, %ax
        iret
real_div:
        mov     %sp, %bp
        addw    $2, (%bp)
        mov     $0xdead, %ax
        iret
real_far:
        add     $0x11, %ax
        lret
        end_guest real

/* CPUID: each leaf of the list, its four registers one after the other. */
        guest   cpuid
        mov     %cs, %ax
        mov     %ax, %ds
        mov     $0x2000, %ax
        mov     %ax, %es
        xor     %di, %di
        mov     $(cpuid_leaves - guest_cpuid), %si
        cld
1:      lodsl
        mov     %eax, %ebp
        lodsl
        mov     %eax, %ecx
        cmp     $-1, %ebp
        je      2f
        mov     %ebp, %eax
        cpuid
        stosl
        mov     %ebx, %eax
        stosl
        mov     %ecx, %eax
        stosl
        mov     %edx, %eax
        stosl
        jmp     1b
2:      finish
        .balign 4
cpuid_leaves:
        .long   0, 0, 1, 0, 2, 0, 4, 0, 4, 1, 4, 3, 4, 4, 6, 0, 7, 0, 7, 1, 0xb, 0, 0xb, 1, 0xb, 2
        .long   0xd, 0, 0xd, 1, 0xd, 2, 0xd, 9, 0x40000000, 0, 0x40000010, 0
        .long   0x80000000, 0, 0x80000001, 0, 0x80000002, 0, 0x80000006, 0, 0x80000007, 0
        .long   0x80000008, 0, 0x30, 0, 0x80000030, 0, -1, -1
        end_guest cpuid

/* ---- from real mode to long mode by itself, and back to 32 bits without paging ---- */

        guest   modes
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x9000, %sp
        lgdtl   %cs:(modes_gdtr - guest_modes)
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $0x30, $(modes32 - guest_modes + 0x10000)
modes_gdtr:
        .word   0x7f
        .long   0x1000
        .code32
modes32:
        mov     $0x10, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x9000, %esp
        mov     %cr0, %eax
        mov     %eax, 0x20000
        mov     $0x100000, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x901, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        mov     $0xc0000080, %ecx
        rdmsr
        mov     %eax, 0x20004
        ljmp    $0x08, $(modes64 - guest_modes + 0x10000)
        .code64
modes64:
        movabs  $0x1122334455667788, %rax
        mov     %rax, 0x20008
        mov     $0x60, %ax
        ltr     %ax
        str     %bx
        sgdt    0x20010
        smsw    %rcx
        pushq   $0x30
        pushq   $(modes_back - guest_modes + 0x10000)
        lretq
        .code32
modes_back:
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $0xc0000080, %ecx
        rdmsr
        mov     %eax, 0x20020
        mov     %cr0, %eax
        mov     %eax, 0x20024
        finish
        end_guest modes

/* ---- protected mode ---- */

        guest   protected
        mov     $0x20000, %edi
        expect  protected, p1
        ud2
p1:     expect  protected, p2
        xor     %ecx, %ecx
        mov     $1, %eax
        xor     %edx, %edx
        div     %ecx
p2:     expect  protected, p3
        int3
p3:     expect  protected, p4
        mov     $0x7fffffff, %eax
        add     $1, %eax
        into
p4:     expect  protected, p5
        movl    $0, 0x20100
        movl    $5, 0x20104
        mov     $9, %eax
        bound   %eax, 0x20100
p5:     expect  protected, p6
        mov     $0x1230, %ax
        mov     %ax, %fs
p6:     expect  protected, p7 /* not present: a data segment, a stack */
        mov     $0x40, %ax
        mov     %ax, %fs
p7:     expect  protected, p8
        mov     $0x40, %ax
        mov     %ax, %ss
p8:     mov     $0x50, %ax /* a small segment: its limit, its rights */
        mov     %ax, %fs
        expect  protected, p9
        mov     %fs:0x1000, %eax
p9:     mov     $0x50, %eax
        lar     %eax, %ebx
        mov     %ebx, (%edi)
        lsl     %eax, %ebx
        mov     %ebx, 4(%edi)
        verw    %ax
        setz    8(%edi)
        verr    %ax
        setz    9(%edi)
        add     $16, %edi
        expect  protected, p10 /* single step: one instruction */
        pushf
        orl     $0x100, (%esp)
        popf
        nop
        nop
p10:    mov     %dr6, %eax
        stosl
        expect  protected, p11 /* an instruction breakpoint */
        mov     $(p11b - guest_protected + 0x10000), %eax
        mov     %eax, %dr0
        mov     $0x402, %eax
        mov     %eax, %dr7
        nop
p11b:   nop
p11:    mov     %dr6, %eax
        stosl
        xor     %eax, %eax
        mov     %eax, %dr7
        mov     %eax, %dr6
        finish
        end_guest protected

/* Ring 3: what is not allowed there, and INT back. */
        guest   ring3
        pushl   $0x1b
        pushl   $0xb000
        pushl   $2
        pushl   $0x23
        pushl   $(ring3_user - guest_ring3 + 0x10000)
        iret
ring3_user:
        mov     %esp, %ebx
        expect  ring3, r1
        mov     $0x300, %dx
        out     %al, %dx
r1:     expect  ring3, r2
        cli
r2:     expect  ring3, r3
        mov     %cr0, %eax
r3:     expect  ring3, r4
        hlt
r4:     smsw    %ax
        sgdt    0x20300
        expect  ring3, r5
        int     $0x30 /* its gate is for ring 0 */
r5:     mov     $0x33, %ecx
        int     $0x80
        ud2
        end_guest ring3

        guest   paging
        mov     $0x20000, %edi
        mov     $0x100000, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        expect  paging, q1
        mov     0x40000000, %eax
q1:     mov     %cr2, %eax
        stosl
        expect  paging, q2
        movl    $1, 0x40001234
q2:     mov     %cr2, %eax
        stosl
        expect  paging, q3 /* a read-only page, with WP and without */
        movl    $1, 0x3ff000
q3:     mov     %cr2, %eax
        stosl
        mov     %cr0, %eax
        and     $0xfffeffff, %eax
        mov     %eax, %cr0
        movl    $0x77, 0x3ff010
        mov     %cr0, %eax
        or      $0x10000, %eax
        mov     %eax, %cr0
        mov     0x101ffc, %eax /* accessed and dirty bits */
        stosl
        mov     0x100000, %eax
        stosl
        mov     0x3fe000, %ebx /* a changed entry, INVLPG */
        movl    $0x3fd003, 0x101ff8
        invlpg  0x3fe000
        movl    $0x55aa, 0x3fe000
        mov     0x3fd000, %eax
        stosl
        finish
        end_guest paging

        guest   triple
        lidt    (triple_idtr - guest_triple + 0x10000)
        ud2
triple_idtr:
        .word   0
        .long   0
        end_guest triple

/* ---- long mode ---- */

        .code64
        guest   exceptions
        mov     $0x20000, %edi
        expect  exceptions, e1
        ud2
e1:     expect  exceptions, e2
        xor     %ecx, %ecx
        mov     $1, %eax
        xor     %edx, %edx
        divq    %rcx
e2:     expect  exceptions, e3
        int3
e3:     expect  exceptions, e4
        movabs  $0x123456789abc, %rax
        mov     (%rax), %rbx
e4:     mov     %cr2, %rax
        stosq
        expect  exceptions, e5 /* not canonical: by DS, by SS */
        movabs  $0x8000000000000000, %rax
        mov     (%rax), %rbx
e5:     expect  exceptions, e6
        push    %rbp
        mov     %rax, %rbp
        mov     (%rbp), %rbx
e6:     pop     %rbp
        expect  exceptions, e7
        mov     $0x1230, %eax
        mov     %eax, %fs
e7:     expect  exceptions, e8
        mov     $0xff, %eax
        mov     %rax, %cr8
e8:     expect  exceptions, e9
        mov     %cr0, %rax
        mov     %rax, %rbx
        btr     $0, %rax
        mov     %rax, %cr0
e9:     expect  exceptions, e10
        mov     %cr4, %rax
        btr     $5, %rax
        mov     %rax, %cr4
e10:    expect  exceptions, e11
        mov     %cr4, %rax
        bts     $30, %rax
        mov     %rax, %cr4
e11:    expect  exceptions, e12
        pushf
        orl     $0x100, (%rsp)
        popf
        nop
        nop
e12:    mov     %dr6, %rax
        stosq
        expect  exceptions, e13 /* a page that may not be executed */
        mov     $0x200000, %eax
        jmp     *%rax
e13:    mov     %cr2, %rax
        stosq
        pushf /* alignment is checked in ring 3 only */
        orl     $0x40000, (%rsp)
        popf
        mov     0x20001, %rax
        pushf
        andl    $~0x40000, (%rsp)
        popf
        finish
        end_guest exceptions

/* SYSCALL from ring 3 to ring 0, back by SYSRET, home by INT. */
        guest   syscall
        mov     $0xc0000081, %ecx
        xor     %eax, %eax
        mov     $0x00100008, %edx
        wrmsr
        mov     $0xc0000082, %ecx
        mov     $(sysentry - guest_syscall + 0x10000), %eax
        xor     %edx, %edx
        wrmsr
        mov     $0xc0000084, %ecx
        mov     $0x200, %eax
        wrmsr
        mov     $0xc0000102, %ecx
        mov     $0x5000, %eax
        mov     $1, %edx
        wrmsr
        pushq   $0x1b
        pushq   $0xb000
        pushq   $0x202
        pushq   $0x23
        pushq   $(sysuser - guest_syscall + 0x10000)
        iretq
sysuser:
        mov     $7, %eax
        syscall
        mov     %rcx, 0x20100
        mov     %r11, 0x20108
        expect  syscall, s1
        wrmsr
s1:     expect  syscall, s2
        swapgs
s2:     expect  syscall, s3
        lgdt    0x20010
s3:     expect  syscall, s4
        mov     $0x300, %edx
        in      %dx, %al
s4:     expect  syscall, s5
        mov     0x3ff000, %eax /* a supervisor's page */
s5:     mov     $0x34, %ecx
        int     $0x80
        ud2
sysentry:
        swapgs
        add     $1, %eax
        mov     %eax, 0x20110
        swapgs
        sysretq
        end_guest syscall

/* ---- devices ---- */

        guest   ports
        mov     $0x20000, %edi
        mov     $0x310, %edx
        in      %dx, %al
        in      %dx, %ax
        in      %dx, %eax
        stosq
        movabs  $0x1122334455667788, %rax
        in      %dx, %al
        mov     %rax, %rbx
        in      %dx, %ax
        mov     %rax, %r12
        in      %dx, %eax
        mov     %rax, %rbp
        in      $0x70, %al
        out     %al, $0x7e
        out     %eax, $0x80
        mov     $5, %ecx
        rep insb
        mov     $4, %ecx
        rep insw
        mov     $3, %ecx
        rep insl
        mov     $0x20000, %esi
        mov     $6, %ecx
        rep outsb
        mov     $4, %ecx
        rep outsw
        mov     $3, %ecx
        rep outsl
        xor     %ecx, %ecx
        rep insb
        rep outsl
        mov     $0x20ffb, %edi /* over the end of a page */
        mov     $10, %ecx
        rep insb
        mov     $0x21ffe, %edi
        insl
        std
        mov     $0x20800, %edi
        mov     $4, %ecx
        rep insw
        mov     $4, %ecx
        mov     $0x20010, %esi
        rep outsb
        cld
        finish
        end_guest ports

        guest   mmio
        mov     $0x600000, %ebx
        mov     $0x20000, %edi
        movb    (%rbx), %al
        movw    2(%rbx), %cx
        mov     4(%rbx), %edx
        mov     8(%rbx), %rsi
        mov     %al, (%rdi)
        mov     %cx, 2(%rdi)
        mov     %edx, 4(%rdi)
        mov     %rsi, 8(%rdi)
        movb    $0x12, 0x10(%rbx)
        movw    $0x1234, 0x12(%rbx)
        movl    $0x12345678, 0x14(%rbx)
        movabs  $0x1122334455667788, %rax
        mov     %rax, 0x18(%rbx)
        addl    $5, 0x20(%rbx) /* read, change, write */
        orb     $1, 0x24(%rbx)
        incq    0x28(%rbx)
        lock addl $7, 0x2c(%rbx)
        xchg    %eax, 0x30(%rbx)
        movzbl  0x41(%rbx), %r8d
        movsbq  0x42(%rbx), %r9
        movzwl  0x44(%rbx), %r10d
        movslq  0x48(%rbx), %r11
        testb   $0x80, 0x50(%rbx)
        setnz   0x10(%rdi)
        cmp     %rax, 0x58(%rbx)
        seta    0x11(%rdi)
        mov     $1, %eax /* CMPXCHG writes in any case */
        mov     $2, %ecx
        cmpxchg %ecx, 0x60(%rbx)
        mov     %eax, 0x14(%rdi)
        mov     0x60(%rbx), %eax
        cmpxchg %ecx, 0x60(%rbx)
        setz    0x12(%rdi)
        xadd    %ecx, 0x68(%rbx)
        pushq   0x70(%rbx)
        popq    0x78(%rbx)
        mov     0x81(%rbx), %eax /* not aligned */
        mov     %eax, 0x18(%rdi)
        mov     %ax, 0x93(%rbx)
        mov     0x9e(%rbx), %r12
        mov     %r12, 0xa3(%rbx)
        mov     $0x600100, %esi /* strings */
        mov     $0x20100, %edi
        mov     $6, %ecx
        rep movsl
        mov     $0x20100, %esi
        mov     $0x600200, %edi
        mov     $5, %ecx
        rep movsb
        mov     $0x600300, %edi
        mov     $3, %ecx
        mov     $0x77, %eax
        rep stosl
        mov     $0x600400, %esi
        lodsq
        mov     %rax, 0x20180
        mov     $0x800000, %ebx /* loads and code of the slot, stores to a device */
        mov     0x100(%rbx), %eax
        mov     %eax, 0x20190
        movl    $0x99, 0x100(%rbx)
        mov     0x100(%rbx), %eax
        mov     %eax, 0x20194
        lea     0x200(%rbx), %rax
        call    *%rax
        mov     %eax, 0x20198
        finish
        end_guest mmio

        guest   wide
        mov     $0x600000, %ebx
        mov     %cr4, %rax
        or      $0x600, %eax
        mov     %rax, %cr4
        movabs  $0x1122334455667788, %rax
        movq    %rax, %xmm1
        movq    %xmm1, 0x40(%rbx)
        movdqu  %xmm1, 0x10(%rbx)
        movdqu  0x20(%rbx), %xmm2
        movq    %xmm2, %rcx
        pxor    %xmm1, %xmm1
        fninit
        fld1
        fldl    0x20(%rbx)
        fistpl  0x60(%rbx)
        fstpl   0x20000
        finish
        end_guest wide

/* ---- interrupts: OUT to 0xe0 raises vector al, 0xe1 an NMI ---- */

        guest   interrupts
        mov     $0xe0, %edx
        mov     $0x31, %al
        out     %al, %dx
        nop
        sti /* not before the second instruction after it */
        nop
        nop
        cli
        mov     $0x32, %al
        sti
        out     %al, %dx
        nop
        mov     $0x33, %al
        cli
        out     %al, %dx
        sti /* and HLT: it does not sleep */
        hlt
        cli
        mov     $0x34, %al
        out     %al, %dx
        mov     $0x35, %al
        out     %al, %dx
        pushf /* two wait; POPF has no shadow */
        orl     $0x200, (%rsp)
        popf
        nop
        sti
        mov     %ss, %bx
        mov     $0x36, %al
        cli
        out     %al, %dx
        sti
        mov     %bx, %ss
        nop
        nop
        cli
        mov     $0xe1, %edx
        out     %al, %dx /* NMI: IF does not matter */
        nop
        mov     $0xe0, %edx
        mov     $0x37, %al
        out     %al, %dx
        int     $0x38 /* comes first */
        sti
        nop
        nop
        finish
        end_guest interrupts

/* The same, where it does not matter when exactly they come. */
        .macro  raise port, vector
        mov     0x7008, %ebx
        mov     $\vector, %al
        mov     $\port, %edx
        out     %al, %dx
        sti
1:      cmp     %ebx, 0x7008
        je      1b
        cli
        mov     0x7008, %ebx
        movl    $0, -48(%rbx) /* where it came in */
        movl    $0, -32(%rbx) /* with which flags */
        .endm
        guest   waits
        raise   0xe0, 0x31
        raise   0xe0, 0x45
        raise   0xe1, 0
        mov     $0x46, %al
        mov     $0xe0, %edx
        out     %al, %dx
        sti
        hlt
        cli
        raise   0xe0, 0xfe
        mov     $9, %eax
        mov     %rax, %cr8
        mov     %cr8, %rbp
        out     %al, $0x80 /* a hypervisor may hear of CR8 only at the next exit */
        mov     $2, %eax
        mov     %rax, %cr8
        out     %al, $0x80
        xor     %eax, %eax
        mov     %rax, %cr8
        mov     $0x8f00, %edi /* frames that tell where interrupts came in */
        mov     $0x100, %ecx
        rep stosb
        finish
        end_guest waits

/* ---- MSRs ---- */

        .macro  read msr
        mov     $\msr, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        rdmsr
        stosl
        mov     %edx, %eax
        stosl
        .endm
        .macro  write msr, low, high
        mov     $\msr, %ecx
        mov     $\low, %eax
        mov     $\high, %edx
        wrmsr
        .endm

        guest   msrs
        mov     $0x20000, %edi
        read    0x1b
        read    0xfe
        read    0x179
        read    0x1a0
        read    0x8b
        read    0xc0000080
        read    0x277
        write   0x200, 0x06, 0
        write   0x201, 0x80000800, 0xf
        read    0x200
        read    0x201
        write   0x250, 0x06060606, 0x06060606
        read    0x250
        write   0x2ff, 0xc06, 0
        read    0x2ff
        write   0x277, 0x00070406, 0x00070406
        read    0x277
        write   0x174, 8, 0
        write   0x175, 0x1234, 0xffff8000
        write   0x176, 0x5678, 1
        read    0x174
        read    0x175
        read    0x176
        write   0x1a0, 1, 0
        read    0x1a0
        write   0x40000000, 0x1111, 0x2222
        read    0x40000000
        read    0x40000071
        write   0x808, 0x20, 0
        read    0x808
        read    0x803
        write   0x6e0, 0x77, 1
        read    0x6e0
        write   0xc0000100, 0x1000, 0x7f
        read    0xc0000100
        write   0xc0000102, 0x2000, 0x7f
        read    0xc0000102
        write   0xc0000083, 0x3000, 0
        read    0xc0000083
        expect  msrs, m1
        read    0x12345
m1:     expect  msrs, m2
        write   0x12345, 1, 0
m2:     expect  msrs, m3
        write   0xfe, 1, 0
m3:     expect  msrs, m5
        write   0xc0000082, 0, 0x80000000
m5:     expect  msrs, m6
        write   0xc0000080, 0, 0
m6:     expect  msrs, m7
        write   0x40000999, 0, 0
m7:     expect  msrs, m8
        read    0x480 /* nested virtualization is not there */
m8:     expect  msrs, m9
        write   0x201, 1, 0
m9:     finish
        end_guest msrs

        guest   pat
        mov     $0x20000, %edi
        expect  pat, t1
        write   0x277, 2, 0
t1:     read    0x277
        expect  pat, t2
        write   0x277, 0, 0x03000000
t2:     read    0x277
        finish
        end_guest pat

/* ---- calls by ports: a page as a monitor fills it, a backdoor, streams ---- */

        guest   calls
        mov     $0x1111, %edi
        mov     $0x2222, %esi
        mov     $0x3333, %edx
        mov     $0x4444, %r10d
        mov     $0x5555, %r8d
        call    calls_page
        mov     %rax, 0x20000
        call    calls_page + 32
        mov     %rax, 0x20008
        mov     $0x564d5868, %eax /* a backdoor: all registers */
        mov     $1, %ebx
        mov     $10, %ecx
        mov     $0x5658, %edx
        in      %dx, %eax
        mov     %rax, 0x20010
        mov     %rbx, 0x20018
        mov     %rcx, 0x20020
        mov     %rdx, 0x20028
        mov     %rsi, 0x20030
        mov     %rdi, 0x20038
        mov     $1, %eax /* not the magic number: the port of a device */
        mov     $0x5658, %edx
        in      %dx, %eax
        mov     %rax, 0x20040
        out     %eax, %dx
        mov     $0x30000, %esi /* streams: many bytes, one, none */
        mov     $3000, %ecx
        mov     $0x564d5868, %eax
        mov     $0x5659, %edx
        rep outsb
        mov     %rsi, 0x20048
        mov     %rbx, 0x20050
        mov     %rcx, 0x20058
        mov     $0x31800, %edi
        mov     $2500, %ecx
        rep insb
        mov     %rdi, 0x20060
        mov     %rbx, 0x20068
        mov     $1, %ecx
        rep outsb
        mov     $1, %ecx
        rep insb
        outsb
        insb
        xor     %ecx, %ecx
        rep outsb
        mov     $1, %eax /* a device's again */
        mov     $3, %ecx
        rep outsb
        mov     $3, %ecx
        rep insb
        mov     %rsi, 0x20070
        mov     %rdi, 0x20078
        finish
        .balign 32
calls_page:
        mov     $0, %eax
        out     %al, $0xe5
        ret
        .balign 32
        mov     $1, %eax
        out     %al, $0xe5
        ret
        end_guest calls

/* ---- for the cases that are not compared instruction by instruction ---- */

/* Counts as long as the byte at 0x300000 is 0x5a. */
        guest   spin
        mov     $0x300000, %esi
1:      mov     (%rsi), %rax
        cmp     $0x5a, %al
        jne     2f
        incq    0x20000
        jmp     1b
2:      mov     %rax, 0x20010
        finish
        end_guest spin

/* Each processor adds 1 many times: with LOCK, and under a lock taken by XCHG. */
        guest   add
        mov     $100, %ecx
1:      lock incq 0x20000
2:      mov     $1, %eax
        xchg    %eax, 0x20010
        test    %eax, %eax
        jz      3f
        pause
        jmp     2b
3:      incq    0x20008
        movl    $0, 0x20010
        dec     %ecx
        jnz     1b
        finish
        end_guest add

/* Writes to every second page from 0x300000 on. */
        guest   dirty
        mov     $0x300000, %edi
        mov     $8, %ecx
1:      movb    $1, (%rdi)
        add     $0x2000, %rdi
        dec     %ecx
        jnz     1b
        finish
        end_guest dirty

/*
 * What the stubs of all vectors jump to, behind them.  A record has 64 bytes: vector, error
 * code, RIP, CS, flags, RSP.  External interrupts (from 0x30 on) and NMI return; the others go
 * on where the guest said.  Vector 0x80 ends the run.
 */
        guest   handlers64 /* stack: vector, code, RIP, CS, flags, RSP, SS */
        push    %rax
        push    %rbx
        mov     0x7008, %rbx
        mov     16(%rsp), %rax
        mov     %rax, (%rbx)
        mov     24(%rsp), %rax
        mov     %rax, 8(%rbx)
        mov     32(%rsp), %rax
        mov     %rax, 16(%rbx)
        mov     40(%rsp), %rax
        mov     %rax, 24(%rbx)
        mov     48(%rsp), %rax
        mov     %rax, 32(%rbx)
        mov     56(%rsp), %rax
        mov     %rax, 40(%rbx)
        add     $64, %rbx
        mov     %rbx, 0x7008
        mov     16(%rsp), %rax
        cmp     $0x80, %eax
        je      2f
        cmp     $0x30, %eax
        jae     1f
        cmp     $2, %eax
        je      1f
        mov     0x7000, %rax
        mov     %rax, 32(%rsp)
        andl    $~0x100, 48(%rsp)
1:      pop     %rbx
        pop     %rax
        add     $16, %rsp
        iretq
2:      finish
        end_guest handlers64

        .code32
        guest   handlers32 /* stack: vector, code, EIP, CS, flags, and from ring 3 ESP, SS */
        push    %eax
        push    %ebx
        mov     0x7008, %ebx
        mov     8(%esp), %eax
        mov     %eax, (%ebx)
        mov     12(%esp), %eax
        mov     %eax, 8(%ebx)
        mov     16(%esp), %eax
        mov     %eax, 16(%ebx)
        mov     20(%esp), %eax
        mov     %eax, 24(%ebx)
        mov     24(%esp), %eax
        mov     %eax, 32(%ebx)
        mov     %esp, 40(%ebx)
        add     $64, %ebx
        mov     %ebx, 0x7008
        mov     8(%esp), %eax
        cmp     $0x80, %eax
        je      2f
        cmp     $0x30, %eax
        jae     1f
        cmp     $2, %eax
        je      1f
        mov     0x7000, %eax
        mov     %eax, 16(%esp)
        andl    $~0x100, 24(%esp)
1:      pop     %ebx
        pop     %eax
        add     $8, %esp
        iret
2:      finish
        end_guest handlers32
        .code64
        .section .note.GNU-stack, "", @progbits
