# SPDX-License-Identifier: MIT
# software step of EL0 code: each instruction once, then an exception with EC 0x32; x9 collects where it stood
# expect x0=6 x1=0xcb000022 x2=3 x3=0x14567a x4=0x56000000
        ldr     x20, =vectors
        msr     vbar_el1, x20
        msr     oslar_el1, xzr
        mov     x0, #0
        mov     x2, #0
        mov     x3, #0
        mov     x20, #1
        msr     mdscr_el1, x20
        adr     x20, user
        msr     elr_el1, x20
        mov     x20, #1 << 21
        msr     spsr_el1, x20
        eret
user:   add     x2, x2, #1              // 0
        cbz     xzr, 1f                 // 1
        add     x2, x2, #16             // 2
        nop                             // 3
1:      add     x2, x2, #1              // 4
        adr     x10, 2f                 // 5
        br      x10                     // 6
2:      add     x2, x2, #1              // 7
        nop                             // 8
        nop                             // 9
        svc     #0                      // a: after it the handler ends
        .ltorg
        .balign 2048
vectors:
        .rept   16
        b       handler
        .balign 128
        .endr
handler:
        mrs     x28, esr_el1
        lsr     x27, x28, #26
        cmp     x27, #0x15
        b.eq    done
        mov     x1, x28
        add     x0, x0, #1
        mrs     x26, elr_el1
        adr     x25, user
        sub     x26, x26, x25
        lsr     x26, x26, #2
        orr     x3, x26, x3, lsl #4
        cmp     x26, #8                 // from here on without stepping
        b.lo    9f
        msr     mdscr_el1, xzr
        orr     x3, x3, #2
9:      mrs     x26, spsr_el1
        orr     x26, x26, #1 << 21
        msr     spsr_el1, x26
        eret
done:   mov     x4, x28
        hvc     #0
