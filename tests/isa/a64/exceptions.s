# SPDX-License-Identifier: MIT
# syndromes, return addresses and PSTATE of synchronous exceptions taken from EL1 and EL0
# expect x0=0x5600002a x1=0 x2=0xf2001234 x3=0 x4=0x2000000 x5=0x96000021 x6=0x100001 x7=0x9a000000
# expect x8=0x5600000b x9=0x3c0 x10=0x8a000000 x11=0x80001 x12=0x6232d285 x13=0x2000000 x15=0x6212de96
        ldr     x20, =vectors
        msr     vbar_el1, x20
        mov     x20, #0x200000
        mov     sp, x20
        // SVC: ELR behind it
1:      svc     #42
        mov     x0, x28
        adr     x20, 1b
        sub     x1, x29, x20
        sub     x1, x1, #4
        // BRK: ELR at it; the handler skips
2:      brk     #0x1234
        mov     x2, x28
        adr     x20, 2b
        sub     x3, x29, x20
        // undefined
        .inst   0
        mov     x4, x28
        // device memory: unaligned
        ldr     x20, =0x100001
        ldr     x21, [x20]
        mov     x5, x28
        mrs     x6, far_el1
        mrs     x22, sctlr_el1          // SP alignment, with SA
        orr     x22, x22, #8
        msr     sctlr_el1, x22
        mov     x22, sp
        add     sp, sp, #8
        ldr     x21, [sp]
        mov     sp, x22
        mov     x7, x28
        // pc alignment: handler returns to x30
        mov     x26, #1
        adr     x30, 3f
        adr     x20, 3f + 1
        br      x20
3:      mov     x10, x28
        mrs     x11, far_el1
        adr     x20, 3b
        sub     x11, x11, x20
        orr     x11, x11, #0x80000
        mov     x26, #0
        // EL0: registers of EL1 are undefined, what SCTLR forbids traps with EC 0x18
        adr     x20, user
        msr     elr_el1, x20
        msr     spsr_el1, xzr
        eret
user:   mrs     x20, daif
        mov     x12, x28
        mrs     x20, vbar_el1
        mov     x13, x28
        svc     #11
        mov     x8, x28
        mov     x9, x27
        dc      cvau, x20
        mov     x15, x28
        svc     #0xfff
        .ltorg

        .balign 2048
vectors:
        .rept   16
        b       handler
        .balign 128
        .endr
handler:
        mrs     x28, esr_el1
        mrs     x29, elr_el1
        mov     x27, #0x3c0             // DAIF are masked in here
        lsr     x25, x28, #26
        and     x24, x28, #0xffff
        mov     x23, #0xfff
        cmp     x24, x23
        b.eq    done
        cmp     x25, #0x15              // SVC returns behind by itself
        b.eq    9f
        add     x24, x29, #4
        msr     elr_el1, x24
        cbz     x26, 9f
        msr     elr_el1, x30
9:      eret
done:   hvc     #0
