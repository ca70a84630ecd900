/* SPDX-License-Identifier: MIT */
/*
 * diskload DEVICE read|write BYTES DEPTH COUNT: requests at random places of a
 * disk, direct, DEPTH of them at once; with BYTES of a MiB one behind the other.
 * Built for the guest (static) and run inside it by tests/bench/bench --disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, LARGE = 1 << 20 };

static uint64_t next_offset(uint64_t size, unsigned bytes)
{
    static uint64_t x = 88172645463325252ull, at;

    if (bytes == LARGE) {
        at = at + 2 * bytes > size ? 0 : at + bytes;
        return at;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % (size / bytes) * bytes;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    static struct iocb cbs[DEPTH_MAX];
    struct io_event events[DEPTH_MAX];
    int fd = argc == 6 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
    unsigned bytes = argc == 6 ? atoi(argv[3]) : 0, depth = argc == 6 ? atoi(argv[4]) : 0, count = argc == 6 ? atoi(argv[5]) : 0;
    unsigned given = 0, done = 0;
    aio_context_t ctx = 0;
    uint64_t size;

    if (fd < 0 || depth > DEPTH_MAX || ioctl(fd, BLKGETSIZE64, &size) < 0 || syscall(SYS_io_setup, DEPTH_MAX, &ctx) < 0) {
        die("diskload");
    }
    for (unsigned i = 0; i < depth; i++) {
        void *buf;

        if (posix_memalign(&buf, 4096, bytes)) {
            die("memory");
        }
        memset(buf, 'a' + i, bytes);
        cbs[i] = (struct iocb){ .aio_fildes = fd, .aio_lio_opcode = argv[2][0] == 'w' ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buf, .aio_nbytes = bytes, .aio_data = i };
    }
    while (done < count) {
        struct iocb *list[DEPTH_MAX];
        unsigned n = 0;
        long got;

        for (unsigned i = 0; given == 0 && i < depth; i++) {
            list[n++] = &cbs[i];
        }
        if (given) {
            got = syscall(SYS_io_getevents, ctx, 1, DEPTH_MAX, events, NULL);
            for (long i = 0; i < got; i++) {
                if (events[i].res != bytes) {
                    die("request");
                }
                if (given + n < count) {
                    list[n++] = &cbs[events[i].data];
                }
            }
            done += got;
        }
        for (unsigned i = 0; i < n; i++) {
            list[i]->aio_offset = next_offset(size, bytes);
        }
        if (n && syscall(SYS_io_submit, ctx, n, list) != n) {
            die("submit");
        }
        given += n;
    }
    printf("%u\n", done);
    return 0;
}
