// Warpgroup products and the bulk copy engine in plain C++: see `gpu/hopper.cuh`, word for word.
//
// Both come as late as they may: a copy when somebody waits for it, a product when somebody
// waits for its group. What is used before it was waited for, or overwritten before it was
// used, makes a wrong hash here; how long all of it takes on the chip is not shown.
#pragma once

LB_FN u32 shared_address(const void* at) {
    return (u32)(static_cast<const unsigned char*>(at) - dynamic_shared);
}

struct Copy {
    void* to;
    u64 from;
    u32 bytes;
    u64* barrier;
};
static std::vector<Copy> copies;

/// Here a barrier is the number of phases that are over.
LB_FN void barrier_init(u64* barrier) { *barrier = 0; }
LB_FN void publish_shared() {}
LB_FN void bring(void* to, u64 from, u32 bytes, u64* barrier) {
    copies.push_back({to, from, bytes, barrier});
}
LB_FN void barrier_wait(u64* barrier, u32 parity) {
    while (*barrier % 2 == parity) {
        size_t i = 0;
        while (i < copies.size() && copies[i].barrier != barrier) i++;
        if (i == copies.size()) {
            give_way();
            continue;
        }
        memcpy(copies[i].to, reinterpret_cast<const void*>(copies[i].from), copies[i].bytes);
        copies.erase(copies.begin() + (long)i);
        ++*barrier;
    }
}

struct Product {
    u32* d;
    u64 a, b;
    double sign;
};
/// Of each thread: groups that were committed, the oldest first, and the one that is open.
static std::vector<std::vector<Product>> committed[1024];
static std::vector<Product> opened[1024];

LB_FN void multiply_now(const Product& product);

LB_FN void products_begin() {}
LB_FN void products_commit() {
    u32 thread = thread_index();
    committed[thread].push_back(std::move(opened[thread]));
    opened[thread].clear();
}
template <int PENDING>
LB_FN void products_wait() {
    u32 thread = thread_index();
    while (committed[thread].size() > PENDING) {
        for (const Product& product : committed[thread][0]) multiply_now(product);
        committed[thread].erase(committed[thread].begin());
    }
}

template <int SIGN>
LB_FN void product(u32* d, u64 a, u64 b) {
    opened[thread_index()].push_back({d, a, b, (double)SIGN});
}

/// Element (row, depth) of a described matrix.
LB_FN float element(u64 described, u32 row, u32 depth) {
    u32 start = (u32)(described & 0x3FFF) << 4, along = (u32)(described >> 16 & 0x3FFF) << 4;
    u32 down = (u32)(described >> 32 & 0x3FFF) << 4;
    uint16_t bf16;
    memcpy(&bf16,
           dynamic_shared + start + row / 8 * down + depth / 8 * along + row % 8 * 16 + depth % 8 * 2,
           sizeof bf16);
    return float_of((u32)bf16 << 16);
}

/// Sums as the PTX manual lays them out ("Register Fragments for wgmma.mma_async.m64nNk16").
LB_FN void multiply_now(const Product& product) {
    u32 thread = thread_index();
    auto work = [](const void** parts) {
        for (u32 member = 0; member < 128; member++) {
            const Product& part = *static_cast<const Product*>(parts[member]);
            u32 lane = member % 32;
            for (u32 i = 0; i < 128; i++) {
                u32 row = member / 32 * 16 + lane / 4 + i / 2 % 2 * 8;
                u32 column = i / 4 * 8 + lane % 4 * 2 + i % 2;
                double sum = float_of(part.d[i]);
                for (u32 k = 0; k < 16; k++) {
                    sum += part.sign * element(part.a, row, k) * element(part.b, column, k);
                }
                part.d[i] = bits((float)sum);
            }
        }
    };
    meet(block_now.groups[thread / 128], thread % 128, 128, &product, work);
}
