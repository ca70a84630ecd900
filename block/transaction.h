/* SPDX-License-Identifier: MIT */
/* What the actions of a transaction share: one drain, one change of the graph. */
#ifndef BLOCK_TRANSACTION_H
#define BLOCK_TRANSACTION_H

#include "block/cmd-priv.h"
#include "block/graph.h"
#include "block/job/group.h"

typedef struct Transaction {
    Session *session;
    BlkGraph *graph;        /* steps are added in prepare(), and blk_graph_apply() asks whether they may be */
    JobGroup *group;        /* of the jobs that are made; NULL: each ends by itself */
} Transaction;

#endif
