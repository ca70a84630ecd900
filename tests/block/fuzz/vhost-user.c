/* SPDX-License-Identifier: MIT */
/*
 * A hostile front end of the vhost-user-blk export: messages, rings of both kinds, requests.
 *
 * The input is a script, a letter and its arguments each; an argument counts
 * from 'a' (any other byte counts for itself), so that seeds can be typed:
 *   F BITS             features: 1 event index, 2 indirect, 4 packed
 *   M SIZE             memory, of SIZE eighths
 *   Q NUM BASE         a queue of NUM descriptors, that begins at BASE, starts
 *   d SLOT OFF N FLAGS a descriptor (FLAGS: 1 next, 2 write, 4 indirect, 8 available when packed)
 *   r OFF TYPE SECTOR  head of a request        o HEAD    offer it (split)       k    kick
 *   w OFF N bytes      bytes into the memory
 *   m REQ FDS N bytes  a message as it is, with FDS descriptors
 *   x                  this front end is gone, the next one comes
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "block/drive.h"
#include "block/export/vhost-priv.h"
#include "io/socket.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE = 1 << 16, AVAIL = 0x1000, USED = 0x2000 };
#define GPA 0x40000000ull
#define UADDR 0x7f1200000000ull

typedef struct {
    const uint8_t *p, *end;
    const char *name;
    Loop *loop;
    VhostExport *x;
    int fd, kick, memory;
    uint8_t *m;
    uint16_t avail;
} Front;

static uint8_t arg(Front *f)
{
    uint8_t b = f->p < f->end ? *f->p++ : 0;

    return b >= 'a' ? b - 'a' : b;
}

/* Until the export has read all that was said, or has gone. */
static void settle(Front *f)
{
    char waste[8192];

    for (unsigned idle = 0; idle < 3 && f->x->fd >= 0;) {
        bool heard = recv(f->fd, waste, sizeof(waste), MSG_DONTWAIT) > 0;

        idle = loop_step(f->loop, false) || heard ? 0 : idle + 1;
    }
}

static void connect_to(Front *f)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(a.sun_path + 1, f->name);
    if (connect(f->fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(f->name))) < 0) {
        abort();
    }
    while (f->x->fd < 0) {
        loop_step(f->loop, true);
    }
}

static void leave(Front *f)
{
    close(f->fd);
    while (f->x->fd >= 0) {
        loop_step(f->loop, true);
    }
}

static void say(Front *f, uint32_t request, const void *data, uint32_t n, const int *fds, unsigned nfds)
{
    uint32_t head[3] = { request, 1, n };
    struct iovec iov[2] = { { head, sizeof(head) }, { (void *)data, n } };

    socket_send_fds(f->fd, iov, n ? 2 : 1, fds, nfds);
    settle(f);
}

static void say_u64(Front *f, uint32_t request, uint64_t v)
{
    say(f, request, &v, sizeof(v), NULL, 0);
}

static void start_queue(Front *f)
{
    uint32_t num[2] = { 0, arg(f) }, base[2] = { 0, arg(f) }, enable[2] = { 0, 1 };
    struct { uint32_t queue, flags; uint64_t desc, used, avail, log; } addr = { 0, 0, UADDR, UADDR + USED, UADDR + AVAIL, 0 };
    uint64_t none = 0;

    base[1] = base[1] & 0x40 ? 0x80008000u | (base[1] & 0x3f) * 0x10001u : base[1];
    say(f, 8, num, sizeof(num), NULL, 0);
    say(f, 10, base, sizeof(base), NULL, 0);
    say(f, 9, &addr, sizeof(addr), NULL, 0);
    say(f, 13, &none, sizeof(none), &f->kick, 1);
    say(f, 12, &none, sizeof(none), &f->kick, 1);
    say(f, 18, enable, sizeof(enable), NULL, 0);
}

static void descriptor(Front *f)
{
    uint16_t slot = arg(f), flags;
    uint64_t addr = GPA + arg(f) * 0x100ull;
    uint32_t n = arg(f) * 16u;
    uint8_t how = arg(f);

    flags = (how & 7) | (how & 8 ? 1 << 7 : 0) | (how & 16 ? 1 << 15 : 0);
    n = n == 255 * 16 ? UINT32_MAX : n / 16 == 25 ? 1 : n;
    memcpy(f->m + slot * 16, &addr, 8);
    memcpy(f->m + slot * 16 + 8, &n, 4);
    memcpy(f->m + slot * 16 + 12, how & 8 ? &flags : &slot, 2);
    slot++;
    memcpy(f->m + slot * 16 - 4, &slot, 2);                 /* packed: its id; split: flags and next the other way round */
    memcpy(f->m + slot * 16 - 2, &flags, 2);
    if (!(how & 8)) {
        memcpy(f->m + slot * 16 - 4, &flags, 2);
        memcpy(f->m + slot * 16 - 2, &slot, 2);
    }
}

static void head(Front *f)
{
    unsigned at = arg(f) * 0x100u;
    uint32_t type = arg(f);
    uint64_t sector = arg(f);

    sector = sector == 255 ? UINT64_MAX / 512 : sector;
    memset(f->m + at, 0, 16);
    memcpy(f->m + at, &type, 4);
    memcpy(f->m + at + 8, &sector, 8);
}

static void offer(Front *f)
{
    uint16_t h = arg(f);

    memcpy(f->m + AVAIL + 4 + f->avail++ % 64 * 2, &h, 2);
    memcpy(f->m + AVAIL + 2, &f->avail, 2);
}

static void raw(Front *f)
{
    uint8_t request = arg(f), nfds = arg(f) % 4, n = arg(f);
    const int fds[4] = { f->kick, f->memory, f->fd, f->kick };
    uint8_t data[256];

    n = MIN(n, f->end - f->p);
    memcpy(data, f->p, n);
    f->p += n;
    say(f, request, data, n, fds, nfds);
}

static void bytes(Front *f)
{
    unsigned at = arg(f) * 16u, n = arg(f);

    n = MIN(n, f->end - f->p);
    memcpy(f->m + at, f->p, n);
    f->p += n;
}

static void step(Front *f)
{
    uint64_t table[5] = { 1, GPA, 0, UADDR, 0 }, one = 1;
    uint8_t a;

    switch (*f->p++) {
    case 'F':
        a = arg(f);
        say_u64(f, 16, 1 << 3 | 1 << 9 | 1);
        say_u64(f, 2, 1ull << 32 | 1ull << 30 | (a & 1 ? 1ull << 29 : 0) | (a & 2 ? 1ull << 28 : 0) | (a & 4 ? 1ull << 34 : 0));
        return;
    case 'M':
        table[2] = arg(f) * (SIZE / 8ull);
        say(f, 5, table, sizeof(table), &f->memory, 1);
        return;
    case 'Q':
        start_queue(f);
        return;
    case 'd':
        descriptor(f);
        return;
    case 'r':
        head(f);
        return;
    case 'o':
        offer(f);
        return;
    case 'k':
        if (write(f->kick, &one, sizeof(one)) < 0 && errno != EAGAIN) {
            abort();
        }
        settle(f);
        return;
    case 'w':
        bytes(f);
        return;
    case 'm':
        raw(f);
        return;
    case 'x':
        leave(f);
        connect_to(f);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *name = g_strdup_printf("fuzz-vhost-%d", getpid()), *opts = NULL;
    Front f = { .p = data, .end = data + size, .name = name, .kick = eventfd(0, EFD_NONBLOCK), .memory = memfd_create("guest", MFD_CLOEXEC) };
    Session *session;
    Export *e;

    f.loop = loop_new("fuzz");
    loop_attach(f.loop);
    session = session_new();
    opts = g_strdup_printf("{'type': 'vhost-user-blk', 'id': 'e', 'node-name': 'n', 'writable': true, 'addr': {'type': 'unix', 'path': '@%s'}}", name);
    if (ftruncate(f.memory, SIZE) < 0 || !blockdev_add(session, "null-co,node-name=n,size=128k,read-zeroes=on", NULL)) {
        abort();
    }
    f.m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.memory, 0);
    {
        g_autoptr(Json) o = json_parse(opts, strlen(opts), NULL);

        e = export_add(session, o, NULL);
    }
    if (!e || f.m == MAP_FAILED) {
        abort();
    }
    f.x = e->state;
    connect_to(&f);
    for (unsigned n = 0; f.p < f.end && n < 200; n++) {
        step(&f);
        if (f.x->fd < 0) {                  /* it was left */
            close(f.fd);
            connect_to(&f);
        }
    }
    leave(&f);
    session_free(session);
    loop_attach(NULL);
    loop_free(f.loop);
    munmap(f.m, SIZE);
    close(f.memory);
    close(f.kick);
    return 0;
}
