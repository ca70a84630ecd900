/* SPDX-License-Identifier: MIT */
/* Any text as the value of an option: refused with a message, or an object whose JSON form is accepted again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "util/options.h"

static const OptGroup node;
static const OptKey keys[] = {
    { "driver", OPT_STRING }, { "id", OPT_ID }, { "size", OPT_SIZE, .unit = 1 << 20 }, { "cache.direct", OPT_BOOL }, { "n", OPT_NUMBER, .negative = true },
    { "file", OPT_TREE, .sub = &node }, { "l", OPT_STRING, .many = true }, { "e", OPT_ENUM, .values = "a|bb" }, { "server", OPT_ANY }, {}
};
static const OptGroup node = { .name = "node", .implied = "driver", .keys = keys };
static const OptGroup open_group = { .name = "open", .implied = "driver", .keys = keys, .open = true };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    const OptGroup *groups[] = { &node, &open_group };

    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        Error *err = NULL;
        g_autoptr(Json) j = options_parse(groups[i], text, &err);

        g_assert_true(!j == !!err);
        if (j && text[0] != '{' && g_utf8_validate(text, -1, NULL)) {
            g_autoptr(Json) again = json_copy(j);

            g_assert_true(options_check(groups[i], again, NULL));
            g_assert_true(json_equal(j, again));
        }
        error_free(err);
        options_wants_help(groups[i], text, NULL);
    }
    return 0;
}
