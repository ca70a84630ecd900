/* SPDX-License-Identifier: MIT */
/*
 * Lines of the machine protocol to a session with disks: "b" of zeroes, "q" a
 * qcow2 image with a snapshot and a bitmap over "m", "t" throttled.  Nodes are added, opened again and
 * removed, jobs and transactions run; at the end all is taken down at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/drive.h"
#include "block/driver.h"
#include "block/job/job.h"
#include "io/object.h"
#include "io/qmp.h"
#include "tests/block/fuzz/outside.h"
#include "tests/block/images.h"
#include "tests/fuzz/fuzz.h"

enum { LINES_MAX = 40, STEPS = 60 };

static const char *const templates[] = {
    "{'execute':'blockdev-add','arguments':{'driver':'null-co','node-name':'n','size':1048576,'read-zeroes':true}}",
    "{'execute':'blockdev-add','arguments':{'driver':'raw','node-name':'r','file':'b','offset':512,'size':65536}}",
    "{'execute':'blockdev-add','arguments':{'driver':'copy-on-read','node-name':'c','file':'q'}}",
    "{'execute':'blockdev-add','arguments':{'driver':'quorum','node-name':'u','vote-threshold':1,'children':['b','n']}}",
    "{'execute':'blockdev-add','arguments':{'driver':'throttle','node-name':'t','throttle-group':'g','file':'q'}}",
    "{'execute':'blockdev-add','arguments':{'driver':'blkdebug','node-name':'d','image':'b','inject-error':[{'event':'none','iotype':'read','once':true}]}}",
    "{'execute':'blockdev-del','arguments':{'node-name':'n'}}",
    "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'qcow2','node-name':'q','file':'m','read-only':true}]}}",
    "{'execute':'blockdev-reopen','arguments':{'options':[{'driver':'raw','node-name':'r','file':'n'},{'driver':'throttle','node-name':'t','throttle-group':'g','file':'b'}]}}",
    "{'execute':'block-dirty-bitmap-add','arguments':{'node':'q','name':'x','granularity':512,'persistent':true}}",
    "{'execute':'block-dirty-bitmap-remove','arguments':{'node':'q','name':'b'}}",
    "{'execute':'block-dirty-bitmap-clear','arguments':{'node':'q','name':'b'}}",
    "{'execute':'block-dirty-bitmap-disable','arguments':{'node':'q','name':'b'}}",
    "{'execute':'block-dirty-bitmap-merge','arguments':{'node':'q','target':'x','bitmaps':['b',{'node':'b','name':'y'}]}}",
    "{'execute':'transaction','arguments':{'actions':[{'type':'block-dirty-bitmap-add','data':{'node':'b','name':'y'}},{'type':'blockdev-backup','data':{'device':'b','target':'n','sync':'full','job-id':'j'}},{'type':'abort','data':{}}]}}",
    "{'execute':'transaction','arguments':{'actions':[{'type':'blockdev-snapshot','data':{'node':'b','overlay':'n'}},{'type':'block-dirty-bitmap-clear','data':{'node':'q','name':'b'}}],'properties':{'completion-mode':'grouped'}}}",
    "{'execute':'blockdev-mirror','arguments':{'device':'q','target':'b','sync':'full','job-id':'j'}}",
    "{'execute':'blockdev-backup','arguments':{'device':'q','target':'b','sync':'incremental','bitmap':'b','job-id':'k'}}",
    "{'execute':'block-stream','arguments':{'device':'q','job-id':'j'}}",
    "{'execute':'block-commit','arguments':{'device':'q','job-id':'j','top-node':'q','base-node':'b'}}",
    "{'execute':'job-pause','arguments':{'id':'j'}}", "{'execute':'job-resume','arguments':{'id':'j'}}", "{'execute':'job-cancel','arguments':{'id':'j'}}",
    "{'execute':'job-complete','arguments':{'id':'j'}}", "{'execute':'job-finalize','arguments':{'id':'j'}}", "{'execute':'job-dismiss','arguments':{'id':'j'}}",
    "{'execute':'block-job-cancel','arguments':{'device':'j','force':true}}", "{'execute':'block-job-set-speed','arguments':{'device':'j','speed':1000}}",
    "{'execute':'block_resize','arguments':{'node-name':'q','size':131072}}",
    "{'execute':'blockdev-snapshot-internal-sync','arguments':{'device':'q','name':'i'}}",
    "{'execute':'blockdev-snapshot-delete-internal-sync','arguments':{'device':'q','name':'s'}}",
    "{'execute':'change-backing-file','arguments':{'device':'q','image-node-name':'q','backing-file':'x'}}",
    "{'execute':'x-blockdev-change','arguments':{'parent':'u','child':'children.0'}}",
    "{'execute':'blockdev-create','arguments':{'job-id':'j','options':{'driver':'qcow2','file':'b','size':65536}}}",
    "{'execute':'object-add','arguments':{'qom-type':'throttle-group','id':'h','limits':{'iops-total':100}}}",
    "{'execute':'query-named-block-nodes'}", "{'execute':'query-block-jobs'}", "{'execute':'query-jobs'}", "{'execute':'query-block'}", "{'execute':'query-blockstats','arguments':{'query-nodes':true}}",
};

static size_t put_template(uint8_t *at, size_t room, unsigned n)
{
    size_t len = strlen(templates[n]);

    if (len + 1 > room) {
        return 0;
    }
    memcpy(at, templates[n], len);
    at[len] = '\n';
    return len + 1;
}

/* One in four puts a whole line behind another. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t tail[1 << 16];
    const uint8_t *line;
    size_t at, more;

    if (seed % 4 || size > max || size > sizeof(tail)) {
        return LLVMFuzzerMutate(data, size, max);
    }
    line = size ? memchr(data + seed / 4 % size, '\n', size - seed / 4 % size) : NULL;
    at = line ? (size_t)(line + 1 - data) : size;
    memcpy(tail, data + at, size - at);
    more = put_template(data + at, max - size, seed / 64 % G_N_ELEMENTS(templates));
    memcpy(data + at + more, tail, size - at);
    return size + more;
}

static void heard(void *opaque, const char *text, size_t len)
{
    Json *j = json_parse(text, len, NULL);

    if (!j) {
        abort();
    }
    json_unref(j);
}

static bool disks(Session *s)
{
    static const char *const nodes[] = {
        "{\"driver\": \"null-co\", \"node-name\": \"b\", \"size\": 262144, \"read-zeroes\": true}", "{\"driver\": \"test-bytes\", \"node-name\": \"m\"}",
        "{\"driver\": \"qcow2\", \"node-name\": \"q\", \"file\": \"m\", \"backing\": null}",
    };
    bool ok = session_object_parse(s, "throttle-group,id=g,x-iops-total=1000000", NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(nodes); i++) {
        ok = ok && blockdev_add(s, nodes[i], NULL);
    }
    return ok;
}

static void say(Qmp *q, Loop *loop, const char *line)
{
    g_autoptr(Json) j = json_parse(line, strlen(line), NULL);

    if (j && reaches_outside(j)) {
        return;
    }
    qmp_feed(q, line, strlen(line));
    for (unsigned i = 0; i < STEPS; i++) {
        loop_step(loop, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", LINES_MAX);
    const GByteArray *good;
    Loop *loop = loop_new("fuzz");
    Session *s;
    Qmp *q;
    QmpHost host = { .version = "8.2.0", .package = "", .write = heard };

    if (chdir("/proc/self") < 0) {              /* no file can be made here by a name that has no slash */
        abort();
    }
    loop_attach(loop);
    good = image_good(image_row('Q'));
    memdisk_set(good->data, good->len);
    host.session = s = session_new();
    if (!disks(s)) {
        abort();
    }
    q = qmp_new(&host);
    qmp_connected(q);
    say(q, loop, "{'execute':'qmp_capabilities'}");
    for (char **l = lines; *l; l++) {
        say(q, loop, *l);
    }
    qmp_free(q);
    jobs_end(s);                                /* as programs do */
    session_free(s);
    memdisk_clear();
    loop_attach(NULL);
    loop_free(loop);
    return 0;
}
