/* SPDX-License-Identifier: MIT */
#include "tests/block/qmp-client.h"

#include <string.h>

struct QmpClient {
    Qmp *qmp;
    Loop *loop;
    Json *answer;
    GString *events;
};

static void put(void *opaque, const char *text, size_t len)
{
    QmpClient *c = opaque;
    Json *j = json_parse(text, len, NULL);
    const char *event = json_get_string(j, "event"), *status = json_get_string(json_get(j, "data"), "status");

    g_assert_nonnull(j);
    if (event) {
        g_string_append_printf(c->events, "%s%s%s%s", c->events->len ? " " : "", event, status ? ":" : "", status ? status : "");
    }
    if (event || json_get(j, "QMP")) {
        json_unref(j);
    } else {
        json_unref(c->answer);
        c->answer = j;
    }
}

QmpClient *client_new(Session *s, Loop *loop)
{
    QmpClient *c = g_new0(QmpClient, 1);
    QmpHost host = { .session = s, .version = "8.2.0", .package = "", .write = put, .opaque = c };

    c->loop = loop;
    c->events = g_string_new(NULL);
    c->qmp = qmp_new(&host);
    qmp_connected(c->qmp);
    client_ok(c, "{'execute':'qmp_capabilities'}");
    return c;
}

void client_free(QmpClient *c)
{
    qmp_free(c->qmp);
    json_unref(c->answer);
    g_string_free(c->events, TRUE);
    g_free(c);
}

static Json *ask(QmpClient *c, const char *text)
{
    Json *r;

    g_clear_pointer(&c->answer, json_unref);
    qmp_feed(c->qmp, text, strlen(text));
    while (!c->answer) {
        loop_step(c->loop, true);
    }
    r = json_get(c->answer, "return");
    return json_ref(r ? r : json_get(c->answer, "error"));
}

Json *client_ask(QmpClient *c, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return ask(c, text);
}

void client_ok(QmpClient *c, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(Json) r = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    r = ask(c, text);
    if (json_is(r, JSON_OBJECT) && json_get(r, "desc")) {
        g_error("%s: %s", text, json_get_string(r, "desc"));
    }
}

void client_refused(QmpClient *c, const char *error, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autoptr(Json) r = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    r = ask(c, text);
    g_assert_cmpstr(json_is(r, JSON_OBJECT) ? json_get_string(r, "desc") : "", ==, error);
}

char *client_events(QmpClient *c)
{
    char *text = g_string_free(c->events, FALSE);

    c->events = g_string_new(NULL);
    return text;
}

static Json *job(QmpClient *c, const char *id)
{
    g_autoptr(Json) list = client_ask(c, "{'execute':'query-jobs'}");

    for (unsigned i = 0; i < json_size(list); i++) {
        if (!g_strcmp0(json_get_string(json_at(list, i), "id"), id)) {
            return json_ref(json_at(list, i));
        }
    }
    return NULL;
}

char *client_status(QmpClient *c, const char *id)
{
    g_autoptr(Json) j = job(c, id);

    return g_strdup(j ? json_get_string(j, "status") : "null");
}

char *client_job_error(QmpClient *c, const char *id)
{
    g_autoptr(Json) j = job(c, id);

    return j ? g_strdup(json_get_string(j, "error")) : NULL;
}

void client_wait(QmpClient *c, const char *id, const char *status)
{
    for (;;) {
        g_autofree char *now = client_status(c, id);

        if (!strcmp(now, status) || !strcmp(now, "null") || !strcmp(now, "concluded")) {
            return;
        }
        loop_step(c->loop, true);
    }
}
