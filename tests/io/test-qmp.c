/* SPDX-License-Identifier: MIT */
/* A conversation byte by byte: what goes in, what comes out.  The texts are those that clients match. */
#include "io/qmp.h"

#include <string.h>

#include "io/fiber.h"

static Session *session;
static Loop *loop;

typedef struct { Qmp *qmp; GString *out; } Client;

static void put(void *opaque, const char *text, size_t len)
{
    g_string_append_len(((Client *)opaque)->out, text, len);
}

static void open_client(Client *c, bool pretty)
{
    QmpHost host = { .session = session, .version = "8.2.0", .package = "p", .pretty = pretty, .write = put, .opaque = c };

    c->out = g_string_new(NULL);
    c->qmp = qmp_new(&host);
    qmp_connected(c->qmp);
}

static void close_client(Client *c)
{
    qmp_free(c->qmp);
    g_string_free(c->out, TRUE);
}

static void ready(Client *c)
{
    qmp_feed(c->qmp, "{'execute':'qmp_capabilities'}", 30);
    g_string_truncate(c->out, 0);
}

static void say(Client *c, const char *text)
{
    qmp_feed(c->qmp, text, strlen(text));
    while (qmp_busy(c->qmp)) {
        loop_step(loop, true);
    }
}

/* ---- commands of the test ---- */

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

static bool echo_run(MonCall *call, Error **errp)
{
    call->ret = json_copy(call->args);
    return true;
}
static const OptKey echo_keys[] = {
    { "id", OPT_STRING, .must = true }, { "n", OPT_NUMBER }, { "flag", OPT_BOOL }, { "word", OPT_ENUM, .values = "a|b" }, { "list", OPT_STRING, .many = true }, {}
};
COMMAND(echo_command, .qmp = "test-echo", .keys = echo_keys, .run = echo_run, .ret_type = "any");

static bool slow_run(MonCall *call, Error **errp)
{
    for (unsigned i = 0; i < 3; i++) {
        fiber_pause();
    }
    return error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device 'x' not found");
}
COMMAND(slow_command, .qmp = "test-slow", .run = slow_run, .waits = true);

static const OptKey tick_keys[] = { { "id", OPT_STRING, .must = true }, { "n", OPT_NUMBER }, {} };
static const QmpEvent tick_event = { .name = "TEST_TICK", .keys = tick_keys };
static const QmpEvent rare_event = { .name = "TEST_RARE", .keys = tick_keys, .rare = true, .by = "id" };
QMP_EVENT(tick_event);
QMP_EVENT(rare_event);

/* ---- tests ---- */

#define GENERIC(text) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" text "\"}}\r\n"
#define NOT_FOUND(text) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" text "\"}}\r\n"
#define PARSE(text) GENERIC("JSON parse error, " text)

static void test_texts(void)
{
    static const struct { const char *in, *out; } rows[] = {
        { "[]", GENERIC("QMP input must be a JSON object") },
        { "\"foo\" 1 null ", GENERIC("QMP input must be a JSON object") GENERIC("QMP input must be a JSON object") GENERIC("QMP input must be a JSON object") },
        { "{}", GENERIC("QMP input lacks member 'execute'") },
        { "{\"exec\":\"x\"}", GENERIC("QMP input member 'exec' is unexpected") },
        { "{\"execute\":1}", GENERIC("QMP input member 'execute' must be a string") },
        { "{\"execute\":null}", GENERIC("QMP input member 'execute' must be a string") },
        { "{\"execute\":\"test-echo\",\"control\":1}", GENERIC("QMP input member 'control' is unexpected") },
        { "{\"execute\":\"test-echo\",\"arguments\":[]}", GENERIC("QMP input member 'arguments' must be an object") },
        { "{\"execute\":\"test-echo\",\"arguments\":null}", GENERIC("QMP input member 'arguments' must be an object") },
        { "{\"execute\":\"query-version\",\"arguments\":{\"a\":1}}", GENERIC("Parameter 'a' is unexpected") },
        { "{\"execute\":\"nosuch\"}", NOT_FOUND("The command nosuch has not been found") },
        { "{\"execute\":\"a\\u0000b\"}", NOT_FOUND("The command a has not been found") },
        { "{\"execute\":\"qmp_capabilities\"}", NOT_FOUND("Capabilities negotiation is already complete, command ignored") },
        { "{\"exec-oob\":\"query-version\"}", GENERIC("QMP input member 'exec-oob' is unexpected") },
        { "{\"execute\":\"test-echo\"}", GENERIC("Parameter 'id' is missing") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"id\":1}}", GENERIC("Invalid parameter type for 'id', expected: string") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\",\"n\":1.5}}", GENERIC("Invalid parameter type for 'n', expected: integer") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\",\"flag\":\"yes\"}}", GENERIC("Invalid parameter type for 'flag', expected: boolean") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\",\"word\":\"c\"}}", GENERIC("Parameter 'word' does not accept value 'c'") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\",\"z\":1}}", GENERIC("Parameter 'z' is unexpected") },
        { "{\"execute\":\"test-echo\",\"arguments\":{\"z\":1}}", GENERIC("Parameter 'id' is missing") },
        { "{\"execute\" foo}", PARSE("missing : in object pair") },
        { "}", PARSE("expecting value") },
        { "{\"execute\":\"x\",}", PARSE("expecting value") },
        { "{\"execute\":\"query-version\"]}", PARSE("expected separator in dict") PARSE("expecting value") },
        { "\377", PARSE("stray '\\uFFFD'") },
        { "{'execute':'test-echo','arguments':{'id':'\xc3\xa9'},'id':{'a':1.50}}", "{\"return\": {\"id\": \"\\u00E9\"}, \"id\": {\"a\": 1.5}}\r\n" },
        { "{\"execute\":\"test-slow\",\"id\":7}", "{\"id\": 7, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'x' not found\"}}\r\n" },
    };
    Client c;

    open_client(&c, false);
    g_assert_cmpstr(c.out->str, ==, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 8}, \"package\": \"p\"}, \"capabilities\": [\"oob\"]}}\r\n");
    ready(&c);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        say(&c, rows[i].in);
        g_assert_cmpstr(c.out->str, ==, rows[i].out);
        g_string_truncate(c.out, 0);
    }
    close_client(&c);
}

static void test_negotiation(void)
{
    Client c;

    open_client(&c, false);
    g_string_truncate(c.out, 0);
    say(&c, "{\"execute\":\"nosuch\"}{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"foo\"]}}{\"execute\":\"qmp_capabilities\",\"arguments\":{\"foo\":1}}"
            "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":null}{\"exec-oob\":\"query-version\"}{\"exec-oob\":\"nosuch\"}"
            "{\"exec-oob\":\"query-version\",\"execute\":\"query-version\"}");
    g_assert_cmpstr(c.out->str, ==, NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'") GENERIC("Parameter 'null' does not accept value 'foo'")
                    GENERIC("Parameter 'foo' is unexpected") "{\"return\": {}, \"id\": null}\r\n" GENERIC("The command query-version does not support OOB")
                    NOT_FOUND("The command nosuch has not been found") GENERIC("QMP input member 'execute' clashes with 'exec-oob'"));
    close_client(&c);
}

/* A command that waits keeps the order of answers, and a client that leaves meanwhile gets none. */
static void test_waiting(void)
{
    static const char two[] = "{\"execute\":\"test-slow\",\"id\":1}{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\"},\"id\":2}";
    Client c;

    open_client(&c, false);
    ready(&c);
    qmp_feed(c.qmp, two, sizeof(two) - 1);
    g_assert_true(qmp_busy(c.qmp));
    g_assert_cmpuint(c.out->len, ==, 0);
    say(&c, "");
    g_assert_cmpstr(c.out->str, ==, "{\"id\": 1, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'x' not found\"}}\r\n{\"return\": {\"id\": \"x\"}, \"id\": 2}\r\n");
    qmp_feed(c.qmp, two, sizeof(two) - 1);
    qmp_disconnected(c.qmp);
    qmp_connected(c.qmp);
    g_string_truncate(c.out, 0);
    say(&c, "");
    g_assert_cmpstr(c.out->str, ==, "");
    close_client(&c);
}

static Json *tick(const char *id, int n)
{
    Json *d = json_object();

    json_set_string(d, "id", id);
    json_set_int(d, "n", n);
    return d;
}

/* The stamp is the only part that is not known. */
static char *without_time(const char *text)
{
    g_autoptr(GRegex) re = g_regex_new("\"seconds\": \\d+, \"microseconds\": \\d+", 0, 0, NULL);

    return g_regex_replace_literal(re, text, -1, 0, "T", 0, NULL);
}

static void test_events(void)
{
    Client a, b;
    g_autofree char *got = NULL;

    open_client(&a, false);
    open_client(&b, false);
    ready(&a);
    g_string_truncate(b.out, 0);
    qmp_event(session, "TEST_TICK", tick("x", 1));
    qmp_event(session, "TEST_RARE", tick("x", 1));
    qmp_event(session, "TEST_RARE", tick("x", 2));
    qmp_event(session, "TEST_RARE", tick("y", 3));
    qmp_event(session, "TEST_RARE", tick("x", 4));
    g_assert_cmpstr(b.out->str, ==, "");        /* it has not negotiated */
    got = without_time(a.out->str);
    g_assert_cmpstr(got, ==, "{\"timestamp\": {T}, \"event\": \"TEST_TICK\", \"data\": {\"id\": \"x\", \"n\": 1}}\r\n"
                    "{\"timestamp\": {T}, \"event\": \"TEST_RARE\", \"data\": {\"id\": \"x\", \"n\": 1}}\r\n"
                    "{\"timestamp\": {T}, \"event\": \"TEST_RARE\", \"data\": {\"id\": \"y\", \"n\": 3}}\r\n");
    g_string_truncate(a.out, 0);
    while (!a.out->len) {
        loop_step(loop, true);                  /* the second goes by: the last of x, nothing of y */
    }
    g_free(got);
    got = without_time(a.out->str);
    g_assert_cmpstr(got, ==, "{\"timestamp\": {T}, \"event\": \"TEST_RARE\", \"data\": {\"id\": \"x\", \"n\": 4}}\r\n");
    close_client(&a);
    close_client(&b);
}

static void test_pretty(void)
{
    Client c;

    open_client(&c, true);
    g_string_truncate(c.out, 0);
    say(&c, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"test-echo\",\"arguments\":{\"id\":\"x\",\"list\":[]}}");
    g_assert_cmpstr(c.out->str, ==, "{\r\n    \"return\": {\r\n    }\r\n}\r\n{\r\n    \"return\": {\r\n        \"id\": \"x\",\r\n        \"list\": [\r\n        ]\r\n    }\r\n}\r\n");
    close_client(&c);
}

/* Each name that an entry uses is an entry. */
static void test_schema(void)
{
    static const char *const uses[] = { "arg-type", "ret-type", "element-type", "type" };
    g_autoptr(Json) schema = qmp_schema();
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) todo = g_ptr_array_new();
    bool echo = false;

    for (unsigned i = 0; i < json_size(schema); i++) {
        const char *name = json_get_string(json_at(schema, i), "name");

        g_assert_true(g_hash_table_add(names, (void *)name));
        g_ptr_array_add(todo, json_at(schema, i));
        echo |= !strcmp(name, "test-echo");
    }
    g_assert_true(echo);
    for (unsigned i = 0; i < todo->len; i++) {
        Json *e = todo->pdata[i];

        for (unsigned k = 0; json_is(e, JSON_OBJECT) && k < G_N_ELEMENTS(uses); k++) {
            const char *used = json_get_string(e, uses[k]);
            g_assert_true(!used || g_hash_table_contains(names, used));
        }
        for (unsigned k = 0; (json_is(e, JSON_OBJECT) || json_is(e, JSON_ARRAY)) && k < json_size(e); k++) {
            g_ptr_array_add(todo, json_at(e, k));
        }
    }
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new_glib("test", NULL);
    session = session_new();
    g_test_add_func("/qmp/texts", test_texts);
    g_test_add_func("/qmp/negotiation", test_negotiation);
    g_test_add_func("/qmp/waiting", test_waiting);
    g_test_add_func("/qmp/events", test_events);
    g_test_add_func("/qmp/pretty", test_pretty);
    g_test_add_func("/qmp/schema", test_schema);
    status = g_test_run();
    session_free(session);
    while (loop_step(loop, false)) {
    }
    loop_free(loop);
    return status;
}
