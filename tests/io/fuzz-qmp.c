/* SPDX-License-Identifier: MIT */
/* Any bytes from a client: each answer is one JSON object on one line, and the conversation goes on. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "io/loop.h"
#include "io/qmp.h"

static void put(void *opaque, const char *text, size_t len)
{
    g_autoptr(Json) j = json_parse(text, len, NULL);

    g_assert_true(j && json_is(j, JSON_OBJECT) && len > 2 && text[len - 2] == '\r' && !memchr(text, '\n', len - 1));
    ++*(unsigned *)opaque;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Loop *loop = loop_new_glib("fuzz", NULL);
    Session *s = session_new();
    unsigned answers = 0, before;
    QmpHost host = { .session = s, .version = "1.2.3", .package = "", .write = put, .opaque = &answers };
    Qmp *q = qmp_new(&host);

    qmp_connected(q);
    qmp_feed(q, data, size / 2);
    qmp_feed(q, data + size / 2, size - size / 2);
    qmp_feed(q, "\377", 1);             /* whatever was begun is over */
    before = answers;
    qmp_feed(q, "{}", 2);
    g_assert_cmpuint(answers, ==, before + 1);
    qmp_free(q);
    session_free(s);
    while (loop_step(loop, false)) {
    }
    loop_free(loop);
    return 0;
}
