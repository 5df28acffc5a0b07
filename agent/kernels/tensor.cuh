// Tensor cores: a tile is D += A * B over and over, operands from shared memory.
//
// A slice of the operand pool holds four A sets (128 rows each) and four B sets (256 columns
// each), already in the order in which lanes hold fragments: 512 bytes are the 16x16 (bf16) or
// 16x32 (bytes) fragment of a warp, 16 bytes a lane, one 16-byte load without bank conflicts.
// Consecutive steps use other sets of both, so every operand wire toggles.
//
// A cycle is the four sets and then the four again with A flipped. Of floats the sign flips:
// sums return to zero but for rounding, so they stay bounded for ever and keep swinging. Of
// integers other bits flip, and sums wrap. Half a cycle ends a launch, or else float sums
// would be almost nothing.
#pragma once

enum : u32 {
    TENSOR_THREADS = 256,
    TENSOR_SETS = 4,
    FRAGMENT_BYTES = 512,
    A_FRAGMENTS = 8,   // 128 rows
    B_FRAGMENTS = 16,  // 256 columns, two of 8 a fragment
    A_BYTES = TENSOR_SETS * A_FRAGMENTS * FRAGMENT_BYTES,
    SLICE_BYTES = A_BYTES + TENSOR_SETS * B_FRAGMENTS * FRAGMENT_BYTES,
    /// Cycles of an iteration: some 15 us, so that asking to stop costs nothing.
    CYCLES = 8,
    ROW_FRAGMENTS = 4,  // of a warp: 64 rows
};

/// The tile's slice.
LB_DYNAMIC_SHARED(operands);

LB_FN u32 flip_of(const float*) { return 0x80008000u; }
LB_FN u32 flip_of(const u32*) { return 0x5A2D693Bu; }

/// One set of a warp: 64 rows by PAIRS * 16 columns.
template <typename T, u32 PAIRS>
LB_FN void step(T* sums, const unsigned char* a, const unsigned char* b, u32 flip) {
    u32 rows[ROW_FRAGMENTS][4];
#pragma unroll
    for (u32 m = 0; m < ROW_FRAGMENTS; m++) {
        Vec4 v = load_shared_16(a + m * FRAGMENT_BYTES);
        rows[m][0] = v.x ^ flip;
        rows[m][1] = v.y ^ flip;
        rows[m][2] = v.z ^ flip;
        rows[m][3] = v.w ^ flip;
    }
#pragma unroll
    for (u32 n = 0; n < PAIRS; n++) {
        Vec4 v = load_shared_16(b + n * FRAGMENT_BYTES);
        u32 columns[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (u32 m = 0; m < ROW_FRAGMENTS; m++) {
            T* tile = sums + (m * PAIRS + n) * 8;
            mma(tile, rows[m], columns);
            mma(tile + 4, rows[m], columns + 2);
        }
    }
}

template <typename T, u32 PAIRS>
LB_FN void half_cycle(T* sums, const unsigned char* a, const unsigned char* b, u32 flip) {
#pragma unroll
    for (u32 set = 0; set < TENSOR_SETS; set++) {
        step<T, PAIRS>(sums, a + set * A_FRAGMENTS * FRAGMENT_BYTES,
                       b + set * B_FRAGMENTS * FRAGMENT_BYTES, flip);
    }
}

/// Brings the tile's slice of the pool into shared memory.
LB_FN void bring_slice(const Launch& launch) {
    u64 slices = launch.operand_bytes / SLICE_BYTES;
    u64 from = launch.operands + block_index() % slices * SLICE_BYTES;
    for (u32 at = thread_index() * 16; at < SLICE_BYTES; at += block_threads() * 16) {
        *reinterpret_cast<Pair*>(operands + at) = load_pair(from + at);
    }
    block_sync();
}

/// Eight warps, two by four, on 128 rows by PAIRS * 64 columns: this thread's hash term.
template <typename T, u32 PAIRS>
LB_FN u64 multiply(const Launch& launch, Desk& desk, u32 iterations) {
    u32 warp = thread_index() / 32, lane = thread_index() % 32;
    const unsigned char* a = operands + (warp % 2 * ROW_FRAGMENTS) * FRAGMENT_BYTES + lane * 16;
    const unsigned char* b = operands + A_BYTES + (warp / 2 * PAIRS) * FRAGMENT_BYTES + lane * 16;
    T sums[ROW_FRAGMENTS * PAIRS * 8];
#pragma unroll
    for (u32 i = 0; i < ROW_FRAGMENTS * PAIRS * 8; i++) sums[i] = 0;
    u32 flip = flip_of(sums);
    u32 spoil_at = injection(launch);
    for (u32 n = 0; n < iterations; n++) {
        u32 asked = ask_to_stop(launch);
        u32 halves = 2 * CYCLES + (n + 1 == iterations ? 1 : 0);
#pragma unroll 1
        for (u32 half = 0; half < halves; half++) {
            // In the middle of a cycle, where float sums are not almost nothing.
            if (n == spoil_at && half == 1) {
                if (launch.inject_kind == INJECT_WORD) operands[1] ^= 0x10;
                else sums[0] = spoiled(sums[0], launch.inject_kind);
            }
            half_cycle<T, PAIRS>(sums, a, b, half % 2 * flip);
        }
        if (leaves(desk, asked)) break;
    }
    return digest(launch, sums, ROW_FRAGMENTS * PAIRS * 8);
}

template <typename T>
LB_FN void tensor_tile(const Launch& launch) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    bring_slice(launch);
    end_tile(launch, desk, multiply<T, 4>(launch, desk, launch.iterations));
}

LB_KERNEL(lb_bf16, 256, 1) { tensor_tile<float>(launch); }

LB_KERNEL(lb_int8, 256, 1) { tensor_tile<u32>(launch); }
