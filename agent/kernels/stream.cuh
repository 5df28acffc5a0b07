// Traffic: read 16 bytes, write their complement, keep a weighted sum of what was read.
//
// A region is chunks of 32 KiB; tile t owns the chunks t, t + tiles, ... and walks them in
// order, again and again, so that no two tiles ever touch the same word. Words are even at
// first; a complement is odd, so each word says itself which side it shows, and a launch needs
// no memory of the one before. A chunk that shows both sides has lost a write.
#pragma once

enum : u32 {
    STREAM_THREADS = 256,
    CHUNK_BYTES = 32768,
    CHUNK_WORDS = CHUNK_BYTES / 8,
    CHUNK_PAIRS = CHUNK_BYTES / 16,
    /// Chunks of an iteration.
    CHUNKS = 16,
    IN_FLIGHT = 8,
};

/// What lies at first in word `word` of chunk `chunk`.
LB_FN u64 chunk_word(u32 seed, u64 chunk, u32 word) {
    return (noise(seed, word) & ~1ull) + chunk * 0xD1342543DE82EF94ull;
}

/// How many chunks of the region are this tile's.
LB_FN u64 own_chunks(const Launch& launch) {
    u64 chunks = launch.buffer_bytes / CHUNK_BYTES, tile = block_index();
    return chunks <= tile ? 0 : (chunks - tile + launch.tiles - 1) / launch.tiles;
}

LB_FN u64 chunk_address(const Launch& launch, u64 own) {
    return launch.buffer + (block_index() + own * launch.tiles) * CHUNK_BYTES;
}

/// The word as it was at first.
LB_FN u64 upright(u64 word) { return word ^ (0 - (word & 1)); }

/// Inverts a chunk; `thread` of THREADS. Its share of the sum of all words, each times
/// twice its number plus one.
template <u32 THREADS>
LB_FN u64 invert_chunk(u64 at, u32 thread) {
    u64 sum = 0;
    u32 odd = 0;
#pragma unroll 1
    for (u32 first = thread; first < CHUNK_PAIRS; first += THREADS * IN_FLIGHT) {
        Pair pairs[IN_FLIGHT];
#pragma unroll
        for (u32 i = 0; i < IN_FLIGHT; i++) pairs[i] = load_pair(at + 16 * (first + i * THREADS));
#pragma unroll
        for (u32 i = 0; i < IN_FLIGHT; i++) {
            u32 place = first + i * THREADS;
            Pair pair = pairs[i];
            store_pair(at + 16 * place, Pair{~pair.lo, ~pair.hi});
            sum += upright(pair.lo) * (4 * place + 1) + upright(pair.hi) * (4 * place + 3);
            odd += (u32)(pair.lo & 1) + (u32)(pair.hi & 1);
        }
    }
    bool torn = odd != 0 && odd != 2 * CHUNK_PAIRS / THREADS;
    return torn ? sum + 0x8BADF00D8BADF00Dull : sum;
}

/// The stream of one tile: this thread's hash term.
template <u32 THREADS>
LB_FN u64 invert_own(const Launch& launch, Desk& desk, u32 thread, u32 iterations) {
    u64 own = own_chunks(launch), total = 0;
    u64 next = own == 0 ? 0 : (u64)launch.pass * iterations * CHUNKS % own;
    u32 spoil_at = launch.inject_tile == block_index() && thread == 0 ? launch.inject_iteration : NONE;
    for (u32 n = 0; own != 0 && n < iterations; n++) {
        u32 asked = thread == 0 && launch.stop != 0 ? load_host(launch.stop) : 0;
        if (n == spoil_at && launch.inject_kind == INJECT_WORD) {
            u64 at = chunk_address(launch, next);
            store_u64(at, load_u64(at) ^ 1ull << 20);
        } else if (n == spoil_at && launch.inject_kind != 0) {
            total ^= 1ull << 20;
        }
#pragma unroll 1
        for (u32 c = 0; c < CHUNKS; c++) {
            u64 sum = invert_chunk<THREADS>(chunk_address(launch, next), thread);
            total += sum * (2ull * ((u64)n * CHUNKS + c) + 1);
            next = next + 1 == own ? 0 : next + 1;
        }
        if (leaves(desk, asked)) break;
    }
    return total;
}

LB_FN void stream_tile(const Launch& launch) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    u64 term = invert_own<STREAM_THREADS>(launch, desk, thread_index(), launch.iterations);
    end_tile(launch, desk, term);
}

LB_KERNEL(lb_stream, 256, 3) { stream_tile(launch); }

// The same work in a region that the second cache holds. A name of its own, because reports
// and profilers go by names.
LB_KERNEL(lb_l2, 256, 3) { stream_tile(launch); }
