/* SPDX-License-Identifier: MIT */
#include "chardev/telnet.h"

enum { IAC = 255, DONT = 254, WILL = 251, SB = 250, BREAK = 243, SE = 240, ECHO = 1, SUPPRESS_GO_AHEAD = 3, BINARY = 0, DO = 253 };

const uint8_t telnet_hello[12] = { IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, WILL, BINARY, IAC, DO, BINARY };

/* One byte; true when it is data. */
static bool step(TelnetState *state, uint8_t b, unsigned *breaks)
{
    switch (*state) {
    case TELNET_CR:
        *state = TELNET_DATA;
        if (b == 0) {
            return false;               /* CR NUL is one line end */
        }
        break;
    case TELNET_IAC:
        *state = b == SB ? TELNET_SUB : b >= WILL && b <= DONT ? TELNET_OPTION : TELNET_DATA;
        *breaks += b == BREAK;
        return b == IAC;
    case TELNET_OPTION:
        *state = TELNET_DATA;
        return false;
    case TELNET_SUB:
        *state = b == IAC ? TELNET_SUB_IAC : TELNET_SUB;
        return false;
    case TELNET_SUB_IAC:
        *state = b == SE ? TELNET_DATA : TELNET_SUB;
        return false;
    case TELNET_DATA:
        break;
    }
    if (b == IAC) {
        *state = TELNET_IAC;
        return false;
    }
    *state = b == '\r' ? TELNET_CR : TELNET_DATA;
    return true;
}

size_t telnet_input(TelnetState *state, uint8_t *buf, size_t len, unsigned *breaks)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t b = buf[i];

        if (step(state, b, breaks)) {
            buf[kept++] = b;
        }
    }
    return kept;
}
