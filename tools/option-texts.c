/* SPDX-License-Identifier: MIT */
/* Prints what the build makes from the option table: the manual page, or the shell completion. */
#include <stdio.h>
#include <string.h>

#include "system/cmdline.h"

int main(int argc, char **argv)
{
    g_autofree char *text = argc == 2 && !strcmp(argv[1], "man") ? cmdline_manual() :
                            argc == 2 && !strcmp(argv[1], "bash") ? cmdline_completion() : NULL;

    if (!text) {
        fprintf(stderr, "usage: %s man|bash\n", argv[0]);
        return 1;
    }
    return fputs(text, stdout) < 0;
}
