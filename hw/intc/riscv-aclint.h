/* SPDX-License-Identifier: MIT */
/*
 * RISC-V ACLINT (Advanced Core Local Interruptor specification 1.0-rc4): machine timer, software interrupts of machine and
 * supervisor mode.  The CLINT of older boards is a software interrupt device and a timer behind it.
 *
 * The timer is the machine's time too, and has the comparators of supervisor timers (Sstc): it implements CPU_PORT_TIMER.
 */
#ifndef HW_INTC_RISCV_ACLINT_H
#define HW_INTC_RISCV_ACLINT_H

#include "hw/core/cpu.h"
#include "hw/core/device.h"

typedef enum { ACLINT_TIMER_M, ACLINT_TIMER_S } AclintTimerOut;

/* Before realize, hart by hart: the lines that the device drives, by cpu_line numbers.  keys: of the port. */
void aclint_mtimer_connect(Device *dev, unsigned hart, Cpu *cpu, int m_line, int s_line);
void aclint_swi_connect(Device *dev, unsigned hart, Cpu *cpu, int line);

#endif
