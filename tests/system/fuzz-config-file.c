/* SPDX-License-Identifier: MIT */
/* Any text as a file of -readconfig: options, or one message with its line. */
#include "tests/fuzz/fuzz.h"

#include "system/cmdline.h"
#include "system/config-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *argv[] = { (char *)"rhea", NULL };
    g_autoptr(CmdLine) cl = cmdline_new(1, argv, NULL);
    Error *err = NULL;
    bool ok = config_text_read(cl, "f", text, &err);

    g_assert_true(ok == !err);
    g_assert_true(ok || g_str_has_prefix(error_message(err), "f:") || cl->args->len);
    error_free(err);
    for (unsigned i = 0; i < cl->args->len; i++) {      /* not cmdline_check: [readconfig] opens files */
        const CmdArg *a = g_ptr_array_index(cl->args, i);
        const OptGroup *g = a->opt->group ? options_group(a->opt->group) : NULL;
        Json *j = g ? options_parse(g, a->text, NULL) : NULL;

        json_unref(j);
    }
    return 0;
}
