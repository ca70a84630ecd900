/* SPDX-License-Identifier: MIT */
/* Several actions as one: all of them, or none. */
#include "block/transaction.h"

#include <string.h>

ROWS_DECLARE(block_actions, ActionKind);

static const ActionKind *find_kind(const char *name)
{
    ROWS_FOREACH(block_actions, ActionKind, k) {
        if (!strcmp(k->name, name)) {
            return k;
        }
    }
    return NULL;
}

static Action *action_new(Transaction *t, const ActionKind *kind, const Json *data, Error **errp)
{
    const MonCommand row = { .qmp = kind->name, .keys = kind->keys };
    Action *a = g_malloc0(MAX(kind->size, sizeof(Action)));

    a->kind = kind;
    a->session = t->session;
    a->transaction = t;
    a->args = data ? json_copy(data) : json_object();
    if (!command_check(&row, a->args, errp)) {
        json_unref(a->args);
        g_free(a);
        return NULL;
    }
    return a;
}

static void action_free(void *opaque)
{
    Action *a = opaque;

    json_unref(a->args);
    g_free(a);
}

static void end(GPtrArray *list, bool ok)
{
    for (unsigned i = 0; ok && i < list->len; i++) {
        Action *a = list->pdata[i];

        if (a->kind->commit) {
            a->kind->commit(a);
        }
    }
    for (unsigned i = list->len; !ok && i-- > 0;) {
        Action *a = list->pdata[i];

        if (a->kind->abort) {
            a->kind->abort(a);
        }
    }
}

/* `list` are checked; those of `done` have been prepared. */
static bool run_all(Transaction *t, GPtrArray *list, Error **errp)
{
    g_autoptr(GPtrArray) done = g_ptr_array_new(), tried = g_ptr_array_new();
    bool ok = true;

    t->graph = blk_graph_begin(t->session);
    for (unsigned i = 0; ok && i < list->len; i++) {
        Action *a = list->pdata[i];

        g_ptr_array_add(tried, a);
        ok = a->kind->prepare(a, errp);
        if (ok) {
            g_ptr_array_add(done, a);
        }
    }
    end(done, ok);
    if (ok) {
        blk_graph_finish(t->graph);
    } else {
        blk_graph_abort(t->graph);
    }
    for (unsigned i = 0; i < tried->len; i++) {
        Action *a = tried->pdata[i];

        if (a->kind->clean) {
            a->kind->clean(a);
        }
    }
    return ok;
}

bool action_run(MonCall *call, const char *name, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(action_free);
    Transaction t = { .session = call->session };
    Action *a = action_new(&t, find_kind(name), call->args, errp);

    if (!a) {
        return false;
    }
    g_ptr_array_add(list, a);
    return run_all(&t, list, errp);
}

static bool transaction_run(MonCall *call, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(action_free);
    Json *actions = json_get(call->args, "actions");
    const char *mode = json_get_string(json_get(call->args, "properties"), "completion-mode");
    Transaction t = { .session = call->session };
    bool ok;

    for (unsigned i = 0; i < json_size(actions); i++) {
        const char *type = json_get_string(json_at(actions, i), "type");
        const ActionKind *kind = type ? find_kind(type) : NULL;
        Action *a;

        if (!kind) {
            return error_set(errp, type ? "Parameter 'type' does not accept value '%s'" : "Parameter 'actions[%s].type' is missing", type ? type : "N");
        }
        a = action_new(&t, kind, json_get(json_at(actions, i), "data"), errp);
        if (!a) {
            return false;
        }
        g_ptr_array_add(list, a);
    }
    t.group = !g_strcmp0(mode, "grouped") ? job_group_new() : NULL;
    ok = run_all(&t, list, errp);
    job_group_unref(t.group);
    return ok;
}
static const OptKey properties_keys[] = { { "completion-mode", OPT_ENUM, .values = "individual|grouped" }, {} };
static const OptGroup properties_group = { .name = "TransactionProperties", .keys = properties_keys };
static const OptKey transaction_keys[] = { { "actions", OPT_ANY, .many = true, .must = true }, { "properties", OPT_TREE, .sub = &properties_group }, {} };
COMMAND(transaction_command, .qmp = "transaction", .keys = transaction_keys, .waits = true, .run = transaction_run);

static bool abort_prepare(Action *a, Error **errp)
{
    return error_set(errp, "Transaction aborted using Abort action");
}
static const ActionKind abort_action = { .name = "abort", .prepare = abort_prepare };
ACTION_KIND(abort_action);
