//! The CPU as a load: one pinned thread for each core, every block checked bit by bit.

mod block;
mod buffer;
mod clock;
mod expected;
mod fma;
mod isa;
mod mix;
mod pattern;
mod stream;
