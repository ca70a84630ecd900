/* SPDX-License-Identifier: MIT */
/* Bare-metal AArch64 programs: every processor gets a stack, an identity map with caches on, and main(cpu). */
        .section .text.start, "ax"
        .global _start, secondary
_start: mov     x19, #0
        b       1f
secondary:                              // PSCI CPU_ON: x0 = the processor's number
        mov     x19, x0
1:      adrp    x0, stacks
        add     x0, x0, :lo12:stacks
        mov     x1, #16384
        add     x2, x19, #1
        madd    x0, x1, x2, x0
        mov     sp, x0
        mov     x0, #(3 << 20)          // FP and Advanced SIMD
        msr     cpacr_el1, x0
        ldr     x0, =0x04ff44         // attribute 0: normal non-cacheable, 1: normal write-back, 2: device-nGnRE
        msr     mair_el1, x0
        ldr     x0, =0x280803519        // T0SZ 25 (39 bits), inner shareable, write-back walks, EPD1, IPS 40 bits
        msr     tcr_el1, x0
        adrp    x0, table
        add     x0, x0, :lo12:table
        msr     ttbr0_el1, x0
        isb
        tlbi    vmalle1
        dsb     ish
        isb
        mrs     x0, sctlr_el1
        mov     x1, #0x1005             // M, C, I
        orr     x0, x0, x1
        msr     sctlr_el1, x0
        isb
        mov     x0, x19
        bl      main
2:      ldr     x0, =0x84000008         // PSCI SYSTEM_OFF
        hvc     #0
        b       2b

        .data
        .balign 4096
table:  .quad   0x00000000 | 0x409 | (1 << 54) | (1 << 53)      // device (attribute 2), 1 GiB block, no execute
        .quad   0x40000000 | 0x705                              // memory (attribute 1), inner shareable
        .fill   510, 8, 0
        .bss
        .balign 16
stacks: .skip   16384 * 8
