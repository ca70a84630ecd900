/* SPDX-License-Identifier: MIT */
/* Linux program: a child under ptrace with a hardware breakpoint, then a hardware watchpoint, each hit stepped over. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <asm/ptrace.h>
#include <linux/elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint64_t data[4];

__attribute__((noinline)) void called(uint64_t i)
{
    data[1] += i;
    asm volatile("" ::: "memory");
}

static void child(void)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (uint64_t i = 1; i <= 3; i++) {
        called(i);
    }
    raise(SIGSTOP);
    for (int i = 0; i < 2; i++) {
        data[0]++;
        data[2] = 7;
    }
    _exit(5);
}

/* One register pair of a kind; control: enabled, EL0, then `bits`. */
static long set(pid_t pid, int kind, volatile void *addr, uint32_t bits)
{
    struct user_hwdebug_state s;
    struct iovec v = { &s, offsetof(struct user_hwdebug_state, dbg_regs) + sizeof(s.dbg_regs[0]) };

    memset(&s, 0, sizeof(s));
    s.dbg_regs[0].addr = (uintptr_t)addr;
    s.dbg_regs[0].ctrl = bits ? bits | 1 | 2 << 1 : 0;
    return ptrace(PTRACE_SETREGSET, pid, kind, &v);
}

static uint64_t pc_of(pid_t pid)
{
    struct user_pt_regs r;
    struct iovec v = { &r, sizeof(r) };

    ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v);
    return r.pc;
}

/* Counts stops at it until the child stops or ends for another reason. */
static int hits(pid_t pid, int kind, volatile void *addr, uint32_t bits, int *status)
{
    siginfo_t si;
    int n = 0;

    for (;;) {
        uint64_t pc;

        if (set(pid, kind, addr, bits)) {
            return -1;
        }
        ptrace(PTRACE_CONT, pid, 0, 0);
        waitpid(pid, status, 0);
        set(pid, kind, 0, 0);
        if (!WIFSTOPPED(*status) || WSTOPSIG(*status) != SIGTRAP) {
            return n;
        }
        ptrace(PTRACE_GETSIGINFO, pid, 0, &si);
        pc = pc_of(pid);
        n += si.si_code == TRAP_HWBKPT && si.si_addr == addr;
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, status, 0);
        if (pc_of(pid) != pc + 4) {
            return -2;
        }
    }
}

int main(void)
{
    pid_t pid = fork();
    int status, breaks, watches;

    if (!pid) {
        child();
    }
    waitpid(pid, &status, 0);
    breaks = hits(pid, NT_ARM_HW_BREAK, (volatile void *)called, 0xf << 5, &status);
    watches = hits(pid, NT_ARM_HW_WATCH, &data[2], 2 << 3 | 0xff << 5, &status);
    printf("DEBUG breaks=%d watches=%d status=%d\n", breaks, watches, WEXITSTATUS(status));
    return 0;
}
