//! How each kernel is launched and what an iteration of it is worth.

use model::load::Kernel;

use super::{Fill, Image};

/// One slice of the operand pool: four sets of 128 rows and of 256 columns. Tile `t` works on
/// slice `t` modulo their number: sixteen or more keep neighbours apart.
pub const SLICE_BYTES: u64 = 49_152;
/// The piece of the buffer that a tile streams through at once.
pub const CHUNK_BYTES: u64 = 32_768;
/// Passes of `lb_memory` that write and check every pattern and its complement once.
pub const MEMORY_PASSES: u32 = 17;

/// Chunks that one iteration streams through.
pub(super) const CHUNKS_PER_ITERATION: u64 = 16;

/// What a launch of a kernel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelShape {
    /// Name in the image.
    pub entry: &'static str,
    pub block_threads: u32,
    /// Dynamic shared memory; above 0, the function's limit must be raised to it first.
    pub shared_bytes: u32,
    /// Blocks that fit one multiprocessor at once, and should be there.
    pub tiles_per_sm: u32,
    /// Operations (a multiply-add counts two); of `lb_mix`, were all iterations tensor work.
    pub flops_per_iteration_per_tile: u64,
    /// Bytes read plus bytes written; of `lb_mix`, were all iterations streaming.
    pub bytes_per_iteration_per_tile: u64,
    /// What `lb_fill` must have filled before.
    pub fills: &'static [Fill],
}

/// The shape of `lb_fill`: any number of tiles; every tile writes its part whatever
/// `iterations` says.
#[must_use]
pub const fn fill_shape() -> KernelShape {
    KernelShape {
        entry: "lb_fill",
        block_threads: 256,
        shared_bytes: 0,
        tiles_per_sm: 4,
        flops_per_iteration_per_tile: 0,
        bytes_per_iteration_per_tile: 0,
        fills: &[],
    }
}

/// How an image's kernel is launched; `None` where the image has no such kernel. Copies are
/// the driver's work and have none.
#[must_use]
pub fn shape(kernel: Kernel, image: &Image) -> Option<KernelShape> {
    match image.name {
        "base" => base(kernel),
        "hopper" => hopper(kernel),
        _ => None,
    }
}

fn base(kernel: Kernel) -> Option<KernelShape> {
    let streamed = 2 * CHUNKS_PER_ITERATION * CHUNK_BYTES;
    let shape = match kernel {
        Kernel::FmaF32 => arithmetic("lb_fp32", 2 * 256 * 16 * 512),
        Kernel::FmaF64 => arithmetic("lb_fp64", 2 * 256 * 8 * 128),
        Kernel::Bf16 => tensor("lb_bf16", 16, &[Fill::Bf16]),
        Kernel::Int8 => tensor("lb_int8", 32, &[Fill::Bytes]),
        Kernel::Stream => memory("lb_stream", 3, streamed, &[Fill::Stream]),
        Kernel::L2 => memory("lb_l2", 3, streamed, &[Fill::Stream]),
        Kernel::Memory => memory("lb_memory", 2, streamed, &[]),
        Kernel::Mix => KernelShape {
            block_threads: 384,
            flops_per_iteration_per_tile: tensor_operations(16) / 2,
            bytes_per_iteration_per_tile: streamed,
            ..tensor("lb_mix", 16, &[Fill::Bf16, Fill::Stream])
        },
        Kernel::Copy => return None,
    };
    Some(shape)
}

fn hopper(kernel: Kernel) -> Option<KernelShape> {
    let shape = KernelShape {
        entry: "lb_bf16_sm90a",
        // Four slices in flight; the hardware's most is 232 448.
        shared_bytes: 4 * SLICE_BYTES as u32,
        tiles_per_sm: 1,
        // Eight slices, each 128 rows by 256 columns by 16 pairs of depths of 16.
        flops_per_iteration_per_tile: 2 * 8 * 128 * 256 * 16 * 16,
        // Operands, from the second cache or, with a large pool, from device memory.
        bytes_per_iteration_per_tile: 8 * SLICE_BYTES,
        fills: &[Fill::Bf16],
        ..fill_shape()
    };
    (kernel == Kernel::Bf16).then_some(shape)
}

fn arithmetic(entry: &'static str, flops: u64) -> KernelShape {
    KernelShape { entry, flops_per_iteration_per_tile: flops, ..fill_shape() }
}

fn memory(
    entry: &'static str,
    tiles_per_sm: u32,
    bytes: u64,
    fills: &'static [Fill],
) -> KernelShape {
    KernelShape { entry, tiles_per_sm, bytes_per_iteration_per_tile: bytes, fills, ..fill_shape() }
}

fn tensor(entry: &'static str, depth: u64, fills: &'static [Fill]) -> KernelShape {
    KernelShape {
        entry,
        shared_bytes: SLICE_BYTES as u32,
        tiles_per_sm: 1,
        flops_per_iteration_per_tile: tensor_operations(depth),
        fills,
        ..fill_shape()
    }
}

/// Eight cycles of eight sets, each 128 rows by 256 columns and `depth` deep.
const fn tensor_operations(depth: u64) -> u64 {
    2 * 8 * 8 * 128 * 256 * depth
}
