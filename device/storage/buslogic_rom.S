/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a BIOS runs from a BusLogic adapter, so that it boots from the disks there: INT 13h with
 * the extensions for disks beyond cylinders (BIOS Boot Specification 1.01, PCI Firmware 3.0
 * section 5, EDD-1.1).  16-bit code.
 *
 * It needs no memory: mailboxes and CCB lie on the caller's stack (some 150 bytes) while a command
 * runs, and what it remembers is written into its own image before the BIOS locks that.
 * Left out: blocks beyond 2 TiB, CD-ROM drives, callers in virtual-8086 mode.
 */
    .intel_syntax noprefix
    .code16
    .text
    .globl _start
_start:
    .byte 0x55, 0xaa
    .byte 0                     /* its length: tools/mkrom.py */
    jmp init

    .org 0x18
    .word pcir, pnp

    .balign 4
pcir:
    .ascii "PCIR"
    .word 0x104b, 0x1040
    .word 0, 0x18
    .byte 0, 0, 0, 1            /* a SCSI adapter */
    .word 0                     /* its length again */
    .word 1
    .byte 0, 0x80, 0, 0

    .balign 16
pnp:
    .ascii "$PnP"
    .byte 1, 2
    .word 0
    .byte 0, 0                  /* checksum */
    .long 0
    .word maker, product
    .byte 1, 0, 0, 0x14         /* a SCSI adapter; a disk that starts a system */
    .word connect, 0, 0, 0, 0

maker:
    .asciz "BusLogic"
product:
    .asciz "BusLogic BT-958"

    .balign 4
old:
    .long 0                     /* who was asked before us */
port:
    .word 0
first:
    .byte 0                     /* number of our first drive */
count:
    .byte 0
balance:
    .byte 0                     /* what is written before the BIOS adds the image up */
targets:
    .fill 16, 1, 0

/* ax: where the adapter is.  Its ports; it may answer and read memory. */
init:
    pushad
    mov bx, ax
    mov ax, 0xb10a
    mov di, 0x10
    int 0x1a
    and cx, 0xfffc
    mov cs:[port], cx
    sub cs:[balance], cl
    sub cs:[balance], ch
    mov ax, 0xb109
    mov di, 4
    int 0x1a
    or cx, 5
    mov ax, 0xb10c
    int 0x1a
    popad
    xor ax, ax
    retf

/* Our disks become the BIOS's next ones. */
connect:
    pushad
    push ds
    call silence
    xor edx, edx
1:  cmp dl, 7                   /* the adapter itself */
    je 2f
    call capacity
    jc 2f
    movzx bx, byte ptr cs:[count]
    mov cs:[targets + bx], dl
    inc byte ptr cs:[count]
2:  inc dx
    cmp dl, 16
    jb 1b
    mov al, cs:[count]
    test al, al
    jz 3f
    xor bx, bx
    mov ds, bx
    mov ah, [0x475]
    add [0x475], al
    add ah, 0x80
    mov cs:[first], ah
    mov eax, [0x4c]
    mov cs:[old], eax
    mov word ptr [0x4c], offset int13
    mov [0x4e], cs
3:  pop ds
    popad
    retf

/* ---- the adapter ---- */

/* Reset, and no interrupts: nobody would answer them. */
silence:
    mov dx, cs:[port]
    mov al, 0x40
    out dx, al
1:  in al, dx
    test al, 0x80
    jnz 1b
    mov al, 0x25
    call tell
    mov al, 0
    inc dx
    out dx, al
    ret

/* al: a command, when the adapter takes one; dx: its ports, as is left */
tell:
    push ax
1:  in al, dx
    test al, 0x10
    jz 1b
    pop ax
    inc dx
    out dx, al
    dec dx
    ret

/*
 * al: operation of a CDB of 10 bytes, dl: target, edi: block, cx: how many, esi: buffer, ebx: its
 * bytes; carry: failed.  On the stack: two mailboxes, the CCB.
 */
    .set OUTBOX, 0
    .set INBOX, 8
    .set CCB, 16
    .set CDB, CCB + 18
    .set FRAME, 56
scsi:
    pushad
    mov ah, 4                   /* tries: the first one may tell of a reset */
1:  mov bp, FRAME / 2
2:  push 0
    dec bp
    jnz 2b
    mov bp, sp
    mov word ptr [bp + CCB + 2], 0x010a /* CDB of 10, no sense data */
    mov [bp + CCB + 4], ebx
    mov [bp + CCB + 8], esi
    mov [bp + CCB + 16], dl
    mov [bp + CDB], al
    bswap edi
    mov [bp + CDB + 2], edi
    bswap edi
    xchg cl, ch
    mov [bp + CDB + 7], cx
    xchg cl, ch
    push eax
    push ecx
    push dx
    xor eax, eax
    mov ax, ss
    shl eax, 4
    movzx ecx, bp
    add ecx, eax
    lea eax, [ecx + CCB]
    mov [bp + OUTBOX], eax
    mov byte ptr [bp + OUTBOX + 7], 1
    mov dx, cs:[port]
    mov al, 0x81
    call tell
    inc dx
    mov al, 1                   /* one mailbox each way */
    out dx, al
    mov eax, ecx
    mov cx, 4
3:  out dx, al
    shr eax, 8
    loop 3b
    dec dx
    mov al, 2
    call tell
    mov ecx, 0x4000000
4:  in al, dx
    cmp byte ptr [bp + INBOX + 7], 0
    jne 5f
    dec ecx
    jnz 4b
    call silence                /* the stack is about to be somebody else's */
5:  mov dx, cs:[port]
    mov al, 0x20
    out dx, al
    out dx, al
    out dx, al
    pop dx
    pop ecx
    pop eax
    cmp byte ptr [bp + INBOX + 7], 1
    lea sp, [bp + FRAME]
    je 6f
    dec ah
    jnz 1b
    popad
    stc
    ret
6:  popad
    clc
    ret

/* dl: target.  eax: its blocks; carry: it has none, or not of 512 bytes */
capacity:
    push esi
    push edi
    push ebx
    push ecx
    push bp
    push 0
    push 0
    push 0
    push 0
    mov bp, sp
    xor esi, esi
    mov si, ss
    shl esi, 4
    movzx eax, bp
    add esi, eax
    xor edi, edi
    xor cx, cx
    mov ebx, 8
    mov al, 0x25
    call scsi
    jc 1f
    cmp dword ptr [bp + 4], 0x00020000
    stc
    jne 1f
    mov eax, [bp]
    bswap eax
    cmp eax, 0xffffffff
    adc eax, 0                  /* one more than the last, if that can be said */
    clc
1:  lea sp, [bp + 8]
    pop bp
    pop ecx
    pop ebx
    pop edi
    pop esi
    ret

/* eax: blocks.  bx: heads, cx: sectors of a track, as the adapter's own BIOS has them */
geometry:
    mov bx, 255
    mov cx, 63
    cmp eax, 4 << 20
    jae 1f
    mov bx, 128
    mov cx, 32
    cmp eax, 2 << 20
    jae 1f
    mov bx, 64
1:  ret

/* ---- INT 13h ---- */

    .set R_ES, 0
    .set R_DS, 2
    .set R_SI, 8
    .set R_BX, 20
    .set R_DX, 24
    .set R_CX, 28
    .set R_AX, 32
    .set R_FLAGS, 40

int13:
    push ax
    mov al, dl
    sub al, cs:[first]
    jb 1f
    cmp al, cs:[count]
    jb 2f
1:  pop ax
    jmp dword ptr cs:[old]
2:  pop ax
    sti
    cld
    pushad
    push ds
    push es
    mov bp, sp
    mov bl, dl
    sub bl, cs:[first]
    xor bh, bh
    movzx dx, byte ptr cs:[targets + bx]
    mov si, offset functions
3:  lods word ptr cs:[si]
    test ax, ax
    jz 4f
    mov bx, ax
    lods byte ptr cs:[si]
    cmp al, [bp + R_AX + 1]
    jne 3b
    call bx
    jmp 5f
4:  mov ah, 1                   /* no such function */
5:  push 0x40                   /* ah: the status */
    pop ds
    mov [0x74], ah
    and byte ptr [bp + R_FLAGS], 0xfe
    cmp byte ptr [bp + R_AX + 1], 0x15
    je 6f                       /* these two answer in ah, below */
    cmp byte ptr [bp + R_AX + 1], 0x41
    je 6f
    mov [bp + R_AX + 1], ah
6:  test ah, ah
    jz 7f
    mov [bp + R_AX + 1], ah
    or byte ptr [bp + R_FLAGS], 1
7:  pop es
    pop ds
    popad
    cmp ah, 0x15
    jne 8f
    mov ah, 3                   /* a disk */
8:  cmp ah, 0x41
    jne 9f
    mov ah, 0x21                /* EDD-1.1 */
9:  iret

functions:
    .macro function number, at
    .word \at
    .byte \number
    .endm
    function 0x00, good
    function 0x01, last
    function 0x02, chs
    function 0x03, chs
    function 0x04, good
    function 0x08, parameters
    function 0x09, good
    function 0x0c, good
    function 0x0d, good
    function 0x10, good
    function 0x11, good
    function 0x14, good
    function 0x15, kind
    function 0x41, extensions
    function 0x42, packet
    function 0x43, packet
    function 0x44, good
    function 0x47, good
    function 0x48, extended
    .word 0

good:
    xor ah, ah
    ret

last:
    push 0x40
    pop ds
    mov ah, [0x74]
    ret

/* Cylinder, head and sector; al sectors to or from es:bx. */
chs:
    call capacity
    jc failed
    call geometry
    movzx edi, byte ptr [bp + R_CX]
    mov si, di
    and si, 0x3f
    jz wrong
    and di, 0xc0
    shl di, 2
    movzx eax, byte ptr [bp + R_CX + 1]
    add ax, di
    movzx ebx, bx
    imul eax, ebx
    movzx edi, byte ptr [bp + R_DX + 1]
    add eax, edi
    movzx ecx, cx
    imul eax, ecx
    movzx esi, si
    lea edi, [eax + esi - 1]
    movzx ecx, byte ptr [bp + R_AX]
    jcxz wrong
    movzx esi, word ptr [bp + R_ES]
    shl esi, 4
    movzx eax, word ptr [bp + R_BX]
    add esi, eax
    jmp move

/* ds:si: size, blocks, place of the buffer, first block */
packet:
    mov ds, [bp + R_DS]
    mov si, [bp + R_SI]
    movzx ecx, word ptr [si + 2]
    mov edi, [si + 8]
    cmp dword ptr [si + 12], 0
    jne wrong
    movzx eax, word ptr [si + 4]
    movzx esi, word ptr [si + 6]
    shl esi, 4
    add esi, eax
    test ecx, ecx
    jz good

/* cx blocks from edi on, to or from esi */
move:
    mov ebx, ecx
    shl ebx, 9
    mov al, 0x28
    test byte ptr [bp + R_AX + 1], 1
    jz 1f
    mov al, 0x2a
1:  call scsi
    jnc good
failed:
    mov ah, 0x20                /* the controller */
    ret
wrong:
    mov ah, 1
    ret

/* bx, cx: the geometry; eax: cylinders */
cylinders:
    call geometry
    push edx
    push ecx
    push ebx
    movzx ecx, cx
    movzx ebx, bx
    imul ecx, ebx
    xor edx, edx
    div ecx
    pop ebx
    pop ecx
    pop edx
    ret

parameters:
    call capacity
    jc failed
    call cylinders
    cmp eax, 1024
    jbe 1f
    mov ax, 1024
1:  dec ax
    shl ah, 6
    or cl, ah
    mov ch, al
    mov [bp + R_CX], cx
    dec bx
    mov bh, bl
    xor ax, ax
    mov ds, ax
    mov bl, [0x475]
    mov [bp + R_DX], bx
    mov byte ptr [bp + R_AX], 0
    jmp good

kind:
    call capacity
    jc failed
    mov [bp + R_DX], ax
    shr eax, 16
    mov [bp + R_CX], ax
    jmp good

extensions:
    cmp word ptr [bp + R_BX], 0x55aa
    jne wrong
    mov word ptr [bp + R_BX], 0xaa55
    mov word ptr [bp + R_CX], 1
    mov ah, 0
    ret

/* ds:si: what is known of the drive */
extended:
    call capacity
    jc failed
    mov edi, eax
    call cylinders
    mov ds, [bp + R_DS]
    mov si, [bp + R_SI]
    cmp word ptr [si], 26
    jb wrong
    mov word ptr [si], 26
    mov word ptr [si + 2], 0
    mov [si + 4], eax
    movzx eax, bx
    mov [si + 8], eax
    movzx eax, cx
    mov [si + 12], eax
    mov [si + 16], edi
    mov dword ptr [si + 20], 0
    mov word ptr [si + 24], 512
    jmp good
