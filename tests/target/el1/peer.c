/* SPDX-License-Identifier: MIT */
#include "tests/target/el1/peer.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 0x8000 };        /* bytes of memory per packet */

struct Peer {
    pid_t pid;
    int fd;
    char *dir;
    GString *out;               /* not sent yet */
    GString *in;
    gsize used;                 /* of `in` */
    GHashTable *regs;
};

static G_GNUC_NORETURN void lost(const char *what)
{
    fprintf(stderr, "the other emulator: %s: %s\n", what, errno ? g_strerror(errno) : "ended");
    exit(2);
}

/* ---- packets ---- */

static void put(Peer *p, const char *text)
{
    uint8_t sum = 0;

    for (const char *c = text; *c; c++) {
        sum += (uint8_t)*c;
    }
    g_string_append_printf(p->out, "$%s#%02x", text, sum);
}

static void flush(Peer *p)
{
    for (gsize at = 0; at < p->out->len;) {
        ssize_t n = write(p->fd, p->out->str + at, p->out->len - at);

        if (n <= 0) {
            lost("write");
        }
        at += (gsize)n;
    }
    g_string_truncate(p->out, 0);
}

static void more(Peer *p)
{
    char buf[65536];
    ssize_t n;

    flush(p);
    if (p->used) {
        g_string_erase(p->in, 0, (gssize)p->used);
        p->used = 0;
    }
    errno = 0;
    n = read(p->fd, buf, sizeof(buf));
    if (n <= 0) {
        lost("read");
    }
    g_string_append_len(p->in, buf, n);
}

/* The next answer; good until the next call. */
static char *answer(Peer *p)
{
    for (;;) {
        char *from = memchr(p->in->str + p->used, '$', p->in->len - p->used), *end = from ? strchr(from, '#') : NULL;

        if (end && (gsize)(end + 3 - p->in->str) <= p->in->len) {
            *end = 0;
            p->used = (gsize)(end + 3 - p->in->str);
            g_string_append_c(p->out, '+');
            return from + 1;
        }
        more(p);
    }
}

static char *ask(Peer *p, const char *text)
{
    put(p, text);
    return answer(p);
}

static void must(Peer *p, const char *what)
{
    char *a = answer(p);

    if (strcmp(a, "OK")) {
        fprintf(stderr, "the other emulator: %s: '%s'\n", what, a);
        exit(2);
    }
}

static unsigned unhex(const char *text, void *buf, unsigned room)
{
    unsigned n = 0;

    for (; n < room && g_ascii_isxdigit(text[2 * n]) && g_ascii_isxdigit(text[2 * n + 1]); n++) {
        ((uint8_t *)buf)[n] = (uint8_t)(g_ascii_xdigit_value(text[2 * n]) << 4 | g_ascii_xdigit_value(text[2 * n + 1]));
    }
    return n;
}

static void hex(GString *s, const void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", ((const uint8_t *)buf)[i]);
    }
}

/* ---- starting ---- */

static void read_descriptions(Peer *p)
{
    g_autoptr(GString) xml = g_string_new(NULL);
    g_autoptr(GRegex) re = g_regex_new("name=\"(\\w+)\"[^>]*regnum=\"(\\d+)\"", 0, 0, NULL);
    g_autoptr(GMatchInfo) found = NULL;
    char *a;

    do {
        g_autofree char *req = g_strdup_printf("qXfer:features:read:system-registers.xml:%zx,ffb", xml->len);

        a = ask(p, req);
        g_string_append(xml, *a ? a + 1 : "");
    } while (*a == 'm');
    for (g_regex_match(re, xml->str, 0, &found); g_match_info_matches(found); g_match_info_next(found, NULL)) {
        g_autofree char *num = g_match_info_fetch(found, 2);

        g_hash_table_insert(p->regs, g_match_info_fetch(found, 1), GINT_TO_POINTER(atoi(num)));
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1)) {
        lost(path);
    }
    return fd;
}

/* The other side connects to us, so that there is nothing to wait for but the connection or its end. */
static void spawn(Peer *p, const char *program, const char *cpu, const char *path)
{
    g_autofree char *dev = g_strdup_printf("socket,id=gdb,path=%s", path);
    const char *argv[] = { program, "-M", "virt,gic-version=3", "-cpu", cpu, "-m", "64M", "-display", "none", "-nodefaults", "-S", "-chardev", dev, "-gdb", "chardev:gdb", NULL };

    p->pid = fork();
    if (!p->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);           /* a harness that is killed leaves nothing behind */
        execvp(program, (char **)(uintptr_t)argv);
        _exit(127);
    }
}

/* Its connection, or its end. */
static int accept_from(int listener, pid_t pid)
{
    struct pollfd pfd = { .fd = listener, .events = POLLIN };
    int status;

    while (poll(&pfd, 1, 100) <= 0) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            errno = 0;
            lost("did not start");
        }
    }
    return accept(listener, NULL, NULL);
}

Peer *peer_start(const char *program, const char *cpu)
{
    Peer *p = g_new0(Peer, 1);
    g_autofree char *path = NULL;
    int fd;

    p->dir = g_dir_make_tmp("el1-XXXXXX", NULL);
    path = g_build_filename(p->dir, "gdb", NULL);
    p->out = g_string_new(NULL);
    p->in = g_string_new(NULL);
    p->regs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fd = listen_at(path);
    signal(SIGPIPE, SIG_IGN);
    spawn(p, program, cpu, path);
    p->fd = accept_from(fd, p->pid);
    close(fd);
    unlink(path);
    rmdir(p->dir);
    ask(p, "qSupported:multiprocess+;xmlRegisters=arm");
    ask(p, "?");
    put(p, "Qqemu.sstep=1");
    must(p, "sstep");
    put(p, "Qqemu.PhyMemMode:1");
    must(p, "physical memory");
    read_descriptions(p);
    return p;
}

void peer_end(Peer *p)
{
    close(p->fd);
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    g_string_free(p->out, TRUE);
    g_string_free(p->in, TRUE);
    g_hash_table_destroy(p->regs);
    g_free(p->dir);
    g_free(p);
}

/* ---- using ---- */

void peer_step(Peer *p, unsigned n)
{
    while (n--) {
        char *a = ask(p, "vCont;s:p1.1");

        if (*a != 'T') {
            fprintf(stderr, "the other emulator: a step ends with '%s'\n", a);
            exit(2);
        }
    }
}

void peer_core(Peer *p, PeerCore *c)
{
    const char *a = ask(p, "g");

    if (unhex(a, c, 33 * 8) != 33 * 8 || unhex(a + 33 * 16, &c->cpsr, 4) != 4) {
        lost("registers");
    }
}

void peer_core_set(Peer *p, const PeerCore *c)
{
    peer_set(p, PEER_CPSR, c->cpsr, 4);
    for (int i = 0; i < 31; i++) {
        peer_set(p, i, c->x[i], 8);
    }
    peer_set(p, PEER_SP, c->sp, 8);
    peer_set(p, PEER_PC, c->pc, 8);
}

int peer_reg(const Peer *p, const char *name)
{
    gpointer num;

    return g_hash_table_lookup_extended(p->regs, name, NULL, &num) ? GPOINTER_TO_INT(num) : -1;
}

void peer_get(Peer *p, const int *reg, unsigned n, uint64_t (*val)[2])
{
    char text[32];

    for (unsigned i = 0; i < n; i++) {
        g_snprintf(text, sizeof(text), "p%x", (unsigned)reg[i]);
        put(p, text);
    }
    for (unsigned i = 0; i < n; i++) {
        val[i][0] = val[i][1] = 0;
        unhex(answer(p), val[i], 16);
    }
}

void peer_set(Peer *p, int reg, uint64_t val, unsigned bytes)
{
    g_autoptr(GString) s = g_string_new(NULL);

    g_string_printf(s, "P%x=", (unsigned)reg);
    hex(s, &val, bytes);
    put(p, s->str);
    must(p, "writing a register");
}

void peer_write(Peer *p, uint64_t pa, const void *buf, size_t len)
{
    for (size_t at = 0; at < len; at += PIECE) {
        size_t n = MIN(len - at, PIECE);
        g_autoptr(GString) s = g_string_new(NULL);

        g_string_printf(s, "M%" G_GINT64_MODIFIER "x,%zx:", pa + at, n);
        hex(s, (const uint8_t *)buf + at, n);
        put(p, s->str);
        must(p, "writing memory");
    }
}

void peer_read(Peer *p, uint64_t pa, void *buf, size_t len)
{
    char text[64];

    for (size_t at = 0; at < len; at += PIECE) {
        size_t n = MIN(len - at, PIECE);

        g_snprintf(text, sizeof(text), "m%" G_GINT64_MODIFIER "x,%zx", pa + at, n);
        if (unhex(ask(p, text), (uint8_t *)buf + at, (unsigned)n) != n) {
            lost("reading memory");
        }
    }
}
