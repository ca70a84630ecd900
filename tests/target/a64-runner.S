/* SPDX-License-Identifier: MIT */
/* Runs the cases of a64-lockstep.h: under Linux from _start (blob on standard input, out on standard output), bare from _bare. */
        .arch   armv8.5-a
        .globl  _start
        .text
_bare:  mov     x0, #0x30000000
        mov     sp, x0
        bl      run_all
        svc     #0

_start: mov     x0, #0x20000000         // mmap(BLOB_BASE, BLOB_SIZE, rwx, private | fixed | anonymous, -1, 0)
        movz    x1, #0x94, lsl #16
        mov     x2, #7
        mov     x3, #0x32
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x19, #0x20000000
        movz    x20, #0x94, lsl #16
1:      mov     x0, #0
        mov     x1, x19
        mov     x2, x20
        mov     x8, #63
        svc     #0
        cmp     x0, #0
        b.le    2f
        add     x19, x19, x0
        subs    x20, x20, x0
        b.ne    1b
2:      bl      run_all
        mov     x19, #0x20000000
        movz    x20, #0x94, lsl #16
3:      mov     x0, #1
        mov     x1, x19
        mov     x2, x20
        mov     x8, #64
        svc     #0
        cmp     x0, #0
        b.le    4f
        add     x19, x19, x0
        subs    x20, x20, x0
        b.ne    3b
4:      mov     x0, #0
        mov     x8, #93
        svc     #0

run_all:
        stp     x29, x30, [sp, #-64]!
        stp     x19, x20, [sp, #16]
        mov     x0, #0x20000000
        ldr     w19, [x0]               // cases left
        cbz     w19, 9f
        movz    x20, #0x2010, lsl #16   // state
        add     x0, x0, #0x1000         // code
5:      stp     x0, x19, [sp, #32]
        str     x20, [sp, #48]
        mov     x28, x20
        mov     x30, x0
        add     x27, x28, #512
        ldp     q0, q1, [x27]
        ldp     q2, q3, [x27, #32]
        ldp     q4, q5, [x27, #64]
        ldp     q6, q7, [x27, #96]
        ldp     q8, q9, [x27, #128]
        ldp     q10, q11, [x27, #160]
        ldp     q12, q13, [x27, #192]
        ldp     q14, q15, [x27, #224]
        ldp     q16, q17, [x27, #256]
        ldp     q18, q19, [x27, #288]
        ldp     q20, q21, [x27, #320]
        ldp     q22, q23, [x27, #352]
        ldp     q24, q25, [x27, #384]
        ldp     q26, q27, [x27, #416]
        ldp     q28, q29, [x27, #448]
        ldp     q30, q31, [x27, #480]
        ldp     x0, x1, [x28, #248]
        msr     nzcv, x0
        msr     fpcr, x1
        ldr     x0, [x28, #264]
        msr     fpsr, x0
        ldp     x0, x1, [x28]
        ldp     x2, x3, [x28, #16]
        ldp     x4, x5, [x28, #32]
        ldp     x6, x7, [x28, #48]
        ldp     x8, x9, [x28, #64]
        ldp     x10, x11, [x28, #80]
        ldp     x12, x13, [x28, #96]
        ldp     x14, x15, [x28, #112]
        ldp     x16, x17, [x28, #128]
        ldp     x18, x19, [x28, #144]
        ldp     x20, x21, [x28, #160]
        ldp     x22, x23, [x28, #176]
        ldp     x24, x25, [x28, #192]
        ldp     x26, x27, [x28, #208]
        blr     x30
        stp     x0, x1, [x28]
        stp     x2, x3, [x28, #16]
        stp     x4, x5, [x28, #32]
        stp     x6, x7, [x28, #48]
        stp     x8, x9, [x28, #64]
        stp     x10, x11, [x28, #80]
        stp     x12, x13, [x28, #96]
        stp     x14, x15, [x28, #112]
        stp     x16, x17, [x28, #128]
        stp     x18, x19, [x28, #144]
        stp     x20, x21, [x28, #160]
        stp     x22, x23, [x28, #176]
        stp     x24, x25, [x28, #192]
        stp     x26, x27, [x28, #208]
        mrs     x0, nzcv
        mrs     x1, fpcr
        stp     x0, x1, [x28, #248]
        mrs     x0, fpsr
        str     x0, [x28, #264]
        add     x27, x28, #512
        stp     q0, q1, [x27]
        stp     q2, q3, [x27, #32]
        stp     q4, q5, [x27, #64]
        stp     q6, q7, [x27, #96]
        stp     q8, q9, [x27, #128]
        stp     q10, q11, [x27, #160]
        stp     q12, q13, [x27, #192]
        stp     q14, q15, [x27, #224]
        stp     q16, q17, [x27, #256]
        stp     q18, q19, [x27, #288]
        stp     q20, q21, [x27, #320]
        stp     q22, q23, [x27, #352]
        stp     q24, q25, [x27, #384]
        stp     q26, q27, [x27, #416]
        stp     q28, q29, [x27, #448]
        stp     q30, q31, [x27, #480]
        ldp     x0, x19, [sp, #32]
        ldr     x20, [sp, #48]
        msr     fpcr, xzr
        add     x0, x0, #64
        add     x20, x20, #1024
        subs    w19, w19, #1
        b.ne    5b
9:      ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #64
        ret
