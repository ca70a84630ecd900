# SPDX-License-Identifier: MIT
# the virtual timer interrupts a WFI and a loop; the counter runs
# expect x0=2 x1=1 x2=5 x3=62500000
        ldr     x20, =vectors
        msr     vbar_el1, x20
        mov     x0, #0
        mrs     x3, cntfrq_el0
        mov     x20, #10000
        msr     cntv_tval_el0, x20
        mov     x20, #1
        msr     cntv_ctl_el0, x20
        wfi
        mrs     x2, cntv_ctl_el0        // enabled, met
        msr     daifclr, #2
1:      cbz     x0, 1b
        msr     daifset, #2
        mrs     x21, cntvct_el0
        add     x20, x21, #4000
        msr     cntv_cval_el0, x20
        mov     x20, #1
        msr     cntv_ctl_el0, x20
        msr     daifclr, #2
2:      cmp     x0, #2
        b.ne    2b
        mrs     x22, cntvct_el0
        sub     x22, x22, x21
        cmp     x22, #4000
        cset    x1, hs
        hvc     #0
        .ltorg
        .balign 2048
vectors:
        .rept   16
        b       irq
        .balign 128
        .endr
irq:    msr     cntv_ctl_el0, xzr
        add     x0, x0, #1
        eret
