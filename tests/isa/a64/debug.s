# SPDX-License-Identifier: MIT
# breakpoint and watchpoint registers: who matches when, and what the exceptions say
# x0: hits of an EL0 breakpoint in a loop that steps over it each time; x1, x2: its syndrome, that of the step
# x3: watchpoint hits, a bit each; x4: syndrome of a store; x5: its address; x6: of a load at EL1 as EL0 (LDTR); x7: range hits
# x8: EL1 breakpoint: masked, with D clear, OS lock, double lock; x9: its syndrome; x10: linked to a context: other, same; x11: step of a load-exclusive
# x12: what the registers keep
# expect x0=3 x1=0xc2000022 x2=0xcb000022 x3=0x6a x4=0xd2000062 x5=0x100004 x6=0xd6000022 x7=0x7 x8=0x12 x9=0xc6000022 x10=2 x11=0xcb000062 x12=0xffe1e7 x13=3
        .equ    DATA, 0x100000
        ldr     x20, =vectors
        msr     vbar_el1, x20
        msr     oslar_el1, xzr
        mov     x20, #1 << 15           // MDE
        msr     mdscr_el1, x20
        isb
        mov     x20, #-1
        msr     dbgbcr5_el1, x20
        mrs     x12, dbgbcr5_el1
        msr     dbgbcr5_el1, xzr

        // an EL0 breakpoint in a loop of three turns, as a debugger does it
        mov     x0, #0
        adr     x20, ub
        msr     dbgbvr0_el1, x20
        mov     x20, #0x1e5             // E, EL0
        msr     dbgbcr0_el1, x20
        mov     x13, #0
        adr     x14, user1
        bl      run_el0
        mov     x1, x21
        mov     x2, x24
        msr     dbgbcr0_el1, xzr

        // watchpoints: stores to the upper word
        mov     x3, #0
        ldr     x15, =DATA
        msr     dbgwvr0_el1, x15
        adr     x14, user2
        mov     x16, #0x1e00            // BAS 0xf0
        add     x16, x16, #0x15         // E, EL0, stores
        msr     dbgwcr0_el1, x16
        bl      run_el0
        mov     x4, x17
        mov     x5, x23
        // loads at EL1 as EL0
        mov     x16, #0x1e00
        add     x16, x16, #0x0d         // E, EL0, loads
        msr     dbgwcr0_el1, x16
        isb
        mov     x20, #1 << 13 | 1 << 15 // KDE
        msr     mdscr_el1, x20
        msr     daifclr, #8
        mov     x19, #0
        ldr     w20, [x15, #4]
        orr     x3, x3, x19, lsl #4     // no
        mov     x19, #0
        ldtr    w20, [x15, #4]
        orr     x3, x3, x19, lsl #5     // yes
        mov     x6, x17
        // atomics load and store
        mov     x16, #0x1e00
        add     x16, x16, #0x0b         // E, EL1, loads
        msr     dbgwcr0_el1, x16
        isb
        mov     x19, #0
        mov     w20, #1
        add     x25, x15, #4
        ldadd   w20, w20, [x25]
        orr     x3, x3, x19, lsl #6     // yes
        // a range of 64 bytes: first, last, behind, DC ZVA
        mov     x7, #0
        ldr     x16, =6 << 24 | 0x1ff3  // E, EL1, stores
        msr     dbgwcr0_el1, x16
        isb
        mov     x19, #0
        strb    wzr, [x15]
        orr     x7, x7, x19
        msr     dbgwcr0_el1, x16
        isb
        mov     x19, #0
        strb    wzr, [x15, #63]
        orr     x7, x7, x19, lsl #1
        msr     dbgwcr0_el1, x16
        isb
        mov     x19, #0
        add     x25, x15, #60
        strb    wzr, [x15, #64]
        orr     x7, x7, x19, lsl #3     // no
        stp     w20, w20, [x25]
        orr     x7, x7, x19, lsl #2     // begins inside

        // EL1 breakpoints
        mov     x8, #0
        adr     x20, kb
        msr     dbgbvr1_el1, x20
        mov     x20, #0x1e3             // E, EL1
        msr     daifset, #8
        bl      probe
        orr     x8, x8, x19             // masked
        msr     daifclr, #8
        bl      probe
        orr     x8, x8, x19, lsl #1
        mov     x9, x21
        mov     x25, #1
        msr     oslar_el1, x25
        bl      probe
        orr     x8, x8, x19, lsl #2     // OS lock
        msr     oslar_el1, xzr
        msr     osdlr_el1, x25
        bl      probe
        orr     x8, x8, x19, lsl #3     // double lock
        msr     dbgprcr_el1, x25
        bl      probe
        orr     x8, x8, x19, lsl #4     // not while the core must stay powered
        msr     osdlr_el1, xzr
        msr     dbgprcr_el1, xzr

        // linked to the context of breakpoint 4
        mov     x20, #77
        msr     dbgbvr4_el1, x20
        ldr     x20, =0x3001e3
        msr     dbgbcr4_el1, x20
        ldr     x20, =0x1401e3
        mov     x25, #76
        msr     contextidr_el1, x25
        bl      probe
        mov     x10, x19
        mov     x25, #77
        msr     contextidr_el1, x25
        bl      probe
        orr     x10, x10, x19, lsl #1
        msr     dbgbcr4_el1, xzr

        // stepping a load-exclusive
        adr     x14, user3
        mov     x20, #1
        msr     mdscr_el1, x20
        mov     x26, #1 << 21
        bl      run_el0_ss
        mov     x11, x24
        hvc     #0
        .ltorg

// x20 to dbgbcr1, run over kb; x19: hit
probe:  mov     x18, x30
        msr     dbgbcr1_el1, x20
        isb
        mov     x19, #0
kb:     nop
        msr     dbgbcr1_el1, xzr
        isb
        ret     x18

run_el0:
        mov     x26, #0
run_el0_ss:
        mov     x28, x30
        msr     elr_el1, x14
        msr     spsr_el1, x26
        eret

user1:  mov     x27, #3
1:      add     x27, x27, #1
ub:     sub     x27, x27, #2
        add     x13, x13, #1
        cbnz    x27, 1b
        svc     #0
user2:  mov     x19, #0
        ldr     x20, [x15]
        orr     x3, x3, x19             // no: loads
        str     wzr, [x15]
        orr     x3, x3, x19             // no: the lower word
        str     wzr, [x15, #4]
        orr     x3, x3, x19, lsl #1     // yes
        mov     x19, #0
        str     xzr, [x15]              // not any more: the handler turned it off
        orr     x3, x3, x19, lsl #2
        svc     #1                      // on again
        stp     wzr, wzr, [x15]
        orr     x3, x3, x19, lsl #3     // yes: a part of the pair
        svc     #0
user3:  ldxr    x20, [x15]
        svc     #0

        .balign 2048
vectors:
        .rept   16
        b       handler
        .balign 128
        .endr
handler:
        mrs     x29, esr_el1
        lsr     x30, x29, #26
        cmp     x30, #0x30
        b.eq    break0
        cmp     x30, #0x31
        b.eq    break1
        cmp     x30, #0x32
        b.eq    step
        cmp     x30, #0x34
        b.eq    watch
        cmp     x30, #0x35
        b.eq    watch
        and     x29, x29, #0xffff
        cbnz    x29, 1f
        msr     elr_el1, x28            // svc #0: back to the caller at EL1
        mov     x30, #0x3c5
        msr     spsr_el1, x30
        eret
1:      msr     dbgwcr0_el1, x16
        mov     x19, #0
        eret
break0: mrs     x30, elr_el1            // step over: off, step, on again
        mov     x21, x29
        adr     x29, ub
        cmp     x29, x30
        cinc    x0, x0, eq
        msr     dbgbcr0_el1, xzr
        mov     x30, #0x8001
        msr     mdscr_el1, x30
        mrs     x30, spsr_el1
        orr     x30, x30, #1 << 21
        msr     spsr_el1, x30
        eret
step:   mov     x24, x29
        mov     x30, #0x8000
        msr     mdscr_el1, x30
        mov     x30, #0x1e5
        msr     dbgbcr0_el1, x30
        eret
break1: mov     x21, x29
        mov     x19, #1
        msr     dbgbcr1_el1, xzr
        mrs     x30, elr_el1
        adr     x29, kb
        cmp     x29, x30
        cinc    x19, x19, ne            // 2: at a wrong place
        eret
watch:  mov     x21, x29
        mov     x17, x29
        mrs     x23, far_el1
        mov     x19, #1
        msr     dbgwcr0_el1, xzr
        eret
