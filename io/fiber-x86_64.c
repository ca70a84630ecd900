/* SPDX-License-Identifier: MIT */
/* System V AMD64 ABI: rbx, rbp, r12-r15 and the control words belong to the caller. */
#include "io/fiber-priv.h"

#include <stdint.h>

__asm__(
    ".text\n"
    ".globl fiber_switch\n"
    ".hidden fiber_switch\n"
    ".type fiber_switch, @function\n"
    ".p2align 4\n"
    "fiber_switch:\n"
    "    .cfi_startproc\n"
    "    endbr64\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    subq $8, %rsp\n"
    "    stmxcsr (%rsp)\n"
    "    fnstcw 4(%rsp)\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    ldmxcsr (%rsp)\n"
    "    fldcw 4(%rsp)\n"
    "    addq $8, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    retq\n"
    "    .cfi_endproc\n"
    ".size fiber_switch, .-fiber_switch\n");

/* Control words, six registers, entry; then the stack pointer is 8 modulo 16, as after a call. */
void *fiber_stack_prepare(void *top, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)((uintptr_t)top & ~15ull);

    *--sp = 0;                          /* where entry() would return to */
    *--sp = (uintptr_t)entry;
    for (int i = 0; i < 6; i++) {
        *--sp = 0;
    }
    *--sp = 0x037full << 32 | 0x1f80;   /* x87 and SSE control words at their ABI values */
    return sp;
}
