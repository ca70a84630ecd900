/* SPDX-License-Identifier: MIT */
/* Sets of descriptors: access modes, numbers, names. */
#include "io/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static unsigned count;

static void look(int64_t set, int fd, const char *opaque, void *data)
{
    count++;
    g_assert_cmpint(fd, >=, 0);
    g_string_append_printf(data, "%d:%s ", (int)set, opaque ? opaque : "-");
}

static void sets(void)
{
    Session *s = session_new();
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("rhea-fdset-XXXXXX", &path, NULL), ro, a;
    GString *list = g_string_new(NULL);
    char x[8] = "";
    Error *err = NULL;

    g_assert_cmpint(write(fd, "hello", 5), ==, 5);
    close(fd);
    ro = open(path, O_RDONLY);
    g_assert_cmpint(fdset_open(s, "/dev/fdset/0", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_cmpint(fdset_add(s, -1, ro, NULL, NULL), ==, 0);
    g_assert_cmpint(fdset_add(s, -1, open(path, O_RDONLY), "other", NULL), ==, 1);
    g_assert_cmpint(fdset_open(s, "/dev/fdset/0", O_RDWR, 0), ==, -1);
    g_assert_cmpint(errno, ==, EACCES);
    g_assert_cmpint(fdset_add(s, 0, open(path, O_RDWR), "rw", NULL), ==, 0);
    a = fdset_open(s, "/dev/fdset/0", O_RDWR | O_APPEND, 0);
    g_assert_cmpint(a, >=, 0);
    g_assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(write(a, "!", 1), ==, 1);
    g_assert_cmpint(pread(a, x, 8, 0), ==, 6);
    g_assert_cmpstr(x, ==, "hello!");
    fdset_foreach(s, look, list);
    g_assert_cmpstr(list->str, ==, "0:- 1:other 0:rw ");
    g_assert_true(fdset_remove(s, 0, -1, NULL));
    g_assert_cmpint(pread(a, x, 8, 0), ==, 6);              /* what was handed out lives on */
    close(a);
    g_assert_false(fdset_remove(s, 0, -1, &err));
    g_assert_cmpstr(error_message(err), ==, "File descriptor named 'fdset-id:0' not found");
    error_free(err);
    a = fdset_open(s, path, O_RDONLY, 0);                   /* any other name is the kernel's */
    g_assert_cmpint(a, >=, 0);
    close(a);
    g_assert_cmpint(fdset_open(s, "/dev/fdset/x", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(fdset_open(s, "/dev/fdset/", O_RDONLY, 0), ==, -1);
    g_assert_cmpint(fdset_add(s, 5, 99999, NULL, NULL), ==, -1);
    session_free(s);
    g_string_free(list, TRUE);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdset/sets", sets);
    return g_test_run();
}
