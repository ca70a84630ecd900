/* SPDX-License-Identifier: MIT */
/* The host's floating point unit as an oracle, one instruction at a time, and __float128 from the compiler's library. */
#include "tests/fpu/host-fp.h"

#include <cpuid.h>
#include <string.h>

static bool cpu_bit(unsigned leaf, char reg, unsigned bit)
{
    unsigned a = 0, b = 0, c = 0, d = 0;

    __get_cpuid_count(leaf, 0, &a, &b, &c, &d);
    return (reg == 'b' ? b : reg == 'c' ? c : d) >> bit & 1;
}

static bool os_has(unsigned mask)
{
    unsigned lo = 0, hi = 0;

    if (!cpu_bit(1, 'c', 27)) {
        return false;
    }
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & mask) == mask;
}

bool host_has(FpFormat f, HostOp op)
{
    bool f16 = cpu_bit(7, 'd', 23) && os_has(0xe6);

    switch (f) {
    case FP_F32:
    case FP_F64:
        if (op == HOST_FMA) {
            return cpu_bit(1, 'c', 12) && os_has(6);
        }
        if (f == FP_F32 && op == HOST_NARROW) {
            return cpu_bit(1, 'c', 29) && os_has(6);
        }
        return !(f == FP_F64 && op == HOST_WIDEN);
    case FP_F16:
        if (op == HOST_WIDEN) {
            return cpu_bit(1, 'c', 29) && os_has(6);
        }
        return f16 && op <= HOST_FMA;
    default:
        return false;
    }
}

typedef float V4 __attribute__((vector_size(16)));

static V4 vec(FpBits a)
{
    V4 v;

    memcpy(&v, &a, 16);
    return v;
}

#define ASM1(ins) __asm__ volatile(ins " %1, %0" : "+x"(x) : "x"(y))
#define ASM2(ins) __asm__ volatile(ins " %1, %0, %0" : "+x"(x) : "x"(y))
#define SCALAR(ss, sd, sh) (f == FP_F32 ? (void)({ ASM1(ss); }) : f == FP_F64 ? (void)({ ASM1(sd); }) : (void)({ ASM2(sh); }))

static void arith(FpFormat f, HostOp op, V4 *px, V4 y, V4 z)
{
    V4 x = *px;

    switch (op) {
    case HOST_ADD:
        SCALAR("addss", "addsd", "vaddsh");
        break;
    case HOST_SUB:
        SCALAR("subss", "subsd", "vsubsh");
        break;
    case HOST_MUL:
        SCALAR("mulss", "mulsd", "vmulsh");
        break;
    case HOST_DIV:
        SCALAR("divss", "divsd", "vdivsh");
        break;
    case HOST_SQRT:
        y = x;
        SCALAR("sqrtss", "sqrtsd", "vsqrtsh");
        break;
    case HOST_FMA:                      /* form 213: the second operand comes first, for NaNs too */
        if (f == FP_F32) {
            __asm__ volatile("vfmadd213ss %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));
        } else if (f == FP_F64) {
            __asm__ volatile("vfmadd213sd %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));
        } else {
            __asm__ volatile("vfmadd213sh %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));
        }
        x = y;
        break;
    case HOST_NARROW:
        if (f == FP_F64) {
            __asm__ volatile("cvtsd2ss %0, %0" : "+x"(x));
        } else {
            __asm__ volatile("vcvtps2ph $4, %0, %0" : "+x"(x));
        }
        break;
    case HOST_WIDEN:
        if (f == FP_F32) {
            __asm__ volatile("cvtss2sd %0, %0" : "+x"(x));
        } else {
            __asm__ volatile("vcvtph2ps %0, %0" : "+x"(x));
        }
        break;
    case HOST_RINT:
        if (f == FP_F32) {
            __asm__ volatile("roundss $4, %0, %0" : "+x"(x));
        } else {
            __asm__ volatile("roundsd $4, %0, %0" : "+x"(x));
        }
        break;
    default:
        break;
    }
    *px = x;
}

static uint64_t integers(FpFormat f, HostOp op, V4 x, V4 y, V4 *out)
{
    uint64_t r = 0, in;
    V4 v = { 0 };
    uint8_t z, p, c;

    memcpy(&in, &x, 8);
    switch (op) {
    case HOST_TO_S32:
        if (f == FP_F32) {
            __asm__ volatile("cvtss2si %1, %k0" : "=r"(r) : "x"(x));
        } else {
            __asm__ volatile("cvtsd2si %1, %k0" : "=r"(r) : "x"(x));
        }
        r = (uint32_t)r;
        break;
    case HOST_TO_S64:
        if (f == FP_F32) {
            __asm__ volatile("cvtss2si %1, %q0" : "=r"(r) : "x"(x));
        } else {
            __asm__ volatile("cvtsd2si %1, %q0" : "=r"(r) : "x"(x));
        }
        break;
    case HOST_FROM_S32:
        if (f == FP_F32) {
            __asm__ volatile("cvtsi2ss %k1, %0" : "+x"(v) : "r"(in));
        } else {
            __asm__ volatile("cvtsi2sd %k1, %0" : "+x"(v) : "r"(in));
        }
        break;
    case HOST_FROM_S64:
        if (f == FP_F32) {
            __asm__ volatile("cvtsi2ss %q1, %0" : "+x"(v) : "r"(in));
        } else {
            __asm__ volatile("cvtsi2sd %q1, %0" : "+x"(v) : "r"(in));
        }
        break;
    default:
#define COMPARE(ins) __asm__ volatile(ins " %4, %3; setz %0; setp %1; setc %2" : "=q"(z), "=q"(p), "=q"(c) : "x"(x), "x"(y) : "cc")
        if (f == FP_F32 && op == HOST_UCOMI) {
            COMPARE("ucomiss");
        } else if (f == FP_F32) {
            COMPARE("comiss");
        } else if (op == HOST_UCOMI) {
            COMPARE("ucomisd");
        } else {
            COMPARE("comisd");
        }
        r = z | c << 1 | p << 2;
    }
    *out = v;
    return r;
}

static uint32_t mxcsr_of(HostMode m)
{
    static const uint8_t mode[] = { [FPR_NEAREST] = 0, [FPR_DOWN] = 1, [FPR_UP] = 2, [FPR_ZERO] = 3 };

    return 0x1f80 | (uint32_t)mode[m.round] << 13 | (m.flush ? 0x8040 : 0);
}

FpBits host_run(FpFormat f, HostOp op, FpBits a, FpBits b, FpBits c, HostMode m, uint8_t *flags)
{
    V4 x = vec(a), y = vec(b), z = vec(c), v;
    uint32_t csr = mxcsr_of(m), saved, got;
    FpBits r = 0;
    bool to_int = op == HOST_TO_S32 || op == HOST_TO_S64 || op == HOST_UCOMI || op == HOST_COMI;

    __asm__ volatile("stmxcsr %0" : "=m"(saved));
    __asm__ volatile("ldmxcsr %0" : : "m"(csr));
    if (to_int || op == HOST_FROM_S32 || op == HOST_FROM_S64) {
        r = integers(f, op, x, y, &v);
    } else {
        arith(f, op, &x, y, z);
        v = x;
    }
    __asm__ volatile("stmxcsr %0" : "=m"(got));
    __asm__ volatile("ldmxcsr %0" : : "m"(saved));
    if (!to_int) {
        memcpy(&r, &v, 16);
        f = op == HOST_NARROW ? (f == FP_F64 ? FP_F32 : FP_F16) : op == HOST_WIDEN ? (f == FP_F16 ? FP_F32 : FP_F64) : f;
        r &= ((FpBits)1 << fp_width(f)) - 1;
    }
    *flags = (got & 1) | (got & 4) >> 1 | (got & 8) >> 1 | (got & 16) >> 1 | (got & 32) >> 1;
    return r;
}
