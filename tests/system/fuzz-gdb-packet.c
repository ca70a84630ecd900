/* SPDX-License-Identifier: MIT */
/* Any bytes from a debugger: framing stays in bounds, and what it accepts goes out and comes back the same. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "system/gdb/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GdbPacket *p = g_new0(GdbPacket, 1), *again = g_new0(GdbPacket, 1);

    for (size_t i = 0; i < size; i++) {
        if (gdb_packet_byte(p, data[i]) == GDB_PACKET) {
            g_autoptr(GString) out = g_string_new(NULL);
            GdbByte last = GDB_MORE;

            gdb_packet_put(out, p->data, p->len);
            for (size_t k = 0; k < out->len; k++) {
                last = gdb_packet_byte(again, (uint8_t)out->str[k]);
            }
            g_assert_true(last == GDB_PACKET && again->len == p->len && !memcmp(again->data, p->data, p->len));
        }
    }
    g_free(p);
    g_free(again);
    return 0;
}
