/* SPDX-License-Identifier: MIT */
/*
 * SIGTERM, SIGINT and SIGHUP end the program in good order.  The handler only
 * writes the number and the sender down a pipe that the main loop reads.  It is
 * put in place once the back ends are open: a start that waits for a client is
 * ended by the signal itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "system/system.h"

typedef struct Note { int signo, code; pid_t pid; } Note;

static int note_pipe[2] = { -1, -1 };       /* a signal handler has no argument: the one global of the program */
static LoopFd *watch;

static void handler(int signo, siginfo_t *info, void *context)
{
    Note n = { signo, info->si_code, info->si_pid };
    int saved = errno;
    ssize_t done = write(note_pipe[1], &n, sizeof(n));

    (void)done;                             /* a full pipe holds enough of them */
    errno = saved;
}

/* argv[0] of a process, NULL when it is gone. */
static char *sender_name(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static void arrived(void *opaque, unsigned events)
{
    System *s = opaque;
    g_autofree char *name = NULL;
    Note n;

    if (read(note_pipe[0], &n, sizeof(n)) != sizeof(n)) {
        return;
    }
    if (n.code <= 0) {                      /* sent by a process; a terminal's Ctrl-C comes from the kernel */
        name = sender_name(n.pid);
        fprintf(stderr, "%s: terminating on signal %d from pid %d (%s)\n", s->name->base, n.signo, (int)n.pid, name ? name : "<unknown process>");
    } else {
        fprintf(stderr, "%s: terminating on signal %d\n", s->name->base, n.signo);
    }
    system_quit(s, CAUSE_HOST_SIGNAL);
}

bool signals_init(System *s, Error **errp)
{
    struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };

    if (pipe2(note_pipe, O_CLOEXEC | O_NONBLOCK)) {
        return error_set_errno(errp, errno, "cannot make a pipe");
    }
    watch = loop_fd_add(s->loop, note_pipe[0], LOOP_READ, arrived, s);
    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    return true;
}

void signals_exit(System *s)
{
    if (watch) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        loop_fd_remove(watch);
        watch = NULL;
        close(note_pipe[0]);
        close(note_pipe[1]);
    }
}
