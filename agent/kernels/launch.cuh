// One launch: its parameter, the beginning and end of a tile, how a wrong result is told.
//
// `agent/src/hardware/cuda/image` holds the same layouts and the same arithmetic in Rust.
#pragma once

/// The only parameter of every kernel. Device addresses are plain numbers; 0 = none.
struct Launch {
    u64 operands;
    u64 operand_bytes;
    u64 buffer;
    u64 buffer_bytes;
    u64 golden;  // u64[tiles]
    u64 hashes;  // u64[tiles]
    u64 flaws;   // u32 count, u32 capacity, Flaw[capacity]
    u64 stamps;  // u64[2 * tiles]
    u64 stop;    // u32 in host memory
    u32 iterations;
    u32 tiles;
    u32 seed;
    u32 share;
    u32 inject_tile;
    u32 inject_kind;
    u32 inject_iteration;
    u32 pass;
};

struct Flaw {
    u64 expected;
    u64 got;
    u64 at_ns;
    u32 tile;
    u32 sm;
    u32 warp_lane;  // warp * 32 + lane; of a wrong word: its number within the tile
    u32 kind;
};

enum { FLAW_HASH = 0, FLAW_WORD = 1, FLAW_NOT_FINITE = 2 };
enum { INJECT_FLIP = 1, INJECT_NAN = 2, INJECT_WORD = 3 };
enum : u32 { NONE = 0xFFFFFFFFu };

/// SplitMix64 (Steele, Lea, Flood 2014): the output number `index` of the stream of `seed`.
LB_FN u64 noise(u64 seed, u64 index) {
    u64 z = seed + (index + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/// Takes a word into a hash. A bijection of the state for a fixed word.
LB_FN u64 absorb(u64 hash, u64 word) {
    hash = (hash ^ word) * 0x9FB21C651E98DF25ull;
    return (hash << 29) | (hash >> 35);
}

/// Spreads every bit over all others; a bijection.
LB_FN u64 settle(u64 hash) {
    hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93ull;
    hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93ull;
    return hash ^ (hash >> 32);
}

/// What the threads of a tile share besides operands.
struct Desk {
    u64 sum;
    u32 leave;
};

LB_FN void tell(const Launch& launch, u64 expected, u64 got, u32 place, u32 kind) {
    if (launch.flaws == 0) return;
    u32 slot = add_global(launch.flaws, 1);
    if (slot >= load_u32(launch.flaws + 4)) return;
    u64 at = launch.flaws + 8 + (u64)slot * sizeof(Flaw);
    store_u64(at, expected);
    store_u64(at + 8, got);
    store_u64(at + 16, now_ns());
    store_u32(at + 24, block_index());
    store_u32(at + 28, processor());
    store_u32(at + 32, place);
    store_u32(at + 36, kind);
}

LB_FN void begin_tile(const Launch& launch, Desk& desk) {
    if (thread_index() == 0) {
        desk.sum = 0;
        desk.leave = 0;
        if (launch.stamps != 0) store_u64(launch.stamps + 16ull * block_index(), now_ns());
    }
    block_sync();
}

/// Asks the host whether to stop, without waiting for the answer: work goes on meanwhile.
LB_FN u32 ask_to_stop(const Launch& launch) {
    return thread_index() == 0 && launch.stop != 0 ? load_host(launch.stop) : 0;
}

/// Whether this warp leaves: the answer has come, or another warp has heard it.
LB_FN bool leaves(Desk& desk, u32 asked) {
    if (asked != 0) store_shared(&desk.leave, 1);
    return warp_any(asked != 0 || load_shared(&desk.leave) != 0);
}

/// Adds the threads' terms (any order, the same sum), writes and compares the tile's hash.
LB_FN void end_tile(const Launch& launch, Desk& desk, u64 term) {
    add_shared(&desk.sum, term);
    block_sync();
    if (thread_index() != 0) return;
    u32 tile = block_index();
    if (load_shared(&desk.leave) == 0) {
        u64 hash = settle(desk.sum + 0x9E3779B97F4A7C15ull);
        store_u64(launch.hashes + 8ull * tile, hash);
        if (launch.golden != 0) {
            u64 expected = load_u64(launch.golden + 8ull * tile);
            if (expected != hash) tell(launch, expected, hash, NONE, FLAW_HASH);
        }
    }
    if (launch.stamps != 0) store_u64(launch.stamps + 16ull * tile + 8, now_ns());
}

/// The iteration at which this thread spoils its own work, or NONE.
LB_FN u32 injection(const Launch& launch) {
    bool mine = launch.inject_kind != 0 && launch.inject_tile == block_index();
    return mine && thread_index() == 0 ? launch.inject_iteration : NONE;
}

// Spoiled results. Integers have no NaN: one bit flips instead.
LB_FN float spoiled(float value, u32 kind) {
    return kind == INJECT_NAN ? float_of(0x7FC00000u) : float_of(bits(value) ^ 1u << 20);
}
LB_FN double spoiled(double value, u32 kind) {
    return kind == INJECT_NAN ? double_of(0x7FF8000000000000ull)
                              : double_of(bits(value) ^ 1ull << 40);
}
LB_FN u32 spoiled(u32 value, u32) { return value ^ 1u << 20; }

LB_FN bool is_finite(float value) { return (bits(value) & 0x7F800000u) != 0x7F800000u; }
LB_FN bool is_finite(double value) {
    return (bits(value) & 0x7FF0000000000000ull) != 0x7FF0000000000000ull;
}
LB_FN bool is_finite(u32) { return true; }

LB_FN u64 word_of(float value) { return bits(value); }
LB_FN u64 word_of(double value) { return bits(value); }
LB_FN u64 word_of(u32 value) { return value; }

/// This thread's term of the tile's hash; the last value that is no number is told.
template <typename T>
LB_FN u64 digest(const Launch& launch, const T* values, u32 count) {
    u64 hash = thread_index() + 1, strange = 0;
#pragma unroll
    for (u32 i = 0; i < count; i++) {
        hash = absorb(hash, word_of(values[i]));
        if (!is_finite(values[i])) strange = word_of(values[i]);
    }
    if (strange != 0) tell(launch, 0, strange, thread_index(), FLAW_NOT_FINITE);
    return settle(hash);
}
