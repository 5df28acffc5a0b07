// What the kernels ask of a GPU, in PTX. The only file with inline assembly for all GPUs.
//
// `host/device.cuh` says the same words in plain C++, so that a machine without a GPU can run
// the kernels bit by bit. Nothing else may differ between the two.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define LB_FN static __device__ __forceinline__
#define LB_KERNEL(name, threads, blocks)                                                         \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name(const Launch launch)
#define LB_SHARED __shared__
#define LB_DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

struct Vec4 {
    u32 x, y, z, w;
};
struct Pair {
    u64 lo, hi;
};

LB_FN u32 thread_index() { return threadIdx.x; }
LB_FN u32 block_index() { return blockIdx.x; }
LB_FN u32 block_threads() { return blockDim.x; }
LB_FN u32 block_count() { return gridDim.x; }
LB_FN void block_sync() { __syncthreads(); }

/// Whether any lane of the warp says yes: all lanes take the same way afterwards.
LB_FN bool warp_any(bool yes) { return __any_sync(0xFFFFFFFFu, yes) != 0; }

LB_FN u32 processor() {
    u32 sm;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    return sm;
}

/// Nanoseconds of the GPU's own clock.
LB_FN u64 now_ns() {
    u64 ns;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
    return ns;
}

/// A word of the host's memory as it is now.
LB_FN u32 load_host(u64 address) {
    u32 value;
    asm volatile("ld.volatile.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}

LB_FN u64 load_u64(u64 address) { return *reinterpret_cast<const u64*>(address); }
LB_FN void store_u64(u64 address, u64 value) { *reinterpret_cast<u64*>(address) = value; }
LB_FN void store_u32(u64 address, u32 value) { *reinterpret_cast<u32*>(address) = value; }
LB_FN u32 load_u32(u64 address) { return *reinterpret_cast<const u32*>(address); }

/// 16 bytes past the first cache.
LB_FN Pair load_pair(u64 address) {
    Pair pair;
    asm volatile("ld.global.cg.v2.u64 {%0, %1}, [%2];"
                 : "=l"(pair.lo), "=l"(pair.hi)
                 : "l"(address)
                 : "memory");
    return pair;
}
LB_FN void store_pair(u64 address, Pair pair) {
    asm volatile("st.global.cg.v2.u64 [%0], {%1, %2};" ::"l"(address), "l"(pair.lo), "l"(pair.hi)
                 : "memory");
}

LB_FN u32 add_global(u64 address, u32 value) {
    return atomicAdd(reinterpret_cast<u32*>(address), value);
}
LB_FN void add_shared(u64* at, u64 value) { atomicAdd(at, value); }
LB_FN u32 load_shared(const u32* at) { return *reinterpret_cast<const volatile u32*>(at); }
LB_FN void store_shared(u32* at, u32 value) { *reinterpret_cast<volatile u32*>(at) = value; }
LB_FN Vec4 load_shared_16(const void* at) { return *reinterpret_cast<const Vec4*>(at); }

LB_FN u32 bits(float value) { return __float_as_uint(value); }
LB_FN float float_of(u32 value) { return __uint_as_float(value); }
LB_FN u64 bits(double value) { return (u64)__double_as_longlong(value); }
LB_FN double double_of(u64 value) { return __longlong_as_double((long long)value); }

/// a * b + c, rounded once, to nearest even; nothing is flushed to zero.
LB_FN float fma_rn(float a, float b, float c) {
    float d;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
    return d;
}
LB_FN double fma_rn(double a, double b, double c) {
    double d;
    asm("fma.rn.f64 %0, %1, %2, %3;" : "=d"(d) : "d"(a), "d"(b), "d"(c));
    return d;
}

/// D = A * B + D on a 16x8 tile, 16 deep, bf16 operands, 32-bit float sums.
LB_FN void mma(float* d, const u32* a, const u32* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// D = A * B + D on a 16x8 tile, 32 deep, signed bytes, 32-bit integer sums that wrap.
LB_FN void mma(u32* d, const u32* a, const u32* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
