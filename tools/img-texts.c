/* SPDX-License-Identifier: MIT */
/* Prints what the build makes from the image tool's tables: its manual page. */
#include <glib.h>
#include <stdio.h>

#include "block/img/img.h"

int main(void)
{
    g_autofree char *text = img_manual();

    return fputs(text, stdout) < 0;
}
