# SPDX-License-Identifier: MIT
# every condition after a compare, an add and a subtraction; a bit per condition that holds, EQ first (worked out by hand from C1.2.4)
# expect x0=0x1655 x1=0x2995 x2=0x196a x3=0x169a x4=3 x5=0x55 x6=7 x7=0
        .macro  conds reg
        mov     \reg, #0
        .irp    c, eq, ne, cs, cc, mi, pl, vs, vc, hi, ls, ge, lt, gt, le
        cset    x10, \c
        b.\c    1f
        cbnz    x10, fail
        b       2f
1:      cbz     x10, fail
2:      orr     \reg, x10, \reg, lsl #1
        .endr
        .endm
        mov     x7, #0
        mov     x8, #5
        cmp     x8, #7
        conds   x0
        mov     w8, #0x80000000
        cmn     w8, w8
        conds   x1
        cmp     x8, #1
        conds   x2
        mov     w8, #0x40000000
        adds    w9, w8, w8
        conds   x3
        // calls and returns, tbz, tbnz
        mov     x4, #0
        bl      sub
        add     x4, x4, #1
        mov     x9, #1 << 40
        mov     x5, #0x54
        tbz     x9, #40, fail
        tbnz    x9, #39, fail
        tbnz    x9, #40, 3f
        b       fail
3:      add     x5, x5, #1
        adr     x9, 4f
        br      x9
        b       fail
4:      mov     x6, #3
        adr     x9, sub2
        blr     x9
        hvc     #0
fail:   mov     x7, #1
        hvc     #0
sub:    add     x4, x4, #2
        ret
sub2:   add     x6, x6, #4
        ret
