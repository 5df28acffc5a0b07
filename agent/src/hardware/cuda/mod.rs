//! NVIDIA GPUs as a load.

pub mod image;
