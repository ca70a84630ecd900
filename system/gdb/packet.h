/* SPDX-License-Identifier: MIT */
/*
 * Framing of gdb's remote serial protocol (gdb manual, appendix E.1): bytes in,
 * packets out.  Pure; keeps one packet.
 */
#ifndef SYSTEM_GDB_PACKET_H
#define SYSTEM_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

enum { GDB_PACKET_MAX = 4096 };

typedef enum {
    GDB_MORE,               /* in the middle, or noise */
    GDB_PACKET,             /* a whole one: data, len; acknowledge with '+' */
    GDB_BAD,                /* wrong sum, or too long: ask again with '-' */
    GDB_INTERRUPT,          /* byte 0x03 outside a packet */
    GDB_ACK, GDB_NAK,
} GdbByte;

typedef struct GdbPacket {
    enum { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM1, GDB_SUM2 } state;
    uint8_t sum, got;
    bool too_long;
    size_t len;
    char data[GDB_PACKET_MAX + 1];      /* unescaped, with a NUL behind it */
} GdbPacket;

GdbByte gdb_packet_byte(GdbPacket *p, uint8_t b);
/* "$payload#cc", special bytes escaped. */
void gdb_packet_put(GString *out, const char *payload, size_t len);

/* Hex digits: to bytes (the number of them; stops at the first other character), and from bytes. */
size_t gdb_hex_decode(const char *hex, uint8_t *out, size_t room);
void gdb_hex_encode(GString *out, const void *bytes, size_t len);

#endif
