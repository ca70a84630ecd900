# SPDX-License-Identifier: MIT
# performance monitors: exact counts of instructions by exception level, software increments, exceptions, overflow with its interrupt, cycles, traps
# x0: instructions between two writes; x1: the same in a loop with a call; x2: at EL0 only; x3: increments; x4: exceptions taken, returned
# x5: overflow flags; x6: interrupts; x7: count when it came less than 64 behind; x8: a chained pair; x9: cycles went on and a cycle interrupt came
# x10: syndrome of PMCCNTR at EL0; x11: allowed by CR; x12: what PMCR and PMCNTENSET keep; x13: counters that are not there
# expect x0=5 x1=41 x2=5 x3=3 x4=0x201 x5=1 x6=1 x7=1 x8=0x100000003 x9=3 x10=0x6230e71b x11=1 x12=0x30418000003f x13=0
        ldr     x20, =vectors
        msr     vbar_el1, x20
        mov     x28, #0                 // interrupts
        mov     x20, #0x08              // counter 0: instructions, EL1 only
        orr     x20, x20, #1 << 30
        msr     pmevtyper0_el0, x20
        mov     x20, #7
        msr     pmcr_el0, x20
        mov     x21, #1
        isb
        msr     pmcntenset_el0, x21
        nop
        nop
        nop
        nop
        nop
        msr     pmcntenclr_el0, x21
        mrs     x0, pmevcntr0_el0
        // 10 turns of 4, and 2 more
        msr     pmevcntr0_el0, xzr
        mov     x22, #10
        msr     pmcntenset_el0, x21
1:      bl      2f
        subs    x22, x22, #1
        b.ne    1b
        nop
        msr     pmcntenclr_el0, x21
        mrs     x1, pmevcntr0_el0
        b       3f
2:      ret
3:      // EL0 only: five instructions, the SVC among them
        mov     x20, #0x08
        orr     x20, x20, #1 << 31
        msr     pmevtyper0_el0, x20
        msr     pmevcntr0_el0, xzr
        mov     x20, #0x09
        msr     pmevtyper1_el0, x20
        mov     x20, #0x0a
        msr     pmevtyper2_el0, x20
        msr     pmcr_el0, x20           // E is off: nothing runs
        mov     x20, #1
        msr     pmcr_el0, x20
        msr     pmevcntr1_el0, xzr
        msr     pmevcntr2_el0, xzr
        mov     x20, #7
        msr     pmcntenset_el0, x20
        adr     x14, user1
        bl      run_el0
        msr     pmcntenclr_el0, x20
        mrs     x2, pmevcntr0_el0
        mrs     x4, pmevcntr1_el0
        mrs     x23, pmevcntr2_el0
        orr     x4, x4, x23, lsl #8
        // software increments, through PMSELR
        mov     x20, #3
        msr     pmselr_el0, x20
        msr     pmxevtyper_el0, xzr
        msr     pmxevcntr_el0, xzr
        mov     x20, #8
        msr     pmswinc_el0, x20        // not enabled yet
        msr     pmcntenset_el0, x20
        msr     pmswinc_el0, x20
        msr     pmswinc_el0, x20
        mov     x21, #0xff
        msr     pmswinc_el0, x21
        mrs     x3, pmxevcntr_el0
        msr     pmcntenclr_el0, x20
        // overflow by instructions, with an interrupt
        mov     x20, #0x08
        msr     pmevtyper0_el0, x20
        mov     x20, #-1000
        msr     pmevcntr0_el0, x20
        mov     x20, #1
        msr     pmovsclr_el0, x20
        msr     pmintenset_el1, x20
        msr     daifclr, #2
        msr     pmcntenset_el0, x20
4:      cbz     x28, 4b
        msr     pmcntenclr_el0, x20
        msr     daifset, #2
        mov     x6, x28
        // chained: counter 5 counts overflows of counter 4
        mov     x20, #0x00
        msr     pmevtyper4_el0, x20
        mov     x20, #0x1e
        msr     pmevtyper5_el0, x20
        mov     x20, #-1
        msr     pmevcntr4_el0, x20
        msr     pmevcntr5_el0, xzr
        mov     x20, #0x30
        msr     pmcntenset_el0, x20
        mov     x20, #0x10
        msr     pmswinc_el0, x20
        msr     pmswinc_el0, x20
        msr     pmswinc_el0, x20
        msr     pmswinc_el0, x20
        mrs     x8, pmevcntr4_el0
        mrs     x20, pmevcntr5_el0
        orr     x8, x8, x20, lsl #32
        // cycles
        mov     x9, #0
        mov     x20, #1 << 31
        msr     pmovsclr_el0, x20
        msr     pmcntenset_el0, x20
        mrs     x21, pmccntr_el0
5:      mrs     x22, pmccntr_el0
        cmp     x22, x21
        b.ls    5b
        orr     x9, x9, #1
        ldr     x21, =-100000
        msr     pmccntr_el0, x21
        msr     pmintenset_el1, x20
        mov     x28, #0
        msr     daifclr, #2
6:      cbz     x28, 6b
        msr     daifset, #2
        orr     x9, x9, x28, lsl #1
        // EL0
        adr     x14, user2
        bl      run_el0
        mov     x10, x25
        mov     x20, #4
        msr     pmuserenr_el0, x20
        mov     x11, #0
        bl      run_el0
        cmp     x24, #0
        cset    x11, ne
        mov     x20, #-1
        msr     pmcntenset_el0, x20
        mrs     x12, pmcntenset_el0
        mrs     x20, pmcr_el0
        orr     x12, x12, x20, lsl #32
        mov     x20, #6
        msr     pmselr_el0, x20
        mov     x20, #-1
        msr     pmxevcntr_el0, x20
        mrs     x13, pmxevcntr_el0
        hvc     #0
        .ltorg

run_el0:
        mov     x27, x30
        msr     elr_el1, x14
        msr     spsr_el1, xzr
        eret
user1:  nop
        nop
        nop
        nop
        svc     #0
user2:  mov     x24, #0
        mrs     x24, pmccntr_el0
        svc     #0

        .balign 2048
vectors:
        .rept   4
        b       handler
        .balign 128
        .endr
        b       handler
        .balign 128
        b       irq
        .balign 128
        .rept   10
        b       handler
        .balign 128
        .endr
handler:
        mrs     x26, esr_el1
        lsr     x25, x26, #26
        cmp     x25, #0x15
        mov     x25, x26
        b.eq    1f
1:      msr     elr_el1, x27
        mov     x26, #0x3c5
        msr     spsr_el1, x26
        eret
irq:    mrs     x25, pmovsclr_el0
        tbnz    x25, #31, 1f
        mov     x5, x25
        mrs     x7, pmevcntr0_el0
        cmp     x7, #64
        cset    x7, lo
1:      add     x28, x28, #1
        msr     pmovsclr_el0, x25
        eret
