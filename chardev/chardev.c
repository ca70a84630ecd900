/* SPDX-License-Identifier: MIT */
/* The character devices of a session: making, finding, ending them. */
#include "chardev/chardev-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "chardev/trace.h"
#include "io/fdset.h"
#include "io/session.h"
#include "util/suggest.h"

ROWS_DECLARE(char_types, CharType);

enum { FLUSH_MS = 200 };

static const OptKey chardev_keys[] = {
    { "backend", OPT_STRING, .must = true, .help = "kind of back end" },
    { "id", OPT_ID, .help = "name of the device" },
    { "mux", OPT_BOOL, .def = "off", .help = "several users share it, Ctrl-A c switches" },
    { "logfile", OPT_STRING, .help = "file that gets a copy of the output" },
    { "logappend", OPT_BOOL, .def = "off", .help = "keep what the log file holds" },
    {}
};
static const OptGroup chardev_group = {
    .name = "chardev", .help = "character devices", .implied = "backend", .select = "backend", .keys = chardev_keys,
};
OPT_GROUP(chardev_group);

/* Known, and not here. */
#define ABSENT(word, why) \
    static const OptVariant absent_##word = { .group = "chardev", .name = #word, .absent = why }; \
    OPT_VARIANT(absent_##word)
ABSENT(spicevmc, "no SPICE");
ABSENT(spiceport, "no SPICE");
ABSENT(udp, "datagrams lose characters; use socket");
ABSENT(braille, "no brlapi");
ABSENT(wctablet, "no tablet");
ABSENT(msmouse, "no serial mouse");
ABSENT(testdev, "no test device");
ABSENT(dbus, "no D-Bus display");

static void set_destroy(void *object)
{
    Chardevs *all = object;

    g_ptr_array_unref(all->list);
    g_free(all);
}

static const SessionKind set_kind = { .name = "chardev set", .space = "internal", .destroy = set_destroy };
static const SessionKind chardev_kind = { .name = "chardev", .space = "chardev", .duplicate = "Duplicate ID '%s' for chardev" };

Chardevs *chardevs_of(Session *s)
{
    return session_get(s, &set_kind, "#chardevs");
}

void chardevs_init(Session *s, Loop *main_loop, const CharHost *host)
{
    Chardevs *all = g_new0(Chardevs, 1);

    all->session = s;
    all->loop = main_loop;
    all->host = *host;
    all->list = g_ptr_array_new();
    session_add(s, &set_kind, "#chardevs", all, NULL);
}

void chardevs_exit(Session *s)
{
    Chardevs *all = chardevs_of(s);

    while (all && all->list->len) {
        chardev_free(g_ptr_array_index(all->list, all->list->len - 1));
    }
}

const CharType *char_type_find(const char *name)
{
    ROWS_FOREACH(char_types, CharType, t) {
        if (!strcmp(t->name, name)) {
            return t;
        }
    }
    return NULL;
}

/* The loop has the post: what was asked for from any thread. */
static void posted(void *opaque)
{
    Chardev *c = opaque;
    bool dead;

    io_lock(&c->lock);
    c->posted = false;
    dead = c->dead;
    io_unlock(&c->lock);
    if (dead) {
        io_lock_destroy(&c->lock);
        g_free(c);
        return;
    }
    chardev_drain(c);
    c->type->update(c);
}

void chardev_post_update(Chardev *c)
{
    bool post;

    io_lock(&c->lock);
    post = !c->posted && !c->dead;
    c->posted = c->posted || post;
    io_unlock(&c->lock);
    if (post) {
        loop_post_node(c->loop, &c->post);
    }
}

void chardev_set_filename(Chardev *c, const char *fmt, ...)
{
    va_list ap;

    g_free(c->filename);
    va_start(ap, fmt);
    c->filename = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

static bool logfile_open(Chardev *c, const Json *opts, Error **errp)
{
    const char *path = json_get_string(opts, "logfile");
    int flags = json_get_bool(opts, "logappend", false) ? O_APPEND : O_TRUNC;

    if (path) {
        c->log_fd = fdset_open(c->all->session, path, O_WRONLY | O_CREAT | flags, 0666);
        if (c->log_fd < 0) {
            return error_set_errno(errp, errno, "Unable to open logfile %s", path);
        }
    }
    return true;
}

Chardev *chardev_make(Chardevs *all, const CharType *type, const char *id, const Json *opts, Error **errp)
{
    Chardev *c = g_malloc0(type->size);

    c->type = type;
    c->all = all;
    c->loop = all->loop;
    c->log_fd = -1;
    c->out = g_byte_array_new();
    c->post = (LoopPost){ .fn = posted, .opaque = c };
    io_lock_init(&c->lock);
    chardev_set_filename(c, "%s", type->name);
    if (!session_add(all->session, &chardev_kind, id, c, errp)) {
        c->dead = true;
        g_byte_array_unref(c->out);
        g_free(c->filename);
        g_free(c);
        return NULL;
    }
    c->id = g_strdup(id);
    g_ptr_array_add(all->list, c);
    trace_char_make(id, type->name);
    if (!logfile_open(c, opts, errp) || !type->open(c, opts, errp)) {
        chardev_free(c);
        return NULL;
    }
    return c;
}

/* What is still queued gets a moment, and as long as it goes forward. */
static void flush(Chardev *c)
{
    unsigned idle = 0;
    guint before;

    while (c->open && c->out->len && idle < FLUSH_MS) {
        before = c->out->len;
        chardev_drain(c);
        if (c->out->len == before) {
            g_usleep(1000);
            idle++;
        } else {
            idle = 0;
        }
    }
}

void chardev_free(Chardev *c)
{
    bool posted_now;

    flush(c);
    if (c->front) {
        char_detach(c->front);
    }
    c->type->close(c);
    session_remove(c->all->session, &chardev_kind, c->id);
    g_ptr_array_remove(c->all->list, c);
    if (c->log_fd >= 0) {
        close(c->log_fd);
    }
    g_free(c->id);
    g_free(c->filename);
    io_lock(&c->lock);
    g_byte_array_unref(c->out);
    c->dead = true;
    posted_now = c->posted;
    io_unlock(&c->lock);
    if (!posted_now) {
        io_lock_destroy(&c->lock);
        g_free(c);
    }
}

/* id=con,mux=on: the mux has the name, what it shares is con-base. */
static Chardev *make_mux(Chardevs *all, const CharType *type, const char *id, const Json *opts, Error **errp)
{
    g_autofree char *base = g_strdup_printf("%s-base", id);
    g_autoptr(Json) mux = json_object();
    Chardev *below = chardev_make(all, type, base, opts, errp), *c;

    if (!below) {
        return NULL;
    }
    json_set_string(mux, "chardev", base);
    c = chardev_make(all, char_type_find("mux"), id, mux, errp);
    if (!c) {
        chardev_free(below);
    }
    return c;
}

Chardev *chardev_new(Session *s, const Json *opts, Error **errp)
{
    const OptVariant *v = options_variant(&chardev_group, json_get_string(opts, "backend"));
    const char *id = json_get_string(opts, "id");
    const CharType *type = v ? char_type_find(v->name) : NULL;
    Chardevs *all = chardevs_of(s);

    if (!type) {
        error_set(errp, "'%s' is not a valid char driver name", json_get_string(opts, "backend"));
        return NULL;
    }
    if (!id) {
        error_set(errp, "chardev: no id specified");
        return NULL;
    }
    return json_get_bool(opts, "mux", false) ? make_mux(all, type, id, opts, errp) : chardev_make(all, type, id, opts, errp);
}

Chardev *chardev_find(Session *s, const char *id)
{
    return session_get(s, &chardev_kind, id);
}

bool chardev_remove(Session *s, const char *id, Error **errp)
{
    Chardev *c = chardev_find(s, id);

    if (!c) {
        return error_set(errp, "Chardev '%s' not found", id);
    }
    if (chardev_has_front(c)) {
        return error_set(errp, "Chardev '%s' is busy", id);
    }
    chardev_free(c);
    return true;
}

void chardevs_foreach(Session *s, void (*fn)(Chardev *c, void *data), void *data)
{
    Chardevs *all = chardevs_of(s);

    for (unsigned i = 0; all && i < all->list->len; i++) {
        fn(g_ptr_array_index(all->list, i), data);
    }
}

const char *chardev_id(const Chardev *c)
{
    return c->id;
}

const char *chardev_filename(const Chardev *c)
{
    return c->filename;
}
