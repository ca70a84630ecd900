/* SPDX-License-Identifier: MIT */
/* Telnet (RFC 854) as far as a character device needs it: what is sent first, and input without the commands. */
#ifndef CHARDEV_TELNET_H
#define CHARDEV_TELNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { TELNET_DATA, TELNET_CR, TELNET_IAC, TELNET_OPTION, TELNET_SUB, TELNET_SUB_IAC } TelnetState;

/* will echo, will suppress-go-ahead, will binary, do binary */
extern const uint8_t telnet_hello[12];

/* Takes the commands out of buf, in place; returns the bytes that stay.  *breaks counts break commands. */
size_t telnet_input(TelnetState *state, uint8_t *buf, size_t len, unsigned *breaks);

#endif
