/* SPDX-License-Identifier: MIT */
/* Files of -readconfig: [group "id"] and key = "value" lines, by the same tables as the command line. */
#ifndef SYSTEM_CONFIG_FILE_H
#define SYSTEM_CONFIG_FILE_H

#include "system/cmdline.h"

/* Adds what the file says behind what is there.  Messages name the file and line. */
bool config_file_read(CmdLine *cl, const char *path, Error **errp);
/* The same from memory; `name` is for messages. */
bool config_text_read(CmdLine *cl, const char *name, const char *text, Error **errp);

#endif
