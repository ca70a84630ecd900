/* SPDX-License-Identifier: MIT */
/* The current mode: block key, contexts, dispatch cache; looked up again when the front end says that it may have changed. */
#include "accel/tcg/tcg-priv.h"

static const TcgFetch no_fetch[FETCH_SIZE];            /* page 0 with a token that no link has */

static void set_init(JumpSet *s)
{
    s->nfilled = 0;
    jump_clear(s->entry);
}

static void table_split(JumpTable *j)
{
    for (unsigned i = 0; i < 2; i++) {
        j->landing[i] = g_new(JumpSet, 1);
        set_init(j->landing[i]);
    }
}

static JumpTable *jump_table_new(uint64_t key, bool guarded)
{
    JumpTable *j = g_new(JumpTable, 1);

    j->key = key;
    set_init(&j->plain);
    j->landing[0] = j->landing[1] = NULL;
    if (guarded) {
        table_split(j);
    }
    return j;
}

JumpTable *mode_jump_table(Exec *c, uint64_t key)
{
    JumpTable *j;
    unsigned i;

    for (i = 0; i < CTX_JUMPS && c->jump[i]; i++) {
        if (c->jump[i]->key == key) {
            return c->jump[i];
        }
    }
    if (i < CTX_JUMPS) {
        return c->jump[i] = jump_table_new(key, c->guarded);
    }
    j = c->jump[c->jump_next++ % CTX_JUMPS];
    jump_forget(j);
    j->key = key;
    return j;
}

void mode_update(TcgVcpu *v)
{
    TcgEnv *env = v->env;
    Cpu *cpu = v->cpu;
    JumpTable *j;

    v->count.modes++;
    v->key = v->ops->block_key(cpu);
    for (unsigned i = 0; i < v->ops->nmmu; i++) {
        uint64_t key = v->ops->context_key(cpu, i);

        if (!v->ctx[i] || v->ctx[i]->key != key || v->ctx[i]->seq != v->seq || v->ctx[i]->x->seq != v->seq) {
            v->ctx[i] = ctx_get(v, key);
            env->tlb[i] = &v->ctx[i]->fast;
        }
    }
    if (G_UNLIKELY(v->ctx[0]->x->check)) {
        exec_check(v);
    }
    j = mode_jump_table(v->ctx[0]->x, v->key);
    if (j != v->jump) {
        v->jump = j;
        tcg_env_flush_ring(env);
    }
    env->jump = j->plain.entry;
    env->landing_jump[0] = j->landing[0] ? j->landing[0]->entry : env->jump;
    env->landing_jump[1] = j->landing[1] ? j->landing[1]->entry : env->jump;
    env->generation = v->ctx[0]->x->generation;
    env->fetch = v->ctx[0]->x->fetch ? v->ctx[0]->x->fetch : no_fetch;
}

/* What `plain` serves so far lies on pages that are not guarded; which jumps may reach it is the same for all kinds. */
void mode_guarded(TcgVcpu *v, Exec *x)
{
    x->guarded = true;
    for (unsigned i = 0; i < CTX_JUMPS && x->jump[i]; i++) {
        table_split(x->jump[i]);
    }
    mode_update(v);
}
