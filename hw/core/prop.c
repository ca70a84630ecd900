/* SPDX-License-Identifier: MIT */
/* Property kinds and readers of property tables. */
#include "hw/core/prop.h"

#include <inttypes.h>
#include <string.h>

#include "util/size.h"
#include "util/suggest.h"

/* ---- numbers ---- */

static void *at(void *obj, const Prop *p)
{
    return (uint8_t *)obj + p->offset;
}

static bool parse_unsigned(const Prop *p, const char *text, uint64_t type_max, uint64_t *v, Error **errp)
{
    uint64_t max = p->max ? p->max : type_max;

    if (!number_parse_u64(text, v, errp)) {
        return error_prepend(errp, "property '%s': ", p->name);
    }
    if (*v < p->min || *v > max) {
        return error_set(errp, "property '%s': %" PRIu64 " is not in the range %" PRIu64 " to %" PRIu64, p->name, *v, p->min, max);
    }
    return true;
}

static bool parse_signed(const Prop *p, const char *text, int64_t lo, int64_t hi, int64_t *v, Error **errp)
{
    if (!number_parse_i64(text, v, errp)) {
        return error_prepend(errp, "property '%s': ", p->name);
    }
    if (*v < lo || *v > hi) {
        return error_set(errp, "property '%s': %" PRId64 " is not in the range %" PRId64 " to %" PRId64, p->name, *v, lo, hi);
    }
    return true;
}

#define UNSIGNED_KIND(bits, kind_name) \
    static bool u##bits##_parse(void *obj, const Prop *p, const char *text, Error **errp) \
    { \
        uint64_t v; \
        if (!parse_unsigned(p, text, UINT##bits##_MAX, &v, errp)) { \
            return false; \
        } \
        *(uint##bits##_t *)at(obj, p) = (uint##bits##_t)v; \
        return true; \
    } \
    static char *u##bits##_print(void *obj, const Prop *p) \
    { \
        return g_strdup_printf("%" PRIu64, (uint64_t)*(uint##bits##_t *)at(obj, p)); \
    } \
    static void u##bits##_default(void *obj, const Prop *p) \
    { \
        *(uint##bits##_t *)at(obj, p) = (uint##bits##_t)p->def; \
    } \
    const PropType prop_u##bits = { kind_name, u##bits##_parse, u##bits##_print, u##bits##_default, NULL };

#define SIGNED_KIND(bits, kind_name) \
    static bool i##bits##_parse(void *obj, const Prop *p, const char *text, Error **errp) \
    { \
        int64_t v; \
        if (!parse_signed(p, text, INT##bits##_MIN, INT##bits##_MAX, &v, errp)) { \
            return false; \
        } \
        *(int##bits##_t *)at(obj, p) = (int##bits##_t)v; \
        return true; \
    } \
    static char *i##bits##_print(void *obj, const Prop *p) \
    { \
        return g_strdup_printf("%" PRId64, (int64_t)*(int##bits##_t *)at(obj, p)); \
    } \
    static void i##bits##_default(void *obj, const Prop *p) \
    { \
        *(int##bits##_t *)at(obj, p) = (int##bits##_t)p->def; \
    } \
    const PropType prop_i##bits = { kind_name, i##bits##_parse, i##bits##_print, i##bits##_default, NULL };

UNSIGNED_KIND(8, "uint8")
UNSIGNED_KIND(16, "uint16")
UNSIGNED_KIND(32, "uint32")
UNSIGNED_KIND(64, "uint64")
SIGNED_KIND(32, "int32")
SIGNED_KIND(64, "int64")

static bool size_prop_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    uint64_t v;

    if (!size_parse(text, 1, &v, errp)) {
        return error_prepend(errp, "property '%s': ", p->name);
    }
    if (v < p->min || (p->max && v > p->max)) {
        return error_set(errp, "property '%s': size %s is not in the range %" PRIu64 " to %" PRIu64 " bytes", p->name, text, p->min, p->max);
    }
    *(uint64_t *)at(obj, p) = v;
    return true;
}
const PropType prop_size = { "size", size_prop_parse, u64_print, u64_default, NULL };

/* ---- switches ---- */

static bool switch_parse(const Prop *p, const char *text, bool *v, Error **errp)
{
    return bool_parse(text, v, errp) || error_prepend(errp, "property '%s': ", p->name);
}

static bool bool_prop_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    return switch_parse(p, text, at(obj, p), errp);
}

static char *bool_print(void *obj, const Prop *p)
{
    return g_strdup(*(bool *)at(obj, p) ? "on" : "off");
}

static void bool_default(void *obj, const Prop *p)
{
    *(bool *)at(obj, p) = p->def != 0;
}
const PropType prop_bool = { "bool", bool_prop_parse, bool_print, bool_default, NULL };

#define BIT_KIND(bits) \
    static bool bit##bits##_parse(void *obj, const Prop *p, const char *text, Error **errp) \
    { \
        uint##bits##_t *word = at(obj, p), mask = (uint##bits##_t)1 << p->bit; \
        bool v; \
        if (!switch_parse(p, text, &v, errp)) { \
            return false; \
        } \
        *word = v ? *word | mask : *word & ~mask; \
        return true; \
    } \
    static char *bit##bits##_print(void *obj, const Prop *p) \
    { \
        return g_strdup(*(uint##bits##_t *)at(obj, p) >> p->bit & 1 ? "on" : "off"); \
    } \
    static void bit##bits##_default(void *obj, const Prop *p) \
    { \
        uint##bits##_t *word = at(obj, p), mask = (uint##bits##_t)1 << p->bit; \
        *word = p->def ? *word | mask : *word & ~mask; \
    } \
    const PropType prop_bit##bits = { "bool", bit##bits##_parse, bit##bits##_print, bit##bits##_default, NULL };

BIT_KIND(32)
BIT_KIND(64)

/* ---- words ---- */

static bool enum_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (unsigned i = 0; p->values[i]; i++) {
        if (!strcmp(p->values[i], text)) {
            *(uint32_t *)at(obj, p) = i;
            return true;
        }
        g_string_append_printf(all, "%s%s", i ? ", " : "", p->values[i]);
    }
    error_set(errp, "property '%s' does not accept value '%s'", p->name, text);
    return error_hint(errp, "it takes one of: %s", all->str);
}

static char *enum_print(void *obj, const Prop *p)
{
    return g_strdup(p->values[*(uint32_t *)at(obj, p)]);
}
const PropType prop_enum = { "enum", enum_parse, enum_print, u32_default, NULL };

static bool onoffauto_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    bool v;

    if (!strcmp(text, "auto")) {
        *(uint32_t *)at(obj, p) = PROP_AUTO;
        return true;
    }
    if (!switch_parse(p, text, &v, errp)) {
        return false;
    }
    *(uint32_t *)at(obj, p) = v ? PROP_ON : PROP_OFF;
    return true;
}

static char *onoffauto_print(void *obj, const Prop *p)
{
    static const char *const words[] = { "auto", "on", "off" };

    return g_strdup(words[*(uint32_t *)at(obj, p)]);
}
const PropType prop_onoffauto = { "OnOffAuto", onoffauto_parse, onoffauto_print, u32_default, NULL };

static bool str_parse(void *obj, const Prop *p, const char *text, Error **errp)
{
    char **s = at(obj, p);

    g_free(*s);
    *s = g_strdup(text);
    return true;
}

static char *str_print(void *obj, const Prop *p)
{
    char **s = at(obj, p);

    return g_strdup(*s ? *s : "");
}

static void str_default(void *obj, const Prop *p)
{
    str_parse(obj, p, p->def_text, NULL);
}

static void str_release(void *obj, const Prop *p)
{
    g_clear_pointer((char **)at(obj, p), g_free);
}
const PropType prop_str = { "str", str_parse, str_print, str_default, str_release };

/* ---- tables ---- */

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) {
            return false;
        }
    }
    return *a == *b;
}

const Prop *prop_find(const Prop *table, const char *name)
{
    for (const Prop *p = table; p && p->name; p++) {
        if (same_name(p->name, name)) {
            return p;
        }
    }
    return NULL;
}

bool prop_unknown(const Prop *table, const char *owner, const char *name, const char *help, Error **errp)
{
    Suggest *s = suggest_new(name);

    for (const Prop *p = table; p && p->name; p++) {
        suggest_add(s, p->name);
    }
    error_set(errp, "Property '%s.%s' not found", owner, name);
    return suggest_hint(s, help, errp);
}

void props_set_defaults(const Prop *table, void *obj)
{
    for (const Prop *p = table; p && p->name; p++) {
        if (p->type->set_default) {
            p->type->set_default(obj, p);
        }
    }
}

bool prop_set(void *obj, const Prop *p, const char *text, Error **errp)
{
    return p->type->parse(obj, p, text, errp) && (!p->changed || p->changed(obj, p, errp));
}

char *prop_get(void *obj, const Prop *p)
{
    return p->type->print ? p->type->print(obj, p) : g_strdup("");
}

void props_release(const Prop *table, void *obj)
{
    for (const Prop *p = table; p && p->name; p++) {
        if (p->type->release) {
            p->type->release(obj, p);
        }
    }
}

/* The default as the kind prints it: put into a scratch object of the right size. */
static char *default_text(const Prop *p)
{
    uint64_t scratch[2] = { 0 };
    Prop here = *p;
    char *text;

    if (!p->type->set_default || !p->type->print) {
        return NULL;
    }
    here.offset = 0;
    p->type->set_default(scratch, &here);
    text = p->type->print(scratch, &here);
    if (p->type->release) {
        p->type->release(scratch, &here);
    }
    return text;
}

static void help_line(const Prop *p, GString *out)
{
    g_autofree char *def = default_text(p);

    g_string_append_printf(out, "  %s=<", p->name);
    for (unsigned i = 0; p->values && p->values[i]; i++) {
        g_string_append_printf(out, "%s%s", i ? "|" : "", p->values[i]);
    }
    g_string_append_printf(out, "%s>", p->values ? "" : p->type->name);
    if (p->help) {
        g_string_append_printf(out, " - %s", p->help);
    }
    if (def && *def && p->def != UINT64_MAX && !(p->type == &prop_u32 && p->def == UINT32_MAX)) {      /* all ones: not set */
        g_string_append_printf(out, " (default: %s)", def);
    }
    g_string_append_c(out, '\n');
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const Prop *const *)a)->name, (*(const Prop *const *)b)->name);
}

void props_help(const Prop *table, GString *out)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    for (const Prop *p = table; p && p->name; p++) {
        g_ptr_array_add(rows, (void *)p);
    }
    g_ptr_array_sort(rows, by_name);
    for (guint i = 0; i < rows->len; i++) {
        help_line(g_ptr_array_index(rows, i), out);
    }
}
