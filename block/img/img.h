/* SPDX-License-Identifier: MIT */
/* The image tool: every verb is a row; tools/rhea-img.c is its main(). */
#ifndef BLOCK_IMG_IMG_H
#define BLOCK_IMG_IMG_H

/* Exit status; prints to stdout and stderr. */
int img_main(int argc, char **argv);

#endif
