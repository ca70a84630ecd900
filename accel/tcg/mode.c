/* SPDX-License-Identifier: MIT */
/* The current mode: block key, contexts, dispatch cache; looked up again when the front end says that it may have changed. */
#include <string.h>

#include "accel/tcg/tcg-priv.h"

static JumpTable *jump_table_new(uint64_t key)
{
    JumpTable *j = g_new(JumpTable, 1);

    j->key = key;
    j->nfilled = 0;
    memset(j->entry, 0xff, sizeof(j->entry));
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
        return c->jump[i] = jump_table_new(key);
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
    j = mode_jump_table(v->ctx[0]->x, v->key);
    if (j != v->jump) {
        v->jump = j;
        tcg_env_flush_ring(env);
    }
    env->jump = j->entry;
    env->generation = v->ctx[0]->x->generation;
}
