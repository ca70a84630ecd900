/* SPDX-License-Identifier: MIT */
/* QARMA5 against the vector of its publication (table 2 of the paper: sigma 2, r = 5). */
#include <glib.h>

#include "target/arm/pauth.h"

static void vector(void)
{
    g_assert_cmphex(pauth_qarma5(0xfb623599da6e8127, 0x477d469dec0b8762, 0x84be85ce9804e94b, 0xec2802d4e0a488e9), ==, 0xc003b93999b33765);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pauth/qarma5", vector);
    return g_test_run();
}
