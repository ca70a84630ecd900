/* SPDX-License-Identifier: MIT */
/* The program. What it is called decides the default guest: see system/names.c. */
#include "system/system.h"

int main(int argc, char **argv)
{
    return system_run(argc, argv);
}
