/* SPDX-License-Identifier: MIT */
/* A schema of our own: what is typed, what comes out as JSON, what is refused and how. */
#include "util/options.h"

#include <string.h>

#include "util/bits.h"
#include "util/size.h"

static const OptGroup node;
static const OptKey node_keys[] = {
    { "driver", OPT_STRING }, { "node-name", OPT_ID }, { "size", OPT_SIZE }, { "cache.direct", OPT_BOOL },
    { "file", OPT_TREE, .sub = &node }, { "server", OPT_ANY }, {}
};
static const OptGroup node = { .name = "node", .implied = "driver", .keys = node_keys };

static const OptKey end_keys[] = { { "id", OPT_ID, .must = true, .help = "name of the end" }, { "type", OPT_STRING }, {} };
static const OptGroup end = { .name = "testend", .implied = "type", .select = "type", .keys = end_keys };

static const OptKey user_keys[] = {
    { "hostfwd", OPT_STRING, .many = true, .help = "forward a port" }, { "restrict", OPT_BOOL, .def = "off" },
    { "wait", OPT_BOOL }, { "aio", OPT_ENUM, .values = "threads|native|io_uring" },
    { "port", OPT_NUMBER, .max = 65535 }, { "m", OPT_SIZE, .unit = MiB }, { "read-only", OPT_BOOL, .alias = "readonly" },
    { "vhost", OPT_BOOL, .absent = "no vhost-net on this host" }, { "note", OPT_STRING }, {}
};
static const OptVariant user = { .group = "testend", .name = "user", .alias = "slirp", .keys = user_keys };
static const OptVariant vde = { .group = "testend", .name = "vde", .absent = "libvde" };
OPT_VARIANT(user);
OPT_VARIANT(vde);

static const OptGroup open_group = { .name = "device", .implied = "driver", .select = "driver", .open = true };

static void test_good(void)
{
    static const struct { const OptGroup *g; const char *in, *out; } rows[] = {
        { &end, "user,id=n0", "{\"type\": \"user\", \"id\": \"n0\"}" },
        { &end, "id=n0,type=slirp", "{\"id\": \"n0\", \"type\": \"slirp\"}" },
        { &end, "user,id=n,hostfwd=a,hostfwd=b", "{\"type\": \"user\", \"id\": \"n\", \"hostfwd\": [\"a\", \"b\"]}" },
        { &end, "user,id=n,hostfwd=a", "{\"type\": \"user\", \"id\": \"n\", \"hostfwd\": [\"a\"]}" },
        { &end, "user,id=n,nowait,restrict,readonly", "{\"type\": \"user\", \"id\": \"n\", \"wait\": false, \"restrict\": true, \"read-only\": true}" },
        { &end, "user,id=n,read_only=yes,restrict=n", "{\"type\": \"user\", \"id\": \"n\", \"read-only\": true, \"restrict\": false}" },
        { &end, "user,id=n,note=a,,b=c,,,port=0x10", "{\"type\": \"user\", \"id\": \"n\", \"note\": \"a,b=c,\", \"port\": 16}" },
        { &end, "user,id=n,m=2,m=3", "{\"type\": \"user\", \"id\": \"n\", \"m\": 3145728}" },
        { &end, "user,id=n,m=1.5G,", "{\"type\": \"user\", \"id\": \"n\", \"m\": 1610612736}" },
        { &end, "{'type': 'user', 'id': 'n', 'hostfwd': [{'str': 'x'}], 'port': 5}",
          "{\"type\": \"user\", \"id\": \"n\", \"hostfwd\": [\"x\"], \"port\": 5}" },
        { &node, "qcow2,file.driver=file,file.size=1k", "{\"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", \"size\": 1024}}" },
        { &node, "driver=raw,file=node0", "{\"driver\": \"raw\", \"file\": \"node0\"}" },
        { &node, "nbd,server.0.host=a,server.1.host=b", "{\"driver\": \"nbd\", \"server\": [{\"host\": \"a\"}, {\"host\": \"b\"}]}" },
        { &node, "nbd,server.host=a,cache.direct=on", "{\"driver\": \"nbd\", \"server\": {\"host\": \"a\"}, \"cache.direct\": true}" },
        { &open_group, "e1000,mac=52:54,mq", "{\"driver\": \"e1000\", \"mac\": \"52:54\", \"mq\": \"on\"}" },
        { &open_group, "{\"driver\":\"e1000\",\"x\":1}", "{\"driver\": \"e1000\", \"x\": 1}" },
        { &open_group, "", "{}" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        Error *err = NULL;
        g_autoptr(Json) j = options_parse(rows[i].g, rows[i].in, &err);
        g_autofree char *text = j ? json_text(j, JSON_COMPACT) : NULL;

        if (err) {
            g_error("%s: %s", rows[i].in, error_message(err));
        }
        g_assert_cmpstr(text, ==, rows[i].out);
    }
}

static void test_bad(void)
{
    static const struct { const OptGroup *g; const char *in, *message, *hint; } rows[] = {
        { &end, "user", "Parameter 'id' is missing", "" },
        { &end, "usr,id=n", "Parameter 'type' does not accept value 'usr'", "did you mean 'user'?\n" },
        { &end, "vde,id=n", "testend 'vde' is not available in this build: libvde", "" },
        { &end, "user,id=n,vhost=on", "Parameter 'vhost' is not available in this build: no vhost-net on this host", "" },
        { &end, "user,id=n,hostfw=x", "Invalid parameter 'hostfw'", "did you mean 'hostfwd'?\n" },
        { &end, "user,id=1a", "Parameter 'id' expects an identifier", NULL },
        { &end, "user,id=n,restrict=maybe", "Parameter 'restrict' expects 'on' or 'off'", "" },
        { &end, "user,id=n,aio=thread", "Parameter 'aio' does not accept value 'thread'", "did you mean 'threads'?\n" },
        { &end, "user,id=n,aio=x", "Parameter 'aio' does not accept value 'x'", "it is one of threads|native|io_uring\n" },
        { &end, "user,id=n,port=70000", "Value '70000' is out of range for parameter 'port': at most 65535", "" },
        { &end, "user,id=n,port=x", "Parameter 'port' expects a number", "" },
        { &end, "user,id=n,port", "Expected '=' after parameter 'port'", "" },
        { &end, "user,id=n,m=1Q", "Parameter 'm' expects a non-negative number below 2^64",
          "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.\n" },
        { &end, "{'type':'user','id':'n','restrict':'on'}", "Invalid parameter type for 'restrict', expected: boolean", "" },
        { &end, "{'type':'user','id':5}", "Invalid parameter type for 'id', expected: string", "" },
        { &end, "{'type':", "JSON parse error, premature EOI", NULL },
        { &node, "raw,file=a,file.driver=b", "Parameters 'file' and 'file.driver' are used inconsistently", "" },
        { &node, "raw,file.driver=b,file=a", "Parameters 'file.driver' and 'file' are used inconsistently", "" },
        { &node, "raw,file.zz=b", "file: Invalid parameter 'zz'", "" },
        { &node, "raw,file..driver=b", "Invalid parameter '.driver'", "" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        Error *err = NULL;

        g_assert_null(options_parse(rows[i].g, rows[i].in, &err));
        g_assert_cmpstr(error_message(err), ==, rows[i].message);
        if (rows[i].hint) {
            g_assert_cmpstr(error_hint_text(err), ==, rows[i].hint);
        }
        error_free(err);
    }
}

static void test_help(void)
{
    g_autofree char *text = options_help(&end, &user), *which = NULL;

    g_assert_nonnull(strstr(text, "user options:\n  aio=<threads|native|io_uring>\n"));
    g_assert_nonnull(strstr(text, "\n  hostfwd=<str>          - forward a port\n"));
    g_assert_nonnull(strstr(text, "\n  restrict=<bool (on/off)> -  (default: off)\n"));
    g_assert_null(strstr(text, "vhost"));
    g_assert_true(options_wants_help(&end, "help", &which));
    g_assert_null(which);
    g_assert_true(options_wants_help(&end, "user,?", &which));
    g_assert_cmpstr(which, ==, "user");
    g_clear_pointer(&which, g_free);
    g_assert_false(options_wants_help(&end, "user,id=help", &which));
    g_assert_null(which);
}

static void test_merge(void)
{
    g_autoptr(Json) a = options_parse(&end, "user,id=n,hostfwd=a,restrict=on", NULL);
    g_autoptr(Json) b = options_parse(&end, "user,id=n,hostfwd=b,restrict=off", NULL);
    g_autofree char *text = NULL;

    options_merge(&end, a, b);
    text = json_text(a, JSON_COMPACT);
    g_assert_cmpstr(text, ==, "{\"type\": \"user\", \"id\": \"n\", \"hostfwd\": [\"a\", \"b\"], \"restrict\": false}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/good", test_good);
    g_test_add_func("/options/bad", test_bad);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/merge", test_merge);
    return g_test_run();
}
