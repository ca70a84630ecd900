/* SPDX-License-Identifier: MIT */
/* Timers of a loop: a binary heap, earliest deadline at heap[1]. */
#include "io/loop-priv.h"

#include <assert.h>

void loop_timer_init(LoopTimer *t, Loop *loop, LoopFn *fn, void *opaque)
{
    *t = (LoopTimer){ .loop = loop, .fn = fn, .opaque = opaque };
}

static void place(Loop *loop, unsigned slot, LoopTimer *t)
{
    loop->heap[slot] = t;
    t->slot = slot;
}

static void sift_up(Loop *loop, unsigned slot, LoopTimer *t)
{
    while (slot > 1 && loop->heap[slot / 2]->deadline > t->deadline) {
        place(loop, slot, loop->heap[slot / 2]);
        slot /= 2;
    }
    place(loop, slot, t);
}

static void sift_down(Loop *loop, unsigned slot, LoopTimer *t)
{
    while (slot * 2 <= loop->timers) {
        unsigned child = slot * 2;

        if (child < loop->timers && loop->heap[child + 1]->deadline < loop->heap[child]->deadline) {
            child++;
        }
        if (loop->heap[child]->deadline >= t->deadline) {
            break;
        }
        place(loop, slot, loop->heap[child]);
        slot = child;
    }
    place(loop, slot, t);
}

void loop_timer_at(LoopTimer *t, int64_t deadline)
{
    Loop *loop = t->loop;

    loop_timer_cancel(t);
    t->deadline = deadline;
    if (++loop->timers >= loop->heap_room) {
        loop->heap_room = loop->heap_room * 2 + 16;
        loop->heap = g_renew(LoopTimer *, loop->heap, loop->heap_room);
    }
    sift_up(loop, loop->timers, t);
}

void loop_timer_cancel(LoopTimer *t)
{
    Loop *loop = t->loop;
    unsigned slot = t->slot;
    LoopTimer *last;

    if (!slot) {
        return;
    }
    assert(loop->heap[slot] == t);
    t->slot = 0;
    last = loop->heap[loop->timers--];
    if (last == t) {
        return;
    }
    if (slot > 1 && loop->heap[slot / 2]->deadline > last->deadline) {
        sift_up(loop, slot, last);
    } else {
        sift_down(loop, slot, last);
    }
}

int64_t loop_timers_next(Loop *loop)
{
    return loop->timers ? loop->heap[1]->deadline : -1;
}

/* Those due now; what they arm for now waits for the next step. */
bool loop_timers_run(Loop *loop)
{
    int64_t now;
    unsigned budget = loop->timers;
    bool any = false;

    if (!budget) {
        return false;
    }
    now = loop_now();
    while (budget-- && loop->timers && loop->heap[1]->deadline <= now) {
        LoopTimer *t = loop->heap[1];

        loop_timer_cancel(t);
        t->fn(t->opaque);
        any = true;
    }
    return any;
}
