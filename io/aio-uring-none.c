/* SPDX-License-Identifier: MIT */
#include "io/aio-priv.h"

#include <assert.h>

bool aio_uring_usable(Loop *loop, Error **errp)
{
    return error_set(errp, "built without io_uring; install liburing-dev and build again, or use aio=threads");
}

void aio_uring_submit(AioReq *req)
{
    assert(!"aio_uring_usable() said no");
}
