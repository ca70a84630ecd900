# SPDX-License-Identifier: MIT
# what no other suite executes: flag conversions, PSTATE fields, hints, barriers, cache maintenance, branches and loads with keys that are off
# x0-x2: CFINV, AXFLAG, XAFLAG; x3-x6: DIT, SSBS, PAN, UAO; x7: flags after RNDR; x8: ways to branch; x9, x10: LDRAA, LDRAB; x11: undefined
# x12-x14: literals; x15: an exclusive pair of words; x16: pointers are unchanged; x17-x19: LDAPUR
# expect x0=0x40000000 x1=0x40000000 x2=0x60000000 x3=0x1000000 x4=0x1000 x5=0x400000 x6=0x800000 x7=0 x8=15 x9=0x1111 x10=0x2222 x11=4
# expect x12=0x89abcdef x13=0xffffffff89abcdef x14=0x0123456789abcdef x15=0x10 x16=0 x17=-128 x18=0xffffff80 x19=0x80
        ldr     x20, =vectors
        msr     vbar_el1, x20
        mov     x11, #0
        cmp     x11, x11
        cfinv
        mrs     x0, nzcv
        mov     x20, #0x50000000
        msr     nzcv, x20
        .inst   0xd500405f              // axflag
        mrs     x1, nzcv
        mov     x20, #0x60000000
        msr     nzcv, x20
        .inst   0xd500403f              // xaflag
        mrs     x2, nzcv
        msr     s0_3_c4_c1_2, xzr       // dit, #1
        mrs     x3, s3_3_c4_c2_5
        .inst   0xd503413f              // msr ssbs, #1
        mrs     x4, s3_3_c4_c2_6
        .inst   0xd500419f              // msr pan, #1
        mrs     x5, s3_0_c4_c2_3
        .inst   0xd500409f
        .inst   0xd500417f              // msr uao, #1
        mrs     x6, s3_0_c4_c2_4
        .inst   0xd500407f
        mrs     x20, s3_3_c2_c4_0       // rndr
        mrs     x7, nzcv
        mrs     x20, s3_3_c2_c4_1
        // hints and barriers
        nop
        yield
        sevl
        wfe
        sev
        msr     spsel, #1
        esb
        csdb
        hint    #40
        ssbb
        pssbb
        sb
        dmb     ishld
        dsb     sy
        isb
        ldr     x22, =0x100000
        dc      civac, x22
        dc      cvac, x22
        dc      cvap, x22
        sys     #3, c7, c13, #1, x22    // dc cvadp
        ic      ivau, x22
        ic      iallu
        sysl    x20, #3, c7, c0, #0
        // keys are off: pointers stay as they are
        mov     x16, #0
        ldr     x20, =0x8010
        mov     x21, x20
        mov     x17, x20
        mov     x30, x20
        pacia1716
        autia1716
        pacib1716
        autib1716
        paciaz
        autiaz
        pacibz
        autibz
        paciasp
        autiasp
        pacibsp
        autibsp
        xpaclri
        pacia   x21, x22
        autia   x21, x22
        pacizb  x21
        autizb  x21
        pacda   x21, x22
        autda   x21, x22
        pacdzb  x21
        autdzb  x21
        xpaci   x21
        xpacd   x21
        pacga   x23, x21, x22
        eor     x16, x21, x20
        eor     x23, x17, x20
        orr     x16, x16, x23
        eor     x23, x30, x20
        orr     x16, x16, x23
        // branches
        mov     x8, #0
        .macro  via insn:vararg
        adr     x20, 1f
        mov     x30, x20
        msr     elr_el1, x20
        mov     x21, #0x3c5
        msr     spsr_el1, x21
        \insn
        hvc     #0
1:      add     x8, x8, #1
        .endm
        via     braaz x20
        via     brabz x20
        via     blraaz x20
        via     blrabz x20
        via     braa x20, x21
        via     brab x20, x21
        via     blraa x20, x21
        via     blrab x20, x21
        via     retaa
        via     retab
        via     ret x20
        via     br x20
        via     eretaa
        via     eretab
        via     eret
        // loads
        mov     x20, #0x1111
        mov     x21, #0x2222
        stp     x20, x21, [x22]
        ldraa   x9, [x22]
        mov     x20, x22
        ldrab   x10, [x20, #8]!
        ldr     w12, literal
        ldrsw   x13, literal
        ldr     x14, literal
        mov     x20, #3 << 20
        msr     cpacr_el1, x20
        isb
        ldr     s0, literal
        ldr     d0, literal
        ldr     q0, literal
        prfm    pldl1keep, literal
        prfm    pldl1keep, [x22]
        adr     x20, literal
        adrp    x20, literal
        stp     wzr, wzr, [x22]
2:      ldaxp   w20, w21, [x22]
        add     w20, w20, #0x10
        stlxp   w23, w20, w21, [x22]
        cbnz    w23, 2b
3:      ldxrb   w20, [x22]
        stxrb   w23, w20, [x22]
        cbnz    w23, 3b
        clrex
        ldr     x15, [x22]
        mov     x20, #0x80
        stlurb  w20, [x22, #9]
        ldapurb w19, [x22, #9]
        ldapursb x17, [x22, #9]
        ldapursb w18, [x22, #9]
        // undefined here, as SYSL above
        smc     #0
        hlt     #0
        .inst   0
        tbz     x15, #40, 4f
        nop
4:      tbnz    x15, #4, 5f
        nop
5:      cbz     xzr, 6f
        nop
6:      hvc     #0
        .ltorg
        .balign 16
literal:
        .quad   0x0123456789abcdef, 0

        .balign 2048
vectors:
        .rept   16
        b       undef
        .balign 128
        .endr
undef:  add     x11, x11, #1
        mrs     x29, elr_el1
        add     x29, x29, #4
        msr     elr_el1, x29
        eret
