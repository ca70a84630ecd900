/* SPDX-License-Identifier: MIT */
/*
 * Small programs for the benchmark: each argument names one; prints a checksum.
 * Built for the guest (static) and run inside it by tests/bench/bench.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t rng = 88172645463325252ull;

static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    return rng ^= rng << 17;
}

static uint64_t alu(void)
{
    uint64_t a = 1, b = 2, c = 3;

    for (int i = 0; i < 150000000; i++) {
        a += b ^ (c >> 3);
        b = (b << 5) - a;
        c ^= a * 3;
    }
    return a ^ b ^ c;
}

static unsigned fib_rec(unsigned n)
{
    return n < 2 ? n : fib_rec(n - 1) + fib_rec(n - 2);
}

static uint64_t fib(void)
{
    return fib_rec(34);
}

static uint64_t sieve(void)
{
    static uint8_t s[4 << 20];
    uint64_t n = 0;

    for (int k = 0; k < 6; k++) {
        memset(s, 1, sizeof(s));
        n = 0;
        for (size_t i = 2; i < sizeof(s); i++) {
            if (s[i]) {
                n++;
                for (size_t j = i * 2; j < sizeof(s); j += i) {
                    s[j] = 0;
                }
            }
        }
    }
    return n;
}

static int cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t sort(void)
{
    enum { N = 1 << 20 };
    static uint32_t v[N];
    uint64_t sum = 0;

    for (int i = 0; i < N; i++) {
        v[i] = next();
    }
    qsort(v, N, sizeof(v[0]), cmp);
    for (int i = 0; i < N; i += 1000) {
        sum = sum * 31 + v[i];
    }
    return sum;
}

static uint64_t crc(void)
{
    static uint32_t table[256];
    static uint8_t buf[1 << 16];
    uint32_t c = ~0u;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;

        for (int k = 0; k < 8; k++) {
            r = r & 1 ? r >> 1 ^ 0xedb88320u : r >> 1;
        }
        table[i] = r;
    }
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = next();
    }
    for (int k = 0; k < 1200; k++) {
        for (size_t i = 0; i < sizeof(buf); i++) {
            c = table[(c ^ buf[i]) & 255] ^ c >> 8;
        }
    }
    return c;
}

static uint64_t chase(void)
{
    enum { N = 1 << 18 };
    static uint32_t link[N];
    uint32_t p = 0;

    for (uint32_t i = 0; i < N; i++) {
        link[i] = i;
    }
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t j = next() % i, t = link[i];

        link[i] = link[j];
        link[j] = t;
    }
    for (int i = 0; i < 30000000; i++) {
        p = link[p];
    }
    return p;
}

static uint64_t interp(void)
{
    static const uint8_t code[] = { 0, 1, 2, 3, 1, 4, 2, 5, 0, 6, 3, 7 };
    uint64_t acc = 1, n = 0;
    size_t pc = 0;

    while (n < 60000000) {
        switch (code[pc]) {
        case 0: acc += n; break;
        case 1: acc ^= acc << 7; break;
        case 2: acc -= 3; break;
        case 3: acc = acc >> 1 | acc << 63; break;
        case 4: acc *= 5; break;
        case 5: acc |= 1; break;
        case 6: acc ^= n; break;
        default: acc = ~acc; break;
        }
        n++;
        pc = pc + 1 == sizeof(code) ? 0 : pc + 1;
    }
    return acc;
}

static uint64_t f0(uint64_t x) { return x + 1; }
static uint64_t f1(uint64_t x) { return x ^ 5; }
static uint64_t f2(uint64_t x) { return x * 3; }
static uint64_t f3(uint64_t x) { return x - 7; }

static uint64_t pointers(void)
{
    static uint64_t (*volatile f[4])(uint64_t) = { f0, f1, f2, f3 };
    uint64_t x = 1;

    for (int i = 0; i < 40000000; i++) {
        x = f[i & 3](x);
    }
    return x;
}

static uint64_t matmul(void)
{
    enum { N = 200 };
    static double a[N][N], b[N][N], c[N][N];
    double sum = 0;

    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = i + j * 0.5;
            b[i][j] = i - j * 0.25;
        }
    }
    for (int k = 0; k < 6; k++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                double s = 0;

                for (int l = 0; l < N; l++) {
                    s += a[i][l] * b[l][j];
                }
                c[i][j] = s;
            }
        }
        sum += c[k][N - 1 - k];
    }
    return (uint64_t)(int64_t)sum;
}

static uint64_t mandel(void)
{
    uint64_t n = 0;

    for (int y = 0; y < 200; y++) {
        for (int x = 0; x < 300; x++) {
            double cr = x * 3.0 / 300 - 2, ci = y * 2.0 / 200 - 1, zr = 0, zi = 0;
            int i = 0;

            for (; i < 300 && zr * zr + zi * zi < 4; i++) {
                double t = zr * zr - zi * zi + cr;

                zi = 2 * zr * zi + ci;
                zr = t;
            }
            n += i;
        }
    }
    return n;
}

__attribute__((optimize("O3"))) static uint64_t vector(void)
{
    enum { N = 1 << 14 };
    static uint32_t a[N], b[N], c[N];
    uint64_t sum = 0;

    for (int i = 0; i < N; i++) {
        a[i] = next();
        b[i] = next();
    }
    for (int k = 0; k < 3000; k++) {
        for (int i = 0; i < N; i++) {
            c[i] = (a[i] + b[i]) ^ (c[i] >> 3);
        }
        a[k & (N - 1)]++;
    }
    for (int i = 0; i < N; i++) {
        sum += c[i];
    }
    return sum;
}

static uint64_t syscalls(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 1500000; i++) {
        n += syscall(SYS_getppid) >= 0;
    }
    return n;
}

static uint64_t faults(void)
{
    uint64_t n = 0;

    for (int k = 0; k < 60; k++) {
        size_t len = 4 << 20;
        uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (size_t i = 0; i < len; i += 4096) {
            p[i] = 1;
            n++;
        }
        munmap(p, len);
    }
    return n;
}

static uint64_t forks(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 500; i++) {
        pid_t pid = fork();
        int st = 0;

        if (!pid) {
            _exit(i & 63);
        }
        waitpid(pid, &st, 0);
        n += WEXITSTATUS(st);
    }
    return n;
}

static uint64_t switches(void)
{
    int a[2], b[2];
    char ch = 0;
    uint64_t n = 0;

    if (pipe(a) || pipe(b)) {
        return 0;
    }
    if (!fork()) {
        while (read(a[0], &ch, 1) == 1 && write(b[1], &ch, 1) == 1 && ch) {
        }
        _exit(0);
    }
    for (int i = 0; i < 40000; i++) {
        ch = i != 39999;
        n += write(a[1], &ch, 1) == 1 && read(b[0], &ch, 1) == 1;
    }
    wait(NULL);
    return n;
}

static const struct { const char *name; uint64_t (*fn)(void); } kernels[] = {
    { "alu", alu }, { "fib", fib }, { "sieve", sieve }, { "sort", sort }, { "crc", crc }, { "chase", chase }, { "interp", interp },
    { "pointers", pointers }, { "matmul", matmul }, { "mandel", mandel }, { "vector", vector }, { "syscalls", syscalls },
    { "faults", faults }, { "forks", forks }, { "switches", switches },
};

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
            if (!strcmp(kernels[k].name, argv[i])) {
                printf("%s %016llx\n", argv[i], (unsigned long long)kernels[k].fn());
            }
        }
    }
    return 0;
}
