/* SPDX-License-Identifier: MIT */
/* Framing: the manual's rules on sums, escapes, and what is outside of packets. */
#include <string.h>

#include "system/gdb/packet.h"

/* All results of a byte string, a letter each: P packet (with its data), B bad, I interrupt, A ack, N nak. */
static char *results(const char *in, size_t len)
{
    GdbPacket *p = g_new0(GdbPacket, 1);
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        switch (gdb_packet_byte(p, (uint8_t)in[i])) {
        case GDB_PACKET:
            g_string_append_printf(out, "P(%s)", p->data);
            break;
        case GDB_BAD:
            g_string_append_c(out, 'B');
            break;
        case GDB_INTERRUPT:
            g_string_append_c(out, 'I');
            break;
        case GDB_ACK:
            g_string_append_c(out, 'A');
            break;
        case GDB_NAK:
            g_string_append_c(out, 'N');
            break;
        case GDB_MORE:
            break;
        }
    }
    g_free(p);
    return g_string_free(out, FALSE);
}

static void test_in(void)
{
    static const struct { const char *in, *out; } rows[] = {
        { "$g#67", "P(g)" }, { "+$g#67", "AP(g)" }, { "$g#68", "B" }, { "$g#zz", "B" }, { "\003", "I" }, { "-", "N" },
        { "$qC#b4$?#3f", "P(qC)P(?)" }, { "$a}\003b#43", "P(a#b)" }, { "xx$g#67", "P(g)" }, { "$m1$g#67", "P(g)" }, { "$#00", "P()" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *out = results(rows[i].in, strlen(rows[i].in));

        g_assert_cmpstr(out, ==, rows[i].out);
    }
}

static void test_long(void)
{
    g_autoptr(GString) in = g_string_new("$");
    g_autofree char *out = NULL;

    for (unsigned i = 0; i <= GDB_PACKET_MAX; i++) {
        g_string_append_c(in, 'a');
    }
    g_string_append_printf(in, "#%02x$g#67", ('a' * (GDB_PACKET_MAX + 1)) & 0xff);
    out = results(in->str, in->len);
    g_assert_cmpstr(out, ==, "BP(g)");
}

static void test_out(void)
{
    g_autoptr(GString) out = g_string_new(NULL), hex = g_string_new(NULL);
    uint8_t bytes[4];

    gdb_packet_put(out, "OK", 2);
    gdb_packet_put(out, "a#b", 3);
    g_assert_cmpstr(out->str, ==, "$OK#9a$a}\003b#43");
    g_assert_cmpuint(gdb_hex_decode("0aFfg1", bytes, 4), ==, 2);
    g_assert_cmphex(bytes[1], ==, 0xff);
    gdb_hex_encode(hex, bytes, 2);
    g_assert_cmpstr(hex->str, ==, "0aff");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gdb-packet/in", test_in);
    g_test_add_func("/gdb-packet/long", test_long);
    g_test_add_func("/gdb-packet/out", test_out);
    return g_test_run();
}
