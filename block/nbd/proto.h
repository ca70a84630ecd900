/* SPDX-License-Identifier: MIT */
/*
 * Numbers of the NBD protocol, as its specification (doc/proto.md of the
 * NetworkBlockDevice project) gives them.  All values travel big endian.
 */
#ifndef BLOCK_NBD_PROTO_H
#define BLOCK_NBD_PROTO_H

#include <stdint.h>

#define NBD_MAGIC               0x4e42444d41474943ull   /* both styles begin with it */
#define NBD_MAGIC_OPTION        0x49484156454f5054ull   /* newstyle, and before each option */
#define NBD_MAGIC_OLDSTYLE      0x00420281861253ull
#define NBD_MAGIC_OPTION_REPLY  0x0003e889045565a9ull
#define NBD_MAGIC_REQUEST       0x25609513u
#define NBD_MAGIC_REQUEST_EXT   0x21e41c71u
#define NBD_MAGIC_SIMPLE        0x67446698u
#define NBD_MAGIC_CHUNK         0x668e33efu
#define NBD_MAGIC_CHUNK_EXT     0x6e8a278cu

/* Handshake flags, the server's and the client's alike. */
enum { NBD_FIXED_NEWSTYLE = 1, NBD_NO_ZEROES = 2 };

enum {
    NBD_OPT_EXPORT_NAME = 1, NBD_OPT_ABORT, NBD_OPT_LIST, NBD_OPT_PEEK_EXPORT, NBD_OPT_STARTTLS, NBD_OPT_INFO, NBD_OPT_GO,
    NBD_OPT_STRUCTURED_REPLY, NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT, NBD_OPT_EXTENDED_HEADERS,
};

#define NBD_REP_ERR(n) (0x80000000u | (n))
enum {
    NBD_REP_ACK = 1, NBD_REP_SERVER, NBD_REP_INFO, NBD_REP_META_CONTEXT,
};
#define NBD_REP_ERR_UNSUP           NBD_REP_ERR(1)
#define NBD_REP_ERR_POLICY          NBD_REP_ERR(2)
#define NBD_REP_ERR_INVALID         NBD_REP_ERR(3)
#define NBD_REP_ERR_PLATFORM        NBD_REP_ERR(4)
#define NBD_REP_ERR_TLS_REQD        NBD_REP_ERR(5)
#define NBD_REP_ERR_UNKNOWN         NBD_REP_ERR(6)
#define NBD_REP_ERR_SHUTDOWN        NBD_REP_ERR(7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD NBD_REP_ERR(8)
#define NBD_REP_ERR_TOO_BIG         NBD_REP_ERR(9)
#define NBD_REP_ERR_EXT_HEADER_REQD NBD_REP_ERR(10)

enum { NBD_INFO_EXPORT, NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE };

/* Transmission flags of an export. */
enum {
    NBD_FLAG_HAS_FLAGS = 1 << 0, NBD_FLAG_READ_ONLY = 1 << 1, NBD_FLAG_FLUSH = 1 << 2, NBD_FLAG_FUA = 1 << 3, NBD_FLAG_ROTATIONAL = 1 << 4,
    NBD_FLAG_TRIM = 1 << 5, NBD_FLAG_WRITE_ZEROES = 1 << 6, NBD_FLAG_DF = 1 << 7, NBD_FLAG_MULTI_CONN = 1 << 8, NBD_FLAG_RESIZE = 1 << 9,
    NBD_FLAG_CACHE = 1 << 10, NBD_FLAG_FAST_ZERO = 1 << 11, NBD_FLAG_STATUS_PAYLOAD = 1 << 12,
};

enum { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_CACHE, NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS };
enum { NBD_CMD_FUA = 1 << 0, NBD_CMD_NO_HOLE = 1 << 1, NBD_CMD_DF = 1 << 2, NBD_CMD_REQ_ONE = 1 << 3, NBD_CMD_FAST_ZERO = 1 << 4, NBD_CMD_PAYLOAD_LEN = 1 << 5 };

enum { NBD_CHUNK_DONE = 1 };
enum {
    NBD_CHUNK_NONE = 0, NBD_CHUNK_DATA = 1, NBD_CHUNK_HOLE = 2, NBD_CHUNK_STATUS = 5, NBD_CHUNK_STATUS_EXT = 6,
    NBD_CHUNK_ERROR = 0x8001, NBD_CHUNK_ERROR_OFFSET = 0x8002,
};

/* base:allocation */
enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };

enum {
    NBD_DEFAULT_PORT = 10809,
    NBD_MAX_STRING = 4096,              /* names, descriptions, queries */
    NBD_MAX_DATA = 32 << 20,            /* of one read or write */
    NBD_REQUEST_SIZE = 28, NBD_REQUEST_EXT_SIZE = 32,
    NBD_SIMPLE_SIZE = 16, NBD_CHUNK_SIZE = 20, NBD_CHUNK_EXT_SIZE = 32,
    NBD_OPTION_SIZE = 16, NBD_OPTION_REPLY_SIZE = 20,
};

/* A positive errno value for the wire (the protocol knows nine of them), and back. */
uint32_t nbd_errno_to_wire(int err);
int nbd_errno_from_wire(uint32_t err);
/* For messages: "NBD_OPT_GO" without the prefix in lower case, "go". */
const char *nbd_option_name(uint32_t opt);
/* "Policy", "Unsupported"...: what a refused option says by itself. */
const char *nbd_rep_error_text(uint32_t type);

#endif
