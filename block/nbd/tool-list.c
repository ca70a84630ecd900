/* SPDX-License-Identifier: MIT */
/* rhea-nbd -L: what another server has. */
#include <inttypes.h>
#include <stdio.h>

#include "block/driver.h"
#include "block/nbd/client.h"
#include "block/nbd/proto.h"
#include "block/nbd/tool-priv.h"

static const struct { uint16_t flag; const char *word; } flag_words[] = {
    { NBD_FLAG_READ_ONLY, "readonly" }, { NBD_FLAG_FLUSH, "flush" }, { NBD_FLAG_FUA, "fua" }, { NBD_FLAG_ROTATIONAL, "rotational" }, { NBD_FLAG_TRIM, "trim" },
    { NBD_FLAG_WRITE_ZEROES, "zeroes" }, { NBD_FLAG_DF, "df" }, { NBD_FLAG_MULTI_CONN, "multi" }, { NBD_FLAG_RESIZE, "resize" }, { NBD_FLAG_CACHE, "cache" },
    { NBD_FLAG_FAST_ZERO, "fast-zero" }, { NBD_FLAG_STATUS_PAYLOAD, "block-status-payload" },
};

static void print_flags(uint16_t flags)
{
    printf("  flags: 0x%x (", flags);
    for (unsigned i = 0; i < G_N_ELEMENTS(flag_words); i++) {
        if (flags & flag_words[i].flag) {
            printf(" %s", flag_words[i].word);
        }
    }
    printf(" )\n");
}

static void print_export(const NbdInfo *i, bool extended)
{
    printf(" export: '%s'\n", i->name);
    if (i->description && *i->description) {
        printf("  description: %s\n", i->description);
    }
    if (i->flags & NBD_FLAG_HAS_FLAGS) {
        printf("  size:  %" PRIu64 "\n", i->size);
        print_flags(i->flags);
    }
    if (i->max_block) {
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", i->min_block, i->pref_block, i->max_block);
    }
    if (extended) {
        printf("  transaction size: 64-bit\n");
    }
    if (i->contexts->len) {
        printf("  available meta contexts: %u\n", i->contexts->len);
        for (unsigned k = 0; k < i->contexts->len; k++) {
            printf("   %s\n", (char *)i->contexts->pdata[k]);
        }
    }
}

typedef struct {
    NbdLinkConfig config;
    GPtrArray *list;
    bool extended;
    Error *err;
} Listing;

static void run_list(void *opaque)
{
    Listing *l = opaque;

    l->list = nbd_link_list(&l->config, &l->extended, &l->err);
}

int nbd_tool_list(NbdTool *t)
{
    g_autoptr(SocketAddress) a = nbd_tool_address(t);
    Listing l = { .config = { .address = a, .hostname = t->hostname ? t->hostname : a->host } };

    if (t->tls_creds) {
        l.config.creds = tls_creds_get(t->session, t->tls_creds, false, &l.err);
        if (!l.config.creds) {
            return nbd_tool_fail(t, "Failed to get TLS creds: ", l.err);
        }
    }
    blk_run(NULL, run_list, &l);
    tls_creds_unref(l.config.creds);
    if (!l.list) {
        return nbd_tool_fail(t, NULL, l.err);
    }
    printf("exports available: %u\n", l.list->len);
    for (unsigned i = 0; i < l.list->len; i++) {
        print_export(l.list->pdata[i], l.extended);
    }
    g_ptr_array_free(l.list, true);
    return 0;
}
