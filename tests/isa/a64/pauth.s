# SPDX-License-Identifier: MIT
# signing and authenticating round trips, a wrong modifier gives an address that is not canonical
# expect x0=0x123450 x1=1 x2=1 x3=0x123450 x4=1 x5=0x2000000000123450
        mov     x20, #0x3519
        movk    x20, #0x5, lsl #32      // IPS
        msr     tcr_el1, x20
        mrs     x20, sctlr_el1
        ldr     x21, =0xc8002000        // EnIA EnIB EnDA EnDB
        orr     x20, x20, x21
        msr     sctlr_el1, x20
        isb
        mov     x20, #0x1234
        msr     apiakeylo_el1, x20
        msr     apiakeyhi_el1, x20
        mov     x22, #0x3450
        movk    x22, #0x12, lsl #16
        mov     x23, #99
        mov     x0, x22
        pacia   x0, x23
        cmp     x0, x22
        cset    x1, ne
        mov     x24, x0
        autia   x0, x23
        mov     x3, x24
        xpaci   x3
        mov     x5, x24
        mov     x25, #98
        autia   x5, x25
        mov     x6, x22
        pacia   x6, x25
        cmp     x6, x24
        cset    x2, ne
        // a subroutine with a signed return address
        mov     x26, #0x200000
        mov     sp, x26
        mov     x4, #0
        bl      sub
        hvc     #0
        .ltorg
sub:    paciasp
        add     x4, x4, #1
        retaa
