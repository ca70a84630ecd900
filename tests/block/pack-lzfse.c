/* SPDX-License-Identifier: MIT */
#include "tests/block/pack-lzfse.h"

#include <stdbool.h>
#include <string.h>

#include "util/bswap.h"

enum { L_SYMBOLS = 20, D_SYMBOLS = 64, P_SYMBOLS = 256, MAX_PLAIN = 315, MAX_COPY = 2359, FAR = 700 };

typedef struct { unsigned plain, copy, back; } Triple;

static void put(GByteArray *a, const void *p, unsigned n)
{
    g_byte_array_append(a, p, n);
}

static void put32(GByteArray *a, uint32_t v)
{
    uint8_t b[4];

    stl_le_p(b, v);
    put(a, b, 4);
}

static unsigned match(const uint8_t *in, unsigned at, unsigned back, unsigned max)
{
    unsigned n = 0;

    while (n < max && in[at + n] == in[at + n - back]) {
        n++;
    }
    return n;
}

/* The longest copy from not too far; true when it is worth a triple. */
static bool best_copy(const uint8_t *in, unsigned at, unsigned len, unsigned max, Triple *t)
{
    t->copy = 0;
    for (unsigned back = 1; back <= MIN(at, (unsigned)FAR); back++) {
        unsigned n = match(in, at, back, MIN(max, len - at));

        if (n > t->copy) {
            t->copy = n;
            t->back = back;
        }
    }
    return t->copy >= 4;
}

/* ---- LZFSE ---- */

typedef struct { uint8_t bytes[1 << 17]; uint64_t n; } BitString;

static void push(BitString *s, uint32_t v, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++, s->n++) {
        s->bytes[s->n / 8] |= (v >> i & 1) << s->n % 8;
    }
}

/* Frequencies of symbols among so many states: at least one for each that is there. */
typedef struct { unsigned states, symbols, count[P_SYMBOLS], f[P_SYMBOLS], first[P_SYMBOLS]; } Coder;

static void coder_ready(Coder *c)
{
    unsigned total = 0, used = 0, most = 0;

    for (unsigned i = 0; i < c->symbols; i++) {
        total += c->count[i];
        most = c->count[i] > c->count[most] ? i : most;
    }
    for (unsigned i = 0; i < c->symbols && total; i++) {
        c->f[i] = c->count[i] ? MAX(1, c->count[i] * (c->states / 2) / total) : 0;
        used += c->f[i];
    }
    c->f[most] += c->states - used;
    for (unsigned i = 1; i < c->symbols; i++) {
        c->first[i] = c->first[i - 1] + c->f[i - 1];
    }
}

/* One step of an asymmetric numeral system: the state before, from the one after. */
static unsigned code(const Coder *c, BitString *s, unsigned symbol, unsigned state)
{
    unsigned x = state + c->states, bits = 0;

    while (x >> bits >= 2 * c->f[symbol]) {
        bits++;
    }
    push(s, x & ((1u << bits) - 1), bits);
    return c->first[symbol] + (x >> bits) - c->f[symbol];
}

static unsigned length_symbol(unsigned v, const unsigned first[4])
{
    unsigned s = v < 16 ? v : 16;

    while (v >= 16 && s < 19 && v >= first[s - 15]) {
        s++;
    }
    return s;
}

static unsigned back_symbol(unsigned v, unsigned *from, unsigned *bits)
{
    unsigned s = 0;

    *from = 0;
    while (v >= *from + (1u << s / 4)) {
        *from += 1u << s / 4;
        s++;
    }
    *bits = s / 4;
    return s;
}

static const unsigned l_first[4] = { 16, 20, 28, 60 }, l_bits[4] = { 2, 3, 5, 8 }, m_first[4] = { 16, 24, 56, 312 }, m_bits[4] = { 3, 5, 8, 11 };

static unsigned code_length(const Coder *c, BitString *s, unsigned v, const unsigned first[4], const unsigned bits[4], unsigned state)
{
    unsigned symbol = length_symbol(v, first);

    if (symbol >= 16) {
        push(s, v - first[symbol - 16], bits[symbol - 16]);
    }
    return code(c, s, symbol, state);
}

static void push_frequency(BitString *s, unsigned f)
{
    if (f < 2) {
        push(s, f << 1, 2);
    } else if (f < 4) {
        push(s, 1 | (f - 2) << 2, 3);
    } else if (f < 8) {
        push(s, 3 | (f - 4) << 3, 5);
    } else if (f < 24) {
        push(s, 7 | (f - 8) << 4, 8);
    } else {
        push(s, 15 | (f - 24) << 4, 14);
    }
}

static uint64_t bytes_of(const BitString *s)
{
    return (s->n + 7) / 8;
}

static uint64_t missing_bits(const BitString *s)
{
    return 7 + s->n - bytes_of(s) * 8;
}

static GArray *find_triples(const uint8_t *in, unsigned len, GByteArray *plain)
{
    GArray *list = g_array_new(false, false, sizeof(Triple));
    Triple t = { 0, 0, 0 };
    unsigned last = 0;

    for (unsigned at = 0; at < len;) {
        bool copy = best_copy(in, at, len, MAX_COPY, &t);

        if (copy) {
            unsigned back = t.back;

            at += t.copy;
            t.back = back == last ? 0 : back;
            last = back;
        } else {
            put(plain, in + at++, 1);
            t.plain++;
            t.copy = t.back = 0;
        }
        if (copy || t.plain == MAX_PLAIN || at == len) {
            g_array_append_val(list, t);
            t = (Triple){ 0, 0, 0 };
        }
    }
    return list;
}

void pack_lzfse(GByteArray *out, const uint8_t *in, unsigned len)
{
    g_autofree Coder *c = g_new0(Coder, 4);
    Coder *l = &c[0], *m = &c[1], *d = &c[2], *p = &c[3];
    g_autofree BitString *s = g_new0(BitString, 3);
    BitString *head = &s[0], *ps = &s[1], *ts = &s[2];
    g_autoptr(GByteArray) plain = g_byte_array_new();
    g_autoptr(GArray) list = find_triples(in, len, plain);
    unsigned state[4] = {}, ls = 0, ms = 0, ds = 0, from, bits;
    uint8_t h[24];

    while (plain->len % 4) {
        put(plain, "", 1);
    }
    *l = (Coder){ .states = 64, .symbols = L_SYMBOLS };
    *m = (Coder){ .states = 64, .symbols = L_SYMBOLS };
    *d = (Coder){ .states = 256, .symbols = D_SYMBOLS };
    *p = (Coder){ .states = 1024, .symbols = P_SYMBOLS };
    for (unsigned i = 0; i < plain->len; i++) {
        p->count[plain->data[i]]++;
    }
    for (unsigned i = 0; i < list->len; i++) {
        const Triple *t = &g_array_index(list, Triple, i);

        l->count[length_symbol(t->plain, l_first)]++;
        m->count[length_symbol(t->copy, m_first)]++;
        d->count[back_symbol(t->back, &from, &bits)]++;
    }
    for (unsigned i = 0; i < 4; i++) {
        coder_ready(&c[i]);
        for (unsigned k = 0; k < c[i].symbols; k++) {
            push_frequency(head, c[i].f[k]);
        }
    }
    for (unsigned i = plain->len; i--;) {
        state[i % 4] = code(p, ps, plain->data[i], state[i % 4]);
    }
    for (unsigned i = list->len; i--;) {
        const Triple *t = &g_array_index(list, Triple, i);
        unsigned symbol = back_symbol(t->back, &from, &bits);

        push(ts, t->back - from, bits);
        ds = code(d, ts, symbol, ds);
        ms = code_length(m, ts, t->copy, m_first, m_bits, ms);
        ls = code_length(l, ts, t->plain, l_first, l_bits, ls);
    }
    stq_le_p(h, plain->len | bytes_of(ps) << 20 | (uint64_t)list->len << 40 | missing_bits(ps) << 60);
    stq_le_p(h + 8, state[0] | state[1] << 10 | state[2] << 20 | (uint64_t)state[3] << 30 | bytes_of(ts) << 40 | missing_bits(ts) << 60);
    stq_le_p(h + 16, (32 + bytes_of(head)) | (uint64_t)ls << 32 | (uint64_t)ms << 42 | (uint64_t)ds << 52);
    put(out, "bvx2", 4);
    put32(out, len);
    put(out, h, 24);
    put(out, head->bytes, bytes_of(head));
    put(out, ps->bytes, bytes_of(ps));
    put(out, ts->bytes, bytes_of(ts));
}

/* ---- LZVN: the forms of a copy take turns where more than one would do ---- */

static void plain_code(GByteArray *a, const uint8_t *p, unsigned n)
{
    while (n) {
        unsigned now = MIN(n, 271u);
        uint8_t c[2] = { now < 16 ? 0xe0 | now : 0xe0, now - 16 };

        put(a, c, now < 16 ? 1 : 2);
        put(a, p, now);
        p += now;
        n -= now;
    }
}

/* These mean something else, so a copy of that length behind as many plain bytes has the long form only. */
static bool taken(uint8_t c)
{
    return c >> 4 == 7 || c >> 4 == 0xa || c >> 4 == 0xb || c >> 4 >= 0xd;
}

static void copy_code(GByteArray *a, const uint8_t *p, unsigned plain, const Triple *t, unsigned last, unsigned turn)
{
    unsigned m = t->copy - 3, back = t->back;
    uint8_t c[3] = { plain << 6 | (m & 7) << 3 | back >> 8, back };
    unsigned n = 2;

    if (back == last && t->copy >= 16 && !plain) {
        c[0] = 0xf0;
        c[1] = t->copy - 16;
    } else if (back == last && plain && t->copy <= 10 && turn % 2 && !taken(c[0])) {
        c[0] |= 7;
        c[0]--;
        n = 1;
    } else if (t->copy > 10 || turn % 3 == 1 || taken(c[0])) {
        c[0] = 0xa0 | plain << 3 | m >> 2;
        c[1] = back << 2 | (m & 3);
        c[2] = back >> 6;
        n = 3;
    } else if (turn % 3 == 2) {
        c[0] |= 7;
        c[1] = back;
        c[2] = back >> 8;
        n = 3;
    }
    put(a, c, n);
    put(a, p, plain);
}

void pack_lzvn(GByteArray *out, const uint8_t *in, unsigned len)
{
    static const uint8_t end[8] = { 6 };
    g_autoptr(GByteArray) a = g_byte_array_new();
    unsigned plain = 0, last = 0, turn = 0;

    for (unsigned at = 0; at < len;) {
        Triple t;

        if (!best_copy(in, at, len, 271, &t)) {
            plain++;
            at++;
            continue;
        }
        if (t.back != last || t.copy < 16 || plain) {
            t.copy = MIN(t.copy, 3 + (turn % 3 == 1 ? 31u : 5u));
        }
        if (plain > 3) {
            plain_code(a, in + at - plain, plain - 1);
            plain = 1;
        }
        copy_code(a, in + at - plain, plain, &t, last, turn++);
        last = t.back;
        at += t.copy;
        plain = 0;
    }
    plain_code(a, in + len - plain, plain);
    put(a, end, 8);
    put(out, "bvxn", 4);
    put32(out, len);
    put32(out, a->len);
    put(out, a->data, a->len);
}

void pack_lz_plain(GByteArray *out, const uint8_t *in, unsigned len)
{
    put(out, "bvx-", 4);
    put32(out, len);
    put(out, in, len);
}

void pack_lz_end(GByteArray *out)
{
    put(out, "bvx$", 4);
}
