/* SPDX-License-Identifier: MIT */
/*
 * Changing the graph of nodes while disks are in use.
 *
 * A change is prepared edge by edge and then committed as a whole: permissions
 * and host locks of every node are asked for as they would be afterwards, and
 * either all of it happens or nothing.  From begin to end no request of any
 * user is in flight; requests that arrive wait.  Requests that nodes make of
 * each other within a user's request (a filter that copies) end with it, and a
 * job counts each piece of work as one request of its own handle: so every
 * drain ends.
 *
 * Main thread, in a fiber, with session_lock() held.
 */
#ifndef BLOCK_GRAPH_H
#define BLOCK_GRAPH_H

#include "block/driver.h"

/* ---- drain of a session: all handles that there are at the beginning ---- */
typedef struct BlkDrain BlkDrain;
BlkDrain *blk_drain_session(Session *s);
void blk_undrain(BlkDrain *d);

/* ---- a change ---- */
typedef struct BlkGraph BlkGraph;
BlkGraph *blk_graph_begin(Session *s);
/* The edge leads to `to` from now on. */
void blk_graph_move(BlkGraph *g, BlkChild *c, BlkNode *to);
/* All edges that lead to `from` lead to `to`, but those of `to` itself and of handles that are pinned. */
void blk_graph_replace(BlkGraph *g, BlkNode *from, BlkNode *to);
/* A new child, or NULL: none in this role any more. */
void blk_graph_set_backing(BlkGraph *g, BlkNode *n, BlkNode *backing);
void blk_graph_attach(BlkGraph *g, BlkNode *n, BlkNode *child, const char *name, BlkRole role);
void blk_graph_detach(BlkGraph *g, BlkChild *c);
/* Ends the change and the drain. False: refused, all is as before. */
bool blk_graph_commit(BlkGraph *g, Error **errp);
void blk_graph_abort(BlkGraph *g);
/* Without the end of the drain: several changes as one transaction.  _apply may be followed by _abort, which takes it back. */
bool blk_graph_apply(BlkGraph *g, Error **errp);
void blk_graph_finish(BlkGraph *g);

/* Is `below` the node itself or anywhere below it? */
bool blk_graph_reaches(const BlkNode *n, const BlkNode *below);
/* The node below in the chain: backing, or what a filter looks at; NULL at the end. */
BlkNode *blk_node_below(const BlkNode *n);
/* Past filters: the node that has data. */
BlkNode *blk_node_skip_filters(BlkNode *n);
/* The node whose chain child is n, below top (or top's handle); NULL if there is none. */
BlkNode *blk_node_overlay_of(BlkNode *top, const BlkNode *n);

/* What permissions an edge would need: asked for by handles on nodes, not moved by blk_graph_replace. */
void blk_pin(Blk *b);
/* Switch a node and the files that it writes to between reading and writing; refused while somebody writes or must. */
bool blk_node_set_read_only(BlkNode *n, bool read_only, Error **errp);

#endif
