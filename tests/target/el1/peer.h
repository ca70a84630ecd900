/* SPDX-License-Identifier: MIT */
/* Another emulator behind its gdb server: a client that keeps packets in flight.  Whatever goes wrong with the connection ends the program. */
#ifndef TESTS_TARGET_EL1_PEER_H
#define TESTS_TARGET_EL1_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Peer Peer;

/* Numbers of the standard description; a `g` packet has the first 34. */
enum { PEER_SP = 31, PEER_PC = 32, PEER_CPSR = 33, PEER_V0 = 34, PEER_FPSR = 66, PEER_FPCR = 67 };
typedef struct PeerCore { uint64_t x[31], sp, pc; uint32_t cpsr; } PeerCore;

/* Starts PROGRAM with a `virt` board of one processor that connects back to us, and stops it before its first instruction. */
Peer *peer_start(const char *program, const char *cpu);
void peer_end(Peer *p);

void peer_step(Peer *p, unsigned n);
void peer_core(Peer *p, PeerCore *c);
void peer_core_set(Peer *p, const PeerCore *c);
int peer_reg(const Peer *p, const char *name);          /* number of a system register, -1 */
void peer_get(Peer *p, const int *reg, unsigned n, uint64_t (*val)[2]);     /* many registers in one go; 0 and up to 128 bits each */
void peer_set(Peer *p, int reg, uint64_t val, unsigned bytes);
/* Physical memory. */
void peer_write(Peer *p, uint64_t pa, const void *buf, size_t len);
void peer_read(Peer *p, uint64_t pa, void *buf, size_t len);

#endif
