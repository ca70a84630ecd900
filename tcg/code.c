/* SPDX-License-Identifier: MIT */
/* Code memory, and the way from the public calls to the back end. */
#include "tcg/code.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tcg/host.h"

static const TcgHost *const hosts[] = {
#if defined(__x86_64__)
    &tcg_host_x86_64,
#endif
    &tcg_host_interp,
};

static char features_off[256] = ",", features_only[256];

const TcgHost *tcg_host_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(hosts); i++) {
        if ((!name || !strcmp(hosts[i]->name, name)) && hosts[i]->usable()) {
            return hosts[i];
        }
    }
    return NULL;
}

const char *tcg_host_name(const TcgHost *h)
{
    return h->name;
}

void tcg_host_disable(const char *feature)
{
    assert(strlen(features_off) + strlen(feature) + 2 < sizeof(features_off));
    g_strlcat(features_off, feature, sizeof(features_off));
    g_strlcat(features_off, ",", sizeof(features_off));
}

void tcg_host_pretend(const char *features)
{
    assert(strlen(features) + 3 < sizeof(features_only));
    g_snprintf(features_only, sizeof(features_only), ",%s,", features);
}

bool tcg_feature(const char *name, bool have)
{
    g_autofree char *word = g_strdup_printf(",%s,", name);

    return features_only[0] ? strstr(features_only, word) != NULL : have && !strstr(features_off, word);
}

/* ---- code memory ---- */

enum { CHUNK_MIN = 64 << 10, CHUNK_MAX = 2 << 20, CHUNKS_MIN = 16, CHUNKS_LIKED = 512, FIXED_ROOM = 64 << 10 };

static bool map_twice(TcgCode *c)
{
    int fd = memfd_create("rhea-code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)c->size) < 0) {
        return false;
    }
    c->rw = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    c->rx = mmap(NULL, c->size, PROT_READ | (c->host->executes ? PROT_EXEC : 0), MAP_SHARED, fd, 0);
    close(fd);
    return c->rw != MAP_FAILED && c->rx != MAP_FAILED;
}

TcgCode *tcg_code_new(const TcgHost *h, const TcgTarget *t, size_t bytes)
{
    TcgCode *c = g_new0(TcgCode, 1);
    size_t chunk = bytes / CHUNKS_LIKED & ~(size_t)4095;

    c->host = h;
    c->target = t;
    c->chunk = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    c->size = bytes < CHUNKS_MIN * c->chunk ? CHUNKS_MIN * c->chunk : bytes;
    c->size = (c->size + FIXED_ROOM + 4095) & ~(size_t)4095;
    if (!map_twice(c)) {
        g_free(c);
        return NULL;
    }
    h->code_init(c);
    c->fixed = (c->fixed + 4095) & ~(size_t)4095;
    assert(c->fixed <= FIXED_ROOM);
    c->nchunks = (unsigned)((c->size - c->fixed) / c->chunk);
    return c;
}

void tcg_code_free(TcgCode *c)
{
    if (c) {
        c->host->code_done(c);
        munmap(c->rw, c->size);
        munmap(c->rx, c->size);
        g_free(c);
    }
}

uint64_t tcg_code_oldest(const TcgCode *c)
{
    return __atomic_load_n(&c->oldest, __ATOMIC_ACQUIRE);
}

uint64_t tcg_code_next(const TcgCode *c)
{
    return __atomic_load_n(&c->next, __ATOMIC_ACQUIRE);
}

unsigned tcg_code_chunks(const TcgCode *c)
{
    return c->nchunks;
}

bool tcg_code_groups(const TcgCode *c)
{
    return c->host->groups;
}

size_t tcg_code_used(const TcgCode *c)
{
    return c->fixed + (size_t)(tcg_code_next(c) - tcg_code_oldest(c)) * c->chunk;
}

uint64_t tcg_code_chunk_of(const TcgCode *c, const void *p)
{
    const uint8_t *at = p, *base = at >= c->rx && at < c->rx + c->size ? c->rx : c->rw;
    uint64_t oldest = tcg_code_oldest(c), place = (uint64_t)(at - base - c->fixed) / c->chunk;

    assert(at >= base + c->fixed && place < c->nchunks);
    return oldest + (place + c->nchunks - oldest % c->nchunks) % c->nchunks;
}

void tcg_code_evict(TcgCode *c)
{
    assert(tcg_code_oldest(c) < tcg_code_next(c));
    __atomic_add_fetch(&c->oldest, 1, __ATOMIC_RELEASE);
}

void tcg_code_reset(TcgCode *c)
{
    __atomic_store_n(&c->oldest, tcg_code_next(c), __ATOMIC_RELEASE);
}

static bool take_chunk(TcgCode *c, TcgArea *a)
{
    uint64_t n = tcg_code_next(c);

    do {
        if (n - tcg_code_oldest(c) >= c->nchunks) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(&c->next, &n, n + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    a->start = a->p = c->rw + c->fixed + n % c->nchunks * c->chunk;
    a->end = a->p + c->chunk;
    return true;
}

bool tcg_area_room(TcgCtx *x, unsigned kind, size_t n)
{
    TcgArea *a = &x->area[kind];

    assert(n <= x->code->chunk);
    return (size_t)(a->end - a->p) >= n || take_chunk(x->code, a);
}

void *tcg_area_take(TcgCtx *x, size_t n)
{
    TcgArea *a = &x->area[TCG_DATA];
    uint8_t *p = a->p;

    n = (n + 7) & ~(size_t)7;
    assert((size_t)(a->end - p) >= n);
    a->p += n;
    return p;
}

bool tcg_code_contains(const TcgCode *c, const void *host)
{
    const uint8_t *p = host;

    return p >= c->rx && p < c->rx + c->size;
}

/* ---- contexts ---- */

TcgCtx *tcg_ctx_new(TcgCode *c)
{
    TcgCtx *x = g_new0(TcgCtx, 1);

    x->code = c;
    x->ir = g_new0(IrBlock, 1);
    c->host->ctx_init(x);
    return x;
}

void tcg_ctx_free(TcgCtx *x)
{
    if (x) {
        x->code->host->ctx_done(x);
        g_free(x->ir);
        g_free(x);
    }
}

void tcg_ctx_reset(TcgCtx *x)
{
    memset(x->area, 0, sizeof(x->area));
}

void tcg_ctx_evicted(TcgCtx *x)
{
    for (unsigned k = 0; k < TCG_AREAS; k++) {
        TcgArea *a = &x->area[k];

        if (a->start && tcg_code_chunk_of(x->code, a->start) >= tcg_code_next(x->code)) {
            *a = (TcgArea){};
        }
    }
}

IrBlock *tcg_ctx_ir(TcgCtx *x)
{
    return x->ir;
}

TcgCompiled tcg_compile(TcgCtx *x, TcgBlock *tb)
{
    tb->page_off = x->ir->page_off;
    tb->guest_bytes = x->ir->code_bytes;
    tb->ninsns = x->ir->ninsns;
    return x->code->host->compile(x, tb);
}

/* ---- links ---- */

enum { RESTLESS = 8 };

void tcg_cells_set(TcgCells *cells, const void *host, uint64_t generation)
{
    unsigned way = cells->gen[0] == generation ? 0 : cells->gen[1] == generation ? 1 : cells->next++ & 1;

    /* a reader that sees the new generation must see its host: empty, fill, publish */
    __atomic_store_n(&cells->gen[way], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->host[way], host, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->gen[way], generation, __ATOMIC_SEQ_CST);
}

bool tcg_link_restless(const TcgLink *l)
{
    return ((const TcgCells *)l->site)->next >= RESTLESS;
}

void tcg_link_confirm(TcgLink *l, const TcgBlock *to, const void *token)
{
    TcgCells *cells = l->site;

    __atomic_store_n(&cells->token, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->confirmed, to->entry, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->token, token, __ATOMIC_SEQ_CST);
}

void tcg_cells_clear(TcgCells *cells)
{
    __atomic_store_n(&cells->token, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->gen[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cells->gen[1], 0, __ATOMIC_SEQ_CST);
}

void tcg_link_set(TcgCode *c, TcgLink *l, TcgBlock *to, uint64_t generation)
{
    if (l->cross_page) {
        tcg_cells_set(l->site, to->entry, generation);
    } else {
        __atomic_store_n(&l->to, to, __ATOMIC_RELEASE);
        c->host->link_set(c, l, to, generation);
    }
}

void tcg_link_clear(TcgCode *c, TcgLink *l)
{
    if (l->cross_page) {
        tcg_cells_clear(l->site);
    } else {
        __atomic_store_n(&l->to, NULL, __ATOMIC_RELEASE);
        c->host->link_clear(c, l);
    }
}

void tcg_block_kill(TcgCode *c, TcgBlock *tb)
{
    __atomic_store_n(&tb->dead, true, __ATOMIC_RELEASE);
    c->host->kill(c, tb);
}

/* ---- running ---- */

void tcg_code_set_mem_ops(TcgCode *c, const TcgMemOps *ops)
{
    c->mem = ops;
}

const TcgMemOps *tcg_code_mem_ops(const TcgCode *c)
{
    return c->mem;
}

void tcg_env_init(TcgEnv *env, TcgCode *c)
{
    if (!env->guest_mxcsr) {
        env->guest_mxcsr = 0x1f80;
    }
    c->host->env_init(env, c);
    tcg_env_flush_ring(env);
}

void tcg_env_flush_ring(TcgEnv *env)
{
    for (unsigned i = 0; i < RING_SIZE; i++) {
        env->ring[i].key = UINT64_MAX;
        env->ring[i].host = env->thunk[0];      /* the guest may return to that address: dispatch */
    }
}

TcgExit tcg_enter(TcgEnv *env, TcgCode *c, TcgBlock *tb)
{
    return c->host->enter(env, c, tb);
}

uint16_t tcg_restore(TcgEnv *env, const TcgCode *c, const TcgBlock *tb, unsigned *ninsns)
{
    uint16_t word = c->host->restore(env, c, tb, ninsns);

    env->fault_ra = NULL;
    return word;
}

void tcg_dump_host(FILE *f, const TcgHost *h, const TcgBlock *tb)
{
    if (f) {
        h->dump(f, tb);
    }
}
