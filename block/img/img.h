/* SPDX-License-Identifier: MIT */
/* The image tool: every verb is a row; tools/rhea-img.c is its main(). */
#ifndef BLOCK_IMG_IMG_H
#define BLOCK_IMG_IMG_H

/* Exit status; prints to stdout and stderr. */
int img_main(int argc, char **argv);
/* The manual page, out of the tables of verbs and formats; caller frees. */
char *img_manual(void);

#endif
