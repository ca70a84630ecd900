/* SPDX-License-Identifier: MIT */
#include "io/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

#define PREFIX "/dev/fdset/"

typedef struct Member {
    int64_t set;
    int fd;
    char *opaque;
} Member;

static void destroy(void *object)
{
    GArray *members = object;

    for (unsigned i = 0; i < members->len; i++) {
        Member *m = &g_array_index(members, Member, i);

        close(m->fd);
        g_free(m->opaque);
    }
    g_array_free(members, TRUE);
}

static const SessionKind kind = { .name = "fdset", .space = "fdset", .destroy = destroy };

static GArray *members_of(Session *s, bool make)
{
    GArray *members = session_get(s, &kind, "#fdset");

    if (!members && make) {
        members = g_array_new(FALSE, FALSE, sizeof(Member));
        session_add(s, &kind, "#fdset", members, NULL);
    }
    return members;
}

static bool has(const GArray *members, int64_t set)
{
    for (unsigned i = 0; members && i < members->len; i++) {
        if (g_array_index(members, Member, i).set == set) {
            return true;
        }
    }
    return false;
}

int64_t fdset_add(Session *s, int64_t set, int fd, const char *opaque, Error **errp)
{
    GArray *members = members_of(s, true);
    Member m = { .set = set < 0 ? 0 : set, .fd = fd };

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        error_set_errno(errp, errno, "descriptor %d cannot be used", fd);
        return -1;
    }
    while (set < 0 && has(members, m.set)) {
        m.set++;
    }
    m.opaque = g_strdup(opaque);
    g_array_append_val(members, m);
    return m.set;
}

bool fdset_remove(Session *s, int64_t set, int fd, Error **errp)
{
    GArray *members = members_of(s, false);
    bool found = false;

    for (unsigned i = 0; members && i < members->len;) {
        Member *m = &g_array_index(members, Member, i);

        if (m->set == set && (fd < 0 || m->fd == fd)) {
            close(m->fd);
            g_free(m->opaque);
            g_array_remove_index(members, i);
            found = true;
        } else {
            i++;
        }
    }
    if (!found && fd < 0) {
        return error_set(errp, "File descriptor named 'fdset-id:%" PRId64 "' not found", set);
    }
    return found || error_set(errp, "File descriptor named 'fdset-id:%" PRId64 ", fd:%d' not found", set, fd);
}

void fdset_foreach(Session *s, FdsetFn *fn, void *data)
{
    GArray *members = members_of(s, false);

    for (unsigned i = 0; members && i < members->len; i++) {
        Member *m = &g_array_index(members, Member, i);

        fn(m->set, m->fd, m->opaque, data);
    }
}

/* ---- names ---- */

static int apply_flags(int fd, int flags)
{
    int now = fcntl(fd, F_GETFL);

    if (now < 0 || fcntl(fd, F_SETFL, (now & ~(O_APPEND | O_DIRECT | O_NONBLOCK)) | (flags & (O_APPEND | O_DIRECT | O_NONBLOCK))) < 0 ||
        ((flags & O_TRUNC) && TEMP_FAILURE_RETRY(ftruncate(fd, 0)) < 0 && errno != EINVAL)) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int open_member(Session *s, const char *number, int flags)
{
    GArray *members = members_of(s, false);
    char *end;
    int64_t set = g_ascii_strtoll(number, &end, 10);
    bool seen = false;

    for (unsigned i = 0; members && i < members->len && *number && !*end; i++) {
        const Member *m = &g_array_index(members, Member, i);
        int mode = m->set == set ? fcntl(m->fd, F_GETFL) : -1;

        seen = seen || m->set == set;
        if (mode >= 0 && (mode & O_ACCMODE) == (flags & O_ACCMODE)) {
            int fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);

            return fd < 0 ? -1 : apply_flags(fd, flags);
        }
    }
    errno = seen ? EACCES : ENOENT;
    return -1;
}

/* A long chain of images: as many files as the administrator allows, instead of what a shell starts with. */
static bool more_files(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= l.rlim_max) {
        return false;
    }
    l.rlim_cur = l.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

int fdset_open(Session *s, const char *path, int flags, unsigned mode)
{
    int fd;

    if (g_str_has_prefix(path, PREFIX)) {
        return open_member(s, path + strlen(PREFIX), flags);
    }
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && (errno == EINTR || (errno == EMFILE && more_files())));
    return fd;
}
