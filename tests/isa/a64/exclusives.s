# SPDX-License-Identifier: MIT
# exclusive pairs: closed in a block, open across blocks, lost reservations, pairs, and a form that is left on the side
# expect x0=11 x1=0 x2=1 x3=1 x4=0x33 x5=0x44 x6=0 x7=2 x8=1 x9=77 x13=5
        mov     x20, #0x100000
        mov     x10, #10
        str     x10, [x20]
1:      ldxr    x11, [x20]              // closed
        add     x11, x11, #1
        stxr    w1, x11, [x20]
        cbnz    w1, 1b
        ldr     x0, [x20]
        // open: a store of its own does not break the local monitor here; CLREX does
        ldxr    x11, [x20]
        b       2f
2:      clrex
        stxr    w2, x11, [x20]
        // no load at all
        stxr    w3, x11, [x20]
        // pair
        mov     x10, #0x11
        mov     x11, #0x22
        stp     x10, x11, [x20]
3:      ldaxp   x10, x11, [x20]
        add     x10, x10, x11
        add     x11, x11, x11
        stlxp   w6, x10, x11, [x20]
        cbnz    w6, 3b
        ldp     x4, x5, [x20]
        // leaves the closed form and stores elsewhere: must end
        mov     x7, #0
        mov     x9, #0
        str     x7, [x20]
4:      ldxr    x11, [x20]
        cbz     x11, 5f
        stxr    w12, x9, [x20]
        b       6f
5:      mov     x11, #2
        nop
        stxr    w12, x11, [x20]
        cbnz    w12, 4b
6:      ldr     x7, [x20]
        // LSE
        mov     x10, #76
        str     x10, [x20]
        mov     x11, #1
        ldadd   x11, x12, [x20]
        cmp     x12, #76
        cset    x8, eq
        ldr     x9, [x20]
        // always leaves a closed form on the side and stores there: must end all the same
7:      ldxr    x11, [x20]
        cbnz    x11, 8f
        stxr    w12, x11, [x20]
        b       9f
8:      mov     x14, #5
        stxr    w12, x14, [x20]
        cbnz    w12, 7b
9:      ldr     x13, [x20]
        hvc     #0
