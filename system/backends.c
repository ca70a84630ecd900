/* SPDX-License-Identifier: MIT */
/* Character devices of the command line: -chardev, then monitors, then serial lines in order, as clients expect. */
#include <string.h>

#include "system/system.h"

static bool open_chardev(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;

    s->working_on = a->typed;
    return chardev_new(s->session, a->value, errp);
}

/* A monitor will sit on it once the machine is there. */
static void want_monitor(System *s, Chardev *c, bool control, bool pretty)
{
    MonitorWanted *w = g_new(MonitorWanted, 1);

    *w = (MonitorWanted){ g_strdup(chardev_id(c)), control, pretty };
    g_ptr_array_add(s->monitors_wanted, w);
}

static bool open_text(System *s, const CmdArg *a, bool control, bool pretty, Error **errp)
{
    g_autofree char *id = g_strdup_printf("compat_monitor%u", s->monitors_wanted->len);
    Chardev *c;

    s->working_on = a->typed;
    if (!strcmp(a->text, "none")) {
        return true;
    }
    c = chardev_new_text(s->session, id, a->text, NULL, errp);
    if (c) {
        want_monitor(s, c, control, pretty);
    }
    return c;
}

static bool open_monitor(const CmdArg *a, void *data, Error **errp)
{
    return open_text(data, a, false, false, errp);
}

static bool open_qmp(const CmdArg *a, void *data, Error **errp)
{
    return open_text(data, a, true, false, errp);
}

static bool open_qmp_pretty(const CmdArg *a, void *data, Error **errp)
{
    return open_text(data, a, true, true, errp);
}

static bool open_mon(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    const char *id = json_get_string(a->value, "chardev");
    Chardev *c = chardev_find(s->session, id);
    bool control = !g_strcmp0(json_get_string(a->value, "mode"), "control"), pretty = json_get_bool(a->value, "pretty", false);

    if (pretty && !control) {
        return error_set(errp, "'pretty' is not compatible with HMP monitors");
    }
    if (!c) {
        return error_set(errp, "chardev \"%s\" not found", id);
    }
    want_monitor(s, c, control, pretty);
    return true;
}

static bool add_serial(System *s, GPtrArray *serials, const char *text, Error **errp)
{
    g_autofree char *id = g_strdup_printf("serial%u", serials->len);
    bool monitor = false;
    Chardev *c;

    if (!strcmp(text, "none")) {
        g_ptr_array_add(serials, g_strdup(""));
        return true;
    }
    c = chardev_new_text(s->session, id, text, &monitor, errp);
    if (!c) {
        return error_hint(errp, "could not connect serial device to character backend '%s'", text);
    }
    if (monitor) {
        want_monitor(s, c, false, false);
    }
    g_ptr_array_add(serials, g_strdup(chardev_id(c)));
    return true;
}

typedef struct Serials { System *s; GPtrArray *list; } Serials;

static bool open_serial(const CmdArg *a, void *data, Error **errp)
{
    Serials *x = data;

    x->s->working_on = a->typed;
    return add_serial(x->s, x->list, a->text, errp);
}

/* What is there when nobody said: -nographic gives the terminal to the serial line, and to the monitor if there is no other. */
static const char *default_serial(System *s)
{
    bool monitor = cmdline_has(s->cl, "monitor") || cmdline_has(s->cl, "mon") || cmdline_has(s->cl, "qmp") || cmdline_has(s->cl, "qmp-pretty");

    if (cmdline_has(s->cl, "serial") || cmdline_has(s->cl, "nodefaults")) {
        return NULL;
    }
    return !cmdline_has(s->cl, "nographic") ? "null" : monitor ? "stdio" : "mon:stdio";
}

bool backends_open(System *s, GPtrArray *serials, Error **errp)
{
    Serials x = { s, serials };
    const char *first = default_serial(s);

    return cmdline_each(s->cl, "chardev", open_chardev, s, errp) && cmdline_each(s->cl, "monitor", open_monitor, s, errp) &&
           cmdline_each(s->cl, "qmp", open_qmp, s, errp) &&
           cmdline_each(s->cl, "qmp-pretty", open_qmp_pretty, s, errp) && cmdline_each(s->cl, "mon", open_mon, s, errp) && cmdline_each(s->cl, "serial", open_serial, &x, errp) &&
           (!first || add_serial(s, serials, first, errp));
}
