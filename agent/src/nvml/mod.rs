//! NVIDIA's management library: which GPUs there are and what they feel.
//!
//! Owns finding the library at run time, cards by their UUID, sensors of a card with a
//! reason for each that it lacks, and the wait for Xids. Refuses CUDA, judging, and the main
//! thread: a sick card holds a call for minutes, so that every call happens in a thread that
//! may hang. Codes, masks and field numbers are plain integers throughout (reference:
//! NVML's header; `fields` on the numbers that changed their meaning).

mod card;
mod counter;
mod discovery;
mod energy;
mod fields;
mod health;
mod kernel_log;
mod library;
mod sensors;
mod status;
mod watch;
mod xid_doubles;

pub(crate) use discovery::{Gpus, discover};
