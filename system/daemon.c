/* SPDX-License-Identifier: MIT */
/* -daemonize: the parent waits until the child is up; -pidfile: locked while we run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/system.h"

struct Daemon { int ready_fd; };

/* The parent: its status is what the child says, 1 when the child dies first. */
static _Noreturn void parent(int fd)
{
    uint8_t status = 1;
    ssize_t n;

    while ((n = read(fd, &status, 1)) < 0 && errno == EINTR) {
    }
    _exit(n == 1 ? status : 1);
}

bool daemon_begin(System *s, Error **errp)
{
    int fds[2];
    pid_t pid;

    if (!cmdline_has(s->cl, "daemonize")) {
        return true;
    }
    if (cmdline_has(s->cl, "nographic")) {
        return error_set(errp, "-nographic cannot be used with -daemonize");
    }
    if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
        return error_set_errno(errp, errno, "cannot go to the background");
    }
    if (pid > 0) {
        close(fds[1]);
        parent(fds[0]);
    }
    close(fds[0]);
    setsid();
    if (fork() > 0) {                       /* never gets a terminal again */
        _exit(0);
    }
    umask(027);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    s->daemon = g_new(struct Daemon, 1);
    s->daemon->ready_fd = fds[1];
    return true;
}

void daemon_ready(System *s)
{
    int null_fd;

    if (!s->daemon) {
        return;
    }
    null_fd = open("/dev/null", O_RDWR);
    if (chdir("/") == 0 && null_fd >= 0) {
        uint8_t status = 0;
        ssize_t done = write(s->daemon->ready_fd, &status, 1);

        (void)done;                         /* the parent may have been killed */
        for (int fd = 0; fd <= 2; fd++) {
            dup2(null_fd, fd);
        }
    }
    close(s->daemon->ready_fd);
    close(null_fd);
    g_clear_pointer(&s->daemon, g_free);
}

bool pidfile_write(System *s, Error **errp)
{
    const char *path = cmdline_text(s->cl, "pidfile");
    char text[32];
    int fd, len;

    if (!path) {
        return true;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);    /* stays open: the lock is ours while we live */
    if (fd < 0) {
        return error_set_errno(errp, errno, "cannot create PID file: Cannot open pid file");
    }
    if (lockf(fd, F_TLOCK, 0)) {
        error_set_errno(errp, errno, "cannot create PID file: Cannot lock pid file");
        close(fd);
        return false;
    }
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || write(fd, text, len) != len) {
        error_set_errno(errp, errno, "cannot create PID file: Failed to write pid file");
        close(fd);
        return false;
    }
    s->pidfile = g_canonicalize_filename(path, NULL);
    return true;
}

void pidfile_remove(System *s)
{
    if (s->pidfile) {
        unlink(s->pidfile);
        g_clear_pointer(&s->pidfile, g_free);
    }
}
