/* SPDX-License-Identifier: MIT */
#include "block/stats.h"

#include <string.h>

#define NS_PER_SECOND 1000000000ll

/*
 * The last `length` ns: two windows, each of that length, half of it apart.
 * Requests go into both, the older one answers: it has seen between half and
 * all of the interval.
 */
typedef struct Window {
    int64_t begin, end;
    struct {
        uint64_t count, sum, min, max;
    } of[STAT_TYPES];
} Window;

struct StatInterval {
    int64_t length;
    Window window[2];
};

/* ---- intervals ---- */

static void roll(StatInterval *iv, int64_t now)
{
    for (unsigned i = 0; i < 2; i++) {
        Window *w = &iv->window[i];

        if (now >= w->end) {
            int64_t begin = now - (now - w->end) % iv->length;

            *w = (Window){ .begin = begin, .end = begin + iv->length };
        }
    }
}

static void interval_add(StatInterval *iv, StatType type, uint64_t ns, int64_t now)
{
    roll(iv, now);
    for (unsigned i = 0; i < 2; i++) {
        Window *w = &iv->window[i];

        w->of[type].min = w->of[type].count ? MIN(w->of[type].min, ns) : ns;
        w->of[type].max = MAX(w->of[type].max, ns);
        w->of[type].sum += ns;
        w->of[type].count++;
    }
}

void stats_add_interval(BlkStats *s, unsigned seconds, int64_t now)
{
    StatInterval *iv = g_new0(StatInterval, 1);

    iv->length = seconds * NS_PER_SECOND;
    iv->window[0] = (Window){ .begin = now, .end = now + iv->length };
    iv->window[1] = (Window){ .begin = now, .end = now + iv->length / 2 };
    io_lock(&s->lock);
    g_ptr_array_add(s->intervals, iv);
    __atomic_store_n(&s->extras, true, __ATOMIC_RELEASE);
    io_unlock(&s->lock);
}

/* ---- histograms ---- */

static void histogram_clear(StatHistogram *h)
{
    g_free(h->boundaries);
    g_free(h->bins);
    *h = (StatHistogram){};
}

static void histogram_add(StatHistogram *h, uint64_t ns)
{
    unsigned low = 0, high = h->n;

    if (!h->n) {
        return;
    }
    while (low < high) {                    /* the first boundary above ns */
        unsigned mid = (low + high) / 2;

        if (ns < h->boundaries[mid]) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    h->bins[low]++;
}

bool stats_set_histogram(BlkStats *s, StatType type, const uint64_t *boundaries, unsigned n)
{
    StatHistogram *h = &s->histogram[type];

    for (unsigned i = 0; i < n; i++) {
        if (boundaries[i] <= (i ? boundaries[i - 1] : 0)) {
            return false;
        }
    }
    io_lock(&s->lock);
    histogram_clear(h);
    if (n) {
        *h = (StatHistogram){ g_memdup2(boundaries, n * sizeof(*boundaries)), g_new0(uint64_t, n + 1), n };
        __atomic_store_n(&s->extras, true, __ATOMIC_RELEASE);
    }
    io_unlock(&s->lock);
    return true;
}

/* ---- counting ---- */

static void add(uint64_t *to, uint64_t n)
{
    __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void count_extras(BlkStats *s, StatType type, uint64_t ns, bool timed, int64_t now)
{
    io_lock(&s->lock);
    histogram_add(&s->histogram[type], ns);
    for (unsigned i = 0; timed && i < s->intervals->len; i++) {
        interval_add(s->intervals->pdata[i], type, ns, now);
    }
    io_unlock(&s->lock);
}

void stats_done(BlkStats *s, StatType type, uint64_t bytes, bool failed, int64_t begin, int64_t now)
{
    uint64_t ns = (uint64_t)MAX(now - begin, 0);
    bool timed = !failed || s->account_failed;

    if (failed) {
        add(&s->of[type].failed, 1);
    } else {
        add(&s->of[type].ops, 1);
        add(&s->of[type].bytes, bytes);
    }
    if (timed) {
        add(&s->of[type].ns, ns);
        __atomic_store_n(&s->last, now, __ATOMIC_RELAXED);
    }
    if (G_UNLIKELY(__atomic_load_n(&s->extras, __ATOMIC_ACQUIRE))) {
        count_extras(s, type, ns, timed, now);
    }
}

void stats_invalid(BlkStats *s, StatType type, int64_t now)
{
    add(&s->of[type].invalid, 1);
    if (s->account_invalid) {
        __atomic_store_n(&s->last, now, __ATOMIC_RELAXED);
    }
}

/* ---- life ---- */

static void free_interval(void *iv)
{
    g_free(iv);
}

void stats_init(BlkStats *s)
{
    *s = (BlkStats){ .account_invalid = true, .account_failed = true };
    io_lock_init(&s->lock);
    s->intervals = g_ptr_array_new_with_free_func(free_interval);
}

void stats_fini(BlkStats *s)
{
    for (unsigned i = 0; i < STAT_TYPES; i++) {
        histogram_clear(&s->histogram[i]);
    }
    g_ptr_array_unref(s->intervals);
    io_lock_destroy(&s->lock);
}

/* ---- as a record ---- */

static const char *const words[] = { "rd", "wr", "unmap", "flush", "zone_append" };     /* the last is what zoned disks do: never here */

static void put(Json *j, const char *fmt, const char *word, uint64_t v)
{
    g_autofree char *key = NULL;
    char **part = g_strsplit(fmt, "*", 2);

    key = g_strconcat(part[0], word, part[1], NULL);
    g_strfreev(part);
    json_set_uint(j, key, v);
}

static uint64_t get(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static void put_counters(Json *j, const BlkStats *s, unsigned type)
{
    bool some = type < STAT_TYPES;
    const char *word = words[type];

    put(j, "*_operations", word, some ? get(&s->of[type].ops) : 0);
    put(j, "failed_*_operations", word, some ? get(&s->of[type].failed) : 0);
    put(j, "invalid_*_operations", word, some ? get(&s->of[type].invalid) : 0);
    put(j, "*_total_time_ns", word, some ? get(&s->of[type].ns) : 0);
    if (type != STAT_FLUSH) {
        put(j, "*_bytes", word, some ? get(&s->of[type].bytes) : 0);
        put(j, "*_merged", word, 0);            /* requests are not joined to larger ones */
    }
}

static Json *interval_record(StatInterval *iv, int64_t now)
{
    static const unsigned types[] = { STAT_READ, STAT_WRITE, STAT_FLUSH, STAT_TYPES };
    Json *j = json_object();
    const Window *w;

    roll(iv, now);
    w = &iv->window[iv->window[1].end < iv->window[0].end];
    json_set_int(j, "interval_length", iv->length / NS_PER_SECOND);
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        bool some = types[i] < STAT_TYPES && w->of[types[i]].count;
        const char *word = words[types[i]];
        uint64_t sum = some ? w->of[types[i]].sum : 0;

        put(j, "min_*_latency_ns", word, some ? w->of[types[i]].min : 0);
        put(j, "max_*_latency_ns", word, some ? w->of[types[i]].max : 0);
        put(j, "avg_*_latency_ns", word, some ? sum / w->of[types[i]].count : 0);
        if (types[i] != STAT_FLUSH) {
            g_autofree char *key = g_strdup_printf("avg_%s_queue_depth", word);

            json_set(j, key, json_double(now > w->begin ? (double)sum / (double)(now - w->begin) : 0));
        }
    }
    return j;
}

static void put_histogram(Json *j, const StatHistogram *h, const char *word)
{
    g_autofree char *key = g_strdup_printf("%s_latency_histogram", word);
    Json *one, *boundaries, *bins;

    if (!h->n) {
        return;
    }
    one = json_object();
    boundaries = json_array();
    bins = json_array();
    for (unsigned i = 0; i <= h->n; i++) {
        json_append(bins, json_uint(h->bins[i]));
        if (i < h->n) {
            json_append(boundaries, json_uint(h->boundaries[i]));
        }
    }
    json_set(one, "bins", bins);
    json_set(one, "boundaries", boundaries);
    json_set(j, key, one);
}

Json *stats_record(BlkStats *s, int64_t now)
{
    Json *j = json_object(), *timed = json_array();
    int64_t last = __atomic_load_n(&s->last, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        put_counters(j, s, i);
    }
    json_set_bool(j, "account_invalid", s->account_invalid);
    json_set_bool(j, "account_failed", s->account_failed);
    if (last) {
        json_set_int(j, "idle_time_ns", MAX(now - last, 0));
    }
    io_lock(&s->lock);
    for (unsigned i = 0; i < s->intervals->len; i++) {
        json_append(timed, interval_record(s->intervals->pdata[i], now));
    }
    for (unsigned i = 0; i < STAT_TYPES; i++) {
        put_histogram(j, &s->histogram[i], words[i]);
    }
    io_unlock(&s->lock);
    json_set(j, "timed_stats", timed);
    return j;
}
