# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
#
# A whole guest in 64 KiB, given to QEMU as its firmware: it needs no kernel and is ready at once, also where QEMU itself
# runs in an emulated machine. It looks at its NVDIMM, says on port 0xe9 what it found there,
#     Z  nothing but zeros
#     P  the pattern of the first seed
#     ?  anything else
# then stores the pattern of the second seed all over it, says W, and halts. The pattern at byte n of the NVDIMM is the
# 64-bit number seed + n. Address, size and the two seeds are the first four 64-bit words of this file, for the one who
# starts it to fill in; the NVDIMM lies below 5 GiB.

    .set BASE, 0xffff0000       # where the last 64 KiB of firmware are mapped
    .set TABLES, 0x1000         # page tables, in RAM
    .set CODE32, 0x08
    .set DATA32, 0x10
    .set CODE64, 0x18

    .text
start:
parameters:
    .quad 0, 0, 0, 0

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0x00af9a000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long BASE + (gdt - start)

    .code16
real:
    cli
    lgdtl %cs:(gdt_pointer - start)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $CODE32, $(BASE + (protected - start))

    .code32
protected:
    movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    # One table of the fourth level, one of the third, five of the second: 5 GiB in pages of 2 MiB, as they are.
    movl $(TABLES + 0x1000 + 3), TABLES
    movl $(TABLES + 0x2000 + 3), %eax
    movl $(TABLES + 0x1000), %edi
    movl $5, %ecx
third:
    movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop third
    movl $0x83, %eax
    xorl %edx, %edx
    movl $(TABLES + 0x2000), %edi
    movl $(5 * 512), %ecx
second:
    movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    adcl $0, %edx
    addl $8, %edi
    loop second
    # Long mode.
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $CODE64, $(BASE + (long - start))

    .code64
long:
    movl $(BASE + (parameters - start)), %esi
    movq (%rsi), %rdi           # address
    movq 8(%rsi), %rcx          # size
    movq 16(%rsi), %rbx         # first seed
    movq 24(%rsi), %r11         # second seed
    # r8: what is other than zero; r9: what is other than the pattern.
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %edx, %edx
look:
    movq (%rdi,%rdx), %rax
    orq %rax, %r8
    leaq (%rbx,%rdx), %r10
    xorq %rax, %r10
    orq %r10, %r9
    addq $8, %rdx
    cmpq %rcx, %rdx
    jb look
    movb $'Z', %al
    testq %r8, %r8
    jz found
    movb $'P', %al
    testq %r9, %r9
    jz found
    movb $'?', %al
found:
    outb %al, $0xe9
    xorl %edx, %edx
store:
    leaq (%r11,%rdx), %rax
    movq %rax, (%rdi,%rdx)
    addq $8, %rdx
    cmpq %rcx, %rdx
    jb store
    mfence
    movb $'W', %al
    outb %al, $0xe9
halt:
    hlt
    jmp halt

    # Where a processor begins.
    .org 0xfff0
    .code16
    jmp real
    .org 0x10000
