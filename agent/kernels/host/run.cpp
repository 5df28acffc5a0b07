// Runs a kernel's source on the CPU and prints its hashes and flaws, for the tests that hold
// them against the references in Rust. Arguments are NAME=NUMBER; `kernel=` a word.
#include "device.cuh"
#include "hopper.cuh"
#include "launch.cuh"
#include "fma.cuh"
#include "tensor.cuh"
#include "stream.cuh"
#include "fill.cuh"
#include "memory.cuh"
#include "mix.cuh"
#include "warpgroup.cuh"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

typedef void (*Entry)(const Launch);

struct Named {
    Entry entry;
    u32 threads;
};

static const std::map<std::string, Named> KERNELS = {
    {"lb_fill", {lb_fill, FILL_THREADS}},     {"lb_bf16", {lb_bf16, TENSOR_THREADS}},
    {"lb_int8", {lb_int8, TENSOR_THREADS}},   {"lb_fp32", {lb_fp32, FMA_THREADS}},
    {"lb_fp64", {lb_fp64, FMA_THREADS}},      {"lb_stream", {lb_stream, STREAM_THREADS}},
    {"lb_l2", {lb_l2, STREAM_THREADS}},       {"lb_mix", {lb_mix, MIX_THREADS}},
    {"lb_memory", {lb_memory, STREAM_THREADS}}, {"lb_bf16_sm90a", {lb_bf16_sm90a, WG_THREADS}},
};

static Entry entry_now;
static const Launch* launch_now;

static void live() {
    entry_now(*launch_now);
    block_now.fibers[block_now.current]->done = true;
    give_way();
}

static void run_block(u32 threads) {
    block_now.threads = threads;
    block_now.fibers.clear();
    for (u32 i = 0; i < threads; i++) {
        auto fiber = std::make_unique<Fiber>();
        fiber->stack.resize(64 * 1024);
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.data();
        fiber->context.uc_stack.ss_size = fiber->stack.size();
        makecontext(&fiber->context, live, 0);
        block_now.fibers.push_back(std::move(fiber));
    }
    for (u32 left = threads; left != 0;) {
        left = 0;
        for (u32 i = 0; i < threads; i++) {
            if (block_now.fibers[i]->done) continue;
            resume(i);
            if (!block_now.fibers[i]->done) left++;
        }
    }
}

static void run(const Named& kernel, const Launch& launch) {
    entry_now = kernel.entry;
    launch_now = &launch;
    block_now.count = launch.tiles;
    for (u32 tile = 0; tile < launch.tiles; tile++) {
        block_now.index = tile;
        run_block(kernel.threads);
    }
}

static void print(const char* what, const std::vector<u64>& hashes) {
    for (size_t tile = 0; tile < hashes.size(); tile++) {
        printf("%s %zu %016llx\n", what, tile, hashes[tile]);
    }
}

static void print_flaws(const std::vector<char>& ring) {
    u64 at = reinterpret_cast<u64>(ring.data());
    u32 count = load_u32(at), capacity = load_u32(at + 4);
    printf("flaws %u\n", count);
    for (u32 i = 0; i < count && i < capacity; i++) {
        Flaw flaw = load_as<Flaw>(at + 8 + i * sizeof(Flaw));
        printf("flaw %u %u %u %016llx %016llx\n", flaw.kind, flaw.tile, flaw.warp_lane,
               flaw.expected, flaw.got);
    }
}

int main(int count, char** arguments) {
    std::map<std::string, std::string> given;
    for (int i = 1; i < count; i++) {
        std::string word = arguments[i];
        size_t equals = word.find('=');
        if (equals == std::string::npos) return fprintf(stderr, "NAME=NUMBER: %s\n", arguments[i]), 2;
        given[word.substr(0, equals)] = word.substr(equals + 1);
    }
    auto number = [&](const char* name, u64 otherwise) {
        return given.count(name) ? strtoull(given[name].c_str(), nullptr, 0) : otherwise;
    };
    auto kernel = KERNELS.find(given["kernel"]);
    if (kernel == KERNELS.end()) return fprintf(stderr, "no such kernel\n"), 2;


    std::vector<u64> operands(number("operand_bytes", 0) / 8), buffer(number("buffer_bytes", 0) / 8);
    u32 tiles = (u32)number("tiles", 1), stop = (u32)number("stop", 0);
    std::vector<u64> hashes(tiles), golden, stamps(2 * tiles);
    std::vector<char> ring(8 + 8 * sizeof(Flaw));
    u64 ring_at = reinterpret_cast<u64>(ring.data());
    store_u32(ring_at + 4, 8);

    Launch launch = {};
    launch.operands = reinterpret_cast<u64>(operands.data());
    launch.operand_bytes = operands.size() * 8;
    launch.buffer = reinterpret_cast<u64>(buffer.data());
    launch.buffer_bytes = buffer.size() * 8;
    launch.hashes = reinterpret_cast<u64>(hashes.data());
    launch.flaws = ring_at;
    launch.stamps = reinterpret_cast<u64>(stamps.data());
    launch.stop = reinterpret_cast<u64>(&stop);
    launch.iterations = (u32)number("iterations", 1);
    launch.tiles = tiles;
    launch.seed = (u32)number("seed", 1);
    launch.share = (u32)number("share", 500);
    launch.inject_tile = NONE;
    printf("buffer %llu\n", launch.buffer);

    // `fill` is a list of what to fill with, one digit each.
    auto fill = [&](const char* what) {
        for (char digit : given["fill"]) {
            Launch filling = launch;
            filling.golden = filling.stop = 0;
            filling.pass = (u32)(digit - '0');
            run(KERNELS.at("lb_fill"), filling);
            if (what) print(what, hashes);
        }
        hashes.assign(tiles, 0);
    };
    fill("fill");
    u32 passes = (u32)number("passes", 1), spoil_in = (u32)number("inject_pass", 0);
    launch.inject_kind = (u32)number("inject_kind", 0);
    if (launch.inject_kind != 0 && passes == 1) {
        Launch clean = launch;
        clean.inject_kind = 0;
        clean.pass = (u32)number("pass", 0);
        run(kernel->second, clean);
        golden = hashes;
        launch.golden = reinterpret_cast<u64>(golden.data());
        fill(nullptr);
    }
    for (u32 pass = 0; pass < passes; pass++) {
        launch.pass = (u32)number("pass", 0) + pass;
        launch.inject_tile = pass == spoil_in ? (u32)number("inject_tile", 0) : NONE;
        launch.inject_iteration = (u32)number("inject_iteration", 0);
        run(kernel->second, launch);
        print("hash", hashes);
    }
    for (u32 tile = 0; tile < tiles; tile++) {
        if (stamps[2 * tile + 1] <= stamps[2 * tile]) printf("tile %u has no stamps\n", tile);
    }
    print_flaws(ring);
    return 0;
}
