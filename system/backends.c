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
static void want_monitor(System *s, Chardev *c)
{
    g_ptr_array_add(s->monitors_wanted, g_strdup(chardev_id(c)));
}

static bool open_monitor(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    g_autofree char *id = g_strdup_printf("compat_monitor%u", s->monitors_wanted->len);
    Chardev *c;

    s->working_on = a->typed;
    if (!strcmp(a->text, "none")) {
        return true;
    }
    c = chardev_new_text(s->session, id, a->text, NULL, errp);
    if (c) {
        want_monitor(s, c);
    }
    return c;
}

static bool open_mon(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    const char *id = json_get_string(a->value, "chardev");
    Chardev *c = chardev_find(s->session, id);

    if (!g_strcmp0(json_get_string(a->value, "mode"), "control")) {
        return error_set(errp, "mode=control is not available in this build: there is no QMP");
    }
    if (!c) {
        return error_set(errp, "chardev \"%s\" not found", id);
    }
    want_monitor(s, c);
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
        want_monitor(s, c);
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
    bool monitor = cmdline_has(s->cl, "monitor") || cmdline_has(s->cl, "mon");

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
           cmdline_each(s->cl, "mon", open_mon, s, errp) && cmdline_each(s->cl, "serial", open_serial, &x, errp) &&
           (!first || add_serial(s, serials, first, errp));
}
