/* SPDX-License-Identifier: MIT */
/* Socket addresses among options, for the driver and the server. */
#ifndef BLOCK_NBD_ADDRESS_H
#define BLOCK_NBD_ADDRESS_H

#include "io/session.h"
#include "io/socket.h"
#include "util/json.h"

/*
 * o[key] as {type: inet|unix|vsock|fd, host, port, path, cid, str}, as the
 * older {type, data: {...}}, or flat in o as KEY.type, KEY.host ...  An fd may be the name of one that came over a monitor, which is taken.
 */
SocketAddress *nbd_address_from_json(Session *s, const Json *o, const char *key, Error **errp);
bool nbd_has_address(const Json *o, const char *key);

#endif
