/* SPDX-License-Identifier: MIT */
#include "block/img/img.h"

int main(int argc, char **argv)
{
    return img_main(argc, argv);
}
