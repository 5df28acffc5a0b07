// Tensor cores and device memory at once: eight warps multiply, four stream.
//
// Of `iterations`, `share` per mille are the tensor warps' and the rest the streaming warps'.
// Each side does its own part at its own pace: the closed loop on measured watts moves `share`
// until both are busy all the time.
#pragma once

enum : u32 { MIX_STREAM_THREADS = 128, MIX_THREADS = TENSOR_THREADS + MIX_STREAM_THREADS };

LB_KERNEL(lb_mix, 384, 1) {
    LB_SHARED Desk desk;
    begin_tile(launch, desk);
    bring_slice(launch);
    u32 multiplied = (u32)((u64)launch.iterations * launch.share / 1000);
    u64 term;
    if (thread_index() < TENSOR_THREADS) {
        term = multiply<float, 2>(launch, desk, multiplied);
    } else {
        u32 thread = thread_index() - TENSOR_THREADS;
        term = invert_own<MIX_STREAM_THREADS>(launch, desk, thread,
                                              launch.iterations - multiplied);
    }
    end_tile(launch, desk, term);
}
