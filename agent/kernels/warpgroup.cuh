// Two warpgroups multiply 128 rows by 256 columns; slices of the pool stream past them.
//
// A visit brings one slice (48 KiB: A 128 rows, B 256 columns, both 64 deep) and pairs every
// 16 of A's depth with every 16 of B's: 16 products a warpgroup, some 2 us, for 48 KiB from the
// L2 cache, or from device memory where the pool is far larger. Visits add and subtract in
// turn. A sweep is an odd number of slices (the last of an even pool rests), so what one sweep
// added the next subtracts: sums return to zero but for rounding.
//
// Operands lie in the canonical layout without swizzle (PTX manual, "Shared Memory Matrix
// Layout", K-major): core matrices of 8 rows (or columns) by 16 bytes, contiguous; eight of
// them along the depth, then the next 8 rows.
#pragma once

enum : u32 {
    WG_THREADS = 256,
    WG_SLICE_BYTES = 49152,
    WG_A_BYTES = 16384,
    WG_STAGES = 4,
    WG_VISITS = 8,  // of an iteration
    CORE_BYTES = 128,
    DEPTH_CORES = 8,
    ROW_BYTES = CORE_BYTES * DEPTH_CORES,  // from 8 rows to the next 8
    STEP_BYTES = 2 * CORE_BYTES,           // from 16 of the depth to the next 16
    STEPS = 4,
};

LB_DYNAMIC_SHARED(stages);

/// A matrix in shared memory (PTX manual, "Matrix Descriptor Format"), in units of 16 bytes:
/// address, bytes to the next core along the depth, bytes to the next 8 rows; no swizzle.
LB_FN u64 describe(u32 address) {
    return (u64)(address >> 4 & 0x3FFF) | (u64)(CORE_BYTES >> 4) << 16 | (u64)(ROW_BYTES >> 4) << 32;
}

template <int SIGN>
LB_FN void multiply_slice(u32* sums, u64 a, u64 b) {
    products_begin();
#pragma unroll
    for (u32 turn = 0; turn < STEPS; turn++) {
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            u32 other = (step + turn) % STEPS;
            product<SIGN>(sums, a + step * (STEP_BYTES >> 4), b + other * (STEP_BYTES >> 4));
        }
    }
    products_commit();
}

/// What the visits of a tile share.
struct Walk {
    u64 start, slices;  // where it begins in the pool; how long a sweep is
    u64 a, b;           // this warpgroup's operands of stage 0, described
    u32 visits, brought;
    u64* full;  // one barrier a stage: turns when its slice is there
};

LB_FN Walk walk_of(const Launch& launch, u64* full) {
    u64 slices = launch.operand_bytes / WG_SLICE_BYTES;
    u32 visits = launch.iterations * WG_VISITS, group = thread_index() / 128;
    Walk walk;
    walk.slices = slices - (slices + 1) % 2;
    walk.start = block_index() * walk.slices / launch.tiles;
    walk.a = describe(shared_address(stages) + group * 8 * ROW_BYTES);
    walk.b = describe(shared_address(stages) + WG_A_BYTES);
    walk.visits = visits;
    walk.brought = 0;
    walk.full = full;
    return walk;
}

/// Starts to bring the next slice. All threads count, one asks.
LB_FN void bring_next(const Launch& launch, Walk& walk) {
    if (walk.brought == walk.visits) return;
    u64 slice = (walk.start + walk.brought) % walk.slices;
    u32 stage = walk.brought % WG_STAGES;
    if (thread_index() == 0) {
        bring(stages + stage * WG_SLICE_BYTES, launch.operands + slice * WG_SLICE_BYTES,
              WG_SLICE_BYTES, walk.full + stage);
    }
    walk.brought++;
}

LB_FN void wait_for(const Walk& walk, u32 visit) {
    barrier_wait(walk.full + visit % WG_STAGES, visit / WG_STAGES % 2);
}

/// One visit; the products of the one before are done when it returns, its own are not.
template <int SIGN>
LB_FN void attend(const Launch& launch, Walk& walk, u32* sums, u32 visit, u32 spoil_at) {
    u32 stage = visit % WG_STAGES;
    wait_for(walk, visit);
    if (visit == spoil_at) {
        stages[stage * WG_SLICE_BYTES + 1] ^= 0x10;
        publish_shared();
    }
    u64 offset = stage * (WG_SLICE_BYTES >> 4);
    multiply_slice<SIGN>(sums, walk.a + offset, walk.b + offset);
    // Behind the barrier both warpgroups have done with the slice before: its stage is free.
    products_wait<1>();
    block_sync();
    if (visit != 0) bring_next(launch, walk);
}

LB_KERNEL(lb_bf16_sm90a, 256, 1) {
    LB_SHARED Desk desk;
    LB_SHARED u64 full[WG_STAGES];
    begin_tile(launch, desk);
    if (thread_index() == 0) {
        for (u32 i = 0; i < WG_STAGES; i++) barrier_init(full + i);
        publish_shared();
    }
    block_sync();
    Walk walk = walk_of(launch, full);
    for (u32 i = 0; i < WG_STAGES; i++) bring_next(launch, walk);

    u32 sums[128];  // the bits of floats
#pragma unroll
    for (u32 i = 0; i < 128; i++) sums[i] = 0;
    u32 spoil_at = injection(launch);
    u32 spoil_word_at = spoil_at == NONE || launch.inject_kind != INJECT_WORD ? NONE
                                                                            : spoil_at * WG_VISITS;
    u32 visit = 0;
    while (visit < walk.visits) {
        u32 asked = ask_to_stop(launch);
        for (u32 end = visit + WG_VISITS; visit < end; visit += 2) {
            attend<1>(launch, walk, sums, visit, spoil_word_at);
            attend<-1>(launch, walk, sums, visit + 1, spoil_word_at);
        }
        products_wait<0>();
        if (asked != 0) store_shared(&desk.leave, 1);
        block_sync();
        if (load_shared(&desk.leave) != 0) break;
    }
    // No copy may arrive in the shared memory of a block that is gone.
    for (; visit < walk.brought; visit++) wait_for(walk, visit);
    float ended[128];
#pragma unroll
    for (u32 i = 0; i < 128; i++) ended[i] = float_of(sums[i]);
    // Not in between: products that overlap own the registers.
    if (spoil_at != NONE && spoil_word_at == NONE) ended[0] = spoiled(ended[0], launch.inject_kind);
    end_tile(launch, desk, digest(launch, ended, 128));
}
