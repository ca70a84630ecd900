/* SPDX-License-Identifier: MIT */
/*
 * What random instructions do not reach, in machine mode: instructions on two pages, code that changes, reservations, traps, PMP, Sv39.
 * Ends through the finisher: status 0, or the number of the check that failed.
 */
        .option norelax
        .globl  _start
        .macro  check n, reg, val
        li      t6, \n
        li      t5, \val
        bne     \reg, t5, fail
        .endm
        .macro  trap_to label           /* the next trap goes on there, with mcause and mtval */
        la      t4, \label
        csrw    mtvec, t4
        .endm

_start: trap_to wild
        li      t0, -1                  /* PMP: all memory for everybody */
        csrw    pmpaddr0, t0
        li      t0, 0x1f
        csrw    pmpcfg0, t0

        /* 1-4: an instruction on two pages, its second half changed, and changed back */
        li      a0, 0
        jal     crossing
        check   1, a0, 0x155
        jal     crossing
        check   2, a0, 0x2aa
        la      t0, second_half
        lhu     s0, (t0)
        li      t1, 0x0015              /* addi a0, a0, 1 */
        sh      t1, (t0)
        fence.i
        jal     crossing
        check   3, a0, 0x2ab
        sh      s0, (t0)
        fence.i
        jal     crossing
        check   4, a0, 0x400

        /* 5-8: reservations: closed, open, broken by a store of one's own to the word, without one */
        la      s1, word
        li      t0, 40
        sw      t0, (s1)
1:      lr.w    t1, (s1)
        addi    t1, t1, 2
        sc.w    t2, t1, (s1)
        bnez    t2, 1b
        lw      t0, (s1)
        check   5, t0, 42
2:      lr.w    t1, (s1)
        jal     t3, 3f                  /* another block: the open form */
3:      addi    t1, t1, 1
        sc.w    t2, t1, (s1)
        bnez    t2, 2b
        lw      t0, (s1)
        check   6, t0, 43
        sc.w    t2, t1, (s1)
        check   7, t2, 1
        addi    t0, s1, 2
        trap_to 4f
        amoadd.w t2, t1, (t0)
        j       fail
        .balign 4
4:      csrr    t0, mcause
        check   8, t0, 6
        csrr    t0, mtval
        addi    t0, t0, -2
        bne     t0, s1, fail

        /* 9-10: illegal instructions say what they were */
        trap_to 5f
        .word   0xfffff00b
        .balign 4
5:      csrr    t0, mtval
        li      t6, 9
        li      t5, 0xfffff00b
        bne     t0, t5, fail
        trap_to 6f
        .half   0
        .balign 4
6:      csrr    t0, mcause
        check   10, t0, 2

        /* Sv39: one page table with 1 GiB leaves for what is there, and a 4 KiB page that ends in half an instruction */
        la      t0, root
        la      t1, middle
        srli    t1, t1, 2
        ori     t1, t1, 1
        sd      t1, 8(t0)               /* 0x40000000: user pages */
        li      t1, 0x200000cf          /* 0x80000000: itself, supervisor, RWX, A, D */
        sd      t1, 16(t0)
        la      t0, middle
        la      t1, leaves
        srli    t1, t1, 2
        ori     t1, t1, 1
        sd      t1, (t0)
        la      t0, leaves
        la      t1, user_code
        srli    t1, t1, 2
        ori     t1, t1, 0x1b            /* V R X U, A clear */
        sd      t1, (t0)
        la      t0, root
        srli    t0, t0, 12
        li      t1, 8 << 60
        or      t0, t0, t1
        csrw    satp, t0
        sfence.vma
        /* 11-14: user code runs into the next page, which is not there; then it is */
        li      t0, 0x40000ff8
        csrw    mepc, t0
        li      t0, 0x1800
        csrc    mstatus, t0
        li      a0, 0
        trap_to 7f
        mret
        .balign 4
7:      csrr    t0, mcause
        check   11, t0, 12
        csrr    t0, mtval
        check   12, t0, 0x40001000
        csrr    t0, mepc
        check   13, t0, 0x40000ffe
        la      t0, leaves
        la      t1, user_code + 4096
        srli    t1, t1, 2
        ori     t1, t1, 0x5b
        sd      t1, 8(t0)
        sfence.vma
        trap_to 8f
        mret
        .balign 4
8:      csrr    t0, mcause
        check   14, t0, 8               /* its ecall */
        check   15, a0, 0x123
        la      t0, leaves              /* 16: the walk has set A */
        ld      t0, (t0)
        andi    t0, t0, 0x40
        check   16, t0, 0x40
        /* 17, 18: another page there, with another second half */
        la      t0, leaves
        la      t1, user_code + 8192
        srli    t1, t1, 2
        ori     t1, t1, 0x5b
        sd      t1, 8(t0)
        sfence.vma
        li      t0, 0x40000ff8
        csrw    mepc, t0
        li      a0, 0
        trap_to 9f
        mret
        .balign 4
9:      csrr    t0, mcause
        check   17, t0, 8
        check   18, a0, 0x321
        /* 19, 20: data of user pages under MPRV: not from supervisor mode without SUM */
        li      t0, 0x800
        csrs    mstatus, t0             /* MPP = S */
        li      t1, 0x40000000
        li      t2, 0x20000             /* MPRV */
        trap_to 10f
        csrs    mstatus, t2
        ld      t3, (t1)
        csrc    mstatus, t2
        j       fail
        .balign 4
10:     csrr    t0, mcause
        check   19, t0, 13
        li      t0, 0x1800
        csrc    mstatus, t0
        li      t0, 0x800
        li      t3, 0x60000             /* MPRV and SUM */
        csrs    mstatus, t0
        trap_to wild
        csrs    mstatus, t3
        ld      t3, (t1)
        li      t0, 0x60000
        csrc    mstatus, t0
        check   20, t3, 0x1122334455667788
        /* 21, 22: the timer interrupts */
        li      t0, 0x200bff8
        ld      t1, (t0)
        li      t2, 0x2004000
        addi    t1, t1, 100
        sd      t1, (t2)
        li      t0, 0x80
        csrs    mie, t0
11:     wfi
        csrr    t1, mip
        andi    t1, t1, 0x80
        beqz    t1, 11b
        trap_to 12f
        csrsi   mstatus, 8
        nop
        j       fail
        .balign 4
12:     csrr    t0, mcause
        slli    t1, t0, 1
        li      t6, 21
        bgez    t0, fail
        check   22, t1, 14
        li      t0, 0x5555
        j       finish

        .balign 4
wild:   li      t6, 99
fail:   slli    t0, t6, 16
        li      t1, 0x3333
        or      t0, t0, t1
finish: li      t1, 0x100000
        sw      t0, (t1)
1:      j       1b

        .balign 4096
        .skip   4092
crossing: c.nop
        .half   0x0513                  /* addi a0, a0, 0x155: the first half */
second_half: .half 0x1555
        ret

        .balign 4096
user_code: .dword 0x1122334455667788
        .skip   4080
        .word   0x00000013              /* nop */
        c.nop
        .half   0x0513                  /* addi a0, a0, ... */
        .half   0x1235                  /* 0x123 */
        ecall
        .balign 4096
        .half   0x3215                  /* 0x321 */
        ecall

        .balign 4096
root:   .skip   4096
middle: .skip   4096
leaves: .skip   4096
word:   .dword  0
