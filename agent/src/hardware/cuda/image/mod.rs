//! Kernel images, their launch shapes and what they must compute.
//!
//! FIXME: a stand-in behind the launch contract, to be replaced as a whole by the images built
//! from `agent/kernels`. Its PTX is valid and computes nothing: on a real GPU no tile leaves a
//! hash, which the run loop tells as a device that can't be loaded. It never makes a GPU look
//! healthy.

pub mod reference;

use model::load::Kernel;

/// The one parameter of every kernel. Addresses are the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(8))]
pub struct Launch {
    /// Operand pool, filled by `lb_fill` from `seed`.
    pub operands: u64,
    pub operand_bytes: u64,
    /// Region of streaming, second-cache and memory kernels.
    pub buffer: u64,
    pub buffer_bytes: u64,
    /// `u64[tiles]`: what each tile's hash must be; 0: not compared.
    pub golden: u64,
    /// `u64[tiles]`: each tile's hash of this launch.
    pub hashes: u64,
    /// A ring of [`Flaw`] behind its count and capacity.
    pub flaws: u64,
    /// `u64[2 * tiles]`: `%globaltimer` at each tile's begin and end.
    pub stamps: u64,
    /// A host-mapped `u32`: non-zero means leave at the next iteration, hash unwritten.
    pub stop: u64,
    /// Work of a tile in this launch.
    pub iterations: u32,
    /// Blocks of the grid. A tile's work depends on its index only.
    pub tiles: u32,
    pub seed: u32,
    /// `mix` only: tensor work, per mille.
    pub share: u32,
    /// `u32::MAX`: none.
    pub inject_tile: u32,
    /// 0 none, 1 one accumulator bit, 2 NaN, 3 one memory word.
    pub inject_kind: u32,
    pub inject_iteration: u32,
    /// Memory patterns: which pass.
    pub pass: u32,
}

/// One wrong result as the GPU saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Flaw {
    pub expected: u64,
    pub got: u64,
    /// `%globaltimer`.
    pub at_ns: u64,
    pub tile: u32,
    pub sm: u32,
    pub warp_lane: u32,
    /// 0 hash, 1 word, 2 NaN or infinity.
    pub kind: u32,
}

/// One embedded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    pub name: &'static str,
    /// The `.target` of its PTX.
    pub target: &'static str,
    pub ptx: &'static str,
    pub sha256: &'static str,
}

/// How a kernel is launched and what one iteration of one tile does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelShape {
    pub entry: &'static str,
    pub block_threads: u32,
    pub shared_bytes: u32,
    pub tiles_per_sm: u32,
    pub flops_per_iteration_per_tile: u64,
    pub bytes_per_iteration_per_tile: u64,
}

const BASELINE: Image = Image {
    name: "stand-in",
    target: "sm_80",
    ptx: include_str!("stand-in.ptx"),
    sha256: "stand-in",
};

/// Images for a compute capability, the best first.
#[must_use]
pub fn images_for(major: u32, _minor: u32) -> Vec<&'static Image> {
    if major >= 8 { vec![&BASELINE] } else { Vec::new() }
}

/// How to launch a kernel of an image.
#[must_use]
pub fn shape(kernel: Kernel, _image: &Image) -> KernelShape {
    let (entry, flops, bytes) = match kernel {
        Kernel::Bf16 => ("lb_bf16", 1 << 22, 0),
        Kernel::Int8 => ("lb_int8", 1 << 23, 0),
        Kernel::FmaF32 => ("lb_fp32", 1 << 19, 0),
        Kernel::FmaF64 => ("lb_fp64", 1 << 18, 0),
        Kernel::Stream | Kernel::Copy => ("lb_stream", 0, 1 << 16),
        Kernel::L2 => ("lb_l2", 0, 1 << 17),
        Kernel::Mix => ("lb_mix", 1 << 21, 1 << 15),
        Kernel::Memory => ("lb_memory", 0, 1 << 16),
    };
    KernelShape {
        entry,
        block_threads: 256,
        shared_bytes: 0,
        tiles_per_sm: 1,
        flops_per_iteration_per_tile: flops,
        bytes_per_iteration_per_tile: bytes,
    }
}

/// How the operand pool is filled.
#[must_use]
pub fn fill_shape(_image: &Image) -> KernelShape {
    KernelShape {
        entry: "lb_fill",
        block_threads: 256,
        shared_bytes: 0,
        tiles_per_sm: 1,
        flops_per_iteration_per_tile: 0,
        bytes_per_iteration_per_tile: 0,
    }
}
