/* SPDX-License-Identifier: MIT */
#include "block/nbd/proto.h"

#include <errno.h>
#include <glib.h>

/* The numbers are Linux' own, fixed by the specification. */
static const struct { uint32_t wire; int err; } errors[] = {
    { 1, EPERM }, { 5, EIO }, { 12, ENOMEM }, { 22, EINVAL }, { 28, ENOSPC }, { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

uint32_t nbd_errno_to_wire(int err)
{
    if (err == EROFS) {
        return 1;
    }
    if (err == EFBIG) {
        return 28;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (errors[i].err == err) {
            return errors[i].wire;
        }
    }
    return err ? 5 : 0;
}

int nbd_errno_from_wire(uint32_t err)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (errors[i].wire == err) {
            return errors[i].err;
        }
    }
    return err ? EINVAL : 0;            /* what the specification asks for of unknown numbers */
}

const char *nbd_option_name(uint32_t opt)
{
    static const char *const names[] = {
        [NBD_OPT_EXPORT_NAME] = "export name", [NBD_OPT_ABORT] = "abort", [NBD_OPT_LIST] = "list", [NBD_OPT_PEEK_EXPORT] = "peek export",
        [NBD_OPT_STARTTLS] = "starttls", [NBD_OPT_INFO] = "info", [NBD_OPT_GO] = "go", [NBD_OPT_STRUCTURED_REPLY] = "structured reply",
        [NBD_OPT_LIST_META_CONTEXT] = "list meta context", [NBD_OPT_SET_META_CONTEXT] = "set meta context", [NBD_OPT_EXTENDED_HEADERS] = "extended headers",
    };

    return opt < G_N_ELEMENTS(names) && names[opt] ? names[opt] : "unknown";
}

const char *nbd_rep_error_text(uint32_t type)
{
    static const char *const texts[] = {
        "is unknown to it", "is not supported", "is refused by its policy", "was malformed", "does not work on its platform", "needs TLS first",
        "Requested export not available", "cannot be served, it is shutting down", "needs block sizes to be asked for", "was too long", "needs extended headers",
    };
    uint32_t n = type & 0x7fffffff;

    return n < G_N_ELEMENTS(texts) ? texts[n] : texts[0];
}
