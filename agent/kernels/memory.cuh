// Patterns over memory: each pass checks what the pass before wrote and writes the next.
//
// Passes 2k and 2k + 1 write pattern k and its complement; pass 0 only writes. Each pass is a
// launch (or several, one a part of the memory: patterns go by address, not by part), so that
// what is read comes from memory, and rests there in between.
#pragma once

enum : u32 {
    PATTERNS = 8,
    /// Reads of a thread in flight.
    READS = 4,
};

/// What pass `pass` leaves at an address.
LB_FN u64 pattern(u32 pass, u64 address, u32 seed) {
    u64 word = address / 8, value = 0;
    switch (pass / 2 % PATTERNS) {
        case 0: value = address; break;
        case 1: value = 0; break;
        case 2: value = 0x5555555555555555ull; break;
        case 3: value = 0x3333333333333333ull; break;
        case 4: value = 0x00FF00FF00FF00FFull; break;
        case 5: value = 1ull << word % 64; break;
        case 6: value = noise((u64)seed + pass / (2 * PATTERNS), word); break;
        default: value = noise(~(u64)seed - pass / (2 * PATTERNS), word); break;
    }
    return pass % 2 == 0 ? value : ~value;
}

/// Checks one word; its part of the sum is 1, or anything else when it is wrong.
LB_FN u64 check_word(const Launch& launch, u64 own, u32 word, u64 at, u64 got) {
    u64 expected = pattern(launch.pass - 1, at, launch.seed);
    if (got == expected) return 1;
    tell(launch, expected, got, (u32)(own * CHUNK_WORDS + word), FLAW_WORD);
    return settle(got ^ expected);
}

/// Checks and rewrites this thread's share of a chunk: the words that were right.
LB_FN u64 pass_chunk(const Launch& launch, u64 own) {
    u64 chunk = chunk_address(launch, own), sum = 0;
#pragma unroll 1
    for (u32 first = thread_index(); first < CHUNK_PAIRS; first += STREAM_THREADS * READS) {
        Pair pairs[READS];
#pragma unroll
        for (u32 i = 0; i < READS && launch.pass != 0; i++) {
            pairs[i] = load_pair(chunk + 16 * (first + i * STREAM_THREADS));
        }
#pragma unroll
        for (u32 i = 0; i < READS; i++) {
            u32 place = first + i * STREAM_THREADS;
            u64 at = chunk + 16 * place;
            if (launch.pass != 0) {
                sum += check_word(launch, own, 2 * place, at, pairs[i].lo);
                sum += check_word(launch, own, 2 * place + 1, at + 8, pairs[i].hi);
            }
            store_pair(at, Pair{pattern(launch.pass, at, launch.seed),
                                pattern(launch.pass, at + 8, launch.seed)});
        }
    }
    return sum;
}

LB_KERNEL(lb_memory, 256, 2) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    u64 own = own_chunks(launch), next = 0, sum = 0;
    u32 spoil_at = injection(launch);
    for (u32 n = 0; n < launch.iterations && next < own; n++) {
        u32 asked = ask_to_stop(launch);
        if (n == spoil_at) {
            u64 at = chunk_address(launch, next);
            store_u64(at, load_u64(at) ^ 1ull << 20);
        }
#pragma unroll 1
        for (u32 c = 0; c < CHUNKS && next < own; c++, next++) sum += pass_chunk(launch, next);
        if (leaves(desk, asked)) break;
    }
    end_tile(launch, desk, sum);
}
