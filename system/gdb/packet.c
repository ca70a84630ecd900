/* SPDX-License-Identifier: MIT */
#include "system/gdb/packet.h"

static GdbByte idle(GdbPacket *p, uint8_t b)
{
    switch (b) {
    case '$':
        p->state = GDB_DATA;
        p->sum = 0;
        p->len = 0;
        p->too_long = false;
        return GDB_MORE;
    case 0x03:
        return GDB_INTERRUPT;
    case '+':
        return GDB_ACK;
    case '-':
        return GDB_NAK;
    default:
        return GDB_MORE;
    }
}

static void store(GdbPacket *p, uint8_t b)
{
    if (p->len < GDB_PACKET_MAX) {
        p->data[p->len++] = (char)b;
    } else {
        p->too_long = true;
    }
}

static GdbByte end(GdbPacket *p, uint8_t b)
{
    int high = g_ascii_xdigit_value((char)p->got), low = g_ascii_xdigit_value((char)b);

    p->state = GDB_IDLE;
    p->data[p->len] = 0;
    return high < 0 || low < 0 || high * 16 + low != p->sum || p->too_long ? GDB_BAD : GDB_PACKET;
}

GdbByte gdb_packet_byte(GdbPacket *p, uint8_t b)
{
    switch (p->state) {
    case GDB_IDLE:
        return idle(p, b);
    case GDB_DATA:
        if (b == '#') {
            p->state = GDB_SUM1;
        } else if (b == '}') {
            p->sum += b;
            p->state = GDB_ESCAPE;
        } else if (b == '$') {              /* the last one broke off */
            return p->state = GDB_IDLE, idle(p, b);
        } else {
            p->sum += b;
            store(p, b);
        }
        return GDB_MORE;
    case GDB_ESCAPE:
        p->sum += b;
        store(p, b ^ 0x20);
        p->state = GDB_DATA;
        return GDB_MORE;
    case GDB_SUM1:
        p->got = b;
        p->state = GDB_SUM2;
        return GDB_MORE;
    case GDB_SUM2:
        return end(p, b);
    }
    return GDB_MORE;
}

void gdb_packet_put(GString *out, const char *payload, size_t len)
{
    uint8_t sum = 0;

    g_string_append_c(out, '$');
    for (size_t i = 0; i < len; i++) {
        char c = payload[i];

        if (c == '$' || c == '#' || c == '}' || c == '*') {
            g_string_append_c(out, '}');
            sum += '}';
            c ^= 0x20;
        }
        g_string_append_c(out, c);
        sum += (uint8_t)c;
    }
    g_string_append_printf(out, "#%02x", sum);
}

size_t gdb_hex_decode(const char *hex, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n < room && g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1])) {
        out[n++] = (uint8_t)(g_ascii_xdigit_value(hex[0]) * 16 + g_ascii_xdigit_value(hex[1]));
        hex += 2;
    }
    return n;
}

void gdb_hex_encode(GString *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;

    for (size_t i = 0; i < len; i++) {
        g_string_append_c(out, digits[b[i] >> 4]);
        g_string_append_c(out, digits[b[i] & 15]);
    }
}
