// What the kernels ask of a GPU, said in plain C++: see `gpu/device.cuh`, word for word.
//
// Every thread of a block is a fiber; one runs at a time and gives way where a GPU would have
// it wait. Blocks run one after the other. Device addresses are addresses of this process.
// Matrix products of integers are exact as on a GPU; sums of floats are rounded once a
// product here and in an order of the maker's own there, so that only operands whose sums
// are exact can be compared.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

typedef uint32_t u32;
typedef unsigned long long u64;

#define LB_FN static inline
#define LB_KERNEL(name, threads, blocks) static void name(const Launch launch)
#define LB_SHARED static
#define LB_DYNAMIC_SHARED(name) static unsigned char* const name = dynamic_shared

/// As much as a Hopper block may have.
alignas(128) static unsigned char dynamic_shared[232448];

struct Vec4 {
    u32 x, y, z, w;
};
struct Pair {
    u64 lo, hi;
};

/// A place where `size` threads meet; the last to come does the work for all.
struct Meeting {
    u32 here = 0, generation = 0;
    const void* brought[1024];
};

/// Begins as a context; later switches are jumps, which cost no system call.
struct Fiber {
    ucontext_t context;
    jmp_buf left_at;
    bool begun = false;
    std::vector<char> stack;
    bool done = false;
};

struct Block {
    u32 index, count, threads, current;
    std::vector<std::unique_ptr<Fiber>> fibers;
    jmp_buf scheduler;
    Meeting block, warps[32], groups[8];
    u64 clock;
};
static Block block_now;

LB_FN u32 thread_index() { return block_now.current; }
LB_FN u32 block_index() { return block_now.index; }
LB_FN u32 block_threads() { return block_now.threads; }
LB_FN u32 block_count() { return block_now.count; }

LB_FN void give_way() {
    if (_setjmp(block_now.fibers[block_now.current]->left_at) == 0) _longjmp(block_now.scheduler, 1);
}

/// Lets a thread go on until it gives way.
static __attribute__((noinline)) void resume(u32 thread) {
    Fiber& fiber = *block_now.fibers[thread];
    block_now.current = thread;
    if (_setjmp(block_now.scheduler) != 0) return;
    if (fiber.begun) _longjmp(fiber.left_at, 1);
    fiber.begun = true;
    setcontext(&fiber.context);
}

/// Meets the other threads, each with something brought; `work` is done once.
template <typename Work>
static void meet(Meeting& meeting, u32 place, u32 size, const void* brought, Work work) {
    meeting.brought[place] = brought;
    u32 generation = meeting.generation;
    if (++meeting.here == size) {
        work(meeting.brought);
        meeting.here = 0;
        meeting.generation++;
        return;
    }
    while (meeting.generation == generation) give_way();
}

template <typename Work>
static void meet_warp(const void* brought, Work work) {
    u32 thread = thread_index();
    meet(block_now.warps[thread / 32], thread % 32, 32, brought, work);
}

LB_FN void block_sync() {
    meet(block_now.block, thread_index(), block_now.threads, nullptr, [](const void**) {});
}

LB_FN bool warp_any(bool yes) {
    struct Vote {
        bool yes, any;
    } vote = {yes, false};
    meet_warp(&vote, [](const void** votes) {
        bool any = false;
        for (u32 i = 0; i < 32; i++) any |= static_cast<const Vote*>(votes[i])->yes;
        for (u32 i = 0; i < 32; i++) {
            const_cast<Vote*>(static_cast<const Vote*>(votes[i]))->any = any;
        }
    });
    return vote.any;
}

LB_FN u32 processor() { return block_now.index % 4; }
LB_FN u64 now_ns() { return ++block_now.clock; }

template <typename T>
static T load_as(u64 address) {
    T value;
    memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
    return value;
}
template <typename T>
static void store_as(u64 address, T value) {
    memcpy(reinterpret_cast<void*>(address), &value, sizeof value);
}
LB_FN u32 load_host(u64 address) { return load_as<u32>(address); }
LB_FN u64 load_u64(u64 address) { return load_as<u64>(address); }
LB_FN u32 load_u32(u64 address) { return load_as<u32>(address); }
LB_FN Pair load_pair(u64 address) { return load_as<Pair>(address); }
LB_FN void store_u64(u64 address, u64 value) { store_as(address, value); }
LB_FN void store_u32(u64 address, u32 value) { store_as(address, value); }
LB_FN void store_pair(u64 address, Pair pair) { store_as(address, pair); }
LB_FN u32 add_global(u64 address, u32 value) {
    u32 before = load_u32(address);
    store_u32(address, before + value);
    return before;
}
LB_FN void add_shared(u64* at, u64 value) { *at += value; }
LB_FN u32 load_shared(const u32* at) { return *at; }
LB_FN void store_shared(u32* at, u32 value) { *at = value; }
LB_FN Vec4 load_shared_16(const void* at) {
    Vec4 value;
    memcpy(&value, at, sizeof value);
    return value;
}

template <typename To, typename From>
static To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "as long");
    memcpy(&to, &from, sizeof to);
    return to;
}
LB_FN u32 bits(float value) { return same_bits<u32>(value); }
LB_FN float float_of(u32 value) { return same_bits<float>(value); }
LB_FN u64 bits(double value) { return same_bits<u64>(value); }
LB_FN double double_of(u64 value) { return same_bits<double>(value); }
LB_FN float fma_rn(float a, float b, float c) { return std::fma(a, b, c); }
LB_FN double fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

// Fragments as the PTX manual lays them out ("Matrix Fragments for mma.m16n8k16", ".m16n8k32"):
// lane = 4 * group + rest. Registers of A: (row group, low half of the depth), (row group + 8,
// low), (row group, high), (row group + 8, high); of B: (column group, low), (high); each holds
// the elements of its part from `rest` times as many as fit. Sums: (row group, columns 2 rest
// and 2 rest + 1), then row group + 8.

/// What a lane brings to a matrix product.
template <typename T>
struct Share {
    T* d;
    const u32 *a, *b;
};

LB_FN float dot(float sum, u32 a, u32 b) {
    double wide = sum;
    wide += (double)float_of(a << 16) * float_of(b << 16);
    wide += (double)float_of(a & 0xFFFF0000u) * float_of(b & 0xFFFF0000u);
    return (float)wide;
}
LB_FN u32 dot(u32 sum, u32 a, u32 b) {
    for (u32 i = 0; i < 32; i += 8) sum += (u32)((int)(int8_t)(a >> i) * (int)(int8_t)(b >> i));
    return sum;
}

template <typename T>
static void mma_as(T* d, const u32* a, const u32* b) {
    Share<T> share = {d, a, b};
    meet_warp(&share, [](const void** shares) {
        auto of = [&](u32 lane) { return static_cast<const Share<T>*>(shares[lane]); };
        for (u32 lane = 0; lane < 32; lane++) {
            for (u32 i = 0; i < 4; i++) {
                u32 row_lane = lane / 4 * 4, lower = i / 2, column_lane = (lane % 4 * 2 + i % 2) * 4;
                T sum = of(lane)->d[i];
                for (u32 high = 0; high < 2; high++) {
                    for (u32 rest = 0; rest < 4; rest++) {
                        sum = dot(sum, of(row_lane + rest)->a[2 * high + lower],
                                  of(column_lane + rest)->b[high]);
                    }
                }
                of(lane)->d[i] = sum;
            }
        }
    });
}
LB_FN void mma(float* d, const u32* a, const u32* b) { mma_as(d, a, b); }
LB_FN void mma(u32* d, const u32* a, const u32* b) { mma_as(d, a, b); }
