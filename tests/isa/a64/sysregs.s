# SPDX-License-Identifier: MIT
# fields that are there, fields that are not, identification
# cpu cortex-a57
# expect x0=4 x1=0x3c0 x2=0 x3=0x411fd070 x4=0x30d00800 x5=0x2000000 x6=0xf7ffffbf x7=0x80000000 x8=1 x9=0xa0000000
        adr     x20, vectors
        msr     vbar_el1, x20
        mrs     x0, currentel
        mrs     x1, daif
        mrs     x2, id_aa64isar1_el1
        mrs     x3, midr_el1
        mrs     x4, sctlr_el1
        mrs     x20, s3_0_c4_c2_3       // PAN: not in a Cortex-A57
        mov     x5, x28
        mov     x20, #-1
        msr     tcr_el1, x20
        mrs     x6, tcr_el1
        mov     w6, w6
        orr     x6, x6, #1 << 31
        and     x6, x6, #0xffffffff
        mov     w21, #0xffffffbf
        and     x6, x6, x21
        and     x6, x6, #~(1 << 27)
        mrs     x7, mpidr_el1
        mrs     x8, spsel
        mov     x20, #0xa0000000
        msr     nzcv, x20
        mrs     x9, nzcv
        hvc     #0
        .balign 2048
vectors:
        .rept   16
        b       undef
        .balign 128
        .endr
undef:  mrs     x28, esr_el1
        mrs     x29, elr_el1
        add     x29, x29, #4
        msr     elr_el1, x29
        eret
