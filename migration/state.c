/* SPDX-License-Identifier: MIT */
/* Readers of state tables: save, check, load, reset. */
#include "migration/state.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "migration/state-priv.h"
#include "util/bswap.h"

unsigned state_version(const StateTable *t)
{
    return t->version ? t->version : 1;
}

bool state_field_plain(const StateField *f)
{
    return f->type == STATE_UINT || f->type == STATE_INT || f->type == STATE_BOOLEAN || f->type == STATE_BUFFER;
}

/* How many elements the object has of a field. */
uint32_t state_count(const StateField *f, const void *obj)
{
    uint32_t n;

    if (!f->num_by) {
        return f->num ? f->num : 1;
    }
    memcpy(&n, (const uint8_t *)obj + f->num_offset, 4);
    return f->num && n > f->num ? f->num : n;
}

/* Elements begin here: in the struct, or where its pointer says. */
void *state_base(const StateField *f, const void *obj)
{
    uint8_t *p = (uint8_t *)obj + f->offset;

    return f->type == STATE_INNER_PTR || f->type == STATE_VBUFFER ? *(void **)p : p;
}

/* ---- save ---- */

static void save_elements(StateWriter *w, const StateField *f, void *obj)
{
    uint8_t *p = state_base(f, obj);
    uint32_t n = state_count(f, obj);

    if (f->num_by) {
        state_put_u32(w, n);
    }
    if (f->type == STATE_INNER || f->type == STATE_INNER_PTR) {
        for (uint32_t i = 0; i < n; i++) {
            state_save(w, f->table, p + (size_t)i * f->size);
        }
    } else if (f->type == STATE_SPECIAL) {
        for (uint32_t i = 0; i < n; i++) {
            f->kind->save(w, p + (size_t)i * f->kind->size);
        }
    } else {
        state_put(w, p, (size_t)n * f->size);       /* little-endian hosts only: as they lie */
    }
}

void state_save(StateWriter *w, const StateTable *t, void *obj)
{
    if (t->pre_save) {
        t->pre_save(obj);
    }
    state_put_u32(w, state_version(t));
    for (const StateField *f = t->fields; f && f->type; f++) {
        if (f->type == STATE_SUB) {
            bool here = !f->table->needed || f->table->needed(obj);

            state_put_u8(w, here);
            if (here) {
                state_save(w, f->table, obj);
            }
        } else {
            save_elements(w, f, obj);
        }
    }
}

/* ---- load and check: one walk, with or without effect ---- */

typedef struct Walk {
    StateReader *r;
    bool apply;
    Error **errp;
} Walk;

static bool walk_table(Walk *k, const StateTable *t, void *obj);

static bool bad(Walk *k, const StateTable *t, const StateField *f, const char *what)
{
    return error_set(k->errp, "field '%s' of %s %s", f->name, t->name ? t->name : "state", what);
}

static void set_default(const StateField *f, void *obj)
{
    uint8_t *p = (uint8_t *)obj + f->offset;
    uint32_t n = f->num ? f->num : 1;

    if (f->type == STATE_BUFFER) {
        memset(p, (int)f->def, f->size);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            memcpy(p + (size_t)i * f->size, &f->def, f->size);
        }
    }
}

static bool value_valid(const StateField *f, const uint8_t *p)
{
    uint64_t v = 0;

    memcpy(&v, p, MIN(f->size, 8));
    return f->type == STATE_BOOLEAN ? v <= 1 : f->type != STATE_UINT || !f->max || v <= f->max;
}

/* Plain numbers and bytes: read n elements into place, or look at them and let go. */
static bool walk_plain(Walk *k, const StateTable *t, const StateField *f, void *obj, uint32_t n)
{
    uint8_t *p = k->apply ? state_base(f, obj) : NULL;
    size_t total = (size_t)n * f->size;
    const uint8_t *src = state_peek(k->r, total, k->errp);

    if (!src) {
        return false;
    }
    for (uint32_t i = 0; i < n && f->size <= 8; i++) {
        if (!value_valid(f, src + (size_t)i * f->size)) {
            return bad(k, t, f, "is out of its range");
        }
    }
    if (k->apply) {
        memcpy(p, src, total);
    }
    return true;
}

static bool walk_elements(Walk *k, const StateTable *t, const StateField *f, void *obj)
{
    uint32_t n = state_count(f, obj);
    uint8_t *p;

    if (f->num_by) {
        uint32_t have = n;

        if (!state_get_u32(k->r, &n, k->errp)) {
            return false;
        }
        if (f->num ? n > f->num : n != have) {
            return bad(k, t, f, "has another number of elements than this machine's");
        }
    }
    p = state_base(f, obj);
    for (uint32_t i = 0; i < n; i++) {
        if (f->type == STATE_INNER || f->type == STATE_INNER_PTR) {
            if (!walk_table(k, f->table, p + (size_t)i * f->size)) {
                return false;
            }
        } else if (f->type == STATE_SPECIAL) {
            void *field = p + (size_t)i * f->kind->size;

            if (!(k->apply ? f->kind->load(k->r, field, k->errp) : f->kind->check(k->r, k->errp))) {
                return false;
            }
        } else {
            return walk_plain(k, t, f, obj, n);
        }
    }
    return true;
}

static bool walk_sub(Walk *k, const StateField *f, void *obj)
{
    uint8_t here;

    if (!state_get_u8(k->r, &here, k->errp)) {
        return false;
    }
    if (here) {
        return walk_table(k, f->table, obj);
    }
    for (const StateField *g = f->table->fields; k->apply && g->type; g++) {
        if (state_field_plain(g)) {
            set_default(g, obj);
        }
    }
    return true;
}

static bool walk_table(Walk *k, const StateTable *t, void *obj)
{
    uint32_t version;

    if (!state_get_u32(k->r, &version, k->errp)) {
        return false;
    }
    if (version > state_version(t) || version < MAX(t->oldest, 1)) {
        return error_set(k->errp, "%s: version %" PRIu32 " was saved, this program reads %u to %u", t->name ? t->name : "state", version,
                         MAX(t->oldest, 1u), state_version(t));
    }
    for (const StateField *f = t->fields; f && f->type; f++) {
        bool ok = true;

        if (f->since > version) {
            if (k->apply && state_field_plain(f)) {
                set_default(f, obj);
            } else if (k->apply && f->type == STATE_SPECIAL && f->kind->reset) {
                f->kind->reset(state_base(f, obj));
            }
        } else if (f->type == STATE_SUB) {
            ok = walk_sub(k, f, obj);
        } else {
            ok = walk_elements(k, t, f, obj);
        }
        if (!ok) {
            return false;
        }
    }
    return !k->apply || !t->post_load || t->post_load(obj, k->errp);
}

/* The table's own cross-checks look at a copy that has the plain fields. */
static bool run_check(StateReader *r, const StateTable *t, size_t start, Error **errp)
{
    g_autofree void *copy = g_malloc0(t->obj_size);
    size_t end = state_tell(r);
    Walk k = { r, true, errp };
    uint32_t version;

    state_seek(r, start);
    state_get_u32(r, &version, NULL);
    for (const StateField *f = t->fields; f->type && state_field_plain(f) && !f->num_by; f++) {
        if (f->since <= version && !walk_plain(&k, t, f, copy, f->num ? f->num : 1)) {
            return false;
        }
    }
    state_seek(r, end);
    return t->check(copy, errp);
}

bool state_check(StateReader *r, const StateTable *t, const void *obj, Error **errp)
{
    Walk k = { r, false, errp };
    size_t start = state_tell(r);

    return walk_table(&k, t, (void *)obj) && (!t->check || run_check(r, t, start, errp));
}

bool state_load(StateReader *r, const StateTable *t, void *obj, Error **errp)
{
    Walk k = { r, true, errp };

    return walk_table(&k, t, obj);
}

/* ---- reset ---- */

void state_reset(const StateTable *t, void *obj)
{
    for (const StateField *f = t->fields; f && f->type; f++) {
        uint8_t *p;

        if (f->keep) {
            continue;
        }
        if (f->type == STATE_SUB) {
            state_reset(f->table, obj);
        } else if (state_field_plain(f)) {
            set_default(f, obj);
        } else if ((p = state_base(f, obj))) {
            uint32_t n = state_count(f, obj);

            for (uint32_t i = 0; i < n; i++) {
                if (f->type == STATE_SPECIAL && f->kind->reset) {
                    f->kind->reset(p + (size_t)i * f->kind->size);
                } else if (f->type == STATE_INNER || f->type == STATE_INNER_PTR) {
                    state_reset(f->table, p + (size_t)i * f->size);
                } else if (f->type == STATE_VBUFFER) {
                    p[i] = (uint8_t)f->def;
                }
            }
        }
    }
}
