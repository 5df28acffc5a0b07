// Fused multiply-add in registers: z <- c - z * z, as the CPU kernels do
// (`agent/src/hardware/cpu/fma.rs` says why this map: signed, bounded, chaotic, so that an
// error grows until the whole chain differs).
#pragma once

enum : u32 {
    FMA_THREADS = 256,
    /// Tiles of the same number modulo this compute the same: the CPU can know them all.
    FMA_VARIANTS = 8,
    FMA_CHAINS_F32 = 16,
    FMA_STEPS_F32 = 512,
    FMA_CHAINS_F64 = 8,
    FMA_STEPS_F64 = 128,
};

/// 24 fair bits in (-1.9, 1.9).
LB_FN void seed_chain(float& z, u64 noise) {
    z = fma_rn((float)(u32)(noise >> 40), float_of(0x34733333u), float_of(0xBFF33333u));
}
/// 53 fair bits in (-1.9, 1.9).
LB_FN void seed_chain(double& z, u64 noise) {
    z = fma_rn((double)(noise >> 11), double_of(0x3CBE666666666666ull),
               double_of(0xBFFE666666666666ull));
}

template <typename T, u32 CHAINS, u32 STEPS>
LB_FN void fma_tile(const Launch& launch, T c) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    T z[CHAINS];
    u64 first = ((u64)(block_index() % FMA_VARIANTS) * FMA_THREADS + thread_index()) * CHAINS;
#pragma unroll
    for (u32 i = 0; i < CHAINS; i++) seed_chain(z[i], noise(launch.seed, first + i));
    u32 spoil_at = injection(launch);
    for (u32 n = 0; n < launch.iterations; n++) {
        u32 asked = ask_to_stop(launch);
        if (n == spoil_at) z[0] = spoiled(z[0], launch.inject_kind);
#pragma unroll 4
        for (u32 step = 0; step < STEPS; step++) {
#pragma unroll
            for (u32 i = 0; i < CHAINS; i++) z[i] = fma_rn(-z[i], z[i], c);
        }
        if (leaves(desk, asked)) break;
    }
    end_tile(launch, desk, digest(launch, z, CHAINS));
}

LB_KERNEL(lb_fp32, 256, 4) {
    fma_tile<float, FMA_CHAINS_F32, FMA_STEPS_F32>(launch, float_of(0x3FFF91E3u));
}

LB_KERNEL(lb_fp64, 256, 4) {
    fma_tile<double, FMA_CHAINS_F64, FMA_STEPS_F64>(launch, double_of(0x3FFFF19E3779B97Full));
}
