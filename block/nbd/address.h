/* SPDX-License-Identifier: MIT */
/* Socket addresses among options, for the driver and the server. */
#ifndef BLOCK_NBD_ADDRESS_H
#define BLOCK_NBD_ADDRESS_H

#include "io/socket.h"
#include "util/json.h"

/*
 * o[key] as {type: inet|unix|vsock|fd, host, port, path, cid, str}, as the
 * older {type, data: {...}}, or flat in o as KEY.type, KEY.host ...
 */
SocketAddress *nbd_address_from_json(const Json *o, const char *key, Error **errp);
bool nbd_has_address(const Json *o, const char *key);

#endif
