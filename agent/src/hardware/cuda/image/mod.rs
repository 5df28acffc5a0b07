//! The GPU images that the agent carries, and what each kernel in them asks for.
//!
//! Owns the PTX text (made from `agent/kernels` by its `build.py`), the table of kernels with
//! their launch shapes, the parameter of a launch, and the results that a CPU knows in advance
//! ([`reference`]). Knows no driver: `hardware/cuda` loads and launches.

mod launch;
pub mod reference;
#[cfg(test)]
mod sha256;
mod shape;
#[cfg(test)]
mod tests;

pub use launch::{Fill, Flaw, FlawKind, Inject, Launch, NO_PLACE, NO_TILE};
pub use shape::{CHUNK_BYTES, KernelShape, MEMORY_PASSES, SLICE_BYTES, fill_shape, shape};

mod digests {
    include!("../../../../kernels/images/digests.rs");
}

/// PTX for one kind of GPU. The driver compiles it for the card when it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The word in reports and vote keys.
    pub name: &'static str,
    /// What it is compiled for, in the compiler's words.
    pub target: &'static str,
    pub ptx: &'static str,
    /// Of `ptx`, in lowercase hexadecimal.
    pub sha256: &'static str,
}

/// For compute capability 8.0 and every later one.
pub const BASE: Image = Image {
    name: "base",
    target: "compute_80",
    ptx: include_str!("../../../../kernels/images/base.ptx"),
    sha256: digests::BASE,
};

/// For Hopper (9.0) alone: bf16 products of whole warpgroups. Held against
/// [`reference::bf16_integers_hopper`] at start; never ran on a GPU when it was written.
pub const HOPPER: Image = Image {
    name: "hopper",
    target: "compute_90a",
    ptx: include_str!("../../../../kernels/images/hopper.ptx"),
    sha256: digests::HOPPER,
};

/// The images that a GPU of this compute capability can run, best first; none below 8.0.
#[must_use]
pub fn images_for(major: u32, minor: u32) -> Vec<&'static Image> {
    match (major, minor) {
        (0..=7, _) => Vec::new(),
        (9, 0) => vec![&HOPPER, &BASE],
        _ => vec![&BASE],
    }
}
