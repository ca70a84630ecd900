/* SPDX-License-Identifier: MIT */
#include "block/job/group.h"

#include <errno.h>

struct JobGroup {
    unsigned refs;
    GPtrArray *jobs;
    unsigned arrived[JOB_MEETS];
    bool failed, settled;
};

JobGroup *job_group_new(void)
{
    JobGroup *g = g_new0(JobGroup, 1);

    g->refs = 1;
    g->jobs = g_ptr_array_new();
    return g;
}

void job_group_unref(JobGroup *g)
{
    if (g && --g->refs == 0) {
        g_ptr_array_unref(g->jobs);
        g_free(g);
    }
}

void job_group_add(JobGroup *g, BlkJob *j)
{
    g_ptr_array_add(g->jobs, j);
    j->group = g;
    g->refs++;
}

void job_group_remove(BlkJob *j)
{
    if (j->group) {
        g_ptr_array_remove(j->group->jobs, j);
        job_group_unref(g_steal_pointer(&j->group));
    }
}

static void wake_all(JobGroup *g)
{
    for (unsigned i = 0; i < g->jobs->len; i++) {
        BlkJob *j = g->jobs->pdata[i];

        fiber_event_set(&j->decided);
        job_kick(j);
    }
}

static void fail(JobGroup *g)
{
    if (g->failed) {
        return;
    }
    g->failed = true;
    for (unsigned i = 0; i < g->jobs->len; i++) {
        BlkJob *j = g->jobs->pdata[i];

        if (j->result == 0) {
            j->cancelled = j->forced = true;
        }
    }
    wake_all(g);
}

void job_group_meet(BlkJob *j, JobMeet where)
{
    JobGroup *g = j->group;

    if (!g) {
        return;
    }
    if (j->result < 0) {
        fail(g);
    }
    if (++g->arrived[where] == g->jobs->len) {
        wake_all(g);
    }
    while (g->arrived[where] < g->jobs->len) {
        fiber_event_clear(&j->decided);
        fiber_event_wait(&j->decided);
        if (j->cancelled && j->result == 0) {
            j->result = -ECANCELED;
            fail(g);
        }
    }
    if (g->failed && j->result == 0) {
        j->result = -ECANCELED;
    }
}

GPtrArray *job_group_settle(BlkJob *j)
{
    JobGroup *g = j->group;
    GPtrArray *all = NULL;

    if (!g || !g->settled) {
        all = g_ptr_array_new();
        for (unsigned i = 0; i < (g ? g->jobs->len : 1); i++) {
            g_ptr_array_add(all, g ? g->jobs->pdata[i] : j);
        }
    }
    if (g) {
        g->settled = true;
    }
    return all;
}

void job_group_finalize(BlkJob *j)
{
    for (unsigned i = 0; j->group && i < j->group->jobs->len; i++) {
        BlkJob *other = j->group->jobs->pdata[i];

        other->finalizing = true;
        fiber_event_set(&other->decided);
    }
}
