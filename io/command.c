/* SPDX-License-Identifier: MIT */
#include "io/command.h"

#include <stdlib.h>
#include <string.h>

ROWS_DECLARE(mon_commands, MonCommand);
ROWS_DECLARE(qmp_events, QmpEvent);

const MonCommand *command_find(const char *qmp)
{
    ROWS_FOREACH(mon_commands, MonCommand, c) {
        if (c->qmp && !strcmp(c->qmp, qmp)) {
            return c;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const MonCommand *const *)a)->qmp, (*(const MonCommand *const *)b)->qmp);
}

const MonCommand **commands_list(void)
{
    const MonCommand **list = g_new0(const MonCommand *, ROWS_COUNT(mon_commands) + 1);
    unsigned n = 0;

    ROWS_FOREACH(mon_commands, MonCommand, c) {
        if (c->qmp) {
            list[n++] = c;
        }
    }
    qsort(list, n, sizeof(*list), by_name);
    return list;
}

static bool key_known(const OptKey *k, const char *name)
{
    for (; k && k->name; k++) {
        if (!strcmp(k->name, name)) {
            return true;
        }
    }
    return false;
}

/* What is wrong with the known arguments is said before what is unknown. */
bool command_check(const MonCommand *c, Json *args, Error **errp)
{
    const OptGroup group = { .name = c->qmp, .keys = c->keys, .open = c->open };
    g_autofree char *unexpected = NULL;

    for (unsigned i = 0; !c->open && i < json_size(args);) {
        const char *name = json_key_at(args, i);

        if (key_known(c->keys, name)) {
            i++;
            continue;
        }
        unexpected = unexpected ? unexpected : g_strdup(name);
        json_remove(args, name);
    }
    if (!options_check(&group, args, errp)) {
        return false;
    }
    return !unexpected || error_set(errp, "Parameter '%s' is unexpected", unexpected);
}

const QmpEvent *event_find(const char *name)
{
    ROWS_FOREACH(qmp_events, QmpEvent, ev) {
        if (!strcmp(ev->name, name)) {
            return ev;
        }
    }
    return NULL;
}

void events_foreach(void (*fn)(const QmpEvent *ev, void *opaque), void *opaque)
{
    ROWS_FOREACH(qmp_events, QmpEvent, ev) {
        fn(ev, opaque);
    }
}
