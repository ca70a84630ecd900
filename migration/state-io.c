/* SPDX-License-Identifier: MIT */
/* Byte buffers under the state tables, digest and print. */
#include "migration/state.h"

#include <inttypes.h>
#include <string.h>

#include "migration/state-priv.h"
#include "util/bswap.h"

StateWriter *state_writer_new(void)
{
    StateWriter *w = g_new0(StateWriter, 1);

    w->bytes = g_byte_array_new();
    return w;
}

const uint8_t *state_writer_data(const StateWriter *w, size_t *len)
{
    *len = w->bytes->len;
    return w->bytes->data;
}

void state_writer_free(StateWriter *w)
{
    if (w) {
        g_byte_array_free(w->bytes, TRUE);
        g_free(w);
    }
}

void state_put(StateWriter *w, const void *data, size_t len)
{
    if (len) {
        g_byte_array_append(w->bytes, data, (guint)len);
    }
}

void state_put_u8(StateWriter *w, uint8_t v)
{
    state_put(w, &v, 1);
}

void state_put_u32(StateWriter *w, uint32_t v)
{
    v = htole32(v);
    state_put(w, &v, 4);
}

void state_put_u64(StateWriter *w, uint64_t v)
{
    v = htole64(v);
    state_put(w, &v, 8);
}

StateReader *state_reader_new(const void *data, size_t len)
{
    StateReader *r = g_new0(StateReader, 1);

    r->data = data;
    r->len = len;
    return r;
}

void state_reader_free(StateReader *r)
{
    g_free(r);
}

size_t state_reader_left(const StateReader *r)
{
    return r->len - r->at;
}

size_t state_tell(const StateReader *r)
{
    return r->at;
}

void state_seek(StateReader *r, size_t at)
{
    r->at = at;
}

const uint8_t *state_peek(StateReader *r, size_t len, Error **errp)
{
    const uint8_t *p = r->data + r->at;

    if (len > r->len - r->at) {
        r->at = r->len;
        error_set(errp, "the saved state ends early");
        return NULL;
    }
    r->at += len;
    return p ? p : (const uint8_t *)"";
}

bool state_skip(StateReader *r, size_t len, Error **errp)
{
    return state_peek(r, len, errp) != NULL;
}

bool state_get(StateReader *r, void *data, size_t len, Error **errp)
{
    const uint8_t *p = state_peek(r, len, errp);

    if (p) {
        memcpy(data, p, len);
    }
    return p != NULL;
}

bool state_get_u8(StateReader *r, uint8_t *v, Error **errp)
{
    return state_get(r, v, 1, errp);
}

bool state_get_u32(StateReader *r, uint32_t *v, Error **errp)
{
    const uint8_t *p = state_peek(r, 4, errp);

    *v = p ? ldl_le_p(p) : 0;
    return p != NULL;
}

bool state_get_u64(StateReader *r, uint64_t *v, Error **errp)
{
    const uint8_t *p = state_peek(r, 8, errp);

    *v = p ? ldq_le_p(p) : 0;
    return p != NULL;
}

uint64_t state_digest(const StateTable *t, void *obj)
{
    StateWriter *w = state_writer_new();
    uint64_t h = 0xcbf29ce484222325ull;         /* FNV-1a */

    state_save(w, t, obj);
    for (guint i = 0; i < w->bytes->len; i++) {
        h = (h ^ w->bytes->data[i]) * 0x100000001b3ull;
    }
    state_writer_free(w);
    return h;
}

/* ---- print ---- */

static void print_plain(const StateField *f, const void *obj, GString *out)
{
    const uint8_t *p = state_base(f, obj);
    uint32_t n = state_count(f, obj), shown = MIN(n, 16);

    if (f->type == STATE_BUFFER || f->type == STATE_VBUFFER) {
        g_string_append_printf(out, "%s=<%" PRIu64 " bytes>\n", f->name, (uint64_t)n * f->size);
        return;
    }
    g_string_append_printf(out, "%s=", f->name);
    for (uint32_t i = 0; i < shown; i++) {
        uint64_t v = 0;

        memcpy(&v, p + (size_t)i * f->size, f->size);
        g_string_append_printf(out, f->type == STATE_BOOLEAN ? "%s%" PRIu64 : "%s0x%" PRIx64, i ? "," : "", v);
    }
    g_string_append(out, n > shown ? ",...\n" : "\n");
}

void state_print(const StateTable *t, void *obj, GString *out)
{
    if (t->pre_save) {
        t->pre_save(obj);
    }
    for (const StateField *f = t->fields; f && f->type; f++) {
        switch (f->type) {
        case STATE_SUB:
            state_print(f->table, obj, out);
            break;
        case STATE_INNER: case STATE_INNER_PTR:
            for (uint32_t i = 0; i < state_count(f, obj); i++) {
                g_string_append_printf(out, "%s[%" PRIu32 "]:\n", f->name, i);
                state_print(f->table, (uint8_t *)state_base(f, obj) + (size_t)i * f->size, out);
            }
            break;
        case STATE_SPECIAL:
            g_string_append_printf(out, "%s=<%s>\n", f->name, f->kind->name);
            break;
        default:
            print_plain(f, obj, out);
        }
    }
}
