/* SPDX-License-Identifier: MIT */
/* The one door: host time, random bytes, and what back ends send. */
#include "hw/core/inputs.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "util/bits.h"

typedef struct Waiting {
    InputPort *port;
    size_t len;
    uint8_t data[];
} Waiting;

struct Inputs {
    Clock *clock;
    pthread_mutex_t lock;
    pthread_cond_t done;
    uint64_t count[INPUT_KINDS];
    FILE *log;
    bool seeded;
    uint64_t rng[4];            /* xoshiro256** */
    int64_t epoch;              /* host UTC at creation, for the modes that do not follow the host */
    int64_t wall_offset;        /* added to the host's or the guest's time */
    bool wall_guest;            /* goes with guest time, whatever its mode */
    bool wall_date;             /* begins at a given date: also when seeded */
    GQueue queue;               /* Waiting */
    void (*notify)(void *opaque);
    void *notify_opaque;
};

struct InputTicket {
    InputPort *port;
    Timer timer;                /* ICOUNT: when it takes effect */
    bool here;
    uint8_t *data;
    size_t len;
};

static const char *const kind_names[INPUT_KINDS] = {
    "time", "random", "char", "frame", "block", "key", "signal"
};

const char *input_kind_name(InputKind kind)
{
    return kind_names[kind];
}

Inputs *inputs_new(Clock *clock)
{
    Inputs *in = g_new0(Inputs, 1);
    struct timespec ts;

    in->clock = clock;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->done, NULL);
    g_queue_init(&in->queue);
    clock_gettime(CLOCK_REALTIME, &ts);
    in->epoch = ts.tv_sec * NS_PER_S + ts.tv_nsec;
    return in;
}

void inputs_free(Inputs *in)
{
    if (!in) {
        return;
    }
    g_queue_clear_full(&in->queue, g_free);
    if (in->log) {
        fclose(in->log);
    }
    pthread_cond_destroy(&in->done);
    pthread_mutex_destroy(&in->lock);
    g_free(in);
}

/* ---- counting and logging ---- */

static uint64_t digest(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325ull;

    while (len--) {
        h = (h ^ *p++) * 0x100000001b3ull;
    }
    return h;
}

static void note(Inputs *in, InputKind kind, const char *name, const void *data, size_t len)
{
    __atomic_fetch_add(&in->count[kind], 1, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&in->log, __ATOMIC_ACQUIRE)) {
        return;
    }
    pthread_mutex_lock(&in->lock);
    fprintf(in->log, "%" PRId64 " %s %s %zu %016" PRIx64 "\n", clock_now(in->clock), kind_names[kind], name, len, digest(data, len));
    pthread_mutex_unlock(&in->lock);
}

bool inputs_log_open(Inputs *in, const char *path, Error **errp)
{
    FILE *f = fopen(path, "we");

    if (!f) {
        return error_set_errno(errp, errno, "cannot create input log '%s'", path);
    }
    setvbuf(f, NULL, _IOLBF, 0);
    __atomic_store_n(&in->log, f, __ATOMIC_RELEASE);
    return true;
}

uint64_t inputs_count(const Inputs *in, InputKind kind)
{
    return __atomic_load_n(&in->count[kind], __ATOMIC_RELAXED);
}

/* ---- time and randomness ---- */

/* Seconds that the local time is ahead of UTC now. */
static int64_t local_offset(void)
{
    struct timespec ts;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &ts);
    return localtime_r(&ts.tv_sec, &tm) ? tm.tm_gmtoff : 0;
}

/* A date as seconds since 1970. */
static bool parse_date(const char *text, int64_t *sec)
{
    struct tm tm = { .tm_mday = 1 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!end || *end) {
        tm = (struct tm){ .tm_mday = 1 };
        end = strptime(text, "%Y-%m-%d", &tm);
    }
    *sec = end && !*end ? timegm(&tm) : 0;
    return end && !*end;
}

bool inputs_set_wall(Inputs *in, const char *base, const char *clock, Error **errp)
{
    int64_t sec;

    in->wall_guest = !g_strcmp0(clock, "vm");
    if (!base || !strcmp(base, "utc")) {
        return true;
    }
    if (!strcmp(base, "localtime")) {
        in->wall_offset = local_offset() * NS_PER_S;
        return true;
    }
    if (!parse_date(base, &sec)) {
        error_set(errp, "invalid datetime format");
        return error_hint(errp, "valid formats: '2006-06-17T16:01:21' or '2006-06-17'");
    }
    in->wall_offset = sec * NS_PER_S - in->epoch;
    in->wall_date = true;
    return true;
}

int64_t input_host_time(Inputs *in)
{
    struct timespec ts;
    int64_t now = in->epoch;

    if (clock_mode(in->clock) == CLOCK_HOST && !in->wall_guest) {
        clock_gettime(CLOCK_REALTIME, &ts);
        now = ts.tv_sec * NS_PER_S + ts.tv_nsec;
    } else {
        now = (in->seeded && !in->wall_date ? 0 : in->epoch) + clock_now(in->clock);
    }
    now += in->wall_offset;
    note(in, INPUT_TIME, "host", &now, sizeof(now));
    return now;
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void inputs_seed(Inputs *in, uint64_t seed)
{
    pthread_mutex_lock(&in->lock);
    in->seeded = true;
    for (int i = 0; i < 4; i++) {
        in->rng[i] = splitmix(&seed);
    }
    pthread_mutex_unlock(&in->lock);
}

void inputs_get_seed(Inputs *in, uint64_t state[4])
{
    pthread_mutex_lock(&in->lock);
    for (int i = 0; i < 4; i++) {
        state[i] = in->seeded ? in->rng[i] : 0;
    }
    pthread_mutex_unlock(&in->lock);
}

void inputs_set_seed(Inputs *in, const uint64_t state[4])
{
    pthread_mutex_lock(&in->lock);
    if (in->seeded && (state[0] | state[1] | state[2] | state[3])) {
        memcpy(in->rng, state, sizeof(in->rng));
    }
    pthread_mutex_unlock(&in->lock);
}

static uint64_t rng_next(uint64_t s[4])
{
    uint64_t r = rol64(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rol64(s[3], 45);
    return r;
}

static void seeded_bytes(Inputs *in, uint8_t *p, size_t len)
{
    pthread_mutex_lock(&in->lock);
    while (len) {
        uint64_t v = rng_next(in->rng);
        size_t n = MIN(len, 8);

        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
    pthread_mutex_unlock(&in->lock);
}

void input_random(Inputs *in, void *buf, size_t len)
{
    if (in->seeded) {
        seeded_bytes(in, buf, len);
    } else {
        for (size_t done = 0; done < len;) {
            ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);

            assert(n > 0 || errno == EINTR);
            done += n > 0 ? (size_t)n : 0;
        }
    }
    note(in, INPUT_RANDOM, in->seeded ? "seeded" : "host", buf, len);
}

/* ---- ports ---- */

void input_port_init(InputPort *p, Inputs *in, InputKind kind, const char *name, InputFn *fn, void *opaque, pthread_mutex_t *lock)
{
    *p = (InputPort){ in, kind, name, fn, opaque, lock };
}

void input_port_fini(InputPort *p)
{
    if (!p->inputs) {
        return;
    }
    pthread_mutex_lock(&p->inputs->lock);
    for (GList *l = p->inputs->queue.head, *next; l; l = next) {
        Waiting *w = l->data;

        next = l->next;
        if (w->port == p) {
            g_queue_delete_link(&p->inputs->queue, l);
            g_free(w);
        }
    }
    pthread_mutex_unlock(&p->inputs->lock);
    p->inputs = NULL;
}

static void deliver(InputPort *p, const void *data, size_t len)
{
    note(p->inputs, p->kind, p->name, data, len);
    if (p->lock) {
        pthread_mutex_lock(p->lock);
    }
    p->fn(p->opaque, data, len);
    if (p->lock) {
        pthread_mutex_unlock(p->lock);
    }
}

void input_send(InputPort *p, const void *data, size_t len)
{
    Inputs *in = p->inputs;
    Waiting *w;

    if (clock_mode(in->clock) != CLOCK_ICOUNT) {
        deliver(p, data, len);
        return;
    }
    w = g_malloc(sizeof(*w) + len);
    w->port = p;
    w->len = len;
    if (len) {
        memcpy(w->data, data, len);
    }
    pthread_mutex_lock(&in->lock);
    g_queue_push_tail(&in->queue, w);
    pthread_mutex_unlock(&in->lock);
    if (in->notify) {
        in->notify(in->notify_opaque);
    }
}

bool inputs_run(Inputs *in)
{
    bool any = false;

    for (;;) {
        Waiting *w;

        pthread_mutex_lock(&in->lock);
        w = g_queue_pop_head(&in->queue);
        pthread_mutex_unlock(&in->lock);
        if (!w) {
            return any;
        }
        deliver(w->port, w->data, w->len);
        g_free(w);
        any = true;
    }
}

void inputs_set_notify(Inputs *in, void (*notify)(void *opaque), void *opaque)
{
    in->notify_opaque = opaque;
    in->notify = notify;
}

/* ---- tickets ---- */

/* The guest's clock has reached the moment: wait for the host if it is late. */
static void ticket_due(void *opaque)
{
    InputTicket *t = opaque;
    Inputs *in = t->port->inputs;

    pthread_mutex_lock(&in->lock);
    while (!t->here) {
        pthread_cond_wait(&in->done, &in->lock);
    }
    pthread_mutex_unlock(&in->lock);
    deliver(t->port, t->data, t->len);
    g_free(t->data);
    g_free(t);
}

InputTicket *input_ticket(InputPort *p, int64_t latency_ns)
{
    InputTicket *t = g_new0(InputTicket, 1);

    t->port = p;
    if (clock_mode(p->inputs->clock) == CLOCK_ICOUNT) {
        timer_init(&t->timer, p->inputs->clock, ticket_due, t, NULL);
        timer_mod(&t->timer, clock_now(p->inputs->clock) + latency_ns);
    }
    return t;
}

void input_hurry(InputTicket *t)
{
    Clock *c = t->port->inputs->clock;

    if (clock_mode(c) == CLOCK_ICOUNT) {
        timer_mod(&t->timer, clock_now(c));
    }
}

void input_complete(InputTicket *t, const void *data, size_t len)
{
    Inputs *in = t->port->inputs;

    if (clock_mode(in->clock) != CLOCK_ICOUNT) {
        deliver(t->port, data, len);
        g_free(t);
        return;
    }
    pthread_mutex_lock(&in->lock);
    t->data = g_malloc(len ? len : 1);
    if (len) {
        memcpy(t->data, data, len);
    }
    t->len = len;
    t->here = true;
    pthread_cond_broadcast(&in->done);
    pthread_mutex_unlock(&in->lock);
}
