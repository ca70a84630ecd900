/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that come with a request (SCM_RIGHTS): under a name until
 * somebody takes them (getfd), or in a set (add-fd, io/fdset.h).
 */
#include "io/qmp-fds.h"

#include <unistd.h>

#include "io/fdset.h"
#include "io/qmp.h"

#define COMMAND(row, ...) static const MonCommand row = { __VA_ARGS__ }; MON_COMMAND(row)

/* ---- names ---- */

typedef struct NamedFd {
    int fd;
} NamedFd;

static void destroy(void *object)
{
    NamedFd *n = object;

    close(n->fd);
    g_free(n);
}

static const SessionKind named_kind = { .name = "fd", .space = "fd-name", .destroy = destroy };

int fd_named_take(Session *s, const char *name, Error **errp)
{
    NamedFd *n = session_get(s, &named_kind, name);
    int fd;

    if (!n) {
        error_set(errp, "File descriptor named '%s' has not been found", name);
        return -1;
    }
    fd = n->fd;
    session_remove(s, &named_kind, name);
    g_free(n);
    return fd;
}

static int take_fd(MonCall *call, Error **errp)
{
    const QmpHost *h = call->qmp ? qmp_host(call->qmp) : NULL;
    int fd = h && h->take_fd ? h->take_fd(h->opaque) : -1;

    if (fd < 0) {
        error_set(errp, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

static bool getfd_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "fdname");
    int fd = take_fd(call, errp);
    NamedFd *n;

    if (fd < 0) {
        return false;
    }
    if (g_ascii_isdigit(name[0])) {
        close(fd);
        return error_set(errp, "Parameter 'fdname' expects a name not starting with a digit");
    }
    if (session_get(call->session, &named_kind, name)) {
        session_destroy(call->session, &named_kind, name);      /* the later one counts */
    }
    n = g_new0(NamedFd, 1);
    n->fd = fd;
    if (!session_add(call->session, &named_kind, name, n, errp)) {
        destroy(n);
        return false;
    }
    return true;
}
static const OptKey name_keys[] = { { "fdname", OPT_STRING, "name", .must = true }, {} };
COMMAND(getfd_command, .qmp = "getfd", .keys = name_keys, .run = getfd_run);

static bool closefd_run(MonCall *call, Error **errp)
{
    const char *name = json_get_string(call->args, "fdname");

    if (!session_get(call->session, &named_kind, name)) {
        return error_set(errp, "File descriptor named '%s' not found", name);
    }
    session_destroy(call->session, &named_kind, name);
    return true;
}
COMMAND(closefd_command, .name = "closefd", .qmp = "closefd", .params = "closefd name", .help = "close a file descriptor previously passed via SCM rights",
        .keys = name_keys, .run = closefd_run);

/* ---- sets ---- */

static bool add_run(MonCall *call, Error **errp)
{
    int64_t set = json_get_i64(call->args, "fdset-id", -1);
    int fd = take_fd(call, errp);

    if (fd < 0) {
        return false;
    }
    if (json_get(call->args, "fdset-id") && set < 0) {
        close(fd);
        return error_set(errp, "Parameter 'fdset-id' expects a non-negative value");
    }
    set = fdset_add(call->session, set, fd, json_get_string(call->args, "opaque"), errp);
    if (set < 0) {
        close(fd);
        return false;
    }
    call->ret = json_object();
    json_set_int(call->ret, "fdset-id", set);
    json_set_int(call->ret, "fd", fd);
    return true;
}
static const OptKey add_keys[] = { { "fdset-id", OPT_NUMBER, .negative = true }, { "opaque", OPT_STRING }, {} };
static const OptKey add_ret[] = { { "fdset-id", OPT_NUMBER, .must = true }, { "fd", OPT_NUMBER, .must = true }, {} };
COMMAND(add_command, .qmp = "add-fd", .keys = add_keys, .run = add_run, .ret = add_ret);

static bool remove_run(MonCall *call, Error **errp)
{
    return fdset_remove(call->session, json_get_i64(call->args, "fdset-id", -1), (int)json_get_i64(call->args, "fd", -1), errp);
}
static const OptKey remove_keys[] = { { "fdset-id", OPT_NUMBER, .must = true, .negative = true }, { "fd", OPT_NUMBER, .negative = true }, {} };
COMMAND(remove_command, .qmp = "remove-fd", .keys = remove_keys, .run = remove_run);

static Json *set_record(Json *list, int64_t set)
{
    Json *one;

    for (unsigned i = 0; i < json_size(list); i++) {
        if (json_get_i64(json_at(list, i), "fdset-id", -1) == set) {
            return json_at(list, i);
        }
    }
    one = json_object();
    json_set(one, "fds", json_array());
    json_set_int(one, "fdset-id", set);
    json_append(list, one);
    return one;
}

static void describe(int64_t set, int fd, const char *opaque, void *data)
{
    Json *one = json_object();

    json_set_int(one, "fd", fd);
    if (opaque) {
        json_set_string(one, "opaque", opaque);
    }
    json_append(json_get(set_record(data, set), "fds"), one);
}

static bool query_run(MonCall *call, Error **errp)
{
    call->ret = json_array();
    fdset_foreach(call->session, describe, call->ret);
    return true;
}
static const OptKey fd_ret[] = { { "fd", OPT_NUMBER, .must = true }, { "opaque", OPT_STRING }, {} };
static const OptGroup fd_group = { .name = "FdsetFdInfo", .keys = fd_ret };
static const OptKey query_ret[] = { { "fdset-id", OPT_NUMBER, .must = true }, { "fds", OPT_TREE, .sub = &fd_group, .many = true, .must = true }, {} };
COMMAND(query_command, .qmp = "query-fdsets", .run = query_run, .ret = query_ret, .ret_type = "[]");
