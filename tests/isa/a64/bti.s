# SPDX-License-Identifier: MIT
# branch target identification: every way to jump onto every landing pad, on a guarded alias of this page and on the page itself.
# Bits of a result: nop, bti, bti c, bti j, bti jc, paciasp, pacibsp were reached.
# expect x0=0x7c x1=0x78 x2=0x7c x3=0x74 x4=0x7f
# expect x5=0x7c x6=0x18 x7=0x7c x8=0x74 x9=0x7f
# expect x10=0x7f x11=0x7f x12=0x36000002 x13=2 x14=0x36000001 x15=0xf200004d x16=3 x17=0 x18=0 x19=2 x21=1
        .equ    ALIAS, 0x200000
        .arch_extension pauth
        ldr     x20, =vectors
        msr     vbar_el1, x20
        // tables: 1 GiB at 0 as blocks of 2 MiB; the second block is the first one again, guarded
        ldr     x20, =0x400000
        ldr     x21, =0x401003          // level 1 -> level 2
        str     x21, [x20]
        add     x20, x20, #0x1000
        mov     x21, #0x701             // block, inner shareable, accessed, attribute 0
        str     x21, [x20]
        orr     x22, x21, #1 << 50
        str     x22, [x20, #8]
        add     x22, x21, #ALIAS
        str     x22, [x20, #16]
        mov     x20, #0xff
        msr     mair_el1, x20
        ldr     x20, =0x80803519        // 39 bits, no TTBR1
        msr     tcr_el1, x20
        ldr     x20, =0x400000
        msr     ttbr0_el1, x20
        isb
        mrs     x20, sctlr_el1
        orr     x20, x20, #1
        msr     sctlr_el1, x20
        isb
        mov     x18, #ALIAS
        mov     x24, #3                 // three passes: what is found again must be what was found
again:  bl      matrix
        mov     x0, x10
        mov     x1, x11
        mov     x2, x12
        mov     x3, x13
        mov     x4, x14
        mrs     x20, sctlr_el1
        orr     x20, x20, #1 << 36
        msr     sctlr_el1, x20
        isb
        bl      matrix
        mov     x5, x10
        mov     x6, x11
        mov     x7, x12
        mov     x8, x13
        mov     x9, x14
        mrs     x20, sctlr_el1
        bic     x20, x20, #1 << 36
        msr     sctlr_el1, x20
        isb
        subs    x24, x24, #1
        b.ne    again
        // onto the page itself: anything goes
        mov     x17, x18
        mov     x18, #0
        adr     x26, site_blr
        bl      pads
        mov     x10, x22
        adr     x26, site_br
        add     x26, x26, x17
        bl      pads
        mov     x11, x22
        mov     x18, x17
        // an exception return with BTYPE, and what the exception says
        adr     x20, pad_nop
        add     x20, x20, x18
        msr     elr_el1, x20
        mov     x20, #2 << 10 | 5 | 0xf << 6
        msr     spsr_el1, x20
        adr     x27, 1f
        eret
1:      mov     x12, x25
        ubfx    x13, x23, #10, #2
        // a pad that is overwritten after it has been used
        adr     x30, pad_c
        add     x19, x30, x18
        adr     x27, 3f
        mov     x16, x19
        mov     x21, #0
        br      x16
3:      mov     x26, x21
        ldr     w28, pad_nop
        str     w28, [x30]              // nop from now on
        dsb     ish
        isb
        adr     x27, 4f
        mov     x16, x19
        mov     x21, #0
        br      x16
4:      mov     x14, x25
        eor     x17, x26, #1
        add     x17, x17, x21
        // a breakpoint instruction is a pad, and its exception shows BTYPE
        adr     x30, pad_brk
        add     x30, x30, x18
        adr     x27, 6f
        mov     x26, x30
        blr     x26
6:      mov     x15, x25
        ubfx    x16, x23, #10, #2
        orr     x16, x16, #1
        // on a page that is not guarded too, whatever way it was reached before: RET, BLR, BR
        adr     x26, pad_brk
        adr     x27, 7f
        ret     x26
7:      ubfx    x18, x23, #10, #2
        adr     x27, 8f
        blr     x26
8:      ubfx    x19, x23, #10, #2
        adr     x27, 9f
        br      x26
9:      ubfx    x21, x23, #10, #2
        hvc     #0
        .ltorg

matrix: mov     x19, x30
        adr     x26, site_br16
        bl      pads
        mov     x10, x22
        adr     x26, site_br
        add     x26, x26, x18
        bl      pads
        mov     x11, x22
        adr     x26, site_br
        bl      pads
        mov     x12, x22
        adr     x26, site_blr
        add     x26, x26, x18
        bl      pads
        mov     x13, x22
        adr     x26, site_ret
        add     x26, x26, x18
        bl      pads
        mov     x14, x22
        mov     x30, x19
        ret

// x26: the jump; x22: pads that it reaches
pads:   mov     x28, x30
        mov     x22, #0
        mov     x23, #0
1:      adr     x15, pad_nop
        add     x15, x15, x23, lsl #4
        add     x15, x15, x18
        mov     x16, x15
        adr     x27, 2f
        mov     x21, #0
        ret     x26
2:      lsl     x21, x21, x20
        adr     x15, pad_nop
        lsl     x21, x21, x23
        orr     x22, x22, x21
        add     x23, x23, #1
        cmp     x23, #7
        b.ne    1b
        mov     x30, x28
        ret

        .balign 16
site_br16:
        br      x16
site_br:
        br      x15
site_blr:
        blr     x15
site_ret:
        ret     x15

        .balign 16
pad_nop:
        nop
        mov     x21, #1
        mov     x20, #0
        ret     x27
        bti
        mov     x21, #1
        mov     x20, #0
        ret     x27
pad_c:  bti     c
        mov     x21, #1
        mov     x20, #0
        ret     x27
        bti     j
        mov     x21, #1
        mov     x20, #0
        ret     x27
        bti     jc
        mov     x21, #1
        mov     x20, #0
        ret     x27
        paciasp
        mov     x21, #1
        mov     x20, #0
        ret     x27
        pacibsp
        mov     x21, #1
        mov     x20, #0
        ret     x27
pad_brk:
        brk     #0x4d

        .balign 2048
vectors:
        .rept   16
        b       handler
        .balign 128
        .endr
handler:
        mrs     x25, esr_el1
        mrs     x29, spsr_el1
        lsr     x20, x25, #26
        cmp     x20, #0x0d
        b.eq    1f
        mov     x23, x29
1:      cbz     x24, 2f
        b       3f
2:      mov     x23, x29
3:      bic     x29, x29, #3 << 10
        msr     spsr_el1, x29
        msr     elr_el1, x27
        mov     x20, #0
        eret
