/* SPDX-License-Identifier: MIT */
/* A conversation: framing, negotiation, dispatch from the command table. */
#include "io/qmp-priv.h"

#include <string.h>

#include "io/fiber.h"

struct Qmp {
    QmpHost host;
    char *id;                       /* in the session, for events */
    JsonStream *in;
    bool connected, negotiated, oob;
    bool busy;
    unsigned client;                /* counts connections: an answer to one that has left is dropped */
};

static const SessionKind qmp_kind = { .name = "qmp", .space = "qmp" };

/* ---- out ---- */

static void send(Qmp *q, Json *take)
{
    GString *text = g_string_new(NULL);

    json_write(take, q->host.pretty ? JSON_PRETTY : JSON_COMPACT, text);
    json_unref(take);
    if (q->host.pretty) {
        g_string_replace(text, "\n", "\r\n", 0);
    }
    g_string_append(text, "\r\n");
    q->host.write(q->host.opaque, text->str, text->len);
    g_string_free(text, TRUE);
}

static const char *class_name(ErrorClass c)
{
    static const char *const names[] = { "GenericError", "CommandNotFound", "DeviceNotFound", "DeviceNotActive", "KVMMissingCap" };

    return names[c];
}

static void send_error(Qmp *q, Json *id, const Error *err)
{
    Json *answer = json_object(), *e = json_object();

    if (id) {
        json_set(answer, "id", json_ref(id));
    }
    json_set_string(e, "class", class_name(error_class(err)));
    json_set_string(e, "desc", error_message(err));
    json_set(answer, "error", e);
    send(q, answer);
}

static void send_return(Qmp *q, Json *id, Json *take)
{
    Json *answer = json_object();

    json_set(answer, "return", take ? take : json_object());
    if (id) {
        json_set(answer, "id", json_ref(id));
    }
    send(q, answer);
}

static Json *version_of(const QmpHost *h)
{
    g_auto(GStrv) part = g_strsplit(h->version, ".", 3);
    Json *v = json_object(), *numbers = json_object();
    static const char *const names[] = { "major", "minor", "micro" };

    for (int i = 2; i >= 0; i--) {
        json_set_int(numbers, names[i], (unsigned)i < g_strv_length(part) ? g_ascii_strtoll(part[i], NULL, 10) : 0);
    }
    json_set(v, "qemu", numbers);
    json_set_string(v, "package", h->package);
    return v;
}

static void greet(Qmp *q)
{
    Json *all = json_object(), *qmp = json_object(), *caps = json_array();

    json_append(caps, json_string("oob"));
    json_set(qmp, "version", version_of(&q->host));
    json_set(qmp, "capabilities", caps);
    json_set(all, "QMP", qmp);
    send(q, all);
}

/* ---- a request ---- */

typedef struct Request {
    Qmp *q;
    const MonCommand *c;
    Json *id, *args;
    unsigned client;
    bool waited;
} Request;

static void process(Qmp *q);

static void request_free(Request *r)
{
    json_unref(r->id);
    json_unref(r->args);
    g_free(r);
}

static void run(void *opaque)
{
    Request *r = opaque;
    Qmp *q = r->q;
    MonCall call = { .session = q->host.session, .args = r->args, .qmp = q };
    Error *err = NULL;

    if (q->host.prepare) {
        q->host.prepare(q->host.opaque, &call);
    }
    if (r->c->waits) {
        session_lock(q->host.session);
    }
    if (!r->c->run(&call, &err)) {
        json_unref(call.ret);
        call.ret = NULL;
    }
    if (r->c->waits) {
        session_unlock(q->host.session);
    }
    if (!q->connected || r->client != q->client) {
        json_unref(call.ret);
    } else if (err) {
        send_error(q, r->id, err);
    } else {
        send_return(q, r->id, call.ret);
    }
    error_free(err);
    q->busy = false;
    if (r->waited) {
        process(q);
    }
    request_free(r);
}

/* Which members a request has, and that they are what they should be. */
static bool check_request(Qmp *q, const Json *r, const char **name, bool *oob, Error **errp)
{
    Json *exec = json_get(r, "execute"), *exec_oob = q->oob ? json_get(r, "exec-oob") : NULL, *args = json_get(r, "arguments");

    for (unsigned i = 0; i < json_size(r); i++) {
        const char *key = json_key_at(r, i);

        if (strcmp(key, "execute") && strcmp(key, "arguments") && strcmp(key, "id") && !(q->oob && !strcmp(key, "exec-oob"))) {
            return error_set(errp, "QMP input member '%s' is unexpected", key);
        }
        if ((!strcmp(key, "execute") || !strcmp(key, "exec-oob")) && !json_as_string(json_at(r, i))) {
            return error_set(errp, "QMP input member '%s' must be a string", key);
        }
        if (!strcmp(key, "arguments") && !json_is(args, JSON_OBJECT)) {
            return error_set(errp, "QMP input member 'arguments' must be an object");
        }
    }
    if (exec && exec_oob) {
        return error_set(errp, "QMP input member 'execute' clashes with 'exec-oob'");
    }
    if (!exec && !exec_oob) {
        return error_set(errp, "QMP input lacks member 'execute'");
    }
    *oob = exec_oob;
    *name = json_as_string(exec ? exec : exec_oob);
    return true;
}

static bool negotiate(Qmp *q, Json *args, Error **errp)
{
    const MonCommand *c = command_find("qmp_capabilities");
    Json *list;
    bool oob = false;

    if (!command_check(c, args, errp)) {
        return false;
    }
    list = json_get(args, "enable");
    for (unsigned i = 0; list && i < json_size(list); i++) {
        const char *cap = json_as_string(json_at(list, i));

        if (strcmp(cap, "oob")) {
            return error_set(errp, "Parameter 'null' does not accept value '%s'", cap);
        }
        oob = true;
    }
    q->negotiated = true;
    q->oob = oob;
    return true;
}

static const MonCommand *find(Qmp *q, const char *name, bool oob, Error **errp)
{
    const MonCommand *c = command_find(name);

    if (!q->negotiated && (!c || strcmp(name, "qmp_capabilities"))) {
        error_set_class(errp, ERROR_COMMAND_NOT_FOUND, "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (!c) {
        error_set_class(errp, ERROR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    } else if (q->negotiated && !strcmp(name, "qmp_capabilities")) {
        error_set_class(errp, ERROR_COMMAND_NOT_FOUND, "Capabilities negotiation is already complete, command ignored");
        c = NULL;
    } else if (oob) {
        error_set(errp, "The command %s does not support OOB", name);
        c = NULL;
    }
    return c;
}

static bool dispatch(Qmp *q, Json *request, Json *id, Error **errp)
{
    const MonCommand *c;
    const char *name = NULL;
    Request *r;
    Json *given;
    g_autoptr(Json) args = NULL;
    bool oob = false;

    if (!json_is(request, JSON_OBJECT)) {
        return error_set(errp, "QMP input must be a JSON object");
    }
    if (!check_request(q, request, &name, &oob, errp) || !(c = find(q, name, oob, errp))) {
        return false;
    }
    given = json_get(request, "arguments");
    args = given ? json_copy(given) : json_object();
    if (!q->negotiated) {
        if (!negotiate(q, args, errp)) {
            return false;
        }
        send_return(q, id, NULL);
        return true;
    }
    if (!command_check(c, args, errp)) {
        return false;
    }
    r = g_new0(Request, 1);
    *r = (Request){ .q = q, .c = c, .id = id ? json_ref(id) : NULL, .args = g_steal_pointer(&args), .client = q->client };
    q->busy = true;
    if (!c->waits) {
        run(r);
        return true;
    }
    r->waited = true;
    fiber_start(run, r);
    return true;
}

static void handle(Qmp *q, Json *request)
{
    Json *id = json_is(request, JSON_OBJECT) ? json_get(request, "id") : NULL;
    Error *err = NULL;

    if (!dispatch(q, request, id, &err)) {
        send_error(q, id, err);
        error_free(err);
    }
}

static void process(Qmp *q)
{
    while (!q->busy && q->connected) {
        g_autoptr(Json) request = NULL;
        Error *err = NULL;

        switch (json_stream_next(q->in, &request, &err)) {
        case JSON_STREAM_MORE:
            return;
        case JSON_STREAM_ERROR:
            send_error(q, NULL, err);
            error_free(err);
            break;
        case JSON_STREAM_VALUE:
            handle(q, request);
            break;
        }
    }
}

void qmp_feed(Qmp *q, const void *bytes, size_t len)
{
    json_stream_feed(q->in, bytes, len);
    process(q);
}

/* ---- life ---- */

Qmp *qmp_new(const QmpHost *host)
{
    Qmp *q = g_new0(Qmp, 1);

    q->host = *host;
    q->in = json_stream_new();
    q->id = session_make_id(host->session, "qmp");
    session_add(host->session, &qmp_kind, q->id, q, NULL);
    return q;
}

void qmp_free(Qmp *q)
{
    q->connected = false;
    while (q->busy) {
        loop_step(loop_current(), true);
    }
    session_remove(q->host.session, &qmp_kind, q->id);
    json_stream_free(q->in);
    g_free(q->id);
    g_free(q);
}

const QmpHost *qmp_host(const Qmp *q)
{
    return &q->host;
}

bool qmp_busy(const Qmp *q)
{
    return q->busy;
}

void qmp_connected(Qmp *q)
{
    q->connected = true;
    q->negotiated = q->oob = false;
    q->client++;
    json_stream_free(q->in);
    q->in = json_stream_new();
    greet(q);
}

void qmp_disconnected(Qmp *q)
{
    q->connected = q->negotiated = false;
}

/* ---- events ---- */

static void send_one(const char *id, void *object, void *opaque)
{
    Qmp *q = object;

    if (q->negotiated) {
        send(q, json_ref(opaque));
    }
}

void qmp_event_send(Session *s, Json *event)
{
    session_foreach(s, &qmp_kind, send_one, event);
    json_unref(event);
}

/* ---- the commands of the protocol itself ---- */

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

static const OptKey capabilities_keys[] = { { "enable", OPT_STRING, "capabilities of the greeting", .many = true }, {} };
static bool capabilities_run(MonCall *call, Error **errp)
{
    g_assert_not_reached();             /* negotiate() answers it */
}
COMMAND(capabilities_command, .qmp = "qmp_capabilities", .keys = capabilities_keys, .run = capabilities_run);

static bool version_run(MonCall *call, Error **errp)
{
    call->ret = version_of(&call->qmp->host);
    return true;
}
static const OptKey triple_keys[] = { { "micro", OPT_NUMBER, .must = true }, { "minor", OPT_NUMBER, .must = true }, { "major", OPT_NUMBER, .must = true }, {} };
static const OptGroup triple_group = { .name = "VersionTriple", .keys = triple_keys };
static const OptKey version_ret[] = { { "qemu", OPT_TREE, .sub = &triple_group, .must = true }, { "package", OPT_STRING, .must = true }, {} };
COMMAND(version_command, .qmp = "query-version", .run = version_run, .ret = version_ret);

static bool commands_run(MonCall *call, Error **errp)
{
    g_autofree const MonCommand **all = commands_list();

    call->ret = json_array();
    for (unsigned i = 0; all[i]; i++) {
        Json *one = json_object();

        json_set_string(one, "name", all[i]->qmp);
        json_append(call->ret, one);
    }
    return true;
}
static const OptKey name_ret[] = { { "name", OPT_STRING, .must = true }, {} };
COMMAND(commands_command, .qmp = "query-commands", .run = commands_run, .ret = name_ret, .ret_type = "[]");

static bool schema_run(MonCall *call, Error **errp)
{
    call->ret = qmp_schema();
    return true;
}
COMMAND(schema_command, .qmp = "query-qmp-schema", .run = schema_run, .ret_type = "[any]");
