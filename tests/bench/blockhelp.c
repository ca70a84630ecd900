/* SPDX-License-Identifier: MIT */
/*
 * What tests/bench/block cannot do in Python: measure a program without our own
 * memory in its figures, fill large files quickly, and the bare loop to compare
 * copies with.
 *
 *   time OUT ARGV...        runs ARGV; seconds, CPU seconds and peak KiB go to OUT
 *   fill FILE MIB PERCENT   a file of which PERCENT is data, in runs of 2 MiB
 *   pack FILE MIB           a file to compress: text, records, noise and zeroes, 64 KiB to 512 KiB of each
 *   copy FROM TO            data extents only, 2 MiB at a time, pread and pwrite
 *   drop FILE...            written back, and out of the page cache
 *   warm MIB                free memory is touched, so that a hypervisor has it there again
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 2 << 20 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_or_die(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0644);

    if (fd < 0) {
        die(name);
    }
    return fd;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return t.tv_sec + t.tv_usec / 1e6;
}

static int timed(const char *out, char **argv)
{
    double start = now();
    struct rusage u;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &u) < 0) {
        die("fork");
    }
    start = now() - start;
    FILE *f = fopen(out, "w");
    if (!f) {
        die(out);
    }
    fprintf(f, "%.6f %.6f %ld\n", start, seconds(u.ru_utime) + seconds(u.ru_stime), u.ru_maxrss);
    fclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static uint64_t state = 88172645463325252ull;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void write_all(int fd, const void *buf, uint64_t len, uint64_t off)
{
    while (len) {
        ssize_t r = pwrite(fd, buf, len, off);

        if (r <= 0) {
            die("pwrite");
        }
        buf = (const char *)buf + r;
        len -= r;
        off += r;
    }
}

/* Which runs have data is dealt evenly, so that every size has its percentage. */
static int fill(const char *name, uint64_t mib, unsigned percent)
{
    int fd = open_or_die(name, O_RDWR | O_CREAT | O_TRUNC);
    uint64_t *buf = malloc(CHUNK), size = mib << 20;
    unsigned have = 0;

    if (ftruncate(fd, size) < 0) {
        die(name);
    }
    for (uint64_t off = 0; off < size; off += CHUNK) {
        have += percent;
        if (have < 100) {
            continue;
        }
        have -= 100;
        for (unsigned i = 0; i < CHUNK / 8; i++) {
            buf[i] = rnd();
        }
        write_all(fd, buf, off + CHUNK > size ? size - off : CHUNK, off);
    }
    close(fd);
    return 0;
}

static char words[4096][12];

static void make_words(void)
{
    for (unsigned i = 0; i < 4096; i++) {
        unsigned n = 2 + rnd() % 9;

        for (unsigned j = 0; j < n; j++) {
            words[i][j] = 'a' + rnd() % 26;
        }
        words[i][n] = ' ';
    }
}

/* Words, common ones more often, and a number now and then. */
static void put_text(char *buf, unsigned len)
{
    for (unsigned at = 0; at < len;) {
        uint64_t r = rnd();

        at += r & 7 ? sprintf(buf + at, "%s", words[(r >> 8) & (r >> 24) & 4095]) : sprintf(buf + at, "%u\n", (unsigned)(r >> 40));
    }
}

/* As tables of a program or a data base have them: counters, few kinds, small numbers. */
static void put_records(char *buf, unsigned len)
{
    for (unsigned at = 0; at < len; at += 32) {
        uint64_t r = rnd();
        uint32_t record[8] = { at, r & 7, (r >> 8) & 0xffff, 0, 0x7f0000 + ((r >> 24) & 0xff0), (r >> 40) & (r >> 20) & 0xffff, 0, 1 };

        memcpy(buf + at, record, sizeof(record));
    }
}

static void put_noise(char *buf, unsigned len)
{
    for (unsigned at = 0; at < len; at += 8) {
        uint64_t r = rnd();

        memcpy(buf + at, &r, sizeof(r));
    }
}

static int pack(const char *name, uint64_t mib)
{
    int fd = open_or_die(name, O_RDWR | O_CREAT | O_TRUNC);
    char *buf = malloc(CHUNK + 32);
    uint64_t size = mib << 20, off = 0;

    make_words();
    while (off < size) {
        unsigned kind = rnd() % 5, len = 65536 << (rnd() % 4);

        len = len < size - off ? len : size - off;
        if (kind < 2) {
            put_text(buf, len);
        } else if (kind == 2) {
            put_records(buf, len);
        } else if (kind == 3) {
            put_noise(buf, len);
        } else {
            memset(buf, 0, len);
        }
        write_all(fd, buf, len, off);
        off += len;
    }
    close(fd);
    return 0;
}

static int copy(const char *from, const char *to)
{
    int in = open_or_die(from, O_RDONLY), out = open_or_die(to, O_RDWR);
    char *buf = malloc(CHUNK);
    off_t at = 0, end;

    while ((at = lseek(in, at, SEEK_DATA)) >= 0 && (end = lseek(in, at, SEEK_HOLE)) >= 0) {
        while (at < end) {
            ssize_t n = pread(in, buf, end - at < CHUNK ? end - at : CHUNK, at);

            if (n <= 0) {
                die(from);
            }
            write_all(out, buf, n, at);
            at += n;
        }
    }
    return 0;
}

static int drop(int n, char **names)
{
    for (int i = 0; i < n; i++) {
        int fd = open_or_die(names[i], O_RDONLY);

        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return 0;
}

/*
 * A guest of a hypervisor tells it which memory is free, and each page of it that is used again is a fault of 10 us out there: three times
 * what reading and writing a page through the cache takes.  Never more than half of what could be had.
 */
static int warm(uint64_t mib)
{
    uint64_t most = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
    uint64_t len, available;
    char line[80];
    FILE *f = fopen("/proc/meminfo", "r");

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &available) == 1) {
            most = available << 9;
        }
    }
    if (f) {
        fclose(f);
    }
    len = mib << 20 < most ? mib << 20 : most;
    char *all = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        die("mmap");
    }
    madvise(all, len, MADV_HUGEPAGE);
    for (uint64_t i = 0; i < len; i += 4096) {
        all[i] = 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (!strcmp(verb, "time") && argc > 3) {
        return timed(argv[2], argv + 3);
    }
    if (!strcmp(verb, "fill") && argc == 5) {
        return fill(argv[2], strtoull(argv[3], NULL, 0), atoi(argv[4]));
    }
    if (!strcmp(verb, "pack") && argc == 4) {
        return pack(argv[2], strtoull(argv[3], NULL, 0));
    }
    if (!strcmp(verb, "copy") && argc == 4) {
        return copy(argv[2], argv[3]);
    }
    if (!strcmp(verb, "drop") && argc > 2) {
        return drop(argc - 2, argv + 2);
    }
    if (!strcmp(verb, "warm") && argc == 3) {
        return warm(strtoull(argv[2], NULL, 0));
    }
    fprintf(stderr, "blockhelp: no such work\n");
    return 2;
}
