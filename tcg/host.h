/* SPDX-License-Identifier: MIT */
/*
 * What a back end is, and the code memory it fills.  For tcg/ and its back ends only.
 *
 * Code memory is one reservation of a memfd mapped twice: `rx` runs, `rw` is
 * written.  Addresses that are kept are rx addresses; tcg_rw() gives the alias.
 * A context takes chunks of three kinds out of it: hot code, cold code, data
 * (links, side tables), so that data that is written later shares no page with code.
 */
#ifndef TCG_HOST_H
#define TCG_HOST_H

#include <glib.h>

#include "tcg/code.h"

typedef struct TcgArea { uint8_t *start, *p, *end; } TcgArea;       /* rw addresses of a chunk; [p, end) is free */
enum { TCG_HOT, TCG_COLD, TCG_DATA, TCG_AREAS };

struct TcgCode {
    const TcgHost *host;
    const TcgTarget *target;
    const TcgMemOps *mem;
    uint8_t *rx, *rw;
    size_t size, chunk, fixed;      /* `fixed` bytes at the start hold thunks and stay */
    unsigned nchunks;
    uint64_t next, oldest;          /* chunks [oldest, next) are taken, each at its number % nchunks; atomic */
    void *priv;                     /* the back end's */
};

struct TcgCtx {
    TcgCode *code;
    TcgArea area[TCG_AREAS];
    IrBlock *ir;
    void *priv;                     /* the back end's scratch */
};

struct TcgHost {
    const char *name;
    bool executes;                  /* needs executable memory */
    bool groups;                    /* accesses share TLB checks */
    bool (*usable)(void);
    void (*code_init)(TcgCode *c);  /* emit thunks; sets c->fixed */
    void (*code_done)(TcgCode *c);
    void (*ctx_init)(TcgCtx *x);
    void (*ctx_done)(TcgCtx *x);
    TcgCompiled (*compile)(TcgCtx *x, TcgBlock *tb);
    void (*link_set)(TcgCode *c, TcgLink *l, TcgBlock *to, uint64_t generation);
    void (*link_clear)(TcgCode *c, TcgLink *l);
    void (*kill)(TcgCode *c, TcgBlock *tb);
    void (*env_init)(TcgEnv *env, TcgCode *c);
    TcgExit (*enter)(TcgEnv *env, TcgCode *c, TcgBlock *tb);
    uint16_t (*restore)(TcgEnv *env, const TcgCode *c, const TcgBlock *tb, unsigned *ninsns);
    void (*dump)(FILE *f, const TcgBlock *tb);
};

extern const TcgHost tcg_host_interp;
#if defined(__x86_64__)
extern const TcgHost tcg_host_x86_64;
#endif

/* Room of at least n bytes (no more than a chunk) in an area; false: code memory is full. */
bool tcg_area_room(TcgCtx *x, unsigned kind, size_t n);
/* Take n bytes of the data area, aligned to 8. */
void *tcg_area_take(TcgCtx *x, size_t n);

static inline void *tcg_rw(const TcgCode *c, const void *rx)
{
    return c->rw + ((const uint8_t *)rx - c->rx);
}

static inline void *tcg_rx(const TcgCode *c, const void *rw)
{
    return c->rx + ((const uint8_t *)rw - c->rw);
}

bool tcg_feature(const char *name, bool have);

/* Data cells of a cross-page link. */
typedef struct TcgCells {
    uint64_t gen[2];                /* 0: empty */
    const void *host[2];
    const void *token, *confirmed;  /* NULL: none; see tcg_link_confirm() */
    uint32_t next;                  /* way to be replaced next */
} TcgCells;
void tcg_cells_set(TcgCells *cells, const void *host, uint64_t generation);
void tcg_cells_clear(TcgCells *cells);

static inline bool tcg_disp_same_page(int64_t disp)
{
    return disp >= 0 && disp < 4096;
}

#endif
