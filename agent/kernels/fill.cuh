// Fills memory with numbers that follow from the seed alone. `pass` says with what.
#pragma once

enum : u32 { FILL_THREADS = 256 };
enum { FILL_BF16 = 0, FILL_INTEGERS = 1, FILL_BYTES = 2, FILL_STREAM = 3 };

/// A bf16 number from 64 fair bits: the sum of four uniform ones, near enough to normal, with
/// mean 0, deviation 1.15 and a full mantissa. Every step is exact but the last rounding.
LB_FN u32 normal_bf16(u64 fair) {
    int sum = (int)((fair & 0xFFFF) + (fair >> 16 & 0xFFFF) + (fair >> 32 & 0xFFFF) + (fair >> 48));
    u32 exact = bits((float)(sum - 131070) * float_of(0x38000000u));
    return (exact + 0x7FFF + (exact >> 16 & 1)) >> 16;
}

/// -4 ..= 4 in bf16: sums of their products are exact in 32-bit floats, in any order.
LB_FN u32 integer_bf16(u64 fair) { return bits((float)((int)(fair % 9) - 4)) >> 16; }

/// Word `index` of the operand pool.
LB_FN u64 operand_word(u32 kind, u32 seed, u64 index) {
    if (kind == FILL_BYTES) return noise(seed, index);
    u64 word = 0;
    for (u32 i = 0; i < 4; i++) {
        u64 fair = noise(seed, 4 * index + i);
        word |= (u64)(kind == FILL_BF16 ? normal_bf16(fair) : integer_bf16(fair)) << 16 * i;
    }
    return word;
}

LB_KERNEL(lb_fill, 256, 1) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    bool stream = launch.pass == FILL_STREAM;
    u64 to = stream ? launch.buffer : launch.operands;
    u64 words = (stream ? launch.buffer_bytes : launch.operand_bytes) / 8;
    u64 sum = 0;
    u64 first = (u64)block_index() * FILL_THREADS + thread_index();
    for (u64 i = first; i < words; i += (u64)launch.tiles * FILL_THREADS) {
        u64 word = stream ? chunk_word(launch.seed, i / CHUNK_WORDS, (u32)(i % CHUNK_WORDS))
                          : operand_word(launch.pass, launch.seed, i);
        store_u64(to + 8 * i, word);
        sum += word * (2 * i + 1);
    }
    end_tile(launch, desk, sum);
}
