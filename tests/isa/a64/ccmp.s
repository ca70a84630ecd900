# SPDX-License-Identifier: MIT
# a conditional compare with the branch behind it, and alone: the same way and the same flags, for every immediate NZCV and condition (x0: what differed)
# expect x0=0 x1=8 x2=1 x3=5
        .macro  one ins, n, m, nzcv, c1, c2
        cmp     x20, x21
        \ins    \n, \m, #\nzcv, \c1
        b.\c2   1f
        mov     x10, #0
        b       2f
1:      mov     x10, #1
2:      mrs     x12, nzcv
        cmp     x20, x21
        \ins    \n, \m, #\nzcv, \c1
        mrs     x11, nzcv
        cset    x13, \c2
        eor     x12, x12, x11
        eor     x10, x10, x13
        orr     x0, x0, x12
        orr     x0, x0, x10
        .endm
        .macro  each ins, n, m, c1
        .irp    nzcv, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        .irp    c2, eq, ne, cs, cc, mi, pl, vs, vc, hi, ls, ge, lt, gt, le
        one     \ins, \n, \m, \nzcv, \c1, \c2
        .endr
        .endr
        .endm
        mov     x0, #0
        mov     x1, #0
        adr     x9, table
next:   ldp     x20, x21, [x9], #16
        ldp     x22, x23, [x9], #16
        each    ccmp, x22, x23, ne
        each    ccmn, w22, w23, lt
        add     x1, x1, #1
        cmp     x1, #8
        b.ne    next
        // a loop whose back edge is a pair, left by the first condition and by the second
        mov     x2, #6
1:      sub     x2, x2, #1
        cmp     x2, #9
        ccmp    x2, #1, #0, ne
        b.ne    1b
        mov     x3, #9
2:      sub     x3, x3, #1
        cmp     x3, #5
        ccmp    x3, #31, #4, ne
        b.ne    2b
        hvc     #0
        .balign 8
table:  .quad   1, 1, 2, 2
        .quad   1, 2, 2, 2
        .quad   2, 1, 2, 3
        .quad   -1, 1, 3, 2
        .quad   0x8000000000000000, 1, 0x8000000000000000, 0x7fffffffffffffff
        .quad   1, 2, 0x80000000, 0x80000000
        .quad   0x7fffffffffffffff, -1, 0x7fffffff, 1
        .quad   5, 5, 0xffffffff80000000, 1
