/* SPDX-License-Identifier: MIT */
/*
 * Runs in the guest (any AArch64 Linux): reads InsnRec records, executes the
 * instructions of each on its state and writes the record back.  Nothing but system calls.
 */
#define _GNU_SOURCE
#include "tests/target/arm/insn-run.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

extern uint32_t slot[];
extern char after[];
void run(InsnRec *r);
static InsnRec *current;

/* sp holds the record while the instruction runs, so that every other register is its own. */
__asm__(
    ".text\n"
    ".global run, slot, after\n"
    "run:\n"
    "   stp x29, x30, [sp, #-16]!\n"
    "   stp x19, x20, [sp, #-16]!\n"
    "   stp x21, x22, [sp, #-16]!\n"
    "   stp x23, x24, [sp, #-16]!\n"
    "   stp x25, x26, [sp, #-16]!\n"
    "   stp x27, x28, [sp, #-16]!\n"
    "   stp d8, d9, [sp, #-16]!\n"
    "   stp d10, d11, [sp, #-16]!\n"
    "   stp d12, d13, [sp, #-16]!\n"
    "   stp d14, d15, [sp, #-16]!\n"
    "   adrp x1, saved_sp\n"
    "   add x1, x1, :lo12:saved_sp\n"
    "   mov x2, sp\n"
    "   str x2, [x1]\n"
    "   mov sp, x0\n"
    "   ldp x1, x2, [sp, #248]\n"
    "   msr nzcv, x1\n"
    "   msr fpcr, x2\n"
    "   ldr x1, [sp, #264]\n"
    "   msr fpsr, x1\n"
    "   add x1, sp, #272\n"
    "   ld1 {v0.2d-v3.2d}, [x1], #64\n  ld1 {v4.2d-v7.2d}, [x1], #64\n  ld1 {v8.2d-v11.2d}, [x1], #64\n  ld1 {v12.2d-v15.2d}, [x1], #64\n"
    "   ld1 {v16.2d-v19.2d}, [x1], #64\n  ld1 {v20.2d-v23.2d}, [x1], #64\n  ld1 {v24.2d-v27.2d}, [x1], #64\n  ld1 {v28.2d-v31.2d}, [x1], #64\n"
    "   ldp x0, x1, [sp]\n  ldp x2, x3, [sp, #16]\n  ldp x4, x5, [sp, #32]\n  ldp x6, x7, [sp, #48]\n"
    "   ldp x8, x9, [sp, #64]\n  ldp x10, x11, [sp, #80]\n  ldp x12, x13, [sp, #96]\n  ldp x14, x15, [sp, #112]\n"
    "   ldp x16, x17, [sp, #128]\n  ldp x18, x19, [sp, #144]\n  ldp x20, x21, [sp, #160]\n  ldp x22, x23, [sp, #176]\n"
    "   ldp x24, x25, [sp, #192]\n  ldp x26, x27, [sp, #208]\n  ldp x28, x29, [sp, #224]\n  ldr x30, [sp, #240]\n"
    "slot:\n"
    "   .rept 12\n   nop\n   .endr\n"
    "after:\n"
    "   stp x0, x1, [sp]\n  stp x2, x3, [sp, #16]\n  stp x4, x5, [sp, #32]\n  stp x6, x7, [sp, #48]\n"
    "   stp x8, x9, [sp, #64]\n  stp x10, x11, [sp, #80]\n  stp x12, x13, [sp, #96]\n  stp x14, x15, [sp, #112]\n"
    "   stp x16, x17, [sp, #128]\n  stp x18, x19, [sp, #144]\n  stp x20, x21, [sp, #160]\n  stp x22, x23, [sp, #176]\n"
    "   stp x24, x25, [sp, #192]\n  stp x26, x27, [sp, #208]\n  stp x28, x29, [sp, #224]\n  str x30, [sp, #240]\n"
    "   mrs x1, nzcv\n"
    "   str x1, [sp, #248]\n"
    "   mrs x1, fpsr\n"
    "   str x1, [sp, #264]\n"
    "   msr fpcr, xzr\n"
    "   add x1, sp, #272\n"
    "   st1 {v0.2d-v3.2d}, [x1], #64\n  st1 {v4.2d-v7.2d}, [x1], #64\n  st1 {v8.2d-v11.2d}, [x1], #64\n  st1 {v12.2d-v15.2d}, [x1], #64\n"
    "   st1 {v16.2d-v19.2d}, [x1], #64\n  st1 {v20.2d-v23.2d}, [x1], #64\n  st1 {v24.2d-v27.2d}, [x1], #64\n  st1 {v28.2d-v31.2d}, [x1], #64\n"
    "   adrp x1, saved_sp\n"
    "   add x1, x1, :lo12:saved_sp\n"
    "   ldr x2, [x1]\n"
    "   mov sp, x2\n"
    "   ldp d14, d15, [sp], #16\n"
    "   ldp d12, d13, [sp], #16\n"
    "   ldp d10, d11, [sp], #16\n"
    "   ldp d8, d9, [sp], #16\n"
    "   ldp x27, x28, [sp], #16\n"
    "   ldp x25, x26, [sp], #16\n"
    "   ldp x23, x24, [sp], #16\n"
    "   ldp x21, x22, [sp], #16\n"
    "   ldp x19, x20, [sp], #16\n"
    "   ldp x29, x30, [sp], #16\n"
    "   ret\n"
    ".bss\n"
    ".balign 8\n"
    "saved_sp: .skip 8\n"
    ".text\n");

_Static_assert(INSN_MAX == 12 && offsetof(InsnRec, nzcv) == 248 && offsetof(InsnRec, v) == 272, "layout");

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)info;
    current->fault = (uint32_t)sig;
    u->uc_mcontext.pc = (uintptr_t)after;
}

static int all(int fd, void *buf, size_t n, int out)
{
    char *p = buf;

    while (n) {
        ssize_t k = out ? write(fd, p, n) : read(fd, p, n);

        if (k <= 0) {
            return 0;
        }
        p += k;
        n -= (size_t)k;
    }
    return 1;
}

int main(void)
{
    static InsnRec r __attribute__((aligned(16)));
    static char stack[65536];
    stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    uintptr_t page = (uintptr_t)slot & ~(uintptr_t)0xffff;
    uint8_t *flat = mmap((void *)INSN_FLAT_BASE, INSN_FLAT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    if (flat == MAP_FAILED || mprotect((void *)page, 0x20000, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        return 1;
    }
    sigaltstack(&alt, 0);
    sigaction(SIGILL, &sa, 0);
    sigaction(SIGSEGV, &sa, 0);
    sigaction(SIGBUS, &sa, 0);
    sigaction(SIGTRAP, &sa, 0);
    current = &r;
    while (all(0, &r, sizeof(r), 0)) {
        if (memcmp(slot, r.insn, sizeof(r.insn))) {
            memcpy(slot, r.insn, sizeof(r.insn));
            __builtin___clear_cache((char *)slot, (char *)(slot + INSN_MAX));
        }
        memcpy((void *)INSN_MEM_BASE, r.mem, INSN_MEM);
        run(&r);
        memcpy(r.mem, (void *)INSN_MEM_BASE, INSN_MEM);
        if (!all(1, &r, sizeof(r), 1)) {
            return 1;
        }
    }
    return 0;
}
