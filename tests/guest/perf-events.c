/* SPDX-License-Identifier: MIT */
/* Linux program: instructions of a loop of known length by perf_event_open, counted and by overflows; cycles go on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TURNS = 1000000, PERIOD = 100000 };

static volatile sig_atomic_t overflows;

static void overflow(int sig)
{
    (void)sig;
    overflows++;
}

static int open_event(uint64_t config, uint64_t period)
{
    struct perf_event_attr a;

    memset(&a, 0, sizeof(a));
    a.type = PERF_TYPE_HARDWARE;
    a.size = sizeof(a);
    a.config = config;
    a.sample_period = period;
    a.wakeup_events = period ? 1 : 0;
    a.disabled = 1;
    a.exclude_kernel = 1;
    a.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

/* 3 * TURNS instructions. */
static void work(void)
{
    uint64_t n = TURNS;

    asm volatile("1: subs %0, %0, #1\n nop\n b.ne 1b" : "+r"(n) : : "cc");
}

static uint64_t count(int fd)
{
    uint64_t val = 0;

    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    work();
    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    return read(fd, &val, sizeof(val)) == sizeof(val) ? val : 0;
}

/* The kernel leaves samples out when interrupts take long, as they do on a loaded host. */
static bool all_samples(void)
{
    int fd = open("/proc/sys/kernel/perf_cpu_time_max_percent", O_WRONLY);

    return fd >= 0 && write(fd, "0", 1) == 1 && !close(fd);
}

int main(void)
{
    int insns = open_event(PERF_COUNT_HW_INSTRUCTIONS, 0), cycles = open_event(PERF_COUNT_HW_CPU_CYCLES, 0);
    int sampled = open_event(PERF_COUNT_HW_INSTRUCTIONS, PERIOD);
    uint64_t n = count(insns);

    if (!all_samples()) {
        printf("PERF samples may be lost\n");
    }
    signal(SIGIO, overflow);
    mmap(NULL, 2 * (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, sampled, 0);
    fcntl(sampled, F_SETFL, O_ASYNC);
    fcntl(sampled, F_SETOWN, getpid());
    count(sampled);
    printf("PERF insns=%s overflows=%s cycles=%s\n", n >= 3 * TURNS && n < 3 * TURNS + 1000 ? "exact" : "wrong",
           overflows >= 3 * TURNS / PERIOD - 1 && overflows <= 3 * TURNS / PERIOD + 1 ? "all" : "wrong", count(cycles) ? "run" : "stand");
    printf("# %llu instructions, %d overflows\n", (unsigned long long)n, (int)overflows);
    return 0;
}
