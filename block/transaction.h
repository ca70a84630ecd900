/* SPDX-License-Identifier: MIT */
/* What the actions of a transaction share: one drain, one change of the graph. */
#ifndef BLOCK_TRANSACTION_H
#define BLOCK_TRANSACTION_H

#include "block/cmd-priv.h"
#include "block/graph.h"

typedef struct Transaction {
    Session *session;
    BlkGraph *graph;        /* steps are added in prepare(), and blk_graph_apply() asks whether they may be */
} Transaction;

#endif
