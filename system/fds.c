/* SPDX-License-Identifier: MIT */
/* -add-fd: descriptors that whoever started us left open. */
#include "system/system.h"

#include <fcntl.h>
#include <unistd.h>

#include "io/fdset.h"

static bool add_fd(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    int64_t fd = json_get_i64(a->value, "fd", -1), set = json_get_i64(a->value, "set", -1);
    int flags = fcntl((int)fd, F_GETFD);

    s->working_on = a->typed;
    if (fd < 0) {
        return error_set(errp, "fd must be non-negative");
    }
    if (fd <= STDERR_FILENO) {
        return error_set(errp, "fd cannot be a standard I/O stream");
    }
    if (fd > INT32_MAX || flags < 0 || (flags & FD_CLOEXEC)) {  /* one of our own, if it does not survive an exec */
        return error_set(errp, "fd is not valid or already in use");
    }
    if (set < 0) {
        return error_set(errp, "set is required and must be non-negative");
    }
    return fdset_add(s->session, set, (int)fd, json_get_string(a->value, "opaque"), errp) >= 0;
}

bool fds_open(System *s, Error **errp)
{
    return cmdline_each(s->cl, "add-fd", add_fd, s, errp);
}
