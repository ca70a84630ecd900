/* SPDX-License-Identifier: MIT */
#include "block/iscsi-priv.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "util/bits.h"
#include "util/library.h"

#define FUNCTIONS(F) \
    F(iscsi_create_context) F(iscsi_destroy_context) F(iscsi_set_targetname) F(iscsi_set_session_type) F(iscsi_set_header_digest) \
    F(iscsi_set_initiator_username_pwd) F(iscsi_set_noautoreconnect) F(iscsi_set_tcp_user_timeout) F(iscsi_set_tcp_keepalive) \
    F(iscsi_full_connect_async) F(iscsi_get_error) F(iscsi_get_fd) F(iscsi_which_events) F(iscsi_service) F(iscsi_scsi_command_async) \
    F(iscsi_logout_async) F(scsi_create_task) F(scsi_free_scsi_task) F(scsi_task_set_iov_in) F(scsi_task_set_iov_out)

static struct {
#define POINTER(name) __typeof__(&name) p_##name;
    FUNCTIONS(POINTER)
} lib;
#define L(name) lib.p_##name

enum {
    PIECES_MAX = 512,                   /* of a vector; more are copied */
    BUSY_TRIES = 50,
    LOST_AFTER_MS = 30000,              /* of silence of a host that is owed an answer, without a timeout */
};
static const int64_t SECOND = 1000000000, BUSY_PAUSE = 100000000, BYE = 1000000000, CONNECT_MAX = 30000000000;

/* A connection: from the first packet until it is dropped. */
typedef struct Link {
    struct iscsi_context *ctx;
    LoopFd *watch;
    int fd;
    bool broken;
    int error;                          /* of the socket, when it broke */
    bool up;                            /* logged in, used by commands */
    Fiber *waiter;                      /* for connecting or leaving */
    bool answered;
    int status;
    LoopTimer patience;                 /* of the waiter */
} Link;

/* One try of a command, on the stack of its fiber. */
typedef struct Try {
    IscsiSession *s;
    struct Try *next;                   /* of those under way */
    struct scsi_task *task;
    Fiber *fiber;
    bool done;
    bool late;
    int status;
    LoopTimer timer;
} Try;

struct IscsiSession {
    IscsiConfig c;
    Loop *home;
    Link *link;                         /* NULL: none that is up */
    Try *tries;
    unsigned refs;                      /* the node, the fiber that connects */
    bool quit, connecting;
    Link *trying;                       /* of the fiber that connects */
    bool gave_up;                       /* a user was drained while there was no link: nothing waits until there is one */
    FiberQueue waiting;                 /* for a link */
    Fiber *napper;
    LoopTimer nap;
};

/* ---- the library ---- */

/* It writes data with writev(), which raises SIGPIPE on a dead connection. */
static const char *start(void)
{
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
    return NULL;
}

bool iscsi_library(Error **errp)
{
#define SYMBOL(name) { #name, &L(name) },
    static const LibrarySymbol symbols[] = { FUNCTIONS(SYMBOL) {} };
    static Library iscsi = { { "libiscsi.so.7", "libiscsi.so.8", "libiscsi.so.9" }, symbols, "libiscsi is not installed (package libiscsi7)", start };

    return library_load(&iscsi, "iSCSI", errp);
}

int iscsi_digest(const char *name)
{
    static const char *const names[] = {
        [ISCSI_HEADER_DIGEST_NONE] = "none", [ISCSI_HEADER_DIGEST_NONE_CRC32C] = "none-crc32c",
        [ISCSI_HEADER_DIGEST_CRC32C_NONE] = "crc32c-none", [ISCSI_HEADER_DIGEST_CRC32C] = "crc32c",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!g_ascii_strcasecmp(names[i], name)) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- a connection ---- */

static void pump(Link *l);

static void link_wake(Link *l)
{
    Fiber *f = l->waiter;

    l->waiter = NULL;
    if (f) {
        loop_timer_cancel(&l->patience);
        fiber_wake(f);
    }
}

/* Is the peer gone, with nothing left to read? */
static bool at_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void link_lost(IscsiSession *s, Link *l);

typedef struct LinkOwner {
    Link link;                          /* first */
    IscsiSession *s;
} LinkOwner;

static void link_broken(Link *l)
{
    l->broken = true;
    if (l->watch) {
        loop_fd_remove(l->watch);
        l->watch = NULL;
    }
    if (l->up) {
        link_lost(((LinkOwner *)l)->s, l);
    } else {
        link_wake(l);
    }
}

/* Reading it clears it, and the library says less. */
static bool socket_error(Link *l)
{
    socklen_t len = sizeof(int);
    int e = 0;

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0) {
        e = errno;
    }
    l->error = e ? e : l->error;
    return e != 0;
}

static void link_ready(void *opaque, unsigned events)
{
    Link *l = opaque;
    int revents = (events & LOOP_READ ? POLLIN : 0) | (events & LOOP_WRITE ? POLLOUT : 0);

    if (((events & LOOP_HUP) && !(events & LOOP_READ)) || (!l->up && socket_error(l))) {
        socket_error(l);
        link_broken(l);
    } else if (L(iscsi_service)(l->ctx, revents) < 0 || L(iscsi_get_fd)(l->ctx) < 0 || ((events & (LOOP_READ | LOOP_HUP)) && at_end(l->fd))) {
        link_broken(l);
    } else {
        pump(l);
    }
}

/* Watch what the library wants to be watched. */
static void pump(Link *l)
{
    int want = L(iscsi_which_events)(l->ctx), fd = L(iscsi_get_fd)(l->ctx);
    unsigned events = (want & POLLIN ? LOOP_READ : 0) | (want & POLLOUT ? LOOP_WRITE : 0);

    if (fd < 0) {
        return;
    }
    if (l->watch && fd == l->fd) {
        loop_fd_events(l->watch, events);
        return;
    }
    loop_fd_remove(l->watch);           /* a target may send us elsewhere while we log in */
    l->fd = fd;
    l->watch = loop_fd_add(loop_current(), fd, events, link_ready, l);
}

static void link_answer(struct iscsi_context *ctx, int status, void *data, void *opaque)
{
    Link *l = opaque;

    if (!l->answered) {
        l->answered = true;
        l->status = status;
        link_wake(l);
    }
}

static void link_impatient(void *opaque)
{
    link_wake(opaque);
}

/* Until the answer, the end of the connection or of our patience. */
static void link_wait(Link *l, int64_t patience)
{
    if (l->answered || l->broken) {
        return;
    }
    pump(l);
    l->waiter = fiber_self();
    loop_timer_at(&l->patience, loop_now() + patience);
    fiber_yield();
}

static void link_free(Link *l)
{
    if (!l) {
        return;
    }
    l->answered = true;                 /* nobody is there to be told of what is cancelled now */
    loop_timer_cancel(&l->patience);
    loop_fd_remove(l->watch);
    L(iscsi_destroy_context)(l->ctx);
    g_free(l);
}

typedef struct Dial {
    IscsiSession *s;
    Link *l;
    int result;
} Dial;

/* On a pool thread: it looks up the name. */
static void dial(void *opaque)
{
    Dial *d = opaque;

    d->result = L(iscsi_full_connect_async)(d->l->ctx, d->s->c.portal, d->s->c.lun, link_answer, d->l);
}

static struct iscsi_context *context_new(const IscsiSession *s)
{
    const IscsiConfig *c = &s->c;
    struct iscsi_context *ctx = L(iscsi_create_context)(c->initiator);

    if (ctx) {
        L(iscsi_set_targetname)(ctx, c->target);
        L(iscsi_set_session_type)(ctx, ISCSI_SESSION_NORMAL);
        L(iscsi_set_header_digest)(ctx, (enum iscsi_header_digest)c->digest);
        L(iscsi_set_noautoreconnect)(ctx, 1);
        L(iscsi_set_tcp_user_timeout)(ctx, c->timeout ? (int)(c->timeout / 1000000) : LOST_AFTER_MS);
        if (c->user) {
            L(iscsi_set_initiator_username_pwd)(ctx, c->user, c->password);
        }
    }
    return ctx;
}

static bool connect_failed(const IscsiSession *s, const Link *l, bool dialled, Error **errp)
{
    const char *why = L(iscsi_get_error)(l->ctx);

    if (dialled && !l->answered && !l->broken) {
        return error_set(errp, "iSCSI: Failed to connect to LUN: %s does not answer", s->c.portal);
    }
    if (why && (strstr(why, "Authentication") || strstr(why, "uthorization"))) {
        return error_set(errp, "iSCSI: Failed to connect to LUN: the target refuses user '%s' with this password", s->c.user ? s->c.user : "");
    }
    if (l->error) {
        return error_set(errp, "iSCSI: Failed to connect to LUN: %s: %s", s->c.portal, strerror(l->error));
    }
    if (why && *why && !strstr(why, "reconnect")) {
        g_autofree char *line = g_strdelimit(g_strdup(why), "\n", ' ');

        return error_set(errp, "iSCSI: Failed to connect to LUN: %s", g_strchomp(line));
    }
    return error_set(errp, "iSCSI: Failed to connect to LUN: %s closed the connection", s->c.portal);
}

/* Fiber only; NULL after saying why. */
static Link *link_open(IscsiSession *s, Error **errp)
{
    LinkOwner *o = g_new0(LinkOwner, 1);
    Link *l = &o->link;
    Dial d = { s, l };

    o->s = s;
    l->fd = -1;
    l->ctx = context_new(s);
    if (!l->ctx) {
        g_free(o);
        error_set(errp, "iSCSI: Failed to create iSCSI context.");
        return NULL;
    }
    loop_timer_init(&l->patience, loop_current(), link_impatient, l);
    fiber_blocking(dial, &d);
    s->trying = l;
    if (d.result == 0 && !s->quit) {
        link_wait(l, s->c.timeout ? s->c.timeout : CONNECT_MAX);
    }
    s->trying = NULL;
    if (d.result || !l->answered || l->status != SCSI_STATUS_GOOD || l->broken) {
        connect_failed(s, l, d.result == 0, errp);
        link_free(l);
        return NULL;
    }
    L(iscsi_set_tcp_keepalive)(l->ctx, 10, 3, 5);
    return l;
}

/* ---- connecting again ---- */

static void try_done(struct iscsi_context *ctx, int status, void *data, void *opaque);

static void session_unref(IscsiSession *s)
{
    if (--s->refs == 0) {
        loop_timer_cancel(&s->nap);
        fiber_queue_destroy(&s->waiting);
        iscsi_config_clear(&s->c);
        g_free(s);
    }
}

static void wake_napper(void *opaque)
{
    IscsiSession *s = opaque;
    Fiber *f = s->napper;

    s->napper = NULL;
    if (f) {
        loop_timer_cancel(&s->nap);
        fiber_wake(f);
    }
}

static void nap(IscsiSession *s)
{
    if (!s->quit) {
        s->napper = fiber_self();
        loop_timer_at(&s->nap, loop_now() + SECOND);
        fiber_yield();
    }
}

static void link_up(IscsiSession *s, Link *l)
{
    l->up = true;
    s->link = l;
    s->gave_up = false;
    pump(l);
    fiber_queue_wake_all(&s->waiting);
}

/* A fiber of the home loop. */
static void connect_again(void *opaque)
{
    IscsiSession *s = opaque;

    while (!s->quit && !s->link) {
        Link *l = link_open(s, NULL);

        if (l && !s->quit) {
            link_up(s, l);
        } else {
            link_free(l);
            nap(s);
        }
    }
    s->connecting = false;
    session_unref(s);
}

/* Not from inside the library. */
static void link_lost(IscsiSession *s, Link *l)
{
    s->link = NULL;
    link_free(l);                       /* cancels what is under way: try_done() */
    while (s->tries) {
        try_done(NULL, SCSI_STATUS_CANCELLED, NULL, s->tries);
    }
    if (!s->connecting && !s->quit) {
        s->connecting = true;
        s->refs++;
        fiber_start_on(s->home, connect_again, s);
    }
}

/* ---- commands ---- */

static void try_remove(Try *t)
{
    for (Try **p = &t->s->tries; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    loop_timer_cancel(&t->timer);
}

static void try_done(struct iscsi_context *ctx, int status, void *data, void *opaque)
{
    Try *t = opaque;

    if (!t->done) {
        t->done = true;
        t->status = status;
        try_remove(t);
        fiber_wake(t->fiber);
    }
}

/* No answer in time: what answers later would find nobody, so that the connection ends here. */
static void try_late(void *opaque)
{
    Try *t = opaque;

    t->late = true;
    if (t->s->link) {
        link_lost(t->s, t->s->link);
    }
}

static void waiting_late(void *opaque)
{
    IscsiSession *s = opaque;

    fiber_queue_wake_all(&s->waiting);
}

static bool wait_for_link(IscsiSession *s, int64_t deadline)
{
    while (!s->link) {
        LoopTimer t;

        if (s->quit || s->gave_up || (deadline && loop_now() >= deadline)) {
            return false;
        }
        loop_timer_init(&t, s->home, waiting_late, s);
        if (deadline) {
            loop_timer_at(&t, deadline);
        }
        fiber_queue_wait(&s->waiting, NULL);
        loop_timer_cancel(&t);
    }
    return true;
}

static struct scsi_task *task_new(IscsiCommand *c, struct scsi_iovec *iov, unsigned n)
{
    struct scsi_task *task = L(scsi_create_task)((int)c->cdb_len, c->cdb, !c->len ? SCSI_XFER_NONE : c->out ? SCSI_XFER_WRITE : SCSI_XFER_READ, (int)c->len);

    if (task && c->len) {
        (c->out ? L(scsi_task_set_iov_out) : L(scsi_task_set_iov_in))(task, iov, (int)n);
    }
    return task;
}

/* One try: the SCSI status, or one of the library's. */
static int try_once(IscsiSession *s, IscsiCommand *c, struct scsi_iovec *iov, unsigned n, int64_t deadline, bool *late)
{
    Try t = { .s = s, .fiber = fiber_self(), .next = s->tries, .task = task_new(c, iov, n) };

    loop_timer_init(&t.timer, s->home, try_late, &t);
    if (!t.task || L(iscsi_scsi_command_async)(s->link->ctx, s->c.lun, t.task, try_done, NULL, &t) != 0) {
        if (t.task) {
            L(scsi_free_scsi_task)(t.task);
        }
        return SCSI_STATUS_ERROR;
    }
    if (!t.done) {
        s->tries = &t;
        if (deadline) {
            loop_timer_at(&t.timer, deadline);
        }
        pump(s->link);
    }
    fiber_yield();
    *late = t.late;
    c->got = t.task->residual_status == SCSI_RESIDUAL_UNDERFLOW && t.task->residual < c->len ? c->len - (uint32_t)t.task->residual :
             t.task->residual_status == SCSI_RESIDUAL_UNDERFLOW ? 0 : c->len;
    c->sense = t.status == SCSI_STATUS_CHECK_CONDITION ? (int)t.task->sense.key << 16 | t.task->sense.ascq : 0;
    L(scsi_free_scsi_task)(t.task);
    return t.status;
}

static int sense_error(IscsiCommand *c)
{
    switch (c->sense >> 16) {
    case SCSI_SENSE_RECOVERED_ERROR:
        return 0;
    case SCSI_SENSE_ILLEGAL_REQUEST:
        c->refused = true;
        return (c->sense & 0xffff) == 0x2100 ? -EINVAL : -ENOTSUP;      /* beyond the end */
    case SCSI_SENSE_DATA_PROTECTION:
        return (c->sense & 0xffff) == 0x2707 ? -ENOSPC : -EPERM;        /* 2707: a thin disk's pool is full */
    default:
        return -EIO;
    }
}

/* On the home loop. */
static int transact(IscsiSession *s, IscsiCommand *c, struct scsi_iovec *iov, unsigned n)
{
    int64_t deadline = s->c.timeout ? loop_now() + s->c.timeout : 0;

    for (unsigned tries = 0; tries < BUSY_TRIES;) {
        bool late = false;
        int status;

        if (!wait_for_link(s, deadline)) {
            return -EIO;
        }
        status = try_once(s, c, iov, n, deadline, &late);
        if (late || (deadline && loop_now() >= deadline && status != SCSI_STATUS_GOOD)) {
            return -EIO;
        }
        switch (status) {
        case SCSI_STATUS_GOOD:
        case SCSI_STATUS_CONDITION_MET:
            return 0;
        case SCSI_STATUS_CHECK_CONDITION:
            if (c->sense >> 16 != SCSI_SENSE_UNIT_ATTENTION) {
                return sense_error(c);
            }
            tries++;                    /* something has changed, and it has been said: again */
            break;
        case SCSI_STATUS_BUSY:
        case SCSI_STATUS_TASK_SET_FULL:
            tries++;
            fiber_sleep(BUSY_PAUSE);
            break;
        case SCSI_STATUS_RESERVATION_CONFLICT:
            return -EBADE;
        case SCSI_STATUS_CANCELLED:     /* the connection broke: on the next one */
            if (s->link) {
                link_lost(s, s->link);
            }
            break;
        default:
            return -EIO;
        }
    }
    return -EIO;
}

typedef struct Hop {
    IscsiSession *s;
    IscsiCommand *c;
    struct scsi_iovec *iov;
    unsigned n;
    int result;
    Fiber *fiber;
} Hop;

static void run_hop(void *opaque)
{
    Hop *h = opaque;

    h->result = transact(h->s, h->c, h->iov, h->n);
    fiber_wake(h->fiber);
}

static int on_home(IscsiSession *s, IscsiCommand *c, struct scsi_iovec *iov, unsigned n)
{
    Hop h = { s, c, iov, n, 0, fiber_self() };

    if (loop_current() == s->home) {
        return transact(s, c, iov, n);
    }
    fiber_start_on(s->home, run_hop, &h);
    fiber_yield();
    return h.result;
}

/* The pieces of a vector's next bytes; the number needed, filled up to max. */
static unsigned pieces(BlkVec v, uint64_t len, struct scsi_iovec *out, unsigned max)
{
    unsigned count = 0;

    for (unsigned i = 0; i < v.n && len; i++) {
        uint64_t skip = MIN(v.skip, v.iov[i].iov_len), part = MIN(v.iov[i].iov_len - skip, len);

        v.skip -= skip;
        if (part) {
            if (count < max) {
                out[count] = (struct scsi_iovec){ (uint8_t *)v.iov[i].iov_base + skip, part };
            }
            count++;
            len -= part;
        }
    }
    return count;
}

static int bounced(IscsiSession *s, IscsiCommand *c)
{
    uint8_t *buf = g_try_malloc(c->len);
    struct scsi_iovec one = { buf, c->len };
    int r;

    if (!buf) {
        return -ENOMEM;
    }
    if (c->out) {
        blk_vec_read(c->data, buf, c->len);
    }
    r = on_home(s, c, &one, 1);
    if (r == 0 && !c->out) {
        blk_vec_write(c->data, buf, c->got);
    }
    g_free(buf);
    return r;
}

int iscsi_command(IscsiSession *s, IscsiCommand *c)
{
    struct scsi_iovec *iov;
    unsigned n = pieces(c->data, c->len, NULL, 0);
    int r;

    if (n > PIECES_MAX) {
        return bounced(s, c);
    }
    iov = g_new(struct scsi_iovec, MAX(n, 1));
    pieces(c->data, c->len, iov, n);
    r = on_home(s, c, iov, n);
    g_free(iov);
    return r;
}

/* ---- life ---- */

void iscsi_config_clear(IscsiConfig *c)
{
    g_free(c->portal);
    g_free(c->target);
    g_free(c->user);
    g_free(c->password);
    g_free(c->initiator);
    *c = (IscsiConfig){};
}

IscsiSession *iscsi_session_open(IscsiConfig *c, Error **errp)
{
    IscsiSession *s = g_new0(IscsiSession, 1);
    Link *l;

    s->c = *c;
    *c = (IscsiConfig){};
    s->refs = 1;
    s->home = loop_current();
    fiber_queue_init(&s->waiting);
    loop_timer_init(&s->nap, s->home, wake_napper, s);
    l = link_open(s, errp);
    if (!l) {
        session_unref(s);
        return NULL;
    }
    link_up(s, l);
    return s;
}

/* Say good-bye, as the protocol wants it, and do not wait long for the answer. */
static void leave(IscsiSession *s)
{
    Link *l = s->link;

    s->link = NULL;
    l->up = l->answered = false;
    if (L(iscsi_logout_async)(l->ctx, link_answer, l) == 0) {
        link_wait(l, BYE);
    }
    link_free(l);
}

void iscsi_session_close(IscsiSession *s)
{
    s->quit = true;
    if (s->link) {
        leave(s);
    }
    wake_napper(s);
    if (s->trying) {
        link_wake(s->trying);
    }
    while (s->connecting) {
        fiber_pause();
    }
    fiber_queue_wake_all(&s->waiting);
    session_unref(s);
}

static void give_up(void *opaque)
{
    IscsiSession *s = opaque;

    s->gave_up = !s->link;
    fiber_queue_wake_all(&s->waiting);
}

void iscsi_session_drain(IscsiSession *s)
{
    loop_call(s->home, give_up, s);
}
