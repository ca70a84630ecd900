/* SPDX-License-Identifier: MIT */
/* Who may: one name, or a list of rules, the first that matches. */
#include <fnmatch.h>
#include <string.h>

#include "io/tls.h"

typedef struct {
    char *match;
    bool glob, allow;
} Rule;

struct TlsAuthz {
    char *id;
    GArray *rules;
    bool otherwise;
};

static void clear_rule(void *p)
{
    g_free(((Rule *)p)->match);
}

static void destroy(void *object)
{
    TlsAuthz *a = object;

    g_array_free(a->rules, true);
    g_free(a->id);
    g_free(a);
}

static const SessionKind authz_kind = { .name = "authorization", .space = "object", .duplicate = "attempt to add duplicate property '%s' to object (type 'container')", .destroy = destroy };

static TlsAuthz *authz_new(const char *id)
{
    TlsAuthz *a = g_new0(TlsAuthz, 1);

    a->id = g_strdup(id);
    a->rules = g_array_new(false, false, sizeof(Rule));
    g_array_set_clear_func(a->rules, clear_rule);
    return a;
}

const TlsAuthz *tls_authz_get(Session *s, const char *id, Error **errp)
{
    const SessionKind *kind = NULL;
    TlsAuthz *a = session_find(s, "object", id, &kind);

    if (!a || kind != &authz_kind) {
        error_set(errp, a ? "Object '%s' is not of an authorization type" : "Cannot find QAuthZ object ID %s", id);
        return NULL;
    }
    return a;
}

bool tls_authz_allows(const TlsAuthz *a, const char *identity, Error **errp)
{
    bool allow = a->otherwise;

    for (unsigned i = 0; i < a->rules->len; i++) {
        const Rule *r = &g_array_index(a->rules, Rule, i);

        if (r->glob ? fnmatch(r->match, identity, 0) == 0 : !strcmp(r->match, identity)) {
            allow = r->allow;
            break;
        }
    }
    return allow ? true : error_set(errp, "TLS x509 authz check for %s is denied", identity);
}

/* ---- making ---- */

static bool add(Session *s, TlsAuthz *a, bool ok, Error **errp)
{
    if (!ok || !session_add(s, &authz_kind, a->id, a, errp)) {
        destroy(a);
        return false;
    }
    return true;
}

static bool create_simple(Session *s, const char *id, const Json *o, Error **errp)
{
    TlsAuthz *a = authz_new(id);
    Rule r = { .match = g_strdup(json_get_string(o, "identity")), .allow = true };

    g_array_append_val(a->rules, r);
    return add(s, a, true, errp);
}

static bool is_word(const Json *o, const char *key, const char *otherwise, const char *yes, const char *no, bool *out, Error **errp)
{
    const char *v = json_get_string(o, key);

    v = v ? v : otherwise;
    *out = !strcmp(v, yes);
    return *out || !strcmp(v, no) ? true : error_set(errp, "Parameter '%s' does not accept value '%s'", key, v);
}

static bool add_rules(TlsAuthz *a, const Json *o, Error **errp)
{
    const Json *rules = json_get(o, "rules");

    if (!is_word(o, "policy", "deny", "allow", "deny", &a->otherwise, errp)) {
        return false;
    }
    for (unsigned i = 0; i < (rules ? json_size(rules) : 0); i++) {
        const Json *rule = json_at(rules, i);
        const char *match = json_is(rule, JSON_OBJECT) ? json_get_string(rule, "match") : NULL;
        Rule r = {};

        if (!match) {
            return error_set(errp, "Parameter 'match' is missing");
        }
        if (!is_word(rule, "policy", "", "allow", "deny", &r.allow, errp) || !is_word(rule, "format", "exact", "glob", "exact", &r.glob, errp)) {
            return false;
        }
        r.match = g_strdup(match);
        g_array_append_val(a->rules, r);
    }
    return true;
}

static bool create_list(Session *s, const char *id, const Json *o, Error **errp)
{
    TlsAuthz *a = authz_new(id);

    return add(s, a, add_rules(a, o, errp), errp);
}

static bool create_list_file(Session *s, const char *id, const Json *o, Error **errp)
{
    const char *name = json_get_string(o, "filename");
    g_autofree char *text = NULL;
    g_autoptr(Json) rules = NULL;
    GError *why = NULL;
    gsize len;

    if (!g_file_get_contents(name, &text, &len, &why)) {
        error_set(errp, "Unable to read '%s': %s", name, why->message);
        g_error_free(why);
        return false;
    }
    rules = json_parse(text, len, errp);
    if (!rules || !json_is(rules, JSON_OBJECT)) {
        return rules ? error_set(errp, "'%s' holds no JSON object", name) : false;
    }
    return create_list(s, id, rules, errp);
}

static const OptKey simple_keys[] = { { "identity", OPT_STRING, "the one name that may come in", .must = true }, {} };
static const OptKey list_keys[] = { { "policy", OPT_STRING, "for who matches no rule", .def = "deny" }, { "rules", OPT_ANY, "match, policy, format of each" }, {} };
static const OptKey file_keys[] = {
    { "filename", OPT_STRING, "file with the rules as JSON", .must = true },
    { "refresh", OPT_BOOL, .absent = "the file is read once; add the object again to read it again" }, {}
};
static const OptVariant simple_options = { .group = "object", .name = "authz-simple", .help = "one client may come in", .keys = simple_keys };
static const OptVariant list_options = { .group = "object", .name = "authz-list", .help = "rules of who may come in", .keys = list_keys };
static const OptVariant file_options = { .group = "object", .name = "authz-list-file", .help = "the same in a file", .keys = file_keys };
static const OptVariant pam_options = { .group = "object", .name = "authz-pam", .absent = "PAM is not asked; use authz-list", .open = true };
static const SessionObject simple_type = { "authz-simple", create_simple, &authz_kind }, list_type = { "authz-list", create_list, &authz_kind },
                           file_type = { "authz-list-file", create_list_file, &authz_kind };
OPT_VARIANT(simple_options);
OPT_VARIANT(list_options);
OPT_VARIANT(file_options);
OPT_VARIANT(pam_options);
SESSION_OBJECT(simple_type);
SESSION_OBJECT(list_type);
SESSION_OBJECT(file_type);
