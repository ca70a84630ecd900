# SPDX-License-Identifier: MIT
# unaligned ordered accesses, atomics and exclusives: allowed within 16 bytes, across them as SCTLR_EL1.nAA says, never with SCTLR_EL1.A
# Bits of a result, from 0: ldar, stlr, ldapr, ldapur, ldadd, cas, swp, ldxr, stxr, casp, ldxp, ldr  (stxr finds no reservation)
# expect x0=0xfff x1=0x900 x2=0x90f x3=0x100 x4=0x96000061 x5=0x1122334455667799 x6=0x96000021 x7=0x100009
        ldr     x20, =vectors
        msr     vbar_el1, x20
        ldr     x20, =0x400000
        ldr     x21, =0x401003
        str     x21, [x20]
        add     x20, x20, #0x1000
        mov     x21, #0x701
        str     x21, [x20]
        mov     x20, #0xff
        msr     mair_el1, x20
        ldr     x20, =0x80803519
        msr     tcr_el1, x20
        ldr     x20, =0x400000
        msr     ttbr0_el1, x20
        isb
        mrs     x20, sctlr_el1
        orr     x20, x20, #1
        msr     sctlr_el1, x20
        isb
        ldr     x15, =0x100003          // 8 bytes within 16
        ldr     x16, =0x100004          // a pair of 4 bytes
        bl      all
        mov     x0, x22
        ldr     x15, =0x100009          // across
        ldr     x16, =0x10000c
        bl      all
        mov     x1, x22
        mrs     x20, sctlr_el1
        orr     x20, x20, #1 << 6       // nAA
        msr     sctlr_el1, x20
        isb
        bl      all
        mov     x2, x22
        mrs     x20, sctlr_el1
        orr     x20, x20, #2            // A
        msr     sctlr_el1, x20
        isb
        ldr     x15, =0x100003
        ldr     x16, =0x100004
        bl      all
        mov     x3, x22
        // the syndromes of a store and of a load
        ldr     x15, =0x100009
        stlr    x10, [x15]
        mov     x4, x24
        ldar    x10, [x15]
        mov     x6, x24
        mrs     x7, far_el1
        mrs     x20, sctlr_el1
        bic     x20, x20, #2
        msr     sctlr_el1, x20
        isb
        // an unaligned atomic changes its bytes and no others
        ldr     x10, =0x1122334455667788
        ldr     x15, =0x100003
        str     x10, [x15]
        mov     x11, #0x11
        ldadd   x11, x12, [x15]
        ldr     x5, [x15]
        hvc     #0
        .ltorg

        .macro  try n, insn:vararg
        mov     x25, #1
        \insn
        lsl     x25, x25, #\n
        orr     x22, x22, x25
        .endm
all:    mov     x22, #0
        mov     x11, #0
        try     0, ldar x10, [x15]
        try     1, stlr x10, [x15]
        try     2, ldapr x10, [x15]
        try     3, ldapur x10, [x15]
        try     4, ldadd x11, x12, [x15]
        try     5, cas x11, x12, [x15]
        try     6, swp x11, x12, [x15]
        try     7, ldxr x10, [x15]
        try     8, stxr w13, x10, [x15]
        try     9, casp w10, w11, w12, w13, [x16]
        try     10, ldxp w10, w11, [x16]
        try     11, ldr x10, [x15]
        ret

        .balign 2048
vectors:
        .rept   16
        b       handler
        .balign 128
        .endr
handler:                                // skip the instruction; x25: no bit
        mrs     x25, elr_el1
        add     x25, x25, #4
        msr     elr_el1, x25
        mrs     x24, esr_el1
        mov     x25, #0
        eret
